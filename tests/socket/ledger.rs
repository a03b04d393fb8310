//! The ledger as its owner sees it: plain SQL on the file, beside the running gate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::client::Client;
use crate::conversation::Reply;
use crate::gate::Gate;
use crate::level::until;

/// Where the ledger lies unless it is set.
pub fn path(gate: &Gate) -> PathBuf {
    gate.data().join("ledger.db")
}

/// Opens a ledger for reading.
pub fn open(path: &Path) -> Option<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    Some(connection)
}

/// The rows of a campaign: seat and user, in order of the seats; `None` while file or table are not there.
pub fn rows(path: &Path, campaign: &str) -> Option<Vec<(i64, i64)>> {
    let connection = open(path)?;
    let mut statement =
        connection.prepare("SELECT seat, user_id FROM coupon_grant WHERE campaign = ?1 ORDER BY seat").ok()?;
    let rows = statement.query_map([campaign], |row| Ok((row.get(0)?, row.get(1)?))).ok()?;
    rows.collect::<Result<_, _>>().ok()
}

/// How many rows of a campaign there are; `None` while file or table are not there.
fn count(path: &Path, campaign: &str) -> Option<usize> {
    let sql = "SELECT count(*) FROM coupon_grant WHERE campaign = ?1";
    let rows: i64 = open(path)?.query_row(sql, [campaign], |row| row.get(0)).ok()?;
    usize::try_from(rows).ok()
}

/// Waits until the ledger holds exactly `seats` of `campaign`: as long as rows keep coming.
#[track_caller]
pub fn wait_for(path: &Path, campaign: &str, seats: &BTreeMap<i64, i64>) {
    let expected: Vec<(i64, i64)> = seats.iter().map(|(&seat, &user)| (seat, user)).collect();
    let mut there = None;
    while there != Some(expected.len()) {
        there = until(&format!("more rows than {there:?} of the {} of {campaign}", expected.len()), || {
            let now = count(path, campaign).filter(|now| there.is_none_or(|there| *now > there));
            now.map(Some)
        });
        assert!(there <= Some(expected.len()), "the ledger holds more than the journal: {there:?} rows");
    }
    assert_eq!(rows(path, campaign), Some(expected), "the ledger of {campaign}");
}

/// All seats of a campaign by `GATE.SEATS`: seat to user, each once.
#[track_caller]
pub fn seats(client: &mut Client, campaign: &str) -> BTreeMap<i64, i64> {
    let mut seats = BTreeMap::new();
    loop {
        let first = seats.last_key_value().map_or(1, |(&seat, _)| seat + 1);
        let reply = client.call(&format!("GATE.SEATS {campaign} {first} 1000"));
        let Some(page) = reply.items() else { panic!("GATE.SEATS {campaign}: {reply}") };
        if page.is_empty() {
            return seats;
        }
        for row in page {
            let Some([Reply::Int(seat), Reply::Int(user), Reply::Int(_), state]) = row.items() else {
                panic!("a row of GATE.SEATS is {row}")
            };
            assert_eq!(state.text().as_deref(), Some("GRANTED"), "{row}");
            assert!(*seat >= first, "seats come in order: {row}");
            assert_eq!(seats.insert(*seat, *user), None, "seat {seat} is told twice");
        }
    }
}
