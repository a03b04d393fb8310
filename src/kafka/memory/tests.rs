//! The cluster in memory does what a real one would.

use super::*;
use crate::ids::Millis;
use crate::kafka::Sent;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const TOPIC: &str = "topic";
const OTHER: &str = "other";

fn record(partition: u32, value: u8) -> Outgoing {
    Outgoing { topic: 0, partition, at: Millis(1), key: None, value: vec![value], headers: vec![("h", vec![value])] }
}

fn values(cluster: &MemoryCluster, partition: u32) -> Vec<u8> {
    cluster.records(TOPIC, partition).iter().map(|record| record.value.as_ref().unwrap()[0]).collect()
}

#[test]
fn what_is_sent_is_acknowledged_in_order_and_read_back() {
    let mut cluster = MemoryCluster::with_topic(TOPIC, 2);
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let on_ack = Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let mut writer = cluster.writer(&[TOPIC], on_ack).unwrap();
    cluster.faults(|faults| faults.hold_acks = true);
    for value in 0..4 {
        assert_eq!(writer.send(&record(u32::from(value) % 2, value), u64::from(value)), Ok(Sent::Queued));
    }
    assert_eq!((writer.in_flight(), told.load(Ordering::SeqCst)), (4, 0));
    cluster.faults(|faults| faults.hold_acks = false);
    assert_eq!(told.load(Ordering::SeqCst), 1);
    let mut acks = Vec::new();
    writer.acks(&mut acks).unwrap();
    let acks: Vec<_> = acks.iter().map(|ack| (ack.partition, ack.tag, ack.offset.unwrap())).collect();
    assert_eq!(acks, [(0, 0, 0), (1, 1, 0), (0, 2, 1), (1, 3, 1)]);
    assert_eq!(writer.in_flight(), 0);
    let mut read = Vec::new();
    let mut take = |record: Record| {
        read.push((record.offset, record.value.unwrap()[0]));
        ControlFlow::Continue(())
    };
    cluster.read(TOPIC, 1, 0..2, &mut take).unwrap();
    assert_eq!(read, [(0, 1), (1, 3)]);
}

#[test]
fn what_a_dead_writer_had_sent_comes_late_or_never() {
    let mut cluster = MemoryCluster::with_topic(TOPIC, 1);
    let mut writer = cluster.writer(&[TOPIC], Box::new(|| {})).unwrap();
    cluster.faults(|faults| faults.hold_appends = true);
    (1..=3).for_each(|value| {
        writer.send(&record(0, value), 0).unwrap();
    });
    drop(writer);
    cluster.faults(|faults| faults.hold_appends = false);
    assert_eq!((values(&cluster, 0), cluster.travelling()), (vec![], 3));
    cluster.append_late(2);
    cluster.lose_travelling();
    assert_eq!((values(&cluster, 0), cluster.travelling()), (vec![1, 2], 0));
}

#[test]
fn a_writer_has_bounds_and_ends_for_good() {
    let mut cluster = MemoryCluster::with_topic(TOPIC, 1);
    let mut writer = cluster.writer(&[TOPIC], Box::new(|| {})).unwrap();
    cluster.faults(|faults| (faults.hold_acks, faults.room, faults.fatal_after) = (true, 2, Some(2)));
    assert_eq!(writer.send(&record(0, 1), 0), Ok(Sent::Queued));
    assert_eq!(writer.send(&record(0, 2), 0), Ok(Sent::Queued));
    assert_eq!(writer.send(&record(0, 3), 0), Ok(Sent::Full));
    cluster.faults(|faults| faults.room = 9);
    assert!(writer.send(&record(0, 3), 0).is_err() && writer.send(&record(0, 4), 0).is_err());
    assert!(writer.acks(&mut Vec::new()).is_err());
    assert_eq!(values(&cluster, 0), [1, 2]);
}

#[test]
fn what_one_topic_does_not_take_holds_no_other_up() {
    let mut cluster = MemoryCluster::with_topic(TOPIC, 1);
    cluster.make_topic(OTHER, 2);
    cluster.faults(|faults| faults.hold_appends_to = Some(TOPIC.into()));
    let mut writer = cluster.writer(&[TOPIC, OTHER], Box::new(|| {})).unwrap();
    writer.send(&record(0, 1), 1).unwrap();
    writer.send(&Outgoing { topic: 1, ..record(1, 2) }, 2).unwrap();
    let mut acks = Vec::new();
    writer.acks(&mut acks).unwrap();
    assert_eq!(acks, [Ack { topic: 1, partition: 1, tag: 2, offset: Some(0) }]);
    cluster.faults(|faults| faults.hold_appends_to = None);
    writer.acks(&mut acks).unwrap();
    assert_eq!(acks[1..], [Ack { topic: 0, partition: 0, tag: 1, offset: Some(0) }]);
}

#[test]
fn a_follower_is_told_what_is_not_there() {
    let mut cluster = MemoryCluster::with_topic(TOPIC, 2);
    let mut follower = cluster.follower(&[(TOPIC, vec![0, 0])]).unwrap();
    for (partition, value) in [(0, 1), (0, 2), (1, 3)] {
        cluster.add(TOPIC, record(partition, value));
    }
    cluster.add_marker(TOPIC, 0);
    let mut seen = Vec::new();
    while let Some((0, record)) = follower.next(Duration::ZERO).unwrap() {
        seen.push(record.value.unwrap()[0]);
    }
    assert_eq!(seen, [1, 3, 2]);
    cluster.add(TOPIC, record(0, 5));
    cluster.delete_records(TOPIC, 0, 4);
    assert!(matches!(follower.next(Duration::ZERO), Err(KafkaError::Gone { partition: 0, .. })));
    let mut ahead = cluster.follower(&[(TOPIC, vec![9, 0])]).unwrap();
    assert!(matches!(ahead.next(Duration::ZERO), Err(KafkaError::Gone { partition: 0, .. })));
}

#[test]
fn what_is_held_waits_and_the_rest_of_both_topics_comes() {
    let mut cluster = MemoryCluster::with_topic(TOPIC, 1);
    cluster.make_topic(OTHER, 2);
    let mut follower = cluster.follower(&[(TOPIC, vec![0]), (OTHER, vec![0, 1])]).unwrap();
    cluster.add(TOPIC, record(0, 1));
    for (partition, value) in [(0, 2), (1, 3), (1, 4)] {
        cluster.add(OTHER, record(partition, value));
    }
    let mut all = |held: &[(usize, u32)]| {
        follower.hold(held).unwrap();
        let mut come = Vec::new();
        while let Some((topic, record)) = follower.next(Duration::ZERO).unwrap() {
            come.push((topic, record.partition, record.value.unwrap()[0]));
        }
        come
    };
    assert_eq!(all(&[(0, 0), (1, 0), (1, 1)]), []);
    assert_eq!(all(&[(0, 0), (1, 0)]), [(1, 1, 4)]);
    assert_eq!(all(&[(1, 0)]), [(0, 0, 1)]);
    assert_eq!(all(&[]), [(1, 0, 2)]);
}

#[test]
fn a_topic_is_cut_grown_and_replaced_under_its_writers() {
    let mut cluster = MemoryCluster::with_topic(TOPIC, 1);
    cluster.set_id("another");
    cluster.set_warnings(&["compacted"]);
    assert_eq!((cluster.id().unwrap(), cluster.warnings(TOPIC).unwrap()), ("another".into(), vec!["compacted".into()]));
    let mut writer = cluster.writer(&[TOPIC], Box::new(|| {})).unwrap();
    let offset = |writer: &mut Box<dyn Writer>, record: Outgoing| {
        writer.send(&record, 0).unwrap();
        let mut acks = Vec::new();
        writer.acks(&mut acks).unwrap();
        acks.pop().and_then(|ack| ack.offset)
    };
    assert_eq!((0..3).map(|value| offset(&mut writer, record(0, value))).last(), Some(Some(2)));
    cluster.truncate(TOPIC, 0, 1);
    assert_eq!(offset(&mut writer, record(0, 7)), Some(1));
    cluster.delete_topic(TOPIC);
    assert_eq!(cluster.partitions(TOPIC), Ok(None));
    assert_eq!(offset(&mut writer, record(0, 8)), None);
    cluster.make_topic(TOPIC, 1);
    cluster.grow_topic(TOPIC, 2);
    assert_eq!((values(&cluster, 0), cluster.partitions(TOPIC)), (vec![8], Ok(Some(2))));
    cluster.fail_writers("over");
    assert!(writer.send(&record(0, 9), 0).is_err());
}
