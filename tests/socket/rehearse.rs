//! A rehearsal by the binary, against a gate that is another process.

use std::process::Command;

use serde_json::Value as Json;

use crate::gate::{Gate, binary};

/// What a rehearsal says of this gate, which must be that all answers agree.
fn rehearse(gate: &Gate, more: &[&str]) -> Json {
    let mut rehearse = Command::new(binary());
    rehearse.args(["rehearse", "--json", "--target"]).arg(format!("redis://127.0.0.1:{}", gate.port()));
    let done = rehearse.args(["--users", "3000", "--seats", "1000", "--repeat", "2"]).args(more).output().unwrap();
    let (said, why) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{said}{why}");
    serde_json::from_str(&said).unwrap()
}

#[test]
fn a_crowd_that_keeps_its_seats_and_crowds_whose_seats_come_back_hear_the_truth() {
    let gate = Gate::start(&["--ledger", "none"]);
    let report = rehearse(&gate, &[]);
    assert!(report["answers"]["granted"] == 1000 && report["returning"] == Json::Null, "{report}");
    let at_once = ["--cancel-share", "0.3"];
    let held = ["--hold", "200", "--confirm-share", "0.7", "--cancel-share", "0.3", "--pipeline", "8"];
    for options in [&at_once[..], &held] {
        let report = rehearse(&gate, options);
        let cancelled = report["returning"]["cancelled"].as_u64().unwrap();
        assert!(cancelled > 100, "{report}");
    }
    let report = rehearse(&gate, &held);
    let moves = |name: &str| report["returning"][name].as_u64().unwrap();
    assert_eq!(moves("held"), moves("confirmed") + moves("expired"), "{report}");
    assert!(moves("expired") > 100, "{report}");
    assert_eq!(gate.client().call("GATE.LIST").to_string(), "[]", "nothing is left");
}

#[test]
fn what_a_crowd_keeps_and_nothing_else_is_in_the_ledger() {
    let gate = Gate::start(&["--ledger-rows-per-second", "0"]);
    let report = rehearse(&gate, &["--through", "--hold", "200", "--confirm-share", "0.7", "--cancel-share", "0.3"]);
    let kept = report["returning"]["confirmed"].as_u64().unwrap() - report["returning"]["cancelled"].as_u64().unwrap();
    assert_eq!(report["stored"]["rows"], kept, "{report}");
}
