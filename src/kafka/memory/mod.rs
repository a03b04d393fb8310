//! A cluster for tests: topics in memory, and the faults of a real one on demand.

mod ends; //  its writers and followers
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Ack, Bounds, Cluster, Follower, KafkaError, NewTopic, Outgoing, Record, Writer};
use ends::{MemoryFollower, MemoryWriter};

type OnAck = Arc<dyn Fn() + Send + Sync>;

/// The cluster. Clones are the same cluster.
#[derive(Clone)]
pub(crate) struct MemoryCluster {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    moved: Condvar,
}

struct State {
    id: String,
    topics: BTreeMap<String, Vec<Log>>,
    warnings: Vec<String>,
    writers: Vec<Sending>,
    faults: Faults,
}

/// What the cluster is to do wrong.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// No call is answered. Writers keep what they are given, as librdkafka does.
    pub down: bool,
    /// Every call is refused as `Unfit` with this line.
    pub refuse: Option<String>,
    /// What writers send does not reach any topic while set.
    pub hold_appends: bool,
    /// What writers send does not reach this topic.
    pub hold_appends_to: Option<String>,
    /// What reaches the topic is not acknowledged while set.
    pub hold_acks: bool,
    /// Acknowledgements do not tell offsets.
    pub hide_offsets: bool,
    /// A writer has room for so many records that are not acknowledged.
    pub room: usize,
    /// So many records are still taken; the next one ends its writer for good, and the fault is over.
    pub fatal_after: Option<u64>,
    /// So many calls of `Cluster` are still answered; those after are not, until this is taken back.
    pub calls_left: Option<u64>,
    /// After so many more calls of `Cluster`, what dead writers had on the way reaches the topic.
    pub late_after_calls: Option<u64>,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            down: false,
            refuse: None,
            hold_appends: false,
            hold_appends_to: None,
            hold_acks: false,
            hide_offsets: false,
            room: usize::MAX,
            fatal_after: None,
            calls_left: None,
            late_after_calls: None,
        }
    }
}

/// One partition.
#[derive(Clone, Default)]
struct Log {
    low: u64,
    high: u64,
    records: BTreeMap<u64, Record>,
}

/// What one writer has under way; it stays here when the writer is gone.
struct Sending {
    topics: Vec<String>,
    on_ack: Option<OnAck>,
    /// Sent, not in the topic.
    travelling: VecDeque<(Outgoing, u64)>,
    /// In the topic, not acknowledged.
    unacknowledged: VecDeque<Ack>,
    /// Acknowledged, not taken.
    acknowledged: VecDeque<Ack>,
    failed: Option<KafkaError>,
}

impl Default for MemoryCluster {
    fn default() -> MemoryCluster {
        let state = State {
            id: "memory".into(),
            topics: BTreeMap::new(),
            warnings: Vec::new(),
            writers: Vec::new(),
            faults: Faults::default(),
        };
        MemoryCluster { shared: Arc::new(Shared { state: Mutex::new(state), moved: Condvar::new() }) }
    }
}

impl MemoryCluster {
    /// A cluster with one topic of so many partitions.
    pub fn with_topic(topic: &str, partitions: u32) -> MemoryCluster {
        let cluster = MemoryCluster::default();
        cluster.make_topic(topic, partitions);
        cluster
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, then lets everything move that can, and tells those who wait.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        let told = state.settle();
        drop(state);
        self.shared.moved.notify_all();
        told.iter().for_each(|on_ack| on_ack());
        result
    }

    /// Changes the faults.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        self.change(|state| change(&mut state.faults));
    }

    /// The cluster is another one from here on.
    pub fn set_id(&self, id: &str) {
        self.state().id = id.into();
    }

    /// What `Cluster::warnings` says from here on.
    pub fn set_warnings(&self, warnings: &[&str]) {
        self.state().warnings = warnings.iter().map(|line| (*line).to_owned()).collect();
    }

    /// An empty topic, whatever was there by that name.
    pub fn make_topic(&self, topic: &str, partitions: u32) {
        self.change(|state| {
            state.topics.insert(topic.into(), vec![Log::default(); partitions as usize]);
        });
    }

    /// More partitions, empty ones.
    pub fn grow_topic(&self, topic: &str, partitions: u32) {
        self.change(|state| state.log_mut(topic).resize(partitions as usize, Log::default()));
    }

    /// The topic and all that was in it are gone.
    pub fn delete_topic(&self, topic: &str) {
        self.change(|state| state.topics.remove(topic));
    }

    /// Records from offset `from` on are lost, as after an unclean election: the next one gets that offset.
    pub fn truncate(&self, topic: &str, partition: u32, from: u64) {
        self.change(|state| {
            let log = &mut state.log_mut(topic)[partition as usize];
            log.records.retain(|offset, _| *offset < from);
            log.high = log.high.min(from);
            log.low = log.low.min(from);
        });
    }

    /// Records before offset `upto` are removed, as by retention.
    pub fn delete_records(&self, topic: &str, partition: u32, upto: u64) {
        self.change(|state| {
            let log = &mut state.log_mut(topic)[partition as usize];
            log.low = log.low.max(upto.min(log.high));
            log.records = log.records.split_off(&log.low);
        });
    }

    /// An offset without a record, as a transaction's marker leaves it.
    pub fn add_marker(&self, topic: &str, partition: u32) {
        self.change(|state| state.log_mut(topic)[partition as usize].high += 1);
    }

    /// A record by hand; answers its offset.
    pub fn add(&self, topic: &str, record: Outgoing) -> u64 {
        self.change(|state| state.append(topic, record).expect("the partition is there"))
    }

    /// The records of a partition, in order.
    pub fn records(&self, topic: &str, partition: u32) -> Vec<Record> {
        let state = self.state();
        let log = state.topics.get(topic).and_then(|logs| logs.get(partition as usize));
        log.map(|log| log.records.values().cloned().collect()).unwrap_or_default()
    }

    /// Records that dropped or failed writers had sent and that are not in the topic.
    pub fn travelling(&self) -> usize {
        self.state().writers.iter().filter(|sending| sending.is_over()).map(|sending| sending.travelling.len()).sum()
    }

    /// The first `count` of those reach the topic after all, in the order in which each writer sent them.
    pub fn append_late(&self, count: usize) {
        self.change(|state| state.append_late(count));
    }

    /// Those never arrive.
    pub fn lose_travelling(&self) {
        self.change(|state| {
            state.writers.iter_mut().filter(|sending| sending.is_over()).for_each(|over| over.travelling.clear());
        });
    }

    /// Every writer there is fails for good with `line`.
    pub fn fail_writers(&self, line: &str) {
        self.change(|state| {
            state.writers.iter_mut().for_each(|sending| sending.failed = Some(KafkaError::Unavailable(line.into())));
        });
    }
}

impl Sending {
    fn is_over(&self) -> bool {
        self.on_ack.is_none() || self.failed.is_some()
    }

    fn in_flight(&self) -> usize {
        self.travelling.len() + self.unacknowledged.len() + self.acknowledged.len()
    }
}

impl State {
    fn log_mut(&mut self, topic: &str) -> &mut Vec<Log> {
        self.topics.get_mut(topic).expect("the topic is there")
    }

    fn append(&mut self, topic: &str, record: Outgoing) -> Option<u64> {
        let log = self.topics.get_mut(topic)?.get_mut(record.partition as usize)?;
        let offset = log.high;
        let headers = record.headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
        let Outgoing { partition, at, key, value, .. } = record;
        log.records.insert(offset, Record { partition, offset, at: Some(at), key, value: Some(value), headers });
        log.high += 1;
        Some(offset)
    }

    fn append_late(&mut self, mut count: usize) {
        for number in 0..self.writers.len() {
            while count > 0
                && self.writers[number].is_over()
                && let Some((record, _)) = self.writers[number].travelling.pop_front()
            {
                count -= 1;
                let topic = self.writers[number].topics[record.topic].clone();
                let _gone_partition = self.append(&topic, record);
            }
        }
    }

    /// What is under way moves as far as the faults let it; answers whom to tell.
    fn settle(&mut self) -> Vec<OnAck> {
        let mut told = Vec::new();
        for number in 0..self.writers.len() {
            if self.writers[number].is_over() || self.faults.down {
                continue;
            }
            let travelling = std::mem::take(&mut self.writers[number].travelling);
            for (record, tag) in travelling {
                let (topic, partition) = (record.topic, record.partition);
                let name = self.writers[number].topics[topic].clone();
                let held = self.faults.hold_appends || self.faults.hold_appends_to.as_ref() == Some(&name);
                if held || self.writers[number].failed.is_some() || !self.topics.contains_key(&name) {
                    self.writers[number].travelling.push_back((record, tag));
                    continue;
                }
                let appended = self.append(&name, record);
                let hidden = self.faults.hide_offsets;
                let sending = &mut self.writers[number];
                match appended {
                    Some(offset) => {
                        let offset = (!hidden).then_some(offset);
                        sending.unacknowledged.push_back(Ack { topic, partition, tag, offset });
                    }
                    None => sending.failed = Some(KafkaError::Unavailable(format!("no partition {partition}"))),
                }
            }
            let (held, sending) = (self.faults.hold_acks, &mut self.writers[number]);
            if !held && !sending.unacknowledged.is_empty() {
                sending.acknowledged.append(&mut sending.unacknowledged);
                told.extend(sending.on_ack.clone());
            } else if sending.failed.is_some() {
                told.extend(sending.on_ack.clone());
            }
        }
        told
    }

    /// Whether a call is answered.
    fn answers(&mut self) -> Result<(), KafkaError> {
        match &mut self.faults.late_after_calls {
            Some(0) => {
                self.faults.late_after_calls = None;
                self.append_late(usize::MAX);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let silent = match &mut self.faults.calls_left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        match &self.faults.refuse {
            _ if self.faults.down || silent => Err(KafkaError::Unavailable("the memory cluster is down".into())),
            Some(line) => Err(KafkaError::Unfit(line.clone())),
            None => Ok(()),
        }
    }

    fn log(&self, topic: &str, partition: u32) -> Result<&Log, KafkaError> {
        let log = self.topics.get(topic).and_then(|logs| logs.get(partition as usize));
        log.ok_or_else(|| KafkaError::Unavailable(format!("there is no partition {partition} of {topic}")))
    }
}

impl Cluster for MemoryCluster {
    fn id(&mut self) -> Result<String, KafkaError> {
        let mut state = self.state();
        state.answers().map(|()| state.id.clone())
    }

    fn partitions(&mut self, topic: &str) -> Result<Option<u32>, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        Ok(state.topics.get(topic).map(|logs| logs.len() as u32))
    }

    fn create(&mut self, topic: &NewTopic) -> Result<(), KafkaError> {
        self.change(|state| {
            state.answers()?;
            let logs = vec![Log::default(); topic.partitions as usize];
            state.topics.entry(topic.name.clone()).or_insert(logs);
            Ok(())
        })
    }

    fn warnings(&mut self, _: &str) -> Result<Vec<String>, KafkaError> {
        let mut state = self.state();
        state.answers().map(|()| state.warnings.clone())
    }

    fn bounds(&mut self, topic: &str, partition: u32) -> Result<Bounds, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        state.log(topic, partition).map(|log| Bounds { low: log.low, high: log.high })
    }

    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        range: Range<u64>,
        take: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), KafkaError> {
        let mut state = self.state();
        state.answers()?;
        let log = state.log(topic, partition)?.clone();
        drop(state);
        if range.start < log.low && !range.is_empty() {
            let line = format!("partition {partition} of {topic} begins at {}, not at {}", log.low, range.start);
            return Err(KafkaError::Gone { partition, line });
        }
        for record in log.records.range(range.clone()).map(|(_, record)| record.clone()) {
            if take(record).is_break() {
                return Ok(());
            }
        }
        if range.end > log.high && !range.is_empty() {
            return Err(KafkaError::Unavailable(format!("partition {partition} of {topic} ends at {}", log.high)));
        }
        Ok(())
    }

    fn writer(&mut self, topics: &[&str], on_ack: Box<dyn Fn() + Send + Sync>) -> Result<Box<dyn Writer>, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        state.writers.push(Sending {
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            on_ack: Some(on_ack.into()),
            travelling: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            acknowledged: VecDeque::new(),
            failed: None,
        });
        let number = state.writers.len() - 1;
        Ok(Box::new(MemoryWriter { cluster: self.clone(), number }))
    }

    fn follower(&mut self, from: &[(&str, Vec<u64>)]) -> Result<Box<dyn Follower>, KafkaError> {
        self.state().answers()?;
        Ok(Box::new(MemoryFollower::new(self.clone(), from)))
    }
}
