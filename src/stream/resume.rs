//! Where the stream goes on: what the checkpoint remembers, held against what the topics' tails say.
//!
//! ```text
//!  low ........ anchor ........ high      the anchor is in its place: read from it, go on behind our last record
//!  (gone) low = anchor + 1 ... high       retention took it: what was acknowledged was there
//!  low ... high <= anchor                 a lost tail, or another topic: search our last sound record, send the rest again
//!  low .. looked at .. high              nothing of ours was there then: read what came since
//!  low ....................... high       no checkpoint: search backwards for a record of ours, else begin anew
//! ```

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::grant::{Kind, Lane};
use crate::ids::{LogId, Lsn};
use crate::kafka::{Bounds, Cluster, KafkaError};
use crate::sabotage::{Sabotage, on};
use crate::stream::checkpoint::{Anchor, Checkpoint, Remembered, Rule};
use crate::stream::scan::Scan;
use crate::stream::session::Fault;
use crate::wire::kafka::{EntryRecord, Key};

/// The first stretch at the end of a partition that is searched for a record of ours; ten times more each time.
const FIRST_STRETCH: u64 = 10;

/// What was found in one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// What is there of our journal: the next record goes behind it.
    pub there: Remembered,
    /// Every entry for this lane up to here is there.
    pub covered: Lsn,
    /// The highest `seq` seen, also behind a hole.
    pub highest: Lsn,
    /// That record, to be held against the journal.
    pub newest: Option<EntryRecord>,
    /// Records of ours that are there twice.
    pub duplicates: u64,
    /// The first record seen that is not ours, or not of this kind: its offset and its journal.
    pub foreign: Option<(u64, Option<LogId>)>,
    /// What is missing, for humans.
    pub lost: Option<String>,
}

/// The topics as they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    /// Every lane of the topics that there are.
    pub found: BTreeMap<Lane, Found>,
    /// Every entry up to here is in its topic; the journal is read from behind it.
    pub published: Lsn,
    /// Where entries were dealt otherwise and that is not over yet.
    pub old_rule: Option<OldRule>,
}

/// Some of what was dealt to another number of partitions, or by another key, may be missing, while later entries are there: up
/// to here it is dealt as before, and nothing else until that is acknowledged. An entry that goes to a partition that holds
/// later ones would be taken for sent, here and by readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OldRule {
    pub rule: Rule,
    pub upto: Lsn,
}

impl OldRule {
    /// How entries of a kind were dealt. There is a topic of returns only where the key is the campaign: those that are
    /// there went by it, whatever the key was since.
    pub(super) fn of(self, kind: Kind) -> Rule {
        match kind {
            Kind::Grant => self.rule,
            Kind::Return => Rule { key: Key::Campaign, ..self.rule },
        }
    }
}

/// What is to be resumed.
pub(super) struct Aim<'a> {
    pub topic: &'a str,
    pub cancel_topic: Option<&'a str>,
    pub log: LogId,
    pub key: Key,
    /// Of each topic.
    pub partitions: u32,
    pub accept_partitions: Option<u32>,
    pub adopt: bool,
    /// Nothing was ever written to the journal.
    pub is_new: bool,
}

impl Aim<'_> {
    /// The topic of a kind; there may be none of returns.
    fn topic_of(&self, kind: Kind) -> Option<&str> {
        match kind {
            Kind::Grant => Some(self.topic),
            Kind::Return => self.cancel_topic,
        }
    }

    /// A lane, for humans.
    pub(super) fn place(&self, lane: Lane) -> String {
        format!("partition {} of {}", lane.partition(), self.topic_of(lane.kind()).unwrap_or_default())
    }
}

/// Whether `known` speaks of this cluster and topic. `Unfit` where it does, with a number of partitions that is neither the
/// one that records were dealt to nor the one that the operator accepts.
pub(super) fn belongs(known: &Checkpoint, cluster: &str, aim: &Aim<'_>) -> Result<bool, KafkaError> {
    if known.cluster != cluster || known.topic != aim.topic {
        tracing::warn!(
            "kafka: {} of cluster {cluster} is another target than {} of cluster {}, which was filled up to lsn {}: it is \
             filled from the beginning of what the journal keeps",
            aim.topic,
            known.topic,
            known.cluster,
            known.published
        );
        return Ok(false);
    }
    if let Some(is) = aim.cancel_topic
        && known.cancel_topic.as_deref() != Some(is)
    {
        let was = known.cancel_topic.as_ref().map(|was| format!(", they were in {was}")).unwrap_or_default();
        tracing::warn!(
            "kafka: returns go to topic {is}{was}: it is filled from the beginning of what the journal keeps"
        );
    }
    let (topic, were, are) = (aim.topic, known.rule.partitions, aim.partitions);
    if known.rule.key != aim.key {
        tracing::warn!(
            "kafka: the records of topic {topic} were dealt by --kafka-key {}, from here on by {}: order holds for readers that \
             had read the old records first",
            known.rule.key.word(),
            aim.key.word()
        );
    }
    if were != are && aim.accept_partitions == Some(are) {
        tracing::warn!(
            "kafka: topic {topic} has {are} partitions, its records were dealt to {were}: from here on they are dealt to {are}, as \
             --kafka-accept-partitions says"
        );
    } else if were != are {
        let also = aim.cancel_topic.map(|cancel| format!("give {cancel} as many and ")).unwrap_or_default();
        return Err(KafkaError::Unfit(format!(
            "kafka: topic {topic} has {are} partitions, its records were dealt to {were}: nothing is published, because \
             each campaign that moves would lose its order. Either restore {topic} with {were} partitions; or, once all \
             readers have read to its end, {also}start the gate with --kafka-accept-partitions {are}: order within a \
             campaign then holds for readers that had read the old records first"
        )));
    }
    Ok(true)
}

/// Looks at every lane.
pub(super) fn examine(cluster: &mut dyn Cluster, aim: &Aim<'_>, known: Option<&Checkpoint>) -> Result<Resume, Fault> {
    let mut found = BTreeMap::new();
    for lane in Lane::all(aim.partitions) {
        let Some(topic) = aim.topic_of(lane.kind()) else { continue };
        // Of another topic of returns than this one nothing is remembered.
        let known = known.filter(|known| lane.kind() == Kind::Grant || known.cancel_topic.as_deref() == Some(topic));
        let remembered = known.map(|known| known.of(lane));
        let published = known.map_or(Lsn::ZERO, |known| known.published);
        let bounds = cluster.bounds(topic, lane.partition())?;
        let one = Tail { topic, log: aim.log, lane, bounds }.look(cluster, remembered, published)?;
        if let Some((offset, log)) = one.foreign {
            let (who, setting) = match (lane.kind(), log) {
                (Kind::Return, Some(log)) if log == aim.log => ("of this gate that is no return".to_owned(), "cancel-"),
                (Kind::Return, log) => (others(log), "cancel-"),
                (Kind::Grant, log) => (others(log), ""),
            };
            let place = aim.place(lane);
            if !aim.adopt && !on(Sabotage::AcceptForeignLog) {
                if let Some(lost) = log.filter(|log| aim.is_new && *log != aim.log) {
                    return Err(Fault::Stale(in_its_place(&place, lost)));
                }
                return Err(Fault::Kafka(KafkaError::Unfit(format!(
                    "kafka: {place} holds a record {who} at offset {offset}: nothing is published among the records of \
                     others without --kafka-adopt yes; or choose another topic with --kafka-{setting}topic"
                ))));
            }
            tracing::warn!("kafka: {place} holds a record {who} at offset {offset}");
        }
        found.insert(lane, one);
    }
    let published = found.values().map(|found| found.covered).min().unwrap_or(Lsn::ZERO);
    let is_other = |known: &&Checkpoint| known.rule.partitions < aim.partitions || known.rule.key != aim.key;
    let old_rule = known.filter(is_other).and_then(|known| {
        let old = found.iter().filter(|(lane, _)| lane.partition() < known.rule.partitions);
        let upto = old.map(|(_, found)| found.there.acked).max()?;
        (upto > published).then_some(OldRule { rule: known.rule, upto })
    });
    Ok(Resume { found, published, old_rule })
}

impl Resume {
    /// Every entry of this kind up to here is in its topic, by whatever rule it was dealt; not less than `published`.
    pub(super) fn covers(&self, kind: Kind) -> Lsn {
        let lanes = self.found.iter().filter(|(lane, _)| lane.kind() == kind);
        lanes.map(|(_, found)| found.covered).min().unwrap_or(self.published)
    }
}

/// Whose record it is.
/// A gate that nobody has claimed from finds the records of another one where it is to publish.
fn in_its_place(place: &str, lost: LogId) -> String {
    format!(
        "{place} holds grants of another gate (log {lost}), and this journal is new. Was the data directory of that one lost? \
         Then put this one aside and let `coupon-gate catch-up --log-id {lost}` make that one anew. Otherwise give this gate \
         topics of its own with --kafka-topic and --kafka-cancel-topic, or let both share them with --kafka-adopt yes"
    )
}

fn others(log: Option<LogId>) -> String {
    log.map_or("of somebody else".to_owned(), |log| format!("of another gate (log {log})"))
}

/// What the topics know beyond the journal, which ends at `durable`: then the journal is older than the world.
pub(super) fn ahead(aim: &Aim<'_>, resume: &Resume, known: Option<&Checkpoint>, durable: Lsn) -> Option<String> {
    let mut highest = known.map(|known| (known.published, format!("lsn {} was published", known.published)));
    for (lane, found) in &resume.found {
        let highest_there = found.highest.max(found.there.acked);
        if highest.as_ref().is_none_or(|(highest, _)| highest_there > *highest) {
            highest = Some((highest_there, format!("{} holds seq {highest_there}", aim.place(*lane))));
        }
    }
    let (_, evidence) = highest.filter(|(highest, _)| *highest > durable)?;
    Some(format!(
        "the journal is older than topic {}: {evidence}, the journal ended at {durable} (was the data directory restored \
         from a copy?); nothing is published and no claim is decided until `coupon-gate catch-up --from kafka` has \
         brought the missing grants and returns in",
        aim.topic
    ))
}

/// One lane.
struct Tail<'a> {
    topic: &'a str,
    log: LogId,
    lane: Lane,
    bounds: Bounds,
}

impl Tail<'_> {
    fn look(
        &self,
        cluster: &mut dyn Cluster,
        remembered: Option<Remembered>,
        published: Lsn,
    ) -> Result<Found, KafkaError> {
        let known = remembered.is_some();
        let remembered = remembered.unwrap_or_default();
        if on(Sabotage::NoTailReadBack) {
            return Ok(self.found(self.nothing(Some(remembered.acked)), remembered, published));
        }
        let scan = match remembered.anchor {
            Some(anchor) if anchor.offset < self.bounds.low => self.behind_retention(cluster, remembered)?,
            Some(anchor) if anchor.offset < self.bounds.high => match self.behind_anchor(cluster, anchor)? {
                Some(scan) => scan,
                None => self.search(cluster, Some(anchor.acked))?,
            },
            // At the last look nothing of ours was there.
            None if known => {
                let from = if remembered.high <= self.bounds.high { remembered.high } else { 0 };
                self.scan(cluster, from.max(self.bounds.low), Some(Lsn::ZERO))?
            }
            Some(anchor) => self.search(cluster, Some(anchor.acked))?,
            None => self.search(cluster, None)?,
        };
        Ok(self.found(scan, remembered, published))
    }

    fn found(&self, scan: Scan, remembered: Remembered, published: Lsn) -> Found {
        let last = scan.last.unwrap_or(Lsn::ZERO);
        let missing = match scan.hole {
            Some(prev) => Some(prev),
            None => (last < remembered.acked).then_some(remembered.acked),
        };
        let Bounds { low, high } = self.bounds;
        let lost = missing.map(|missing| {
            format!(
                "kafka: partition {} of {} does not hold what it held: seq {missing} was there and is gone, the last sound \
                 record of this gate in its offsets {low}..{high} is seq {last}; what comes after is sent again from the \
                 journal",
                self.lane.partition(),
                self.topic
            )
        });
        Found {
            there: Remembered {
                acked: last,
                high,
                anchor: scan.anchor.or(remembered.anchor.filter(|_| lost.is_none())),
            },
            covered: if lost.is_some() { last } else { last.max(published) },
            highest: scan.highest,
            newest: scan.newest,
            duplicates: scan.duplicates,
            foreign: scan.foreign,
            lost,
        }
    }

    /// From the anchor on; `None` where it is not in its place.
    fn behind_anchor(&self, cluster: &mut dyn Cluster, anchor: Anchor) -> Result<Option<Scan>, KafkaError> {
        let mut scan = self.nothing(Some(anchor.acked));
        let mut intact = false;
        cluster.read(self.topic, self.lane.partition(), anchor.offset..self.bounds.high, &mut |record| {
            if intact {
                scan.take(&record);
                return ControlFlow::Continue(());
            }
            let mut alone = self.nothing(None);
            alone.take(&record);
            intact = record.offset == anchor.offset && alone.highest == anchor.seq;
            (scan.anchor, scan.highest, scan.newest) = (Some(anchor), alone.highest, alone.newest);
            if intact { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(intact.then_some(scan))
    }

    /// Retention took the anchor and all before it. What it took behind the anchor was never acknowledged.
    fn behind_retention(&self, cluster: &mut dyn Cluster, remembered: Remembered) -> Result<Scan, KafkaError> {
        let mut scan = self.scan(cluster, self.bounds.low, None)?;
        scan.last = Some(scan.last.map_or(remembered.acked, |last| last.max(remembered.acked)));
        Ok(scan)
    }

    /// Growing stretches of the end, until one holds a record of ours: one up to `sound`, where that is known. Those
    /// behind it may have been written after the loss.
    fn search(&self, cluster: &mut dyn Cluster, sound: Option<Lsn>) -> Result<Scan, KafkaError> {
        let Bounds { low, high } = self.bounds;
        let mut stretch = FIRST_STRETCH;
        loop {
            let from = high.saturating_sub(stretch).max(low);
            // Of a partition that begins at 0 our first record has nothing before it.
            let scan = self.scan(cluster, from, (from == 0).then_some(Lsn::ZERO))?;
            let reached = scan.lowest.is_some_and(|lowest| sound.is_none_or(|sound| lowest <= sound));
            if from > low && !reached {
                stretch = stretch.saturating_mul(10);
                continue;
            }
            let hangs = sound.is_some_and(|sound| scan.first.is_some_and(|(first, _)| first > sound));
            return if hangs && from > 0 { self.scan(cluster, from, Some(Lsn::ZERO)) } else { Ok(scan) };
        }
    }

    /// Nothing seen yet; everything up to `last` is there.
    fn nothing(&self, last: Option<Lsn>) -> Scan {
        Scan::new(self.log, self.lane.kind(), last)
    }

    fn scan(&self, cluster: &mut dyn Cluster, from: u64, last: Option<Lsn>) -> Result<Scan, KafkaError> {
        let mut scan = self.nothing(last);
        if from < self.bounds.high {
            cluster.read(self.topic, self.lane.partition(), from..self.bounds.high, &mut |record| {
                scan.take(&record);
                ControlFlow::Continue(())
            })?;
        }
        Ok(scan)
    }
}
