//! A row that the database refuses all alone: it is there already, another one is in its place, or the row itself is at
//! fault. Only the second stops the line.

use std::collections::VecDeque;

use super::feed::{Item, Raw, What};
use crate::grant::{Entry, Grant};
use crate::ids::Lsn;
use crate::ledger::{InPlace, Ledger, LedgerError};
use crate::wire::kafka::{EntryRecord, Key, Value, encode};

/// Finds out which, and marks the record among those that wait. `line` is what the database said.
///
/// # Errors
/// A `Contradiction`: another row is in its place; nothing is overwritten.
pub(super) fn judge(
    ledger: &mut dyn Ledger,
    waiting: &mut VecDeque<Item>,
    row: &Entry,
    line: &str,
) -> Result<(), LedgerError> {
    let as_entry = |grant: &Grant| Entry::Grant { grant: grant.clone(), after: Lsn::ZERO };
    let is_it = |item: &Item| matches!(&item.what, What::Grant { grant, .. } if as_entry(grant) == *row);
    match ledger.in_place_of(row)? {
        InPlace::Same => {
            // What comes behind it is likely to be there too.
            for item in waiting.iter_mut().skip_while(|item| !is_it(item)) {
                if let What::Grant { grant, there, .. } = &mut item.what {
                    if as_entry(grant) != *row && ledger.in_place_of(&as_entry(grant))? != InPlace::Same {
                        break;
                    }
                    *there = true;
                }
            }
            Ok(())
        }
        InPlace::Other(there) => Err(LedgerError::Contradiction(format!(
            "ledger: {row} is not stored, there is {there}: nothing is overwritten, and nothing behind it is stored until one \
             of them is gone; {line}"
        ))),
        InPlace::Nothing => {
            let item = waiting.iter_mut().find(|item| is_it(item)).expect("a row comes from a record that waits");
            put_aside(item, line);
            Ok(())
        }
    }
}

/// Makes a dead letter of a grant. One from a topic keeps its place in the line; in a journal, where nothing is missing,
/// the row before it stays the last one.
fn put_aside(item: &mut Item, line: &str) {
    let What::Grant { grant, prev, raw, .. } = &mut item.what else { unreachable!("only grants are rows") };
    let place = prev.map(|prev| (grant.log, grant.seq, prev));
    let mut raw = raw.take().unwrap_or_else(|| as_record(grant));
    // The record's own time is no header; the row needs it.
    raw.headers.push(("cg-at".into(), Some(grant.at.0.to_string().into_bytes())));
    item.what = What::Bad { reason: line.to_owned(), place, raw };
}

/// The record that a topic would hold.
fn as_record(grant: &Grant) -> Box<Raw> {
    let record = EntryRecord { entry: grant.clone().into(), prev: Lsn::ZERO };
    let (key, value, headers) = encode(&record, Key::Campaign, Value::Json);
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
    Box::new(Raw { key, value: Some(value), headers })
}
