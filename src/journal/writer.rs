//! The journal thread: one batch at a time, write and sync. It never retries and never goes on after a failure.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use super::batch::{BATCH_HEADER_BYTES, BatchHeader, SegmentHeader};
use super::maker::{self, Rolled, Spare};
use super::sync::Shared;
use super::{Appendfsync, DiskFile, JournalError, random, segment};
use crate::ids::{Lsn, Millis};

/// One batch for the disk. The buffer holds room for a segment header (a block), room for the batch header, the records.
pub(super) struct Job {
    pub buffer: Vec<u8>,
    pub first_lsn: Lsn,
    pub count: u32,
    pub at: Millis,
    /// The segment that this batch begins; otherwise it goes behind the one before.
    pub opens: Option<Spare>,
    /// The last one: all before it is synced first, the file is cut behind it.
    pub ends_journal: bool,
}

/// What the journal thread owns.
pub(super) struct Writer {
    pub dir: PathBuf,
    pub file: Arc<dyn DiskFile>,
    pub path: PathBuf,
    /// Of the open segment.
    pub segment: SegmentHeader,
    /// Where the next batch goes.
    pub end: u64,
    pub chain: u32,
    pub appendfsync: Appendfsync,
    pub shared: Arc<Shared>,
    pub maker: Arc<maker::Helper>,
    pub jobs: Receiver<Job>,
    pub done: SyncSender<Vec<u8>>,
}

impl Writer {
    /// Works until the loop hangs up or the disk fails.
    pub fn run(mut self) {
        let events = metrics::histogram!("coupon_gate_commit_batch_events");
        while let Ok(job) = self.jobs.recv() {
            if !self.turn(job, &events) {
                return;
            }
        }
    }

    /// Brings one batch to the disk; false where nothing more is to be done.
    fn turn(&mut self, mut job: Job, events: &metrics::Histogram) -> bool {
        if self.shared.has_failed() {
            return false;
        }
        if let Err(error) = self.write(&mut job) {
            self.shared.fail(error);
            return false;
        }
        if job.count > 0 {
            events.record(f64::from(job.count));
        }
        if self.done.send(job.buffer).is_err() {
            return false;
        }
        (self.shared.hooks.on_progress)();
        true
    }

    /// What `run` does with the next batch, if there is one; whether there was.
    #[cfg(any(test, feature = "sim"))]
    pub fn step(&mut self) -> bool {
        self.jobs.try_recv().is_ok_and(|job| self.turn(job, &metrics::Histogram::noop()))
    }

    fn write(&mut self, job: &mut Job) -> Result<(), JournalError> {
        let block = self.segment.block_bytes as usize;
        if self.appendfsync != Appendfsync::Always && (job.opens.is_some() || job.ends_journal) {
            self.shared.sync_now()?;
        }
        let rolled = match job.opens.take() {
            Some(spare) => {
                let rolled = self.open(spare, job)?;
                self.segment.write(&mut job.buffer[..block]);
                Some(rolled)
            }
            None => None,
        };
        // The header of a segment goes to the disk together with the first batch.
        let synced_before = rolled.is_none() && self.shared.all_synced();
        let durable = self.shared.hooks.watermarks.durable.get();
        let header = BatchHeader {
            ends_journal: job.ends_journal,
            synced_before,
            term: self.segment.term,
            owner: self.segment.owner,
            first_lsn: job.first_lsn,
            count: job.count,
            body_len: u32::try_from(job.buffer.len() - block - BATCH_HEADER_BYTES).expect("a batch is below 2 GiB"),
            durable,
            at: job.at,
            prev_chain: self.chain,
            crc: 0,
        };
        self.chain = header.write(&mut job.buffer[block..], self.segment.salt);
        job.buffer.resize(job.buffer.len().next_multiple_of(block), 0);
        let (bytes, offset) = if rolled.is_some() { (&job.buffer[..], 0) } else { (&job.buffer[block..], self.end) };
        self.file.write_at(bytes, offset).map_err(|error| self.io("writing", &error))?;
        self.end = offset + bytes.len() as u64;
        self.cover(header.last_lsn(), rolled.is_some() || job.ends_journal)?;
        self.shared.named.store(durable.get(), Ordering::Release);
        if let Some(rolled) = rolled {
            self.maker.cut(rolled);
            self.shared.sealed.store(self.segment.number - 1, Ordering::Release);
            self.shared.hooks.watermarks.snapshots.nudge();
        }
        if job.ends_journal {
            self.file.set_len(self.end).map_err(|error| self.io("cutting", &error))?;
            self.shared.timed_sync(self.file.as_ref(), &self.path)?;
        }
        Ok(())
    }

    /// Moves the marks over what was written. `at_once`: with any `appendfsync` it must be on disk before all else.
    fn cover(&mut self, last: Lsn, at_once: bool) -> Result<(), JournalError> {
        if self.appendfsync == Appendfsync::Always || at_once {
            self.shared.timed_sync(self.file.as_ref(), &self.path)?;
            self.shared.hooks.watermarks.durable.advance(last);
        } else {
            self.shared.note_written(&self.file, &self.path, last);
        }
        if !self.shared.has_failed() {
            self.shared.answerable.store(last.get(), Ordering::Release);
        }
        Ok(())
    }

    /// Goes on in a fresh segment; answers the one before. What lies in that is synced: by its own batches, or just now.
    fn open(&mut self, spare: Spare, job: &Job) -> Result<Rolled, JournalError> {
        let path = std::mem::replace(&mut self.path, segment::path(&self.dir, spare.number));
        let file = std::mem::replace(&mut self.file, spare.file);
        let rolled = Rolled { file, path, end: self.end };
        self.segment = SegmentHeader {
            number: spare.number,
            salt: self.segment.next_salt,
            next_salt: u32::from_le_bytes(random()?),
            first_lsn: job.first_lsn,
            durable: self.shared.hooks.watermarks.durable.get(),
            prev_end: self.end,
            prev_chain: self.chain,
            at: job.at,
            ..self.segment
        };
        Ok(rolled)
    }

    fn io(&self, doing: &'static str, error: &std::io::Error) -> JournalError {
        JournalError::io(doing, &self.path, error)
    }
}
