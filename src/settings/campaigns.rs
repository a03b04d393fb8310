//! A file of campaigns and what they are created with: for `apply`, and for `catch-up --campaigns`.
//!
//! ```toml
//! [campaigns.spring]
//! limit = 10000
//! peruser = 1                            # seats of a user
//! noid = false                           # true: claims need no ID where peruser is more
//! users = "int"                          # or "any"
//! open = "2026-05-01T12:00:00+09:00"     # or unix milliseconds; may be missing, as close
//! ```

use std::path::Path;

use toml::{Table, Value};

use crate::settings::error::SettingsError;

/// What a campaign was created with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignTerms {
    /// Its name.
    pub name: String,
    /// Seats.
    pub limit: u32,
    /// Seats of a user.
    pub per_user: u16,
    /// Claims need no `ID` where a user may have several.
    pub no_id: bool,
    /// What its users look like.
    pub users: CampaignUsers,
    /// Unix milliseconds.
    pub open: Option<i64>,
    /// Unix milliseconds; behind `open`.
    pub close: Option<i64>,
    /// Milliseconds that a claim is held; 0: it is granted at once.
    pub hold: u32,
}

/// `users`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CampaignUsers {
    /// Integers.
    #[default]
    Int,
    /// Any text.
    Any,
}

/// 2001-09-09: what is smaller was meant as seconds.
const MILLIS_MIN: i64 = 1_000_000_000_000;

/// Reads the file that setting `key` names.
pub(super) fn read(key: &'static str, path: &Path) -> Result<Vec<CampaignTerms>, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let campaigns = text.and_then(|text| parse(&text));
    campaigns.map_err(|reason| SettingsError::File { key, path: path.to_owned(), reason })
}

fn parse(text: &str) -> Result<Vec<CampaignTerms>, String> {
    let mut file: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let campaigns = match file.remove("campaigns") {
        Some(Value::Table(campaigns)) => campaigns,
        Some(_) | None => return Err("there is no [campaigns.NAME] in it".into()),
    };
    if let Some((key, _)) = file.into_iter().next() {
        return Err(format!("{key} is no key of it; there is [campaigns.NAME] alone"));
    }
    campaigns
        .into_iter()
        .map(|(name, terms)| one(&name, terms).map_err(|what| format!("campaign {name}: {what}")))
        .collect()
}

fn one(name: &str, terms: Value) -> Result<CampaignTerms, String> {
    let Value::Table(mut terms) = terms else { return Err("is no table".into()) };
    let limit = integer("limit", &terms.remove("limit").ok_or("limit is missing")?)?;
    let limit = u32::try_from(limit).map_err(|_| "limit is not between 0 and 4294967295")?;
    let per_user = terms.remove("peruser").map(|seats| integer("peruser", &seats)).transpose()?;
    let per_user = per_user.map(|seats| {
        let seats = u16::try_from(seats).ok().filter(|seats| *seats > 0);
        seats.ok_or("peruser is not between 1 and 65535")
    });
    let per_user = per_user.transpose()?;
    let no_id = match terms.remove("noid") {
        None => false,
        Some(Value::Boolean(true)) if per_user.is_none() => return Err("noid belongs to peruser".into()),
        Some(no_id) => no_id.as_bool().ok_or("noid is neither true nor false")?,
    };
    let hold = terms.remove("hold").map(|hold| integer("hold", &hold)).transpose()?;
    let hold = hold.map(|hold| {
        let hold = u32::try_from(hold).ok().filter(|hold| *hold > 0);
        hold.ok_or("hold is not between 1 and 4294967295 milliseconds")
    });
    let users = match terms.remove("users") {
        None => CampaignUsers::default(),
        Some(Value::String(users)) if users == "int" => CampaignUsers::Int,
        Some(Value::String(users)) if users == "any" => CampaignUsers::Any,
        Some(users) => return Err(format!("users {users} is neither \"int\" nor \"any\"")),
    };
    let terms_of = CampaignTerms {
        name: name.to_owned(),
        limit,
        per_user: per_user.unwrap_or(1),
        no_id,
        users,
        open: terms.remove("open").map(|at| time("open", &at)).transpose()?,
        close: terms.remove("close").map(|at| time("close", &at)).transpose()?,
        hold: hold.transpose()?.unwrap_or(0),
    };
    if let Some((key, _)) = terms.into_iter().next() {
        return Err(format!("{key} is none of limit, peruser, noid, users, open, close, hold"));
    }
    if let (Some(open), Some(close)) = (terms_of.open, terms_of.close)
        && open >= close
    {
        return Err("open is not before close".into());
    }
    Ok(terms_of)
}

fn integer(key: &str, value: &Value) -> Result<i64, String> {
    value.as_integer().ok_or_else(|| format!("{key} {value} must be an integer, as in {key} = 10"))
}

/// Unix milliseconds, or ISO 8601 with an offset, quoted or not.
fn time(key: &str, at: &Value) -> Result<i64, String> {
    let text = match at {
        Value::Integer(at @ MILLIS_MIN..) => return Ok(*at),
        Value::String(text) => text.clone(),
        Value::Datetime(at) => at.to_string(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Array(_) | Value::Table(_) => String::new(),
    };
    let instant: Result<jiff::Timestamp, _> = text.parse();
    instant.map(jiff::Timestamp::as_millisecond).map_err(|_| {
        format!(
            "{key} {at} is no time: give unix milliseconds, or ISO 8601 with an offset as in 2026-05-01T12:00:00+09:00"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_with_their_defaults() {
        let text = "[campaigns.spring]\nlimit = 10\n[campaigns.'a:b']\nlimit = 0\nusers = 'any'\nperuser = 3\nnoid = true\n\
                    hold = 600000\nopen = 2026-05-01T12:00:00+09:00\nclose = 1777777777777";
        let found = parse(text).unwrap();
        let spring = CampaignTerms {
            name: "spring".into(),
            limit: 10,
            per_user: 1,
            no_id: false,
            users: CampaignUsers::Int,
            open: None,
            close: None,
            hold: 0,
        };
        assert!(found.contains(&spring), "{found:?}");
        let other = found.iter().find(|terms| terms.name == "a:b").unwrap();
        assert_eq!(
            (other.users, other.per_user, other.no_id, other.hold, other.open, other.close),
            (CampaignUsers::Any, 3, true, 600_000, Some(1_777_604_400_000), Some(1_777_777_777_777))
        );
    }

    #[test]
    fn what_cannot_be_terms_is_named() {
        for (text, told) in [
            ("", "no [campaigns.NAME]"),
            ("campaign = 1\n[campaigns.a]\nlimit = 1", "campaign is no key"),
            ("[campaigns.a]\nusers = 'int'", "campaign a: limit is missing"),
            ("[campaigns.a]\nlimit = 1\nhold = 0", "campaign a: hold is not between"),
            ("[campaigns.a]\nlimit = -1", "campaign a: limit is not between"),
            ("[campaigns.a]\nlimit = \"5\"", "campaign a: limit \"5\" must be an integer"),
            ("[campaigns.a]\nlimit = 1\nhold = 1.5", "campaign a: hold 1.5 must be an integer"),
            ("[campaigns.a]\nlimit = 1\nperuser = true", "campaign a: peruser true must be an integer"),
            ("[campaigns.a]\nlimit = 1\nperuser = 0", "peruser is not between 1 and 65535"),
            ("[campaigns.a]\nlimit = 1\nnoid = 1", "noid is neither true nor false"),
            ("[campaigns.a]\nlimit = 1\nnoid = true", "noid belongs to peruser"),
            ("[campaigns.a]\nlimit = 1\nusers = 'long'", "neither \"int\" nor \"any\""),
            ("[campaigns.a]\nlimit = 1\nopen = 1777777777", "open 1777777777 is no time"),
            ("[campaigns.a]\nlimit = 1\nopne = 1", "opne is none of"),
            ("[campaigns.a]\nlimit = 1\nopen = 1777777777777\nclose = 1777777777777", "open is not before close"),
            ("[campaigns", "line 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
