//! What events make of campaigns: the part of `evolve` that is theirs. What breaks a promise ends the process.

use crate::core::Core;
use crate::core::campaigns::{Campaign, HOME, Retired, Slot};
use crate::core::event::{Alterable, Event, Terms};
use crate::core::roster::{Grants, Roster, Row};
use crate::ids::{CampaignId, Lsn, Millis, Seat, User};
use crate::limits;

impl Core {
    /// Events that are about campaigns.
    pub(super) fn evolve_campaigns(&mut self, lsn: Lsn, event: &Event<'_>) {
        match event {
            Event::CampaignCreated { id, name, terms, at } => self.create(lsn, *id, name, *terms, *at),
            Event::CampaignAltered { id, to, at, by: _ } => self.alter_campaign(lsn, *id, *to, *at),
            Event::CampaignDropped { id, at, purged } => self.drop_campaign(lsn, *id, *at, *purged),
            Event::Granted { campaign, seat, user, nth, request, at, after: _ } => {
                let row = Row { user: *user, nth: *nth, request, at: *at, lsn, until: None };
                self.give(*campaign, *seat, &row, false);
            }
            Event::Imported { campaign, seat, user, nth, at, seq, after: _ } => {
                let row = Row { user: *user, nth: *nth, request: b"", at: *at, lsn, until: None };
                let seeds = self.campaigns.live_mut(*campaign).roster.seeds();
                self.give(*campaign, *seat, &row, true);
                let roster = &mut self.campaigns.live_mut(*campaign).roster;
                match seq {
                    Some(seq) => roster.know_as(*seat, *seq),
                    None => roster.set_seeds(if seeds + 1 == roster.out() { seeds + 1 } else { 0 }),
                }
            }
            Event::Returned { campaign, seat, user, nth, at, grant, seq } => {
                self.take_back(lsn, *campaign, *seat, (*user, *nth, *grant), *at, seq.unwrap_or(lsn));
            }
            Event::Held { campaign, seat, user, nth, request, at, until } => {
                let row = Row { user: *user, nth: *nth, request, at: *at, lsn, until: Some(*until) };
                self.holds_change(*campaign, lsn, *at, |core| core.give(*campaign, *seat, &row, false));
            }
            Event::Confirmed { campaign, seat, user, nth, at, after: _ } => {
                let user = (*user, *nth);
                self.holds_change(*campaign, lsn, *at, |core| core.confirm_hold(*campaign, *seat, user, *at, lsn));
            }
            Event::HoldEnded { campaign, seat, user, at, expired: _ } => {
                self.holds_change(*campaign, lsn, *at, |core| core.end_hold(*campaign, *seat, *user));
            }
            Event::Skipped { .. }
            | Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => unreachable!("what is about keys goes to evolve_keys"),
        }
    }

    /// A seat that nobody has goes to somebody: the next one, or `any` as it is imported.
    #[inline]
    fn give(&mut self, id: CampaignId, seat: Seat, row: &Row<'_>, any: bool) {
        let (scatter, found) = (self.scatter, !self.users_deferred);
        let campaign = self.campaigns.live_mut(id);
        assert!(any || seat == campaign.roster.next_seat(), "seats are given lowest first, each once");
        assert!(seat.get() <= campaign.terms.limit, "never more than N");
        campaign.roster.give(scatter, seat, row, campaign.terms.per_user, found);
        assert!(campaign.roster.adds_up(), "granted, held and free seats are the limit");
        campaign.lsn = row.lsn;
        self.newest_at = self.newest_at.max(row.at);
    }

    /// A seat that was granted is free again; the world knows that as `seq`.
    fn take_back(
        &mut self,
        lsn: Lsn,
        id: CampaignId,
        seat: Seat,
        (user, nth, grant): (User<'_>, u16, Lsn),
        at: Millis,
        seq: Lsn,
    ) {
        let (scatter, found) = (self.scatter, !self.users_deferred);
        let campaign = self.campaigns.live_mut(id);
        assert!(campaign.roster.is_granted_to(seat, user, nth, grant), "a seat comes back from whom it was granted to");
        campaign.roster.take_back(scatter, seat, found, seq);
        assert!(campaign.roster.adds_up(), "granted, held and free seats are the limit");
        campaign.lsn = lsn;
        self.newest_at = self.newest_at.max(at);
    }

    /// Changes what is held of a campaign.
    fn holds_change(&mut self, id: CampaignId, lsn: Lsn, at: Millis, change: impl FnOnce(&mut Core)) {
        let before = self.campaigns.get(id).roster.holds().first_deadline();
        change(self);
        let campaign = self.campaigns.live_mut(id);
        assert!(campaign.roster.adds_up(), "granted, held and free seats are the limit");
        campaign.lsn = lsn;
        let now = campaign.roster.holds().first_deadline();
        self.campaigns.first_hold_moved(id, before, now);
        self.newest_at = self.newest_at.max(at);
    }

    fn confirm_hold(&mut self, id: CampaignId, seat: Seat, (user, nth): (User<'_>, u16), at: Millis, lsn: Lsn) {
        let roster = &mut self.campaigns.live_mut(id).roster;
        assert!(roster.is_held_by(seat, user, Some(nth)), "a hold is confirmed or ends for whom it was made");
        roster.confirm(seat, at, lsn);
    }

    fn end_hold(&mut self, id: CampaignId, seat: Seat, user: User<'_>) {
        let (scatter, found) = (self.scatter, !self.users_deferred);
        let roster = &mut self.campaigns.live_mut(id).roster;
        assert!(roster.is_held_by(seat, user, None), "a hold is confirmed or ends for whom it was made");
        roster.end_hold(scatter, seat, found);
    }

    fn create(&mut self, lsn: Lsn, id: CampaignId, name: &[u8], terms: Terms, at: Millis) {
        assert!(self.campaigns.next_id() == Some(id), "campaigns are numbered without holes");
        assert!((1..=limits::CAMPAIGN_NAME_BYTES_MAX).contains(&name.len()), "a campaign's name is 1..=64 bytes");
        assert!(self.campaigns.retired(self.scatter, name).is_none(), "the name of a dropped campaign is kept");
        self.spaces[usize::from(HOME.0)].add_campaign(self.scatter, lsn, name, id);
        let after = self.campaigns.purged.remove(name).unwrap_or(Lsn::ZERO);
        let roster = Roster::new(terms.users, after);
        let campaign = Campaign {
            name: name.into(),
            terms,
            created: at,
            created_with: terms,
            created_lsn: lsn,
            altered: None,
            lsn,
            roster,
        };
        self.campaigns.slots.push(Slot::Live(Box::new(campaign)));
        self.campaigns.live += 1;
        self.newest_at = self.newest_at.max(at);
    }

    fn alter_campaign(&mut self, lsn: Lsn, id: CampaignId, to: Alterable, at: Millis) {
        let campaign = self.campaigns.live_mut(id);
        assert!(to.limit >= campaign.roster.highest_out(), "a limit is never below a seat that is out");
        assert!(usize::from(to.per_user) >= campaign.roster.most().max(1), "PERUSER is never below what a user has");
        campaign.terms = campaign.terms.with(to);
        campaign.altered = Some((at, lsn));
        campaign.lsn = lsn;
        self.newest_at = self.newest_at.max(at);
    }

    fn drop_campaign(&mut self, lsn: Lsn, id: CampaignId, at: Millis, purged: bool) {
        let scatter = self.scatter;
        // Asserts that it is live before the slot is taken.
        self.campaigns.live_mut(id);
        let Slot::Live(campaign) = std::mem::replace(&mut self.campaigns.slots[id.index()], Slot::Gone) else {
            unreachable!("it is live")
        };
        let Campaign { name, terms, created, created_lsn, roster, .. } = *campaign;
        self.spaces[usize::from(HOME.0)].remove_campaign(scatter, &name);
        self.campaigns.first_hold_moved(id, roster.holds().first_deadline(), None);
        let Grants { count: granted, first_at: first_grant, last_at: last_grant, last_lsn, .. } = roster.grants();
        assert!(!purged || roster.out() == 0, "a campaign is purged when all its seats came back");
        // What happened in a rehearsal never leaves the gate: nothing can wait for it.
        let after = if terms.shadow { roster.began_after() } else { roster.last_return() };
        let is_name_free = purged || !roster.grants().any();
        if is_name_free && after > Lsn::ZERO {
            self.campaigns.purged.insert(name.clone(), after);
        }
        if roster.grants().any() {
            let retired = Retired {
                id,
                name,
                terms,
                created,
                created_lsn,
                granted,
                first_grant,
                last_grant,
                last_lsn,
                lsn,
                purged,
            };
            self.campaigns.retire(scatter, retired);
        }
        self.discarded.roster(roster);
        self.campaigns.live -= 1;
        self.removed = lsn;
        self.newest_at = self.newest_at.max(at);
    }
}
