//! What every adapter does alike: what the operator's statements are called, and what keeps an entry out.

use std::collections::{BTreeMap, BTreeSet};

use super::LedgerError;
use crate::grant::{Entry, Grant, Kind};
use crate::ids::LogId;

/// The setting of the operator's statement for entries of this kind.
pub(super) fn also_setting(kind: Kind) -> &'static str {
    match kind {
        Kind::Grant => "--ledger-also",
        Kind::Return => "--ledger-also-return",
    }
}

/// The names that it may use.
pub(super) fn also_parameters(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Grant => &[":user", ":campaign", ":seat", ":nth", ":granted_at", ":seq"],
        Kind::Return => &[":user", ":campaign", ":seat", ":nth", ":granted_at", ":seq", ":returned_at", ":return_seq"],
    }
}

/// One for grants and one for returns.
pub(super) struct Each<T> {
    grant: T,
    back: T,
}

impl<T> Each<T> {
    pub(super) fn try_new<E>(mut make: impl FnMut(Kind) -> Result<T, E>) -> Result<Each<T>, E> {
        Ok(Each { grant: make(Kind::Grant)?, back: make(Kind::Return)? })
    }

    pub(super) fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Grant => &self.grant,
            Kind::Return => &self.back,
        }
    }
}

/// A campaign of a batch, its journal, and its grants there.
pub(super) type OfCampaign<'a> = (&'a str, LogId, Vec<&'a Grant>);

/// The campaigns of a batch, by name. What is of two journals in the batch itself is never stored.
pub(super) fn campaigns<'a>(who: &str, entries: &'a [Entry]) -> Result<Vec<OfCampaign<'a>>, LedgerError> {
    let mut found: BTreeMap<&str, (LogId, Vec<&Grant>)> = BTreeMap::new();
    for entry in entries {
        let (log, grants) = found.entry(entry.campaign()).or_insert_with(|| (entry.log(), Vec::new()));
        if *log != entry.log() {
            return Err(mixed(who, entry.campaign(), entry.log(), *log));
        }
        if let Entry::Grant { grant, .. } = entry {
            grants.push(grant);
        }
    }
    Ok(found.into_iter().map(|(campaign, (log, grants))| (campaign, log, grants)).collect())
}

/// The first and the last `seq` of grants; behind each other where there are none.
pub(super) fn stretch(grants: &[&Grant]) -> (u64, u64) {
    let seqs = || grants.iter().map(|grant| grant.seq.get());
    (seqs().min().unwrap_or(1), seqs().max().unwrap_or(0))
}

pub(super) fn mixed(who: &str, campaign: &str, ours: LogId, other: LogId) -> LedgerError {
    let line = format!(
        "{who}: campaign {campaign} is there with rows of another journal (log {other}; what was to be stored is of log \
         {ours}), and they are never mixed: give each gate a ledger and topics of its own, or its campaigns other names"
    );
    LedgerError::OtherJournal { line, logs: [ours, other] }
}

/// A grant that has come back makes no row a second time.
pub(super) fn refuse_returned(who: &str, grants: &[&Grant], returned: &BTreeSet<u64>) -> Result<(), LedgerError> {
    match grants.iter().find(|grant| returned.contains(&grant.seq.get())) {
        Some(grant) => {
            Err(LedgerError::Refused(format!("{who}: {grant}: it has come back, its row is in coupon_return")))
        }
        None => Ok(()),
    }
}

/// The returns of one statement stay out where the row of one's grant is missing.
pub(super) fn without_grant(who: &str, returns: &[Entry]) -> LedgerError {
    let which = match returns {
        [one] => one.to_string(),
        many => format!("one of the {} returns from {} on", many.len(), many[0]),
    };
    LedgerError::Refused(format!("{who}: {which}: the row of its grant is not in coupon_grant"))
}
