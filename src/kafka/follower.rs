//! The reading side of whole topics, from offsets that somebody else remembers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError as Fault, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::closing::close;
use super::faults::{explain, gone, is_about_connections, is_absent};
use super::librdkafka::{Reading, client, number, watermarks};
use super::properties::Role;
use super::reader::{assignment, is_about_groups, record, until};
use super::voice::Voice;
use super::{Follower, KafkaError, KafkaSettings, Record};

/// How long one partition is asked what it holds.
const REQUEST: Duration = Duration::from_secs(5);

pub(super) struct Following {
    /// In the order in which they are told.
    topics: Vec<Topic>,
    settings: KafkaSettings,
    /// There until the drop.
    client: Option<Reading>,
    voice: Voice,
    /// Partitions that are not fetched: the place of the topic, the number.
    held: BTreeSet<(usize, u32)>,
    state: State,
}

/// One of the topics.
struct Topic {
    name: String,
    /// The offset to come, of each partition.
    next: Vec<u64>,
}

enum State {
    Reads,
    /// Some offset is not there; which one is to be found out.
    Searches,
    Ended(KafkaError),
}

impl Following {
    pub fn new(settings: &KafkaSettings, voice: &Voice, from: &[(&str, Vec<u64>)]) -> Result<Following, KafkaError> {
        let voice = voice.of_one();
        let client = Some(client(settings, Role::Follower, &voice)?);
        let topics = from.iter().map(|(name, next)| Topic { name: (*name).to_owned(), next: next.clone() }).collect();
        let (settings, held) = (settings.clone(), BTreeSet::new());
        let following = Following { topics, settings, client, voice, held, state: State::Reads };
        following.assign()?;
        Ok(following)
    }

    fn client(&self) -> &Reading {
        self.client.as_ref().expect("it is there until the drop")
    }

    fn what(&self) -> String {
        let names: Vec<&str> = self.topics.iter().map(|topic| topic.name.as_str()).collect();
        format!("reading {}", names.join(" and "))
    }

    fn explain(&self, fault: &Fault) -> KafkaError {
        explain(&self.voice, &self.what(), fault)
    }

    /// Reads on at the next offsets; what was fetched and not handed out is fetched again.
    fn assign(&self) -> Result<(), KafkaError> {
        let partitions = self
            .topics
            .iter()
            .flat_map(|topic| (0..).zip(&topic.next).map(|(partition, next)| (topic.name.as_str(), partition, *next)));
        self.client().assign(&assignment(partitions)?).map_err(|fault| self.explain(&fault))?;
        self.pause(&self.held)
    }

    /// Another client takes the place of one that is cut off.
    fn replace_if_cut_off(&mut self) -> Result<(), KafkaError> {
        if !self.voice.is_cut_off() {
            return Ok(());
        }
        let (what, brokers) = (self.what(), self.voice.brokers());
        tracing::info!("{what}: nothing has come since no broker was there: a new client looks for Kafka at {brokers}");
        self.voice = self.voice.of_one();
        if let Some(old) = self.client.replace(client(&self.settings, Role::Follower, &self.voice)?) {
            close(old);
        }
        self.assign()
    }

    /// What was fetched and not handed out is forgotten. When librdkafka lets the partition go again, it fetches from
    /// behind the last record that it handed out.
    fn pause(&self, partitions: &BTreeSet<(usize, u32)>) -> Result<(), KafkaError> {
        let paused = self.client().pause(&self.list(partitions)?);
        paused.map_err(|fault| self.explain(&fault))
    }

    fn list(&self, partitions: &BTreeSet<(usize, u32)>) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            let topic = &self.topics[*topic].name;
            list.add_partition(topic, number(topic, *partition)?);
        }
        Ok(list)
    }

    /// Which partition does not have the offset to come.
    fn search(&mut self) -> KafkaError {
        for topic in &self.topics {
            for (partition, next) in (0..).zip(topic.next.iter().copied()) {
                match watermarks(self.client(), &topic.name, partition, REQUEST) {
                    Ok(kept) if next < kept.low || next > kept.high => {
                        let error = gone(&topic.name, partition.unsigned_abs(), next, kept);
                        self.state = State::Ended(error.clone());
                        return error;
                    }
                    Ok(_) => {}
                    Err(fault) => return self.explain(&fault),
                }
            }
        }
        // The end went back and forward again meanwhile: what follows are other records than those that were there.
        let what = self.what();
        let line = format!("{what}: an offset to come is not there, or not the one that was; it is not known which");
        let error = KafkaError::Gone { partition: 0, line };
        self.state = State::Ended(error.clone());
        error
    }

    /// What is to be told of a fault; `None` where librdkafka mends it by itself.
    fn judge(&mut self, fault: &Fault) -> Option<KafkaError> {
        let code = fault.rdkafka_error_code()?;
        if is_about_connections(code) || is_about_groups(code) {
            return None;
        }
        if matches!(code, Code::AutoOffsetReset | Code::LogTruncation | Code::OffsetOutOfRange) {
            self.state = State::Searches;
            return Some(self.search());
        }
        let error = self.explain(fault);
        if matches!(fault, Fault::MessageConsumptionFatal(_)) {
            self.state = State::Ended(error.clone());
        } else if !is_absent(code) && matches!(error, KafkaError::Unavailable(_)) {
            // Librdkafka would go on behind a batch that it cannot read.
            if let Err(error) = self.assign() {
                return Some(error);
            }
        }
        Some(error)
    }

    fn poll(&self, patience: Duration) -> Option<Result<(usize, Record), Fault>> {
        let polled = self.client().poll(patience)?;
        Some(polled.map(|message| {
            let topic = self.topics.iter().position(|topic| topic.name == message.topic());
            (topic.expect("only what was assigned comes"), record(&message))
        }))
    }
}

impl Follower for Following {
    fn next(&mut self, patience: Duration) -> Result<Option<(usize, Record)>, KafkaError> {
        match &self.state {
            State::Reads => {}
            State::Searches => return Err(self.search()),
            State::Ended(error) => return Err(error.clone()),
        }
        #[expect(clippy::disallowed_methods, reason = "patience with a broker is a matter of real time")]
        let deadline = Instant::now() + patience;
        loop {
            match self.poll(until(deadline)) {
                None => {
                    self.replace_if_cut_off()?;
                    return Ok(None);
                }
                Some(Ok((topic, record))) => {
                    self.voice.is_connected();
                    let next = self.topics[topic].next.get_mut(record.partition as usize);
                    let next = next.expect("only what was assigned comes");
                    if record.offset >= *next {
                        *next = record.offset + 1;
                        return Ok(Some((topic, record)));
                    }
                }
                Some(Err(fault)) => {
                    if let Some(error) = self.judge(&fault) {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn hold(&mut self, held: &[(usize, u32)]) -> Result<(), KafkaError> {
        let held: BTreeSet<_> = held.iter().copied().collect();
        self.pause(&held.difference(&self.held).copied().collect())?;
        let let_go = self.list(&self.held.difference(&held).copied().collect())?;
        self.held = held;
        self.client().resume(&let_go).map_err(|fault| self.explain(&fault))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            close(client);
        }
    }
}
