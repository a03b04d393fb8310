//! Events as entries: an event carries its campaign's number, the world outside knows the name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::{Event, Users};
use crate::grant::{Entry, Grant, Return};
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
    campaigns: HashMap<CampaignId, Known>,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    shadow: bool,
}

/// An event names a campaign that nobody created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchCampaign(pub CampaignId);

impl Campaigns {
    /// What is known of the journal of `log` where reading begins: nothing at its beginning, else what replay found.
    pub fn new(log: LogId, known: impl IntoIterator<Item = Campaign>) -> Campaigns {
        let mut campaigns = Campaigns { log, campaigns: HashMap::new() };
        for campaign in known {
            campaigns.add(campaign.id, campaign.name.into(), campaign.shadow);
        }
        campaigns
    }

    fn add(&mut self, id: CampaignId, name: Arc<str>, shadow: bool) {
        self.campaigns.insert(id, Known { name, shadow });
    }

    /// The grant that the event at `lsn` tells of: see [`Campaigns::entry`].
    pub fn grant(&mut self, lsn: Lsn, event: &Event<'_>) -> Result<Option<Grant>, NoSuchCampaign> {
        Ok(self.entry(lsn, event)?.and_then(|entry| match entry {
            Entry::Grant { grant, .. } => Some(grant),
            Entry::Return(_) => None,
        }))
    }

    /// The grant or return that the event at `lsn` tells of, if it tells of one that leaves the gate; learns of new
    /// campaigns. What was imported has the `seq` under which the world knows it, which is not `lsn`.
    pub fn entry(&mut self, lsn: Lsn, event: &Event<'_>) -> Result<Option<Entry>, NoSuchCampaign> {
        let ((campaign, seat, user, nth, at), seq, after) = match event {
            Event::Granted { campaign, seat, user, nth, at, after, .. }
            | Event::Confirmed { campaign, seat, user, nth, at, after, .. } => {
                ((campaign, seat.get(), user, *nth, *at), lsn, *after)
            }
            Event::Imported { campaign, seat, user, nth, at, seq, after, .. } => {
                ((campaign, seat.get(), user, *nth, *at), seq.unwrap_or(lsn), *after)
            }
            Event::Returned { campaign, seat, user, nth, at, seq, grant } => {
                ((campaign, seat.get(), user, *nth, *at), seq.unwrap_or(lsn), *grant)
            }
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
        let known = self.campaigns.get(campaign).ok_or(NoSuchCampaign(*campaign))?;
        if known.shadow {
            return Ok(None);
        }
        let (log, campaign, user) = (self.log, Arc::clone(&known.name), (*user).into());
        let is_return = matches!(event, Event::Returned { .. });
        Ok(Some(if is_return {
            Entry::Return(Return { log, seq, grant: after, campaign, seat, user, nth, at })
        } else {
            Entry::Grant { grant: Grant { log, seq, campaign, seat, user, nth, at }, after }
        }))
    }
}
