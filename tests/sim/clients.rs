//! What the clients of a simulation ask: what their habits are, and what they want next.

use super::chance::Chance;
use super::oracle::ask::{Ask, CAMPAIGNS, SEEDS, Terms, Text};
use super::oracle::model::{Campaign, Model};
use super::world::Habits;

/// The clients at a moment.
pub struct Clients<'w> {
    pub chance: &'w mut Chance,
    pub habits: Habits,
    /// What they know.
    pub model: &'w Model,
    /// The gate's time.
    pub now: i64,
    /// The last `GATE.CANCEL`.
    pub cancelled: &'w mut Option<Ask>,
}

impl Clients<'_> {
    /// Anything.
    pub fn any_ask(&mut self) -> Ask {
        if self.chance.percent(self.habits.claims) { self.campaign_ask() } else { self.key_ask() }
    }

    fn campaign_ask(&mut self) -> Ask {
        let campaign = self.chance.below(u64::from(CAMPAIGNS)) as u8;
        let is_there = self.model.campaign(campaign).is_some();
        if self.habits.seeds && self.chance.one_in(12) {
            return self.seed(campaign);
        }
        if self.habits.purges && self.chance.one_in(40) {
            return Ask::Purge { campaign };
        }
        match self.chance.below(if self.habits.cancels { 50 } else { 42 }) {
            0 => Ask::Drop { campaign, force: self.chance.one_in(2) },
            1 | 2 => Ask::Seats { campaign },
            3 => self.create(campaign),
            4 | 5 => self.alter(campaign),
            6..=22 if !is_there => self.create(campaign),
            23 => self.confirm(campaign),
            24..=31 if self.habits.holds => self.confirm(campaign),
            40 => Ask::Info { campaign },
            41 => self.status(campaign),
            42.. => self.cancel(campaign),
            _ => {
                let user = self.chance.below(self.habits.users) as u32;
                let terms = self.model.campaign(campaign).map(|there| there.terms);
                let several = terms.is_some_and(|terms| terms.per_user > 1);
                // Some send an ID where none is needed, some none where one is.
                let request = if several != self.chance.one_in(8) { self.chance.range(1, 4) as u8 } else { 0 };
                Ask::Claim { campaign, user, request, flat: self.chance.one_in(4) }
            }
        }
    }

    fn create(&mut self, campaign: u8) -> Ask {
        let now = self.now;
        let soon = |chance: &mut Chance| now + chance.range(1, 4_000) as i64;
        let open = self.chance.one_in(5).then(|| soon(self.chance));
        let close = self.chance.one_in(5).then(|| open.unwrap_or(now) + self.chance.range(1, 6_000) as i64);
        let per_user = if self.chance.one_in(3) { self.chance.range(1, 5) as u16 } else { 1 };
        let terms = Terms {
            limit: self.chance.range(0, 12) as u32,
            per_user,
            no_id: per_user > 1 && self.chance.one_in(4),
            open,
            close,
            hold: if self.habits.holds && self.chance.one_in(2) { self.hold() } else { 0 },
            any: false,
            shadow: self.chance.one_in(8),
        };
        Ask::Create { campaign, terms }
    }

    /// Mostly of a campaign that has just begun, and mostly what fits; sometimes with holes between the seats.
    fn seed(&mut self, campaign: u8) -> Ask {
        let is_new = |name: &u8| self.model.claimable(*name).is_some_and(|there| there.seats.is_empty());
        let new = (0..CAMPAIGNS).find(is_new).filter(|_| !self.chance.one_in(4));
        let campaign = new.unwrap_or(campaign);
        let count = self.chance.range(1, u64::from(SEEDS)) as u8;
        let mut seat = if self.chance.one_in(3) { self.chance.range(0, 4) as u32 } else { 0 };
        let seats = std::array::from_fn(|_| {
            seat = (seat + if self.chance.one_in(4) { self.chance.range(0, 3) as u32 } else { 1 }).max(1);
            (self.chance.below(self.habits.users) as u32, seat)
        });
        Ask::Seed { campaign, seats, count }
    }

    /// Some holds are over before anybody looks, some outlive the process.
    fn hold(&mut self) -> u32 {
        let (least, most) = [(1, 50), (50, 500), (500, 20_000)][self.chance.below(3) as usize];
        self.chance.range(least, most) as u32
    }

    /// Mostly of a seat that is held at the moment: whether it still is when the gate hears of it is another matter.
    fn confirm(&mut self, campaign: u8) -> Ask {
        let held = self.model.campaign(campaign).into_iter().flat_map(Campaign::held);
        let held = held.map(|(seat, user, _)| (seat, user)).collect();
        let (user, seat) = self.whose(held, 4);
        Ask::Confirm { campaign, user, seat, flat: self.chance.one_in(4) }
    }

    /// Mostly of a seat that somebody has, sometimes the same again.
    fn cancel(&mut self, campaign: u8) -> Ask {
        if let Some(again) = self.cancelled.filter(|_| self.chance.one_in(3)) {
            return again;
        }
        let seats = self.model.campaign(campaign).into_iter().flat_map(|campaign| &campaign.seats);
        let (user, seat) = self.whose(seats.map(|(seat, there)| (*seat, there.user)).collect(), 2);
        let cancel = Ask::Cancel { campaign, user, seat, flat: self.chance.one_in(4) };
        *self.cancelled = Some(cancel);
        cancel
    }

    /// Mostly who gave a seat back looks whether that was done.
    fn status(&mut self, campaign: u8) -> Ask {
        match *self.cancelled {
            Some(Ask::Cancel { campaign, user, .. }) if !self.chance.one_in(3) => Ask::Status { campaign, user },
            _ => Ask::Status { campaign, user: self.chance.below(self.habits.users) as u32 },
        }
    }

    /// A user, mostly one of those who have these seats, and a seat once in `told` times, which may be another's.
    fn whose(&mut self, seats: Vec<(u32, u32)>, told: u64) -> (u32, Option<u32>) {
        let mut user = self.chance.below(self.habits.users) as u32;
        let mut seat = self.chance.one_in(told).then(|| self.chance.range(1, 12) as u32);
        if !seats.is_empty() && !self.chance.one_in(6) {
            let (of, whose) = seats[self.chance.below(seats.len() as u64) as usize];
            user = whose;
            seat = seat.map(|another| if self.chance.one_in(6) { another } else { of });
        }
        (user, seat)
    }

    fn alter(&mut self, campaign: u8) -> Ask {
        let now = self.now;
        let limit = self.chance.one_in(2).then(|| self.chance.range(0, 14) as u32);
        let per_user = self.chance.one_in(4).then(|| self.chance.range(1, 4) as u16);
        let open = self.chance.one_in(4).then(|| match self.chance.below(2) {
            0 => -1,
            _ => now + self.chance.range(1, 3_000) as i64,
        });
        let close = (self.chance.one_in(3) || (limit.is_none() && per_user.is_none() && open.is_none())).then(|| {
            match self.chance.below(4) {
                0 => 0,
                1 | 2 => -1,
                _ => now + self.chance.range(1, 6_000) as i64,
            }
        });
        Ask::Alter { campaign, limit, per_user, open, close }
    }

    fn key_ask(&mut self) -> Ask {
        let keys = self.habits.keys;
        let mut key = || self.chance.below(keys) as u8;
        let (key, other) = (key(), key());
        let value = match self.chance.below(3) {
            0 => Text::Letters(self.chance.next() as u32, self.chance.range(1, 12) as u8),
            _ => Text::Number(self.chance.below(100) as i64 - 20),
        };
        match self.chance.below(30) {
            0..=9 => Ask::Add { key, step: [1, 1, 1, 1, -1, 17][self.chance.below(6) as usize] },
            10..=12 => Ask::Get { key },
            13..=15 => Ask::Set { key, value, px: self.chance.one_in(3).then(|| self.chance.range(1, 3_000) as i64) },
            16 => Ask::SetIfNone { key, value },
            17 | 18 => Ask::Append { key, value },
            19 | 20 => Ask::Delete { key },
            21 | 22 => Ask::Expire { key, ms: self.chance.range(0, 3_000) as i64 - 200 },
            23 => Ask::TimeToLive { key },
            24 => Ask::Persist { key },
            25 => Ask::Exists { key },
            26 if key != other => Ask::SetTwo { keys: [key, other], values: [value, Text::Number(7)] },
            27 => Ask::GetTwo { keys: [key, other] },
            28 => Ask::Rename { from: key, to: other },
            29 => Ask::Save,
            _ => Ask::Ping,
        }
    }
}
