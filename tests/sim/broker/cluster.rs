//! The cluster as stream, sink and catch-up use it.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use super::{Broker, Log, Sending};
use crate::kafka::{Ack, Bounds, Cluster, Follower, KafkaError, NewTopic, Outgoing, Record, Sent, Writer};

impl Cluster for Broker {
    fn id(&mut self) -> Result<String, KafkaError> {
        self.state().answers().map(|()| "s".to_owned())
    }

    fn partitions(&mut self, _: &str) -> Result<Option<u32>, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        Ok(state.topic.as_ref().map(|logs| logs.len() as u32))
    }

    fn create(&mut self, topic: &NewTopic) -> Result<(), KafkaError> {
        let mut state = self.state();
        state.answers()?;
        let logs = vec![Log::default(); topic.partitions as usize];
        state.topic.get_or_insert(logs);
        Ok(())
    }

    fn warnings(&mut self, _: &str) -> Result<Vec<String>, KafkaError> {
        Ok(Vec::new())
    }

    fn bounds(&mut self, _: &str, partition: u32) -> Result<Bounds, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        state.log(partition).map(|log| Bounds { low: log.low, high: log.high() })
    }

    fn read(
        &mut self,
        _: &str,
        partition: u32,
        range: Range<u64>,
        take: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), KafkaError> {
        let mut state = self.state();
        state.answers()?;
        let log = state.log(partition)?;
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

    fn writer(&mut self, _: &[&str], on_ack: Box<dyn Fn() + Send + Sync>) -> Result<Box<dyn Writer>, KafkaError> {
        let mut state = self.state();
        state.answers()?;
        let number = state.writers.last().map_or(0, |last| last.number + 1);
        state.writers.push(Sending { number, on_ack: Some(on_ack), ..Sending::default() });
        Ok(Box::new(SimWriter { broker: self.clone(), number }))
    }

    fn follower(&mut self, from: &[(&str, Vec<u64>)]) -> Result<Box<dyn Follower>, KafkaError> {
        self.state().answers()?;
        let [(_, next)] = from else { panic!("there is one topic, not {from:?}") };
        Ok(Box::new(SimFollower { broker: self.clone(), next: next.clone(), turn: 0 }))
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
    next: Vec<u64>,
    /// The partition that is looked at first.
    turn: usize,
}

impl Follower for SimFollower {
    fn next(&mut self, _patience: Duration) -> Result<Option<(usize, Record)>, KafkaError> {
        let mut state = self.broker.state();
        state.answers()?;
        for step in 0..self.next.len() {
            let partition = (self.turn + step) % self.next.len();
            let (wanted, log) = (self.next[partition], state.log(partition as u32)?);
            if wanted < log.low || wanted > log.high() {
                return Err(KafkaError::Gone { partition: partition as u32, line: "the offset is not there".into() });
            }
            let found = log.records.iter().skip((wanted - log.low) as usize).flatten().next();
            if let Some(record) = found {
                self.next[partition] = record.offset + 1;
                self.turn = partition + 1;
                return Ok(Some((0, record.clone())));
            }
        }
        Ok(None)
    }

    fn hold(&mut self, _held: &[(usize, u32)]) -> Result<(), KafkaError> {
        Ok(())
    }
}
