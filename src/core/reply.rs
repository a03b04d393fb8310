//! What the core answers: meaning, not bytes. `wire` turns it into RESP2 or RESP3.

use std::borrow::Cow;
use std::fmt;

use crate::core::event::Group;
use crate::ids::{CampaignId, Lsn, Millis, Seat};

/// What a command comes to. `'s` borrows from the state, `'a` from the request.
#[derive(Debug)]
pub enum Decision<'s, 'a> {
    /// Nothing changes. The answer may leave once `depends` is durable: the last change of what it was read from.
    Answer {
        /// The answer.
        reply: Reply<'s>,
        /// What it was read from.
        depends: Lsn,
    },
    /// These events happen, all or none; then this is the answer, which depends on the last of them.
    Record {
        /// The events.
        group: Group<'a>,
        /// The answer.
        reply: Reply<'s>,
    },
}

/// An answer. Types on the wire are the same in both protocols unless said.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply<'s> {
    /// `+OK`
    Ok,
    /// A simple string.
    Status(&'static str),
    /// An integer.
    Int(i64),
    /// A bulk string.
    Bulk(Cow<'s, [u8]>),
    /// A bulk string that holds an integer.
    BulkInt(i64),
    /// `$-1`, in RESP3 `_`.
    Null,
    /// An array.
    Array(Vec<Reply<'s>>),
    /// A RESP3 map, in RESP2 a flat array.
    Map(Vec<(Reply<'s>, Reply<'s>)>),
    /// A RESP3 set, in RESP2 an array.
    Set(Vec<Reply<'s>>),
    /// A RESP3 verbatim text, in RESP2 a bulk string.
    Verbatim(String),
    /// What a claim comes to.
    Claim(Claim),
    /// What becomes of a seat that a user has.
    Settled(Settled),
    /// An error line.
    Refused(Refusal),
}

impl<'s> Reply<'s> {
    /// A bulk string that borrows.
    pub fn bulk(bytes: &'s [u8]) -> Reply<'s> {
        Reply::Bulk(Cow::Borrowed(bytes))
    }

    /// What a claim comes to, if this answers one.
    pub fn claim(&self) -> Option<Claim> {
        if let Reply::Claim(claim) = self { Some(*claim) } else { None }
    }

    /// A bulk string of its own.
    pub fn text(text: impl Into<String>) -> Reply<'static> {
        Reply::Bulk(Cow::Owned(text.into().into_bytes()))
    }
}

/// The answer to `GATE.CLAIM`: `[status, number, remaining]`, of a hold also when it ends; or one line with `FLAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of which campaign.
    pub campaign: CampaignId,
    /// The status and its number.
    pub outcome: Outcome,
    /// Free seats after the decision.
    pub remaining: u32,
    /// One bulk string, `GRANTED 57 43`.
    pub flat: bool,
}

/// The answer to `GATE.CONFIRM` and `GATE.CANCEL`, in the form of a claim's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What was done.
    pub settlement: Settlement,
    /// Free seats after the decision.
    pub remaining: u32,
    /// One bulk string.
    pub flat: bool,
}

/// What becomes of a seat that a user has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is granted.
    Granted(Seat),
    /// It is free again.
    Cancelled(Seat),
    /// He has no such seat.
    None,
}

impl Settlement {
    /// The status word and the number beside it.
    pub fn words(self) -> (&'static str, i64) {
        match self {
            Settlement::Granted(seat) => ("GRANTED", i64::from(seat.get())),
            Settlement::Cancelled(seat) => ("CANCELLED", i64::from(seat.get())),
            Settlement::None => ("NONE", 0),
        }
    }
}

/// What becomes of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A seat.
    Granted(Seat),
    /// A seat that is to be confirmed by then.
    Held(Seat, Millis),
    /// The seat this user has.
    Already(Seat),
    /// None left.
    SoldOut,
    /// Milliseconds to wait.
    NotOpen(i64),
    /// Over.
    Closed,
}

impl Outcome {
    /// The status word and the number beside it.
    pub fn words(self) -> (&'static str, i64) {
        match self {
            Outcome::Granted(seat) => ("GRANTED", i64::from(seat.get())),
            Outcome::Held(seat, _) => ("HELD", i64::from(seat.get())),
            Outcome::Already(seat) => ("ALREADY", i64::from(seat.get())),
            Outcome::SoldOut => ("SOLDOUT", 0),
            Outcome::NotOpen(wait) => ("NOTOPEN", wait),
            Outcome::Closed => ("CLOSED", 0),
        }
    }

    /// What stands behind the free seats: when a hold ends.
    pub fn until(self) -> Option<Millis> {
        if let Outcome::Held(_, until) = self { Some(until) } else { None }
    }
}

/// An error line for a client. `Display` gives the line without the leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `ERR` and a fixed text of Redis.
    Err(&'static str),
    /// `ERR` and a text that names something.
    ErrText(String),
    /// The key holds something else.
    WrongType,
    /// A campaign stands where a plain key was expected.
    IsCampaign(String),
    /// Nobody created this campaign, or it was dropped.
    NoCampaign(String),
    /// What is there contradicts what was asked.
    Conflict(String),
    /// A line with a prefix of its own: `NOAUTH ...`, `MISCONF ...`.
    Line(Cow<'static, str>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Err(text) => write!(f, "ERR {text}"),
            Refusal::ErrText(text) => write!(f, "ERR {text}"),
            Refusal::WrongType => f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value"),
            Refusal::IsCampaign(name) => write!(
                f,
                "WRONGTYPE Operation against a key holding the wrong kind of value: '{name}' is a campaign, use GATE.*"
            ),
            Refusal::NoCampaign(text) => write!(f, "NOCAMPAIGN {text}"),
            Refusal::Conflict(text) => write!(f, "CONFLICT {text}"),
            Refusal::Line(line) => f.write_str(line),
        }
    }
}
