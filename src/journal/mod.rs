//! # journal - every change on disk, in order, before its answer
//! A write-ahead journal with group commit: while one batch is being synced the loop fills the next.
//! May use: `core` (events, the state as pieces), `grant`, `ids`, `limits`, `metrics`, `watermark`, `snapshots`, `edge`,
//! `rank`, `sabotage`.
//! Promises: `durable` never passes what a power cut would take; a group is there whole or not at all; damage below the
//! durable mark is refused with its place, damage above it is cut and told; a failed write or sync is never retried.
//!
//! ```text
//! loop      room -> append, append, amend ... seal ->        tick        answerable
//! writer              one batch in flight: write + sync -> durable       maker: the next segment, ahead of its need
//! recover   read all, tell torn from rot, write again what may be in the page cache only, open a fresh segment
//! compactor snapshots of what is sealed, history of what they cover
//! reader    follows the files up to a watermark
//! read_only reads the files as of now, whoever writes them
//! inspect   names every damage and what is sound behind it; cut ends a journal before it; copy makes a prefix of one
//! ```

mod base;
mod bases;
mod batch;
mod behind;
mod bytes;
mod compactor;
mod copy;
mod cut;
mod disk;
mod grants;
#[cfg(any(test, feature = "sim"))]
mod hands;
mod history;
mod hold;
mod inspect;
mod lock;
mod maker;
#[cfg(test)]
pub(crate) mod memory;
mod open;
mod read_only;
mod reader;
mod record;
mod recover;
#[cfg(test)]
pub(crate) mod scribe;
mod segment;
mod snapshot;
mod sync;
#[cfg(test)]
mod tests;
mod walk;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
use base::Base;
use batch::BATCH_HEADER_BYTES;
pub use compactor::{Compaction, Compactor, CompactorHandle};
pub use copy::{Copied, clear, copy, copy_bases};
pub use cut::{cut, forget};
pub use disk::{Disk, DiskFile, RealDisk};
pub use grants::{Campaign, Campaigns, NoSuchCampaign};
#[cfg(any(test, feature = "sim"))]
pub(crate) use hands::{Hands, exchange_batch};
pub use hold::{held_because, hold, let_go};
pub use inspect::{Aside, Damage, FileFacts, FileKind, Gap, Inspection, Inspector, Place, Visit, inspect, place_of};
pub use lock::{DirectoryLock, LockError};
pub use open::{Answerable, Open, Room};
pub use read_only::{ReadOnly, read_only};
pub use reader::{Batch, Reader, kept_from};
pub use record::{BadRecord, Records, record_bytes_max};
pub use recover::{ReplayProgress, Replayed, TornTail};

use crate::core::{Core, Event};
use crate::edge;
use crate::ids::{LogId, Lsn};
use crate::limits;
use crate::metrics::Figures;
use crate::snapshots::Snapshot;
use crate::watermark::Watermarks;

/// When a batch counts as safe enough to answer from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Appendfsync {
    /// After its own sync.
    #[default]
    Always,
    /// After `write(2)`; synced each second in the background.
    Everysec,
    /// After `write(2)`; synced every few seconds in the background.
    No,
}

/// How a journal is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Length of a segment file.
    pub segment_bytes: u64,
    /// What a batch is aligned to; a multiple of the disk's own sector in earnest, smaller in tests. Divides `segment_bytes`.
    pub block_bytes: u64,
    /// Longest batch, its header included.
    pub batch_bytes_max: usize,
    /// When answers leave.
    pub appendfsync: Appendfsync,
    /// The highest position that the world around (Kafka, the ledger) has seen durable: damage below it is rot.
    pub known_durable: Lsn,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: limits::SEGMENT_BYTES,
            block_bytes: limits::BLOCK_BYTES,
            batch_bytes_max: limits::BATCH_BYTES_MAX,
            appendfsync: Appendfsync::Always,
            known_durable: Lsn::ZERO,
        }
    }
}

/// Whom the journal tells.
#[derive(Clone)]
pub struct Hooks {
    /// `durable` is moved here; at the end of replay `applied` and `staged` too.
    pub watermarks: Arc<Watermarks>,
    /// `journal_bytes` and `journal_trouble` are kept here.
    pub figures: Arc<Figures>,
    /// Called, from other threads, when more has become answerable or `room` may answer otherwise.
    pub on_progress: Arc<dyn Fn() + Send + Sync>,
    /// Called once, from another thread, when a write or sync has failed: nothing is written or answered after that.
    pub on_failure: Arc<dyn Fn(JournalError) + Send + Sync>,
}

/// A journal. `State` says what it can do: one that has not been replayed has no `append`.
#[derive(Debug)]
pub struct Journal<State> {
    state: State,
}

/// Not yet replayed.
pub struct Closed {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: Options,
    log: LogId,
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").field("dir", &self.dir).field("log", &self.log).finish_non_exhaustive()
    }
}

impl Journal<Closed> {
    /// Looks at the journal in the data directory `data`, which is made if missing. Changes nothing else yet.
    pub fn open(disk: Arc<dyn Disk>, data: &Path, options: Options) -> Result<Journal<Closed>, JournalError> {
        Journal::open_named(disk, data, options, None)
    }

    /// As `open`, of the journal that the world knows as `log`: a new one gets that name.
    ///
    /// # Errors
    /// `OtherLog` where there is a journal of another name.
    pub fn open_as(
        disk: Arc<dyn Disk>,
        data: &Path,
        options: Options,
        log: LogId,
    ) -> Result<Journal<Closed>, JournalError> {
        Journal::open_named(disk, data, options, Some(log))
    }

    fn open_named(
        disk: Arc<dyn Disk>,
        data: &Path,
        options: Options,
        name: Option<LogId>,
    ) -> Result<Journal<Closed>, JournalError> {
        options.check()?;
        let dir = segment::directory(data);
        make_dir(disk.as_ref(), &dir)?;
        for above in data.ancestors().skip(1) {
            // Any of them may be new. Where one may not even be opened, it was made by somebody else, long ago.
            let _ = disk.sync_dir(if above.as_os_str().is_empty() { Path::new(".") } else { above });
        }
        let log = match (recover::log_id(disk.as_ref(), &dir)?, name) {
            (Some(log), Some(wanted)) if log != wanted => return Err(JournalError::OtherLog { dir, log, wanted }),
            (Some(log), _) | (None, Some(log)) => log,
            (None, None) => LogId(random()?),
        };
        Ok(Journal { state: Closed { disk, dir, options, log } })
    }

    /// The random name of this journal: made with its first segment.
    pub fn log_id(&self) -> LogId {
        self.state.log
    }

    /// The world around has seen `lsn` durable: damage below it is rot, and a journal that ends before it is `behind`.
    pub fn expect_durable(&mut self, lsn: Lsn) {
        self.state.options.known_durable = self.state.options.known_durable.max(lsn);
    }

    /// Reads all of it into `core`, makes it safe, opens a fresh segment and starts the journal's threads.
    pub fn replay(
        self,
        core: &mut Core,
        hooks: Hooks,
        progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<(Journal<Open>, Replayed), JournalError> {
        let Closed { disk, dir, options, log } = self.state;
        let base = base::restore(disk.as_ref(), &dir, log, core, progress)?;
        core.defer_users();
        let mut visit = |lsn, event: &Event<'_>| core.evolve(lsn, event);
        let (start, replayed) = recover::recover(&disk, &dir, &options, log, &base, &mut visit, progress)?;
        core.index_users();
        if let Some(covered) = base.covered {
            let (lsn, bytes, at) = (covered.next.prev(), base.bytes, base.made_at);
            hooks.watermarks.snapshots.found(Snapshot { lsn, bytes, at });
        }
        let state = Open::start(disk, dir, &options, hooks, start, &replayed)?;
        Ok((Journal { state }, replayed))
    }

    /// As `replay`, into anything that takes events, of a journal without snapshots.
    #[cfg(test)]
    pub(crate) fn replay_into(
        self,
        visit: &mut dyn FnMut(Lsn, &Event<'_>),
        hooks: Hooks,
        progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<(Journal<Open>, Replayed), JournalError> {
        let Closed { disk, dir, options, log } = self.state;
        let (start, replayed) = recover::recover(&disk, &dir, &options, log, &Base::default(), visit, progress)?;
        let state = Open::start(disk, dir, &options, hooks, start, &replayed)?;
        Ok((Journal { state }, replayed))
    }
}

/// The name of the journal in the data directory `data`, of a running gate too; `None` where there is none.
pub fn log_id(disk: &dyn Disk, data: &Path) -> Result<Option<LogId>, JournalError> {
    recover::log_id(disk, &segment::directory(data))
}

/// Reads the journal in the data directory `data` into `core`, which is empty, as a start would, and changes nothing.
/// Nobody may be writing it. Answers its name and what was found; `None` where there is no journal.
pub fn look(
    disk: &dyn Disk,
    data: &Path,
    options: &Options,
    core: &mut Core,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Option<(LogId, Replayed)>, JournalError> {
    let dir = segment::directory(data);
    let Some(log) = recover::log_id(disk, &dir)? else {
        return recover::check_never_begun(disk, &dir).map(|()| None);
    };
    let base = base::restore(disk, &dir, log, core, progress)?;
    core.defer_users();
    let mut visit = |lsn, event: &Event<'_>| core.evolve(lsn, event);
    let replayed = recover::look(disk, &dir, options, log, &base, &mut visit, progress)?;
    core.index_users();
    Ok(Some((log, replayed)))
}

/// Makes a directory in a data directory, for good.
fn make_dir(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    disk.create_dir_all(dir).map_err(|error| JournalError::io("making", dir, &error))?;
    let above = dir.parent().unwrap_or(dir);
    disk.sync_dir(above).map_err(|error| JournalError::io("syncing", above, &error))
}

impl Options {
    fn check(&self) -> Result<(), JournalError> {
        let block = self.block_bytes;
        let longest = (self.batch_bytes_max as u64).next_multiple_of(block.max(1));
        let wrong = if block < batch::SEGMENT_HEADER_BYTES as u64 || block > segment::BLOCK_BYTES_MAX {
            "a block must hold a header, and at most 64 KiB"
        } else if !self.segment_bytes.is_multiple_of(block) {
            "a segment must be a multiple of the block"
        } else if self.batch_bytes_max <= BATCH_HEADER_BYTES || longest > u64::from(u32::MAX) / 2 {
            "a batch must hold an event and stay below 2 GiB"
        } else if block + longest + block > self.segment_bytes {
            "a segment must hold its header, the longest batch and a closing one"
        } else {
            return Ok(());
        };
        Err(JournalError::Setting { what: wrong })
    }
}

/// Bytes that nobody can foresee.
fn random<const N: usize>() -> Result<[u8; N], JournalError> {
    edge::random().map_err(|error| JournalError::Random { reason: error.to_string() })
}

/// What can go wrong with a journal: what, where, what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// The disk said no.
    Io {
        /// What was being done, as in "writing".
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// Bytes that had been durable are damaged or gone.
    Rot {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The first position that cannot be read.
        lsn: Lsn,
        /// Up to where the journal is known to have been durable.
        mark: Lsn,
        /// What is wrong there.
        what: &'static str,
    },
    /// A segment between others, or the first one, is not there.
    Missing {
        /// The segment.
        path: PathBuf,
    },
    /// There is a journal, and it is not the one asked for.
    OtherLog {
        /// Where.
        dir: PathBuf,
        /// Its name.
        log: LogId,
        /// The name asked for.
        wanted: LogId,
    },
    /// Sound bytes of a form that this release does not know.
    Newer {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// Which form.
        what: String,
    },
    /// A batch with a good checksum whose records make no sense.
    Senseless {
        /// The segment.
        path: PathBuf,
        /// Where the batch begins.
        offset: u64,
        /// What is wrong.
        what: BadRecord,
    },
    /// Sizes that cannot work together.
    Setting {
        /// What would be right.
        what: &'static str,
    },
    /// The system gave no random bytes.
    Random {
        /// The operating system's words.
        reason: String,
    },
    /// The journal thread ended before its work was done.
    Stopped,
}

impl JournalError {
    pub(crate) fn io(doing: &'static str, path: &Path, error: &io::Error) -> JournalError {
        JournalError::Io { doing, path: path.to_path_buf(), reason: error.to_string() }
    }

    /// The data itself is damaged, missing or of another release; not its surroundings.
    pub fn is_damage(&self) -> bool {
        match self {
            JournalError::Rot { .. }
            | JournalError::Missing { .. }
            | JournalError::Newer { .. }
            | JournalError::Senseless { .. } => true,
            JournalError::Io { .. }
            | JournalError::OtherLog { .. }
            | JournalError::Setting { .. }
            | JournalError::Random { .. }
            | JournalError::Stopped => false,
        }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Io { doing, path, reason } => {
                write!(f, "journal: {doing} {} failed: {reason}", path.display())
            }
            JournalError::Rot { path, offset, lsn, mark, what } => write!(
                f,
                "journal: {}:{offset} (lsn {lsn}): {what}, but the journal was durable up to lsn {mark}; nothing was \
                 changed; restore the file from a copy of the data directory",
                path.display()
            ),
            JournalError::Missing { path } => {
                write!(f, "journal: {} is missing; restore the file from a copy of the data directory", path.display())
            }
            JournalError::OtherLog { dir, log, wanted } => write!(
                f,
                "journal: {} is the journal {log}, not {wanted}; choose an empty directory or that of {wanted}",
                dir.display()
            ),
            JournalError::Newer { path, offset, what } => write!(
                f,
                "journal: {}:{offset}: {what}; start the release that wrote it, or a later one",
                path.display()
            ),
            JournalError::Senseless { path, offset, what } => write!(
                f,
                "journal: {}:{offset}: {what}; the checksum is good, so this was written so: keep a copy of the data \
                 directory and report it",
                path.display()
            ),
            JournalError::Setting { what } => write!(f, "journal: {what}"),
            JournalError::Random { reason } => write!(f, "journal: the system gave no random bytes: {reason}"),
            JournalError::Stopped => write!(f, "journal: its thread ended before its work was done"),
        }
    }
}

impl std::error::Error for JournalError {}
