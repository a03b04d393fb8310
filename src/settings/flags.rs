//! Every flag, its environment variable, its default and its help: the one place where a setting is declared.

use clap::{Arg, ArgAction, Command};

use crate::settings::error::variable;

/// The program's command line.
pub fn command() -> Command {
    Command::new("coupon-gate")
        .version(env!("CARGO_PKG_VERSION"))
        .about("First-come, first-served events over the Redis protocol: every grant is on disk before its answer.")
        .after_help(AFTER_HELP)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .max_term_width(110)
        .args(serve_args())
        .subcommand(
            Command::new("serve")
                .about("Runs the gate (the default when no command is given)")
                .after_help(AFTER_HELP)
                .max_term_width(110)
                .args(serve_args()),
        )
        .subcommand(
            Command::new("rehearse")
                .about("Fires a crowd at a gate, then checks the truth of every answer")
                .after_help(REHEARSE_AFTER_HELP)
                .max_term_width(110)
                .args(rehearse_args()),
        )
        .subcommand(
            Command::new("config")
                .about("Prints the effective settings as a file, with where each came from; secrets are masked")
                .after_help(AFTER_HELP)
                .max_term_width(110)
                .args(serve_args()),
        )
}

/// The settings of the gate: what the file and the environment may name, `config` aside.
pub fn settings() -> Vec<Arg> {
    vec![
        setting("listen", "ADDRESS")
            .action(ArgAction::Append)
            .value_delimiter(',')
            .default_value("127.0.0.1:6379")
            .help("Where clients connect: 127.0.0.1:6379, [::1]:6379 or unix:PATH. May be given several times, or separated by commas"),
        setting("data", "DIR")
            .default_value("./data")
            .help("The data directory; made when missing, locked while in use"),
        setting("lock-wait", "SECONDS")
            .default_value("0")
            .help("How long to wait for another process to leave the data directory"),
        setting("appendfsync", "WHEN")
            .default_value("always")
            .help("When a write counts as kept: always (no answer before its fsync), everysec, no (as in Redis: a killed process loses nothing, a power cut may)"),
        setting("segment-bytes", "BYTES")
            .default_value("64MiB")
            .help("The size of one journal file, made and zero-filled ahead; bytes, or MiB"),
        setting("ledger", "URL")
            .help("Where grants are stored as rows: sqlite:PATH or none [default: sqlite:DATA/ledger.db]"),
        setting("sink", "WHERE")
            .default_value("inside")
            .help("Who fills the ledger: inside (this process) or off"),
        setting("ledger-also", "SQL")
            .help("A statement of your own, run for each grant in the same transaction: INSERT INTO coupon (user_id) VALUES (:user). Also :campaign :seat :nth :granted_at :seq"),
        setting("ledger-rows-per-second", "ROWS")
            .default_value("20000")
            .help("The most rows a second that the ledger's database is given; 0 is no ceiling"),
        setting("ledger-commits-per-second", "COMMITS")
            .default_value("20")
            .help("The most transactions a second; 0 is no ceiling"),
        setting("ledger-create", "YES|NO")
            .default_value("yes")
            .help("Create the ledger's tables when they are missing"),
        setting("ledger-users", "TYPE")
            .default_value("bigint")
            .help("The column type of users: bigint, or text for campaigns with USERS ANY"),
        setting("admin", "ADDRESS")
            .default_value("127.0.0.1:9379")
            .help("HTTP: /metrics, /healthz, /readyz; or none"),
        setting("max-clients", "NUMBER")
            .default_value("10000")
            .help("The most connections at a time; the soft limit of open files is raised to match"),
        setting("password", "PASSWORD")
            .hide_default_value(true)
            .help("What clients send with AUTH; better kept in the environment or in a file"),
        setting("password-file", "FILE")
            .help("A file that holds the password on its first line"),
        setting("protected-mode", "YES|NO")
            .default_value("yes")
            .help("Refuse to listen beyond this machine without a password"),
        setting("log", "LEVELS")
            .default_value("info")
            .help("How much is told on stderr: off, error, warn, info, debug, trace; per room: warn,journal=debug"),
        setting("log-format", "FORMAT")
            .default_value("text")
            .help("The form of log lines: text or json"),
        setting("shutdown-timeout", "SECONDS")
            .default_value("10")
            .help("How long SIGTERM and SIGINT leave the ledger to catch up; nothing depends on it"),
    ]
}

fn serve_args() -> Vec<Arg> {
    let file = setting("config", "FILE")
        .help("A TOML file with settings; sections are prefixes: [ledger] rows-per-second = 500");
    std::iter::once(file).chain(settings()).collect()
}

fn rehearse_args() -> Vec<Arg> {
    let secrets = settings().into_iter().filter(|arg| matches!(arg.get_id().as_str(), "password" | "password-file"));
    let options = [
        option("target", "URL").default_value("redis://127.0.0.1:6379").help("The gate: redis://HOST:PORT"),
        option("users", "NUMBER").default_value("20000").help("How many users ask"),
        option("seats", "NUMBER").default_value("10000").help("How many seats there are"),
        option("connections", "NUMBER")
            .default_value("50")
            .help("How many connections they share; never more than users"),
        option("pipeline", "NUMBER")
            .default_value("1")
            .help("How many claims a connection sends before it waits for answers"),
        option("repeat", "NUMBER").default_value("1").help("How often each user asks"),
        switch("through").help("Create a real campaign whose grants go through to the ledger, and time the last row"),
        switch("json").help("Print the result as JSON"),
    ];
    options.into_iter().chain(secrets).collect()
}

fn setting(key: &'static str, value: &'static str) -> Arg {
    option(key, value).env(variable(key)).hide_env_values(true)
}

fn option(key: &'static str, value: &'static str) -> Arg {
    // The refusal of "-1" then speaks of the value, not of an unknown flag.
    Arg::new(key).long(key).value_name(value).allow_negative_numbers(true)
}

fn switch(key: &'static str) -> Arg {
    Arg::new(key).long(key).action(ArgAction::SetTrue)
}

const AFTER_HELP: &str = "\
Every setting is a flag, an environment variable and a key of the file given with --config. \
Flags beat the environment, which beats the file, which beats the default.

Exit codes: 0 done; 2 wrong usage or setting; 3 damaged data, refused; 4 the surroundings are at fault \
(port taken, directory locked, no permission); 5 storage failed while running.";

const REHEARSE_AFTER_HELP: &str = "\
The crowd gets a campaign of its own. Without --through it is a SHADOW campaign: journalled and synced like any \
other, never stored in the ledger.

Exit codes: 0 every answer was true; 1 something differs; 2 wrong usage; 4 the gate cannot be reached.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_names_every_setting_with_its_variable() {
        let help = command().render_long_help().to_string();
        for arg in serve_args() {
            let key = arg.get_id().as_str();
            assert!(help.contains(&format!("--{key}")), "{key}");
            assert!(help.contains(&variable(key)), "{key}");
            assert!(arg.get_help().is_some(), "{key}");
        }
    }

    #[test]
    fn no_setting_has_a_name_that_orchestrators_inject() {
        for arg in serve_args() {
            assert!(!crate::settings::is_injected_by_orchestrators(
                &variable(arg.get_id().as_str()),
                "tcp://10.0.0.1:1"
            ));
        }
    }
}
