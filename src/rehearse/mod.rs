//! # rehearse - a crowd of our own, and the truth of every answer

use std::fmt;

use crate::exit::Exit;
use crate::settings::RehearseSettings;

/// Why there was no rehearsal.
#[derive(Debug)]
pub enum RehearseError {
    /// The room is not wired.
    NotWired,
}

impl RehearseError {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            RehearseError::NotWired => Exit::Surroundings,
        }
    }
}

impl fmt::Display for RehearseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rehearse: the room is not wired")
    }
}

/// Fires the crowd and checks its answers: `Done` or `Difference`.
pub fn run(_settings: RehearseSettings) -> Result<Exit, RehearseError> {
    Err(RehearseError::NotWired)
}
