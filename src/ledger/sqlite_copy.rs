//! A copy of an SQLite ledger as it is at one moment, also while a sink writes to it.

use std::fs::File;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::LedgerError;
use super::sqlite_open::fault;

/// Copies the database at `from`, whatever else is in it, to the new file `to`, and syncs that. Answers its length.
///
/// # Errors
/// `Unavailable` or `Unfit`, as the database says.
pub fn copy_sqlite(from: &Path, to: &Path) -> Result<u64, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copied = Connection::open_with_flags(from, flags).and_then(|conn| {
        conn.busy_timeout(super::sqlite_open::READ_TIMEOUT)?;
        // What a killed gate left in its journal is the next gate's to move.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // One transaction that only reads: a sink in WAL mode goes on meanwhile.
        conn.execute("VACUUM INTO ?1", [to.to_string_lossy()])
    });
    copied.map_err(|error| fault(from, "copy", &error))?;
    let synced = File::open(to).and_then(|file| {
        file.sync_all()?;
        file.metadata()
    });
    let away = |error| LedgerError::Unavailable(format!("ledger: {}: {error}", to.display()));
    synced.map(|found| found.len()).map_err(away)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{LedgerAt, LedgerSettings};

    #[test]
    fn a_copy_is_taken_while_somebody_writes_and_holds_what_was_committed() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("ledger.db"), dir.path().join("copy.db"));
        LedgerSettings::new(LedgerAt::Sqlite(from.clone())).to_write().open().unwrap();
        let conn = Connection::open(&from).unwrap();
        let row = "INSERT INTO coupon_grant VALUES ('spring', ?1, ?1, 1, '2024-11-22 07:15:23.123', '', ?1)";
        conn.execute_batch("CREATE TABLE coupon (user_id INTEGER)").unwrap();
        conn.execute(row, [1]).unwrap();
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        conn.execute(row, [2]).unwrap();
        assert!(copy_sqlite(&from, &to).unwrap() > 0);
        conn.execute_batch("COMMIT").unwrap();
        let copy = Connection::open(&to).unwrap();
        let rows: i64 = copy.query_row("SELECT count(*) FROM coupon_grant", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "what is not committed is not there");
        assert!(copy.table_exists(None, "coupon").unwrap(), "tables of the operator come along");
        let reader = LedgerSettings::new(LedgerAt::Sqlite(to)).to_read().unwrap();
        assert!(reader.is_some(), "it is a ledger");
    }

    #[test]
    fn what_is_no_database_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("ledger.db");
        std::fs::write(&from, vec![b'x'; 8192]).unwrap();
        let error = copy_sqlite(&from, &dir.path().join("copy.db")).unwrap_err();
        assert!(error.to_string().contains("ledger.db"), "{error}");
    }
}
