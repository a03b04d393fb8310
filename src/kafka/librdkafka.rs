//! The one implementation of [`Cluster`]: librdkafka.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as Fault, RDKafkaErrorCode as Code};

use super::closing::close;
use super::faults::{explain, explain_code, is_absent};
use super::follower::Following;
use super::properties::{self, Role, is_secret};
use super::voice::Voice;
use super::writer::Writing;
use super::{Bounds, Cluster, Follower, KafkaError, KafkaSettings, NewTopic, Record, Writer};
use crate::sabotage::{Sabotage, on};

/// How long the tries of one question last. Growing: a cluster that answers late is waited for, and one that cannot be
/// reached tells its cause early.
const TRIES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// How long is listened for the cause after a try that failed.
const LISTEN: Duration = Duration::from_millis(50);

impl KafkaSettings {
    /// Gets ready to talk to the cluster; nothing is asked of it yet, so it need not be there.
    ///
    /// # Errors
    /// `Unfit` where a property is unknown, has a value that librdkafka does not take, or is one that the promises of
    /// this room stand on.
    pub fn connect(&self) -> Result<Box<dyn Cluster>, KafkaError> {
        properties::check(self)?;
        let voice = Voice::new(&self.brokers);
        let client = Some(client(self, Role::Reader, &voice)?);
        Ok(Box::new(Librdkafka { settings: self.clone(), voice, client, id: None }))
    }
}

/// A client that reads.
pub(super) type Reading = BaseConsumer<Voice>;

pub(super) struct Librdkafka {
    pub settings: KafkaSettings,
    pub voice: Voice,
    /// For questions and ranges; between calls it reads nothing. `None` after a read that did not end well.
    client: Option<Reading>,
    id: Option<String>,
}

/// Makes one.
pub(super) fn client(settings: &KafkaSettings, role: Role, voice: &Voice) -> Result<Reading, KafkaError> {
    let made = properties::config(settings, role).create_with_context(voice.clone());
    made.map_err(|fault| unfit(settings, &fault))
}

/// The properties do not make a client.
pub(super) fn unfit(settings: &KafkaSettings, fault: &Fault) -> KafkaError {
    let words = if let Fault::ClientCreation(words) = fault {
        words.clone()
    } else if let Fault::ClientConfig(_, _, name, _) = fault {
        // With its value it could tell a secret.
        format!("{name} has a value that librdkafka does not take")
    } else {
        fault.to_string()
    };
    let named = settings.properties.iter().rev().find(|(name, _)| words.contains(name) && !is_secret(name));
    let named = named.map(|(name, value)| format!(" ({name}={value})")).unwrap_or_default();
    KafkaError::Unfit(format!("--kafka-config: {words}{named}"))
}

impl Librdkafka {
    /// The client, made anew where the last one was given up.
    pub fn client(&mut self) -> Result<&Reading, KafkaError> {
        let made = match self.client.take() {
            Some(client) => client,
            None => client(&self.settings, Role::Reader, &self.voice)?,
        };
        Ok(self.client.insert(made))
    }

    /// Nothing of what this client still has under way is to meet the next question.
    pub fn give_client_up(&mut self) {
        if let Some(client) = self.client.take() {
            close(client);
        }
    }

    /// Waits a while, and lets librdkafka say what it has to say.
    pub fn listen(&mut self, patience: Duration) -> Result<(), KafkaError> {
        listen(self.client()?, patience);
        Ok(())
    }

    /// Puts a question until it is answered, somebody has to act, or patience ends.
    pub fn ask<T>(
        &mut self,
        what: &str,
        question: impl Fn(&Reading, Duration) -> Result<T, Fault>,
    ) -> Result<T, KafkaError> {
        let voice = self.voice.clone();
        let client = self.client()?;
        let mut last = KafkaError::Unavailable(String::new());
        for patience in TRIES {
            match question(client, patience) {
                Ok(answer) => {
                    voice.answered();
                    return Ok(answer);
                }
                Err(fault) => {
                    listen(client, LISTEN);
                    last = explain(&voice, what, &fault);
                    if matches!(last, KafkaError::Unfit(_)) {
                        return Err(last);
                    }
                }
            }
        }
        // It may never come back: `Voice::is_cut_off`.
        if !on(Sabotage::ClientsAreKept) {
            self.give_client_up();
        }
        Err(last)
    }

    /// The replicas of each partition; `None` where there is no such topic.
    pub fn replicas(&mut self, topic: &str) -> Result<Option<Vec<Replicas>>, KafkaError> {
        let what = format!("looking for the topic {topic}");
        self.ask(&what, |client, patience| {
            let metadata = client.fetch_metadata(Some(topic), patience)?;
            let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
            match found.error().map(Code::from) {
                None => {}
                Some(code) if is_absent(code) => return Ok(None),
                Some(code) => return Err(Fault::MetadataFetch(code)),
            }
            let partitions = found.partitions().iter();
            Ok(Some(
                partitions
                    .map(|partition| Replicas { count: partition.replicas().len(), led: partition.leader() >= 0 })
                    .collect(),
            ))
        })
    }
}

/// Librdkafka says what it has to say to whoever polls. Nothing is read, so nothing else comes.
fn listen(client: &Reading, patience: Duration) {
    const LINES_MAX: usize = 1000;
    for _ in 0..LINES_MAX {
        if client.poll(patience).is_none() {
            break;
        }
    }
}

/// Who keeps a partition.
pub(super) struct Replicas {
    /// How many.
    pub count: usize,
    /// One of them leads.
    pub led: bool,
}

/// A partition as librdkafka counts them.
///
/// # Errors
/// No topic has so many.
pub(super) fn number(topic: &str, partition: u32) -> Result<i32, KafkaError> {
    i32::try_from(partition).map_err(|_| KafkaError::Unfit(format!("{topic} has no partition {partition}")))
}

impl Cluster for Librdkafka {
    fn id(&mut self) -> Result<String, KafkaError> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let id = self.ask("asking for the cluster's id", |client, patience| {
            client.client().fetch_cluster_id(patience).ok_or(Fault::MetadataFetch(Code::OperationTimedOut))
        })?;
        Ok(self.id.insert(id).clone())
    }

    fn partitions(&mut self, topic: &str) -> Result<Option<u32>, KafkaError> {
        let replicas = self.replicas(topic)?;
        Ok(replicas.map(|partitions| u32::try_from(partitions.len()).expect("partitions are counted in 31 bits")))
    }

    fn create(&mut self, topic: &NewTopic) -> Result<(), KafkaError> {
        self.make(topic)
    }

    fn warnings(&mut self, topic: &str) -> Result<Vec<String>, KafkaError> {
        self.risks(topic)
    }

    fn bounds(&mut self, topic: &str, partition: u32) -> Result<Bounds, KafkaError> {
        let number = number(topic, partition)?;
        let what = format!("asking what {topic}:{partition} holds");
        // Of a topic that is not there, librdkafka would wait for news for a while.
        if self.partitions(topic)?.is_none_or(|count| count <= partition) {
            let code = Code::UnknownTopicOrPartition;
            return Err(explain_code(&self.voice, &what, code, &code.to_string()));
        }
        self.ask(&what, |client, patience| watermarks(client, topic, number, patience))
    }

    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        range: Range<u64>,
        take: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), KafkaError> {
        self.read_range(topic, partition, range, take)
    }

    fn writer(&mut self, topics: &[&str], on_ack: Box<dyn Fn() + Send + Sync>) -> Result<Box<dyn Writer>, KafkaError> {
        Ok(Box::new(Writing::new(&self.settings, &self.voice, topics, on_ack)?))
    }

    fn follower(&mut self, from: &[(&str, Vec<u64>)]) -> Result<Box<dyn Follower>, KafkaError> {
        Ok(Box::new(Following::new(&self.settings, &self.voice, from)?))
    }
}

impl Drop for Librdkafka {
    fn drop(&mut self) {
        self.give_client_up();
    }
}

/// What a partition holds, in the words of its leader.
pub(super) fn watermarks(client: &Reading, topic: &str, partition: i32, patience: Duration) -> Result<Bounds, Fault> {
    let (low, high) = client.fetch_watermarks(topic, partition, patience)?;
    let offset = |offset| u64::try_from(offset).map_err(|_| Fault::MetadataFetch(Code::NoOffset));
    Ok(Bounds { low: offset(low)?, high: offset(high)? })
}
