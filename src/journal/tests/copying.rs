//! A copy is a prefix: of a journal that rests, at every position; of one that is being written, as far as was asked.

use super::super::scribe::{LOG, OPTIONS, Scribe};
use super::*;
use crate::core::Users;

fn target() -> &'static Path {
    Path::new("/copy")
}

fn events(disk: &dyn Disk, dir: &Path) -> Result<(Events, Replayed), JournalError> {
    let mut events = Events::new();
    let mut visit = |lsn: Lsn, event: &Event<'_>| events.push((lsn.get(), bytes_of(event)));
    let replayed =
        recover::look(disk, &segment::directory(dir), &OPTIONS, LOG, &Base::default(), &mut visit, &mut |_| ())?;
    Ok((events, replayed))
}

fn written() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let shared = disk.disk();
    let mut scribe = Scribe::open(&shared, data()).unwrap();
    scribe.create(0, "spring", 100, Users::Int);
    scribe.grant(0, 1..=30);
    scribe.stop();
    let mut scribe = Scribe::open(&shared, data()).unwrap();
    scribe.grant(0, 31..=40);
    disk
}

#[test]
fn a_copy_up_to_any_position_is_that_prefix_and_opens_as_one() {
    let _calm = calm();
    let disk = written();
    let (all, _) = events(&disk, data()).unwrap();
    for upto in 1..=all.len() as u64 {
        let disk = disk.after_kill();
        let copied = copy(&disk, data(), target(), Some(Lsn::new(upto)), &mut |_| ()).unwrap().expect("a journal");
        assert_eq!((copied.last, copied.log), (Lsn::new(upto), LOG));
        let (there, replayed) = events(&disk, target()).unwrap();
        assert_eq!((there, replayed.torn), (all[..upto as usize].to_vec(), None), "up to {upto}");
        let copies = disk.files().into_iter().filter(|(path, _)| path.starts_with(target()));
        assert_eq!(copies.map(|(_, bytes)| bytes.len() as u64).sum::<u64>(), copied.bytes);
        let cut = disk.after_power_cut(|| false);
        assert_eq!(events(&cut, target()).unwrap().0.len() as u64, upto, "it is on disk");
        let mut scribe = Scribe::open(&(Arc::new(disk) as Arc<dyn Disk>), target()).unwrap();
        assert_eq!(scribe.set("k", b"v"), Lsn::new(upto + 1), "it goes on");
    }
}

#[test]
fn any_damage_to_a_copy_is_rot() {
    let _calm = calm();
    let disk = written();
    copy(&disk, data(), target(), Some(Lsn::new(35)), &mut |_| ()).unwrap().expect("a journal");
    let files = disk.files();
    let whole = events(&disk, target()).unwrap().0;
    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with(target())) {
        for at in (0..bytes.len()).step_by(7) {
            let mut files = files.clone();
            files.get_mut(path).unwrap()[at] ^= 1;
            match events(&MemoryDisk::of(&files), target()) {
                Ok((there, _)) => assert_eq!(there, whole, "{}:{at}", path.display()),
                Err(error) => assert!(error.is_damage(), "{error}"),
            }
        }
    }
}

#[test]
fn a_damaged_journal_and_a_missing_one_are_not_copied() {
    let _calm = calm();
    let disk = written();
    let mut files = disk.files();
    let place = place_of(&disk, data(), Lsn::new(10)).unwrap().expect("it is there");
    files.get_mut(&place.path).unwrap()[place.offset as usize + 90] ^= 1;
    for upto in [None, Some(Lsn::new(39))] {
        let error = copy(&MemoryDisk::of(&files), data(), target(), upto, &mut |_| ()).unwrap_err();
        assert!(matches!(error, JournalError::Rot { .. }), "{error}");
    }
    assert_eq!(copy(&MemoryDisk::default(), data(), target(), None, &mut |_| ()), Ok(None));
    let full = disk.after_kill();
    full.faults(|faults| faults.room = Some(full_bytes(&disk) + 500));
    let error = copy(&full, data(), target(), None, &mut |_| ()).unwrap_err();
    assert!(matches!(error, JournalError::Io { doing: "writing", .. }), "{error}");
}

fn full_bytes(disk: &MemoryDisk) -> usize {
    disk.files().values().map(Vec::len).sum()
}

#[test]
fn a_journal_that_is_being_written_is_copied_as_far_as_was_asked() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let shared = disk.disk();
    let mut scribe = Scribe::open(&shared, data()).unwrap();
    scribe.create(0, "spring", 10_000, Users::Int);
    let durable = Arc::new(AtomicU64::new(1));
    std::thread::scope(|threads| {
        let told = Arc::clone(&durable);
        let writer = threads.spawn(move || {
            for seat in 1..=600 {
                told.store(scribe.grant(0, seat..=seat).get(), Ordering::SeqCst);
            }
        });
        for round in 0.. {
            let upto = Lsn::new(durable.load(Ordering::SeqCst));
            let to = PathBuf::from(format!("/copy-{round}"));
            let done = writer.is_finished();
            let copied = copy(&disk, data(), &to, Some(upto), &mut |_| ()).unwrap().expect("a journal");
            let (there, _) = events(&disk, &to).unwrap();
            assert_eq!((copied.last, there.len() as u64), (upto, upto.get()));
            if done {
                break;
            }
        }
        writer.join().expect("it writes");
    });
}

#[test]
fn a_copy_made_right_behind_a_snapshot_begins_at_that_snapshot() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let shared = disk.disk();
    let mut scribe = Scribe::open(&shared, data()).unwrap();
    scribe.create(0, "spring", 100, Users::Int);
    scribe.grant(0, 1..=1);
    let last = scribe.save();
    copy_bases(&disk, data(), target()).unwrap();
    let copied = copy(&disk, data(), target(), Some(last), &mut |_| ()).unwrap().expect("a journal");
    assert_eq!((copied.last, copied.files), (Lsn::new(2), 2), "the segment behind the snapshot, which is empty, too");
    let (_, replayed) = look(&disk, target(), &OPTIONS, &mut Core::new(3), &mut |_| ()).unwrap().expect("a journal");
    assert_eq!((replayed.last_lsn, replayed.snapshot, replayed.torn), (last, last, None));
    let cut = disk.after_power_cut(|| false);
    let (_, replayed) = look(&cut, target(), &OPTIONS, &mut Core::new(3), &mut |_| ()).unwrap().expect("a journal");
    assert_eq!(replayed.snapshot, last, "it is on disk");
    let mut copy = Scribe::open(&shared, target()).unwrap();
    assert_eq!(copy.set("k", b"v"), last.next(), "it goes on");
}

#[test]
fn a_copy_holds_snapshots_and_history_and_opens_with_the_same_state() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let shared = disk.disk();
    let mut scribe = Scribe::open(&shared, data()).unwrap();
    scribe.create(0, "spring", 1_000, Users::Int);
    for round in 0..4 {
        scribe.grant(0, round * 40 + 1..=round * 40 + 40);
        scribe.save();
    }
    let last = scribe.grant(0, 161..=170);
    copy_bases(&disk, data(), target()).unwrap();
    let copied = copy(&disk, data(), target(), Some(last), &mut |_| ()).unwrap().expect("a journal");
    assert_eq!(copied.last, last);
    let names = |dir: &Path| {
        let files = disk.files().into_keys().filter(|path| path.starts_with(dir));
        let names: Vec<PathBuf> = files.map(|path| path.strip_prefix(dir).unwrap().to_owned()).collect();
        names
    };
    for kind in ["history", "snapshots"] {
        assert_eq!(names(&target().join(kind)), names(&data().join(kind)), "{kind}");
        assert!(!names(&target().join(kind)).is_empty(), "{kind}");
    }
    let state = |dir: &Path| {
        let mut core = Core::new(3);
        let (_, replayed) = look(&disk, dir, &OPTIONS, &mut core, &mut |_| ()).unwrap().expect("a journal");
        let facts: Vec<(u32, u32)> = core.campaigns().map(|facts| (facts.id.0, facts.granted)).collect();
        (replayed.last_lsn, replayed.snapshot, facts, core.marks())
    };
    assert_eq!(state(target()), state(data()));
    let mut reader = read_only(disk.disk(), target()).unwrap().expect("a journal");
    let mut seats = 0;
    let mut visit = |_: Lsn, event: &Event<'_>| seats += u32::from(matches!(event, Event::Granted { .. }));
    reader.catch_up(&mut visit, &mut |_| ()).unwrap();
    assert_eq!(seats, 170, "readers find everything in the copy");
    clear(&disk, target()).unwrap();
    assert!(names(target()).is_empty());
}
