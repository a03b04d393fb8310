//! Kafka and MariaDB die, rest, forget: nothing acknowledged is lost, nothing is there twice, no claim waits for them.

use std::collections::BTreeMap;

use crate::crowd::Crowd;
use crate::level::{Luck, until};
use crate::line::Line;
use crate::peers::kafka::Kafka;
use crate::peers::mariadb::MariaDb;

/// The topic is deleted and made anew while the gate is down; `before_start` sees the gate then. What was told.
pub fn topic_made_anew_while_down(
    line: &mut Line,
    kafka: &Kafka,
    before_start: impl FnOnce(&mut Line),
) -> BTreeMap<i64, u32> {
    line.create(1_000_000);
    let mut luck = Luck::new("deleted_while_down");
    let crowd = Crowd::start(line.gate.port(), 300_000, &mut luck);
    crowd.wait_for(1000);
    let mut told = crowd.end();
    line.settle();
    // Its checkpoint says that all of it is published.
    line.gate.stop();
    kafka.delete_topic(&line.topic);
    kafka.create_topic(&line.topic, 2);
    before_start(line);
    line.gate.start_again();
    let crowd = Crowd::start(line.gate.port(), 300_000, &mut luck);
    crowd.wait_for(1000);
    told.extend(crowd.end());
    told
}

/// Retention empties the topic of what was granted while MariaDB was down. What was told.
pub fn emptied_by_retention(line: &Line, kafka: &Kafka, mariadb: &mut MariaDb) -> BTreeMap<i64, u32> {
    line.create(1_000_000);
    let crowd = Crowd::start(line.gate.port(), 300_000, &mut Luck::new("emptied_by_retention"));
    crowd.wait_for(800);
    mariadb.kill();
    crowd.wait_for(800);
    let mut client = line.gate.client();
    until("Kafka has what was granted while MariaDB was down", || {
        (line.info(&mut client, "published")? > 1200).then_some(())
    });
    for partition in 0..2 {
        let (_, high) = kafka.watermarks(&line.topic, partition);
        kafka.delete_records(&line.topic, partition, high);
    }
    mariadb.restart();
    crowd.wait_for(500);
    crowd.end()
}

mod long {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::level::rounds;
    use crate::peers::{both, shared};

    /// Long enough for every time-out of a client to pass.
    const DOWN: Duration = Duration::from_secs(20);

    /// The longest single claim while a peer is away: far below any of its time-outs.
    const CLAIM: Duration = Duration::from_secs(2);

    /// Lets `down` pass with claims of users of its own going on all the time.
    fn claims_go_on(line: &Line, down: Duration) {
        static USER: AtomicI64 = AtomicI64::new(1_000_000_000);
        let mut client = line.gate.client();
        let until = Instant::now() + down;
        while Instant::now() < until {
            let user = USER.fetch_add(1, Ordering::Relaxed);
            let began = Instant::now();
            let reply = client.call(&format!("GATE.CLAIM spring {user} FLAT"));
            assert!(reply.text().is_some_and(|text| text.starts_with("GRANTED")), "{reply}");
            assert!(began.elapsed() < CLAIM, "a claim took {:?} while a peer was away", began.elapsed());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_killed_kafka_comes_back_at_random_moments() {
        let home = tempfile::tempdir().unwrap();
        let (mut kafka, mariadb) = both(home.path());
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(4_000_000);
        let mut luck = Luck::new("a_killed_kafka");
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut luck);
        for _ in 0..rounds(1, 3) {
            crowd.wait_for(200 + luck.below(2000) as usize);
            kafka.kill();
            crowd.wait_for(200 + luck.below(1000) as usize);
            kafka.restart();
        }
        crowd.wait_for(500);
        line.prove(&crowd.end());
    }

    #[test]
    fn a_killed_mariadb_comes_back_at_random_moments() {
        let home = tempfile::tempdir().unwrap();
        let (kafka, mut mariadb) = both(home.path());
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(4_000_000);
        let mut luck = Luck::new("a_killed_mariadb");
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut luck);
        for _ in 0..rounds(1, 5) {
            crowd.wait_for(200 + luck.below(2000) as usize);
            mariadb.kill();
            crowd.wait_for(200 + luck.below(1000) as usize);
            mariadb.restart();
        }
        crowd.wait_for(500);
        line.prove(&crowd.end());
    }

    #[test]
    fn kafka_is_down_for_twenty_seconds() {
        let home = tempfile::tempdir().unwrap();
        let (mut kafka, mariadb) = both(home.path());
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(4_000_000);
        let crowd = Crowd::start(line.gate.port(), 1_000_000, &mut Luck::new("kafka_is_down"));
        crowd.wait_for(500);
        kafka.kill();
        claims_go_on(&line, DOWN);
        kafka.restart();
        crowd.wait_for(500);
        line.prove(&crowd.end());
    }

    #[test]
    fn mariadb_is_down_for_twenty_seconds() {
        let home = tempfile::tempdir().unwrap();
        let (kafka, mut mariadb) = both(home.path());
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(4_000_000);
        let crowd = Crowd::start(line.gate.port(), 1_000_000, &mut Luck::new("mariadb_is_down"));
        crowd.wait_for(500);
        mariadb.kill();
        claims_go_on(&line, DOWN);
        mariadb.restart();
        crowd.wait_for(500);
        line.prove(&crowd.end());
    }

    #[test]
    fn frozen_peers_hold_no_claim_up() {
        let home = tempfile::tempdir().unwrap();
        let (kafka, mariadb) = both(home.path());
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(4_000_000);
        let crowd = Crowd::start(line.gate.port(), 1_000_000, &mut Luck::new("frozen_peers"));
        crowd.wait_for(500);
        kafka.freeze();
        claims_go_on(&line, Duration::from_secs(8));
        mariadb.freeze();
        kafka.thaw();
        claims_go_on(&line, Duration::from_secs(8));
        mariadb.thaw();
        line.prove(&crowd.end());
    }

    #[test]
    fn a_gate_that_starts_without_its_peers_serves_and_catches_up_when_they_come() {
        let home = tempfile::tempdir().unwrap();
        let (mut kafka, mut mariadb) = both(home.path());
        let ledger = mariadb.database();
        kafka.kill();
        mariadb.kill();
        let line = Line::start(&kafka.bootstrap(), &ledger, &[]);
        line.create(1_000_000);
        let crowd = Crowd::start(line.gate.port(), 100_000, &mut Luck::new("without_its_peers"));
        crowd.wait_for(500);
        mariadb.restart();
        kafka.restart();
        crowd.wait_for(200);
        line.prove(&crowd.end());
    }

    #[test]
    fn a_topic_that_is_deleted_and_made_anew_while_the_gate_runs_is_filled_again() {
        let (kafka, mariadb) = shared();
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(1_000_000);
        let crowd = Crowd::start(line.gate.port(), 300_000, &mut Luck::new("deleted_while_running"));
        crowd.wait_for(1500);
        kafka.delete_topic(&line.topic);
        kafka.create_topic(&line.topic, 2);
        crowd.wait_for(1500);
        line.prove(&crowd.end());
    }

    #[test]
    fn a_topic_that_is_deleted_and_made_anew_while_the_gate_is_down_is_filled_again() {
        let (kafka, mariadb) = shared();
        let mut line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        let told = topic_made_anew_while_down(&mut line, kafka, |_| ());
        line.prove(&told);
        assert_eq!(kafka.read_all(&line.topic).len(), line.rows().len(), "every grant is in the new topic, once");
    }

    #[test]
    fn a_database_that_was_set_back_is_filled_again() {
        let (kafka, mariadb) = shared();
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(1_000_000);
        let crowd = Crowd::start(line.gate.port(), 300_000, &mut Luck::new("set_back"));
        crowd.wait_for(1000);
        let dump = line.ledger.dump();
        crowd.wait_for(1500);
        line.ledger.restore(&dump);
        crowd.wait_for(1000);
        line.prove(&crowd.end());
    }

    #[test]
    fn a_partition_emptied_by_retention_before_the_ledger_had_it_is_sent_again() {
        let home = tempfile::tempdir().unwrap();
        let (kafka, mut mariadb) = both(home.path());
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        let told = emptied_by_retention(&line, &kafka, &mut mariadb);
        line.settle();
        let rows = line.rows();
        for (user, seat) in &told {
            assert_eq!(rows.get(seat), Some(user), "user {user} was told seat {seat}");
        }
        line.audit();
    }
}
