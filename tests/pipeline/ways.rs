//! Settings of the line that change its way: forms of records, the operator's pause, another number of partitions.

use crate::crowd::Crowd;
use crate::level::{Luck, until};
use crate::line::{CAMPAIGN, Line};
use crate::peers;

/// So many grants of a fresh campaign with these settings, proven; the records.
fn proven(options: &[&str], grants: usize) -> Vec<peers::Record> {
    let (kafka, mariadb) = peers::shared();
    let mut line = Line::start(&kafka.bootstrap(), &mariadb.database(), options);
    line.create(1_000_000);
    let crowd = Crowd::start(line.gate.port(), 300_000, &mut Luck::new("ways"));
    crowd.wait_for(grants);
    let told = crowd.end();
    line.settle();
    line.add_to_world(&options[..2]);
    line.prove(&told);
    let records = kafka.read_all(&line.topic);
    assert_eq!(records.len(), told.len());
    records
}

#[test]
fn json_records_keyed_by_user_say_what_the_headers_say() {
    let records = proven(&["--kafka-key", "user", "--kafka-value", "json"], 300);
    for record in &records {
        let value: serde_json::Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        let header = |name: &str| String::from_utf8(record.header(name).unwrap().to_vec()).unwrap();
        assert_eq!((value["campaign"].as_str(), value["kind"].as_str()), (Some(CAMPAIGN), Some("grant")));
        assert_eq!(header("cg-campaign"), CAMPAIGN);
        assert_eq!(value["user"].as_str().unwrap().as_bytes(), record.key.as_deref().unwrap());
        assert_eq!((value["seat"].to_string(), value["seq"].as_str()), (header("cg-seat"), Some(&*header("cg-seq"))));
    }
    assert!((0..2).all(|partition| records.iter().any(|record| record.partition == partition)), "dealt by user");
}

#[test]
fn records_without_a_key_are_dealt_by_their_place() {
    let records = proven(&["--kafka-key", "none"], 300);
    for record in &records {
        let seq: i32 = std::str::from_utf8(record.header("cg-seq").unwrap()).unwrap().parse().unwrap();
        assert_eq!((record.key.as_deref(), record.partition), (None, seq % 2));
    }
}

#[test]
fn while_the_operators_query_says_one_nothing_is_stored_and_claims_go_on() {
    let (kafka, mariadb) = peers::shared();
    let ledger = mariadb.database();
    ledger.execute("CREATE TABLE maintenance (active BOOLEAN NOT NULL)");
    let pause = ["--ledger-pause-when", "SELECT COUNT(*) > 0 FROM maintenance WHERE active"];
    let line = Line::start(&kafka.bootstrap(), &ledger, &pause);
    line.create(1_000_000);
    let crowd = Crowd::start(line.gate.port(), 300_000, &mut Luck::new("pause"));
    crowd.wait_for(100);
    ledger.execute("INSERT INTO maintenance VALUES (TRUE)");
    let mut client = line.gate.client();
    let mut info = |word: &str| client.call("INFO").text().is_some_and(|info| info.contains(word)).then_some(());
    until("INFO tells the pause", || info("ledger_paused:1"));
    let rows = line.rows().len();
    crowd.wait_for(1000);
    assert_eq!(line.rows().len(), rows, "nothing is stored meanwhile");
    ledger.execute("DELETE FROM maintenance");
    line.prove(&crowd.end());
}

#[test]
fn a_topic_that_has_grown_is_followed_when_its_operator_says_so() {
    let (kafka, mariadb) = peers::shared();
    let key = ["--kafka-key", "user"];
    let mut line = Line::start(&kafka.bootstrap(), &mariadb.database(), &key);
    line.add_to_world(&key);
    line.create(1_000_000);
    let mut luck = Luck::new("grown");
    let crowd = Crowd::start(line.gate.port(), 300_000, &mut luck);
    crowd.wait_for(300);
    let mut told = crowd.end();
    line.settle();
    line.gate.kill();
    kafka.grow_topic(&line.topic, 5);
    line.gate.start_again();
    let crowd = Crowd::start(line.gate.port(), 300_000, &mut luck);
    crowd.wait_for(300);
    told.extend(crowd.end());
    let mut client = line.gate.client();
    until("INFO tells what to do", || {
        client.call("INFO").text()?.contains("--kafka-accept-partitions 5").then_some(())
    });
    line.gate.stop();
    line.gate.add(&["--kafka-accept-partitions", "5"]);
    line.gate.start_again();
    line.prove(&told);
    let records = kafka.read_all(&line.topic);
    assert_eq!(records.len(), line.rows().len(), "none is there twice");
    assert!(records.iter().any(|record| record.partition > 1), "what came later is dealt to five");
}
