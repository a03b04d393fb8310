//! The helper that makes the next segment ahead of its need: a new file costs its zero bytes before, not during, a batch.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Disk, DiskFile, Hooks, JournalError, Room, segment};

/// Between two attempts while the disk has no room.
const RETRY: Duration = Duration::from_millis(500);

const MAKING: u8 = 0;
const READY: u8 = 1;
const FAILED: u8 = 2;

/// A segment of zero bytes that already has its number.
pub(super) struct Spare {
    pub number: u64,
    pub file: Arc<dyn DiskFile>,
}

/// The loop's hold on the helper.
pub(super) struct Maker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    phase: AtomicU8,
    stop: AtomicBool,
    desk: Mutex<Desk>,
    changed: Condvar,
}

struct Desk {
    next: u64,
    spare: Option<Spare>,
    trouble: String,
}

impl Maker {
    /// Starts to make segment `next`.
    pub fn start(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        next: u64,
        segment_bytes: u64,
        hooks: Hooks,
    ) -> Result<Maker, JournalError> {
        let shared = Arc::new(Shared {
            phase: AtomicU8::new(MAKING),
            stop: AtomicBool::new(false),
            desk: Mutex::new(Desk { next, spare: None, trouble: String::new() }),
            changed: Condvar::new(),
        });
        let work = Arc::clone(&shared);
        let path = dir.clone();
        let thread = std::thread::Builder::new()
            .name("journal-maker".into())
            .spawn(move || work.run(disk.as_ref(), &dir, segment_bytes, &hooks))
            .map_err(|error| JournalError::io("starting the maker of", &path, &error))?;
        Ok(Maker { shared, thread: Some(thread) })
    }

    /// Whether a segment can be taken, will be, or why not.
    pub fn room(&self) -> Room {
        match self.shared.phase.load(Ordering::Acquire) {
            READY => Room::Ready,
            MAKING => Room::Wait,
            _ => Room::Refused(self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()),
        }
    }

    /// Takes the segment and has the next one made.
    pub fn take(&self) -> Option<Spare> {
        let mut desk = self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = desk.spare.take()?;
        self.shared.phase.store(MAKING, Ordering::Release);
        drop(desk);
        self.shared.changed.notify_all();
        Some(spare)
    }

    /// Ends the helper; answers the segment that nobody took.
    pub fn stop(&mut self) -> Option<Spare> {
        self.shared.stop.store(true, Ordering::Release);
        drop(self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the maker does not panic");
        }
        self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner).spare.take()
    }
}

impl Shared {
    fn run(&self, disk: &dyn Disk, dir: &Path, segment_bytes: u64, hooks: &Hooks) {
        let stopped = || self.stop.load(Ordering::Acquire);
        while let Some(number) = self.wanted() {
            match segment::make(disk, dir, number, segment_bytes, &stopped) {
                Ok(None) => return,
                Ok(Some(file)) => {
                    let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
                    desk.next = number + 1;
                    desk.spare = Some(Spare { number, file });
                    self.phase.store(READY, Ordering::Release);
                    drop(desk);
                    hooks.figures.journal_bytes.add(segment_bytes);
                    if !hooks.figures.journal_trouble.get().is_empty() {
                        hooks.figures.journal_trouble.set("");
                        tracing::info!("there is room for the journal again; writes are taken");
                    }
                    (hooks.on_progress)();
                }
                Err(error) => {
                    let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
                    desk.trouble = error.to_string();
                    let news = self.phase.swap(FAILED, Ordering::AcqRel) != FAILED;
                    hooks.figures.journal_trouble.set(desk.trouble.clone());
                    drop(desk);
                    if news {
                        tracing::error!(
                            "{error}; when the open segment is full, writes will be refused (MISCONF) until there is room; \
                             trying again twice a second"
                        );
                        (hooks.on_progress)();
                    }
                    if !stopped() {
                        let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
                        drop(self.changed.wait_timeout_while(desk, RETRY, |_| !stopped()));
                    }
                }
            }
        }
    }

    /// Waits until a segment is wanted; `None` is the end.
    fn wanted(&self) -> Option<u64> {
        let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |desk: &mut Desk| desk.spare.is_some() && !self.stop.load(Ordering::Acquire);
        let desk = self.changed.wait_while(desk, idle).unwrap_or_else(PoisonError::into_inner);
        (!self.stop.load(Ordering::Acquire)).then_some(desk.next)
    }
}
