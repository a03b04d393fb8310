//! Reading a journal back at start: what to accept, torn or rot, and making safe what was accepted.
//!
//! Let *mark* be the highest position that anything found names as durable. The header of a segment is written only
//! when all before it is synced, so damage before a later sound header is rot. In the last segment damage at or below
//! the mark is rot; above it the tail is torn and cut, even if sound batches follow: without sync order nothing else is
//! promised. Nothing is changed before the verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{BadHeader, BatchHeader, SegmentHeader, all_zero};
use super::open::Start;
use super::record::{BadRecord, Records};
use super::{BATCH_HEADER_BYTES, Disk, DiskFile, JournalError, Options, random, segment};
use crate::core::Event;
use crate::ids::{LogId, Lsn, Millis};
use crate::sabotage::{self, Sabotage};

/// Bytes applied between two words about progress.
const PROGRESS_BYTES: u64 = 4 << 20;

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
    /// Events applied.
    pub events: u64,
    /// The newest time in the journal: the floor of the clock. Zero where there is none.
    pub newest_at: Millis,
    /// Segments read.
    pub segments: u64,
    /// Bytes accepted.
    pub bytes: u64,
    /// What was cut.
    pub torn: Option<TornTail>,
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
    Ok(survey(disk, dir)?.iter().find_map(|found| found.header).map(|header| header.log))
}

/// Reads the journal, makes safe what was accepted and opens a fresh segment.
pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    log: LogId,
    visit: &mut dyn FnMut(Lsn, &Event<'_>),
    progress: &mut dyn FnMut(ReplayProgress),
) -> Result<(Start, Replayed), JournalError> {
    let found = survey(disk.as_ref(), dir)?;
    let mut walk = Walk::new(disk.as_ref(), &found, log, visit, progress);
    let mut bytes = Vec::new();
    let kept = found.iter().rposition(|found| found.header.is_some()).map_or(0, |last| last + 1);
    let mut end = 0;
    let torn = if kept == 0 {
        never_begun(&found, options, &mut walk)?
    } else {
        let mut stop = Stop::default();
        for index in 0..kept {
            stop = walk.segment(&found[..kept], index, &mut bytes)?;
        }
        end = stop.offset;
        walk.tail(&found[kept - 1..], &stop, &bytes, options.known_durable)?
    };
    let last_lsn = walk.next.prev();
    if last_lsn < options.known_durable {
        return Err(JournalError::Behind { last: last_lsn, known: options.known_durable });
    }
    if kept > 0 && !sabotage::on(Sabotage::TrustPageCache) {
        rewrite(disk.as_ref(), &found[kept - 1], &bytes, walk.doubtful_from()..end)?;
    }
    let replayed = Replayed {
        last_lsn,
        events: walk.events,
        newest_at: walk.newest_at,
        segments: kept as u64,
        bytes: walk.accepted,
        torn,
    };
    let (file, number) = fresh_file(disk.as_ref(), dir, &found, kept, options)?;
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
        durable: last_lsn,
        prev_end: end,
        prev_chain: walk.chain,
        at: walk.newest_at,
    };
    let mut block = vec![0; usize::try_from(options.block_bytes).expect("a block is at most 64 KiB")];
    header.write(&mut block);
    let path = segment::path(dir, number);
    file.write_at(&block, 0).map_err(|error| JournalError::io("writing", &path, &error))?;
    file.sync_data().map_err(|error| JournalError::io("syncing", &path, &error))?;
    let bytes = found[..kept].iter().map(|found| found.len).sum::<u64>() + options.segment_bytes;
    Ok((Start { file, segment: header, bytes }, replayed))
}

/// A segment file as it lies there.
struct Found {
    path: PathBuf,
    len: u64,
    /// Its header, if that is sound.
    header: Option<SegmentHeader>,
}

fn survey(disk: &dyn Disk, dir: &Path) -> Result<Vec<Found>, JournalError> {
    let mut found = Vec::new();
    for (number, expected) in segment::list(disk, dir)?.into_iter().zip(1..) {
        if number != expected {
            return Err(JournalError::Missing { path: segment::path(dir, expected) });
        }
        let path = segment::path(dir, number);
        let file = disk.open(&path).map_err(|error| JournalError::io("opening", &path, &error))?;
        let len = file.len().map_err(|error| JournalError::io("reading", &path, &error))?;
        let header = segment::header(file.as_ref(), &path, number)?;
        found.push(Found { path, len, header });
    }
    Ok(found)
}

impl Found {
    fn rot(&self, offset: u64, lsn: Lsn, mark: Lsn, what: &'static str) -> JournalError {
        JournalError::Rot { path: self.path.clone(), offset, lsn, mark, what }
    }

    /// Reads the first `len` bytes, or as many as there are.
    fn read(&self, disk: &dyn Disk, into: &mut Vec<u8>, len: u64) -> Result<(), JournalError> {
        let failed = |error| JournalError::io("reading", &self.path, &error);
        let len = usize::try_from(len.min(self.len)).map_err(|_| failed(std::io::ErrorKind::FileTooLarge.into()))?;
        into.clear();
        into.resize(len, 0);
        let read = disk.open(&self.path).and_then(|file| file.read_at(into, 0)).map_err(failed)?;
        into.truncate(read);
        Ok(())
    }
}

/// A journal without a sound header: new, or killed while its first header was written. No batch can be there then.
fn never_begun(found: &[Found], options: &Options, walk: &mut Walk<'_>) -> Result<Option<TornTail>, JournalError> {
    let Some(first) = found.first() else { return Ok(None) };
    let mut bytes = Vec::new();
    first.read(walk.disk, &mut bytes, first.len)?;
    let block = usize::try_from(options.block_bytes).expect("a block is at most 64 KiB");
    if found.len() > 1 || bytes.len() < block || !all_zero(&bytes[block..]) {
        return Err(first.rot(0, walk.next, options.known_durable, "the segment header is damaged"));
    }
    Ok(torn_at(first, 0, walk.next, &bytes))
}

fn torn_at(found: &Found, offset: u64, lsn: Lsn, bytes: &[u8]) -> Option<TornTail> {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    (used > offset).then(|| TornTail { path: found.path.clone(), offset, lsn, bytes: used - offset })
}

/// Where the sound batches of a segment end, and why.
#[derive(Default)]
struct Stop {
    offset: u64,
    what: &'static str,
    /// The last batch said that the file ends with it.
    ends_journal: bool,
}

/// What has been accepted so far, and what must come next.
struct Walk<'a> {
    disk: &'a dyn Disk,
    next: Lsn,
    chain: u32,
    term: u64,
    owner: [u8; 16],
    log: LogId,
    next_salt: Option<u32>,
    /// The highest durable position named by what was accepted.
    mark: Lsn,
    newest_at: Millis,
    events: u64,
    accepted: u64,
    /// Where each batch with events of the segment at hand ends, and its last position.
    ends: Vec<(u64, Lsn)>,
    bytes_done: u64,
    bytes_total: u64,
    visit: &'a mut dyn FnMut(Lsn, &Event<'_>),
    progress: &'a mut dyn FnMut(ReplayProgress),
}

impl<'a> Walk<'a> {
    fn new(
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

    fn tell(&mut self, bytes_more: u64) {
        self.bytes_done += bytes_more;
        (self.progress)(ReplayProgress {
            bytes_done: self.bytes_done.min(self.bytes_total),
            bytes_total: self.bytes_total,
            lsn: self.next.prev(),
        });
    }

    /// Accepts one segment: up to where the next header says that it ends, else as far as its batches are sound.
    fn segment(&mut self, found: &[Found], index: usize, bytes: &mut Vec<u8>) -> Result<Stop, JournalError> {
        let this = &found[index];
        let later = found[index + 1..].iter().filter_map(|found| found.header).next_back();
        let durable = later.map_or(self.mark, |header| header.first_lsn.prev());
        let Some(header) = this.header else {
            return Err(this.rot(0, self.next, durable, "the segment header is damaged"));
        };
        let same_process = header.term == self.term && header.owner == self.owner;
        let chained = header.prev_chain == self.chain || sabotage::on(Sabotage::IgnoreChain);
        if header.log != self.log || !(same_process || header.term > self.term) {
            return Err(this.rot(0, self.next, durable, "the segment belongs to another journal"));
        }
        if header.first_lsn != self.next || !chained {
            return Err(this.rot(0, self.next, durable, "the segment does not follow the one before it"));
        }
        (self.term, self.owner, self.chain) = (header.term, header.owner, header.prev_chain);
        self.next_salt = Some(header.next_salt);
        self.mark = self.mark.max(header.durable).max(header.first_lsn.prev());
        self.newest_at = self.newest_at.max(header.at);
        self.ends.clear();

        let successor = found.get(index + 1).map(|next| next.header);
        let limit = successor.flatten().map(|next| next.prev_end);
        this.read(self.disk, bytes, limit.unwrap_or(this.len))?;
        let stop = self.batches(this, &header, bytes)?;
        self.tell(this.len.saturating_sub(stop.offset));
        self.accepted += stop.offset;
        if successor.is_some() && limit != Some(stop.offset) {
            return Err(this.rot(stop.offset, self.next, durable, stop.what));
        }
        Ok(stop)
    }

    fn batches(&mut self, this: &Found, header: &SegmentHeader, bytes: &[u8]) -> Result<Stop, JournalError> {
        let block = u64::from(header.block_bytes);
        let mut stop = Stop { offset: block, what: "the segment is too short", ends_journal: false };
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
            self.accept(this, &stop, &batch, &rest[BATCH_HEADER_BYTES..][..batch.body_len as usize])?;
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
        Ok(stop)
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
    fn tail(
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
        if !all_zero(rest) {
            mark = mark.max(durable_named(rest, &header, header.salt, Some(header.owner)));
        }
        if last.len < header.segment_bytes && !(stop.ends_journal && stop.offset == last.len) {
            return Err(last.rot(stop.offset, self.next, mark, "the file is shorter than it was made"));
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
            mark = mark.max(durable_named(&behind, &header, header.next_salt, None));
            torn = torn.or(Some(here));
        }
        match torn {
            Some(torn) if self.next <= mark && !sabotage::on(Sabotage::IgnoreMark) => {
                let what = if torn.path == last.path { stop.what } else { "the segment header is damaged" };
                Err(JournalError::Rot { path: torn.path, offset: torn.offset, lsn: torn.lsn, mark, what })
            }
            torn => Ok(torn),
        }
    }

    /// From here on the last segment may be in the page cache only.
    fn doubtful_from(&self) -> u64 {
        self.ends.iter().rev().find(|(_, last)| *last <= self.mark).map_or(0, |(end, _)| *end)
    }
}

/// The highest durable position that any sound batch in `bytes` names, wherever it stands.
fn durable_named(bytes: &[u8], header: &SegmentHeader, salt: u32, owner: Option<[u8; 16]>) -> Lsn {
    let block = header.block_bytes as usize;
    let sound = |start: usize| {
        let batch = BatchHeader::peek(&bytes[start..])?;
        let ours = owner.is_none_or(|owner| owner == batch.owner);
        (ours && BatchHeader::read(&bytes[start..], salt, block as u64).is_ok()).then_some(batch.durable)
    };
    (0..bytes.len()).step_by(block).filter_map(sound).max().unwrap_or_default()
}

fn at(bytes: &[u8], offset: u64) -> Option<&[u8]> {
    usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..))
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

/// The file of the segment behind the `kept` ones: a spare that nobody used, or a new one. What else lies there goes.
fn fresh_file(
    disk: &dyn Disk,
    dir: &Path,
    found: &[Found],
    kept: usize,
    options: &Options,
) -> Result<(Arc<dyn DiskFile>, u64), JournalError> {
    segment::remove_unfinished(disk, dir)?;
    let number = kept as u64 + 1;
    let mut spare = false;
    if let Some(next) = found.get(kept) {
        let mut bytes = Vec::new();
        next.read(disk, &mut bytes, next.len)?;
        spare = next.len == options.segment_bytes && all_zero(&bytes);
    }
    for useless in found[kept..].iter().skip(usize::from(spare)).rev() {
        disk.remove(&useless.path).map_err(|error| JournalError::io("removing", &useless.path, &error))?;
    }
    disk.sync_dir(dir).map_err(|error| JournalError::io("syncing", dir, &error))?;
    let path = segment::path(dir, number);
    let file = if spare {
        Some(disk.open_to_write(&path).map_err(|error| JournalError::io("opening", &path, &error))?)
    } else {
        let made = segment::make(disk, dir, number, options.segment_bytes, &|| false);
        made.map_err(|error| JournalError::io("making", &path, &error))?
    };
    Ok((file.expect("nothing stops the making of this one"), number))
}
