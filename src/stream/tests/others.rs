//! What somebody must decide: other writers, other partitions, a journal older than the topic.

use std::sync::atomic::Ordering;

use super::*;

fn stale(process: &Process) -> Option<String> {
    process.figures.stale.load(Ordering::Acquire).then(|| process.figures.stale_because.get())
}

#[test]
fn a_topic_with_records_of_somebody_else_is_refused_unless_adopted() {
    let bench = Bench::new();
    bench.grant(10);
    let alien =
        Outgoing { topic: 0, partition: 1, at: Millis(AT), key: None, value: b"hello".to_vec(), headers: Vec::new() };
    bench.cluster.add(TOPIC, alien);
    let line = unfit(bench.process().fault(&bench));
    assert!(line.contains("partition 1") && line.contains("of somebody else at offset 0"), "{line}");
    assert!(line.contains("--kafka-adopt"), "{line}");
    assert!((0..3).all(|partition| bench.places(partition).is_empty()), "nothing is published");
    bench.adopt.set(true);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn a_new_journal_in_the_place_of_one_whose_grants_are_there_decides_nothing_unless_it_is_to_share() {
    let _calm = crate::sabotage::peace::keep();
    let bench = Bench::without_campaigns();
    let (log, campaign, user) = (LogId([9; 16]), "spring".into(), GrantUser::Int(42));
    let grant = Grant { log, seq: Lsn::new(2), campaign, seat: 1, user, nth: 1, at: Millis(AT) };
    bench.add(2, &EntryRecord { entry: grant.into(), prev: Lsn::ZERO });
    let mut process = bench.process();
    let fault = process.fault(&bench);
    assert!(matches!(fault, Fault::Stale(_)), "{fault:?}");
    let told = stale(&process).expect("no claim is decided");
    assert!(told.contains(&format!("catch-up --log-id {log}")) && told.contains("--kafka-adopt yes"), "{told}");
    bench.adopt.set(true);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    assert_eq!(stale(&process), None);
}

#[test]
fn another_gate_behind_our_records_is_told_and_followed_only_if_adopted() {
    let bench = Bench::new();
    bench.grant(10);
    bench.published_once();
    let offset = bench.add_foreign(2);
    bench.grant(10);
    let line = unfit(bench.process().fault(&bench));
    let told = format!("of another gate (log {}) at offset {offset}", LogId([9; 16]));
    assert!(line.contains(&told), "{line}");
    bench.adopt.set(true);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn a_changed_number_of_partitions_is_never_followed_silently() {
    let bench = Bench::new();
    bench.grant(50);
    bench.published_once();
    bench.grow(6);
    bench.grant(5);
    let line = unfit(bench.process().fault(&bench));
    for word in ["has 6 partitions", "were dealt to 3", "restore coupon_create with 3", "--kafka-accept-partitions 6"] {
        assert!(line.contains(word), "{word}: {line}");
    }
    bench.check_count(50);
}

#[test]
fn an_operator_who_accepts_the_new_number_gets_the_rest_there_and_nothing_twice() {
    let bench = Bench::new();
    bench.grant(50);
    bench.published_once();
    bench.grow(6);
    bench.grant(50);
    bench.accept_partitions.set(Some(5));
    unfit(bench.process().fault(&bench));
    bench.accept_partitions.set(Some(6));
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    process.stop();
    bench.check_count(100);
    // It stands in the checkpoint from then on.
    bench.accept_partitions.set(None);
    bench.grant(50);
    bench.process().publish(&bench).unwrap();
    bench.check_count(150);
    let fresh = bench.expected(5, 6).into_iter().chain(bench.expected(4, 6)).chain(bench.expected(3, 6));
    assert!(fresh.count() > 0, "some campaign moved");
}

#[test]
fn what_was_dealt_to_the_old_number_behind_the_checkpoint_is_not_sent_again() {
    let bench = Bench::new();
    bench.grant(50);
    bench.published_once();
    bench.grant(50);
    bench.process().publish(&bench).unwrap();
    bench.grow(6);
    bench.accept_partitions.set(Some(6));
    bench.grant(50);
    bench.process().publish(&bench).unwrap();
    bench.check_count(150);
}

/// 50 grants that are published and 50 that were on the way when the process was killed, of which only the requests for one
/// partition arrived: the last `seq` there.
fn half_of_what_was_on_the_way(bench: &Bench) -> Lsn {
    bench.grant(50);
    bench.published_once();
    bench.grant(50);
    // Of what was on the way only the requests for one partition arrived.
    let busiest = (0..3).max_by_key(|partition| bench.expected(*partition, 3).len()).expect("three");
    let there = bench.ours(busiest).len();
    let mut prev = bench.ours(busiest).last().expect("some are there").entry.seq();
    for grant in bench.expected(busiest, 3).into_iter().skip(there) {
        let seq = grant.seq;
        bench.add(busiest, &EntryRecord { entry: grant.into(), prev });
        prev = seq;
    }
    prev
}

#[test]
fn what_is_missing_in_an_old_partition_comes_though_another_holds_later_grants() {
    let bench = Bench::new();
    half_of_what_was_on_the_way(&bench);
    bench.grow(6);
    bench.accept_partitions.set(Some(6));
    bench.grant(50);
    // Killed once on the way, before and after the rule has changed.
    bench.process().publish(&bench).unwrap();
    bench.grant(50);
    bench.process().publish(&bench).unwrap();
    bench.check_count(200);
    (0..6).for_each(|partition| bench.check_chain(partition));
}

#[test]
fn what_is_missing_of_records_that_were_dealt_by_another_key_is_dealt_by_that_key() {
    for key in [Key::User, Key::None] {
        let bench = Bench::new();
        let last_by_the_old_key = half_of_what_was_on_the_way(&bench);
        bench.key.set(key);
        bench.grant(50);
        bench.process().publish(&bench).unwrap();
        bench.grant(50);
        bench.process().publish(&bench).unwrap();
        bench.check_count(200);
        let granted = bench.granted.borrow();
        for partition in 0..3 {
            bench.check_chain(partition);
            let ours: Vec<Lsn> = bench.ours(partition).iter().map(|record| record.entry.seq()).collect();
            for grant in granted.iter() {
                let rule = if grant.seq <= last_by_the_old_key { Key::Campaign } else { key };
                let there = rule.partition(&grant.clone().into(), 3) == partition;
                assert_eq!(ours.contains(&grant.seq), there, "{grant} in partition {partition}");
            }
        }
    }
}

#[test]
fn a_topic_beyond_the_journal_is_told_and_nothing_is_published() {
    let bench = Bench::new();
    bench.grant(10);
    bench.published_once();
    let mut ahead = bench.granted.borrow().last().unwrap().clone();
    (ahead.seq, ahead.seat) = (Lsn::new(1000), 77);
    bench.add(0, &EntryRecord { entry: ahead.into(), prev: bench.last.get() });
    bench.grant(10);
    let mut process = bench.process();
    for _ in 0..2 {
        let fault = process.fault(&bench);
        assert!(matches!(fault, Fault::Stale(_)) && !fault.passes(), "{fault:?}");
    }
    let line = stale(&process).expect("claims are refused");
    assert!(line.contains("partition 0 of coupon_create holds seq 1000, the journal ended at 25"), "{line}");
    assert!(line.contains("coupon-gate catch-up"), "{line}");
    assert_eq!(process.figures.kafka_records.get(), 0);
}

#[test]
fn a_checkpoint_beyond_the_journal_is_told_where_the_topic_was_emptied() {
    let bench = Bench::new();
    bench.grant(10);
    bench.published_once();
    (0..3).for_each(|partition| bench.cluster.delete_records(TOPIC, partition, 10));
    let mut process = bench.process();
    let fresh: Arc<Watermarks> = Arc::default();
    fresh.durable.advance(Lsn::new(7));
    process.worker = Worker::new(
        bench.options(),
        fresh,
        Arc::clone(&process.figures),
        bench.files(),
        Campaigns::new(bench.log, bench.campaigns()),
        Arc::new(Signals::default()),
        Box::new(|| {}),
    );
    assert!(matches!(process.worker.turn(), Err(Fault::Stale(_))));
    assert!(stale(&process).is_some_and(|line| line.contains("lsn 15 was published, the journal ended at 7")));
}

/// The journal was set back, and gave to somebody else what the topic's last record tells of.
fn set_back_and_grown_again(bench: &Bench) -> Process {
    bench.grant(10);
    bench.published_once();
    let mut other = bench.granted.borrow().last().unwrap().clone();
    let partition = Key::Campaign.partition(&other.clone().into(), 3);
    let prev = bench.expected(partition, 3).last().unwrap().seq;
    bench.grant(5);
    (other.seq, other.seat) = (bench.last.get(), 3);
    bench.add(partition, &EntryRecord { entry: other.into(), prev });
    bench.process()
}

#[test]
fn a_journal_that_was_set_back_and_has_grown_again_is_told_by_what_it_says_there() {
    let bench = Bench::new();
    let mut process = set_back_and_grown_again(&bench);
    assert!(matches!(process.fault(&bench), Fault::Stale(_)));
    let line = stale(&process).expect("claims are refused");
    assert!(line.contains("this is not the journal") && line.contains("seat 3") && line.contains("catch-up"), "{line}");
}

#[cfg(feature = "sabotage")]
#[test]
fn a_stream_that_ignores_the_world_publishes_from_a_journal_that_was_set_back() {
    crate::sabotage::peace::broken(crate::sabotage::Sabotage::IgnoreTheWorld, || {
        let bench = Bench::in_any_world();
        let mut process = set_back_and_grown_again(&bench);
        process.publish(&bench).unwrap();
        assert_eq!(stale(&process), None, "and the grant in that place is missing");
    });
}

#[test]
fn a_missing_topic_is_made_or_the_command_that_does_is_told() {
    let bench = Bench::new();
    bench.grant(10);
    bench.cluster.delete_topic(TOPIC);
    bench.create.set(false);
    let line = unfit(bench.process().fault(&bench));
    let command = "kafka-topics.sh --bootstrap-server kafka-1:9092 --create --topic coupon_create --partitions 3 \
                   --replication-factor 3";
    assert!(line.contains(command) && line.contains("--kafka-create yes"), "{line}");
    bench.create.set(true);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn users_that_a_long_cannot_hold_keep_the_stream_from_starting() {
    let bench = Bench::new();
    let any = |name: &str, shadow: bool| Campaign { id: CampaignId(9), name: name.into(), users: Users::Any, shadow };
    let start = |campaign: Campaign, value: Value| {
        let options = Options { value, ..bench.options() };
        let marks = Arc::<Watermarks>::default();
        start(options, marks, Arc::default(), bench.files(), vec![campaign], Box::new(|| {}))
    };
    let refused = start(any("words", false), Value::Long).expect_err("it cannot be carried").to_string();
    assert!(refused.contains("campaign words has USERS ANY") && refused.contains("--kafka-value json"), "{refused}");
    for (campaign, value) in [(any("words", true), Value::Long), (any("words", false), Value::Json)] {
        assert!(start(campaign, value).expect("it can be carried").stop(Duration::from_secs(60)));
    }
}

impl Bench {
    /// More partitions of both topics.
    fn grow(&self, partitions: u32) {
        self.cluster.grow_topic(TOPIC, partitions);
        self.cluster.grow_topic(CANCEL, partitions);
    }

    /// Each of our records names the one before it.
    fn check_chain(&self, partition: u32) {
        let mut last = 0;
        for (seq, prev) in self.places(partition) {
            assert!(prev == last && seq > prev, "partition {partition}: {seq} behind {last} says {prev}");
            last = seq;
        }
    }

    /// So many grants of ours, none twice.
    fn check_count(&self, count: usize) {
        let mut seqs: Vec<u64> = (0..6).flat_map(|partition| self.places(partition)).map(|(seq, _)| seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        assert_eq!(seqs.len(), count);
        assert_eq!((0..6).map(|partition| self.places(partition).len()).sum::<usize>(), count);
    }
}
