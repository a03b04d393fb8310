//! # kafka - the topics, as the stream writes them and as sink, audit and catch-up read them
//! What is needed of a Kafka cluster, as traits, and one thin adapter over librdkafka. Knows bytes, offsets and
//! partitions; what a record means stands in `wire::kafka`.
//! May use: `ids`, `sabotage`.
//! Promises: a record is acknowledged when all in-sync replicas have it, and in the order in which it was sent; no
//! record is skipped in reading: an offset that is gone is told, never jumped over.

mod admin;
mod closing;
mod faults;
mod follower;
mod librdkafka;
#[cfg(test)]
pub(crate) mod memory;
mod properties;
mod reader;
mod voice;
mod writer;

use std::fmt;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use crate::ids::Millis;

/// How a cluster is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `--kafka-brokers`: HOST:PORT, separated by commas.
    pub brokers: String,
    /// `--kafka-config` and `--kafka-config-file`: librdkafka's own properties, in order; later ones win.
    pub properties: Vec<(String, String)>,
}

/// A topic to be made where it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it gets.
    pub partitions: u32,
    /// How many replicas each gets; `None` leaves it to the brokers.
    pub replication: Option<u16>,
}

/// A record as it lies in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// In which partition.
    pub partition: u32,
    /// Where in it.
    pub offset: u64,
    /// The record's own time; `None` where it has none.
    pub at: Option<Millis>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers in order; the same name may be there twice.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A record to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// To which topic: its place among those that the writer was made for.
    pub topic: usize,
    /// To which partition of it.
    pub partition: u32,
    /// Its time.
    pub at: Millis,
    /// Its key; `None` is the null key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Vec<u8>,
    /// Its headers in order.
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

/// Offsets that a partition holds: `low` is the first one kept, `high` the next one to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that is kept.
    pub low: u64,
    /// Behind the last record.
    pub high: u64,
}

/// What a delivered record got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// To which topic it was sent.
    pub topic: usize,
    /// To which partition of it.
    pub partition: u32,
    /// What was given with it.
    pub tag: u64,
    /// Its offset; `None` where the broker had it already and does not say where.
    pub offset: Option<u64>,
}

/// What became of `Writer::send`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// On its way.
    Queued,
    /// No room: take acknowledgements, then send it again.
    Full,
}

/// A cluster. All calls block, for seconds where a broker does not answer.
pub trait Cluster: Send {
    /// The cluster's own id.
    fn id(&mut self) -> Result<String, KafkaError>;

    /// How many partitions `topic` has; `None` where there is no such topic.
    fn partitions(&mut self, topic: &str) -> Result<Option<u32>, KafkaError>;

    /// Makes a topic; one that is there already is left as it is.
    fn create(&mut self, topic: &NewTopic) -> Result<(), KafkaError>;

    /// What about the topic's own settings puts records at risk (`min.insync.replicas`, unclean election, compaction,
    /// retention), one line each. Empty where all is well or the broker does not say.
    fn warnings(&mut self, topic: &str) -> Result<Vec<String>, KafkaError>;

    /// What a partition holds at the moment.
    fn bounds(&mut self, topic: &str, partition: u32) -> Result<Bounds, KafkaError>;

    /// Hands the records of one partition with offsets in `range` to `take`, in order, until it breaks. Offsets without
    /// a record (transaction markers, compaction) are passed over.
    ///
    /// # Errors
    /// `Gone` where records of the range have been removed meanwhile; `Unavailable` where the end is not reached in time.
    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        range: Range<u64>,
        take: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), KafkaError>;

    /// Who writes to `topics`: idempotent, gapless, without time-outs. `on_ack` is called, from another thread, when
    /// there is something for `Writer::acks`.
    fn writer(&mut self, topics: &[&str], on_ack: Box<dyn Fn() + Send + Sync>) -> Result<Box<dyn Writer>, KafkaError>;

    /// Who follows the partitions of some topics, each from its own offsets: one for each partition from 0 on. Of a topic
    /// that we may not even see he hears nothing: ask for its partitions first.
    fn follower(&mut self, from: &[(&str, Vec<u64>)]) -> Result<Box<dyn Follower>, KafkaError>;
}

/// The sending side of some topics: one producer, so that it ends for all of them at once. Dropping it forgets what is not acknowledged; nothing of it is sent afterwards that
/// is not on its way already.
pub trait Writer: Send {
    /// Sends `record`; its acknowledgement carries `tag`.
    ///
    /// A broker knows a repeated batch by the times of its records: when it starts, and each few minutes, it forgets
    /// writers whose newest record is older than `producer.id.expiration.ms` (a day). So a record whose time is older
    /// than that may come twice when its broker dies under it.
    ///
    /// # Errors
    /// A fault ends this writer: what is acknowledged until then is; make another one after reading the tail back.
    fn send(&mut self, record: &Outgoing, tag: u64) -> Result<Sent, KafkaError>;

    /// Has what was sent leave now, and waits until it is acknowledged, at most `moment`: so long is needed to notice it.
    /// Without this word it waits for more.
    fn hurry(&mut self, _moment: Duration) {}

    /// Moves what was acknowledged to `into`, in the order of sending within each partition, without waiting.
    ///
    /// # Errors
    /// A record was not delivered, or the writer has failed for good. What comes before is in `into`.
    fn acks(&mut self, into: &mut Vec<Ack>) -> Result<(), KafkaError>;

    /// Records sent and not acknowledged.
    fn in_flight(&self) -> usize;
}

/// The reading side of all partitions of some topics.
pub trait Follower: Send {
    /// The next record of any partition, with the place of its topic among those that are followed; `None` when none came
    /// within `patience`. Must be called again and again, also while all partitions are held.
    ///
    /// # Errors
    /// `Gone` where an offset is no longer (or not yet) there; this follower then ends.
    fn next(&mut self, patience: Duration) -> Result<Option<(usize, Record)>, KafkaError>;

    /// From now on nothing is fetched from these partitions (the place of the topic, the number), and from all others.
    /// Records fetched before may still come; none is lost or comes twice when a partition is let go again.
    fn hold(&mut self, held: &[(usize, u32)]) -> Result<(), KafkaError>;
}

/// What can go wrong with a cluster: what, where, what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaError {
    /// Away, slow, busy: the same call can succeed later.
    Unavailable(String),
    /// A setting, a permission or a topic must be changed by somebody.
    Unfit(String),
    /// Records that were there are not there any more, or were never: `line` says which.
    Gone {
        /// The partition.
        partition: u32,
        /// For humans.
        line: String,
    },
}

impl fmt::Display for KafkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KafkaError::Unavailable(line) | KafkaError::Unfit(line) | KafkaError::Gone { line, .. } => {
                f.write_str(line)
            }
        }
    }
}

impl std::error::Error for KafkaError {}
