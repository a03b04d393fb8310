//! # sink - every grant in the SQL ledger, once
//! Follows the journal up to `durable` and stores its grants, a batch in one transaction with the sink's own position:
//! a batch is in or it is not, and the position tells which.
//! May use: `ledger`, `core` (events), `grant`, `ids`, `metrics`, `watermark`, `sabotage`, `journal` (its reader, in
//! `journal_source` alone).
//! Promises: each grant of a campaign that is no rehearsal is one row, through any number of kills, lost answers and
//! sinks; nothing here is waited for by the gate; no database is kept busier than its operator allowed.

mod journal_source; // the journal as a source
mod pace; //           ceilings and back-off
mod resume; //         the journal and the ledger belong together
mod source; //         what the sink reads
mod stop; //           the word to stop
#[cfg(test)]
mod tests;
mod worker; //         the thread between the two

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use journal_source::JournalSource;
pub use pace::Pace;
pub use source::{GrantSource, SourceError};

use crate::ids::{LogId, Lsn};
use crate::journal::{Campaign, Campaigns};
use crate::ledger::{self, LedgerError, LedgerSettings};
use crate::metrics::Figures;
use crate::sabotage::{Sabotage, on};
use crate::watermark::Watermarks;
use stop::Stop;
use worker::{Place, Progress, Worker};

/// What a sink is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The ledger.
    pub ledger: LedgerSettings,
    /// Its ceilings.
    pub pace: Pace,
    /// Whose grants.
    pub log: LogId,
    /// Who this is, for the humans that read `coupon_sink_position`: host and process.
    pub owner: String,
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
        let deadline = stop::now() + patience;
        self.stop.ask(deadline);
        self.stop.wait_for_end(deadline) && self.watermarks.stored.get() >= self.watermarks.durable.get()
    }
}

/// Starts the sink's thread, after replay: `watermarks.durable` must tell where the journal ends, `campaigns` every
/// campaign the journal has named, dropped ones too. A database that is locked, full or away is no error: the thread
/// tries on. Settings and tables that cannot work are.
pub fn start(
    options: Options,
    watermarks: Arc<Watermarks>,
    figures: Arc<Figures>,
    events: Box<dyn GrantSource>,
    campaigns: Vec<Campaign>,
) -> Result<SinkHandle, SinkError> {
    let misfit = campaigns.iter().find(|c| !c.shadow && !options.ledger.carries(c.users));
    if let Some(campaign) = misfit {
        return Err(SinkError::Users { campaign: campaign.name.clone() });
    }
    let mut ledger = options.ledger.to_write();
    if let Err(error @ LedgerError::Unfit(_)) = ledger.open() {
        return Err(SinkError::Ledger(error));
    }
    let stop = Arc::new(Stop::default());
    let worker = Worker {
        ledger,
        events,
        source: ledger::journal_source(options.log),
        log: options.log,
        owner: options.owner,
        pace: options.pace,
        campaigns: Campaigns::new(options.log, campaigns),
        watermarks: Arc::clone(&watermarks),
        figures,
        stop: Arc::clone(&stop),
        place: Place::Unknown,
        progress: Progress::new(),
    };
    let thread = std::thread::Builder::new().name("sink".into());
    thread.spawn(move || worker.run()).map_err(|e| SinkError::Thread(e.to_string()))?;
    Ok(SinkHandle { stop, watermarks })
}

/// How far the ledger says the journal of `log` was durable, asked before replay, whether it was filled from that
/// journal or from Kafka; `None` where it does not know or cannot be read. Creates and changes nothing.
pub fn known_position(settings: &LedgerSettings, log: LogId) -> Option<Lsn> {
    if on(Sabotage::IgnoreTheWorld) {
        return None;
    }
    let source = ledger::journal_source(log);
    let read = settings.to_read().and_then(|reader| reader.map(|mut reader| reader.all_positions()).transpose());
    match read {
        Ok(positions) => {
            let known = positions.into_iter().flatten().filter_map(|there| match there.source == source {
                true => Some(Lsn::new(there.next).prev()),
                false => (there.log == log).then_some(there.last_seq),
            });
            known.max()
        }
        Err(error) => {
            tracing::warn!(
                "{error}; the journal is recovered without what the ledger knows: that it is older than the ledger (a \
                 restored copy) cannot be excluded, and then seats are granted again. The sink compares before it stores, \
                 and stores nothing if it is"
            );
            None
        }
    }
}
