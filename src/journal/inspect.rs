//! A journal looked at byte by byte: what a start would make of it, and what lies behind the first damage.
//!
//! The verdict is the walk's own, so that a start and a check never differ.

use std::io;
use std::path::{Path, PathBuf};

use super::batch::{BatchHeader, SegmentHeader};
use super::recover::{self, ReplayProgress, TornTail};
use super::walk::{Found, Stop, Walk, at};
use super::{Disk, JournalError, behind, segment};
use crate::core::Event;
use crate::ids::{LogId, Lsn, Millis};

/// What a journal is like.
#[derive(Debug)]
pub struct Inspection {
    /// Its name; none where there is no journal.
    pub log: Option<LogId>,
    /// Its files in order.
    pub files: Vec<FileFacts>,
    /// The last position that a start, or what stands before the damage, accepts.
    pub last: Lsn,
    /// The newest time up to there.
    pub newest_at: Millis,
    /// What is wrong, if anything is.
    pub damage: Option<Damage>,
    /// An unfinished write at the end.
    pub torn: Option<TornTail>,
}

/// A file in the journal's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Its length.
    pub bytes: u64,
    /// The first position in it; `ZERO` where there is none.
    pub first: Lsn,
    /// The last one.
    pub last: Lsn,
}

/// What a file in the journal's directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A segment that a start accepts.
    Sound,
    /// A segment with the damage in it, or behind it.
    Doubtful,
    /// Made ahead, and never begun.
    Spare,
    /// Not finished by a process that was killed; the next start removes it.
    Unfinished,
    /// Not a file of the journal.
    Foreign,
}

/// The first damage, and what lies behind it.
#[derive(Clone, Debug)]
pub struct Damage {
    /// As a start would tell it.
    pub error: JournalError,
    /// Where what stands before it ends.
    pub place: Place,
    /// What cannot be read, from there on.
    pub gaps: Vec<Gap>,
    /// The last position that was read behind it; the one before the damage where there is none.
    pub end: Lsn,
}

/// A place between two batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment's number.
    pub number: u64,
    /// The segment.
    pub path: PathBuf,
    /// Where in it; 0 is before its header.
    pub offset: u64,
    /// The first position behind it.
    pub lsn: Lsn,
}

/// Bytes that are no batch, and the positions that were in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The segment.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The first position that cannot be read.
    pub first: Lsn,
    /// The last one; before `first` where none is lost; none where nothing behind it tells.
    pub last: Option<Lsn>,
}

/// Hands on an event with its position.
pub type Visit<'v> = &'v mut dyn FnMut(Lsn, &Event<'_>);

/// Looks at the journal in the data directory `data`, which nobody may be writing; changes nothing. `visit` gets what a
/// start would accept up to the first damage, `behind` what is sound behind it.
///
/// # Errors
/// The disk says no, or a file is of a newer release.
pub fn inspect(
    disk: &dyn Disk,
    data: &Path,
    visit: Visit<'_>,
    behind: Visit<'_>,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Inspection, JournalError> {
    let dir = segment::directory(data);
    let names = match disk.list(&dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(JournalError::io("listing", &dir, &error)),
    };
    let mut found = Vec::new();
    for number in segment::numbers(&names) {
        found.push((number, open(disk, &dir, number)?));
    }
    let together = found.iter().zip(1..).take_while(|((number, _), expected)| number == expected).count();
    let gap = (together < found.len()).then(|| together as u64 + 1);
    let behind_gap: Vec<(u64, Found)> = found.split_off(together);
    let found: Vec<Found> = found.into_iter().map(|(_, found)| found).collect();

    let mut inspection = walk(disk, &found, &dir, gap, visit, progress)?;
    let numbered: Vec<(u64, &Found)> =
        (1..).zip(&found).chain(behind_gap.iter().map(|(number, found)| (*number, found))).collect();
    if let Some(damage) = &mut inspection.damage {
        let doubtful = behind::scan(disk, &numbered, damage, behind)?;
        inspection.files.extend(doubtful);
    }
    for (_, found) in numbered {
        if !inspection.files.iter().any(|facts| facts.path == found.path) {
            inspection.files.push(FileFacts::of(found, FileKind::Spare, Lsn::ZERO, Lsn::ZERO));
        }
    }
    add_others(disk, &dir, &names, &mut inspection.files)?;
    inspection.files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(inspection)
}

/// Files that are no segments.
fn add_others(disk: &dyn Disk, dir: &Path, names: &[String], files: &mut Vec<FileFacts>) -> Result<(), JournalError> {
    for name in names {
        let path = dir.join(name);
        if files.iter().any(|facts| facts.path == path) {
            continue;
        }
        let kind = if segment::is_unfinished(name) { FileKind::Unfinished } else { FileKind::Foreign };
        let len = disk.open(&path).and_then(|file| file.len());
        // A directory has no length here.
        let bytes = if kind == FileKind::Foreign {
            len.unwrap_or(0)
        } else {
            len.map_err(|e| JournalError::io("reading", &path, &e))?
        };
        files.push(FileFacts { path, kind, bytes, first: Lsn::ZERO, last: Lsn::ZERO });
    }
    Ok(())
}

/// The batch that holds `lsn`, of the journal in `data`, as a place to cut it at. The journal is sound up to there.
pub fn place_of(disk: &dyn Disk, data: &Path, lsn: Lsn) -> Result<Option<Place>, JournalError> {
    let dir = segment::directory(data);
    for number in segment::list(disk, &dir)?.into_iter().rev() {
        let found = open(disk, &dir, number)?;
        let Some(header) = found.header.filter(|header| header.first_lsn <= lsn) else { continue };
        let mut bytes = Vec::new();
        found.read(disk, &mut bytes, found.len)?;
        let mut offset = u64::from(header.block_bytes);
        while let Some(batch) = batch_at(&bytes, offset, &header) {
            if batch.first_lsn <= lsn && lsn <= batch.last_lsn() && batch.count > 0 {
                return Ok(Some(Place { number, path: found.path, offset, lsn: batch.first_lsn }));
            }
            offset += batch.padded(u64::from(header.block_bytes));
        }
        return Ok(None);
    }
    Ok(None)
}

/// The sound batch at `offset`.
pub(super) fn batch_at(bytes: &[u8], offset: u64, header: &SegmentHeader) -> Option<BatchHeader> {
    BatchHeader::read(at(bytes, offset)?, header.salt, u64::from(header.block_bytes)).ok()
}

/// The file of segment `number`, with its header if that is sound.
pub(super) fn open(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Found, JournalError> {
    let path = segment::path(dir, number);
    let file = disk.open(&path).map_err(|error| JournalError::io("opening", &path, &error))?;
    let len = file.len().map_err(|error| JournalError::io("reading", &path, &error))?;
    let header = segment::header(file.as_ref(), &path, number)?;
    Ok(Found { path, len, header })
}

/// Walks over the segments up to `gap`, the first number that is not there, as a start does.
fn walk(
    disk: &dyn Disk,
    found: &[Found],
    dir: &Path,
    gap: Option<u64>,
    visit: Visit<'_>,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Inspection, JournalError> {
    let log = found.iter().find_map(|found| found.header).map(|header| header.log);
    let kept = found.iter().rposition(|found| found.header.is_some()).map_or(0, |last| last + 1);
    let mut walk = Walk::new(disk, found, log.unwrap_or(LogId::NONE), visit, progress);
    let mut files = Vec::new();
    let (mut stop, mut bytes) = (Stop::default(), Vec::new());
    let mut error = None;
    for index in 0..kept {
        let before = walk.next;
        match walk.segment(&found[..kept], index, &mut bytes) {
            Ok(end) => stop = end,
            Err(refused) => {
                error = Some((refused, index as u64 + 1));
                break;
            }
        }
        files.push(FileFacts::of(&found[index], FileKind::Sound, before, walk.next.prev()));
    }
    let mut torn = None;
    let verdict = match (error, gap) {
        (Some(refused), _) => Err(refused),
        (None, Some(number)) => Err((JournalError::Missing { path: segment::path(dir, number) }, number)),
        (None, None) if kept == 0 => recover::check_never_begun(disk, found).map_err(|error| (error, 1)),
        (None, None) => match walk.tail(&found[kept - 1..], &stop, &bytes, Lsn::ZERO) {
            Ok(tail) => {
                torn = tail;
                Ok(())
            }
            Err(error) => Err((error, kept as u64)),
        },
    };
    let (last, newest_at) = (walk.next.prev(), walk.newest_at);
    let damage = match verdict {
        Ok(()) => None,
        Err((error, number)) => Some(Damage::of(error, number, last, dir)?),
    };
    if let Some(damage) = &damage {
        files.truncate(usize::try_from(damage.place.number - 1).unwrap_or(usize::MAX));
    }
    Ok(Inspection { log, files, last, newest_at, damage, torn })
}

impl FileFacts {
    pub(super) fn of(found: &Found, kind: FileKind, first: Lsn, last: Lsn) -> FileFacts {
        let first = if first <= last { first } else { Lsn::ZERO };
        let last = if first > Lsn::ZERO { last } else { Lsn::ZERO };
        FileFacts { path: found.path.clone(), kind, bytes: found.len, first, last }
    }
}

impl Damage {
    /// What a start says of segment `number`, or of one behind it; `last` is the last position that was accepted.
    fn of(error: JournalError, number: u64, last: Lsn, dir: &Path) -> Result<Damage, JournalError> {
        let (path, offset) = match &error {
            JournalError::Rot { path, offset, .. } | JournalError::Senseless { path, offset, .. } => (path, *offset),
            JournalError::Missing { path } => (path, 0),
            JournalError::Io { .. }
            | JournalError::OtherLog { .. }
            | JournalError::Newer { .. }
            | JournalError::Setting { .. }
            | JournalError::Random { .. }
            | JournalError::Stopped => return Err(error),
        };
        // The verdict on the last segment can be about the one behind it.
        let number = (number..).take(2).find(|number| segment::path(dir, *number) == *path).unwrap_or(number);
        let place = Place { number, path: path.clone(), offset, lsn: last.next() };
        Ok(Damage { error, place, gaps: Vec::new(), end: last })
    }
}
