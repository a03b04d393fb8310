//! # remote - a running gate, seen from another process
//! Where it is (a URL), and a connection that asks it one question at a time, for commands that are no load.
//! May use: nothing.
//! Promises: no password is told in an error; a gate that falls silent is waited for 30 s.

mod gate;
mod target;

pub use gate::{Gate, RemoteError};
pub use target::{BadTarget, Target};
