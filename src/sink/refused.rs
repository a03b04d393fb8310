//! An entry that the database refuses all alone: it is there already, or what it builds on is not, or another row is in its
//! place, or the entry itself is at fault. Only a row that nothing explains stops the line.

use super::feed::{Raw, What};
use super::waiting::Waiting;
use crate::grant::Entry;
use crate::ids::Lsn;
use crate::ledger::{InPlace, Ledger, LedgerError};
use crate::wire::kafka::{EntryRecord, Key, Value, encode};

/// Why the database refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is there.
    There,
    /// What must be applied before it is not there, as this line says: it was put aside, or is still to come.
    Order(String),
    /// The entry itself, or the operator's statement for it.
    Itself,
}

/// Finds out why. `line` is what the database said.
///
/// # Errors
/// A `Contradiction`: another row is in its place; nothing is overwritten.
pub(super) fn judge(ledger: &mut dyn Ledger, entry: &Entry, line: &str) -> Result<Cause, LedgerError> {
    let place = ledger.in_place_of(entry)?;
    match (place, entry) {
        (InPlace::Same, _) => Ok(Cause::There),
        (InPlace::Nothing, Entry::Return(back)) if !ledger.is_ready(entry)? => {
            Ok(Cause::Order(format!("its grant (seq {}) is no row of the ledger", back.grant)))
        }
        (InPlace::Nothing, _) => Ok(Cause::Itself),
        (InPlace::Earlier(there), Entry::Return(back)) => Ok(Cause::Order(format!(
            "its grant (seq {}) is no row of the ledger, there is {there}, whose return is not stored",
            back.grant
        ))),
        (InPlace::Earlier(there), Entry::Grant { after, .. }) if *after > Lsn::ZERO => {
            Ok(Cause::Order(format!("there is {there}, whose return is not stored")))
        }
        (InPlace::Earlier(there) | InPlace::Other(there), _) => Err(LedgerError::Contradiction(format!(
            "ledger: {entry} is not stored, there is {there}: nothing is overwritten, and nothing behind it is stored until one \
             of them is gone; {line}"
        ))),
    }
}

/// Marks the record of `entry` among those that wait, and what follows it, as far as it is likely to be there too.
pub(super) fn mark_there(ledger: &mut dyn Ledger, waiting: &mut Waiting, entry: &Entry) -> Result<(), LedgerError> {
    for item in waiting.onwards(entry) {
        if let What::Entry { entry: other, there, .. } = &mut item.what {
            if other != entry && ledger.in_place_of(other)? != InPlace::Same {
                break;
            }
            *there = true;
        }
    }
    Ok(())
}

/// Makes a dead letter of an entry. One from a topic keeps its place in the line; in a journal, where nothing is missing,
/// the row before it stays the last one.
pub(super) fn put_aside(waiting: &mut Waiting, entry: &Entry, reason: String) {
    let item = waiting.onwards(entry).next().expect("an entry comes from a record that waits");
    let What::Entry { entry, prev, raw, .. } = &mut item.what else { unreachable!("it is the record of an entry") };
    let place = prev.map(|prev| (entry.log(), entry.seq(), prev));
    let mut raw = raw.take().unwrap_or_else(|| as_record(entry));
    // The record's own time is no header; the row needs it.
    raw.headers.push(("cg-at".into(), Some(entry.at().0.to_string().into_bytes())));
    item.what = What::Bad { reason, place, raw };
}

/// The record that a topic would hold.
fn as_record(entry: &Entry) -> Box<Raw> {
    let record = EntryRecord { entry: entry.clone(), prev: Lsn::ZERO };
    let (key, value, headers) = encode(&record, Key::Campaign, Value::Json);
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
    Box::new(Raw { key, value: Some(value), headers })
}
