//! The ledger in MySQL, method by method, against a real MariaDB.

mod faults;
mod proxy;
mod returns;
#[cfg(feature = "sabotage")]
mod sabotaged;
mod tables;
mod tls;

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use coupon_gate::grant::{Entry, Grant, GrantUser};
use coupon_gate::ids::{LogId, Lsn, Millis};
use coupon_gate::ledger::{
    Batch, DeadLetter, InPlace, Ledger, LedgerAt, LedgerError, LedgerReader, LedgerSettings, Move, MysqlAt, Password,
    Position, Tls, UserColumn, journal_source,
};

use crate::peers::mariadb::{self, Database};

const LOG: LogId = LogId(*b"the gate's log..");
const OTHER_LOG: LogId = LogId(*b"the other's log.");

/// 2024-11-22 04:33:20.123 UTC
const AT: Millis = Millis(1_732_250_000_123);

/// A sabotage breaks the whole process: whoever relies on kept promises holds this meanwhile.
static PEACE: RwLock<()> = RwLock::new(());

fn peace() -> RwLockReadGuard<'static, ()> {
    PEACE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Where `database` is, over TCP, as its user.
fn at(database: &Database) -> MysqlAt {
    let rest = database.url.strip_prefix("mysql://").unwrap();
    let (account, rest) = rest.split_once('@').unwrap();
    let (user, password) = account.split_once(':').unwrap();
    let (address, name) = rest.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    MysqlAt {
        user: user.into(),
        password: Some(Password::new(password)),
        host: host.into(),
        port: port.parse().unwrap(),
        database: name.into(),
        tls: Tls::Off,
    }
}

fn settings(database: &Database) -> LedgerSettings {
    LedgerSettings::new(LedgerAt::Mysql(at(database)))
}

fn open(settings: &LedgerSettings) -> Box<dyn Ledger> {
    let mut ledger = settings.to_write();
    ledger.open().unwrap();
    ledger
}

fn reader(settings: &LedgerSettings) -> Box<dyn LedgerReader> {
    settings.to_read().unwrap().expect("the tables are there")
}

fn grant(seat: u32) -> Grant {
    Grant {
        log: LOG,
        seq: Lsn::new(seat.into()),
        campaign: "spring".into(),
        seat,
        user: GrantUser::Int(1000 + i64::from(seat)),
        nth: 1,
        at: AT,
    }
}

fn grants(seats: std::ops::RangeInclusive<u32>) -> Vec<Grant> {
    seats.map(grant).collect()
}

fn entry(grant: &Grant) -> Entry {
    Entry::Grant { grant: grant.clone(), after: Lsn::ZERO }
}

fn entries(grants: &[Grant]) -> Vec<Entry> {
    grants.iter().map(entry).collect()
}

/// The first row of a source.
fn first(source: &str, log: LogId) -> Move {
    Move { source: source.into(), kpart: 0, expected: None, next: 1, log, last_seq: Lsn::ZERO, hole: false }
}

/// A new ledger's one position, claimed.
fn claim(ledger: &mut dyn Ledger) -> Position {
    let claimed = ledger.claim("me", &[], &[first(&journal_source(LOG), LOG)]).unwrap();
    let [position] = <[Position; 1]>::try_from(claimed).unwrap();
    position
}

/// Stores `rows` behind `position`, which it moves where that went well.
fn store(ledger: &mut dyn Ledger, position: &mut Position, rows: &[Grant]) -> Result<(), LedgerError> {
    store_entries(ledger, position, &entries(rows))
}

fn store_entries(ledger: &mut dyn Ledger, position: &mut Position, entries: &[Entry]) -> Result<(), LedgerError> {
    let last = entries.last().expect("there are entries").seq();
    let to = Move {
        source: position.source.clone(),
        kpart: position.kpart,
        expected: Some((position.next, position.last_seq)),
        next: last.get() + 1,
        log: LOG,
        last_seq: last,
        hole: false,
    };
    let moves = [to];
    ledger.store(&Batch { epoch: position.epoch, owner: "me", moves: &moves, entries, dead: &[] })?;
    position.next = last.get() + 1;
    position.last_seq = last;
    Ok(())
}

fn there(ledger: &mut dyn Ledger) -> Position {
    ledger.positions(&journal_source(LOG)).unwrap().pop().expect("there is a position")
}

fn count(database: &Database) -> u64 {
    database.query("SELECT COUNT(*) FROM coupon_grant")[0]
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> String {
    let Err(LedgerError::Unavailable(line)) = result else { panic!("not unavailable: {result:?}") };
    assert!(!line.contains("open-sesame"), "{line}");
    line
}

#[track_caller]
fn refused(result: Result<(), LedgerError>) -> String {
    let Err(LedgerError::Refused(line)) = result else { panic!("not refused: {result:?}") };
    line
}

#[test]
fn rows_come_back_as_they_were_stored() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    assert!(settings.to_read().unwrap().is_none(), "no table is there yet");
    let mut ledger = open(&settings);
    assert_eq!(ledger.positions(&journal_source(LOG)), Ok(vec![]));
    let mut position = claim(&mut *ledger);
    assert_eq!((position.next, position.log, position.epoch, &*position.owner), (1, LOG, 1, "me"));

    // Three statements of several sizes, and more than one page.
    let rows = grants(1..=1203);
    store(&mut *ledger, &mut position, &rows).unwrap();
    let after = there(&mut *ledger);
    assert_eq!((after.next, after.last_seq, after.hole, after.epoch), (1204, Lsn::new(1203), false, 1));
    assert!(after.beat > position.beat, "{} then {}", position.beat, after.beat);
    assert_eq!(ledger.positions_of_log(LOG), Ok(vec![after.clone()]));
    assert_eq!(ledger.positions_of_log(OTHER_LOG), Ok(vec![]));

    let mut reader = reader(&settings);
    assert_eq!(reader.all_positions(), Ok(vec![after]));
    assert_eq!(reader.grants(None, 700), Ok(rows[..700].to_vec()));
    assert_eq!(reader.grants(Some(("spring", 700)), 700), Ok(rows[700..].to_vec()));
    assert_eq!(reader.grants(Some(("spring", 1203)), 700), Ok(vec![]));
    let told: Vec<(String, String)> =
        database.query("SELECT CAST(granted_at AS CHAR), HEX(log_id) FROM coupon_grant WHERE seat = 1");
    assert_eq!(told, [("2024-11-22 04:33:20.123".into(), LOG.to_string().to_uppercase())]);
}

#[test]
fn campaigns_come_in_the_order_of_their_bytes() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    let names = ["Spring", "a:b", "spring", "spring_2"];
    let rows: Vec<Grant> = (1..=4).map(|n| Grant { campaign: names[n as usize - 1].into(), ..grant(n) }).collect();
    store(&mut *ledger, &mut position, &rows).unwrap();
    let mut reader = reader(&settings);
    let mut read = Vec::new();
    while let Some(row) = reader.grants(read.last().map(|row: &Grant| (&*row.campaign, row.seat)), 1).unwrap().pop() {
        read.push(row);
    }
    assert_eq!(read, rows);
}

#[test]
fn dead_letters_come_back_as_they_were_stored() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    let mut ledger = open(&settings);
    let position = claim(&mut *ledger);
    let letter = |position| DeadLetter {
        source: "kafka:c:t".into(),
        kpart: 3,
        position,
        reason: "its value is 🦀 bytes long".into(),
        key: Some(vec![0xff, 0x00, b'\'']),
        value: None,
        headers: Some(r#"{"cg-seq":"\u0000"}"#.into()),
        at: AT,
    };
    let dead = [letter(7), DeadLetter { key: None, value: Some(vec![]), headers: None, ..letter(8) }];
    let to = Move { expected: Some((1, Lsn::ZERO)), next: 9, ..first(&position.source, LOG) };
    let moves = [to];
    ledger.store(&Batch { epoch: 1, owner: "me", moves: &moves, entries: &[], dead: &dead }).unwrap();
    let mut reader = reader(&settings);
    assert_eq!(reader.dead_letters(None, 10), Ok(dead.to_vec()));
    assert_eq!(reader.dead_letters(Some(("kafka:c:t", 3, 7)), 10), Ok(dead[1..].to_vec()));
    assert_eq!(reader.dead_letters(Some(("kafka:c:t", 3, 8)), 10), Ok(vec![]));

    let Err(LedgerError::TakenOver(line)) = ledger.bury(&[letter(7), letter(9)], &entries(&grants(1..=2))) else {
        panic!("taken")
    };
    assert!(line.contains("the dead letter of kafka:c:t partition 3 position 9 is not there"), "{line}");
    assert_eq!((reader.dead_letters(None, 10), count(&database)), (Ok(dead.to_vec()), 0));
    ledger.bury(&[letter(7)], &entries(&grants(1..=2))).unwrap();
    assert_eq!((reader.dead_letters(None, 10), count(&database)), (Ok(dead[1..].to_vec()), 2));
    assert_eq!(there(&mut *ledger).next, 9, "no position moves");
}

#[test]
fn text_users_are_their_bytes_and_nothing_else() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = LedgerSettings { users: UserColumn::Text, ..settings(&database) };
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    let users: [&[u8]; 7] = [b"a", b"A", b"a ", "ü🦀".as_bytes(), &[0xff, 0x00], b"'\\", &[b'x'; 64]];
    let mut rows: Vec<Grant> = (1..=7).map(|n| Grant { user: any(users[n as usize - 1]), ..grant(n) }).collect();
    rows.push(grant(8));
    store(&mut *ledger, &mut position, &rows).unwrap();
    for row in &rows {
        assert_eq!(ledger.in_place_of(&entry(row)), Ok(InPlace::Same), "{row}");
    }
    rows[7].user = any(b"1008");
    assert_eq!(ledger.in_place_of(&entry(&rows[7])), Ok(InPlace::Same), "users are compared as text");
    assert_eq!(reader(&settings).grants(None, 10), Ok(rows));
    refused(store(&mut *ledger, &mut position, &[Grant { user: any(&[b'x'; 65]), ..grant(9) }]));
}

fn any(bytes: &[u8]) -> GrantUser {
    GrantUser::Any(bytes.into())
}

#[test]
fn what_stands_in_place_of_a_grant_is_told() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let mut ledger = open(&settings(&database));
    let mut position = claim(&mut *ledger);
    store(&mut *ledger, &mut position, &grants(1..=2)).unwrap();
    let moved = Millis(AT.0 + 5);
    assert_eq!(
        ledger.in_place_of(&entry(&Grant { at: moved, ..grant(1) })),
        Ok(InPlace::Same),
        "times are not compared"
    );
    assert_eq!(ledger.in_place_of(&entry(&grant(3))), Ok(InPlace::Nothing));
    let on_seat_2 = format!("seat 2 user 1002 nth 1 (log {LOG}, seq 2)");
    for other in [
        Grant { user: GrantUser::Int(5), ..grant(2) },
        Grant { log: OTHER_LOG, ..grant(2) },
        Grant { seq: Lsn::new(9), ..grant(2) },
        Grant { nth: 2, ..grant(2) },
        Grant { user: grant(2).user, ..grant(3) },
    ] {
        let told = if other.seq > Lsn::new(2) { InPlace::Earlier } else { InPlace::Other };
        assert_eq!(ledger.in_place_of(&entry(&other)), Ok(told(on_seat_2.clone())), "{other}");
    }
}

#[test]
fn a_source_means_itself_and_its_journals_alone() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let mut ledger = open(&settings(&database));
    let sources = ["kafka:c:a_b", "kafka:c:a_b:x", "kafka:c:a_bc", "kafka:c:axb", "kafka:c:axb:x", "kafka:c:a%"];
    let moves: Vec<Move> = sources.iter().map(|source| first(source, LOG)).collect();
    ledger.claim("me", &[], &moves).unwrap();
    let mut of = |source| -> Vec<String> {
        ledger.positions(source).unwrap().into_iter().map(|position| position.source).collect()
    };
    assert_eq!(of("kafka:c:a_b"), ["kafka:c:a_b", "kafka:c:a_b:x"]);
    assert_eq!(of("kafka:c:a%"), ["kafka:c:a%"]);
    assert_eq!(of("kafka:c:%"), [""; 0]);
}

#[test]
fn who_was_taken_over_stores_nothing_more() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    let (mut old, mut new) = (open(&settings), open(&settings));
    let mut of_old = claim(&mut *old);
    store(&mut *old, &mut of_old, &grants(1..=2)).unwrap();
    let seen = there(&mut *new);
    let mut of_new = new.claim("you", &[seen], &[]).unwrap().pop().unwrap();
    assert_eq!((of_new.epoch, of_new.next, &*of_new.owner), (2, 3, "you"));

    let Err(LedgerError::TakenOver(line)) = store(&mut *old, &mut of_old, &grants(3..=4)) else { panic!("stored") };
    assert!(
        line.contains("expected position 3 (seq 2) of epoch 1, there is position 3 (seq 2) of owner you (epoch 2)"),
        "{line}"
    );
    assert_eq!(count(&database), 2);
    // Its connection is as good as before.
    assert_eq!(there(&mut *old), of_new);
    store(&mut *new, &mut of_new, &grants(3..=4)).unwrap();
    (of_new.next, of_new.last_seq) = (3, Lsn::new(2));
    let Err(LedgerError::TakenOver(line)) = store(&mut *new, &mut of_new, &grants(3..=4)) else { panic!("stored") };
    assert!(line.contains("expected position 3 (seq 2) of epoch 2, there is position 5 (seq 4)"), "{line}");
    let Err(LedgerError::TakenOver(_)) =
        new.store(&Batch { epoch: 2, owner: "you", moves: &[first(&of_new.source, LOG)], entries: &[], dead: &[] })
    else {
        panic!("made a row that was there")
    };
    assert_eq!(count(&database), 4);
}

#[test]
fn a_position_that_counts_other_records_is_not_moved() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let mut ledger = open(&settings(&database));
    let mut position = claim(&mut *ledger);
    store(&mut *ledger, &mut position, &grants(1..=2)).unwrap();
    position.last_seq = Lsn::new(1);
    let Err(LedgerError::TakenOver(line)) = store(&mut *ledger, &mut position, &grants(3..=3)) else {
        panic!("stored")
    };
    assert!(line.contains("expected position 3 (seq 1) of epoch 1, there is position 3 (seq 2)"), "{line}");
    assert_eq!(count(&database), 2);
}

#[test]
fn a_claim_of_what_has_moved_is_read_anew() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    let mut ledger = open(&settings);
    let seen = claim(&mut *ledger);
    let mut position = seen.clone();
    store(&mut *ledger, &mut position, &grants(1..=1)).unwrap();
    let mut other = open(&settings);
    assert!(unavailable(other.claim("you", &[seen], &[])).contains("a position moved while it was claimed"));
    other.open().unwrap();
    let new = first(&journal_source(LOG), LOG);
    assert!(unavailable(other.claim("you", &[], &[new])).contains("a position moved while it was claimed"));
    // Nothing of it stays, and nothing is locked.
    store(&mut *ledger, &mut position, &grants(2..=2)).unwrap();
    assert_eq!(there(&mut *ledger).owner, "me");
}

#[test]
fn a_campaign_of_another_journal_is_never_mixed() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let mut ledger = open(&settings(&database));
    let mut position = claim(&mut *ledger);
    store(&mut *ledger, &mut position, &grants(1..=3)).unwrap();
    let before = there(&mut *ledger);
    let foreign = Grant { log: OTHER_LOG, ..grant(4) };
    let Err(LedgerError::OtherJournal { line, .. }) = store(&mut *ledger, &mut position, &[foreign]) else {
        panic!("mixed")
    };
    assert!(line.contains("campaign spring") && line.contains(&LOG.to_string()), "{line}");
    assert_eq!((count(&database), there(&mut *ledger)), (3, before));

    // Among many campaigns, and within one batch.
    let of = |n: u32| Grant { campaign: format!("c{n}").into(), ..grant(n) };
    let many: Vec<Grant> = (4..=60).map(of).collect();
    store(&mut *ledger, &mut position, &many).unwrap();
    let next: Vec<Grant> = (61..=130).map(|n| Grant { campaign: format!("c{}", n - 50).into(), ..grant(n) }).collect();
    for foreign in [0, 35, 69] {
        let mut rows = next.clone();
        rows[foreign].log = OTHER_LOG;
        rows[foreign].campaign = "c40".into();
        let stored = store(&mut *ledger, &mut position, &rows);
        assert!(matches!(&stored, Err(LedgerError::OtherJournal { line, .. }) if line.contains("c40 ")), "{stored:?}");
    }
    let both = [
        Grant { campaign: "new".into(), ..grant(131) },
        Grant { campaign: "new".into(), log: OTHER_LOG, ..grant(132) },
    ];
    let stored = store(&mut *ledger, &mut position, &both);
    assert!(matches!(&stored, Err(LedgerError::OtherJournal { line, .. }) if line.contains("new ")), "{stored:?}");
    store(&mut *ledger, &mut position, &next).unwrap();
}

#[test]
fn a_row_that_the_table_refuses_takes_its_batch_along() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let mut ledger = open(&settings(&database));
    let mut position = claim(&mut *ledger);
    store(&mut *ledger, &mut position, &grants(1..=3)).unwrap();
    database.execute("ALTER TABLE coupon_grant ADD CHECK (seat < 100)");
    let before = there(&mut *ledger);
    for (bad, why) in [
        (Grant { user: GrantUser::Int(5), ..grant(3) }, "Duplicate entry 'spring-3'"),
        (Grant { user: grant(1).user, ..grant(5) }, "Duplicate entry '1001-spring-1'"),
        (Grant { user: any(b"nobody"), ..grant(5) }, "Incorrect integer value"),
        (Grant { campaign: "x".repeat(65).into(), ..grant(5) }, "Data too long"),
        (Grant { campaign: "frühling".into(), ..grant(5) }, ""),
        (Grant { seat: 100, ..grant(5) }, "CONSTRAINT"),
    ] {
        let line = refused(store(&mut *ledger, &mut position, &[grant(4), bad]));
        assert!(line.contains(why), "{line}");
        assert_eq!((count(&database), &there(&mut *ledger)), (3, &before), "{line}");
    }
    // The same connection stores what is left.
    store(&mut *ledger, &mut position, &[grant(4)]).unwrap();
}

#[test]
fn the_operators_statement_runs_for_each_row_in_the_same_transaction() {
    let _peace = peace();
    for (also, coupons) in [
        // Many rows at once.
        ("INSERT INTO coupon (user_id, note) VALUES (:user, 'seat :seat')", 700),
        // One by one.
        ("INSERT INTO coupon (user_id, note) VALUES (:user, CONCAT(:campaign, :seat, :nth, :granted_at, :seq))", 700),
        ("INSERT INTO coupon (user_id) VALUES (7) ON DUPLICATE KEY UPDATE n = n + 1", 1),
    ] {
        let database = mariadb::shared().database();
        database
            .execute("CREATE TABLE coupon (user_id BIGINT PRIMARY KEY, note VARCHAR(80), n INT NOT NULL DEFAULT 1)");
        let settings = LedgerSettings { also: Some(also.into()), ..settings(&database) };
        let mut ledger = open(&settings);
        let mut position = claim(&mut *ledger);
        store(&mut *ledger, &mut position, &grants(1..=700)).unwrap();
        let there: Vec<(u64, u64)> = database.query("SELECT COUNT(*), CAST(SUM(n) AS UNSIGNED) FROM coupon");
        assert_eq!(there, [(coupons, 700)], "{also}");
    }
}

#[test]
fn what_the_operators_statement_refuses_is_not_stored() {
    let _peace = peace();
    for also in ["INSERT INTO coupon (user_id) VALUES (:user)", "INSERT INTO coupon (user_id) SELECT :user"] {
        let database = mariadb::shared().database();
        database.execute("CREATE TABLE coupon (user_id BIGINT PRIMARY KEY)");
        database.execute("INSERT INTO coupon VALUES (1002)");
        let settings = LedgerSettings { also: Some(also.into()), ..settings(&database) };
        let mut ledger = open(&settings);
        let mut position = claim(&mut *ledger);
        let line = refused(store(&mut *ledger, &mut position, &grants(1..=3)));
        assert!(line.contains("--ledger-also") && line.contains("1002"), "{line}");
        assert_eq!((count(&database), there(&mut *ledger).next), (0, 1));
        assert_eq!(database.query::<u64>("SELECT COUNT(*) FROM coupon"), [1]);
    }
}

#[test]
fn a_statement_that_cannot_work_is_refused_when_the_ledger_opens() {
    let _peace = peace();
    let database = mariadb::shared().database();
    for (also, why) in [
        ("SELECT 1", "must be one INSERT"),
        ("INSERT INTO nowhere (u) VALUES (:user)", "nowhere"),
        ("INSERT INTO coupon_grant (campain) VALUES (:campaign)", "campain"),
        ("INSERT INTO coupon_grant (seat) VALUES (:seet)", "unknown parameter :seet"),
    ] {
        let settings = LedgerSettings { also: Some(also.into()), ..settings(&database) };
        let Err(LedgerError::Unfit(line)) = settings.to_write().open() else { panic!("{also} was taken") };
        assert!(line.starts_with("--ledger-also") && line.contains(why), "{line}");
    }
}

#[test]
fn the_operators_query_asks_for_a_pause() {
    let _peace = peace();
    let database = mariadb::shared().database();
    for (query, pause) in [
        (None, false),
        (Some("SELECT 1"), true),
        (Some("SELECT 2 > 1"), true),
        (Some("SELECT 0"), false),
        (Some("SELECT NULL"), false),
        (Some("SELECT 1 WHERE 1 = 0"), false),
    ] {
        let settings = LedgerSettings { pause_when: query.map(str::to_owned), ..settings(&database) };
        assert_eq!(open(&settings).asks_for_a_pause(), Ok(pause), "{query:?}");
    }
    let settings = LedgerSettings { pause_when: Some("SELECT nothing".into()), ..settings(&database) };
    let mut ledger = open(&settings);
    assert!(unavailable(ledger.asks_for_a_pause()).contains("--ledger-pause-when"));
    claim(&mut *ledger);
}
