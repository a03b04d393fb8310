//! What the position table says of one source.

use std::collections::BTreeSet;

use crate::ids::{LogId, Lsn};
use crate::ledger::{self, Ledger, LedgerError, Position};

/// The rows of one source: one for each partition, and one for each further journal in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The source's name.
    pub source: String,
    /// By source and partition.
    pub all: Vec<Position>,
}

impl Rows {
    /// Of `found`, what belongs to `source`: a database may take a `_` in a topic's name for any letter.
    pub(super) fn new(source: &str, found: Vec<Position>) -> Rows {
        let ours = |name: &str| {
            let rest = name.strip_prefix(source);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        Rows { source: source.into(), all: found.into_iter().filter(|row| ours(&row.source)).collect() }
    }

    /// The row of a partition.
    pub fn of(&self, kpart: u32) -> Option<&Position> {
        self.all.iter().find(|row| row.kpart == kpart && row.source == self.source)
    }

    /// The last `seq` of `log` stored from a partition; `None` where there was none.
    pub fn last(&self, kpart: u32, log: LogId) -> Option<Lsn> {
        self.all.iter().find(|row| row.kpart == kpart && row.log == log).map(|row| row.last_seq)
    }

    /// The newest owner's epoch; 0 without rows.
    pub(super) fn epoch(&self) -> u64 {
        self.all.iter().map(|row| row.epoch).max().unwrap_or(0)
    }

    /// The newest owner; empty where he left in order, or never was.
    pub(super) fn owner(&self) -> &str {
        self.all.iter().max_by_key(|row| row.epoch).map_or("", |row| &row.owner)
    }

    /// Partitions that have a row.
    fn partitions(&self) -> impl Iterator<Item = u32> {
        self.all.iter().filter(|row| row.source == self.source).map(|row| row.kpart)
    }
}

/// The name of the row that counts the records of `log` in a partition whose own row counts another journal's.
pub(super) fn row_of_log(source: &str, log: LogId) -> String {
    format!("{source}:{log}")
}

/// Everything of `log` up to here is in the ledger from sources other than `source`: from its journal, or from a topic,
/// where the slowest partition tells.
pub(super) fn stored_elsewhere(ledger: &mut dyn Ledger, source: &str, log: LogId) -> Result<Lsn, LedgerError> {
    let journal = ledger::journal_source(log);
    let (mut stored, mut looked_at) = (Lsn::ZERO, BTreeSet::from([source.to_owned()]));
    for row in ledger.positions_of_log(log)? {
        if row.source == journal {
            if source != journal {
                stored = stored.max(row.last_seq);
            }
            continue;
        }
        let topic = row.source.strip_suffix(&format!(":{log}")).unwrap_or(&row.source).to_owned();
        if looked_at.insert(topic.clone()) {
            let rows = Rows::new(&topic, ledger.positions(&topic)?);
            // A partition without a record of this journal may still get an old one.
            let slowest = rows.partitions().map(|kpart| rows.last(kpart, log).unwrap_or(Lsn::ZERO)).min();
            stored = stored.max(slowest.unwrap_or(Lsn::ZERO));
        }
    }
    Ok(stored)
}
