//! The sink's thread: reads what there is, stores it in transactions, keeps its place through every failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::awaited::Awaited;
use super::backlog::Backlog;
use super::feed::{Feed, FeedError, Item};
use super::lines::{Hole, Lines};
use super::pace::{Backoff, ROWS_PER_TRANSACTION, Throttle, UNTIL_MENDED};
use super::place::{Place, STAND_BY_GLANCE};
use super::plan::{Plan, Terms};
use super::refused::{self, Cause};
use super::rows::{Sources, stored_elsewhere};
use super::stop::Stop;
use super::trouble::Trouble;
use super::waiting::Waiting;
use crate::edge::{draw, now, wall};
use crate::grant::{Entry, Lane};
use crate::ledger::{Batch, DeadLetter, Ledger, LedgerError, LedgerSettings, Move};
use crate::metrics::Figures;
use crate::watermark::Watermarks;

/// How long the position in the table may lag behind what is read, and how long a sink gives no sign of life.
pub(super) const LAZY: Duration = Duration::from_secs(3);

/// How long one wait for new records lasts before the word to stop is looked for.
const GLANCE: Duration = Duration::from_millis(100);

/// The longest rest after a failure once the word to stop has come: the time left is for trying.
const REST_AT_THE_END: Duration = Duration::from_millis(500);

/// How often the operator's query is asked whether to pause.
const ASK_FOR_A_PAUSE: Duration = Duration::from_secs(2);

/// How often the database is asked whether others use it, while there is something to store.
const ASK_FOR_OTHERS: Duration = Duration::from_secs(2);

/// What is between the source and the ledger. Runs on a thread of its own; tests turn it by hand.
pub(super) struct Worker {
    pub(super) ledger: Box<dyn Ledger>,
    pub(super) feed: Box<dyn Feed>,
    pub(super) settings: LedgerSettings,
    pub(super) owner: String,
    pub(super) throttle: Throttle,
    pub(super) watermarks: Arc<Watermarks>,
    pub(super) figures: Arc<Figures>,
    pub(super) stop: Arc<Stop>,
    pub(super) place: Place,
    pub(super) progress: Progress,
}

/// What is read and not yet stored, and how storing goes.
#[derive(Debug)]
pub(super) struct Progress {
    /// What the ledger calls what is read; `None` before the first look.
    pub(super) sources: Option<Sources>,
    /// How far each lane is; `None` before the first look.
    pub(super) lines: Option<Lines>,
    pub(super) waiting: Waiting,
    /// Lanes of which nothing is fetched.
    pub(super) held: Vec<Lane>,
    /// Rows of one transaction at most: halved until the one that the database refuses stands alone.
    pub(super) limit: usize,
    /// When the table was last written.
    pub(super) written: Instant,
    backlog: Backlog,
    pub(super) awaited: Awaited,
    /// When the operator's query was last asked, and whether it asked for a pause.
    pub(super) paused: (Option<Instant>, bool),
    /// When the database was last asked whether others use it.
    asked_for_others: Option<Instant>,
    pub(super) trouble: Trouble,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress {
            sources: None,
            lines: None,
            waiting: Waiting::default(),
            held: Vec::new(),
            limit: ROWS_PER_TRANSACTION,
            written: now(),
            backlog: Backlog::default(),
            awaited: Awaited::default(),
            paused: (None, false),
            asked_for_others: None,
            trouble: Trouble::default(),
        }
    }
}

/// What one turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// One transaction with this many rows.
    Stored { rows: usize, took: Duration },
    /// Records that are no rows.
    Passed,
    /// The operator's query asks for a pause.
    Paused,
    /// Everything there is is stored.
    Idle,
}

/// Why a turn failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The ledger's side.
    Ledger(LedgerError),
    /// The source's side.
    Feed(FeedError),
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Fault {
        Fault::Ledger(error)
    }
}

impl From<FeedError> for Fault {
    fn from(error: FeedError) -> Fault {
        Fault::Feed(error)
    }
}

impl Fault {
    /// Whether another moment can heal it.
    pub(super) fn passes(&self) -> bool {
        match self {
            Fault::Ledger(LedgerError::Unavailable(_)) | Fault::Feed(FeedError::Away(_)) => true,
            Fault::Ledger(
                LedgerError::Unfit(_)
                | LedgerError::Refused(_)
                | LedgerError::Contradiction(_)
                | LedgerError::OtherJournal { .. }
                | LedgerError::TakenOver(_),
            )
            | Fault::Feed(FeedError::Broken(_)) => false,
        }
    }

    pub(super) fn line(&self) -> String {
        match self {
            Fault::Ledger(error) => error.to_string(),
            Fault::Feed(error) => error.to_string(),
        }
    }
}

impl Worker {
    /// Turns until the word to stop has come and everything there is is stored, or its deadline has.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let asked = self.stop.deadline();
            if asked.is_some_and(|deadline| now() >= deadline) {
                break;
            }
            match self.next(&mut backoff, asked.is_some()) {
                Some(Duration::ZERO) => {}
                Some(rest) => self.stop.rest_until(now() + rest),
                None => break,
            }
        }
        self.leave();
        self.stop.end();
    }

    /// One step, and how long to rest after it; `None` is the end, after the word to stop.
    pub(super) fn next(&mut self, backoff: &mut Backoff, asked: bool) -> Option<Duration> {
        match self.step(asked) {
            Ok(true) => {
                backoff.reset();
                Some(Duration::ZERO)
            }
            Ok(false) => None,
            Err(fault) => {
                self.tell(&fault);
                if asked && !fault.passes() {
                    return None;
                }
                let rest = if matches!(fault, Fault::Ledger(LedgerError::TakenOver(_))) {
                    STAND_BY_GLANCE
                } else if fault.passes() {
                    backoff.next(draw())
                } else {
                    UNTIL_MENDED
                };
                Some(if asked { rest.min(REST_AT_THE_END) } else { rest })
            }
        }
    }

    /// One turn and the rest after it; false when all is done and the word to stop has come.
    pub(super) fn step(&mut self, asked: bool) -> Result<bool, Fault> {
        let turn = self.turn()?;
        self.well();
        match turn {
            Turn::Stored { rows, took } => {
                let rest = self.throttle.after(rows, took, now());
                self.figures.ledger_pace.set(self.throttle.rate());
                self.rest(rest)?;
            }
            Turn::Passed => {}
            Turn::Paused if asked => return Ok(false),
            Turn::Paused => self.wait_paused()?,
            Turn::Idle if asked && self.feed.is_all(self.lines()) => return Ok(false),
            Turn::Idle => self.fill(GLANCE)?,
        }
        Ok(true)
    }

    /// Finds its place, reads, stores at most one transaction.
    pub(super) fn turn(&mut self) -> Result<Turn, Fault> {
        self.hold()?;
        if now().duration_since(self.progress.written) >= LAZY {
            self.give_a_sign()?;
        }
        self.hold_back()?;
        self.fill(Duration::ZERO)?;
        if self.is_paused()? {
            return Ok(Turn::Paused);
        }
        let oldest = self.progress.waiting.oldest();
        self.figures.oldest_unstored_at.set(oldest.and_then(|at| u64::try_from(at).ok()).unwrap_or(0));
        if self.progress.waiting.len() == 0 && !self.let_go()? {
            self.idle();
            return Ok(Turn::Idle);
        }
        let began = now();
        let (rows, is_full) = self.store_some()?;
        let Some(rows) = rows else { return Ok(Turn::Passed) };
        let took = now().duration_since(began);
        self.look_for_others()?;
        self.follow_backlog(rows, is_full);
        Ok(Turn::Stored { rows, took })
    }

    /// Stores what comes first of what waits, in one transaction; `None` where it needs none. And whether that was as much
    /// as one may hold. What the database refuses is found by halves, each a transaction of its own.
    fn store_some(&mut self) -> Result<(Option<usize>, bool), Fault> {
        loop {
            self.know_journals()?;
            let limit = self.progress.limit.min(self.throttle.batch());
            let terms = Terms { limit, ledger: &self.settings, wall: wall(), now: now() };
            let Progress { waiting, lines, .. } = &mut self.progress;
            let mut plan = Plan::new(waiting, lines.as_ref().expect("a turn begins with its place"), &terms);
            if !plan.is_due() {
                self.adopt(plan);
                return Ok((None, false));
            }
            match self.store(&plan.entries, &plan.dead, &plan.moves) {
                Ok(()) => {
                    let (rows, is_full) = (plan.entries.len(), plan.writes() >= limit);
                    self.progress.limit = (self.progress.limit * 2).min(self.throttle.batch_max());
                    self.tell_of_dead_letters(&plan);
                    plan.lines.written(&plan.moves);
                    self.adopt(plan);
                    return Ok((Some(rows), is_full));
                }
                Err(LedgerError::Refused(_)) if plan.writes() > 1 => {
                    self.progress.limit = plan.writes() / 2;
                    self.progress.waiting.put_back(plan.taken);
                }
                Err(LedgerError::Refused(line)) if plan.entries.len() == 1 => {
                    self.progress.waiting.put_back(plan.taken);
                    if let Err(fault) = self.judge(&plan.entries[0], &line) {
                        self.doubt(None);
                        return Err(fault);
                    }
                }
                Err(error) => {
                    self.doubt(Some((plan.moves, plan.entries.len())));
                    if matches!(error, LedgerError::Unavailable(_)) {
                        self.throttle.congested();
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// What becomes of an entry that the database refuses all alone.
    fn judge(&mut self, entry: &Entry, line: &str) -> Result<(), Fault> {
        let reason = match refused::judge(self.ledger.as_mut(), entry, line)? {
            Cause::There => {
                return Ok(refused::mark_there(self.ledger.as_mut(), &mut self.progress.waiting, entry)?);
            }
            Cause::Itself => line.to_owned(),
            Cause::Order(reason) => {
                if self.may_come(entry)? {
                    return Ok(());
                }
                format!("{reason}: {line}")
            }
        };
        refused::put_aside(&mut self.progress.waiting, entry, reason);
        Ok(())
    }

    /// Learns how much of each journal that waits is in the ledger from elsewhere.
    fn know_journals(&mut self) -> Result<(), Fault> {
        let Worker { ledger, progress, .. } = self;
        let lines = progress.lines.as_mut().expect("a turn begins with its place");
        let sources = progress.sources.as_ref().expect("a turn begins with its place");
        let (mut last, mut known) = (None, Ok(()));
        for (log, _) in progress.waiting.queue().filter_map(Item::place) {
            if last != Some(log) && !lines.knows(log) {
                match stored_elsewhere(ledger.as_mut(), sources, log) {
                    Ok(stored) => lines.learn(log, stored),
                    Err(error) => {
                        known = Err(error.into());
                        break;
                    }
                }
            }
            last = Some(log);
        }
        if known.is_err() {
            self.doubt(None);
        }
        known
    }

    /// Reads until one transaction is full or nothing is left; waits for the first record as long as `patience`.
    pub(super) fn fill(&mut self, patience: Duration) -> Result<(), Fault> {
        let (mut patience, most) = (patience, self.throttle.batch_max());
        loop {
            let waiting = &mut self.progress.waiting;
            let before = waiting.len();
            if before >= most {
                return Ok(());
            }
            let read = self.feed.next(patience, most - before, &mut |item| waiting.push(item));
            if let Err(error) = read {
                self.doubt(None);
                return Err(error.into());
            }
            if waiting.len() == before {
                return Ok(());
            }
            patience = Duration::ZERO;
        }
    }

    /// The source is asked all the same: that keeps its connection alive, and what it had fetched already is taken.
    fn wait_paused(&mut self) -> Result<(), Fault> {
        let waiting = &mut self.progress.waiting;
        let read = self.feed.next(GLANCE, 1, &mut |item| waiting.push(item));
        if let Err(error) = read {
            self.doubt(None);
            return Err(error.into());
        }
        // A journal has nothing to keep alive.
        self.stop.rest_until(now() + GLANCE);
        Ok(())
    }

    /// Rests; reads meanwhile what comes, and goes on giving signs of life.
    fn rest(&mut self, rest: Duration) -> Result<(), Fault> {
        let until = now() + rest;
        while self.stop.deadline().is_none() {
            let left = until.saturating_duration_since(now());
            if left == Duration::ZERO {
                return Ok(());
            }
            if now().duration_since(self.progress.written) >= LAZY {
                self.give_a_sign()?;
            }
            let before = self.progress.waiting.len();
            if before >= self.throttle.batch_max() {
                self.stop.rest_until(until.min(now() + LAZY));
            } else {
                self.fill(left.min(GLANCE))?;
            }
        }
        self.stop.rest_until(until);
        Ok(())
    }

    /// One transaction.
    pub(super) fn store(&mut self, entries: &[Entry], dead: &[DeadLetter], moves: &[Move]) -> Result<(), LedgerError> {
        let began = now();
        let (epoch, owner) = (self.place.epoch(), self.owner.as_str());
        self.ledger.store(&Batch { epoch, owner, moves, entries, dead })?;
        metrics::histogram!("coupon_gate_ledger_commit_seconds").record(now().duration_since(began));
        self.progress.written = now();
        self.count(entries.len());
        self.figures.dead_letters.add(dead.len() as u64);
        Ok(())
    }

    /// What `plan` planned has come about.
    fn adopt(&mut self, plan: Plan) {
        self.figures.ledger_duplicates.add(plan.duplicates);
        self.figures.foreign_records.add(plan.foreign);
        self.progress.lines = Some(plan.lines);
        self.look_for_holes();
        self.seen();
    }

    /// What is missing is asked for, and told.
    fn look_for_holes(&mut self) {
        let lines = self.lines();
        let mut holes = lines.holes();
        // What has moved since the last look is not lost any more.
        let is_lost = |hole: &&Hole| !lines.has(hole.lane, hole.log, hole.after.next());
        holes.extend(self.progress.awaited.lost().filter(is_lost));
        for hole in self.progress.trouble.holes(&holes, now()) {
            self.feed.miss(hole.lane, hole.log, hole.after);
        }
        self.progress.trouble.blocked(self.progress.waiting.blocked_for_long(now()));
    }

    /// Nothing can be stored: what is still missing is asked for again now and then.
    fn idle(&mut self) {
        let parked = self.progress.waiting.parked();
        self.figures.ledger_lag.set(parked as u64);
        self.figures.ledger_drain_seconds.set(0);
        if parked == 0 {
            self.progress.backlog.over();
        }
        self.look_for_lost();
        self.look_for_holes();
        self.seen();
    }

    fn follow_backlog(&mut self, rows: usize, is_full: bool) {
        let waits = self.progress.waiting.len() + self.progress.waiting.parked();
        let is_behind = is_full && waits > 0;
        if self.progress.backlog.stored(rows, is_behind, now()) {
            let behind = self.behind().unwrap_or(0);
            self.figures.ledger_lag.set(behind);
            let seconds = self.progress.backlog.tell(behind, self.throttle.rate(), now());
            self.figures.ledger_drain_seconds.set(seconds);
        } else if !is_behind {
            self.figures.ledger_lag.set(waits as u64);
        }
    }

    /// About how many records there are that are not stored.
    fn behind(&mut self) -> Result<u64, FeedError> {
        let ends = self.feed.ends()?;
        let next = self.lines().next();
        Ok(ends.iter().map(|(lane, end)| end.saturating_sub(next.get(lane).copied().unwrap_or(*end))).sum())
    }

    /// Asks now and then whether others use the database.
    fn look_for_others(&mut self) -> Result<(), Fault> {
        let before = self.progress.asked_for_others;
        if before.is_some_and(|at| now().duration_since(at) < ASK_FOR_OTHERS) {
            return Ok(());
        }
        self.progress.asked_for_others = Some(now());
        match self.ledger.others() {
            Ok(Some(statements)) => {
                let since = before.map_or(ASK_FOR_OTHERS, |at| now().duration_since(at));
                self.throttle.heard(statements, since);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                self.doubt(None);
                Err(error.into())
            }
        }
    }

    /// Whether the operator's query asks for a pause; asked now and then. What is fetched meanwhile stays in the source.
    fn is_paused(&mut self) -> Result<bool, Fault> {
        let (asked, before) = self.progress.paused;
        if self.settings.pause_when.is_none() || asked.is_some_and(|at| now().duration_since(at) < ASK_FOR_A_PAUSE) {
            return Ok(before);
        }
        let pause = match self.ledger.asks_for_a_pause() {
            Ok(pause) => pause,
            Err(error) => {
                self.doubt(None);
                return Err(error.into());
            }
        };
        if pause != before {
            tracing::info!("ledger: {}", if pause { "pauses, as --ledger-pause-when asks" } else { "goes on" });
        }
        self.progress.paused = (Some(now()), pause);
        self.figures.ledger_paused.set(pause.into());
        if pause && let Ok(behind) = self.behind() {
            self.figures.ledger_lag.set(behind);
        }
        Ok(pause)
    }

    /// What is not to be fetched for now: anything in a pause, and more of a lane of which much is parked.
    fn hold_back(&mut self) -> Result<(), Fault> {
        let held = match self.progress.paused.1 {
            true => self.lines().next().into_keys().collect(),
            false => self.progress.waiting.overfull(&self.progress.held),
        };
        if held != self.progress.held {
            if let Err(error) = self.feed.hold(&held) {
                self.doubt(None);
                return Err(error.into());
            }
            self.progress.held = held;
        }
        Ok(())
    }

    /// After any failure the table says what is true; what was read is read again from there.
    pub(super) fn doubt(&mut self, sent: Option<(Vec<Move>, usize)>) {
        self.place.doubt(sent);
        self.progress.waiting.clear();
        // A new connection to the source is not paused, and holds nothing.
        self.progress.held.clear();
        self.progress.paused = (None, false);
        self.figures.ledger_paused.set(0);
    }

    /// Writes down how far it is, or at least that it is there.
    pub(super) fn give_a_sign(&mut self) -> Result<(), Fault> {
        self.progress.written = now();
        let moves = self.lines().sign();
        if let Err(error) = self.store(&[], &[], &moves) {
            self.doubt(None);
            return Err(error.into());
        }
        self.progress.lines.as_mut().expect("a turn begins with its place").written(&moves);
        Ok(())
    }

    pub(super) fn lines(&self) -> &Lines {
        self.progress.lines.as_ref().expect("a turn begins with its place")
    }

    /// Everything up to where the positions are is in the ledger. A ledger that was set back does not take that back:
    /// what it lost is stored again.
    pub(super) fn seen(&self) {
        let upto = self.feed.stored(self.lines());
        if upto > self.watermarks.stored.get() {
            self.watermarks.stored.advance(upto);
        }
    }

    pub(super) fn count(&self, rows: usize) {
        self.figures.ledger_rows.add(rows as u64);
        self.figures.ledger_commits.add(1);
    }

    fn tell_of_dead_letters(&self, plan: &Plan) {
        for letter in &plan.dead {
            tracing::error!(
                "ledger: position {} of {} partition {} is put aside into coupon_dead_letter: {}",
                letter.position,
                letter.source,
                letter.kpart,
                letter.reason
            );
        }
    }

    /// A turn that came about.
    fn well(&mut self) {
        if let Some(line) = self.progress.trouble.well() {
            self.figures.ledger_trouble.set(line);
        }
    }

    pub(super) fn tell(&mut self, fault: &Fault) {
        if let Fault::Ledger(LedgerError::OtherJournal { line, logs: [record, rows] }) = fault
            && self.feed.reaches(*record)
        {
            // Its seats are somebody's already.
            self.figures.set_stale(format!(
                "{line}. Did this data directory take the place of a lost one? Then put it aside and let `coupon-gate \
                 catch-up --log-id {rows}` make that one anew"
            ));
        }
        self.progress.trouble.tell(fault, self.figures.stale.load(Ordering::Acquire), now());
        let waits = self.watermarks.durable.get() > self.watermarks.stored.get();
        if waits && self.figures.oldest_unstored_at.get() == 0 {
            // Its place is not known, so neither is the oldest grant that waits: it waits since now at the latest.
            self.figures.oldest_unstored_at.set(u64::try_from(wall().0).unwrap_or(0));
        }
        self.figures.ledger_trouble.set(fault.line());
    }
}
