//! A copy of the data directory that somebody brings back: the journal is older than the world. No claim may be decided
//! until `catch-up` has brought in what the world knows; then no seat is given a second time.

use std::path::Path;
use std::sync::Arc;

use super::book::entry_of;
use super::broker::TOPICS;
use super::disk::SimDisk;
use super::line::{Outside, Route};
use super::oracle::Oracle;
use super::oracle::ask::CAMPAIGNS;
use super::oracle::model::{Entry, Model};
use super::process::DATA;
use crate::catch_up::{CatchUpError, by_hand};
use crate::grant;
use crate::ids::{LogId, Lsn};
use crate::journal::{Appendfsync, Disk, Options};
use crate::kafka::Cluster;
use crate::ledger::LedgerReader;
use crate::settings::{CampaignTerms, CampaignUsers, CatchUpFrom};

/// A copy, and what the gate was then.
#[derive(Clone)]
pub struct Copy {
    pub disk: SimDisk,
    model: Model,
    entries: Vec<Entry>,
    last: u64,
    log: LogId,
}

impl Copy {
    /// Of a gate that has just begun and has answered nobody.
    pub fn take(disk: &SimDisk, oracle: &Oracle, last: u64, log: LogId) -> Copy {
        Copy { disk: disk.copy(), model: oracle.model().clone(), entries: oracle.entries().to_vec(), last, log }
    }

    /// Whether the world holds more than this.
    pub fn is_behind(&self, outside: &Outside) -> bool {
        self.highest(outside).get() > self.last
    }

    /// The last position that the world knows.
    pub fn highest(&self, outside: &Outside) -> Lsn {
        let topics = outside.broker.entries(self.log).into_iter().map(|entry| Lsn::new(entry.seq)).max();
        topics.max(outside.known(self.log)).unwrap_or(Lsn::ZERO)
    }

    /// The state that this copy and what the world knows come to, read from one side first, and all that has left the gate;
    /// `None` where they contradict. `now`: what it was meanwhile, of which the operator tells the limits.
    pub fn caught_up(&self, outside: &Outside, from: CatchUpFrom, now: &Model) -> Option<(Model, Vec<Entry>)> {
        let (topics, ledger) = (outside.broker.entries(self.log), ledger_entries(outside));
        let mut world = if from == CatchUpFrom::Kafka { [topics, ledger].concat() } else { [ledger, topics].concat() };
        // Of a record that came twice the first one counts, but that rows do not say after what a grant came.
        world.sort_by_key(|entry| entry.seq);
        world.dedup_by(|again, first| {
            let same = again.seq == first.seq;
            if same {
                first.after = first.after.max(again.after);
            }
            same
        });
        world.retain(|entry| entry.seq > self.last);
        let (mut model, mut entries) = (self.model.clone(), self.entries.clone());
        // The highest seat that was granted, and the most that a user had.
        let granted = |campaign| {
            let grants = || world.iter().filter(|entry| entry.campaign == campaign && !entry.is_return);
            (grants().map(|entry| entry.seat).max().unwrap_or(0), grants().map(|entry| entry.nth).max().unwrap_or(0))
        };
        (0..CAMPAIGNS).for_each(|campaign| model.raise(now, campaign, granted(campaign)));
        for entry in &world {
            entries.push(if entry.is_return { model.take_back(*entry)? } else { model.bring_back(*entry)? });
        }
        model.close_lost(granted);
        Some((model, entries))
    }

    /// Catches up over `disk`, which was this copy.
    pub fn catch_up(
        &self,
        disk: &SimDisk,
        options: Options,
        outside: &Outside,
        from: CatchUpFrom,
        now: &Model,
    ) -> Result<usize, CatchUpError> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let options = Options { appendfsync: Appendfsync::Always, ..options };
        let (mut broker, mut ledger) = (outside.broker.clone(), outside.database.clone());
        let cluster = (outside.route == Route::Both).then_some(&mut broker as &mut dyn Cluster);
        let ledger = Some(&mut ledger as &mut dyn LedgerReader);
        // Where anything can be brought in, anything may have been.
        let seeded = if now.seeds() { (0..CAMPAIGNS).map(|name| format!("c{name}")).collect() } else { Vec::new() };
        by_hand::run(
            &disk,
            Path::new(DATA),
            options,
            from,
            (cluster, by_hand::Topics { grants: TOPICS[0], returns: outside.takes_returns.then_some(TOPICS[1]) }),
            ledger,
            by_hand::Hints { terms: &self.terms(now), seeded: &seeded },
        )
    }

    /// What the operator knows of the campaigns that the copy has, too: of others nobody kept the terms.
    fn terms(&self, now: &Model) -> Vec<CampaignTerms> {
        let there = (0..CAMPAIGNS).filter(|name| self.model.campaign(*name).is_some());
        let told = there.filter_map(|name| Some((name, now.campaign(name)?.terms)));
        told.map(|(name, terms)| CampaignTerms {
            name: format!("c{name}"),
            limit: terms.limit,
            per_user: terms.per_user,
            no_id: terms.no_id,
            users: CampaignUsers::Int,
            open: None,
            close: None,
            hold: terms.hold,
        })
        .collect()
    }
}

fn ledger_entries(outside: &Outside) -> Vec<Entry> {
    let (grants, returns): (Vec<_>, Vec<_>) = outside.database.returned().into_iter().unzip();
    let grants = outside.database.rows().into_iter().chain(grants).map(grant::Entry::from);
    grants.chain(returns.into_iter().map(grant::Entry::Return)).map(|entry| entry_of(&entry)).collect()
}
