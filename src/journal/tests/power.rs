//! Kills and power cuts at any moment, also during recovery.

use super::*;

/// Everything up to `known` is there, in order, nothing twice, nothing that was never written.
fn check(seed: u64, found: &Events, written: &Events, known: Lsn) {
    assert!(found.len() as u64 >= known.get(), "seed {seed}: {} events of {known} that were durable", found.len());
    assert_eq!(found[..], written[..found.len()], "seed {seed}");
}

#[test]
fn what_was_durable_survives_kills_and_power_cuts_at_any_moment() {
    let _calm = calm();
    let mut torn = 0;
    for seed in 0..60 {
        let mut draw = draws(seed);
        let appendfsync = [Appendfsync::Always, Appendfsync::Everysec][(seed % 2) as usize];
        let mut disk = MemoryDisk::default();
        let mut written = Events::new();
        let mut known = Lsn::ZERO;
        let mut answered = Lsn::ZERO;
        let mut killed = false;
        for _ in 0..6 {
            let mut run = start(&disk, options(appendfsync)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            torn += u32::from(run.replayed.torn.is_some());
            check(seed, &run.events, &written, if killed { answered } else { known });
            for _ in 0..draw() % 12 {
                run.put((draw() % 900) as usize);
                if draw().is_multiple_of(3) {
                    run.journal.seal(NOW);
                }
                if draw().is_multiple_of(5) {
                    run.settle();
                    run.journal.tick(NOW);
                }
            }
            run.journal.seal(NOW);
            known = run.hooks.watermarks.durable.get();
            answered = run.journal.answerable().lsn();
            written = run.events.clone();
            killed = draw().is_multiple_of(3);
            disk = if killed { disk.after_kill() } else { disk.after_power_cut(|| draw().is_multiple_of(2)) };
        }
    }
    assert!(torn > 10, "the cuts tear something: {torn}");
}

/// A disk on which nothing was synced since the last roll.
fn unsynced() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut run = start(&disk, options(Appendfsync::No)).expect("a new journal");
    for len in [1_800, 1_800, 100, 500, 50] {
        run.commit(len);
    }
    disk.after_kill()
}

#[test]
fn a_crash_at_any_step_of_recovery_loses_nothing() {
    let _calm = calm();
    let mut torn = 0;
    for seed in 0..20 {
        let mut draw = draws(seed);
        let crashed = unsynced();
        let crashed = if seed == 0 { crashed } else { crashed.after_power_cut(|| !draw().is_multiple_of(5)) };
        let whole = start(&crashed.after_kill(), always()).expect("sound");
        torn += u32::from(whole.replayed.torn.is_some());
        assert!(whole.events.len() >= 2, "what was synced at the roll");
        let mut steps = 0;
        for left in 0.. {
            let disk = crashed.after_kill();
            disk.faults(|faults| faults.changes_left = Some(left));
            let failed = start(&disk, always()).is_err();
            let again = start(&disk.after_kill(), always()).expect("sound after a kill");
            assert_eq!(again.events, whole.events, "seed {seed}, killed after {left} changes");
            let cut = start(&disk.after_power_cut(|| draw().is_multiple_of(2)), always()).expect("sound after a cut");
            if seed > 0 || !failed {
                assert_eq!(cut.events, whole.events, "seed {seed}: what replay has shown is durable");
            }
            assert_eq!(cut.events[..], whole.events[..cut.events.len()]);
            if !failed {
                break;
            }
            steps += 1;
        }
        assert!(steps > 4, "rewrite, sync, make, header: each can be the last");
    }
    assert!(torn > 5, "the cuts tear something: {torn}");
}

/// Written, not synced, killed, recovered, and then the power fails.
fn killed_then_recovered_then_cut() -> (Events, Events) {
    let disk = MemoryDisk::default();
    let mut run = start(&disk, options(Appendfsync::No)).expect("a new journal");
    run.commit(1);
    run.commit(300);
    let written = run.events.clone();
    let killed = disk.after_kill();
    drop(run);
    let recovered = start(&killed, always()).expect("sound");
    assert_eq!(recovered.events, written);
    let cut = killed.after_power_cut(|| false);
    drop(recovered);
    (written, start(&cut, always()).map(|run| run.events).unwrap_or_default())
}

#[test]
fn what_recovery_accepted_beyond_the_mark_is_on_disk_before_anything_else() {
    let _calm = calm();
    let (written, found) = killed_then_recovered_then_cut();
    assert_eq!(found, written);
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_written_again() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    wait_for("the spare", || disk.files().contains_key(&seg(2)));
    disk.faults(|faults| faults.fail_sync = true);
    run.put(100);
    wait_for("the failure", || {
        run.journal.seal(NOW);
        !run.failures.lock().unwrap().is_empty()
    });
    let killed = disk.after_kill();
    let recovered = start(&killed, always()).expect("sound");
    assert_eq!(recovered.events.len(), 2);
    assert_eq!(start(&killed.after_power_cut(|| false), always()).expect("sound").events, recovered.events);
}

#[test]
fn a_full_disk_at_start_gets_back_the_zeros_of_the_last_segment_first() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, options(Appendfsync::No)).expect("a new journal");
    run.commit(1);
    run.commit(300);
    let written = run.events.clone();
    for torn in [false, true] {
        let mut files = disk.after_kill().files();
        files.retain(|path, _| *path == seg(1));
        if torn {
            files.get_mut(&seg(1)).unwrap()[300] ^= 1;
        }
        let events = &written[..if torn { 1 } else { 2 }];
        let crashed = MemoryDisk::of(&files);
        for left in 0.. {
            let disk = crashed.after_kill();
            disk.faults(|faults| (faults.room, faults.changes_left) = (Some(5_300), Some(left)));
            let ended = start(&disk, always()).is_ok();
            for again in [disk.after_kill(), disk.after_power_cut(|| left.is_multiple_of(2))] {
                again.faults(|faults| faults.room = Some(5_300));
                assert_eq!(start(&again, always()).expect("sound").events, *events, "killed after {left} changes");
            }
            if ended {
                assert!(left > 8, "make, close, cut, make: each can be the last");
                break;
            }
        }
    }
}

#[test]
fn a_journal_restarted_many_times_grows_by_what_was_written() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut events = Events::new();
    let log = Journal::open(disk.disk(), data(), always()).expect("new").log_id();
    for round in 0..40 {
        let mut run = start(&disk, always()).expect("sound");
        assert_eq!(run.events, events);
        if round % 3 > 0 {
            run.commit(round * 10);
        }
        events = run.events.clone();
        if round % 4 == 0 {
            run.journal.finish(NOW).expect("a clean stop");
        }
    }
    let names = Journal::open(disk.disk(), data(), always()).expect("there").log_id();
    assert_ne!(names, log, "a name is kept from the first segment on");
    assert_eq!(Journal::open(disk.disk(), data(), always()).expect("there").log_id(), names);
    drop(start(&disk, always()).expect("sound"));
    assert_eq!(Journal::open(disk.disk(), data(), always()).expect("there").log_id(), names);
}

#[test]
fn a_first_start_that_was_killed_is_begun_again() {
    let _calm = calm();
    for left in 0.. {
        let disk = MemoryDisk::default();
        disk.faults(|faults| faults.changes_left = Some(left));
        let failed = start(&disk, always()).is_err();
        let mut draw = draws(left);
        for crashed in [disk.after_kill(), disk.after_power_cut(|| draw().is_multiple_of(2))] {
            let mut run = start(&crashed, always()).expect("begun again");
            assert_eq!(run.commit(1), Lsn::new(1));
        }
        if !failed {
            break;
        }
    }
}

#[cfg(feature = "sabotage")]
mod sabotaged {
    use super::*;
    use crate::sabotage::Sabotage;
    use crate::sabotage::peace::broken;

    #[test]
    fn trusting_the_page_cache_is_noticed() {
        let (written, found) = broken(Sabotage::TrustPageCache, killed_then_recovered_then_cut);
        assert_ne!(found, written);
    }

    #[test]
    fn skipping_the_sync_is_noticed() {
        let (known, found) = broken(Sabotage::SkipFsync, || {
            let disk = MemoryDisk::default();
            let mut run = start(&disk, always()).expect("a new journal");
            let known = run.commit(1);
            (known.get(), start(&disk.after_power_cut(|| false), always()).expect("sound").events.len())
        });
        assert!((found as u64) < known);
    }

    #[test]
    fn replying_at_staged_is_noticed() {
        let early = broken(Sabotage::ReplyAtStaged, || {
            let mut run = start(&MemoryDisk::default(), always()).expect("a new journal");
            let lsn = run.put(1);
            run.journal.answerable().covers(lsn)
        });
        assert!(early);
    }

    #[test]
    fn ignoring_the_mark_is_noticed() {
        let found = broken(Sabotage::IgnoreMark, || {
            let disk = MemoryDisk::default();
            let mut run = start(&disk, always()).expect("a new journal");
            run.commit(1);
            run.commit(1);
            let mut files = disk.after_kill().files();
            files.get_mut(&seg(1)).unwrap()[BLOCK as usize + 90] ^= 1;
            start(&MemoryDisk::of(&files), always()).expect("rot taken for a torn tail").events.len()
        });
        assert_eq!(found, 0);
    }
}
