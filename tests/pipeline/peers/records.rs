//! What lies in a topic, and how it gets there by hand.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::kafka::Kafka;
use crate::level::{PATIENCE, within};

/// A record as any reader finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Unix milliseconds.
    pub time: Option<i64>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Name and value, in the order they were written.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(header, _)| header == name)?.1.as_deref()
    }
}

impl Kafka {
    /// Writes one record and waits until it is there; its offset.
    #[track_caller]
    pub fn produce(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
    ) -> i64 {
        let mut config = self.config();
        config.set("enable.idempotence", "true").set("linger.ms", "0");
        let producer: ThreadedProducer<Reports> = config.create_with_context(Reports).unwrap();
        let (report, reported) = sync_channel(1);
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(Header { key: name, value: Some(*value) })
        });
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(report));
        record = record.partition(partition).headers(headers);
        record.key = key;
        record.payload = value;
        if let Err((error, _)) = producer.send(record) {
            panic!("{topic}:{partition}: {error}");
        }
        let report = reported.recv_timeout(PATIENCE).expect("Kafka says whether it has the record");
        report.unwrap_or_else(|error| panic!("{topic}:{partition}: {error}"))
    }

    /// Everything in a topic up to the high watermarks, by partition and offset.
    #[track_caller]
    pub fn read_all(&self, topic: &str) -> Vec<Record> {
        let client = self.client();
        let metadata = client.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let mut wanted = BTreeMap::new();
        let mut from = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            let (low, high) = client.fetch_watermarks(topic, partition.id(), PATIENCE).unwrap();
            if low < high {
                wanted.insert(partition.id(), high);
                from.add_partition_offset(topic, partition.id(), Offset::Offset(low)).unwrap();
            }
        }
        client.assign(&from).unwrap();
        let mut found = Vec::new();
        while !wanted.is_empty() {
            match within(PATIENCE, &format!("{topic} is read"), || client.poll(Duration::from_millis(100))) {
                Ok(message) => {
                    let record = record(&message);
                    let Some(&high) = wanted.get(&record.partition) else { continue };
                    if record.offset + 1 >= high {
                        wanted.remove(&record.partition);
                    }
                    if record.offset < high {
                        found.push(record);
                    }
                }
                // The end may come without a record below it: markers of transactions have offsets too.
                Err(KafkaError::PartitionEOF(partition)) => {
                    wanted.remove(&partition);
                }
                // It tries again by itself.
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
                )) => {}
                Err(error) => panic!("{topic}: {error}"),
            }
        }
        found.sort_by_key(|record| (record.partition, record.offset));
        found
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| headers.iter().collect::<Vec<_>>()).unwrap_or_default();
    Record {
        partition: message.partition(),
        offset: message.offset(),
        time: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
    }
}

/// Hands each report to whoever waits for it.
struct Reports;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<SyncSender<Result<i64, KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let report = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        // Who waits no longer needs no report.
        let _ = waiting.send(report);
    }
}
