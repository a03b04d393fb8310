//! What the position table says of what a feed reads.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::feed::Positions;
use crate::grant::{Kind, Lane};
use crate::ids::{LogId, Lsn};
use crate::ledger::{self, Ledger, LedgerError, Position};

/// What the ledger calls that which a feed reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// A journal: one lane, with entries of both kinds in one order.
    Journal(Arc<str>),
    /// Topics, with a lane for each partition.
    Topics {
        /// That of the grants.
        grants: Arc<str>,
        /// That of the returns, also where it is not there yet; `None` where there is none.
        returns: Option<Arc<str>>,
    },
}

impl Sources {
    /// The name of the source that a lane is in.
    pub(super) fn of(&self, lane: Lane) -> &Arc<str> {
        match (self, lane.kind()) {
            (Sources::Journal(name), _) | (Sources::Topics { grants: name, .. }, Kind::Grant) => name,
            (Sources::Topics { returns, .. }, Kind::Return) => returns.as_ref().expect("a lane has a source"),
        }
    }

    /// The names of all of them.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let (first, second) = match self {
            Sources::Journal(name) => (name, None),
            Sources::Topics { grants, returns } => (grants, returns.as_ref()),
        };
        std::iter::once(first).chain(second)
    }

    /// The lane of a row of these sources. A database may take a `_` in a topic's name for any letter, so what it finds is
    /// looked at again.
    pub(super) fn lane(&self, source: &str, kpart: u32) -> Option<Lane> {
        let is_in = |name: &str| {
            let rest = source.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let place = self.names().position(|name| is_in(name))?;
        Some(Lane::new(Kind::ALL[place], kpart))
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names().next().expect("there is a source"))
    }
}

/// The rows of a feed: one for each lane, and one for each further journal in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Of what they are the rows.
    pub sources: Sources,
    /// By source and partition.
    pub all: Vec<Position>,
}

impl Rows {
    /// Of `found`, what belongs to `sources`.
    pub(super) fn new(sources: &Sources, mut found: Vec<Position>) -> Rows {
        found.retain(|row| sources.lane(&row.source, row.kpart).is_some());
        Rows { sources: sources.clone(), all: found }
    }

    /// As the ledger has them.
    pub(super) fn read(sources: &Sources, ledger: &mut dyn Ledger) -> Result<Rows, LedgerError> {
        let mut found = Vec::new();
        for name in sources.names() {
            found.extend(ledger.positions(name)?);
        }
        Ok(Rows::new(sources, found))
    }

    /// Each with its lane.
    pub(super) fn by_lane(&self) -> impl Iterator<Item = (Lane, &Position)> {
        let lane = |row: &Position| self.sources.lane(&row.source, row.kpart).expect("they are rows of these sources");
        self.all.iter().map(move |row| (lane(row), row))
    }

    /// The rows of a lane.
    pub(super) fn in_lane(&self, lane: Lane) -> impl Iterator<Item = &Position> {
        self.by_lane().filter_map(move |(of, row)| (of == lane).then_some(row))
    }

    /// The lane's own row.
    pub fn of(&self, lane: Lane) -> Option<&Position> {
        self.in_lane(lane).find(|row| self.is_own(row))
    }

    /// The last `seq` of `log` stored from a lane; `None` where there was none.
    pub fn last(&self, lane: Lane, log: LogId) -> Option<Lsn> {
        self.in_lane(lane).find(|row| row.log == log).map(|row| row.last_seq)
    }

    /// The newest owner's epoch; 0 without rows.
    pub(super) fn epoch(&self) -> u64 {
        self.all.iter().map(|row| row.epoch).max().unwrap_or(0)
    }

    /// The newest owner; empty where he left in order, or never was.
    pub(super) fn owner(&self) -> &str {
        self.all.iter().max_by_key(|row| row.epoch).map_or("", |row| &row.owner)
    }

    /// Lanes that have a row of their own, and where they stand.
    pub(super) fn own(&self) -> Positions {
        self.by_lane().filter(|(_, row)| self.is_own(row)).map(|(lane, row)| (lane, row.next)).collect()
    }

    fn is_own(&self, row: &Position) -> bool {
        self.sources.names().any(|name| **name == row.source)
    }
}

/// The name of the row that counts the records of `log` in a lane whose own row counts another journal's.
pub(super) fn row_of_log(source: &str, log: LogId) -> String {
    format!("{source}:{log}")
}

/// What of one kind and one journal is in the ledger from other sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Everything up to here.
    pub(super) upto: Lsn,
    /// Nothing behind here: what is between may be there.
    pub(super) highest: Lsn,
}

/// What of `log` is in the ledger from sources other than `sources`, grants and returns: from its journal, or from topics,
/// where the slowest partition tells what is certain.
pub(super) fn stored_elsewhere(
    ledger: &mut dyn Ledger,
    sources: &Sources,
    log: LogId,
) -> Result<[Known; 2], LedgerError> {
    let journal = ledger::journal_source(log);
    let mut known = [Known::default(); 2];
    let mut looked_at: BTreeSet<String> = sources.names().map(|name| name.to_string()).collect();
    for row in ledger.positions_of_log(log)? {
        let source = row.source.strip_suffix(&format!(":{log}")).filter(|_| row.source != journal);
        let source = source.unwrap_or(&row.source).to_owned();
        if !looked_at.insert(source.clone()) {
            continue;
        }
        let kinds: &[Kind] = if source == journal { &Kind::ALL } else { &[ledger::kind_of_source(&source)] };
        let one = Sources::Topics { grants: source.as_str().into(), returns: None };
        let rows = Rows::read(&one, ledger)?;
        // A partition without a record of this journal may still get an old one.
        let last = |lane: &Lane| rows.last(*lane, log).unwrap_or(Lsn::ZERO);
        let lanes = rows.own();
        let slowest = lanes.keys().map(last).min().unwrap_or(Lsn::ZERO);
        let fastest = lanes.keys().map(last).max().unwrap_or(Lsn::ZERO);
        for kind in kinds {
            let known = &mut known[*kind as usize];
            known.upto = known.upto.max(slowest);
            known.highest = known.highest.max(fastest);
        }
    }
    Ok(known)
}
