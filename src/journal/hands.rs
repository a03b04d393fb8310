//! The journal's threads without threads: a simulation moves their hands one piece of work at a time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::batch::{BATCH_HEADER_BYTES, BatchHeader, SegmentHeader};
use super::maker::Helper;
use super::record::{self, Records};
use super::sync::Shared;
use super::writer::Writer;
use super::{Disk, Hooks, Journal, Open};
use crate::core::Event;
use crate::ids::{Lsn, User};

/// What writer, maker and background sync of one journal do when they are told to. Clones are the same hands.
#[derive(Clone)]
pub(crate) struct Hands {
    writer: Arc<Mutex<Writer>>,
    shared: Arc<Shared>,
    helper: Arc<Helper>,
    hooks: Hooks,
    segment_bytes: u64,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    at_once: Arc<AtomicBool>,
}

impl Hands {
    pub(super) fn new(writer: Writer, hooks: Hooks, segment_bytes: u64, disk: Arc<dyn Disk>, dir: PathBuf) -> Hands {
        let (shared, helper) = (Arc::clone(&writer.shared), Arc::clone(&writer.maker));
        let writer = Arc::new(Mutex::new(writer));
        Hands { writer, shared, helper, hooks, segment_bytes, disk, dir, at_once: Arc::new(AtomicBool::new(true)) }
    }

    /// Whether each batch is written as soon as it is handed over. So it is until this says otherwise.
    pub fn set_at_once(&self, at_once: bool) {
        self.at_once.store(at_once, Ordering::Relaxed);
    }

    pub(super) fn at_once(&self) -> bool {
        self.at_once.load(Ordering::Relaxed)
    }

    /// Everything that waits.
    pub(super) fn work(&self) {
        while self.write() || self.make() {}
    }

    /// The journal thread takes a batch; whether there was one.
    pub fn write(&self) -> bool {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).step()
    }

    /// The maker makes a segment or cuts one; whether there was something to do, and it came about.
    pub fn make(&self) -> bool {
        self.helper.step(self.disk.as_ref(), &self.dir, self.segment_bytes, &self.hooks)
    }

    /// The highest durable position that a written batch or header names.
    pub fn named(&self) -> u64 {
        self.shared.named.load(Ordering::Acquire)
    }

    /// The background sync of `everysec` and `no`.
    pub fn sync(&self) -> bool {
        self.shared.turn()
    }
}

impl Journal<Open> {
    /// The hands of a journal that was opened in a simulation.
    pub(crate) fn hands(&self) -> Hands {
        self.state.hands.clone().expect("a journal of a simulation")
    }
}

/// Exchanges a batch of a segment, the first behind `from`, for another one that is sound by itself: it gives one of its
/// seats to somebody else. False where none of them gives a seat, but for the last one: nothing tells what that was, not
/// even an empty batch behind it, where that does not say that all before it was synced.
pub(crate) fn exchange_batch(segment: &mut [u8], from: usize) -> bool {
    let Ok(header) = SegmentHeader::read(segment) else { return false };
    let block = u64::from(header.block_bytes);
    let mut offset = header.block_bytes as usize;
    while let Some(batch) = segment.get(offset..).and_then(BatchHeader::peek) {
        let next = offset + batch.padded(block) as usize;
        let follower = segment.get(next..).and_then(|next| BatchHeader::read(next, header.salt, block).ok());
        let is_followed = follower.is_some_and(|follower| follower.count > 0 || follower.synced_before);
        let (body, end) = (offset + BATCH_HEADER_BYTES, offset + BATCH_HEADER_BYTES + batch.body_len as usize);
        // What is torn is no batch, and the sum that is written below would make one of it.
        let is_sound = BatchHeader::read(&segment[offset..], header.salt, block).is_ok();
        if offset >= from
            && is_sound
            && is_followed
            && end <= segment.len()
            && let Some((at, record)) = another_grant(&segment[body..end], &batch)
        {
            segment[body + at..body + at + record.len()].copy_from_slice(&record);
            batch.write(&mut segment[offset..end], header.salt);
            return true;
        }
        offset = next;
    }
    false
}

/// Where the first grant of a batch that does not come back within it stands, and what it would be for another user.
fn another_grant(body: &[u8], batch: &BatchHeader) -> Option<(usize, Vec<u8>)> {
    let events = || Records::new(body, batch.first_lsn, batch.count).filter_map(Result::ok);
    let comes_back =
        |lsn: Lsn| events().any(|(_, event)| matches!(event, Event::Returned { grant, .. } if grant == lsn));
    let grants = events().filter(|(lsn, _)| !comes_back(*lsn)).filter_map(|(_, event)| {
        let Event::Granted { campaign, seat, user: User::Int(user), nth, request, at, after } = event else {
            return None;
        };
        let of = |user| Event::Granted { campaign, seat, user: User::Int(user), nth, request, at, after };
        Some([of(user), of(user + 1_000)])
    });
    let mut places = grants.flat_map(|[this, other]| {
        [false, true].map(|more| {
            let [this, other] = [&this, &other].map(|event| {
                let mut record = Vec::new();
                record::encode(event, more, &mut record);
                record
            });
            let at = body.windows(this.len()).position(|there| there == this);
            at.filter(|_| this.len() == other.len()).map(|at| (at, other))
        })
    });
    places.find_map(|place| place)
}
