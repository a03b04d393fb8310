//! # exit - how the process ends
//! The codes that scripts and supervisors read. Pure. May use: nothing.

/// The exit codes of every command; the numbers are promises to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// `audit` or `rehearse` found a difference, `check` damage, `dead-letters retry` a letter that has to stay.
    Difference = 1,
    /// Wrong usage or setting.
    Usage = 2,
    /// Damaged data, refused.
    Damaged = 3,
    /// The surroundings are at fault: port taken, directory locked, no permission, peer unreachable.
    Surroundings = 4,
    /// Storage failed while running.
    Storage = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit as u8)
    }
}
