//! The cluster of a simulation: a topic of grants and one of returns, records that travel, answers that get lost, tails and
//! topics that do, too.

mod cluster;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::grant::{Kind, Lane};
use crate::ids::LogId;
use crate::kafka::{Ack, KafkaError, Outgoing, Record};
use crate::sim::chance::Chance;
use crate::sim::oracle::model::Entry;

/// The topics of every simulation, in the order of kinds.
pub const TOPICS: [&str; 2] = ["t", "r"];
/// The partitions of each.
pub const PARTITIONS: u32 = 2;

/// The cluster. Clones are the same cluster.
#[derive(Clone)]
pub struct Broker(Arc<Mutex<State>>);

struct State {
    /// By kind.
    topics: [Option<Vec<Log>>; 2],
    writers: Vec<Sending>,
    down: bool,
    /// Calls that are still answered; then the cluster is down.
    calls_left: Option<u64>,
    /// Each with its partition.
    published: Vec<(u32, Entry)>,
    duplicate: Option<String>,
    noticed: Option<String>,
}

/// A record of the topic of a kind as any reader understands it.
fn entry_of(kind: Kind, record: &Record) -> Option<Entry> {
    let number = |name: &str| text_of(record, name)?.parse::<u64>().ok();
    let user = i64::from_be_bytes(record.value.as_deref()?.try_into().ok()?);
    let is_return = kind == Kind::Return;
    Some(Entry {
        seq: number("cg-seq")?,
        is_return,
        campaign: record.key.as_ref()?.get(1)?.wrapping_sub(b'0'),
        seat: u32::try_from(number("cg-seat")?).ok()?,
        user: u32::try_from(user).ok()?,
        nth: number("cg-nth").map_or(Some(1), |nth| u16::try_from(nth).ok())?,
        at: record.at?.0,
        // A return always comes after its grant.
        after: number("cg-after").or((!is_return).then_some(0))?,
    })
}

fn text_of<'r>(record: &'r Record, name: &str) -> Option<&'r str> {
    let (_, value) = record.headers.iter().find(|(there, _)| there == name)?;
    std::str::from_utf8(value.as_deref()?).ok()
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
    /// Its topics.
    kinds: Vec<Kind>,
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
            topics: [None, None],
            writers: Vec::new(),
            down: false,
            calls_left: None,
            published: Vec::new(),
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
                let Some((kind, record, tag)) = state.next_of(place) else { break };
                let (topic, partition) = (record.topic, record.partition);
                let offset = state.append(kind, record);
                let hidden = some_of(19) == 7;
                let ack = Ack { topic, partition, tag, offset: (!hidden).then_some(offset) };
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
            if !state.writers[place].over && !state.writers[place].failed {
                continue;
            }
            let count = chance.range(0, state.writers[place].travelling.len() as u64);
            for _ in 0..count {
                if let Some((kind, record, _)) = state.next_of(place) {
                    state.append(kind, record);
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
    pub fn lose_tail(&self, lane: Lane, count: u64) {
        if let Some(log) = self.state().log_mut(lane) {
            let kept = log.records.len().saturating_sub(count as usize);
            log.records.truncate(kept);
        }
    }

    /// The oldest records of a partition are removed, as by retention.
    pub fn retain(&self, lane: Lane, count: u64) {
        if let Some(log) = self.state().log_mut(lane) {
            for _ in 0..count {
                if log.records.pop_front().is_some() {
                    log.low += 1;
                }
            }
        }
    }

    /// A topic and all that was in it are gone; `anew`: an empty one by that name is there at once. Otherwise its writers
    /// are told.
    pub fn delete_topic(&self, kind: Kind, anew: bool) {
        self.state().topics[kind as usize] = anew.then(|| vec![Log::default(); PARTITIONS as usize]);
        if !anew {
            self.fail_writers();
        }
    }

    /// Another gate has filled the topic with a grant of its own.
    pub fn fill_by_another(&self, record: Outgoing) {
        let mut state = self.state();
        state.topics[0] = Some(vec![Log::default(); PARTITIONS as usize]);
        state.append(Kind::Grant, record);
    }

    /// Everything that was ever in the topics, each once, as it came first.
    pub fn published(&self) -> Vec<Entry> {
        self.state().published.iter().map(|(_, entry)| *entry).collect()
    }

    /// What a journal has in the topics at the moment.
    pub fn entries(&self, log: LogId) -> Vec<Entry> {
        let (state, log) = (self.state(), log.to_string());
        let mut entries = Vec::new();
        for (kind, logs) in Kind::ALL.into_iter().zip(&state.topics) {
            let records = logs.iter().flatten().flat_map(|partition| partition.records.iter().flatten());
            let ours = records.filter(|record| text_of(record, "cg-log") == Some(&log));
            entries.extend(ours.filter_map(|record| entry_of(kind, record)));
        }
        entries
    }

    /// What the gate does not know any more was never there: it was in no copy of the topics that is left.
    pub fn forget(&self, keep: impl Fn(&Entry) -> bool) {
        self.state().published.retain(|(_, entry)| keep(entry));
    }

    /// What is in the topic and what is on its way, for humans.
    pub fn told(&self) -> String {
        let state = self.state();
        let mut told = String::new();
        for (name, logs) in TOPICS.iter().zip(&state.topics) {
            for log in logs.iter().flatten() {
                let seqs =
                    log.records.iter().flatten().filter_map(|record| text_of(record, "cg-seq")).collect::<Vec<_>>();
                told += &format!("{name}[{}: {}] ", log.low, seqs.join(" "));
            }
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
    pub fn duplicate(&self) -> Option<String> {
        self.state().duplicate.clone()
    }

    /// What a reader of the topic had to complain of.
    pub fn noticed(&self) -> Option<String> {
        self.state().noticed.clone()
    }
}

impl State {
    /// The next record of a writer, if its topic is there.
    fn next_of(&mut self, place: usize) -> Option<(Kind, Outgoing, u64)> {
        let sending = &mut self.writers[place];
        let kind = sending.kinds[sending.travelling.front()?.0.topic];
        self.topics[kind as usize].as_ref()?;
        let (record, tag) = sending.travelling.pop_front()?;
        Some((kind, record, tag))
    }

    /// The entries of a partition come to each topic in the order of their positions, each with that of the one before, and
    /// a second time only as they were.
    fn read(&mut self, kind: Kind, record: &Record) {
        let (entry, prev) = (entry_of(kind, record), text_of(record, "cg-prev"));
        let (Some(new), Some(prev)) = (entry, prev.and_then(|prev| prev.parse::<u64>().ok())) else {
            self.noticed = Some(format!("the topic {}: {record:?} makes no sense", TOPICS[kind as usize]));
            return;
        };
        let in_lane =
            |(partition, there): &&(u32, Entry)| (*partition, there.is_return) == (record.partition, new.is_return);
        let alike = || self.published.iter().filter(in_lane).map(|(_, there)| there);
        let before = alike().map(|there| there.seq).filter(|seq| *seq < new.seq).max().unwrap_or(0);
        let last = alike().map(|there| there.seq).max();
        match alike().find(|there| there.seq == new.seq) {
            _ if prev != before => {
                self.noticed = Some(format!("the topic: {new:?} says that {prev} is before it, that is {before}"));
            }
            // Its time is that of the wall where that is behind the grant's own.
            Some(there) if Entry { at: new.at, ..*there } == new => {
                self.duplicate.get_or_insert(format!("{new:?}"));
            }
            None if Some(new.seq) > last => self.published.push((record.partition, new)),
            there => self.noticed = Some(format!("the topic: {new:?} after {there:?}, the last was {last:?}")),
        }
    }

    fn append(&mut self, kind: Kind, record: Outgoing) -> u64 {
        let Outgoing { partition, at, key, value, headers, .. } = record;
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
        let log = self.log_mut(Lane::new(kind, partition)).expect("the topic is there");
        let offset = log.high();
        let record = Record { partition, offset, at: Some(at), key, value: Some(value), headers };
        log.records.push_back(Some(record.clone()));
        self.read(kind, &record);
        offset
    }

    fn log_mut(&mut self, lane: Lane) -> Option<&mut Log> {
        self.topics[lane.kind() as usize].as_mut()?.get_mut(lane.partition() as usize)
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

    fn log(&self, (kind, partition): (Kind, u32)) -> Result<&Log, KafkaError> {
        let log = self.topics[kind as usize].as_ref().and_then(|logs| logs.get(partition as usize));
        log.ok_or_else(|| KafkaError::Unavailable("there is no such partition".into()))
    }
}
