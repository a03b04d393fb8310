//! The campaigns: their terms, who got what, and the names of those that are gone.

mod pieces;

use std::collections::{BTreeMap, BTreeSet};

use crate::core::event::{Event, Terms};
use crate::core::keys::Look;
use crate::core::roster::{Grants, Roster};
use crate::core::table::Table;
use crate::core::{Core, Scatter};
use crate::ids::{CampaignId, Db, Lsn, Millis, Seat, User};
use crate::limits;

/// Campaigns show as keys of this database.
pub(super) const HOME: Db = Db(0);

/// What is known of a campaign, for who shows it or stores its grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CampaignFacts<'s> {
    /// Its number.
    pub id: CampaignId,
    /// Its name.
    pub name: &'s [u8],
    /// What holds now.
    pub terms: Terms,
    /// When it was created.
    pub created: Millis,
    /// Seats that are granted.
    pub granted: u32,
    /// Seats that are held.
    pub held: u32,
    /// Seats left.
    pub remaining: u32,
    /// When the first seat was granted.
    pub first_grant: Option<Millis>,
    /// When the last seat was granted.
    pub last_grant: Option<Millis>,
    /// Its name is kept, and nothing can be claimed any more.
    pub dropped: bool,
}

/// A seat on its way back into stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComingBack {
    campaign: CampaignId,
    seat: Seat,
    /// A number, or bytes.
    user: Result<i64, Box<[u8]>>,
    nth: u16,
    at: Millis,
    /// The position by which the world knows its grant; none of a hold.
    grant: Option<Lsn>,
}

impl ComingBack {
    /// What the journal is told.
    pub fn event(&self) -> Event<'_> {
        let ComingBack { campaign, seat, nth, at, .. } = *self;
        let user = match &self.user {
            Ok(number) => User::Int(*number),
            Err(bytes) => User::Any(bytes),
        };
        match self.grant {
            Some(grant) => Event::Returned { campaign, seat, user, nth, at, grant, seq: None },
            None => Event::HoldEnded { campaign, seat, user, at, expired: false },
        }
    }
}

/// A campaign that can be claimed from.
#[derive(Debug)]
pub(super) struct Campaign {
    pub(super) name: Box<[u8]>,
    /// What holds now.
    pub(super) terms: Terms,
    pub(super) created: Millis,
    pub(super) created_with: Terms,
    pub(super) created_lsn: Lsn,
    /// When and where its terms were altered last, if they were.
    pub(super) altered: Option<(Millis, Lsn)>,
    /// The last change.
    pub(super) lsn: Lsn,
    pub(super) roster: Roster,
}

impl Campaign {
    pub(super) fn remaining(&self) -> u32 {
        self.terms.limit - self.roster.out()
    }

    /// What is known of its grants, if there ever was one.
    fn granted_any(&self) -> Option<Grants> {
        Some(self.roster.grants()).filter(Grants::any)
    }
}

/// A dropped campaign that gave seats: its name is never used again, so that each row of the ledger has one meaning.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) id: CampaignId,
    pub(super) name: Box<[u8]>,
    pub(super) terms: Terms,
    pub(super) created: Millis,
    pub(super) created_lsn: Lsn,
    pub(super) granted: u32,
    pub(super) first_grant: Millis,
    pub(super) last_grant: Millis,
    /// The last seat's position.
    pub(super) last_lsn: Lsn,
    /// The drop's position.
    pub(super) lsn: Lsn,
    /// Its name is not kept. It is known all the same: its returns may still be on their way.
    pub(super) purged: bool,
}

#[derive(Debug)]
pub(super) enum Slot {
    Live(Box<Campaign>),
    Retired(Box<Retired>),
    /// Dropped before it gave a seat: nothing is kept but the number.
    Gone,
}

/// All campaigns, by number.
#[derive(Debug, Default)]
pub(super) struct Campaigns {
    pub(super) slots: Vec<Slot>,
    /// Retired ones, by the hash of their name.
    retired: Table<CampaignId>,
    /// Names that are free again since their campaigns were purged, and the last return of those: what another one of that
    /// name grants depends on it.
    pub(super) purged: BTreeMap<Box<[u8]>, Lsn>,
    /// When the first hold of each campaign ends that has any.
    holds: BTreeSet<(Millis, CampaignId)>,
    /// The earliest of them, or none.
    first_hold: Option<Millis>,
    pub(super) live: usize,
}

impl Campaigns {
    /// Campaigns that can be claimed from.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// The number of the next campaign; none when all are used up.
    pub(super) fn next_id(&self) -> Option<CampaignId> {
        (self.slots.len() < limits::CAMPAIGNS_MAX).then_some(CampaignId(self.slots.len() as u32))
    }

    /// Whether it was created and not dropped.
    pub(super) fn is_live(&self, id: CampaignId) -> bool {
        matches!(self.slots.get(id.index()), Some(Slot::Live(_)))
    }

    /// A campaign that shows under its name.
    pub(super) fn get(&self, id: CampaignId) -> &Campaign {
        match self.slots.get(id.index()) {
            Some(Slot::Live(campaign)) => campaign,
            Some(Slot::Retired(_) | Slot::Gone) | None => panic!("campaign {} was created and not dropped", id.0),
        }
    }

    /// A dropped campaign by its name.
    pub(super) fn retired(&self, scatter: Scatter, name: &[u8]) -> Option<&Retired> {
        let id = self.retired.find(scatter.bytes(name), |id| *self.retired_at(*id).name == *name)?;
        Some(self.retired_at(*id))
    }

    /// Names of those that can be claimed from, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Live(campaign) => Some(&*campaign.name),
            Slot::Retired(_) | Slot::Gone => None,
        })
    }

    /// The earliest deadline of any hold.
    #[inline]
    pub(super) fn next_hold_deadline(&self) -> Option<Millis> {
        self.first_hold
    }

    /// See [`Core::due_holds`].
    pub(super) fn due_holds(&self, now: Millis, at_most: usize) -> Vec<(CampaignId, Seat)> {
        let mut campaigns = self.holds.range(..=(now, CampaignId(u32::MAX))).peekable();
        // The next hold of each campaign of which one was taken.
        let mut heads: BTreeMap<(Millis, CampaignId, u32), _> = BTreeMap::new();
        let mut due = Vec::new();
        while due.len() < at_most {
            let head = heads.first_key_value().map(|((until, id, _), _)| (*until, *id));
            let (id, seat, mut holds) = match campaigns.next_if(|first| head.is_none_or(|head| **first < head)) {
                Some((_, id)) => {
                    let mut holds = self.get(*id).roster.holds().due(now);
                    let (_, seat) = holds.next().expect("a campaign is among them by its first hold");
                    (*id, seat, holds)
                }
                None => match heads.pop_first() {
                    Some(((_, id, seat), holds)) => (id, Seat::new(seat), holds),
                    None => break,
                },
            };
            due.push((id, seat));
            if let Some((until, seat)) = holds.next() {
                heads.insert((until, id, seat.get()), holds);
            }
        }
        due
    }

    /// The earliest deadline of a campaign's holds is another one.
    pub(super) fn first_hold_moved(&mut self, id: CampaignId, before: Option<Millis>, now: Option<Millis>) {
        if before != now {
            before.map(|before| self.holds.remove(&(before, id)));
            self.holds.extend(now.map(|now| (now, id)));
            self.first_hold = self.holds.first().map(|(deadline, _)| *deadline);
        }
    }

    /// Remembers a campaign that is gone, by its name unless that is not kept.
    pub(super) fn retire(&mut self, scatter: Scatter, retired: Retired) {
        let (id, hash, purged) = (retired.id, scatter.bytes(&retired.name), retired.purged);
        self.slots[id.index()] = Slot::Retired(Box::new(retired));
        if purged {
            return;
        }
        let slots = &self.slots;
        self.retired.insert_unique(hash, id, |id| match &slots[id.index()] {
            Slot::Retired(retired) => scatter.bytes(&retired.name),
            Slot::Live(_) | Slot::Gone => panic!("campaign {} is kept among the retired", id.0),
        });
    }

    fn facts(&self, id: CampaignId) -> Option<CampaignFacts<'_>> {
        match self.slots.get(id.index())? {
            Slot::Live(campaign) => Some(CampaignFacts {
                id,
                name: &campaign.name,
                terms: campaign.terms,
                created: campaign.created,
                granted: campaign.roster.grants().count,
                held: campaign.roster.holds().len(),
                remaining: campaign.remaining(),
                first_grant: campaign.granted_any().map(|grants| grants.first_at),
                last_grant: campaign.granted_any().map(|grants| grants.last_at),
                dropped: false,
            }),
            Slot::Retired(retired) => Some(CampaignFacts {
                id,
                name: &retired.name,
                terms: retired.terms,
                created: retired.created,
                granted: retired.granted,
                held: 0,
                remaining: retired.terms.limit - retired.granted,
                first_grant: Some(retired.first_grant),
                last_grant: Some(retired.last_grant),
                dropped: true,
            }),
            Slot::Gone => None,
        }
    }

    fn retired_at(&self, id: CampaignId) -> &Retired {
        match &self.slots[id.index()] {
            Slot::Retired(retired) => retired,
            Slot::Live(_) | Slot::Gone => panic!("campaign {} is kept among the retired", id.0),
        }
    }

    pub(super) fn live_mut(&mut self, id: CampaignId) -> &mut Campaign {
        match self.slots.get_mut(id.index()) {
            Some(Slot::Live(campaign)) => campaign,
            Some(Slot::Retired(_) | Slot::Gone) | None => panic!("campaign {} was created and not dropped", id.0),
        }
    }
}

impl Core {
    /// What is known of a campaign; nothing of one that was dropped before it gave a seat.
    pub fn campaign(&self, id: CampaignId) -> Option<CampaignFacts<'_>> {
        self.campaigns.facts(id)
    }

    /// The number of the campaign that has this name, or had it last.
    pub fn campaign_id(&self, name: &[u8]) -> Option<CampaignId> {
        match self.find_campaign(name, Millis::default()) {
            Ok((id, _)) => Some(id),
            Err(Absent::Retired(retired)) => Some(retired.id),
            Err(Absent::PlainKey(_) | Absent::Unknown { .. }) => None,
        }
    }

    /// All campaigns of which something is known, also dropped ones, by number.
    pub fn campaigns(&self) -> impl Iterator<Item = CampaignFacts<'_>> {
        (0..self.campaigns.slots.len() as u32).filter_map(|id| self.campaigns.facts(CampaignId(id)))
    }

    /// The seats that `user` has of a campaign that can be claimed from, his first one first.
    pub fn seats_of(&self, id: CampaignId, user: User<'_>) -> Vec<Seat> {
        match self.campaigns.slots.get(id.index()) {
            Some(Slot::Live(campaign)) => campaign.roster.standing(self.scatter, user).seats(),
            Some(Slot::Retired(_) | Slot::Gone) | None => Vec::new(),
        }
    }

    /// The lowest seat that nobody has of a campaign that can be claimed from.
    pub fn next_seat(&self, id: CampaignId) -> Seat {
        self.campaigns.get(id).roster.next_seat()
    }

    /// The seat that is the `nth` of a user of a campaign that can be claimed from.
    pub fn seat_as_nth(&self, id: CampaignId, user: User<'_>, nth: u16) -> Option<Seat> {
        let roster = &self.campaigns.get(id).roster;
        let seats = roster.standing(self.scatter, user).seats();
        seats.into_iter().find(|seat| roster.row(*seat).nth == nth)
    }

    /// Whether a seat of a campaign that can be claimed from is granted or held; none where nobody has it.
    pub fn is_held(&self, id: CampaignId, seat: Seat) -> Option<bool> {
        let roster = &self.campaigns.get(id).roster;
        roster.is_out(seat).then(|| roster.row(seat).until.is_some())
    }

    /// The position by which the world knows the last return of a campaign that can be claimed from; `Lsn::ZERO` where nothing
    /// came back.
    pub fn last_return(&self, id: CampaignId) -> Lsn {
        self.campaigns.get(id).roster.last_return()
    }

    /// What takes the seats of a campaign that can be claimed from back into stock, at `now`: each in a hand of its own, the
    /// first ones first.
    pub fn returns_of(&self, id: CampaignId, now: Millis, at_most: usize) -> Vec<ComingBack> {
        let roster = &self.campaigns.get(id).roster;
        let rows = roster.rows_from(Seat::new(1)).map(|(seat, row)| {
            let user = match row.user {
                User::Int(number) => Ok(number),
                User::Any(bytes) => Err(bytes.into()),
            };
            let grant = row.until.is_none().then(|| roster.seq(seat));
            ComingBack { campaign: id, seat, user, nth: row.nth, at: now, grant }
        });
        rows.take(at_most).collect()
    }

    /// The campaigns that can be claimed from, by name.
    pub fn live_names(&self) -> Vec<Box<[u8]>> {
        let mut names: Vec<Box<[u8]>> = self.campaigns.names().map(Box::from).collect();
        names.sort_unstable();
        names
    }

    /// Who has a seat of a campaign that can be claimed from; somebody has it.
    pub fn user_at(&self, id: CampaignId, seat: Seat) -> User<'_> {
        self.campaigns.get(id).roster.row(seat).user
    }

    /// The campaign of this name at `now`.
    pub(super) fn find_campaign(&self, name: &[u8], now: Millis) -> Result<(CampaignId, &Campaign), Absent<'_>> {
        match self.look(HOME, name, now) {
            Look::Campaign(id, _) => Ok((id, self.campaigns.get(id))),
            Look::Plain(entry) => Err(Absent::PlainKey(entry.lsn)),
            Look::Missing { depends, stale } => Err(match self.campaigns.retired(self.scatter, name) {
                Some(retired) => Absent::Retired(retired),
                None => Absent::Unknown { depends, stale },
            }),
        }
    }
}

/// What a name that is no campaign's stands for. `stale` as in [`Look`].
pub(super) enum Absent<'s> {
    Unknown {
        depends: Lsn,
        stale: bool,
    },
    Retired(&'s Retired),
    /// The last change of that key.
    PlainKey(Lsn),
}
