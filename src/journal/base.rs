//! Where replay begins: at the newest snapshot that is sound, or at the beginning.
//!
//! A damaged snapshot is passed over where the one before it, or the beginning, and the segments behind that are there:
//! then replay gives the same state. Else the start is refused with the place of the damage.

use std::path::Path;

use super::recover::ReplayProgress;
use super::snapshot::{self, Covered, Snapshot};
use super::walk::{Found, Walk, WalkState, survey};
use super::{Disk, JournalError};
use crate::core::{Core, Event};
use crate::ids::{LogId, Lsn, Millis};

/// What was read before the first segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Base {
    /// The snapshot, if there is one.
    pub covered: Option<Covered>,
    newest_at: Millis,
    /// Bytes of the snapshot.
    pub bytes: u64,
    /// When it was made, by the wall.
    pub made_at: Millis,
}

impl Base {
    /// The last segment that need not be read.
    pub fn segment(&self) -> u64 {
        self.covered.map_or(0, |covered| covered.segment)
    }

    /// A walk over `found`, which lie behind it.
    pub fn walk<'a>(
        &self,
        disk: &'a dyn Disk,
        found: &[Found],
        log: LogId,
        visit: &'a mut dyn FnMut(Lsn, &Event<'_>),
        progress: &'a mut dyn FnMut(ReplayProgress),
    ) -> Walk<'a> {
        let mut walk = Walk::new(disk, found, log, visit, progress);
        walk.after_bytes(self.bytes);
        if let Some(covered) = &self.covered {
            walk.resume(WalkState::behind(covered, self.newest_at));
        }
        walk
    }
}

/// Puts the state of the newest snapshot that can be used into `core`, which is empty.
///
/// # Errors
/// There is none that can be used, and the journal does not begin with its first segment: the damage of the newest one.
pub(super) fn restore(
    disk: &dyn Disk,
    dir: &Path,
    log: LogId,
    core: &mut Core,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Base, JournalError> {
    let mut damage = None;
    for number in snapshot::list(disk, dir)?.into_iter().rev() {
        match use_one(disk, dir, log, number, core, progress) {
            Ok(base) => return Ok(base),
            Err(JournalError::Newer { path, offset, what }) => return Err(JournalError::Newer { path, offset, what }),
            Err(error) if error.is_damage() => {
                tracing::warn!("{error}; trying what the snapshot was made from");
                damage.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match survey(disk, dir, 0) {
        Ok(found) if found.is_empty() => damage.map_or_else(|| Ok(Base::default()), Err),
        Ok(_) => Ok(Base::default()),
        Err(error) => Err(damage.unwrap_or(error)),
    }
}

fn use_one(
    disk: &dyn Disk,
    dir: &Path,
    log: LogId,
    number: u64,
    core: &mut Core,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Base, JournalError> {
    let snapshot = Snapshot::open(disk, dir, number)?;
    let covered = snapshot.covered;
    if covered.log != log {
        return Err(JournalError::OtherLog { dir: snapshot::directory(dir), log: covered.log, wanted: log });
    }
    let bytes_behind = survey(disk, dir, number)?.iter().map(|found| found.len).sum::<u64>();
    let lsn = covered.next.prev();
    let mut tell = |bytes_done| {
        progress(ReplayProgress { bytes_done, bytes_total: snapshot.bytes + bytes_behind, lsn });
    };
    *core = snapshot.restore(core.restoring(), &mut tell)?;
    Ok(Base { covered: Some(covered), newest_at: core.newest_at(), bytes: snapshot.bytes, made_at: snapshot.made_at })
}
