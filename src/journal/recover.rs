//! Reading a journal back at start: what to accept, torn or rot, and making safe what was accepted.
//!
//! Let *mark* be the highest position that anything found names as durable. The header of a segment is written only
//! when all before it is synced, so damage before a later sound header is rot. In the last segment damage at or below
//! the mark is rot, and so is damage before a batch that says that all before it was synced; else the tail is torn and
//! cut, even if sound batches follow: without sync order nothing else is promised. Nothing is changed before the verdict.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::base::Base;
use super::batch::{SEGMENT_HEADER_BYTES, SegmentHeader, all_zero};
use super::cut::closing_block;
use super::open::Start;
use super::snapshot::{self, Snapshot};
use super::walk::{Found, Stop, Walk, at, survey, torn_at};
use super::{Disk, DiskFile, JournalError, Options, history, random, segment};
use crate::core::Event;
use crate::ids::{LogId, Lsn, Millis};
use crate::sabotage::{self, Sabotage};

/// How far replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Bytes done.
    pub bytes_done: u64,
    /// Bytes to do in all.
    pub bytes_total: u64,
    /// The last position applied.
    pub lsn: Lsn,
}

/// What replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The last position there is.
    pub last_lsn: Lsn,
    /// Up to here all was read from a snapshot; zero where there is none.
    pub snapshot: Lsn,
    /// Events applied from segments.
    pub events: u64,
    /// The newest time in the journal: the floor of the clock. Zero where there is none.
    pub newest_at: Millis,
    /// Segments read.
    pub segments: u64,
    /// Bytes accepted.
    pub bytes: u64,
    /// What was cut.
    pub torn: Option<TornTail>,
    /// The world around has seen this position durable, which is beyond the last one: the journal is sound, and older.
    pub behind: Option<Lsn>,
}

/// An unfinished write at the end, that nothing had been answered from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where in it the cut is.
    pub offset: u64,
    /// The first position that was cut.
    pub lsn: Lsn,
    /// From the cut to the last byte that is not zero.
    pub bytes: u64,
}

/// The name of the journal, from any sound header.
pub(super) fn log_id(disk: &dyn Disk, dir: &Path) -> Result<Option<LogId>, JournalError> {
    for number in segment::list(disk, dir)? {
        if let Some(header) = Found::look(disk, dir, number)?.header {
            return Ok(Some(header.log));
        }
    }
    for number in snapshot::list(disk, dir)? {
        match Snapshot::open(disk, dir, number) {
            Ok(snapshot) => return Ok(Some(snapshot.covered.log)),
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Reads the journal as [`recover`] does and changes nothing.
pub(super) fn look(
    disk: &dyn Disk,
    dir: &Path,
    options: &Options,
    log: LogId,
    base: &Base,
    visit: &mut dyn FnMut(Lsn, &Event<'_>),
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Replayed, JournalError> {
    let found = survey(disk, dir, base.segment())?;
    let mut walk = base.walk(disk, &found, log, visit, progress);
    judge(&found, options, base, &mut walk).map(|judged| judged.replayed)
}

/// What was accepted, and where it ends.
struct Judged {
    replayed: Replayed,
    /// Segments with batches.
    kept: usize,
    /// The bytes of the last of them.
    bytes: Vec<u8>,
    /// Where its batches end.
    end: u64,
}

/// Reads the files that were found and comes to a verdict; changes nothing.
fn judge(found: &[Found], options: &Options, base: &Base, walk: &mut Walk<'_>) -> Result<Judged, JournalError> {
    let mut bytes = Vec::new();
    let kept = found.iter().rposition(|found| found.header.is_some()).map_or(0, |last| last + 1);
    let mut end = 0;
    let torn = if kept == 0 && base.segment() > 0 {
        // A snapshot is made when the header behind it is on disk.
        return Err(found[0].rot(0, walk.next, walk.next.prev(), "the segment header is damaged"));
    } else if kept == 0 {
        never_begun(found, options, walk)?
    } else {
        let mut stop = Stop::default();
        for index in 0..kept {
            stop = walk.segment(&found[..kept], index, &mut bytes)?;
        }
        end = stop.offset;
        walk.tail(&found[kept - 1..], &stop, &bytes, options.known_durable)?
    };
    let last_lsn = walk.next.prev();
    let replayed = Replayed {
        last_lsn,
        snapshot: base.covered.map_or(Lsn::ZERO, |covered| covered.next.prev()),
        events: walk.events,
        newest_at: walk.newest_at,
        segments: kept as u64,
        bytes: walk.accepted,
        torn,
        behind: (last_lsn < options.known_durable).then_some(options.known_durable),
    };
    Ok(Judged { replayed, kept, bytes, end })
}

/// Reads the journal, makes safe what was accepted and opens a fresh segment.
pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    log: LogId,
    base: &Base,
    visit: &mut dyn FnMut(Lsn, &Event<'_>),
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<(Start, Replayed), JournalError> {
    let found = survey(disk.as_ref(), dir, base.segment())?;
    let mut walk = base.walk(disk.as_ref(), &found, log, visit, progress);
    let Judged { replayed, kept, bytes, mut end } = judge(&found, options, base, &mut walk)?;
    if kept > 0 && !sabotage::on(Sabotage::TrustPageCache) {
        rewrite(disk.as_ref(), &found[kept - 1], &bytes, walk.doubtful_from()..end)?;
    }
    let number = base.segment() + kept as u64 + 1;
    let file = match spare_file(disk.as_ref(), dir, &found, kept, options)? {
        Some(file) => file,
        None => {
            let make = || segment::make(disk.as_ref(), dir, number, options.segment_bytes, &|| false);
            let mut made = make();
            let full = made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull);
            if full && let Some(last) = found[..kept].last() {
                end = close(disk.as_ref(), last, &mut walk, end)?;
                made = make();
            }
            let made = made.map_err(|error| JournalError::io("making", &segment::path(dir, number), &error))?;
            made.expect("nothing stops the making of this one")
        }
    };
    let header = SegmentHeader {
        block_bytes: u32::try_from(options.block_bytes).expect("a block is at most 64 KiB"),
        segment_bytes: options.segment_bytes,
        number,
        term: walk.term + 1,
        owner: random()?,
        log,
        salt: match walk.next_salt {
            Some(salt) => salt,
            None => u32::from_le_bytes(random()?),
        },
        next_salt: u32::from_le_bytes(random()?),
        first_lsn: walk.next,
        durable: replayed.last_lsn,
        prev_end: end,
        prev_chain: walk.chain,
        at: walk.newest_at,
    };
    begin(file.as_ref(), &header, &segment::path(dir, number))?;
    let mut bytes = base.bytes + found[..kept].iter().map(|found| found.len).sum::<u64>() + options.segment_bytes;
    if let Some(last) = found[..kept].last().filter(|last| last.len > end) {
        cut(disk.as_ref(), last, end)?;
        bytes -= last.len - end;
    }
    Ok((Start { file, segment: header, bytes }, replayed))
}

/// Writes the first block of the fresh segment and syncs it.
fn begin(file: &dyn DiskFile, header: &SegmentHeader, path: &Path) -> Result<(), JournalError> {
    let mut block = vec![0; header.block_bytes as usize];
    header.write(&mut block);
    file.write_at(&block, 0).map_err(|error| JournalError::io("writing", path, &error))?;
    file.sync_data().map_err(|error| JournalError::io("syncing", path, &error))
}

/// Gives back what lies behind the batches of a segment, once the next header says where they end: zeros, mostly, and
/// without this each crash would cost a segment of them.
fn cut(disk: &dyn Disk, found: &Found, end: u64) -> Result<(), JournalError> {
    let cut = disk.open_to_write(&found.path).and_then(|file| file.set_len(end));
    cut.map_err(|error| JournalError::io("cutting", &found.path, &error))
}

/// Ends the last segment as a clean stop does, where the disk has no room for a next one: then its zeros can go before.
/// Answers its new end.
fn close(disk: &dyn Disk, found: &Found, walk: &mut Walk<'_>, end: u64) -> Result<u64, JournalError> {
    let segment = found.header.expect("what is kept has a sound header");
    let closed = end + u64::from(segment.block_bytes);
    if found.len <= closed {
        return Ok(end);
    }
    let (block, chain) = closing_block(&segment, walk.next, walk.chain, walk.newest_at);
    walk.chain = chain;
    let written = disk.open_to_write(&found.path).and_then(|file| {
        file.write_at(&block, end)?;
        file.sync_data()?;
        file.set_len(closed)?;
        file.sync_data()
    });
    written.map_err(|error| JournalError::io("closing", &found.path, &error))?;
    Ok(closed)
}

/// A journal without a sound header: new, or killed while its first header was written. No batch can be there then.
fn never_begun(found: &[Found], options: &Options, walk: &mut Walk<'_>) -> Result<Option<TornTail>, JournalError> {
    let Some(first) = found.first() else { return Ok(None) };
    let mut bytes = Vec::new();
    first.read(walk.disk, &mut bytes, first.len)?;
    let block = usize::try_from(options.block_bytes).expect("a block is at most 64 KiB");
    // A segment gets its name when all of it is there: a shorter one was begun, and cut when its process stopped.
    let cut = first.len < options.segment_bytes;
    if found.len() > 1 || bytes.len() < block || cut || !all_zero(&bytes[block..]) {
        return Err(first.rot(0, walk.next, options.known_durable, "the segment header is damaged"));
    }
    Ok(torn_at(first, 0, walk.next, &bytes))
}

/// Whether the files, none of which has a sound header, are those of a journal in which nothing was ever written.
pub(super) fn check_never_begun(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    let found = survey(disk, dir, 0)?;
    let Some(first) = found.first() else { return Ok(()) };
    let mut bytes = Vec::new();
    first.read(disk, &mut bytes, first.len)?;
    let behind = bytes.get(SEGMENT_HEADER_BYTES..);
    if found.len() > 1 || !behind.is_some_and(all_zero) {
        return Err(first.rot(0, Lsn::new(1), Lsn::ZERO, "the segment header is damaged"));
    }
    Ok(())
}

/// Writes again, in place, what was accepted and may never have reached the disk, and syncs it.
fn rewrite(disk: &dyn Disk, found: &Found, bytes: &[u8], range: std::ops::Range<u64>) -> Result<(), JournalError> {
    let path = &found.path;
    let file = disk.open_to_write(path).map_err(|error| JournalError::io("opening", path, &error))?;
    let (from, to) = (range.start, range.end);
    let doubtful = at(bytes, from).map(|rest| &rest[..usize::try_from(to - from).expect("the file was read whole")]);
    let doubtful = doubtful.expect("the file was read whole");
    file.write_at(doubtful, from).map_err(|error| JournalError::io("writing", path, &error))?;
    file.sync_data().map_err(|error| JournalError::io("syncing", path, &error))
}

/// The file of the segment behind the `kept` ones, if there is a spare that nobody used. What else lies there goes.
fn spare_file(
    disk: &dyn Disk,
    dir: &Path,
    found: &[Found],
    kept: usize,
    options: &Options,
) -> Result<Option<Arc<dyn DiskFile>>, JournalError> {
    for dir in [dir, &snapshot::directory(dir), &history::directory(dir)] {
        segment::remove_unfinished(disk, dir)?;
    }
    let mut spare = false;
    if let Some(next) = found.get(kept) {
        let mut bytes = Vec::new();
        next.read(disk, &mut bytes, next.len)?;
        spare = next.len == options.segment_bytes && all_zero(&bytes);
    }
    disk.sync_dir(dir).map_err(|error| JournalError::io("syncing", dir, &error))?;
    for useless in found[kept..].iter().skip(usize::from(spare)).rev() {
        // The last one first, each for good, so that a power cut leaves no gap in the numbers.
        disk.remove(&useless.path).map_err(|error| JournalError::io("removing", &useless.path, &error))?;
        disk.sync_dir(dir).map_err(|error| JournalError::io("syncing", dir, &error))?;
    }
    if !spare {
        return Ok(None);
    }
    let path = &found[kept].path;
    disk.open_to_write(path).map(Some).map_err(|error| JournalError::io("opening", path, &error))
}
