//! What becomes of grants that another system has made and that are brought in.

use std::collections::BTreeMap;

use crate::core::campaign_claims::{no_campaign, user_of};
use crate::core::campaigns::Campaign;
use crate::core::event::{Event, Group};
use crate::core::reply::{Decision, Refusal, Reply};
use crate::core::{Core, View, answer, refuse, shown};
use crate::ids::{CampaignId, Seat, User};

/// Seats that are brought in by one command, so far.
struct Seeding<'s, 'a> {
    core: &'s Core,
    id: CampaignId,
    campaign: &'s Campaign,
    /// Who gets which, by seat.
    taken: BTreeMap<Seat, User<'a>>,
    /// Which seat is a user's n-th.
    places: BTreeMap<(User<'a>, u16), Seat>,
}

impl Core {
    /// `GATE.SEED`: all of `seats` or none. What an earlier one has brought in is passed over.
    pub(super) fn seed<'s, 'a>(&'s self, name: &[u8], seats: &[(&'a [u8], Seat)], view: &View) -> Decision<'s, 'a> {
        let (id, campaign) = match self.find_campaign(name, view.now) {
            Ok(found) => found,
            Err(absent) => return no_campaign(name, &absent),
        };
        let conflict = |what: String| refuse(Refusal::Conflict(what), campaign.lsn);
        if !campaign.roster.has_only_seeds() {
            let name = shown(name);
            return conflict(format!(
                "campaign '{name}' has been claimed from: seats are brought in before the first claim"
            ));
        }
        let mut seeding = Seeding { core: self, id, campaign, taken: BTreeMap::new(), places: BTreeMap::new() };
        let mut events = Vec::new();
        for (user, seat) in seats {
            let user = match user_of(campaign.terms.users, user) {
                Ok(user) => user,
                Err(refusal) => return refuse(refusal, campaign.lsn),
            };
            match seeding.place(user, *seat) {
                Ok(Some(nth)) => events.push(seeding.event(user, *seat, nth, view)),
                Ok(None) => {}
                Err(what) => return conflict(format!("campaign '{}': {what}", shown(name))),
            }
        }
        let reply = Reply::Int(events.len() as i64);
        if events.is_empty() {
            return answer(reply, campaign.lsn);
        }
        Decision::Record { group: Group::Many(events), reply }
    }
}

impl<'a> Seeding<'_, 'a> {
    /// Which of the user's seats this one is; none where he has it already. What contradicts it, in words.
    fn place(&mut self, user: User<'a>, seat: Seat) -> Result<Option<u16>, String> {
        let (roster, terms) = (&self.campaign.roster, &self.campaign.terms);
        if seat.get() > terms.limit {
            return Err(format!("seat {seat} is beyond LIMIT {}", terms.limit));
        }
        if self.taken.contains_key(&seat) {
            return Err(format!("seat {seat} is named twice"));
        }
        if roster.is_out(seat) {
            let there = roster.row(seat).user;
            let told = || format!("seat {seat} is user {}'s, not {}'s", named(there), named(user));
            return if there == user { Ok(None) } else { Err(told()) };
        }
        let standing = roster.standing(self.core.scatter, user);
        let new = self.places.range((user, 0)..=(user, u16::MAX)).count();
        let is_free = |nth: &u16| standing.takes(*nth, terms.per_user) && !self.places.contains_key(&(user, *nth));
        let has_room = standing.len() + new < usize::from(terms.per_user);
        let Some(nth) = (1..=terms.per_user).find(is_free).filter(|_| has_room) else {
            return Err(format!("user {} would have more than PERUSER {}", named(user), terms.per_user));
        };
        self.taken.insert(seat, user);
        self.places.insert((user, nth), seat);
        Ok(Some(nth))
    }

    fn event(&self, user: User<'a>, seat: Seat, nth: u16, view: &View) -> Event<'a> {
        let after = self.campaign.roster.last_return();
        Event::Imported { campaign: self.id, seat, user, nth, at: view.now, seq: None, after }
    }
}

fn named(user: User<'_>) -> String {
    match user {
        User::Int(number) => number.to_string(),
        User::Any(bytes) => shown(bytes).to_string(),
    }
}
