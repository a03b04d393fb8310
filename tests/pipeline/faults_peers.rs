//! Kafka and MariaDB die, rest, forget: nothing acknowledged is lost, nothing is there twice, no claim waits for them.

use std::collections::BTreeMap;

use crate::crowd::Crowd;
use crate::level::{Luck, until};
use crate::line::{CAMPAIGN, Line};
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
    use crate::client::Client;
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

    /// Processor time of the threads that librdkafka has in a process.
    fn of_librdkafka(pid: u32) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
        let ours = threads
            .filter(|thread| std::fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.starts_with("rdk:")));
        // Nanoseconds on a processor stand first.
        let ran = |thread: std::path::PathBuf| {
            let stat = std::fs::read_to_string(thread.join("schedstat")).ok()?;
            stat.split_ascii_whitespace().next()?.parse().ok()
        };
        let times: Vec<u64> = ours.filter_map(ran).collect();
        assert!(!times.is_empty(), "it has threads");
        Duration::from_nanos(times.iter().sum())
    }

    /// It spins over records that wait behind a request.
    #[test]
    fn librdkafka_takes_no_processor_while_kafka_is_frozen() {
        let home = tempfile::tempdir().unwrap();
        let (kafka, mariadb) = both(home.path());
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(10_000);
        let mut client = line.gate.client();
        let mut users = 1..;
        let mut claim = |count| {
            users
                .by_ref()
                .take(count)
                .for_each(|user| drop(client.call(&format!("GATE.CLAIM {CAMPAIGN} {user} FLAT"))));
        };
        claim(1);
        line.settle();
        kafka.freeze();
        claim(100);
        let mut asking = line.gate.client();
        let on_their_way = |client: &mut Client| {
            let info = client.call("INFO").text()?;
            info.lines().find_map(|line| line.strip_prefix("kafka_in_flight:")?.trim().parse::<u64>().ok())
        };
        until("a request is on its way", || on_their_way(&mut asking).filter(|records| *records > 0));
        claim(100);
        let before = of_librdkafka(line.gate.pid());
        claims_go_on(&line, Duration::from_secs(3));
        let took = of_librdkafka(line.gate.pid()) - before;
        assert!(took < Duration::from_secs(1), "it takes {took:?} of processor time");
        kafka.thaw();
        line.settle();
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
