//! # dead letters - what could not be stored, for an operator to judge
//! Shows the records that the sink put away, stores them again, or drops them.
//! May use: `settings` (its own), `wiring`, `ledger`, `wire` (records), `core` (what users look like), `grant`, `ids`, `exit`.
//! Promises: a letter goes in the transaction that stores its row, or stays; a row that is there is never replaced; what
//! is dropped was named, and is printed whole.

mod store;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Value as Json, json};

use crate::exit::Exit;
use crate::ledger::{DeadLetter, LedgerError, LedgerReader, LedgerSettings};
use crate::settings::{DeadLetterAction, DeadLetterSettings};
use crate::wiring;
use store::{Outcome, Store};

/// Letters of one question to the database.
const PAGE_LETTERS: usize = 500;

/// Which letters are meant.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Only of this source.
    pub source: Option<String>,
    /// Only of this partition.
    pub partition: Option<u32>,
    /// Only at this position.
    pub position: Option<u64>,
}

impl Which {
    fn wants(&self, letter: &DeadLetter) -> bool {
        self.source.as_deref().is_none_or(|source| source == letter.source)
            && self.partition.is_none_or(|partition| partition == letter.kpart)
            && self.position.is_none_or(|position| position == letter.position)
    }
}

/// Why nothing more was done. What was said to be done is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetterError {
    /// The ledger did not do it.
    Ledger(LedgerError),
    /// There is no ledger at that place.
    NoLedger,
    /// All letters of all sources were asked to be dropped.
    DropWhich,
}

impl DeadLetterError {
    /// How the process ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            DeadLetterError::DropWhich => Exit::Usage,
            DeadLetterError::Ledger(_) | DeadLetterError::NoLedger => Exit::Surroundings,
        }
    }
}

impl fmt::Display for DeadLetterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeadLetterError::Ledger(error) => error.fmt(f),
            DeadLetterError::NoLedger => f.write_str("ledger: it is not there, or has none of the tables"),
            DeadLetterError::DropWhich => f.write_str(
                "dead-letters drop: name the source with --source, as dead-letters list shows it; what is dropped is gone",
            ),
        }
    }
}

impl std::error::Error for DeadLetterError {}

/// Does what `settings` say; hands what is to be printed to `say`, piece by piece.
pub fn command(settings: &DeadLetterSettings, say: &mut dyn FnMut(&str)) -> Result<Exit, DeadLetterError> {
    let world = &settings.sink.world;
    let ledger = wiring::ledger(&world.ledger, world.ledger_users, &settings.sink.writing);
    // Letters are judged where they are: a ledger is not made for them.
    let ledger = LedgerSettings { create: false, ..ledger.ok_or(DeadLetterError::NoLedger)? };
    let which = Which { source: settings.source.clone(), partition: settings.partition, position: settings.position };
    run(&ledger, settings.action, &which, settings.json, say)
}

/// Does `action` with the letters that are meant.
///
/// # Errors
/// The ledger cannot be reached, or is not one; a `drop` that names no source.
pub fn run(
    ledger: &LedgerSettings,
    action: DeadLetterAction,
    which: &Which,
    as_json: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Exit, DeadLetterError> {
    if action == DeadLetterAction::Drop && which.source.is_none() {
        return Err(DeadLetterError::DropWhich);
    }
    let mut reader = match action {
        DeadLetterAction::List => ledger.to_look(),
        DeadLetterAction::Retry | DeadLetterAction::Drop => ledger.to_read(),
    }
    .map_err(DeadLetterError::Ledger)?
    .ok_or(DeadLetterError::NoLedger)?;
    let open = || Store::open(ledger).map_err(DeadLetterError::Ledger);
    let mut told = Told { as_json, count: 0, refused: 0, say };
    let walked = match action {
        DeadLetterAction::List => walk(reader.as_mut(), which, &mut |letter| {
            told.tell(letter, None);
            Ok(())
        }),
        DeadLetterAction::Retry => retry(&mut open()?, reader.as_mut(), which, &mut told),
        DeadLetterAction::Drop => {
            let mut store = open()?;
            walk(reader.as_mut(), which, &mut |letter| {
                told.tell(letter, Some(&store.drop_letter(letter)?));
                Ok(())
            })
        }
    };
    told.end();
    walked.map_err(DeadLetterError::Ledger)?;
    Ok(if told.refused > 0 { Exit::Difference } else { Exit::Done })
}

/// Stores what fits, again and again as long as something does: one letter may wait for another. Then it tells of the rest.
fn retry(
    store: &mut Store,
    reader: &mut dyn LedgerReader,
    which: &Which,
    told: &mut Told<'_>,
) -> Result<(), LedgerError> {
    loop {
        let (mut done, mut refused) = (0, 0);
        walk(reader, which, &mut |letter| {
            let outcome = store.retry(letter)?;
            if outcome.is_refusal() {
                refused += 1;
            } else {
                done += 1;
                told.tell(letter, Some(&outcome));
            }
            Ok(())
        })?;
        if refused == 0 {
            return Ok(());
        }
        if done == 0 {
            break;
        }
    }
    walk(reader, which, &mut |letter| {
        told.tell(letter, Some(&store.retry(letter)?));
        Ok(())
    })
}

fn walk(
    reader: &mut dyn LedgerReader,
    which: &Which,
    visit: &mut dyn FnMut(&DeadLetter) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let mut after: Option<(String, u32, u64)> = None;
    loop {
        let from = after.as_ref().map(|(source, kpart, position)| (source.as_str(), *kpart, *position));
        let letters = reader.dead_letters(from, PAGE_LETTERS)?;
        let Some(last) = letters.last() else { return Ok(()) };
        after = Some((last.source.clone(), last.kpart, last.position));
        for letter in letters.iter().filter(|letter| which.wants(letter)) {
            visit(letter)?;
        }
    }
}

/// What is printed.
struct Told<'a> {
    as_json: bool,
    count: u64,
    refused: u64,
    say: &'a mut dyn FnMut(&str),
}

impl Told<'_> {
    fn tell(&mut self, letter: &DeadLetter, outcome: Option<&Outcome>) {
        self.count += 1;
        self.refused += u64::from(outcome.is_some_and(Outcome::is_refusal));
        if self.as_json {
            let begin = if self.count == 1 { "[" } else { ",\n" };
            (self.say)(&format!("{begin}{}", as_json(letter, outcome)));
        } else {
            (self.say)(&as_text(letter, outcome));
        }
    }

    fn end(&mut self) {
        match (self.as_json, self.count) {
            (true, 0) => (self.say)("[]\n"),
            (true, _) => (self.say)("]\n"),
            (false, 0) => (self.say)("no dead letters\n"),
            (false, _) => {}
        }
    }
}

fn as_text(letter: &DeadLetter, outcome: Option<&Outcome>) -> String {
    let bytes = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        None => "null".to_owned(),
    };
    let mut text = format!(
        "{} partition {} position {}: {}\n  key {} value {} headers {}\n",
        letter.source,
        letter.kpart,
        letter.position,
        letter.reason,
        bytes(&letter.key),
        bytes(&letter.value),
        letter.headers.as_deref().unwrap_or("null"),
    );
    if let Some(outcome) = outcome {
        text += &format!("  {outcome}\n");
    }
    text
}

/// Bytes that are no UTF-8 are told as hex.
fn as_json(letter: &DeadLetter, outcome: Option<&Outcome>) -> Json {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => String::from_utf8(bytes.clone()).map_or_else(|_| json!({ "hex": hex(bytes) }), Json::String),
        None => Json::Null,
    };
    let headers = letter
        .headers
        .as_deref()
        .map(|headers| serde_json::from_str::<Json>(headers).unwrap_or_else(|_| Json::String(headers.to_owned())));
    let mut object = json!({
        "source": letter.source,
        "partition": letter.kpart,
        "position": letter.position,
        "reason": letter.reason,
        "key": text(&letter.key),
        "value": text(&letter.value),
        "headers": headers,
        "at": letter.at.0,
    });
    if let Some(outcome) = outcome {
        object["done"] = Json::Bool(!outcome.is_refusal());
        object["outcome"] = Json::String(outcome.to_string());
    }
    object
}
