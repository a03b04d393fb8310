//! Holds and keys whose deadline has passed end as events of their own: some in each turn, those of who asks before he is answered.

use std::time::Duration;

#[cfg(any(test, feature = "sim"))]
use super::Executed;
use super::{Gate, LOADED, room};
use crate::core::{Command, Event, Group};
use crate::ids::{CampaignId, Millis, Seat, User};
use crate::journal::{self, Room};
use crate::limits;
use crate::sabotage::{Sabotage, on};

impl Gate {
    /// Some holds and keys whose deadline has passed end, as events of their own.
    pub(super) fn expire_due(&mut self) {
        (self.more_due, self.due_waits) = (false, false);
        if self.stale.is_some() || self.is_loading() {
            return;
        }
        let due_by = if on(Sabotage::HoldsEndEarly) { Millis(self.view.now.0 + 20) } else { self.view.now };
        let mut holds = self.core.due_holds(due_by, limits::EXPIRES_PER_TURN);
        if on(Sabotage::KeepHolds) {
            holds.clear();
        }
        let left = limits::EXPIRES_PER_TURN - holds.len();
        for (campaign, seat) in holds {
            if let Err(room) = self.end_hold(campaign, seat) {
                self.due_waits = room == Room::Wait;
                return;
            }
        }
        let due = self.core.due(self.view.now, left);
        let more = due.len() == left;
        for (db, key) in due {
            let group = Group::One(Event::KeyRemoved { db, key: &key, expired: true });
            let bytes = group.events().iter().map(journal::record_bytes_max).sum();
            let room = room(self.journal.as_mut().expect(LOADED), bytes, self.view.now);
            if room != Room::Ready {
                self.due_waits = room == Room::Wait;
                return;
            }
            self.write(&group);
            self.stats.expired_keys += 1;
        }
        self.more_due = more;
    }

    /// How long it takes until the next hold ends. Nothing where one is due already: it ends in this turn or waits for room.
    pub fn until_hold_ends(&self) -> Option<Duration> {
        let deadline = self.core.next_hold_deadline().filter(|deadline| *deadline > self.view.now)?;
        let wait = deadline.0.saturating_sub(self.view.now.0).cast_unsigned();
        Some(Duration::from_millis(wait).saturating_sub(self.clock.uptime() - Duration::from_micros(self.now_us)))
    }

    /// Holds of who asks end before he is answered, if their deadline has passed. The error as in [`Gate::end_hold`].
    #[cold]
    pub(super) fn end_overdue(&mut self, command: &Command<'_>) -> Result<(), Room> {
        let overdue = self.core.overdue(command, self.view.now).filter(|_| self.stale.is_none());
        let Some((campaign, seats)) = overdue else { return Ok(()) };
        seats.into_iter().try_for_each(|seat| self.end_hold(campaign, seat))
    }

    /// A hold whose deadline has passed ends. The error is why that cannot be journalled now.
    fn end_hold(&mut self, campaign: CampaignId, seat: Seat) -> Result<(), Room> {
        let name: Box<[u8]>;
        let user = match self.core.user_at(campaign, seat) {
            User::Int(number) => User::Int(number),
            User::Any(bytes) => {
                name = bytes.into();
                User::Any(&name)
            }
        };
        let event = Event::HoldEnded { campaign, seat, user, at: self.view.now, expired: true };
        match room(self.journal.as_mut().expect(LOADED), journal::record_bytes_max(&event), self.view.now) {
            Room::Ready => {
                self.write(&Group::One(event));
                #[cfg(any(test, feature = "sim"))]
                self.note(|gate| {
                    let name = gate.core.campaign(campaign).expect("a campaign with holds is there").name;
                    Executed::HoldEnded { campaign: name.into(), seat, at: gate.view.now, lsn: gate.core.applied() }
                });
                Ok(())
            }
            room @ (Room::Wait | Room::Refused(_)) => {
                #[cfg(any(test, feature = "sim"))]
                self.note(|gate| Executed::HoldStayed { at: gate.view.now });
                Err(room)
            }
        }
    }
}
