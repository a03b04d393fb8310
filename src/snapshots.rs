//! # snapshots - who wants one, and how the last one went
//! The desk between those who ask for a snapshot (`BGSAVE`, `SAVE`, `BGREWRITEAOF`, a backup) and the compactor, who makes
//! one at a time, also without being asked. A joint between threads: nobody waits here but the compactor.
//! May use: `edge`, `ids`.
//!
//! ```text
//! who asks    request(upto) -> Ticket ............................ outcome(&ticket) -> made, failed, not yet
//! compactor            wait -> begin(now) -> Asked ... succeeded | failed, then wakes who asked
//! ```

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::edge;
use crate::ids::{Lsn, Millis};

/// Requests and figures of the snapshots of one process.
#[derive(Debug, Default)]
pub struct Snapshots {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// A snapshot that has not begun is to cover everything up to here.
    asked: Option<Lsn>,
    /// What the running one was asked to cover; `ZERO`: it began by itself.
    running_upto: Lsn,
    /// How many have begun since start.
    begun: u64,
    /// The number of the last one that failed.
    failed: u64,
    nudged: bool,
    figures: SnapshotFigures,
}

/// A published snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last position it covers.
    pub lsn: Lsn,
    /// The length of its file.
    pub bytes: u64,
    /// When it was published.
    pub at: Millis,
}

/// What `INFO` and the metrics tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFigures {
    /// One was asked for and has not begun.
    pub asked: bool,
    /// When the one that is being made was begun.
    pub running_since: Option<Millis>,
    /// The newest one, whichever process made it.
    pub newest: Option<Snapshot>,
    /// How many milliseconds the last one took that ended well since start.
    pub took_ms: Option<u64>,
    /// How many ended well since start.
    pub made: u64,
    /// How many failed since start.
    pub failures: u64,
    /// Why the last one failed; empty if it did not.
    pub trouble: String,
}

impl SnapshotFigures {
    /// One is being made, or is about to be.
    pub fn in_progress(&self) -> bool {
        self.asked || self.running_since.is_some()
    }
}

/// What a request waits for: see [`Snapshots::outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    upto: Lsn,
    /// Snapshots that had begun before the request: what becomes of them says nothing about it, unless they cover it.
    begun: u64,
}

impl Snapshots {
    /// Asks for a snapshot of everything up to `upto`. Requests that come before it begins share one; a snapshot that
    /// runs already is followed by another.
    pub fn request(&self, upto: Lsn) -> Ticket {
        let mut state = self.lock();
        state.ask(upto);
        let ticket = Ticket { upto, begun: state.begun };
        drop(state);
        self.asked.notify_all();
        ticket
    }

    /// What became of a request: a snapshot that covers it, or the words of the failure; `None` while it is not known.
    pub fn outcome(&self, ticket: &Ticket) -> Option<Result<Snapshot, String>> {
        let state = self.lock();
        if let Some(newest) = state.figures.newest
            && newest.lsn >= ticket.upto
        {
            return Some(Ok(newest));
        }
        (state.failed > ticket.begun).then(|| Err(state.figures.trouble.clone()))
    }

    /// How things stand.
    pub fn figures(&self) -> SnapshotFigures {
        self.lock().figures.clone()
    }

    /// The start: the newest sound snapshot on disk.
    pub fn found(&self, newest: Snapshot) {
        self.lock().figures.newest = Some(newest);
    }

    /// The compactor: waits for a request or a nudge, at most `patience`; answers up to where a snapshot is asked for.
    pub fn wait(&self, patience: Duration) -> Option<Lsn> {
        let idle = |state: &mut State| !state.nudged && !edge::is_simulated();
        let waited = self.asked.wait_timeout_while(self.lock(), patience, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.nudged = false;
        state.asked
    }

    /// Ends the compactor's wait: the journal has grown, or the end has come.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.asked.notify_all();
    }

    /// The compactor begins a snapshot at `now`; answers up to where it is to go at least, `ZERO` where nobody asked.
    pub fn begin(&self, now: Millis) -> Lsn {
        let mut state = self.lock();
        assert!(state.figures.running_since.is_none(), "one snapshot at a time");
        state.begun += 1;
        state.running_upto = state.asked.take().unwrap_or(Lsn::ZERO);
        state.figures.asked = false;
        state.figures.running_since = Some(now);
        state.running_upto
    }

    /// It is published. Where it does not go as far as was asked for, that stays asked for. The loop is to be woken after
    /// this: `SAVE` waits for it.
    pub fn succeeded(&self, snapshot: Snapshot) {
        let mut state = self.lock();
        let since = state.figures.running_since.take().expect("what ends has begun");
        let upto = std::mem::take(&mut state.running_upto);
        if upto > snapshot.lsn {
            state.ask(upto);
        }
        let figures = &mut state.figures;
        figures.newest = Some(snapshot);
        figures.took_ms = Some(u64::try_from(snapshot.at.0 - since.0).unwrap_or(0));
        figures.made += 1;
        figures.trouble.clear();
    }

    /// It came to nothing, and `because` says why. The loop is to be woken after this.
    pub fn failed(&self, because: impl Into<String>) {
        let mut state = self.lock();
        state.figures.running_since.take().expect("what ends has begun");
        state.running_upto = Lsn::ZERO;
        state.failed = state.begun;
        state.figures.failures += 1;
        state.figures.trouble = because.into();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ask(&mut self, upto: Lsn) {
        self.asked = self.asked.max(Some(upto));
        self.nudged = true;
        self.figures.asked = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread::Builder;

    /// Long enough for any machine; only a failing test waits so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn snapshot(lsn: u64, at: i64) -> Snapshot {
        Snapshot { lsn: Lsn::new(lsn), bytes: 100 * lsn, at: Millis(at) }
    }

    #[test]
    fn requests_before_the_beginning_share_one_snapshot() {
        let desk = Snapshots::default();
        let (first, second) = (desk.request(Lsn::new(7)), desk.request(Lsn::new(9)));
        assert!(desk.figures().in_progress());
        assert_eq!(desk.wait(PATIENCE), Some(Lsn::new(9)));
        assert_eq!(desk.begin(Millis(1000)), Lsn::new(9));
        assert!(desk.figures().in_progress() && !desk.figures().asked);
        assert_eq!(desk.outcome(&first), None);
        desk.succeeded(snapshot(9, 3500));
        assert_eq!(desk.outcome(&first), Some(Ok(snapshot(9, 3500))));
        assert_eq!(desk.outcome(&second), Some(Ok(snapshot(9, 3500))));
        let figures = desk.figures();
        assert!(!figures.in_progress());
        assert_eq!((figures.took_ms, figures.made, figures.failures), (Some(2500), 1, 0));
    }

    #[test]
    fn what_runs_already_decides_nothing_about_a_later_request_unless_it_covers_it() {
        let desk = Snapshots::default();
        assert_eq!(desk.begin(Millis(0)), Lsn::ZERO);
        let ticket = desk.request(Lsn::new(9));
        desk.failed("the disk is full");
        assert_eq!(desk.outcome(&ticket), None);
        assert_eq!(desk.begin(Millis(1)), Lsn::new(9));
        desk.failed("the disk is still full");
        assert_eq!(desk.outcome(&ticket), Some(Err("the disk is still full".to_owned())));
        desk.begin(Millis(2));
        let ticket = desk.request(Lsn::new(10));
        desk.succeeded(snapshot(12, 3));
        assert!(desk.outcome(&ticket).is_some_and(|outcome| outcome.is_ok()));
        assert_eq!(desk.figures().trouble, "");
        assert_eq!(desk.figures().failures, 2);
    }

    #[test]
    fn a_snapshot_that_falls_short_leaves_the_request_open() {
        let desk = Snapshots::default();
        let ticket = desk.request(Lsn::new(9));
        desk.begin(Millis(0));
        desk.succeeded(snapshot(8, 1));
        assert_eq!(desk.outcome(&ticket), None);
        assert_eq!(desk.wait(Duration::ZERO), Some(Lsn::new(9)));
    }

    #[test]
    fn what_the_newest_one_covers_is_known_at_once_and_a_snapshot_is_made_all_the_same() {
        let desk = Snapshots::default();
        desk.found(snapshot(9, 1));
        let ticket = desk.request(Lsn::new(9));
        assert_eq!(desk.outcome(&ticket), Some(Ok(snapshot(9, 1))));
        assert_eq!(desk.wait(Duration::ZERO), Some(Lsn::new(9)));
    }

    #[test]
    fn a_request_and_a_nudge_end_the_wait() {
        let desk = Arc::new(Snapshots::default());
        for nudge in [false, true] {
            let waiter = Arc::clone(&desk);
            let thread = Builder::new().spawn(move || waiter.wait(PATIENCE)).expect("a thread starts");
            if nudge {
                desk.nudge();
            } else {
                desk.request(Lsn::new(3));
            }
            assert_eq!(thread.join().expect("the waiter ends"), (!nudge).then_some(Lsn::new(3)));
            if !nudge {
                desk.begin(Millis(0));
                desk.failed("a test");
            }
        }
        assert_eq!(desk.wait(Duration::ZERO), None);
    }
}
