//! Seeds in the tests: few, each a story of its own.

use super::*;
use crate::sabotage::peace;

/// Lives through the seeds from `from` on; the first that ends badly, with what was noticed.
fn seeds(from: u64, count: u64) -> Result<Told, (u64, String)> {
    let mut all = Told::default();
    for seed in from..from + count {
        let lived = std::panic::catch_unwind(|| live(seed, &mut Trace::default()));
        crate::edge::simulated::end();
        match lived {
            Ok(Ok(told)) => {
                assert!(told.steps >= STEPS && told.crashes >= CRASHES, "seed {seed}: {told:?}");
                all.steps += told.steps;
                all.crashes += told.crashes;
                all.answers += told.answers;
                all.changes += told.changes;
                all.seats += told.seats;
            }
            Ok(Err(noticed)) => return Err((seed, noticed)),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                return Err((seed, format!("a promise is asserted: {}", text.unwrap_or_default())));
            }
        }
    }
    Ok(all)
}

#[test]
fn whatever_happens_no_promise_is_broken() {
    let _calm = peace::keep();
    let all = seeds(1, 2_000).unwrap_or_else(|(seed, noticed)| panic!("seed {seed}: {noticed}"));
    println!("{all:?}");
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    let _calm = peace::keep();
    for seed in 1..=20 {
        let mut traces = [Trace::told(), Trace::told()];
        let told = traces.each_mut().map(|trace| live(seed, trace));
        assert_eq!(told[0], told[1], "seed {seed}");
        assert!(traces[0].text().len() > 5_000 && traces[0].text() == traces[1].text(), "seed {seed}");
    }
}

#[cfg(feature = "sabotage")]
mod sabotaged {
    use super::*;
    use crate::sabotage::Sabotage;
    use crate::sabotage::peace::broken;

    /// The promise is broken in a bounded number of seeds.
    fn is_found(promise: Sabotage, within: u64) {
        let found = broken(promise, || seeds(1, within));
        let (seed, noticed) = found.expect_err("a broken promise is noticed");
        println!("{promise:?}: seed {seed}: {noticed}");
    }

    macro_rules! found {
        ($($name:ident: $promise:ident within $within:literal;)*) => {
            $(#[test]
            fn $name() {
                is_found(Sabotage::$promise, $within);
            })*
        };
    }

    found! {
        an_early_reply_is_found: ReplyAtStaged within 50;
        a_skipped_fsync_is_found: SkipFsync within 50;
        a_skipped_sync_of_a_directory_is_found: SkipSyncDir within 200;
        a_trusted_page_cache_is_found: TrustPageCache within 500;
        an_ignored_mark_is_found: IgnoreMark within 500;
        an_ignored_chain_is_found: IgnoreChain within 500;
        an_ignored_checksum_is_found: IgnoreChecksum within 200;
        a_snapshot_one_event_short_is_found: SnapshotOneShort within 300;
        forgotten_terms_are_found: ForgetAltered within 300;
        a_forgotten_request_is_found: ForgetRequests within 1000;
        a_segment_freed_early_is_found: FreeEarly within 500;
        history_forgotten_too_early_is_found: ForgetUnstored within 1000;
        a_read_that_is_not_held_is_found: ReadsUnheld within 500;
        a_wrong_seat_is_found: WrongSeat within 20;
        a_clock_that_steps_is_found: ClockSteps within 100;
        a_dropped_last_batch_is_found: DropLastBatch within 200;
        a_stream_one_late_is_found: StreamOneLate within 200;
        a_stream_one_early_is_found: StreamOneEarly within 200;
        a_sink_one_late_is_found: SinkOneLate within 200;
        a_foreign_log_is_found: AcceptForeignLog within 300;
        a_position_outside_of_its_transaction_is_found: PositionOutsideTransaction within 500;
        a_hole_that_is_ignored_is_found: HoleIgnored within 500;
        a_tail_that_is_not_read_back_is_found: NoTailReadBack within 300;
        published_taken_for_granted_is_found: PublishedTakenForGranted within 300;
        a_hold_that_stays_is_found: KeepHolds within 50;
        a_hold_that_ends_early_is_found: HoldsEndEarly within 50;
        a_forgotten_hold_is_found: ForgetHolds within 200;
        a_seat_that_stays_out_is_found: SeatsStayOut within 100;
        a_seat_that_comes_back_twice_is_found: ReturnTwice within 100;
        a_forgotten_return_is_found: ForgetReturns within 300;
        a_forgotten_purge_is_found: ForgetPurged within 500;
        a_forgotten_seed_is_found: ForgetSeeds within 2000;
        an_order_that_is_ignored_is_found: ReturnsUnordered within 200;
    }
}
