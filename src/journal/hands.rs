//! The journal's threads without threads: a simulation moves their hands one piece of work at a time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::maker::Helper;
use super::sync::Shared;
use super::writer::Writer;
use super::{Disk, Hooks, Journal, Open};

/// What writer, maker and background sync of one journal do when they are told to. Clones are the same hands.
#[derive(Clone)]
pub(crate) struct Hands {
    writer: Arc<Mutex<Writer>>,
    shared: Arc<Shared>,
    helper: Arc<Helper>,
    hooks: Hooks,
    segment_bytes: u64,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    at_once: Arc<AtomicBool>,
}

impl Hands {
    pub(super) fn new(writer: Writer, hooks: Hooks, segment_bytes: u64, disk: Arc<dyn Disk>, dir: PathBuf) -> Hands {
        let (shared, helper) = (Arc::clone(&writer.shared), Arc::clone(&writer.maker));
        let writer = Arc::new(Mutex::new(writer));
        Hands { writer, shared, helper, hooks, segment_bytes, disk, dir, at_once: Arc::new(AtomicBool::new(true)) }
    }

    /// Whether each batch is written as soon as it is handed over. So it is until this says otherwise.
    pub fn set_at_once(&self, at_once: bool) {
        self.at_once.store(at_once, Ordering::Relaxed);
    }

    pub(super) fn at_once(&self) -> bool {
        self.at_once.load(Ordering::Relaxed)
    }

    /// Everything that waits.
    pub(super) fn work(&self) {
        while self.write() || self.make() {}
    }

    /// The journal thread takes a batch; whether there was one.
    pub fn write(&self) -> bool {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).step()
    }

    /// The maker makes a segment or cuts one; whether there was something to do, and it came about.
    pub fn make(&self) -> bool {
        self.helper.step(self.disk.as_ref(), &self.dir, self.segment_bytes, &self.hooks)
    }

    /// The highest durable position that a written batch or header names.
    pub fn named(&self) -> u64 {
        self.shared.named.load(Ordering::Acquire)
    }

    /// The background sync of `everysec` and `no`.
    pub fn sync(&self) -> bool {
        self.shared.turn()
    }
}

impl Journal<Open> {
    /// The hands of a journal that was opened in a simulation.
    pub(crate) fn hands(&self) -> Hands {
        self.state.hands.clone().expect("a journal of a simulation")
    }
}
