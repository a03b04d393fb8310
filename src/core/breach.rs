//! Whether an event that is read back would break a promise: what `evolve` asserts, asked beforehand, for who must name
//! the place instead of ending there.

use crate::core::Core;
use crate::core::event::{Event, Users};
use crate::core::keys::{Entry, Value};
use crate::core::roster::Row;
use crate::ids::{CampaignId, Db, Lsn, Millis, Seat, User};
use crate::limits;

/// Times and positions that a seat remembers are below this.
const STAMP_END: u64 = 1 << 48;

impl Core {
    /// The promise that `evolve` would end the process for, if there is one. Of a journal that is read back: there each
    /// event has the position behind the last one, nothing is amended.
    pub fn breach(&self, lsn: Lsn, event: &Event<'_>) -> Option<&'static str> {
        if lsn != self.applied.next() {
            return Some("each change has the next position");
        }
        match event {
            Event::CampaignCreated { id, name, terms: _, at: _ } => self.breach_of_creation(*id, name),
            Event::CampaignAltered { id, to, at: _, by: _ } => self.breach_of_absence(*id).or_else(|| {
                let roster = &self.campaigns.get(*id).roster;
                if to.limit < roster.highest_out() {
                    return Some("a limit is never below a seat that is out");
                }
                let below = usize::from(to.per_user) < roster.most().max(1);
                below.then_some("PERUSER is never below what a user has")
            }),
            Event::CampaignDropped { id, at: _, purged } => self.breach_of_absence(*id).or_else(|| {
                let is_out = self.campaigns.get(*id).roster.out() > 0;
                (*purged && is_out).then_some("a campaign is purged when all its seats came back")
            }),
            Event::Granted { campaign, seat, user, nth, request, at, after: _ } => {
                let row = Row { user: *user, nth: *nth, request, at: *at, lsn, until: None };
                self.breach_of_seat(*campaign, *seat, row).or_else(|| self.breach_of_order(*campaign, *seat))
            }
            Event::Confirmed { campaign, seat, user, nth, at, after: _ } => {
                self.breach_of_hold(*campaign, *seat, *user, Some(*nth)).or_else(|| breach_of_stamp(lsn, *at))
            }
            Event::Held { campaign, seat, user, nth, request, at, until } => {
                let row = Row { user: *user, nth: *nth, request, at: *at, lsn, until: Some(*until) };
                self.breach_of_seat(*campaign, *seat, row).or_else(|| self.breach_of_order(*campaign, *seat))
            }
            Event::Imported { campaign, seat, user, nth, at, seq: _, after: _ } => {
                let row = Row { user: *user, nth: *nth, request: b"", at: *at, lsn, until: None };
                self.breach_of_seat(*campaign, *seat, row)
            }
            Event::Returned { campaign, seat, user, nth, at: _, grant, seq: _ } => {
                self.breach_of_absence(*campaign).or_else(|| {
                    let is_his = self.campaigns.get(*campaign).roster.is_granted_to(*seat, *user, *nth, *grant);
                    (!is_his).then_some("a seat comes back from whom it was granted to")
                })
            }
            Event::HoldEnded { campaign, seat, user, at: _, expired: _ } => {
                self.breach_of_hold(*campaign, *seat, *user, None)
            }
            Event::Skipped { upto } => (*upto < lsn).then_some("what is skipped ends behind its beginning"),
            Event::KeySet { db, key, value, expires: _ } => self.breach_of_value(*db, key, value.len()),
            Event::KeyCounted { db, key, value: _ } => self.breach_of_db(*db).or_else(|| {
                let entry = self.entry(*db, key)?;
                entry.integer().is_none().then_some("only an integer is counted")
            }),
            Event::KeyPatched { db, key, offset, bytes } => {
                self.breach_of_value(*db, key, (*offset as usize).saturating_add(bytes.len()))
            }
            Event::KeyExpirySet { db, key, expires: _ } => {
                self.breach_of_change(*db, key, "only a key that exists expires", "a campaign has no deadline")
            }
            Event::KeyRemoved { db, key, expired } => self.breach_of_removal(*db, key, *expired),
            Event::KeyRenamed { db, from, to } => self.breach_of_renaming(*db, from, to),
            Event::Flushed { db } => self.breach_of_flush(*db),
        }
    }

    fn breach_of_creation(&self, id: CampaignId, name: &[u8]) -> Option<&'static str> {
        if self.campaigns.next_id() != Some(id) {
            Some("campaigns are numbered without holes")
        } else if !(1..=limits::CAMPAIGN_NAME_BYTES_MAX).contains(&name.len()) {
            Some("a campaign's name is 1..=64 bytes")
        } else if self.campaigns.retired(self.scatter, name).is_some() {
            Some("the name of a dropped campaign is kept")
        } else {
            self.entry(Db(0), name).map(|_| "a campaign takes no name that is in use")
        }
    }

    fn breach_of_absence(&self, id: CampaignId) -> Option<&'static str> {
        (!self.campaigns.is_live(id))
            .then_some("a campaign is created before it is used, and not used once it is dropped")
    }

    /// Of what happens to a hold.
    fn breach_of_hold(&self, id: CampaignId, seat: Seat, user: User<'_>, nth: Option<u16>) -> Option<&'static str> {
        self.breach_of_absence(id).or_else(|| {
            let is_his = self.campaigns.get(id).roster.is_held_by(seat, user, nth);
            (!is_his).then_some("a hold is confirmed or ends for whom it was made")
        })
    }

    /// Of a seat that somebody gets.
    fn breach_of_seat(&self, id: CampaignId, seat: Seat, row: Row<'_>) -> Option<&'static str> {
        if let Some(absent) = self.breach_of_absence(id) {
            return Some(absent);
        }
        let campaign = self.campaigns.get(id);
        let fits = matches!((campaign.terms.users, row.user), (Users::Int, User::Int(_)) | (Users::Any, User::Any(_)));
        if seat.get() > campaign.terms.limit {
            Some("never more than N")
        } else if !fits {
            Some("a user is of the kind that his campaign takes")
        } else if campaign.roster.is_out(seat) {
            Some("seats are given lowest first, each once")
        } else {
            let fits = campaign.roster.standing(self.scatter, row.user).takes(row.nth, campaign.terms.per_user);
            breach_of_stamp(row.lsn, row.at)
                .or_else(|| (!fits).then_some("never more than PERUSER for a user, each his n-th once"))
        }
    }

    fn breach_of_order(&self, id: CampaignId, seat: Seat) -> Option<&'static str> {
        (seat != self.campaigns.get(id).roster.next_seat()).then_some("seats are given lowest first, each once")
    }

    fn breach_of_value(&self, db: Db, key: &[u8], len: usize) -> Option<&'static str> {
        self.breach_of_db(db).or_else(|| {
            if len > limits::VALUE_BYTES_MAX {
                return Some("values are bounded");
            }
            self.names_campaign(db, key).then_some("a plain value never replaces a campaign")
        })
    }

    fn breach_of_removal(&self, db: Db, key: &[u8], expired: bool) -> Option<&'static str> {
        let (missing, campaign) = ("only a key that exists is removed", "a campaign is dropped, never removed");
        self.breach_of_change(db, key, missing, campaign).or_else(|| {
            let lasts = self.entry(db, key).is_some_and(|entry| entry.deadline == Millis::NEVER);
            (expired && lasts).then_some("only a key with a deadline expires")
        })
    }

    fn breach_of_renaming(&self, db: Db, from: &[u8], to: &[u8]) -> Option<&'static str> {
        if from == to {
            return Some("a rename changes the name");
        }
        self.breach_of_change(db, from, "only a key that exists is renamed", "a campaign keeps its name")
            .or_else(|| self.names_campaign(db, to).then_some("a campaign is dropped, never removed"))
    }

    fn breach_of_flush(&self, db: Option<Db>) -> Option<&'static str> {
        let home = db.is_none_or(|db| db.0 == 0) && self.campaigns.live() > 0;
        db.and_then(|db| self.breach_of_db(db)).or(home.then_some("campaigns are dropped, never flushed"))
    }

    /// A change of what a key holds: the key must be there, and no campaign.
    fn breach_of_change(
        &self,
        db: Db,
        key: &[u8],
        missing: &'static str,
        campaign: &'static str,
    ) -> Option<&'static str> {
        self.breach_of_db(db).or_else(|| match self.entry(db, key) {
            None => Some(missing),
            Some(_) => self.names_campaign(db, key).then_some(campaign),
        })
    }

    fn breach_of_db(&self, db: Db) -> Option<&'static str> {
        (usize::from(db.0) >= limits::DATABASES).then_some("databases are numbered 0 to 15")
    }

    fn names_campaign(&self, db: Db, key: &[u8]) -> bool {
        self.entry(db, key).is_some_and(|entry| matches!(entry.value, Value::Campaign(_)))
    }

    fn entry(&self, db: Db, key: &[u8]) -> Option<&Entry> {
        self.space(db).find(self.scatter, key)
    }
}

fn breach_of_stamp(lsn: Lsn, at: Millis) -> Option<&'static str> {
    let fits = at.0.cast_unsigned() < STAMP_END && lsn.get() < STAMP_END;
    (!fits).then_some("grants happen between the years 1970 and 10889, and before 2^48 changes")
}
