//! coupon-gate: arguments -> settings -> threads -> exit code. What each command does is in its room.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use coupon_gate::exit::Exit;
use coupon_gate::ledger::{ddl, ddl_mysql};
use coupon_gate::rehearse::{RehearseError, RehearseOptions, Report, Target};
use coupon_gate::settings::{self, Command, Database, DdlSettings, RehearseSettings};
use coupon_gate::{
    apply, audit, backup, catch_up, check, dead_letters, dump, logging, rehearse, seed, serve, sink_process, wiring,
};

/// Gives memory back when large answers are gone, whatever small pieces lie between them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "sabotage")]
    coupon_gate::sabotage::arm_from_environment();
    let exit = match settings::parse(std::env::args_os()) {
        Err(error) => error.report(),
        Ok(Command::Config(text)) => print(&text, Exit::Done),
        Ok(Command::Serve(settings)) => {
            logging::start(&settings.log, settings.log_format);
            serve::run(*settings).unwrap_or_else(|error| failed(&error, error.exit()))
        }
        Ok(Command::Dump(settings)) => match dump::command(&settings) {
            Ok(()) => Exit::Done,
            Err(error) => failed(&error, error.exit()),
        },
        Ok(Command::Check(settings)) => {
            let mut told = Exit::Done;
            match check::command(&settings, &mut |text| told = print(text, told)) {
                Ok(found) if told == Exit::Done => found,
                Ok(_) => told,
                Err(error) => failed(&error, error.exit()),
            }
        }
        Ok(Command::Backup(settings)) => {
            logging::start(&settings.log, settings.log_format);
            match backup::command(&settings) {
                Ok(report) => print(&report.to_string(), Exit::Done),
                Err(error) => failed(&error, error.exit()),
            }
        }
        Ok(Command::Apply(settings)) => {
            let mut told = Exit::Done;
            match apply::command(&settings, &mut |text| told = print(text, told)) {
                Ok(found) if told == Exit::Done => found,
                Ok(_) => told,
                Err(error) => failed(&error, error.exit()),
            }
        }
        Ok(Command::Seed(settings)) => {
            let mut told = Exit::Done;
            match seed::command(&settings, &mut |text| told = print(text, told)) {
                Ok(found) if told == Exit::Done => found,
                Ok(_) => told,
                Err(error) => failed(&error, error.exit()),
            }
        }
        Ok(Command::CatchUp(settings)) => {
            logging::start(&settings.world.log, settings.world.log_format);
            match catch_up::run(&settings) {
                Ok(report) => print(&report.to_string(), Exit::Done),
                Err(error) => failed(&error, error.exit()),
            }
        }
        Ok(Command::Sink(settings)) => {
            logging::start(&settings.world.log, settings.world.log_format);
            sink_process::run(&settings).unwrap_or_else(|error| failed(&error, error.exit()))
        }
        Ok(Command::Audit(settings)) => {
            logging::start(&settings.world.log, settings.world.log_format);
            match audit::command(&settings) {
                Ok(audited) => print(&audited.text, audited.exit),
                Err(error) => failed(&error, error.exit()),
            }
        }
        Ok(Command::DeadLetters(settings)) => {
            logging::start(&settings.sink.world.log, settings.sink.world.log_format);
            let mut exit = Exit::Done;
            match dead_letters::command(&settings, &mut |text| exit = print(text, exit)) {
                Ok(done) if exit == Exit::Done => done,
                Ok(_) => exit,
                Err(error) => failed(&error, error.exit()),
            }
        }
        Ok(Command::Ddl(settings)) => print(&tables(settings), Exit::Done),
        Ok(Command::Rehearse(settings)) => match rehearsed(&settings) {
            Ok(report) => {
                let text = if settings.json { report.json() + "\n" } else { report.to_string() };
                print(&text, if report.agrees { Exit::Done } else { Exit::Difference })
            }
            Err(error) => failed(&error, if error.is_usage() { Exit::Usage } else { Exit::Surroundings }),
        },
    };
    exit.into()
}

/// The ledger's tables in the words of a database.
fn tables(settings: DdlSettings) -> String {
    let users = wiring::user_column(settings.users);
    match settings.database {
        Database::Sqlite => ddl::sqlite(users),
        Database::Mysql => ddl_mysql::mysql(users),
    }
}

fn rehearsed(settings: &RehearseSettings) -> Result<Report, RehearseError> {
    let mut target: Target = settings.target.parse()?;
    let secret = settings.password.as_ref().map(|secret| secret.reveal().to_owned());
    target.password = target.password.or(secret);
    let options = RehearseOptions {
        target,
        users: settings.users.get(),
        seats: settings.seats.get(),
        connections: settings.connections.get(),
        pipeline: settings.pipeline.get(),
        repeat: settings.repeat.get(),
        hold: settings.hold,
        confirm_share: settings.confirm_share,
        cancel_share: settings.cancel_share,
        through: settings.through,
        json: settings.json,
    };
    rehearse::run(&options, &mut |line| eprintln!("{line}"))
}

/// The last words go to stderr also when log lines are switched off.
fn failed(error: &dyn Display, exit: Exit) -> Exit {
    eprintln!("coupon-gate: {error}");
    exit
}

/// A reader that went away (`coupon-gate config | head -1`) is no failure.
fn print(text: &str, exit: Exit) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => failed(&error, Exit::Surroundings),
        Ok(()) | Err(_) => exit,
    }
}
