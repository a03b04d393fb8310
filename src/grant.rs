//! # grant - what leaves the gate
//! A seat that went to a user, or came back from one, as the stream, the ledger and the audit see it: with its campaign's
//! name, owned, and with the journal it comes from. Pure. May use: `ids`.

use std::fmt;
use std::sync::Arc;

use crate::ids::{LogId, Lsn, Millis, User};

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The journal that granted it first.
    pub log: LogId,
    /// Its position in that journal.
    pub seq: Lsn,
    /// The campaign's name.
    pub campaign: Arc<str>,
    /// 1..=limit.
    pub seat: u32,
    /// To whom.
    pub user: GrantUser,
    /// The user's n-th seat in this campaign, from 1.
    pub nth: u16,
    /// When.
    pub at: Millis,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "campaign {} seat {} user {} (seq {})", self.campaign, self.seat, self.user, self.seq)
    }
}

/// A seat that was granted and came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The journal that it came back to first.
    pub log: LogId,
    /// Its position in that journal.
    pub seq: Lsn,
    /// The `seq` of its grant, which is below its own.
    pub grant: Lsn,
    /// The campaign's name.
    pub campaign: Arc<str>,
    /// 1..=limit.
    pub seat: u32,
    /// From whom.
    pub user: GrantUser,
    /// Which of the user's seats it was.
    pub nth: u16,
    /// When.
    pub at: Millis,
}

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Return { campaign, seat, user, seq, grant, .. } = self;
        write!(f, "campaign {campaign} seat {seat} returned by user {user} (seq {seq}, its grant's {grant})")
    }
}

/// What leaves the gate: one record of a topic, one change of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A seat went to a user.
    Grant {
        /// Which.
        grant: Grant,
        /// The `seq` of the return that must be applied before it; `Lsn::ZERO` where there is none.
        after: Lsn,
    },
    /// A seat came back.
    Return(Return),
}

impl Entry {
    /// Its journal.
    pub fn log(&self) -> LogId {
        match self {
            Entry::Grant { grant, .. } => grant.log,
            Entry::Return(back) => back.log,
        }
    }

    /// Its position in that journal.
    pub fn seq(&self) -> Lsn {
        match self {
            Entry::Grant { grant, .. } => grant.seq,
            Entry::Return(back) => back.seq,
        }
    }

    /// The `seq` of the entry of the other kind that must be applied before it; `Lsn::ZERO` where there is none.
    pub fn after(&self) -> Lsn {
        match self {
            Entry::Grant { after, .. } => *after,
            Entry::Return(back) => back.grant,
        }
    }

    /// The campaign's name.
    pub fn campaign(&self) -> &Arc<str> {
        match self {
            Entry::Grant { grant, .. } => &grant.campaign,
            Entry::Return(back) => &back.campaign,
        }
    }

    /// Which seat.
    pub fn seat(&self) -> u32 {
        match self {
            Entry::Grant { grant, .. } => grant.seat,
            Entry::Return(back) => back.seat,
        }
    }

    /// Whose.
    pub fn user(&self) -> &GrantUser {
        match self {
            Entry::Grant { grant, .. } => &grant.user,
            Entry::Return(back) => &back.user,
        }
    }

    /// Which of the user's seats.
    pub fn nth(&self) -> u16 {
        match self {
            Entry::Grant { grant, .. } => grant.nth,
            Entry::Return(back) => back.nth,
        }
    }

    /// When.
    pub fn at(&self) -> Millis {
        match self {
            Entry::Grant { grant, .. } => grant.at,
            Entry::Return(back) => back.at,
        }
    }

    /// Which topic it goes to.
    pub fn kind(&self) -> Kind {
        match self {
            Entry::Grant { .. } => Kind::Grant,
            Entry::Return(_) => Kind::Return,
        }
    }
}

/// A grant that nothing must be applied before.
impl From<Grant> for Entry {
    fn from(grant: Grant) -> Entry {
        Entry::Grant { grant, after: Lsn::ZERO }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Grant { grant, .. } => grant.fmt(f),
            Entry::Return(back) => back.fmt(f),
        }
    }
}

/// The two kinds of entries, each with a topic of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `--kafka-topic`
    Grant,
    /// `--kafka-cancel-topic`
    Return,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Grant, Kind::Return];

    /// Its word in records and messages.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Grant => "grant",
            Kind::Return => "return",
        }
    }
}

/// A partition of the topic of one kind. Both topics have the same number of them, and lanes are numbered so that one more
/// partition moves none: partition p of the grants is lane 2p, of the returns 2p + 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u32);

impl Lane {
    /// The lane of a partition.
    pub fn new(kind: Kind, partition: u32) -> Lane {
        Lane(partition * 2 + u32::from(kind == Kind::Return))
    }

    /// The lane at this place of a list of all of them.
    pub fn at(index: usize) -> Lane {
        Lane(u32::try_from(index).expect("partitions are counted in 32 bits"))
    }

    /// All lanes of topics with so many partitions, in order.
    pub fn all(partitions: u32) -> impl Iterator<Item = Lane> {
        (0..partitions * 2).map(Lane)
    }

    /// Its place in a list of all lanes.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// Which topic.
    pub fn kind(self) -> Kind {
        if self.0.is_multiple_of(2) { Kind::Grant } else { Kind::Return }
    }

    /// Which partition of it.
    pub fn partition(self) -> u32 {
        self.0 / 2
    }

    /// The same partition of the other topic: where a campaign's entries of the other kind are.
    pub fn other(self) -> Lane {
        Lane(self.0 ^ 1)
    }
}

/// A user as he is written outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantUser {
    /// Of a `USERS INT` campaign.
    Int(i64),
    /// Of a `USERS ANY` campaign: 1..=64 bytes, not necessarily UTF-8.
    Any(Box<[u8]>),
}

impl From<User<'_>> for GrantUser {
    fn from(user: User<'_>) -> GrantUser {
        match user {
            User::Int(number) => GrantUser::Int(number),
            User::Any(bytes) => GrantUser::Any(bytes.into()),
        }
    }
}

impl fmt::Display for GrantUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrantUser::Int(number) => number.fmt(f),
            GrantUser::Any(bytes) => bytes.escape_ascii().fmt(f),
        }
    }
}
