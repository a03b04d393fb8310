//! The journal as a feed: one lane with entries of both kinds in their order, positions are lsns, nothing is ever missing.

use std::sync::Arc;
use std::time::Duration;

use super::feed::{Feed, FeedError, Item, Opened, Positions, What};
use super::lines::{Hole, Lines};
use super::resume;
use super::rows::{Rows, Sources, stored_elsewhere};
use super::source::{GrantSource, SourceError};
use super::worker::Fault;
use crate::grant::{Kind, Lane};
use crate::ids::{LogId, Lsn};
use crate::journal::{Campaign, Campaigns, NoSuchCampaign};
use crate::ledger::{self, Ledger, LedgerError};
use crate::sabotage::{Sabotage, on};
use crate::watermark::Watermarks;

/// The entries of a journal that this process is writing, up to what is durable.
pub struct JournalFeed {
    log: LogId,
    events: Box<dyn GrantSource>,
    campaigns: Campaigns,
    watermarks: Arc<Watermarks>,
    /// Everything up to here was handed over.
    read: Lsn,
    /// The ledger was ahead of the journal, as this line says. Growth would hide that and heal nothing: only a start
    /// with another data directory does.
    ahead: Option<String>,
}

impl JournalFeed {
    /// The journal of `log`: its `events`, every campaign it has named up to now, and how far it is durable.
    pub fn new(
        log: LogId,
        events: Box<dyn GrantSource>,
        campaigns: impl IntoIterator<Item = Campaign>,
        watermarks: Arc<Watermarks>,
    ) -> JournalFeed {
        JournalFeed { log, events, campaigns: Campaigns::new(log, campaigns), watermarks, read: Lsn::ZERO, ahead: None }
    }

    fn lane() -> Lane {
        Lane::new(Kind::Grant, 0)
    }
}

impl Feed for JournalFeed {
    fn open(&mut self) -> Result<Opened, FeedError> {
        let sources = Sources::Journal(ledger::journal_source(self.log).into());
        Ok(Opened { sources, lanes: vec![JournalFeed::lane()] })
    }

    fn resume(&mut self, ledger: &mut dyn Ledger, rows: &Rows) -> Result<Positions, Fault> {
        // Before the ledger is asked for more, or what this process has stored since would look like too much.
        let durable = self.watermarks.durable.get();
        let (source, there) = (rows.sources.to_string(), rows.of(JournalFeed::lane()));
        if self.ahead.is_none() && !on(Sabotage::ResumeUnchecked) {
            self.ahead = there.and_then(|there| resume::ahead(&source, there, durable));
        }
        if let Some(line) = &self.ahead {
            return Err(LedgerError::Contradiction(line.clone()).into());
        }
        if let Some(there) = there.filter(|_| !on(Sabotage::ResumeUnchecked)) {
            let (events, campaigns) = (self.events.as_mut(), &mut self.campaigns);
            resume::compare(ledger, events, campaigns, (&source, there, durable))?;
        }
        let [grants, returns] = stored_elsewhere(ledger, &rows.sources, self.log)?;
        let elsewhere = grants.min(returns);
        let next = there.map_or(1, |there| there.next);
        let late = u64::from(on(Sabotage::SinkOneLate) && next > 1);
        Ok(Positions::from([(JournalFeed::lane(), next.max(elsewhere.next().get()) + late)]))
    }

    fn seek(&mut self, from: &Positions) -> Result<(), FeedError> {
        let from = Lsn::new(from[&JournalFeed::lane()]);
        self.read = from.prev();
        self.events.seek(from).map_err(broken)
    }

    fn next(&mut self, patience: Duration, _room: usize, take: &mut dyn FnMut(Item)) -> Result<(), FeedError> {
        let mut durable = self.watermarks.durable.get();
        if durable <= self.read && patience > Duration::ZERO {
            durable = self.watermarks.durable.wait_past(self.read, patience);
        }
        if durable <= self.read {
            return Ok(());
        }
        let (mut unknown, mut last) = (None, self.read);
        let campaigns = &mut self.campaigns;
        let read = self.events.read(durable, &mut |lsn, event| match campaigns.entry(lsn, event) {
            Ok(Some(entry)) => {
                let what = What::Entry { entry, prev: None, there: false, raw: None };
                take(Item { lane: JournalFeed::lane(), position: lsn.get(), next: lsn.next().get(), what });
                last = lsn;
            }
            Ok(None) => {}
            Err(NoSuchCampaign(id)) => unknown = unknown.or(Some((lsn, id))),
        });
        let upto = read.map_err(broken)?;
        if let Some((lsn, id)) = unknown {
            let line = format!("ledger: the event at {lsn} names campaign {}, which nobody created", id.0);
            return Err(FeedError::Broken(line));
        }
        if let Some(upto) = upto {
            self.read = upto;
            if last < upto {
                take(Item {
                    lane: JournalFeed::lane(),
                    position: upto.get(),
                    next: upto.next().get(),
                    what: What::Passed,
                });
            }
        }
        Ok(())
    }

    fn hold(&mut self, _held: &[Lane]) -> Result<(), FeedError> {
        Ok(())
    }

    fn ends(&mut self) -> Result<Positions, FeedError> {
        Ok(Positions::from([(JournalFeed::lane(), self.watermarks.durable.get().next().get())]))
    }

    fn is_read(&mut self, _lane: Lane, next: u64) -> Result<bool, FeedError> {
        Ok(next > self.watermarks.durable.get().get())
    }

    fn stored(&self, lines: &Lines) -> Lsn {
        Lsn::new(lines.only()).prev()
    }

    fn is_all(&self, _lines: &Lines) -> bool {
        true
    }

    fn awaits(&self, _lines: &Lines) -> Vec<Hole> {
        Vec::new()
    }

    fn reaches(&self, log: LogId) -> bool {
        log == self.log
    }

    fn miss(&self, _lane: Lane, _log: LogId, _after: Lsn) {}
}

fn broken(error: SourceError) -> FeedError {
    FeedError::Broken(error.to_string())
}
