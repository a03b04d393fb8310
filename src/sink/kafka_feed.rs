//! A Kafka topic as a feed: positions are offsets, and what is missing is noticed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::feed::{Feed, FeedError, Item, Opened, Raw, What};
use super::lines::{Hole, Lines};
use super::read_ahead::ReadAhead;
use super::rows::Rows;
use super::worker::Fault;
use crate::edge::now;
use crate::grant::{Entry, Kind, Lane};
use crate::ids::{LogId, Lsn};
use crate::kafka::{Bounds, Cluster, Follower, KafkaError, Record};
use crate::ledger::{self, Ledger, Position};
use crate::sabotage::{Sabotage, on};
use crate::watermark::Watermarks;
use crate::wire::kafka::{Bad, EntryRecord, Parsed, parse};

/// How often the topic is asked whether it has more partitions.
const COUNT_AGAIN: Duration = Duration::from_secs(30);

/// So many records before the next position are looked at for one of ours.
const LOOK_BACK: u64 = 100;

/// A database may close a session that is silent for long, and many partitions take a while.
const SPEAK: Duration = Duration::from_secs(2);

/// The highest `seq` that a ledger's signed column holds; no journal comes near.
const SEQ_MAX: u64 = i64::MAX as u64;

/// Makes the connection; called until it succeeds, so that a cluster that is away at the start is no failure.
pub type Connect = Box<dyn FnMut() -> Result<Box<dyn Cluster>, KafkaError> + Send>;

/// The grants in a topic.
pub struct KafkaFeed {
    connect: Connect,
    topic: String,
    /// The journal of the gate in this process, if there is one: whose `stored` is told, and who sends again.
    gate: Option<(LogId, Arc<Watermarks>)>,
    cluster: Option<Box<dyn Cluster>>,
    reading: Option<Reading>,
    /// Whether it is read on a thread of its own.
    ahead: bool,
    partitions: u32,
    counted: Instant,
}

/// Who fetches the records.
enum Reading {
    /// Whoever asks for the next one.
    Here(Box<dyn Follower>),
    /// A thread.
    Ahead(ReadAhead),
}

impl Reading {
    fn next(&mut self, patience: Duration) -> Result<Option<Item>, KafkaError> {
        match self {
            Reading::Here(follower) => Ok(follower.next(patience)?.map(|(_, record)| item(record))),
            Reading::Ahead(ahead) => ahead.next(patience),
        }
    }

    fn hold(&mut self, held: &[(usize, u32)]) -> Result<(), KafkaError> {
        match self {
            Reading::Here(follower) => follower.hold(held),
            Reading::Ahead(ahead) => {
                ahead.hold(held);
                Ok(())
            }
        }
    }
}

impl KafkaFeed {
    /// `topic` of the cluster that `connect` leads to; `gate` is the journal that this process streams there.
    pub fn new(connect: Connect, topic: String, gate: Option<(LogId, Arc<Watermarks>)>) -> KafkaFeed {
        KafkaFeed { connect, topic, gate, cluster: None, reading: None, ahead: false, partitions: 0, counted: now() }
    }

    /// The same, read ahead on a thread of its own: the database is not kept waiting for the next records.
    pub fn ahead(self) -> KafkaFeed {
        KafkaFeed { ahead: true, ..self }
    }

    fn cluster(&mut self) -> Result<&mut Box<dyn Cluster>, KafkaError> {
        if self.cluster.is_none() {
            self.cluster = Some((self.connect)()?);
        }
        Ok(self.cluster.as_mut().expect("it was made"))
    }

    fn count(&mut self) -> Result<u32, KafkaError> {
        self.counted = now();
        let topic = self.topic.clone();
        let missing = || {
            let line = format!("kafka: there is no topic {topic}; the sink waits until a gate makes it");
            KafkaError::Unavailable(line)
        };
        self.cluster()?.partitions(&topic)?.filter(|count| *count > 0).ok_or_else(missing)
    }

    fn bounds(&mut self, kpart: u32) -> Result<Bounds, KafkaError> {
        let topic = self.topic.clone();
        self.cluster()?.bounds(&topic, kpart)
    }

    /// Where to go on in a partition that is stored up to `there`; the reason where that is not at its next position.
    fn place(&mut self, kpart: u32, rows: &Rows, there: &Position) -> Result<(u64, Option<String>), KafkaError> {
        let Bounds { low, high } = self.bounds(kpart)?;
        let next = there.next;
        let again = |reason: String| Ok((low, Some(reason)));
        if next < low || next > high {
            return again(format!("offset {next} is not there, {low} to {high} are"));
        }
        if next == low || on(Sabotage::ResumeUnchecked) {
            return Ok((next, None));
        }
        let (topic, mut last) = (self.topic.clone(), None);
        let range = next.saturating_sub(LOOK_BACK).max(low)..next;
        let read = self.cluster()?.read(&topic, kpart, range, &mut |record| {
            last = place_of(&record).or(last);
            ControlFlow::Continue(())
        });
        match (read, last) {
            (Err(KafkaError::Gone { line, .. }), _) => again(line),
            (Err(error), _) => Err(error),
            (Ok(()), None) => again(format!("none of the {LOOK_BACK} records before offset {next} is a grant")),
            (Ok(()), Some((log, seq))) => match rows.last(kpart, log) {
                // Below it, it is a late duplicate: what follows is in the ledger, or is noticed when it is missing.
                Some(stored) if seq <= stored => Ok((next, None)),
                Some(stored) => {
                    again(format!("seq {seq} of log {log} is before offset {next}, {stored} was stored last"))
                }
                None => again(format!("a record of log {log} is before offset {next}, none of which was stored")),
            },
        }
    }
}

impl Feed for KafkaFeed {
    fn open(&mut self) -> Result<Opened, FeedError> {
        self.reading = None;
        let id = self.cluster()?.id()?;
        self.partitions = self.count()?;
        Ok(Opened { source: ledger::kafka_source(&id, &self.topic), partitions: self.partitions })
    }

    fn resume(&mut self, ledger: &mut dyn Ledger, rows: &Rows) -> Result<Vec<u64>, Fault> {
        let mut from = Vec::with_capacity(self.partitions as usize);
        let mut spoken = now();
        for kpart in 0..self.partitions {
            if now().duration_since(spoken) >= SPEAK {
                ledger.positions(&rows.source)?;
                spoken = now();
            }
            let Some(there) = rows.of(kpart) else {
                from.push(self.bounds(kpart).map_err(FeedError::from)?.low);
                continue;
            };
            let (next, reason) = self.place(kpart, rows, there).map_err(FeedError::from)?;
            if let Some(reason) = reason {
                tracing::warn!(
                    "ledger: partition {kpart} of {} is read again from offset {next}: {reason}; what is stored is skipped",
                    self.topic
                );
            }
            from.push(next);
        }
        Ok(from)
    }

    fn seek(&mut self, from: &[u64]) -> Result<(), FeedError> {
        let topic = self.topic.clone();
        let (ahead, follower) = (self.ahead, self.cluster()?.follower(&[(&topic, from.to_vec())])?);
        self.reading = Some(match ahead {
            true => Reading::Ahead(ReadAhead::start(follower, item)?),
            false => Reading::Here(follower),
        });
        Ok(())
    }

    fn next(&mut self, patience: Duration, room: usize, take: &mut dyn FnMut(Item)) -> Result<(), FeedError> {
        if now().duration_since(self.counted) >= COUNT_AGAIN {
            let count = self.count()?;
            if count != self.partitions {
                let line = format!("kafka: topic {} has {count} partitions, it had {}", self.topic, self.partitions);
                return Err(FeedError::Away(line));
            }
        }
        let reading = self.reading.as_mut().expect("a feed is read after a seek");
        let mut patience = patience;
        for _ in 0..room.max(1) {
            let Some(item) = reading.next(patience)? else { break };
            patience = Duration::ZERO;
            take(item);
        }
        Ok(())
    }

    fn pause(&mut self, pause: bool) -> Result<(), FeedError> {
        let reading = self.reading.as_mut().expect("a feed is paused after a seek");
        let held: Vec<(usize, u32)> = (0..self.partitions).filter(|_| pause).map(|kpart| (0, kpart)).collect();
        Ok(reading.hold(&held)?)
    }

    fn behind(&mut self, next: &[u64]) -> Result<u64, FeedError> {
        let mut sum = 0;
        for (kpart, next) in (0..).zip(next) {
            sum += self.bounds(kpart)?.high.saturating_sub(*next);
        }
        Ok(sum)
    }

    fn stored(&self, lines: &Lines) -> Lsn {
        self.gate.as_ref().map_or(Lsn::ZERO, |(log, watermarks)| watermarks.stored_by(&by_lane(lines.last(*log))))
    }

    fn is_all(&self, lines: &Lines) -> bool {
        self.gate.as_ref().is_none_or(|(_, watermarks)| self.stored(lines) >= watermarks.published.get())
    }

    fn awaits(&self, lines: &Lines) -> Vec<Hole> {
        let Some((log, watermarks)) = &self.gate else { return Vec::new() };
        let stored = lines.last(*log);
        let published = (0..).zip(watermarks.lanes.published().into_iter().step_by(2));
        let behind = published.filter_map(|(kpart, upto)| {
            let after = stored.get(kpart as usize).copied()?;
            (after < upto).then_some(Hole { kpart, log: *log, after, upto })
        });
        behind.collect()
    }

    fn miss(&self, kpart: u32, log: LogId, after: Lsn) {
        if let Some((ours, watermarks)) = &self.gate
            && *ours == log
        {
            watermarks.lanes.miss(Lane::new(Kind::Grant, kpart), after);
        }
    }
}

/// What is stored of the grants' partitions, in the order of lanes.
pub(super) fn by_lane(grants: Vec<Lsn>) -> Vec<Lsn> {
    grants.into_iter().flat_map(|last| [last, Lsn::ZERO]).collect()
}

fn item(record: Record) -> Item {
    let parsed = parse(Kind::Grant, record.key.as_deref(), record.value.as_deref(), record.at, &record.headers);
    let (kpart, position) = (record.partition, record.offset);
    let raw = || Box::new(Raw { key: record.key, value: record.value, headers: record.headers });
    let parsed = match place_of_parsed(&parsed) {
        Some((log, seq)) if log == LogId::NONE || seq.get() > SEQ_MAX => {
            Parsed::Bad(Bad { reason: format!("its log is {log} and its seq {seq}: no gate writes such"), place: None })
        }
        Some(_) | None => parsed,
    };
    // What must be applied before a grant (`after`) is always a return, which is in another topic.
    let what = match parsed {
        Parsed::Entry(EntryRecord { entry: Entry::Grant { grant, .. }, prev }) => {
            What::Grant { grant, prev: Some(prev), there: false, raw: Some(raw()) }
        }
        Parsed::Entry(_) => unreachable!("what is read as a grant is none other"),
        Parsed::Foreign => What::Foreign,
        Parsed::Bad(bad) => What::Bad { reason: bad.reason, place: bad.place, raw: raw() },
    };
    Item { kpart, position, next: position + 1, what }
}

/// The journal and the `seq` of a record of ours.
fn place_of(record: &Record) -> Option<(LogId, Lsn)> {
    place_of_parsed(&parse(Kind::Grant, record.key.as_deref(), record.value.as_deref(), record.at, &record.headers))
}

fn place_of_parsed(parsed: &Parsed) -> Option<(LogId, Lsn)> {
    match parsed {
        Parsed::Entry(record) => Some((record.entry.log(), record.entry.seq())),
        Parsed::Bad(bad) => bad.place.map(|(log, seq, _)| (log, seq)),
        Parsed::Foreign => None,
    }
}
