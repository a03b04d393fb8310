//! A journal older than its ledger: it never stores, however much it grows, and never fences the right one.

use super::*;

/// The journal of `bench` as it was at seat 10, in a gate of its own with the same ledger.
fn older(bench: &Bench) -> Bench {
    let older = Bench { settings: bench.settings.clone(), ..Bench::in_any_world() };
    older.spring();
    older.grant(1..=10);
    older
}

/// The same, after it has granted the seats up to `upto` to others.
pub(super) fn grown_again(bench: &Bench, upto: u32) -> Bench {
    let older = older(bench);
    grant_to_others(&older, 11..=upto);
    older
}

fn grant_to_others(bench: &Bench, seats: std::ops::RangeInclusive<u32>) {
    for seat in seats {
        let user = User::Int(5000 + i64::from(seat));
        bench.push(Event::Granted {
            campaign: SPRING,
            seat: Seat::new(seat),
            user,
            nth: 1,
            request: b"",
            at: Millis(AT),
            after: Lsn::ZERO,
        });
    }
}

fn contradiction<T: std::fmt::Debug>(turn: Result<T, Fault>) -> String {
    let error = ledger_fault(turn);
    assert!(matches!(error, LedgerError::Contradiction(_)), "{error}");
    error.to_string()
}

#[test]
fn a_journal_that_was_behind_its_ledger_never_stores_by_growing() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=30);
    let (mut right, _) = bench.worker();
    drain(&mut right).unwrap();
    let older = older(&bench);
    let (mut stale, _) = older.worker();
    assert!(contradiction(stale.turn()).contains("up to 31 (by test), the journal ends at 11"));
    for (from, upto) in [(11, 29), (30, 30), (31, 50)] {
        grant_to_others(&older, from..=upto);
        assert!(contradiction(stale.turn()).contains("the journal ends at 11"), "as it was said first, at {upto}");
    }
    assert_eq!(older.watermarks.stored.get(), Lsn::ZERO);
    bench.assert_stored(30);

    bench.grant(31..=35);
    drain(&mut right).expect("the right sink is not fenced");
    bench.assert_stored(35);
    assert_eq!(bench.number("SELECT owner_epoch FROM coupon_sink_position"), 1);
}

#[test]
fn a_journal_that_has_outgrown_its_ledger_before_the_first_look_is_told_by_its_last_grant() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=30);
    let (mut right, _) = bench.worker();
    drain(&mut right).unwrap();
    let older = grown_again(&bench, 40);
    let (mut stale, _) = older.worker();
    for _ in 0..2 {
        let line = contradiction(stale.turn());
        assert!(line.contains("the journal says campaign spring seat 30 user 5030 (seq 31)"), "{line}");
        assert!(line.contains("there is seat 30 user 1030 nth 1") && line.contains("right data directory"), "{line}");
    }
    assert_eq!(older.watermarks.stored.get(), Lsn::ZERO);
    bench.grant(31..=35);
    drain(&mut right).expect("the right sink is not fenced");
    bench.assert_stored(35);
}

#[test]
fn the_same_grant_with_another_time_is_the_same() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=1);
    drain(&mut bench.worker().0).unwrap();
    let other = Bench { settings: bench.settings.clone(), ..Bench::in_any_world() };
    other.spring();
    let (seat, user) = (Seat::new(1), User::Int(1001));
    other.push(Event::Granted {
        campaign: SPRING,
        seat,
        user,
        nth: 1,
        request: b"",
        at: Millis(AT + 1),
        after: Lsn::ZERO,
    });
    // A topic may have been told an earlier time than the journal: brokers refuse the future.
    assert_eq!(drain(&mut other.worker().0), Ok(0));
}

#[test]
fn a_grant_that_the_journal_got_back_is_found_behind_its_seq_and_not_stored_again() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=30);
    drain(&mut bench.worker().0).unwrap();
    let older = older(&bench);
    // catch-up sets the next position behind what it found, and brings the grants in.
    while older.watermarks.durable.get() < Lsn::new(40) {
        older.other_event();
    }
    for seat in 11..=33 {
        let (user, seq) = (User::Int(1000 + i64::from(seat)), Lsn::new(u64::from(seat) + 1));
        older.push(Event::Imported {
            campaign: SPRING,
            seat: Seat::new(seat),
            user,
            nth: 1,
            at: Millis(AT),
            seq: Some(seq),
            after: Lsn::ZERO,
        });
    }
    assert_eq!(drain(&mut older.worker().0), Ok(3), "31 to 33 were in the topic and not in the ledger");
    bench.assert_stored(33);
    assert_eq!(older.figures.ledger_duplicates.get(), 20);
    assert_eq!(drain(&mut older.worker().0), Ok(0), "the last one is found again");
}

#[test]
fn a_journal_without_a_grant_at_the_last_place_is_another_one() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=1);
    drain(&mut bench.worker().0).unwrap();
    let other = Bench { settings: bench.settings.clone(), ..Bench::in_any_world() };
    other.spring();
    other.other_event();
    assert!(contradiction(other.worker().0.turn()).contains("the journal has no grant and no return at 2"));
}

#[test]
fn a_last_row_removed_on_purpose_stops_the_sink_until_its_operator_says_so() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=3);
    drain(&mut bench.worker().0).unwrap();
    bench.sql().execute_batch("DELETE FROM coupon_grant").unwrap();
    let (mut worker, _) = bench.worker();
    let line = contradiction(worker.turn());
    assert!(line.contains("there is no row") && line.contains("set last_seq = 0"), "{line}");
    bench.sql().execute_batch("UPDATE coupon_sink_position SET last_seq = 0").unwrap();
    bench.grant(4..=5);
    assert_eq!(drain(&mut worker).unwrap(), 2);
}

#[test]
fn a_position_that_moved_after_it_was_looked_at_is_not_claimed() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=1);
    let (mut right, _) = bench.worker();
    drain(&mut right).unwrap();
    let (mut other, _) = bench.worker();
    other.ledger.open().unwrap();
    let seen = other.ledger.positions(&ledger::journal_source(LOG)).unwrap();
    bench.grant(2..=2);
    drain(&mut right).unwrap();
    let error = other.ledger.claim("other", &seen, &[]).expect_err("it moved");
    assert!(matches!(error, LedgerError::Unavailable(_)) && error.to_string().contains("moved"), "{error}");
    bench.grant(3..=3);
    drain(&mut right).expect("it is not fenced");
    bench.assert_stored(3);
}
