//! A journal at work: answers, room, batches, stops.

use super::*;

#[test]
fn what_was_appended_is_replayed_after_a_clean_stop() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    assert_eq!((run.replayed.last_lsn, run.replayed.segments), (Lsn::ZERO, 0));
    for len in [0, 1, 50, 51, 52, 53, 500, 1900] {
        run.commit(len);
    }
    let events = run.events.clone();
    run.journal.finish(Millis(7_000)).expect("a clean stop");
    let again = start(&disk, always()).expect("sound");
    assert_eq!(again.events, events);
    assert_eq!(again.replayed.torn, None);
    assert_eq!(again.replayed.newest_at, Millis(7_000));
    let marks = &again.hooks.watermarks;
    assert_eq!([&marks.applied, &marks.staged, &marks.durable].map(|mark| mark.get()), [Lsn::new(8); 3]);
}

#[test]
fn every_directory_above_the_journal_is_synced() {
    let _calm = calm();
    for (dir, above) in
        [("/a/b/c", &["/a/b/c/journal", "/a/b/c", "/a/b", "/a", "/"][..]), ("a/b", &["a/b/journal", "a/b", "a", "."])]
    {
        let disk = MemoryDisk::default();
        start_in(&disk, Path::new(dir), always()).expect("a new journal");
        assert_eq!(disk.synced_dirs(), above.iter().map(PathBuf::from).collect());
    }
}

#[test]
fn a_clean_stop_leaves_a_small_directory() {
    let _calm = calm();
    let dir = tempfile::tempdir().expect("a directory");
    let mut run = start_in(&RealDisk, dir.path(), always()).expect("a new journal");
    run.commit(10);
    let events = run.events.clone();
    run.journal.finish(NOW).expect("a clean stop");
    let files: Vec<_> = std::fs::read_dir(dir.path().join("journal")).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].file_name(), "00000001.seg");
    assert_eq!(files[0].metadata().unwrap().len(), 3 * BLOCK, "a header, a batch, a final batch");
    assert_eq!(start_in(&RealDisk, dir.path(), always()).expect("sound").events, events);
}

#[test]
fn batches_of_every_length_roll_over_segments_and_come_back() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut events = Vec::new();
    for round in 0..6 {
        let mut run = start(&disk, always()).expect("sound");
        assert_eq!(run.events, events);
        for len in (round..1_900).step_by(31) {
            if len % 3 == 0 {
                run.commit(len)
            } else {
                run.put(len)
            };
        }
        run.settle();
        events = run.events.clone();
        if round % 2 == 0 {
            run.journal.finish(NOW).expect("a clean stop");
        }
    }
    assert!(disk.files().len() > 50);
}

#[test]
fn a_group_is_in_one_batch_and_a_batch_grows_while_another_is_in_flight() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    disk.faults(|faults| faults.hold_sync = true);
    run.put(1);
    run.journal.seal(NOW);
    for _ in 0..5 {
        assert_eq!(run.journal.room(200), Room::Ready);
        run.journal.append(&counted(b"a", 1), true);
        run.journal.append(&counted(b"b", 1), false);
        run.journal.seal(NOW);
    }
    disk.faults(|faults| faults.hold_sync = false);
    wait_for("both batches", || {
        run.journal.seal(NOW);
        run.journal.answerable().covers(Lsn::new(11))
    });
    let counts: Vec<_> = batches(&disk.files()).iter().map(|(_, _, header)| header.count).collect();
    assert_eq!(counts, [1, 10]);
}

#[test]
fn nothing_is_answerable_before_its_sync() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    let first = run.commit(1);
    disk.faults(|faults| faults.hold_sync = true);
    let second = run.put(1);
    // The buffer of the batch before may come back after its answer.
    wait_for("the write", || {
        run.journal.seal(NOW);
        batches(&disk.files()).len() == 2
    });
    assert!(run.journal.answerable().covers(first));
    assert!(!run.journal.answerable().covers(second));
    assert_eq!(run.hooks.watermarks.durable.get(), first);
    disk.faults(|faults| faults.hold_sync = false);
    run.settle();
    assert_eq!(run.hooks.watermarks.durable.get(), second);
}

#[test]
fn a_failed_sync_or_write_is_told_once_and_nothing_is_answerable_after_it() {
    let _calm = calm();
    for fail_sync in [true, false] {
        let disk = MemoryDisk::default();
        let mut run = start(&disk, always()).expect("a new journal");
        let first = run.commit(1);
        wait_for("the spare", || disk.files().contains_key(&seg(2)));
        disk.faults(|faults| (faults.fail_sync, faults.fail_write) = (fail_sync, !fail_sync));
        run.put(1);
        wait_for("the failure", || {
            run.journal.seal(NOW);
            !run.failures.lock().unwrap().is_empty()
        });
        disk.faults(|faults| (faults.fail_sync, faults.fail_write) = (false, false));
        run.put(1);
        run.journal.seal(NOW);
        run.journal.tick(NOW);
        assert_eq!(run.journal.answerable().lsn(), first);
        let told = run.journal.finish(NOW).expect_err("it has failed");
        assert_eq!(run.failures.lock().unwrap()[..], *std::slice::from_ref(&told));
        let doing = if fail_sync { "syncing" } else { "writing" };
        assert!(told.to_string().contains(doing) && told.to_string().contains("00000001.seg"), "{told}");
        assert!(!told.is_damage());
    }
}

#[test]
fn without_room_for_a_segment_writes_are_refused_until_there_is() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    disk.faults(|faults| faults.room = Some(4096));
    let mut run = start(&disk, always()).expect("a new journal");
    let mut refused = String::new();
    while refused.is_empty() {
        run.journal.seal(NOW);
        match run.journal.room(1_000) {
            Room::Ready => drop(run.put(900)),
            Room::Wait => std::thread::yield_now(),
            Room::Refused(why) => refused = why,
        }
    }
    run.settle();
    assert_eq!(refused, std::io::Error::from(std::io::ErrorKind::StorageFull).to_string());
    assert_eq!(run.hooks.figures.journal_trouble.get(), refused);
    assert!(disk.files().keys().all(|path| path.extension().is_some_and(|end| end == "seg")), "no half segment stays");
    assert_eq!(run.journal.room(80), Room::Ready, "what fits the open segment still does");
    disk.faults(|faults| faults.room = None);
    run.commit(1_000);
    assert_eq!(run.hooks.figures.journal_trouble.get(), "");
    wait_for("the figure", || {
        let lengths: usize = disk.files().values().map(Vec::len).sum();
        run.hooks.figures.journal_bytes.get() == lengths as u64
    });
    let events = run.events.clone();
    drop(run);
    assert_eq!(start(&disk, always()).expect("sound").events, events);
}

#[test]
fn a_change_longer_than_a_batch_is_refused() {
    let _calm = calm();
    let mut run = start(&MemoryDisk::default(), always()).expect("a new journal");
    assert!(matches!(run.journal.room(2_000), Room::Refused(why) if why.contains("longer than a batch")));
    assert_eq!(run.journal.room(2048 - batch::BATCH_HEADER_BYTES), Room::Ready);
}

#[test]
fn a_full_batch_waits_for_the_one_in_flight() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    wait_for("the spare", || disk.files().contains_key(&seg(2)));
    disk.faults(|faults| faults.hold_sync = true);
    run.put(1_000);
    run.journal.seal(NOW);
    run.put(1_800);
    run.journal.seal(NOW);
    assert_eq!(run.journal.room(1_000), Room::Wait);
    disk.faults(|faults| faults.hold_sync = false);
    run.commit(1_000);
}

#[test]
fn the_last_count_of_a_key_in_a_batch_takes_the_place_of_the_one_before() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    let first = run.append(&counted(b"n", 1));
    let other = run.put(3);
    assert!(run.journal.amend(first, &counted(b"n", 2)));
    assert!(run.journal.amend(first, &counted(b"n", 3)));
    assert!(!run.journal.amend(other, &counted(b"k", 3)), "another kind");
    assert!(!run.journal.amend(first, &counted(b"m", 3)), "another key");
    assert!(!run.journal.amend(other.next(), &counted(b"n", 3)), "not there yet");
    run.settle();
    assert!(!run.journal.amend(first, &counted(b"n", 4)), "on its way already");
    run.journal.finish(NOW).expect("a clean stop");
    let again = start(&disk, always()).expect("sound");
    assert_eq!(again.events[0], (1, bytes_of(&counted(b"n", 3))));
    assert_eq!(again.events.len(), 2);
}

#[test]
fn an_idle_journal_raises_the_mark_once_and_keeps_the_time_fresh() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    run.idle(&disk);
    wait_for("the mark", || {
        run.journal.tick(NOW);
        batches(&disk.files())[1].2.durable == Lsn::new(1)
    });
    for _ in 0..100 {
        run.journal.tick(Millis(NOW.0 + 59_999));
        std::thread::yield_now();
    }
    assert_eq!(batches(&disk.files()).len(), 2, "idle is idle");
    let minute = Millis(NOW.0 + 60_000);
    wait_for("a minute mark", || {
        run.journal.tick(minute);
        batches(&disk.files()).len() == 3
    });
    drop(run);
    assert_eq!(start(&disk, always()).expect("sound").replayed.newest_at, minute);
}

#[test]
fn everysec_and_no_answer_after_the_write_and_durable_follows_the_sync() {
    let _calm = calm();
    for appendfsync in [Appendfsync::Everysec, Appendfsync::No] {
        let disk = MemoryDisk::default();
        let mut run = start(&disk, options(appendfsync)).expect("a new journal");
        wait_for("the spare", || disk.files().contains_key(&seg(2)));
        disk.faults(|faults| faults.hold_sync = true);
        let lsn = run.commit(1);
        assert!(run.hooks.watermarks.durable.get() < lsn);
        disk.faults(|faults| faults.hold_sync = false);
        assert_eq!(run.hooks.watermarks.durable.wait_past(lsn.prev(), PATIENCE), lsn);
    }
}

#[test]
fn everysec_syncs_a_segment_before_it_writes_the_next() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, options(Appendfsync::Everysec)).expect("a new journal");
    run.commit(1_800);
    run.commit(1_800);
    wait_for("the spare", || disk.files().contains_key(&seg(2)));
    let before = run.events.clone();
    run.commit(1_800);
    assert!(run.hooks.watermarks.durable.get() >= Lsn::new(2));
    let after = start(&disk.after_power_cut(|| false), always()).expect("sound");
    assert_eq!(after.events[..2], before);
}

#[test]
fn a_clean_stop_makes_everything_durable_whatever_appendfsync_says() {
    let _calm = calm();
    for appendfsync in [Appendfsync::Always, Appendfsync::Everysec, Appendfsync::No] {
        let disk = MemoryDisk::default();
        let mut run = start(&disk, options(appendfsync)).expect("a new journal");
        run.commit(1);
        run.put(300);
        let events = run.events.clone();
        run.journal.finish(NOW).expect("a clean stop");
        assert_eq!(start(&disk.after_power_cut(|| false), always()).expect("sound").events, events);
    }
}

#[test]
fn progress_is_told_when_more_is_answerable_and_when_room_has_changed() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    disk.faults(|faults| faults.room = Some(4096));
    let mut run = start(&disk, always()).expect("a new journal");
    wait_for("a word about the failed spare", || run.progress.load(Ordering::SeqCst) == 1);
    run.commit(1);
    wait_for("a word about the batch", || run.progress.load(Ordering::SeqCst) == 2);
    disk.faults(|faults| faults.room = None);
    wait_for("a word about the spare", || run.progress.load(Ordering::SeqCst) == 3);
}

#[test]
fn a_failed_background_sync_ends_the_journal() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, options(Appendfsync::Everysec)).expect("a new journal");
    wait_for("the spare", || disk.files().contains_key(&seg(2)));
    disk.faults(|faults| faults.fail_sync = true);
    let lsn = run.commit(1);
    wait_for("the failure", || run.failures.lock().unwrap().len() == 1);
    assert!(run.hooks.watermarks.durable.get() < lsn);
    run.put(1);
    run.journal.finish(NOW).expect_err("it has failed");
}

#[test]
fn sizes_that_cannot_work_are_refused() {
    for wrong in [
        Options { block_bytes: 64, ..always() },
        Options { segment_bytes: 4000, ..always() },
        Options { batch_bytes_max: 4000, ..always() },
        Options { batch_bytes_max: 10, ..always() },
    ] {
        let refused = Journal::open(MemoryDisk::default().disk(), data(), wrong).expect_err("wrong");
        assert!(matches!(refused, JournalError::Setting { .. }));
    }
    assert!(Options::default().check().is_ok());
}
