//! # coupon-gate
//! Who gets a seat, on disk before the answer, in the ledger a moment later. The rooms in reading order; arrows point
//! down only (`tests/layers.rs` checks it).

pub mod core; //      who gets a seat: decide and evolve
pub mod ids;
pub mod journal; //   every change on disk, in order, before its answer
pub mod limits; //    every bound has a name and a reason
pub mod metrics; //   the figures that threads leave for each other
pub mod server; //    connections, held replies, the loop
pub mod watermark; // how far each part has come
pub mod wire; //      RESP in and out, the command table //       the words that must not be mixed up
