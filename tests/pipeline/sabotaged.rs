//! Promises broken on purpose, between real peers: what the fault tests look at shows it. And their last word, `prove`,
//! notices a row that is not as it was told.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::crowd::Crowd;
use crate::level::Luck;
use crate::line::Line;
use crate::peers;

/// Whether the proof fails, as it must.
fn fails(line: &Line, told: &std::collections::BTreeMap<i64, u32>) -> bool {
    catch_unwind(AssertUnwindSafe(|| line.prove(told))).is_err()
}

#[test]
fn a_row_that_is_gone_or_somebody_elses_fails_the_proof() {
    let (kafka, mariadb) = peers::shared();
    let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
    line.create(1_000);
    let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut Luck::new("fails_the_proof"));
    crowd.wait_for(50);
    let told = crowd.end();
    line.prove(&told);
    line.ledger.execute("CREATE TABLE kept AS SELECT * FROM coupon_grant WHERE seat = 7");
    line.ledger.execute("DELETE FROM coupon_grant WHERE seat = 7");
    assert!(fails(&line, &told));
    let end = line.run(&["audit"]);
    assert!(end.code == Some(1) && end.said.contains("seat 7"), "{}", end.said);
    line.ledger.execute("INSERT INTO coupon_grant SELECT * FROM kept");
    line.prove(&told);
    line.ledger.execute("UPDATE coupon_grant SET user_id = -1 WHERE seat = 7");
    assert!(fails(&line, &told));
    assert_eq!(line.run(&["audit"]).code, Some(1));
}

#[cfg(feature = "sabotage")]
mod long {
    use std::collections::BTreeMap;

    use super::*;
    use crate::answer_after::machine_lost;
    use crate::faults_gate::set_back;
    use crate::faults_peers::{emptied_by_retention, topic_made_anew_while_down};
    use crate::level::{until, within};
    use crate::peers::{both, kafka::Kafka};

    /// The audit, which must name a difference.
    #[track_caller]
    fn is_told(line: &Line, word: &str) {
        let end = line.run(&["audit"]);
        assert!(end.code == Some(1) && end.said.contains(word), "{:?}: {}", end.code, end.said);
    }

    #[test]
    fn without_a_look_at_the_tail_a_topic_made_anew_stays_without_its_grants() {
        let (kafka, mariadb) = peers::shared();
        let mut line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        topic_made_anew_while_down(&mut line, kafka, |line| line.break_promise("NoTailReadBack"));
        until("the gate calls it published", || {
            let mut client = line.gate.client();
            (line.info(&mut client, "published") == line.info(&mut client, "granted")).then_some(())
        });
        is_told(&line, "missing");
    }

    #[test]
    fn with_published_taken_for_granted_a_lost_machine_loses_grants_that_were_told() {
        let home = tempfile::tempdir().unwrap();
        let mut kafka = Kafka::start(home.path());
        let ledger = peers::mariadb::shared().database();
        let mut line = Line::stopped(&kafka.bootstrap(), &ledger, &["--answer-after", "published"]);
        line.break_promise("PublishedTakenForGranted");
        line.gate.start_again();
        let told = machine_lost(&mut line, &mut kafka, |_, crowd| crowd.wait_for(500));
        let mut client = line.gate.client();
        let lost = told.keys().filter(|user| {
            let rows = client.call(&format!("GATE.STATUS spring {user}"));
            rows.to_string() == "[]"
        });
        assert!(lost.count() > 0, "all of {} grants are in Kafka", told.len());
    }

    #[test]
    fn a_sink_that_stores_behind_a_hole_misses_what_retention_took() {
        let home = tempfile::tempdir().unwrap();
        let (kafka, mut mariadb) = both(home.path());
        let mut line = Line::stopped(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.break_promise("HoleIgnored");
        line.gate.start_again();
        let told = emptied_by_retention(&line, &kafka, &mut mariadb);
        let last = *told.values().max().unwrap();
        within(std::time::Duration::from_secs(60), "the last row", || line.rows().contains_key(&last).then_some(()));
        let rows = line.rows();
        assert!(told.values().any(|seat| !rows.contains_key(seat)), "all {} rows are there", rows.len());
        is_told(&line, "missing");
    }

    #[test]
    fn a_gate_that_ignores_the_world_gives_a_seat_twice() {
        let (kafka, mariadb) = peers::shared();
        let mut line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        let mut luck = Luck::new("ignores_the_world");
        let told: BTreeMap<i64, u32> = set_back(&mut line, &mut luck);
        line.break_promise("IgnoreTheWorld");
        line.gate.start_again();
        let reply = line.gate.client().call("GATE.CLAIM spring 999999999 FLAT").text().unwrap_or_default();
        let seat: u32 = reply.split(' ').nth(1).and_then(|seat| seat.parse().ok()).expect(&reply);
        assert!(reply.starts_with("GRANTED"), "{reply}");
        assert!(told.values().any(|given| *given == seat), "seat {seat} is new");
    }
}
