//! Who writes to the cluster in memory, and who follows it.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use super::{MemoryCluster, State};
use crate::kafka::{Ack, Follower, KafkaError, Outgoing, Record, Sent, Writer};

pub(super) struct MemoryWriter {
    pub cluster: MemoryCluster,
    pub number: usize,
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

pub(super) struct MemoryFollower {
    cluster: MemoryCluster,
    places: Vec<Place>,
    /// The one that is looked at first.
    turn: usize,
    held: BTreeSet<(usize, u32)>,
}

/// Where one partition is read.
struct Place {
    topic: usize,
    name: String,
    partition: u32,
    next: u64,
}

impl MemoryFollower {
    pub fn new(cluster: MemoryCluster, from: &[(&str, Vec<u64>)]) -> MemoryFollower {
        let places = (0..).zip(from).flat_map(|(topic, (name, next))| {
            let name = (*name).to_owned();
            (0..).zip(next).map(move |(partition, next)| Place { topic, name: name.clone(), partition, next: *next })
        });
        MemoryFollower { cluster, places: places.collect(), turn: 0, held: BTreeSet::new() }
    }

    /// The next record, and the place that has it.
    fn look(&self, state: &mut State) -> Result<Option<(usize, Record)>, KafkaError> {
        state.answers()?;
        for step in 0..self.places.len() {
            let at = (self.turn + step) % self.places.len();
            let Place { topic, name, partition, next } = &self.places[at];
            if self.held.contains(&(*topic, *partition)) {
                continue;
            }
            let log = state.log(name, *partition)?;
            if *next < log.low || *next > log.high {
                let line = format!("offset {next} of {name}:{partition} is not there: {}..{}", log.low, log.high);
                return Err(KafkaError::Gone { partition: *partition, line });
            }
            if let Some((_, record)) = log.records.range(next..).next() {
                return Ok(Some((at, record.clone())));
            }
        }
        Ok(None)
    }
}

impl Follower for MemoryFollower {
    fn next(&mut self, patience: Duration) -> Result<Option<(usize, Record)>, KafkaError> {
        let shared = self.cluster.shared.clone();
        let mut found = Ok(None);
        let waiting = |state: &mut State| {
            found = self.look(state);
            found == Ok(None)
        };
        let waited = shared.moved.wait_timeout_while(self.cluster.state(), patience, waiting);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        let Some((at, record)) = found? else { return Ok(None) };
        self.places[at].next = record.offset + 1;
        self.turn = at + 1;
        Ok(Some((self.places[at].topic, record)))
    }

    fn hold(&mut self, held: &[(usize, u32)]) -> Result<(), KafkaError> {
        self.held = held.iter().copied().collect();
        Ok(())
    }
}
