//! The topic as a source: partitions, duplicates, records of others, records that say nothing.

use super::*;
use crate::kafka::Outgoing;
use crate::kafka::memory::MemoryCluster;
use crate::wire::kafka::{EntryRecord, Key, Value, encode};

const TOPIC: &str = "coupon_create";
const TOPICS: Topics<'_> = Topics { grants: TOPIC, returns: Some("coupon_cancel") };

fn send(cluster: &MemoryCluster, grant: &Grant) {
    let (key, value, headers) =
        encode(&EntryRecord { entry: grant.clone().into(), prev: Lsn::ZERO }, Key::User, Value::Long);
    let partition = Key::User.partition(&grant.clone().into(), 3);
    cluster.add(TOPIC, Outgoing { topic: 0, partition, at: grant.at, key, value, headers });
}

fn intake(disk: &MemoryDisk) -> Intake {
    Intake::new(Known::read(&disk.disk(), data(), &OPTIONS).expect("sound"), None)
}

#[test]
fn grants_come_back_from_all_partitions_each_once() {
    let _calm = calm();
    let (disk, world) = set_back();
    let cluster = MemoryCluster::with_topic(TOPIC, 3);
    let foreign =
        Outgoing { topic: 0, partition: 1, at: NOW, key: None, value: b"theirs".to_vec(), headers: Vec::new() };
    cluster.add(TOPIC, foreign.clone());
    for grant in world.iter().chain(&world[5..30]) {
        send(&cluster, grant);
        cluster.add_marker(TOPIC, 2);
    }
    send(&cluster, &Grant { log: LogId([9; 16]), ..grant("autumn", 1, 1, 2) });
    let poison = [("cg-log", LOG.to_string().into_bytes()), ("cg-seq", b"x".to_vec())];
    cluster.add(TOPIC, Outgoing { headers: poison.to_vec(), ..foreign });
    let mut intake = intake(&disk);
    world::read_topics(&mut cluster.clone(), TOPICS, &mut intake).expect("it can be read");
    let plan = Plan::make(intake.close().unwrap(), Hints::default(), NOW).expect("nothing contradicts");
    assert_eq!((plan.seats.len(), plan.agreed, plan.unreadable), (50, 15, 1));
}

#[test]
fn what_retention_took_is_missing() {
    let _calm = calm();
    let (_, world) = set_back();
    let cluster = MemoryCluster::with_topic(TOPIC, 3);
    world.iter().for_each(|grant| send(&cluster, grant));
    cluster.delete_records(TOPIC, 0, 1);
    let mut intake = intake(&MemoryDisk::default());
    world::read_topics(&mut cluster.clone(), TOPICS, &mut intake).expect("it can be read");
    let told = Plan::make(intake.close().unwrap(), Hints::default(), NOW).err().expect("a seat is missing").to_string();
    assert!(told.contains("stand neither in the journal nor here"), "{told}");
}

#[test]
fn what_only_the_other_side_knows_comes_back_too() {
    let _calm = calm();
    let (disk, world) = set_back();
    let cluster = MemoryCluster::with_topic(TOPIC, 3);
    world.iter().for_each(|grant| send(&cluster, grant));
    let both = |from, ledger: &[Grant]| {
        let mut intake = intake(&disk);
        let rows = |intake: &mut Intake| ledger.iter().for_each(|grant| intake.take(grant.clone().into()));
        if from == CatchUpFrom::Ledger {
            rows(&mut intake);
            intake.turn_to_the_other_side();
        }
        world::read_topics(&mut cluster.clone(), TOPICS, &mut intake).expect("it can be read");
        if from == CatchUpFrom::Kafka {
            intake.turn_to_the_other_side();
            rows(&mut intake);
        }
        Plan::make(intake.close().unwrap(), Hints::default(), NOW)
    };
    // The newest record of a partition is lost, that of another is not: the highest position would tell nothing.
    let newest = Key::User.partition(&world.last().unwrap().clone().into(), 3);
    let partition = (newest + 1) % 3;
    let end = cluster.records(TOPIC, partition).len() as u64;
    cluster.truncate(TOPIC, partition, end - 1);
    assert!(!both(CatchUpFrom::Kafka, &[]).is_ok_and(|plan| plan.seats.len() == 50), "a seat is known to nobody else");
    for (from, ledger) in
        [(CatchUpFrom::Kafka, &world[..]), (CatchUpFrom::Ledger, &world[..]), (CatchUpFrom::Kafka, &world[20..])]
    {
        let plan = both(from, ledger).expect("nothing contradicts");
        assert_eq!(plan.seats.len(), 50, "{from:?}");
    }
    let another = Grant { log: LogId([9; 16]), ..grant("autumn", 1, 1, 2) };
    let plan = both(CatchUpFrom::Kafka, &[&world[..], &[another]].concat()).expect("another gate's rows are not read");
    assert_eq!((plan.seats.len(), plan.agreed), (50, 10));

    let error = world::read_topics(&mut cluster.clone(), Topics { grants: "gone", returns: None }, &mut intake(&disk))
        .expect_err("no topic");
    assert!(matches!(error, CatchUpError::NoTopic(_)));
}
