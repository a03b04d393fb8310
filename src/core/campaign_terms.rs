//! How campaigns come, change and go.

use std::borrow::Cow;

use crate::core::campaign_claims::no_campaign;
use crate::core::campaigns::{Absent, Campaign, HOME};
use crate::core::command::{Alteration, AlteredTime};
use crate::core::event::{Alterable, Event, Group, Terms, Users};
use crate::core::reply::{Decision, Refusal, Reply};
use crate::core::{Core, View, answer, record, refuse, shown};
use crate::ids::Lsn;
use crate::limits;

impl Core {
    /// `GATE.CREATE`
    pub(super) fn create_campaign<'s, 'a>(&'s self, name: &'a [u8], terms: Terms, view: &View) -> Decision<'s, 'a> {
        if let (Some(open), Some(close)) = (terms.open, terms.close)
            && open >= close
        {
            let text = format!("OPEN {} is not before CLOSE {}", open.0, close.0);
            return refuse(Refusal::ErrText(text), Lsn::ZERO);
        }
        let stale = match self.find_campaign(name, view.now) {
            Ok((_, campaign)) if campaign.created_with == terms => {
                return answer(Reply::Status("EXISTS"), campaign.lsn);
            }
            Ok((_, campaign)) => return differs(campaign, terms),
            Err(Absent::PlainKey(lsn)) => return refuse(Refusal::WrongType, lsn),
            Err(Absent::Retired(retired)) => {
                let text = format!(
                    "campaign '{}' was dropped after {} grants and its name is kept; asked for {}: choose another name",
                    shown(name),
                    retired.granted,
                    words(terms)
                );
                return refuse(Refusal::Conflict(text), retired.lsn);
            }
            Err(Absent::Unknown { stale, .. }) => stale,
        };
        let Some(id) = self.campaigns.next_id() else {
            let text = format!("no campaign beyond the first {} of a journal", limits::CAMPAIGNS_MAX);
            return refuse(Refusal::ErrText(text), self.applied);
        };
        let created = Event::CampaignCreated { id, name, terms, at: view.now };
        let group = match stale {
            true => Group::Many(vec![Event::KeyRemoved { db: HOME, key: name, expired: true }, created]),
            false => Group::One(created),
        };
        Decision::Record { group, reply: Reply::Status("CREATED") }
    }

    /// `GATE.ALTER`. Closing now is never refused: it is what stops a campaign in an emergency.
    pub(super) fn alter<'s, 'a>(
        &'s self,
        name: &[u8],
        change: Alteration,
        by: Cow<'a, [u8]>,
        view: &View,
    ) -> Decision<'s, 'a> {
        let (id, campaign) = match self.find_campaign(name, view.now) {
            Ok(found) => found,
            Err(absent) => return no_campaign(name, &absent),
        };
        let there = campaign.terms.alterable();
        let to = altered(there, change, view);
        let highest = campaign.roster.highest_out();
        if to.limit < highest {
            let name = shown(name);
            let text = format!("campaign '{name}' has given seat {highest}; LIMIT {} would be below it", to.limit);
            return refuse(Refusal::Conflict(text), campaign.lsn);
        }
        let most = campaign.roster.most();
        if usize::from(to.per_user) < most {
            let name = shown(name);
            let text =
                format!("a user of campaign '{name}' has {most} seats; PERUSER {} would be below it", to.per_user);
            return refuse(Refusal::Conflict(text), campaign.lsn);
        }
        let sets_window = change.open.is_some() || change.close.is_some();
        if let (Some(open), Some(close)) = (to.open, to.close)
            && open >= close
            && sets_window
            && change.close != Some(AlteredTime::Now)
        {
            let text = format!("OPEN {} would not be before CLOSE {}", open.0, close.0);
            return refuse(Refusal::Conflict(text), campaign.lsn);
        }
        if to == there {
            return answer(Reply::Ok, campaign.lsn);
        }
        record(Event::CampaignAltered { id, to, at: view.now, by }, Reply::Ok)
    }

    /// `GATE.DROP`
    pub(super) fn drop_if_safe<'s, 'a>(&'s self, name: &[u8], force: bool, view: &View) -> Decision<'s, 'a> {
        let (id, campaign) = match self.find_campaign(name, view.now) {
            Ok(found) => found,
            Err(absent) => return no_campaign(name, &absent),
        };
        let held = campaign.roster.holds().len();
        if held > 0 && !force {
            let name = shown(name);
            let text = format!("{held} seats of campaign '{name}' are held; wait until no hold is left, or FORCE");
            return refuse(Refusal::Conflict(text), campaign.lsn);
        }
        for (mark, done) in [(view.published, "published"), (view.stored, "stored")] {
            let Some(mark) = mark.filter(|_| !force && !campaign.terms.shadow) else { continue };
            let granted = campaign.roster.grants().count;
            let missing = granted - campaign.roster.given_by(mark);
            if missing > 0 {
                let name = shown(name);
                let text =
                    format!("{missing} of {granted} grants of campaign '{name}' are not yet {done}; wait, or FORCE");
                return refuse(Refusal::Conflict(text), campaign.lsn);
            }
            if campaign.roster.last_return() > mark {
                let text = format!("the last return of campaign '{}' is not yet {done}; wait, or FORCE", shown(name));
                return refuse(Refusal::Conflict(text), campaign.lsn);
            }
        }
        record(Event::CampaignDropped { id, at: view.now, purged: false }, Reply::Ok)
    }

    /// `GATE.DROP campaign PURGE`, once all its seats have come back.
    pub(super) fn purge<'s, 'a>(&'s self, name: &[u8], view: &View) -> Decision<'s, 'a> {
        match self.find_campaign(name, view.now) {
            Ok((id, _)) => record(Event::CampaignDropped { id, at: view.now, purged: true }, Reply::Ok),
            Err(absent) => no_campaign(name, &absent),
        }
    }

    /// `GATE.LIST`
    pub(super) fn list_campaigns<'s, 'a>(&'s self) -> Decision<'s, 'a> {
        let mut names: Vec<&[u8]> = self.campaigns.names().collect();
        names.sort_unstable();
        answer(Reply::Array(names.into_iter().map(Reply::bulk).collect()), self.applied)
    }
}

/// The terms that `change` makes of those that are `there`.
fn altered(there: Alterable, change: Alteration, view: &View) -> Alterable {
    let time = |to, there| match to {
        None => there,
        Some(AlteredTime::None) => None,
        Some(AlteredTime::Now) => Some(view.now),
        Some(AlteredTime::At(at)) => Some(at),
    };
    Alterable {
        limit: change.limit.unwrap_or(there.limit),
        per_user: change.per_user.unwrap_or(there.per_user),
        open: time(change.open, there.open),
        close: time(change.close, there.close),
    }
}

fn differs<'s, 'a>(there: &Campaign, asked: Terms) -> Decision<'s, 'a> {
    let name = shown(&there.name);
    let text = format!("campaign '{name}' was created with {}; asked for {}", words(there.created_with), words(asked));
    refuse(Refusal::Conflict(text), there.lsn)
}

/// Terms as `GATE.CREATE` takes them.
fn words(terms: Terms) -> String {
    let mut text = format!("LIMIT {}", terms.limit);
    if terms.per_user > 1 {
        text += &format!(" PERUSER {}", terms.per_user);
    }
    if terms.no_id {
        text += " NOID";
    }
    if let Some(open) = terms.open {
        text += &format!(" OPEN {}", open.0);
    }
    if let Some(close) = terms.close {
        text += &format!(" CLOSE {}", close.0);
    }
    if terms.hold > 0 {
        text += &format!(" HOLD {}", terms.hold);
    }
    text += match terms.users {
        Users::Int => " USERS INT",
        Users::Any => " USERS ANY",
    };
    if terms.shadow {
        text += " SHADOW";
    }
    text
}
