//! A copy of a journal up to a position: a prefix of it, which is a journal. It ends as after a clean stop, so that any
//! damage to the copy is rot.

use std::path::Path;

use super::batch::SegmentHeader;
use super::cut::closing_block;
use super::inspect::batch_at;
use super::recover::ReplayProgress;
use super::walk::{Stop, Walk, WalkState, survey};
use super::{Disk, JournalError, history, segment, snapshot};
use crate::ids::{LogId, Lsn, Millis};

/// Bytes of a snapshot or of history that are copied at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The journal's name.
    pub log: LogId,
    /// The last position in the copy.
    pub last: Lsn,
    /// Its bytes.
    pub bytes: u64,
    /// Its files.
    pub files: u64,
}

/// Copies snapshots and history of the journal in the data directory `data` into the data directory `to`, and syncs them.
/// Answers bytes and files. Nobody changes such a file; a running gate may remove one meanwhile.
///
/// # Errors
/// The disk's; a file that has gone is one of them, and worth another attempt.
pub fn copy_bases(disk: &dyn Disk, data: &Path, to: &Path) -> Result<(u64, u64), JournalError> {
    let (from, into) = (segment::directory(data), segment::directory(to));
    let (mut bytes, mut files) = (0, 0);
    for number in snapshot::list(disk, &from)? {
        bytes += whole(disk, &snapshot::path(&from, number), &snapshot::path(&into, number))?;
        files += 1;
    }
    for number in segment::list(disk, &history::directory(&from))? {
        bytes += whole(disk, &history::path(&from, number), &history::path(&into, number))?;
        files += 1;
    }
    Ok((bytes, files))
}

/// Copies one file and syncs it; the directory is made if missing.
fn whole(disk: &dyn Disk, from: &Path, to: &Path) -> Result<u64, JournalError> {
    let reading = |error| JournalError::io("reading", from, &error);
    let writing = |error| JournalError::io("writing", to, &error);
    let source = disk.open(from).map_err(reading)?;
    let dir = to.parent().unwrap_or(to);
    super::make_dir(disk, dir)?;
    let target = disk.create(to).map_err(writing)?;
    let (mut piece, mut done) = (vec![0; PIECE_BYTES], 0);
    loop {
        let read = source.read_at(&mut piece, done).map_err(reading)?;
        if read == 0 {
            break;
        }
        target.write_at(&piece[..read], done).map_err(writing)?;
        done += read as u64;
    }
    target.sync_data().map_err(writing)?;
    disk.sync_dir(dir).map_err(|error| JournalError::io("syncing", dir, &error))?;
    Ok(done)
}

/// Removes what an attempt has left in `to`.
pub fn clear(disk: &dyn Disk, to: &Path) -> Result<(), JournalError> {
    let dir = segment::directory(to);
    let segments = segment::list(disk, &dir)?.into_iter().map(|number| segment::path(&dir, number));
    let snapshots = snapshot::list(disk, &dir)?.into_iter().map(|number| snapshot::path(&dir, number));
    let history = segment::list(disk, &history::directory(&dir))?.into_iter().map(|number| history::path(&dir, number));
    for path in segments.chain(snapshots).chain(history) {
        disk.remove(&path).map_err(|error| JournalError::io("removing", &path, &error))?;
    }
    Ok(())
}

/// Copies the segments of the journal in the data directory `data` into the data directory `to`, which holds snapshots and
/// history of it, and syncs them. `None` where there is no journal. `upto`: a gate is running, and everything up to there
/// is durable; what is beyond stays behind. Without it nobody may be writing, and all that a start would accept is copied.
///
/// # Errors
/// Damage, as at a start; the disk's errors. While a gate runs, either can be the sign of a file that has changed its
/// place meanwhile, and is worth another attempt.
pub fn copy(
    disk: &dyn Disk,
    data: &Path,
    to: &Path,
    upto: Option<Lsn>,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Option<Copied>, JournalError> {
    let (from, into) = (segment::directory(data), segment::directory(to));
    super::make_dir(disk, &into)?;
    let first = segment::list(disk, &from)?.first().copied().unwrap_or(1);
    let found = survey(disk, &from, first - 1)?;
    let Some(header) = found.iter().find_map(|found| found.header) else {
        return super::recover::check_never_begun(disk, &from).map(|()| None);
    };
    let log = header.log;
    let kept = found.iter().rposition(|found| found.header.is_some()).map_or(0, |last| last + 1);
    let mut ignore = |_: Lsn, _: &crate::core::Event<'_>| ();
    let mut walk = Walk::new(disk, &found, log, &mut ignore, progress);
    if first > 1 {
        let start = found[0].header.ok_or_else(|| JournalError::Missing { path: found[0].path.clone() })?.first_lsn;
        follows(disk, &into, start)?;
        walk.resume(WalkState::adopting(start));
    }
    // A start begins at a snapshot only where a segment lies behind it: that one comes along, even if it is empty.
    let covered = snapshot::list(disk, &into)?.last().copied().unwrap_or(0);
    let mut copied = Copied { log, last: Lsn::ZERO, bytes: 0, files: 0 };
    let (mut stop, mut bytes) = (Stop::default(), Vec::new());
    for index in 0..kept {
        stop = walk.segment(&found[..kept], index, &mut bytes)?;
        let header = found[index].header.expect("the walk accepts no segment without one");
        let wanted = upto.filter(|upto| first + index as u64 > covered && walk.next.prev() >= *upto);
        let last = wanted.is_some() || index + 1 == kept;
        let end = match wanted {
            Some(upto) => End::at(&bytes, &header, upto),
            None => End { offset: stop.offset, next: walk.next, chain: walk.chain, at: walk.newest_at },
        };
        copied.bytes += write(disk, &into, first + index as u64, &bytes, &end, last.then_some(&header))?;
        copied.files += 1;
        copied.last = end.next.prev();
        if wanted.is_some() {
            break;
        }
    }
    if upto.is_none() {
        walk.tail(&found[kept - 1..], &stop, &bytes, Lsn::ZERO)?;
    }
    for dir in [into.as_path(), to] {
        disk.sync_dir(dir).map_err(|error| JournalError::io("syncing", dir, &error))?;
    }
    Ok(Some(copied))
}

/// Whether history reaches up to `first`, the first position of the oldest segment: readers find no hole then.
fn follows(disk: &dyn Disk, into: &Path, first: Lsn) -> Result<(), JournalError> {
    match history::list(disk, into)?.last() {
        Some(last) if last.header.durable.next() < first => Err(JournalError::Missing { path: last.path.clone() }),
        Some(_) | None => Ok(()),
    }
}

/// Where the copy of a segment ends.
struct End {
    offset: u64,
    next: Lsn,
    chain: u32,
    at: Millis,
}

impl End {
    /// Behind the last batch that ends at or before `upto`.
    fn at(bytes: &[u8], header: &SegmentHeader, upto: Lsn) -> End {
        let block = u64::from(header.block_bytes);
        let mut end = End { offset: block, next: header.first_lsn, chain: header.prev_chain, at: header.at };
        while let Some(batch) = batch_at(bytes, end.offset, header).filter(|batch| batch.last_lsn() <= upto) {
            end.offset += batch.padded(block);
            (end.next, end.chain, end.at) = (batch.last_lsn().next(), batch.crc, end.at.max(batch.at));
        }
        end
    }
}

/// Writes segment `number`; `closed`: it is the last one. Answers its length.
fn write(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    bytes: &[u8],
    end: &End,
    closed: Option<&SegmentHeader>,
) -> Result<u64, JournalError> {
    let path = segment::path(dir, number);
    let closing = closed.map(|header| closing_block(header, end.next, end.chain, end.at).0).unwrap_or_default();
    let kept = &bytes[..usize::try_from(end.offset).expect("the file was read whole")];
    let written = disk.create(&path).and_then(|file| {
        file.write_at(kept, 0)?;
        file.write_at(&closing, end.offset)?;
        file.sync_data()
    });
    written.map_err(|error| JournalError::io("writing", &path, &error))?;
    Ok(end.offset + closing.len() as u64)
}
