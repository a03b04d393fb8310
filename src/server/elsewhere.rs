//! Campaigns that the ledger has of another journal: this one may stand in a lost one's place.

use std::collections::BTreeSet;

use crate::core::Refusal;
use crate::ids::LogId;

/// Campaigns whose seats another journal granted.
#[derive(Debug)]
pub struct Elsewhere {
    /// The other journal.
    pub log: LogId,
    /// Their names.
    pub campaigns: BTreeSet<String>,
}

impl Elsewhere {
    /// Why a campaign of this name cannot be created here, if that is so.
    pub(super) fn refusal(&self, name: &[u8]) -> Option<Refusal> {
        let name = str::from_utf8(name).ok().filter(|name| self.campaigns.contains(*name))?;
        let log = self.log;
        Some(Refusal::ErrText(format!(
            "the ledger has grants of campaign '{name}' by another journal (log {log}): if the directory of that one was \
             lost, stop this gate and make it anew with coupon-gate catch-up; else give the campaign another name, or \
             this gate a ledger of its own"
        )))
    }
}
