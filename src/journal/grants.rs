//! Events as grants: an event carries its campaign's number, the world outside knows the name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::{Event, Users};
use crate::grant::Grant;
use crate::ids::{CampaignId, LogId, Lsn};

/// A campaign as the world outside sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its number in the journal.
    pub id: CampaignId,
    /// Its name.
    pub name: String,
    /// What its users look like.
    pub users: Users,
    /// Never published, never stored.
    pub shadow: bool,
}

/// All campaigns of a journal, dropped ones too: their last grants may still be on the way.
#[derive(Debug)]
pub struct Campaigns {
    log: LogId,
    entries: HashMap<CampaignId, Entry>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    shadow: bool,
}

/// A grant names a campaign that nobody created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchCampaign(pub CampaignId);

impl Campaigns {
    /// What is known of the journal of `log` where reading begins: nothing at its beginning, else what replay found.
    pub fn new(log: LogId, known: impl IntoIterator<Item = Campaign>) -> Campaigns {
        let mut campaigns = Campaigns { log, entries: HashMap::new() };
        for campaign in known {
            campaigns.add(campaign.id, campaign.name.into(), campaign.shadow);
        }
        campaigns
    }

    fn add(&mut self, id: CampaignId, name: Arc<str>, shadow: bool) {
        self.entries.insert(id, Entry { name, shadow });
    }

    /// The grant that the event at `lsn` tells of, if it tells of one that leaves the gate; learns of new campaigns.
    /// An imported grant has the `seq` under which the world knows it, which is below `lsn`.
    pub fn grant(&mut self, lsn: Lsn, event: &Event<'_>) -> Result<Option<Grant>, NoSuchCampaign> {
        let (campaign, seat, user, nth, at, seq) = match event {
            Event::Granted { campaign, seat, user, nth, request: _, at }
            | Event::Confirmed { campaign, seat, user, nth, at } => (campaign, seat, user, nth, at, lsn),
            Event::Imported { campaign, seat, user, nth, at, seq } => (campaign, seat, user, nth, at, *seq),
            Event::CampaignCreated { id, name, terms, .. } => {
                self.add(*id, String::from_utf8_lossy(name).into(), terms.shadow);
                return Ok(None);
            }
            Event::CampaignAltered { .. }
            | Event::CampaignDropped { .. }
            | Event::Held { .. }
            | Event::HoldEnded { .. }
            | Event::Skipped { .. }
            | Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => return Ok(None),
        };
        let entry = self.entries.get(campaign).ok_or(NoSuchCampaign(*campaign))?;
        let (log, campaign) = (self.log, Arc::clone(&entry.name));
        let grant = Grant { log, seq, campaign, seat: seat.get(), user: (*user).into(), nth: *nth, at: *at };
        Ok((!entry.shadow).then_some(grant))
    }
}
