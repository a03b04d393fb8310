//! Decided facts: all that a journal holds and all that can change state.
//!
//! Events hold results ("seat 57 went to user 42 at t"), never requests, so that replay does not depend on today's
//! rules; a result is the smallest effect (offset and bytes, not the whole value).

use std::borrow::Cow;

use crate::ids::{CampaignId, Db, Lsn, Millis, Seat, User};

/// One decided fact. Borrows from the request that caused it or from the journal's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A campaign exists from here on.
    CampaignCreated {
        /// Its number: the next one free.
        id: CampaignId,
        /// Its name.
        name: &'a [u8],
        /// What it was created with.
        terms: Terms,
        /// When.
        at: Millis,
    },
    /// A campaign's terms are others from here on.
    CampaignAltered {
        /// Which.
        id: CampaignId,
        /// What they are now.
        to: Alterable,
        /// When.
        at: Millis,
        /// By whom: the client's address and name, for people.
        by: Cow<'a, [u8]>,
    },
    /// A campaign is gone; its name is kept if it ever granted a seat, unless it was purged.
    CampaignDropped {
        /// Which.
        id: CampaignId,
        /// When.
        at: Millis,
        /// All its seats came back before, and its name can be used again.
        purged: bool,
    },
    /// A free seat went to a user.
    Granted {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which seat.
        seat: Seat,
        /// To whom.
        user: User<'a>,
        /// Which of the user's seats it is: the first, the second, ...
        nth: u16,
        /// The `ID` it was asked for with, by which it is found again; empty without one.
        request: &'a [u8],
        /// When.
        at: Millis,
        /// The campaign's last return, known to the world by that position; `Lsn::ZERO` before the first. The seat, or the
        /// user's place, may be free because of it.
        after: Lsn,
    },
    /// A seat is kept for a user until he confirms it.
    Held {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which seat.
        seat: Seat,
        /// For whom.
        user: User<'a>,
        /// Which of the user's seats it is.
        nth: u16,
        /// The `ID` it was asked for with; empty without one.
        request: &'a [u8],
        /// When.
        at: Millis,
        /// From here on it cannot be confirmed.
        until: Millis,
    },
    /// A seat that was held went to who held it.
    Confirmed {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which seat.
        seat: Seat,
        /// To whom.
        user: User<'a>,
        /// Which of the user's seats it is.
        nth: u16,
        /// When.
        at: Millis,
        /// As of [`Event::Granted`].
        after: Lsn,
    },
    /// A seat that was granted is free again.
    Returned {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which seat.
        seat: Seat,
        /// Who had it.
        user: User<'a>,
        /// Which of the user's seats it was.
        nth: u16,
        /// When.
        at: Millis,
        /// The position by which the world knows its grant.
        grant: Lsn,
        /// The position by which the world knows the return, where that is not this event's own: it was in a part of this
        /// journal that was lost, and is read again.
        seq: Option<Lsn>,
    },
    /// A seat that was held is free again.
    HoldEnded {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which seat.
        seat: Seat,
        /// Who held it.
        user: User<'a>,
        /// When.
        at: Millis,
        /// Its time was over; otherwise somebody asked for it.
        expired: bool,
    },
    /// A seat that was granted elsewhere: by this journal before it was lost or set back, read again from the world around
    /// it; or by another system, and is brought in.
    Imported {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which seat.
        seat: Seat,
        /// To whom.
        user: User<'a>,
        /// Which of the user's seats it is.
        nth: u16,
        /// When it was granted.
        at: Millis,
        /// Its position when this journal had it: the world knows it by that. None of what another system granted.
        seq: Option<Lsn>,
        /// As of [`Event::Granted`].
        after: Lsn,
    },
    /// The positions from this event's own up to `upto` were used in a part of this journal that is lost: the next event
    /// is the one behind them.
    Skipped {
        /// The last of them.
        upto: Lsn,
    },
    /// A key has this value and this deadline, whatever it was before.
    KeySet {
        /// Database.
        db: Db,
        /// Key.
        key: &'a [u8],
        /// The whole value.
        value: Cow<'a, [u8]>,
        /// Deadline, or `NEVER`.
        expires: Millis,
    },
    /// A key has this integer as its value and keeps its deadline.
    KeyCounted {
        /// Database.
        db: Db,
        /// Key.
        key: &'a [u8],
        /// The counter's value, not the step.
        value: i64,
    },
    /// Bytes of a value were overwritten or added; a hole is filled with zero bytes; the deadline stays.
    KeyPatched {
        /// Database.
        db: Db,
        /// Key.
        key: &'a [u8],
        /// Where the bytes begin.
        offset: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// An existing key has this deadline, or none.
    KeyExpirySet {
        /// Database.
        db: Db,
        /// Key.
        key: &'a [u8],
        /// Deadline, or `NEVER`.
        expires: Millis,
    },
    /// A key is gone.
    KeyRemoved {
        /// Database.
        db: Db,
        /// Key.
        key: &'a [u8],
        /// Its deadline had passed; otherwise somebody asked for it.
        expired: bool,
    },
    /// A key has another name; what had that name is gone.
    KeyRenamed {
        /// Database.
        db: Db,
        /// Its name so far.
        from: &'a [u8],
        /// Its name from here on.
        to: &'a [u8],
    },
    /// All keys of a database are gone, or of all databases. Campaigns stay.
    Flushed {
        /// Which database; `None` is all.
        db: Option<Db>,
    },
}

/// What a campaign was created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Seats.
    pub limit: u32,
    /// Seats of one user: 1 and more.
    pub per_user: u16,
    /// Claims need no `ID` although a user may have several seats.
    pub no_id: bool,
    /// Claims before this are `NOTOPEN`.
    pub open: Option<Millis>,
    /// Claims from this on are `CLOSED`.
    pub close: Option<Millis>,
    /// A claim is held so many milliseconds for its confirmation; 0: it is granted at once.
    pub hold: u32,
    /// What a user looks like.
    pub users: Users,
    /// Journalled like any other, never published, never stored: a rehearsal.
    pub shadow: bool,
}

impl Terms {
    /// What a campaign has where nothing is said: and that is no seat.
    pub const DEFAULT: Terms = Terms {
        limit: 0,
        per_user: 1,
        no_id: false,
        open: None,
        close: None,
        hold: 0,
        users: Users::Int,
        shadow: false,
    };

    /// These terms with others in the place of what can be altered.
    pub fn with(self, to: Alterable) -> Terms {
        let Alterable { limit, per_user, open, close } = to;
        Terms { limit, per_user, open, close, ..self }
    }

    /// What of them can be altered.
    pub fn alterable(self) -> Alterable {
        let Terms { limit, per_user, open, close, .. } = self;
        Alterable { limit, per_user, open, close }
    }
}

/// Terms that a live campaign can be given in the place of its own; as in [`Terms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of Terms")]
pub struct Alterable {
    pub limit: u32,
    pub per_user: u16,
    pub open: Option<Millis>,
    pub close: Option<Millis>,
}

/// What a user of a campaign looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// A canonical signed 64-bit integer.
    Int,
    /// 1..=64 bytes.
    Any,
}

/// The events of one command: all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group<'a> {
    /// The usual case, without an allocation.
    One(Event<'a>),
    /// One `KeyCounted` of a key whose last change is `last`: where that is a count too and still in the open batch, it may
    /// be amended instead.
    Count {
        /// The event.
        event: Event<'a>,
        /// The key's last change.
        last: Lsn,
    },
    /// Several, in order; never empty.
    Many(Vec<Event<'a>>),
}

impl<'a> Group<'a> {
    /// The events in order.
    pub fn events(&self) -> &[Event<'a>] {
        match self {
            Group::One(event) | Group::Count { event, .. } => std::slice::from_ref(event),
            Group::Many(events) => events,
        }
    }
}
