//! The reader: follows a running journal, reads a stopped one.

use super::*;

fn all(reader: &mut Reader, upto: Lsn) -> Events {
    let mut events = Events::new();
    while let Some(batch) = reader.next(upto).expect("sound") {
        let before = events.len();
        events.extend(batch.events().map(|record| record.map(|(lsn, event)| (lsn.get(), bytes_of(&event))).unwrap()));
        assert_eq!(batch.first.get(), events[before].0);
        assert_eq!(batch.last.get(), events[events.len() - 1].0);
        assert_eq!(batch.at, NOW);
    }
    events
}

#[test]
fn a_reader_follows_a_running_journal_through_its_segments() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut reader = Reader::open(disk.disk(), data(), Lsn::new(1)).expect("nothing there yet");
    assert_eq!(reader.next(Lsn::ZERO), Ok(None));
    let mut run = start(&disk, always()).expect("a new journal");
    let mut seen = Events::new();
    for round in 0..40 {
        run.put(round * 40);
        run.put(1);
        if round % 5 == 0 {
            run.settle();
            run.idle(&disk);
        }
        seen.extend(all(&mut reader, run.hooks.watermarks.durable.get()));
    }
    run.settle();
    seen.extend(all(&mut reader, run.hooks.watermarks.durable.get()));
    assert_eq!(seen, run.events);
}

#[test]
fn a_reader_begins_anywhere_and_ends_where_it_is_told() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    for round in 0..3 {
        let mut run = start(&disk, always()).expect("sound");
        for len in [10, 1_500, 20, 1_500, 30] {
            run.put(len + round);
            run.put(1);
            run.settle();
        }
        run.journal.finish(NOW).expect("a clean stop");
    }
    let run = start(&disk, always()).expect("sound");
    let last = run.replayed.last_lsn;
    assert!(last >= Lsn::new(30));
    for from in 1..=last.get() {
        let mut reader = Reader::open(disk.disk(), data(), Lsn::new(from)).expect("there");
        assert_eq!(all(&mut reader, last), run.events[from as usize - 1..]);
        assert_eq!(reader.next(last), Ok(None));
    }
    let mut reader = Reader::open(disk.disk(), data(), last.next()).expect("there");
    assert_eq!(reader.next(last), Ok(None));
}

#[test]
fn a_reader_skips_what_was_cut() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, options(Appendfsync::No)).expect("a new journal");
    for _ in 0..4 {
        run.commit(1);
    }
    let mut files = disk.after_kill().files();
    drop(run);
    files.get_mut(&seg(1)).unwrap()[2 * BLOCK as usize + 90] ^= 1;
    let disk = MemoryDisk::of(&files);
    let mut run = start(&disk, always()).expect("torn");
    assert_eq!(run.replayed.last_lsn, Lsn::new(1));
    run.commit(77);
    run.commit(78);
    let mut reader = Reader::open(disk.disk(), data(), Lsn::new(1)).expect("there");
    assert_eq!(all(&mut reader, Lsn::new(3)), run.events);
}

#[test]
fn a_reader_tells_where_a_file_is_damaged() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    run.commit(1);
    let mut files = disk.files();
    files.get_mut(&seg(1)).unwrap()[2 * BLOCK as usize + 90] ^= 1;
    let mut reader = Reader::open(MemoryDisk::of(&files).disk(), data(), Lsn::new(1)).expect("there");
    assert!(reader.next(Lsn::new(2)).is_ok_and(|batch| batch.is_some()));
    let rot = reader.next(Lsn::new(2)).expect_err("damaged");
    assert!(matches!(rot, JournalError::Rot { offset: 256, lsn, .. } if lsn == Lsn::new(2)), "{rot}");
}
