//! What is sound behind the first damage. Nothing there follows from what stands before it, so each block is tried for a
//! batch under its segment's salt; a lost header is stood in for by the one before, which names that salt.

use super::batch::{BATCH_HEADER_BYTES, BatchHeader, SegmentHeader};
use super::inspect::{Damage, FileFacts, FileKind, Gap, Visit, batch_at};
use super::record::Records;
use super::walk::{Found, at};
use super::{Disk, JournalError};
use crate::ids::Lsn;

/// Hands every event behind `damage` to `visit`, and notes what cannot be read. `files`: all segments in order. Answers
/// the facts of those from the damage on.
pub(super) fn scan(
    disk: &dyn Disk,
    files: &[(u64, &Found)],
    damage: &mut Damage,
    visit: Visit<'_>,
) -> Result<Vec<FileFacts>, JournalError> {
    let place = damage.place.clone();
    let mut scan = Scan { next: place.lsn, first: None, open: 0, gaps: Vec::new(), visit };
    if !files.iter().any(|(number, _)| *number == place.number) {
        scan.gap(&place.path, 0, 0);
    }
    let mut facts = Vec::new();
    let mut bytes = Vec::new();
    for (number, found) in files.iter().filter(|(number, _)| *number >= place.number) {
        found.read(disk, &mut bytes, found.len)?;
        let from = if *number == place.number { place.offset } else { 0 };
        if *number > place.number && found.header.is_none() && bytes.iter().all(|byte| *byte == 0) {
            continue;
        }
        let neighbour =
            |number: u64| files.iter().find(|(there, _)| *there == number).and_then(|(_, found)| found.header);
        let end = neighbour(number + 1).map_or(found.len, |next| next.prev_end);
        bytes.truncate(usize::try_from(end).unwrap_or(usize::MAX));
        scan.first = None;
        match (found.header, neighbour(number - 1)) {
            (Some(header), _) => {
                scan.segment(found, &header, from.max(header.block_bytes.into()), &bytes);
            }
            (None, Some(before)) => {
                scan.segment(found, &SegmentHeader { salt: before.next_salt, ..before }, from, &bytes);
            }
            (None, None) => scan.gap(&found.path, from, found.len - from),
        }
        facts.push(FileFacts::of(found, FileKind::Doubtful, scan.first.unwrap_or(scan.next), scan.next.prev()));
    }
    damage.end = scan.next.prev();
    damage.gaps = scan.gaps;
    Ok(facts)
}

struct Scan<'a> {
    /// The next position that was not seen yet.
    next: Lsn,
    /// The first position that was seen in the file at hand.
    first: Option<Lsn>,
    /// Gaps from here on have no end yet: the next sound batch tells.
    open: usize,
    gaps: Vec<Gap>,
    visit: Visit<'a>,
}

impl Scan<'_> {
    fn gap(&mut self, path: &std::path::Path, offset: u64, bytes: u64) {
        self.gaps.push(Gap { path: path.to_path_buf(), offset, bytes, first: self.next, last: None });
    }

    fn segment(&mut self, found: &Found, header: &SegmentHeader, from: u64, bytes: &[u8]) {
        let block = u64::from(header.block_bytes);
        let (mut offset, mut unread) = (from, from);
        while offset < bytes.len() as u64 {
            match batch_at(bytes, offset, header).filter(|batch| batch.first_lsn >= self.next) {
                Some(batch) => {
                    let told = self.open < self.gaps.len();
                    if unread < offset || (batch.first_lsn > self.next && !told) {
                        self.gap(&found.path, unread, offset - unread);
                    }
                    self.batch(found, offset, &batch, bytes, block);
                    offset += batch.padded(block);
                    unread = offset;
                }
                None => offset += block,
            }
        }
        let rest = at(bytes, unread).unwrap_or_default();
        if let Some(last) = rest.iter().rposition(|byte| *byte != 0) {
            self.gap(&found.path, unread, last as u64 + 1);
        }
    }

    fn batch(&mut self, found: &Found, offset: u64, batch: &BatchHeader, bytes: &[u8], block: u64) {
        for gap in &mut self.gaps[self.open..] {
            gap.last = Some(batch.first_lsn.prev());
        }
        self.open = self.gaps.len();
        self.next = batch.first_lsn;
        if batch.count > 0 {
            self.first.get_or_insert(batch.first_lsn);
        }
        let body = at(bytes, offset).map(|rest| &rest[BATCH_HEADER_BYTES..][..batch.body_len as usize]);
        for record in Records::new(body.unwrap_or_default(), batch.first_lsn, batch.count) {
            match record {
                Ok((lsn, event)) => {
                    (self.visit)(lsn, &event);
                    self.next = lsn.next();
                }
                Err(_) => {
                    self.gap(&found.path, offset, batch.padded(block));
                    self.gaps.last_mut().expect("just added").last = Some(batch.last_lsn());
                    self.open = self.gaps.len();
                }
            }
        }
        self.next = batch.last_lsn().next();
    }
}
