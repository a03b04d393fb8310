//! What the ledger has of other journals, asked at the start: this one may stand in the place of one that was lost.

use std::collections::BTreeSet;

use crate::ids::{LogId, Lsn};
use crate::ledger::{LedgerError, LedgerReader, LedgerSettings};
use crate::sabotage::{Sabotage, on};

/// Another journal, and the campaigns whose seats it granted, as the ledger has them.
#[derive(Debug)]
pub struct Others {
    /// The journal; the one with the most grants, where there are several.
    pub log: LogId,
    /// The position of its last grant there.
    pub last_seq: Lsn,
    /// The campaigns with rows of any other journal.
    pub campaigns: BTreeSet<String>,
}

/// What the ledger has of other journals than `log`; `None` where that is nothing. Creates and changes nothing; where there
/// is another journal, one small read a campaign.
///
/// # Errors
/// The ledger cannot be read.
pub fn others(settings: &LedgerSettings, log: LogId) -> Result<Option<Others>, LedgerError> {
    if on(Sabotage::IgnoreTheWorld) {
        return Ok(None);
    }
    let Some(mut reader) = settings.to_read()? else { return Ok(None) };
    let positions = reader.all_positions()?;
    let there = positions.iter().filter(|there| ![log, LogId::NONE].contains(&there.log));
    let Some(newest) = there.max_by_key(|there| there.last_seq).filter(|there| there.last_seq > Lsn::ZERO) else {
        return Ok(None);
    };
    let campaigns = campaigns(reader.as_mut(), log)?;
    Ok(Some(Others { log: newest.log, last_seq: newest.last_seq, campaigns }))
}

/// The campaigns that have rows of other journals than `log`: a campaign has rows of one journal only.
fn campaigns(reader: &mut dyn LedgerReader, log: LogId) -> Result<BTreeSet<String>, LedgerError> {
    let mut found = BTreeSet::new();
    let mut after = String::new();
    while let Some(first) = reader.grants(Some((&after, u32::MAX)), 1)?.into_iter().next() {
        after = first.campaign.to_string();
        if first.log != log {
            found.insert(after.clone());
        }
    }
    Ok(found)
}
