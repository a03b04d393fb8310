//! # speed - how fast are INCR and claims next to redis-server in the same run?
//! `cargo bench --bench speed`; how to read the table stands in `bench/README.md`.

#[path = "speed/mod.rs"]
mod speed;

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = <speed::Options as clap::Parser>::parse();
    match speed::run(&options) {
        Ok(outcome) if options.json => println!("{}", outcome.json()),
        Ok(outcome) => print!("{outcome}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
