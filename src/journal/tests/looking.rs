//! A look at a journal that somebody else may be writing: the same verdicts as recovery, nothing changed.

use std::io;
use std::sync::atomic::AtomicBool;

use super::*;

fn open(disk: &dyn AsDisk) -> Result<Option<ReadOnly>, JournalError> {
    read_only(disk.disk(), data())
}

/// What is new.
fn more(look: &mut ReadOnly) -> Result<Events, JournalError> {
    let mut events = Events::new();
    look.catch_up(&mut |lsn, event| events.push((lsn.get(), bytes_of(event))), &mut |_| ())?;
    Ok(events)
}

fn all(disk: &MemoryDisk) -> Result<(Events, Option<TornTail>), JournalError> {
    let Some(mut look) = open(disk)? else { return Ok((Events::new(), None)) };
    let events = more(&mut look)?;
    Ok((events, look.torn().cloned()))
}

#[test]
fn a_look_follows_a_running_journal_through_its_segments() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    assert!(open(&disk).unwrap().is_none());
    let mut run = start(&disk, always()).expect("a new journal");
    let mut look = open(&disk).unwrap().expect("begun");
    let mut seen = Events::new();
    for round in 0..40 {
        run.put(round * 40);
        run.put(1);
        run.settle();
        if round % 5 == 0 {
            run.idle(&disk);
        }
        let before = disk.files();
        seen.extend(more(&mut look).unwrap());
        assert_eq!(seen, run.events, "round {round}");
        // The maker may have made a spare meanwhile; what was there is as it was, but for what the journal cut.
        for (path, bytes) in disk.files().iter().filter(|(path, _)| before.contains_key(*path)) {
            assert!(before[path].starts_with(bytes), "{} was changed", path.display());
        }
    }
    let log = look.log_id();
    run.journal.finish(NOW).unwrap();
    assert_eq!((more(&mut look), look.torn()), (Ok(vec![]), None));
    let mut again = start(&disk, always()).expect("sound");
    again.commit(9);
    assert_eq!(more(&mut look).unwrap(), again.events[seen.len()..], "of the next process");
    assert_eq!(look.log_id(), log);
}

#[test]
fn a_look_never_calls_a_journal_damaged_because_it_is_being_written() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    let (over, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    let events = std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            let mut look = open(&disk).unwrap().expect("begun");
            let mut seen = Events::new();
            while !over.load(Ordering::SeqCst) {
                seen.extend(more(&mut look).expect("nothing is damaged"));
                looks.fetch_add(1, Ordering::SeqCst);
            }
            seen.extend(more(&mut look).expect("nothing is damaged"));
            seen
        });
        let mut draw = draws(7);
        let mut written = 0;
        while written < 400 || (looks.load(Ordering::SeqCst) < 20 && !looker.is_finished()) {
            run.put((draw() % 300) as usize);
            written += 1;
        }
        run.settle();
        over.store(true, Ordering::SeqCst);
        looker.join().expect("its assertions hold")
    });
    assert_eq!(events, run.events);
}

/// A disk on which a segment is filled between every list of files and the first look into one of them.
struct Overtaking {
    now: MemoryDisk,
    run: Mutex<Run>,
}

impl Disk for Overtaking {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = self.now.list(dir);
        let mut run = self.run.lock().unwrap();
        for _ in 0..30 {
            run.commit(200);
        }
        names
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.now.open(path)
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        unreachable!("nobody writes through it")
    }
    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        unreachable!("nobody writes through it")
    }
    fn open_to_write(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        unreachable!("nobody writes through it")
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!("nobody writes through it")
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        unreachable!("nobody writes through it")
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        unreachable!("nobody writes through it")
    }
}

#[test]
fn who_writes_faster_than_a_look_reads_is_not_called_damaged_either() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    let overtaking = Arc::new(Overtaking { now: disk.clone(), run: Mutex::new(run) });
    let mut look = read_only(overtaking.clone(), data()).unwrap().unwrap();
    let seen = more(&mut look).expect("nothing is damaged");
    let run = overtaking.run.lock().unwrap();
    assert!(!seen.is_empty() && seen.len() < run.events.len(), "it was overtaken");
    assert_eq!(seen, run.events[..seen.len()]);
}

/// A disk that once shows a file as it never was: what was written first is not there yet, what came later is.
struct Blinking {
    now: MemoryDisk,
    once: MemoryDisk,
    opened: AtomicU64,
}

impl Disk for Blinking {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.now.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.now.list(dir)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.now.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        // The first two look at the header, for `read_only` and for the first look.
        let blinks = path == seg(1) && self.opened.fetch_add(1, Ordering::SeqCst) == 2;
        if blinks { self.once.open(path) } else { self.now.open(path) }
    }
    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.now.open_to_write(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.now.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.now.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.now.sync_dir(dir)
    }
}

#[test]
fn what_was_half_written_at_the_first_look_is_whole_at_the_second() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    for len in [1, 200, 1] {
        run.commit(len);
    }
    let mut files = disk.files();
    let (path, offset, _) = batches(&files).swap_remove(1);
    files.get_mut(&path).unwrap()[offset..offset + BLOCK as usize].fill(0);
    let once = MemoryDisk::of(&files);
    assert!(all(&once).is_err_and(|error| error.is_damage()), "for good, it would be rot");
    let blinking = Arc::new(Blinking { now: disk, once, opened: AtomicU64::new(0) });
    let mut look = read_only(blinking.clone(), data()).unwrap().unwrap();
    assert_eq!(more(&mut look).unwrap(), run.events);
    assert!(blinking.opened.load(Ordering::SeqCst) > 3, "it looked again");
}

#[test]
fn a_torn_tail_is_no_error_and_is_left_as_it_is() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    for len in [1, 200, 1] {
        run.commit(len);
    }
    let mut files = disk.files();
    let (path, offset, _) = batches(&files).swap_remove(2);
    files.get_mut(&path).unwrap()[offset + 90] ^= 1;
    let torn = MemoryDisk::of(&files);
    let (events, tail) = all(&torn).unwrap();
    assert_eq!((events, tail.map(|tail| tail.offset)), (run.events[..2].to_vec(), Some(offset as u64)));
    assert_eq!(torn.files(), files);
}

/// Looks say what a start would say.
fn same_as_a_start(files: &BTreeMap<PathBuf, Vec<u8>>, what: &str) -> bool {
    let looked = all(&MemoryDisk::of(files));
    let started = start(&MemoryDisk::of(files), always()).map(|run| (run.events.clone(), run.replayed.torn.clone()));
    match (looked, started) {
        (Ok(looked), Ok(started)) => {
            assert_eq!(looked, started, "{what}");
            false
        }
        (Err(_), Err(_)) => true,
        (looked, started) => panic!("{what}: a look says {looked:?}, a start {started:?}"),
    }
}

#[test]
fn every_damaged_byte_gets_the_same_verdict_from_a_look_and_from_a_start() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    for len in [1, 200, 1, 700, 30] {
        run.commit(len);
    }
    run.idle(&disk);
    let mut files = disk.files();
    files.retain(|path, _| *path == seg(1));
    let end = batches(&files).last().map(|(_, offset, _)| offset + BLOCK as usize).unwrap();
    let mut refused = 0;
    for at in (0..end).step_by(3) {
        let mut damaged = files.clone();
        damaged.get_mut(&seg(1)).unwrap()[at] ^= 0x10;
        refused += usize::from(same_as_a_start(&damaged, &format!("byte {at}")));
    }
    assert!(refused > 100);
    for len in (0..end).step_by(BLOCK as usize / 2) {
        let mut cut = files.clone();
        cut.get_mut(&seg(1)).unwrap().truncate(len);
        same_as_a_start(&cut, &format!("cut at {len}"));
    }
}
