//! Several sinks and one ledger: one is active, the others stand by, and no two ever store.

use super::*;
use crate::ledger::{Batch, Move};
use crate::sink::place::Hold;
use crate::sink::worker::LAZY;

fn taken_over(turn: Result<Turn, Fault>) -> String {
    let error = ledger_fault(turn);
    assert!(matches!(error, LedgerError::TakenOver(_)), "{error}");
    error.to_string()
}

fn waits_for_ever(worker: &mut Worker) {
    worker.place.silence = Duration::MAX;
}

/// A sink that has no data directory of its own.
fn standing_by(bench: &Bench) -> Worker {
    let (mut worker, _) = bench.worker();
    worker.place = Place::new(false, Duration::MAX);
    worker
}

#[test]
fn of_two_sinks_only_the_newer_one_stores_until_it_falls_silent() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=10);
    let (mut old, _) = bench.worker();
    drain(&mut old).unwrap();
    let (mut new, _) = bench.worker();
    drain(&mut new).unwrap();
    bench.grant(11..=20);
    waits_for_ever(&mut old);

    let fenced = taken_over(old.turn());
    assert!(fenced.contains("another sink took over"), "{fenced}");
    bench.assert_stored(10);
    assert!(taken_over(old.turn()).contains("another sink took over"), "it sees the newer epoch");
    drain(&mut new).unwrap();
    bench.assert_stored(20);
    assert!(taken_over(old.turn()).contains("stands by"), "the newer one moves");
    bench.grant(21..=30);
    assert!(taken_over(old.turn()).contains("stands by"), "and is waited for while it does not");

    old.place.silence = Duration::ZERO;
    assert!(matches!(old.turn(), Ok(Turn::Stored { rows: 10, .. })), "it has given no sign for too long");
    taken_over(new.turn());
    bench.assert_stored(30);
}

#[test]
fn a_sign_of_life_without_a_row_keeps_the_others_waiting() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=3);
    let (mut active, _) = bench.worker();
    drain(&mut active).unwrap();
    let mut other = standing_by(&bench);
    assert!(taken_over(other.turn()).contains("stored by another sink: test"));
    other.place.silence = Duration::ZERO;
    for _ in 0..3 {
        let beat = || bench.text("SELECT updated_at FROM coupon_sink_position");
        let (before, active) = (beat(), std::cell::RefCell::new(&mut active));
        // The table's clock has milliseconds.
        bench.wait("a sign", |_| {
            let mut active = active.borrow_mut();
            active.progress.written = edge::now().checked_sub(LAZY).expect("the machine is up");
            active.turn().unwrap();
            beat() != before
        });
        assert!(taken_over(other.turn()).contains("stands by"));
    }
    assert_eq!(bench.number("SELECT owner_epoch FROM coupon_sink_position"), 1);
    assert_eq!(other.turn(), Ok(Turn::Idle), "silent since the last look");
    assert_eq!(bench.number("SELECT owner_epoch FROM coupon_sink_position"), 2);
}

#[test]
fn a_position_that_counts_other_records_is_not_moved() {
    let bench = Bench::new();
    let mut ledger = bench.settings.to_write();
    ledger.open().unwrap();
    let last_seq = Lsn::new(5);
    let first = Move { source: "s".into(), kpart: 0, expected: None, next: 1, log: LOG, last_seq, hole: false };
    ledger.claim("me", &[], std::slice::from_ref(&first)).unwrap();
    let mut moved = |expected| {
        let moves = [Move { expected: Some(expected), next: 2, ..first.clone() }];
        ledger.store(&Batch { epoch: 1, owner: "me", moves: &moves, entries: &[], dead: &[] })
    };
    let Err(LedgerError::TakenOver(line)) = moved((1, Lsn::new(4))) else { panic!("moved") };
    assert!(line.contains("expected position 1 (seq 4) of epoch 1, there is position 1 (seq 5)"), "{line}");
    moved((1, last_seq)).unwrap();
}

#[test]
fn a_sink_that_stops_in_order_is_followed_at_once() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=3);
    let sink = bench.start().unwrap();
    bench.wait("the rows", |b| b.figures.ledger_rows.get() == 3);
    let mut other = standing_by(&bench);
    taken_over(other.turn());
    assert!(sink.stop(Duration::from_secs(60)));
    assert_eq!(bench.text("SELECT owner FROM coupon_sink_position"), "");
    bench.grant(4..=5);
    assert_eq!(drain(&mut other).unwrap(), 2, "nobody is waited for");
}

#[test]
fn the_first_sink_of_all_waits_for_nobody() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=3);
    assert_eq!(drain(&mut standing_by(&bench)).unwrap(), 3);
}

#[test]
fn a_sink_that_wakes_after_its_time_is_fenced_and_stands_by() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=10);
    let (mut zombie, _) = bench.worker();
    drain(&mut zombie).unwrap();
    waits_for_ever(&mut zombie);
    bench.grant(11..=15);
    // It sleeps here, with a batch in its hands.
    zombie.fill(Duration::ZERO).unwrap();
    let (mut heir, _) = bench.worker();
    drain(&mut heir).unwrap();
    bench.grant(16..=20);
    taken_over(zombie.turn());
    assert!(zombie.progress.waiting.len() == 0, "what it held is dropped");
    taken_over(zombie.turn());
    assert!(matches!(zombie.place.hold, Hold::StandBy { .. }));
    drain(&mut heir).unwrap();
    bench.assert_stored(20);
    assert_eq!(bench.figures.ledger_duplicates.get(), 0);
}
