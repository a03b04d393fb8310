//! What a journal says of seats that went out and came back, as the stream, the sink and the audit read it.

use std::path::Path;
use std::sync::Arc;

use super::disk::SimDisk;
use super::oracle::model::Entry;
use super::process::DATA;
use crate::core::Core;
use crate::grant::{self, GrantUser, Kind};
use crate::ids::{LogId, Lsn};
use crate::journal::{Campaign, Campaigns, Disk, Reader, kept_from};

/// All that is kept of the journal of `log` up to `last`, and the position from which on that is; `core` came of it.
///
/// # Errors
/// It cannot be read, or makes no sense.
pub fn read(disk: &SimDisk, core: &Core, log: LogId, last: Lsn) -> Result<(u64, Vec<Entry>), String> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let from = kept_from(disk.as_ref(), Path::new(DATA)).map_err(|error| error.to_string())?;
    let mut campaigns = Campaigns::new(log, campaigns(core));
    let mut entries = Vec::new();
    let mut reader = Reader::open(disk, Path::new(DATA), from).map_err(|error| error.to_string())?;
    while let Some(batch) = reader.next(last).map_err(|error| error.to_string())? {
        for event in batch.events() {
            let (lsn, event) = event.map_err(|error| error.to_string())?;
            let entry = campaigns.entry(lsn, &event);
            entries
                .extend(entry.map_err(|unknown| format!("the journal: {event:?} {unknown:?}"))?.as_ref().map(entry_of));
        }
    }
    Ok((from.get(), entries))
}

/// The campaigns of a core, as who reads its journal has to know them.
pub fn campaigns(core: &Core) -> Vec<Campaign> {
    let told = core.campaigns().map(|campaign| Campaign {
        id: campaign.id,
        name: String::from_utf8_lossy(campaign.name).into_owned(),
        users: campaign.terms.users,
        shadow: campaign.terms.shadow,
    });
    told.collect()
}

/// As the oracle knows it: a user of a simulation is a small number.
pub fn entry_of(entry: &grant::Entry) -> Entry {
    let user = if let GrantUser::Int(user) = entry.user() { u32::try_from(*user).ok() } else { None };
    Entry {
        seq: entry.seq().get(),
        is_return: entry.kind() == Kind::Return,
        campaign: entry.campaign().as_bytes()[1] - b'0',
        seat: entry.seat(),
        user: user.unwrap_or(u32::MAX),
        nth: entry.nth(),
        at: entry.at().0,
        after: entry.after().get(),
    }
}
