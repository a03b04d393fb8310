//! History: old segments reduced to what happened to campaigns, and how it is written.
//!
//! A history file has the form of a segment, so that whoever reads segments reads it: a header whose `number` is that of
//! the last segment in it and whose `durable` is the last position; batches, the last of them final. Positions whose
//! events are left out stand as one record. Neighbours are merged while they are small.
//!
//! ```text
//! DATA/history/NNNNNNNN.seg     | header | batch | batch | ... | final batch |      the file ends there
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{BATCH_HEADER_BYTES, BatchHeader, SegmentHeader};
use super::snapshot::Covered;
use super::{Disk, DiskFile, JournalError, Reader, random, record, segment};
use crate::core::Event;
use crate::ids::{Lsn, Millis};

/// A batch of history is closed when its records are this long.
const BATCH_BYTES: usize = 256 << 10;
/// Positions that one batch stands for: its count is 32 bits wide.
const POSITIONS_MAX: u64 = 1 << 31;
/// A file that is shorter is merged with the one behind it.
const MERGE_BYTES: u64 = 16 << 20;

/// Where history lies beside the segments in `dir`.
pub(super) fn directory(dir: &Path) -> PathBuf {
    dir.with_file_name("history")
}

/// The history up to segment `number`.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    segment::path(&directory(dir), number)
}

/// A history file and what its header says.
pub(super) struct File {
    pub path: PathBuf,
    pub header: SegmentHeader,
    pub bytes: u64,
}

/// The history files that are there, oldest first.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<File>, JournalError> {
    let numbers = segment::list(disk, &directory(dir))?;
    let mut files: Vec<File> = Vec::new();
    for number in numbers {
        let path = path(dir, number);
        let file = disk.open(&path).map_err(|error| JournalError::io("opening", &path, &error))?;
        let bytes = file.len().map_err(|error| JournalError::io("reading", &path, &error))?;
        let header = segment::header(file.as_ref(), &path, number)?.filter(|header| header.segment_bytes == bytes);
        let Some(header) = header else {
            let next = files.last().map_or(Lsn::new(1), |file| file.header.durable.next());
            return Err(JournalError::Rot { path, offset: 0, lsn: next, mark: next, what: "the header is damaged" });
        };
        // A merge that was cut short leaves what is in the merged file, too.
        files.retain(|before| before.header.first_lsn < header.first_lsn);
        files.push(File { path, header, bytes });
    }
    Ok(files)
}

/// Files whose content is in another one: a merge was cut short.
pub(super) fn merged_away(disk: &dyn Disk, dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let kept = list(disk, dir)?;
    let all = segment::list(disk, &directory(dir))?.into_iter().map(|number| path(dir, number));
    Ok(all.filter(|path| kept.iter().all(|file| file.path != *path)).collect())
}

/// Whether an event stays.
fn stays(event: &Event<'_>) -> bool {
    match event {
        Event::CampaignCreated { .. }
        | Event::CampaignAltered { .. }
        | Event::CampaignDropped { .. }
        | Event::Granted { .. }
        | Event::Held { .. }
        | Event::Confirmed { .. }
        | Event::HoldEnded { .. }
        | Event::Returned { .. }
        | Event::Imported { .. }
        | Event::Skipped { .. } => true,
        Event::KeySet { .. }
        | Event::KeyCounted { .. }
        | Event::KeyPatched { .. }
        | Event::KeyExpirySet { .. }
        | Event::KeyRemoved { .. }
        | Event::KeyRenamed { .. }
        | Event::Flushed { .. } => false,
    }
}

/// Reduces what `covered` covers, as far as it is no history yet. `pace` is told of every piece of bytes that was read or
/// written. Answers the last position that is history.
pub(super) fn reduce(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    covered: &Covered,
    block_bytes: u32,
    pace: &mut dyn FnMut(u64) -> Result<(), JournalError>,
) -> Result<Lsn, JournalError> {
    let upto = covered.next.prev();
    let before = list(disk.as_ref(), dir)?;
    let last = before.last();
    // A journal that was started and never written has nothing that could become history.
    let done = last.map_or(Lsn::ZERO, |last| last.header.durable);
    if done >= upto {
        return Ok(done);
    }
    let merged = last.filter(|last| last.bytes < MERGE_BYTES);
    let first = match (merged, last) {
        (Some(merged), _) => merged.header.first_lsn,
        (None, Some(last)) => last.header.durable.next(),
        (None, None) => Lsn::new(1),
    };
    super::make_dir(disk.as_ref(), &directory(dir))?;
    let whole = path(dir, covered.segment);
    let part = whole.with_extension("tmp");
    let written = write(disk, dir, &part, covered, first, block_bytes, pace);
    written.inspect_err(|_| {
        // What cannot be removed either is removed by the next start.
        let _ = disk.remove(&part);
    })?;
    disk.rename(&part, &whole).map_err(|error| JournalError::io("renaming", &part, &error))?;
    let here = directory(dir);
    disk.sync_dir(&here).map_err(|error| JournalError::io("syncing", &here, &error))?;
    if let Some(merged) = merged {
        disk.remove(&merged.path).map_err(|error| JournalError::io("removing", &merged.path, &error))?;
    }
    Ok(upto)
}

fn write(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    part: &Path,
    covered: &Covered,
    first: Lsn,
    block_bytes: u32,
    pace: &mut dyn FnMut(u64) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    let upto = covered.next.prev();
    let file = disk.create(part).map_err(|error| JournalError::io("making", part, &error))?;
    let salt = u32::from_le_bytes(random()?);
    let mut pen = Pen { file: &*file, part, covered, salt, block: block_bytes, end: u64::from(block_bytes), chain: 0 };
    let mut batch = Batch::new(first);
    let data = dir.parent().unwrap_or(dir);
    let mut reader = Reader::open(Arc::clone(disk), data, first)?;
    let mut newest_at = Millis(0);
    let mut kept_from = None;
    while let Some(source) = reader.next_of_all(upto)? {
        // What lies before was given up when its time was over.
        let from = *kept_from.get_or_insert(source.first);
        if batch.is_empty() && batch.first < from {
            batch = Batch::new(from);
        }
        newest_at = newest_at.max(source.at);
        batch.at = batch.at.max(source.at);
        for event in source.events() {
            let (lsn, event) =
                event.map_err(|bad| JournalError::Senseless { path: part.into(), offset: 0, what: bad })?;
            if stays(&event) {
                batch = batch.with_room(lsn, &mut pen)?;
                batch.add(lsn, &event);
            }
        }
        pace(source.bytes())?;
    }
    let first = kept_from.unwrap_or(first);
    batch = batch.with_room(upto, &mut pen)?;
    batch.leave_out(upto);
    pen.put(&mut batch, true)?;
    let header = SegmentHeader {
        block_bytes,
        segment_bytes: pen.end,
        number: covered.segment,
        term: covered.term,
        owner: covered.owner,
        log: covered.log,
        salt,
        next_salt: 0,
        first_lsn: first,
        durable: upto,
        prev_end: 0,
        prev_chain: 0,
        at: newest_at,
    };
    let mut block = vec![0; block_bytes as usize];
    header.write(&mut block);
    file.write_at(&block, 0).map_err(|error| JournalError::io("writing", part, &error))?;
    file.sync_data().map_err(|error| JournalError::io("syncing", part, &error))
}

/// Writes batches of a history file.
struct Pen<'a> {
    file: &'a dyn DiskFile,
    part: &'a Path,
    covered: &'a Covered,
    salt: u32,
    block: u32,
    end: u64,
    chain: u32,
}

impl Pen<'_> {
    fn put(&mut self, batch: &mut Batch, last: bool) -> Result<(), JournalError> {
        let header = BatchHeader {
            ends_journal: last,
            synced_before: false,
            term: self.covered.term,
            owner: self.covered.owner,
            first_lsn: batch.first,
            count: u32::try_from(batch.next.get() - batch.first.get()).expect("a batch has room for its positions"),
            body_len: u32::try_from(batch.buffer.len() - BATCH_HEADER_BYTES).expect("a batch is short"),
            durable: self.covered.next.prev(),
            at: batch.at,
            prev_chain: self.chain,
            crc: 0,
        };
        self.chain = header.write(&mut batch.buffer, self.salt);
        batch.buffer.resize(batch.buffer.len().next_multiple_of(self.block as usize), 0);
        self.file.write_at(&batch.buffer, self.end).map_err(|error| JournalError::io("writing", self.part, &error))?;
        self.end += batch.buffer.len() as u64;
        Ok(())
    }
}

/// A batch that is being filled: room for its header, then records.
struct Batch {
    buffer: Vec<u8>,
    first: Lsn,
    /// The position behind the last one in it.
    next: Lsn,
    at: Millis,
}

impl Batch {
    fn new(first: Lsn) -> Batch {
        Batch { buffer: vec![0; BATCH_HEADER_BYTES], first, next: first, at: Millis(0) }
    }

    fn is_empty(&self) -> bool {
        self.next == self.first
    }

    /// This batch, or where it is full the next one: what goes up to `lsn` has room in it.
    fn with_room(mut self, lsn: Lsn, pen: &mut Pen<'_>) -> Result<Batch, JournalError> {
        if self.buffer.len() >= BATCH_BYTES {
            self = self.closed(pen)?;
        }
        while lsn.get() - self.first.get() >= POSITIONS_MAX {
            self.leave_out(Lsn::new(self.first.get() + POSITIONS_MAX - 1));
            self = self.closed(pen)?;
        }
        Ok(self)
    }

    fn closed(mut self, pen: &mut Pen<'_>) -> Result<Batch, JournalError> {
        pen.put(&mut self, false)?;
        Ok(Batch { at: self.at, ..Batch::new(self.next) })
    }

    fn add(&mut self, lsn: Lsn, event: &Event<'_>) {
        self.leave_out(lsn.prev());
        record::encode(event, false, &mut self.buffer);
        self.next = if let Event::Skipped { upto } = event { upto.next() } else { lsn.next() };
    }

    /// The positions up to `upto` hold nothing that stays.
    fn leave_out(&mut self, upto: Lsn) {
        if self.next <= upto {
            record::encode_left_out(upto, &mut self.buffer);
            self.next = upto.next();
        }
    }
}
