//! Returns in the journal, without topics and after them.

use super::pair::Pair;
use super::story::Story;
use super::*;
use crate::edge::now;
use crate::grant::{Kind, Lane};
use crate::sink::follow::Follower;

const OUT: &str = "SELECT group_concat(seat || ' ' || user_id || ' ' || seq, ', ') FROM coupon_grant";
const BACK: &str = "SELECT group_concat(return_seq || ' ' || seq, ', ') FROM coupon_return";

#[test]
fn returns_of_a_journal_are_stored_in_its_order_and_the_next_sink_goes_on_behind_one() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=2);
    let back = bench.back(1, Lsn::new(2));
    assert_eq!(drain(&mut bench.worker().0).unwrap(), 3);
    assert_eq!((bench.text(OUT).as_str(), bench.text(BACK).as_str()), ("2 1002 3", "4 2"));
    assert_eq!(bench.watermarks.stored.get(), back);
    let again = bench.grant_after(1, 2001, back);
    let last = bench.back_of(1, 2001, again);
    assert_eq!(drain(&mut bench.worker().0).unwrap(), 2, "the last one was a return, which is there");
    assert_eq!((bench.text(OUT).as_str(), bench.text(BACK).as_str()), ("2 1002 3", "4 2, 6 5"));
    assert_eq!(known(&bench.settings, LOG).position, Some(last));
    assert_eq!(bench.figures.ledger_duplicates.get(), 0);

    bench.sql().execute_batch("DELETE FROM coupon_return WHERE return_seq = 6").unwrap();
    let error = ledger_fault(bench.worker().0.turn()).to_string();
    assert!(error.contains("not the journal that journal:") && error.contains("there is no row"), "{error}");
}

#[test]
fn a_return_that_the_operators_statement_refuses_is_put_aside() {
    let mut bench = Bench::new();
    bench.settings.also_return = Some("INSERT INTO refund (user_id) VALUES (:user)".into());
    bench.sql().execute_batch("CREATE TABLE refund (user_id INTEGER CHECK (user_id <> 1001))").unwrap();
    bench.spring();
    bench.grant(1..=2);
    bench.back(1, Lsn::new(2));
    let last = bench.back(2, Lsn::new(3));
    // What depends on the row that stays where it is cannot be stored either; nothing else is kept up.
    let again = bench.grant_after(1, 2001, last);
    let back = bench.back_of(1, 2001, again);
    bench.grant_after(2, 2002, back);
    drain(&mut bench.worker().0).unwrap();
    assert_eq!((bench.text(OUT).as_str(), bench.text(BACK).as_str()), ("1 1001 2, 2 2002 8", "5 3"));
    let letters = "SELECT group_concat(position || ' ' || reason, char(10)) FROM coupon_dead_letter";
    let letters = bench.text(letters);
    let [back, grant, its_back] = letters.split('\n').collect::<Vec<_>>()[..] else { panic!("{letters}") };
    assert!(back.starts_with("4 ") && back.contains("--ledger-also-return"), "{back}");
    assert!(
        grant.starts_with("6 there is seat 1 user 1001") && grant.contains("whose return is not stored"),
        "{grant}"
    );
    assert!(its_back.starts_with("7 its grant (seq 6) is no row of the ledger"), "{its_back}");
    assert_eq!(bench.watermarks.stored.get(), bench.watermarks.durable.get());
}

/// The stories of a journal, as its events.
fn journal(bench: &Bench, story: &Story) {
    bench.spring();
    for entry in &story.entries {
        let crate::grant::GrantUser::Int(user) = *entry.user() else { panic!("users are numbers") };
        match entry {
            crate::grant::Entry::Grant { after, .. } => drop(bench.grant_after(entry.seat(), user, *after)),
            crate::grant::Entry::Return(back) => drop(bench.back_of(back.seat, user, back.grant)),
        };
    }
}

#[test]
fn after_the_topics_the_journal_brings_no_seat_back_that_was_returned() {
    let (bench, mut pair) = (Bench::new(), Pair::new(2));
    // The campaign is at 1, so that the story's seqs are the journal's.
    let mut story = Story::from(LOG, 1);
    story.grant("spring", 1, 1);
    story.back("spring", 1);
    story.grant("spring", 1, 2);
    story.back("spring", 1);
    pair.tell(0, &story);
    drain(&mut pair.worker(&bench)).unwrap();
    story.grant("spring", 1, 3);
    journal(&bench, &story);
    // Nothing came from the other partition, so nothing is certain; the rows tell.
    assert_eq!(drain(&mut bench.worker().0).unwrap(), 1);
    super::pair::assert_told(&bench, &[&story]);
    assert_eq!(bench.figures.ledger_duplicates.get(), 4);
    assert_eq!(bench.watermarks.stored.get(), bench.watermarks.durable.get());
}

#[test]
fn after_the_journal_the_topics_bring_what_is_new_of_both_kinds() {
    let (bench, mut pair) = (Bench::new(), Pair::new(2));
    let mut story = Story::from(LOG, 1);
    story.grant("spring", 1, 1);
    story.back("spring", 1);
    story.grant("spring", 1, 2);
    journal(&bench, &story);
    drain(&mut bench.worker().0).unwrap();
    story.back("spring", 1);
    story.grant("spring", 1, 3);
    pair.tell(1, &story);
    assert_eq!(drain(&mut pair.worker(&bench)).unwrap(), 2);
    super::pair::assert_told(&bench, &[&story]);
    assert_eq!(bench.figures.ledger_duplicates.get(), 3);
}

#[test]
fn the_gate_sees_the_returns_that_a_sink_elsewhere_stores_and_misses() {
    let (bench, mut pair) = (Bench::new(), Pair::new(1));
    let mut story = Story::of(LOG);
    story.grant("spring", 1, 1);
    story.back("spring", 1);
    story.grant("spring", 1, 2);
    story.back("spring", 1);
    for entry in &story.entries {
        if entry.seq() == Lsn::new(2) { pair.lose(0, entry) } else { pair.send(0, entry) }
    }
    pair.publish(&bench);
    let options = FollowOptions {
        ledger: bench.settings.clone(),
        connect: pair.connect(),
        topics: super::topic::topics(),
        log: LOG,
    };
    let mut gate = Follower::new(options, Arc::clone(&bench.watermarks), Arc::clone(&bench.figures));
    let other = Bench { settings: bench.settings.clone(), ..Bench::in_any_world() };
    let (mut sink, _) = other.worker_of(Box::new(KafkaFeed::new(pair.connect(), super::topic::topics(), None)));
    drain(&mut sink).unwrap();
    gate.look(now());
    assert_eq!(bench.watermarks.stored.get(), Lsn::ZERO, "a return is missing");
    assert_eq!(pair.heal(&bench), [Lane::new(Kind::Return, 0)]);
    drain(&mut sink).unwrap();
    gate.look(now());
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(4));
    super::pair::assert_told(&bench, &[&story]);
}
