//! The sink without its thread: a simulation gives it its turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::feed::Feed;
use super::pace::{Backoff, Pace, Throttle};
use super::place::{Place, SILENCE};
use super::stop::Stop;
use super::worker::{Progress, Worker};
use crate::edge::now;
use crate::ledger::{Ledger, LedgerSettings};
use crate::metrics::Figures;
use crate::watermark::Watermarks;

/// What [`super::start`] would have put on a thread.
pub(crate) struct Hand {
    worker: Worker,
    backoff: Backoff,
    rests_until: Option<Instant>,
}

impl Hand {
    /// As [`super::start`], for a ledger that is a database of the simulation; `settings` name none.
    pub fn new(
        ledger: Box<dyn Ledger>,
        settings: LedgerSettings,
        watermarks: Arc<Watermarks>,
        figures: Arc<Figures>,
        feed: Box<dyn Feed>,
    ) -> Hand {
        let worker = Worker {
            ledger,
            feed,
            settings,
            owner: "simulated".to_owned(),
            throttle: Throttle::new(Pace { rows_per_second: None, commits_per_second: None }),
            watermarks,
            figures,
            stop: Arc::new(Stop::default()),
            place: Place::new(true, SILENCE),
            progress: Progress::new(),
        };
        Hand { worker, backoff: Backoff::default(), rests_until: None }
    }

    /// One step, unless it rests; whether something was stored or passed over.
    pub fn turn(&mut self) -> bool {
        if self.rests_until.is_some_and(|until| now() < until) {
            return false;
        }
        let before = self.worker.figures.ledger_commits.get();
        match self.worker.next(&mut self.backoff, false) {
            Some(Duration::ZERO) => {}
            Some(rest) => self.rests_until = Some(now() + rest),
            None => {}
        }
        self.worker.figures.ledger_commits.get() > before
    }

    /// The clean end.
    pub fn leave(mut self) {
        self.worker.leave();
    }
}
