//! Grants made beforehand: a journal whose grants nobody has read yet.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use coupon_gate::wire::kafka::partition_of;

use super::Bench;
use super::process::{Process, path, run};
use crate::client::Client;
use crate::conversation::{Reply, encode};

/// Claims on their way at a time.
const PIPELINE: u32 = 1000;

/// Lines of the answer to a claim.
pub const LINES: usize = 4;

/// A campaign for each of `partitions` partitions, by Java's rule.
pub fn campaigns(partitions: u32) -> Vec<String> {
    let falls = |name: &String, partition| partition_of(name.as_bytes(), partitions) == partition;
    let name = |partition| (0..).map(|n: u32| format!("line-{n}")).find(|name| falls(name, partition));
    (0..partitions).map(|partition| name(partition).expect("some name falls there")).collect()
}

/// The `turn`-th user: each another one, in no order that an index would like.
pub fn user(turn: u32) -> u32 {
    turn.wrapping_mul(2_654_435_761)
}

/// A data directory below the bench's, with `bench.grants` grants dealt to the campaigns in turn.
pub fn journal(bench: &Bench, campaigns: &[String]) -> PathBuf {
    let data = bench.home.path().join("journal");
    let gate = Process::gate(bench, None, &data, &["--sink", "off", "--ledger", "none"]);
    let mut client = Client::connect(gate.port).unwrap();
    for campaign in campaigns {
        create(&mut client, campaign);
    }
    let mut answers = Vec::new();
    for first in (0..bench.grants).step_by(PIPELINE as usize) {
        let turns = first..bench.grants.min(first + PIPELINE);
        let claims: Vec<u8> = turns.clone().flat_map(|turn| claim(&campaigns[at(turn, campaigns)], turn)).collect();
        client.stream().write_all(&claims).unwrap();
        let granted = grants(client.stream(), &mut answers, turns.len());
        assert_eq!(granted, turns.len(), "each user claims once");
    }
    let told: u64 = campaigns.iter().map(|campaign| info(&mut client, campaign, "granted")).sum();
    assert_eq!(told, u64::from(bench.grants), "granted, as the gate tells it");
    gate.stop();
    data
}

/// Creates a campaign with more seats than anybody will claim.
pub fn create(client: &mut Client, campaign: &str) {
    let reply = client.call(&format!("GATE.CREATE {campaign} LIMIT {}", u32::MAX));
    assert_eq!(reply, Reply::Status("CREATED".to_owned()));
}

/// A copy of a data directory.
pub fn copy(from: &Path, to: &Path) {
    run("cp", &["-a", &path(from), &path(to)]);
}

/// A field of `GATE.INFO` that is a number.
pub fn info(client: &mut Client, campaign: &str, field: &str) -> u64 {
    let reply = client.call(&format!("GATE.INFO {campaign}"));
    let number = reply.field(field).and_then(|value| u64::try_from(value.int()?).ok());
    number.unwrap_or_else(|| panic!("no number {field} in {reply}"))
}

fn at(turn: u32, campaigns: &[String]) -> usize {
    turn as usize % campaigns.len()
}

/// The claim of the `turn`-th user.
pub fn claim(campaign: &str, turn: u32) -> Vec<u8> {
    encode(&["GATE.CLAIM", campaign, &user(turn).to_string()])
}

/// Reads the answers to so many claims; how many of them are grants.
fn grants(mut stream: &std::net::TcpStream, answers: &mut Vec<u8>, claims: usize) -> usize {
    answers.clear();
    let mut chunk = [0; 64 << 10];
    let mut lines = 0;
    while lines < claims * LINES {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "the gate closed the connection");
        lines += chunk[..read].iter().filter(|byte| **byte == b'\n').count();
        answers.extend_from_slice(&chunk[..read]);
    }
    // GRANTED is the only status with a G.
    answers.iter().filter(|byte| **byte == b'G').count()
}
