//! Does another user of the database notice the drain? Point reads and small writes at a fixed rate, on a table of their
//! own, while the sink fills its tables on the same server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mysql::Conn;
use mysql::prelude::Queryable;

use super::fill::user;
use super::open_loop::{histogram, milliseconds, since};
use super::outcome::Outcome;
use super::process::{Rank, on_core, watch};
use super::sink::{MARIADB, UNPACED, must_hold_each_user_once, start, stored};
use super::topic::{self, Topic};
use super::{Bench, fill};
use crate::peers::kafka::Kafka;
use crate::peers::mariadb::{Database, MariaDb};

/// The neighbour's connections, and how often each of them asks.
const CONNECTIONS: u32 = 4;
const EVERY: Duration = Duration::from_millis(10);

/// One of so many of its statements is a write.
const ONE_WRITE_IN: u32 = 5;

/// Of its p95 without a drain.
const PROMISE: f64 = 1.15;

/// How long the drain of a million rows may take, in seconds.
const PROMISE_SECONDS: f64 = 300.0;

/// The longest drain that is waited for.
const DRAIN: Duration = Duration::from_secs(1800);

pub fn measure(bench: &Bench) -> Outcome {
    let journal = fill::journal(bench, &fill::campaigns(1));
    let kafka = on_core(bench.cores.second(), Rank::Back, || Kafka::start_for_load(bench.home.path()));
    let mariadb = on_core(bench.cores.first(), Rank::Even, || MariaDb::start_with(bench.home.path(), MARIADB));
    let topic = topic::filled(bench, &kafka, &journal);
    let mut shop = Shop::open(&mariadb, if bench.quick { 1000 } else { 100_000 });

    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..bench.rounds {
        rounds[0].push(shop.alone(bench));
        rounds[1].push(shop.beside(bench, &kafka, &topic, &mariadb, &[]));
        rounds[0].push(shop.alone(bench));
        rounds[2].push(shop.beside(bench, &kafka, &topic, &mariadb, UNPACED));
        eprintln!("round {round}: {:.2?}", rounds.each_ref().map(|rounds| rounds.last()));
    }
    shop.must_have_sold_what_was_answered();

    let about = format!("neighbour: while {} grants drain into its database", bench.grants);
    let mut outcome = Outcome::new(about, &["read p95 ms", "write p95 ms", "p50 ms", "p95 ms", "drained s"]);
    for (what, rounds) in ["no drain", "drain, adaptive", "drain, pacing off"].iter().zip(&rounds) {
        outcome.add(what, rounds);
    }
    let ratio = outcome.figure("drain, adaptive", "p95 ms") / outcome.figure("no drain", "p95 ms");
    outcome.judge(format!("p95, adaptive / no drain, at most {PROMISE}"), ratio, ratio <= PROMISE);
    let seconds = outcome.figure("drain, adaptive", "drained s");
    outcome.judge(format!("seconds to drain, at most {PROMISE_SECONDS}"), seconds, seconds <= PROMISE_SECONDS);
    outcome
}

/// The neighbour: a shop with many items that are looked at and sold.
struct Shop {
    database: Database,
    items: u32,
    sold: u64,
}

/// What it saw, from the intended time of asking, in microseconds.
struct Seen {
    reads: Histogram<u64>,
    writes: Histogram<u64>,
}

impl Shop {
    fn open(mariadb: &MariaDb, items: u32) -> Shop {
        let database = mariadb.database();
        database.execute(
            "CREATE TABLE item (id INT UNSIGNED PRIMARY KEY, sold INT UNSIGNED NOT NULL, about VARCHAR(100) NOT NULL)",
        );
        database.execute(&format!("INSERT INTO item SELECT seq, 0, REPEAT('x', 100) FROM seq_1_to_{items}"));
        Shop { database, items, sold: 0 }
    }

    /// Nothing else happens for so long, and already some time before.
    fn alone(&mut self, bench: &Bench) -> Vec<f64> {
        let mut figures = Vec::new();
        for seconds in [bench.seconds / 4.0, bench.seconds] {
            let started = Instant::now();
            figures = self.figures(bench, &|| started.elapsed().as_secs_f64() >= seconds);
        }
        figures
    }

    /// From the first commit of a sink to its last.
    fn beside(&mut self, bench: &Bench, kafka: &Kafka, topic: &Topic, mariadb: &MariaDb, pace: &[&str]) -> Vec<f64> {
        let ledger = mariadb.database();
        let sink = start(bench, Rank::Back, kafka, topic, &ledger, pace);
        let look = Duration::from_millis(50);
        watch(look, DRAIN, "the first row is in the ledger", || {
            sink.must_run();
            (stored(&sink) > 0.0).then_some(())
        });
        let (started, done) = (Instant::now(), AtomicBool::new(false));
        let figures = thread::scope(|scope| {
            let shop = scope.spawn(|| self.figures(bench, &|| done.load(Ordering::Acquire)));
            watch(look, DRAIN, "the last row is in the ledger", || {
                sink.must_run();
                (stored(&sink) >= f64::from(bench.grants)).then_some(())
            });
            let seconds = started.elapsed().as_secs_f64();
            done.store(true, Ordering::Release);
            let figures = shop.join().unwrap();
            [&figures[..figures.len() - 1], &[seconds]].concat()
        });
        sink.stop();
        must_hold_each_user_once(&ledger, bench.grants);
        ledger.execute(&format!("DROP DATABASE {}", ledger.name));
        figures
    }

    /// Asks until told to end; the last figure, the time of a drain, is 0.
    fn figures(&mut self, bench: &Bench, end: &(dyn Fn() -> bool + Sync)) -> Vec<f64> {
        let Seen { reads, writes } = on_core(bench.cores.second(), Rank::First, || self.ask(end));
        self.sold += writes.len();
        let all = reads.clone() + &writes;
        let p95 = |seen| milliseconds(seen, 0.95);
        vec![p95(&reads), p95(&writes), milliseconds(&all, 0.5), p95(&all), 0.0]
    }

    fn ask(&self, end: &(dyn Fn() -> bool + Sync)) -> Seen {
        let customers: Vec<Seen> = thread::scope(|scope| {
            let customers = (0..CONNECTIONS).map(|number| scope.spawn(move || self.customer(number, end)));
            let customers: Vec<_> = customers.collect();
            customers.into_iter().map(|customer| customer.join().unwrap()).collect()
        });
        customers
            .into_iter()
            .reduce(|all, one| Seen { reads: all.reads + one.reads, writes: all.writes + one.writes })
            .expect("there are customers")
    }

    fn customer(&self, number: u32, end: &(dyn Fn() -> bool + Sync)) -> Seen {
        let mut conn = Conn::new(self.database.url.as_str()).unwrap();
        let read = conn.prep("SELECT sold, about FROM item WHERE id = ?").unwrap();
        let write = conn.prep("UPDATE item SET sold = sold + 1 WHERE id = ?").unwrap();
        let mut seen = Seen { reads: histogram(), writes: histogram() };
        // Between the others, not at the same moment.
        let started = Instant::now() + EVERY * number / CONNECTIONS;
        for turn in 0.. {
            let due = started + EVERY * turn;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if end() {
                break;
            }
            let item = user(turn * CONNECTIONS + number) % self.items + 1;
            if turn % ONE_WRITE_IN == 0 {
                conn.exec_drop(&write, (item,)).unwrap();
                seen.writes.saturating_record(since(due));
            } else {
                let found: Option<(u32, String)> = conn.exec_first(&read, (item,)).unwrap();
                assert!(found.is_some(), "item {item} is there");
                seen.reads.saturating_record(since(due));
            }
        }
        seen
    }

    fn must_have_sold_what_was_answered(&self) {
        assert_eq!(self.database.query::<u64>("SELECT CAST(SUM(sold) AS UNSIGNED) FROM item"), [self.sold]);
    }
}
