//! # server - connections, held replies, the loop
//! One thread owns all state: it reads requests, decides, stages events, and lets each answer go when the journal says
//! that what it depends on is on disk. May use: `journal`, `wire`, `core` and the words and joints below.
//! Promises: no answer leaves before its dependence; order within a connection; every buffer is bounded.

#[cfg(any(test, feature = "sim"))]
pub(crate) mod by_hand;
mod clients;
mod clock;
mod commands;
mod connection;
mod elsewhere;
mod facts;
mod gate;
mod held;
mod listen;
mod session;
mod stats;
mod tally;
#[cfg(test)]
mod tests;
mod turn;
mod usage;

pub use elsewhere::Elsewhere;
pub use facts::Facts;
#[cfg(any(test, feature = "sim"))]
pub(crate) use gate::Executed;
pub use gate::{Gate, Loaded};
pub use listen::{Address, ListenError, Listener, bind};
pub use turn::{Wake, run};
