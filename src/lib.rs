//! # coupon-gate
//! Who gets a seat, on disk before the answer, in the ledger a moment later. The rooms in reading order; arrows point
//! down only (`tests/layers.rs` checks it).

#[cfg(any(test, feature = "sim"))]
#[path = "../tests/sim/mod.rs"]
pub mod sim; //       the whole process in a world made of a seed, in tests only
pub mod settings; //  flags, environment and file, checked once
pub mod logging; //   lines for humans and for machines, on stderr
pub mod sink_process; // the sink as a process of its own
pub mod serve; //     the gate: which threads, who owns what
pub mod audit; //     counter = journal = Kafka = ledger
pub mod dead_letters; // what could not be stored, for an operator to judge
pub mod dump; //      the journal, one event a line
pub mod check; //     every byte of a data directory, and what each remedy would lose
pub mod backup; //    a consistent copy of a running gate
pub mod apply; //     the campaigns of a file, at a running gate
pub mod seed; //      a Redis event moves in
pub mod catch_up; //  a journal that is older than the world
pub mod wiring; //    the settings as the rooms' own options
pub mod banner; //    what the first start says
pub mod server; //    connections, held replies, the loop
pub mod story; //     what happened to a user, read from the journal
pub mod stream; //    every grant in the Kafka topic, in order
pub mod sink; //      every grant in the SQL ledger, once
pub mod admin; //     metrics and health over HTTP
pub mod rehearse; //  a crowd of our own, and the truth of every answer
pub mod remote; //    a running gate, seen from another process
pub mod kafka; //     the topic, as the stream writes it and others read it
pub mod ledger; //    the SQL tables, and the databases that hold them
pub mod journal; //   every change on disk, in order, before its answer
pub mod wire; //      RESP in and out, the command table
pub mod core; //      who gets a seat: decide and evolve
pub mod metrics; //   the figures that threads leave for each other
pub mod watermark; // how far each part has come
pub mod snapshots; // who wants one, and how the last one went
pub mod stories; //   what happened to a user, asked for by the loop
pub mod edge; //      where time and chance come in
pub mod rank; //      who waits for whom on a processor
pub mod sabotage; //  promises broken on purpose, in tests only
#[cfg(test)]
pub mod fuzz; //      readers against bytes that nobody wrote on purpose, in tests only
pub mod grant; //     what leaves the gate
pub mod limits; //    every bound has a name and a reason
pub mod ids; //       the words that must not be mixed up
pub mod exit; //      how the process ends
