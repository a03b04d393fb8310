//! # backup - a consistent copy of a data directory
//! Copies the files of a running gate, or of a stopped one: a journal is consistent at every prefix, so a copy of one is.
//! May use: `settings` (its own), `remote` (a running gate), `ledger` (a copy of an SQLite file), `journal`, `ids`,
//! `exit`.
//! Promises: the copy holds all that was durable when the gate was asked, and nothing beyond; its ledger is never ahead of
//! its journal; it is read back as a start would read it; no gate over it decides a claim before it has caught up with the
//! world; a copy that was not finished is never taken for one.
//!
//! ```text
//! hold -> ledger -> checkpoint -> snapshots, history -> ask durable -> segments up to there -> read it back -> hold, with what it is
//! ```

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::core::Core;
use crate::exit::Exit;
use crate::ids::{LogId, Lsn};
use crate::journal::{self, Copied, DirectoryLock, Disk, JournalError, LockError, RealDisk};
use crate::ledger::{self, LedgerError};
use crate::remote::{BadTarget, Gate, RemoteError};
use crate::settings::BackupSettings;

/// The ledger that lies in a data directory, unless it was put elsewhere.
const LEDGER: &str = "ledger.db";

/// What the stream remembers of its topic: a hint that is never newer than the world.
const CHECKPOINT: &str = "stream.json";

/// What is no part of a copy: made anew, or told by the copy itself.
const NOT_COPIED: [&str; 9] =
    ["lock", "stale", "journal", "history", "snapshots", LEDGER, "ledger.db-wal", "ledger.db-shm", CHECKPOINT];

/// Attempts at a journal that a running gate changes meanwhile.
const TRIES_MAX: u32 = 10;

/// What a gate says over a copy that was not finished.
const UNFINISHED: &str = "a backup into this data directory was begun and not ended: make it again, elsewhere";

/// What was copied.
#[derive(Debug)]
pub struct Report {
    from: PathBuf,
    to: PathBuf,
    copied: Copied,
    ledger_bytes: Option<u64>,
    left_out: Vec<String>,
    took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Copied { log, last, bytes, files } = self.copied;
        writeln!(f, "{} is a copy of {}", self.to.display(), self.from.display())?;
        writeln!(f, "  journal {log} up to lsn {last}: {bytes} bytes in {files} files")?;
        match self.ledger_bytes {
            Some(bytes) => writeln!(f, "  ledger: {bytes} bytes")?,
            None => writeln!(f, "  no ledger: there is none in the directory")?,
        }
        for name in &self.left_out {
            writeln!(f, "  left out: {name}")?;
        }
        writeln!(f, "  in {:.3} s, read back and found sound", self.took.as_secs_f64())?;
        writeln!(
            f,
            "a gate with --data {} decides no claim before `coupon-gate catch-up` has asked Kafka or the ledger",
            self.to.display()
        )
    }
}

/// Why there is no copy.
#[derive(Debug)]
pub enum BackupError {
    /// `--target` is no place where a gate can be.
    Target(String),
    /// The place is not empty, or lies in what is to be copied.
    Place(String),
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
    /// The directory is in use, or cannot be locked.
    Lock(LockError),
    /// The gate cannot be asked.
    Gate(RemoteError),
    /// There is no journal.
    NoJournal(PathBuf),
    /// The gate's data directory is not on this machine: what it said, and what is wrong.
    Elsewhere(PathBuf, String),
    /// The journal is damaged, or cannot be copied.
    Journal(JournalError),
    /// The ledger cannot be copied.
    Ledger(LedgerError),
}

impl BackupError {
    /// How the process ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            BackupError::Target(_) | BackupError::Place(_) => Exit::Usage,
            BackupError::Journal(error) if error.is_damage() => Exit::Damaged,
            BackupError::Io(..)
            | BackupError::Lock(_)
            | BackupError::Gate(_)
            | BackupError::NoJournal(_)
            | BackupError::Elsewhere(..)
            | BackupError::Journal(_)
            | BackupError::Ledger(_) => Exit::Surroundings,
        }
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupError::Target(line) | BackupError::Place(line) => write!(f, "backup: {line}"),
            BackupError::Io(path, error) => write!(f, "backup: {}: {error}", path.display()),
            BackupError::Lock(error @ LockError::Held { .. }) => {
                write!(f, "{error}; a gate that runs is copied with --target redis://HOST:PORT")
            }
            BackupError::Lock(error) => error.fmt(f),
            BackupError::Gate(error) => write!(f, "backup: {error}"),
            BackupError::NoJournal(data) => write!(
                f,
                "backup: there is no journal in {}: name a running gate with --target, or a data directory with --data",
                data.display()
            ),
            BackupError::Elsewhere(data, why) => write!(
                f,
                "backup: the gate's data directory {} is not here: {why}; run this on the machine (or in the container) of \
                 the gate",
                data.display()
            ),
            BackupError::Journal(error) => error.fmt(f),
            BackupError::Ledger(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<JournalError> for BackupError {
    fn from(error: JournalError) -> BackupError {
        BackupError::Journal(error)
    }
}

impl From<RemoteError> for BackupError {
    fn from(error: RemoteError) -> BackupError {
        BackupError::Gate(error)
    }
}

/// Whom the data directory belongs to meanwhile.
enum Source {
    /// A running gate, which is asked how far it is safe.
    Running(Gate),
    /// Nobody: it is locked.
    Stopped(DirectoryLock),
}

/// Copies what `settings` name.
///
/// # Errors
/// What keeps it from being done. What was copied by then is removed again, as far as it can be.
#[expect(clippy::disallowed_methods, reason = "people want to know how long it took")]
pub fn command(settings: &BackupSettings) -> Result<Report, BackupError> {
    let started = Instant::now();
    let to = std::path::absolute(&settings.to).map_err(|error| BackupError::Io(settings.to.clone(), error))?;
    let (data, source) = match &settings.target {
        Some(url) => running(url, settings.password.as_ref().map(|secret| secret.reveal()))?,
        None => {
            let data = &settings.data;
            if !data.is_dir() {
                return Err(BackupError::NoJournal(data.clone()));
            }
            let lock = DirectoryLock::acquire(data, settings.lock_wait).map_err(BackupError::Lock)?;
            (data.clone(), Source::Stopped(lock))
        }
    };
    fresh(&to, &data)?;
    match copy(&RealDisk, &data, &to, source) {
        Ok((copied, ledger_bytes)) => {
            let left_out = left_out(&data);
            Ok(Report { from: data, to, copied, ledger_bytes, left_out, took: started.elapsed() })
        }
        Err(error) => {
            // The word that holds claims back goes last, with the directory.
            let _best_effort = fs::remove_dir_all(&to);
            Err(error)
        }
    }
}

/// The running gate at `url`, and its data directory, which is here.
fn running(url: &str, password: Option<&str>) -> Result<(PathBuf, Source), BackupError> {
    let target = url.parse().map_err(|bad: BadTarget| BackupError::Target(bad.to_string()))?;
    let mut gate = Gate::connect(target, password)?;
    let data = match gate.ask(&["CONFIG", "GET", "dir"])?.as_slice() {
        [name, dir] if name == "dir" => PathBuf::from(dir),
        _ => return Err(gate.lacks("its data directory").into()),
    };
    let log: LogId = gate.field("log", "the name of its journal")?;
    let elsewhere = |why: String| BackupError::Elsewhere(data.clone(), why);
    let here = journal::log_id(&RealDisk, &data)?;
    match here {
        Some(here) if here == log => Ok((data, Source::Running(gate))),
        Some(here) => Err(elsewhere(format!("there lies the journal {here}, the gate writes {log}"))),
        None => Err(elsewhere("there is no journal".to_owned())),
    }
}

/// Whether `to` is empty, or can be made, and does not lie in `data`.
fn fresh(to: &Path, data: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::Io(to.to_owned(), error);
    fs::create_dir_all(to).map_err(failed)?;
    let (whole, inside) = (fs::canonicalize(to).map_err(failed)?, fs::canonicalize(data).map_err(failed)?);
    if whole.starts_with(&inside) {
        // Only what was just made can be empty there.
        let _best_effort = fs::remove_dir(to);
        return Err(BackupError::Place(format!("{} lies in the data directory itself", to.display())));
    }
    if fs::read_dir(to).map_err(failed)?.next().is_some() {
        return Err(BackupError::Place(format!("{} is not empty: give a new directory", to.display())));
    }
    Ok(())
}

/// Copies `data` to the empty directory `to`.
fn copy(disk: &dyn Disk, data: &Path, to: &Path, source: Source) -> Result<(Copied, Option<u64>), BackupError> {
    journal::hold(disk, to, UNFINISHED)?;
    // The ledger is never ahead of a journal that is read later.
    let ledger_bytes = match data.join(LEDGER) {
        path if path.exists() => Some(ledger::copy_sqlite(&path, &to.join(LEDGER)).map_err(BackupError::Ledger)?),
        _ => None,
    };
    copy_checkpoint(data, to)?;
    let mut source = source;
    let mut tries = 1;
    let copied = loop {
        match copy_journal(disk, data, to, &mut source) {
            // The gate turns old segments into snapshots and history meanwhile: what has gone is found again elsewhere.
            Err(BackupError::Journal(_)) if matches!(source, Source::Running(_)) && tries < TRIES_MAX => {
                tries += 1;
                journal::clear(disk, to)?;
            }
            done => break done?,
        }
    };
    journal::hold(disk, to, &words(data, &copied))?;
    sync_above(to)?;
    Ok((copied, ledger_bytes))
}

/// Snapshots, history and segments, read back.
fn copy_journal(disk: &dyn Disk, data: &Path, to: &Path, source: &mut Source) -> Result<Copied, BackupError> {
    let (bytes, files) = journal::copy_bases(disk, data, to)?;
    // Asked behind them: a snapshot holds nothing that is not durable.
    let upto = match source {
        Source::Running(gate) => Some(Lsn::new(gate.field("lsn_durable", "how far it is on disk")?)),
        Source::Stopped(_lock) => None,
    };
    let copied = journal::copy(disk, data, to, upto, &mut |_| ())?;
    let copied = copied.ok_or_else(|| BackupError::NoJournal(data.to_owned()))?;
    if upto.is_some_and(|upto| copied.last != upto) {
        let why = format!("it ends at lsn {}, the gate is at {}", copied.last, upto.unwrap_or(Lsn::ZERO));
        return Err(BackupError::Elsewhere(data.to_owned(), why));
    }
    read_back(disk, to, &copied)?;
    Ok(Copied { bytes: copied.bytes + bytes, files: copied.files + files, ..copied })
}

/// Reads the copy as a start would, with all of it known to be durable.
fn read_back(disk: &dyn Disk, to: &Path, copied: &Copied) -> Result<(), BackupError> {
    let options = journal::Options { known_durable: copied.last, ..journal::Options::default() };
    let found = journal::look(disk, to, &options, &mut Core::new(0), &mut |_| ())?;
    let sound = found.is_some_and(|(log, replayed)| {
        log == copied.log && replayed.last_lsn == copied.last && replayed.torn.is_none() && replayed.behind.is_none()
    });
    match sound {
        true => Ok(()),
        false => Err(BackupError::Io(to.to_owned(), io::Error::other("the copy is not what was written; try again"))),
    }
}

fn copy_checkpoint(data: &Path, to: &Path) -> Result<(), BackupError> {
    let (from, path) = (data.join(CHECKPOINT), to.join(CHECKPOINT));
    let bytes = match fs::read(&from) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::Io(from, error)),
    };
    let written = fs::write(&path, bytes).and_then(|()| fs::File::open(&path)?.sync_all());
    written.map_err(|error| BackupError::Io(path, error))
}

/// The names of `to` and of what it lies in survive a power cut.
fn sync_above(to: &Path) -> Result<(), BackupError> {
    fs::File::open(to).and_then(|dir| dir.sync_all()).map_err(|error| BackupError::Io(to.to_owned(), error))?;
    for above in to.ancestors().skip(1) {
        // Any of them may be new. Where one may not even be opened, it was made by somebody else, long ago.
        let _ = fs::File::open(above).and_then(|dir| dir.sync_all());
    }
    Ok(())
}

/// What a gate over the copy says.
fn words(data: &Path, copied: &Copied) -> String {
    format!(
        "this data directory is a backup of {}, made at {:.0} with everything up to lsn {}: Kafka or the ledger may hold \
         grants that came later",
        data.display(),
        Timestamp::now(),
        copied.last
    )
}

/// What lies in `data` and is not in the copy.
fn left_out(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !NOT_COPIED.contains(&name.as_str())).collect();
    names.sort();
    names
}
