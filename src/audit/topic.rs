//! The topic, read as every reader of it should: a record counts when its turn comes, a repeated one is skipped, one
//! before its turn waits until what belongs before it was sent again.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use super::AuditError;
use super::book::{Book, Judged, Seen};
use super::findings::{Kind as Difference, Place};
use super::progress::Progress;
use crate::grant::{Entry, Kind};
use crate::ids::{LogId, Lsn};
use crate::kafka::{Bounds, Cluster, KafkaError, Record};
use crate::ledger::{kafka_returns_source, kafka_source};
use crate::wire::kafka::{Bad, EntryRecord, Parsed, parse};

/// Other journals in the topic that are counted each for itself.
const OTHERS_MAX: usize = 100;

/// Records that make no sense and are told in words.
const BAD_NAMED_MAX: usize = 20;

/// How often reading begins again behind records that retention took meanwhile.
const GONE_MAX: u32 = 100;

/// Records between two words about progress.
const SHOWN_EVERY: u64 = 4096;

/// A topic whose ends are known.
pub struct Topic {
    cluster: Box<dyn Cluster>,
    /// Its name.
    pub name: String,
    /// The cluster's id.
    pub cluster_id: String,
    /// What each partition held when the audit began.
    pub bounds: Vec<Bounds>,
    /// The same of the returns: the topic and its partitions. `None` where there is none.
    pub returns: Option<(String, Vec<Bounds>)>,
}

/// What was found in one partition of the grants of our journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The highest position there is, also of records before their turn.
    pub seen_upto: Lsn,
    /// Up to here retention has taken them.
    pub unkept_upto: Lsn,
    /// Records were there once that nobody can tell any more: retention has taken all of ours.
    pub all_taken: bool,
}

/// What a topic holds beside what differs.
#[derive(Debug, Default)]
pub struct TopicFacts {
    /// Records of all kinds.
    pub records: u64,
    /// Grants and returns of our journal, in their turn.
    pub entries: u64,
    /// The same again: readers skip them.
    pub repeats: u64,
    /// Before their turn: readers wait for them to be sent again.
    pub early: u64,
    /// With our headers, without sense.
    pub bad: u64,
    /// The first of those, in words.
    pub bad_named: Vec<String>,
    /// Somebody else's.
    pub foreign: u64,
    /// Grants of other journals.
    pub others: BTreeMap<LogId, u64>,
    /// Grants of further journals.
    pub further: u64,
    /// Of the grants, by partition.
    pub parts: Vec<Part>,
    /// Of the returns, by partition; `None` where there is no topic for them.
    pub returns: Option<Vec<Part>>,
    /// What the journal no longer tells of.
    pub untold: u64,
}

impl TopicFacts {
    /// What was found of entries of `kind`, by partition; `None` where they have no topic.
    pub fn parts_of(&self, kind: Kind) -> Option<&[Part]> {
        match kind {
            Kind::Grant => Some(&self.parts),
            Kind::Return => self.returns.as_deref(),
        }
    }
}

impl Topic {
    /// Asks where the topic begins and ends. `None`: there is no such topic.
    pub fn begin(
        mut cluster: Box<dyn Cluster>,
        name: &str,
        cancel: Option<String>,
    ) -> Result<Option<Topic>, KafkaError> {
        let cluster_id = cluster.id()?;
        let mut bounds_of = |name: &str| -> Result<Option<Vec<Bounds>>, KafkaError> {
            let Some(partitions) = cluster.partitions(name)? else { return Ok(None) };
            (0..partitions).map(|partition| cluster.bounds(name, partition)).collect::<Result<_, _>>().map(Some)
        };
        let Some(bounds) = bounds_of(name)? else { return Ok(None) };
        let returns = match cancel {
            Some(cancel) => bounds_of(&cancel)?.map(|bounds| (cancel, bounds)),
            None => None,
        };
        Ok(Some(Topic { cluster, name: name.to_owned(), cluster_id, bounds, returns }))
    }

    /// Reads all of it. What it finds wrong goes to the findings of `book`.
    pub fn read(&mut self, book: &mut Book, progress: &mut Progress) -> Result<TopicFacts, ReadError> {
        let mut facts = TopicFacts::default();
        let topics = [(Kind::Grant, &self.name, &self.bounds)].into_iter();
        let topics = topics.chain(self.returns.iter().map(|(name, bounds)| (Kind::Return, name, bounds)));
        let lines = topics
            .flat_map(|(kind, name, bounds)| (0..).zip(bounds).map(move |(part, bounds)| (kind, name, part, *bounds)));
        let lines: Vec<(Kind, &String, u32, Bounds)> = lines.collect();
        let total = lines.iter().map(|(.., bounds)| bounds.high - bounds.low).sum();
        facts.returns = self.returns.as_ref().map(|_| Vec::new());
        for (kind, name, partition, bounds) in lines {
            let mut line = Line {
                book: &mut *book,
                progress: &mut *progress,
                facts: &mut facts,
                total,
                last: HashMap::new(),
                part: Part::default(),
                kind,
                next: bounds.low,
                cut: bounds.low > 0,
                trouble: None,
            };
            line.read(self.cluster.as_mut(), name, partition, bounds)?;
            let part = line.part;
            match (kind, &mut facts.returns) {
                (Kind::Return, Some(returns)) => returns.push(part),
                (Kind::Return, None) | (Kind::Grant, _) => facts.parts.push(part),
            }
        }
        Ok(facts)
    }

    /// Each topic as a source of the ledger, and where its partitions end.
    pub fn ends(&self) -> Vec<(String, Vec<u64>)> {
        let highs = |bounds: &[Bounds]| bounds.iter().map(|bounds| bounds.high).collect();
        let grants = (kafka_source(&self.cluster_id, &self.name), highs(&self.bounds));
        let returns =
            self.returns.iter().map(|(name, bounds)| (kafka_returns_source(&self.cluster_id, name), highs(bounds)));
        std::iter::once(grants).chain(returns).collect()
    }
}

/// Why reading ended early.
pub enum ReadError {
    /// The cluster did not answer.
    Kafka(KafkaError),
    /// The audit itself cannot go on.
    Audit(AuditError),
}

/// The line of records of one partition.
struct Line<'a> {
    book: &'a mut Book,
    progress: &'a mut Progress,
    facts: &'a mut TopicFacts,
    total: u64,
    /// The last grant of each journal in its turn. Of ours alone more than that is asked.
    last: HashMap<LogId, Lsn>,
    part: Part,
    /// What its records are.
    kind: Kind,
    /// The next offset to read.
    next: u64,
    /// Records before those that are read are gone.
    cut: bool,
    trouble: Option<AuditError>,
}

impl Line<'_> {
    fn read(
        &mut self,
        cluster: &mut dyn Cluster,
        topic: &str,
        partition: u32,
        bounds: Bounds,
    ) -> Result<(), ReadError> {
        let mut gone = 0;
        while self.next < bounds.high {
            let range = self.next..bounds.high;
            let read = cluster.read(topic, partition, range, &mut |record| self.take(&record));
            if let Some(trouble) = self.trouble.take() {
                return Err(ReadError::Audit(trouble));
            }
            match read {
                Ok(()) => break,
                Err(KafkaError::Gone { .. }) if gone < GONE_MAX => {
                    gone += 1;
                    let low = cluster.bounds(topic, partition).map_err(ReadError::Kafka)?.low;
                    if low > self.next {
                        (self.next, self.cut) = (low, true);
                        self.last.clear();
                    }
                }
                Err(error) => return Err(ReadError::Kafka(error)),
            }
        }
        self.part.all_taken = self.cut && self.part.seen_upto == Lsn::ZERO;
        Ok(())
    }

    fn take(&mut self, record: &Record) -> ControlFlow<()> {
        self.next = record.offset + 1;
        self.facts.records += 1;
        if self.facts.records.is_multiple_of(SHOWN_EVERY) {
            self.progress.at(self.facts.records, self.total);
        }
        match parse(self.kind, record.key.as_deref(), record.value.as_deref(), record.at, &record.headers) {
            Parsed::Foreign => self.facts.foreign += 1,
            Parsed::Bad(bad) => self.bad(record, &bad),
            Parsed::Entry(found) if found.entry.log() != self.book.log() => {
                let log = found.entry.log();
                let known = self.facts.others.len() < OTHERS_MAX || self.facts.others.contains_key(&log);
                match known {
                    true => *self.facts.others.entry(log).or_default() += 1,
                    false => self.facts.further += 1,
                }
            }
            Parsed::Entry(found) => {
                if let Err(error) = self.ours(record, &found) {
                    self.trouble = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// A record that makes no sense keeps its place in the line, as for every reader.
    fn bad(&mut self, record: &Record, bad: &Bad) {
        self.facts.bad += 1;
        if self.facts.bad_named.len() < BAD_NAMED_MAX {
            self.facts.bad_named.push(format!("{}: {}", place(record), bad.reason));
        }
        if let Some((log, seq, prev)) = bad.place
            && log == self.book.log()
            && self.last_of(log, prev) == prev
            && seq <= self.book.last()
        {
            self.last.insert(log, seq);
            self.part.seen_upto = self.part.seen_upto.max(seq);
        }
    }

    fn ours(&mut self, record: &Record, found: &EntryRecord) -> Result<(), AuditError> {
        let EntryRecord { entry, prev } = found;
        let (log, seq) = (entry.log(), entry.seq());
        let last = self.last_of(log, *prev);
        if *prev > last {
            self.facts.early += 1;
            if self.judge(Seen::Early, entry)? != Judged::Orphan {
                self.part.seen_upto = self.part.seen_upto.max(seq);
            }
            return Ok(());
        }
        let judged = self.judge(Seen::Topic, entry)?;
        match judged {
            Judged::Orphan => return Ok(()),
            Judged::Again => self.facts.repeats += 1,
            Judged::Untold => self.facts.untold += 1,
            Judged::Right | Judged::Wrong | Judged::Ignored => self.facts.entries += 1,
        }
        let words = || format!("seat {} (seq {seq}) at {}", entry.seat(), place(record));
        if seq <= last {
            // What retention took before the sink had it is sent again, behind what came later.
            if judged == Judged::Right && seq > self.part.unkept_upto {
                let add = || format!("{} comes after seq {last}", words());
                self.book.findings.add(entry.campaign(), Place::Kafka, Difference::Order, add);
            }
            return Ok(());
        }
        if *prev < last {
            let add = || format!("{} names seq {prev} as the one before it, which is {last}", words());
            self.book.findings.add(entry.campaign(), Place::Kafka, Difference::Chain, add);
        }
        self.last.insert(log, seq);
        self.part.seen_upto = self.part.seen_upto.max(seq);
        Ok(())
    }

    /// The last grant of `log` in its turn. What came before the first that is kept is what that one says.
    fn last_of(&mut self, log: LogId, prev: Lsn) -> Lsn {
        if let Some(last) = self.last.get(&log) {
            return *last;
        }
        let last = if self.cut { prev } else { Lsn::ZERO };
        self.last.insert(log, last);
        if log == self.book.log() {
            self.part.unkept_upto = self.part.unkept_upto.max(last);
        }
        last
    }

    fn judge(&mut self, seen: Seen, entry: &Entry) -> Result<Judged, AuditError> {
        match entry {
            Entry::Grant { grant, .. } => self.book.judge(seen, grant, self.progress),
            Entry::Return(back) => self.book.judge_return(seen, back, self.progress),
        }
    }
}

fn place(record: &Record) -> String {
    format!("partition {} offset {}", record.partition, record.offset)
}
