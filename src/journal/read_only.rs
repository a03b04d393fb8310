//! Reading a journal that may belong to a running gate: all that is written completely, as of now, and nothing changed.
//!
//! Recovery knows that nobody writes; here a gate may. It only ever adds: a batch behind the last one, a segment behind
//! the last one. So a verdict of damage on the tail is believed only when a second look finds nothing new there: what
//! was half written at the first look is whole at the second.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::recover::{ReplayProgress, TornTail};
use super::walk::{Found, Stop, Walk, WalkState, survey};
use super::{Disk, JournalError, segment};
use crate::core::Event;
use crate::ids::{LogId, Lsn};

/// Looks that each found something new before a verdict on the tail is believed all the same.
const LOOKS_MAX: u32 = 100;

/// A journal for who only reads: of a running gate, of a stopped one, of one that was killed.
pub struct ReadOnly {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log: LogId,
    /// Segments read to their end.
    done: usize,
    /// Where the last segment's sound batches ended.
    stop: Stop,
    state: WalkState,
    /// What the tail was like at the last look.
    torn: Option<TornTail>,
}

/// Looks at the journal in the data directory `data`. `None`: there is none, or nothing was ever written to it.
pub fn read_only(disk: Arc<dyn Disk>, data: &Path) -> Result<Option<ReadOnly>, JournalError> {
    let dir = segment::directory(data);
    match disk.list(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("listing", &dir, &error)),
        Ok(_) => {}
    }
    let found = settled(disk.as_ref(), &dir)?;
    let Some(log) = found.iter().find_map(|found| found.header).map(|header| header.log) else {
        return super::recover::check_never_begun(disk.as_ref(), &found).map(|()| None);
    };
    let (stop, state) = (Stop::default(), WalkState::default());
    Ok(Some(ReadOnly { disk, dir, log, done: 0, stop, state, torn: None }))
}

impl ReadOnly {
    /// The journal's name.
    pub fn log_id(&self) -> LogId {
        self.log
    }

    /// The last position read.
    pub fn last(&self) -> Lsn {
        self.state.next.prev()
    }

    /// The unfinished write behind it, if the last look found one: of a gate that was killed, or that is writing it.
    pub fn torn(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Hands every event that was written since the last call to `visit`, the first time from the beginning.
    ///
    /// # Errors
    /// Damage as at a start, but for a torn tail. What `visit` has seen by then stands.
    pub fn catch_up(
        &mut self,
        visit: &mut dyn FnMut(Lsn, &Event<'_>),
        progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<(), JournalError> {
        let mut doubted = false;
        for _ in 1..LOOKS_MAX {
            let before = (self.state.next, self.done, self.stop.offset);
            let looked = self.look(visit, progress);
            let moved = before != (self.state.next, self.done, self.stop.offset);
            match looked {
                Err(error) if error.is_damage() && (moved || !doubted) => doubted = true,
                Err(_) | Ok(()) => return looked,
            }
        }
        self.look(visit, progress)
    }

    fn look(
        &mut self,
        visit: &mut dyn FnMut(Lsn, &Event<'_>),
        progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<(), JournalError> {
        let found = settled(self.disk.as_ref(), &self.dir)?;
        let kept = found.iter().rposition(|found| found.header.is_some()).map_or(0, |last| last + 1);
        if kept == 0 || kept < self.done {
            return Err(JournalError::Missing { path: segment::path(&self.dir, (kept + 1) as u64) });
        }
        let mut walk = Walk::new(self.disk.as_ref(), &found, self.log, visit, progress);
        walk.resume(self.state);
        let mut bytes = Vec::new();
        let read = read(&mut walk, &found, kept, &mut self.done, &mut self.stop, &mut bytes);
        self.state = walk.state();
        self.torn = read?;
        Ok(())
    }
}

/// What lies there. A spare segment can go between its name and its bytes: then all is looked at again.
fn settled(disk: &dyn Disk, dir: &Path) -> Result<Vec<Found>, JournalError> {
    for _ in 1..LOOKS_MAX {
        match survey(disk, dir) {
            Err(JournalError::Io { .. }) => {}
            other => return other,
        }
    }
    survey(disk, dir)
}

/// Goes on where the last look ended. `done` and `stop` move also where it ends with an error.
fn read(
    walk: &mut Walk<'_>,
    found: &[Found],
    kept: usize,
    done: &mut usize,
    stop: &mut Stop,
    bytes: &mut Vec<u8>,
) -> Result<Option<TornTail>, JournalError> {
    if *done > 0 {
        walk.rest(&found[..kept], *done - 1, stop, bytes)?;
    }
    while *done < kept {
        *stop = walk.begin(&found[..kept], *done)?;
        *done += 1;
        walk.rest(&found[..kept], *done - 1, stop, bytes)?;
    }
    walk.tail(&found[kept - 1..], stop, bytes, Lsn::ZERO)
}
