//! From the start of a process to its first claim: out of the journal alone, and out of a snapshot.

use std::time::Instant;

use super::fill::info;
use super::outcome::Outcome;
use super::process::Process;
use super::{Bench, fill};
use crate::client::Client;
use crate::conversation::Reply;

/// Events a second out of segments.
const JOURNAL_PROMISE: f64 = 3e6;

/// Grants a second out of a snapshot.
const SNAPSHOT_PROMISE: f64 = 10e6;

const OPTIONS: [&str; 6] = ["--sink", "off", "--ledger", "none", "--snapshot-when-journal-exceeds", "0"];

pub fn measure(bench: &Bench) -> Outcome {
    let campaigns = fill::campaigns(1);
    let data = fill::journal(bench, &campaigns);
    let (mut journal, mut snapshot) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let start = || {
            let started = Instant::now();
            let gate = Process::gate(bench, bench.cores.first(), &data, &OPTIONS);
            let mut client = Client::connect(gate.port).unwrap();
            // The first claim, in a campaign of its own.
            let here = format!("first-{round}");
            let made = client.call(&format!("GATE.CREATE {here} LIMIT 2"));
            assert!(made == Reply::Status("CREATED".to_owned()) || made == Reply::Status("EXISTS".to_owned()));
            client.call(&format!("GATE.CLAIM {here} 1 FLAT"));
            let seconds = started.elapsed().as_secs_f64();
            assert_eq!(info(&mut client, &campaigns[0], "granted"), u64::from(bench.grants), "all are there");
            eprintln!("round {round}: {seconds:.3} s to the first claim");
            (gate, client, vec![seconds, f64::from(bench.grants) / seconds])
        };
        let (gate, _, from_journal) = start();
        gate.stop();
        journal.push(from_journal);
        if round + 1 == bench.rounds {
            let (gate, mut client, _) = start();
            assert_eq!(client.call("SAVE"), Reply::Status("OK".to_owned()));
            gate.stop();
            for _ in 0..bench.rounds {
                let (gate, _, from_snapshot) = start();
                gate.stop();
                snapshot.push(from_snapshot);
            }
        }
    }
    let about = format!("restart: {} grants, from the start of the process to its first claim", bench.grants);
    let mut outcome = Outcome::new(about, &["seconds", "grants/s"]);
    outcome.add("journal alone", &journal);
    outcome.add("snapshot", &snapshot);
    for (what, promise) in [("journal alone", JOURNAL_PROMISE), ("snapshot", SNAPSHOT_PROMISE)] {
        let rate = outcome.figure(what, "grants/s");
        outcome.judge(format!("{what}: grants a second, at least {:.0} million", promise / 1e6), rate, rate >= promise);
    }
    outcome
}
