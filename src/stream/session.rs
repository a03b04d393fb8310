//! One producer from its making to its fault: what is sent, what is acknowledged, what is sent again.

use std::collections::{BTreeMap, VecDeque};

use super::checkpoint::{Anchor, Remembered, Rule};
use super::records::{Grants, JournalFiles, Unreadable};
use super::resume::{OldRule, Resume};
use crate::grant::Entry;
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
    lanes: Vec<Lane>,
    /// How grants are dealt until it is over.
    pub(super) old_rule: Option<OldRule>,
    /// What was sent, in order, until it and all before it is acknowledged. The tag of the first one is `first_tag`.
    sent: VecDeque<Outstanding>,
    first_tag: u64,
    bytes: usize,
    grants: Grants,
    again: VecDeque<Again>,
    /// The producer has no room.
    full: bool,
    acks: Vec<Ack>,
    /// Records of this session that were acknowledged.
    pub(super) acknowledged: u64,
}

/// One partition.
struct Lane {
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

/// A partition whose records are sent again.
struct Again {
    partition: u32,
    /// The last `seq` that is not.
    prev: Lsn,
    /// The last one that is.
    upto: Lsn,
    grants: Grants,
}

impl Session {
    pub(super) fn new(cluster: Box<dyn Cluster>, writer: Box<dyn Writer>, resume: &Resume, grants: Grants) -> Session {
        let early = u64::from(on(Sabotage::StreamOneEarly));
        let lanes = resume.found.iter().map(|found| Lane {
            sent: Lsn::new(found.there.acked.get().saturating_sub(early)),
            there: found.there,
            next_offset: found.there.high,
        });
        Session {
            _cluster: cluster,
            writer,
            lanes: lanes.collect(),
            old_rule: resume.old_rule,
            sent: VecDeque::new(),
            first_tag: 0,
            bytes: 0,
            grants,
            again: VecDeque::new(),
            full: false,
            acks: Vec::new(),
            acknowledged: 0,
        }
    }

    /// Every grant up to here is acknowledged.
    pub(super) fn published(&self) -> Lsn {
        match self.sent.front() {
            Some(first) if !on(Sabotage::PublishedTakenForGranted) => first.lsn.prev(),
            Some(_) | None => self.grants.passed(),
        }
    }

    /// What is there, by partition.
    pub(super) fn there(&self) -> impl Iterator<Item = Remembered> {
        self.lanes.iter().map(|lane| lane.there)
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

    /// How grants are dealt where `key` is the setting.
    pub(super) fn rule(&self, key: Key) -> Rule {
        self.old_rule.map_or(Rule { key, partitions: self.lanes.len() as u32 }, |old| old.rule)
    }

    /// The time of the oldest grant that was read and is not acknowledged.
    pub(super) fn oldest(&self) -> Option<Millis> {
        self.sent.front().map(|first| first.at)
    }

    /// What there is to wait for beside acknowledgements: more of the journal than this.
    pub(super) fn waits_behind(&self) -> Lsn {
        if self.has_room() && self.again.is_empty() { self.grants.passed() } else { Lsn::new(u64::MAX) }
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
        let taken = acks.drain(..).try_for_each(|ack| self.acknowledge(&ack));
        self.acks = acks;
        while let Some(first) = self.sent.front().filter(|first| first.acked) {
            self.first_tag += 1;
            self.bytes -= first.bytes;
            self.sent.pop_front();
        }
        self.full = false;
        taken?;
        fault.map_err(Fault::from)
    }

    fn acknowledge(&mut self, ack: &Ack) -> Result<(), Fault> {
        let place = ack.tag.checked_sub(self.first_tag).and_then(|place| usize::try_from(place).ok());
        let sent = place.and_then(|place| self.sent.get_mut(place)).expect("what is acknowledged was sent");
        let lane = &mut self.lanes[ack.partition as usize];
        if let Some(offset) = ack.offset.filter(|offset| *offset < lane.next_offset) {
            return Err(Fault::Replaced(format!(
                "kafka: a record of partition {} got offset {offset}, where offsets up to {} were given before: the topic \
                 was replaced or has lost its tail; it is looked at again",
                ack.partition,
                lane.next_offset - 1
            )));
        }
        sent.acked = true;
        self.acknowledged += 1;
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

    /// Begins to send what the ledger's sink misses: partitions, and the `seq` behind which.
    pub(super) fn send_again(&mut self, missing: BTreeMap<u32, Lsn>, files: &JournalFiles) -> Result<(), Fault> {
        for (partition, after) in missing {
            let Some(lane) = self.lanes.get(partition as usize) else { continue };
            if after >= lane.sent {
                continue;
            }
            tracing::warn!(
                "kafka: the sink misses what is behind seq {after} in partition {partition}: it is sent again up to seq {}; \
                 for other readers these are duplicates, with the same cg-seq",
                lane.sent
            );
            let grants = Grants::from(files, after.next())?;
            self.again.retain(|again| again.partition != partition);
            self.again.push_back(Again { partition, prev: after, upto: lane.sent, grants });
        }
        Ok(())
    }

    /// Sends what has room, up to `durable`; answers whether anything was read.
    pub(super) fn send(&mut self, campaigns: &mut Campaigns, durable: Lsn, form: Form) -> Result<bool, Fault> {
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

    /// Sends the next grant, unless it is there already; whether anything moved.
    fn send_next(&mut self, campaigns: &mut Campaigns, durable: Lsn, form: Form) -> Result<bool, Fault> {
        let before = self.grants.passed();
        let Some((lsn, grant)) = self.grants.front(campaigns, durable)? else {
            return Ok(self.grants.passed() > before);
        };
        if self.old_rule.is_some_and(|old| grant.seq() > old.upto) {
            return Ok(false);
        }
        let rule = self.old_rule.map_or(Rule { key: form.key, partitions: self.lanes.len() as u32 }, |old| old.rule);
        let (partition, form) = (rule.key.partition(grant, rule.partitions), Form { key: rule.key, ..form });
        let lane = &self.lanes[partition as usize];
        if grant.seq() > lane.sent {
            let (grant, prev) = (grant.clone(), lane.sent);
            if !self.give(lsn, &grant, prev, partition, form)? {
                return Ok(false);
            }
            self.lanes[partition as usize].sent = grant.seq();
        }
        self.grants.pop();
        Ok(true)
    }

    /// Sends the next grant of those that are sent again; whether anything moved.
    fn send_one_again(&mut self, campaigns: &mut Campaigns, durable: Lsn, form: Form) -> Result<bool, Fault> {
        let Some(mut again) = self.again.pop_front() else { return Ok(false) };
        let before = again.grants.passed();
        let next = again.grants.front(campaigns, durable)?.map(|(_, grant)| grant.clone());
        let over = match &next {
            Some(grant) => grant.seq() > again.upto,
            None => again.grants.passed() == before,
        };
        if over {
            return Ok(true);
        }
        if let Some(grant) = next {
            let partition = form.key.partition(&grant, self.lanes.len() as u32);
            if partition == again.partition && grant.seq() > again.prev {
                let behind = self.grants.passed().next();
                if !self.give(behind, &grant, again.prev, partition, form)? {
                    self.again.push_front(again);
                    return Ok(false);
                }
                again.prev = grant.seq();
                if let Some(sent) = self.sent.back_mut() {
                    // It was published before: nothing waits for it since then.
                    sent.at = form.wall;
                }
            }
            again.grants.pop();
        }
        self.again.push_front(again);
        Ok(true)
    }

    /// Gives one record to the producer, if that has room.
    fn give(&mut self, lsn: Lsn, entry: &Entry, prev: Lsn, partition: u32, form: Form) -> Result<bool, Fault> {
        let record = EntryRecord { entry: entry.clone(), prev };
        let (key, value, headers) = encode(&record, form.key, form.value);
        let headers_bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = key.as_ref().map_or(0, Vec::len) + value.len() + headers_bytes;
        let outgoing = Outgoing { topic: 0, partition, at: entry.at().min(form.wall), key, value, headers };
        match self.writer.send(&outgoing, self.first_tag + self.sent.len() as u64)? {
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
