//! Ranges of one partition.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError as Fault, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::faults::{explain, gone, is_about_connections};
use super::librdkafka::{Librdkafka, Reading, number};
use super::voice::Voice;
use super::{Bounds, Cluster, KafkaError, Record};
use crate::ids::Millis;

/// How long is waited for the next record of a range.
const PATIENCE: Duration = Duration::from_secs(10);

/// A record as it lies in the topic.
pub(super) fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        let headers = headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)));
        headers.collect()
    });
    Record {
        partition: u32::try_from(message.partition()).expect("partitions are counted from 0"),
        offset: u64::try_from(message.offset()).expect("offsets are counted from 0"),
        at: message.timestamp().to_millis().map(Millis),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}

/// From where each partition is read.
pub(super) fn assignment<'a>(
    from: impl IntoIterator<Item = (&'a str, i32, u64)>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in from {
        let offset = i64::try_from(offset).map_err(|_| KafkaError::Unfit(format!("{offset} is no offset")))?;
        let added = list.add_partition_offset(topic, partition, Offset::Offset(offset));
        added.map_err(|fault| KafkaError::Unfit(format!("{topic}:{partition}: {fault}")))?;
    }
    Ok(list)
}

impl Librdkafka {
    pub(super) fn read_range(
        &mut self,
        topic: &str,
        partition: u32,
        range: Range<u64>,
        take: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), KafkaError> {
        if range.is_empty() {
            return Ok(());
        }
        // From here on the end of the partition is not before the end of the range, unless records get lost meanwhile.
        let kept = self.bounds(topic, partition)?;
        if let Some(missing) = outside(&range, kept) {
            return Err(gone(topic, partition, missing, kept));
        }
        let voice = self.voice.clone();
        let at = (topic, number(topic, partition)?);
        let list = assignment([(topic, at.1, range.start)])?;
        let client = self.client()?;
        let read = match client.assign(&list) {
            Ok(()) => read(client, &voice, at, &range, take),
            Err(fault) => Err(Stop::Failed(explain(&voice, &reading(at), &fault))),
        };
        let left = read.is_ok() && client.unassign().is_ok();
        if !left {
            self.give_client_up();
        }
        match read {
            Ok(()) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::OutOfRange) => {
                let kept = self.bounds(topic, partition)?;
                Err(gone(topic, partition, outside(&range, kept).unwrap_or(range.start), kept))
            }
        }
    }
}

enum Stop {
    Failed(KafkaError),
    /// The broker does not have the offset (any more).
    OutOfRange,
}

fn read(
    client: &Reading,
    voice: &Voice,
    at: (&str, i32),
    range: &Range<u64>,
    take: &mut dyn FnMut(Record) -> ControlFlow<()>,
) -> Result<(), Stop> {
    let mut next = range.start;
    let mut deadline = later();
    while next < range.end {
        match client.poll(until(deadline)) {
            Some(Ok(message)) => {
                if message.topic() != at.0 || message.partition() != at.1 {
                    continue;
                }
                let record = record(&message);
                if record.offset >= range.end {
                    break;
                }
                if record.offset >= next {
                    next = record.offset + 1;
                    if take(record).is_break() {
                        break;
                    }
                }
                deadline = later();
                continue;
            }
            // The last offsets of the range may be without records; librdkafka knows how far it came.
            Some(Err(Fault::PartitionEOF(_))) => next = next.max(position(client, at)),
            Some(Err(fault)) => {
                let code = fault.rdkafka_error_code().unwrap_or(Code::Fail);
                if matches!(code, Code::AutoOffsetReset | Code::LogTruncation | Code::OffsetOutOfRange) {
                    return Err(Stop::OutOfRange);
                }
                if !is_about_connections(code) && !is_about_groups(code) {
                    return Err(Stop::Failed(explain(voice, &reading(at), &fault)));
                }
            }
            None => next = next.max(position(client, at)),
        }
        if next < range.end && until(deadline).is_zero() {
            let silent = Fault::MessageConsumption(Code::OperationTimedOut);
            return Err(Stop::Failed(explain(voice, &reading(at), &silent)));
        }
    }
    voice.answered();
    Ok(())
}

/// Librdkafka looks for a group's coordinator although nothing here is in a group; that may be forbidden to us.
pub(super) fn is_about_groups(code: Code) -> bool {
    matches!(
        code,
        Code::GroupAuthorizationFailed | Code::CoordinatorNotAvailable | Code::NotCoordinator | Code::InvalidGroupId
    )
}

/// Behind the last offset that was passed, whether there was a record or not; 0 where that is not known.
fn position(client: &Reading, (topic, partition): (&str, i32)) -> u64 {
    let Ok(list) = client.position() else { return 0 };
    let found = list.find_partition(topic, partition).and_then(|element| element.offset().to_raw());
    found.and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0)
}

/// The first offset of `range` that is not kept.
fn outside(range: &Range<u64>, kept: Bounds) -> Option<u64> {
    if range.start < kept.low {
        Some(range.start)
    } else if range.end > kept.high {
        Some(kept.high.max(range.start))
    } else {
        None
    }
}

fn reading((topic, partition): (&str, i32)) -> String {
    format!("reading {topic}:{partition}")
}

#[expect(clippy::disallowed_methods, reason = "patience with a broker is a matter of real time")]
pub(super) fn later() -> Instant {
    Instant::now() + PATIENCE
}

/// What is left until `deadline`.
#[expect(clippy::disallowed_methods, reason = "patience with a broker is a matter of real time")]
pub(super) fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
