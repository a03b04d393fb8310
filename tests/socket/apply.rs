//! The campaigns of a file at a running gate.

use std::fs;
use std::process::{Command, Stdio};

use crate::gate::{Gate, binary};

const FILE: &str = r#"
[campaigns.autumn]
limit = 5
users = "any"
close = 4102444800000

[campaigns.spring]
limit = 100
open = "2000-01-01T00:00:00Z"
"#;

/// Applies `text`; the exit code and all that was said.
fn apply(gate: &Gate, text: &str, more: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("campaigns.toml");
    fs::write(&path, text).unwrap();
    let target = format!("redis://127.0.0.1:{}", gate.port());
    let output = Command::new(binary())
        .args(["apply", path.to_str().unwrap(), "--target", &target])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn what_is_missing_is_created_once_and_what_was_altered_is_told() {
    let gate = Gate::start(&["--ledger", "none"]);
    let mut client = gate.client();
    let would = "autumn: would be created\nspring: would be created\n";
    assert_eq!(apply(&gate, FILE, &["--dry-run"]), (Some(1), would.into()));
    assert_eq!(client.call("GATE.LIST").to_string(), "[]");
    assert_eq!(apply(&gate, FILE, &[]), (Some(0), "autumn: created\nspring: created\n".into()));
    let there = "autumn: is there\nspring: is there\n";
    for more in [&[][..], &["--dry-run"]] {
        assert_eq!(apply(&gate, FILE, more), (Some(0), there.into()), "it can be run again");
    }
    assert_eq!(client.call("GATE.ALTER spring LIMIT 200 OPEN NONE").to_string(), "OK");
    let differs = "autumn: is there\n\
        spring: differs: limit is 200, the file says 100, open is none, the file says 946684800000\n";
    assert_eq!(apply(&gate, FILE, &[]), (Some(1), differs.into()));
    assert_eq!(client.call("GATE.CLAIM autumn ann FLAT").to_string(), "\"GRANTED 1 4\"");
    assert_eq!(client.call("GATE.CLAIM spring 7 FLAT").to_string(), "\"GRANTED 1 199\"", "and stays as it was altered");
    assert_eq!(client.call("GATE.DROP autumn FORCE").to_string(), "OK");
    let (code, said) = apply(&gate, FILE, &[]);
    assert!(code == Some(1) && said.starts_with("autumn: differs: it was dropped, and its name is kept\n"), "{said}");
}

#[test]
fn nothing_is_created_where_not_all_can_be() {
    let gate = Gate::start(&["--ledger", "none"]);
    let mut client = gate.client();
    assert_eq!(client.call("SET spring plain").to_string(), "OK");
    let (code, said) = apply(&gate, FILE, &[]);
    assert!(code == Some(4) && said.contains("campaign spring: ") && said.contains("WRONGTYPE"), "{said}");
    assert_eq!(client.call("GATE.LIST").to_string(), "[]");
    for (text, why) in [
        ("[campaigns.x]\nlimit = -1", "campaign x: limit is not between 0 and 4294967295"),
        (
            "[campaigns.x]\nlimit = 1\nseats = 2",
            "campaign x: seats is none of limit, peruser, noid, users, open, close",
        ),
        ("[spring]", "there is no [campaigns.NAME] in it"),
    ] {
        let (code, said) = apply(&gate, text, &[]);
        assert!(code == Some(2) && said.contains(why), "{said}");
    }
}

#[test]
fn a_gate_that_is_not_there_or_wants_a_password_is_told() {
    let gate = Gate::start(&["--ledger", "none", "--password", "secret"]);
    let (code, said) = apply(&gate, FILE, &[]);
    assert!(code == Some(4) && said.contains("NOAUTH") && said.contains("--password-file"), "{said}");
    assert_eq!(apply(&gate, FILE, &["--password", "secret"]).0, Some(0));
    let target = format!("redis://127.0.0.1:{}", gate.port());
    drop(gate);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("campaigns.toml");
    fs::write(&path, FILE).unwrap();
    let output = Command::new(binary()).args(["apply", path.to_str().unwrap(), "--target", &target]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(4) && said.contains("cannot reach redis://127.0.0.1:"), "{said}");
}
