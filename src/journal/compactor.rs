//! The compactor: old snapshot and sealed segments -> new snapshot, by replay; segments -> history; history -> gone.
//!
//! It never touches live state: it reads files that nobody writes any more, and puts the state together a second time.
//! After a new snapshot the one it was made from stays; what that one covers is reduced to history, then removed. At
//! each moment the newest snapshot and what lies behind it, and the one before and what lies behind that, give the same
//! state.
//!
//! ```text
//!                     snapshot 4          snapshot 7
//! history ... 4 |  5.seg  6.seg  7.seg  |  8.seg  9.seg (open)
//! ```

use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::base;
use super::snapshot::{self, Covered};
use super::sync::Shared;
use super::walk::Found;
use super::{Disk, Journal, JournalError, Open, Reader, history, random, segment};
use crate::core::{Core, Event};
use crate::edge;
use crate::ids::{LogId, Lsn, Millis};
use crate::metrics::Figures;
use crate::rank;
use crate::sabotage::{Sabotage, on};
use crate::snapshots::Snapshot as Made;
use crate::watermark::Watermarks;

/// Without a nudge it looks this often whether history can go.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts that nobody asked for, while they fail.
const RETRY_MS: i64 = 60_000;
/// Bytes a second that it reads of segments to reduce them, and writes: a disk that is kept busy with more lets the
/// journal's own syncs wait.
const BYTES_PER_SECOND: u64 = 8 << 20;
/// How long it works at a stretch, and rests then: a scheduler lets even the least important thread finish its slice, which
/// is some milliseconds, while the loop waits for that processor.
const STRETCH: Duration = Duration::from_micros(250);
const BREATH: Duration = Duration::from_micros(500);

/// When snapshots are made, and how long history is kept.
#[derive(Clone, Copy, Debug)]
pub struct Compaction {
    /// A snapshot is due when the segments behind the last one are longer than this; never by itself where it is zero.
    pub when_journal_exceeds: u64,
    /// History stays for so long, in milliseconds.
    pub keep_ms: i64,
    /// History longer than this goes before its time; no bound where it is zero.
    pub keep_bytes: u64,
    /// There is a stream: history waits until it is published.
    pub publishes: bool,
    /// There is a ledger: history waits until it is stored.
    pub stores: bool,
}

/// Makes snapshots and history of one journal. Runs on a thread of its own; tests turn it by hand.
pub struct Compactor {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log: LogId,
    options: Compaction,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    /// Nothing is tried again by itself before this.
    not_before: Millis,
    /// When it breathed last, on a thread of its own; turned by hand it has no time for that.
    breathed: Option<Cell<Instant>>,
}

impl fmt::Debug for Compactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compactor").field("dir", &self.dir).field("options", &self.options).finish_non_exhaustive()
    }
}

/// The compactor's thread; dropping this ends it, within one piece of work.
#[derive(Debug)]
pub struct CompactorHandle {
    stop: Arc<AtomicBool>,
    watermarks: Arc<Watermarks>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for CompactorHandle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.watermarks.snapshots.nudge();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Journal<Open> {
    /// Who makes snapshots of this journal. Ends with it or before it.
    pub fn compactor(&self, options: Compaction) -> Compactor {
        let (disk, dir, log, shared) = self.state.parts();
        let stop = Arc::new(AtomicBool::new(false));
        Compactor { disk, dir, log, options, shared, stop, not_before: Millis(0), breathed: None }
    }
}

impl Compactor {
    /// Runs it on a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(mut self) -> Result<CompactorHandle, JournalError> {
        let (stop, watermarks, dir) = (Arc::clone(&self.stop), Arc::clone(self.watermarks()), self.dir.clone());
        self.breathed = Some(Cell::new(edge::now()));
        let thread = std::thread::Builder::new()
            .name("compactor".into())
            .spawn(move || {
                // Else the loop feels a snapshot where processors are few.
                rank::last();
                let mut asked = None;
                while !self.stopped() {
                    self.turn(&edge::wall, asked);
                    asked = self.watermarks().snapshots.wait(PATIENCE);
                }
            })
            .map_err(|error| JournalError::io("starting the compactor of", &dir, &error))?;
        Ok(CompactorHandle { stop, watermarks, thread: Some(thread) })
    }

    /// Looks at what there is and does what is due. `asked`: somebody wants a snapshot of all up to there. `clock` tells
    /// the wall's time.
    pub fn turn(&mut self, clock: &dyn Fn() -> Millis, asked: Option<Lsn>) {
        let now = clock();
        match self.due(now, asked) {
            Ok(Some(sealed)) => self.snapshot(clock, sealed),
            Ok(None) => {}
            Err(error) => self.trouble(now, &error),
        }
        if let Err(error) = self.expire(now) {
            tracing::warn!("{error}; history stays for the time being");
        }
    }

    /// The last sealed segment, if a snapshot of all up to it is to be made now.
    fn due(&self, now: Millis, asked: Option<Lsn>) -> Result<Option<u64>, JournalError> {
        let sealed = self.shared.sealed.load(Ordering::Acquire);
        if let Some(upto) = asked {
            let open = Found::look(self.disk.as_ref(), &self.dir, sealed + 1)?;
            // Before the loop has rolled over what was asked for it is too early: then a nudge comes.
            return Ok(open.header.is_some_and(|header| header.first_lsn > upto).then_some(sealed));
        }
        if self.options.when_journal_exceeds == 0 || now < self.not_before {
            return Ok(None);
        }
        let newest = snapshot::list(self.disk.as_ref(), &self.dir)?.last().copied().unwrap_or(0);
        let mut bytes = 0;
        for number in newest + 1..=sealed {
            bytes += Found::look(self.disk.as_ref(), &self.dir, number)?.len;
        }
        Ok((bytes > self.options.when_journal_exceeds).then_some(sealed))
    }

    fn snapshot(&mut self, clock: &dyn Fn() -> Millis, sealed: u64) {
        self.watermarks().snapshots.begin(clock());
        let made = self.make(clock, sealed);
        let snapshots = &self.watermarks().snapshots;
        match made {
            Ok(made) => snapshots.succeeded(made),
            Err(JournalError::Stopped) => snapshots.failed("the process ends"),
            Err(error) => {
                snapshots.failed(error.to_string());
                self.trouble(clock(), &error);
            }
        }
        (self.shared.hooks.on_progress)();
    }

    /// Makes the snapshot up to segment `sealed`, then gives up what nobody needs any more.
    fn make(&self, clock: &dyn Fn() -> Millis, sealed: u64) -> Result<Made, JournalError> {
        if sealed == 0 {
            return Ok(Made { lsn: Lsn::ZERO, bytes: 0, at: clock() });
        }
        let secret = u128::from_le_bytes(random()?);
        let mut core = Core::new(secret);
        // Nobody asks it for anybody's seat: that takes a third less memory, and most of the time.
        core.defer_users();
        // Where it is to stop, the next piece of work tells.
        let mut progress = |_| drop(self.go_on());
        let base = base::restore(self.disk.as_ref(), &self.dir, self.log, &mut core, &mut progress)?;
        let covered = self.covered_by(sealed)?;
        let lsn = covered.next.prev();
        if base.segment() == sealed {
            return Ok(Made { lsn, bytes: base.bytes, at: clock() });
        }
        let upto = if on(Sabotage::SnapshotOneShort) { lsn.prev() } else { lsn };
        self.replay(&mut core, base.covered.map_or(Lsn::new(1), |covered| covered.next), upto)?;
        let mut pace = |bytes| self.pace(bytes);
        let size = snapshot::write(self.disk.as_ref(), &self.dir, &covered, clock(), &core, &mut pace)?;
        // A second state is as large as the first: it goes before anything else is done.
        drop(core);
        tracing::info!("snapshot up to lsn {lsn}: {} pieces, {} bytes", size.pieces, size.bytes);
        if let Err(error) = self.tidy(base.covered.as_ref(), sealed) {
            tracing::warn!("{error}; segments stay until the next snapshot");
        }
        Ok(Made { lsn, bytes: size.bytes, at: clock() })
    }

    fn covered_by(&self, sealed: u64) -> Result<Covered, JournalError> {
        let header = |number| {
            let found = Found::look(self.disk.as_ref(), &self.dir, number)?;
            let durable = self.watermarks().durable.get();
            found.header.ok_or_else(|| found.rot(0, durable, durable, "the segment header is damaged"))
        };
        let (last, open) = (header(sealed)?, header(sealed + 1)?);
        Ok(Covered {
            log: self.log,
            segment: sealed,
            next: open.first_lsn,
            chain: open.prev_chain,
            term: last.term,
            owner: last.owner,
        })
    }

    fn replay(&self, core: &mut Core, from: Lsn, upto: Lsn) -> Result<(), JournalError> {
        let data = self.dir.parent().unwrap_or(&self.dir);
        let mut reader = Reader::open(Arc::clone(&self.disk), data, from)?;
        while let Some(batch) = reader.next_of_all(upto)? {
            for event in batch.events() {
                let (lsn, event) =
                    event.map_err(|what| JournalError::Senseless { path: self.dir.clone(), offset: 0, what })?;
                core.evolve(lsn, &event);
            }
            self.go_on()?;
        }
        Ok(())
    }

    /// Gives up what neither the snapshot up to `sealed` needs nor the one it was made from, `older`.
    fn tidy(&self, older: Option<&Covered>, sealed: u64) -> Result<(), JournalError> {
        let (disk, dir) = (self.disk.as_ref(), &self.dir);
        let covered = older.map_or(0, |older| older.segment);
        let covered = if on(Sabotage::FreeEarly) { sealed } else { covered };
        // First, as the rest takes its time: who is killed again and again has no more of them each time.
        for number in snapshot::list(disk, dir)?.into_iter().filter(|number| ![covered, sealed].contains(number)) {
            self.remove(&snapshot::path(dir, number))?;
        }
        if let Some(older) = older {
            let block = Found::look(disk, dir, sealed)?.header.map_or(0, |header| header.block_bytes);
            history::reduce(&self.disk, dir, older, block, &mut |bytes| self.pace(bytes))?;
        }
        for left in history::merged_away(disk, dir)? {
            self.remove(&left)?;
        }
        for number in segment::list(disk, dir)?.into_iter().filter(|number| *number <= covered) {
            let path = segment::path(dir, number);
            let len = disk.open(&path).and_then(|file| file.len()).unwrap_or(0);
            self.remove(&path)?;
            let bytes = &self.figures().journal_bytes;
            bytes.set(bytes.get().saturating_sub(len));
        }
        disk.sync_dir(dir).map_err(|error| JournalError::io("syncing", dir, &error))
    }

    /// Removes history whose time is over.
    fn expire(&self, now: Millis) -> Result<(), JournalError> {
        let watermarks = self.watermarks();
        let mut needed = watermarks.durable.get();
        if self.options.publishes {
            needed = needed.min(watermarks.published.get());
        }
        if self.options.stores {
            needed = needed.min(watermarks.stored.get());
        }
        let files = history::list(self.disk.as_ref(), &self.dir)?;
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        for file in files {
            let old = now.0.saturating_sub(file.header.at.0) > self.options.keep_ms;
            let too_long = self.options.keep_bytes > 0 && bytes > self.options.keep_bytes;
            if file.header.durable > needed && !on(Sabotage::ForgetUnstored)
                || !(old || too_long)
                || self.has_imports(&file)?
            {
                return Ok(());
            }
            self.remove_history(&file.path)?;
            bytes -= file.bytes;
            tracing::info!("history up to lsn {} is over: it is published, stored and old enough", file.header.durable);
        }
        Ok(())
    }

    /// Removes a file behind which history goes on. What lies before it must neither be there nor come back once it is gone:
    /// there would be a gap between them.
    fn remove_history(&self, path: &Path) -> Result<(), JournalError> {
        for left in history::merged_away(self.disk.as_ref(), &self.dir)? {
            self.remove(&left)?;
        }
        let here = history::directory(&self.dir);
        self.disk.sync_dir(&here).map_err(|error| JournalError::io("syncing", &here, &error))?;
        self.remove(path)
    }

    /// What was imported keeps a position that a snapshot does not know: such history stays.
    fn has_imports(&self, file: &history::File) -> Result<bool, JournalError> {
        let data = self.dir.parent().unwrap_or(&self.dir);
        let mut reader = Reader::open(Arc::clone(&self.disk), data, file.header.first_lsn)?;
        while let Some(batch) = reader.next_of_all(file.header.durable)? {
            if batch.events().any(|event| {
                matches!(
                    event,
                    Ok((_, Event::Imported { seq: Some(_), .. } | Event::Returned { seq: Some(_), .. })) | Err(_)
                )
            }) {
                return Ok(true);
            }
            self.go_on()?;
        }
        Ok(false)
    }

    fn remove(&self, path: &Path) -> Result<(), JournalError> {
        self.disk.remove(path).map_err(|error| JournalError::io("removing", path, &error))
    }

    fn trouble(&mut self, now: Millis, error: &JournalError) {
        tracing::error!("{error}; no snapshot was made: the journal grows, and nothing else changes");
        self.not_before = Millis(now.0 + RETRY_MS);
    }

    /// Between two pieces of work: whether to go on, and when.
    fn go_on(&self) -> Result<(), JournalError> {
        if self.breathed.as_ref().is_some_and(|breathed| edge::now() - breathed.get() > STRETCH) {
            self.rest(BREATH);
        }
        if self.stopped() { Err(JournalError::Stopped) } else { Ok(()) }
    }

    /// The same after `bytes` of them, when their time is over.
    fn pace(&self, bytes: u64) -> Result<(), JournalError> {
        self.rest(Duration::from_nanos(bytes * 1_000_000_000 / BYTES_PER_SECOND));
        self.go_on()
    }

    fn rest(&self, time: Duration) {
        if let Some(breathed) = &self.breathed {
            std::thread::park_timeout(time);
            breathed.set(edge::now());
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.shared.has_failed()
    }

    fn watermarks(&self) -> &Arc<Watermarks> {
        &self.shared.hooks.watermarks
    }

    fn figures(&self) -> &Figures {
        &self.shared.hooks.figures
    }
}
