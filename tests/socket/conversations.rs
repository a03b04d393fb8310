//! The conversations against real servers: the binary, whole and with kill -9 in between, and a stock redis-server
//! for those that every Redis must pass.

use crate::client::Client;
use crate::conversation::{Fault, Reply, Script, Step, folder};
use crate::gate::Gate;
use crate::level::{Luck, rounds};

/// The default ledger holds integers; these conversations also have users of any kind.
const NO_LEDGER: [&str; 2] = ["--ledger", "none"];

/// What is done to a script beside what it says.
pub struct Plan {
    /// RESP2 or RESP3.
    pub protocol: i64,
    /// A kill after one of so many answers.
    pub kill_one_in: Option<(u64, Luck)>,
}

/// Plays a script to its end; returns what was answered otherwise than it says.
pub fn play(script: &Script, gate: &mut Gate, mut plan: Plan) -> Vec<String> {
    let mut surprises = Vec::new();
    let mut client = greet(gate, plan.protocol);
    for step in &script.steps {
        match step {
            Step::Ask { line, about, args, expected } => {
                let reply = client.call_args(args);
                let command = args.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
                if !expected.matches(&reply) {
                    surprises.push(format!(
                        "{}:{line}: {about}\n  asked    {command}\n  expected {expected:?}\n  got      {reply}  (RESP{})",
                        script.name, plan.protocol
                    ));
                }
                if let Some((odds, luck)) = &mut plan.kill_one_in
                    && luck.below(*odds) == 0
                {
                    gate.kill();
                    gate.start_again();
                    client = greet(gate, plan.protocol);
                }
            }
            Step::Fault(Fault::Restart) => {
                let end = gate.stop();
                assert_eq!(end.code, Some(0), "a clean stop: {}", end.said);
                gate.start_again();
                client = greet(gate, plan.protocol);
            }
            Step::Fault(Fault::Kill) => {
                gate.kill();
                gate.start_again();
                client = greet(gate, plan.protocol);
            }
            Step::Fault(Fault::Reconnect) => client = greet(gate, plan.protocol),
            Step::Fault(Fault::Clock(_)) => panic!("{}: nobody sets the time of a real process", script.name),
        }
    }
    surprises
}

/// Fails where there were any.
#[track_caller]
pub fn none(surprises: Vec<String>) {
    assert!(surprises.is_empty(), "{} answers differ\n{}", surprises.len(), surprises.join("\n"));
}

fn greet(gate: &Gate, protocol: i64) -> Client {
    let mut client = gate.client();
    if protocol == 3 {
        assert_eq!(client.call("HELLO 3").field("proto"), Some(Reply::Int(3)));
    }
    client
}

/// Each script finds nothing there: `FLUSHALL` sees to it, or, where campaigns forbid it, a gate of its own.
fn play_folder(name: &str, options: &[&str], protocol: i64, mut luck: Option<Luck>) {
    let mut surprises = Vec::new();
    let mut gate = Gate::start(options);
    for script in folder(name) {
        if gate.client().call("FLUSHALL").to_string() != "OK" {
            gate = Gate::start(options);
        }
        let kill_one_in = luck.as_mut().map(|luck| (rounds(40, 10) as u64, luck.fork()));
        surprises.extend(play(&script, &mut gate, Plan { protocol, kill_one_in }));
    }
    none(surprises);
}

#[test]
fn redis_itself_passes_the_conversations_about_keys_and_connections() {
    let mut surprises = Vec::new();
    for name in ["redis", "connection"] {
        for protocol in [2, 3] {
            let mut redis = Gate::redis_server();
            for script in folder(name) {
                assert_eq!(redis.client().call("FLUSHALL").to_string(), "OK");
                surprises.extend(play(&script, &mut redis, Plan { protocol, kill_one_in: None }));
            }
        }
    }
    none(surprises);
}

#[test]
fn the_gate_passes_the_conversations_about_keys() {
    play_folder("redis", &[], 2, None);
}

#[test]
fn the_gate_passes_the_conversations_about_keys_in_resp3_with_kill_9_in_between() {
    play_folder("redis", &[], 3, Some(Luck::new("conversations about keys")));
}

#[test]
fn the_gate_passes_the_conversations_about_connections() {
    play_folder("connection", &[], 2, None);
    play_folder("connection", &[], 3, None);
}

#[test]
fn the_gate_passes_the_conversations_about_campaigns() {
    play_folder("gate", &NO_LEDGER, 2, None);
    play_folder("process", &NO_LEDGER, 2, None);
}

#[test]
fn the_gate_passes_the_conversations_about_campaigns_in_resp3_with_kill_9_in_between() {
    play_folder("gate", &NO_LEDGER, 3, Some(Luck::new("conversations about campaigns")));
    play_folder("process", &NO_LEDGER, 3, Some(Luck::new("conversations about stories")));
}
