//! The binary's commands for a data directory, beside a running gate and on what it left: dump, check, backup; and the
//! drills that end with an audit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::gate::{Gate, binary};
use crate::ledger;
use crate::level::{Luck, until};

/// Runs another command of the binary.
#[track_caller]
fn run(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(binary()).args(args).stdin(Stdio::null()).output().unwrap();
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Claims until told to stop; what each user was told.
fn claim(gate: &Gate, mut luck: Luck, stop: &AtomicBool) -> BTreeMap<i64, i64> {
    let mut client = gate.client();
    let mut told = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let users: Vec<i64> = (0..20).map(|_| luck.below(2_000_000) as i64).collect();
        let lines: Vec<String> = users.iter().map(|user| format!("GATE.CLAIM spring {user} FLAT")).collect();
        for (user, reply) in users.iter().zip(client.pipeline(&lines)) {
            let text = reply.text().unwrap_or_default();
            let words: Vec<&str> = text.split(' ').collect();
            if let ["GRANTED" | "ALREADY", seat, _] = words.as_slice() {
                let seat = seat.parse().unwrap();
                assert!(told.insert(*user, seat).is_none_or(|before| before == seat), "user {user}: two seats");
            }
        }
    }
    told
}

/// A crowd claims while `meanwhile` runs; what it was told.
fn under_load(gate: &Gate, luck: &mut Luck, meanwhile: impl FnOnce()) -> BTreeMap<i64, i64> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..3)
            .map(|_| {
                let (luck, stop) = (luck.fork(), &stop);
                scope.spawn(move || claim(gate, luck, stop))
            })
            .collect();
        meanwhile();
        stop.store(true, Ordering::Relaxed);
        crowd.into_iter().flat_map(|one| one.join().unwrap()).collect()
    })
}

#[track_caller]
fn audit(data: &Path, ledger: &Path) {
    let (code, said) = run(&["audit", "--data", &shown(data), "--ledger", &format!("sqlite:{}", shown(ledger))]);
    assert_eq!(code, Some(0), "{said}");
}

/// Enough seats that no crowd here takes them all.
const CREATE: &str = "GATE.CREATE spring LIMIT 4000000";

#[test]
fn a_backup_under_load_is_restored_and_catches_up_and_no_seat_goes_twice() {
    let home = tempfile::tempdir().unwrap();
    let ledger = home.path().join("ledger.db");
    let at = format!("sqlite:{}", shown(&ledger));
    // The copy is in question here, not the pace.
    let free = ["--ledger", &at, "--ledger-rows-per-second", "0", "--ledger-commits-per-second", "0"];
    let mut gate = Gate::start(&free);
    gate.client().call(CREATE);
    let mut luck = Luck::new("backup");
    let target = format!("redis://127.0.0.1:{}", gate.port());
    let backup = gate.home().join("backup");
    let mut told = under_load(&gate, &mut luck, || {
        let seats = |gate: &Gate| ledger::seats(&mut gate.client(), "spring").len();
        until("there is something to copy", || (seats(&gate) > 1000).then_some(()));
        for _ in 0..2 {
            assert_eq!(gate.client().call("SAVE").to_string(), "OK");
        }
        // Snapshots are made, and segments become history, while the files are copied.
        let stop = AtomicBool::new(false);
        let (code, said) = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = gate.client();
                while !stop.load(Ordering::Relaxed) {
                    client.call("SAVE");
                }
            });
            let done = run(&["backup", "--to", &shown(&backup), "--target", &target]);
            stop.store(true, Ordering::Relaxed);
            done
        });
        assert_eq!(code, Some(0), "{said}");
        for kind in ["snapshots", "history", "journal"] {
            assert!(fs::read_dir(backup.join(kind)).unwrap().count() > 0, "{kind}");
        }
        assert_eq!(run(&["check", &shown(&backup)]), (Some(0), run(&["check", &shown(&backup)]).1));
        assert!(said.contains("up to lsn ") && said.contains("found sound"), "{said}");
        let before = seats(&gate);
        until("more is granted", || (seats(&gate) > before + 500).then_some(()));
    });
    let seats = ledger::seats(&mut gate.client(), "spring");
    ledger::wait_for(&ledger, "spring", &seats);
    gate.kill();
    fs::rename(gate.data(), gate.home().join("lost")).unwrap();
    fs::rename(&backup, gate.data()).unwrap();

    gate.start_again();
    let refused = gate.client().call("GATE.CLAIM spring -1").to_string();
    assert!(refused.contains("STALE") && refused.contains("is a backup of"), "{refused}");
    assert_eq!(gate.stop().code, Some(0));
    let data = shown(gate.data());
    let (code, said) = run(&["catch-up", "--from", "ledger", "--data", &data, "--ledger", &at]);
    assert_eq!(code, Some(0), "{said}");
    gate.start_again();
    let again = under_load(&gate, &mut luck, || {
        let before = seats.len();
        let count = || ledger::seats(&mut gate.client(), "spring").len();
        until("claims go on", || (count() > before + 500).then_some(()));
    });
    for (user, seat) in again {
        assert!(told.insert(user, seat).is_none_or(|before| before == seat), "user {user} has two seats");
    }
    let after = ledger::seats(&mut gate.client(), "spring");
    for (user, seat) in &told {
        assert_eq!(after.get(seat), Some(user), "user {user} was told seat {seat}");
    }
    assert_eq!(after.values().collect::<BTreeSet<_>>().len(), after.len(), "no user twice");
    ledger::wait_for(&ledger, "spring", &after);
    audit(gate.data(), &ledger);
    assert_eq!(gate.stop().code, Some(0));
    assert_eq!(run(&["check", &data]).0, Some(0));
}

#[test]
fn a_backup_of_a_gate_with_its_ledger_inside_goes_on_from_what_it_holds() {
    let mut gate = Gate::start(&["--password", "secret"]);
    let mut client = gate.client();
    client.call("AUTH secret");
    client.call("GATE.CREATE spring LIMIT 100");
    for user in 1..=10 {
        client.call(&format!("GATE.CLAIM spring {user}"));
    }
    let before = ledger::seats(&mut client, "spring");
    ledger::wait_for(&ledger::path(&gate), "spring", &before);
    let backup = gate.home().join("backup");
    let target = format!("redis://127.0.0.1:{}", gate.port());
    let (code, said) = run(&["backup", "--to", &shown(&backup), "--target", &target]);
    assert!(code == Some(4) && said.contains("NOAUTH") && said.contains("--password-file"), "{said}");
    let (code, said) = run(&["backup", "--to", &shown(&backup), "--data", &shown(gate.data())]);
    assert!(code == Some(4) && said.contains("--target redis://"), "it runs: {said}");
    let (code, said) = run(&["backup", "--to", &shown(&backup), "--target", &target, "--password", "secret"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(ledger::rows(&backup.join("ledger.db"), "spring").unwrap().len(), 10, "its ledger came along");
    gate.kill();
    fs::remove_dir_all(gate.data()).unwrap();
    fs::rename(&backup, gate.data()).unwrap();
    let data = shown(gate.data());
    let (code, said) = run(&["catch-up", "--from", "none", "--data", &data]);
    assert!(code == Some(2) && said.contains("--from ledger"), "{said}");
    let (code, said) = run(&["catch-up", "--from", "ledger", "--data", &data]);
    assert_eq!(code, Some(0), "{said}");
    gate.start_again();
    let mut client = gate.client();
    client.call("AUTH secret");
    assert_eq!(client.call("GATE.CLAIM spring 11").to_string(), "[GRANTED 11 89]");
    let after = ledger::seats(&mut client, "spring");
    ledger::wait_for(&ledger::path(&gate), "spring", &after);
    audit(gate.data(), &ledger::path(&gate));
}

#[test]
fn a_damaged_directory_is_repaired_and_gets_its_grants_back_from_the_ledger() {
    let home = tempfile::tempdir().unwrap();
    let ledger = home.path().join("ledger.db");
    let at = format!("sqlite:{}", shown(&ledger));
    let mut gate = Gate::start(&["--ledger", &at]);
    let mut client = gate.client();
    client.call("GATE.CREATE spring LIMIT 100");
    for user in 1..=40 {
        client.call(&format!("GATE.CLAIM spring {user}"));
    }
    let before = ledger::seats(&mut client, "spring");
    ledger::wait_for(&ledger, "spring", &before);
    let data = shown(gate.data());
    let (code, said) = run(&["check", &data]);
    assert!(code == Some(4) && said.contains("in use"), "a running gate is not checked: {said}");
    assert_eq!(gate.stop().code, Some(0));
    assert_eq!(run(&["check", &data]), (Some(0), run(&["check", &data]).1));

    let segment = gate.segments().remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[20 * 4096 + 100] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(gate.start_in_vain().code, Some(3));
    let (code, said) = run(&["check", &data]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("{}:{}", shown(&segment), 20 * 4096)), "{said}");
    assert!(said.contains("spring seat 40 user 40"), "{said}");
    assert_eq!(fs::read(&segment).unwrap(), bytes, "a check changes nothing");
    let (code, said) = run(&["check", &data, "--repair"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("before-repair-"), "{said}");

    gate.start_again();
    let refused = gate.client().call("GATE.CLAIM spring 41").to_string();
    assert!(refused.contains("STALE"), "{refused}");
    assert_eq!(gate.stop().code, Some(0));
    let (code, said) = run(&["catch-up", "--from", "ledger", "--data", &data, "--ledger", &at]);
    assert_eq!(code, Some(0), "{said}");
    gate.start_again();
    assert_eq!(ledger::seats(&mut gate.client(), "spring"), before, "every seat is its user's");
    assert_eq!(gate.client().call("GATE.CLAIM spring 41").to_string(), "[GRANTED 41 59]");
    let after = ledger::seats(&mut gate.client(), "spring");
    ledger::wait_for(&ledger, "spring", &after);
    audit(gate.data(), &ledger);
}

#[test]
fn a_dump_of_a_running_gate_tells_every_grant_and_ends_quietly() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    client.call("GATE.CREATE spring LIMIT 3000");
    let claims: Vec<String> = (1..=3000).map(|user| format!("GATE.CLAIM spring {user}")).collect();
    client.pipeline(&claims);
    client.call("SET k v");
    let data = shown(gate.data());
    let (code, said) = run(&["dump", &data, "--campaign", "spring"]);
    assert_eq!(code, Some(0));
    let grants: Vec<&str> = said.lines().filter(|line| line.contains(" granted campaign=spring seat=")).collect();
    assert_eq!((grants.len(), said.lines().count()), (3000, 3001));
    assert!(grants[2999].ends_with("granted campaign=spring seat=3000 user=3000"), "{}", grants[2999]);
    let (_, one) = run(&["dump", &data, "--user", "7", "--json"]);
    assert!(one.lines().count() == 1 && one.contains("\"user\":\"7\""), "{one}");
    assert_eq!(run(&["dump", &data, "--campaign", "autumn"]).0, Some(2));
    assert_eq!(run(&["dump", &shown(gate.home())]).0, Some(4));

    let mut dump =
        Command::new(binary()).args(["dump", &data]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(dump.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains(" created campaign=spring limit=3000"), "{line}");
    drop(out);
    let end = dump.wait_with_output().unwrap();
    assert_eq!((end.status.code(), end.stderr.len()), (Some(0), 0), "{}", String::from_utf8_lossy(&end.stderr));
}
