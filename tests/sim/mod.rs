//! # sim - the whole process in a world made of a seed
//! The real core, connections, held replies, journal, stream and sink, turned by hand on one thread, over a disk, a clock,
//! a cluster and a database that do what real ones do on their worst days. An oracle that shares no code with them judges
//! every answer and every recovery. One seed, one story.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an oracle names the few questions that a rule is about; the rest is told by the other rules"
)]

mod book;
mod broker;
mod chance;
mod clients;
mod copy;
mod database;
mod disk;
mod line;
mod oracle;
mod pipe;
mod process;
mod rot;
#[cfg(test)]
mod tests;
mod trace;
mod world;

pub use trace::Trace;
pub use world::{CRASHES, STEPS, Told, live};
