//! What Kafka or the ledger holds: compared with the journal as it comes, so that only what is ahead is kept.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::known::{Known, Says, same_user};
use super::{CatchUpError, Differences};
use crate::grant::{Entry, Grant, GrantUser, Kind, Return};
use crate::ids::{LogId, Lsn, Millis};
use crate::kafka::{Bounds, Cluster, Record};
use crate::ledger::{LedgerReader, Position, ReturnRow, journal_source};
use crate::limits;
use crate::wire::kafka::{EntryRecord, Parsed, parse};

/// Rows of the ledger read at a time.
const PAGE_ROWS: usize = 5_000;

/// A grant or a return that the journal does not have.
#[derive(Debug)]
pub(super) struct Ahead {
    pub seq: Lsn,
    pub what: What,
    /// Its campaign's place in the list of names.
    pub campaign: u32,
    pub seat: u32,
    pub user: GrantUser,
    pub nth: u16,
    pub at: Millis,
}

/// See [`Ahead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A grant, behind that return of its campaign; `Lsn::ZERO` also where nobody says so.
    Grant { after: Lsn },
    /// The return of that grant.
    Return { grant: Lsn },
}

impl What {
    /// Whether two that tell of it tell the same.
    fn is_of(self, other: What) -> bool {
        match (self, other) {
            (What::Grant { .. }, What::Grant { .. }) => true,
            (What::Return { grant }, What::Return { grant: other }) => grant == other,
            (What::Grant { .. }, What::Return { .. }) | (What::Return { .. }, What::Grant { .. }) => false,
        }
    }
}

/// Takes the world's grants and returns, in any order.
pub(super) struct Intake {
    known: Known,
    log: Option<LogId>,
    /// Whether `log` was found in the world first, and is not the only one it can be.
    guessed: bool,
    logs: BTreeMap<LogId, u64>,
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    ahead: Vec<Ahead>,
    agreed: u64,
    unreadable: u64,
    is_other_side: bool,
    /// Positions up to here were used, whether by a grant or not.
    used: Lsn,
    differences: Differences,
}

/// What the world said: what is ahead, in order, each once.
pub(super) struct Found {
    pub known: Known,
    pub log: LogId,
    pub names: Vec<Arc<str>>,
    pub ahead: Vec<Ahead>,
    /// Grants and returns that both sides have.
    pub agreed: u64,
    /// Records of ours that say nothing.
    pub unreadable: u64,
    /// The highest position that is known to be used.
    pub used: Lsn,
    pub differences: Differences,
}

impl Intake {
    /// Grants of `log`, or of the journal that is there, or of the only journal that the world knows.
    pub fn new(known: Known, log: Option<LogId>) -> Intake {
        let named = known.log.or(log);
        Intake {
            used: known.last,
            known,
            log: named,
            guessed: named.is_none(),
            logs: BTreeMap::new(),
            names: Vec::new(),
            numbers: HashMap::new(),
            ahead: Vec::new(),
            agreed: 0,
            unreadable: 0,
            is_other_side: false,
            differences: Differences::default(),
        }
    }

    /// A grant or a return of the world.
    pub fn take(&mut self, entry: Entry) {
        let (log, seq) = (entry.log(), entry.seq());
        if self.is_other_side && self.log != Some(log) {
            return;
        }
        *self.logs.entry(log).or_default() += 1;
        if *self.log.get_or_insert(log) != log {
            return;
        }
        if seq.get() > limits::LSN_MAX {
            return self.differences.add(|| format!("{entry}: no journal has such a seq; this was written by hand"));
        }
        self.used = self.used.max(seq);
        match self.known.says(&entry) {
            Says::Same => self.agreed += u64::from(!self.is_other_side),
            Says::Other(line) => self.differences.add(|| line),
            Says::Unknown => {
                let campaign = self.number_of(entry.campaign());
                let what = match &entry {
                    Entry::Grant { after, .. } => What::Grant { after: *after },
                    Entry::Return(back) => What::Return { grant: back.grant },
                };
                let (seat, user, nth, at) = (entry.seat(), entry.user().clone(), entry.nth(), entry.at());
                self.ahead.push(Ahead { seq, what, campaign, seat, user, nth, at });
            }
        }
    }

    fn number_of(&mut self, campaign: &Arc<str>) -> u32 {
        if let Some(number) = self.numbers.get(campaign) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("campaigns are fewer than that");
        self.names.push(Arc::clone(campaign));
        self.numbers.insert(Arc::clone(campaign), number);
        number
    }

    /// The ledger's own word about the journal: positions up to there were used. Answers the last grant it stored.
    pub fn take_positions(&mut self, positions: &[Position]) -> Lsn {
        let Some(log) = self.log else { return Lsn::ZERO };
        let source = journal_source(log);
        let mut last = Lsn::ZERO;
        for there in positions.iter().filter(|there| there.log == log || there.source == source) {
            if there.log == log {
                last = last.max(there.last_seq);
            }
            let used = if there.source == source { Lsn::new(there.next).prev() } else { there.last_seq };
            self.used = self.used.max(used).max(last);
        }
        last
    }

    /// What is taken from here on is the other side's: it tells of the same journal, and may know what the first one has
    /// lost or does not have yet.
    pub fn turn_to_the_other_side(&mut self) {
        self.is_other_side = true;
    }

    /// All was taken.
    pub fn close(mut self) -> Result<Found, CatchUpError> {
        let Some(log) = self.log else { return Err(CatchUpError::Nothing) };
        let logs = || self.logs.iter().map(|(log, grants)| (*log, *grants)).collect();
        if self.guessed && self.logs.len() > 1 {
            return Err(CatchUpError::SeveralLogs(logs()));
        }
        if !self.logs.is_empty() && !self.logs.contains_key(&log) {
            return Err(CatchUpError::OtherLogs(log, logs()));
        }
        if self.known.log.is_none() && self.logs.is_empty() {
            return Err(CatchUpError::Nothing);
        }
        self.ahead.sort_by_key(|ahead| ahead.seq);
        let (names, differences) = (&self.names, &mut self.differences);
        self.ahead.dedup_by(|again, first| {
            let same = again.seq == first.seq;
            if same
                && !(again.campaign == first.campaign
                    && again.what.is_of(first.what)
                    && again.seat == first.seat
                    && same_user(&again.user, &first.user))
            {
                differences.add(|| {
                    let told =
                        |a: &Ahead| format!("campaign {} seat {} user {}", names[a.campaign as usize], a.seat, a.user);
                    format!("at seq {} the other side has two grants: {} and {}", first.seq, told(first), told(again))
                });
            }
            if same && let (What::Grant { after }, What::Grant { after: again }) = (&mut first.what, again.what) {
                // A row of the ledger does not say.
                *after = again.max(*after);
            }
            same
        });
        Ok(Found {
            known: self.known,
            log,
            names: self.names,
            ahead: self.ahead,
            agreed: self.agreed,
            unreadable: self.unreadable,
            used: self.used,
            differences: self.differences,
        })
    }
}

/// All rows of the ledger, and its positions.
pub(super) fn read_ledger(ledger: &mut dyn LedgerReader, intake: &mut Intake) -> Result<(), CatchUpError> {
    let mut after: Option<(Arc<str>, u32)> = None;
    loop {
        let page = ledger.grants(after.as_ref().map(|(campaign, seat)| (&**campaign, *seat)), PAGE_ROWS)?;
        let Some(last) = page.last() else { break };
        after = Some((Arc::clone(&last.campaign), last.seat));
        page.into_iter().for_each(|grant| intake.take(grant.into()));
    }
    let mut after = None;
    loop {
        let page = ledger.returns(after, PAGE_ROWS)?;
        let Some(last) = page.last() else { break };
        after = Some((last.back.log, last.back.seq));
        for ReturnRow { back, granted_at } in page {
            let Return { log, grant: seq, ref campaign, seat, ref user, nth, .. } = back;
            let (campaign, user) = (Arc::clone(campaign), user.clone());
            intake.take(Grant { log, seq, campaign, seat, user, nth, at: granted_at }.into());
            intake.take(Entry::Return(back));
        }
    }
    let positions = ledger.all_positions()?;
    intake.take_positions(&positions);
    Ok(())
}

/// The topics of a gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topics<'t> {
    /// Of the grants.
    pub grants: &'t str,
    /// Of the returns, if there can be any. It need not be there yet.
    pub returns: Option<&'t str>,
}

/// All records of both topics.
pub(super) fn read_topics(
    cluster: &mut dyn Cluster,
    topics: Topics<'_>,
    intake: &mut Intake,
) -> Result<(), CatchUpError> {
    let Topics { grants, returns } = topics;
    let partitions = cluster.partitions(grants)?.ok_or_else(|| CatchUpError::NoTopic(grants.to_owned()))?;
    read_topic(cluster, Kind::Grant, (grants, partitions), intake)?;
    let Some(returns) = returns else { return Ok(()) };
    let partitions = cluster.partitions(returns)?.unwrap_or(0);
    read_topic(cluster, Kind::Return, (returns, partitions), intake)
}

fn read_topic(
    cluster: &mut dyn Cluster,
    kind: Kind,
    (topic, partitions): (&str, u32),
    intake: &mut Intake,
) -> Result<(), CatchUpError> {
    for partition in 0..partitions {
        let Bounds { low, high } = cluster.bounds(topic, partition)?;
        cluster.read(topic, partition, low..high, &mut |record| {
            match parsed(kind, &record) {
                Parsed::Entry(EntryRecord { entry, .. }) => intake.take(entry),
                Parsed::Bad(bad) => {
                    tracing::warn!("kafka: {topic}/{partition}:{}: {}; passed over", record.offset, bad.reason);
                    intake.unreadable += 1;
                }
                Parsed::Foreign => {}
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(())
}

fn parsed(kind: Kind, record: &Record) -> Parsed {
    parse(kind, record.key.as_deref(), record.value.as_deref(), record.at, &record.headers)
}
