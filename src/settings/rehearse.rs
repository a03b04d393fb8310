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
    /// For how many milliseconds a claim holds its seat; 0 grants it at once.
    pub hold: u32,
    /// How large a share of the holds is confirmed; 1 without `hold`.
    pub confirm_share: f64,
    /// How large a share of those granted cancels.
    pub cancel_share: f64,
    /// A real campaign, through to the ledger.
    pub through: bool,
    /// The result as JSON.
    pub json: bool,
}

impl RehearseSettings {
    pub(super) fn read(values: &Values) -> Result<RehearseSettings, SettingsError> {
        let users = values.one("users", value::count)?;
        let hold = values.one("hold", value::hold)?;
        let confirm_share = match values.maybe("confirm-share", value::share)? {
            Some((_, origin)) if hold == 0 => {
                return Err(SettingsError::Combination(format!(
                    "{} says how many confirm what they hold, but nothing is held: give --hold MS too, or leave it out",
                    origin.name("confirm-share")
                )));
            }
            share => share.map_or(1.0, |(share, _)| share),
        };
        Ok(RehearseSettings {
            target: values.one("target", value::url)?,
            password: values.password()?,
            users,
            seats: values.one("seats", value::count)?,
            connections: values.one("connections", value::count)?.min(users),
            pipeline: values.one("pipeline", value::count)?,
            repeat: values.one("repeat", value::count)?,
            hold,
            confirm_share,
            cancel_share: values.one("cancel-share", value::share)?,
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
    fn seats_come_back_only_where_that_is_asked_for() {
        let settings = rehearse(&[]).unwrap();
        assert_eq!((settings.hold, settings.confirm_share, settings.cancel_share), (0, 1.0, 0.0));
        let settings = rehearse(&["--hold", "200", "--confirm-share", "0.7", "--cancel-share", ".2"]).unwrap();
        assert_eq!((settings.hold, settings.confirm_share, settings.cancel_share), (200, 0.7, 0.2));
        let refused = rehearse(&["--confirm-share", "1"]).unwrap_err();
        assert!(refused.starts_with("--confirm-share says") && refused.contains("give --hold MS too"), "{refused}");
        for share in ["1.1", "-0.1", "NaN", "70%", ""] {
            let refused = rehearse(&["--cancel-share", share]).unwrap_err();
            assert!(refused.starts_with("--cancel-share") && refused.contains("0 to 1"), "{refused}");
        }
        for hold in ["4294967296", "-1", "1s"] {
            let refused = rehearse(&["--hold", hold]).unwrap_err();
            assert!(refused.starts_with("--hold") && refused.contains("milliseconds"), "{refused}");
        }
    }

    #[test]
    fn bad_numbers_are_refused() {
        assert!(rehearse(&["--users", "0"]).unwrap_err().starts_with("--users: \"0\""));
        assert!(rehearse(&["--target", ""]).unwrap_err().contains("names nothing"));
    }
}
