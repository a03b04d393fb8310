//! The settings of a rehearsal.

use std::num::NonZeroU32;

use crate::settings::Values;
use crate::settings::error::SettingsError;
use crate::settings::value::{self, Secret};

/// Who asks whom for what.
#[derive(Clone, Debug)]
pub struct RehearseSettings {
    /// The gate: a URL, read by the room that connects.
    pub target: String,
    /// Its password, unless the URL has one.
    pub password: Option<Secret>,
    /// How many users ask.
    pub users: NonZeroU32,
    /// How many seats there are.
    pub seats: NonZeroU32,
    /// How many connections they share; at most `users`.
    pub connections: NonZeroU32,
    /// How many claims a connection sends before it waits.
    pub pipeline: NonZeroU32,
    /// How often each user asks.
    pub repeat: NonZeroU32,
    /// A real campaign, through to the ledger.
    pub through: bool,
    /// The result as JSON.
    pub json: bool,
}

impl RehearseSettings {
    pub(super) fn read(values: &Values) -> Result<RehearseSettings, SettingsError> {
        let users = values.one("users", value::count)?;
        Ok(RehearseSettings {
            target: values.one("target", value::url)?,
            password: values.password()?,
            users,
            seats: values.one("seats", value::count)?,
            connections: values.one("connections", value::count)?.min(users),
            pipeline: values.one("pipeline", value::count)?,
            repeat: values.one("repeat", value::count)?,
            through: values.matches.get_flag("through"),
            json: values.matches.get_flag("json"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Command, parse};

    fn rehearse(args: &[&str]) -> Result<RehearseSettings, String> {
        match parse(["coupon-gate", "rehearse"].iter().chain(args).map(Into::into)) {
            Ok(Command::Rehearse(settings)) => Ok(settings),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_rehearsal_has_defaults_and_takes_numbers() {
        let settings = rehearse(&["--users", "7", "--repeat", "2", "--json", "--password", "b"]).unwrap();
        assert_eq!(settings.target, "redis://127.0.0.1:6379");
        assert_eq!(settings.connections.get(), 7, "never more connections than users");
        assert_eq!(settings.repeat.get(), 2);
        assert_eq!(settings.password, Some(Secret::new("b")));
        assert!(settings.json && !settings.through);
    }

    #[test]
    fn bad_numbers_are_refused() {
        assert!(rehearse(&["--users", "0"]).unwrap_err().starts_with("--users: \"0\""));
        assert!(rehearse(&["--target", ""]).unwrap_err().contains("names nothing"));
    }
}
