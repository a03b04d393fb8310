//! How fast does a topic get into MariaDB, next to raw INSERTs of 1000 rows into the same table?

use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{Conn, Row, Value};

use super::outcome::Outcome;
use super::process::{Process, Rank, on_core, watch};
use super::topic::{self, Topic};
use super::{Bench, fill};
use crate::peers::kafka::Kafka;
use crate::peers::mariadb::{Database, MariaDb};

/// Rows of each statement of the peer.
const ROWS: usize = 1000;

/// Of the peer's rate.
const PROMISE: f64 = 0.85;

/// What a database that holds millions of rows is given.
pub const MARIADB: &[&str] = &["--innodb-buffer-pool-size=1G", "--innodb-log-file-size=256M"];

/// No ceiling, no adaptation.
pub const UNPACED: &[&str] = &["--ledger-rows-per-second", "0", "--ledger-commits-per-second", "0"];

/// How long millions of rows may take, at the very most.
const DRAIN: Duration = Duration::from_secs(1800);

pub fn measure(bench: &Bench) -> Outcome {
    let journal = fill::journal(bench, &fill::campaigns(1));
    let kafka = on_core(bench.cores.second(), Rank::Even, || Kafka::start_for_load(bench.home.path()));
    let mariadb = on_core(bench.cores.first(), Rank::Even, || MariaDb::start_with(bench.home.path(), MARIADB));
    let topic = topic::filled(bench, &kafka, &journal);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let ledger = mariadb.database();
        let sink = start(bench, Rank::Even, &kafka, &topic, &ledger, UNPACED);
        ours.push(vec![rows_a_second(&sink, bench.grants)]);
        sink.stop();
        must_hold_each_user_once(&ledger, bench.grants);

        let raw = mariadb.database();
        let statements = statements(&ledger, &raw);
        ledger.execute(&format!("DROP DATABASE {}", ledger.name));
        let seconds = on_core(bench.cores.second(), Rank::Even, || insert(&raw, &statements));
        theirs.push(vec![f64::from(bench.grants) / seconds]);
        must_hold_each_user_once(&raw, bench.grants);
        raw.execute(&format!("DROP DATABASE {}", raw.name));
        eprintln!("round {round}: sink {:?}, raw INSERTs {:?}", ours.last(), theirs.last());
    }
    let mut outcome = Outcome::new(format!("sink: {} grants from Kafka into MariaDB", bench.grants), &["rows/s"]);
    outcome.add("sink", &ours);
    outcome.add("raw INSERTs", &theirs);
    let ratio = outcome.figure("sink", "rows/s") / outcome.figure("raw INSERTs", "rows/s");
    outcome.judge(format!("rows/s, sink / peer, at least {PROMISE}"), ratio, ratio >= PROMISE);
    outcome
}

/// A sink of its own from `topic` into `ledger`.
pub fn start(bench: &Bench, rank: Rank, kafka: &Kafka, topic: &Topic, ledger: &Database, pace: &[&str]) -> Process {
    let bootstrap = kafka.bootstrap();
    let mut options = vec!["--kafka-brokers", &bootstrap, "--kafka-topic", &topic.name, "--ledger", &ledger.url];
    options.extend(["--kafka-cancel-topic", "none"]);
    options.extend(pace);
    Process::sink(bench, bench.cores.second(), rank, &options)
}

/// Waits until a sink has stored so many rows; how fast, from the last look at the empty ledger.
fn rows_a_second(sink: &Process, rows: u32) -> f64 {
    let mut begun = Instant::now();
    watch(Duration::from_millis(20), DRAIN, &format!("{rows} rows in the ledger"), || {
        sink.must_run();
        let (now, stored) = (Instant::now(), stored(sink));
        if stored == 0.0 {
            begun = now;
        }
        (stored >= f64::from(rows)).then(|| f64::from(rows) / begun.elapsed().as_secs_f64())
    })
}

/// Rows that a sink has committed.
pub fn stored(sink: &Process) -> f64 {
    sink.metric("coupon_gate_ledger_rows_total").unwrap_or(0.0)
}

/// As many rows as grants, each user once, seats without a hole.
pub fn must_hold_each_user_once(ledger: &Database, rows: u32) {
    let count =
        "SELECT COUNT(*), COUNT(DISTINCT user_id), COUNT(DISTINCT campaign), MIN(seat), MAX(seat) FROM coupon_grant";
    let found = ledger.query::<(u32, u32, u32, u32, u32)>(count);
    assert_eq!(found, [(rows, rows, 1, 1, rows)], "rows, users, campaigns, first and last seat");
}

/// A row for each seat of a campaign.
pub fn must_hold_each_seat_once(ledger: &Database, campaign: &str, seats: u32) {
    let count = "SELECT COUNT(*), COALESCE(MAX(seat), 0) FROM coupon_grant WHERE campaign";
    let found = ledger.query::<(u32, u32)>(&format!("{count} = '{campaign}'"));
    assert_eq!(found, [(seats, seats)], "{campaign}: rows, last seat");
}

/// Creates in `raw` the table that `ledger` has; the statements that fill it with the same rows in the same order.
fn statements(ledger: &Database, raw: &Database) -> Vec<String> {
    let shape = ledger.query::<(String, String)>("SHOW CREATE TABLE coupon_grant");
    raw.execute(&shape[0].1);
    let mut conn = Conn::new(ledger.url.as_str()).unwrap();
    let mut statements = Vec::new();
    let (mut statement, mut rows) = (String::new(), 0);
    // Prepared, so that numbers come as numbers.
    for row in conn.exec_iter("SELECT * FROM coupon_grant ORDER BY seq", ()).unwrap() {
        statement += if rows == 0 { "INSERT INTO coupon_grant VALUES " } else { "," };
        statement += &tuple(row.unwrap());
        rows += 1;
        if rows == ROWS {
            statements.push(std::mem::take(&mut statement));
            rows = 0;
        }
    }
    statements.extend((rows > 0).then_some(statement));
    statements
}

/// `(1,'2',...)`
fn tuple(row: Row) -> String {
    let values: Vec<String> = row.unwrap().iter().map(literal).collect();
    format!("({})", values.join(","))
}

/// A value as it stands in a statement; bytes that are no plain text in hexadecimal.
fn literal(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) if !bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) => {
            bytes.iter().fold("x'".to_owned(), |text, byte| text + &format!("{byte:02x}")) + "'"
        }
        other => other.as_sql(false),
    }
}

/// Runs the statements one by one, each a transaction, with the rules that the sink asks of a database.
fn insert(raw: &Database, statements: &[String]) -> f64 {
    let mut conn = Conn::new(raw.url.as_str()).unwrap();
    conn.query_drop("SET SESSION sql_mode='STRICT_ALL_TABLES', tx_isolation='READ-COMMITTED', time_zone='+00:00'")
        .unwrap();
    let started = Instant::now();
    for statement in statements {
        conn.query_drop(statement).unwrap();
    }
    started.elapsed().as_secs_f64()
}
