//! The library's own way to a cluster, `coupon_gate::kafka`, with a real one at the other end: questions and reading.

use std::ops::{ControlFlow, Range};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use coupon_gate::ids::Millis;
use coupon_gate::kafka::{
    Ack, Bounds, Cluster, Follower, KafkaError, KafkaSettings, NewTopic, Outgoing, Record, Sent, Writer,
};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use crate::gate::free_port;
use crate::level::{PATIENCE, now_ms, until};
use crate::peers::{kafka, unique};

pub fn settings(brokers: &str, properties: &[(&str, &str)]) -> KafkaSettings {
    let properties = properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    KafkaSettings { brokers: brokers.into(), properties }
}

pub fn connect(brokers: &str) -> Box<dyn Cluster> {
    settings(brokers, &[]).connect().unwrap()
}

pub fn outgoing(partition: u32, number: u64) -> Outgoing {
    Outgoing {
        topic: 0,
        partition,
        at: Millis(now_ms() - 60_000 + number as i64 % 60_000),
        key: Some(b"spring".to_vec()),
        value: number.to_be_bytes().to_vec(),
        headers: vec![("cg-seq", number.to_string().into_bytes())],
    }
}

/// How long a writer is told to send what it has.
const HURRY: Duration = Duration::from_millis(5);

/// A writer, and what wakes whoever waits for its acknowledgements.
pub struct Sender {
    pub writer: Box<dyn Writer>,
    wake: Receiver<()>,
    pub acks: Vec<Ack>,
}

impl Sender {
    pub fn new(cluster: &mut dyn Cluster, topic: &str) -> Sender {
        Sender::to(cluster, &[topic])
    }

    pub fn to(cluster: &mut dyn Cluster, topics: &[&str]) -> Sender {
        let (woken, wake) = sync_channel(1);
        let on_ack = Box::new(move || {
            let _ = woken.try_send(());
        });
        Sender { writer: cluster.writer(topics, on_ack).unwrap(), wake, acks: Vec::new() }
    }

    /// Sends, waiting for room.
    #[track_caller]
    pub fn send(&mut self, record: &Outgoing, tag: u64) {
        while self.writer.send(record, tag).unwrap() == Sent::Full {
            self.wait().unwrap();
        }
    }

    /// Waits to be woken, then takes what there is.
    #[track_caller]
    pub fn wait(&mut self) -> Result<(), KafkaError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.writer.hurry(HURRY);
            if self.wake.recv_timeout(Duration::from_millis(100)).is_ok() {
                return self.writer.acks(&mut self.acks);
            }
            assert!(Instant::now() < deadline, "somebody tells that there is something to take");
        }
    }

    #[track_caller]
    pub fn wait_for_all(&mut self) {
        while self.writer.in_flight() > 0 {
            self.wait().unwrap();
        }
    }

    /// What ends this writer.
    #[track_caller]
    pub fn wait_for_fault(&mut self) -> KafkaError {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            if let Err(error) = self.writer.acks(&mut self.acks) {
                return error;
            }
            assert!(Instant::now() < deadline, "the writer goes on");
            self.writer.hurry(HURRY);
            let _ = self.wake.recv_timeout(Duration::from_secs(1));
        }
    }
}

#[track_caller]
fn fill(cluster: &mut dyn Cluster, topic: &str, partition: u32, count: u64) {
    let mut sender = Sender::new(cluster, topic);
    (0..count).for_each(|number| sender.send(&outgoing(partition, number), number));
    sender.wait_for_all();
}

fn read(cluster: &mut dyn Cluster, topic: &str, partition: u32, range: Range<u64>) -> Result<Vec<Record>, KafkaError> {
    let mut found = Vec::new();
    let mut take = |record| {
        found.push(record);
        ControlFlow::Continue(())
    };
    cluster.read(topic, partition, range, &mut take).map(|()| found)
}

fn offsets(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.offset).collect()
}

#[track_caller]
pub fn next(follower: &mut dyn Follower) -> Record {
    follower.next(PATIENCE).unwrap().expect("a record comes").1
}

fn topic(name: &str, partitions: u32) -> NewTopic {
    NewTopic { name: name.into(), partitions, replication: None }
}

#[test]
fn a_topic_is_made_once_and_found_by_its_partitions() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    assert_eq!(cluster.id().unwrap(), kafka.cluster());
    let name = unique("adapter");
    assert_eq!(cluster.partitions(&name).unwrap(), None);
    cluster.create(&topic(&name, 3)).unwrap();
    assert_eq!(cluster.partitions(&name).unwrap(), Some(3));
    cluster.create(&topic(&name, 5)).unwrap();
    assert_eq!(cluster.partitions(&name).unwrap(), Some(3));

    let copies = NewTopic { replication: Some(3), ..topic(&unique("adapter"), 2) };
    let Err(KafkaError::Unfit(line)) = cluster.create(&copies) else { panic!("one broker makes three replicas") };
    assert!(line.contains("--partitions 2 --replication-factor 3"), "{line}");
    let Err(KafkaError::Unfit(line)) = cluster.partitions("no/topic") else { panic!("Kafka has no such names") };
    assert!(line.contains("no/topic"), "{line}");
}

#[test]
fn what_puts_records_at_risk_is_told() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let name = unique("adapter");
    let risky =
        [("cleanup.policy", "compact"), ("retention.ms", "3600000"), ("unclean.leader.election.enable", "true")];
    kafka.create_topic_with(&name, 1, &risky);
    let lines = cluster.warnings(&name).unwrap();
    for (setting, _) in risky {
        assert!(lines.iter().any(|line| line.contains(setting)), "{setting}: {lines:?}");
    }
    let plain = unique("adapter");
    kafka.create_topic(&plain, 1);
    assert_eq!(
        cluster.warnings(&plain).unwrap(),
        [format!("topic {plain}: has one replica: its records are lost with one broker's disk; 3 are usual")]
    );
}

#[test]
fn records_are_read_as_they_were_sent() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let name = unique("adapter");
    kafka.create_topic(&name, 2);
    let sent = [
        outgoing(1, 7),
        Outgoing { key: None, value: Vec::new(), headers: Vec::new(), ..outgoing(1, 8) },
        Outgoing {
            key: Some(Vec::new()),
            headers: vec![("a", vec![0, 255]), ("b", Vec::new()), ("a", b"2".to_vec())],
            ..outgoing(1, 9)
        },
    ];
    let mut sender = Sender::new(&mut *cluster, &name);
    (0..).zip(&sent).for_each(|(tag, record)| sender.send(record, u64::MAX - tag));
    sender.wait_for_all();
    let acks = (0..3).map(|tag| Ack { topic: 0, partition: 1, tag: u64::MAX - tag, offset: Some(tag) });
    assert_eq!(sender.acks, acks.collect::<Vec<_>>());

    let found = read(&mut *cluster, &name, 1, 0..3).unwrap();
    for (record, sent) in found.iter().zip(&sent) {
        assert_eq!((record.partition, record.at), (1, Some(sent.at)));
        assert_eq!((&record.key, record.value.as_ref()), (&sent.key, Some(&sent.value)));
        let headers = sent.headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.clone())));
        assert_eq!(record.headers, headers.collect::<Vec<_>>());
    }
    assert_eq!(offsets(&found), [0, 1, 2]);
    let mut follower = cluster.follower(&[(&name, vec![0, 1])]).unwrap();
    assert_eq!([next(&mut *follower), next(&mut *follower)], found[1..]);
}

#[test]
fn a_range_is_read_exactly_and_as_often_as_asked_for() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let name = unique("adapter");
    kafka.create_topic(&name, 2);
    fill(&mut *cluster, &name, 0, 1000);
    assert_eq!(cluster.bounds(&name, 0).unwrap(), Bounds { low: 0, high: 1000 });
    for range in [0..1000, 990..1000, 0..1, 500..600, 999..1000, 3..9, 5..5] {
        let found = read(&mut *cluster, &name, 0, range.clone()).unwrap();
        assert_eq!(offsets(&found), range.collect::<Vec<_>>());
    }
    let mut taken = 0;
    let mut take = |_| {
        taken += 1;
        if taken == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    cluster.read(&name, 0, 10..1000, &mut take).unwrap();
    assert_eq!(taken, 3);
    assert_eq!(offsets(&read(&mut *cluster, &name, 0, 2..4).unwrap()), [2, 3]);

    assert_eq!(cluster.bounds(&name, 1).unwrap(), Bounds { low: 0, high: 0 });
    assert_eq!(read(&mut *cluster, &name, 1, 0..0).unwrap(), []);
    for (topic, partition) in [(name.as_str(), 2), ("adapter_missing", 0)] {
        let Err(KafkaError::Unfit(line)) = cluster.bounds(topic, partition) else { panic!("{topic}:{partition}") };
        assert!(line.contains(&format!("{topic}:{partition}")), "{line}");
    }
}

#[test]
fn records_that_were_removed_are_gone_and_never_jumped_over() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let name = unique("adapter");
    kafka.create_topic(&name, 3);
    fill(&mut *cluster, &name, 2, 20);
    kafka.delete_records(&name, 2, 12);
    assert_eq!(cluster.bounds(&name, 2).unwrap(), Bounds { low: 12, high: 20 });
    assert_eq!(offsets(&read(&mut *cluster, &name, 2, 12..20).unwrap()), (12..20).collect::<Vec<_>>());
    for (range, missing) in [(11..20, 11), (15..21, 20), (30..31, 30)] {
        let Err(KafkaError::Gone { partition, line }) = read(&mut *cluster, &name, 2, range.clone()) else {
            panic!("{range:?} is read");
        };
        assert_eq!(partition, 2);
        assert!(
            line.starts_with(&format!("{name}:2: offset {missing} is wanted")) && line.contains("12..20"),
            "{line}"
        );
    }
    for from in [[0, 0, 11], [0, 0, 21]] {
        let mut follower = cluster.follower(&[(&name, from.to_vec())]).unwrap();
        let Err(gone) = follower.next(PATIENCE) else { panic!("{from:?} is followed") };
        assert!(matches!(gone, KafkaError::Gone { partition: 2, .. }), "{gone:?}");
        assert_eq!(follower.next(Duration::ZERO), Err(gone), "a follower that ended stays so");
    }
    kafka.delete_records(&name, 2, 20);
    assert_eq!(cluster.bounds(&name, 2).unwrap(), Bounds { low: 20, high: 20 });
    let mut follower = cluster.follower(&[(&name, vec![0, 0, 20])]).unwrap();
    fill(&mut *cluster, &name, 2, 1);
    assert_eq!(next(&mut *follower).offset, 20);
}

#[test]
fn offsets_without_a_record_are_passed_over() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let name = unique("adapter");
    kafka.create_topic(&name, 1);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap()).set("transactional.id", &name);
    let producer: ThreadedProducer<_> = config.create().unwrap();
    // The first of a node waits until it has made a topic for them.
    producer.init_transactions(2 * PATIENCE).unwrap();
    for commit in [true, false] {
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::to(&name).partition(0).key("spring").payload("1")).map_err(|(e, _)| e).unwrap();
        producer.flush(PATIENCE).unwrap();
        match commit {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => producer.abort_transaction(PATIENCE).unwrap(),
        }
    }
    // A record and its marker, twice; the answer to a commit does not wait for the marker.
    until("the last marker is there", || {
        (cluster.bounds(&name, 0).unwrap() == Bounds { low: 0, high: 4 }).then_some(())
    });
    for (range, there) in [(0..4, vec![0, 2]), (1..2, vec![]), (3..4, vec![]), (1..3, vec![2])] {
        assert_eq!(offsets(&read(&mut *cluster, &name, 0, range).unwrap()), there);
    }
    let mut follower = cluster.follower(&[(&name, vec![0])]).unwrap();
    assert_eq!([next(&mut *follower).offset, next(&mut *follower).offset], [0, 2]);
}

#[test]
fn a_follower_begins_where_it_is_told_and_stands_while_paused() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let name = unique("adapter");
    kafka.create_topic(&name, 2);
    fill(&mut *cluster, &name, 0, 500);
    fill(&mut *cluster, &name, 1, 500);
    let mut follower = cluster.follower(&[(&name, vec![10, 400])]).unwrap();
    let mut come = [10, 400];
    let mut take = |record: Record| {
        assert_eq!(record.offset, come[record.partition as usize], "in order, without a hole");
        come[record.partition as usize] += 1;
        come
    };
    // Before the first record, and in the middle of what was fetched: nothing is lost by standing still.
    for some in [0, 1, 100, 333] {
        for _ in 0..some {
            take(next(&mut *follower));
        }
        follower.hold(&[(0, 0), (0, 1)]).unwrap();
        while let Some((0, record)) = follower.next(Duration::from_millis(300)).unwrap() {
            take(record);
        }
        follower.hold(&[]).unwrap();
    }
    while take(next(&mut *follower)) != [500, 500] {}
    follower.hold(&[(0, 0), (0, 1)]).unwrap();
    fill(&mut *cluster, &name, 0, 1);
    assert_eq!(follower.next(Duration::from_millis(1500)), Ok(None), "paused");
    follower.hold(&[]).unwrap();
    assert_eq!(next(&mut *follower).offset, 500);
}

#[test]
fn two_topics_are_written_by_one_producer() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let names = [unique("adapter"), unique("adapter")];
    names.iter().for_each(|name| kafka.create_topic(name, 2));
    let mut sender = Sender::to(&mut *cluster, &[&names[0], &names[1]]);
    (0..400).for_each(|number| {
        let record = Outgoing { topic: number as usize % 2, ..outgoing((number / 2 % 2) as u32, number) };
        sender.send(&record, number);
    });
    sender.wait_for_all();
    for (topic, partition) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let acks = sender.acks.iter().filter(|ack| (ack.topic, ack.partition) == (topic, partition));
        let told: Vec<_> = acks.map(|ack| (ack.tag, ack.offset)).collect();
        let expected = (0..100).map(|place| (4 * place + 2 * u64::from(partition) + topic as u64, Some(place)));
        assert_eq!(told, expected.collect::<Vec<_>>());
        let found = read(&mut *cluster, &names[topic], partition, 0..100).unwrap();
        let values = found.iter().map(|record| record.value.clone().unwrap());
        assert_eq!(values.collect::<Vec<_>>(), told.iter().map(|(tag, _)| tag.to_be_bytes()).collect::<Vec<_>>());
    }
    // A topic that goes ends the writer for both.
    kafka.delete_topic(&names[1]);
    sender.send(&Outgoing { topic: 1, ..outgoing(0, 400) }, 400);
    let error = sender.wait_for_fault();
    assert!(error.to_string().contains(&names[1]), "{error}");
    assert!(sender.writer.send(&outgoing(0, 401), 401).is_err());
}

/// The records of some partitions of two topics come, those of the others wait; each comes once and in order, whatever
/// was held when.
#[test]
fn a_follower_of_two_topics_holds_any_partitions_and_loses_nothing_by_it() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let names = [unique("adapter"), unique("adapter")];
    let places = [(0, 0), (0, 1), (1, 0), (1, 1)];
    for (topic, name) in names.iter().enumerate() {
        kafka.create_topic(name, 2);
        (0..2).for_each(|partition| fill(&mut *cluster, name, partition, 500 + topic as u64));
    }
    let mut follower = cluster.follower(&[(&names[0], vec![0, 10]), (&names[1], vec![20, 30])]).unwrap();
    let mut come = [0, 10, 20, 30];
    let mut take = |(topic, record): (usize, Record)| {
        let place = places.iter().position(|place| *place == (topic, record.partition)).expect("it is followed");
        assert_eq!(record.offset, come[place], "{topic}:{}: in order, without a hole", record.partition);
        come[place] += 1;
        (place, come)
    };
    // Any two sets after each other, with some records between them: held on, let go, held anew.
    for round in 0..64_u32 {
        let is_held = |bit: &usize| (round * 7 % 16) >> bit & 1 == 1;
        let held: Vec<(usize, u32)> = (0..4).filter(is_held).map(|bit| places[bit]).collect();
        follower.hold(&held).unwrap();
        for _ in 0..round % 5 * 3 {
            let Some(found) = follower.next(Duration::from_millis(100)).unwrap() else { break };
            let place = (found.0, found.1.partition);
            assert!(!held.contains(&place), "{place:?} is held by librdkafka at once");
            take(found);
        }
    }
    follower.hold(&[(0, 0), (1, 1)]).unwrap();
    let (mut before, mut quiet) = ([0; 4], false);
    while !quiet {
        match follower.next(Duration::from_millis(1500)).unwrap() {
            Some(found) => before = take(found).1,
            None => quiet = true,
        }
    }
    assert_eq!((before[1], before[2]), (500, 501), "those that are not held come to their end");
    assert!(before[0] < 500 && before[3] < 501, "those that are held wait: {before:?}");
    follower.hold(&[]).unwrap();
    while take(follower.next(PATIENCE).unwrap().expect("a record comes")).1 != [500, 500, 501, 501] {}
    follower.hold(&places).unwrap();
    for name in &names {
        (0..2).for_each(|partition| fill(&mut *cluster, name, partition, 1));
    }
    assert_eq!(follower.next(Duration::from_millis(1500)), Ok(None), "all are held");
    follower.hold(&places[..3]).unwrap();
    let (topic, record) = follower.next(PATIENCE).unwrap().expect("a record comes");
    assert_eq!((topic, record.partition, record.offset), (1, 1, 501));
}

#[test]
fn who_cannot_be_reached_is_told_with_the_cause() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let started = Instant::now();
    let mut cluster = connect(&nobody);
    let connected = started.elapsed();
    assert!(connected < Duration::from_secs(1), "connecting asks nobody: {connected:?}");
    for error in [cluster.id().unwrap_err(), cluster.partitions("spring").unwrap_err()] {
        let KafkaError::Unavailable(line) = error else { panic!("{error:?}") };
        assert!(line.contains(&nobody) && line.contains("Connection refused"), "{line}");
    }
    let mut follower = cluster.follower(&[("spring", vec![0])]).unwrap();
    assert_eq!(follower.next(Duration::from_millis(300)), Ok(None), "it waits for the broker");

    let mut cluster = connect("no-such-host.invalid:9092");
    let KafkaError::Unavailable(line) = cluster.id().unwrap_err() else { panic!("there is such a host") };
    assert!(line.contains("no-such-host.invalid") && line.contains("resolve"), "{line}");

    let kafka = kafka::shared();
    let mut cluster = settings(&kafka.bootstrap(), &[("security.protocol", "ssl")]).connect().unwrap();
    let error = cluster.id().unwrap_err();
    // The broker closes the connection; librdkafka words that after how far it was just then.
    let line = error.to_string();
    assert!(line.contains("SSL") && line.contains("security.protocol"), "{line}");
}

#[test]
fn properties_that_cannot_work_are_told_before_anything_else() {
    let sasl = ("security.protocol", "sasl_plaintext");
    for (properties, told) in [
        (vec![("fetch.min.byte", "1")], "No such configuration property: \"fetch.min.byte\""),
        (vec![("acks", "1")], "acks cannot be set"),
        (vec![("linger.ms", "5"), ("compression.type", "brotli")], "Invalid value \"brotli\""),
        (vec![sasl, ("sasl.mechanism", "NONE")], "NONE"),
        (vec![sasl], "sasl"),
        (vec![("security.protocol", "ssl"), ("ssl.ca.location", "/nowhere/ca.pem")], "/nowhere/ca.pem"),
    ] {
        let refused = settings("127.0.0.1:9", &properties).connect();
        let Err(KafkaError::Unfit(line)) = refused else { panic!("{properties:?} is taken") };
        assert!(line.starts_with("--kafka-config: ") && line.contains(told), "{properties:?}: {line}");
    }
    // What is meant for one side harms no other.
    let all = [("linger.ms", "10"), ("fetch.min.bytes", "1"), ("batch.size", "100000"), ("check.crcs", "false")];
    let kafka = kafka::shared();
    let mut cluster = settings(&kafka.bootstrap(), &all).connect().unwrap();
    let name = unique("adapter");
    cluster.create(&topic(&name, 1)).unwrap();
    fill(&mut *cluster, &name, 0, 3);
    assert_eq!(offsets(&read(&mut *cluster, &name, 0, 0..3).unwrap()), [0, 1, 2]);
}
