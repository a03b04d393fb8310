//! The helper that makes the next segment ahead of its need: a new file costs its zero bytes before, not during, a batch.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Disk, DiskFile, Hooks, JournalError, Room, segment};
use crate::edge;

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

/// A segment behind which another one was begun: what lies behind its batches can go.
pub(super) struct Rolled {
    pub file: Arc<dyn DiskFile>,
    pub path: PathBuf,
    pub end: u64,
}

enum Work {
    Make(u64),
    Cut(Rolled),
}

/// The loop's hold on the helper.
pub(super) struct Maker {
    helper: Arc<Helper>,
    thread: Option<JoinHandle<()>>,
}

/// What the helper and those who give it work share.
pub(super) struct Helper {
    phase: AtomicU8,
    stop: AtomicBool,
    desk: Mutex<Desk>,
    changed: Condvar,
}

struct Desk {
    next: u64,
    spare: Option<Spare>,
    rolled: Vec<Rolled>,
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
        let helper = Arc::new(Helper {
            phase: AtomicU8::new(MAKING),
            stop: AtomicBool::new(false),
            desk: Mutex::new(Desk { next, spare: None, rolled: Vec::new(), trouble: String::new() }),
            changed: Condvar::new(),
        });
        if edge::is_simulated() {
            return Ok(Maker { helper, thread: None });
        }
        let work = Arc::clone(&helper);
        let path = dir.clone();
        let thread = std::thread::Builder::new()
            .name("journal-maker".into())
            .spawn(move || work.run(disk.as_ref(), &dir, segment_bytes, &hooks))
            .map_err(|error| JournalError::io("starting the maker of", &path, &error))?;
        Ok(Maker { helper, thread: Some(thread) })
    }

    /// Where the journal thread leaves work.
    pub fn helper(&self) -> Arc<Helper> {
        Arc::clone(&self.helper)
    }

    /// Whether a segment can be taken, will be, or why not.
    pub fn room(&self) -> Room {
        match self.helper.phase.load(Ordering::Acquire) {
            READY => Room::Ready,
            MAKING => Room::Wait,
            _ => Room::Refused(self.helper.desk.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()),
        }
    }

    /// Takes the segment and has the next one made.
    pub fn take(&self) -> Option<Spare> {
        let mut desk = self.helper.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = desk.spare.take()?;
        self.helper.phase.store(MAKING, Ordering::Release);
        drop(desk);
        self.helper.changed.notify_all();
        Some(spare)
    }

    /// Ends the helper; answers the segment that nobody took.
    pub fn stop(&mut self) -> Option<Spare> {
        self.helper.stop.store(true, Ordering::Release);
        drop(self.helper.desk.lock().unwrap_or_else(PoisonError::into_inner));
        self.helper.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the maker does not panic");
        }
        self.helper.desk.lock().unwrap_or_else(PoisonError::into_inner).spare.take()
    }
}

impl Helper {
    fn run(&self, disk: &dyn Disk, dir: &Path, segment_bytes: u64, hooks: &Hooks) {
        let stopped = || self.stop.load(Ordering::Acquire);
        while let Some(work) = self.wanted() {
            if !self.turn(work, disk, dir, segment_bytes, hooks) && !stopped() {
                let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
                drop(self.changed.wait_timeout_while(desk, RETRY, |_| !stopped()));
            }
        }
    }

    /// What `run` does next, if there is anything; whether there was.
    #[cfg(any(test, feature = "sim"))]
    pub fn step(&self, disk: &dyn Disk, dir: &Path, segment_bytes: u64, hooks: &Hooks) -> bool {
        let work = self.next_work(&mut self.desk.lock().unwrap_or_else(PoisonError::into_inner));
        work.is_some_and(|work| self.turn(work, disk, dir, segment_bytes, hooks))
    }

    /// Does one piece of work; false where the disk had no room for it.
    fn turn(&self, work: Work, disk: &dyn Disk, dir: &Path, segment_bytes: u64, hooks: &Hooks) -> bool {
        let number = match work {
            Work::Make(number) => number,
            Work::Cut(rolled) => {
                cut(&rolled, hooks);
                return true;
            }
        };
        match segment::make(disk, dir, number, segment_bytes, &|| self.stop.load(Ordering::Acquire)) {
            Ok(None) => true,
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
                true
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
                false
            }
        }
    }

    /// Gives back the zeros behind the batches of a segment, by and by. A file that is shorter than it was made cannot
    /// be the last one: so the loss of all that follow is noticed. To be called when the next header is synced.
    pub fn cut(&self, rolled: Rolled) {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).rolled.push(rolled);
        self.changed.notify_all();
    }

    /// Waits until there is work; `None` is the end.
    fn wanted(&self) -> Option<Work> {
        let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let stopped = || self.stop.load(Ordering::Acquire);
        let idle = |desk: &mut Desk| desk.spare.is_some() && desk.rolled.is_empty() && !stopped();
        let mut desk = self.changed.wait_while(desk, idle).unwrap_or_else(PoisonError::into_inner);
        self.next_work(&mut desk)
    }

    fn next_work(&self, desk: &mut Desk) -> Option<Work> {
        match desk.rolled.pop() {
            Some(rolled) => Some(Work::Cut(rolled)),
            None => (desk.spare.is_none() && !self.stop.load(Ordering::Acquire)).then_some(Work::Make(desk.next)),
        }
    }
}

/// Nothing depends on it: where it fails, the file stays as long as it was.
fn cut(rolled: &Rolled, hooks: &Hooks) {
    match rolled.file.len().and_then(|len| rolled.file.set_len(rolled.end).map(|()| len)) {
        Ok(len) => {
            let bytes = &hooks.figures.journal_bytes;
            bytes.set(bytes.get().saturating_sub(len.saturating_sub(rolled.end)));
        }
        Err(error) => tracing::warn!("{}", JournalError::io("cutting", &rolled.path, &error)),
    }
}
