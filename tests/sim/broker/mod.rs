//! The cluster of a simulation: one topic, records that travel, answers that get lost, tails and topics that do, too.

mod cluster;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::LogId;
use crate::kafka::{Ack, KafkaError, Outgoing, Record};
use crate::sim::chance::Chance;

/// The topic of every simulation.
pub const TOPIC: &str = "t";
/// Its partitions.
pub const PARTITIONS: u32 = 2;

/// The cluster. Clones are the same cluster.
#[derive(Clone)]
pub struct Broker(Arc<Mutex<State>>);

struct State {
    topic: Option<Vec<Log>>,
    writers: Vec<Sending>,
    down: bool,
    /// Calls that are still answered; then the cluster is down.
    calls_left: Option<u64>,
    published: Vec<Published>,
    duplicates: u64,
    duplicate: Option<String>,
    noticed: Option<String>,
}

/// A record as any reader of the topic understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its key.
    pub campaign: Vec<u8>,
    /// Its value.
    pub user: i64,
    /// Its headers' word.
    pub seat: u32,
    /// The same.
    pub nth: u16,
    /// The same.
    pub seq: u64,
    partition: u32,
}

/// A grant as one side of the world has it.
#[derive(Clone, Copy, Debug)]
pub struct WorldGrant {
    pub seq: u64,
    pub campaign: u8,
    pub seat: u32,
    pub user: u32,
    pub nth: u16,
    pub at: i64,
}

impl Published {
    fn of(record: &Outgoing) -> Option<Published> {
        let header = |name: &str| {
            let value = &record.headers.iter().find(|(there, _)| *there == name)?.1;
            std::str::from_utf8(value).ok()?.parse::<u64>().ok()
        };
        Some(Published {
            campaign: record.key.clone()?,
            user: i64::from_be_bytes(record.value.as_slice().try_into().ok()?),
            seat: u32::try_from(header("cg-seat")?).ok()?,
            nth: u16::try_from(header("cg-nth").unwrap_or(1)).ok()?,
            seq: header("cg-seq")?,
            partition: record.partition,
        })
    }
}

/// One partition.
#[derive(Clone, Default)]
struct Log {
    low: u64,
    /// From `low` on; a marker is no record.
    records: VecDeque<Option<Record>>,
}

impl Log {
    fn high(&self) -> u64 {
        self.low + self.records.len() as u64
    }
}

/// What one writer has on the way; it stays when the writer is gone.
#[derive(Default)]
struct Sending {
    number: u64,
    over: bool,
    failed: bool,
    travelling: VecDeque<(Outgoing, u64)>,
    unacknowledged: VecDeque<Ack>,
    acknowledged: VecDeque<Ack>,
    on_ack: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Broker {
    /// An empty one.
    pub fn new() -> Broker {
        let state = State {
            topic: None,
            writers: Vec::new(),
            down: false,
            calls_left: None,
            published: Vec::new(),
            duplicates: 0,
            duplicate: None,
            noticed: None,
        };
        Broker(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No call is answered, nothing moves; or all is well again.
    pub fn set_down(&self, down: bool) {
        let mut state = self.state();
        state.down = down;
        state.calls_left = None;
    }

    /// Down after so many more calls.
    pub fn set_calls_left(&self, calls: u64) {
        self.state().calls_left = Some(calls);
    }

    /// Some of what living writers have sent reaches the topic, some of that is acknowledged; how much moved.
    pub fn work(&self, chance: &mut Chance) -> u64 {
        self.move_on(|most| chance.range(0, most))
    }

    fn move_on(&self, mut some_of: impl FnMut(u64) -> u64) -> u64 {
        let mut state = self.state();
        if state.down {
            return 0;
        }
        let mut moved = 0;
        for place in 0..state.writers.len() {
            if state.writers[place].over || state.writers[place].failed {
                continue;
            }
            let arrive = some_of(state.writers[place].travelling.len() as u64);
            for _ in 0..arrive {
                if state.topic.is_none() {
                    break;
                }
                let Some((record, tag)) = state.writers[place].travelling.pop_front() else { break };
                let partition = record.partition;
                let offset = state.append(record);
                let hidden = some_of(19) == 7;
                let ack = Ack { topic: 0, partition, tag, offset: (!hidden).then_some(offset) };
                state.writers[place].unacknowledged.push_back(ack);
                moved += 1;
            }
            let sending = &mut state.writers[place];
            let told = some_of(sending.unacknowledged.len() as u64);
            for _ in 0..told {
                let ack = sending.unacknowledged.pop_front();
                sending.acknowledged.extend(ack);
                moved += 1;
            }
            if told > 0
                && let Some(on_ack) = &sending.on_ack
            {
                on_ack();
            }
        }
        moved
    }

    /// All of it moves.
    pub fn settle(&self) {
        while self.move_on(|most| most) > 0 {}
    }

    /// What dead writers had on the way: some of it arrives after all, some never will.
    pub fn late(&self, chance: &mut Chance) -> u64 {
        let mut state = self.state();
        let mut arrived = 0;
        for place in 0..state.writers.len() {
            if !state.writers[place].over && !state.writers[place].failed || state.topic.is_none() {
                continue;
            }
            let count = chance.range(0, state.writers[place].travelling.len() as u64);
            for _ in 0..count {
                if let Some((record, _)) = state.writers[place].travelling.pop_front() {
                    state.append(record);
                    arrived += 1;
                }
            }
            if chance.one_in(3) {
                state.writers[place].travelling.clear();
            }
        }
        state.writers.retain(|sending| !sending.over || !sending.travelling.is_empty());
        arrived
    }

    /// What dead writers still have on the way never arrives.
    pub fn lose_travelling(&self) {
        self.state().writers.retain(|sending| !sending.over && !sending.failed);
    }

    /// What is acknowledged to nobody yet is lost to its writer, which fails for good.
    pub fn fail_writers(&self) {
        for sending in &mut self.state().writers {
            sending.failed = true;
            if let Some(on_ack) = &sending.on_ack {
                on_ack();
            }
        }
    }

    /// The newest records of a partition are lost, as after an unclean election.
    pub fn lose_tail(&self, partition: u32, count: u64) {
        if let Some(log) = self.state().topic.as_mut().map(|logs| &mut logs[partition as usize]) {
            let kept = log.records.len().saturating_sub(count as usize);
            log.records.truncate(kept);
        }
    }

    /// The oldest records of a partition are removed, as by retention.
    pub fn retain(&self, partition: u32, count: u64) {
        if let Some(log) = self.state().topic.as_mut().map(|logs| &mut logs[partition as usize]) {
            for _ in 0..count {
                if log.records.pop_front().is_some() {
                    log.low += 1;
                }
            }
        }
    }

    /// The topic and all that was in it are gone; `anew`: an empty one by that name is there at once. Otherwise its writers
    /// are told.
    pub fn delete_topic(&self, anew: bool) {
        self.state().topic = anew.then(|| vec![Log::default(); PARTITIONS as usize]);
        if !anew {
            self.fail_writers();
        }
    }

    /// Another gate has filled the topic with a grant of its own.
    pub fn fill_by_another(&self, record: Outgoing) {
        let mut state = self.state();
        state.topic = Some(vec![Log::default(); PARTITIONS as usize]);
        state.append(record);
    }

    /// Every grant that was ever in the topic, each once, as it came first.
    pub fn for_each(&self, take: impl FnMut(&Published)) {
        self.state().published.iter().for_each(take);
    }

    /// The grants of a journal that are in the topic at the moment: seq, campaign, seat, user, time.
    pub fn grants(&self, log: LogId) -> Vec<WorldGrant> {
        let state = self.state();
        let records = state.topic.iter().flatten().flat_map(|partition| partition.records.iter().flatten());
        let grants = records.filter_map(|record| {
            let header = |name: &str| {
                let (_, value) = record.headers.iter().find(|(there, _)| there == name)?;
                std::str::from_utf8(value.as_deref()?).ok()
            };
            let user = i64::from_be_bytes(record.value.as_deref()?.try_into().ok()?);
            (header("cg-log")? == log.to_string()).then_some(WorldGrant {
                seq: header("cg-seq")?.parse().ok()?,
                campaign: record.key.as_ref()?.get(1)?.wrapping_sub(b'0'),
                seat: header("cg-seat")?.parse().ok()?,
                user: u32::try_from(user).ok()?,
                nth: header("cg-nth").map_or(Ok(1), str::parse).ok()?,
                at: record.at?.0,
            })
        });
        grants.collect()
    }

    /// What the gate does not know any more was never there: it was in no copy of the topic that is left.
    pub fn forget(&self, keep: impl Fn(&Published) -> bool) {
        self.state().published.retain(keep);
    }

    /// What is in the topic and what is on its way, for humans.
    pub fn told(&self) -> String {
        let state = self.state();
        let mut told = String::new();
        let seq = |record: &Record| {
            let header = record.headers.iter().find(|(name, _)| name == "cg-seq");
            header.and_then(|(_, value)| value.as_deref()).map(|value| value.escape_ascii().to_string())
        };
        for log in state.topic.iter().flatten() {
            let seqs = log.records.iter().flatten().filter_map(seq).collect::<Vec<_>>();
            told += &format!("[{}: {}] ", log.low, seqs.join(" "));
        }
        for sending in &state.writers {
            let (over, on_way) = (sending.over || sending.failed, sending.travelling.len());
            told += &format!(
                "{}({on_way} {} {}) ",
                if over { "dead" } else { "live" },
                sending.unacknowledged.len(),
                sending.acknowledged.len()
            );
        }
        told
    }

    /// The first record that was there a second time.
    pub fn duplicate(&self) -> String {
        self.state().duplicate.clone().unwrap_or_default()
    }

    /// How many those are, and how many records were there a second time.
    pub fn counts(&self) -> (usize, u64) {
        let state = self.state();
        (state.published.len(), state.duplicates)
    }

    /// What a reader of the topic had to complain of.
    pub fn noticed(&self) -> Option<String> {
        self.state().noticed.clone()
    }
}

impl State {
    /// Grants come in the order of their positions, and a second time only as they were.
    fn read(&mut self, record: &Outgoing) {
        let Some(new) = Published::of(record) else {
            self.noticed = Some(format!("the topic: {record:?} is no grant"));
            return;
        };
        let mut same = self.published.iter().filter(|there| there.campaign == new.campaign);
        let before = same.clone().map(|there| there.seq).max();
        match same.find(|there| there.seat == new.seat) {
            Some(there) if *there == new => {
                self.duplicates += 1;
                self.duplicate.get_or_insert(format!("{new:?}"));
            }
            None if Some(new.seq) > before => self.published.push(new),
            there => self.noticed = Some(format!("the topic: {new:?} after {there:?}, the last was {before:?}")),
        }
    }

    fn append(&mut self, record: Outgoing) -> u64 {
        self.read(&record);
        let Outgoing { partition, at, key, value, headers, .. } = record;
        let log = &mut self.topic.as_mut().expect("there is a topic")[partition as usize];
        let offset = log.high();
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
        log.records.push_back(Some(Record { partition, offset, at: Some(at), key, value: Some(value), headers }));
        offset
    }

    fn answers(&mut self) -> Result<(), KafkaError> {
        if let Some(left) = &mut self.calls_left {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.down = true,
            }
        }
        if self.down { Err(KafkaError::Unavailable("the cluster is down".into())) } else { Ok(()) }
    }

    fn log(&self, partition: u32) -> Result<&Log, KafkaError> {
        let log = self.topic.as_ref().and_then(|logs| logs.get(partition as usize));
        log.ok_or_else(|| KafkaError::Unavailable("there is no such partition".into()))
    }
}
