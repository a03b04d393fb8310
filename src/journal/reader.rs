//! Follows the files that a running journal writes, or a stopped one left: what sinks and tools read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{BATCH_HEADER_BYTES, BadHeader, BatchHeader, SegmentHeader};
use super::record::Records;
use super::{Disk, DiskFile, JournalError, segment};
use crate::ids::{LogId, Lsn, Millis};

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
    /// Where the segment ends, as the one after it says; what lies behind is cut.
    end: Option<u64>,
}

impl Reader {
    /// A reader whose first batch will hold `from`, of the journal in the data directory `data`. Opens nothing yet.
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
            if header.count == 0 || header.last_lsn() < self.wanted {
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

    /// The segment that holds `lsn`, from its beginning.
    fn find(&self, lsn: Lsn) -> Result<Place, JournalError> {
        for number in segment::list(self.disk.as_ref(), &self.dir)?.into_iter().rev() {
            if let Some(place) = self.segment(number)?
                && place.next <= lsn
            {
                return Ok(place);
            }
        }
        Err(JournalError::Missing { path: segment::path(&self.dir, 1) })
    }

    /// The beginning of segment `number`, if it has begun.
    fn segment(&self, number: u64) -> Result<Option<Place>, JournalError> {
        let Some(place) = self.open_segment(number)? else { return Ok(None) };
        let end = self.open_segment(number + 1)?.map(|successor| successor.segment.prev_end);
        Ok(Some(Place { end, ..place }))
    }

    fn open_segment(&self, number: u64) -> Result<Option<Place>, JournalError> {
        let path = segment::path(&self.dir, number);
        let file = match self.disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(JournalError::io("opening", &path, &error)),
        };
        let header = segment::header(file.as_ref(), &path, number)?;
        Ok(header.map(|segment| {
            let (offset, next) = (u64::from(segment.block_bytes), segment.first_lsn);
            Place { file, path, segment, offset, next, end: None }
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
        match self.segment(place.segment.number + 1)? {
            Some(next) if next.segment.prev_end == place.offset && next.next == place.next => {
                *place = next;
                Ok(None)
            }
            _ => Err(self.damaged(place)),
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
