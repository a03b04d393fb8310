//! What users ask, what they hear, and what that means for them.

use serde::Serialize;

use crate::rehearse::truth::Answer;
use crate::rehearse::turnover::clock::Nanos;

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// `HELD seat remaining until`
    Held {
        /// The user's seat.
        seat: u32,
        /// Free seats after the decision.
        remaining: u32,
        /// The gate's time at which the hold ends.
        until: i64,
    },
    /// As where nothing is held.
    Plain(Answer),
}

/// The answer to a confirmation or a cancellation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// `GRANTED seat remaining` or `CANCELLED seat remaining`, as was asked for.
    Done {
        /// The seat.
        seat: u32,
        /// Free seats after the decision.
        remaining: u32,
    },
    /// `NONE 0 remaining`
    Nothing {
        /// Free seats.
        remaining: u32,
    },
    /// An error line, or something that is no such answer.
    Error(String),
}

/// What a user asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `GATE.CLAIM`
    Claim,
    /// `GATE.CONFIRM` of this seat.
    Confirm(u32),
    /// `GATE.CANCEL` of this seat.
    Cancel(u32),
}

/// What an answer means for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// He holds this seat, newly or still; at `over` the hold is certainly over.
    Held {
        /// The seat.
        seat: u32,
        /// Whether he did not hold it before.
        new: bool,
        /// When it is over, by our time.
        over: Nanos,
    },
    /// The seat is granted to him by this answer.
    Granted(u32),
    /// The seat is his no more by this answer.
    Cancelled(u32),
    /// Nothing to act upon.
    Nothing,
}

/// What became of seats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// Holds.
    pub held: u64,
    /// Holds that were confirmed.
    pub confirmed: u64,
    /// Holds that were left to end, or were confirmed too late.
    pub expired: u64,
    /// Granted seats that were cancelled.
    pub cancelled: u64,
}
