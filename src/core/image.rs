//! The state as pieces, for a snapshot, and back: what a replay of all events would give, without the events.

use std::borrow::Cow;

use crate::core::Core;
use crate::core::campaigns::{Campaign, HOME};
use crate::core::event::{Alterable, Terms};
use crate::core::roster::{Grants, Roster, Row};
use crate::ids::{CampaignId, Db, Lsn, Millis, User};
use crate::limits;

/// What belongs to no piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The last change of all.
    pub applied: Lsn,
    /// The last change that took a name away.
    pub removed: Lsn,
    /// The newest time in any event.
    pub newest_at: Millis,
}

/// A piece of the state. Campaigns come by number; what one was altered to and its seats, from the first to the last,
/// follow it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'p> {
    /// A campaign of which something is known.
    Campaign {
        /// Its number: that of the piece before it and one.
        id: CampaignId,
        /// Its name.
        name: &'p [u8],
        /// What it was created with; of one that was dropped, what held last.
        terms: Terms,
        /// When it was created.
        created: Millis,
        /// Where it was created.
        created_lsn: Lsn,
        /// Its last change.
        lsn: Lsn,
        /// What is left of it, if it was dropped.
        retired: Option<RetiredSeats>,
    },
    /// The last campaign has other terms than it was created with, or had.
    Altered {
        /// What they are now.
        to: Alterable,
        /// When.
        at: Millis,
        /// Where.
        lsn: Lsn,
    },
    /// The number of a campaign that was dropped before it gave a seat.
    Gone(CampaignId),
    /// A name that is free again since its campaign was purged, and the last return of that; before all campaigns, in the order of the names.
    Purged {
        /// The name.
        name: &'p [u8],
        /// Its last return.
        last_return: Lsn,
    },
    /// The last campaign took such a name; what had come back by then.
    BeganAfter(Lsn),
    /// Seats of the last campaign came back: what its seats do not tell of all that were granted.
    Returns {
        /// When the first was given.
        first_grant: Millis,
        /// When the last was given.
        last_grant: Millis,
        /// The position of the last.
        last_lsn: Lsn,
        /// The position by which the world knows the last return.
        last_return: Lsn,
    },
    /// So many seats of the last campaign, all of them, were granted by another system.
    Seeds(u32),
    /// The next so many seats of the last campaign are free: at least one, and one that is not free follows.
    FreeSeats(u32),
    /// The next seat of the last campaign is a grant that the world knows by this position, which is not its own here.
    KnownAs(Lsn),
    /// The next seat of the last campaign.
    Seat {
        /// To whom.
        user: User<'p>,
        /// Which of the user's seats it is.
        nth: u16,
        /// The `ID` it was claimed with; empty without one.
        request: &'p [u8],
        /// When.
        at: Millis,
        /// The position of the grant, or of the hold.
        lsn: Lsn,
        /// It is held until then; a grant otherwise.
        until: Option<Millis>,
    },
    /// A plain key.
    Key {
        /// Database.
        db: Db,
        /// Key.
        key: &'p [u8],
        /// The whole value.
        value: Cow<'p, [u8]>,
        /// Deadline, or `NEVER`.
        expires: Millis,
        /// Its last change.
        lsn: Lsn,
    },
}

/// What is known of the seats of a campaign that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetiredSeats {
    /// How many there were.
    pub granted: u32,
    /// When the first was given.
    pub first_grant: Millis,
    /// When the last was given.
    pub last_grant: Millis,
    /// The last grant's position.
    pub last_lsn: Lsn,
    /// It was purged: its name is not kept.
    pub purged: bool,
}

/// A piece that contradicts what came before it, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction(pub &'static str);

impl Core {
    /// What belongs to no piece.
    pub fn marks(&self) -> Marks {
        Marks { applied: self.applied, removed: self.removed, newest_at: self.newest_at }
    }

    /// Nothing yet, to be put together from pieces: under the secret of this state, which need not be the one of the
    /// state that was taken apart. Where this one defers its users, so does that one.
    pub fn restoring(&self) -> Restoring {
        let Core { scatter, users_deferred, .. } = *self;
        Restoring { core: Core { scatter, users_deferred, ..Core::new(0) }, unindexed: false }
    }

    /// Shows the whole state piece by piece.
    ///
    /// # Errors
    /// What `show` says, at once.
    pub fn pieces<E>(&self, show: &mut dyn FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
        self.campaigns.pieces(show)?;
        for (db, space) in (0..).map(Db).zip(&self.spaces) {
            for entry in space.iter().filter(|entry| !entry.is_campaign()) {
                let (key, value) = (&*entry.key, entry.text());
                show(Piece::Key { db, key, value, expires: entry.deadline, lsn: entry.lsn })?;
            }
        }
        Ok(())
    }
}

/// A state that is being put together from pieces.
#[derive(Debug)]
pub struct Restoring {
    core: Core,
    /// Seats have come since users were last made found.
    unindexed: bool,
}

impl Restoring {
    /// Adds a piece.
    ///
    /// # Errors
    /// It breaks a promise, or the order of pieces.
    pub fn take(&mut self, piece: &Piece<'_>) -> Result<(), Contradiction> {
        let core = &mut self.core;
        let scatter = core.scatter;
        match piece {
            Piece::Purged { name, last_return } => {
                let purged = &mut core.campaigns.purged;
                let comes_next = purged.last_key_value().is_none_or(|(last, _)| **last < **name);
                if !core.campaigns.slots.is_empty() || !comes_next || name.is_empty() {
                    return Err(Contradiction("purged names come first, in order"));
                }
                core.campaigns.purged.insert((*name).into(), *last_return);
                Ok(())
            }
            Piece::BeganAfter(last_return) => core.campaigns.last_began_after(*last_return),
            Piece::Returns { first_grant, last_grant, last_lsn, last_return } => {
                core.campaigns.returns_of_last(Grants {
                    count: 0,
                    first_at: *first_grant,
                    last_at: *last_grant,
                    last_lsn: *last_lsn,
                    last_return: *last_return,
                })
            }
            Piece::Seeds(count) => core.campaigns.seeds_of_last(*count),
            Piece::FreeSeats(count) => {
                self.unindexed = true;
                core.campaigns.free_last(*count)
            }
            Piece::KnownAs(seq) => {
                self.unindexed = true;
                core.campaigns.know_next_as(*seq)
            }
            Piece::Seat { lsn: Lsn::ZERO, .. } => Err(Contradiction("a seat has a position")),
            Piece::Seat { user, nth, request, at, lsn, until } => {
                self.unindexed = true;
                let row = Row { user: *user, nth: *nth, request, at: *at, lsn: *lsn, until: *until };
                core.campaigns.fill_last(&row)
            }
            Piece::Altered { to, at, lsn } => core.campaigns.alter_last(*to, *at, *lsn),
            Piece::Gone(id) => {
                self.settle()?;
                self.core.campaigns.restore_gone(*id)
            }
            Piece::Campaign { id, name, terms, created, created_lsn, lsn, retired } => {
                self.settle()?;
                let core = &mut self.core;
                if !(1..=limits::CAMPAIGN_NAME_BYTES_MAX).contains(&name.len()) {
                    return Err(Contradiction("a campaign's name is 1..=64 bytes"));
                }
                let keeps_name = retired.is_none_or(|retired| !retired.purged);
                let taken = core.space(HOME).find(scatter, name).is_some()
                    || core.campaigns.purged.contains_key(*name)
                    || core.campaigns.retired(scatter, name).is_some();
                if taken && keeps_name {
                    return Err(Contradiction("two campaigns have one name"));
                }
                let campaign = Campaign {
                    name: (*name).into(),
                    terms: *terms,
                    created: *created,
                    created_with: *terms,
                    created_lsn: *created_lsn,
                    altered: None,
                    lsn: *lsn,
                    roster: Roster::new(terms.users, Lsn::ZERO),
                };
                core.campaigns.restore(scatter, *id, campaign, *retired)?;
                if retired.is_none() {
                    core.spaces[usize::from(HOME.0)].add_campaign(scatter, *created_lsn, name, *id);
                }
                Ok(())
            }
            Piece::Key { db, key, value, expires, lsn } => {
                let space =
                    core.spaces.get_mut(usize::from(db.0)).ok_or(Contradiction("a database beyond the last"))?;
                if space.find(scatter, key).is_some() {
                    return Err(Contradiction("two keys have one name"));
                }
                if value.len() > limits::VALUE_BYTES_MAX {
                    return Err(Contradiction("values are bounded"));
                }
                space.restore(scatter, *lsn, key, value, *expires);
                Ok(())
            }
        }
    }

    /// The whole state.
    ///
    /// # Errors
    /// As [`Restoring::take`].
    pub fn finish(mut self, marks: Marks) -> Result<Core, Contradiction> {
        self.settle()?;
        let Marks { applied, removed, newest_at } = marks;
        Ok(Core { applied, removed, newest_at, ..self.core })
    }

    /// The seats of the last campaign are all there.
    fn settle(&mut self) -> Result<(), Contradiction> {
        if std::mem::take(&mut self.unindexed) {
            self.core.campaigns.close_last(self.core.scatter, !self.core.users_deferred)?;
        }
        Ok(())
    }
}
