//! # settings - flags, environment and file, checked once
//! Turns the command line, COUPON_GATE_* variables and the settings file into values with real types, or says which
//! key, which value, from where, and what would be right. Reads the settings file and the password file, nothing else.
//! May use: `exit`, `limits`.
//! Promises: flags beat the environment, which beats the file, which beats the default; nothing unknown is ignored;
//! what it hands out can work.

mod campaigns;
mod error;
mod file;
mod flags;
mod kafka;
mod mysql_url;
mod nearest;
mod operations;
mod rehearse;
mod serve;
mod show;
mod tools;
mod value;

use std::ffi::OsString;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

pub use campaigns::{CampaignTerms, CampaignUsers};
pub use error::{Origin, SettingsError};
pub use kafka::{Kafka, KafkaStream};
pub use operations::{BackupSettings, CheckSettings, DumpSettings};
pub use rehearse::RehearseSettings;
pub use serve::ServeSettings;
pub use tools::{
    ApplySettings, AuditSettings, CatchUpFrom, CatchUpSettings, Database, DdlSettings, DeadLetterAction,
    DeadLetterSettings, LedgerWriting, SeedSettings, SinkSettings, World,
};
pub use value::{
    AnswerAfter, Appendfsync, KafkaKey, KafkaValue, Ledger, LedgerUsers, Listen, LogFormat, LogLevels, MysqlTls,
    MysqlUrl, Secret, Sink,
};

use error::VARIABLE_PREFIX;
use file::SettingsFile;
use value::Reader;

/// What was asked for on the command line.
#[derive(Debug)]
pub enum Command {
    /// Run the gate.
    Serve(Box<ServeSettings>),
    /// Fill the ledger from Kafka.
    Sink(Box<SinkSettings>),
    /// Compare journal, topic and ledger.
    Audit(Box<AuditSettings>),
    /// Print the journal.
    Dump(DumpSettings),
    /// Verify a data directory.
    Check(CheckSettings),
    /// Copy a data directory.
    Backup(Box<BackupSettings>),
    /// Create the campaigns of a file.
    Apply(Box<ApplySettings>),
    /// Bring in what a Redis event has granted.
    Seed(Box<SeedSettings>),
    /// Bring a journal up to date.
    CatchUp(Box<CatchUpSettings>),
    /// See to what could not be stored.
    DeadLetters(Box<DeadLetterSettings>),
    /// Print the ledger's tables.
    Ddl(DdlSettings),
    /// Fire a crowd at a gate.
    Rehearse(RehearseSettings),
    /// Print this text: the effective settings as a file.
    Config(String),
}

/// Reads the command line `args` (the program's name first), the environment and the settings file.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, SettingsError> {
    let matches =
        flags::command().try_get_matches_from(args).map_err(|error| SettingsError::CommandLine(Box::new(error)))?;
    let variables =
        std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into(), value.to_string_lossy().into()));
    check_variables(variables)?;
    match matches.subcommand() {
        Some(("rehearse", matches)) => {
            Ok(Command::Rehearse(RehearseSettings::read(&Values { matches: matches.clone(), file: None })?))
        }
        Some(("dump", matches)) => {
            Ok(Command::Dump(DumpSettings::read(&Values { matches: matches.clone(), file: None })?))
        }
        Some(("check", matches)) => {
            Ok(Command::Check(CheckSettings::read(&Values { matches: matches.clone(), file: None })?))
        }
        Some(("backup", matches)) => Ok(Command::Backup(Box::new(BackupSettings::read(&Values::with_file(matches)?)?))),
        Some(("sink", matches)) => Ok(Command::Sink(Box::new(SinkSettings::with_topic(&Values::with_file(matches)?)?))),
        Some(("audit", matches)) => Ok(Command::Audit(Box::new(AuditSettings::read(&Values::with_file(matches)?)?))),
        Some(("apply", matches)) => {
            Ok(Command::Apply(Box::new(ApplySettings::read(&Values { matches: matches.clone(), file: None })?)))
        }
        Some(("seed", matches)) => {
            Ok(Command::Seed(Box::new(SeedSettings::read(&Values { matches: matches.clone(), file: None })?)))
        }
        Some(("catch-up", matches)) => {
            Ok(Command::CatchUp(Box::new(CatchUpSettings::read(&Values::with_file(matches)?)?)))
        }
        Some(("dead-letters", matches)) => {
            Ok(Command::DeadLetters(Box::new(DeadLetterSettings::read(&Values::with_file(matches)?)?)))
        }
        Some(("ddl", matches)) => {
            Ok(Command::Ddl(DdlSettings::read(&Values { matches: matches.clone(), file: None })?))
        }
        Some(("config", matches)) => {
            let values = Values::with_file(matches)?;
            let settings = ServeSettings::read(&values)?;
            Ok(Command::Config(show::as_file(&values, &settings)))
        }
        Some((_, matches)) => Ok(Command::Serve(Box::new(ServeSettings::read(&Values::with_file(matches)?)?))),
        None => Ok(Command::Serve(Box::new(ServeSettings::read(&Values::with_file(&matches)?)?))),
    }
}

/// A setting's text and where it came from.
#[derive(Debug)]
struct Sourced {
    texts: Vec<String>,
    origin: Origin,
}

/// All layers of settings, as text.
#[derive(Debug)]
struct Values {
    matches: ArgMatches,
    file: Option<SettingsFile>,
}

impl Values {
    /// Adds the file that `--config` names, if it names one.
    fn with_file(matches: &ArgMatches) -> Result<Values, SettingsError> {
        let known: Vec<String> = flags::settings().iter().map(|arg| arg.get_id().to_string()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let file = match matches.get_one::<String>("config") {
            Some(path) => Some(SettingsFile::read(Path::new(path), &known)?),
            None => None,
        };
        Ok(Values { matches: matches.clone(), file })
    }

    /// The text of `key` from the highest layer that has one.
    fn text(&self, key: &str) -> Option<Sourced> {
        let given = || -> Vec<String> { self.matches.get_many(key).into_iter().flatten().cloned().collect() };
        match self.matches.value_source(key) {
            Some(ValueSource::CommandLine) => return Some(Sourced { texts: given(), origin: Origin::Flag }),
            Some(ValueSource::EnvVariable) => return Some(Sourced { texts: given(), origin: Origin::Environment }),
            Some(_) | None => {}
        }
        if let Some((file, texts)) = self.file.as_ref().and_then(|file| Some((file, file.get(key)?))) {
            return Some(Sourced { texts: texts.to_vec(), origin: Origin::File(file.path().to_owned()) });
        }
        let texts = given();
        (!texts.is_empty()).then_some(Sourced { texts, origin: Origin::Default })
    }

    /// All values of a repeatable setting; at least one.
    fn all<T>(&self, key: &'static str, reader: Reader<T>) -> Result<Vec<T>, SettingsError> {
        let sourced = self.text(key).expect("a repeatable setting has a default");
        if sourced.texts.is_empty() {
            return Err(refused(&sourced, key, "", "is empty; give at least one"));
        }
        sourced.texts.iter().map(|text| reader(text).map_err(|right| refused(&sourced, key, text, &right))).collect()
    }

    /// The value of a setting that has no default of its own.
    fn maybe<T>(&self, key: &'static str, reader: Reader<T>) -> Result<Option<(T, Origin)>, SettingsError> {
        let Some(sourced) = self.text(key) else { return Ok(None) };
        let [text] = sourced.texts.as_slice() else {
            return Err(refused(&sourced, key, &sourced.texts.join(", "), "is a list; this setting takes one value"));
        };
        match reader(text) {
            Ok(value) => Ok(Some((value, sourced.origin))),
            Err(right) => Err(refused(&sourced, key, text, &right)),
        }
    }

    /// Whether the command at hand has the setting `key`, which has a default. (An unknown one is an error in a debug
    /// build and absent in a release.)
    fn knows(&self, key: &str) -> bool {
        self.matches.try_contains_id(key).is_ok_and(|there| there)
    }

    /// All values of a repeatable setting without a default; maybe none.
    fn several<T>(&self, key: &'static str, reader: Reader<T>) -> Result<Vec<T>, SettingsError> {
        let Some(sourced) = self.text(key) else { return Ok(Vec::new()) };
        let read = |text: &String| reader(text).map_err(|right| refused(&sourced, key, text, &right));
        sourced.texts.iter().map(read).collect()
    }

    /// The ledger, with its password from wherever that is kept.
    fn ledger(&self, data: &Path) -> Result<Ledger, SettingsError> {
        let mut ledger = match self.maybe("ledger", value::ledger)? {
            Some((ledger, _)) => ledger,
            None => Ledger::Sqlite(data.join("ledger.db")),
        };
        let Some((path, origin)) = self.maybe("ledger-password-file", value::path)? else { return Ok(ledger) };
        let name = origin.name("ledger-password-file");
        match &mut ledger {
            Ledger::Mysql(url) if url.password.is_none() => {
                url.password = Some(first_line("ledger-password-file", &path)?);
                Ok(ledger)
            }
            Ledger::Mysql(_) => {
                Err(SettingsError::Combination(format!("--ledger and {name} both give a password; leave one of them")))
            }
            Ledger::Sqlite(_) | Ledger::None => {
                Err(SettingsError::Combination(format!("{name}: a ledger of this kind has no password; leave it out")))
            }
        }
    }

    /// The value of a setting that has a default.
    fn one<T>(&self, key: &'static str, reader: Reader<T>) -> Result<T, SettingsError> {
        let (value, _) = self.maybe(key, reader)?.expect("the setting is declared with a default");
        Ok(value)
    }

    /// The password, from wherever it is kept.
    fn password(&self) -> Result<Option<Secret>, SettingsError> {
        let direct = self.maybe("password", value::password)?.and_then(|(secret, origin)| Some((secret?, origin)));
        let Some((path, origin)) = self.maybe("password-file", value::path)? else {
            return Ok(direct.map(|(secret, _)| secret));
        };
        if let Some((_, other)) = direct {
            return Err(SettingsError::Combination(format!(
                "{} and {} both give a password; leave one of them",
                other.name("password"),
                origin.name("password-file")
            )));
        }
        first_line("password", &path).map(Some)
    }
}

/// The password on the first line of the file at `path`.
fn first_line(key: &'static str, path: &Path) -> Result<Secret, SettingsError> {
    let broken = |reason: String| SettingsError::File { key, path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| broken(error.to_string()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        Some(_) | None => Err(broken("its first line is empty; write the password there".into())),
    }
}

/// Whether text that may hold a secret can be shown: a URL without an account, a word.
fn harmless(text: &str) -> bool {
    !text.contains(['@', '='])
}

fn refused(sourced: &Sourced, key: &str, text: &str, right: &str) -> SettingsError {
    let secret = key == "password" || matches!(key, "ledger" | "kafka-config") && !harmless(text);
    let value = if secret { "***" } else { text };
    SettingsError::Value { name: sourced.origin.name(key), value: value.to_owned(), right: right.to_owned() }
}

/// Refuses a variable with our prefix that is no setting: a slip there would otherwise pass in silence.
fn check_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<(), SettingsError> {
    let mut known: Vec<String> = flags::settings().iter().map(|arg| error::variable(arg.get_id().as_str())).collect();
    known.push(error::variable("config"));
    for (name, value) in variables {
        let ours = name.starts_with(VARIABLE_PREFIX) && !is_injected_by_orchestrators(&name, &value);
        if ours && !known.contains(&name) {
            let keys = known.iter().map(|known| &known[VARIABLE_PREFIX.len()..]);
            // `nearest` reads `_` as `-`, as keys are written.
            let keys: Vec<String> = keys.map(|key| key.replace('_', "-")).collect();
            let nearest = nearest::nearest(&name[VARIABLE_PREFIX.len()..], keys.iter().map(String::as_str));
            return Err(SettingsError::UnknownVariable { nearest: nearest.map(error::variable), name });
        }
    }
    Ok(())
}

/// Kubernetes and container links put the addresses of services into the environment of every process; for a service
/// called `coupon-gate` those begin with our prefix: `COUPON_GATE_SERVICE_HOST`, `COUPON_GATE_PORT=tcp://...`,
/// `COUPON_GATE_PORT_6379_TCP_ADDR`.
fn is_injected_by_orchestrators(name: &str, value: &str) -> bool {
    let port_of_a_link = name.rsplit_once("_PORT_").is_some_and(|(_, rest)| {
        rest.split_once('_').is_some_and(|(port, rest)| port.parse::<u16>().is_ok() && !rest.is_empty())
    });
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || port_of_a_link
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<(), String> {
        check_variables([(name.to_owned(), value.to_owned())]).map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_variable_is_refused_with_its_nearest() {
        assert_eq!(
            check("COUPON_GATE_LISTN", "x").unwrap_err(),
            "the environment variable COUPON_GATE_LISTN is not a setting; did you mean COUPON_GATE_LISTEN?"
        );
        assert_eq!(check("COUPON_GATE_LOCK_WAIT", "x"), Ok(()));
        assert_eq!(check("COUPON_GATE_CONFIG", "x"), Ok(()));
        assert_eq!(check("PATH", "x"), Ok(()));
    }

    #[test]
    fn what_kubernetes_injects_for_a_service_of_our_name_is_let_pass() {
        for (name, value) in [
            ("COUPON_GATE_SERVICE_HOST", "10.0.0.1"),
            ("COUPON_GATE_SERVICE_PORT", "6379"),
            ("COUPON_GATE_SERVICE_PORT_RESP", "6379"),
            ("COUPON_GATE_PORT", "tcp://10.0.0.1:6379"),
            ("COUPON_GATE_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
            ("COUPON_GATE_PORT_6379_TCP_ADDR", "10.0.0.1"),
            ("COUPON_GATE_ADMIN_SERVICE_HOST", "10.0.0.1"),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}");
        }
        assert!(check("COUPON_GATE_PORT", "6379").is_err(), "somebody means a setting");
    }
}
