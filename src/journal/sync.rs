//! What the journal's threads share, and the background sync of `everysec` and `no`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Appendfsync, DiskFile, Hooks, JournalError};
use crate::edge;
use crate::ids::Lsn;
use crate::sabotage::{self, Sabotage};

/// How long what was written may wait for the disk.
fn interval(appendfsync: Appendfsync) -> Option<Duration> {
    match appendfsync {
        Appendfsync::Always => None,
        Appendfsync::Everysec => Some(Duration::from_secs(1)),
        Appendfsync::No => Some(Duration::from_secs(5)),
    }
}

/// Progress and failure of the threads behind one journal.
pub(super) struct Shared {
    pub hooks: Hooks,
    /// Answers may leave up to here.
    pub answerable: AtomicU64,
    /// The highest durable position that a written batch or header names.
    pub named: AtomicU64,
    /// The last segment behind which the next one's header is on disk: nothing is written to it any more.
    pub sealed: AtomicU64,
    fsyncs: metrics::Histogram,
    failed: AtomicBool,
    failure: Mutex<Option<JournalError>>,
    unsynced: Mutex<Unsynced>,
    /// One sync at a time: the system tells only one of two of a failed write, and the other must not move `durable`.
    syncing: Mutex<()>,
    changed: Condvar,
}

/// What the background sync has to cover.
struct Unsynced {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    written: Lsn,
    /// Writes so far, and how many of them a sync has covered.
    writes: u64,
    synced: u64,
    stop: bool,
}

impl Shared {
    pub fn new(hooks: Hooks, file: Arc<dyn DiskFile>, path: PathBuf, last: Lsn, sealed: u64) -> Shared {
        Shared {
            hooks,
            answerable: AtomicU64::new(last.get()),
            named: AtomicU64::new(last.get()),
            sealed: AtomicU64::new(sealed),
            fsyncs: metrics::histogram!("coupon_gate_fsync_seconds"),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            unsynced: Mutex::new(Unsynced { file, path, written: last, writes: 0, synced: 0, stop: false }),
            syncing: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Whether a write or sync has failed: nothing is written or answered after that.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The failure, if there was one.
    pub fn failure(&self) -> Option<JournalError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells of a failed write or sync, once for all threads.
    pub fn fail(&self, error: JournalError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            *failure = Some(error.clone());
            self.failed.store(true, Ordering::Release);
            drop(failure);
            (self.hooks.on_failure)(error);
        }
    }

    /// What was written up to `written` lies in `file` and is not synced.
    pub fn note_written(&self, file: &Arc<dyn DiskFile>, path: &Path, written: Lsn) {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&unsynced.file, file) {
            unsynced.file = Arc::clone(file);
            unsynced.path = path.to_path_buf();
        }
        unsynced.written = written;
        unsynced.writes += 1;
    }

    /// Whether nothing that was written waits for its sync.
    pub fn all_synced(&self) -> bool {
        let unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        unsynced.synced == unsynced.writes
    }

    /// Syncs what was written and moves `durable` over it. Nobody who writes waits for the sync.
    pub fn sync_now(&self) -> Result<(), JournalError> {
        let unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, path) = (Arc::clone(&unsynced.file), unsynced.path.clone());
        let (written, writes) = (unsynced.written, unsynced.writes);
        drop(unsynced);
        self.timed_sync(file.as_ref(), &path)?;
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        unsynced.synced = unsynced.synced.max(writes);
        if written > self.hooks.watermarks.durable.get() && !self.has_failed() {
            self.hooks.watermarks.durable.advance(written);
        }
        Ok(())
    }

    /// Syncs, unless anything has failed before, and notes how long that took. Tells of its own failure.
    pub fn timed_sync(&self, file: &dyn DiskFile, path: &Path) -> Result<(), JournalError> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_failed() {
            return Err(self.failure().unwrap_or(JournalError::Stopped));
        }
        if sabotage::on(Sabotage::SkipFsync) {
            return Ok(());
        }
        let started = edge::now();
        if let Err(error) = file.sync_data() {
            let error = JournalError::io("syncing", path, &error);
            self.fail(error.clone());
            return Err(error);
        }
        self.fsyncs.record(edge::now().saturating_duration_since(started).as_secs_f64());
        Ok(())
    }

    /// Ends the background sync.
    pub fn stop(&self) {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.changed.notify_all();
    }

    fn run(&self, every: Duration) {
        loop {
            let unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.changed.wait_timeout_while(unsynced, every, |unsynced| !unsynced.stop);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if !self.turn() {
                return;
            }
        }
    }

    /// Syncs what was written since the last time; false where nothing more is to be done.
    pub fn turn(&self) -> bool {
        let unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        let (stop, dirty) = (unsynced.stop, unsynced.writes > unsynced.synced);
        drop(unsynced);
        if stop || self.has_failed() {
            return false;
        }
        if dirty {
            match self.sync_now() {
                Ok(()) => (self.hooks.on_progress)(),
                Err(error) => {
                    self.fail(error);
                    return false;
                }
            }
        }
        true
    }
}

/// Starts the background sync, where `appendfsync` has one.
pub(super) fn start(shared: &Arc<Shared>, appendfsync: Appendfsync) -> Result<Option<JoinHandle<()>>, JournalError> {
    let Some(every) = interval(appendfsync) else { return Ok(None) };
    let work = Arc::clone(shared);
    let path = work.unsynced.lock().unwrap_or_else(PoisonError::into_inner).path.clone();
    std::thread::Builder::new()
        .name("journal-sync".into())
        .spawn(move || work.run(every))
        .map(Some)
        .map_err(|error| JournalError::io("starting the sync of", &path, &error))
}

#[cfg(test)]
mod tests {
    use super::super::Disk;
    use super::super::memory::MemoryDisk;
    use super::*;

    #[test]
    fn after_a_failed_sync_another_one_moves_nothing_even_if_the_disk_would_let_it() {
        let _calm = sabotage::peace::keep();
        let disk = MemoryDisk::default();
        let path = Path::new("/j/1");
        let file = disk.create(path).expect("a new file");
        let told = Arc::new(AtomicU64::new(0));
        let telling = Arc::clone(&told);
        let hooks = Hooks {
            watermarks: Arc::default(),
            figures: Arc::default(),
            on_progress: Arc::new(|| ()),
            on_failure: Arc::new(move |_| {
                telling.fetch_add(1, Ordering::SeqCst);
            }),
        };
        let shared = Shared::new(hooks, Arc::clone(&file), path.to_path_buf(), Lsn::ZERO, 0);
        shared.note_written(&file, path, Lsn::new(3));
        assert!(!shared.all_synced());
        disk.faults(|faults| faults.fail_sync = true);
        let failed = shared.sync_now().expect_err("the disk does not sync");
        disk.faults(|faults| faults.fail_sync = false);
        assert_eq!(shared.sync_now(), Err(failed.clone()));
        assert_eq!(shared.timed_sync(file.as_ref(), path), Err(failed.clone()));
        assert_eq!(shared.hooks.watermarks.durable.get(), Lsn::ZERO);
        assert!(!shared.all_synced());
        shared.fail(failed);
        assert_eq!(told.load(Ordering::SeqCst), 1, "told once");
    }
}
