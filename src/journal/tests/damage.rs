//! Torn or rot: what recovery makes of bytes that are not as they were written.

use super::batch::{BATCH_HEADER_BYTES, BatchHeader};
use super::*;

/// Three batches of one event each; not stopped, nothing in flight.
fn three_batches() -> (MemoryDisk, Events) {
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    for len in [1, 200, 1] {
        run.commit(len);
    }
    (disk, run.events.clone())
}

/// Where batch number `index` of the journal lies.
fn place(files: &BTreeMap<PathBuf, Vec<u8>>, index: usize) -> (PathBuf, usize) {
    let (path, offset, _) = batches(files).swap_remove(index);
    (path, offset)
}

/// The same files with one byte changed within a batch.
fn damaged(disk: &MemoryDisk, index: usize, at: usize) -> (MemoryDisk, PathBuf, usize) {
    let mut files = disk.files();
    let (path, offset) = place(&files, index);
    files.get_mut(&path).unwrap()[offset + at] ^= 0x40;
    (MemoryDisk::of(&files), path, offset)
}

fn refused(disk: &MemoryDisk) -> JournalError {
    start(disk, always()).map(|run| run.replayed).expect_err("damaged")
}

#[test]
fn a_torn_last_batch_is_cut_and_reported_and_its_position_used_again() {
    let _calm = calm();
    let (disk, events) = three_batches();
    let (disk, path, offset) = damaged(&disk, 2, BATCH_HEADER_BYTES + 3);
    let mut run = start(&disk, always()).expect("torn is no reason to refuse");
    let torn = run.replayed.torn.clone().expect("reported");
    assert_eq!((torn.path, torn.offset, torn.lsn), (path, offset as u64, Lsn::new(3)));
    assert!(torn.bytes > BATCH_HEADER_BYTES as u64 && torn.bytes <= BLOCK);
    assert_eq!(run.events, events[..2]);
    assert_eq!(run.commit(7), Lsn::new(3));
    let events = run.events.clone();
    drop(run);
    let again = start(&disk, always()).expect("sound");
    assert_eq!((again.events, again.replayed.torn), (events, None));
}

#[test]
fn damage_below_the_mark_is_refused_with_file_offset_and_position() {
    let _calm = calm();
    let (disk, _) = three_batches();
    let (disk, path, offset) = damaged(&disk, 1, 100);
    let before = disk.files();
    let rot = refused(&disk);
    let what = "the batch is damaged";
    assert_eq!(rot, JournalError::Rot { path, offset: offset as u64, lsn: Lsn::new(2), mark: Lsn::new(2), what });
    assert!(rot.is_damage());
    assert!(rot.to_string().contains("00000001.seg:256 (lsn 2)"), "{rot}");
    assert!(rot.to_string().contains("restore the file from a copy"), "{rot}");
    assert_eq!(disk.files(), before, "nothing was changed");
}

#[test]
fn damage_before_a_closing_batch_is_rot() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    run.idle(&disk);
    drop(run);
    let (disk, ..) = damaged(&disk, 0, 90);
    assert!(matches!(refused(&disk), JournalError::Rot { .. }));
}

#[test]
fn a_damaged_closing_batch_before_an_answered_one_is_rot() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    run.idle(&disk);
    run.commit(1);
    drop(run);
    let (damaged, path, offset) = damaged(&disk, 1, 90);
    let what = "what was synced before a later batch was written is damaged";
    let rot = JournalError::Rot { path, offset: offset as u64, lsn: Lsn::new(2), mark: Lsn::new(1), what };
    assert_eq!(refused(&damaged), rot);
    let mut files = disk.files();
    let (path, offset) = place(&files, 1);
    files.get_mut(&path).unwrap()[offset..offset + BLOCK as usize].fill(0);
    assert_eq!(refused(&MemoryDisk::of(&files)), rot, "zeros are damage as well");
}

#[test]
fn damage_before_a_batch_that_was_written_after_a_sync_is_rot_with_everysec_too() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, options(Appendfsync::Everysec)).expect("a new journal");
    let first = run.commit(1);
    run.hooks.watermarks.durable.wait_past(first.prev(), PATIENCE);
    run.idle(&disk);
    wait_for("a batch behind a synced closing one", || {
        run.commit(1);
        batches(&disk.files()).iter().skip(2).any(|(_, _, header)| header.synced_before)
    });
    drop(run);
    let (damaged, ..) = damaged(&disk, 1, 90);
    assert!(matches!(refused(&damaged), JournalError::Rot { .. }));
}

#[test]
fn a_damaged_header_of_a_segment_that_a_start_began_is_rot_if_a_batch_follows() {
    let _calm = calm();
    for appendfsync in [Appendfsync::Always, Appendfsync::Everysec] {
        let disk = MemoryDisk::default();
        start(&disk, always()).expect("a new journal").commit(1);
        start(&disk, options(appendfsync)).expect("sound").commit(1);
        let mut files = disk.files();
        let salt = batch::SegmentHeader::read(&files[&seg(1)]).unwrap().next_salt;
        files.get_mut(&seg(2)).unwrap()[50] ^= 1;
        let rot = refused(&MemoryDisk::of(&files));
        let what = "the segment header is damaged";
        let mark = Lsn::new(1);
        assert_eq!(rot, JournalError::Rot { path: seg(2), offset: 0, lsn: Lsn::new(2), mark, what });
        // A power cut may have made the segment before as long as it was.
        files.get_mut(&seg(1)).unwrap().resize(4096, 0);
        assert_eq!(refused(&MemoryDisk::of(&files)), rot);
        // Even if it does not say that all before it was synced.
        let bytes = files.get_mut(&seg(2)).unwrap();
        let at = BLOCK as usize;
        let header = BatchHeader::peek(&bytes[at..]).unwrap();
        assert!(header.synced_before);
        let end = at + BATCH_HEADER_BYTES + header.body_len as usize;
        BatchHeader { synced_before: false, durable: Lsn::ZERO, ..header }.write(&mut bytes[at..end], salt);
        assert_eq!(refused(&MemoryDisk::of(&files)), rot);
    }
}

#[test]
fn the_loss_of_all_segments_behind_a_roll_is_noticed() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    for _ in 0..2 {
        run.commit(1_800);
    }
    assert_eq!(disk.files()[&seg(1)].len(), 4096, "there is no next header");
    run.commit(1_800);
    wait_for("the cut", || disk.files()[&seg(1)].len() < 4096);
    let events = run.events.clone();
    let mut files = disk.after_kill().files();
    drop(run);
    assert_eq!(start(&MemoryDisk::of(&files), always()).expect("sound").events, events);
    files.retain(|path, _| *path == seg(1));
    let JournalError::Rot { path, lsn, what, .. } = refused(&MemoryDisk::of(&files)) else { panic!("rot") };
    assert_eq!((path, lsn, what), (seg(1), Lsn::new(3), "the file is shorter than it was made"));
}

#[test]
fn what_the_disk_cannot_read_is_refused_and_nothing_is_cut() {
    let _calm = calm();
    let (disk, _) = three_batches();
    for byte in [0, 200, 520] {
        let disk = disk.after_kill();
        disk.faults(|faults| faults.unreadable = Some((seg(1), byte)));
        let before = disk.files();
        let error = refused(&disk);
        assert!(matches!(error, JournalError::Io { doing: "reading", .. }) && !error.is_damage(), "{error}");
        assert_eq!(disk.files(), before, "it may be readable again");
    }
}

#[test]
fn damage_below_what_the_ledger_has_seen_is_rot() {
    let _calm = calm();
    let (disk, _) = three_batches();
    let (disk, ..) = damaged(&disk, 2, 90);
    let known = |lsn| start(&disk, Options { known_durable: Lsn::new(lsn), ..always() });
    assert!(matches!(known(3), Err(JournalError::Rot { .. })));
    assert!(known(2).is_ok());
}

#[test]
fn a_journal_that_ends_before_what_the_ledger_holds_says_so_and_keeps_all_it_has() {
    let _calm = calm();
    let (disk, _) = three_batches();
    let mut closed = Journal::open(disk.disk(), data(), always()).expect("there");
    closed.expect_durable(Lsn::new(4));
    let hooks = start(&MemoryDisk::default(), always()).expect("a new journal").hooks;
    let (_, older) = closed.replay_into(&mut |_, _| (), hooks, &mut |_| ()).expect("sound, and older than the ledger");
    assert_eq!((older.last_lsn, older.behind, older.torn), (Lsn::new(3), Some(Lsn::new(4)), None));
    let known =
        |lsn| start(&disk, Options { known_durable: Lsn::new(lsn), ..always() }).expect("sound").replayed.behind;
    assert_eq!([known(3), known(4)], [None, Some(Lsn::new(4))]);
}

#[test]
fn a_missing_segment_is_refused() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    for _ in 0..3 {
        let mut run = start(&disk, always()).expect("sound");
        run.commit(1);
        run.journal.finish(NOW).expect("a clean stop");
    }
    for number in 1..3 {
        let mut files = disk.files();
        files.remove(&seg(number));
        assert_eq!(refused(&MemoryDisk::of(&files)), JournalError::Missing { path: seg(number) });
    }
}

#[test]
fn a_batch_forged_inside_a_value_is_not_taken_for_one() {
    let _calm = calm();
    let forge = |salt: u32| {
        // Where the value's own bytes reach the next block boundary, a batch that names everything durable.
        let mut forged = vec![0; BATCH_HEADER_BYTES];
        let header = BatchHeader {
            ends_journal: false,
            synced_before: true,
            term: 1,
            owner: [0; 16],
            first_lsn: Lsn::new(3),
            count: 0,
            body_len: 0,
            durable: Lsn::new(1_000),
            at: NOW,
            prev_chain: 0,
            crc: 0,
        };
        header.write(&mut forged, salt);
        forged
    };
    let before_value = BATCH_HEADER_BYTES + 8 + 14;
    let mut value = vec![0; BLOCK as usize - before_value];
    value.extend(forge(0));
    value.resize(value.len().next_multiple_of(BLOCK as usize), 0);
    value.extend(forge(0x1234_5678));
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    run.append(&set(&value));
    run.settle();
    assert_eq!(batches(&disk.files()).iter().filter(|(.., header)| header.durable == Lsn::new(1_000)).count(), 1);
    let events = run.events.clone();
    drop(run);
    // With its own batch torn, the forged one must not make rot of it.
    let (torn, ..) = damaged(&disk, 1, 20);
    assert_eq!(start(&disk, always()).expect("sound").events, events);
    assert_eq!(start(&torn, always()).expect("torn").events, events[..1]);
}

#[test]
fn sound_batches_behind_a_hole_above_the_mark_are_dropped_and_never_come_back() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, options(Appendfsync::No)).expect("a new journal");
    for _ in 0..4 {
        run.commit(1);
    }
    let events = run.events.clone();
    let mut files = disk.after_kill().files();
    drop(run);
    let (path, offset) = place(&files, 1);
    files.get_mut(&path).unwrap()[offset..offset + BLOCK as usize].fill(0);
    let disk = MemoryDisk::of(&files);
    for round in 0..3 {
        let mut run = start(&disk, always()).expect("torn, then sound");
        assert_eq!(run.events[..1], events[..1]);
        assert_eq!(run.replayed.torn.is_some(), round == 0);
        assert_eq!(run.commit(100 + round), Lsn::new(2 + round as u64));
    }
}

#[test]
fn a_lost_header_with_nothing_answered_behind_it_is_torn_and_else_rot() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1_800);
    run.commit(1_800);
    let rolled = run.commit(1_800);
    let events = run.events.clone();
    wait_for("the cut", || disk.files()[&seg(1)].len() < 4096);
    let answered = disk.after_kill();
    drop(run);
    // As it is before the segment in front of it is cut, which is before anything is answered from behind it.
    let mut files = answered.files();
    files.get_mut(&seg(1)).unwrap().resize(4096, 0);
    let torn_roll = MemoryDisk::of(&files);
    let without_header = |disk: &MemoryDisk| {
        let mut files = disk.files();
        files.get_mut(&seg(2)).unwrap()[..BLOCK as usize].fill(0);
        MemoryDisk::of(&files)
    };
    let torn = without_header(&torn_roll);
    let mut again = start(&torn, always()).expect("torn");
    assert_eq!(again.events, events[..2]);
    assert_eq!(again.replayed.torn.clone().expect("reported").path, seg(2));
    assert_eq!(again.commit(5), rolled);
    drop(again);
    assert_eq!(start(&torn, always()).expect("sound").events.len(), 3);
    let JournalError::Rot { path, offset, lsn, .. } = refused(&without_header(&answered)) else { panic!("rot") };
    assert_eq!((path, offset, lsn), (seg(2), 0, rolled));
}

#[test]
fn a_journal_of_a_newer_release_is_refused_by_name() {
    let _calm = calm();
    let (disk, _) = three_batches();
    let mut files = disk.files();
    let (path, offset) = place(&files, 2);
    let bytes = files.get_mut(&path).unwrap();
    bytes[offset + BATCH_HEADER_BYTES] = 99;
    let header = BatchHeader::peek(&bytes[offset..]).unwrap();
    let salt = batch::SegmentHeader::read(bytes).unwrap().salt;
    header.write(&mut bytes[offset..offset + BATCH_HEADER_BYTES + header.body_len as usize], salt);
    let newer = refused(&MemoryDisk::of(&files));
    assert!(matches!(newer, JournalError::Newer { .. }));
    assert!(newer.to_string().contains("kind 99") && newer.to_string().contains("newer release"), "{newer}");
}

/// Three batches, of which the second was exchanged for another one that is sound by itself.
fn exchanged_batch() -> MemoryDisk {
    let (disk, _) = three_batches();
    let mut files = disk.files();
    let (path, offset) = place(&files, 1);
    let bytes = files.get_mut(&path).unwrap();
    let salt = batch::SegmentHeader::read(bytes).unwrap().salt;
    let header = BatchHeader { at: Millis(5), ..BatchHeader::peek(&bytes[offset..]).unwrap() };
    header.write(&mut bytes[offset..offset + BATCH_HEADER_BYTES + header.body_len as usize], salt);
    MemoryDisk::of(&files)
}

#[test]
fn a_batch_exchanged_for_another_breaks_the_chain() {
    let _calm = calm();
    let rot = refused(&exchanged_batch());
    assert!(matches!(rot, JournalError::Rot { lsn, .. } if lsn == Lsn::new(3)), "{rot}");
}

#[cfg(feature = "sabotage")]
#[test]
fn ignoring_the_chain_is_noticed() {
    let found = crate::sabotage::peace::broken(crate::sabotage::Sabotage::IgnoreChain, || {
        start(&exchanged_batch(), always()).map(|run| run.events.len())
    });
    assert_eq!(found, Ok(3));
}

#[test]
fn every_truncation_of_a_killed_journal_is_refused() {
    let _calm = calm();
    let (disk, _) = three_batches();
    let mut files = disk.files();
    files.remove(&seg(2));
    for len in 0..4096 {
        let mut changed = files.clone();
        changed.get_mut(&seg(1)).unwrap().truncate(len);
        let rot = refused(&MemoryDisk::of(&changed));
        assert!(matches!(rot, JournalError::Rot { .. }), "cut at {len}: {rot}");
    }
}
