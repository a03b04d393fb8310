//! The real source: the journal's own files, read up to what is durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::{GrantSource, SourceError};
use crate::core::Event;
use crate::ids::Lsn;
use crate::journal::{Disk, Reader, kept_from};

/// The events of a journal that this process is writing.
pub struct JournalSource {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    reader: Option<Reader>,
}

impl JournalSource {
    /// The journal in the data directory `data`.
    pub fn new(disk: Arc<dyn Disk>, data: &Path) -> JournalSource {
        JournalSource { disk, data: data.to_owned(), reader: None }
    }
}

impl GrantSource for JournalSource {
    fn seek(&mut self, from: Lsn) -> Result<(), SourceError> {
        let reader = Reader::open(Arc::clone(&self.disk), &self.data, from);
        self.reader = Some(reader.map_err(|error| SourceError(error.to_string()))?);
        Ok(())
    }

    fn kept_from(&self) -> Result<Lsn, SourceError> {
        kept_from(self.disk.as_ref(), &self.data).map_err(|error| SourceError(error.to_string()))
    }

    fn read(&mut self, upto: Lsn, take: &mut dyn FnMut(Lsn, &Event<'_>)) -> Result<Option<Lsn>, SourceError> {
        let reader = self.reader.as_mut().expect("a source is read after a seek");
        let Some(batch) = reader.next(upto).map_err(|error| SourceError(error.to_string()))? else { return Ok(None) };
        for event in batch.events() {
            let (lsn, event) = event.map_err(|error| SourceError(error.to_string()))?;
            take(lsn, &event);
        }
        Ok(Some(batch.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Terms, Users};
    use crate::ids::{CampaignId, LogId, Millis, Seat, User};
    use crate::journal::{Appendfsync, Hooks, Journal, Open, Options, RealDisk, Room};
    use crate::metrics::Figures;
    use crate::watermark::Watermarks;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::time::Duration;

    /// Segments small enough that a few hundred grants fill several.
    const OPTIONS: Options = Options {
        segment_bytes: 4096,
        block_bytes: 512,
        batch_bytes_max: 1024,
        appendfsync: Appendfsync::Always,
        known_durable: Lsn::ZERO,
    };

    struct Gate {
        journal: Journal<Open>,
        watermarks: Arc<Watermarks>,
        figures: Arc<Figures>,
        progress: Receiver<()>,
        log: LogId,
    }

    fn gate(data: &Path) -> Gate {
        let (told, progress) = sync_channel(1);
        let (watermarks, figures) = (Arc::<Watermarks>::default(), Arc::<Figures>::default());
        let hooks = Hooks {
            watermarks: Arc::clone(&watermarks),
            figures: Arc::clone(&figures),
            on_progress: Arc::new(move || {
                let _full = told.try_send(());
            }),
            on_failure: Arc::new(|error| panic!("{error}")),
        };
        let closed = Journal::open(Arc::new(RealDisk), data, OPTIONS).unwrap();
        let log = closed.log_id();
        let (journal, _) = closed.replay_into(&mut |_, _| {}, hooks, &mut |_| {}).unwrap();
        Gate { journal, watermarks, figures, progress, log }
    }

    impl Gate {
        fn append(&mut self, event: &Event<'_>) {
            loop {
                match self.journal.room(200) {
                    Room::Ready => break,
                    Room::Wait => {
                        self.journal.seal(Millis(1));
                        if self.journal.room(200) == Room::Wait {
                            let _late = self.progress.recv_timeout(Duration::from_secs(1));
                        }
                    }
                    Room::Refused(why) => panic!("{why}"),
                }
            }
            self.journal.append(event, false);
        }

        fn grant(&mut self, seats: std::ops::RangeInclusive<u32>) {
            for seat in seats {
                let (campaign, user) = (CampaignId(0), User::Int(1000 + i64::from(seat)));
                self.append(&Event::Granted {
                    campaign,
                    seat: Seat::new(seat),
                    user,
                    nth: 1,
                    request: b"",
                    at: Millis(1),
                    after: Lsn::ZERO,
                });
            }
        }

        fn sink(&self, data: &Path, campaigns: Vec<crate::journal::Campaign>) -> crate::sink::SinkHandle {
            let at = crate::ledger::LedgerAt::Sqlite(data.join("ledger.db"));
            let options = crate::sink::Options {
                ledger: crate::ledger::LedgerSettings::new(at),
                pace: crate::sink::Pace { rows_per_second: None, commits_per_second: None },
                owner: "test".into(),
                claims_at_once: true,
            };
            let events = Box::new(JournalSource::new(Arc::new(RealDisk), data));
            let (watermarks, figures) = (Arc::clone(&self.watermarks), Arc::clone(&self.figures));
            let feed = crate::sink::JournalFeed::new(self.log, events, campaigns, Arc::clone(&watermarks));
            crate::sink::start(options, watermarks, figures, Box::new(feed)).unwrap()
        }
    }

    #[test]
    fn a_ledger_follows_a_journal_over_segments_and_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = gate(dir.path());
        let sink = first.sink(dir.path(), Vec::new());
        let terms = Terms { limit: 1000, ..Terms::DEFAULT };
        first.append(&Event::CampaignCreated { id: CampaignId(0), name: b"spring", terms, at: Millis(1) });
        first.grant(1..=300);
        first.journal.finish(Millis(2)).unwrap();
        assert!(sink.stop(Duration::from_secs(60)));

        let mut second = gate(dir.path());
        assert_eq!(second.log, first.log);
        let campaign =
            crate::journal::Campaign { id: CampaignId(0), name: "spring".into(), users: Users::Int, shadow: false };
        second.grant(301..=500);
        let sink = second.sink(dir.path(), vec![campaign]);
        second.journal.finish(Millis(3)).unwrap();
        assert!(sink.stop(Duration::from_secs(60)));

        let ledger = rusqlite::Connection::open(dir.path().join("ledger.db")).unwrap();
        let sql = "SELECT count(*), max(seat), sum(user_id = seat + 1000), sum(seq = seat + 1) FROM coupon_grant";
        let found: [i64; 4] = ledger.query_row(sql, [], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?])).unwrap();
        assert_eq!(found, [500; 4], "rows, highest seat, right users, right positions");
    }
}
