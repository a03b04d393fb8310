//! # rehearse - a crowd at the door, and the truth of every answer

use std::fmt;
use std::str::FromStr;

/// What to rehearse.
#[derive(Clone, Debug)]
pub struct RehearseOptions {
    /// The gate.
    pub target: Target,
    /// Users.
    pub users: u32,
    /// Seats.
    pub seats: u32,
    /// Connections.
    pub connections: u32,
    /// Claims under way on a connection at a time.
    pub pipeline: u32,
    /// How often each user asks.
    pub repeat: u32,
    /// A real campaign instead of a shadow.
    pub through: bool,
    /// Whoever prints the report prints JSON.
    pub json: bool,
}

/// Where the gate is and who asks.
#[derive(Clone, Debug)]
pub struct Target {
    /// For `AUTH`.
    pub password: Option<String>,
}

impl FromStr for Target {
    type Err = RehearseError;

    fn from_str(_url: &str) -> Result<Target, RehearseError> {
        Ok(Target { password: None })
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Nothing differs.
    pub agrees: bool,
}

impl Report {
    /// One JSON object on one line.
    pub fn json(&self) -> String {
        String::new()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Why a rehearsal could not be held.
#[derive(Debug)]
pub enum RehearseError {
    /// The room is not built in.
    Missing,
}

impl RehearseError {
    /// Whether the operator asked for something that cannot be.
    pub fn is_usage(&self) -> bool {
        false
    }
}

impl fmt::Display for RehearseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rehearse: the room is not built in")
    }
}

/// Holds a rehearsal.
pub fn run(_options: &RehearseOptions, _say: &mut dyn FnMut(&str)) -> Result<Report, RehearseError> {
    Err(RehearseError::Missing)
}
