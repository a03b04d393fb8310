//! A gate at work, and peers that are away.

use super::*;
use crate::kafka::Bounds;

#[test]
fn what_is_on_its_way_is_pending_and_no_difference() {
    let mut world = spring();
    world.leave(CampaignId(0), "spring", 11..=20);
    let grants = world.grants.clone();
    world.publish(&grants[10..14]);
    let report = world.audit();
    let row = &report.campaigns[0];
    assert_eq!(
        (report.exit(), row.pending, row.kafka_pending, row.ledger_pending),
        (Exit::Done, 10, 6, 10),
        "{report}"
    );
    assert_eq!(report.verdict(), "all agree; 10 grants are still on their way");
}

#[test]
fn a_ledger_that_is_filled_from_the_journal_is_held_against_its_position() {
    let mut world = World::new(1, Key::Campaign, Value::Long);
    let id = world.create("spring", 100, Users::Int, false);
    world.leave(id, "spring", 1..=10);
    let grants = world.grants.clone();
    world.store_from_journal(&grants[..8]);
    let report = world.audit();
    assert_eq!(
        (report.exit(), report.campaigns[0].ledger_pending, report.campaigns[0].kafka_pending),
        (Exit::Done, 2, 10)
    );
    world.sql("DELETE FROM coupon_grant WHERE seat = 8");
    assert_eq!(world.differences(), found(Place::Ledger, Kind::Missing, 1));
}

#[test]
fn a_grant_that_is_newer_than_what_was_read_of_the_journal_is_read_there_first() {
    let mut world = spring();
    world.settle();
    let journal = journal::read_only(Arc::new(world.disk.clone()), data()).unwrap().unwrap();
    let layout = Layout { key: Key::None, partitions: 2 };
    let mut book = Book::new(journal, layout, None, (1, 2));
    let mut progress = Progress::hidden();
    book.catch_up(&mut progress).unwrap();
    world.leave(CampaignId(0), "spring", 11..=11);
    world.settle();
    let newest = world.grants.last().unwrap().clone();
    assert!(newest.seq > book.last());
    assert_eq!(book.judge(book::Seen::Ledger, &newest, &mut progress), Ok(book::Judged::Right));
    assert!(book.findings.is_empty());
}

#[test]
fn peers_that_are_away_are_named_and_the_rest_is_checked() {
    let mut world = spring();
    world.cluster.faults(|faults| faults.down = true);
    world.sql("DELETE FROM coupon_grant WHERE seat = 4");
    let report = world.audit();
    assert_eq!((report.exit(), report.unreachable.len()), (Exit::Difference, 1));
    world.sql("DELETE FROM coupon_sink_position WHERE kpart = 0");
    world.sql("DELETE FROM coupon_sink_position WHERE kpart = 1");
    let report = world.audit();
    assert_eq!((report.exit(), report.campaigns[0].ledger_pending), (Exit::Surroundings, 1), "{report}");
    assert!(report.to_string().contains("Kafka was not checked to the end: the memory cluster is down"));
    world.cluster.faults(|faults| faults.down = false);
    std::fs::remove_file(world.path()).unwrap();
    let report = world.audit();
    assert_eq!(
        (report.exit(), report.campaigns[0].kafka, report.campaigns[0].ledger),
        (Exit::Surroundings, Some(10), None)
    );
    world.cluster.delete_topic(TOPIC);
    assert_eq!(world.audit().unreachable.len(), 2);
}

#[test]
fn a_cluster_that_goes_away_in_the_middle_leaves_nothing_missing() {
    let mut world = spring();
    for calls in 0..12 {
        world.cluster.faults(|faults| faults.calls_left = Some(calls));
        let report = world.audit();
        assert!(report.findings.is_empty(), "{report}");
        let answered = calls >= 7;
        assert_eq!(report.unreachable.is_empty(), answered, "{calls}: {report}");
    }
}

#[test]
fn without_a_topic_and_a_ledger_the_journal_alone_is_checked_and_that_is_said() {
    let mut world = spring();
    world.settle();
    let sources = Sources {
        disk: Arc::new(world.disk.clone()),
        data: data().to_owned(),
        topic: None,
        ledger: None,
        campaign: None,
    };
    let report = run(sources, &mut Progress::hidden()).unwrap();
    assert_eq!((report.exit(), report.not_asked.len()), (Exit::Done, 2));
    assert_eq!(report.verdict(), "all that was checked agrees, complete");
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(
        (&json["campaigns"][0]["journal"], &json["campaigns"][0]["kafka"]),
        (&10.into(), &serde_json::Value::Null)
    );
}

#[test]
fn no_journal_is_the_surroundings_fault_and_a_damaged_one_is_damage() {
    let mut world = spring();
    world.settle();
    world.settle();
    let audit = |disk: MemoryDisk| {
        let sources =
            Sources { disk: Arc::new(disk), data: data().to_owned(), topic: None, ledger: None, campaign: None };
        run(sources, &mut Progress::hidden()).map(|_| ()).unwrap_err()
    };
    assert_eq!(audit(MemoryDisk::default()).exit(), Exit::Surroundings);
    let mut files = world.disk.files();
    let segment = files.values_mut().next().unwrap();
    segment[128 + 100] ^= 1;
    let rot = audit(MemoryDisk::of(&files));
    assert_eq!(rot.exit(), Exit::Damaged, "{rot}");
}

#[test]
fn retention_that_works_while_the_topic_is_read_is_followed() {
    struct Shrinking(MemoryCluster);
    impl Cluster for Shrinking {
        fn id(&mut self) -> Result<String, KafkaError> {
            self.0.id()
        }
        fn partitions(&mut self, topic: &str) -> Result<Option<u32>, KafkaError> {
            self.0.partitions(topic)
        }
        fn create(&mut self, topic: &crate::kafka::NewTopic) -> Result<(), KafkaError> {
            self.0.create(topic)
        }
        fn warnings(&mut self, topic: &str) -> Result<Vec<String>, KafkaError> {
            self.0.warnings(topic)
        }
        fn bounds(&mut self, topic: &str, partition: u32) -> Result<Bounds, KafkaError> {
            self.0.bounds(topic, partition)
        }
        fn read(
            &mut self,
            topic: &str,
            partition: u32,
            range: std::ops::Range<u64>,
            take: &mut dyn FnMut(crate::kafka::Record) -> std::ops::ControlFlow<()>,
        ) -> Result<(), KafkaError> {
            self.0.delete_records(topic, partition, 3);
            self.0.read(topic, partition, range, take)
        }
        fn writer(
            &mut self,
            topics: &[&str],
            on_ack: Box<dyn Fn() + Send + Sync>,
        ) -> Result<Box<dyn crate::kafka::Writer>, KafkaError> {
            self.0.writer(topics, on_ack)
        }
        fn follower(&mut self, from: &[(&str, Vec<u64>)]) -> Result<Box<dyn crate::kafka::Follower>, KafkaError> {
            self.0.follower(from)
        }
    }
    let mut world = World::new(1, Key::Campaign, Value::Long);
    let id = world.create("spring", 100, Users::Int, false);
    world.leave(id, "spring", 1..=10);
    let grants = world.grants.clone();
    world.publish(&grants);
    world.settle();
    let sources = Sources {
        disk: Arc::new(world.disk.clone()),
        data: data().to_owned(),
        topic: Some(TopicAt {
            cluster: Ok(Box::new(Shrinking(world.cluster.clone()))),
            name: TOPIC.into(),
            cancel: None,
            key: world.key,
        }),
        ledger: None,
        campaign: None,
    };
    let report = run(sources, &mut Progress::hidden()).unwrap();
    assert_eq!(
        (report.exit(), report.campaigns[0].unkept, report.campaigns[0].kafka),
        (Exit::Done, 3, Some(7)),
        "{report}"
    );
}
