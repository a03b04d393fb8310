//! Why the settings were refused, and where each value came from.

use std::fmt;
use std::path::PathBuf;

use crate::exit::Exit;

/// Where a value came from; flags beat the environment, which beats the file, which beats the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--key` on the command line.
    Flag,
    /// `COUPON_GATE_KEY` in the environment.
    Environment,
    /// The file given with `--config`.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl Origin {
    /// How a person would point at `key` there: `--listen`, `COUPON_GATE_LISTEN`, `listen in gate.toml`.
    pub fn name(&self, key: &str) -> String {
        match self {
            Origin::Flag => format!("--{key}"),
            Origin::Environment => variable(key),
            Origin::File(path) => format!("{key} in {}", path.display()),
            Origin::Default => format!("the default of --{key}"),
        }
    }
}

/// The environment variable of `key`: `lock-wait` is `COUPON_GATE_LOCK_WAIT`.
pub fn variable(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.replace('-', "_").to_ascii_uppercase())
}

/// What every environment variable of ours begins with.
pub const VARIABLE_PREFIX: &str = "COUPON_GATE_";

/// Settings that cannot be used, or a request for help, which also ends the start.
#[derive(Debug)]
pub enum SettingsError {
    /// The command line itself: an unknown flag or command, `--help`, `--version`.
    CommandLine(Box<clap::Error>),
    /// An environment variable with our prefix that is no setting.
    UnknownVariable {
        /// Its name.
        name: String,
        /// The setting's variable that was probably meant.
        nearest: Option<String>,
    },
    /// A key of the file that is no setting.
    UnknownKey {
        /// The key, sections flattened.
        key: String,
        /// The file.
        path: PathBuf,
        /// The setting that was probably meant.
        nearest: Option<String>,
    },
    /// A file that cannot be read or is not TOML.
    File {
        /// The setting that named it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that a setting cannot have.
    Value {
        /// The setting, as the user wrote it.
        name: String,
        /// The value.
        value: String,
        /// What would be right, as the rest of a sentence that begins with the value.
        right: String,
    },
    /// Settings that contradict each other; a sentence that names them and says what would be right.
    Combination(String),
}

impl SettingsError {
    /// Prints what is wrong (or the help that was asked for) and says how the process ends.
    pub fn report(&self) -> Exit {
        match self {
            SettingsError::CommandLine(error) => {
                // A closed stdout or stderr leaves nobody to tell.
                let _ = error.print();
                if error.use_stderr() { Exit::Usage } else { Exit::Done }
            }
            SettingsError::UnknownVariable { .. }
            | SettingsError::UnknownKey { .. }
            | SettingsError::File { .. }
            | SettingsError::Value { .. }
            | SettingsError::Combination(_) => {
                eprintln!("coupon-gate: {self}");
                Exit::Usage
            }
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::CommandLine(error) => error.fmt(f),
            SettingsError::UnknownVariable { name, nearest } => {
                write!(f, "the environment variable {name} is not a setting")?;
                guess(f, nearest)
            }
            SettingsError::UnknownKey { key, path, nearest } => {
                write!(f, "{key} in {} is not a setting", path.display())?;
                guess(f, nearest)
            }
            SettingsError::File { key, path, reason } => {
                write!(f, "the {key} file {} cannot be used: {reason}", path.display())
            }
            SettingsError::Value { name, value, right } => write!(f, "{name}: \"{value}\" {right}"),
            SettingsError::Combination(sentence) => f.write_str(sentence),
        }
    }
}

fn guess(f: &mut fmt::Formatter<'_>, nearest: &Option<String>) -> fmt::Result {
    match nearest {
        Some(nearest) => write!(f, "; did you mean {nearest}?"),
        None => f.write_str("; `coupon-gate --help` lists them all"),
    }
}
