//! While it runs: nothing counts before it is acknowledged, nothing is sent beyond the bounds.

use std::time::Duration;

use super::*;
use crate::edge::simulated;
use crate::limits;

#[test]
fn published_is_what_is_acknowledged_in_every_partition() {
    let bench = Bench::new();
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    assert_eq!(process.published(), bench.last.get(), "what comes before the first grant counts as published");
    let before = bench.last.get();
    bench.cluster.faults(|faults| faults.hold_appends = true);
    bench.grant(40);
    process.publish(&bench).unwrap();
    assert_eq!(process.published(), before);
    assert_eq!(process.figures.kafka_in_flight.get(), 40);
    assert_eq!(process.figures.oldest_unpublished_at.get(), AT as u64);
    bench.cluster.faults(|faults| (faults.hold_appends, faults.hold_acks) = (false, true));
    process.publish(&bench).unwrap();
    assert_eq!(process.published(), before, "what is in the topic is not what is acknowledged");
    bench.cluster.faults(|faults| faults.hold_acks = false);
    process.publish(&bench).unwrap();
    assert_eq!(process.published(), bench.last.get());
    assert_eq!(process.figures.kafka_in_flight.get(), 0);
    assert_eq!(process.figures.oldest_unpublished_at.get(), 0);
}

#[test]
fn other_events_behind_the_last_grant_count_as_published() {
    let bench = Bench::new();
    bench.grant(3);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    let last = bench.append(&Event::Flushed { db: None });
    bench.sync();
    process.publish(&bench).unwrap();
    assert_eq!(process.published(), last);
}

#[test]
fn a_full_producer_is_given_the_rest_when_it_has_room() {
    let bench = Bench::new();
    bench.grant(300);
    bench.cluster.faults(|faults| (faults.room, faults.hold_acks) = (7, true));
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    assert_eq!(process.figures.kafka_in_flight.get(), 7);
    bench.cluster.faults(|faults| faults.hold_acks = false);
    process.publish(&bench).unwrap();
    bench.check_once();
    assert_eq!(process.published(), bench.last.get());
}

#[test]
fn a_producer_that_fails_for_good_is_replaced_behind_what_it_delivered() {
    for (taken, held) in [(0, false), (1, false), (30, false), (30, true)] {
        let bench = Bench::new();
        bench.grant(60);
        bench.cluster.faults(|faults| (faults.fatal_after, faults.hold_acks) = (Some(taken), held));
        let mut process = bench.process();
        assert!(process.fault(&bench).passes());
        bench.cluster.faults(|faults| faults.hold_acks = false);
        process.publish(&bench).unwrap();
        bench.check_once();
        assert_eq!(process.published(), bench.last.get(), "{taken} {held}");
    }
}

#[test]
fn what_a_sink_misses_is_sent_again_with_the_same_place() {
    let bench = Bench::new();
    bench.grant(60);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    let before = bench.places(1);
    process.marks.lanes.miss(Lane::new(Kind::Grant, 1), Lsn::new(before[5].0));
    bench.grant(5);
    let published = process.published();
    process.publish(&bench).unwrap();
    assert!(process.published() > published);
    let after = bench.places(1);
    let again = before.len()..before.len() + before.len() - 6;
    assert_eq!(after[again.clone()], before[6..], "in order, with the same seq and prev");
    assert!(after[again.end..].iter().all(|(seq, _)| *seq > before[before.len() - 1].0), "then it goes on");
    assert_eq!(bench.check(), before.len() - 6, "and in no other partition");

    process.marks.lanes.miss(Lane::new(Kind::Grant, 1), Lsn::ZERO);
    process.publish(&bench).unwrap();
    let restarted = &mut bench.process();
    restarted.publish(&bench).unwrap();
    assert_eq!(restarted.figures.kafka_records.get(), 0, "a restart is not led astray by them");
    process.marks.lanes.miss(Lane::new(Kind::Grant, 1), bench.last.get());
    process.marks.lanes.miss(Lane::new(Kind::Return, 77), Lsn::ZERO);
    let count = bench.places(1).len();
    process.publish(&bench).unwrap();
    assert_eq!(bench.places(1).len(), count, "nothing is behind the last one, and no partition is 77");
}

#[test]
fn a_crash_while_records_are_sent_again_is_no_loss() {
    let bench = Bench::new();
    bench.grant(60);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    let there = bench.places(1);
    process.marks.lanes.miss(Lane::new(Kind::Grant, 1), Lsn::ZERO);
    bench.cluster.faults(|faults| faults.fatal_after = Some(3));
    assert!(process.fault(&bench).passes());
    process.worker.save();
    drop(process);
    bench.grant(3);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    assert_eq!(bench.check(), 3);
    assert!(bench.places(1).len() <= there.len() + 3 + 3);
}

#[test]
fn rehearsals_are_never_published() {
    let bench = Bench::new();
    bench.create(9, "rehearsal", Users::Any, true);
    let user = User::Any(b"somebody");
    bench.append(&Event::Granted {
        campaign: CampaignId(9),
        seat: Seat::new(1),
        user,
        nth: 1,
        request: b"",
        at: Millis(AT),
        after: Lsn::ZERO,
    });
    bench.grant(4);
    bench.process().publish(&bench).unwrap();
    bench.check_once();
}

#[test]
fn no_record_is_from_the_future() {
    let bench = Bench::new();
    let at = Millis(i64::MAX / 2);
    bench.append(&Event::Granted {
        campaign: CampaignId(0),
        seat: Seat::new(1),
        user: User::Int(1),
        nth: 1,
        request: b"",
        at,
        after: Lsn::ZERO,
    });
    bench.sync();
    bench.process().publish(&bench).unwrap();
    let records: Vec<_> = (0..3).flat_map(|partition| bench.cluster.records(TOPIC, partition)).collect();
    assert!(records.len() == 1 && records[0].at.unwrap() < at);
}

#[test]
fn imported_grants_have_the_place_that_the_world_knows() {
    let bench = Bench::new();
    bench.grant(10);
    let skipped = bench.journal.borrow_mut().as_mut().unwrap().skip(Lsn::new(40)).0;
    assert_eq!(skipped, Lsn::new(16));
    for seq in [20, 31] {
        let (campaign, at) = (CampaignId(0), Millis(AT));
        let (seat, user) = (Seat::new(100 + seq as u32), User::Int(seq));
        bench.append(&Event::Imported {
            campaign,
            seat,
            user,
            nth: 1,
            at,
            seq: Some(Lsn::new(seq as u64)),
            after: Lsn::ZERO,
        });
        bench.granted.borrow_mut().push(Grant {
            log: bench.log,
            seq: Lsn::new(seq as u64),
            campaign: CAMPAIGNS[0].into(),
            seat: 100 + seq as u32,
            user: GrantUser::Int(seq),
            nth: 1,
            at,
        });
    }
    bench.grant(10);
    for _ in 0..2 {
        let mut process = bench.process();
        process.publish(&bench).unwrap();
        bench.check_once();
        assert_eq!(process.published(), bench.last.get());
    }
}

#[test]
fn while_kafka_stands_still_nothing_is_put_behind_what_is_on_its_way() {
    let bench = Bench::new();
    let mut process = bench.process();
    bench.cluster.faults(|faults| faults.hold_appends = true);
    bench.grant(40);
    process.publish(&bench).unwrap();
    // However much there is: nothing is acknowledged.
    bench.grant(60);
    waits(&bench);
    process.publish(&bench).unwrap();
    assert_eq!(process.figures.kafka_in_flight.get(), 40, "the rest waits in the journal");
    bench.cluster.faults(|faults| faults.hold_appends = false);
    process.publish(&bench).unwrap();
    bench.check_once();
    assert_eq!(process.published(), bench.last.get());
}

#[test]
fn who_lags_while_acknowledgements_come_has_the_next_records_at_hand() {
    let (bench, mut process) = in_part();
    bench.grant(5);
    process.publish(&bench).unwrap();
    assert_eq!(process.figures.kafka_in_flight.get(), 1, "little waits, and a part is on its way");
    waits(&bench);
    process.publish(&bench).unwrap();
    assert_eq!(granted(&bench), 15, "they went on top of the return");
    simulated::end();
}

#[test]
fn a_part_that_hangs_keeps_the_rest_waiting_for_a_second() {
    let (bench, mut process) = in_part();
    bench.grant(5);
    assert!(simulated::pass(Duration::from_millis(999)));
    process.publish(&bench).unwrap();
    assert_eq!(process.figures.kafka_in_flight.get(), 1);
    assert!(simulated::pass(Duration::from_millis(1)));
    process.publish(&bench).unwrap();
    assert_eq!(process.figures.kafka_in_flight.get(), 1);
    assert_eq!(granted(&bench), 15);
    // And again, as long as it hangs.
    bench.grant(5);
    process.publish(&bench).unwrap();
    assert_eq!(granted(&bench), 20);
    bench.cluster.faults(|faults| faults.hold_appends_to = None);
    process.publish(&bench).unwrap();
    bench.check_once();
    assert_eq!(process.published(), bench.last.get());
    simulated::end();
}

/// Ten grants are acknowledged, and the return that was given with them is on its way; in a simulated time.
fn in_part() -> (Bench, Process) {
    let bench = Bench::new();
    simulated::begin(Millis(AT), 1);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    bench.cluster.faults(|faults| faults.hold_appends_to = Some(CANCEL.into()));
    bench.grant(10);
    bench.give_back(1);
    process.publish(&bench).unwrap();
    assert_eq!(process.figures.kafka_in_flight.get(), 1);
    (bench, process)
}

/// Grants in the topic.
fn granted(bench: &Bench) -> usize {
    (0..3).map(|partition| bench.places_in(Lane::new(Kind::Grant, partition)).len()).sum()
}

/// As many events wait as make the stream hurry.
fn waits(bench: &Bench) {
    for _ in 0..limits::STREAM_BACKLOG {
        bench.append(&Event::Flushed { db: None });
    }
    bench.sync();
}
