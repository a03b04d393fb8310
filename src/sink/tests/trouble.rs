//! Databases that are locked, away, full of other rows or older than they should be: told, tried again, never mixed.

use super::*;
use crate::edge::now;
use crate::ledger::fault;

#[test]
fn a_locked_database_delays_the_rows_and_nothing_else() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=5);
    let sink = bench.start().unwrap();
    bench.wait("the first rows", |b| b.figures.ledger_rows.get() == 5);
    let lock = bench.sql();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    bench.grant(6..=10);
    bench.wait("the trouble", |b| b.figures.ledger_trouble.get().contains("database is locked"));
    assert_eq!(bench.figures.oldest_unstored_at.get(), u64::try_from(AT).unwrap(), "the first grant that waits");
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(6));
    lock.execute_batch("ROLLBACK").unwrap();
    bench.wait("the rows behind the lock", |b| b.watermarks.stored.get() == Lsn::new(11));
    bench.wait("the end of the trouble", |b| b.figures.ledger_trouble.get().is_empty());
    assert!(sink.stop(Duration::from_secs(60)));
    bench.assert_stored(10);
}

#[test]
fn a_stop_waits_for_a_database_that_does_not_answer_as_long_as_its_patience() {
    let bench = Bench::new();
    bench.spring();
    let sink = bench.start().unwrap();
    let lock = bench.sql();
    bench.wait("the tables", |b| b.path().exists() && known(&b.settings, LOG).position.is_some());
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    bench.grant(1..=5);
    bench.wait("the trouble", |b| !b.figures.ledger_trouble.get().is_empty());
    let began = now();
    assert!(!sink.stop(Duration::from_secs(2)), "not everything is stored");
    assert!(now().duration_since(began) < Duration::from_secs(40), "it ends with its patience");
}

#[test]
fn a_lock_that_passes_during_a_stop_costs_no_rows() {
    let bench = Bench::new();
    bench.spring();
    let sink = bench.start().unwrap();
    bench.wait("the first stretch", |b| b.watermarks.stored.get() == Lsn::new(1));
    let lock = bench.sql();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    bench.grant(1..=5);
    bench.wait("the trouble", |b| !b.figures.ledger_trouble.get().is_empty());
    std::thread::scope(|threads| {
        let stopped = threads.spawn(|| sink.stop(Duration::from_secs(60)));
        let far = Lsn::new(u64::MAX - 1);
        bench.watermarks.published.wait_past(far, Duration::from_secs(1));
        lock.execute_batch("ROLLBACK").unwrap();
        assert!(stopped.join().unwrap(), "everything is stored");
    });
    bench.assert_stored(5);
}

#[test]
fn a_database_that_cannot_be_opened_stops_no_start_and_is_filled_when_it_can() {
    let mut bench = Bench::new();
    let away = bench.dir.path().join("away");
    bench.settings.at = LedgerAt::Sqlite(away.join("ledger.db"));
    bench.spring();
    bench.grant(1..=5);
    let sink = bench.start().unwrap();
    bench.wait("the trouble", |b| b.figures.ledger_trouble.get().contains("there is no folder"));
    bench.wait("an age", |b| b.figures.oldest_unstored_at.get() > 0);
    std::fs::create_dir(away).unwrap();
    bench.wait("the rows", |b| b.watermarks.stored.get() == Lsn::new(6));
    assert!(sink.stop(Duration::from_secs(60)));
    bench.assert_stored(5);
}

#[test]
fn a_row_that_contradicts_is_named_and_nothing_is_overwritten() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=300);
    let (mut worker, _) = bench.worker();
    drain(&mut worker).unwrap();
    let plant = format!("INSERT INTO coupon_grant VALUES ('spring', 402, 77, 1, '', '{LOG}', 5)");
    bench.sql().execute_batch(&plant).unwrap();
    bench.grant(301..=500);
    let error = ledger_fault(drain(&mut worker));
    assert!(matches!(error, LedgerError::Contradiction(_)), "{error}");
    let line = error.to_string();
    assert!(line.contains("campaign spring seat 402 user 1402 (seq 403)"), "{line}");
    assert!(line.contains("there is seat 402 user 77 nth 1"), "{line}");
    assert_eq!(bench.number("SELECT user_id FROM coupon_grant WHERE seat = 402"), 77, "nothing is overwritten");
    assert_eq!(bench.number("SELECT max(seat) FROM coupon_grant"), 402, "nothing behind it is stored");
    assert_eq!(bench.number("SELECT last_seq FROM coupon_sink_position"), 402, "the line stands before it");
    assert!(matches!(ledger_fault(drain(&mut worker)), LedgerError::Contradiction(_)), "as long as it is there");
    bench.sql().execute_batch("DELETE FROM coupon_grant WHERE seat = 402").unwrap();
    drain(&mut worker).unwrap();
    bench.assert_stored(500);
}

#[test]
fn a_second_seat_of_the_same_user_contradicts() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=3);
    bench.push(Event::Granted {
        campaign: SPRING,
        seat: Seat::new(4),
        user: User::Int(1002),
        nth: 1,
        request: b"",
        at: Millis(AT),
        after: Lsn::ZERO,
    });
    let line = ledger_fault(drain(&mut bench.worker().0)).to_string();
    assert!(line.contains("seat 4 user 1002") && line.contains("there is seat 2 user 1002"), "{line}");
}

#[test]
fn rows_of_two_journals_are_never_mixed() {
    let mut bench = Bench::new();
    bench.spring();
    bench.grant(1..=3);
    drain(&mut bench.worker().0).unwrap();
    bench.log = LogId([9; 16]);
    bench.grant(4..=5);
    let mut worker = bench.worker().0;
    let fault = worker.turn().expect_err("they are of another journal");
    worker.tell(&fault);
    let line = fault.line();
    assert!(matches!(fault, Fault::Ledger(LedgerError::OtherJournal { .. })), "{line}");
    let because = bench.figures.stale_because.get();
    assert!(because.starts_with(&line) && because.contains(&format!("--log-id {LOG}`")), "no more seats: {because}");
    assert!(
        line.contains("campaign spring") && line.contains(&LOG.to_string()) && line.contains("never mixed"),
        "{line}"
    );
    bench.assert_stored(3);
}

#[test]
fn a_journal_older_than_the_ledger_stores_nothing() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=30);
    drain(&mut bench.worker().0).unwrap();
    let older = Bench::in_any_world();
    older.spring();
    older.grant(1..=10);
    let settings = bench.settings.clone();
    let older = Bench { settings, ..older };
    let line = ledger_fault(older.worker().0.turn()).to_string();
    assert!(
        line.contains("ahead of the journal") && line.contains("up to 31 (by test), the journal ends at 11"),
        "{line}"
    );
    bench.assert_stored(30);
}

#[test]
fn a_grant_of_a_campaign_nobody_created_is_named() {
    let bench = Bench::new();
    bench.grant(1..=1);
    let Err(Fault::Feed(error)) = bench.worker().0.turn() else { panic!("the journal is at fault") };
    assert!(error.to_string().contains("the event at 1 names campaign 0"), "{error}");
}

#[test]
fn what_passes_is_told_from_what_does_not() {
    use rusqlite::ffi;
    let meaning = |code| {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        fault(std::path::Path::new("x"), "test", &error)
    };
    for code in [
        ffi::SQLITE_BUSY,
        ffi::SQLITE_LOCKED,
        ffi::SQLITE_IOERR,
        ffi::SQLITE_FULL,
        ffi::SQLITE_READONLY,
        ffi::SQLITE_CANTOPEN,
        ffi::SQLITE_CORRUPT,
        ffi::SQLITE_ERROR,
    ] {
        assert!(matches!(meaning(code), LedgerError::Unavailable(_)), "{code}");
    }
    for code in [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_MISMATCH, ffi::SQLITE_TOOBIG] {
        assert!(matches!(meaning(code), LedgerError::Refused(_)), "{code}");
    }
    assert!(matches!(meaning(ffi::SQLITE_NOTADB), LedgerError::Unfit(_)));
}

#[test]
fn where_the_gate_is_stale_nobody_reads_that_claims_go_on() {
    use crate::sink::trouble::meaning;
    for passes in [false, true] {
        assert!(meaning(passes, false).contains("claims go on"));
        let told = meaning(passes, true);
        assert!(told.contains("claims are refused (STALE)") && !told.contains("go on"), "{told}");
    }
}
