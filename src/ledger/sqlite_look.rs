//! An SQLite ledger for who must not leave a trace.
//!
//! A database in WAL mode is read through two files beside it, which SQLite makes when they are missing. While a gate has
//! it open they are there. When nobody has, the file alone holds everything: it is then read as one that cannot change,
//! and looked at again after each answer; what came while somebody opened it is asked again. What remains: where somebody
//! has left a journal behind, SQLite writes the index of it (`-shm`) anew; database and journal stay as they are.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::sqlite_open::open_to_look;
use super::sqlite_rows::SqliteReader;
use super::{DeadLetter, LedgerError, LedgerReader, Position, ReturnRow, UserColumn};
use crate::grant::Grant;
use crate::ids::{LogId, Lsn};

/// Answers that are asked for again because the file changed meanwhile.
const TRIES_MAX: u32 = 10;

/// A ledger that is only looked at.
pub(super) struct SqliteLook {
    path: PathBuf,
    users: UserColumn,
    /// What the file was like when it was opened as one that cannot change; `None`: it is open as one that can.
    still: Option<Stillness>,
    reader: SqliteReader,
}

/// A file that nobody has open, to tell whether it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stillness {
    inode: u64,
    len: u64,
    written: (i64, i64),
}

impl Stillness {
    /// `None`: somebody has it open, or left a journal behind.
    fn of(path: &Path) -> Option<Stillness> {
        let beside = |ending: &str| {
            let mut name = OsString::from(path);
            name.push(ending);
            std::fs::metadata(name)
        };
        if beside("-shm").is_ok() || beside("-journal").is_ok() || beside("-wal").is_ok_and(|wal| wal.len() > 0) {
            return None;
        }
        let file = std::fs::metadata(path).ok()?;
        Some(Stillness { inode: file.ino(), len: file.len(), written: (file.mtime(), file.mtime_nsec()) })
    }
}

impl SqliteLook {
    /// Opens the file at `path`; `None` where it, or the tables in it, are not there.
    pub fn open(path: &Path, users: UserColumn) -> Result<Option<SqliteLook>, LedgerError> {
        let away = |e| LedgerError::Unavailable(format!("ledger: {}: cannot look for it: {e}", path.display()));
        if !path.try_exists().map_err(away)? {
            return Ok(None);
        }
        let still = Stillness::of(path);
        let conn = open_to_look(path, users, still.is_some())?;
        let over = |conn| SqliteReader::over(conn, path, users);
        Ok(conn.map(|conn| SqliteLook { path: path.to_owned(), users, still, reader: over(conn) }))
    }

    fn ask<T>(&mut self, question: impl Fn(&mut SqliteReader) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        for _ in 0..TRIES_MAX {
            let answer = question(&mut self.reader);
            if self.still.is_none() || self.still == Stillness::of(&self.path) {
                return answer;
            }
            match SqliteLook::open(&self.path, self.users)? {
                Some(anew) => *self = anew,
                None => break,
            }
        }
        Err(LedgerError::Unavailable(format!("ledger: {} changes while it is read", self.path.display())))
    }
}

impl LedgerReader for SqliteLook {
    fn all_positions(&mut self) -> Result<Vec<Position>, LedgerError> {
        self.ask(SqliteReader::all_positions)
    }

    fn grants(&mut self, after: Option<(&str, u32)>, limit: usize) -> Result<Vec<Grant>, LedgerError> {
        self.ask(|reader| reader.grants(after, limit))
    }

    fn returns(&mut self, after: Option<(LogId, Lsn)>, limit: usize) -> Result<Vec<ReturnRow>, LedgerError> {
        self.ask(|reader| reader.returns(after, limit))
    }

    fn dead_letters(&mut self, after: Option<(&str, u32, u64)>, limit: usize) -> Result<Vec<DeadLetter>, LedgerError> {
        self.ask(|reader| reader.dead_letters(after, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LedgerAt, LedgerSettings};
    use super::*;
    use rusqlite::Connection;

    fn settings(path: &Path) -> LedgerSettings {
        LedgerSettings::new(LedgerAt::Sqlite(path.to_owned()))
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn add(conn: &Connection, seat: i64) {
        let row = "INSERT INTO coupon_grant VALUES ('spring', ?1, ?1, 1, '2024-11-22 07:15:23.123', '', ?1)";
        conn.execute(row, [seat]).unwrap();
    }

    #[test]
    fn a_look_at_a_ledger_that_nobody_has_open_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("led ger?.db");
        settings(&path).to_write().open().unwrap();
        assert_eq!(names(dir.path()), ["led ger?.db"]);
        let before = Stillness::of(&path);
        let mut look = settings(&path).to_look().unwrap().unwrap();
        assert_eq!(look.grants(None, 10), Ok(vec![]));
        assert_eq!((names(dir.path()), Stillness::of(&path)), (vec!["led ger?.db".to_owned()], before));
    }

    #[test]
    fn a_look_sees_what_is_stored_while_it_looks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        settings(&path).to_write().open().unwrap();
        let mut look = settings(&path).to_look().unwrap().unwrap();
        assert_eq!(look.grants(None, 10).unwrap().len(), 0);
        let conn = Connection::open(&path).unwrap();
        add(&conn, 1);
        assert_eq!(look.grants(None, 10).unwrap().len(), 1, "opened meanwhile");
        add(&conn, 2);
        assert_eq!(look.grants(None, 10).unwrap().len(), 2, "open in both");
    }

    #[test]
    fn what_a_killed_gate_left_in_the_journal_is_seen_and_stays_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        settings(&path).to_write().open().unwrap();
        let conn = Connection::open(&path).unwrap();
        add(&conn, 1);
        let copy = tempfile::tempdir().unwrap();
        for name in ["ledger.db", "ledger.db-wal"] {
            std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        let bytes = |name: &str| std::fs::read(copy.path().join(name)).unwrap();
        let before = (bytes("ledger.db"), bytes("ledger.db-wal"));
        let mut look = settings(&copy.path().join("ledger.db")).to_look().unwrap().unwrap();
        assert_eq!(look.grants(None, 10).unwrap().len(), 1);
        drop(look);
        assert_eq!((bytes("ledger.db"), bytes("ledger.db-wal")), before);
    }
}
