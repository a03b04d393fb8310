//! The sink's thread: reads what is durable, stores it in transactions, keeps its place through every failure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::pace::{BACKOFF_MAX, Backoff, Pace};
use super::resume;
use super::source::{GrantSource, SourceError};
use super::stop::{Stop, now};
use crate::grant::Grant;
use crate::ids::{LogId, Lsn};
use crate::journal::{Campaigns, NoSuchCampaign};
use crate::ledger::{Batch, Ledger, LedgerError, Move, Position};
use crate::metrics::Figures;
use crate::sabotage::{Sabotage, on};
use crate::watermark::Watermarks;

/// Rows of one transaction: beyond this, longer transactions gain nothing and hold locks longer.
pub(super) const ROWS_PER_TRANSACTION: usize = 1000;

/// How long the position in the table may lag behind a stretch without grants.
const LAZY: Duration = Duration::from_secs(10);

/// How long one wait for new events lasts before the word to stop is looked for.
const GLANCE: Duration = Duration::from_millis(100);

/// The longest rest after a failure once the word to stop has come: the time left is for trying.
const REST_AT_THE_END: Duration = Duration::from_millis(500);

/// How often a trouble that lasts is logged.
const REMIND: Duration = Duration::from_secs(60);

/// What is between the journal and the ledger. Runs on a thread of its own; tests turn it by hand.
pub(super) struct Worker {
    pub(super) ledger: Box<dyn Ledger>,
    pub(super) events: Box<dyn GrantSource>,
    pub(super) source: String,
    pub(super) log: LogId,
    pub(super) owner: String,
    pub(super) pace: Pace,
    pub(super) campaigns: Campaigns,
    pub(super) watermarks: Arc<Watermarks>,
    pub(super) figures: Arc<Figures>,
    pub(super) stop: Arc<Stop>,
    pub(super) place: Place,
    pub(super) progress: Progress,
}

/// What the sink knows of its row in the position table.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Nothing yet.
    Unknown,
    /// It is this, and the connection is good.
    Held(Position),
    /// It was this when something failed; the table has the last word. Rows on the way then: `sent`.
    Doubtful { held: Position, sent: Option<(u64, usize)> },
    /// Another sink owns it. When that one stands still while there is work, it is gone.
    Lost(Position),
    /// The ledger was ahead of the journal, as this line says. Growth would hide that and heal nothing: only a start
    /// with another data directory does.
    Ahead(String),
}

/// What is read and not yet stored.
#[derive(Debug)]
pub(super) struct Progress {
    /// Each at its position: that of an imported grant is above its `seq`.
    rows: VecDeque<(Lsn, Grant)>,
    /// Everything up to here is read.
    read: Lsn,
    /// When the table's position last moved.
    written: Instant,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress { rows: VecDeque::new(), read: Lsn::ZERO, written: now() }
    }
}

/// What one turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// One transaction with this many rows.
    Stored { rows: usize, took: Duration },
    /// Everything durable is stored.
    Idle,
}

/// Why a turn failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Ledger(LedgerError),
    Source(SourceError),
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Fault {
        Fault::Ledger(error)
    }
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Fault {
        Fault::Source(error)
    }
}

impl Fault {
    /// Whether another moment can heal it.
    fn passes(&self) -> bool {
        match self {
            Fault::Ledger(LedgerError::Unavailable(_)) => true,
            Fault::Ledger(
                LedgerError::Unfit(_)
                | LedgerError::Refused(_)
                | LedgerError::Contradiction(_)
                | LedgerError::TakenOver(_),
            )
            | Fault::Source(_) => false,
        }
    }

    fn line(&self) -> String {
        match self {
            Fault::Ledger(error) => error.to_string(),
            Fault::Source(error) => error.to_string(),
        }
    }
}

impl Worker {
    /// Turns until the word to stop has come and everything durable is stored, or its deadline has.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut trouble = Reminder::default();
        loop {
            let asked = self.stop.deadline();
            if asked.is_some_and(|deadline| now() >= deadline) {
                break;
            }
            match self.turn() {
                Ok(turn) => {
                    backoff.reset();
                    if trouble.over() {
                        tracing::info!("ledger: stores again");
                        self.figures.ledger_trouble.set("");
                    }
                    match turn {
                        Turn::Stored { rows, took } => self.stop.rest_until(now() + self.pace.rest(rows, took)),
                        Turn::Idle if asked.is_some() => {
                            self.settle();
                            break;
                        }
                        Turn::Idle => {
                            self.watermarks.durable.wait_past(self.progress.read, GLANCE);
                        }
                    }
                }
                Err(fault) => {
                    self.tell(&fault, &mut trouble);
                    if asked.is_some() && !fault.passes() {
                        break;
                    }
                    let rest = if fault.passes() { backoff.next(draw()) } else { BACKOFF_MAX };
                    let rest = if asked.is_some() { rest.min(REST_AT_THE_END) } else { rest };
                    self.stop.rest_until(now() + rest);
                }
            }
        }
        self.stop.end();
    }

    /// Finds its place, reads, stores at most one transaction.
    pub(super) fn turn(&mut self) -> Result<Turn, Fault> {
        self.hold()?;
        self.fill()?;
        if self.progress.rows.is_empty() {
            self.figures.oldest_unstored_at.set(0);
            self.seen(self.progress.read);
            if now().duration_since(self.progress.written) >= LAZY {
                self.settle_position()?;
            }
            return Ok(Turn::Idle);
        }
        let oldest = self.progress.rows[0].1.at.0;
        self.figures.oldest_unstored_at.set(u64::try_from(oldest).unwrap_or(0));
        let take = self.progress.rows.len().min(ROWS_PER_TRANSACTION);
        let rest = self.progress.rows.split_off(take);
        let rows = std::mem::replace(&mut self.progress.rows, rest);
        let (at, last) = (rows[take - 1].0, rows[take - 1].1.seq);
        let upto = if self.progress.rows.is_empty() { self.progress.read } else { at };
        let rows: Vec<Grant> = rows.into_iter().map(|(_, row)| row).collect();
        let began = now();
        self.store(&rows, upto, last)?;
        self.seen(upto);
        if self.progress.rows.is_empty() && upto >= self.watermarks.durable.get() {
            self.figures.oldest_unstored_at.set(0);
        }
        Ok(Turn::Stored { rows: take, took: now().duration_since(began) })
    }

    /// Connects where needed and learns where the ledger stands.
    fn hold(&mut self) -> Result<(), Fault> {
        if matches!(self.place, Place::Held(_)) {
            return Ok(());
        }
        if let Place::Ahead(line) = &self.place {
            return Err(LedgerError::Contradiction(line.clone()).into());
        }
        self.ledger.open()?;
        let there = self.ledger.positions(&self.source)?.pop();
        // Behind the position, or what this process has stored since would look like too much.
        let durable = self.watermarks.durable.get();
        if let Some(there) = there.as_ref().filter(|_| !on(Sabotage::ResumeUnchecked))
            && let Some(line) = resume::ahead(&self.source, there, durable)
        {
            self.place = Place::Ahead(line.clone());
            return Err(LedgerError::Contradiction(line).into());
        }
        self.give_way(there.as_ref(), durable)?;
        if let Some(there) = there.as_ref().filter(|_| !on(Sabotage::ResumeUnchecked)) {
            let (ledger, events) = (self.ledger.as_mut(), self.events.as_mut());
            resume::compare(ledger, events, &mut self.campaigns, (&self.source, there, durable))?;
        }
        let held = match (&self.place, there) {
            (Place::Doubtful { held, sent }, Some(there)) if there.epoch == held.epoch => {
                // A lost answer to COMMIT: the position says that the rows are in.
                if let Some((_, rows)) = sent.filter(|(next, _)| *next == there.next) {
                    self.count(rows);
                }
                there
            }
            (_, there) => {
                let new = Move {
                    source: self.source.clone(),
                    kpart: 0,
                    expected: None,
                    next: 1,
                    log: self.log,
                    last_seq: Lsn::ZERO,
                    hole: false,
                };
                let new = if there.is_none() { vec![new] } else { Vec::new() };
                let claimed = self.ledger.claim(&self.owner, there.as_slice(), &new)?;
                claimed.into_iter().next().expect("one position was claimed")
            }
        };
        self.progress = Progress { read: Lsn::new(held.next).prev(), ..Progress::new() };
        self.events.seek(Lsn::new(held.next))?;
        self.seen(self.progress.read);
        self.place = Place::Held(held);
        Ok(())
    }

    /// To a newer sink, as long as it moves or there is nothing to do.
    fn give_way(&mut self, there: Option<&Position>, durable: Lsn) -> Result<(), Fault> {
        let line = match (&self.place, there) {
            (Place::Doubtful { held, .. }, Some(there)) if there.epoch > held.epoch => format!(
                "ledger: another sink took over {}: {} (epoch {}, this one had {}); this one waits until it falls silent",
                self.source, there.owner, there.epoch, held.epoch
            ),
            (Place::Lost(before), Some(there)) if before != there || there.next > durable.get() => {
                format!("ledger: {} is stored by another sink: {}", self.source, there.owner)
            }
            _ => return Ok(()),
        };
        self.place = there.map_or(Place::Unknown, |there| Place::Lost(there.clone()));
        Err(LedgerError::TakenOver(line).into())
    }

    /// Reads until one transaction is full or nothing durable is left. Holds at most one journal batch more than that.
    fn fill(&mut self) -> Result<(), Fault> {
        let durable = self.watermarks.durable.get();
        let stored = if let Place::Held(position) = &self.place { position.last_seq } else { Lsn::ZERO };
        while self.progress.rows.len() < ROWS_PER_TRANSACTION && self.progress.read < durable {
            let mut unknown = None;
            let (campaigns, rows, figures) = (&mut self.campaigns, &mut self.progress.rows, &self.figures);
            let read = self.events.read(durable, &mut |lsn, event| match campaigns.grant(lsn, event) {
                // What the journal got back from the world is in this ledger already.
                Ok(Some(row)) if row.seq <= stored => figures.ledger_duplicates.add(1),
                Ok(row) => rows.extend(row.map(|row| (lsn, row))),
                Err(NoSuchCampaign(id)) => unknown = unknown.or(Some((lsn, id))),
            });
            let upto = match read {
                Ok(upto) => upto,
                Err(error) => {
                    self.doubt(None);
                    return Err(error.into());
                }
            };
            if let Some((lsn, id)) = unknown {
                self.doubt(None);
                return Err(SourceError(format!(
                    "ledger: the grant at {lsn} names campaign {}, which nobody created",
                    id.0
                ))
                .into());
            }
            match upto {
                Some(upto) => self.progress.read = upto,
                None => break,
            }
            if self.progress.rows.is_empty() {
                self.seen(self.progress.read);
            }
        }
        Ok(())
    }

    /// One transaction: `rows` (maybe none), and the position after `upto`.
    fn store(&mut self, rows: &[Grant], upto: Lsn, last_seq: Lsn) -> Result<(), Fault> {
        let Place::Held(position) = &mut self.place else {
            unreachable!("a turn begins with its place");
        };
        let next = upto.next().get();
        let (epoch, owner) = (position.epoch, self.owner.as_str());
        let moves = [Move {
            source: self.source.clone(),
            kpart: 0,
            expected: Some(position.next),
            next,
            log: self.log,
            last_seq,
            hole: false,
        }];
        let began = now();
        if let Err(error) = self.ledger.store(&Batch { epoch, owner, moves: &moves, rows, dead: &[] }) {
            self.doubt(Some((next, rows.len())));
            return Err(error.into());
        }
        metrics::histogram!("coupon_gate_ledger_commit_seconds").record(now().duration_since(began));
        position.next = next;
        position.last_seq = last_seq;
        self.progress.written = now();
        self.count(rows.len());
        Ok(())
    }

    /// After any failure the table says what is true; what was read is read again from there.
    fn doubt(&mut self, sent: Option<(u64, usize)>) {
        if let Place::Held(held) = &self.place {
            self.place = Place::Doubtful { held: held.clone(), sent };
        }
        self.progress.rows.clear();
    }

    /// Writes the position down behind a stretch without grants.
    fn settle_position(&mut self) -> Result<(), Fault> {
        self.progress.written = now();
        let Place::Held(position) = &self.place else { return Ok(()) };
        let (last_seq, behind) = (position.last_seq, position.next <= self.progress.read.get());
        if behind { self.store(&[], self.progress.read, last_seq) } else { Ok(()) }
    }

    /// At the end nothing depends on it: the stretch would only be read again.
    fn settle(&mut self) {
        if let Err(fault) = self.settle_position() {
            tracing::warn!("{}", fault.line());
        }
    }

    /// Everything up to `upto` is in the ledger. A ledger that was set back does not take that back: what it lost is
    /// stored again.
    fn seen(&self, upto: Lsn) {
        if upto > self.watermarks.stored.get() {
            self.watermarks.stored.advance(upto);
        }
    }

    fn count(&self, rows: usize) {
        self.figures.ledger_rows.add(rows as u64);
        self.figures.ledger_commits.add(1);
    }

    fn tell(&self, fault: &Fault, reminder: &mut Reminder) {
        let line = fault.line();
        if reminder.due(now()) {
            if fault.passes() {
                tracing::warn!("{line}; the gate goes on, the ledger follows when it can");
            } else {
                tracing::error!("{line}; the gate goes on, the ledger does not");
            }
        }
        let waits = self.watermarks.durable.get() > self.watermarks.stored.get();
        if waits && self.figures.oldest_unstored_at.get() == 0 {
            // Its place is not known, so neither is the oldest grant that waits: it waits since now at the latest.
            self.figures.oldest_unstored_at.set(wall_ms());
        }
        self.figures.ledger_trouble.set(line);
    }
}

/// Says when a trouble that lasts is worth a log line.
#[derive(Debug, Default)]
struct Reminder(Option<Instant>);

impl Reminder {
    fn due(&mut self, now: Instant) -> bool {
        let due = self.0.is_none_or(|told| now.duration_since(told) >= REMIND);
        if due {
            self.0 = Some(now);
        }
        due
    }

    /// Whether there was one, which ends here.
    fn over(&mut self) -> bool {
        self.0.take().is_some()
    }
}

fn draw() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a figure that people compare with their own clocks")]
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
