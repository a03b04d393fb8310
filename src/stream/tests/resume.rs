//! Where it goes on when nothing was lost.

use super::*;

#[test]
fn an_empty_topic_is_filled_from_the_beginning_each_grant_once_and_in_order() {
    let bench = Bench::new();
    bench.grant(200);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.check_once();
    assert!((0..3).all(|partition| bench.places(partition).len() > 10), "every partition has some");
    assert_eq!(process.published(), bench.last.get());
    assert_eq!(process.figures.kafka_records.get(), 200);
    assert_eq!(process.figures.kafka_in_flight.get(), 0);
}

#[test]
fn a_clean_restart_goes_on_where_it_was() {
    let bench = Bench::new();
    for _ in 0..3 {
        bench.grant(37);
        let mut process = bench.process();
        process.publish(&bench).unwrap();
        process.stop();
        let published = surely_published(&bench.disk, data(), bench.log);
        assert_eq!(published, bench.last.get());
    }
    bench.check_once();
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    assert_eq!((process.published(), process.figures.kafka_records.get()), (bench.last.get(), 0));
}

#[test]
fn what_was_sent_after_the_checkpoint_and_before_a_crash_is_not_sent_again() {
    let bench = Bench::new();
    bench.grant(20);
    bench.published_once();
    bench.grant(50);
    bench.process().publish(&bench).unwrap();
    bench.grant(20);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn what_is_in_the_topic_and_was_not_acknowledged_before_a_crash_is_not_sent_again() {
    let bench = Bench::new();
    bench.grant(20);
    bench.published_once();
    bench.grant(50);
    bench.cluster.faults(|faults| faults.hold_acks = true);
    let mut killed = bench.process();
    killed.publish(&bench).unwrap();
    assert_eq!(killed.published(), Lsn::new(25), "nothing more is acknowledged");
    drop(killed);
    bench.cluster.faults(|faults| faults.hold_acks = false);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn without_a_checkpoint_the_last_record_of_ours_is_found_behind_many_of_others() {
    let bench = Bench::new();
    bench.adopt.set(true);
    bench.grant(60);
    bench.process().publish(&bench).unwrap();
    for partition in 0..3 {
        for _ in 0..250 {
            bench.add_foreign(partition);
        }
    }
    crate::journal::Disk::remove(&bench.disk, &super::checkpoint::path(data())).unwrap();
    bench.grant(60);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.check_once();
    assert_eq!(process.figures.kafka_records.get(), 60);
}

#[test]
fn a_damaged_checkpoint_is_a_hint_lost() {
    let bench = Bench::new();
    bench.grant(60);
    bench.published_once();
    let path = super::checkpoint::path(data());
    crate::journal::Disk::open_to_write(&bench.disk, &path).unwrap().write_at(b"#", 40).unwrap();
    bench.grant(60);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn a_partition_emptied_by_retention_goes_on() {
    let bench = Bench::new();
    bench.grant(60);
    bench.published_once();
    for partition in 0..3 {
        let high = bench.places(partition).len() as u64;
        bench.cluster.delete_records(TOPIC, partition, high);
    }
    bench.grant(30);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    assert_eq!(process.figures.kafka_records.get(), 30);
    for partition in 0..3 {
        let expected = bench.expected(partition, 3);
        let seqs: Vec<u64> = expected.iter().map(|grant| grant.seq.get()).collect();
        let kept = bench.places(partition);
        let behind = seqs.len() - kept.len();
        assert_eq!(kept[0], (seqs[behind], seqs[behind - 1]), "the chain goes on over what retention took");
        assert!(kept.iter().map(|(seq, _)| seq).eq(&seqs[behind..]));
    }
}

#[test]
fn what_retention_took_of_a_partition_is_not_missed() {
    let bench = Bench::new();
    bench.grant(60);
    bench.published_once();
    bench.grant(60);
    bench.process().publish(&bench).unwrap();
    // Behind the checkpoint's own record in one, before it in another.
    bench.cluster.delete_records(TOPIC, 0, bench.places(0).len() as u64 - 3);
    bench.cluster.delete_records(TOPIC, 1, 2);
    bench.grant(30);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    assert_eq!(process.figures.kafka_records.get(), 30);
}

#[test]
fn acknowledgements_without_offsets_are_placed_by_the_next_look() {
    let bench = Bench::new();
    bench.grant(30);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.cluster.faults(|faults| faults.hide_offsets = true);
    bench.grant(30);
    process.publish(&bench).unwrap();
    process.worker.remember(false);
    process.worker.save();
    drop(process);
    bench.grant(30);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.check_once();
    assert_eq!(process.figures.kafka_records.get(), 30);
}

#[test]
fn another_cluster_or_topic_is_filled_from_the_beginning() {
    let bench = Bench::new();
    bench.grant(30);
    bench.published_once();
    bench.cluster.make_topic(TOPIC, 3);
    bench.cluster.set_id("another");
    bench.grant(10);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.check_once();
    assert_eq!(process.figures.kafka_records.get(), 40);
    process.stop();

    let mut options = bench.options();
    options.topic.name = "elsewhere".into();
    let mut process = bench.process_with(options);
    process.publish(&bench).unwrap();
    assert_eq!(process.figures.kafka_records.get(), 40);
    assert_eq!(bench.cluster.records("elsewhere", 0).len(), bench.places(0).len());
}

#[test]
fn late_requests_of_a_dead_producer_are_waited_for_and_counted_where_they_come_later() {
    let bench = Bench::new();
    bench.grant(20);
    bench.published_once();
    bench.cluster.faults(|faults| faults.hold_appends = true);
    bench.grant(20);
    bench.process().publish(&bench).unwrap();
    bench.cluster.faults(|faults| faults.hold_appends = false);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.cluster.append_late(usize::MAX);
    assert_eq!(bench.check(), 20, "after the look: each is there twice");
    assert_eq!(process.figures.kafka_duplicates.get(), 0);
    bench.grant(5);
    let mut next = bench.process();
    next.publish(&bench).unwrap();
    assert_eq!(next.figures.kafka_duplicates.get(), 20);
    assert_eq!(bench.check(), 20);
}

#[test]
fn after_a_crash_the_tail_is_looked_at_again_when_the_late_window_is_over() {
    let bench = Bench::new();
    bench.grant(20);
    bench.published_once();
    bench.cluster.faults(|faults| faults.hold_appends = true);
    bench.grant(20);
    bench.process().publish(&bench).unwrap();
    bench.cluster.faults(|faults| faults.hold_appends = false);
    bench.late_window.set(Duration::from_secs(1));
    // Id, partitions of both topics, and of each lane its bounds and, where there is something, its tail: the first look.
    bench.cluster.faults(|faults| faults.late_after_calls = Some(12));
    bench.process().publish(&bench).unwrap();
    assert_eq!(bench.cluster.travelling(), 0);
    bench.check_once();
}
