//! The ledger in a MySQL or MariaDB database.

use mysql::Conn;
use mysql::prelude::Queryable;

use super::mysql_at::MysqlAt;
use super::mysql_entries::put_entries;
use super::mysql_fault::{address, fault};
use super::mysql_open::{self, Opened};
use super::mysql_rows::{in_place_of_grant, in_place_of_return, is_ready, put_away, read_positions};
use super::{Batch, DeadLetter, InPlace, Ledger, LedgerError, Move, Position, UserColumn};
use crate::grant::{Entry, Kind};
use crate::ids::LogId;
use crate::sabotage::{Sabotage, on};

const SET: &str = "UPDATE coupon_sink_position \
     SET next_position = ?, log_id = ?, last_seq = ?, hole = ?, updated_at = UTC_TIMESTAMP(6) ";

const COMPARE: &str = "WHERE source = ? AND kpart = ? AND owner_epoch = ? AND next_position = ? AND last_seq = ?";

const WITHOUT_COMPARING: &str = "WHERE source = ? AND kpart = ? AND ? > 0 AND ? > 0 AND ? >= 0";

const MAKE: &str = "INSERT INTO coupon_sink_position \
     (source, kpart, next_position, log_id, last_seq, hole, owner_epoch, owner, updated_at) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(6))";

/// What a MySQL ledger is opened with.
#[derive(Clone, Debug)]
pub struct MysqlOptions {
    /// The database.
    pub at: MysqlAt,
    /// Column type of users.
    pub users: UserColumn,
    /// Create the tables where they are missing.
    pub create: bool,
    /// The operator's statement for each grant.
    pub also: Option<String>,
    /// The operator's statement for each return.
    pub also_return: Option<String>,
    /// The operator's query that asks for a pause.
    pub pause_when: Option<String>,
}

impl MysqlOptions {
    /// The operator's statement for entries of this kind.
    pub(super) fn also(&self, kind: Kind) -> Option<&str> {
        match kind {
            Kind::Grant => self.also.as_deref(),
            Kind::Return => self.also_return.as_deref(),
        }
    }
}

/// A ledger in MySQL or MariaDB.
pub struct MysqlLedger {
    options: MysqlOptions,
    opened: Option<Opened>,
}

impl MysqlLedger {
    /// A ledger that is not open yet.
    pub fn new(options: MysqlOptions) -> MysqlLedger {
        MysqlLedger { options, opened: None }
    }

    /// Does `work`. After an error that may pass, the connection is gone, and with it what it had begun; after any
    /// other it is rolled back and goes on.
    fn at_work<T>(
        &mut self,
        work: impl FnOnce(&MysqlOptions, &mut Opened) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let Some(mut opened) = self.opened.take() else {
            return Err(LedgerError::Unavailable(format!("{}: not open", address(&self.options.at))));
        };
        let done = work(&self.options, &mut opened);
        let sound = match &done {
            Ok(_) => true,
            Err(LedgerError::Unavailable(_)) => false,
            Err(
                LedgerError::Unfit(_)
                | LedgerError::Refused(_)
                | LedgerError::Contradiction(_)
                | LedgerError::OtherJournal { .. }
                | LedgerError::TakenOver(_),
            ) => opened.conn.query_drop("ROLLBACK").is_ok(),
        };
        self.opened = sound.then_some(opened);
        done
    }
}

impl Ledger for MysqlLedger {
    fn open(&mut self) -> Result<(), LedgerError> {
        self.opened = None;
        self.opened = Some(mysql_open::open(&self.options)?);
        Ok(())
    }

    /// Waits for a transaction that moves them: who lost the answer to his COMMIT reads what came of it, not what was
    /// before.
    fn positions(&mut self, source: &str) -> Result<Vec<Position>, LedgerError> {
        // All names that begin with `source:`; whatever stands in `source` means itself.
        let (from, to) = (format!("{source}:"), format!("{source};"));
        let condition = "WHERE source = ? OR (source >= ? AND source < ?) ORDER BY source, kpart LOCK IN SHARE MODE";
        self.at_work(|options, opened| {
            let read = read_positions(&mut opened.conn, condition, (source, from, to));
            read.map_err(|e| fault(&options.at, "read the positions", &e))
        })
    }

    fn positions_of_log(&mut self, log: LogId) -> Result<Vec<Position>, LedgerError> {
        self.at_work(|options, opened| {
            let condition = "WHERE log_id = ? ORDER BY source, kpart";
            let read = read_positions(&mut opened.conn, condition, (&log.0[..],));
            read.map_err(|e| fault(&options.at, "read the positions", &e))
        })
    }

    fn claim(&mut self, owner: &str, seen: &[Position], new: &[Move]) -> Result<Vec<Position>, LedgerError> {
        self.at_work(|options, opened| {
            let claimed = match claim(&mut opened.conn, owner, seen, new) {
                Ok(claimed) => claimed,
                // Somebody made the row since it was looked for.
                Err(mysql::Error::MySqlError(answer)) if answer.code == 1062 => None,
                Err(error) => return Err(fault(&options.at, "claim the positions", &error)),
            };
            claimed.ok_or_else(|| {
                let who = address(&options.at);
                LedgerError::Unavailable(format!("{who}: a position moved while it was claimed; it is read anew"))
            })
        })
    }

    fn in_place_of(&mut self, entry: &Entry) -> Result<InPlace, LedgerError> {
        self.at_work(|options, opened| {
            let found = match entry {
                Entry::Grant { grant, .. } => in_place_of_grant(&mut opened.conn, options.users, grant),
                Entry::Return(back) => in_place_of_return(&mut opened.conn, back),
            };
            found.map_err(|e| fault(&options.at, "look for a row", &e))
        })
    }

    fn is_ready(&mut self, entry: &Entry) -> Result<bool, LedgerError> {
        self.at_work(|options, opened| {
            let ready = is_ready(&mut opened.conn, entry);
            ready.map_err(|e| fault(&options.at, "look for what comes before an entry", &e))
        })
    }

    fn store(&mut self, batch: &Batch<'_>) -> Result<(), LedgerError> {
        self.at_work(|options, opened| transact(options, opened, batch))
    }

    fn bury(&mut self, letters: &[DeadLetter], entries: &[Entry]) -> Result<(), LedgerError> {
        self.at_work(|options, opened| take_letters(options, opened, letters, entries))
    }

    fn others(&mut self) -> Result<Option<u64>, LedgerError> {
        self.at_work(|options, opened| {
            let mut questions = |scope: &str| -> Result<u64, LedgerError> {
                let sql = format!("SHOW {scope} STATUS LIKE 'Questions'");
                let told: Option<(String, u64)> =
                    opened.conn.query_first(sql).map_err(|e| fault(&options.at, "ask how busy the server is", &e))?;
                Ok(told.map_or(0, |(_, count)| count))
            };
            let others = questions("GLOBAL")?.saturating_sub(questions("SESSION")?);
            Ok(opened.others.replace(others).map(|before| others.saturating_sub(before)))
        })
    }

    fn asks_for_a_pause(&mut self) -> Result<bool, LedgerError> {
        let Some(sql) = self.options.pause_when.clone() else { return Ok(false) };
        let asked = self.at_work(|options, opened| {
            let doing = "run the query of --ledger-pause-when";
            match opened.conn.query_first::<mysql::Row, _>(sql) {
                Ok(row) => Ok(Ok(row.and_then(|row| row.unwrap().into_iter().next()))),
                // A query that cannot work leaves the connection as it was.
                Err(error @ mysql::Error::MySqlError(_)) => Ok(Err(fault(&options.at, doing, &error))),
                Err(error) => Err(fault(&options.at, doing, &error)),
            }
        })?;
        Ok(asked?.is_some_and(|answer| mysql::from_value_opt::<i64>(answer) == Ok(1)))
    }
}

/// The transaction of [`Ledger::store`].
fn transact(options: &MysqlOptions, opened: &mut Opened, batch: &Batch<'_>) -> Result<(), LedgerError> {
    let at = &options.at;
    opened.conn.query_drop("START TRANSACTION").map_err(|e| fault(at, "begin a transaction", &e))?;
    if !on(Sabotage::PositionOutsideTransaction) {
        move_positions(&mut opened.conn, at, batch)?;
    }
    for letter in batch.dead {
        put_away(&mut opened.conn, letter).map_err(|e| fault(at, "put a dead letter away", &e))?;
    }
    put_entries(options, opened, batch.entries)?;
    opened.conn.query_drop("COMMIT").map_err(|e| fault(at, "commit", &e))?;
    if on(Sabotage::PositionOutsideTransaction) {
        move_positions(&mut opened.conn, at, batch)?;
    }
    Ok(())
}

/// The transaction of [`Ledger::bury`].
fn take_letters(
    options: &MysqlOptions,
    opened: &mut Opened,
    letters: &[DeadLetter],
    entries: &[Entry],
) -> Result<(), LedgerError> {
    let at = &options.at;
    opened.conn.query_drop("START TRANSACTION").map_err(|e| fault(at, "begin a transaction", &e))?;
    for letter in letters {
        let sql = "DELETE FROM coupon_dead_letter WHERE source = ? AND kpart = ? AND position = ?";
        let row = (&letter.source, letter.kpart, letter.position);
        opened.conn.exec_drop(sql, row).map_err(|e| fault(at, "take a dead letter away", &e))?;
        if opened.conn.affected_rows() != 1 {
            return Err(LedgerError::TakenOver(format!(
                "{}: the dead letter of {} partition {} position {} is not there: somebody else saw to it",
                address(at),
                letter.source,
                letter.kpart,
                letter.position
            )));
        }
    }
    put_entries(options, opened, entries)?;
    opened.conn.query_drop("COMMIT").map_err(|e| fault(at, "commit", &e))
}

/// Moves every position of `batch` that stands where this sink left it, if this sink is its newest owner.
fn move_positions(conn: &mut Conn, at: &MysqlAt, batch: &Batch<'_>) -> Result<(), LedgerError> {
    let unchecked = on(Sabotage::NoCompareAndSet);
    for to in batch.moves {
        let (next, log, last) = (to.next, &to.log.0[..], to.last_seq.get());
        let Some((expected, expected_seq)) = to.expected else {
            let values = (&to.source, to.kpart, next, log, last, to.hole, batch.epoch, batch.owner);
            match conn.exec_drop(MAKE, values) {
                Ok(()) => continue,
                Err(mysql::Error::MySqlError(answer)) if answer.code == 1062 => {
                    return Err(taken_over(conn, at, batch, to, "none"));
                }
                Err(error) => return Err(fault(at, "make a position", &error)),
            }
        };
        let sql = format!("{SET}{}", if unchecked { WITHOUT_COMPARING } else { COMPARE });
        let values = (next, log, last, to.hole, &to.source, to.kpart, batch.epoch, expected, expected_seq.get());
        conn.exec_drop(sql, values).map_err(|e| fault(at, "move the position", &e))?;
        if conn.affected_rows() != 1 && !unchecked {
            return Err(taken_over(conn, at, batch, to, &format!("position {expected} (seq {expected_seq})")));
        }
    }
    Ok(())
}

fn taken_over(conn: &mut Conn, at: &MysqlAt, batch: &Batch<'_>, to: &Move, expected: &str) -> LedgerError {
    let there = match read_positions(conn, "WHERE source = ? AND kpart = ?", (&to.source, to.kpart)) {
        Ok(there) => there,
        Err(error) => return fault(at, "read the position", &error),
    };
    let there = there.first().map_or("no position".into(), |there| {
        format!("position {} (seq {}) of owner {} (epoch {})", there.next, there.last_seq, there.owner, there.epoch)
    });
    let (who, source, kpart, epoch) = (address(at), &to.source, to.kpart, batch.epoch);
    LedgerError::TakenOver(format!(
        "{who}: another sink took over {source} partition {kpart}: expected {expected} of epoch {epoch}, there is {there}"
    ))
}

/// `None`: a position is not as it was seen.
fn claim(conn: &mut Conn, owner: &str, seen: &[Position], new: &[Move]) -> mysql::Result<Option<Vec<Position>>> {
    let one = "WHERE source = ? AND kpart = ? FOR UPDATE";
    conn.query_drop("START TRANSACTION")?;
    let epoch = seen.iter().map(|position| position.epoch).max().unwrap_or(0) + 1;
    for position in seen {
        let row = (&position.source, position.kpart);
        if read_positions(conn, one, row)?.first() != Some(position) {
            return Ok(None);
        }
        let sql = "UPDATE coupon_sink_position SET owner_epoch = ?, owner = ?, updated_at = UTC_TIMESTAMP(6) \
                   WHERE source = ? AND kpart = ?";
        conn.exec_drop(sql, (epoch, owner, &position.source, position.kpart))?;
    }
    for to in new {
        let (log, last) = (&to.log.0[..], to.last_seq.get());
        conn.exec_drop(MAKE, (&to.source, to.kpart, to.next, log, last, to.hole, epoch, owner))?;
    }
    let mut claimed = Vec::with_capacity(seen.len() + new.len());
    let parts = seen.iter().map(|p| (&p.source, p.kpart)).chain(new.iter().map(|to| (&to.source, to.kpart)));
    for row in parts {
        claimed.extend(read_positions(conn, one, row)?);
    }
    conn.query_drop("COMMIT")?;
    Ok(Some(claimed))
}
