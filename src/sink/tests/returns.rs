//! The sink fed from two topics: what waits, for what, and what else goes on meanwhile.

use super::pair::{Pair, assert_told, positions};
use super::story::Story;
use super::topic::{RETURNS, TOPIC, topics};
use super::*;
use crate::edge::{passes, simulated};
use crate::grant::{Kind, Lane};
use crate::sink::waiting::PARKED_MAX;

/// A seat that goes out, comes back and goes out again: seqs 1, 2, 3.
fn one_seat(campaign: &'static str) -> Story {
    let mut story = Story::of(LOG);
    story.grant(campaign, 1, 1);
    story.back(campaign, 1);
    story.grant(campaign, 1, 2);
    story
}

#[test]
fn grants_and_returns_are_stored_from_their_topics_and_each_lane_has_its_row() {
    let (bench, mut pair, mut story) = (Bench::new(), Pair::new(2), one_seat("spring"));
    story.grant("spring", 2, 3);
    pair.tell(1, &story);
    pair.publish(&bench);
    assert_eq!(drain(&mut pair.worker(&bench)).unwrap(), 4);
    assert_told(&bench, &[&story]);
    assert_eq!(positions(&bench), "r0:0/0 r1:1/2 g0:0/0 g1:3/4");
    let sources = bench.text("SELECT group_concat(DISTINCT source) FROM coupon_sink_position ORDER BY source");
    assert_eq!(sources, format!("kafka-returns:memory:{RETURNS},kafka:memory:{TOPIC}"));
    assert_eq!(bench.number("SELECT count(DISTINCT owner_epoch) FROM coupon_sink_position"), 1, "they have one owner");
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(4));
    assert_eq!(known(&bench.settings, LOG).position, Some(Lsn::new(4)));

    pair.send(1, story.back("spring", 1));
    assert_eq!(drain(&mut pair.worker(&bench)).unwrap(), 1, "by the next sink");
    assert_told(&bench, &[&story]);
    assert_eq!(bench.figures.ledger_duplicates.get(), 0, "which reads nothing again");
    assert_eq!(known(&bench.settings, LOG).position, Some(Lsn::new(5)), "which a return tells, too");
}

#[test]
fn what_waits_for_another_lane_keeps_its_own_waiting_and_no_other() {
    let (bench, mut pair, mut story) = (Bench::new(), Pair::new(2), one_seat("spring"));
    pair.send(0, &story.entries[0]);
    pair.lose(0, &story.entries[1]);
    pair.send(0, &story.entries[2]);
    pair.send(1, story.grant("winter", 9, 99));
    pair.publish(&bench);
    let mut worker = pair.worker(&bench);
    assert_eq!(drain(&mut worker).unwrap(), 2);
    assert_eq!(positions(&bench), "r0:0/0 r1:0/0 g0:1/1 g1:1/4");
    assert_eq!(bench.figures.ledger_lag.get(), 1, "what is parked is not stored");
    assert!(bench.figures.oldest_unstored_at.get() > 0);
    assert_eq!(bench.watermarks.stored.get(), Lsn::ZERO, "the return was published");

    pair.send_again(0, &story.entries[1]);
    assert_eq!(drain(&mut worker).unwrap(), 2);
    assert_told(&bench, &[&story]);
    assert_eq!(positions(&bench), "r0:1/2 r1:0/0 g0:2/3 g1:1/4");
    assert_eq!((bench.watermarks.stored.get(), bench.figures.ledger_lag.get()), (Lsn::new(4), 0));
}

#[test]
fn a_hole_among_the_returns_is_asked_for_and_what_is_after_it_waits() {
    let (bench, mut pair, mut story) = (Bench::new(), Pair::new(1), one_seat("spring"));
    story.back("spring", 1);
    story.grant("spring", 1, 3);
    for entry in &story.entries {
        if entry.seq() == Lsn::new(2) { pair.lose(0, entry) } else { pair.send(0, entry) }
    }
    let mut worker = pair.worker(&bench);
    assert_eq!(drain(&mut worker).unwrap(), 1);
    assert_eq!(positions(&bench), "r0:0/0! g0:1/1");
    worker.step(false).unwrap();
    let trouble = bench.figures.ledger_trouble.get();
    assert!(trouble.contains("missing in partition 0 of the returns, behind seq 0 and up to 2"), "{trouble}");
    assert_eq!(pair.heal(&bench), [Lane::new(Kind::Return, 0)]);
    assert_eq!(drain(&mut worker).unwrap(), 4);
    assert_told(&bench, &[&story]);
    assert_eq!(positions(&bench), "r0:3/4 g0:3/5");
}

#[test]
fn a_lost_tail_of_one_lane_is_asked_for_and_what_waits_for_it_is_told() {
    let (bench, mut pair, story) = (Bench::new(), Pair::new(1), one_seat("spring"));
    pair.send(0, &story.entries[0]);
    pair.lose(0, &story.entries[1]);
    pair.send(0, &story.entries[2]);
    pair.publish(&bench);
    simulated::begin(Millis(AT), 1);
    let mut worker = pair.worker(&bench);
    assert_eq!(drain(&mut worker).unwrap(), 1);
    passes(Duration::from_secs(6));
    drain(&mut worker).unwrap();
    let missing = pair.heal(&bench);
    // The records that it sent do not arrive either.
    pair.cluster.truncate(RETURNS, 0, 0);
    passes(Duration::from_secs(6));
    worker.step(false).unwrap();
    let waits = bench.figures.ledger_trouble.get();
    passes(Duration::from_secs(30));
    let _the_topic_lost_its_tail = worker.turn();
    drain(&mut worker).unwrap();
    passes(Duration::from_secs(6));
    drain(&mut worker).unwrap();
    let again = pair.heal(&bench);
    drain(&mut worker).unwrap();
    worker.step(false).unwrap();
    simulated::end();
    let returns = [Lane::new(Kind::Return, 0)];
    assert_eq!((missing.as_slice(), again.as_slice()), (&returns[..], &returns[..]), "and not the grants, which wait");
    assert!(waits.contains("missing in partition 0 of the returns"), "{waits}");
    assert_told(&bench, &[&story]);
    assert_eq!(bench.figures.ledger_trouble.get(), "");
}

#[test]
fn a_lost_tail_of_one_lane_is_asked_for_although_others_go_on() {
    let (bench, mut pair, mut story) = (Bench::new(), Pair::new(2), one_seat("spring"));
    pair.send(0, &story.entries[0]);
    pair.lose(0, &story.entries[1]);
    pair.send(0, &story.entries[2]);
    pair.publish(&bench);
    simulated::begin(Millis(AT), 1);
    let mut worker = pair.worker(&bench);
    drain(&mut worker).unwrap();
    for seat in 1..=6 {
        passes(Duration::from_secs(1));
        pair.send(1, story.grant("winter", seat, i64::from(seat)));
        assert_eq!(drain(&mut worker).unwrap(), 1);
    }
    let missing = pair.heal(&bench);
    drain(&mut worker).unwrap();
    simulated::end();
    assert_eq!(missing, [Lane::new(Kind::Return, 0)]);
    assert_told(&bench, &[&story]);
}

#[test]
fn what_is_only_slow_to_be_read_is_not_asked_for() {
    let (bench, mut pair, story) = (Bench::new(), Pair::new(1), one_seat("spring"));
    pair.send(0, &story.entries[0]);
    pair.publish(&bench);
    simulated::begin(Millis(AT), 1);
    let mut worker = pair.worker(&bench);
    drain(&mut worker).unwrap();
    worker.feed.hold(&[Lane::new(Kind::Return, 0)]).unwrap();
    pair.send(0, &story.entries[1]);
    pair.send(0, &story.entries[2]);
    pair.publish(&bench);
    for _ in 0..3 {
        assert_eq!(drain(&mut worker).unwrap(), 0);
        passes(Duration::from_secs(6));
    }
    let missing = pair.heal(&bench);
    worker.feed.hold(&[]).unwrap();
    drain(&mut worker).unwrap();
    simulated::end();
    assert_eq!(missing, [], "it is there");
    assert_told(&bench, &[&story]);
}

#[test]
fn a_return_that_came_another_way_is_not_missed_any_more() {
    let (bench, mut pair, story) = (Bench::new(), Pair::new(1), one_seat("spring"));
    pair.send(0, &story.entries[0]);
    pair.lose(0, &story.entries[1]);
    pair.cluster.grow_topic(TOPIC, 2);
    pair.cluster.grow_topic(RETURNS, 2);
    pair.send(1, &story.entries[2]);
    simulated::begin(Millis(AT), 1);
    // Of a gate that is another process.
    let (mut worker, _) = bench.worker_of(Box::new(KafkaFeed::new(pair.connect(), topics(), None)));
    drain(&mut worker).unwrap();
    passes(Duration::from_secs(6));
    drain(&mut worker).unwrap();
    worker.give_a_sign().unwrap();
    let before = positions(&bench);
    // Another sink takes over, and reads the mark in the table.
    let (mut worker, _) = bench.worker_of(Box::new(KafkaFeed::new(pair.connect(), topics(), None)));
    drain(&mut worker).unwrap();
    pair.send_again(0, &story.entries[1]);
    drain(&mut worker).unwrap();
    passes(Duration::from_secs(1));
    drain(&mut worker).unwrap();
    worker.step(false).unwrap();
    simulated::end();
    assert_eq!(before, "r0:0/0 r1:0/0! g0:1/1 g1:0/0");
    assert_eq!(positions(&bench), "r0:1/2 r1:0/0 g0:1/1 g1:1/3");
    assert_told(&bench, &[&story]);
    assert_eq!(bench.figures.ledger_trouble.get(), "");
}

#[test]
fn a_lane_with_much_that_waits_is_held_until_it_goes() {
    let (bench, mut pair) = (Bench::new(), Pair::new(2));
    let mut story = one_seat("spring");
    let many = PARKED_MAX as u32 + 3 * 4000;
    for seat in 2..=many {
        story.grant("spring", seat, i64::from(seat) + 100);
    }
    for entry in &story.entries {
        if entry.seq() == Lsn::new(2) { pair.lose(0, entry) } else { pair.send(0, entry) }
    }
    let mut worker = pair.worker(&bench);
    assert_eq!(drain(&mut worker).unwrap(), 1);
    let held = worker.progress.held.clone();
    let parked = worker.progress.waiting.parked();
    assert_eq!(held, [Lane::new(Kind::Grant, 0)]);
    assert!((PARKED_MAX..many as usize).contains(&parked), "{parked} are parked, the others stay in the topic");

    let mut winter = Story::of(OTHER);
    winter.grant("winter", 1, 1);
    pair.tell(1, &winter);
    assert_eq!(drain(&mut worker).unwrap(), 1, "other lanes are read");
    pair.send_again(0, &story.entries[1]);
    drain(&mut worker).unwrap();
    assert_told(&bench, &[&story, &winter]);
    assert_eq!(worker.progress.held, []);
}

const OTHER: LogId = LogId([9; 16]);

#[test]
fn a_topic_of_returns_that_comes_later_is_found() {
    let (bench, mut pair, story) = (Bench::new(), Pair::new(1), one_seat("spring"));
    pair.cluster.delete_topic(RETURNS);
    pair.send(0, &story.entries[0]);
    let mut feed = pair.feed(&bench);
    feed.count_again = Duration::ZERO;
    simulated::begin(Millis(AT), 1);
    let (mut worker, _) = bench.worker_of(Box::new(feed));
    assert_eq!(drain(&mut worker).unwrap(), 1, "the grants are read all the same");
    assert_eq!(positions(&bench), "g0:1/1");
    pair.send(0, &story.entries[2]);
    assert_eq!(drain(&mut worker).unwrap(), 0, "but for what comes after a return");
    passes(Duration::from_secs(11));
    drain(&mut worker).unwrap();
    worker.step(false).unwrap();
    let trouble = bench.figures.ledger_trouble.get();
    simulated::end();
    assert!(trouble.contains("in partition 0 wait from seq 3 on for the return with seq 2"), "{trouble}");
    pair.cluster.make_topic(RETURNS, 1);
    pair.send(0, &story.entries[1]);
    let Err(Fault::Feed(FeedError::Away(line))) = drain(&mut worker) else { panic!("it looks again") };
    assert!(line.contains("2 partitions of coupon_create and coupon_cancel, there were 1"), "{line}");
    assert_eq!(drain(&mut worker).unwrap(), 2);
    worker.step(false).unwrap();
    assert_told(&bench, &[&story]);
    assert_eq!(bench.figures.ledger_trouble.get(), "");
}

#[test]
fn with_more_partitions_the_ledger_says_whether_an_entry_may_go() {
    let (bench, mut pair, mut story) = (Bench::new(), Pair::new(1), one_seat("spring"));
    pair.send(0, &story.entries[0]);
    pair.send(0, &story.entries[1]);
    pair.cluster.grow_topic(TOPIC, 2);
    pair.cluster.grow_topic(RETURNS, 2);
    // The campaign's entries go to another partition from here on; nothing there tells how far the first one is.
    pair.send(1, &story.entries[2]);
    for seat in 2..=200 {
        pair.send(1, story.grant("spring", seat, 100 + i64::from(seat)));
    }
    pair.send(1, story.back("spring", 1));
    let mut worker = pair.worker(&bench);
    let mut turns = 0;
    simulated::begin(Millis(AT), 1);
    while bench.figures.ledger_rows.get() < 203 && turns < 100 {
        worker.turn().unwrap();
        passes(Duration::from_secs(1));
        turns += 1;
    }
    simulated::end();
    assert_told(&bench, &[&story]);
    assert_eq!(bench.number("SELECT count(*) FROM coupon_dead_letter"), 0);
}

#[test]
fn a_grant_that_came_back_is_no_row_again_when_the_topics_are_read_anew() {
    let (bench, mut pair) = (Bench::new(), Pair::new(1));
    let mut story = one_seat("spring");
    story.back("spring", 1);
    pair.tell(0, &story);
    drain(&mut pair.worker(&bench)).unwrap();
    // Made anew with more partitions, and filled again: nothing tells of the new ones how far they are stored.
    let mut anew = pair.anew(2);
    anew.tell(1, &story);
    drain(&mut anew.worker(&bench)).unwrap();
    assert_told(&bench, &[&story]);
    assert_eq!(bench.figures.ledger_duplicates.get(), 4);
    // Another cluster: the slowest partition tells nothing either.
    anew.cluster.set_id("another");
    drain(&mut anew.worker(&bench)).unwrap();
    assert_told(&bench, &[&story]);
    assert_eq!(bench.figures.ledger_duplicates.get(), 8);
}

#[test]
fn a_grant_that_is_put_aside_takes_its_return_with_it_and_nothing_else() {
    let mut bench = Bench::new();
    bench.settings.also = Some("INSERT INTO coupon (user_id) VALUES (:user)".into());
    bench.sql().execute_batch("CREATE TABLE coupon (user_id INTEGER CHECK (user_id <> 1))").unwrap();
    let (mut pair, mut story) = (Pair::new(2), one_seat("spring"));
    story.back("spring", 1);
    story.grant("spring", 1, 3);
    pair.tell(0, &story);
    pair.publish(&bench);
    drain(&mut pair.worker(&bench)).unwrap();
    assert_eq!(bench.text("SELECT group_concat(seq) FROM coupon_grant"), "5");
    assert_eq!(bench.text("SELECT group_concat(return_seq) FROM coupon_return"), "4");
    let letters =
        bench.text("SELECT group_concat(source || ' ' || position || ' ' || reason, '; ') FROM coupon_dead_letter");
    assert!(letters.contains(&format!("kafka:memory:{TOPIC} 0 ")), "{letters}");
    assert!(letters.contains(&format!("kafka-returns:memory:{RETURNS} 0 its grant (seq 1) is no row")), "{letters}");
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(5));
}

#[test]
fn a_ledger_that_was_set_back_in_one_lane_gets_the_grants_before_their_returns() {
    let (bench, mut pair, mut story) = (Bench::new(), Pair::new(1), one_seat("spring"));
    pair.tell(0, &story);
    let mut worker = pair.worker(&bench);
    assert_eq!(drain(&mut worker).unwrap(), 3);
    let back = "DELETE FROM coupon_grant WHERE seq = 3; \
                UPDATE coupon_sink_position SET next_position = 1, last_seq = 1 WHERE source LIKE 'kafka:%'";
    bench.sql().execute_batch(back).unwrap();
    pair.send(0, story.back("spring", 1));
    assert!(
        matches!(ledger_fault(worker.turn()), LedgerError::TakenOver(_)),
        "the grants are not where they were left"
    );
    assert_eq!(drain(&mut worker).unwrap(), 2);
    assert_told(&bench, &[&story]);
    assert_eq!(bench.number("SELECT count(*) FROM coupon_dead_letter"), 0);
}
