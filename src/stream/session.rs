//! One producer from its making to its fault: what is sent, what is acknowledged, what is sent again.

use std::collections::{BTreeMap, VecDeque};

use super::checkpoint::{Anchor, Remembered, Rule};
use super::lots::Lots;
use super::records::{Entries, JournalFiles, Unreadable};
use super::resume::{OldRule, Resume};
use crate::grant::{Entry, Kind, Lane};
use crate::ids::{Lsn, Millis};
use crate::journal::Campaigns;
use crate::kafka::{Ack, Cluster, KafkaError, Outgoing, Sent, Writer};
use crate::limits;
use crate::sabotage::{Sabotage, on};
use crate::wire::kafka::{EntryRecord, Key, Value, encode};

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The cluster, or the producer.
    Kafka(KafkaError),
    /// A record landed where another one was: the topic is not the one that was looked at.
    Replaced(String),
    /// The journal cannot be read.
    Journal(String),
    /// The journal is older than the topic.
    Stale(String),
}

impl From<KafkaError> for Fault {
    fn from(error: KafkaError) -> Fault {
        Fault::Kafka(error)
    }
}

impl From<Unreadable> for Fault {
    fn from(Unreadable(line): Unreadable) -> Fault {
        Fault::Journal(line)
    }
}

impl Fault {
    /// Whether another moment can heal it.
    pub(super) fn passes(&self) -> bool {
        match self {
            Fault::Kafka(KafkaError::Unavailable(_) | KafkaError::Gone { .. }) | Fault::Replaced(_) => true,
            Fault::Kafka(KafkaError::Unfit(_)) | Fault::Journal(_) | Fault::Stale(_) => false,
        }
    }

    pub(super) fn line(&self) -> String {
        match self {
            Fault::Kafka(error) => error.to_string(),
            Fault::Replaced(line) | Fault::Journal(line) | Fault::Stale(line) => line.clone(),
        }
    }
}

/// How records are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub key: Key,
    pub value: Value,
    /// No record's time is beyond this.
    pub wall: Millis,
}

/// A producer and what it has on the way.
pub(super) struct Session {
    /// Lives as long as its writer.
    _cluster: Box<dyn Cluster>,
    writer: Box<dyn Writer>,
    /// The topics, in the order of kinds; there may be none of returns.
    topics: Vec<String>,
    /// In the order of lanes, with those of returns also where they have no topic.
    lanes: Vec<Sending>,
    /// By kind: up to here nothing is sent.
    covered: [Lsn; 2],
    /// How entries are dealt until it is over.
    pub(super) old_rule: Option<OldRule>,
    /// What was sent, in order, until it and all before it is acknowledged. The tag of the first one is `first_tag`.
    sent: VecDeque<Outstanding>,
    first_tag: u64,
    bytes: usize,
    entries: Entries,
    again: VecDeque<Again>,
    /// The producer has no room.
    full: bool,
    lots: Lots,
    acks: Vec<Ack>,
}

/// One lane.
#[derive(Default)]
struct Sending {
    /// `seq` of the last record sent, or found there.
    sent: Lsn,
    there: Remembered,
    /// The lowest offset that a record acknowledged next can have.
    next_offset: u64,
}

/// A record on its way.
struct Outstanding {
    /// Its event's position. Of one that is sent again: behind all that was read then.
    lsn: Lsn,
    seq: Lsn,
    at: Millis,
    bytes: usize,
    acked: bool,
}

/// A lane whose records are sent again.
struct Again {
    lane: Lane,
    /// The last `seq` that is not.
    prev: Lsn,
    /// The last one that is.
    upto: Lsn,
    entries: Entries,
}

impl Session {
    pub(super) fn new(
        cluster: Box<dyn Cluster>,
        writer: Box<dyn Writer>,
        topics: Vec<String>,
        partitions: u32,
        resume: &Resume,
        entries: Entries,
    ) -> Session {
        let early = u64::from(on(Sabotage::StreamOneEarly));
        let lanes = Lane::all(partitions).map(|lane| match resume.found.get(&lane) {
            Some(found) => Sending {
                sent: Lsn::new(found.there.acked.get().saturating_sub(early)),
                there: found.there,
                next_offset: found.there.high,
            },
            None => Sending::default(),
        });
        Session {
            _cluster: cluster,
            writer,
            topics,
            lanes: lanes.collect(),
            covered: Kind::ALL.map(|kind| Lsn::new(resume.covers(kind).get().saturating_sub(early))),
            old_rule: resume.old_rule,
            sent: VecDeque::new(),
            first_tag: 0,
            bytes: 0,
            entries,
            again: VecDeque::new(),
            full: false,
            lots: Lots::new(),
            acks: Vec::new(),
        }
    }

    /// Every entry up to here is acknowledged.
    pub(super) fn published(&self) -> Lsn {
        match self.sent.front() {
            Some(first) if !on(Sabotage::PublishedTakenForGranted) => first.lsn.prev(),
            Some(_) | None => self.entries.passed(),
        }
    }

    /// What is there of a kind, by partition; nothing where it has no topic.
    pub(super) fn there(&self, kind: Kind) -> Vec<Remembered> {
        let lanes = self.lanes.iter().enumerate().filter(|(place, _)| Lane::at(*place).kind() == kind);
        lanes.filter(|_| self.has_topic(kind)).map(|(_, lane)| lane.there).collect()
    }

    /// The last `seq` acknowledged, by lane.
    pub(super) fn acked(&self) -> impl Iterator<Item = Lsn> {
        self.lanes.iter().map(|lane| lane.there.acked)
    }

    fn has_topic(&self, kind: Kind) -> bool {
        kind == Kind::Grant || self.topics.len() > 1
    }

    fn place(&self, lane: Lane) -> String {
        format!("partition {} of {}", lane.partition(), self.topics[place_of(lane.kind())])
    }

    fn partitions(&self) -> u32 {
        self.lanes.len() as u32 / 2
    }

    /// Records of this session that were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.lots.acknowledged()
    }

    /// Records that are not acknowledged.
    pub(super) fn in_flight(&self) -> usize {
        self.writer.in_flight()
    }

    /// Nothing is on the way.
    pub(super) fn is_settled(&self) -> bool {
        self.sent.is_empty() && self.again.is_empty()
    }

    /// All that the old rule is for is acknowledged.
    pub(super) fn has_old_rule_ended(&self) -> bool {
        self.old_rule.is_some_and(|rule| self.published() >= rule.upto)
    }

    /// How entries are dealt where `key` is the setting.
    pub(super) fn rule(&self, key: Key) -> Rule {
        self.old_rule.map_or(Rule { key, partitions: self.partitions() }, |old| old.rule)
    }

    /// The time of the oldest entry that was read and is not acknowledged.
    pub(super) fn oldest(&self) -> Option<Millis> {
        self.sent.front().map(|first| first.at)
    }

    /// What there is to wait for beside acknowledgements: more of the journal than this.
    pub(super) fn waits_behind(&self) -> Lsn {
        if self.has_room() && !self.lots.waits() && self.again.is_empty() {
            self.entries.passed()
        } else {
            Lsn::new(u64::MAX)
        }
    }

    fn has_room(&self) -> bool {
        !self.full && self.sent.len() < limits::STREAM_IN_FLIGHT_RECORDS && self.bytes < limits::STREAM_IN_FLIGHT_BYTES
    }

    /// Takes what is acknowledged.
    ///
    /// # Errors
    /// The producer's fault, or an offset that was given before: what was acknowledged until then is taken.
    pub(super) fn take_acks(&mut self) -> Result<(), Fault> {
        let mut acks = std::mem::take(&mut self.acks);
        let fault = self.writer.acks(&mut acks);
        let mut acknowledged = 0;
        let taken = acks.drain(..).try_for_each(|ack| self.acknowledge(&ack).map(|()| acknowledged += 1));
        self.acks = acks;
        while let Some(first) = self.sent.front().filter(|first| first.acked) {
            self.first_tag += 1;
            self.bytes -= first.bytes;
            self.sent.pop_front();
        }
        self.full = false;
        self.lots.acknowledge(acknowledged, self.sent.is_empty());
        taken?;
        fault.map_err(Fault::from)
    }

    fn acknowledge(&mut self, ack: &Ack) -> Result<(), Fault> {
        let place = ack.tag.checked_sub(self.first_tag).and_then(|place| usize::try_from(place).ok());
        let sent = place.and_then(|place| self.sent.get_mut(place)).expect("what is acknowledged was sent");
        let at = Lane::new(Kind::ALL[ack.topic], ack.partition);
        let next_offset = self.lanes[at.index()].next_offset;
        if let Some(offset) = ack.offset.filter(|offset| *offset < next_offset) {
            return Err(Fault::Replaced(format!(
                "kafka: a record of {} got offset {offset}, where offsets up to {} were given before: the topic was replaced \
                 or has lost its tail; it is looked at again",
                self.place(at),
                next_offset - 1
            )));
        }
        let lane = &mut self.lanes[at.index()];
        sent.acked = true;
        lane.there.acked = lane.there.acked.max(sent.seq);
        match ack.offset {
            Some(offset) => {
                lane.next_offset = offset + 1;
                lane.there.anchor = Some(Anchor { offset, seq: sent.seq, acked: lane.there.acked });
            }
            // Wherever it is, it takes a place.
            None => lane.next_offset += 1,
        }
        Ok(())
    }

    /// Begins to send what the ledger's sink misses: lanes, and the `seq` behind which.
    pub(super) fn send_again(&mut self, missing: BTreeMap<Lane, Lsn>, files: &JournalFiles) -> Result<(), Fault> {
        for (lane, after) in missing {
            let Some(upto) = self.lanes.get(lane.index()).map(|lane| lane.sent).filter(|upto| after < *upto) else {
                continue;
            };
            tracing::warn!(
                "kafka: the sink misses what is behind seq {after} in {}: it is sent again up to seq {upto}; for other readers \
                 these are duplicates, with the same cg-seq",
                self.place(lane)
            );
            let entries = Entries::from(files, after.next())?;
            self.again.retain(|again| again.lane != lane);
            self.again.push_back(Again { lane, prev: after, upto, entries });
        }
        Ok(())
    }

    /// Sends what has room, up to `durable`; answers whether anything was read.
    pub(super) fn send(&mut self, campaigns: &mut Campaigns, durable: Lsn, form: Form) -> Result<bool, Fault> {
        let before = self.next_tag();
        let waiting = durable.get().saturating_sub(self.entries.passed().get());
        let moved = self.lots.admits(waiting) && self.fill(campaigns, durable, form)?;
        let gave = self.next_tag() > before;
        let moment = match gave {
            true => Some(self.lots.give()),
            false if self.writer.in_flight() > 0 => self.lots.remind(),
            false => None,
        };
        if let Some(moment) = moment {
            self.writer.hurry(moment);
        }
        Ok(moved)
    }

    fn fill(&mut self, campaigns: &mut Campaigns, durable: Lsn, form: Form) -> Result<bool, Fault> {
        let mut moved = false;
        for _ in 0..limits::STREAM_EVENTS_PER_TURN {
            if !self.has_room() {
                break;
            }
            let more = match self.again.front() {
                Some(_) => self.send_one_again(campaigns, durable, form)?,
                None => self.send_next(campaigns, durable, form)?,
            };
            moved |= more;
            if !more {
                break;
            }
        }
        Ok(moved)
    }

    fn next_tag(&self) -> u64 {
        self.first_tag + self.sent.len() as u64
    }

    /// Sends the next entry, unless it is there already; whether anything moved.
    fn send_next(&mut self, campaigns: &mut Campaigns, durable: Lsn, form: Form) -> Result<bool, Fault> {
        let (before, partitions) = (self.entries.passed(), self.partitions());
        let Some((lsn, entry)) = self.entries.front(campaigns, durable)? else {
            return Ok(self.entries.passed() > before);
        };
        if lsn <= self.covered[place_of(entry.kind())] {
            self.entries.pop();
            return Ok(true);
        }
        if self.old_rule.is_some_and(|old| entry.seq() > old.upto) {
            return Ok(false);
        }
        if entry.kind() == Kind::Return && self.topics.len() == 1 {
            return Err(Fault::Kafka(KafkaError::Unfit(no_topic_for(entry, form.key))));
        }
        let rule = self.old_rule.map_or(Rule { key: form.key, partitions }, |old| old.of(entry.kind()));
        let (lane, form) =
            (Lane::new(entry.kind(), rule.key.partition(entry, rule.partitions)), Form { key: rule.key, ..form });
        let sent = self.lanes[lane.index()].sent;
        if entry.seq() > sent {
            let entry = entry.clone();
            if !self.give(lsn, &entry, sent, lane, form)? {
                return Ok(false);
            }
            self.lanes[lane.index()].sent = entry.seq();
        }
        self.entries.pop();
        Ok(true)
    }

    /// Sends the next entry of those that are sent again; whether anything moved.
    fn send_one_again(&mut self, campaigns: &mut Campaigns, durable: Lsn, form: Form) -> Result<bool, Fault> {
        let Some(mut again) = self.again.pop_front() else { return Ok(false) };
        let before = again.entries.passed();
        let next = again.entries.front(campaigns, durable)?.map(|(_, entry)| entry.clone());
        let over = match &next {
            Some(entry) => entry.seq() > again.upto,
            None => again.entries.passed() == before,
        };
        if over {
            return Ok(true);
        }
        if let Some(entry) = next {
            let lane = Lane::new(entry.kind(), form.key.partition(&entry, self.partitions()));
            if lane == again.lane && entry.seq() > again.prev {
                let behind = self.entries.passed().next();
                if !self.give(behind, &entry, again.prev, lane, form)? {
                    self.again.push_front(again);
                    return Ok(false);
                }
                again.prev = entry.seq();
                if let Some(sent) = self.sent.back_mut() {
                    // It was published before: nothing waits for it since then.
                    sent.at = form.wall;
                }
            }
            again.entries.pop();
        }
        self.again.push_front(again);
        Ok(true)
    }

    /// Gives one record to the producer, if that has room.
    fn give(&mut self, lsn: Lsn, entry: &Entry, prev: Lsn, lane: Lane, form: Form) -> Result<bool, Fault> {
        let record = EntryRecord { entry: entry.clone(), prev };
        let (key, value, headers) = encode(&record, form.key, form.value);
        let headers_bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = key.as_ref().map_or(0, Vec::len) + value.len() + headers_bytes;
        let (topic, partition) = (place_of(lane.kind()), lane.partition());
        let outgoing = Outgoing { topic, partition, at: entry.at().min(form.wall), key, value, headers };
        match self.writer.send(&outgoing, self.next_tag())? {
            Sent::Queued => {
                self.bytes += bytes;
                self.sent.push_back(Outstanding { lsn, seq: entry.seq(), at: entry.at(), bytes, acked: false });
                Ok(true)
            }
            Sent::Full => {
                self.full = true;
                Ok(false)
            }
        }
    }
}

/// The place of the topic of a kind.
fn place_of(kind: Kind) -> usize {
    match kind {
        Kind::Grant => 0,
        Kind::Return => 1,
    }
}

/// Why a return cannot be published, and nothing behind it.
fn no_topic_for(entry: &Entry, key: Key) -> String {
    let (why, remedy) = match key {
        Key::Campaign => ("--kafka-cancel-topic none gives returns no topic", "with a --kafka-cancel-topic"),
        Key::User | Key::None => (
            "only --kafka-key campaign keeps a return behind its grant",
            "with --kafka-key campaign and a --kafka-cancel-topic",
        ),
    };
    format!("kafka: the journal says {entry}; {why}: nothing behind it is published until the gate is started {remedy}")
}
