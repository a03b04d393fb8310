//! The stream without its thread: a simulation gives it its turns.

use std::sync::Arc;
use std::time::Instant;

use super::signals::Signals;
use super::worker::{Mood, Next, Worker};
use super::{JournalFiles, Options};
use crate::edge::now;
use crate::journal::{Campaign, Campaigns};
use crate::metrics::Figures;
use crate::watermark::Watermarks;

/// What [`super::start`] would have put on a thread.
pub(crate) struct Hand {
    worker: Worker,
    mood: Mood,
    rests_until: Option<Instant>,
}

impl Hand {
    /// As [`super::start`].
    pub fn new(
        options: Options,
        watermarks: Arc<Watermarks>,
        figures: Arc<Figures>,
        files: JournalFiles,
        campaigns: Vec<Campaign>,
        on_progress: Box<dyn Fn() + Send>,
    ) -> Hand {
        let campaigns = Campaigns::new(options.log, campaigns);
        let signals = Arc::<Signals>::default();
        let worker = Worker::new(options, watermarks, figures, files, campaigns, signals, on_progress);
        Hand { worker, mood: Mood::default(), rests_until: None }
    }

    /// One turn, unless it rests; whether something moved.
    pub fn turn(&mut self) -> bool {
        if self.rests_until.is_some_and(|until| now() < until) {
            return false;
        }
        match self.worker.step(&mut self.mood, false) {
            Next::Turn => true,
            Next::Wait | Next::End => false,
            Next::Rest(rest) => {
                self.rests_until = Some(now() + rest);
                false
            }
        }
    }

    /// The clean end.
    pub fn settle(mut self) {
        self.worker.settle();
    }
}
