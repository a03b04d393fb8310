//! A copy of the data directory that somebody brings back: the journal is older than the world. No claim may be decided
//! until `catch-up` has brought in what the world knows; then no seat is given a second time.

use std::path::Path;
use std::sync::Arc;

use super::broker::TOPIC;
use super::disk::SimDisk;
use super::line::{Outside, Route};
use super::oracle::Oracle;
use super::oracle::ask::CAMPAIGNS;
use super::oracle::model::Model;
use super::process::DATA;
use crate::catch_up::{CatchUpError, by_hand};
use crate::grant::GrantUser;
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
    last: u64,
    log: LogId,
}

/// A grant as one side of the world has it.
type Grant = (u64, u8, u32, u32, i64);

impl Copy {
    /// Of a gate that has just begun and has answered nobody.
    pub fn take(disk: &SimDisk, oracle: &Oracle, last: u64, log: LogId) -> Copy {
        Copy { disk: disk.copy(), model: oracle.model().clone(), last, log }
    }

    /// Whether the world holds more than this.
    pub fn is_behind(&self, outside: &Outside) -> bool {
        self.highest(outside).get() > self.last
    }

    /// The last position that the world knows.
    pub fn highest(&self, outside: &Outside) -> Lsn {
        let topic = outside.broker.grants(self.log).into_iter().map(|grant| Lsn::new(grant.0)).max();
        topic.max(outside.known(self.log)).unwrap_or(Lsn::ZERO)
    }

    /// The state that this copy and what the world knows come to, read from one side first; `None` where they contradict.
    /// `now`: what it was meanwhile, of which the operator tells the limits.
    pub fn caught_up(&self, outside: &Outside, from: CatchUpFrom, now: &Model) -> Option<Model> {
        let (topic, ledger) = (outside.broker.grants(self.log), ledger_grants(outside));
        let mut grants = if from == CatchUpFrom::Kafka { [topic, ledger].concat() } else { [ledger, topic].concat() };
        // Of a record that came twice the first one counts.
        grants.sort_by_key(|grant| grant.0);
        grants.dedup_by_key(|grant| grant.0);
        let mut model = self.model.clone();
        grants.retain(|grant| grant.0 > self.last);
        for campaign in 0..CAMPAIGNS {
            let seats = grants.iter().filter(|grant| grant.1 == campaign).map(|grant| grant.2);
            model.raise(now, campaign, seats.max().unwrap_or(0));
        }
        for (seq, campaign, seat, user, at) in grants {
            model.bring_back(campaign, seat, user, at).then_some(seq)?;
        }
        model.close_lost();
        Some(model)
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
        by_hand::run(&disk, Path::new(DATA), options, from, (cluster, TOPIC), ledger, &self.terms(now))
    }

    /// What the operator knows of the campaigns that the copy has, too: of others nobody kept the terms.
    fn terms(&self, now: &Model) -> Vec<CampaignTerms> {
        let there = (0..CAMPAIGNS).filter(|name| self.model.campaign(*name).is_some());
        let told = there.filter_map(|name| Some((name, now.campaign(name)?.limit())));
        told.map(|(name, limit)| CampaignTerms {
            name: format!("c{name}"),
            limit,
            users: CampaignUsers::Int,
            open: None,
            close: None,
        })
        .collect()
    }
}

fn ledger_grants(outside: &Outside) -> Vec<Grant> {
    let mut grants = Vec::new();
    outside.database.for_each(|row| {
        let user = if let GrantUser::Int(user) = row.user { u32::try_from(user).unwrap_or(u32::MAX) } else { u32::MAX };
        let campaign = row.campaign.as_bytes().get(1).map_or(u8::MAX, |digit| digit.wrapping_sub(b'0'));
        grants.push((row.seq.get(), campaign, row.seat, user, row.at.0));
    });
    grants
}
