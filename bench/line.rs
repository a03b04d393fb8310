//! # line - how fast is the line behind the gate, and does anybody beside it notice?
//! `cargo bench --bench line -- QUESTION`; the questions and how to read the answers stand in `bench/README.md`.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a bench looks at real processes from outside: it watches the clock, starts threads and stops at the first surprise"
)]

#[path = "line/mod.rs"]
mod line;

#[path = "../tests/socket/client.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod client;
#[path = "../tests/conversation/mod.rs"]
#[allow(dead_code, unused_imports, reason = "tests use the rest")]
mod conversation;
#[path = "../tests/socket/gate.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod gate;
#[path = "../tests/socket/level.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod level;
#[path = "../tests/pipeline/peers/mod.rs"]
#[allow(dead_code, unused_imports, reason = "tests use the rest")]
mod peers;

fn main() {
    let options = <line::Options as clap::Parser>::parse();
    let outcome = line::run(&options);
    match options.json {
        true => println!("{}", outcome.json()),
        false => print!("{outcome}"),
    }
}
