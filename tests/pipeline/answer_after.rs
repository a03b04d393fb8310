//! `--answer-after published`: what was answered is in Kafka, so that losing the machine loses none of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::crowd::Crowd;
use crate::level::{Luck, until};
use crate::line::{CAMPAIGN, Line};
use crate::peers::kafka::Kafka;

/// How long a claim must wait in vain for a Kafka that is down.
const UNANSWERED: Duration = Duration::from_secs(3);

/// Kafka goes down, then the gate, and its directory is lost; Kafka comes back, and the directory is made anew from it.
/// `meanwhile` runs while Kafka is down. What was told.
pub fn machine_lost(line: &mut Line, kafka: &mut Kafka, meanwhile: impl FnOnce(&Line, &Crowd)) -> BTreeMap<i64, u32> {
    line.create(5_000);
    let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut Luck::new("machine_lost"));
    crowd.wait_for(500);
    until("the topic has a grant", || {
        (kafka.topics().contains(&line.topic) && !kafka.read_all(&line.topic).is_empty()).then_some(())
    });
    kafka.kill();
    meanwhile(line, &crowd);
    line.gate.kill();
    let told = crowd.end();
    std::fs::remove_dir_all(line.gate.data()).unwrap();
    kafka.restart();
    let terms = line.gate.home().join("campaigns.toml");
    std::fs::write(&terms, format!("[campaigns.{CAMPAIGN}]\nlimit = 5000\n")).unwrap();
    let end = line.run(&["catch-up", "--from", "kafka", "--campaigns", terms.to_str().unwrap()]);
    assert_eq!(end.code, Some(0), "{}", end.said);
    line.gate.start_again();
    told
}

mod long {
    use std::io::ErrorKind;

    use super::*;
    use crate::peers::mariadb;

    #[test]
    fn a_lost_machine_loses_no_grant_that_waited_for_kafka() {
        let home = tempfile::tempdir().unwrap();
        let mut kafka = Kafka::start(home.path());
        let ledger = mariadb::shared().database();
        let mut line = Line::start(&kafka.bootstrap(), &ledger, &["--answer-after", "published"]);
        let told = machine_lost(&mut line, &mut kafka, |line, _| {
            let mut client = line.gate.client();
            assert_eq!(client.call("PING").text().as_deref(), Some("PONG"), "what tells of no grant waits for nobody");
            client.stream().set_read_timeout(Some(UNANSWERED)).unwrap();
            let error = client.try_call(&["GATE.CLAIM", CAMPAIGN, "4000000", "FLAT"]).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        });
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut Luck::new("machine_lost"));
        crowd.wait_for(500);
        let mut all = crowd.end();
        for (user, seat) in told {
            let after = all.insert(user, seat);
            assert!(after.is_none_or(|after| after == seat), "user {user}: {seat}, then {after:?}");
        }
        line.prove(&all);
    }
}
