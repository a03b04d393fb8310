//! What a topic holds: how fast it grows, and whether each grant is in it once.

use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Bench;
use super::fill::user;
use super::process::{Process, watch};
use crate::peers::kafka::Kafka;
use crate::peers::unique;

/// How often a growing topic is asked for its end.
const LOOK: Duration = Duration::from_millis(5);

/// How long a million records may take, at the very most.
const GROWTH: Duration = Duration::from_secs(600);

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(15);

/// A topic of one Kafka, seen from outside.
pub struct Topic {
    /// Its name.
    pub name: String,
    consumer: BaseConsumer,
    partitions: i32,
}

/// How a topic grew from nothing to its last record.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// Records a second.
    pub rate: f64,
    /// Microseconds of the writer's processor time for a record.
    pub cpu_us: f64,
}

impl Topic {
    /// Creates one.
    pub fn create(kafka: &Kafka, partitions: usize) -> Topic {
        let name = unique("line");
        kafka.create_topic(&name, partitions);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", kafka.bootstrap()).set("broker.address.family", "v4");
        config.set("group.id", "line").set("enable.auto.commit", "false");
        Topic { name, consumer: config.create().unwrap(), partitions: partitions as i32 }
    }

    /// Waits until `writer` has written so many records and no more; measured from the last look at the empty topic.
    pub fn watch(&self, records: u32, writer: &Process) -> Growth {
        let mut begun = (Instant::now(), writer.cpu_seconds());
        watch(LOOK, GROWTH, &format!("{records} records in {}", self.name), || {
            let (now, cpu) = (Instant::now(), writer.cpu_seconds());
            // A writer that ended may have written its last record since: that counts.
            let ended = writer.has_ended();
            let held = self.held();
            if held == 0 {
                begun = (now, cpu);
            }
            assert!(held <= u64::from(records), "{held} records instead of {records}");
            assert!(!ended || held == u64::from(records), "it ended after {held} records:\n{}", writer.said());
            (held == u64::from(records)).then(|| Growth {
                rate: f64::from(records) / begun.0.elapsed().as_secs_f64(),
                cpu_us: (cpu - begun.1) * 1e6 / f64::from(records),
            })
        })
    }

    /// Every user of the journal is in it once.
    pub fn must_hold_each_user_once(&self, records: u32) {
        let mut missing: std::collections::HashSet<i64> = (0..records).map(|turn| i64::from(user(turn))).collect();
        let mut from = TopicPartitionList::new();
        for partition in 0..self.partitions {
            from.add_partition_offset(&self.name, partition, Offset::Beginning).unwrap();
        }
        self.consumer.assign(&from).unwrap();
        for _ in 0..records {
            let record = self.consumer.poll(GROWTH).expect("there are as many records").unwrap();
            let value = record.payload().and_then(|value| value.try_into().ok()).expect("eight bytes");
            assert!(missing.remove(&i64::from_be_bytes(value)), "{value:?} is nobody's user, or twice there");
        }
        self.consumer.unassign().unwrap();
        assert!(missing.is_empty(), "{} users are not in the topic", missing.len());
    }

    /// How many records it holds.
    fn held(&self) -> u64 {
        let ends = (0..self.partitions).map(|partition| {
            let (low, high) = self.consumer.fetch_watermarks(&self.name, partition, REQUEST).unwrap();
            u64::try_from(high - low).expect("the end is not before the beginning")
        });
        ends.sum()
    }
}

/// A topic that holds the grants of a journal, written by a gate, in one partition.
pub fn filled(bench: &Bench, kafka: &Kafka, journal: &Path) -> Topic {
    let topic = Topic::create(kafka, 1);
    let gate = Process::gate(bench, None, journal, &streaming(kafka, &topic.name).each_ref().map(String::as_str));
    topic.watch(bench.grants, &gate);
    gate.stop();
    topic
}

/// What makes a gate stream and nothing else.
pub fn streaming(kafka: &Kafka, topic: &str) -> [String; 8] {
    let brokers = kafka.bootstrap();
    ["--kafka-brokers", &brokers, "--kafka-topic", topic, "--kafka-cancel-topic", "none", "--ledger", "none"]
        .map(str::to_owned)
}
