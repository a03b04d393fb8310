//! # apply - the campaigns of a file, at a running gate
//! Creates the campaigns that are missing, reports those that differ, alters nothing: a deployment can run it again and
//! again, and an operator's `GATE.ALTER` is told, not undone.
//! May use: `settings` (its own), `remote` (a running gate), `exit`.
//! Promises: all campaigns are looked at before the first one is created; with `--dry-run` nothing is.

use std::fmt;

use jiff::Timestamp;

use crate::exit::Exit;
use crate::remote::{BadTarget, Gate, RemoteError, Target};
use crate::settings::{ApplySettings, CampaignTerms, CampaignUsers};

/// Why the file could not be applied.
#[derive(Debug)]
pub enum ApplyError {
    /// The URL is none.
    Target(BadTarget),
    /// The gate could not be asked, or refused what was asked of it for this campaign.
    Gate(Option<String>, RemoteError),
}

impl ApplyError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            ApplyError::Target(_) => Exit::Usage,
            ApplyError::Gate(..) => Exit::Surroundings,
        }
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApplyError::Target(error) => write!(f, "apply: {error}"),
            ApplyError::Gate(None, error) => write!(f, "apply: {error}"),
            ApplyError::Gate(Some(campaign), error) => write!(f, "apply: campaign {campaign}: {error}"),
        }
    }
}

impl std::error::Error for ApplyError {}

/// What is there under a campaign's name.
enum Found {
    Missing,
    Same,
    /// In words, each with what the file says.
    Differs(Vec<String>),
}

/// Looks at every campaign of the file, then creates those that are missing; tells each in a line.
///
/// # Errors
/// A gate that cannot be asked, or refuses. What was created by then stays.
pub fn command(settings: &ApplySettings, say: &mut dyn FnMut(&str)) -> Result<Exit, ApplyError> {
    let target: Target = settings.target.parse().map_err(ApplyError::Target)?;
    let password = settings.password.as_ref().map(|password| password.reveal());
    let mut gate = Gate::connect(target, password).map_err(|error| ApplyError::Gate(None, error))?;
    let of = |terms: &CampaignTerms| {
        let name = terms.name.clone();
        move |error| ApplyError::Gate(Some(name), error)
    };
    let mut found = Vec::new();
    for terms in &settings.campaigns {
        found.push(look(&mut gate, terms).map_err(of(terms))?);
    }
    let mut exit = Exit::Done;
    for (terms, found) in settings.campaigns.iter().zip(found) {
        let told = match found {
            Found::Missing if settings.dry_run => {
                exit = Exit::Difference;
                "would be created".to_owned()
            }
            Found::Missing => {
                create(&mut gate, terms).map_err(of(terms))?;
                "created".to_owned()
            }
            Found::Same => "is there".to_owned(),
            Found::Differs(what) => {
                exit = Exit::Difference;
                format!("differs: {}", what.join(", "))
            }
        };
        say(&format!("{}: {told}\n", terms.name));
    }
    Ok(exit)
}

fn look(gate: &mut Gate, terms: &CampaignTerms) -> Result<Found, RemoteError> {
    let info = match gate.ask(&["GATE.INFO", &terms.name]) {
        Err(RemoteError::Refused(_, reply)) if reply.starts_with("NOCAMPAIGN ") => return Ok(Found::Missing),
        info => info?,
    };
    let there = |field: &str| {
        let rows = info.as_slice().chunks_exact(2);
        rows.filter(|row| row[0] == field).map(|row| row[1].as_str()).next().unwrap_or_default()
    };
    if there("state") == "DROPPED" {
        return Ok(Found::Differs(vec!["it was dropped, and its name is kept".to_owned()]));
    }
    let wanted = [
        ("limit", terms.limit.to_string()),
        ("peruser", terms.per_user.to_string()),
        ("noid", u8::from(terms.no_id).to_string()),
        ("users", users(terms).to_owned()),
        ("open", time_of(terms.open)),
        ("close", time_of(terms.close)),
        ("hold", terms.hold.to_string()),
        ("shadow", "0".to_owned()),
    ];
    let told = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    let differences = wanted.iter().filter(|(field, wanted)| there(field) != wanted);
    let differences = differences
        .map(|(field, wanted)| format!("{field} is {}, the file says {}", told(there(field)), told(wanted)))
        .collect::<Vec<_>>();
    Ok(if differences.is_empty() { Found::Same } else { Found::Differs(differences) })
}

fn create(gate: &mut Gate, terms: &CampaignTerms) -> Result<(), RemoteError> {
    let (limit, per_user) = (terms.limit.to_string(), terms.per_user.to_string());
    // Milliseconds of the last century look like seconds to the gate.
    let [open, close] = [terms.open, terms.close].map(|at| {
        let time = at.and_then(|at| Timestamp::from_millisecond(at).ok());
        time.map_or_else(|| time_of(at), |time| time.to_string())
    });
    let mut words = vec!["GATE.CREATE", &terms.name, "LIMIT", &limit, "PERUSER", &per_user, "USERS", users(terms)];
    if terms.no_id {
        words.push("NOID");
    }
    let hold = terms.hold.to_string();
    if terms.hold > 0 {
        words.extend(["HOLD", &hold]);
    }
    for (word, at) in [("OPEN", &open), ("CLOSE", &close)] {
        if !at.is_empty() {
            words.extend([word, at]);
        }
    }
    gate.ask(&words).map(|_| ())
}

fn users(terms: &CampaignTerms) -> &'static str {
    match terms.users {
        CampaignUsers::Int => "INT",
        CampaignUsers::Any => "ANY",
    }
}

/// Unix milliseconds; none is empty.
fn time_of(at: Option<i64>) -> String {
    at.map_or_else(String::new, |at| at.to_string())
}
