//! # watermark - how far each part has come
//! Five numbers that move along one line of positions, each with one owner; every lag is a subtraction.
//! The joints between threads: one writes, any number read or wait. May use: `snapshots`, `stories`, `edge`, `grant`, `ids`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::edge;
use crate::grant::Lane;
use crate::ids::Lsn;
use crate::snapshots::Snapshots;
use crate::stories::Stories;

/// One position that only moves forward, written by one thread.
#[derive(Debug, Default)]
pub struct Watermark {
    lsn: AtomicU64,
    nudges: AtomicU64,
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
        self.wait_while(patience, || self.lsn.load(Ordering::SeqCst) <= behind.get())
    }

    /// How often it was nudged.
    pub fn nudges(&self) -> u64 {
        self.nudges.load(Ordering::SeqCst)
    }

    /// Wakes those in `wait_past_or_nudge` without moving it: something else has come up for them.
    pub fn nudge(&self) {
        self.nudges.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.moved.notify_all();
    }

    /// As `wait_past`; more nudges than `seen` end it too. Whoever takes `seen` before he looks for what a nudge tells
    /// of misses none.
    pub fn wait_past_or_nudge(&self, behind: Lsn, seen: u64, patience: Duration) -> Lsn {
        self.wait_while(patience, || self.lsn.load(Ordering::SeqCst) <= behind.get() && self.nudges() == seen)
    }

    fn wait_while(&self, patience: Duration, waits: impl Fn() -> bool) -> Lsn {
        if edge::is_simulated() {
            if waits() {
                edge::passes(patience);
            }
            return self.get();
        }
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let guard = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.moved.wait_timeout_while(guard, patience, |_: &mut ()| waits());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        self.get()
    }
}

/// What the stream and the sink tell each other of single lanes.
#[derive(Debug, Default)]
pub struct Lanes {
    published: Mutex<Vec<Lsn>>,
    missing: Mutex<BTreeMap<Lane, Lsn>>,
}

impl Lanes {
    /// The stream: the last `seq` published in each lane, in order; `Lsn::ZERO` where there is none. Told before `published`
    /// moves.
    pub fn set_published(&self, last: &[Lsn]) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.clear();
        published.extend_from_slice(last);
    }

    /// The last `seq` published in each lane.
    pub fn published(&self) -> Vec<Lsn> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The sink: records behind `after` are missing in `lane`; they are to be sent again.
    pub fn miss(&self, lane: Lane, after: Lsn) {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(lane, after);
    }

    /// The stream: what is to be sent again, by lane; told once.
    pub fn take_missing(&self) -> BTreeMap<Lane, Lsn> {
        std::mem::take(&mut *self.missing.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `applied >= staged >= durable >= published`; `stored` follows in the ledger.
#[derive(Debug, Default)]
pub struct Watermarks {
    /// Between the stream and the sink.
    pub lanes: Lanes,
    /// Between the loop and the compactor.
    pub snapshots: Snapshots,
    /// Who wants to know what happened to a user.
    pub stories: Stories,
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

impl Watermarks {
    /// How far the ledger is when the last `seq` stored of each lane is `stored`: everything published up to there is in
    /// it. A lane with nothing on the way holds nothing back.
    pub fn stored_by(&self, stored: &[Lsn]) -> Lsn {
        let upto = self.published.get();
        let published = self.lanes.published.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = published.iter().enumerate().filter_map(|(lane, last)| {
            let stored = stored.get(lane).copied().unwrap_or(Lsn::ZERO);
            (stored < *last).then_some(stored)
        });
        behind.min().map_or(upto, |behind| behind.min(upto))
    }
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
    fn the_ledger_is_as_far_as_its_slowest_lane_with_work() {
        let marks = Watermarks::default();
        assert_eq!(marks.stored_by(&[]), Lsn::ZERO);
        let lsns = |numbers: [u64; 3]| numbers.map(Lsn::new);
        marks.lanes.set_published(&lsns([7, 0, 9]));
        marks.published.advance(Lsn::new(12));
        for (stored, upto) in [([7, 0, 9], 12), ([7, 0, 4], 4), ([3, 0, 4], 3), ([0, 0, 9], 0), ([8, 1, 10], 12)] {
            assert_eq!(marks.stored_by(&lsns(stored)), Lsn::new(upto), "{stored:?}");
        }
    }

    #[test]
    fn a_nudge_wakes_without_moving_and_is_not_missed() {
        let mark = Arc::new(Watermark::default());
        let seen = mark.nudges();
        let waiter = Arc::clone(&mark);
        let wait = move || waiter.wait_past_or_nudge(Lsn::ZERO, seen, Duration::from_secs(60));
        let thread = Builder::new().spawn(wait).expect("a thread starts");
        mark.nudge();
        assert_eq!(thread.join().expect("the waiter ends"), Lsn::ZERO);
        assert_eq!(mark.wait_past_or_nudge(Lsn::ZERO, seen, Duration::from_secs(60)), Lsn::ZERO, "before the wait");
    }

    #[test]
    fn patience_ends() {
        let mark = Watermark::default();
        assert_eq!(mark.wait_past(Lsn::ZERO, Duration::from_millis(1)), Lsn::ZERO);
    }
}
