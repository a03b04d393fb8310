//! # check - every byte of a data directory, and what each remedy would lose
//! Reads the journal as a start does and replays it against the promises; where something is wrong, names the place, what
//! lies behind it, and what it would cost to go on without that. `--repair` does the mildest of it, on top of a copy.
//! May use: `settings` (its own), `journal`, `core`, `grant`, `limits`, `ids`, `exit`.
//! Promises: without `--repair` nothing but the lock is written; its verdict is that of a start; a repair is never silent,
//! never without a full copy beside it, and leaves a directory that gives no seat twice before it has caught up.
//!
//! ```text
//! examine   lock -> inspect -> replay against the promises -> losses      a report
//! repair    copy beside -> hold -> cut -> examine again                   another one
//! ```

mod beside;
mod losses;
mod repair;
mod report;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::{Core, Event};
use crate::exit::Exit;
use crate::ids::Lsn;
use crate::journal::{
    self, Damage, DirectoryLock, Disk, Inspection, Inspector, JournalError, LockError, Place, RealDisk,
};
use crate::settings::CheckSettings;
use losses::Losses;
pub use report::Report;

/// Why there is no verdict, or no repair.
#[derive(Debug)]
pub enum CheckError {
    /// It is in use, or there is no locking it.
    Lock(LockError),
    /// There is no such directory.
    NoDirectory(PathBuf),
    /// There is no journal in it.
    NoJournal(PathBuf),
    /// It cannot be read or changed, or is of a newer release.
    Journal(JournalError),
    /// The copy of it cannot be made.
    Copy(PathBuf, io::Error),
    /// There is no room for the copy: bytes needed, bytes free.
    NoRoom(PathBuf, u64, u64),
    /// Nothing stands before the damage.
    NothingToKeep(PathBuf),
}

impl CheckError {
    /// How the process ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            CheckError::Journal(error) if error.is_damage() => Exit::Damaged,
            CheckError::NothingToKeep(_) => Exit::Difference,
            CheckError::Lock(_)
            | CheckError::NoDirectory(_)
            | CheckError::NoJournal(_)
            | CheckError::Journal(_)
            | CheckError::Copy(..)
            | CheckError::NoRoom(..) => Exit::Surroundings,
        }
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckError::Lock(error) => error.fmt(f),
            CheckError::NoDirectory(data) => {
                write!(f, "check: there is no directory {}: name the data directory of a gate", data.display())
            }
            CheckError::NoJournal(data) => {
                write!(f, "check: there is no journal in {}: name the data directory of a gate", data.display())
            }
            CheckError::Journal(error) => error.fmt(f),
            CheckError::Copy(path, error) => {
                write!(f, "check: cannot copy to {}: {error}; nothing was changed", path.display())
            }
            CheckError::NoRoom(path, needed, free) => write!(
                f,
                "check: a full copy is made before anything is changed, and {} has no room for it: {needed} bytes are \
                 needed, {free} are free; nothing was changed",
                path.display()
            ),
            CheckError::NothingToKeep(data) => write!(
                f,
                "check: nothing stands before the damage, so there is nothing to repair in {}: restore it from a copy, or \
                 move it away and make it anew with coupon-gate catch-up",
                data.display()
            ),
        }
    }
}

impl std::error::Error for CheckError {}

impl From<JournalError> for CheckError {
    fn from(error: JournalError) -> CheckError {
        CheckError::Journal(error)
    }
}

/// Does what `settings` say; hands what is to be printed to `say`, piece by piece.
///
/// # Errors
/// See [`CheckError`]. Damage is no error but the exit code `Difference`.
pub fn command(settings: &CheckSettings, say: &mut dyn FnMut(&str)) -> Result<Exit, CheckError> {
    let data = &settings.data;
    if !data.is_dir() {
        return Err(CheckError::NoDirectory(data.clone()));
    }
    let _lock = DirectoryLock::acquire(data, Duration::ZERO).map_err(CheckError::Lock)?;
    let told = |report: &Report| if settings.json { report.json() + "\n" } else { report.to_string() };
    let report = examine(&RealDisk, data)?;
    say(&told(&report));
    if report.is_no_journal() {
        return Err(CheckError::NoJournal(data.clone()));
    }
    if !settings.repair || report.exit() == Exit::Done {
        if settings.repair {
            say(if settings.json { "{\"repair\":null}\n" } else { "nothing to repair\n" });
        }
        return Ok(report.exit());
    }
    let copy = repair::repair(&RealDisk, data, &report, &beside::RealRoom)?;
    say(&repair::told(&copy, &report, settings.json));
    let again = examine(&RealDisk, data)?;
    say(&told(&again));
    Ok(again.exit())
}

/// Looks at everything in `data`, which is locked.
///
/// # Errors
/// What cannot be read, or is of a newer release.
pub fn examine(disk: &dyn Disk, data: &Path) -> Result<Report, CheckError> {
    let mut seen = Seen::look(disk, data, None)?;
    // A batch is kept or lost as a whole, and its events are known to be bad only when the first of them were taken.
    let again = match (seen.breach, &seen.inspection.damage) {
        (Some((lsn, _)), _) => journal::place_of(disk, data, lsn)?.map(|place| Before { place, told_behind: false }),
        (None, Some(Damage { error: JournalError::Senseless { .. }, place, .. })) => {
            Some(Before { place: place.clone(), told_behind: true })
        }
        (None, _) => None,
    };
    if let Some(before) = again {
        seen = Seen { breach: seen.breach, ..Seen::look(disk, data, Some(before))? };
    }
    let held = journal::held_because(disk, data)?;
    Ok(Report::new(data, seen, held))
}

/// Where what is kept ends, as a first look found.
struct Before {
    place: Place,
    /// What is behind it comes as what is behind a damage.
    told_behind: bool,
}

/// What was seen of a journal.
struct Seen {
    inspection: Inspection,
    /// The state before the damage.
    core: Core,
    /// The first event that breaks a promise, and which.
    breach: Option<(Lsn, &'static str)>,
    /// Where that batch begins, or one that makes no sense.
    place: Option<Place>,
    /// What stands behind the damage, or the breach.
    losses: Losses,
}

impl Seen {
    /// Replays the journal up to the damage, the first broken promise, or `before`.
    fn look(disk: &dyn Disk, data: &Path, before: Option<Before>) -> Result<Seen, CheckError> {
        let mut replay = Replay { core: Core::new(0), breach: None, losses: Losses::default(), before };
        let inspection = journal::inspect(disk, data, &mut replay, &mut |_| ())?;
        let Replay { core, breach, losses, before } = replay;
        Ok(Seen { inspection, core, breach, place: before.map(|before| before.place), losses })
    }
}

/// Replays against the promises.
struct Replay {
    core: Core,
    breach: Option<(Lsn, &'static str)>,
    losses: Losses,
    before: Option<Before>,
}

impl Inspector for Replay {
    fn begin(&mut self, state: Core) {
        (self.breach, self.losses) = (None, Losses::over(&state));
        self.core = state;
    }

    fn accept(&mut self, lsn: Lsn, event: &Event<'_>) {
        self.losses.learn(event);
        match &self.before {
            Some(before) if lsn >= before.place.lsn && before.told_behind => {}
            Some(before) if lsn >= before.place.lsn => self.losses.add(lsn, event),
            _ if self.breach.is_some() => self.losses.add(lsn, event),
            _ => match self.core.breach(lsn, event) {
                None => self.core.evolve(lsn, event),
                Some(broken) => {
                    self.breach = Some((lsn, broken));
                    self.losses.add(lsn, event);
                }
            },
        }
    }

    fn behind(&mut self, lsn: Lsn, event: &Event<'_>) {
        self.losses.learn(event);
        self.losses.add(lsn, event);
    }
}
