//! How records leave: in lots. What the producer has is acknowledged before it gets more, and it is told when a lot is whole.
//!
//! An idempotent librdkafka has one request of a partition on its way, and asks without pause whether the records behind it
//! may go, once they are to leave. A Kafka that stands still would cost a processor, and claims their time on it.
//! <https://github.com/confluentinc/librdkafka/issues/3692>

use std::time::{Duration, Instant};

use crate::edge::now;
use crate::limits;
use crate::sabotage::{Sabotage, on};

/// Acknowledgements come while the last one is not older.
const ACKS_COME: Duration = Duration::from_millis(250);

/// How long the producer is told to send: a lot, which it only has to notice, and what is on top of a lot, for which it asks
/// without pause meanwhile.
const HURRY: Duration = Duration::from_millis(5);
const HURRY_ON_TOP: Duration = Duration::from_millis(1);

/// When the producer is hurried again though nothing has come of it: it may have been connecting, or have had no processor.
const HURRY_AGAIN: Duration = Duration::from_secs(1);

/// So long what is on its way in one lane keeps the others waiting.
const PART_WAITS: Duration = Duration::from_secs(1);

/// What the producer has, and when it was told to send it.
pub(super) struct Lots {
    /// Records acknowledged so far, and when the last of them was.
    acknowledged: u64,
    acknowledged_at: Option<Instant>,
    /// The lot that is on its way.
    given: Option<Moment>,
    hurried: Moment,
}

/// A moment, and how many records were acknowledged then.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    acknowledged: u64,
}

impl Lots {
    pub fn new() -> Lots {
        Lots { acknowledged: 0, acknowledged_at: None, given: None, hurried: Moment { at: now(), acknowledged: 0 } }
    }

    /// Records acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// A lot is on its way: more waits for it, unless [`Lots::admits`].
    pub fn waits(&self) -> bool {
        self.given.is_some()
    }

    /// So many more records were acknowledged; `settled` when nothing is on its way any more.
    pub fn acknowledge(&mut self, records: u64, settled: bool) {
        if records > 0 {
            self.acknowledged += records;
            self.acknowledged_at = Some(now());
        }
        if settled {
            self.given = None;
        }
    }

    /// Whether the producer gets more, where so many journal events wait: when nothing is on its way. On top of a lot: when so
    /// much waits, while acknowledgements come, that it is to have its next requests at hand; or when a part was acknowledged
    /// and another is not, as where one broker of several is away.
    pub fn admits(&self, waiting: u64) -> bool {
        let Some(given) = self.given.filter(|_| !on(Sabotage::PublishedTakenForGranted)) else { return true };
        let acks_come = self.acknowledged_at.is_some_and(|at| now() - at < ACKS_COME);
        let part_waits = self.acknowledged > given.acknowledged && now() - given.at >= PART_WAITS;
        (waiting >= limits::STREAM_BACKLOG && acks_come) || part_waits
    }

    /// The producer got records: how long it is to be hurried.
    pub fn give(&mut self) -> Duration {
        self.hurried = self.moment();
        if self.given.is_some() {
            return HURRY_ON_TOP;
        }
        self.given = Some(self.hurried);
        HURRY
    }

    /// The producer got none: how long it is to be hurried nevertheless, for what waited for an answer that has come since, or
    /// for what it was not ready for when it was told.
    pub fn remind(&mut self) -> Option<Duration> {
        let answered = (self.acknowledged > self.hurried.acknowledged).then_some(HURRY_ON_TOP);
        let again = (self.acknowledged == 0 || now() - self.hurried.at >= HURRY_AGAIN).then_some(HURRY);
        let moment = answered.or(again)?;
        self.hurried = self.moment();
        Some(moment)
    }

    fn moment(&self) -> Moment {
        Moment { at: now(), acknowledged: self.acknowledged }
    }
}
