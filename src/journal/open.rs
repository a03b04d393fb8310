//! The loop's side: room, append, amend, seal, tick, finish. Nothing here waits for the disk, except `finish`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::batch::{BATCH_HEADER_BYTES, SegmentHeader};
#[cfg(any(test, feature = "sim"))]
use super::hands::Hands;
use super::maker::Maker;
use super::recover::Replayed;
use super::sync::{self, Shared};
use super::writer::{Job, Writer};
use super::{Disk, DiskFile, Hooks, Journal, JournalError, Options, record, segment};
use crate::core::Event;
use crate::edge;
use crate::ids::{LogId, Lsn, Millis};
use crate::rank;
use crate::sabotage::{self, Sabotage};

/// At most so long passes without a batch: the newest time in the journal is the floor of the next start's clock.
const MARK_EVERY_MS: i64 = 60_000;

/// Positions that one batch can leave out: its count of events is 32 bits wide.
const SKIP_MAX: u32 = 1 << 31;

/// Whether a group may be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// Yes: it can be appended.
    Ready,
    /// Not yet: seal, ask once more, then wait for `on_progress`.
    Wait,
    /// No, and that may last: the operating system's words.
    Refused(String),
}

/// What may be answered: only the journal can make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answerable {
    lsn: Lsn,
}

impl Answerable {
    /// Of a journal that is not open: only what depends on nothing may leave.
    pub const NOTHING: Answerable = Answerable { lsn: Lsn::ZERO };

    /// Whether what depends on `lsn` may leave.
    pub fn covers(self, lsn: Lsn) -> bool {
        lsn <= self.lsn
    }

    /// How far answers may leave.
    pub fn lsn(self) -> Lsn {
        self.lsn
    }
}

/// A fresh segment whose header is on disk: where recovery ends and writing begins.
pub(super) struct Start {
    pub file: Arc<dyn DiskFile>,
    pub segment: SegmentHeader,
    pub bytes: u64,
}

/// Replayed, with its threads running.
pub struct Open {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log: LogId,
    block: usize,
    batch_bytes_max: usize,
    /// Bytes of a segment that batches may fill; its last block is kept for the final batch.
    segment_room: u64,

    /// A block for a segment header, a batch header, the records of the open batch.
    buffer: Vec<u8>,
    /// Where in the buffer each record begins.
    offsets: Vec<u32>,
    /// The position of the first of them.
    first_lsn: Lsn,
    /// Positions of the open batch that have no record of their own: see [`Journal::skip`].
    skipped: u32,
    /// Up to this length of the buffer there is nothing to consider.
    room_until: usize,
    /// Where the next batch goes in the segment, behind what is in flight.
    end: u64,
    last_sealed_at: Option<Millis>,
    /// The position of the first event in the segment that the next batch goes to.
    segment_first: Lsn,
    /// See [`Journal::roll`].
    roll_behind: Lsn,
    /// See [`Journal::mark_time`].
    time_wanted: bool,

    /// The other buffer, unless it is in flight.
    idle: Option<Vec<u8>>,
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Vec<u8>>,
    shared: Arc<Shared>,
    maker: Maker,
    writer: Option<JoinHandle<()>>,
    syncer: Option<JoinHandle<()>>,
    /// In a simulation: the work of those threads, done when its hands are moved.
    #[cfg(any(test, feature = "sim"))]
    pub(super) hands: Option<Hands>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("dir", &self.dir).field("next", &self.next_lsn()).finish_non_exhaustive()
    }
}

impl Journal<Open> {
    /// Reserves room for one group whose records take at most `bytes` (see `RECORD_OVERHEAD_BYTES_MAX`).
    #[inline]
    pub fn room(&mut self, bytes: usize) -> Room {
        let open = &self.state;
        if open.buffer.len() + bytes <= open.room_until { Room::Ready } else { open.room_beyond(bytes) }
    }

    /// Adds an event to the open batch and answers its position. `more`: further events of its group follow.
    #[inline]
    pub fn append(&mut self, event: &Event<'_>, more: bool) -> Lsn {
        let open = &mut self.state;
        let lsn = open.next_lsn();
        let offset = u32::try_from(open.buffer.len()).expect("a batch is below 2 GiB");
        open.offsets.push(offset);
        record::encode(event, more, &mut open.buffer);
        assert!(open.buffer.len() <= open.block + open.batch_bytes_max, "room is reserved before an event is decided");
        lsn
    }

    /// Leaves out positions: adds an [`Event::Skipped`] up to `upto`, or as far as one batch can skip, and answers it
    /// with its position. The open batch is empty and has room for a record; seal it before the next skip.
    ///
    /// # Panics
    /// When the open batch is not empty, or nothing is left out.
    pub fn skip(&mut self, upto: Lsn) -> (Lsn, Event<'static>) {
        let first = self.state.first_lsn;
        assert!(self.state.offsets.is_empty() && upto > first, "a skip opens a batch and leaves something out");
        let upto = upto.min(Lsn::new(first.get() + u64::from(SKIP_MAX)));
        let event = Event::Skipped { upto };
        let lsn = self.append(&event, false);
        self.state.skipped = u32::try_from(upto.get() - first.get()).expect("a skip is at most SKIP_MAX");
        (lsn, event)
    }

    /// Gives the count of a key at `lsn` another value, if that record is still in the open batch.
    /// False where it is not, or is no `KeyCounted` of the event's key: then append.
    #[inline]
    pub fn amend(&mut self, lsn: Lsn, event: &Event<'_>) -> bool {
        let open = &mut self.state;
        let Some(index) = lsn.get().checked_sub(open.first_lsn.get()) else { return false };
        let offset = usize::try_from(index).ok().and_then(|index| open.offsets.get(index));
        offset.is_some_and(|offset| record::amend(&mut open.buffer[*offset as usize..], event))
    }

    /// Hands the open batch to the journal thread, if it is not empty and nothing is in flight.
    pub fn seal(&mut self, now: Millis) {
        let open = &mut self.state;
        if (!open.offsets.is_empty() || open.rolls()) && open.nothing_in_flight() {
            open.send(now, false);
        }
    }

    /// Goes on in a fresh segment behind everything so far, as soon as there is one: so that a snapshot can cover it.
    /// Answers how far that is.
    pub fn roll(&mut self) -> Lsn {
        self.state.roll_behind = self.state.next_lsn().prev();
        self.state.roll_behind
    }

    /// An answer that the clock alone decided is about to leave: let the journal know soon how late it is, so that a
    /// restart with a clock set back does not take the answer back.
    pub fn mark_time(&mut self) {
        self.state.time_wanted = true;
    }

    /// To be called about each 100 ms: when all is idle, an empty batch raises the durable mark over the last one;
    /// one a minute keeps the newest time fresh.
    pub fn tick(&mut self, now: Millis) {
        let open = &mut self.state;
        let last = *open.last_sealed_at.get_or_insert(now);
        if !open.offsets.is_empty() || !open.nothing_in_flight() {
            return;
        }
        let unmarked = open.shared.named.load(Ordering::Acquire) < open.shared.hooks.watermarks.durable.get().get();
        let stale = open.time_wanted || now.0 - last.0 >= MARK_EVERY_MS;
        if (unmarked || stale || open.rolls()) && open.room_beyond(0) == Room::Ready {
            open.send(now, false);
        }
    }

    /// How far answers may leave at this moment.
    #[inline]
    pub fn answerable(&self) -> Answerable {
        if sabotage::on(Sabotage::ReplyAtStaged) {
            return Answerable { lsn: self.state.next_lsn().prev() };
        }
        Answerable { lsn: Lsn::new(self.state.shared.answerable.load(Ordering::Acquire)) }
    }

    /// A clean stop: everything on disk, a final batch behind it, the zero tail cut, the spare segment removed.
    pub fn finish(mut self, now: Millis) -> Result<(), JournalError> {
        self.state.finish(now)
    }
}

impl Open {
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        options: &Options,
        hooks: Hooks,
        start: Start,
        replayed: &Replayed,
    ) -> Result<Open, JournalError> {
        let Start { file, segment, bytes } = start;
        let last = replayed.last_lsn;
        hooks.watermarks.applied.advance(last);
        hooks.watermarks.staged.advance(last);
        hooks.watermarks.durable.advance(last);
        hooks.figures.journal_bytes.set(bytes);
        let path = segment::path(&dir, segment.number);
        let shared = Arc::new(Shared::new(hooks.clone(), Arc::clone(&file), path.clone(), last, segment.number - 1));
        let (jobs, todo) = sync_channel(1);
        let (finished, done) = sync_channel(1);
        let maker =
            Maker::start(Arc::clone(&disk), dir.clone(), segment.number + 1, options.segment_bytes, hooks.clone())?;
        let mut open = Open {
            disk,
            dir: dir.clone(),
            log: segment.log,
            block: usize::try_from(options.block_bytes).expect("a block is at most 64 KiB"),
            batch_bytes_max: options.batch_bytes_max,
            segment_room: options.segment_bytes - options.block_bytes,
            buffer: Vec::new(),
            offsets: Vec::new(),
            first_lsn: last.next(),
            skipped: 0,
            room_until: 0,
            end: options.block_bytes,
            last_sealed_at: None,
            segment_first: last.next(),
            roll_behind: Lsn::ZERO,
            time_wanted: false,
            idle: Some(Vec::new()),
            jobs: Some(jobs),
            done,
            shared: Arc::clone(&shared),
            maker,
            writer: None,
            syncer: None,
            #[cfg(any(test, feature = "sim"))]
            hands: None,
        };
        open.begin_batch(last.next());
        let writer = Writer {
            dir,
            file,
            path: path.clone(),
            segment,
            end: options.block_bytes,
            chain: segment.prev_chain,
            appendfsync: options.appendfsync,
            shared: Arc::clone(&shared),
            maker: open.maker.helper(),
            jobs: todo,
            done: finished,
        };
        #[cfg(any(test, feature = "sim"))]
        if edge::is_simulated() {
            open.hands =
                Some(Hands::new(writer, hooks, options.segment_bytes, Arc::clone(&open.disk), open.dir.clone()));
            return Ok(open);
        }
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || {
            rank::first();
            writer.run()
        });
        open.writer = Some(thread.map_err(|error| JournalError::io("starting the writer of", &path, &error))?);
        open.syncer = sync::start(&shared, options.appendfsync)?;
        Ok(open)
    }

    /// What the compactor needs of it.
    pub(super) fn parts(&self) -> (Arc<dyn Disk>, PathBuf, LogId, Arc<Shared>) {
        (Arc::clone(&self.disk), self.dir.clone(), self.log, Arc::clone(&self.shared))
    }

    fn next_lsn(&self) -> Lsn {
        Lsn::new(self.first_lsn.get() + self.offsets.len() as u64 + u64::from(self.skipped))
    }

    /// What `room` has to consider near the end of a batch or a segment.
    #[cold]
    fn room_beyond(&self, bytes: usize) -> Room {
        if BATCH_HEADER_BYTES + bytes > self.batch_bytes_max {
            let most = self.batch_bytes_max - BATCH_HEADER_BYTES;
            return Room::Refused(format!("a change of up to {bytes} bytes is longer than a batch ({most})"));
        }
        let batch = self.buffer.len() - self.block + bytes;
        if batch > self.batch_bytes_max {
            Room::Wait
        } else if self.fits(batch) {
            Room::Ready
        } else {
            self.maker.room()
        }
    }

    /// Whether the open batch is to begin a segment because somebody asked for it, and can.
    fn rolls(&self) -> bool {
        let wanted = self.segment_first <= self.roll_behind && self.roll_behind < self.first_lsn;
        wanted && self.maker.room() == Room::Ready
    }

    /// Whether a batch of so many bytes fits the segment behind what is in flight.
    fn fits(&self, batch: usize) -> bool {
        self.end + batch.next_multiple_of(self.block) as u64 <= self.segment_room
    }

    /// Whether the other buffer is here; false for ever once the journal thread has ended.
    fn nothing_in_flight(&mut self) -> bool {
        if self.idle.is_none() {
            self.idle = self.done.try_recv().ok();
        }
        self.idle.is_some()
    }

    /// Hands over the open batch, in the open segment or in the next one, and begins another.
    fn send(&mut self, now: Millis, ends_journal: bool) {
        let batch = self.buffer.len() - self.block;
        let padded = batch.next_multiple_of(self.block) as u64;
        let opens = if ends_journal || self.fits(batch) && !self.rolls() {
            self.end += padded;
            None
        } else {
            self.end = self.block as u64 + padded;
            self.segment_first = self.first_lsn;
            Some(self.maker.take().expect("room was reserved: the next segment is ready"))
        };
        let (first_lsn, count) = (self.first_lsn, self.offsets.len() + self.skipped as usize);
        let next = self.next_lsn();
        let idle = self.idle.take().expect("nothing is in flight");
        let job = Job {
            buffer: std::mem::replace(&mut self.buffer, idle),
            first_lsn,
            count: u32::try_from(count).expect("a batch is below 2 GiB and skips are bounded"),
            at: now,
            opens,
            ends_journal,
        };
        self.begin_batch(next);
        self.time_wanted = false;
        self.last_sealed_at = Some(now);
        if let Some(jobs) = &self.jobs {
            // A journal thread that has ended has said why through `on_failure`.
            let _ = jobs.send(job);
        }
        #[cfg(any(test, feature = "sim"))]
        self.hands.iter().filter(|hands| hands.at_once()).for_each(Hands::work);
    }

    fn begin_batch(&mut self, first_lsn: Lsn) {
        self.buffer.clear();
        self.buffer.resize(self.block + BATCH_HEADER_BYTES, 0);
        self.offsets.clear();
        self.skipped = 0;
        self.first_lsn = first_lsn;
        let left = self.segment_room.saturating_sub(self.end);
        let longest = usize::try_from(left).unwrap_or(usize::MAX).min(self.batch_bytes_max);
        self.room_until = self.block + longest;
    }

    fn finish(&mut self, now: Millis) -> Result<(), JournalError> {
        self.await_flight()?;
        if !self.offsets.is_empty() {
            self.send(now, false);
            self.await_flight()?;
        }
        self.send(now, true);
        self.await_flight()?;
        self.stop_threads();
        Ok(())
    }

    fn await_flight(&mut self) -> Result<(), JournalError> {
        #[cfg(any(test, feature = "sim"))]
        self.hands.iter().for_each(Hands::work);
        if self.idle.is_none() {
            let received = if edge::is_simulated() { self.done.try_recv().ok() } else { self.done.recv().ok() };
            self.idle = received;
        }
        let failed = || self.shared.failure().unwrap_or(JournalError::Stopped);
        if self.idle.is_some() && !self.shared.has_failed() { Ok(()) } else { Err(failed()) }
    }

    /// Ends all threads; the spare segment goes, nobody will need it.
    fn stop_threads(&mut self) {
        self.jobs = None;
        self.shared.stop();
        for thread in [self.writer.take(), self.syncer.take()].into_iter().flatten() {
            thread.join().expect("the journal's threads do not panic");
        }
        if let Some(spare) = self.maker.stop()
            && self.disk.remove(&segment::path(&self.dir, spare.number)).is_ok()
        {
            // A spare that comes back after a power cut is all zero bytes, and known as such.
            let _ = self.disk.sync_dir(&self.dir);
        }
    }
}

/// The threads do not outlive their owner, whatever way it goes.
impl Drop for Open {
    fn drop(&mut self) {
        self.jobs = None;
        self.shared.stop();
        for thread in [self.writer.take(), self.syncer.take()].into_iter().flatten() {
            let _ = thread.join();
        }
        self.maker.stop();
    }
}
