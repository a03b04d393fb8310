//! # watermark - how far each part has come
//! Five numbers that move along one line of positions, each with one owner; every lag is a subtraction.
//! The joints between threads: one writes, any number read or wait. May use: `ids`.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::ids::Lsn;

/// One position that only moves forward, written by one thread.
#[derive(Debug, Default)]
pub struct Watermark {
    lsn: AtomicU64,
    waiters: AtomicUsize,
    gate: Mutex<()>,
    moved: Condvar,
}

impl Watermark {
    /// How far it has come.
    pub fn get(&self) -> Lsn {
        Lsn::new(self.lsn.load(Ordering::Acquire))
    }

    /// Moves it to `lsn` and wakes who waits for that. Costs no system call while nobody waits.
    pub fn advance(&self, lsn: Lsn) {
        let before = self.lsn.swap(lsn.get(), Ordering::SeqCst);
        assert!(before <= lsn.get(), "a watermark never moves back");
        if self.waiters.load(Ordering::SeqCst) > 0 {
            drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
            self.moved.notify_all();
        }
    }

    /// Waits until it has passed `behind`, at most `patience`; answers how far it is then.
    pub fn wait_past(&self, behind: Lsn, patience: Duration) -> Lsn {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let guard = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = |_: &mut ()| self.lsn.load(Ordering::SeqCst) <= behind.get();
        drop(self.moved.wait_timeout_while(guard, patience, behind).unwrap_or_else(PoisonError::into_inner));
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        self.get()
    }
}

/// `applied >= staged >= durable >= published`; `stored` follows in the ledger.
#[derive(Debug, Default)]
pub struct Watermarks {
    /// In memory. Owner: the loop.
    pub applied: Watermark,
    /// In a batch on its way to the disk. Owner: the loop.
    pub staged: Watermark,
    /// On disk. Owner: the journal thread.
    pub durable: Watermark,
    /// In Kafka. Owner: the stream.
    pub published: Watermark,
    /// In the ledger. Owner: the sink.
    pub stored: Watermark,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread::Builder;

    #[test]
    fn who_waits_is_woken_when_the_mark_has_passed() {
        let mark = Arc::new(Watermark::default());
        let waiter = Arc::clone(&mark);
        let thread = Builder::new()
            .spawn(move || waiter.wait_past(Lsn::new(4), Duration::from_secs(60)))
            .expect("a thread starts");
        mark.advance(Lsn::new(4));
        mark.advance(Lsn::new(5));
        assert_eq!(thread.join().expect("the waiter ends"), Lsn::new(5));
    }

    #[test]
    fn patience_ends() {
        let mark = Watermark::default();
        assert_eq!(mark.wait_past(Lsn::ZERO, Duration::from_millis(1)), Lsn::ZERO);
    }
}
