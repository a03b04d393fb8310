//! What was there and is gone: told, and sent again.

use super::*;

/// All that was lost is there again; what was not lost may be there twice.
fn comes_back(bench: &Bench) -> Process {
    let mut process = bench.process();
    process.publish(bench).unwrap();
    bench.check();
    assert_eq!(process.published(), bench.last.get());
    process
}

#[test]
fn a_lost_tail_is_sent_again() {
    let bench = Bench::new();
    bench.grant(60);
    bench.published_once();
    bench.cluster.truncate(TOPIC, 1, 4);
    let lost = bench.expected(1, 3).len() - 4;
    let process = comes_back(&bench);
    assert_eq!(process.figures.kafka_records.get(), lost as u64, "and nothing else");
    bench.check_once();
}

#[test]
fn a_lost_tail_that_was_overgrown_by_others_is_sent_again() {
    let bench = Bench::new();
    bench.adopt.set(true);
    bench.grant(60);
    bench.published_once();
    bench.cluster.truncate(TOPIC, 1, 4);
    for _ in 0..40 {
        bench.add_foreign(1);
    }
    comes_back(&bench);
    bench.check_once();
}

#[test]
fn a_topic_recreated_empty_while_the_gate_was_down_is_filled_again() {
    let bench = Bench::new();
    bench.grant(60);
    bench.published_once();
    bench.cluster.make_topic(TOPIC, 3);
    bench.grant(10);
    let process = comes_back(&bench);
    assert_eq!(process.figures.kafka_records.get(), 70);
    bench.check_once();
}

#[test]
fn a_topic_that_is_gone_is_made_with_as_many_partitions_as_it_had() {
    let bench = Bench::new();
    bench.grant(60);
    bench.published_once();
    bench.cluster.delete_topic(TOPIC);
    let mut options = bench.options();
    options.topic.partitions = 7;
    let mut process = bench.process_with(options);
    process.publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn a_topic_recreated_under_a_running_producer_is_noticed_by_its_offsets() {
    let bench = Bench::new();
    bench.grant(60);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.cluster.make_topic(TOPIC, 3);
    bench.grant(9);
    let published = process.published();
    let fault = process.fault(&bench);
    assert!(matches!(&fault, Fault::Replaced(line) if line.contains("the topic was replaced")), "{fault:?}");
    assert_eq!(process.published(), published, "what landed there counts for nothing yet");
    process.publish(&bench).unwrap();
    bench.check();
    assert_eq!(process.published(), bench.last.get());
}

#[test]
fn a_topic_recreated_under_a_producer_that_is_then_killed_is_noticed_by_the_chain() {
    for held in [false, true] {
        let bench = Bench::new();
        bench.grant(60);
        bench.published_once();
        let mut killed = bench.process();
        killed.publish(&bench).unwrap();
        bench.cluster.make_topic(TOPIC, 3);
        bench.cluster.faults(|faults| faults.hold_acks = held);
        bench.grant(200);
        let _fault = killed.publish(&bench);
        drop(killed);
        bench.cluster.faults(|faults| faults.hold_acks = false);
        comes_back(&bench);
    }
}

#[test]
fn records_acknowledged_without_offsets_and_lost_are_sent_again() {
    let bench = Bench::new();
    bench.grant(30);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    let kept: Vec<u64> = (0..3).map(|partition| bench.places(partition).len() as u64).collect();
    bench.cluster.faults(|faults| faults.hide_offsets = true);
    bench.grant(30);
    process.publish(&bench).unwrap();
    process.worker.remember(false);
    process.worker.save();
    drop(process);
    (0..3).for_each(|partition| bench.cluster.truncate(TOPIC, partition, kept[partition as usize] + 1));
    comes_back(&bench);
    bench.check_once();
}

#[test]
fn what_is_sent_again_after_a_loss_does_not_take_published_back() {
    let bench = Bench::new();
    bench.grant(60);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    let told = process.marks.stored_by(&[Lsn::ZERO; 6]);
    bench.cluster.truncate(TOPIC, 0, 1);
    bench.cluster.faults(|faults| faults.hold_acks = true);
    bench.cluster.fail_writers("over");
    assert!(process.fault(&bench).passes());
    process.publish(&bench).unwrap();
    assert_eq!(process.published(), bench.last.get());
    assert_eq!(process.marks.stored_by(&[Lsn::ZERO; 6]), told, "a sink is not taken to have what is lost");
    bench.cluster.faults(|faults| faults.hold_acks = false);
    process.publish(&bench).unwrap();
    bench.check_once();
}

/// The same scenes with a promise broken: what the tests above rely on is not there by chance.
#[cfg(feature = "sabotage")]
mod sabotaged {
    use super::*;
    use crate::sabotage::{Sabotage, peace};

    fn broken(promise: Sabotage, scene: impl FnOnce(&Bench)) {
        peace::broken(promise, || scene(&Bench::in_any_world()));
    }

    fn missing(bench: &Bench) -> usize {
        let there: usize = (0..3).map(|partition| bench.places(partition).len()).sum();
        bench.granted.borrow().len() - there
    }

    #[test]
    fn a_stream_that_does_not_read_the_tail_back_misses_what_was_lost() {
        broken(Sabotage::NoTailReadBack, |bench| {
            bench.grant(60);
            bench.published_once();
            bench.cluster.truncate(TOPIC, 1, 4);
            bench.process().publish(bench).unwrap();
            assert!(missing(bench) > 0, "what was lost stays lost");
        });
    }

    #[test]
    fn a_stream_that_does_not_read_the_tail_back_sends_twice() {
        broken(Sabotage::NoTailReadBack, |bench| {
            bench.grant(20);
            bench.published_once();
            bench.grant(50);
            bench.process().publish(bench).unwrap();
            bench.process().publish(bench).unwrap();
            assert_eq!(bench.check(), 50, "what came after the checkpoint is there twice");
        });
    }

    #[test]
    fn a_stream_that_takes_sent_for_published_is_ahead_of_the_topic() {
        broken(Sabotage::PublishedTakenForGranted, |bench| {
            bench.cluster.faults(|faults| faults.hold_appends = true);
            bench.grant(20);
            let mut process = bench.process();
            process.publish(bench).unwrap();
            assert_eq!(process.published(), bench.last.get(), "and nothing is there");
            process.worker.remember(false);
            process.worker.save();
            drop(process);
            bench.cluster.lose_travelling();
            bench.cluster.faults(|faults| faults.hold_appends = false);
            bench.process().publish(bench).unwrap();
            assert_eq!(missing(bench), 20, "the next start believes it");
        });
    }
}
