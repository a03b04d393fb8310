//! Grants and returns, each in its topic of a real Kafka.

use std::collections::{BTreeMap, BTreeSet};

use crate::gate::Gate;
use crate::level::until;
use crate::peers::kafka::Kafka;
use crate::peers::{Record, kafka, unique};

const CAMPAIGNS: [&str; 3] = ["spring", "summer", "may"];

fn number(record: &Record, name: &str) -> Option<u64> {
    std::str::from_utf8(record.header(name)?).unwrap().parse().ok()
}

/// What a reader of a topic ends with who skips what he knows and waits at a hole: partition and record, by `cg-seq`.
fn read(kafka: &Kafka, topic: &str) -> BTreeMap<u64, Record> {
    let (mut last, mut read) = (BTreeMap::new(), BTreeMap::new());
    for record in kafka.read_all(topic) {
        let (seq, prev) = (number(&record, "cg-seq").unwrap(), number(&record, "cg-prev").unwrap());
        let last = last.entry(record.partition).or_insert(0);
        if seq > *last && prev <= *last {
            assert_eq!(prev, *last, "{topic}: {seq} names the one before it");
            *last = seq;
            read.insert(seq, record);
        }
    }
    read
}

/// Users claim and, some of them, cancel; how many did either.
fn crowd(gate: &Gate, users: std::ops::Range<u32>) -> [usize; 2] {
    let mut client = gate.client();
    let mut done = [0, 0];
    for user in users {
        for campaign in CAMPAIGNS {
            let told = client.call(&format!("GATE.CLAIM {campaign} {user} FLAT")).text().unwrap();
            assert!(told.starts_with("GRANTED"), "{told}");
            done[0] += 1;
            if user % 3 > 0 {
                let told = client.call(&format!("GATE.CANCEL {campaign} {user} FLAT")).text().unwrap();
                assert!(told.starts_with("CANCELLED"), "{told}");
                done[1] += 1;
            }
        }
    }
    done
}

#[test]
fn every_grant_and_every_return_is_in_its_topic_through_kills_and_a_topic_of_returns_made_anew() {
    let kafka = kafka::shared();
    let (grants, returns) = (unique("coupon_create"), unique("coupon_cancel"));
    let bootstrap = kafka.bootstrap();
    let topics = ["--kafka-topic", &grants, "--kafka-cancel-topic", &returns, "--kafka-partitions", "2"];
    let mut gate = Gate::start(&[&topics[..], &["--kafka-brokers", &bootstrap, "--ledger", "none"]].concat());
    for campaign in CAMPAIGNS {
        gate.client().call(&format!("GATE.CREATE {campaign} LIMIT 1000"));
    }
    let mut done = [0, 0];
    for round in 0..4 {
        let more = crowd(&gate, round * 100..(round + 1) * 100);
        done = [done[0] + more[0], done[1] + more[1]];
        gate.kill();
        gate.start_again();
    }
    let all = |done: [usize; 2]| {
        until("all of it is in both topics", || {
            let there = [read(kafka, &grants), read(kafka, &returns)];
            (there.each_ref().map(BTreeMap::len) == done).then_some(there)
        })
    };
    let there = all(done);

    // The topic of returns is deleted under the gate: all are sent again.
    kafka.delete_topic(&returns);
    kafka.create_topic(&returns, 2);
    let more = crowd(&gate, 400..403);
    done = [done[0] + more[0], done[1] + more[1]];
    let [granted, returned] = all(done);
    // But for what was on its way to a broker when a gate was killed.
    assert!(kafka.read_all(&grants).len() < done[0] + 100, "no grant is");
    assert!(there[1].keys().all(|seq| returned.contains_key(seq)));

    let mut out = BTreeSet::new();
    for (seq, record) in &returned {
        let grant = &granted[&number(record, "cg-after").expect("a return names its grant")];
        assert!(number(grant, "cg-seq").unwrap() < *seq && out.insert(number(grant, "cg-seq")), "{record:?}");
        assert_eq!((grant.partition, &grant.key, &grant.value), (record.partition, &record.key, &record.value));
        assert_eq!(number(grant, "cg-seat"), number(record, "cg-seat"));
    }
    // A seat that went to somebody else says behind which return.
    for (seq, record) in &granted {
        let before = returned.iter().filter(|(back, there)| *back < seq && there.key == record.key);
        assert_eq!(number(record, "cg-after"), before.map(|(back, _)| *back).max(), "{record:?}");
    }
    assert!(granted.values().any(|record| number(record, "cg-after").is_some()));
}

#[test]
fn a_purged_campaign_is_used_again_and_the_audit_agrees() {
    let (kafka, mariadb) = crate::peers::shared();
    let ledger = mariadb.database();
    let mut line = crate::line::Line::start(&kafka.bootstrap(), &ledger, &["--allow-reset", "yes"]);
    let mut client = line.gate.client();
    for round in 1..=3_u64 {
        client.call("GATE.CREATE staging LIMIT 100");
        // A seat that had another row until the purge comes back from elsewhere, too.
        assert_eq!(client.call("GATE.SEED staging 1 1").int(), Some(1));
        for user in 2..=40 {
            let told = client.call(&format!("GATE.CLAIM staging {user} FLAT")).text();
            assert_eq!(told, Some(format!("GRANTED {user} {}", 100 - user)), "round {round}");
        }
        assert_eq!(client.call("GATE.DROP staging PURGE").text().as_deref(), Some("OK"));
        line.gate.kill();
        line.gate.start_again();
        client = line.gate.client();
        until("all rows have moved", || {
            let rows: Vec<(u64, u64)> =
                ledger.query("SELECT (SELECT COUNT(*) FROM coupon_grant), (SELECT COUNT(*) FROM coupon_return)");
            (rows == [(0, 40 * round)]).then_some(())
        });
    }
    client.call("GATE.CREATE staging LIMIT 100");
    client.call("GATE.CLAIM staging 1");
    until("the new row is there", || {
        let rows: Vec<u64> = ledger.query("SELECT COUNT(*) FROM coupon_grant");
        (rows == [1]).then_some(())
    });
    line.audit();
}
