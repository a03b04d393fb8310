//! Kafka topics as a feed: a lane for each partition of the grants' and of the returns' topic. Positions are offsets, and
//! what is missing is noticed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::feed::{Feed, FeedError, Item, Opened, Positions, Raw, What};
use super::lines::{Hole, Lines};
use super::read_ahead::{Part, ReadAhead};
use super::rows::{Rows, Sources};
use super::worker::Fault;
use crate::edge::now;
use crate::grant::{Kind, Lane};
use crate::ids::{LogId, Lsn};
use crate::kafka::{Bounds, Cluster, Follower, KafkaError, Record};
use crate::ledger::{self, Ledger, Position};
use crate::sabotage::{Sabotage, on};
use crate::watermark::Watermarks;
use crate::wire::kafka::{Bad, Parsed, parse};

/// How often the topics are asked whether they have more partitions, and one that was missing whether it is there.
const COUNT_AGAIN: Duration = Duration::from_secs(30);

/// So many records before the next position are looked at for one of ours.
const LOOK_BACK: u64 = 100;

/// A database may close a session that is silent for long, and many partitions take a while.
const SPEAK: Duration = Duration::from_secs(2);

/// The highest `seq` that a ledger's signed column holds; no journal comes near.
const SEQ_MAX: u64 = i64::MAX as u64;

/// Makes the connection; called until it succeeds, so that a cluster that is away at the start is no failure.
pub type Connect = Box<dyn FnMut() -> Result<Box<dyn Cluster>, KafkaError> + Send>;

/// The topics that a sink reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// That of the grants.
    pub grants: String,
    /// That of the returns, if there is to be one.
    pub returns: Option<String>,
}

impl Topics {
    /// What the ledger calls them, in the cluster `id`.
    pub(super) fn sources(&self, id: &str) -> Sources {
        let returns = self.returns.as_ref().map(|topic| ledger::kafka_returns_source(id, topic).into());
        Sources::Topics { grants: ledger::kafka_source(id, &self.grants).into(), returns }
    }

    fn of(&self, kind: Kind) -> &str {
        match kind {
            Kind::Grant => &self.grants,
            Kind::Return => self.returns.as_ref().expect("returns come from their topic"),
        }
    }
}

/// The entries in two topics.
pub struct KafkaFeed {
    connect: Connect,
    topics: Topics,
    /// The journal of the gate in this process, if there is one: whose `stored` is told, and who sends again.
    gate: Option<(LogId, Arc<Watermarks>)>,
    cluster: Option<Box<dyn Cluster>>,
    reading: Option<Reading>,
    /// Whether it is read on a thread of its own.
    ahead: bool,
    lanes: Vec<Lane>,
    counted: Instant,
    /// How often they are counted again.
    pub(super) count_again: Duration,
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
            Reading::Here(follower) => Ok(follower.next(patience)?.map(item)),
            Reading::Ahead(ahead) => ahead.next(patience),
        }
    }

    fn hold(&mut self, held: &[Part]) -> Result<(), KafkaError> {
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
    /// `topics` of the cluster that `connect` leads to; `gate` is the journal that this process streams there.
    pub fn new(connect: Connect, topics: Topics, gate: Option<(LogId, Arc<Watermarks>)>) -> KafkaFeed {
        let (cluster, reading, lanes) = (None, None, Vec::new());
        let (ahead, counted, count_again) = (false, now(), COUNT_AGAIN);
        KafkaFeed { connect, topics, gate, cluster, reading, ahead, lanes, counted, count_again }
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

    /// The lanes that are there. Without a topic of grants nothing is read; that of the returns may come later.
    fn count(&mut self) -> Result<Vec<Lane>, KafkaError> {
        self.counted = now();
        let Topics { grants, returns } = self.topics.clone();
        let missing = || {
            let line = format!("kafka: there is no topic {grants}; the sink waits until a gate makes it");
            KafkaError::Unavailable(line)
        };
        let cluster = self.cluster()?;
        let of_grants = cluster.partitions(&grants)?.filter(|count| *count > 0).ok_or_else(missing)?;
        let of_returns = returns.map_or(Ok(None), |topic| cluster.partitions(&topic))?.unwrap_or(0);
        let mut lanes: Vec<Lane> = (0..of_grants).map(|partition| Lane::new(Kind::Grant, partition)).collect();
        lanes.extend((0..of_returns).map(|partition| Lane::new(Kind::Return, partition)));
        lanes.sort_unstable();
        Ok(lanes)
    }

    fn bounds(&mut self, lane: Lane) -> Result<Bounds, KafkaError> {
        let topic = self.topics.of(lane.kind()).to_owned();
        self.cluster()?.bounds(&topic, lane.partition())
    }

    /// Where to go on in a lane that is stored up to `there`; the reason where that is not at its next position.
    fn place(&mut self, lane: Lane, rows: &Rows, there: &Position) -> Result<(u64, Option<String>), KafkaError> {
        let Bounds { low, high } = self.bounds(lane)?;
        let next = there.next;
        let again = |reason: String| Ok((low, Some(reason)));
        if next < low || next > high {
            return again(format!("offset {next} is not there, {low} to {high} are"));
        }
        if next == low || on(Sabotage::ResumeUnchecked) {
            return Ok((next, None));
        }
        let (topic, mut last) = (self.topics.of(lane.kind()).to_owned(), None);
        let range = next.saturating_sub(LOOK_BACK).max(low)..next;
        let read = self.cluster()?.read(&topic, lane.partition(), range, &mut |record| {
            last = place_of(&understand(lane.kind(), &record)).or(last);
            ControlFlow::Continue(())
        });
        match (read, last) {
            (Err(KafkaError::Gone { line, .. }), _) => again(line),
            (Err(error), _) => Err(error),
            (Ok(()), None) => again(format!("none of the {LOOK_BACK} records before offset {next} is of a gate")),
            (Ok(()), Some((log, seq))) => match rows.last(lane, log) {
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
        self.lanes = self.count()?;
        Ok(Opened { sources: self.topics.sources(&id), lanes: self.lanes.clone() })
    }

    fn resume(&mut self, ledger: &mut dyn Ledger, rows: &Rows) -> Result<Positions, Fault> {
        let mut from = Positions::new();
        let mut spoken = now();
        for lane in self.lanes.clone() {
            if now().duration_since(spoken) >= SPEAK {
                Rows::read(&rows.sources, ledger)?;
                spoken = now();
            }
            let Some(there) = rows.of(lane) else {
                from.insert(lane, self.bounds(lane).map_err(FeedError::from)?.low);
                continue;
            };
            let (next, reason) = self.place(lane, rows, there).map_err(FeedError::from)?;
            if let Some(reason) = reason {
                tracing::warn!(
                    "ledger: partition {} of {} is read again from offset {next}: {reason}; what is stored is skipped",
                    lane.partition(),
                    self.topics.of(lane.kind())
                );
            }
            from.insert(lane, next);
        }
        Ok(from)
    }

    fn seek(&mut self, from: &Positions) -> Result<(), FeedError> {
        let of = |kind| from.iter().filter(move |(lane, _)| lane.kind() == kind).map(|(_, next)| *next).collect();
        let topics = self.topics.clone();
        let parts = Kind::ALL.map(|kind| (kind, of(kind)));
        let parts = parts.into_iter().filter(|(_, from): &(Kind, Vec<u64>)| !from.is_empty());
        let parts: Vec<(&str, Vec<u64>)> = parts.map(|(kind, from)| (topics.of(kind), from)).collect();
        let (ahead, follower) = (self.ahead, self.cluster()?.follower(&parts)?);
        self.reading = Some(match ahead {
            true => Reading::Ahead(ReadAhead::start(follower, item)?),
            false => Reading::Here(follower),
        });
        Ok(())
    }

    fn next(&mut self, patience: Duration, room: usize, take: &mut dyn FnMut(Item)) -> Result<(), FeedError> {
        if now().duration_since(self.counted) >= self.count_again {
            let lanes = self.count()?;
            if lanes != self.lanes {
                let (now, before) = (lanes.len(), self.lanes.len());
                let Topics { grants, returns } = &self.topics;
                let of = returns.as_ref().map_or(grants.clone(), |returns| format!("{grants} and {returns}"));
                return Err(FeedError::Away(format!("kafka: there are {now} partitions of {of}, there were {before}")));
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

    fn hold(&mut self, held: &[Lane]) -> Result<(), FeedError> {
        let held: Vec<Part> = held.iter().map(|lane| (lane.kind() as usize, lane.partition())).collect();
        let reading = self.reading.as_mut().expect("a feed is held after a seek");
        Ok(reading.hold(&held)?)
    }

    fn ends(&mut self) -> Result<Positions, FeedError> {
        let mut ends = Positions::new();
        for lane in self.lanes.clone() {
            ends.insert(lane, self.bounds(lane)?.high);
        }
        Ok(ends)
    }

    fn is_read(&mut self, lane: Lane, next: u64) -> Result<bool, FeedError> {
        let Bounds { low, high } = self.bounds(lane)?;
        let (topic, mut is_read) = (self.topics.of(lane.kind()).to_owned(), true);
        let left = next.max(low)..high;
        if !left.is_empty() {
            // What is left may be markers of transactions, which are no records.
            self.cluster()?.read(&topic, lane.partition(), left, &mut |_| {
                is_read = false;
                ControlFlow::Break(())
            })?;
        }
        Ok(is_read)
    }

    fn stored(&self, lines: &Lines) -> Lsn {
        self.gate.as_ref().map_or(Lsn::ZERO, |(log, watermarks)| watermarks.stored_by(&lines.last(*log)))
    }

    fn is_all(&self, lines: &Lines) -> bool {
        self.gate.as_ref().is_none_or(|(_, watermarks)| self.stored(lines) >= watermarks.published.get())
    }

    fn awaits(&self, lines: &Lines) -> Vec<Hole> {
        let Some((log, watermarks)) = &self.gate else { return Vec::new() };
        let stored = lines.last(*log);
        let published = watermarks.lanes.published().into_iter().enumerate();
        let behind = published.filter_map(|(index, upto)| {
            let after = stored.get(index).copied()?;
            (after < upto).then_some(Hole { lane: Lane::at(index), log: *log, after, upto })
        });
        behind.collect()
    }

    fn reaches(&self, log: LogId) -> bool {
        self.gate.as_ref().is_some_and(|(ours, _)| *ours == log)
    }

    fn miss(&self, lane: Lane, log: LogId, after: Lsn) {
        if let Some((ours, watermarks)) = &self.gate
            && *ours == log
        {
            watermarks.lanes.miss(lane, after);
        }
    }
}

/// The record of the topic at `place`: grants are first.
fn item((place, record): (usize, Record)) -> Item {
    let kind = Kind::ALL[place];
    let parsed = understand(kind, &record);
    let (lane, position) = (Lane::new(kind, record.partition), record.offset);
    let raw = || Box::new(Raw { key: record.key, value: record.value, headers: record.headers });
    let what = match parsed {
        Parsed::Entry(parsed) => {
            What::Entry { entry: parsed.entry, prev: Some(parsed.prev), there: false, raw: Some(raw()) }
        }
        Parsed::Foreign => What::Foreign,
        Parsed::Bad(bad) => What::Bad { reason: bad.reason, place: bad.place, raw: raw() },
    };
    Item { lane, position, next: position + 1, what }
}

/// What a record of a topic of this kind says; no gate writes one that would have to wait for itself or what follows.
fn understand(kind: Kind, record: &Record) -> Parsed {
    let parsed = parse(kind, record.key.as_deref(), record.value.as_deref(), record.at, &record.headers);
    match (place_of(&parsed), &parsed) {
        (Some((log, seq)), _) if log == LogId::NONE || seq.get() > SEQ_MAX => {
            Parsed::Bad(Bad { reason: format!("its log is {log} and its seq {seq}: no gate writes such"), place: None })
        }
        (Some((log, seq)), Parsed::Entry(record)) if record.entry.after() >= seq => Parsed::Bad(Bad {
            reason: format!("its seq is {seq} and it comes after {}: no gate writes such", record.entry.after()),
            place: Some((log, seq, record.prev)),
        }),
        (Some(_) | None, _) => parsed,
    }
}

/// The journal and the `seq` of a record of ours.
fn place_of(parsed: &Parsed) -> Option<(LogId, Lsn)> {
    match parsed {
        Parsed::Entry(record) => Some((record.entry.log(), record.entry.seq())),
        Parsed::Bad(bad) => bad.place.map(|(log, seq, _)| (log, seq)),
        Parsed::Foreign => None,
    }
}
