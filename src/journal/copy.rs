//! A copy of a journal up to a position: a prefix of it, which is a journal. It ends as after a clean stop, so that any
//! damage to the copy is rot.

use std::path::Path;

use super::batch::SegmentHeader;
use super::cut::closing_block;
use super::inspect::batch_at;
use super::recover::ReplayProgress;
use super::walk::{Stop, Walk, survey};
use super::{Disk, JournalError, segment};
use crate::ids::{LogId, Lsn, Millis};

/// Attempts at a journal that a running gate changes meanwhile.
const TRIES_MAX: u32 = 10;

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

/// Copies the journal in the data directory `data` into the data directory `to`, which has none, and syncs it. `None`
/// where there is no journal. `upto`: a gate is running, and everything up to there is durable; what is beyond stays
/// behind. Without it nobody may be writing, and all that a start would accept is copied.
///
/// # Errors
/// Damage, as at a start; the disk's errors.
pub fn copy(
    disk: &dyn Disk,
    data: &Path,
    to: &Path,
    upto: Option<Lsn>,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Option<Copied>, JournalError> {
    for _ in 1..TRIES_MAX {
        match attempt(disk, data, to, upto, progress) {
            // What was half written, or turned into something else, is whole when looked at again.
            Err(JournalError::Io { .. } | JournalError::Missing { .. } | JournalError::Rot { .. })
                if upto.is_some() =>
            {
                clear(disk, to)?;
            }
            done => return done,
        }
    }
    attempt(disk, data, to, upto, progress)
}

fn clear(disk: &dyn Disk, to: &Path) -> Result<(), JournalError> {
    let dir = segment::directory(to);
    for number in segment::list(disk, &dir)? {
        let path = segment::path(&dir, number);
        disk.remove(&path).map_err(|error| JournalError::io("removing", &path, &error))?;
    }
    Ok(())
}

fn attempt(
    disk: &dyn Disk,
    data: &Path,
    to: &Path,
    upto: Option<Lsn>,
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<Option<Copied>, JournalError> {
    let (from, into) = (segment::directory(data), segment::directory(to));
    disk.create_dir_all(&into).map_err(|error| JournalError::io("making", &into, &error))?;
    let found = survey(disk, &from)?;
    let Some(log) = found.iter().find_map(|found| found.header).map(|header| header.log) else {
        return super::recover::check_never_begun(disk, &found).map(|()| None);
    };
    let kept = found.iter().rposition(|found| found.header.is_some()).map_or(0, |last| last + 1);
    let mut ignore = |_: Lsn, _: &crate::core::Event<'_>| ();
    let mut walk = Walk::new(disk, &found, log, &mut ignore, progress);
    let mut copied = Copied { log, last: Lsn::ZERO, bytes: 0, files: 0 };
    let (mut stop, mut bytes) = (Stop::default(), Vec::new());
    for index in 0..kept {
        stop = walk.segment(&found[..kept], index, &mut bytes)?;
        let header = found[index].header.expect("the walk accepts no segment without one");
        let wanted = upto.filter(|upto| walk.next.prev() >= *upto);
        let last = wanted.is_some() || index + 1 == kept;
        let end = match wanted {
            Some(upto) => End::at(&bytes, &header, upto),
            None => End { offset: stop.offset, next: walk.next, chain: walk.chain, at: walk.newest_at },
        };
        copied.bytes += write(disk, &into, index as u64 + 1, &bytes, &end, last.then_some(&header))?;
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
