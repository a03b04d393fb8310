//! Holds of a running gate: they end on time though nobody asks, and outlive a kill.

use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;

use crate::conversation::Reply;
use crate::gate::{Gate, binary};
use crate::level::{now_ms, until};

/// What the journal tells of a campaign.
fn dumped(gate: &Gate, campaign: &str) -> Vec<Json> {
    let mut dump = Command::new(binary());
    let dump = dump.args(["dump", "--json", "--campaign", campaign]).arg(gate.data()).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let lines = String::from_utf8(dump.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The deadlines of holds that have ended, in the order in which they did, and how many milliseconds later that was.
fn ended(gate: &Gate, campaign: &str) -> Vec<(i64, i64)> {
    let events = dumped(gate, campaign);
    let number = |event: &Json, field: &str| event[field].as_i64().unwrap();
    let ends = events.iter().filter(|event| event["what"] == "hold-expired");
    ends.map(|end| {
        let held = |event: &&Json| event["what"] == "held" && event["user"] == end["user"];
        let deadline = number(events.iter().find(held).unwrap(), "until");
        (deadline, number(end, "at") - deadline)
    })
    .collect()
}

#[test]
fn why_tells_the_story_of_a_user_while_the_gate_serves_and_after_a_kill() {
    let mut gate = Gate::start(&["--snapshot-when-journal-exceeds", "0", "--ledger", "none"]);
    let mut client = gate.client();
    assert_eq!(client.call("GATE.CREATE spring LIMIT 5 HOLD 1500").to_string(), "CREATED");
    assert!(client.call("GATE.CLAIM spring 8").to_string().starts_with("[HELD 1 4 "));
    assert_eq!(client.call("GATE.WHY spring 7").to_string(), "[]");
    assert!(client.call("GATE.CLAIM spring 7").to_string().starts_with("[HELD 2 3 "));
    until("the holds are over", || (client.call("GATE.SEATS spring 1 9").to_string() == "[]").then_some(()));
    assert!(client.call("GATE.CLAIM spring 7").to_string().starts_with("[HELD 1 4 "));
    assert_eq!(client.call("GATE.CONFIRM spring 7").to_string(), "[GRANTED 1 4]");
    let told = |gate: &Gate| {
        let Reply::Array(rows) = gate.client().call("GATE.WHY spring 7") else { panic!("rows") };
        let rows = rows.iter().map(|row| row.to_string());
        rows.map(|row| row.trim_matches(['[', ']']).split(' ').skip(1).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    let story = ["held 2 3 durable", "expired 2 5 durable", "held 1 6 durable", "confirmed 1 7 durable"];
    assert_eq!(told(&gate), story);
    for _ in 0..3 {
        client.call("INCR n");
        assert_eq!(client.call("SAVE").to_string(), "OK");
    }
    assert_eq!(told(&gate), story, "from history");
    gate.kill();
    gate.start_again();
    assert_eq!(told(&gate), story);
}

#[test]
fn holds_end_on_time_although_nobody_asks_anything() {
    const HOLDS: i64 = 21;
    let mut gate = Gate::start(&[]);
    let mut client = gate.client();
    assert_eq!(client.call("GATE.CREATE spring LIMIT 100 HOLD 500").to_string(), "CREATED");
    let mut last = 0;
    for user in 0..HOLDS {
        let held = client.call(&format!("GATE.CLAIM spring {user} FLAT")).text().unwrap();
        last = held.rsplit(' ').next().unwrap().parse().unwrap();
        std::thread::sleep(Duration::from_millis(37));
    }
    // Not a word to the gate until the last one is long over.
    until("the last hold is over", || (now_ms() > last + 300).then_some(()));
    gate.kill();
    let ends = ended(&gate, "spring");
    assert_eq!(ends.len() as i64, HOLDS);
    let mut late: Vec<i64> = ends.iter().map(|(_, late)| *late).collect();
    late.sort_unstable();
    assert!(late[0] >= 0, "none ends early: {late:?}");
    // A machine may sleep now and then, but not always: by the tenth of a second alone the median were 50.
    assert!(late[late.len() / 2] <= 10, "{late:?} ms late");
}

#[test]
fn holds_outlive_a_kill_and_those_that_fell_due_meanwhile_end_at_once_in_order() {
    let mut gate = Gate::start(&[]);
    let mut client = gate.client();
    for create in [
        "GATE.CREATE short LIMIT 500 HOLD 1500",
        "GATE.CREATE shorter LIMIT 500 HOLD 900",
        "GATE.CREATE long LIMIT 500 HOLD 3600000",
    ] {
        assert_eq!(client.call(create).to_string(), "CREATED");
    }
    let mut last = 0;
    let mut long = Vec::new();
    for user in 1..=200 {
        for campaign in ["shorter", "long", "short"] {
            let held = client.call(&format!("GATE.CLAIM {campaign} {user} FLAT")).text().unwrap();
            last = held.rsplit(' ').next().unwrap().parse().unwrap();
            if campaign == "long" {
                long.push(held);
            }
        }
    }
    assert_eq!(client.call("GATE.CONFIRM long 7").to_string(), "[GRANTED 7 300]");
    gate.kill();
    until("all short holds are over", || (now_ms() > last).then_some(()));
    gate.start_again();
    let mut client = gate.client();
    for (user, held) in (1..).zip(&long) {
        let again = client.call(&format!("GATE.CLAIM long {user} FLAT")).text().unwrap();
        let (word, behind) = held.split_once(' ').unwrap();
        let (seat, until) = (behind.split(' ').next().unwrap(), behind.rsplit(' ').next().unwrap());
        let expected = if user == 7 { format!("ALREADY {seat} 300") } else { format!("{word} {seat} 300 {until}") };
        assert_eq!(again, expected);
    }
    for campaign in ["short", "shorter"] {
        let held =
            |client: &mut crate::client::Client| client.call(&format!("GATE.SEATS {campaign} 1 500")).to_string();
        until("they have ended", || (held(&mut client) == "[]").then_some(()));
    }
    gate.kill();
    let ends: Vec<i64> = ended(&gate, "short").iter().map(|(deadline, _)| *deadline).collect();
    assert!(ends.len() == 200 && ends.is_sorted(), "{ends:?}");
    assert_eq!(ended(&gate, "shorter").len(), 200);
}
