//! What can be asked of the core, parsed and checked for form.

use std::borrow::Cow;

use crate::core::event::Terms;
use crate::ids::{Db, Millis, Seat};

/// A request to the core. Borrows from the client's bytes.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants name their Redis commands, the fields are those commands' arguments")]
pub enum Command<'a> {
    /// `GATE.CREATE`
    Create { campaign: &'a [u8], terms: Terms },
    /// `GATE.CLAIM`; the user is parsed by the campaign's own rule; `request` is empty without `ID`.
    Claim { campaign: &'a [u8], user: &'a [u8], request: &'a [u8], flat: bool },
    /// `GATE.CONFIRM`; without a seat, the first of the user's that is held.
    Confirm { campaign: &'a [u8], user: &'a [u8], seat: Option<Seat>, flat: bool },
    /// `GATE.CANCEL`; without a seat, the only one that the user has.
    Cancel { campaign: &'a [u8], user: &'a [u8], seat: Option<Seat>, flat: bool },
    /// `GATE.SEED`: users and seats.
    Seed { campaign: &'a [u8], seats: Vec<(&'a [u8], Seat)> },
    /// `GATE.STATUS`
    Status { campaign: &'a [u8], user: &'a [u8] },
    /// `GATE.INFO`
    CampaignInfo { campaign: &'a [u8] },
    /// `GATE.LIST`
    Campaigns,
    /// `GATE.SEATS`
    Seats { campaign: &'a [u8], first: u32, count: u32 },
    /// `GATE.ALTER`; `by` is who asks, for people.
    Alter { campaign: &'a [u8], change: Alteration, by: Cow<'a, [u8]> },
    /// `GATE.DROP`
    Drop { campaign: &'a [u8], how: Dropping },

    /// `GET`
    Get { db: Db, key: &'a [u8] },
    /// `MGET`
    GetMany { db: Db, keys: Vec<&'a [u8]> },
    /// `GETDEL`
    GetAndRemove { db: Db, key: &'a [u8] },
    /// `GETEX`
    GetAndExpire { db: Db, key: &'a [u8], deadline: Deadline },
    /// `SET`, `SETNX`, `SETEX`, `PSETEX`, `GETSET`
    Set(Set<'a>),
    /// `MSET`, `MSETNX`
    SetMany { db: Db, pairs: Vec<(&'a [u8], &'a [u8])>, only_if_none: bool },
    /// `APPEND`
    Append { db: Db, key: &'a [u8], bytes: &'a [u8] },
    /// `STRLEN`
    Length { db: Db, key: &'a [u8] },
    /// `GETRANGE`
    GetRange { db: Db, key: &'a [u8], start: i64, end: i64 },
    /// `SETRANGE`
    SetRange { db: Db, key: &'a [u8], offset: i64, bytes: &'a [u8] },
    /// `INCR`, `DECR`, `INCRBY`, `DECRBY`
    Add { db: Db, key: &'a [u8], step: i64 },
    /// `INCRBYFLOAT`; the step is checked by the core.
    AddFloat { db: Db, key: &'a [u8], step: &'a [u8] },

    /// `DEL`, `UNLINK`
    Remove { db: Db, keys: Vec<&'a [u8]> },
    /// `EXISTS`, `TOUCH`
    Exists { db: Db, keys: Vec<&'a [u8]> },
    /// `TYPE`
    Type { db: Db, key: &'a [u8] },
    /// `KEYS`
    Keys { db: Db, pattern: &'a [u8] },
    /// `SCAN`
    Scan { db: Db, cursor: u64, pattern: Option<&'a [u8]>, count: u64, kind: Option<&'a [u8]> },
    /// `RANDOMKEY`; the draw is the shell's: the core knows no chance.
    RandomKey { db: Db, draw: u64 },
    /// `RENAME`, `RENAMENX`
    Rename { db: Db, from: &'a [u8], to: &'a [u8], only_if_none: bool },
    /// `EXPIRE`, `PEXPIRE`, `EXPIREAT`, `PEXPIREAT`
    Expire { db: Db, key: &'a [u8], deadline: Deadline, only_if: ExpireIf },
    /// `TTL`, `PTTL`, `EXPIRETIME`, `PEXPIRETIME`
    TimeToLive { db: Db, key: &'a [u8], form: TtlForm },
    /// `PERSIST`
    Persist { db: Db, key: &'a [u8] },
    /// `DBSIZE`
    Size { db: Db },
    /// `FLUSHDB`, `FLUSHALL` (`None`)
    Flush { db: Option<Db> },
}

/// How a campaign is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropping {
    /// Once its grants and returns have arrived, while nothing is held.
    Safely,
    /// `FORCE`: at once.
    Forced,
    /// `PURGE`: at once, with all its seats back in stock; its name can be used again.
    Purged,
}

/// What `GATE.ALTER` makes of a campaign's terms; none stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alteration {
    /// Seats.
    pub limit: Option<u32>,
    /// Seats of one user.
    pub per_user: Option<u16>,
    /// `OPEN`
    pub open: Option<AlteredTime>,
    /// `CLOSE`
    pub close: Option<AlteredTime>,
}

/// The end of a window that is given another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlteredTime {
    /// No end.
    None,
    /// The moment of the decision: `CLOSE NOW`.
    Now,
    /// This moment.
    At(Millis),
}

/// `SET` and its relatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Set<'a> {
    /// Database.
    pub db: Db,
    /// Key.
    pub key: &'a [u8],
    /// The new value.
    pub value: &'a [u8],
    /// When to write.
    pub only_if: SetIf,
    /// What becomes of the deadline.
    pub deadline: Deadline,
    /// What is answered.
    pub answer: SetAnswer,
}

/// When a `SET` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetIf {
    /// Always.
    Always,
    /// `NX`
    Missing,
    /// `XX`
    Exists,
}

/// What a `SET` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAnswer {
    /// `+OK`, or null where nothing was written.
    Ok,
    /// 1 or 0: `SETNX`.
    Written,
    /// The old value or null: `GET`, `GETSET`.
    Old,
}

/// What a command makes of a key's deadline. Which command speaks stands in the error text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants' own lines say what amount, unit and command are")]
pub enum Deadline {
    /// Stays as it is (`KEEPTTL`, plain `GETEX`).
    Keep,
    /// None from now on (plain `SET`, `PERSIST`).
    Clear,
    /// So many milliseconds (`seconds: false`) or seconds from now.
    In { amount: i64, seconds: bool, command: &'static str },
    /// At this Unix time.
    At { amount: i64, seconds: bool, command: &'static str },
}

/// The options of the `EXPIRE` family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireIf {
    /// `NX`: only a key without a deadline.
    pub none: bool,
    /// `XX`: only a key with one.
    pub some: bool,
    /// `GT`: only to a later one.
    pub later: bool,
    /// `LT`: only to an earlier one.
    pub earlier: bool,
}

/// How a deadline is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlForm {
    /// `TTL`
    SecondsLeft,
    /// `PTTL`
    MillisLeft,
    /// `EXPIRETIME`
    UnixSeconds,
    /// `PEXPIRETIME`
    UnixMillis,
}
