//! # grant - what leaves the gate
//! A seat that went to a user, as the stream, the ledger and the audit see it: with its campaign's name, owned, and
//! with the journal it comes from. Pure. May use: `ids`.

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
