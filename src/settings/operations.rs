//! The settings of the commands for a data directory: dump, check, backup.

use std::path::PathBuf;
use std::time::Duration;

use crate::settings::Values;
use crate::settings::error::SettingsError;
use crate::settings::value::{self, LogFormat, LogLevels, Secret};

/// `coupon-gate dump`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpSettings {
    /// The data directory.
    pub data: PathBuf,
    /// The first position.
    pub from: Option<u64>,
    /// The last one.
    pub to: Option<u64>,
    /// Only events of this campaign.
    pub campaign: Option<String>,
    /// Only grants of this user.
    pub user: Option<String>,
    /// JSON lines.
    pub json: bool,
}

impl DumpSettings {
    pub(super) fn read(values: &Values) -> Result<DumpSettings, SettingsError> {
        let settings = DumpSettings {
            data: values.one("directory", value::path)?,
            from: values.maybe("from", value::number)?.map(|(lsn, _)| lsn),
            to: values.maybe("to", value::number)?.map(|(lsn, _)| lsn),
            campaign: values.maybe("campaign", value::url)?.map(|(name, _)| name),
            user: values.maybe("user", value::url)?.map(|(user, _)| user),
            json: values.matches.get_flag("json"),
        };
        match (settings.from, settings.to) {
            (Some(from), Some(to)) if from > to => {
                Err(SettingsError::Combination(format!("--from {from} is behind --to {to}: swap them")))
            }
            _ => Ok(settings),
        }
    }
}

/// `coupon-gate check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSettings {
    /// The data directory.
    pub data: PathBuf,
    /// Make it start again, after a copy.
    pub repair: bool,
    /// JSON lines.
    pub json: bool,
}

impl CheckSettings {
    pub(super) fn read(values: &Values) -> Result<CheckSettings, SettingsError> {
        Ok(CheckSettings {
            data: values.one("directory", value::path)?,
            repair: values.matches.get_flag("repair"),
            json: values.matches.get_flag("json"),
        })
    }
}

/// `coupon-gate backup`.
#[derive(Clone, Debug)]
pub struct BackupSettings {
    /// Where the copy goes.
    pub to: PathBuf,
    /// The running gate that is copied; none: a stopped one, in `data`.
    pub target: Option<String>,
    /// Its password, unless the URL has one.
    pub password: Option<Secret>,
    /// The data directory of a stopped gate.
    pub data: PathBuf,
    /// How long to wait for another process to leave it.
    pub lock_wait: Duration,
    /// How much is told.
    pub log: LogLevels,
    /// In which form.
    pub log_format: LogFormat,
}

impl BackupSettings {
    pub(super) fn read(values: &Values) -> Result<BackupSettings, SettingsError> {
        Ok(BackupSettings {
            to: values.one("to", value::path)?,
            target: values.maybe("target", value::url)?.map(|(url, _)| url),
            password: values.password()?,
            data: values.one("data", value::path)?,
            lock_wait: values.one("lock-wait", value::seconds)?,
            log: values.one("log", value::log_levels)?,
            log_format: values.one("log-format", value::log_format)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Command, parse};

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(["coupon-gate"].iter().chain(args).map(Into::into)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_dump_takes_its_bounds_and_refuses_those_that_cannot_be() {
        let Ok(Command::Dump(dump)) = parsed(&["dump", "/d", "--from", "7", "--campaign", "spring", "--user", "-5"])
        else {
            panic!("a dump")
        };
        let told = (dump.data, dump.from, dump.to, dump.campaign, dump.user, dump.json);
        assert_eq!(told, ("/d".into(), Some(7), None, Some("spring".into()), Some("-5".into()), false));
        assert!(parsed(&["dump", "/d", "--from", "8", "--to", "7"]).unwrap_err().contains("swap"));
        assert!(parsed(&["dump", "/d", "--from", "x"]).unwrap_err().starts_with("--from: \"x\""));
        assert!(parsed(&["dump"]).is_err(), "which directory?");
    }

    #[test]
    fn what_is_no_option_is_not_told_as_one() {
        let seed = parsed(&["seed", "", "--from-redis", "redis://h", "--set", "k"]).unwrap_err();
        assert!(seed.contains("the campaign's name is empty") && !seed.contains("--campaign"), "{seed}");
        let apply = parsed(&["apply", "/nowhere/ap.toml"]).unwrap_err();
        assert!(apply.starts_with("the campaigns file /nowhere/ap.toml cannot be used"), "{apply}");
    }

    #[test]
    fn a_check_repairs_only_when_told() {
        let Ok(Command::Check(check)) = parsed(&["check", "/d", "--json"]) else { panic!("a check") };
        assert_eq!(check, CheckSettings { data: "/d".into(), repair: false, json: true });
        let Ok(Command::Check(check)) = parsed(&["check", "/d", "--repair"]) else { panic!("a check") };
        assert!(check.repair);
        assert!(parsed(&["check"]).is_err(), "which directory?");
    }

    #[test]
    fn a_backup_needs_a_place() {
        let Ok(Command::Backup(backup)) = parsed(&["backup", "--to", "/b", "--target", "redis://h:1"]) else {
            panic!("a backup")
        };
        assert_eq!((backup.to, backup.target), ("/b".into(), Some("redis://h:1".into())));
        assert!(parsed(&["backup"]).is_err(), "where to?");
    }
}
