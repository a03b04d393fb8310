//! A data directory that is older than its ledger: claims are refused until `catch-up` has run, and no seat goes twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::client::asked;
use crate::gate::{Gate, binary, free_port};
use crate::ledger;
use crate::level::until;

/// A gate with 10 grants of `spring`, a copy of its directory as it is then, and 10 more grants; stopped.
fn copied_in_the_middle(ledger: &Path, admin: &str) -> (Gate, BTreeMap<i64, i64>) {
    let at = format!("sqlite:{}", ledger.display());
    let mut gate = Gate::start(&["--ledger", &at, "--admin", admin]);
    let mut client = gate.client();
    assert_eq!(client.call("GATE.CREATE spring LIMIT 30").to_string(), "CREATED");
    claim(&gate, 1..=10);
    assert_eq!(gate.stop().code, Some(0));
    copy(gate.data(), &gate.home().join("copy"));
    gate.start_again();
    claim(&gate, 11..=20);
    assert_eq!(gate.client().call("INCR visits").to_string(), "1");
    let seats = ledger::seats(&mut gate.client(), "spring");
    ledger::wait_for(ledger, "spring", &seats);
    assert_eq!(gate.stop().code, Some(0));
    (gate, seats)
}

#[track_caller]
fn claim(gate: &Gate, seats: std::ops::RangeInclusive<i64>) {
    let mut client = gate.client();
    for seat in seats {
        let answer = client.call(&format!("GATE.CLAIM spring {}", 1000 + seat)).to_string();
        assert_eq!(answer, format!("[GRANTED {seat} {}]", 30 - seat));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("journal")).unwrap();
    for entry in fs::read_dir(from.join("journal")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join("journal").join(path.file_name().unwrap())).unwrap();
    }
}

fn restore(gate: &Gate) {
    fs::remove_dir_all(gate.data()).unwrap();
    copy(&gate.home().join("copy"), gate.data());
}

fn catch_up(gate: &Gate, ledger: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    command.args(["catch-up", "--from", "ledger", "--data"]).arg(gate.data());
    let Output { status, stdout, stderr } =
        command.arg("--ledger").arg(format!("sqlite:{}", ledger.display())).args(more).output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code(), said)
}

#[test]
fn a_copy_from_the_middle_claims_nothing_until_it_has_caught_up() {
    let home = tempfile::tempdir().unwrap();
    let ledger = home.path().join("ledger.db");
    let admin = format!("127.0.0.1:{}", free_port());
    let (mut gate, before) = copied_in_the_middle(&ledger, &admin);
    restore(&gate);

    gate.start_again();
    let mut client = gate.client();
    for write in ["GATE.CLAIM spring 5000", "GATE.CREATE summer LIMIT 5", "INCR visits"] {
        let answer = client.call(write).to_string();
        assert!(answer.contains("STALE") && answer.contains("coupon-gate catch-up --data"), "{write}: {answer}");
    }
    assert_eq!(client.call("GATE.CLAIM spring 1003").to_string(), "[ALREADY 3 20]", "what it knows it tells");
    let ready = asked(&admin, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("STALE"), "{ready}");
    assert!(asked(&admin, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(asked(&admin, "/metrics").contains("\ncoupon_gate_stale 1\n"));
    let (code, said) = catch_up(&gate, &ledger, &[]);
    assert_eq!(code, Some(4), "the gate runs: {said}");
    let end = gate.stop();
    assert_eq!(end.code, Some(0), "{}", end.said);
    assert!(end.said.contains("older than the world"), "{}", end.said);

    let (code, said) = catch_up(&gate, &ledger, &["--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("campaign spring: 10 seats would be brought in, 11 to 20 of 30"), "{said}");
    let (code, said) = catch_up(&gate, &ledger, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("campaign spring: 10 seats brought in, 11 to 20 of 30"), "{said}");
    let (code, said) = catch_up(&gate, &ledger, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("lacks nothing"), "{said}");

    gate.start_again();
    assert_eq!(ledger::seats(&mut gate.client(), "spring"), before, "every seat is its user's");
    assert!(asked(&admin, "/readyz").starts_with("HTTP/1.1 200"));
    claim(&gate, 21..=30);
    assert_eq!(gate.client().call("GATE.CLAIM spring 5000").to_string(), "[SOLDOUT 0 0]");
    let after = ledger::seats(&mut gate.client(), "spring");
    ledger::wait_for(&ledger, "spring", &after);
    let users: BTreeSet<i64> = after.values().copied().collect();
    assert_eq!((after.len(), users.len()), (30, 30), "no seat twice, no user twice");
    assert!(before.iter().all(|(seat, user)| after[seat] == *user));
    assert_eq!(gate.stop().code, Some(0));
}

#[test]
fn a_directory_that_is_gone_comes_back_from_the_ledger() {
    let home = tempfile::tempdir().unwrap();
    let ledger = home.path().join("ledger.db");
    let (mut gate, before) = copied_in_the_middle(&ledger, "none");
    fs::remove_dir_all(gate.data()).unwrap();
    let terms = home.path().join("campaigns.toml");
    fs::write(&terms, "[campaigns.spring]\nlimit = 30\n").unwrap();
    let terms = terms.display().to_string();
    let (code, said) = catch_up(&gate, &ledger, &["--campaigns", &terms, "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!gate.data().exists(), "a dry run makes nothing");
    let (code, said) = catch_up(&gate, &ledger, &["--campaigns", &terms]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("20 seats brought in, 1 to 20 of 30; created with the terms of the file"), "{said}");
    gate.start_again();
    assert_eq!(ledger::seats(&mut gate.client(), "spring"), before);
    claim(&gate, 21..=25);
    let after = ledger::seats(&mut gate.client(), "spring");
    ledger::wait_for(&ledger, "spring", &after);
}

#[test]
fn a_ledger_that_contradicts_is_named_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let ledger = home.path().join("ledger.db");
    let (gate, _) = copied_in_the_middle(&ledger, "none");
    restore(&gate);
    let sql = rusqlite::Connection::open(&ledger).unwrap();
    sql.execute_batch("UPDATE coupon_grant SET user_id = 9999 WHERE seat = 3").unwrap();
    let files = |gate: &Gate| gate.segments().into_iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
    let before = files(&gate);
    let (code, said) = catch_up(&gate, &ledger, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("campaign spring seat 3 user 1003, the other side campaign spring seat 3 user 9999"),
        "{said}"
    );
    assert!(files(&gate) == before, "nothing was changed");
}

#[test]
fn a_catch_up_that_was_begun_holds_claims_back() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    assert_eq!(client.call("GATE.CREATE spring LIMIT 30").to_string(), "CREATED");
    let (code, _) = catch_up(&gate, &gate.home().join("nowhere.db"), &[]);
    assert_eq!(code, Some(4), "it runs");
    let mut gate = gate;
    assert_eq!(gate.stop().code, Some(0));
    fs::write(gate.data().join("stale"), "it was begun and not ended").unwrap();
    gate.start_again();
    let answer = gate.client().call("GATE.CLAIM spring 1").to_string();
    assert!(answer.contains("STALE it was begun and not ended"), "{answer}");
}

#[test]
fn a_gate_in_the_place_of_a_lost_one_creates_no_campaign_that_the_ledger_has() {
    let home = tempfile::tempdir().unwrap();
    let ledger = home.path().join("ledger.db");
    let (mut gate, before) = copied_in_the_middle(&ledger, "none");
    fs::remove_dir_all(gate.data()).unwrap();
    gate.start_again();
    let create = "GATE.CREATE spring LIMIT 30";
    let refused = gate.client().call(create).to_string();
    assert!(refused.contains("by another journal (log ") && refused.contains("catch-up"), "{refused}");
    let log = refused.split("(log ").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    // Nothing of a rehearsal is stored, and other names are free.
    assert_eq!(gate.client().call(&format!("{create} SHADOW")).to_string(), "CREATED");
    let other_terms = gate.client().call(create).to_string();
    assert!(other_terms.contains("CONFLICT"), "what is here answers for itself: {other_terms}");
    assert_eq!(gate.client().call("GATE.DROP spring").to_string(), "OK");
    assert_eq!(gate.client().call("GATE.CREATE autumn LIMIT 30").to_string(), "CREATED");
    let end = gate.stop();
    assert!(end.said.contains("this journal is new, and the ledger has grants of another one"), "{}", end.said);
    // Nor by a journal that is no longer new.
    gate.start_again();
    let again = gate.client().call(create).to_string();
    assert!(again.contains(log), "{again}");
    let end = gate.stop();
    assert!(!end.said.contains("this journal is new"), "{}", end.said);

    fs::remove_dir_all(gate.data()).unwrap();
    let (code, said) = catch_up(&gate, &ledger, &["--log-id", log]);
    assert_eq!(code, Some(0), "{said}");
    gate.start_again();
    assert_eq!(ledger::seats(&mut gate.client(), "spring"), before, "every seat is its user's");
    assert_eq!(gate.stop().code, Some(0));
}

/// The last line of defence: the ledger could not be asked at the start.
#[test]
fn a_gate_in_the_place_of_a_lost_one_stops_granting_when_the_ledger_says_whose_seats_they_are() {
    let home = tempfile::tempdir().unwrap();
    let ledger = home.path().join("ledger.db");
    let (mut gate, before) = copied_in_the_middle(&ledger, "none");
    fs::remove_dir_all(gate.data()).unwrap();
    let mine = rusqlite::Connection::open(&ledger).unwrap();
    mine.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    gate.start_again();
    let mut client = gate.client();
    assert_eq!(client.call("GATE.CREATE spring LIMIT 30").to_string(), "CREATED");
    assert_eq!(client.call("GATE.CLAIM spring 7000").to_string(), "[GRANTED 1 29]", "nobody can have noticed yet");
    drop(mine);
    let refused = until("the ledger has noticed", || {
        let answer = client.call("INCR visits").to_string();
        answer.contains("STALE").then_some(answer)
    });
    assert!(refused.contains("campaign spring is there with rows of another journal"), "{refused}");
    let log = refused.split("--log-id ").nth(1).and_then(|rest| rest.split('`').next()).expect("a remedy");
    let end = gate.stop();
    assert!(end.said.contains("new in the place of a lost one, cannot be excluded"), "{}", end.said);

    fs::remove_dir_all(gate.data()).unwrap();
    let (code, said) = catch_up(&gate, &ledger, &["--log-id", log]);
    assert_eq!(code, Some(0), "{said}");
    gate.start_again();
    assert_eq!(ledger::seats(&mut gate.client(), "spring"), before, "every seat is its user's");
    assert_eq!(gate.stop().code, Some(0));
}
