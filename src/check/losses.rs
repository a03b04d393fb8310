//! What would be lost: which grants of which campaigns, seat by seat, and how many changes of keys.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value as Json, json};

use crate::core::{Core, Event};
use crate::grant::GrantUser;
use crate::ids::{CampaignId, Lsn};
use crate::limits;

/// A grant that would be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostGrant {
    /// Its position.
    pub lsn: Lsn,
    /// Of which campaign.
    pub campaign: String,
    /// Which seat.
    pub seat: u32,
    /// Whose.
    pub user: GrantUser,
}

/// All that would be gone.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    names: BTreeMap<CampaignId, String>,
    /// The first and last position that was seen.
    pub seen: Option<(Lsn, Lsn)>,
    /// Grants in order.
    pub grants: Vec<LostGrant>,
    /// Campaigns that were created.
    pub created: Vec<String>,
    /// Campaigns that were altered, and would have their terms from before again.
    pub altered: Vec<String>,
    /// Campaigns that were dropped, and would be there again.
    pub dropped: Vec<String>,
    /// Seats that were held.
    pub held: u64,
    /// Holds that ended without a confirmation: their seats would be held again, until that is noticed.
    pub ended: u64,
    /// Seats that came back: who had them would have them again.
    pub returned: u64,
    /// Changes of keys.
    pub keys: u64,
}

impl Losses {
    /// Nothing yet, over a state whose campaigns are known by name.
    pub fn over(state: &Core) -> Losses {
        let named = state.campaigns().map(|facts| (facts.id, String::from_utf8_lossy(facts.name).into_owned()));
        Losses { names: named.collect(), ..Losses::default() }
    }

    /// Remembers what `event` says of names, whether it is lost or not.
    pub fn learn(&mut self, event: &Event<'_>) {
        if let Event::CampaignCreated { id, name, .. } = event {
            self.names.insert(*id, String::from_utf8_lossy(name).into_owned());
        }
    }

    /// `event` would be lost.
    pub fn add(&mut self, lsn: Lsn, event: &Event<'_>) {
        let name = |id: &CampaignId| self.names.get(id).cloned().unwrap_or_else(|| format!("#{}", id.0));
        match event {
            Event::Granted { campaign, seat, user, .. }
            | Event::Confirmed { campaign, seat, user, .. }
            | Event::Imported { campaign, seat, user, .. } => {
                let (campaign, seat, user) = (name(campaign), seat.get(), (*user).into());
                self.grants.push(LostGrant { lsn, campaign, seat, user });
            }
            Event::Returned { .. } => self.returned += 1,
            Event::CampaignCreated { id, .. } => self.created.push(name(id)),
            Event::CampaignAltered { id, .. } => self.altered.push(name(id)),
            Event::CampaignDropped { id, .. } => self.dropped.push(name(id)),
            Event::Held { .. } => self.held += 1,
            Event::HoldEnded { .. } => self.ended += 1,
            Event::Skipped { .. } => {}
            Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => self.keys += 1,
        }
        self.seen = Some((self.seen.map_or(lsn, |(first, _)| first), lsn));
    }

    /// Each campaign with how many grants, and the lowest and highest seat of them.
    pub fn by_campaign(&self) -> BTreeMap<&str, (u64, u32, u32)> {
        let mut all: BTreeMap<&str, (u64, u32, u32)> = BTreeMap::new();
        for grant in &self.grants {
            let (count, low, high) = all.entry(&grant.campaign).or_insert((0, u32::MAX, 0));
            (*count, *low, *high) = (*count + 1, grant.seat.min(*low), grant.seat.max(*high));
        }
        all
    }

    /// For people, indented by `indent`: at most `limits::CHECK_GRANTS_SHOWN` grants by name.
    pub fn text(&self, indent: &str, into: &mut String) {
        for name in &self.created {
            writeln!(into, "{indent}campaign {name}, which was created there").expect("text grows");
        }
        for name in &self.altered {
            writeln!(into, "{indent}other terms of campaign {name}").expect("text grows");
        }
        for name in &self.dropped {
            writeln!(into, "{indent}that campaign {name} was dropped").expect("text grows");
        }
        for (name, (count, low, high)) in self.by_campaign() {
            writeln!(into, "{indent}campaign {name}: {count} grants, seats {low} to {high}").expect("text grows");
        }
        for LostGrant { lsn, campaign, seat, user } in self.grants.iter().take(limits::CHECK_GRANTS_SHOWN) {
            writeln!(into, "{indent}  {campaign} seat {seat} user {user} (lsn {lsn})").expect("text grows");
        }
        if let Some(more @ 1..) = self.grants.len().checked_sub(limits::CHECK_GRANTS_SHOWN) {
            writeln!(into, "{indent}  and {more} more: --json names them all").expect("text grows");
        }
        if self.held > 0 {
            writeln!(into, "{indent}{} holds, of which those that were not confirmed by then", self.held)
                .expect("text grows");
        }
        if self.returned > 0 {
            writeln!(into, "{indent}{} returns: who had these seats would have them again", self.returned)
                .expect("text grows");
        }
        if self.ended > 0 {
            writeln!(into, "{indent}the end of {} holds", self.ended).expect("text grows");
        }
        if self.keys > 0 {
            writeln!(into, "{indent}{} changes of keys", self.keys).expect("text grows");
        }
    }

    /// For programs: every grant.
    pub fn json(&self) -> Json {
        let grants = self.grants.iter().map(|LostGrant { lsn, campaign, seat, user }| {
            json!({"lsn": lsn.get(), "campaign": campaign, "seat": seat, "user": user.to_string()})
        });
        json!({
            "grants": grants.collect::<Vec<_>>(),
            "created": self.created,
            "altered": self.altered,
            "dropped": self.dropped,
            "holds": self.held,
            "holds_ended": self.ended,
            "returns": self.returned,
            "key_changes": self.keys,
        })
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        let campaigns = self.created.is_empty() && self.altered.is_empty() && self.dropped.is_empty();
        self.grants.is_empty() && campaigns && (self.held, self.ended, self.returned, self.keys) == (0, 0, 0, 0)
    }
}
