//! The walk over a journal's files: which batches to accept, and the verdict on what lies behind the last of them.

use std::path::{Path, PathBuf};

use super::batch::{BATCH_HEADER_BYTES, BadHeader, BatchHeader, SegmentHeader};
use super::record::{BadRecord, Records};
use super::recover::{ReplayProgress, TornTail};
use super::snapshot::Covered;
use super::{Disk, JournalError, segment};
use crate::core::Event;
use crate::ids::{LogId, Lsn, Millis};
use crate::sabotage::{self, Sabotage};

/// Bytes applied between two words about progress.
const PROGRESS_BYTES: u64 = 4 << 20;

/// A segment file as it lies there.
pub(super) struct Found {
    pub path: PathBuf,
    pub len: u64,
    /// Its header, if that is sound.
    pub header: Option<SegmentHeader>,
}

/// The segments behind segment `after`, without holes; what lies before is not looked at.
pub(super) fn survey(disk: &dyn Disk, dir: &Path, after: u64) -> Result<Vec<Found>, JournalError> {
    let mut found = Vec::new();
    let numbers = segment::list(disk, dir)?.into_iter().filter(|number| *number > after);
    for (number, expected) in numbers.zip(after + 1..) {
        if number != expected {
            return Err(JournalError::Missing { path: segment::path(dir, expected) });
        }
        found.push(Found::look(disk, dir, number)?);
    }
    if found.is_empty() && after > 0 {
        return Err(JournalError::Missing { path: segment::path(dir, after + 1) });
    }
    Ok(found)
}

impl Found {
    /// Looks at segment `number`.
    pub fn look(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Found, JournalError> {
        let path = segment::path(dir, number);
        let file = disk.open(&path).map_err(|error| JournalError::io("opening", &path, &error))?;
        let len = file.len().map_err(|error| JournalError::io("reading", &path, &error))?;
        let header = segment::header(file.as_ref(), &path, number)?;
        Ok(Found { path, len, header })
    }

    pub fn rot(&self, offset: u64, lsn: Lsn, mark: Lsn, what: &'static str) -> JournalError {
        JournalError::Rot { path: self.path.clone(), offset, lsn, mark, what }
    }

    /// Reads the first `len` bytes, or as many as there are.
    pub fn read(&self, disk: &dyn Disk, into: &mut Vec<u8>, len: u64) -> Result<(), JournalError> {
        let failed = |error| JournalError::io("reading", &self.path, &error);
        let len = usize::try_from(len.min(self.len)).map_err(|_| failed(std::io::ErrorKind::FileTooLarge.into()))?;
        into.clear();
        into.resize(len, 0);
        let read = disk.open(&self.path).and_then(|file| file.read_at(into, 0)).map_err(failed)?;
        into.truncate(read);
        Ok(())
    }
}

pub(super) fn torn_at(found: &Found, offset: u64, lsn: Lsn, bytes: &[u8]) -> Option<TornTail> {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    (used > offset).then(|| TornTail { path: found.path.clone(), offset, lsn, bytes: used - offset })
}

/// Where the sound batches of a segment end, and why.
#[derive(Clone, Copy, Default)]
pub(super) struct Stop {
    pub offset: u64,
    what: &'static str,
    /// The last batch said that the file ends with it.
    ends_journal: bool,
}

/// Where a walk stands, for another one that goes on there.
#[derive(Clone, Copy)]
pub(super) struct WalkState {
    pub next: Lsn,
    chain: u32,
    term: u64,
    owner: [u8; 16],
    next_salt: Option<u32>,
    mark: Lsn,
    adopts: bool,
    newest_at: Millis,
}

impl WalkState {
    /// Behind what was read up to `next` from files of another kind.
    pub fn adopting(next: Lsn) -> WalkState {
        WalkState { next, mark: next.prev(), adopts: true, ..WalkState::default() }
    }

    /// Behind what a snapshot covers.
    pub fn behind(covered: &Covered, newest_at: Millis) -> WalkState {
        let Covered { next, chain, term, owner, .. } = *covered;
        WalkState { next, chain, term, owner, next_salt: None, mark: next.prev(), adopts: false, newest_at }
    }
}

impl Default for WalkState {
    fn default() -> WalkState {
        WalkState {
            next: Lsn::ZERO.next(),
            chain: 0,
            term: 0,
            owner: [0; 16],
            next_salt: None,
            mark: Lsn::ZERO,
            adopts: false,
            newest_at: Millis(0),
        }
    }
}

/// What has been accepted so far, and what must come next.
pub(super) struct Walk<'a> {
    pub disk: &'a dyn Disk,
    pub next: Lsn,
    pub chain: u32,
    pub term: u64,
    owner: [u8; 16],
    log: LogId,
    pub next_salt: Option<u32>,
    /// The highest durable position named by what was accepted.
    mark: Lsn,
    /// What came before was read elsewhere: the first header is taken at its word, but for its position.
    adopts: bool,
    pub newest_at: Millis,
    pub events: u64,
    pub accepted: u64,
    /// Where each batch with events of the segment at hand ends, and its last position.
    ends: Vec<(u64, Lsn)>,
    bytes_done: u64,
    bytes_total: u64,
    visit: &'a mut dyn FnMut(Lsn, &Event<'_>),
    progress: &'a mut dyn FnMut(ReplayProgress),
}

impl<'a> Walk<'a> {
    pub fn new(
        disk: &'a dyn Disk,
        found: &[Found],
        log: LogId,
        visit: &'a mut dyn FnMut(Lsn, &Event<'_>),
        progress: &'a mut dyn FnMut(ReplayProgress),
    ) -> Walk<'a> {
        Walk {
            disk,
            next: Lsn::ZERO.next(),
            chain: 0,
            term: 0,
            owner: [0; 16],
            log,
            next_salt: None,
            mark: Lsn::ZERO,
            adopts: false,
            newest_at: Millis(0),
            events: 0,
            accepted: 0,
            ends: Vec::new(),
            bytes_done: 0,
            bytes_total: found.iter().map(|found| found.len).sum(),
            visit,
            progress,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> WalkState {
        let Walk { next, chain, term, owner, next_salt, mark, adopts, newest_at, .. } = *self;
        WalkState { next, chain, term, owner, next_salt, mark, adopts, newest_at }
    }

    /// So many bytes were read before this walk.
    pub fn after_bytes(&mut self, done: u64) {
        self.bytes_done += done;
        self.bytes_total += done;
    }

    /// Goes on where another walk stood.
    pub fn resume(&mut self, from: WalkState) {
        (self.next, self.chain, self.next_salt, self.adopts) = (from.next, from.chain, from.next_salt, from.adopts);
        (self.term, self.owner, self.mark, self.newest_at) = (from.term, from.owner, from.mark, from.newest_at);
    }

    fn tell(&mut self, bytes_more: u64) {
        self.bytes_done += bytes_more;
        (self.progress)(ReplayProgress {
            bytes_done: self.bytes_done.min(self.bytes_total),
            bytes_total: self.bytes_total,
            lsn: self.next.prev(),
        });
    }

    /// Accepts one segment: up to where the next header says that it ends, else as far as its batches are sound.
    pub fn segment(&mut self, found: &[Found], index: usize, bytes: &mut Vec<u8>) -> Result<Stop, JournalError> {
        let mut stop = self.begin(found, index)?;
        self.rest(found, index, &mut stop, bytes)?;
        self.accepted += stop.offset;
        Ok(stop)
    }

    /// Accepts the header of a segment; answers where its first batch is. Nothing moves where it fails.
    pub fn begin(&mut self, found: &[Found], index: usize) -> Result<Stop, JournalError> {
        let this = &found[index];
        let durable = self.durable_before(found, index);
        let Some(header) = this.header else {
            return Err(this.rot(0, self.next, durable, "the segment header is damaged"));
        };
        let same_process = self.adopts || header.term == self.term && header.owner == self.owner;
        let chained = self.adopts || header.prev_chain == self.chain || sabotage::on(Sabotage::IgnoreChain);
        if header.log != self.log || !(same_process || header.term > self.term) {
            return Err(this.rot(0, self.next, durable, "the segment belongs to another journal"));
        }
        if header.first_lsn != self.next || !chained {
            return Err(this.rot(0, self.next, durable, "the segment does not follow the one before it"));
        }
        (self.term, self.owner, self.chain) = (header.term, header.owner, header.prev_chain);
        self.adopts = false;
        self.next_salt = Some(header.next_salt);
        self.mark = self.mark.max(header.durable).max(header.first_lsn.prev());
        self.newest_at = self.newest_at.max(header.at);
        self.ends.clear();
        Ok(Stop { offset: u64::from(header.block_bytes), what: "the segment is too short", ends_journal: false })
    }

    /// What headers behind segment `index` say was durable.
    fn durable_before(&self, found: &[Found], index: usize) -> Lsn {
        let later = found[index + 1..].iter().filter_map(|found| found.header).next_back();
        later.map_or(self.mark, |header| header.first_lsn.prev())
    }

    /// Accepts what follows in a segment behind `stop`, which moves; its header was accepted before.
    pub fn rest(
        &mut self,
        found: &[Found],
        index: usize,
        stop: &mut Stop,
        bytes: &mut Vec<u8>,
    ) -> Result<(), JournalError> {
        let this = &found[index];
        let Some(header) = this.header else {
            return Err(this.rot(0, self.next, self.mark, "the segment header is damaged"));
        };
        let successor = found.get(index + 1).map(|next| next.header);
        let limit = successor.flatten().map(|next| next.prev_end);
        this.read(self.disk, bytes, limit.unwrap_or(this.len))?;
        self.batches(this, &header, bytes, stop)?;
        self.tell(this.len.saturating_sub(stop.offset));
        if successor.is_some() && limit != Some(stop.offset) {
            return Err(this.rot(stop.offset, self.next, self.durable_before(found, index), stop.what));
        }
        Ok(())
    }

    fn batches(
        &mut self,
        this: &Found,
        header: &SegmentHeader,
        bytes: &[u8],
        stop: &mut Stop,
    ) -> Result<(), JournalError> {
        let block = u64::from(header.block_bytes);
        let mut told = 0;
        while let Some(rest) = at(bytes, stop.offset).filter(|rest| !rest.is_empty()) {
            let batch = match BatchHeader::read(rest, header.salt, block) {
                Ok(batch) => batch,
                Err(BadHeader::Damaged) => {
                    stop.what = "the batch is damaged";
                    break;
                }
                Err(BadHeader::Newer(format)) => {
                    let what = format!("batch format {format}, written by a newer release");
                    return Err(JournalError::Newer { path: this.path.clone(), offset: stop.offset, what });
                }
            };
            let ours = batch.term == self.term && batch.owner == self.owner;
            let chained = batch.prev_chain == self.chain || sabotage::on(Sabotage::IgnoreChain);
            if !ours || batch.first_lsn != self.next || !chained {
                stop.what = "the batch does not follow the one before it";
                break;
            }
            self.accept(this, stop, &batch, &rest[BATCH_HEADER_BYTES..][..batch.body_len as usize])?;
            stop.offset += batch.padded(block);
            stop.ends_journal = batch.ends_journal;
            if batch.count > 0 {
                self.ends.push((stop.offset, batch.last_lsn()));
            }
            if stop.offset - told >= PROGRESS_BYTES {
                self.tell(stop.offset - told);
                told = stop.offset;
            }
        }
        self.tell(stop.offset - told);
        Ok(())
    }

    fn accept(&mut self, this: &Found, stop: &Stop, batch: &BatchHeader, body: &[u8]) -> Result<(), JournalError> {
        let (path, offset) = (&this.path, stop.offset);
        for record in Records::new(body, batch.first_lsn, batch.count) {
            let (lsn, event) = record.map_err(|bad| match bad {
                BadRecord::Newer { .. } => JournalError::Newer { path: path.clone(), offset, what: bad.to_string() },
                what @ (BadRecord::Malformed { .. } | BadRecord::Count) => {
                    JournalError::Senseless { path: path.clone(), offset, what }
                }
            })?;
            (self.visit)(lsn, &event);
        }
        self.next = batch.last_lsn().next();
        self.chain = batch.crc;
        self.mark = self.mark.max(batch.durable);
        self.newest_at = self.newest_at.max(batch.at);
        self.events += u64::from(batch.count);
        Ok(())
    }

    /// The verdict on what lies behind the last sound batch. `found`: the last segment with a sound header, and those
    /// behind it, which have none.
    pub fn tail(
        &mut self,
        found: &[Found],
        stop: &Stop,
        bytes: &[u8],
        known_durable: Lsn,
    ) -> Result<Option<TornTail>, JournalError> {
        let last = &found[0];
        let header = last.header.expect("the last segment is the one with a sound header");
        let mut mark = self.mark.max(known_durable);
        let rest = at(bytes, stop.offset).unwrap_or_default();
        let mut torn = torn_at(last, stop.offset, self.next, bytes);
        let mut synced_behind = false;
        for batch in sound(rest, &header, header.salt).filter(|batch| batch.owner == header.owner) {
            mark = mark.max(batch.durable);
            synced_behind |= batch.synced_before;
        }
        if last.len < header.segment_bytes && !(stop.ends_journal && stop.offset == last.len) {
            if let Some(next) = found.get(1).filter(|_| stop.offset == last.len) {
                // It was cut where its batches end: when the next header was synced.
                return Err(next.rot(0, self.next, mark.max(self.next.prev()), "the segment header is damaged"));
            }
            let what = if stop.offset < last.len { stop.what } else { "the file is shorter than it was made" };
            return Err(last.rot(stop.offset, self.next, mark, what));
        }
        let mut behind = Vec::new();
        for (index, this) in found.iter().enumerate().skip(1) {
            this.read(self.disk, &mut behind, this.len)?;
            self.tell(this.len);
            if behind.len() < header.block_bytes as usize {
                return Err(this.rot(0, self.next, mark, "the file is shorter than it was made"));
            }
            let Some(here) = torn_at(this, 0, self.next, &behind) else { continue };
            if index > 1 {
                // A segment is begun only when all of the one before it is synced, its header too.
                return Err(found[1].rot(0, self.next, mark, "the segment header is damaged"));
            }
            for batch in sound(&behind, &header, header.next_salt) {
                mark = mark.max(batch.durable);
                // All before a segment is synced before its header is written; what a start begins, with its header.
                synced_behind |= batch.synced_before || batch.owner != header.owner || torn.is_some();
            }
            torn = torn.or(Some(here));
        }
        if synced_behind {
            mark = mark.max(self.next.prev());
        }
        match torn {
            Some(torn) if (self.next <= mark || synced_behind) && !sabotage::on(Sabotage::IgnoreMark) => {
                let what = match (torn.path == last.path, self.next <= mark) {
                    (true, true) => stop.what,
                    (true, false) => "what was synced before a later batch was written is damaged",
                    (false, _) => "the segment header is damaged",
                };
                Err(JournalError::Rot { path: torn.path, offset: torn.offset, lsn: torn.lsn, mark, what })
            }
            torn => Ok(torn),
        }
    }

    /// From here on the last segment may be in the page cache only.
    pub fn doubtful_from(&self) -> u64 {
        self.ends.iter().rev().find(|(_, last)| *last <= self.mark).map_or(0, |(end, _)| *end)
    }
}

/// All sound batches under `salt` in `bytes`, wherever they stand.
fn sound<'a>(bytes: &'a [u8], header: &SegmentHeader, salt: u32) -> impl Iterator<Item = BatchHeader> + 'a {
    let block = header.block_bytes as usize;
    let starts = (0..bytes.len()).step_by(block);
    starts.filter_map(move |start| BatchHeader::read(&bytes[start..], salt, block as u64).ok())
}

pub(super) fn at(bytes: &[u8], offset: u64) -> Option<&[u8]> {
    usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..))
}
