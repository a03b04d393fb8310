//! One letter back into the ledger, or out of it.

use std::fmt;

use crate::core::Users;
use crate::grant::{Entry, GrantUser, Kind};
use crate::ledger::{DeadLetter, InPlace, Ledger, LedgerError, LedgerSettings, kind_of_source};
use crate::wire::kafka::{Parsed, parse};

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its row is in, the letter is gone.
    Stored(Entry),
    /// Its row was there already; the letter is gone.
    WasThere(Entry),
    /// The letter is gone.
    Dropped,
    /// Somebody else saw to it meanwhile.
    Gone,
    /// It stays: why.
    Refused(String),
}

impl Outcome {
    /// Whether the letter stays.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Outcome::Refused(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Stored(entry) => write!(f, "stored: {entry}"),
            Outcome::WasThere(entry) => write!(f, "was stored already: {entry}"),
            Outcome::Dropped => f.write_str("dropped"),
            Outcome::Gone => f.write_str("somebody else saw to it"),
            Outcome::Refused(why) => write!(f, "stays: {why}"),
        }
    }
}

/// A ledger that letters go back to.
pub struct Store {
    ledger: Box<dyn Ledger>,
    settings: LedgerSettings,
}

impl Store {
    /// Opens it.
    pub fn open(settings: &LedgerSettings) -> Result<Store, LedgerError> {
        let mut ledger = settings.to_write();
        ledger.open()?;
        Ok(Store { ledger, settings: settings.clone() })
    }

    /// Stores what the letter says, unless something contradicts.
    ///
    /// # Errors
    /// Only what concerns the whole ledger.
    pub fn retry(&mut self, letter: &DeadLetter) -> Result<Outcome, LedgerError> {
        let headers = letter.record_headers();
        // A record's own time is not kept with it, but for the one in a JSON value.
        let at = Some(grant_time(letter).unwrap_or(letter.at));
        let kind = kind_of(letter);
        let entry = match parse(kind, letter.key.as_deref(), letter.value.as_deref(), at, &headers) {
            Parsed::Entry(record) => record.entry,
            Parsed::Bad(bad) => return Ok(Outcome::Refused(bad.reason)),
            Parsed::Foreign => return Ok(Outcome::Refused("it has none of our headers".into())),
        };
        let users = match entry.user() {
            GrantUser::Int(_) => Users::Int,
            GrantUser::Any(_) => Users::Any,
        };
        if !self.settings.carries(users) {
            return Ok(Outcome::Refused(format!("{entry}: the ledger's users are numbers (--ledger-users bigint)")));
        }
        let entries = match self.ledger.in_place_of(&entry)? {
            InPlace::Same => &[][..],
            InPlace::Nothing => std::slice::from_ref(&entry),
            InPlace::Earlier(there) | InPlace::Other(there) => {
                return Ok(Outcome::Refused(format!("{entry}: there is {there}, and a row is never replaced")));
            }
        };
        let was_there = entries.is_empty();
        let buried = self.ledger.bury(std::slice::from_ref(letter), entries);
        let outcome = settle(buried)?;
        Ok(outcome.unwrap_or(if was_there { Outcome::WasThere(entry) } else { Outcome::Stored(entry) }))
    }

    /// Takes the letter away.
    ///
    /// # Errors
    /// Only what concerns the whole ledger.
    pub fn drop_letter(&mut self, letter: &DeadLetter) -> Result<Outcome, LedgerError> {
        let buried = self.ledger.bury(std::slice::from_ref(letter), &[]);
        Ok(settle(buried)?.unwrap_or(Outcome::Dropped))
    }
}

/// `None`: it is done.
fn settle(buried: Result<(), LedgerError>) -> Result<Option<Outcome>, LedgerError> {
    match buried {
        Ok(()) => Ok(None),
        Err(LedgerError::TakenOver(_)) => Ok(Some(Outcome::Gone)),
        Err(
            LedgerError::Refused(why) | LedgerError::Contradiction(why) | LedgerError::OtherJournal { line: why, .. },
        ) => Ok(Some(Outcome::Refused(why))),
        Err(error @ (LedgerError::Unavailable(_) | LedgerError::Unfit(_))) => Err(error),
    }
}

/// What the record is: the topic tells. What was put away from a journal, which has both kinds, is JSON that tells.
fn kind_of(letter: &DeadLetter) -> Kind {
    let says_return = || json(letter).is_some_and(|json| json.get("kind").is_some_and(|kind| kind == "return"));
    if letter.source.starts_with("journal:") && says_return() { Kind::Return } else { kind_of_source(&letter.source) }
}

fn json(letter: &DeadLetter) -> Option<serde_json::Value> {
    serde_json::from_slice(letter.value.as_deref()?).ok()
}

fn grant_time(letter: &DeadLetter) -> Option<crate::ids::Millis> {
    json(letter)?.get("at")?.as_i64().filter(|at| *at >= 0).map(crate::ids::Millis)
}
