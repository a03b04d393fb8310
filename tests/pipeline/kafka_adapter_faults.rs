//! The library's own way to a cluster: writing, and what happens to it when brokers die, freeze and refuse.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use coupon_gate::kafka::{Ack, KafkaError, Sent};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::gate::free_port;
use crate::kafka_adapter::{Sender, connect, next, outgoing, settings};
use crate::level::{PATIENCE, until};
use crate::misfits::serves_and_says;
use crate::peers::kafka::{self, Kafka};
use crate::peers::unique;

/// Every record got the next offset of its partition, in the order of sending, and lies there.
#[track_caller]
fn check(kafka: &Kafka, topic: &str, acks: &[Ack], count: u64) {
    let mut tags: Vec<u64> = acks.iter().map(|ack| ack.tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, (0..count).collect::<Vec<_>>(), "each is acknowledged once");
    let found = kafka.read_all(topic);
    assert_eq!(found.len() as u64, count, "each is there once");
    for partition in 0..3_u32 {
        let acks: Vec<&Ack> = acks.iter().filter(|ack| ack.partition == partition).collect();
        assert!(acks.is_sorted_by_key(|ack| ack.tag), "in the order of sending");
        let found = found.iter().filter(|record| record.partition == partition as i32);
        for (offset, (ack, record)) in (0..).zip(acks.into_iter().zip(found)) {
            assert!(ack.offset.is_none_or(|told| told == offset), "{ack:?} lies at {offset}");
            assert_eq!(record.value.as_deref(), Some(&ack.tag.to_be_bytes()[..]), "{ack:?} lies at {offset}");
        }
    }
}

#[test]
fn a_record_that_is_there_twice_or_not_at_all_is_noticed() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let topic = unique("adapter");
    kafka.create_topic(&topic, 3);
    let mut sender = Sender::new(&mut *cluster, &topic);
    (0..6).for_each(|number| sender.send(&outgoing((number % 3) as u32, number), number));
    sender.wait_for_all();
    check(kafka, &topic, &sender.acks, 6);
    let is_noticed = |acks: Vec<Ack>, count| {
        let acks = AssertUnwindSafe(acks);
        catch_unwind(|| check(kafka, &topic, &acks, count)).is_err()
    };
    assert!(is_noticed(sender.acks[1..].to_vec(), 6), "an acknowledgement is missing");
    assert!(is_noticed(sender.acks.iter().rev().cloned().collect(), 6), "the order is another one");
    let seventh = Ack { topic: 0, partition: 0, tag: 6, offset: None };
    assert!(is_noticed([sender.acks.clone(), vec![seventh]].concat(), 7), "it is acknowledged, but not there");
    kafka.produce(&topic, 0, Some(b"spring"), Some(&3_u64.to_be_bytes()), &[]);
    assert!(is_noticed(sender.acks.clone(), 6), "it is there twice");
}

#[test]
fn ten_thousand_records_are_acknowledged_in_order() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let topic = unique("adapter");
    kafka.create_topic(&topic, 3);
    let mut sender = Sender::new(&mut *cluster, &topic);
    for number in 0..10_000 {
        sender.send(&outgoing((number % 3) as u32, number), number);
    }
    sender.wait_for_all();
    assert!(sender.acks.iter().all(|ack| ack.offset.is_some()));
    check(kafka, &topic, &sender.acks, 10_000);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_has_everything_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut kafka = Kafka::start(dir.path());
    let mut cluster = connect(&kafka.bootstrap());
    let topic = unique("adapter");
    kafka.create_topic(&topic, 3);
    let mut follower = cluster.follower(&[(&topic, vec![0, 0, 0])]).unwrap();
    let mut sender = Sender::new(&mut *cluster, &topic);
    let mut number = 0;
    let mut burst = |sender: &mut Sender, count: u64| {
        for _ in 0..count {
            sender.send(&outgoing((number % 3) as u32, number), number);
            number += 1;
        }
    };
    for _ in 0..3 {
        burst(&mut sender, 2_000);
        // It dies with requests on their way: the first of the burst are acknowledged, the others not.
        sender.wait().unwrap();
        burst(&mut sender, 2_000);
        kafka.kill();
        burst(&mut sender, 1_000);
        sender.writer.acks(&mut sender.acks).unwrap();
        assert!(sender.writer.in_flight() >= 1_000, "nothing is acknowledged by nobody");
        assert!(matches!(cluster.bounds(&topic, 0), Err(KafkaError::Unavailable(_))));
        kafka.restart();
        sender.wait_for_all();
    }
    check(&kafka, &topic, &sender.acks, 15_000);
    let mut come = [0; 3];
    for _ in 0..15_000 {
        let record = next(&mut *follower);
        assert_eq!(record.offset, come[record.partition as usize], "the follower finds its way back by itself");
        come[record.partition as usize] += 1;
    }
}

#[test]
fn a_writer_without_a_broker_fills_up_and_leaves_at_once() {
    let mut cluster = connect(&format!("127.0.0.1:{}", free_port()));
    let mut sender = Sender::new(&mut *cluster, "spring");
    let mut sent = 0;
    while sender.writer.send(&outgoing(0, sent), sent).unwrap() == Sent::Queued {
        sent += 1;
        assert!(sent <= 200_000, "the journal is the place to wait");
    }
    assert_eq!(sender.writer.in_flight() as u64, sent);
    sender.writer.acks(&mut sender.acks).unwrap();
    assert_eq!(sender.acks, []);
    let started = Instant::now();
    drop(sender);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn nothing_that_was_not_on_its_way_is_sent_after_the_drop() {
    let dir = tempfile::tempdir().unwrap();
    let kafka = Kafka::start(dir.path());
    // Small requests, of which few may be on their way: most records wait in memory.
    let mut cluster = settings(&kafka.bootstrap(), &[("batch.num.messages", "100")]).connect().unwrap();
    let topic = unique("adapter");
    kafka.create_topic(&topic, 1);
    let mut sender = Sender::new(&mut *cluster, &topic);
    sender.send(&outgoing(0, 0), 0);
    sender.wait_for_all();
    kafka.freeze();
    for number in 1..=5_000 {
        sender.send(&outgoing(0, number), number);
    }
    let started = Instant::now();
    drop(sender);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    kafka.thaw();
    // Whoever writes next comes after all that was on its way: its connection is younger.
    let mut sender = Sender::new(&mut *cluster, &topic);
    sender.send(&outgoing(0, 99_999), 99_999);
    sender.wait_for_all();
    let found = kafka.read_all(&topic);
    assert!(found.len() < 5_002, "what waited in memory is forgotten, not sent: {}", found.len());
    for (offset, record) in (0_u64..).zip(&found[..found.len() - 1]) {
        assert_eq!(record.value.as_deref(), Some(&offset.to_be_bytes()[..]), "what came of it is in order");
    }
}

#[test]
fn a_topic_that_is_missing_is_told_and_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let kafka = Kafka::start_with(dir.path(), &["auto.create.topics.enable=true"]);
    // As the property says, topics are made without being asked for; so nothing may touch one by accident.
    let quick = [("topic.metadata.propagation.max.ms", "1000")];
    let mut cluster = settings(&kafka.bootstrap(), &quick).connect().unwrap();
    assert_eq!(cluster.partitions("spring").unwrap(), None);
    assert!(matches!(cluster.bounds("spring", 0), Err(KafkaError::Unfit(_))));
    assert_eq!(cluster.warnings("spring").unwrap(), [""; 0]);
    let mut sender = Sender::new(&mut *cluster, "spring");
    sender.send(&outgoing(0, 1), 1);
    let KafkaError::Unfit(line) = sender.wait_for_fault() else { panic!("it is no passing fault") };
    assert!(line.contains("spring:0") && line.contains("no such topic"), "{line}");
    let mut follower = cluster.follower(&[("spring", vec![0])]).unwrap();
    let KafkaError::Unfit(line) = follower.next(PATIENCE).unwrap_err() else { panic!("it is no passing fault") };
    assert!(line.contains("no such topic"), "{line}");
    drop((sender, follower));
    assert_eq!(kafka.topics(), [""; 0]);
}

#[test]
fn a_topic_that_was_made_again_is_told_to_who_follows_it() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let topic = unique("adapter");
    kafka.create_topic(&topic, 2);
    let mut sender = Sender::new(&mut *cluster, &topic);
    (0..10).for_each(|number| sender.send(&outgoing(1, number), number));
    sender.wait_for_all();
    let mut follower = cluster.follower(&[(&topic, vec![0, 0])]).unwrap();
    (0..10).for_each(|offset| assert_eq!(next(&mut *follower).offset, offset));
    kafka.delete_topic(&topic);
    kafka.create_topic(&topic, 2);
    let error = until("the follower is told", || match follower.next(Duration::from_millis(100)) {
        Ok(None) | Err(KafkaError::Unfit(_) | KafkaError::Unavailable(_)) => None,
        Ok(Some(record)) => panic!("{record:?}"),
        Err(error) => Some(error),
    });
    assert!(matches!(error, KafkaError::Gone { partition: 1, .. }), "{error:?}");
}

#[test]
fn records_that_vanish_while_a_follower_stands_are_gone() {
    let kafka = kafka::shared();
    let mut cluster = connect(&kafka.bootstrap());
    let topic = unique("adapter");
    kafka.create_topic(&topic, 1);
    let mut sender = Sender::new(&mut *cluster, &topic);
    (0..10).for_each(|number| sender.send(&outgoing(0, number), number));
    sender.wait_for_all();
    let mut follower = cluster.follower(&[(&topic, vec![0])]).unwrap();
    assert_eq!(next(&mut *follower).offset, 0);
    follower.hold(&[(0, 0)]).unwrap();
    while follower.next(Duration::from_millis(300)).unwrap().is_some() {}
    (10..20).for_each(|number| sender.send(&outgoing(0, number), number));
    sender.wait_for_all();
    kafka.delete_records(&topic, 0, 15);
    follower.hold(&[]).unwrap();
    let error = follower.next(PATIENCE).unwrap_err();
    assert!(matches!(error, KafkaError::Gone { partition: 0, .. }), "{error:?}");
}

#[test]
fn who_is_not_known_or_not_permitted_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut kafka = Kafka::start(dir.path());
    kafka.create_topic("spring", 1);
    kafka.kill();
    let port = free_port();
    let file = dir.path().join("kafka/server.properties");
    let said = fs::read_to_string(&file).unwrap();
    let listeners = said.lines().find(|line| line.starts_with("listeners=")).unwrap();
    let guarded = format!(
        "{said}\n{listeners},SASL://127.0.0.1:{port}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_gate=\"right\" ;\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n"
    );
    fs::write(&file, guarded).unwrap();
    kafka.restart();
    let brokers = format!("127.0.0.1:{port}");
    let as_gate = |password| {
        let protocol = ("security.protocol", "sasl_plaintext");
        let who = [protocol, ("sasl.mechanism", "PLAIN"), ("sasl.username", "gate"), ("sasl.password", password)];
        settings(&brokers, &who).connect().unwrap()
    };

    let mut stranger = as_gate("hunter2");
    for error in [stranger.id().unwrap_err(), stranger.partitions("spring").unwrap_err()] {
        let KafkaError::Unfit(line) = error else { panic!("{error:?}") };
        assert!(line.contains("does not accept who we are") && !line.contains("hunter2"), "{line}");
    }
    let mut plain = connect(&brokers);
    let error = plain.id().unwrap_err();
    assert!(error.to_string().contains("security.protocol"), "{error:?}");

    let mut known = as_gate("right");
    assert_eq!(known.id().unwrap(), kafka.cluster());
    let refused = [known.partitions("spring").err(), known.bounds("spring", 0).err(), known.warnings("spring").err()];
    for error in refused {
        let Some(KafkaError::Unfit(line)) = error else { panic!("{error:?}") };
        assert!(line.contains("does not permit it") && line.contains("kafka-acls.sh"), "{line}");
    }
    let mut sender = Sender::new(&mut *known, "spring");
    sender.send(&outgoing(0, 1), 1);
    let KafkaError::Unfit(line) = sender.wait_for_fault() else { panic!("it is no passing fault") };
    assert!(line.contains("does not permit it"), "{line}");

    for (password, told) in [("right", "does not permit it"), ("hunter2", "does not accept who we are")] {
        let secret = format!("sasl.password={password}");
        let who = ["security.protocol=sasl_plaintext", "sasl.mechanism=PLAIN", "sasl.username=gate", &secret];
        let mut options = vec!["--kafka-brokers", &brokers, "--kafka-topic", "spring"];
        who.iter().for_each(|property| options.extend(["--kafka-config", property]));
        serves_and_says(&options, &["kafka_trouble:", told]);
    }
}

/// librdkafka's own imitation of a cluster, for refusals that a real one does not make on demand.
#[test]
fn a_refused_record_ends_the_writer_and_nothing_after_it_counts() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("spring", 2, 1).unwrap();
    let mut cluster = connect(&mock.bootstrap_servers());
    for (refusal, told) in [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "does not permit it"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, "refuses it"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "refuses it"),
    ] {
        let mut sender = Sender::new(&mut *cluster, "spring");
        (0..10).for_each(|tag| sender.send(&outgoing(0, tag), tag));
        sender.wait_for_all();
        mock.request_errors(RDKafkaApiKey::Produce, &[refusal]);
        for tag in 10..20 {
            if sender.writer.send(&outgoing(0, tag), tag).is_err() {
                break;
            }
        }
        let error = sender.wait_for_fault();
        let KafkaError::Unfit(line) = &error else { panic!("{error:?}") };
        assert!(line.contains("writing to spring:0") && line.contains(told), "{line}");
        assert_eq!(sender.acks.iter().map(|ack| ack.tag).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert!(sender.writer.send(&outgoing(1, 20), 20).is_err(), "it has ended");
        assert_eq!(sender.writer.acks(&mut sender.acks), Err(error), "for good");
        mock.clear_request_errors(RDKafkaApiKey::Produce);
    }
}

#[test]
fn a_passing_refusal_is_tried_again_without_telling() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("spring", 1, 1).unwrap();
    let mut cluster = connect(&mock.bootstrap_servers());
    let mut sender = Sender::new(&mut *cluster, "spring");
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        ],
    );
    (0..10).for_each(|tag| sender.send(&outgoing(0, tag), tag));
    sender.wait_for_all();
    assert_eq!(sender.acks.iter().map(|ack| ack.tag).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
}
