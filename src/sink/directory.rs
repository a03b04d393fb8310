//! What a row needs to know of its campaign: events carry its number, the ledger its name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::{Event, Users};
use crate::grant::Grant;
use crate::ids::{CampaignId, LogId, Lsn};

/// A campaign as the sink sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its number in the journal.
    pub id: CampaignId,
    /// Its name.
    pub name: String,
    /// What its users look like.
    pub users: Users,
    /// Never stored.
    pub shadow: bool,
}

/// All campaigns, dropped ones too: their last grants may still be on the way.
#[derive(Debug, Default)]
pub(super) struct Directory(HashMap<CampaignId, Entry>);

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    shadow: bool,
}

impl Directory {
    pub(super) fn new(campaigns: Vec<Campaign>) -> Directory {
        let mut directory = Directory::default();
        for campaign in campaigns {
            directory.add(campaign.id, campaign.name.into(), campaign.shadow);
        }
        directory
    }

    fn add(&mut self, id: CampaignId, name: Arc<str>, shadow: bool) {
        self.0.insert(id, Entry { name, shadow });
    }

    /// The row that `event` becomes, if it becomes one; learns of new campaigns.
    pub(super) fn row(&mut self, log: LogId, lsn: Lsn, event: &Event<'_>) -> Result<Option<Grant>, CampaignId> {
        match event {
            Event::CampaignCreated { id, name, terms, .. } => {
                self.add(*id, String::from_utf8_lossy(name).into(), terms.shadow);
                Ok(None)
            }
            Event::Granted { campaign, seat, user, at } => {
                let entry = self.0.get(campaign).ok_or(*campaign)?;
                if entry.shadow {
                    return Ok(None);
                }
                let campaign = Arc::clone(&entry.name);
                Ok(Some(Grant { log, seq: lsn, campaign, seat: seat.get(), user: (*user).into(), nth: 1, at: *at }))
            }
            Event::CampaignDropped { .. }
            | Event::Imported { .. }
            | Event::Skipped { .. }
            | Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => Ok(None),
        }
    }
}
