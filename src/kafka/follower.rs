//! The reading side of a whole topic, from offsets that somebody else remembers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError as Fault, RDKafkaErrorCode as Code};

use super::closing::close;
use super::faults::{explain, gone, is_about_connections, is_absent};
use super::librdkafka::{Reading, client, watermarks};
use super::properties::Role;
use super::reader::{assignment, is_about_groups, record, until};
use super::voice::Voice;
use super::{Follower, KafkaError, KafkaSettings, Record};

/// How long one partition is asked what it holds.
const REQUEST: Duration = Duration::from_secs(5);

pub(super) struct Following {
    topic: Arc<str>,
    /// There until the drop.
    client: Option<Reading>,
    voice: Voice,
    /// The offset to come, of each partition.
    next: Vec<u64>,
    paused: bool,
    state: State,
}

enum State {
    Reads,
    /// Some offset is not there; which one is to be found out.
    Searches,
    Ended(KafkaError),
}

impl Following {
    pub fn new(
        settings: &KafkaSettings,
        voice: &Voice,
        topic: Arc<str>,
        from: &[u64],
    ) -> Result<Following, KafkaError> {
        let client = Some(client(settings, Role::Follower, voice)?);
        let following =
            Following { topic, client, voice: voice.clone(), next: from.to_vec(), paused: false, state: State::Reads };
        following.assign()?;
        Ok(following)
    }

    fn client(&self) -> &Reading {
        self.client.as_ref().expect("it is there until the drop")
    }

    fn what(&self) -> String {
        format!("reading {}", self.topic)
    }

    /// Reads on at the next offsets; what was fetched and not handed out is fetched again.
    fn assign(&self) -> Result<(), KafkaError> {
        let from: Vec<(i32, u64)> = (0..).zip(self.next.iter().copied()).collect();
        let list = assignment(&self.topic, &from)?;
        let assigned = self.client().assign(&list).and_then(|()| match self.paused {
            true => self.client().pause(&list),
            false => Ok(()),
        });
        assigned.map_err(|fault| explain(&self.voice, &self.what(), &fault))
    }

    /// Which partition does not have the offset to come.
    fn search(&mut self) -> KafkaError {
        for (partition, next) in (0..).zip(self.next.iter().copied()) {
            match watermarks(self.client(), &self.topic, partition, REQUEST) {
                Ok(kept) if next < kept.low || next > kept.high => {
                    let error = gone(&self.topic, partition.unsigned_abs(), next, kept);
                    self.state = State::Ended(error.clone());
                    return error;
                }
                Ok(_) => {}
                Err(fault) => return explain(&self.voice, &self.what(), &fault),
            }
        }
        // The end went back and forward again meanwhile: what follows are other records than those that were there.
        let line =
            format!("{}: an offset to come is not there, or not the one that was; it is not known which", self.topic);
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
        let error = explain(&self.voice, &self.what(), fault);
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

    fn poll(&self, patience: Duration) -> Option<Result<Record, Fault>> {
        self.client().poll(patience).map(|polled| polled.map(|message| record(&message)))
    }
}

impl Follower for Following {
    fn next(&mut self, patience: Duration) -> Result<Option<Record>, KafkaError> {
        match &self.state {
            State::Reads => {}
            State::Searches => return Err(self.search()),
            State::Ended(error) => return Err(error.clone()),
        }
        #[expect(clippy::disallowed_methods, reason = "patience with a broker is a matter of real time")]
        let deadline = Instant::now() + patience;
        loop {
            match self.poll(until(deadline)) {
                None => return Ok(None),
                Some(Ok(record)) => {
                    let next = self.next.get_mut(record.partition as usize).expect("only what was assigned comes");
                    if record.offset >= *next {
                        *next = record.offset + 1;
                        return Ok(Some(record));
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

    fn pause(&mut self) -> Result<(), KafkaError> {
        let assigned = self.client().assignment();
        let paused = assigned.and_then(|list| self.client().pause(&list));
        paused.map_err(|fault| explain(&self.voice, &self.what(), &fault))?;
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), KafkaError> {
        let assigned = self.client().assignment();
        let resumed = assigned.and_then(|list| self.client().resume(&list));
        resumed.map_err(|fault| explain(&self.voice, &self.what(), &fault))?;
        self.paused = false;
        Ok(())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            close(client);
        }
    }
}
