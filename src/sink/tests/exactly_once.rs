//! Each grant is one row: through restarts, cut transactions, lost answers and sinks that do not know of each other.

use super::*;
use crate::sink::pace::ROWS_PER_TRANSACTION;

#[test]
fn every_grant_is_one_row_with_what_the_journal_says() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=1);
    drain(&mut bench.worker().0).unwrap();
    let row = bench.text(
        "SELECT concat_ws('|', campaign, seat, user_id, typeof(user_id), nth, granted_at, log_id, seq) FROM coupon_grant",
    );
    assert_eq!(row, format!("spring|1|1001|integer|1|2024-11-22 07:15:23.123|{LOG}|2"));
    assert_eq!(bench.text("SELECT source FROM coupon_sink_position"), format!("journal:{LOG}"));
    let known = "SELECT next_position * 10000 + last_seq * 100 + owner_epoch FROM coupon_sink_position";
    assert_eq!(bench.number(known), 30201);
}

#[test]
fn batches_and_transactions_need_not_match() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=2503);
    let (mut worker, _) = bench.worker();
    let Ok(Turn::Stored { rows, .. }) = worker.turn() else { panic!("the first turn stores") };
    assert_eq!(rows, ROWS_PER_TRANSACTION);
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(1 + 1000), "as far as the rows go, not as far as it has read");
    assert_eq!(drain(&mut worker).unwrap(), 1503);
    bench.assert_stored(2503);
    assert_eq!(bench.watermarks.stored.get(), bench.watermarks.durable.get());
    assert_eq!(bench.figures.ledger_rows.get(), 2503);
}

#[test]
fn a_transaction_cut_anywhere_is_stored_once_by_the_same_sink_and_by_the_next_one() {
    let steps = [Step::Begun, Step::Compared, Step::Inserted, Step::Also, Step::Committed];
    for step in steps {
        for restart in [false, true] {
            let bench = Bench::new();
            bench.spring();
            bench.grant(1..=1500);
            let (mut worker, trip) = bench.worker();
            worker.turn().unwrap();
            trip.arm(step);
            let error = ledger_fault(worker.turn());
            assert_eq!(error, LedgerError::Unavailable(format!("the test cuts at {step:?}")));
            if restart {
                worker = bench.worker().0;
            }
            bench.grant(1501..=1600);
            drain(&mut worker).unwrap();
            bench.assert_stored(1600);
            assert_eq!(bench.watermarks.stored.get(), bench.watermarks.durable.get(), "{step:?} {restart}");
            assert_eq!(bench.figures.ledger_duplicates.get(), 0, "no row was sent twice: {step:?} {restart}");
            if !restart {
                assert_eq!(bench.figures.ledger_rows.get(), 1600, "a lost answer is counted when it is settled");
            }
        }
    }
}

#[test]
fn a_ledger_that_was_set_back_is_filled_again() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=50);
    let (mut worker, _) = bench.worker();
    drain(&mut worker).unwrap();
    let back =
        "DELETE FROM coupon_grant WHERE seat > 20; UPDATE coupon_sink_position SET next_position = 22, last_seq = 21";
    bench.sql().execute_batch(back).unwrap();
    bench.grant(51..=60);
    assert!(matches!(ledger_fault(worker.turn()), LedgerError::TakenOver(_)), "the position is not where it was left");
    drain(&mut worker).unwrap();
    bench.assert_stored(60);
}

#[test]
fn a_ledger_file_that_was_removed_is_made_and_filled_again() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=50);
    let (mut worker, _) = bench.worker();
    drain(&mut worker).unwrap();
    std::fs::rename(bench.path(), bench.dir.path().join("elsewhere.db")).unwrap();
    bench.grant(51..=60);
    assert!(ledger_fault(worker.turn()).to_string().contains("replaced or removed"));
    drain(&mut worker).unwrap();
    bench.assert_stored(60);
}

#[test]
fn a_stretch_without_grants_is_stored_at_once_and_written_down_at_the_end() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=3);
    let sink = bench.start().unwrap();
    bench.wait("the rows", |b| b.figures.ledger_rows.get() == 3);
    let last = bench.other_event();
    bench.wait("the stretch", |b| b.watermarks.stored.get() == last);
    assert_eq!(known(&bench.settings, LOG).position, Some(last.prev()), "in memory only");
    assert!(sink.stop(Duration::from_secs(60)));
    assert_eq!(known(&bench.settings, LOG).position, Some(last));
    assert_eq!(bench.number("SELECT last_seq FROM coupon_sink_position"), 4, "the last grant's");
}

#[test]
fn a_stop_stores_what_is_left() {
    let bench = Bench::new();
    bench.spring();
    let sink = bench.start().unwrap();
    bench.grant(1..=4321);
    assert!(sink.stop(Duration::from_secs(60)));
    bench.assert_stored(4321);
    assert_eq!(bench.figures.oldest_unstored_at.get(), 0);
}

#[test]
fn rehearsals_are_never_stored() {
    let bench = Bench::new();
    let shadow = CampaignId(1);
    bench.spring();
    bench.create(shadow, "rehearsal", Users::Any, true);
    bench.grant(1..=2);
    for seat in 1..=9 {
        let user = User::Any(b"somebody");
        bench.push(Event::Granted {
            campaign: shadow,
            seat: Seat::new(seat),
            user,
            nth: 1,
            request: b"",
            at: Millis(AT),
            after: Lsn::ZERO,
        });
    }
    drain(&mut bench.worker().0).unwrap();
    bench.assert_stored(2);
    assert_eq!(bench.watermarks.stored.get(), bench.watermarks.durable.get());
}

#[test]
fn users_of_any_kind_are_text() {
    let mut bench = Bench::new();
    text_users(&mut bench);
    let any = CampaignId(1);
    bench.spring();
    bench.create(any, "any", Users::Any, false);
    bench.grant(1..=1);
    for (seat, user) in [(1, &b"anna"[..]), (2, b"1001"), (3, b"\xff\x00")] {
        bench.push(Event::Granted {
            campaign: any,
            seat: Seat::new(seat),
            user: User::Any(user),
            nth: 1,
            request: b"",
            at: Millis(AT),
            after: Lsn::ZERO,
        });
    }
    drain(&mut bench.worker().0).unwrap();
    let all =
        "SELECT group_concat(quote(user_id), ' ') FROM (SELECT user_id FROM coupon_grant ORDER BY campaign, seat)";
    assert_eq!(bench.text(all), "'anna' '1001' X'FF00' '1001'");
}

/// The same scenes with a promise broken: what the tests above rely on is not there by chance.
#[cfg(feature = "sabotage")]
mod sabotaged {
    use super::*;
    use crate::sabotage::{Sabotage, peace};

    fn broken(promise: Sabotage, scene: impl FnOnce(&Bench)) {
        peace::broken(promise, || scene(&Bench::in_any_world()));
    }

    #[test]
    fn a_position_outside_of_the_transaction_is_noticed() {
        broken(Sabotage::PositionOutsideTransaction, |bench| {
            bench.spring();
            bench.grant(1..=10);
            let (mut worker, trip) = bench.worker();
            trip.arm(Step::BetweenTwo);
            assert!(matches!(ledger_fault(worker.turn()), LedgerError::Unavailable(_)));
            drain(&mut worker).unwrap();
            assert_eq!(bench.figures.ledger_duplicates.get(), 10, "the rows are sent a second time");
        });
    }

    #[test]
    fn a_sink_that_resumes_unchecked_is_noticed() {
        broken(Sabotage::ResumeUnchecked, |bench| {
            bench.spring();
            bench.grant(1..=30);
            drain(&mut bench.worker().0).unwrap();
            let older = resume::grown_again(bench, 40);
            drain(&mut older.worker().0).unwrap();
            assert_eq!(older.number("SELECT max(seat) FROM coupon_grant"), 40, "it stores as if nothing had happened");
            assert_eq!(
                older.number("SELECT user_id FROM coupon_grant WHERE seat = 30"),
                1030,
                "and its own 30 is lost"
            );
        });
    }

    #[test]
    fn a_position_that_is_not_compared_is_noticed() {
        broken(Sabotage::NoCompareAndSet, |bench| {
            bench.spring();
            bench.grant(1..=10);
            let (mut old, _) = bench.worker();
            drain(&mut old).unwrap();
            let (mut new, _) = bench.worker();
            drain(&mut new).unwrap();
            bench.grant(11..=20);
            drain(&mut new).unwrap();
            assert!(old.turn().is_ok(), "it is not fenced");
            assert_eq!(bench.figures.ledger_duplicates.get(), 10, "two sinks write the same rows");
        });
    }
}
