//! The gate is killed, set back, lost: what was acknowledged stays, and no seat is given a second time.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::crowd::Crowd;
use crate::level::Luck;
use crate::line::{CAMPAIGN, Line};

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success(), "cp -a {} {}", from.display(), to.display());
}

/// The gate is killed, and its directory is what it was in the middle. What was told.
pub fn set_back(line: &mut Line, luck: &mut Luck) -> BTreeMap<i64, u32> {
    line.create(4_000_000);
    let crowd = Crowd::start(line.gate.port(), 3_000_000, luck);
    crowd.wait_for(1000);
    let before = crowd.end();
    line.settle();
    line.gate.stop();
    let kept = line.gate.home().join("kept");
    copy(line.gate.data(), &kept);
    line.gate.start_again();
    let crowd = Crowd::start(line.gate.port(), 3_000_000, luck);
    crowd.wait_for(1000);
    let mut told = crowd.end();
    told.extend(before);
    line.settle();
    line.gate.kill();
    std::fs::remove_dir_all(line.gate.data()).unwrap();
    copy(&kept, line.gate.data());
    told
}

mod long {
    use super::*;
    use crate::gate::Gate;
    use crate::level::{rounds, until};
    use crate::peers;

    #[test]
    fn a_killed_gate_goes_on_where_it_was() {
        let (kafka, mariadb) = peers::shared();
        let mut line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(4_000_000);
        let mut luck = Luck::new("a_killed_gate");
        let mut told = BTreeMap::new();
        for _ in 0..rounds(2, 12) {
            let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut luck);
            crowd.wait_for(1 + luck.below(1500) as usize);
            line.gate.kill();
            line.gate.start_again();
            crowd.wait_for(1);
            told.extend(crowd.end());
        }
        line.prove(&told);
        let mut seen = std::collections::BTreeSet::new();
        for record in kafka.read_all(&line.topic) {
            let seq: u64 = std::str::from_utf8(record.header("cg-seq").unwrap()).unwrap().parse().unwrap();
            seen.insert(seq);
        }
        assert_eq!(seen.len(), line.rows().len(), "every grant is in the topic");
    }

    /// Claims are refused until `catch-up` has run; then they go on where the world stood.
    fn catches_up(line: &mut Line, mut told: BTreeMap<i64, u32>, from: &str, luck: &mut Luck) {
        let mut client = line.gate.client();
        let reply = until("claims are refused", || {
            let reply = client.call("GATE.CLAIM spring 999999999 FLAT");
            reply.is_error("STALE").then_some(reply)
        });
        assert!(format!("{reply}").contains("catch-up"), "{reply}");
        line.gate.stop();
        let end = line.run(&["catch-up", "--from", from]);
        assert_eq!(end.code, Some(0), "{}", end.said);
        line.gate.start_again();
        let crowd = Crowd::start(line.gate.port(), 3_000_000, luck);
        crowd.wait_for(500);
        for (user, seat) in crowd.end() {
            let before = told.insert(user, seat);
            assert!(before.is_none_or(|before| before == seat), "user {user}: {before:?}, then {seat}");
        }
        line.prove(&told);
    }

    fn is_set_back(from: &str) {
        let (kafka, mariadb) = peers::shared();
        let mut line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        let mut luck = Luck::new("set_back");
        let told = set_back(&mut line, &mut luck);
        line.gate.start_again();
        catches_up(&mut line, told, from, &mut luck);
    }

    #[test]
    fn a_directory_set_back_catches_up_from_kafka() {
        is_set_back("kafka");
    }

    #[test]
    fn a_directory_set_back_catches_up_from_the_ledger() {
        is_set_back("ledger");
    }

    /// A backup is made while a crowd claims; the machine is lost; the backup is restored.
    fn is_restored(from: &str) {
        let (kafka, mariadb) = peers::shared();
        let mut line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(4_000_000);
        let mut luck = Luck::new("restored");
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut luck);
        crowd.wait_for(500);
        let backup = line.gate.home().join("backup");
        let target = format!("redis://127.0.0.1:{}", line.gate.port());
        let mut command = Command::new(crate::gate::binary());
        let done = command.arg("backup").arg("--to").arg(&backup).args(["--target", &target]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        crowd.wait_for(1500);
        let told = crowd.end();
        line.settle();
        line.gate.kill();
        std::fs::remove_dir_all(line.gate.data()).unwrap();
        std::fs::rename(&backup, line.gate.data()).unwrap();
        line.gate.start_again();
        catches_up(&mut line, told, from, &mut luck);
    }

    #[test]
    fn a_backup_made_under_load_catches_up_from_kafka() {
        is_restored("kafka");
    }

    #[test]
    fn a_backup_made_under_load_catches_up_from_the_ledger() {
        is_restored("ledger");
    }

    fn is_lost(from: &str) {
        let (kafka, mariadb) = peers::shared();
        let mut line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(5_000);
        let mut luck = Luck::new("lost");
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut luck);
        crowd.wait_for(1000);
        let mut told = crowd.end();
        line.settle();
        line.gate.kill();
        std::fs::remove_dir_all(line.gate.data()).unwrap();
        // Started over an empty one it finds whose place it takes.
        line.gate.start_again();
        let refused = line.gate.client().call(&format!("GATE.CREATE {CAMPAIGN} LIMIT 5000")).to_string();
        assert!(refused.contains("STALE") && refused.contains("catch-up --log-id"), "{refused}");
        line.gate.kill();
        std::fs::remove_dir_all(line.gate.data()).unwrap();
        let terms = line.gate.home().join("campaigns.toml");
        std::fs::write(&terms, "[campaigns.spring]\nlimit = 5000\n").unwrap();
        let end = line.run(&["catch-up", "--from", from, "--campaigns", terms.to_str().unwrap()]);
        assert_eq!(end.code, Some(0), "{}", end.said);
        line.gate.start_again();
        assert_eq!(line.info(&mut line.gate.client(), "granted"), Some(told.len() as i64));
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut luck);
        crowd.wait_for(500);
        for (user, seat) in crowd.end() {
            let before = told.insert(user, seat);
            assert!(before.is_none_or(|before| before == seat), "user {user}: {before:?}, then {seat}");
        }
        line.prove(&told);
    }

    #[test]
    fn a_directory_that_is_lost_comes_back_from_kafka() {
        is_lost("kafka");
    }

    #[test]
    fn a_directory_that_is_lost_comes_back_from_the_ledger() {
        is_lost("ledger");
    }

    /// Without Kafka it is the ledger that knows whose seats they are.
    #[test]
    fn a_directory_that_is_lost_gives_no_seat_again_beside_a_ledger_alone() {
        let database = peers::mariadb::shared().database();
        let mut gate = Gate::start(&["--ledger", &database.url]);
        for campaign in ["spring", "summer"] {
            let mut client = gate.client();
            client.call(&format!("GATE.CREATE {campaign} LIMIT 10"));
            for user in 1..=3 {
                client.call(&format!("GATE.CLAIM {campaign} {user}"));
            }
        }
        let mut client = gate.client();
        let mut stored = || client.call("GATE.INFO summer").field("stored").and_then(|field| field.int());
        until("all are rows", || (stored() == Some(3)).then_some(()));
        gate.kill();
        std::fs::remove_dir_all(gate.data()).unwrap();
        gate.start_again();
        let mut client = gate.client();
        for campaign in ["spring", "summer"] {
            let refused = client.call(&format!("GATE.CREATE {campaign} LIMIT 10")).to_string();
            assert!(refused.contains("by another journal") && refused.contains("catch-up"), "{refused}");
        }
        assert_eq!(client.call("GATE.CREATE autumn LIMIT 10").to_string(), "CREATED");
    }
}
