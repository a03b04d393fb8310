//! # sink - every grant in the SQL ledger, once
//! Follows the journal up to `durable`, or the topic, and stores the grants in it, a batch in one transaction with the
//! sink's own positions: a batch is in or it is not, and the positions tell which.
//! May use: `ledger`, `kafka`, `wire` (records), `core` (events), `grant`, `ids`, `metrics`, `watermark`, `edge`, `sabotage`,
//! `journal` (its reader and its campaigns).
//! Promises: each grant of a campaign that is no rehearsal is one row, through any number of kills, lost answers and
//! sinks; nothing is stored behind a hole, or over another row; nothing here is waited for by the gate; no database is
//! kept busier than its operator allowed.

mod awaited; //        what must come and never does
mod backlog; //        how much waits, told
#[cfg(any(test, feature = "sim"))]
pub(crate) mod by_hand; // the thread without a thread
mod feed; //           what the sink follows
mod follow; //         how far a sink elsewhere is
mod journal_feed; //   the journal as a feed
mod journal_source; // its events
mod kafka_feed; //     a topic as a feed
mod known; //          what the ledger knows, asked at the start
mod lines; //          duplicates, holes, positions
mod order; //          what waits for another lane
mod pace; //           ceilings, and what the database bears
mod place; //          who may store
mod plan; //           one transaction
mod read_ahead; //     a topic, while the database stores
mod refused; //        rows that the database refuses
mod resume; //         the journal and the ledger belong together
mod rows; //           what the position table says
mod source; //         events in order
mod stop; //           the word to stop
#[cfg(test)]
mod tests;
mod trouble; //        what is wrong, told
mod waiting; //        what is read and not stored
mod worker; //         the thread between source and ledger

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use feed::{Feed, FeedError, Item, Opened, Positions, Raw, What};
pub use follow::{FollowHandle, FollowOptions, follow};
pub use journal_feed::JournalFeed;
pub use journal_source::JournalSource;
pub use kafka_feed::{Connect, KafkaFeed, Topics};
pub use known::{Known, Others, known};
pub use lines::{Hole, Lines};
pub use pace::Pace;
pub use rows::{Rows, Sources};
pub use source::{GrantSource, SourceError};
pub use worker::Fault;

use crate::edge;
use crate::ids::{LogId, Lsn};
use crate::journal::Campaign;
use crate::ledger::{self, LedgerError, LedgerSettings};
use crate::metrics::Figures;
use crate::watermark::Watermarks;
use pace::Throttle;
use place::{Place, SILENCE};
use stop::Stop;
use worker::{Progress, Worker};

/// What a sink is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The ledger.
    pub ledger: LedgerSettings,
    /// Its ceilings.
    pub pace: Pace,
    /// Who this is, for the humans that read `coupon_sink_position`: host and process.
    pub owner: String,
    /// Whether it takes the ledger over without waiting for a sign of life of another sink: it holds the data directory.
    pub claims_at_once: bool,
}

/// The owner that this process is.
pub fn owner() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host} pid {}", std::process::id())
}

/// Why the sink does not start: a setting or a table must change first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkError {
    /// The database, its tables or the operator's statement do not fit.
    Ledger(LedgerError),
    /// A campaign has users that the ledger's column cannot hold.
    Users {
        /// Which campaign.
        campaign: String,
    },
    /// The operating system gave no thread.
    Thread(String),
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkError::Ledger(error) => error.fmt(f),
            SinkError::Users { campaign } => write!(
                f,
                "ledger: campaign {campaign} has USERS ANY, which a bigint column cannot hold: \
                 use --ledger-users text with a ledger made for it, or --ledger none"
            ),
            SinkError::Thread(error) => write!(f, "ledger: no thread for the sink: {error}"),
        }
    }
}

impl std::error::Error for SinkError {}

/// A running sink. Dropping it leaves the thread running until the process ends.
#[derive(Debug)]
pub struct SinkHandle {
    stop: Arc<Stop>,
    watermarks: Arc<Watermarks>,
}

impl SinkHandle {
    /// Stores what fits in `patience` and ends the thread; whether everything durable is in the ledger. Stop the
    /// journal first, so that nothing more becomes durable. A thread stuck in the database is left behind.
    pub fn stop(self, patience: Duration) -> bool {
        let deadline = edge::now() + patience;
        self.stop.ask(deadline);
        self.stop.wait_for_end(deadline) && self.watermarks.stored.get() >= self.watermarks.durable.get()
    }
}

/// Whether the ledger can hold the users of each of `campaigns`.
///
/// # Errors
/// The first that it cannot.
pub fn carries_all(ledger: &LedgerSettings, campaigns: &[Campaign]) -> Result<(), SinkError> {
    let misfit = campaigns.iter().find(|c| !c.shadow && !ledger.carries(c.users));
    misfit.map_or(Ok(()), |campaign| Err(SinkError::Users { campaign: campaign.name.clone() }))
}

/// Starts the sink's thread; inside the gate after replay, when `watermarks.durable` tells where the journal ends. A
/// source that is away, and a database that is locked, full or away, are no errors: the thread tries on. Settings and
/// tables that cannot work are.
pub fn start(
    options: Options,
    watermarks: Arc<Watermarks>,
    figures: Arc<Figures>,
    feed: Box<dyn Feed>,
) -> Result<SinkHandle, SinkError> {
    let mut ledger = options.ledger.to_write();
    if let Err(error @ LedgerError::Unfit(_)) = ledger.open() {
        return Err(SinkError::Ledger(error));
    }
    let stop = Arc::new(Stop::default());
    let worker = Worker {
        ledger,
        feed,
        settings: options.ledger,
        owner: options.owner,
        throttle: Throttle::new(options.pace),
        watermarks: Arc::clone(&watermarks),
        figures,
        stop: Arc::clone(&stop),
        place: Place::new(options.claims_at_once, SILENCE),
        progress: Progress::new(),
    };
    let thread = std::thread::Builder::new().name("sink".into());
    thread.spawn(move || worker.run()).map_err(|e| SinkError::Thread(e.to_string()))?;
    Ok(SinkHandle { stop, watermarks })
}

/// How far `positions` say that the journal of `log` was durable.
pub(crate) fn known_to(positions: &[ledger::Position], log: LogId) -> Option<Lsn> {
    let source = ledger::journal_source(log);
    let known = positions.iter().filter_map(|there| match there.source == source {
        true => Some(Lsn::new(there.next).prev()),
        false => (there.log == log).then_some(there.last_seq),
    });
    known.max()
}
