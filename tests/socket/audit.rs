//! `coupon-gate audit`, `dead-letters` and `ddl` from outside: beside a running gate, and over what one left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use crate::gate::{Gate, binary};
use crate::ledger::{path, seats, wait_for};

/// Exit code and standard output.
fn tool(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary()).args(args).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

fn audit(gate: &Gate) -> (Option<i32>, serde_json::Value) {
    let (code, said) = tool(&["audit", "--json", "--data", gate.data().to_str().unwrap()]);
    (code, serde_json::from_str(&said).unwrap())
}

/// All files below `folder`: their bytes and when they were written.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let written = fs::metadata(&path).unwrap().modified().unwrap();
            found.insert(path.clone(), (fs::read(&path).unwrap(), written));
        }
    }
    found
}

#[test]
fn an_audit_beside_a_gate_under_load_finds_no_difference() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    client.call("GATE.CREATE spring LIMIT 100000");
    let watched = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| (0..8).map(|_| audit(&gate)).collect::<Vec<_>>());
        let mut user = 0;
        while !watcher.is_finished() {
            let claims: Vec<String> = (user..user + 200).map(|user| format!("GATE.CLAIM spring {user}")).collect();
            user += 200;
            client.pipeline(&claims);
        }
        watcher.join().unwrap()
    });
    for (code, said) in watched {
        assert_eq!((code, &said["agrees"]), (Some(0), &true.into()), "{said:#}");
    }
    wait_for(&path(&gate), "spring", &seats(&mut client, "spring"));
    let (code, said) = audit(&gate);
    assert_eq!((code, &said["complete"], &said["pending"]), (Some(0), &true.into(), &0.into()), "{said:#}");
}

#[test]
fn an_audit_of_a_stopped_gate_writes_nothing_and_names_what_differs() {
    let mut gate = Gate::start(&[]);
    let mut client = gate.client();
    client.call("GATE.CREATE spring LIMIT 100");
    let claims: Vec<String> = (1..=50).map(|user| format!("GATE.CLAIM spring {user}")).collect();
    client.pipeline(&claims);
    wait_for(&path(&gate), "spring", &seats(&mut client, "spring"));
    drop(client);
    assert_eq!(gate.stop().code, Some(0));
    let before = files(gate.data());
    let (code, said) = audit(&gate);
    assert_eq!((code, &said["verdict"]), (Some(0), &"all that was checked agrees, complete".into()), "{said:#}");
    let after = files(gate.data());
    // The index of the journal that the gate's SQLite left is SQLite's own to write.
    let differs = |name: &&PathBuf| before.get(*name) != after.get(*name) && !name.ends_with("ledger.db-shm");
    let names: Vec<&PathBuf> = before.keys().chain(after.keys()).filter(differs).collect();
    assert!(names.is_empty(), "the audit changed {names:?}");

    let ledger = Connection::open(path(&gate)).unwrap();
    ledger.execute("DELETE FROM coupon_grant WHERE seat = 7", []).unwrap();
    drop(ledger);
    let (code, text) = tool(&["audit", "--data", gate.data().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(text.contains("spring: ledger: missing: 1") && text.contains("seat 7 user "), "{text}");
    let unreached = tool(&["audit", "--data", gate.data().to_str().unwrap(), "--ledger", "sqlite:/nowhere/ledger.db"]);
    assert_eq!(unreached.0, Some(4));
}

#[test]
fn an_audit_after_a_kill_reads_what_the_ledger_left_in_its_journal() {
    let mut gate = Gate::start(&[]);
    let mut client = gate.client();
    client.call("GATE.CREATE spring LIMIT 100");
    let claims: Vec<String> = (1..=50).map(|user| format!("GATE.CLAIM spring {user}")).collect();
    client.pipeline(&claims);
    wait_for(&path(&gate), "spring", &seats(&mut client, "spring"));
    gate.kill();
    let (code, said) = audit(&gate);
    assert_eq!((code, &said["complete"]), (Some(0), &true.into()), "{said:#}");
    gate.start_again();
    let (code, said) = audit(&gate);
    assert_eq!((code, &said["complete"]), (Some(0), &true.into()), "{said:#}");
}

#[test]
fn the_ledger_that_ddl_prints_is_one_that_a_gate_takes_and_dead_letters_can_be_judged() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("made.db");
    let (code, ddl) = tool(&["ddl", "sqlite"]);
    assert_eq!(code, Some(0));
    Connection::open(&file).unwrap().execute_batch(&ddl).unwrap();
    let url = format!("sqlite:{}", file.display());
    let gate = Gate::start(&["--ledger", &url, "--ledger-create", "no"]);
    gate.client().call("GATE.CREATE spring LIMIT 1");

    let put = "INSERT INTO coupon_dead_letter VALUES ('kafka:c:t', 0, 7, 'no sense', x'41', NULL, NULL, '')";
    Connection::open(&file).unwrap().execute(put, []).unwrap();
    let letters = |args: &[&str]| tool(&[&["dead-letters"], args, &["--ledger", &url]].concat());
    let (code, said) = letters(&["list"]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("kafka:c:t partition 0 position 7: no sense"), "{said}");
    let (code, said) = letters(&["retry"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("stays: it has none of our headers"), "{said}");
    assert_eq!(letters(&["drop", "--source", "kafka:c:t"]).0, Some(0));
    assert_eq!(letters(&["list"]), (Some(0), "no dead letters\n".to_owned()));
}
