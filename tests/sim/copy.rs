//! A copy of the data directory that somebody brings back: the journal is older than the world. No claim may be decided
//! until `catch-up` has brought in what the world knows; then no seat is given a second time.

use std::path::Path;
use std::sync::Arc;

use super::book::number_of;
use super::broker::{TOPIC, WorldGrant};
use super::disk::SimDisk;
use super::line::{Outside, Route};
use super::oracle::Oracle;
use super::oracle::ask::CAMPAIGNS;
use super::oracle::model::{Entry, Model, Seated};
use super::process::DATA;
use crate::catch_up::{CatchUpError, by_hand};
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
        let topic = outside.broker.grants(self.log).into_iter().map(|grant| Lsn::new(grant.seq)).max();
        topic.max(outside.known(self.log)).unwrap_or(Lsn::ZERO)
    }

    /// The state that this copy and what the world knows come to, read from one side first, and all that has left the gate;
    /// `None` where they contradict. `now`: what it was meanwhile, of which the operator tells the limits.
    pub fn caught_up(&self, outside: &Outside, from: CatchUpFrom, now: &Model) -> Option<(Model, Vec<Entry>)> {
        let (topic, ledger) = (outside.broker.grants(self.log), ledger_grants(outside));
        let mut grants = if from == CatchUpFrom::Kafka { [topic, ledger].concat() } else { [ledger, topic].concat() };
        // Of a record that came twice the first one counts.
        grants.sort_by_key(|grant| grant.seq);
        grants.dedup_by_key(|grant| grant.seq);
        let (mut model, mut entries) = (self.model.clone(), self.entries.clone());
        grants.retain(|grant| grant.seq > self.last);
        for campaign in 0..CAMPAIGNS {
            let of = || grants.iter().filter(|grant| grant.campaign == campaign);
            let (highest, nth) = (of().map(|grant| grant.seat).max(), of().map(|grant| grant.nth).max());
            model.raise(now, campaign, highest.unwrap_or(0), nth.unwrap_or(0));
        }
        for grant in grants {
            let WorldGrant { seq: lsn, campaign, seat, user, nth, at } = grant;
            let seated = Seated { user, at, nth, request: 0, until: None, lsn, change: 0 };
            entries.push(model.bring_back(campaign, seat, seated)?);
        }
        model.close_lost();
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
        by_hand::run(
            &disk,
            Path::new(DATA),
            options,
            from,
            (cluster, by_hand::Topics { grants: TOPIC, returns: None }),
            ledger,
            &self.terms(now),
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

fn ledger_grants(outside: &Outside) -> Vec<WorldGrant> {
    let mut grants = Vec::new();
    outside.database.for_each(|row| {
        let user = number_of(&row.user);
        let campaign = row.campaign.as_bytes().get(1).map_or(u8::MAX, |digit| digit.wrapping_sub(b'0'));
        let (seq, seat, nth, at) = (row.seq.get(), row.seat, row.nth, row.at.0);
        grants.push(WorldGrant { seq, campaign, seat, user, nth, at });
    });
    grants
}
