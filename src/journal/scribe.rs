//! Writes journals for the tests of those that read them: small segments, each group a batch of its own.

use std::path::Path;
use std::sync::Arc;

use super::{Appendfsync, Compaction, Compactor, Disk, Hooks, Journal, JournalError, Open, Options, Room};
use crate::core::{Core, Event, Terms, Users};
use crate::ids::{CampaignId, Db, LogId, Lsn, Millis, Seat, User};

/// When everything happened.
pub(crate) const NOW: Millis = Millis(1_732_250_000_123);

/// The journal's name.
pub(crate) const LOG: LogId = LogId([7; 16]);

/// Segments that a dozen grants fill.
pub(crate) const OPTIONS: Options = Options {
    segment_bytes: 4096,
    block_bytes: 128,
    batch_bytes_max: 2048,
    appendfsync: Appendfsync::Always,
    known_durable: Lsn::ZERO,
};

/// How long history stays: as nothing happens later than anything else, until it is told that its time is over.
const KEEP_MS: i64 = 1_000;

/// A journal that is being written.
pub(crate) struct Scribe {
    journal: Journal<Open>,
    compactor: Compactor,
    hooks: Hooks,
}

impl Scribe {
    /// Opens the journal in `data`, which may hold one.
    pub fn open(disk: &Arc<dyn Disk>, data: &Path) -> Result<Scribe, JournalError> {
        let hooks = Hooks {
            watermarks: Arc::default(),
            figures: Arc::default(),
            on_progress: Arc::new(|| ()),
            on_failure: Arc::new(|error| panic!("{error}")),
        };
        let closed = Journal::open_as(Arc::clone(disk), data, OPTIONS, LOG)?;
        let (journal, _) = closed.replay(&mut Core::new(1), hooks.clone(), &mut |_| ())?;
        let keeps =
            Compaction { when_journal_exceeds: 0, keep_ms: KEEP_MS, keep_bytes: 0, publishes: false, stores: false };
        let compactor = journal.compactor(keeps);
        Ok(Scribe { journal, compactor, hooks })
    }

    /// A snapshot of all so far, as `SAVE` asks for it. Of two the older one's segments become history.
    pub fn save(&mut self) -> Lsn {
        let snapshots = &self.hooks.watermarks.snapshots;
        let upto = self.journal.roll();
        let ticket = snapshots.request(upto);
        loop {
            self.journal.seal(NOW);
            self.journal.tick(NOW);
            self.compactor.turn(&|| NOW, Some(upto));
            match snapshots.outcome(&ticket) {
                Some(made) => break made.expect("a snapshot").lsn,
                None => std::thread::yield_now(),
            }
        }
    }

    /// All history is given up.
    pub fn expire(&mut self) {
        self.compactor.turn(&|| Millis(NOW.0 + KEEP_MS + 1), None);
    }

    /// Writes one group, in a batch of its own, and waits for the disk. Answers its last position.
    pub fn write(&mut self, events: &[Event<'_>]) -> Lsn {
        let bytes = events.iter().map(super::record_bytes_max).sum();
        while self.journal.room(bytes) != Room::Ready {
            self.journal.seal(NOW);
            std::thread::yield_now();
        }
        let mut lsn = Lsn::ZERO;
        for (index, event) in events.iter().enumerate() {
            lsn = self.journal.append(event, index + 1 < events.len());
        }
        while !self.journal.answerable().covers(lsn) {
            self.journal.seal(NOW);
            std::thread::yield_now();
        }
        lsn
    }

    /// Creates a campaign.
    pub fn create(&mut self, id: u32, name: &str, limit: u32, users: Users) -> Lsn {
        let terms = Terms { limit, users, ..Terms::DEFAULT };
        self.write(&[Event::CampaignCreated { id: CampaignId(id), name: name.as_bytes(), terms, at: NOW }])
    }

    /// Gives seats, each to the user 1000 + its number.
    pub fn grant(&mut self, id: u32, seats: std::ops::RangeInclusive<u32>) -> Lsn {
        let mut lsn = Lsn::ZERO;
        for seat in seats {
            let user = User::Int(1000 + i64::from(seat));
            lsn = self.write(&[Event::Granted {
                campaign: CampaignId(id),
                seat: Seat::new(seat),
                user,
                nth: 1,
                request: b"",
                at: NOW,
                after: Lsn::ZERO,
            }]);
        }
        lsn
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, value: &[u8]) -> Lsn {
        let (key, value) = (key.as_bytes(), value.into());
        self.write(&[Event::KeySet { db: Db(0), key, value, expires: Millis::NEVER }])
    }

    /// A clean stop.
    pub fn stop(self) {
        self.journal.finish(NOW).expect("a clean stop");
    }
}

/// The checksum that belongs at the end of the segment header at the head of `bytes`.
pub(crate) fn crc_of_header(bytes: &[u8]) -> u32 {
    crc32c::crc32c(&bytes[..super::batch::SEGMENT_HEADER_BYTES - 4])
}
