//! Cutting a journal before a place, so that it ends there as after a clean stop. For who has a copy of it.

use std::path::Path;

use super::batch::{BATCH_HEADER_BYTES, BatchHeader, SegmentHeader};
use super::inspect::{Aside, Place, batch_at};
use super::walk::Found;
use super::{Disk, JournalError, history, segment, snapshot};
use crate::ids::{Lsn, Millis};

/// Cuts the journal in the data directory `data` at `place`: segments behind it go, the last one first, then its own end,
/// which a final batch closes. What stands before it is sound. Killed at any moment, the same cut can be made again.
///
/// # Errors
/// `Missing` where nothing stands before `place`; else the disk's.
pub fn cut(disk: &dyn Disk, data: &Path, place: &Place) -> Result<(), JournalError> {
    let dir = segment::directory(data);
    let (number, offset) = if place.offset > 0 { (place.number, Some(place.offset)) } else { (place.number - 1, None) };
    let missing = || JournalError::Missing { path: segment::path(&dir, number.max(1)) };
    if !segment::list(disk, &dir)?.contains(&number) {
        return Err(missing());
    }
    let found = Found::look(disk, &dir, number)?;
    let header = found.header.ok_or_else(missing)?;
    // A snapshot needs the header behind it; the one before it, or the beginning, does as well.
    let snapshots = snapshot::list(disk, &dir)?;
    if !snapshots.iter().any(|covers| *covers < number) && !segment::list(disk, &dir)?.contains(&1) {
        return Err(missing());
    }
    for covers in snapshots.into_iter().rev().filter(|covers| *covers >= number) {
        remove(disk, &snapshot::path(&dir, covers))?;
    }
    for further in segment::list(disk, &dir)?.into_iter().rev().filter(|further| *further > number) {
        remove(disk, &segment::path(&dir, further))?;
    }
    let end = End::of(disk, &found, &header, offset)?;
    let closed = disk.open_to_write(&found.path).and_then(|file| {
        file.set_len(end.offset)?;
        file.write_at(&end.closing(&header), end.offset)?;
        file.sync_data()
    });
    closed.map_err(|error| JournalError::io("closing", &found.path, &error))
}

/// Goes on without what a start gets by without: a snapshot, or the story up to a segment that the newest snapshot covers.
///
/// # Errors
/// The disk's.
pub fn forget(disk: &dyn Disk, data: &Path, aside: &Aside) -> Result<(), JournalError> {
    let dir = segment::directory(data);
    let Some(upto) = aside.upto else { return remove(disk, &aside.path) };
    // The oldest first: what is left has no hole.
    for number in segment::list(disk, &history::directory(&dir))? {
        remove(disk, &history::path(&dir, number))?;
    }
    for number in segment::list(disk, &dir)?.into_iter().filter(|number| *number <= upto) {
        remove(disk, &segment::path(&dir, number))?;
    }
    for covers in snapshot::list(disk, &dir)?.into_iter().filter(|covers| *covers < upto) {
        remove(disk, &snapshot::path(&dir, covers))?;
    }
    Ok(())
}

/// Removes a file for good, if it is there.
fn remove(disk: &dyn Disk, path: &Path) -> Result<(), JournalError> {
    match disk.remove(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        removed => removed.map_err(|error| JournalError::io("removing", path, &error))?,
    }
    let dir = path.parent().unwrap_or(path);
    disk.sync_dir(dir).map_err(|error| JournalError::io("syncing", dir, &error))
}

/// Where the batches before a place end, and what the next one must say.
struct End {
    offset: u64,
    next: Lsn,
    chain: u32,
    newest_at: Millis,
}

impl End {
    /// Before `limit`, or behind the last sound batch of the segment.
    fn of(disk: &dyn Disk, found: &Found, header: &SegmentHeader, limit: Option<u64>) -> Result<End, JournalError> {
        let block = u64::from(header.block_bytes);
        let mut end = End { offset: block, next: header.first_lsn, chain: header.prev_chain, newest_at: header.at };
        let mut bytes = Vec::new();
        found.read(disk, &mut bytes, found.len)?;
        while limit.is_none_or(|limit| end.offset < limit)
            && let Some(batch) = batch_at(&bytes, end.offset, header)
            && (batch.first_lsn, batch.prev_chain) == (end.next, end.chain)
        {
            end.offset += batch.padded(block);
            (end.next, end.chain) = (batch.last_lsn().next(), batch.crc);
            end.newest_at = end.newest_at.max(batch.at);
        }
        Ok(end)
    }

    /// The batch of a clean stop.
    fn closing(&self, segment: &SegmentHeader) -> Vec<u8> {
        closing_block(segment, self.next, self.chain, self.newest_at).0
    }
}

/// The empty batch that ends a journal behind position `next`, as a block, and its chain value. All before it is synced.
pub(super) fn closing_block(segment: &SegmentHeader, next: Lsn, chain: u32, at: Millis) -> (Vec<u8>, u32) {
    let header = BatchHeader {
        ends_journal: true,
        synced_before: true,
        term: segment.term,
        owner: segment.owner,
        first_lsn: next,
        count: 0,
        body_len: 0,
        durable: next.prev(),
        at,
        prev_chain: chain,
        crc: 0,
    };
    let mut block = vec![0; segment.block_bytes as usize];
    let chain = header.write(&mut block[..BATCH_HEADER_BYTES], segment.salt);
    (block, chain)
}
