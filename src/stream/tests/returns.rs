//! The second topic: returns, in the partition of their campaign's grants.

use std::sync::atomic::Ordering;

use super::*;

/// Grants and returns, published and remembered; then more of both.
fn two_lives() -> Bench {
    let bench = Bench::new();
    bench.grant(40);
    bench.give_back(15);
    bench.published_once();
    bench.grant(30);
    bench.give_back(20);
    bench
}

fn returns(partition: u32) -> Lane {
    Lane::new(Kind::Return, partition)
}

fn counts(bench: &Bench) -> [usize; 2] {
    let count = |kind| (0..3).map(|partition| bench.places_in(Lane::new(kind, partition)).len()).sum();
    [count(Kind::Grant), count(Kind::Return)]
}

fn sent(process: &Process) -> u64 {
    process.figures.kafka_records.get()
}

#[test]
fn each_entry_is_in_its_topic_and_says_what_must_be_applied_before_it() {
    let bench = two_lives();
    bench.grant(10);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.check_once();
    assert_eq!((counts(&bench), process.published()), ([80, 35], bench.last.get()));
    for lane in Lane::all(3) {
        let ours = bench.ours_in(lane);
        assert!(ours.iter().any(|record| record.entry.after() > Lsn::ZERO), "{lane:?} has one that waits");
        let seqs: Vec<Lsn> = bench.ours_in(lane.other()).iter().map(|record| record.entry.seq()).collect();
        let is_there = |record: &EntryRecord| {
            let after = record.entry.after();
            after == Lsn::ZERO || seqs.contains(&after)
        };
        assert!(ours.iter().all(is_there), "what comes before it is in the sister lane of {lane:?}");
    }
}

#[test]
fn a_crash_in_the_middle_of_both_topics_sends_nothing_twice_and_skips_nothing() {
    for held in [TOPIC, CANCEL] {
        for acknowledged in [false, true] {
            let bench = two_lives();
            let before = counts(&bench);
            bench.cluster.faults(|faults| {
                (faults.hold_acks, faults.hold_appends_to) = (!acknowledged, Some(held.into()));
            });
            let mut killed = bench.process();
            killed.publish(&bench).unwrap();
            let waits = bench.entries_behind(if held == TOPIC { Kind::Grant } else { Kind::Return }, before);
            assert!(killed.published() < waits, "nothing passes what waits in {held}");
            killed.worker.remember(false);
            killed.worker.save();
            drop(killed);
            bench.cluster.lose_travelling();
            bench.cluster.faults(|faults| (faults.hold_acks, faults.hold_appends_to) = (false, None));
            let there = counts(&bench);
            let mut process = bench.process();
            process.publish(&bench).unwrap();
            bench.check_once();
            assert_eq!(sent(&process), (70 + 35 - there[0] - there[1]) as u64);
            assert_eq!(process.published(), bench.last.get());
        }
    }
}

#[test]
fn a_lost_tail_of_the_returns_is_sent_again_and_no_grant_is() {
    let bench = two_lives();
    bench.published_once();
    bench.cluster.truncate(CANCEL, 1, 2);
    let lost = bench.entries(returns(1), 3).len() - 2;
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.check_once();
    assert_eq!(sent(&process), lost as u64);
}

#[test]
fn a_topic_of_returns_made_anew_is_filled_again() {
    let bench = two_lives();
    bench.published_once();
    bench.cluster.make_topic(CANCEL, 3);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.check_once();
    assert_eq!(sent(&process), 35, "and no grant");

    // Under a running producer it is noticed by the offsets.
    bench.cluster.make_topic(CANCEL, 3);
    bench.give_back(20);
    let fault = process.fault(&bench);
    assert!(matches!(&fault, Fault::Replaced(line) if line.contains(" of coupon_cancel got offset 0")), "{fault:?}");
    process.publish(&bench).unwrap();
    bench.check();
    assert_eq!(process.published(), bench.last.get());
}

#[test]
fn what_retention_took_of_the_returns_is_not_missed() {
    let bench = two_lives();
    bench.published_once();
    bench.cluster.delete_records(CANCEL, 0, bench.places_in(returns(0)).len() as u64);
    bench.cluster.delete_records(CANCEL, 1, 1);
    bench.give_back(10);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    assert_eq!(sent(&process), 10);
    let (kept, all) = (bench.places_in(returns(0)), bench.entries(returns(0), 3));
    let before = all.len() - kept.len() - 1;
    assert_eq!(kept[0].1, all[before].seq().get(), "the chain goes on over what retention took");
}

#[test]
fn a_topic_of_returns_with_records_of_others_is_refused_unless_adopted() {
    let bench = two_lives();
    let alien =
        Outgoing { topic: 0, partition: 2, at: Millis(AT), key: None, value: b"hello".to_vec(), headers: Vec::new() };
    let offset = bench.cluster.add(CANCEL, alien);
    let before = counts(&bench);
    let line = unfit(bench.process().fault(&bench));
    let told = format!("partition 2 of coupon_cancel holds a record of somebody else at offset {offset}");
    assert!(line.contains(&told) && line.contains("--kafka-cancel-topic"), "{line}");
    assert_eq!(counts(&bench), before, "nothing is published, no grant either");
    bench.adopt.set(true);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn grants_of_this_gate_in_the_topic_of_returns_do_not_pass_for_returns() {
    let bench = Bench::new();
    bench.grant(40);
    bench.process().publish(&bench).unwrap();
    // The topic that was of the grants becomes that of the returns.
    *bench.cancel_topic.borrow_mut() = Some(TOPIC.into());
    let options =
        || Options { topic: NewTopic { name: "elsewhere".into(), ..bench.options().topic }, ..bench.options() };
    bench.give_back(5);
    let line = unfit(bench.process_with(options()).fault(&bench));
    assert!(line.contains("coupon_create holds a record of this gate that is no return at offset 0"), "{line}");
    bench.adopt.set(true);
    let mut process = bench.process_with(options());
    process.publish(&bench).unwrap();
    assert_eq!(sent(&process), 45, "all grants, and all returns behind what was there");
}

#[test]
fn without_a_topic_of_returns_a_return_stops_the_stream_and_says_why() {
    let bench = Bench::new();
    *bench.cancel_topic.borrow_mut() = None;
    bench.grant(10);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
    assert_eq!(bench.cluster.clone().partitions(CANCEL), Ok(None), "nobody needs it");
    bench.give_back(1);
    let back = bench.returned.borrow()[0].clone();
    bench.grant(10);
    let mut process = bench.process();
    let line = unfit(process.fault(&bench));
    assert!(line.contains(&back.to_string()) && line.contains("--kafka-cancel-topic none"), "{line}");
    assert_eq!((process.published(), counts(&bench)), (back.seq.prev(), [10, 0]), "nothing behind it is published");

    bench.key.set(Key::User);
    let line = unfit(bench.process().fault(&bench));
    assert!(line.contains("--kafka-key campaign"), "{line}");

    // With a topic it goes on.
    bench.key.set(Key::Campaign);
    *bench.cancel_topic.borrow_mut() = Some(CANCEL.into());
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

/// The checkpoint speaks of no topic of returns, or of another one: the grants are where they were, and the returns
/// are missing from the first one on.
fn with_a_new_topic_of_returns() -> [Bench; 2] {
    let without = Bench::new();
    *without.cancel_topic.borrow_mut() = None;
    without.grant(40);
    without.published_once();
    *without.cancel_topic.borrow_mut() = Some(CANCEL.into());
    without.give_back(15);
    let another = Bench::new();
    *another.cancel_topic.borrow_mut() = Some("elsewhere".into());
    another.grant(40);
    another.give_back(15);
    another.published_once();
    *another.cancel_topic.borrow_mut() = Some(CANCEL.into());
    [without, another]
}

#[test]
fn a_new_topic_of_returns_is_filled_from_what_the_journal_keeps_and_the_grants_stay() {
    for bench in with_a_new_topic_of_returns() {
        bench.grant(5);
        let mut process = bench.process();
        process.publish(&bench).unwrap();
        bench.check_once();
        assert_eq!((sent(&process), process.published()), (20, bench.last.get()));
        process.stop();
        let mut process = bench.process();
        process.publish(&bench).unwrap();
        assert_eq!(sent(&process), 0, "it stands in the checkpoint from then on");
    }
}

#[test]
fn a_crash_while_a_new_topic_of_returns_is_filled_skips_nothing() {
    for taken in [0, 1, 7] {
        for bench in with_a_new_topic_of_returns() {
            bench.cluster.faults(|faults| (faults.hold_acks, faults.fatal_after) = (true, Some(taken)));
            let mut killed = bench.process();
            assert!(killed.fault(&bench).passes());
            assert!(killed.published() < bench.returned.borrow()[0].seq, "no return is acknowledged");
            killed.worker.save();
            drop(killed);
            let kept = surely_published(&bench.disk, data(), bench.log);
            assert!(kept < bench.returned.borrow()[0].seq, "the journal keeps all of them: {kept}");
            bench.cluster.faults(|faults| faults.hold_acks = false);
            bench.process().publish(&bench).unwrap();
            bench.check_once();
        }
    }
}

#[test]
fn returns_stay_where_they_are_though_the_key_was_another_one_for_a_while() {
    for key in [Key::User, Key::None] {
        let bench = Bench::new();
        bench.grant(20);
        // Of spring alone: the other partitions have no return.
        let spring: Vec<Grant> =
            bench.granted.borrow().iter().filter(|grant| *grant.campaign == *CAMPAIGNS[0]).cloned().collect();
        spring.iter().for_each(|grant| bench.give_one_back(grant));
        bench.sync();
        bench.published_once();
        bench.key.set(key);
        *bench.cancel_topic.borrow_mut() = None;
        bench.grant(20);
        bench.published_once();
        bench.key.set(Key::Campaign);
        *bench.cancel_topic.borrow_mut() = Some(CANCEL.into());
        for (more, back) in [(0, 0), (5, 0), (5, 6)] {
            bench.grant(more);
            let out = bench.granted.borrow()[21..21 + back].to_vec();
            out.iter().for_each(|grant| bench.give_one_back(grant));
            bench.sync();
            let mut process = bench.process();
            process.publish(&bench).unwrap();
            assert_eq!((sent(&process), process.published()), ((more + back) as u64, bench.last.get()), "{key:?}");
            process.stop();
            for lane in (0..3).map(returns) {
                let there: Vec<Entry> = bench.ours_in(lane).into_iter().map(|record| record.entry).collect();
                assert!(there == bench.entries(lane, 3), "{key:?} for a while: {lane:?}");
            }
        }
    }
}

#[test]
fn topics_with_different_numbers_of_partitions_are_refused_with_both_named() {
    let bench = Bench::new();
    bench.grant(10);
    bench.cluster.make_topic(CANCEL, 5);
    let line = unfit(bench.process().fault(&bench));
    for word in [
        "coupon_create of the grants has 3",
        "coupon_cancel of the returns has 5",
        "--topic coupon_create --partitions 5",
    ] {
        assert!(line.contains(word), "{word}: {line}");
    }
    bench.cluster.make_topic(CANCEL, 2);
    let line = unfit(bench.process().fault(&bench));
    assert!(line.contains("--bootstrap-server kafka-1:9092 --alter --topic coupon_cancel --partitions 3"), "{line}");
    assert_eq!(counts(&bench), [0, 0]);
    bench.cluster.grow_topic(CANCEL, 3);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn both_topics_grow_together_and_returns_follow_their_campaign() {
    let bench = two_lives();
    bench.process().publish(&bench).unwrap();
    bench.cluster.grow_topic(TOPIC, 6);
    let line = unfit(bench.process().fault(&bench));
    assert!(line.contains("give coupon_cancel as many and start the gate with --kafka-accept-partitions 6"), "{line}");
    bench.accept_partitions.set(Some(6));
    let line = unfit(bench.process().fault(&bench));
    assert!(line.contains("--topic coupon_cancel --partitions 6"), "{line}");
    bench.cluster.grow_topic(CANCEL, 6);
    bench.grant(30);
    bench.give_back(30);
    for _ in 0..2 {
        let mut process = bench.process();
        process.publish(&bench).unwrap();
        assert_eq!(process.published(), bench.last.get());
        process.stop();
    }
    let mut all: Vec<Lsn> = Vec::new();
    for lane in Lane::all(6) {
        let mut last = 0;
        for (seq, prev) in bench.places_in(lane) {
            assert!(prev == last && seq > prev, "{lane:?}: {seq} behind {last} says {prev}");
            last = seq;
            all.push(Lsn::new(seq));
        }
        let new: Vec<Entry> = bench.entries(lane, 6).into_iter().filter(|entry| entry.seq() > Lsn::new(110)).collect();
        let there: Vec<Entry> = bench.ours_in(lane).into_iter().map(|record| record.entry).collect();
        assert!(there.ends_with(&new), "{lane:?}");
    }
    all.sort_unstable();
    let granted = bench.granted.borrow().iter().map(|grant| grant.seq).collect::<Vec<_>>();
    let mut expected = [granted, bench.returned.borrow().iter().map(|back| back.seq).collect()].concat();
    expected.sort_unstable();
    assert_eq!(all, expected, "each once");
}

#[test]
fn the_topic_of_returns_is_made_first_with_as_many_partitions() {
    let bench = Bench::new();
    bench.cluster.delete_topic(TOPIC);
    bench.grant(1);
    bench.create.set(false);
    let line = unfit(bench.process().fault(&bench));
    for word in [
        "--create --topic coupon_cancel --partitions 3",
        "--create --topic coupon_create --partitions 3",
        "--kafka-create yes",
    ] {
        assert!(line.contains(word), "{word}: {line}");
    }
    bench.create.set(true);
    // Id, partitions of both, and the first that is made.
    bench.cluster.faults(|faults| faults.calls_left = Some(4));
    bench.process().fault(&bench);
    let mut cluster = bench.cluster.clone();
    bench.cluster.faults(|faults| faults.calls_left = None);
    assert_eq!((cluster.partitions(CANCEL), cluster.partitions(TOPIC)), (Ok(Some(3)), Ok(None)));
    bench.process().publish(&bench).unwrap();
    bench.check_once();

    // One that is missing beside the other gets as many as that one has, whatever is set.
    let bench = Bench::new();
    bench.cluster.make_topic(TOPIC, 4);
    bench.process().publish(&bench).unwrap();
    assert_eq!(bench.cluster.clone().partitions(CANCEL), Ok(Some(4)));
}

#[test]
fn returns_that_a_sink_misses_are_sent_again_with_the_same_place() {
    let bench = two_lives();
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    let before = bench.places_in(returns(1));
    process.marks.lanes.miss(returns(1), Lsn::new(before[1].0));
    process.publish(&bench).unwrap();
    let after = bench.places_in(returns(1));
    assert_eq!(after[before.len()..], before[2..], "in order, with the same seq and prev");
    assert_eq!(bench.check(), before.len() - 2, "and in no other lane");
}

#[test]
fn the_sink_hears_of_both_kinds_by_lane() {
    let bench = two_lives();
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    let last = |lane| bench.entries(lane, 3).last().map_or(Lsn::ZERO, Entry::seq);
    let told = process.marks.lanes.published();
    assert_eq!(told, Lane::all(3).map(last).collect::<Vec<_>>());
    assert_eq!(process.marks.stored_by(&told), bench.last.get());
    let mut behind = told.clone();
    behind[returns(2).index()] = Lsn::new(1);
    assert_eq!(process.marks.stored_by(&behind), Lsn::new(1), "returns hold `stored` back, too");
}

#[test]
fn a_journal_that_is_older_than_the_returns_is_told() {
    let bench = two_lives();
    bench.published_once();
    let stale = |process: &Process| {
        assert!(process.figures.stale.load(Ordering::Acquire));
        process.figures.stale_because.get()
    };
    let last = bench.returned.borrow().last().unwrap().clone();
    let add = |seq: Lsn, seat: u32| {
        let lane = returns(Key::Campaign.partition(&Entry::Return(last.clone()), 3));
        let prev = bench.ours_in(lane).last().unwrap().entry.seq();
        let record = EntryRecord { entry: Entry::Return(Return { seq, seat, ..last.clone() }), prev };
        let (key, value, headers) = encode(&record, Key::Campaign, Value::Long);
        bench.cluster.add(CANCEL, Outgoing { topic: 0, partition: lane.partition(), at: last.at, key, value, headers })
    };
    // In the place of the next grant: the journal was set back and has grown again.
    bench.grant(1);
    let offset = add(bench.last.get(), 77);
    let mut process = bench.process();
    assert!(matches!(process.fault(&bench), Fault::Stale(_)));
    let line = stale(&process);
    assert!(line.contains("of coupon_cancel holds") && line.contains("seat 77 returned by"), "{line}");
    assert!(line.contains(&format!("the journal says {}", bench.granted.borrow().last().unwrap())), "{line}");

    let lane = Key::Campaign.partition(&Entry::Return(last.clone()), 3);
    bench.cluster.truncate(CANCEL, lane, offset);
    add(Lsn::new(1000), 77);
    let mut process = bench.process();
    assert!(matches!(process.fault(&bench), Fault::Stale(_)));
    let line = stale(&process);
    assert!(line.contains("of coupon_cancel holds seq 1000, the journal ended at"), "{line}");
}

#[test]
fn imported_returns_have_the_place_that_the_world_knows() {
    let bench = Bench::new();
    bench.grant(10);
    bench.journal.borrow_mut().as_mut().unwrap().skip(Lsn::new(40));
    let grant = bench.granted.borrow()[0].clone();
    let Grant { log, seq, campaign, seat, user, nth, at } = grant;
    let GrantUser::Int(number) = user else { panic!() };
    bench.append(&Event::Returned {
        campaign: CampaignId(0),
        seat: Seat::new(seat),
        user: User::Int(number),
        nth,
        at,
        seq: Some(Lsn::new(23)),
        grant: seq,
    });
    let back = Return { log, seq: Lsn::new(23), grant: seq, campaign, seat, user, nth, at };
    bench.returned.borrow_mut().push(back);
    bench.grant(10);
    for _ in 0..2 {
        let mut process = bench.process();
        process.publish(&bench).unwrap();
        bench.check_once();
        assert_eq!(process.published(), bench.last.get());
    }
}

impl Bench {
    /// The first entry of a kind behind so many of each that are there.
    fn entries_behind(&self, kind: Kind, there: [usize; 2]) -> Lsn {
        match kind {
            Kind::Grant => self.granted.borrow()[there[0]].seq,
            Kind::Return => self.returned.borrow()[there[1]].seq,
        }
    }
}
