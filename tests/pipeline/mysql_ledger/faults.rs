//! The server dies, freezes, answers with errors or not at all: nothing is stored twice and nothing by halves.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;

use super::proxy::{Fault, Proxy};
use super::{at, claim, count, grants, open, peace, store, there, unavailable};
use crate::level::until;
use crate::peers::mariadb::{self, Database, MariaDb};
use coupon_gate::ledger::{Ledger, LedgerAt, LedgerSettings, Position};

/// A ledger behind a proxy, with two rows.
pub(super) fn begun(database: &Database) -> (Proxy, Box<dyn Ledger>, Position) {
    let at = at(database);
    let proxy = Proxy::start(&at);
    let mut ledger = open(&LedgerSettings::new(LedgerAt::Mysql(proxy.before(&at))));
    let mut position = claim(&mut *ledger);
    store(&mut *ledger, &mut position, &grants(1..=2)).unwrap();
    (proxy, ledger, position)
}

#[test]
fn an_error_instead_of_a_commit_stores_nothing_and_heals() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let (proxy, mut ledger, mut position) = begun(&database);
    // Deadlock, lock wait, full, disk full, read-only, going down, killed.
    for code in [1213, 1205, 1114, 1021, 1290, 1053, 1927] {
        proxy.spoil("COMMIT", Fault::Answer(code));
        let line = unavailable(store(&mut *ledger, &mut position, &grants(3..=4)));
        assert!(line.contains("cannot commit") && line.contains(&format!("(error {code})")), "{line}");
        assert!(unavailable(ledger.positions("x")).contains("not open"));
        ledger.open().unwrap();
        assert_eq!((there(&mut *ledger).next, count(&database)), (3, 2));
    }
    store(&mut *ledger, &mut position, &grants(3..=4)).unwrap();
    assert_eq!(count(&database), 4);
}

#[test]
fn a_lost_answer_to_commit_is_settled_by_the_position() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let (proxy, mut ledger, mut position) = begun(&database);
    proxy.spoil("COMMIT", Fault::LoseAnswer);
    unavailable(store(&mut *ledger, &mut position, &grants(3..=4)));
    ledger.open().unwrap();
    position = there(&mut *ledger);
    assert_eq!((position.next, count(&database)), (5, 4), "it is in");

    proxy.spoil("COMMIT", Fault::Lose);
    unavailable(store(&mut *ledger, &mut position, &grants(5..=6)));
    ledger.open().unwrap();
    assert_eq!((there(&mut *ledger).next, count(&database)), (5, 4), "it is not");
    store(&mut *ledger, &mut position, &grants(5..=6)).unwrap();
    assert!(proxy.has_spoilt());
}

#[test]
fn positions_are_read_when_who_moves_them_is_done() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let (_proxy, mut ledger, _position) = begun(&database);
    let mut writer = mysql::Conn::new(database.url.as_str()).unwrap();
    writer.query_drop("START TRANSACTION").unwrap();
    writer.query_drop("UPDATE coupon_sink_position SET next_position = 77").unwrap();
    let reading = std::thread::spawn(move || there(&mut *ledger).next);
    let waits = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{}' AND info LIKE '%LOCK IN SHARE MODE'",
        database.name
    );
    until("the reader waits", || (mariadb::shared().query::<u64>(&waits)[0] > 0).then_some(()));
    writer.query_drop("COMMIT").unwrap();
    assert_eq!(reading.join().unwrap(), 77);
}

#[test]
fn a_server_that_is_killed_in_a_transaction_loses_none_of_it_by_halves() {
    let _peace = peace();
    let dir = tempfile::tempdir().unwrap();
    let mut server = MariaDb::start(dir.path());
    let database = server.database();
    let (proxy, mut ledger, mut position) = begun(&database);
    // In the middle: everything is sent but COMMIT.
    proxy.spoil("COMMIT", Fault::Hold);
    std::thread::scope(|scope| {
        let storing = scope.spawn(|| store(&mut *ledger, &mut position, &grants(3..=4)));
        until("everything but COMMIT is sent", || proxy.has_spoilt().then_some(()));
        server.kill();
        unavailable(storing.join().unwrap());
    });
    assert!(unavailable(ledger.open()).contains("cannot be reached"));
    server.restart();
    ledger.open().unwrap();
    assert_eq!((there(&mut *ledger).next, count(&database)), (3, 2));

    // After COMMIT: the position tells.
    proxy.spoil("COMMIT", Fault::LoseAnswer);
    let stored = store(&mut *ledger, &mut position, &grants(3..=4));
    server.kill();
    unavailable(stored);
    server.restart();
    ledger.open().unwrap();
    position = there(&mut *ledger);
    assert_eq!((position.next, count(&database)), (5, 4));
    store(&mut *ledger, &mut position, &grants(5..=6)).unwrap();
    assert_eq!(count(&database), 6);

    // Between two: the connection is found dead.
    server.restart();
    unavailable(store(&mut *ledger, &mut position, &grants(7..=8)));
    ledger.open().unwrap();
    store(&mut *ledger, &mut position, &grants(7..=8)).unwrap();
    assert_eq!((there(&mut *ledger).next, count(&database)), (9, 8));
}

#[test]
fn a_ledger_that_cannot_be_reached_is_tried_again() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut at = at(&database);
    at.port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = LedgerSettings::new(LedgerAt::Mysql(at.clone()));
    assert!(unavailable(settings.to_write().open()).contains("cannot be reached: Connection refused"));
    assert!(unavailable(settings.to_read().map(drop)).contains("cannot be reached"));
    let nowhere = coupon_gate::ledger::MysqlAt { host: "nowhere.invalid".into(), ..at };
    let settings = LedgerSettings::new(LedgerAt::Mysql(nowhere));
    assert!(unavailable(settings.to_write().open()).contains("nowhere.invalid"));
}

#[test]
fn a_look_at_a_frozen_server_ends_soon() {
    let _peace = peace();
    let dir = tempfile::tempdir().unwrap();
    let server = MariaDb::start(dir.path());
    let database = server.database();
    let (_proxy, mut ledger, _position) = begun(&database);
    server.freeze();
    let began = Instant::now();
    assert!(unavailable(ledger.open()).contains("no answer in time"));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    server.thaw();
    ledger.open().unwrap();
    assert_eq!(count(&database), 2);
}

mod long {
    use super::*;

    #[test]
    fn work_at_a_frozen_server_ends_and_is_taken_up_again() {
        let _peace = peace();
        let dir = tempfile::tempdir().unwrap();
        let server = MariaDb::start(dir.path());
        let database = server.database();
        let (_proxy, mut ledger, mut position) = begun(&database);
        server.freeze();
        let began = Instant::now();
        assert!(unavailable(store(&mut *ledger, &mut position, &grants(3..=4))).contains("no answer in time"));
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        server.thaw();
        ledger.open().unwrap();
        position = there(&mut *ledger);
        store(&mut *ledger, &mut position, &grants(3..=4)).unwrap();
        assert_eq!((there(&mut *ledger).next, count(&database)), (5, 4));
    }
}
