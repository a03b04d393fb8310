//! What a database must do to be a ledger. One adapter a database; nothing here knows SQL.

use std::fmt;

use crate::core::Users;
use crate::ids::{LogId, Lsn, Millis};

/// Where rows come from: each source has a position of its own in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `journal:LOG`, 32 hex digits.
    pub name: String,
    /// The partition; 0 where there are none.
    pub kpart: u32,
    /// The journal whose grants it brings.
    pub log: LogId,
}

impl Source {
    /// The journal of `log`, read directly.
    pub fn journal(log: LogId) -> Source {
        Source { name: format!("journal:{log}"), kpart: 0, log }
    }
}

/// A user as the ledger writes him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowUser {
    /// Of a `USERS INT` campaign.
    Int(i64),
    /// Of a `USERS ANY` campaign: 1..=64 bytes, not necessarily UTF-8.
    Any(Box<[u8]>),
}

impl fmt::Display for RowUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowUser::Int(number) => number.fmt(f),
            RowUser::Any(bytes) => bytes.escape_ascii().fmt(f),
        }
    }
}

/// One grant on its way into `coupon_grant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The campaign's name.
    pub campaign: std::sync::Arc<str>,
    /// 1..=limit.
    pub seat: u32,
    /// To whom.
    pub user: RowUser,
    /// The user's n-th seat in this campaign, from 1.
    pub nth: u16,
    /// When.
    pub granted_at: Millis,
    /// The event's position in its journal.
    pub seq: Lsn,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "campaign {} seat {} user {} (seq {})", self.campaign, self.seat, self.user, self.seq)
    }
}

/// A source's row in `coupon_sink_position`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The first position that is not in the ledger: an lsn, or an offset.
    pub next: u64,
    /// `seq` of the last grant in the ledger; `Lsn::ZERO` before the first.
    pub last_seq: Lsn,
    /// Counts the owners; only the newest may store.
    pub epoch: u64,
    /// Who that is.
    pub owner: String,
}

/// What goes in with one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Whose position moves.
    pub source: &'a Source,
    /// The writer's owner epoch.
    pub epoch: u64,
    /// Where the ledger must stand.
    pub expected: u64,
    /// Where it stands afterwards.
    pub next: u64,
    /// `seq` of the last row, or as before if there is none.
    pub last_seq: Lsn,
    /// In the order of their `seq`; may be empty: then only the position moves.
    pub rows: &'a [Row],
}

/// A database that holds the ledger's tables. All calls block; the connection is dropped and made anew by `open`.
pub trait Ledger: Send {
    /// Connects, creates what is missing (where that is allowed), checks what is there. Drops an earlier connection.
    fn open(&mut self) -> Result<(), LedgerError>;

    /// The position of `source`; `None` before its first claim.
    fn position(&mut self, source: &Source) -> Result<Option<Position>, LedgerError>;

    /// Makes `owner` the one that may store for `source`, if its position still is `seen`: epoch + 1. A new source
    /// starts at position 1.
    fn claim(&mut self, source: &Source, owner: &str, seen: Option<&Position>) -> Result<Position, LedgerError>;

    /// What stands where `row` of `source` belongs, in words; `None` if it is that row.
    fn in_place_of(&mut self, source: &Source, row: &Row) -> Result<Option<String>, LedgerError>;

    /// One transaction: compare-and-set of the position, then the rows, then the operator's statement for each.
    /// Any error means: rolled back, or (a lost answer) as if; only the position tells.
    fn store(&mut self, batch: &Batch<'_>) -> Result<(), LedgerError>;
}

/// The names that `--ledger-also` may use.
pub const ALSO_PARAMETERS: [&str; 6] = [":user", ":campaign", ":seat", ":nth", ":granted_at", ":seq"];

/// Column type of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserColumn {
    /// A signed 64-bit integer: `USERS INT` only.
    #[default]
    Bigint,
    /// Text: any user.
    Text,
}

impl UserColumn {
    /// Whether users of this kind can be written.
    pub fn carries(self, users: Users) -> bool {
        match (self, users) {
            (UserColumn::Text, _) | (UserColumn::Bigint, Users::Int) => true,
            (UserColumn::Bigint, Users::Any) => false,
        }
    }
}

/// Why the ledger did not do what was asked; nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerError {
    /// Busy, locked, full, read-only, away: the same call can succeed later.
    Unavailable(String),
    /// The settings or the tables do not fit: somebody must change one of them.
    Unfit(String),
    /// A row is there that contradicts one of ours, or our journal.
    Contradiction(String),
    /// The position is not where this sink left it, or has a newer owner.
    TakenOver(String),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerError::Unavailable(line)
            | LedgerError::Unfit(line)
            | LedgerError::Contradiction(line)
            | LedgerError::TakenOver(line) => f.write_str(line),
        }
    }
}

impl std::error::Error for LedgerError {}
