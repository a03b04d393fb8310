//! # stream - every grant and every return in its Kafka topic, in order
//! Follows the journal up to `durable` and publishes its grants and returns; on every start, and after every fault, the
//! tails of the topics say where to go on.
//! May use: `kafka` (its traits), `journal` (its reader), `wire` (`kafka`), `core` (what users look like), `grant`,
//! `metrics`, `watermark`, `limits`, `ids`, `sabotage`.
//! Promises: each entry of a campaign that is no rehearsal is in its topic, behind the one before it in its lane; a second
//! time only where a broker kept a request of a dead producer back, or records were lost and are sent again;
//! `published` never passes what is not acknowledged; nothing here is waited for by the gate.

mod backoff; //    rests and reminders
#[cfg(any(test, feature = "sim"))]
pub(crate) mod by_hand; // the thread without a thread
mod checkpoint; // what is remembered of the topics
mod lots; //       what leaves together, and when
mod records; //    the journal as the stream reads it
mod resume; //     where to go on
mod scan; //       what the tail of a lane says
mod session; //    one producer, and what it has on the way
mod signals; //    the word to stop, the first look
#[cfg(test)]
mod tests;
mod topics; //     made where they are missing
mod worker; //     the thread between the two

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use checkpoint::surely_published;
pub use records::JournalFiles;

use crate::core::Users;
use crate::edge::now;
use crate::ids::LogId;
use crate::journal::{Campaign, Campaigns};
use crate::kafka::{Cluster, KafkaError, NewTopic};
use crate::metrics::Figures;
use crate::watermark::Watermarks;
use crate::wire::kafka::{Key, Value};
use signals::Signals;
use worker::Worker;

/// How long a request of a dead producer may still be on its way: the tail is not read back before.
pub const LATE_WINDOW: Duration = Duration::from_secs(2);

/// Reaches the cluster, anew after each fault.
pub type Connect = Box<dyn FnMut() -> Result<Box<dyn Cluster>, KafkaError> + Send>;

/// What a stream is started with.
pub struct Options {
    /// The cluster.
    pub connect: Connect,
    /// `--kafka-brokers`, for humans.
    pub brokers: String,
    /// The topic of the grants, as it is made where it is missing.
    pub topic: NewTopic,
    /// The topic of the returns, made like that of the grants; where there is none, a return ends the stream.
    pub cancel_topic: Option<String>,
    /// `--kafka-create`: they may be made.
    pub create: bool,
    /// `--kafka-accept-partitions`: the topics may have so many where records were dealt to another number.
    pub accept_partitions: Option<u32>,
    /// A record's key.
    pub key: Key,
    /// A record's value.
    pub value: Value,
    /// `--kafka-adopt`: publish among the records of others.
    pub adopt: bool,
    /// Whose grants and returns.
    pub log: LogId,
    /// See [`LATE_WINDOW`].
    pub late_window: Duration,
}

/// Why the stream does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// A campaign has users that the records' value cannot hold.
    Users {
        /// Which campaign.
        campaign: String,
    },
    /// The operating system gave no thread.
    Thread(String),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Users { campaign } => write!(
                f,
                "kafka: campaign {campaign} has USERS ANY, which a value of 8 bytes cannot hold: use --kafka-value json, or \
                 no --kafka-brokers"
            ),
            StreamError::Thread(error) => write!(f, "kafka: no thread for the stream: {error}"),
        }
    }
}

impl std::error::Error for StreamError {}

/// A running stream. Dropping it leaves the thread running until the process ends.
#[derive(Debug)]
pub struct StreamHandle {
    signals: Arc<Signals>,
    watermarks: Arc<Watermarks>,
}

impl StreamHandle {
    /// Waits until the tails of the topics have been looked at for the first time, at most `patience`; whether they
    /// have. What they say beyond the journal stands in `Figures::stale` then.
    pub fn wait_for_first_look(&self, patience: Duration) -> bool {
        self.signals.wait_for_look(now() + patience)
    }

    /// Publishes what fits in `patience` and ends the thread; whether everything durable is published. Stop the journal
    /// first, so that nothing more becomes durable. A thread stuck in a call to Kafka is left behind.
    pub fn stop(self, patience: Duration) -> bool {
        let deadline = now() + patience;
        self.signals.ask(deadline);
        self.watermarks.durable.nudge();
        self.signals.wait_for_end(deadline) && self.watermarks.published.get() >= self.watermarks.durable.get()
    }
}

/// Starts the stream's thread, after replay: `watermarks.durable` must tell where the journal ends, `campaigns` every
/// campaign the journal has named, dropped ones too. `on_progress` is called, from that thread, when `published` has
/// moved. A cluster that is away or refuses is no error: the thread tries on.
pub fn start(
    options: Options,
    watermarks: Arc<Watermarks>,
    figures: Arc<Figures>,
    files: JournalFiles,
    campaigns: Vec<Campaign>,
    on_progress: Box<dyn Fn() + Send>,
) -> Result<StreamHandle, StreamError> {
    let misfit = |c: &&Campaign| !c.shadow && c.users == Users::Any && !options.value.carries_any();
    if let Some(campaign) = campaigns.iter().find(misfit) {
        return Err(StreamError::Users { campaign: campaign.name.clone() });
    }
    let signals = Arc::new(Signals::default());
    let campaigns = Campaigns::new(options.log, campaigns);
    let handle = StreamHandle { signals: Arc::clone(&signals), watermarks: Arc::clone(&watermarks) };
    let worker = Worker::new(options, watermarks, figures, files, campaigns, signals, on_progress);
    let thread = std::thread::Builder::new().name("stream".into());
    thread.spawn(move || worker.run()).map_err(|e| StreamError::Thread(e.to_string()))?;
    Ok(handle)
}
