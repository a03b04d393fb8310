//! The topic as a source: partitions, duplicates, records of others, records that say nothing.

use super::*;
use crate::kafka::Outgoing;
use crate::kafka::memory::MemoryCluster;
use crate::wire::kafka::{GrantRecord, Key, Value, encode};

const TOPIC: &str = "coupon_create";

fn send(cluster: &MemoryCluster, grant: &Grant) {
    let (key, value, headers) =
        encode(&GrantRecord { grant: grant.clone(), prev: Lsn::ZERO, after: Lsn::ZERO }, Key::User, Value::Long);
    let partition = Key::User.partition(grant, 3);
    cluster.add(TOPIC, Outgoing { partition, at: grant.at, key, value, headers });
}

fn intake(disk: &MemoryDisk) -> Intake {
    Intake::new(Known::read(&disk.disk(), data(), &OPTIONS).expect("sound"), None)
}

#[test]
fn grants_come_back_from_all_partitions_each_once() {
    let _calm = calm();
    let (disk, world) = set_back();
    let cluster = MemoryCluster::with_topic(TOPIC, 3);
    let foreign = Outgoing { partition: 1, at: NOW, key: None, value: b"theirs".to_vec(), headers: Vec::new() };
    cluster.add(TOPIC, foreign.clone());
    for grant in world.iter().chain(&world[5..30]) {
        send(&cluster, grant);
        cluster.add_marker(TOPIC, 2);
    }
    send(&cluster, &Grant { log: LogId([9; 16]), ..grant("autumn", 1, 1, 2) });
    let poison = [("cg-log", LOG.to_string().into_bytes()), ("cg-seq", b"x".to_vec())];
    cluster.add(TOPIC, Outgoing { headers: poison.to_vec(), ..foreign });
    let mut intake = intake(&disk);
    world::read_topic(&mut cluster.clone(), TOPIC, &mut intake).expect("it can be read");
    let plan = Plan::make(intake.close().unwrap(), &[], NOW).expect("nothing contradicts");
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
    world::read_topic(&mut cluster.clone(), TOPIC, &mut intake).expect("it can be read");
    let told = Plan::make(intake.close().unwrap(), &[], NOW).err().expect("a seat is missing").to_string();
    assert!(told.contains("stand neither in the journal nor here"), "{told}");
}

#[test]
fn the_other_side_is_asked_whether_it_knows_more() {
    let _calm = calm();
    let (disk, world) = set_back();
    let cluster = MemoryCluster::with_topic(TOPIC, 3);
    world.iter().for_each(|grant| send(&cluster, grant));
    let foreign = Outgoing { partition: 0, at: NOW, key: None, value: b"theirs".to_vec(), headers: Vec::new() };
    for _ in 0..300 {
        cluster.add(TOPIC, foreign.clone());
    }
    let last = world.last().unwrap().seq;
    for known in [40, 59, 60] {
        let mut intake = intake(&disk);
        world[..known].iter().for_each(|grant| intake.take(grant.clone()));
        let beyond = world::look_at_topic(&mut cluster.clone(), TOPIC, &intake).expect("it can be asked");
        assert_eq!(beyond, last, "behind 300 records of others");
        let compared = intake.compare_with_the_other_side(CatchUpFrom::Ledger, beyond);
        match compared {
            Ok(()) => assert_eq!(known, 60),
            Err(error) => {
                let told = error.to_string();
                assert!(
                    known < 60 && told.contains(&format!("up to seq {last}")) && told.contains("--from kafka"),
                    "{told}"
                );
            }
        }
    }
    let nothing = world::look_at_topic(&mut cluster.clone(), "gone", &intake(&disk)).expect("no topic is no grant");
    assert_eq!(nothing, Lsn::ZERO);
    let error = world::read_topic(&mut cluster.clone(), "gone", &mut intake(&disk)).expect_err("no topic");
    assert!(matches!(error, CatchUpError::NoTopic(_)));
}
