//! The sink against real SQLite files, turned by hand where the moment matters and on its thread where it does not.

mod exactly_once;
mod follow;
mod interleaved;
mod journal_returns;
mod kafka;
mod owners;
mod pair;
mod random;
mod refused;
mod resume;
mod returns;
mod start;
mod story;
mod strict;
mod topic;
mod trouble;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLockReadGuard};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::pace::Throttle;
use super::place::Place;
use super::stop::Stop;
use super::worker::{Progress, Turn, Worker};
use super::*;
use crate::core::{Event, Terms, Users};
use crate::ids::{CampaignId, Millis, Seat, User};
use crate::ledger::{LedgerAt, SqliteLedger, SqliteOptions, Step, Trip, UserColumn, ddl};

const LOG: LogId = LogId([7; 16]);
const SPRING: CampaignId = CampaignId(0);

/// 2024-11-22 07:15:23.123 UTC.
const AT: i64 = 1_732_259_723_123;

/// Events of one batch of the journal in memory: small, so that batches and transactions do not match.
const EVENTS_PER_BATCH: usize = 7;

type Events = Arc<Mutex<Vec<(Lsn, Event<'static>)>>>;

/// A journal in memory.
struct Memory {
    events: Events,
    next: Lsn,
}

impl GrantSource for Memory {
    fn seek(&mut self, from: Lsn) -> Result<(), SourceError> {
        self.next = from;
        Ok(())
    }

    fn kept_from(&self) -> Result<Lsn, SourceError> {
        Ok(Lsn::new(1))
    }

    fn read(&mut self, upto: Lsn, take: &mut dyn FnMut(Lsn, &Event<'_>)) -> Result<Option<Lsn>, SourceError> {
        let events = self.events.lock().unwrap();
        let batch = events.iter().filter(|(lsn, _)| *lsn >= self.next && *lsn <= upto).take(EVENTS_PER_BATCH);
        let mut last = None;
        for (lsn, event) in batch {
            take(*lsn, event);
            last = Some(*lsn);
        }
        self.next = last.map_or(self.next, Lsn::next);
        Ok(last)
    }
}

/// A gate's journal and a ledger beside it.
struct Bench {
    dir: TempDir,
    events: Events,
    watermarks: Arc<Watermarks>,
    figures: Arc<Figures>,
    settings: LedgerSettings,
    log: LogId,
    _world: Option<RwLockReadGuard<'static, ()>>,
}

impl Bench {
    fn new() -> Bench {
        Bench { _world: Some(crate::sabotage::peace::keep()), ..Bench::in_any_world() }
    }

    fn in_any_world() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let settings = LedgerSettings::new(LedgerAt::Sqlite(dir.path().join("ledger.db")));
        let (events, watermarks, figures) = (Events::default(), Arc::default(), Arc::default());
        Bench { dir, events, watermarks, figures, settings, log: LOG, _world: None }
    }

    fn path(&self) -> PathBuf {
        let LedgerAt::Sqlite(path) = &self.settings.at else { panic!("the bench is an SQLite file") };
        path.clone()
    }

    fn push(&self, event: Event<'static>) -> Lsn {
        let mut events = self.events.lock().unwrap();
        let lsn = Lsn::new(events.len() as u64 + 1);
        events.push((lsn, event));
        self.watermarks.durable.advance(lsn);
        lsn
    }

    fn create(&self, id: CampaignId, name: &'static str, users: Users, shadow: bool) {
        let terms = Terms { limit: u32::MAX, users, shadow, ..Terms::DEFAULT };
        self.push(Event::CampaignCreated { id, name: name.as_bytes(), terms, at: Millis(AT) });
    }

    fn spring(&self) {
        self.create(SPRING, "spring", Users::Int, false);
    }

    /// Seats `seats` of spring go to users 1000 + seat.
    fn grant(&self, seats: std::ops::RangeInclusive<u32>) {
        for seat in seats {
            let user = User::Int(1000 + i64::from(seat));
            self.push(Event::Granted {
                campaign: SPRING,
                seat: Seat::new(seat),
                user,
                nth: 1,
                request: b"",
                at: Millis(AT),
                after: Lsn::ZERO,
            });
        }
    }

    /// Seat `seat` of spring, whose grant is at `grant`, comes back.
    fn back(&self, seat: u32, grant: Lsn) -> Lsn {
        let user = User::Int(1000 + i64::from(seat));
        self.push(Event::Returned {
            campaign: SPRING,
            seat: Seat::new(seat),
            user,
            nth: 1,
            at: Millis(AT),
            grant,
            seq: None,
        })
    }

    /// Seat `seat` of spring goes to `user`, after the return at `after`.
    fn grant_after(&self, seat: u32, user: i64, after: Lsn) -> Lsn {
        self.push(Event::Granted {
            campaign: SPRING,
            seat: Seat::new(seat),
            user: User::Int(user),
            nth: 1,
            request: b"",
            at: Millis(AT),
            after,
        })
    }

    fn other_event(&self) -> Lsn {
        self.push(Event::Flushed { db: None })
    }

    fn memory(&self) -> Memory {
        Memory { events: Arc::clone(&self.events), next: Lsn::ZERO }
    }

    /// What the core knows after replay.
    fn campaigns(&self) -> Vec<Campaign> {
        let events = self.events.lock().unwrap();
        let mut campaigns = Vec::new();
        for (_, event) in events.iter() {
            if let Event::CampaignCreated { id, name, terms, .. } = event {
                let name = String::from_utf8(name.to_vec()).unwrap();
                campaigns.push(Campaign { id: *id, name, users: terms.users, shadow: terms.shadow });
            }
        }
        campaigns
    }

    fn feed(&self) -> JournalFeed {
        JournalFeed::new(self.log, Box::new(self.memory()), self.campaigns(), Arc::clone(&self.watermarks))
    }

    /// A sink to be turned by hand, and what cuts its transactions.
    fn worker(&self) -> (Worker, Trip) {
        self.worker_of(Box::new(self.feed()))
    }

    fn worker_of(&self, feed: Box<dyn Feed>) -> (Worker, Trip) {
        let ledger = SqliteLedger::new(SqliteOptions {
            path: self.path(),
            users: self.settings.users,
            create: self.settings.create,
            also: self.settings.also.clone(),
            also_return: self.settings.also_return.clone(),
            pause_when: self.settings.pause_when.clone(),
        });
        let trip = ledger.trip.clone();
        let worker = Worker {
            ledger: Box::new(ledger),
            feed,
            settings: self.settings.clone(),
            owner: "test".into(),
            throttle: Throttle::new(Pace { rows_per_second: None, commits_per_second: None }),
            watermarks: Arc::clone(&self.watermarks),
            figures: Arc::clone(&self.figures),
            stop: Arc::new(Stop::default()),
            place: Place::new(true, Duration::ZERO),
            progress: Progress::new(),
        };
        (worker, trip)
    }

    fn options(&self) -> Options {
        let pace = Pace { rows_per_second: None, commits_per_second: None };
        Options { ledger: self.settings.clone(), pace, owner: "test".into(), claims_at_once: true }
    }

    /// A sink on its thread.
    fn start(&self) -> Result<SinkHandle, SinkError> {
        let (watermarks, figures) = (Arc::clone(&self.watermarks), Arc::clone(&self.figures));
        carries_all(&self.settings, &self.campaigns())?;
        start(self.options(), watermarks, figures, Box::new(self.feed()))
    }

    fn refusal(&self) -> String {
        self.start().expect_err("the start is refused").to_string()
    }

    fn sql(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn number(&self, sql: &str) -> i64 {
        self.sql().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn text(&self, sql: &str) -> String {
        self.sql().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Seats 1..=n of spring are there, each once, each with its user, and nothing else.
    fn assert_stored(&self, n: i64) {
        let sql = "SELECT count(*), count(DISTINCT seat), count(DISTINCT user_id), ifnull(max(seat), 0), \
                   ifnull(sum(user_id - seat <> 1000), 0) FROM coupon_grant";
        let found: [i64; 5] = self
            .sql()
            .query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]))
            .unwrap();
        assert_eq!(found, [n, n, n, n, 0], "rows, seats, users, highest seat, wrong users");
    }

    /// Waits until `enough`, for a minute at most.
    fn wait(&self, what: &str, enough: impl Fn(&Bench) -> bool) {
        for _ in 0..60_000 {
            if enough(self) {
                return;
            }
            let far = Lsn::new(u64::MAX - 1);
            self.watermarks.published.wait_past(far, Duration::from_millis(1));
        }
        panic!("{what} did not come about");
    }
}

/// Turns until nothing is left.
fn drain(worker: &mut Worker) -> Result<usize, Fault> {
    let mut stored = 0;
    loop {
        match worker.turn()? {
            Turn::Stored { rows, .. } => stored += rows,
            Turn::Passed => {}
            Turn::Idle | Turn::Paused => return Ok(stored),
        }
    }
}

fn ledger_fault<T: std::fmt::Debug>(turn: Result<T, Fault>) -> LedgerError {
    match turn {
        Err(Fault::Ledger(error)) => error,
        other => panic!("not a failure of the ledger: {other:?}"),
    }
}

fn text_users(bench: &mut Bench) {
    bench.settings.users = UserColumn::Text;
}
