//! `bench/line` works at small sizes, so that it does not rot; and its open loop omits nothing.

#[path = "../../bench/line/mod.rs"]
mod line;

use std::thread;
use std::time::Duration;

use clap::Parser;
use rustix::process::Signal;

use crate::client::Client;
use crate::gate::{Gate, binary};

use line::outcome::Outcome;
use line::{Options, fill, open_loop};

/// Answers `question` with few grants.
fn quick(question: &str) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().to_str().unwrap();
    let outcome = line::run(&Options::parse_from(["line", question, "--quick", "--gate", &binary(), "--dir", dir]));
    let json: serde_json::Value = serde_json::from_str(&outcome.json()).unwrap();
    assert_eq!(json["rows"].as_array().unwrap().len(), outcome.rows.len());
    for row in &outcome.rows {
        assert!(row.figures.iter().all(|figure| figure.is_finite()) && row.figures[0] > 0.0, "{outcome}");
    }
    outcome
}

#[test]
fn a_gate_that_stands_still_pays_for_every_claim_of_that_while() {
    let gate = Gate::start(&["--sink", "off"]);
    fill::create(&mut Client::connect(gate.port()).unwrap(), "spring");
    let (rate, stood) = (500.0, Duration::from_millis(400));
    let seen = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            gate.signal(Signal::STOP);
            thread::sleep(stood);
            gate.signal(Signal::CONT);
        });
        open_loop::open(gate.port(), "spring", rate, 2.0)
    });
    assert_eq!((seen.claims, seen.answered.len(), seen.late.len()), (1000, 1000, 1000));
    // In a closed loop each connection would have one slow answer; here half of those 200 claims took half of it.
    let slow = seen.answered.count_between(200_000, 10_000_000);
    assert!(slow >= 90, "{slow} claims took 200 ms while the gate stood for {stood:?}");
}

mod long {
    use super::*;

    #[test]
    fn the_stream_is_measured_next_to_producer_performance() {
        assert_eq!(quick("stream").rows.len(), 2);
    }

    #[test]
    fn the_sink_is_measured_next_to_raw_inserts() {
        assert_eq!(quick("sink").rows.len(), 2);
    }

    #[test]
    fn memory_is_measured_while_grants_drain() {
        assert_eq!(quick("memory").rows.len(), 2);
    }

    #[test]
    fn claims_are_measured_in_nine_states_of_the_peers() {
        let outcome = quick("claims");
        assert_eq!((outcome.rows.len(), outcome.verdicts.len()), (9, 7), "{outcome}");
    }

    #[test]
    fn a_restart_is_measured_out_of_the_journal_and_out_of_a_snapshot() {
        let outcome = quick("restart");
        assert_eq!((outcome.rows.len(), outcome.verdicts.len()), (2, 2), "{outcome}");
    }

    #[test]
    fn claims_and_memory_are_measured_beside_snapshots() {
        let outcome = quick("snapshot");
        assert_eq!((outcome.rows.len(), outcome.verdicts.len()), (2, 2), "{outcome}");
    }

    #[test]
    fn holds_are_measured_while_they_wait_and_when_they_end() {
        let outcome = quick("holds");
        assert_eq!((outcome.rows.len(), outcome.verdicts.len()), (2, 2), "{outcome}");
    }

    #[test]
    fn the_neighbour_is_measured_with_and_without_a_drain() {
        assert_eq!(quick("neighbour").rows.len(), 3);
    }
}
