//! A journal looked at byte by byte: what a start would make of it, and what lies behind the first damage.
//!
//! The verdict is the walk's own, so that a start and a check never differ.

use std::io;
use std::path::{Path, PathBuf};

use super::bases::Bases;
use super::batch::{BatchHeader, SegmentHeader};
use super::recover::{self, ReplayProgress, TornTail};
use super::snapshot::{self, Covered};
use super::walk::{Found, Stop, Walk, WalkState, at};
use super::{Disk, JournalError, behind, history, segment};
use crate::core::{Core, Event};
use crate::ids::{LogId, Lsn, Millis};

/// What a journal is like.
#[derive(Debug)]
pub struct Inspection {
    /// Its name; none where there is no journal.
    pub log: Option<LogId>,
    /// Its files: snapshots, history, segments.
    pub files: Vec<FileFacts>,
    /// The last position that a start, or what stands before the damage, accepts.
    pub last: Lsn,
    /// The newest time up to there.
    pub newest_at: Millis,
    /// What keeps a start from being exact, if anything does.
    pub damage: Option<Damage>,
    /// Damage that a start gets by without.
    pub aside: Vec<Aside>,
    /// An unfinished write at the end.
    pub torn: Option<TornTail>,
}

/// A file in the journal's directories.
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

/// What a file in the journal's directories is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A snapshot.
    Snapshot,
    /// Old segments reduced to what happened to campaigns.
    History,
    /// A segment that a start accepts.
    Sound,
    /// A segment with the damage in it, or behind it.
    Doubtful,
    /// A damaged file that a start gets by without.
    Damaged,
    /// A segment that every snapshot covers.
    Covered,
    /// Made ahead, and never begun.
    Spare,
    /// Not finished by a process that was killed; the next start removes it.
    Unfinished,
    /// Not a file of the journal.
    Foreign,
}

/// The first damage that a start stops at, and what lies behind it.
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

/// Damage that the newest sound snapshot makes good: the state is whole, the story or the way back is not.
#[derive(Clone, Debug)]
pub struct Aside {
    /// The file.
    pub path: PathBuf,
    /// What is wrong there.
    pub error: JournalError,
    /// A start goes on without the file alone; else without all up to this segment.
    pub upto: Option<u64>,
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

/// Takes what is found, in order.
pub trait Inspector {
    /// What follows is replayed over this state, instead of what was told before.
    fn begin(&mut self, state: Core);
    /// An event that a start would accept.
    fn accept(&mut self, lsn: Lsn, event: &Event<'_>);
    /// An event that is sound behind the damage.
    fn behind(&mut self, lsn: Lsn, event: &Event<'_>);
}

/// Looks at all that is kept of the journal in the data directory `data`, which nobody may be writing; changes nothing.
/// Replay begins at the oldest sound snapshot, so that every segment is read that any start could need.
///
/// # Errors
/// The disk says no, or a file is of a newer release.
pub fn inspect(
    disk: &dyn Disk,
    data: &Path,
    into: &mut dyn Inspector,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Inspection, JournalError> {
    let dir = segment::directory(data);
    let log = recover::log_id(disk, &dir)?;
    let mut bases = Bases::look(disk, &dir, log.unwrap_or(LogId::NONE))?;
    let mut inspection = segments(disk, &dir, &bases, bases.oldest, into, progress)?;
    if let (Some(damage), Some(newest)) = (&inspection.damage, bases.newest)
        && bases.oldest.is_some_and(|oldest| oldest.segment < newest.segment)
        && damage.place.number <= newest.segment
    {
        let (path, error) = (damage.place.path.clone(), damage.error.clone());
        bases.aside.push(Aside { path: path.clone(), error, upto: Some(newest.segment) });
        inspection = segments(disk, &dir, &bases, Some(newest), into, progress)?;
        if let Some(facts) = inspection.files.iter_mut().find(|facts| facts.path == path) {
            facts.kind = FileKind::Damaged;
        }
    }
    bases.history(disk, &dir, &inspection)?;
    inspection.log = log;
    inspection.files.append(&mut bases.files);
    inspection.aside = bases.aside;
    for dir in [&dir, &snapshot::directory(&dir), &history::directory(&dir)] {
        add_others(disk, dir, &mut inspection.files)?;
    }
    inspection.files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(inspection)
}

/// The batch that holds `lsn`, of the journal in `data`, as a place to cut it at. The journal is sound up to there.
pub fn place_of(disk: &dyn Disk, data: &Path, lsn: Lsn) -> Result<Option<Place>, JournalError> {
    let dir = segment::directory(data);
    for number in segment::list(disk, &dir)?.into_iter().rev() {
        let found = Found::look(disk, &dir, number)?;
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

/// Reads the segments behind `base`, and those that are covered by it, if they are there.
fn segments(
    disk: &dyn Disk,
    dir: &Path,
    bases: &Bases,
    base: Option<Covered>,
    into: &mut dyn Inspector,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Inspection, JournalError> {
    let after = base.map_or(0, |base| base.segment);
    let mut all = Vec::new();
    for number in segment::list(disk, dir)? {
        all.push((number, Found::look(disk, dir, number)?));
    }
    let before = all.iter().take_while(|(number, _)| *number <= after).count();
    let behind = all.split_off(before);
    let together = behind.iter().zip(after + 1..).take_while(|((number, _), expected)| number == expected).count();
    let lost = match base {
        // A snapshot is made when the header behind it is on disk.
        Some(_) if behind.is_empty() => Some(after + 1),
        // A snapshot is there, and cannot be begun at: so there was a beginning.
        None if behind.is_empty() && !bases.aside.is_empty() => Some(1),
        _ => (together < behind.len()).then_some(after + 1 + together as u64),
    };
    let (numbers, mut found): (Vec<u64>, Vec<Found>) = behind.into_iter().unzip();
    let further = found.split_off(together);
    into.begin(bases.state(disk, dir, base)?);
    let mut inspection = walk(disk, dir, &found, (base, bases.newest_at), lost, into, progress)?;
    let numbered: Vec<(u64, &Found)> = numbers.iter().copied().zip(found.iter().chain(&further)).collect();
    if let Some(damage) = &mut inspection.damage {
        if base.is_none()
            && numbers.first().is_none_or(|first| *first > 1)
            && let Some(snapshot) = bases.aside.last()
        {
            // Without a snapshot there is no beginning.
            damage.error = snapshot.error.clone();
            damage.place = Place { number: 1, path: snapshot.wanted().to_path_buf(), offset: 0, lsn: Lsn::new(1) };
        }
        let doubtful = behind::scan(disk, &numbered, damage, &mut |lsn, event| into.behind(lsn, event))?;
        inspection.files.extend(doubtful);
    }
    let kinds = all.iter().map(|(_, found)| (found, FileKind::Covered));
    for (found, kind) in kinds.chain(numbered.iter().map(|(_, found)| (*found, FileKind::Spare))) {
        if !inspection.files.iter().any(|facts| facts.path == found.path) {
            inspection.files.push(FileFacts::of(found, kind, Lsn::ZERO, Lsn::ZERO));
        }
    }
    Ok(inspection)
}

/// Walks over the segments up to `lost`, the first number that is not there, as a start does.
fn walk(
    disk: &dyn Disk,
    dir: &Path,
    found: &[Found],
    (base, newest_at): (Option<Covered>, Millis),
    lost: Option<u64>,
    into: &mut dyn Inspector,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Inspection, JournalError> {
    let first = base.map_or(1, |base| base.segment + 1);
    let log = found.iter().find_map(|found| found.header).map(|header| header.log);
    let kept = found.iter().rposition(|found| found.header.is_some()).map_or(0, |last| last + 1);
    let mut visit = |lsn: Lsn, event: &Event<'_>| into.accept(lsn, event);
    let mut walk = Walk::new(disk, found, log.unwrap_or(LogId::NONE), &mut visit, progress);
    if let Some(base) = &base {
        walk.resume(WalkState::behind(base, newest_at));
    }
    let mut files = Vec::new();
    let (mut stop, mut bytes) = (Stop::default(), Vec::new());
    let mut error = None;
    for index in 0..kept {
        let before = walk.next;
        match walk.segment(&found[..kept], index, &mut bytes) {
            Ok(end) => stop = end,
            Err(refused) => {
                error = Some((refused, first + index as u64));
                break;
            }
        }
        files.push(FileFacts::of(&found[index], FileKind::Sound, before, walk.next.prev()));
    }
    let mut torn = None;
    let verdict = match (error, lost) {
        (Some(refused), _) => Err(refused),
        (None, Some(number)) => Err((JournalError::Missing { path: segment::path(dir, number) }, number)),
        (None, None) if kept == 0 && base.is_some() => {
            Err((found[0].rot(0, walk.next, walk.next.prev(), "the segment header is damaged"), first))
        }
        (None, None) if kept == 0 => recover::check_never_begun(disk, dir).map_err(|error| (error, 1)),
        (None, None) => match walk.tail(&found[kept - 1..], &stop, &bytes, Lsn::ZERO) {
            Ok(tail) => {
                torn = tail;
                Ok(())
            }
            Err(error) => Err((error, first + kept as u64 - 1)),
        },
    };
    let (last, newest_at) = (walk.next.prev(), walk.newest_at);
    let damage = match verdict {
        Ok(()) => None,
        Err((error, number)) => Some(Damage::of(error, number, last, dir)?),
    };
    if let Some(damage) = &damage {
        files.truncate(usize::try_from(damage.place.number.saturating_sub(first)).unwrap_or(usize::MAX));
    }
    Ok(Inspection { log, files, last, newest_at, damage, aside: Vec::new(), torn })
}

/// Files that are no segments, snapshots or history.
fn add_others(disk: &dyn Disk, dir: &Path, files: &mut Vec<FileFacts>) -> Result<(), JournalError> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed.map_err(|error| JournalError::io("listing", dir, &error))?,
    };
    for name in names {
        let path = dir.join(&name);
        if files.iter().any(|facts| facts.path == path) {
            continue;
        }
        let kind = if segment::is_unfinished(&name) { FileKind::Unfinished } else { FileKind::Foreign };
        // A directory has no length here.
        let bytes = disk.open(&path).and_then(|file| file.len()).unwrap_or(0);
        files.push(FileFacts { path, kind, bytes, first: Lsn::ZERO, last: Lsn::ZERO });
    }
    Ok(())
}

impl Aside {
    /// The file to restore: what must lie behind a snapshot can be missing, and then the snapshot itself is sound.
    pub fn wanted(&self) -> &Path {
        if let JournalError::Missing { path } = &self.error { path } else { &self.path }
    }
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
