//! What the sink follows: records in order, a position for each, and the way back to any position. `journal_feed.rs`
//! and `kafka_feed.rs` are the two there are.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::lines::{Hole, Lines};
use super::rows::{Rows, Sources};
use super::worker::Fault;
use crate::grant::{Entry, Lane};
use crate::ids::{LogId, Lsn};
use crate::kafka::KafkaError;
use crate::ledger::Ledger;

/// A position for each lane.
pub type Positions = BTreeMap<Lane, u64>;

/// A source of entries, in lanes.
pub trait Feed: Send {
    /// Connects where that is needed.
    fn open(&mut self) -> Result<Opened, FeedError>;

    /// Where each lane is to be read from: behind what `rows` say, if the record before that is the one remembered; else
    /// where what is kept begins.
    ///
    /// # Errors
    /// A `Contradiction` where this cannot be the source that the rows were stored from.
    fn resume(&mut self, ledger: &mut dyn Ledger, rows: &Rows) -> Result<Positions, Fault>;

    /// The next items are those at or behind `from`. No lane is held.
    fn seek(&mut self, from: &Positions) -> Result<(), FeedError>;

    /// Hands what comes within `patience` to `take`, in order within each lane: about `room` items at most. Nothing handed
    /// over means that everything there is has been.
    fn next(&mut self, patience: Duration, room: usize, take: &mut dyn FnMut(Item)) -> Result<(), FeedError>;

    /// From now on nothing is fetched of the lanes `held`, and of all others. `next` is called meanwhile, and may hand over
    /// what was fetched before.
    fn hold(&mut self, held: &[Lane]) -> Result<(), FeedError>;

    /// Where each lane ends at the moment.
    fn ends(&mut self) -> Result<Positions, FeedError>;

    /// Whether nothing is left to read of a lane from `next` on.
    fn is_read(&mut self, lane: Lane, next: u64) -> Result<bool, FeedError>;

    /// Up to where the journal of this gate is in the ledger, when the ledger has come as far as `lines`.
    fn stored(&self, lines: &Lines) -> Lsn;

    /// Whether that is all there will be, when the gate has stopped.
    fn is_all(&self, lines: &Lines) -> bool;

    /// What was published and is not stored, by lane, when the ledger has come as far as `lines`. Where everything there is
    /// was read and nothing waits, it is gone from the source: by retention, or with a lost tail, and nothing behind it
    /// tells.
    fn awaits(&self, lines: &Lines) -> Vec<Hole>;

    /// Whether `log` is the journal of the gate in this process: `miss` reaches it. Others read in the ledger what is missing.
    fn reaches(&self, log: LogId) -> bool;

    /// Records of `log` behind `after` are missing in a lane: asks who has them to send them again.
    fn miss(&self, lane: Lane, log: LogId, after: Lsn);
}

/// A source that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What the ledger calls it.
    pub sources: Sources,
    /// Those that are there, in order.
    pub lanes: Vec<Lane>,
}

/// One record, or a stretch without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its lane.
    pub lane: Lane,
    /// Its position: an lsn, or an offset.
    pub position: u64,
    /// Where reading goes on behind it.
    pub next: u64,
    /// What it is.
    pub what: What,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Of some gate.
    Entry {
        /// Which.
        entry: Entry,
        /// The `seq` of the record of that gate before it in its lane; `None` where the source has no holes and entries of
        /// both kinds are in one order.
        prev: Option<Lsn>,
        /// It was found in the ledger.
        there: bool,
        /// The record as it lies in the topic.
        raw: Option<Box<Raw>>,
    },
    /// Of a gate, and no entry.
    Bad {
        /// Why, for humans.
        reason: String,
        /// Its journal, `seq` and `prev`, where it keeps its place in the line.
        place: Option<(LogId, Lsn, Lsn)>,
        /// The record.
        raw: Box<Raw>,
    },
    /// Somebody else's.
    Foreign,
    /// A stretch without entries.
    Passed,
}

impl Item {
    /// The entry, if it is one.
    pub(super) fn entry(&self) -> Option<&Entry> {
        match &self.what {
            What::Entry { entry, .. } => Some(entry),
            What::Bad { .. } | What::Foreign | What::Passed => None,
        }
    }

    /// The journal and the `seq` of what has a place in a line.
    pub(super) fn place(&self) -> Option<(LogId, Lsn)> {
        match &self.what {
            What::Entry { entry, .. } => Some((entry.log(), entry.seq())),
            What::Bad { place: Some((log, seq, _)), .. } => Some((*log, *seq)),
            What::Bad { place: None, .. } | What::Foreign | What::Passed => None,
        }
    }
}

/// A record as it lies in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Raw {
    /// The headers as a JSON object of strings.
    pub(super) fn headers_json(&self) -> String {
        let text = |value: &Option<Vec<u8>>| String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
        let pairs = self.headers.iter().map(|(name, value)| (name.clone(), text(value).into()));
        serde_json::Value::Object(pairs.collect()).to_string()
    }
}

/// The source cannot be read: what, where and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedError {
    /// Away, slow, or not what it was a moment ago: the same call can succeed later.
    Away(String),
    /// Somebody must change or mend something.
    Broken(String),
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeedError::Away(line) | FeedError::Broken(line) => f.write_str(line),
        }
    }
}

impl std::error::Error for FeedError {}

impl From<KafkaError> for FeedError {
    fn from(error: KafkaError) -> FeedError {
        match error {
            // What is gone is found out anew where reading resumes.
            KafkaError::Unavailable(line) | KafkaError::Gone { line, .. } => FeedError::Away(line),
            KafkaError::Unfit(line) => FeedError::Broken(line),
        }
    }
}
