//! Before a sink stores: is this the journal that the ledger was filled from?

use super::feed::FeedError;
use super::source::GrantSource;
use super::worker::Fault;
use crate::ids::Lsn;
use crate::journal::Campaigns;
use crate::ledger::{InPlace, Ledger, LedgerError, Position};

/// What to say when the ledger stands behind the end of the journal: the journal is older than the ledger, and what it
/// grants from here on would be taken for stored as soon as it has grown enough.
pub(super) fn ahead(source: &str, there: &Position, durable: Lsn) -> Option<String> {
    (there.next > durable.next().get()).then(|| {
        format!(
            "ledger: it is ahead of the journal: {} is stored up to {} (by {}), the journal ends at {durable}; the data \
             directory is older than the ledger: nothing is stored until the gate is started again with the right one",
            source,
            there.next.saturating_sub(1),
            if there.owner.is_empty() { "a sink that left" } else { &there.owner },
        )
    })
}

/// The record before the next position must be the one remembered: the journal's entry with the `seq` of the last one is
/// what the ledger has in its place. What was imported stands behind its `seq` in the journal.
pub(super) fn compare(
    ledger: &mut dyn Ledger,
    events: &mut dyn GrantSource,
    campaigns: &mut Campaigns,
    (source, there, durable): (&str, &Position, Lsn),
) -> Result<(), Fault> {
    let last = there.last_seq;
    if last == Lsn::ZERO {
        return Ok(());
    }
    if last < events.kept_from().map_err(|error| FeedError::Broken(error.to_string()))? {
        // It was published, stored and old when it was given up: nothing is left to compare with.
        return Ok(());
    }
    let mut found = None;
    if last <= durable {
        events.seek(last).map_err(|error| FeedError::Broken(error.to_string()))?;
        let (mut any, mut over) = (false, false);
        while !over {
            let read = events.read(durable, &mut |lsn, event| {
                if let Ok(Some(entry)) = campaigns.entry(lsn, event)
                    && !over
                {
                    over = entry.seq() >= last;
                    found = Some(entry).filter(|entry| entry.seq() == last);
                }
            });
            match read.map_err(|error| FeedError::Broken(error.to_string()))? {
                Some(_) => any = true,
                None => break,
            }
        }
        if !any {
            return Err(FeedError::Broken(format!(
                "ledger: the journal's record at {last} cannot be read, so nothing says that this is the journal which \
                 {source} was stored from; start the gate again: it checks its journal"
            ))
            .into());
        }
    }
    let differs = match found {
        None => Some(format!("the journal has no grant and no return at {last}, which the ledger stored last")),
        Some(entry) => match ledger.in_place_of(&entry)? {
            InPlace::Same => None,
            InPlace::Earlier(there) | InPlace::Other(there) => {
                Some(format!("the journal says {entry}, there is {there}"))
            }
            InPlace::Nothing => Some(format!("the journal says {entry}, there is no row")),
        },
    };
    differs.map_or(Ok(()), |differs| {
        Err(LedgerError::Contradiction(format!(
            "ledger: this is not the journal that {} was stored from: {differs}; nothing is stored until the right data \
             directory or the right ledger is back (was the row removed on purpose? then set last_seq = 0 in \
             coupon_sink_position)",
            source
        ))
        .into())
    })
}
