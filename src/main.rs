//! coupon-gate: arguments -> settings -> threads -> exit code. What each command does is in its room.

use std::io::Write;
use std::process::ExitCode;

use coupon_gate::exit::Exit;
use coupon_gate::settings::{self, Command};
use coupon_gate::{logging, rehearse, serve};

fn main() -> ExitCode {
    let exit = match settings::parse(std::env::args_os()) {
        Err(error) => error.report(),
        Ok(Command::Config(text)) => print(&text),
        Ok(Command::Serve(settings)) => {
            logging::start(&settings.log, settings.log_format);
            serve::run(*settings).unwrap_or_else(|error| failed(&error, error.exit()))
        }
        Ok(Command::Rehearse(settings)) => rehearse::run(settings).unwrap_or_else(|error| failed(&error, error.exit())),
    };
    exit.into()
}

/// The last words go to stderr also when log lines are switched off.
fn failed(error: &dyn std::fmt::Display, exit: Exit) -> Exit {
    eprintln!("coupon-gate: {error}");
    exit
}

/// A reader that went away (`coupon-gate config | head -1`) is no failure.
fn print(text: &str) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            failed(&format_args!("stdout: {error}"), Exit::Surroundings)
        }
        Ok(()) | Err(_) => Exit::Done,
    }
}
