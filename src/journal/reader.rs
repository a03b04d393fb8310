//! Follows the files that a running journal writes, or a stopped one left: what sinks and tools read.
//!
//! Where segments were reduced, their history is read; where a file goes away under a reader, what it held is history.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{BATCH_HEADER_BYTES, BadHeader, BatchHeader, SegmentHeader};
use super::record::Records;
use super::walk::Found;
use super::{Disk, DiskFile, JournalError, history, segment};
use crate::ids::{LogId, Lsn, Millis};
use crate::sabotage::{Sabotage, on};

/// Reads batch after batch, at most up to a position that the caller knows to be written.
pub struct Reader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// The next position to deliver.
    wanted: Lsn,
    place: Option<Place>,
}

/// The events of one batch, or the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The position of the first event that `events` yields.
    pub first: Lsn,
    /// The position of the last one.
    pub last: Lsn,
    /// When the batch was sealed, on the loop's clock.
    pub at: Millis,
    /// The journal it is from.
    pub log: LogId,
    header: BatchHeader,
    body: Vec<u8>,
}

impl Batch {
    /// What it took to read it.
    pub(super) fn bytes(&self) -> u64 {
        self.body.len() as u64
    }

    /// Its events in order.
    pub fn events(&self) -> impl Iterator<Item = Result<(Lsn, crate::core::Event<'_>), super::BadRecord>> {
        let records = Records::new(&self.body, self.header.first_lsn, self.header.count);
        let first = self.first;
        records.filter(move |record| record.as_ref().map_or(true, |(lsn, _)| *lsn >= first))
    }
}

/// Where the next batch is, or the end of its segment.
struct Place {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    segment: SegmentHeader,
    offset: u64,
    /// The position of the next event in the file.
    next: Lsn,
    /// Where the segment ends, as the one after it says; what lies behind is cut. A history file ends where it ends.
    end: Option<u64>,
    history: bool,
}

/// The first position whose event is kept in the data directory `data`, as history or in a segment.
pub fn kept_from(disk: &dyn Disk, data: &Path) -> Result<Lsn, JournalError> {
    let dir = segment::directory(data);
    // What is no segment any more has been history before.
    let segment = segment::list(disk, &dir)?.first().copied();
    if let Some(first) = history::list(disk, &dir)?.first() {
        return Ok(first.header.first_lsn);
    }
    let header = segment.map(|number| Found::look(disk, &dir, number)).transpose()?.and_then(|found| found.header);
    Ok(header.map_or(Lsn::new(1), |header| header.first_lsn))
}

impl Reader {
    /// A reader whose first batch will hold `from`, or what is kept behind it, of the journal in the data directory
    /// `data`. Opens nothing yet.
    pub fn open(disk: Arc<dyn Disk>, data: &Path, from: Lsn) -> Result<Reader, JournalError> {
        Ok(Reader { disk, dir: segment::directory(data), wanted: from.max(Lsn::new(1)), place: None })
    }

    /// The next batch, if all of it is at or below `upto`. The caller promises that everything up to `upto` has been
    /// written completely: it took `upto` from a watermark, or from a replay.
    pub fn next(&mut self, upto: Lsn) -> Result<Option<Batch>, JournalError> {
        if self.wanted > upto {
            return Ok(None);
        }
        let mut place = match self.place.take() {
            Some(place) => place,
            None => self.find(self.wanted)?,
        };
        loop {
            let Some(header) = self.header_at(&mut place)? else { continue };
            let end = place.offset + header.padded(u64::from(place.segment.block_bytes));
            let dropped = on(Sabotage::DropLastBatch) && place.end == Some(end);
            if header.count == 0 || header.last_lsn() < self.wanted || dropped {
                place.offset += header.padded(u64::from(place.segment.block_bytes));
                place.next = header.last_lsn().next();
                continue;
            }
            if header.last_lsn() > upto {
                self.place = Some(place);
                return Ok(None);
            }
            let batch = self.batch_at(&mut place, header)?;
            self.wanted = batch.last.next();
            self.place = Some(place);
            return Ok(Some(batch));
        }
    }

    /// As [`Reader::next`], where a batch ends at `upto`: nothing left means that all of it was read.
    ///
    /// # Errors
    /// Also where a batch says of itself that it goes beyond `upto`: it is damaged.
    pub fn next_of_all(&mut self, upto: Lsn) -> Result<Option<Batch>, JournalError> {
        match self.next(upto)? {
            None if self.wanted <= upto => {
                let path = self.place.as_ref().map_or_else(|| segment::path(&self.dir, 1), |place| place.path.clone());
                let offset = self.place.as_ref().map_or(0, |place| place.offset);
                Err(JournalError::Rot { path, offset, lsn: self.wanted, mark: upto, what: "the batch is damaged" })
            }
            batch => Ok(batch),
        }
    }

    /// The file that holds `lsn`, from its beginning; the first one that is kept, where all of them lie behind it.
    fn find(&self, lsn: Lsn) -> Result<Place, JournalError> {
        let mut first = None;
        for number in segment::list(self.disk.as_ref(), &self.dir)?.into_iter().rev() {
            match self.segment(number)? {
                Some(place) if place.next <= lsn => return Ok(place),
                Some(place) => first = Some(place),
                None => {}
            }
        }
        // In this order: what is no segment any more has been history before.
        for file in history::list(self.disk.as_ref(), &self.dir)?.into_iter().rev() {
            if file.header.durable < lsn {
                break;
            }
            let Some(place) = self.open_file(&file.path, file.header.number, true)? else { continue };
            if file.header.first_lsn <= lsn {
                return Ok(place);
            }
            first = Some(place);
        }
        first.ok_or_else(|| JournalError::Missing { path: segment::path(&self.dir, 1) })
    }

    /// The beginning of segment `number`, if it has begun.
    fn segment(&self, number: u64) -> Result<Option<Place>, JournalError> {
        let Some(place) = self.open_segment(number)? else { return Ok(None) };
        let end = self.open_segment(number + 1)?.map(|successor| successor.segment.prev_end);
        Ok(Some(Place { end, ..place }))
    }

    fn open_segment(&self, number: u64) -> Result<Option<Place>, JournalError> {
        self.open_file(&segment::path(&self.dir, number), number, false)
    }

    fn open_file(&self, path: &Path, number: u64, history: bool) -> Result<Option<Place>, JournalError> {
        let file = match self.disk.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(JournalError::io("opening", path, &error)),
        };
        let header = segment::header(file.as_ref(), path, number)?;
        Ok(header.map(|segment| {
            let (offset, next) = (u64::from(segment.block_bytes), segment.first_lsn);
            let end = history.then_some(segment.segment_bytes);
            Place { file, path: path.to_owned(), segment, offset, next, end, history }
        }))
    }

    /// The header of the next batch; `None`: the segment has ended there and the place is in the next one.
    fn header_at(&self, place: &mut Place) -> Result<Option<BatchHeader>, JournalError> {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        let read = place.file.read_at(&mut bytes, place.offset);
        read.map_err(|error| JournalError::io("reading", &place.path, &error))?;
        let fits = |header: &BatchHeader| {
            let ours = (header.term, header.owner) == (place.segment.term, place.segment.owner);
            ours && header.first_lsn == place.next
        };
        if place.end.is_none_or(|end| place.offset < end)
            && let Some(header) = BatchHeader::peek(&bytes).filter(fits)
        {
            return Ok(Some(header));
        }
        let behind = if place.history { None } else { self.segment(place.segment.number + 1)? };
        let behind = match behind {
            Some(next) if next.segment.prev_end == place.offset => Some(next),
            Some(_) => None,
            // It is history by now, or the end of a history file was reached.
            None => Some(self.find(place.next)?).filter(|found| found.path != place.path),
        };
        match behind.filter(|behind| behind.next <= place.next) {
            Some(behind) => {
                *place = behind;
                Ok(None)
            }
            None => Err(self.damaged(place)),
        }
    }

    /// Reads and checks the batch whose header this is.
    fn batch_at(&self, place: &mut Place, header: BatchHeader) -> Result<Batch, JournalError> {
        let block = u64::from(place.segment.block_bytes);
        let padded = header.padded(block);
        let len = usize::try_from(padded).ok().filter(|_| place.offset + padded <= place.segment.segment_bytes);
        let mut bytes = vec![0; len.ok_or_else(|| self.damaged(place))?];
        let read = place.file.read_at(&mut bytes, place.offset);
        read.map_err(|error| JournalError::io("reading", &place.path, &error))?;
        let header = BatchHeader::read(&bytes, place.segment.salt, block).map_err(|bad| match bad {
            BadHeader::Damaged => self.damaged(place),
            BadHeader::Newer(format) => JournalError::Newer {
                path: place.path.clone(),
                offset: place.offset,
                what: format!("batch format {format}, written by a newer release"),
            },
        })?;
        bytes.truncate(BATCH_HEADER_BYTES + header.body_len as usize);
        bytes.drain(..BATCH_HEADER_BYTES);
        place.offset += padded;
        place.next = header.last_lsn().next();
        Ok(Batch {
            first: header.first_lsn.max(self.wanted),
            last: header.last_lsn(),
            at: header.at,
            log: place.segment.log,
            header,
            body: bytes,
        })
    }

    fn damaged(&self, place: &Place) -> JournalError {
        JournalError::Rot {
            path: place.path.clone(),
            offset: place.offset,
            lsn: place.next,
            mark: self.wanted,
            what: "the batch is damaged",
        }
    }
}
