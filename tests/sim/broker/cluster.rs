//! The cluster as stream, sink and catch-up use it.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use super::{Broker, Log, Sending, TOPICS};
use crate::grant::Kind;
use crate::kafka::{Ack, Bounds, Cluster, Follower, KafkaError, NewTopic, Outgoing, Record, Sent, Writer};

impl Cluster for Broker {
    fn id(&mut self) -> Result<String, KafkaError> {
        self.state().answers().map(|()| "s".to_owned())
    }

    fn partitions(&mut self, topic: &str) -> Result<Option<u32>, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        Ok(state.topics[kind_of(topic) as usize].as_ref().map(|logs| logs.len() as u32))
    }

    fn create(&mut self, topic: &NewTopic) -> Result<(), KafkaError> {
        let mut state = self.state();
        state.answers()?;
        let logs = vec![Log::default(); topic.partitions as usize];
        state.topics[kind_of(&topic.name) as usize].get_or_insert(logs);
        Ok(())
    }

    fn warnings(&mut self, _: &str) -> Result<Vec<String>, KafkaError> {
        Ok(Vec::new())
    }

    fn bounds(&mut self, topic: &str, partition: u32) -> Result<Bounds, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        state.log((kind_of(topic), partition)).map(|log| Bounds { low: log.low, high: log.high() })
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
        let log = state.log((kind_of(topic), partition))?;
        if range.start < log.low && !range.is_empty() {
            return Err(KafkaError::Gone { partition, line: "the beginning is gone".into() });
        }
        let from = (range.start - log.low) as usize;
        for record in log.records.iter().skip(from).take((range.end - range.start) as usize).flatten() {
            if take(record.clone()).is_break() {
                return Ok(());
            }
        }
        match range.end > log.high() && !range.is_empty() {
            true => Err(KafkaError::Unavailable("the end is not reached".into())),
            false => Ok(()),
        }
    }

    fn writer(&mut self, topics: &[&str], on_ack: Box<dyn Fn() + Send + Sync>) -> Result<Box<dyn Writer>, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        let number = state.writers.last().map_or(0, |last| last.number + 1);
        let kinds = topics.iter().map(|topic| kind_of(topic)).collect();
        state.writers.push(Sending { number, kinds, on_ack: Some(on_ack), ..Sending::default() });
        Ok(Box::new(SimWriter { broker: self.clone(), number }))
    }

    fn follower(&mut self, from: &[(&str, Vec<u64>)]) -> Result<Box<dyn Follower>, KafkaError> {
        self.state().answers()?;
        let parts = (0..).zip(from).flat_map(|(place, (topic, from))| {
            (0..).zip(from).map(move |(partition, next)| Part { place, at: (kind_of(topic), partition), next: *next })
        });
        Ok(Box::new(SimFollower { broker: self.clone(), parts: parts.collect(), held: Vec::new(), turn: 0 }))
    }
}

struct SimWriter {
    broker: Broker,
    number: u64,
}

impl SimWriter {
    fn with<T>(&self, work: impl FnOnce(&mut Sending, bool) -> T) -> T {
        let mut state = self.broker.state();
        let down = state.down;
        let sending = state.writers.iter_mut().find(|sending| sending.number == self.number);
        work(sending.expect("a writer is known while it lives"), down)
    }
}

impl Writer for SimWriter {
    fn send(&mut self, record: &Outgoing, tag: u64) -> Result<Sent, KafkaError> {
        self.with(|sending, _| {
            if sending.failed {
                return Err(KafkaError::Unavailable("the writer has failed".into()));
            }
            if sending.travelling.len() + sending.unacknowledged.len() >= 12 {
                return Ok(Sent::Full);
            }
            sending.travelling.push_back((record.clone(), tag));
            Ok(Sent::Queued)
        })
    }

    fn acks(&mut self, into: &mut Vec<Ack>) -> Result<(), KafkaError> {
        self.with(|sending, _| {
            into.extend(sending.acknowledged.drain(..));
            match sending.failed {
                true => Err(KafkaError::Unavailable("the writer has failed".into())),
                false => Ok(()),
            }
        })
    }

    fn in_flight(&self) -> usize {
        self.with(|sending, _| sending.travelling.len() + sending.unacknowledged.len() + sending.acknowledged.len())
    }
}

impl Drop for SimWriter {
    fn drop(&mut self) {
        self.with(|sending, _| {
            sending.over = true;
            sending.on_ack = None;
        });
    }
}

struct SimFollower {
    broker: Broker,
    parts: Vec<Part>,
    held: Vec<(usize, u32)>,
    /// The part that is looked at first.
    turn: usize,
}

/// A partition that is followed.
struct Part {
    /// The place of its topic.
    place: usize,
    at: (Kind, u32),
    next: u64,
}

impl Follower for SimFollower {
    fn next(&mut self, _patience: Duration) -> Result<Option<(usize, Record)>, KafkaError> {
        let mut state = self.broker.state();
        state.answers()?;
        for step in 0..self.parts.len() {
            let turn = (self.turn + step) % self.parts.len();
            let Part { place, at, next } = &mut self.parts[turn];
            let partition = at.1;
            if self.held.contains(&(*place, partition)) {
                continue;
            }
            let log = state.log(*at)?;
            if *next < log.low || *next > log.high() {
                return Err(KafkaError::Gone { partition, line: "the offset is not there".into() });
            }
            let found = log.records.iter().skip((*next - log.low) as usize).flatten().next();
            if let Some(record) = found {
                *next = record.offset + 1;
                self.turn = turn + 1;
                return Ok(Some((*place, record.clone())));
            }
        }
        Ok(None)
    }

    fn hold(&mut self, held: &[(usize, u32)]) -> Result<(), KafkaError> {
        self.held = held.to_vec();
        Ok(())
    }
}

fn kind_of(topic: &str) -> Kind {
    if topic == TOPICS[0] { Kind::Grant } else { Kind::Return }
}
