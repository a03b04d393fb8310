//! The journal in a shrunk world: blocks of 128 bytes, segments of 4 KiB, a disk that can fail.

mod compacting;
mod copying;
mod damage;
pub(crate) mod every_bit;
mod following;
mod fuzz;
mod older;
mod looking;
mod power;
mod running;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLockReadGuard};
use std::time::Duration;

use super::memory::MemoryDisk;
use super::*;
use crate::ids::{Db, Millis};

/// Long enough for any machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
const NOW: Millis = Millis(1_000);
const BLOCK: u64 = 128;

fn calm() -> RwLockReadGuard<'static, ()> {
    crate::sabotage::peace::keep()
}

fn options(appendfsync: Appendfsync) -> Options {
    Options { segment_bytes: 4096, block_bytes: BLOCK, batch_bytes_max: 2048, appendfsync, known_durable: Lsn::ZERO }
}

fn always() -> Options {
    options(Appendfsync::Always)
}

fn data() -> &'static Path {
    Path::new("/data")
}

fn seg(number: u64) -> PathBuf {
    segment::path(&segment::directory(data()), number)
}

/// Events as they were given to `append` or to replay: position and bytes.
type Events = Vec<(u64, Vec<u8>)>;

/// A journal that runs, with all that it told.
struct Run {
    journal: Journal<Open>,
    replayed: Replayed,
    events: Events,
    hooks: Hooks,
    progress: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<JournalError>>>,
    /// The end of what was left out last.
    skipped_to: u64,
}

fn start(disk: &dyn AsDisk, options: Options) -> Result<Run, JournalError> {
    start_in(disk, data(), options)
}

fn start_in(disk: &dyn AsDisk, dir: &Path, options: Options) -> Result<Run, JournalError> {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&failures);
    let progress = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&progress);
    let hooks = Hooks {
        watermarks: Arc::default(),
        figures: Arc::default(),
        on_progress: Arc::new(move || {
            told.fetch_add(1, Ordering::SeqCst);
        }),
        on_failure: Arc::new(move |error| seen.lock().unwrap().push(error)),
    };
    let mut events = Vec::new();
    let closed = Journal::open(disk.disk(), dir, options)?;
    let (journal, replayed) =
        closed.replay_into(&mut |lsn, event| events.push((lsn.get(), bytes_of(event))), hooks.clone(), &mut |_| ())?;
    Ok(Run { journal, replayed, events, hooks, progress, failures, skipped_to: 0 })
}

trait AsDisk {
    fn disk(&self) -> Arc<dyn Disk>;
}

impl AsDisk for MemoryDisk {
    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }
}

impl AsDisk for RealDisk {
    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(*self)
    }
}

fn bytes_of(event: &Event<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::encode(event, false, &mut bytes);
    bytes
}

fn set(value: &[u8]) -> Event<'_> {
    Event::KeySet { db: Db(0), key: b"k", value: value.into(), expires: Millis::NEVER }
}

fn counted(key: &[u8], value: i64) -> Event<'_> {
    Event::KeyCounted { db: Db(0), key, value }
}

impl Run {
    /// Waits for room.
    fn room(&mut self, bytes: usize) {
        wait_for("room", || {
            let ready = self.journal.room(bytes) == Room::Ready;
            if !ready {
                self.journal.seal(NOW);
            }
            ready
        });
    }

    /// Appends one event as a group of its own.
    fn append(&mut self, event: &Event<'_>) -> Lsn {
        self.room(bytes_of(event).len());
        let lsn = self.journal.append(event, false);
        self.events.push((lsn.get(), bytes_of(event)));
        lsn
    }

    /// Appends a value of so many bytes.
    fn put(&mut self, len: usize) -> Lsn {
        let value = vec![b'v'; len];
        self.append(&set(&value))
    }

    /// Waits until everything appended can be answered.
    fn settle(&mut self) {
        let last = Lsn::new(self.events.last().map_or(0, |(lsn, _)| *lsn));
        wait_for("an answer", || {
            self.journal.seal(NOW);
            self.journal.answerable().covers(last)
        });
    }

    /// One batch with one value, answered.
    fn commit(&mut self, len: usize) -> Lsn {
        let lsn = self.put(len);
        self.settle();
        lsn
    }

    /// Ticks until the empty batch that raises the mark has been written.
    fn idle(&mut self, disk: &MemoryDisk) {
        let before = batches(&disk.files()).len();
        wait_for("a closing batch", || {
            self.journal.tick(NOW);
            batches(&disk.files()).len() > before
        });
    }
}

/// Tries until it is so. Panics when that takes too long.
#[expect(clippy::disallowed_methods, reason = "the end of patience is an instant")]
fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !so() {
        assert!(std::time::Instant::now() < deadline, "waited too long for {what}");
        std::thread::yield_now();
    }
}

/// All blocks that begin like a batch: file, offset, header.
fn batches(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<(PathBuf, usize, batch::BatchHeader)> {
    let mut found = Vec::new();
    for (path, bytes) in files {
        for offset in (0..bytes.len()).step_by(BLOCK as usize) {
            if let Some(header) = batch::BatchHeader::peek(&bytes[offset..]) {
                found.push((path.clone(), offset, header));
            }
        }
    }
    found
}

/// The numbers of a splitmix64 generator: the same seed, the same numbers.
fn draws(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
