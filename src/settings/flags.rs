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
            Command::new("sink")
                .about("Fills the ledger from Kafka, as a process of its own")
                .after_help(AFTER_HELP)
                .max_term_width(110)
                .args(some_args(SINK)),
        )
        .subcommand(
            Command::new("audit")
                .about("Proves that counter = journal = Kafka = ledger, campaign by campaign; reads, never writes")
                .after_help(AUDIT_AFTER_HELP)
                .max_term_width(110)
                .args(some_args(READERS))
                .arg(option("campaign", "NAME").help("Only this campaign"))
                .arg(switch("json").help("Print the result as JSON")),
        )
        .subcommand(
            Command::new("check")
                .about("Verifies a data directory off line: what is there, what is damaged, what each remedy would lose")
                .after_help(CHECK_AFTER_HELP)
                .max_term_width(110)
                .arg(directory())
                .arg(switch("repair").help("Make it start again: a full copy beside it first, then the mildest remedy"))
                .arg(switch("json").help("Print what was found as JSON, one object a line")),
        )
        .subcommand(
            Command::new("dump")
                .about("Prints the journal, one event a line; reads only, of a running gate too")
                .after_help(DUMP_AFTER_HELP)
                .max_term_width(110)
                .arg(directory())
                .arg(option("from", "LSN").help("From this position on"))
                .arg(option("to", "LSN").help("Up to this position"))
                .arg(option("campaign", "NAME").help("Only events of this campaign"))
                .arg(option("user", "USER").help("Only grants of this user"))
                .arg(switch("json").help("Print JSON, one object a line")),
        )
        .subcommand(
            Command::new("backup")
                .about("Makes a consistent copy of a data directory, of a running gate or of a stopped one")
                .after_help(BACKUP_AFTER_HELP)
                .max_term_width(110)
                .arg(option("to", "DIR").required(true).help("Where the copy goes: a new directory, or an empty one"))
                .arg(
                    option("target", "URL")
                        .help("The running gate: redis://[:PASSWORD@]HOST:PORT, on this machine. Without it, --data of a stopped one"),
                )
                .args(some_args(BACKUP)),
        )
        .subcommand(
            Command::new("apply")
                .about("Creates the campaigns of a file at a running gate, reports those that differ, alters nothing")
                .after_help(APPLY_AFTER_HELP)
                .max_term_width(110)
                .arg(Arg::new("file").value_name("FILE").required(true).help("A TOML file, [campaigns.NAME] each"))
                .arg(target())
                .arg(switch("dry-run").help("Say what would be created, and create nothing"))
                .args(secrets()),
        )
        .subcommand(
            Command::new("seed")
                .about("Brings the users that a Redis event has granted into a campaign that nobody has claimed from")
                .after_help(SEED_AFTER_HELP)
                .max_term_width(110)
                .arg(Arg::new("campaign").value_name("CAMPAIGN").required(true).help("The campaign: create it first, with OPEN at a later time"))
                .arg(option("from-redis", "URL").required(true).help("Where Redis is: redis://[:PASSWORD@]HOST:PORT[/DB]"))
                .arg(option("set", "KEY").required(true).help("The set, sorted set or list of those who have won"))
                .arg(option("counter", "KEY").help("The counter of the event: refuse unless it has counted as many"))
                .arg(target())
                .arg(switch("dry-run").help("Say what would be brought in, and bring in nothing"))
                .args(secrets()),
        )
        .subcommand(
            Command::new("catch-up")
                .about("Brings a journal that is older than the world up to date, or makes one anew where it is gone")
                .after_help(CATCH_UP_AFTER_HELP)
                .max_term_width(110)
                .args(some_args(READERS))
                .arg(option("from", "WHERE").required(true).help("Who knows the grants: kafka or ledger; none where there is neither"))
                .arg(
                    option("campaigns", "FILE")
                        .help("A TOML file with the terms of campaigns that the journal has lost"),
                )
                .arg(
                    option("seeded", "CAMPAIGN")
                        .action(ArgAction::Append)
                        .help("GATE.SEED left seats of it free: they are missing in between. May be given several times"),
                )
                .arg(option("log-id", "HEX").help("Which journal to make anew, where there are grants of several"))
                .arg(switch("dry-run").help("Say what would be done, and do nothing")),
        )
        .subcommand(
            Command::new("dead-letters")
                .about("Shows the records that could not be stored, stores them again, or drops them")
                .max_term_width(110)
                .args(some_args(SINK))
                .arg(Arg::new("action").value_name("list|retry|drop").required(true).help("What to do with them"))
                .arg(option("source", "NAME").help("Only those of this source"))
                .arg(option("partition", "NUMBER").help("Only those of this partition"))
                .arg(option("position", "NUMBER").help("Only the one at this position"))
                .arg(switch("json").help("Print the list as JSON")),
        )
        .subcommand(
            Command::new("ddl")
                .about("Prints the ledger's tables, for Flyway and friends")
                .max_term_width(110)
                .arg(Arg::new("database").value_name("mysql|sqlite").required(true).help("For which database"))
                .args(some_args(&["ledger-users"])),
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
        setting("snapshot-when-journal-exceeds", "BYTES")
            .default_value("256MiB")
            .help("Make a snapshot when the journal behind the last one is longer than this; bytes, MiB or GiB; 0: only when asked (BGSAVE)"),
        setting("journal-keep", "TIME")
            .default_value("7d")
            .help("How long grants and returns stay in the journal's history after they are published and stored: 12h, 7d, 0"),
        setting("journal-keep-bytes", "BYTES")
            .default_value("0")
            .help("The most bytes of history kept of what is published and stored; bytes, MiB or GiB; 0 is no bound"),
        setting("answer-after", "WHEN")
            .default_value("durable")
            .help("When a grant's answer leaves: durable (it is on disk) or published (Kafka's in-sync replicas have it too)"),
        setting("kafka-brokers", "HOST:PORT,...")
            .help("Streams every grant to Kafka, through these brokers; the ledger is then filled from Kafka"),
        setting("kafka-topic", "TOPIC").default_value("coupon_create").help("The topic of the grants"),
        setting("kafka-cancel-topic", "TOPIC")
            .default_value("coupon_cancel")
            .help("The topic of the returns, with as many partitions; none: GATE.CANCEL is refused while grants are streamed"),
        setting("kafka-value", "FORM")
            .default_value("long")
            .help("A record's value: long (the user as 8 bytes, as Java's LongDeserializer reads) or json"),
        setting("kafka-key", "WHAT")
            .default_value("campaign")
            .help("A record's key: campaign (order holds per campaign), user or none (order holds per partition)"),
        setting("kafka-create", "YES|NO").default_value("yes").help("Create the topics when they are missing"),
        setting("kafka-partitions", "NUMBER").default_value("4").help("The partitions of the topics that are created"),
        setting("kafka-replication", "NUMBER")
            .default_value("0")
            .help("The replicas of the topics that are created; 0 leaves it to the brokers"),
        setting("kafka-accept-partitions", "NUMBER")
            .default_value("0")
            .help("Go on in topics whose partitions were changed to this number; 0 accepts no change: then nothing is published"),
        setting("kafka-adopt", "YES|NO")
            .default_value("no")
            .help("Publish into topics that already hold records of somebody else"),
        setting("kafka-config", "NAME=VALUE")
            .action(ArgAction::Append)
            .help("Any property of librdkafka: security.protocol=SASL_SSL. May be given several times"),
        setting("kafka-config-file", "FILE").help("A file with such properties, one a line; # begins a comment"),
        setting("ledger", "URL")
            .help("Where grants are stored as rows: sqlite:PATH, mysql://USER[:PASSWORD]@HOST[:PORT]/DB[?tls=verify&ca=FILE] or none [default: sqlite:DATA/ledger.db]"),
        setting("ledger-password-file", "FILE").help("A file that holds the ledger's password on its first line"),
        setting("sink", "WHERE")
            .default_value("inside")
            .help("Who fills the ledger: inside (this process), outside (a `coupon-gate sink` elsewhere) or off"),
        setting("ledger-also", "SQL")
            .help("A statement of your own, run for each grant in the same transaction: INSERT INTO coupon (user_id) VALUES (:user). Also :campaign :seat :nth :granted_at :seq"),
        setting("ledger-also-return", "SQL")
            .help("The same for each return: DELETE FROM coupon WHERE user_id = :user. Also :campaign :seat :nth :granted_at :seq :returned_at :return_seq"),
        setting("ledger-rows-per-second", "ROWS")
            .default_value("20000")
            .help("The most rows a second that the ledger's database is given; 0 is no ceiling"),
        setting("ledger-commits-per-second", "COMMITS")
            .default_value("20")
            .help("The most transactions a second; 0 is no ceiling"),
        setting("ledger-pause-when", "SQL")
            .help("A query run every two seconds; the sink pauses while it answers 1"),
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
        setting("allow-reset", "YES|NO")
            .default_value("no")
            .help("For test systems: GATE.DROP PURGE frees a campaign's name, FLUSHALL purges all campaigns"),
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

/// Settings of a sink that is a process of its own.
const SINK: &[&str] = &[
    "config",
    "kafka-brokers",
    "kafka-topic",
    "kafka-cancel-topic",
    "kafka-config",
    "kafka-config-file",
    "data",
    "ledger",
    "ledger-password-file",
    "ledger-also",
    "ledger-also-return",
    "ledger-rows-per-second",
    "ledger-commits-per-second",
    "ledger-pause-when",
    "ledger-create",
    "ledger-users",
    "admin",
    "log",
    "log-format",
    "shutdown-timeout",
];

/// Settings of the commands that read the journal, the topic and the ledger.
const READERS: &[&str] = &[
    "config",
    "data",
    "kafka-brokers",
    "kafka-topic",
    "kafka-cancel-topic",
    "kafka-key",
    "kafka-config",
    "kafka-config-file",
    "ledger",
    "ledger-password-file",
    "ledger-users",
    "log",
    "log-format",
];

/// Settings of a backup.
const BACKUP: &[&str] = &["config", "data", "lock-wait", "password", "password-file", "log", "log-format"];

fn directory() -> Arg {
    Arg::new("directory").value_name("DIR").required(true).help("The data directory of a gate")
}

fn some_args(keys: &[&str]) -> Vec<Arg> {
    serve_args().into_iter().filter(|arg| keys.contains(&arg.get_id().as_str())).collect()
}

fn rehearse_args() -> Vec<Arg> {
    let options = [
        target(),
        option("users", "NUMBER").default_value("20000").help("How many users ask"),
        option("seats", "NUMBER").default_value("10000").help("How many seats there are"),
        option("connections", "NUMBER")
            .default_value("50")
            .help("How many connections they share; never more than users"),
        option("pipeline", "NUMBER")
            .default_value("1")
            .help("How many claims a connection sends before it waits for answers"),
        option("repeat", "NUMBER").default_value("1").help("How often each user asks"),
        option("hold", "MS")
            .default_value("0")
            .help("For how many milliseconds a claim holds its seat before it must be confirmed; 0 grants it at once"),
        option("confirm-share", "SHARE")
            .help("How large a share of the holds is confirmed, 0 to 1; the others are left to expire [default: 1]"),
        option("cancel-share", "SHARE")
            .default_value("0")
            .help("How large a share of those granted gives the seat back with GATE.CANCEL, 0 to 1"),
        switch("through").help("Create a real campaign whose grants go through to the ledger, and time the last row"),
        switch("json").help("Print the result as JSON"),
    ];
    options.into_iter().chain(secrets()).collect()
}

fn target() -> Arg {
    option("target", "URL").default_value("redis://127.0.0.1:6379").help("The gate: redis://HOST:PORT")
}

fn secrets() -> impl Iterator<Item = Arg> {
    settings().into_iter().filter(|arg| matches!(arg.get_id().as_str(), "password" | "password-file"))
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

const APPLY_AFTER_HELP: &str = "\
    [campaigns.spring]
    limit = 10000
    users = \"int\"                          # or \"any\"; int when it is missing
    open = \"2026-05-01T12:00:00+09:00\"     # or unix milliseconds; may be missing, as close

All campaigns are looked at before the first one is created. One that an operator altered since differs, and stays \
as he made it.

Exit codes: 0 all are there as the file says; 1 some differ, or with --dry-run are missing; 2 wrong usage or file; \
4 the gate cannot be reached or refuses.";

const SEED_AFTER_HELP: &str = "\
    coupon-gate seed spring --from-redis redis://10.0.0.5:6379 --set spring:winners --counter spring:count

Users of a set get seats in the order of their numbers (USERS ANY: of their bytes), those of a sorted set or a list in \
its order, from seat 1 on: the same key gives the same seats, so a run that was cut short can be repeated. All is looked at \
before the first seat is brought in. While more than 1000 are brought in, nobody may claim: create the campaign with OPEN at \
a later time, or stop it with GATE.ALTER CLOSE NOW.

Exit codes: 0 all users have their seats; 1 something contradicts, and nothing was brought in; 2 wrong usage; 4 Redis or \
the gate cannot be reached or refuses.";

const AUDIT_AFTER_HELP: &str = "\
Reads the data directory (of a running gate too), the topic and the ledger; what is not set or cannot be reached is not \
checked, and the result says so.

Exit codes: 0 all agree; 1 something differs; 2 wrong usage or setting; 3 damaged data; 4 something cannot be reached.";

const CHECK_AFTER_HELP: &str = "\
The gate must not be running. Every byte is read: headers, checksums, padding, the chain, and every event is replayed \
against the promises. With --repair what will be lost is printed first, a full copy is written beside the directory \
(refused where there is no room), the journal is cut before the damage, and claims are held back until `coupon-gate \
catch-up` has asked Kafka or the ledger. docs/operations.md tells more.

Exit codes: 0 sound; 1 damaged; 2 wrong usage; 3 written by a newer release; 4 it cannot be read, or is in use.";

const DUMP_AFTER_HELP: &str = "\
LSN TIME WHAT name=value ... docs/operations.md has the forms, which stay as they are. The journal is read once before \
the first line, to know where it ends.

Exit codes: 0 done; 2 wrong usage, or no such campaign; 3 damaged data, after all that stands before it; 4 it cannot be \
read.";

const BACKUP_AFTER_HELP: &str = "\
The copy holds everything that was on disk when the gate was asked, and the ledger where that is DATA/ledger.db. A \
restore is a gate with --data at the copy: it serves no claim before `coupon-gate catch-up` has asked Kafka or the \
ledger whether more was granted since. docs/operations.md tells more.

Exit codes: 0 done; 2 wrong usage, or the place is not empty; 3 damaged data, refused; 4 something cannot be reached, \
read or written.";

const CATCH_UP_AFTER_HELP: &str = "\
The gate must not be running. Grants that the topic or the ledger holds beyond the end of the journal are added to it, \
and the next position is set above the highest one found. A campaign whose terms nobody knows comes back closed, with \
its highest seat as limit.

Exit codes: 0 done; 1 something contradicts, nothing was changed; 2 wrong usage or setting; 3 damaged data; 4 something \
cannot be reached. --from none asks nobody: it lets a backup or a repaired directory go on as it is.";

const REHEARSE_AFTER_HELP: &str = "\
The crowd gets a campaign of its own. Without --through it is a SHADOW campaign: journalled and synced like any \
other, never stored in the ledger.

With --hold, --confirm-share and --cancel-share seats come back and go to others. Who lets his hold expire tries to confirm \
it afterwards: the rehearsal lasts as long as the hold, and a little longer. It takes about 150 bytes of memory a seat.

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
