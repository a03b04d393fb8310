//! A cluster for tests: topics in memory, and the faults of a real one on demand.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Ack, Bounds, Cluster, Follower, KafkaError, NewTopic, Outgoing, Record, Sent, Writer};

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
    /// What writers send does not reach the topic while set.
    pub hold_appends: bool,
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
    topic: String,
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
                let topic = self.writers[number].topic.clone();
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
            let topic = self.writers[number].topic.clone();
            while !self.faults.hold_appends
                && self.topics.contains_key(&topic)
                && let Some((record, tag)) = self.writers[number].travelling.pop_front()
            {
                let partition = record.partition;
                let appended = self.append(&topic, record);
                let hidden = self.faults.hide_offsets;
                let sending = &mut self.writers[number];
                match appended {
                    Some(offset) => {
                        let offset = (!hidden).then_some(offset);
                        sending.unacknowledged.push_back(Ack { partition, tag, offset });
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

    fn writer(&mut self, topic: &str, on_ack: Box<dyn Fn() + Send + Sync>) -> Result<Box<dyn Writer>, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        state.writers.push(Sending {
            topic: topic.into(),
            on_ack: Some(on_ack.into()),
            travelling: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            acknowledged: VecDeque::new(),
            failed: None,
        });
        let number = state.writers.len() - 1;
        Ok(Box::new(MemoryWriter { cluster: self.clone(), number }))
    }

    fn follower(&mut self, topic: &str, from: &[u64]) -> Result<Box<dyn Follower>, KafkaError> {
        self.state().answers()?;
        Ok(Box::new(MemoryFollower {
            cluster: self.clone(),
            topic: topic.into(),
            next: from.to_vec(),
            turn: 0,
            paused: false,
        }))
    }
}

struct MemoryWriter {
    cluster: MemoryCluster,
    number: usize,
}

impl Writer for MemoryWriter {
    fn send(&mut self, record: &Outgoing, tag: u64) -> Result<Sent, KafkaError> {
        let number = self.number;
        self.cluster.change(|state| {
            let State { writers, faults, .. } = state;
            let sending = &mut writers[number];
            if sending.failed.is_none() && sending.in_flight() >= faults.room {
                return Ok(Sent::Full);
            }
            match &mut faults.fatal_after {
                Some(0) => {
                    faults.fatal_after = None;
                    sending.failed = Some(KafkaError::Unavailable("the writer has failed for good".into()));
                }
                Some(left) => *left -= 1,
                None => {}
            }
            if let Some(failed) = &sending.failed {
                return Err(failed.clone());
            }
            sending.travelling.push_back((record.clone(), tag));
            Ok(Sent::Queued)
        })
    }

    fn acks(&mut self, into: &mut Vec<Ack>) -> Result<(), KafkaError> {
        let mut state = self.cluster.state();
        let sending = &mut state.writers[self.number];
        into.extend(sending.acknowledged.drain(..));
        sending.failed.clone().map_or(Ok(()), Err)
    }

    fn in_flight(&self) -> usize {
        self.cluster.state().writers[self.number].in_flight()
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.cluster.state().writers[self.number].on_ack = None;
    }
}

struct MemoryFollower {
    cluster: MemoryCluster,
    topic: String,
    next: Vec<u64>,
    /// The partition that is looked at first.
    turn: usize,
    paused: bool,
}

impl MemoryFollower {
    fn look(next: &[u64], turn: usize, topic: &str, state: &mut State) -> Result<Option<Record>, KafkaError> {
        state.answers()?;
        for step in 0..next.len() {
            let partition = (turn + step) % next.len();
            let (wanted, log) = (next[partition], state.log(topic, partition as u32)?);
            if wanted < log.low || wanted > log.high {
                let line = format!("offset {wanted} of partition {partition} is not there: {}..{}", log.low, log.high);
                return Err(KafkaError::Gone { partition: partition as u32, line });
            }
            if let Some((_, record)) = log.records.range(wanted..).next() {
                return Ok(Some(record.clone()));
            }
        }
        Ok(None)
    }
}

impl Follower for MemoryFollower {
    fn next(&mut self, patience: Duration) -> Result<Option<Record>, KafkaError> {
        let cluster = self.cluster.clone();
        let mut found = Ok(None);
        let waiting = |state: &mut State| {
            found = match self.paused {
                true => state.answers().map(|()| None),
                false => MemoryFollower::look(&self.next, self.turn, &self.topic, state),
            };
            found == Ok(None)
        };
        let waited = cluster.shared.moved.wait_timeout_while(cluster.state(), patience, waiting);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        if let Ok(Some(record)) = &found {
            self.next[record.partition as usize] = record.offset + 1;
            self.turn = record.partition as usize + 1;
        }
        found
    }

    fn pause(&mut self) -> Result<(), KafkaError> {
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), KafkaError> {
        self.paused = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Millis;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const TOPIC: &str = "topic";

    fn record(partition: u32, value: u8) -> Outgoing {
        Outgoing { partition, at: Millis(1), key: None, value: vec![value], headers: vec![("h", vec![value])] }
    }

    fn values(cluster: &MemoryCluster, partition: u32) -> Vec<u8> {
        cluster.records(TOPIC, partition).iter().map(|record| record.value.as_ref().unwrap()[0]).collect()
    }

    #[test]
    fn what_is_sent_is_acknowledged_in_order_and_read_back() {
        let mut cluster = MemoryCluster::with_topic(TOPIC, 2);
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let on_ack = Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let mut writer = cluster.writer(TOPIC, on_ack).unwrap();
        cluster.faults(|faults| faults.hold_acks = true);
        for value in 0..4 {
            assert_eq!(writer.send(&record(u32::from(value) % 2, value), u64::from(value)), Ok(Sent::Queued));
        }
        assert_eq!((writer.in_flight(), told.load(Ordering::SeqCst)), (4, 0));
        cluster.faults(|faults| faults.hold_acks = false);
        assert_eq!(told.load(Ordering::SeqCst), 1);
        let mut acks = Vec::new();
        writer.acks(&mut acks).unwrap();
        let acks: Vec<_> = acks.iter().map(|ack| (ack.partition, ack.tag, ack.offset.unwrap())).collect();
        assert_eq!(acks, [(0, 0, 0), (1, 1, 0), (0, 2, 1), (1, 3, 1)]);
        assert_eq!(writer.in_flight(), 0);
        let mut read = Vec::new();
        let mut take = |record: Record| {
            read.push((record.offset, record.value.unwrap()[0]));
            ControlFlow::Continue(())
        };
        cluster.read(TOPIC, 1, 0..2, &mut take).unwrap();
        assert_eq!(read, [(0, 1), (1, 3)]);
    }

    #[test]
    fn what_a_dead_writer_had_sent_comes_late_or_never() {
        let mut cluster = MemoryCluster::with_topic(TOPIC, 1);
        let mut writer = cluster.writer(TOPIC, Box::new(|| {})).unwrap();
        cluster.faults(|faults| faults.hold_appends = true);
        (1..=3).for_each(|value| {
            writer.send(&record(0, value), 0).unwrap();
        });
        drop(writer);
        cluster.faults(|faults| faults.hold_appends = false);
        assert_eq!((values(&cluster, 0), cluster.travelling()), (vec![], 3));
        cluster.append_late(2);
        cluster.lose_travelling();
        assert_eq!((values(&cluster, 0), cluster.travelling()), (vec![1, 2], 0));
    }

    #[test]
    fn a_writer_has_bounds_and_ends_for_good() {
        let mut cluster = MemoryCluster::with_topic(TOPIC, 1);
        let mut writer = cluster.writer(TOPIC, Box::new(|| {})).unwrap();
        cluster.faults(|faults| (faults.hold_acks, faults.room, faults.fatal_after) = (true, 2, Some(2)));
        assert_eq!(writer.send(&record(0, 1), 0), Ok(Sent::Queued));
        assert_eq!(writer.send(&record(0, 2), 0), Ok(Sent::Queued));
        assert_eq!(writer.send(&record(0, 3), 0), Ok(Sent::Full));
        cluster.faults(|faults| faults.room = 9);
        assert!(writer.send(&record(0, 3), 0).is_err() && writer.send(&record(0, 4), 0).is_err());
        assert!(writer.acks(&mut Vec::new()).is_err());
        assert_eq!(values(&cluster, 0), [1, 2]);
    }

    #[test]
    fn a_follower_is_told_what_is_not_there() {
        let mut cluster = MemoryCluster::with_topic(TOPIC, 2);
        let mut follower = cluster.follower(TOPIC, &[0, 0]).unwrap();
        for (partition, value) in [(0, 1), (0, 2), (1, 3)] {
            cluster.add(TOPIC, record(partition, value));
        }
        cluster.add_marker(TOPIC, 0);
        let mut seen = Vec::new();
        while let Some(record) = follower.next(Duration::ZERO).unwrap() {
            seen.push(record.value.unwrap()[0]);
        }
        assert_eq!(seen, [1, 3, 2]);
        follower.pause().unwrap();
        cluster.add(TOPIC, record(0, 4));
        assert_eq!(follower.next(Duration::ZERO), Ok(None));
        follower.resume().unwrap();
        assert_eq!(follower.next(Duration::ZERO).unwrap().unwrap().offset, 3);
        cluster.add(TOPIC, record(0, 5));
        cluster.delete_records(TOPIC, 0, 5);
        assert!(matches!(follower.next(Duration::ZERO), Err(KafkaError::Gone { partition: 0, .. })));
        let mut ahead = cluster.follower(TOPIC, &[9, 0]).unwrap();
        assert!(matches!(ahead.next(Duration::ZERO), Err(KafkaError::Gone { partition: 0, .. })));
    }

    #[test]
    fn a_topic_is_cut_grown_and_replaced_under_its_writers() {
        let mut cluster = MemoryCluster::with_topic(TOPIC, 1);
        cluster.set_id("another");
        cluster.set_warnings(&["compacted"]);
        assert_eq!(
            (cluster.id().unwrap(), cluster.warnings(TOPIC).unwrap()),
            ("another".into(), vec!["compacted".into()])
        );
        let mut writer = cluster.writer(TOPIC, Box::new(|| {})).unwrap();
        let offset = |writer: &mut Box<dyn Writer>, record: Outgoing| {
            writer.send(&record, 0).unwrap();
            let mut acks = Vec::new();
            writer.acks(&mut acks).unwrap();
            acks.pop().and_then(|ack| ack.offset)
        };
        assert_eq!((0..3).map(|value| offset(&mut writer, record(0, value))).last(), Some(Some(2)));
        cluster.truncate(TOPIC, 0, 1);
        assert_eq!(offset(&mut writer, record(0, 7)), Some(1));
        cluster.delete_topic(TOPIC);
        assert_eq!(cluster.partitions(TOPIC), Ok(None));
        assert_eq!(offset(&mut writer, record(0, 8)), None);
        cluster.make_topic(TOPIC, 1);
        cluster.grow_topic(TOPIC, 2);
        assert_eq!((values(&cluster, 0), cluster.partitions(TOPIC)), (vec![8], Ok(Some(2))));
        cluster.fail_writers("over");
        assert!(writer.send(&record(0, 9), 0).is_err());
    }
}
