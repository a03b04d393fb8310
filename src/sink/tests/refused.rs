//! Rows that the database refuses: found by halves, judged one by one.

use super::*;
use crate::sink::pace::ROWS_PER_TRANSACTION;

fn with_statement(also: &str, tables: &str) -> Bench {
    let mut bench = Bench::new();
    bench.settings.also = Some(also.into());
    bench.sql().execute_batch(tables).unwrap();
    bench.spring();
    bench
}

#[test]
fn a_grant_that_the_operators_statement_refuses_is_put_aside_and_the_rest_goes_on() {
    let tables = "CREATE TABLE coupon (user_id INTEGER PRIMARY KEY CHECK (user_id NOT IN (1002, 1700)))";
    let bench = with_statement("INSERT INTO coupon (user_id) VALUES (:user)", tables);
    bench.grant(1..=1500);
    let (mut worker, _) = bench.worker();
    assert_eq!(drain(&mut worker).unwrap(), 1498);
    assert_eq!(bench.number("SELECT count(*) FROM coupon_grant"), 1498);
    assert_eq!(bench.number("SELECT count(*) FROM coupon"), 1498, "each transaction is whole");
    assert_eq!(bench.figures.dead_letters.get(), 2);
    assert_eq!(bench.text("SELECT group_concat(position) FROM coupon_dead_letter"), "3,701");
    let reason = bench.text("SELECT reason FROM coupon_dead_letter WHERE position = 3");
    assert!(reason.contains("--ledger-also") && reason.contains("campaign spring seat 2 user 1002"), "{reason}");
    assert_eq!(bench.watermarks.stored.get(), bench.watermarks.durable.get(), "put aside is seen to");
    assert!(worker.progress.limit >= ROWS_PER_TRANSACTION, "and the pace is what it was");

    let record = "SELECT concat_ws('|', CAST(key AS TEXT), value ->> 'user', value ->> 'seq', headers ->> 'cg-seat', \
                  headers ->> 'cg-at') FROM (SELECT key, CAST(value AS TEXT) AS value, headers FROM coupon_dead_letter)";
    assert_eq!(bench.text(record), format!("spring|1002|3|2|{AT}"), "all that the row needs");
}

#[test]
fn a_last_grant_that_was_put_aside_is_no_reason_to_doubt_the_journal() {
    let tables = "CREATE TABLE coupon (user_id INTEGER PRIMARY KEY CHECK (user_id <> 1003))";
    let bench = with_statement("INSERT INTO coupon (user_id) VALUES (:user)", tables);
    bench.grant(1..=3);
    drain(&mut bench.worker().0).unwrap();
    bench.grant(4..=5);
    assert_eq!(drain(&mut bench.worker().0).unwrap(), 2, "by the next sink");
    assert_eq!(bench.number("SELECT count(*) FROM coupon_dead_letter"), 1);
}

#[test]
fn a_row_that_is_there_already_is_a_duplicate() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=2500);
    drain(&mut bench.worker().0).unwrap();
    // As if the positions alone had come from an older copy.
    bench.sql().execute_batch("UPDATE coupon_sink_position SET next_position = 12, last_seq = 11").unwrap();
    bench.grant(2501..=2600);
    let (mut worker, _) = bench.worker();
    assert_eq!(drain(&mut worker).unwrap(), 100);
    bench.assert_stored(2600);
    assert_eq!(bench.figures.ledger_duplicates.get(), 2490);
    assert!(bench.figures.ledger_commits.get() < 100, "not one transaction for each of them");
}

#[test]
fn a_user_that_the_column_cannot_hold_is_put_aside() {
    let bench = Bench::new();
    let any = CampaignId(1);
    bench.spring();
    bench.create(any, "any", Users::Any, false);
    bench.grant(1..=1);
    bench.push(Event::Granted {
        campaign: any,
        seat: Seat::new(1),
        user: User::Any(b"anna"),
        nth: 1,
        request: b"",
        at: Millis(AT),
        after: Lsn::ZERO,
    });
    bench.grant(2..=2);
    drain(&mut bench.worker().0).unwrap();
    bench.assert_stored(2);
    let reason = bench.text("SELECT reason FROM coupon_dead_letter");
    assert!(reason.contains("user anna is no number") && reason.contains("--ledger-users"), "{reason}");
}
