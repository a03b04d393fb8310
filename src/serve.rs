//! # serve - the gate: which threads, who owns what
//! Starts the rooms, waits for the end, stops them in order.

use std::fmt;

use crate::exit::Exit;
use crate::settings::ServeSettings;

/// Why the gate did not start or did not go on.
#[derive(Debug)]
pub enum ServeError {
    /// The rooms are not wired together.
    NotWired,
}

impl ServeError {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            ServeError::NotWired => Exit::Surroundings,
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("serve: the rooms are not wired together")
    }
}

/// Runs the gate until a signal or SHUTDOWN ends it.
pub fn run(_settings: ServeSettings) -> Result<Exit, ServeError> {
    Err(ServeError::NotWired)
}
