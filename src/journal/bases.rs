//! Snapshots and history, every byte of them: which can be begun at, and what is wrong with the others.

use std::path::Path;

use super::inspect::{Aside, FileFacts, FileKind, Inspection};
use super::snapshot::{self, Covered, Snapshot};
use super::walk::{Found, Walk, WalkState};
use super::{Disk, JournalError, history, segment};
use crate::core::{Core, Event};
use crate::ids::{LogId, Lsn, Millis};

/// What lies beside the segments.
#[derive(Default)]
pub(super) struct Bases {
    /// The oldest sound snapshot.
    pub oldest: Option<Covered>,
    /// The newest one.
    pub newest: Option<Covered>,
    /// The newest time in either.
    pub newest_at: Millis,
    pub files: Vec<FileFacts>,
    pub aside: Vec<Aside>,
}

impl Bases {
    /// Reads every snapshot of the journal `log` as a start would.
    pub fn look(disk: &dyn Disk, dir: &Path, log: LogId) -> Result<Bases, JournalError> {
        let mut bases = Bases::default();
        let last = segment::list(disk, dir)?.last().copied().unwrap_or(0);
        for number in snapshot::list(disk, dir)? {
            let path = snapshot::path(dir, number);
            let mut facts = FileFacts { path, kind: FileKind::Snapshot, bytes: 0, first: Lsn::ZERO, last: Lsn::ZERO };
            facts.bytes = disk.open(&facts.path).and_then(|file| file.len()).unwrap_or(0);
            // A start begins at none that has no segment behind it: its header was there when the snapshot was made.
            let missing = (last <= number).then(|| JournalError::Missing { path: segment::path(dir, number + 1) });
            match read(disk, dir, number, log).and_then(|base| missing.map_or(Ok(base), Err)) {
                Ok((covered, core)) => {
                    (facts.first, facts.last) = (Lsn::new(1), covered.next.prev());
                    bases.oldest.get_or_insert(covered);
                    bases.newest = Some(covered);
                    bases.newest_at = bases.newest_at.max(core.newest_at());
                }
                Err(error) if error.is_damage() && !matches!(error, JournalError::Newer { .. }) => {
                    facts.kind = FileKind::Damaged;
                    bases.aside.push(Aside { path: facts.path.clone(), error, upto: None });
                }
                Err(error) => return Err(error),
            }
            bases.files.push(facts);
        }
        Ok(bases)
    }

    /// The state that replay begins with behind `base`.
    pub fn state(&self, disk: &dyn Disk, dir: &Path, base: Option<Covered>) -> Result<Core, JournalError> {
        match base {
            Some(base) => read(disk, dir, base.segment, base.log).map(|(_, core)| core),
            None => Ok(Core::new(0)),
        }
    }

    /// Reads every history file, and sees that nothing is missing up to the segments.
    pub fn history(&mut self, disk: &dyn Disk, dir: &Path, segments: &Inspection) -> Result<(), JournalError> {
        let upto = self.newest.map(|newest| newest.segment);
        let mut next: Option<Lsn> = None;
        for number in segment::list(disk, &history::directory(dir))? {
            let path = history::path(dir, number);
            let found = whole(disk, path, number)?;
            let mut facts = FileFacts::of(&found, FileKind::History, Lsn::ZERO, Lsn::ZERO);
            match check(disk, &found) {
                Ok((first, last)) => {
                    (facts.first, facts.last) = (first, last);
                    if next.is_some_and(|next| first > next) {
                        let error = JournalError::Missing { path: found.path.clone() };
                        self.aside.push(Aside { path: found.path.clone(), error, upto });
                    }
                    next = Some(last.next());
                }
                Err(error) if error.is_damage() && !matches!(error, JournalError::Newer { .. }) => {
                    facts.kind = FileKind::Damaged;
                    self.aside.push(Aside { path: found.path.clone(), error, upto });
                    next = found.header.map(|header| header.durable.next());
                }
                Err(error) => return Err(error),
            }
            self.files.push(facts);
        }
        let first = segments.files.iter().map(|facts| facts.first).filter(|first| *first > Lsn::ZERO).min();
        if let (Some(next), Some(first)) = (next, first)
            && first > next
        {
            let path = history::directory(dir);
            self.aside.push(Aside { path: path.clone(), error: JournalError::Missing { path }, upto });
        }
        Ok(())
    }
}

fn read(disk: &dyn Disk, dir: &Path, number: u64, log: LogId) -> Result<(Covered, Core), JournalError> {
    let snapshot = Snapshot::open(disk, dir, number)?;
    let covered = snapshot.covered;
    if log != LogId::NONE && covered.log != log {
        let what = "the snapshot belongs to another journal";
        let (path, lsn) = (snapshot::path(dir, number), covered.next);
        return Err(JournalError::Rot { path, offset: 0, lsn, mark: lsn, what });
    }
    snapshot.restore(Core::new(0).restoring(), &mut |_| ()).map(|core| (covered, core))
}

/// A history file with its header, if that is sound.
fn whole(disk: &dyn Disk, path: std::path::PathBuf, number: u64) -> Result<Found, JournalError> {
    let file = disk.open(&path).map_err(|error| JournalError::io("opening", &path, &error))?;
    let len = file.len().map_err(|error| JournalError::io("reading", &path, &error))?;
    let header = segment::header(file.as_ref(), &path, number)?;
    Ok(Found { path, len, header })
}

/// The first and last position of a history file, all of whose bytes are sound.
fn check(disk: &dyn Disk, found: &Found) -> Result<(Lsn, Lsn), JournalError> {
    let rot = |offset, lsn: Lsn, what| found.rot(offset, lsn, lsn, what);
    let Some(header) = found.header.filter(|header| header.segment_bytes == found.len) else {
        return Err(rot(0, Lsn::ZERO, "the header is damaged"));
    };
    let mut ignore = |_: Lsn, _: &Event<'_>| ();
    let mut quiet = |_| ();
    let one = std::slice::from_ref(found);
    let mut walk = Walk::new(disk, one, header.log, &mut ignore, &mut quiet);
    walk.resume(WalkState::adopting(header.first_lsn));
    let stop = walk.segment(one, 0, &mut Vec::new())?;
    if stop.offset != found.len || walk.next.prev() != header.durable {
        return Err(rot(stop.offset, walk.next, "the batch is damaged"));
    }
    Ok((header.first_lsn, header.durable))
}
