//! What the ledger knows of a journal and of others, asked once at the start: this one may be a restored copy, or stand in
//! the place of one that was lost.

use std::collections::BTreeSet;

use super::known_to;
use crate::ids::{LogId, Lsn};
use crate::ledger::{LedgerError, LedgerReader, LedgerSettings, Position};
use crate::sabotage::{Sabotage, on};

/// What the ledger says.
#[derive(Debug, Default)]
pub struct Known {
    /// How far the journal was durable, whether the ledger was filled from that or from Kafka; `None` where it does not know.
    pub position: Option<Lsn>,
    /// What it has of another journal.
    pub others: Option<Others>,
}

/// Another journal, and the campaigns whose seats it granted.
#[derive(Debug)]
pub struct Others {
    /// The journal; the one with the last grant, where there are several.
    pub log: LogId,
    /// The position of its last grant.
    pub last_seq: Lsn,
    /// The campaigns with rows of any other journal.
    pub campaigns: BTreeSet<String>,
}

/// What the ledger knows of the journal of `log`, asked before replay; nothing where it cannot be read. Creates and changes
/// nothing. Where there is another journal, it takes one small read a campaign.
pub fn known(settings: &LedgerSettings, log: LogId) -> Known {
    if on(Sabotage::IgnoreTheWorld) {
        return Known::default();
    }
    read(settings, log).unwrap_or_else(|error| {
        tracing::warn!(
            "{error}; the journal is recovered without what the ledger knows: that it is older than the ledger (a restored \
             copy), or new in the place of a lost one, cannot be excluded, and then seats are granted again. The sink \
             compares before it stores, and stores nothing if it is"
        );
        Known::default()
    })
}

fn read(settings: &LedgerSettings, log: LogId) -> Result<Known, LedgerError> {
    let Some(mut reader) = settings.to_read()? else { return Ok(Known::default()) };
    let positions = reader.all_positions()?;
    Ok(Known { position: known_to(&positions, log), others: others(reader.as_mut(), &positions, log)? })
}

fn others(reader: &mut dyn LedgerReader, positions: &[Position], log: LogId) -> Result<Option<Others>, LedgerError> {
    let there = positions.iter().filter(|there| ![log, LogId::NONE].contains(&there.log));
    let Some(newest) = there.max_by_key(|there| there.last_seq).filter(|there| there.last_seq > Lsn::ZERO) else {
        return Ok(None);
    };
    Ok(Some(Others { log: newest.log, last_seq: newest.last_seq, campaigns: campaigns(reader, log)? }))
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
