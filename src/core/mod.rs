//! # core - who gets a seat
//! Decides claims, counters and keys. Pure: no I/O, no clock, no randomness, no threads; time is an argument.
//! May use: `ids`, `limits`.
//! Promises: never more than N; one grant per user; seats 1..=N; a counter never wraps.

mod command;
mod event;
mod reply;

pub use command::{Command, Deadline, ExpireIf, Set, SetAnswer, SetIf, TtlForm};
pub use event::{Event, Group, Terms, Users};
pub use reply::{Claim, Decision, Outcome, Refusal, Reply};

use crate::ids::{Lsn, Millis};

/// What a decision may know of the world beside the state: all of it arguments, none of it looked up.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// The loop's time.
    pub now: Millis,
    /// Grants up to here are on disk when the answer leaves.
    pub durable: Lsn,
    /// Grants up to here are in Kafka; `None` without Kafka.
    pub published: Option<Lsn>,
    /// Grants up to here are in the ledger; `None` without a ledger.
    pub stored: Option<Lsn>,
}

/// The state: campaigns and keys.
#[derive(Debug)]
pub struct Core {}

impl Core {
    /// An empty state. `seed` scatters the hash tables, so that nobody can aim at one slot of them.
    pub fn new(_seed: u64) -> Core {
        Core {}
    }

    /// What `command` comes to. Reads only.
    pub fn decide<'s, 'a>(&'s self, _command: Command<'a>, _view: &View) -> Decision<'s, 'a> {
        unreachable!("to be written")
    }

    /// The only door through which state changes.
    pub fn evolve(&mut self, _lsn: Lsn, _event: &Event<'_>) {}
}
