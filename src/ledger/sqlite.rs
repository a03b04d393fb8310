//! The ledger in an SQLite file: the embedded default, needs no server.

use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params, params_from_iter};

use super::both::{Each, also_setting, campaigns, mixed, refuse_returned, stretch, without_grant};
use super::sqlite_open::{self, Also, Opened, fault};
use super::sqlite_rows::{
    POSITION_COLUMNS, copy_back, granted_at, in_place_of_grant, in_place_of_return, int, is_ready, log_of, put_away,
    read_position, read_positions, remove, returned, take_away, user_value, utc,
};
use super::{Batch, DeadLetter, InPlace, Ledger, LedgerError, Move, Position, UserColumn};
use crate::grant::{Entry, Kind};
use crate::ids::LogId;
use crate::sabotage::{Sabotage, on};

/// Rows of one INSERT statement: beyond this a longer statement gains nothing.
const ROWS_PER_STATEMENT: usize = 100;

/// Columns of one row.
const COLUMNS: usize = 7;

const INSERT: &str = "INSERT INTO coupon_grant (campaign, seat, user_id, nth, granted_at, log_id, seq) VALUES ";

const COMPARE_AND_SET: &str = "UPDATE coupon_sink_position \
     SET next_position = ?1, log_id = ?2, last_seq = ?3, hole = ?4, updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') \
     WHERE source = ?5 AND kpart = ?6 AND owner_epoch = ?7 AND next_position = ?8 AND last_seq = ?9";

const SET_WITHOUT_COMPARING: &str = "UPDATE coupon_sink_position \
     SET next_position = ?1, log_id = ?2, last_seq = ?3, hole = ?4, updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') \
     WHERE source = ?5 AND kpart = ?6 AND ?7 > 0 AND ?8 > 0 AND ?9 >= 0";

const MAKE: &str = "INSERT INTO coupon_sink_position \
     (source, kpart, next_position, log_id, last_seq, hole, owner_epoch, owner, updated_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, strftime('%Y-%m-%d %H:%M:%f', 'now'))";

/// What an SQLite ledger is opened with.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The database file.
    pub path: PathBuf,
    /// Column type of users.
    pub users: UserColumn,
    /// Create the file and the tables where they are missing.
    pub create: bool,
    /// The operator's statement for each grant.
    pub also: Option<String>,
    /// The operator's statement for each return.
    pub also_return: Option<String>,
    /// The operator's query that asks for a pause.
    pub pause_when: Option<String>,
}

impl SqliteOptions {
    /// The operator's statement for entries of this kind.
    pub(super) fn also(&self, kind: Kind) -> Option<&str> {
        match kind {
            Kind::Grant => self.also.as_deref(),
            Kind::Return => self.also_return.as_deref(),
        }
    }
}

/// A ledger in an SQLite file.
pub struct SqliteLedger {
    options: SqliteOptions,
    opened: Option<Opened>,
    #[cfg(test)]
    pub(crate) trip: Trip,
}

/// Cuts a transaction short, once, at one step.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub struct Trip(std::sync::Arc<std::sync::Mutex<Option<Step>>>);

#[cfg(test)]
impl Trip {
    /// The next transaction ends at `step`.
    pub fn arm(&self, step: Step) {
        *self.0.lock().unwrap() = Some(step);
    }

    fn at(&self, step: Step) -> Result<(), LedgerError> {
        let mut armed = self.0.lock().unwrap();
        if *armed == Some(step) {
            *armed = None;
            return Err(LedgerError::Unavailable(format!("the test cuts at {step:?}")));
        }
        Ok(())
    }
}

/// Where a transaction can be cut short in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The transaction has begun.
    Begun,
    /// The position has moved.
    Compared,
    /// The rows are in.
    Inserted,
    /// The operator's statements have run.
    Also,
    /// A row is among the returns and the grants.
    Copied,
    /// The rows are among the returns alone.
    Returned,
    /// The operator's statements for returns have run.
    AlsoReturn,
    /// The transaction is committed; its answer can still be lost.
    Committed,
    /// The rows are committed and the position is not: never, unless sabotaged.
    BetweenTwo,
}

impl SqliteLedger {
    /// A ledger that is not open yet.
    pub fn new(options: SqliteOptions) -> SqliteLedger {
        SqliteLedger {
            options,
            opened: None,
            #[cfg(test)]
            trip: Trip::default(),
        }
    }

    fn opened(&mut self) -> Result<&mut Opened, LedgerError> {
        self.opened.as_mut().ok_or_else(|| LedgerError::Unavailable("ledger: not open".into()))
    }

    #[cfg(test)]
    fn step(&self, step: Step) -> Result<(), LedgerError> {
        self.trip.at(step)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test cuts transactions short here")]
    fn step(&self, _step: Step) -> Result<(), LedgerError> {
        Ok(())
    }

    /// The transaction of [`Ledger::store`].
    fn transact(&self, opened: &mut Opened, batch: &Batch<'_>) -> Result<(), LedgerError> {
        let path = &self.options.path;
        let begin = |e| fault(path, "begin a transaction", &e);
        let tx = opened.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(begin)?;
        self.step(Step::Begun)?;
        if !on(Sabotage::PositionOutsideTransaction) {
            move_positions(&tx, path, batch)?;
        }
        self.step(Step::Compared)?;
        for letter in batch.dead {
            put_away(&tx, letter).map_err(|e| fault(path, "put a dead letter away", &e))?;
        }
        self.put_entries(&tx, &opened.also, batch.entries)?;
        tx.commit().map_err(|e| fault(path, "commit", &e))?;
        if on(Sabotage::PositionOutsideTransaction) {
            self.step(Step::BetweenTwo)?;
            move_positions(&opened.conn, path, batch)?;
        }
        self.step(Step::Committed)?;
        Ok(())
    }

    /// The entries in their order, and the operator's statement for each of them.
    fn put_entries(
        &self,
        tx: &Transaction<'_>,
        also: &Each<Option<Also>>,
        entries: &[Entry],
    ) -> Result<(), LedgerError> {
        refuse_what_was_here(tx, &self.options.path, entries)?;
        for run in entries.chunk_by(|one, next| one.kind() == next.kind()) {
            let kind = run[0].kind();
            match kind {
                Kind::Grant => self.put_grants(tx, run)?,
                Kind::Return => self.put_returns(tx, run)?,
            }
            if let Some(also) = also.of(kind) {
                self.run_also(tx, also, kind, run)?;
            }
            self.step(match kind {
                Kind::Grant => Step::Also,
                Kind::Return => Step::AlsoReturn,
            })?;
        }
        Ok(())
    }

    fn put_grants(&self, tx: &Transaction<'_>, grants: &[Entry]) -> Result<(), LedgerError> {
        let (path, users) = (&self.options.path, self.options.users);
        for chunk in grants.chunks(ROWS_PER_STATEMENT) {
            insert(tx, users, chunk).map_err(|e| fault(path, "insert rows", &e))?;
        }
        self.step(Step::Inserted)
    }

    /// The row of each one's grant becomes one of the returns.
    fn put_returns(&self, tx: &Transaction<'_>, returns: &[Entry]) -> Result<(), LedgerError> {
        let path = &self.options.path;
        for back in returns {
            let copied = copy_back(tx, back).map_err(|e| fault(path, "move a row to the returns", &e))?;
            self.step(Step::Copied)?;
            let removed = remove(tx, back).map_err(|e| fault(path, "take a row out of the grants", &e))?;
            if (copied, removed) != (1, 1) {
                return Err(without_grant(&who(path), std::slice::from_ref(back)));
            }
        }
        self.step(Step::Returned)
    }

    fn run_also(&self, tx: &Transaction<'_>, also: &Also, kind: Kind, entries: &[Entry]) -> Result<(), LedgerError> {
        let (path, users) = (&self.options.path, self.options.users);
        for entry in entries {
            let ran = also_values(tx, also, users, entry).and_then(|values| {
                tx.prepare_cached(&also.sql).and_then(|mut statement| statement.execute(params_from_iter(values)))
            });
            let Err(error) = ran else { continue };
            return Err(match fault(path, &format!("run the statement of {}", also_setting(kind)), &error) {
                LedgerError::Refused(text) => LedgerError::Refused(format!("{text}; {entry}")),
                other @ (LedgerError::Unavailable(_)
                | LedgerError::Unfit(_)
                | LedgerError::Contradiction(_)
                | LedgerError::OtherJournal { .. }
                | LedgerError::TakenOver(_)) => other,
            });
        }
        Ok(())
    }

    /// The transaction of [`Ledger::bury`].
    fn take_letters(&self, opened: &mut Opened, letters: &[DeadLetter], entries: &[Entry]) -> Result<(), LedgerError> {
        let path = &self.options.path;
        let begin = |e| fault(path, "begin a transaction", &e);
        let tx = opened.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(begin)?;
        for letter in letters {
            let taken = take_away(&tx, letter).map_err(|e| fault(path, "take a dead letter away", &e))?;
            if taken != 1 {
                return Err(LedgerError::TakenOver(format!(
                    "ledger: {}: the dead letter of {} partition {} position {} is not there: somebody else saw to it",
                    path.display(),
                    letter.source,
                    letter.kpart,
                    letter.position
                )));
            }
        }
        self.put_entries(&tx, &opened.also, entries)?;
        tx.commit().map_err(|e| fault(path, "commit", &e))
    }
}

impl Ledger for SqliteLedger {
    fn open(&mut self) -> Result<(), LedgerError> {
        self.opened = None;
        self.opened = Some(sqlite_open::open(&self.options)?);
        Ok(())
    }

    fn positions(&mut self, source: &str) -> Result<Vec<Position>, LedgerError> {
        let path = self.options.path.clone();
        let sql =
            format!("SELECT {POSITION_COLUMNS} WHERE source = ?1 OR source LIKE ?1 || ':%' ORDER BY source, kpart");
        read_positions(&self.opened()?.conn, &sql, params![source]).map_err(|e| fault(&path, "read the positions", &e))
    }

    fn positions_of_log(&mut self, log: LogId) -> Result<Vec<Position>, LedgerError> {
        let path = self.options.path.clone();
        let sql = format!("SELECT {POSITION_COLUMNS} WHERE log_id = ?1 ORDER BY source, kpart");
        let read = read_positions(&self.opened()?.conn, &sql, params![log.to_string()]);
        read.map_err(|e| fault(&path, "read the positions", &e))
    }

    fn claim(&mut self, owner: &str, seen: &[Position], new: &[Move]) -> Result<Vec<Position>, LedgerError> {
        let path = self.options.path.clone();
        let claimed = claim(&mut self.opened()?.conn, owner, seen, new);
        claimed.map_err(|e| fault(&path, "claim the positions", &e))?.ok_or_else(|| {
            let moved = format!("ledger: {}: a position moved while it was claimed; it is read anew", path.display());
            LedgerError::Unavailable(moved)
        })
    }

    fn in_place_of(&mut self, entry: &Entry) -> Result<InPlace, LedgerError> {
        let (path, users) = (self.options.path.clone(), self.options.users);
        let conn = &self.opened()?.conn;
        let found = match entry {
            Entry::Grant { grant, .. } => in_place_of_grant(conn, users, grant),
            Entry::Return(back) => in_place_of_return(conn, back),
        };
        found.map_err(|e| fault(&path, "look for a row", &e))
    }

    fn is_ready(&mut self, entry: &Entry) -> Result<bool, LedgerError> {
        let path = self.options.path.clone();
        let conn = &self.opened()?.conn;
        is_ready(conn, entry).map_err(|e| fault(&path, "look for what comes before an entry", &e))
    }

    fn store(&mut self, batch: &Batch<'_>) -> Result<(), LedgerError> {
        let Some(mut opened) = self.opened.take() else {
            return Err(LedgerError::Unavailable("ledger: not open".into()));
        };
        sqlite_open::same_file(&self.options.path, &opened)?;
        let done = self.transact(&mut opened, batch);
        self.opened = Some(opened);
        done
    }

    fn bury(&mut self, letters: &[DeadLetter], entries: &[Entry]) -> Result<(), LedgerError> {
        let Some(mut opened) = self.opened.take() else {
            return Err(LedgerError::Unavailable("ledger: not open".into()));
        };
        sqlite_open::same_file(&self.options.path, &opened)?;
        let done = self.take_letters(&mut opened, letters, entries);
        self.opened = Some(opened);
        done
    }

    fn others(&mut self) -> Result<Option<u64>, LedgerError> {
        Ok(None)
    }

    fn asks_for_a_pause(&mut self) -> Result<bool, LedgerError> {
        let path = self.options.path.clone();
        let Opened { conn, pause_when: Some(sql), .. } = self.opened()? else { return Ok(false) };
        let asked = conn.prepare_cached(sql).and_then(|mut statement| {
            let answer = statement.query_row([], |row| row.get::<_, Value>(0)).optional()?;
            Ok(answer == Some(Value::Integer(1)))
        });
        asked.map_err(|e| fault(&path, "run the query of --ledger-pause-when", &e))
    }
}

/// Moves every position of `batch` that stands where this sink left it, if this sink is its newest owner.
fn move_positions(conn: &Connection, path: &Path, batch: &Batch<'_>) -> Result<(), LedgerError> {
    let unchecked = on(Sabotage::NoCompareAndSet);
    for to in batch.moves {
        let log = to.log.to_string();
        let Some((expected, expected_seq)) = to.expected else {
            let made = conn.prepare_cached(MAKE).and_then(|mut statement| {
                let (next, last, epoch) = (int(to.next), int(to.last_seq.get()), int(batch.epoch));
                statement.execute(params![to.source, to.kpart, next, log, last, to.hole, epoch, batch.owner])
            });
            made.map_err(|e| fault(path, "make a position", &e))?;
            continue;
        };
        let sql = if unchecked { SET_WITHOUT_COMPARING } else { COMPARE_AND_SET };
        let changed = conn
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let (next, last, epoch) = (int(to.next), int(to.last_seq.get()), int(batch.epoch));
                let (position, seq) = (int(expected), int(expected_seq.get()));
                statement.execute(params![next, log, last, to.hole, to.source, to.kpart, epoch, position, seq])
            })
            .map_err(|e| fault(path, "move the position", &e))?;
        if changed == 1 || unchecked {
            continue;
        }
        let there = read_position(conn, &to.source, to.kpart).map_err(|e| fault(path, "read the position", &e))?;
        let there = there.map_or("no position".into(), |there| {
            format!("position {} (seq {}) of owner {} (epoch {})", there.next, there.last_seq, there.owner, there.epoch)
        });
        return Err(LedgerError::TakenOver(format!(
            "ledger: {}: another sink took over {} partition {}: expected position {expected} (seq {expected_seq}) of epoch {}, there is {there}",
            path.display(),
            to.source,
            to.kpart,
            batch.epoch,
        )));
    }
    Ok(())
}

/// Rows of one campaign never come from two journals, and none comes again that has come back.
fn refuse_what_was_here(tx: &Transaction<'_>, path: &Path, entries: &[Entry]) -> Result<(), LedgerError> {
    let failed = |e| fault(path, "look for rows of the same campaigns", &e);
    for (campaign, ours, grants) in campaigns(&who(path), entries)? {
        if let Some(other) = log_of(tx, campaign).map_err(failed)?.filter(|log| *log != ours) {
            return Err(mixed(&who(path), campaign, ours, other));
        }
        let returned = returned(tx, campaign, stretch(&grants)).map_err(failed)?;
        refuse_returned(&who(path), &grants, &returned)?;
    }
    Ok(())
}

fn who(path: &Path) -> String {
    format!("ledger: {}", path.display())
}

fn insert(conn: &Connection, users: UserColumn, rows: &[Entry]) -> rusqlite::Result<usize> {
    let sql = format!("{INSERT}{}", vec!["(?,?,?,?,?,?,?)"; rows.len()].join(","));
    let mut values = Vec::with_capacity(rows.len() * COLUMNS);
    for row in rows {
        values.push(Value::Text(row.campaign().to_string()));
        values.push(Value::Integer(row.seat().into()));
        values.push(user_value(users, row.user()));
        values.push(Value::Integer(row.nth().into()));
        values.push(Value::Text(utc(row.at())));
        values.push(Value::Text(row.log().to_string()));
        values.push(Value::Integer(int(row.seq().get())));
    }
    if matches!(rows.len(), 1 | ROWS_PER_STATEMENT) {
        conn.prepare_cached(&sql)?.execute(params_from_iter(values))
    } else {
        conn.prepare(&sql)?.execute(params_from_iter(values))
    }
}

fn also_values(tx: &Transaction<'_>, also: &Also, users: UserColumn, entry: &Entry) -> rusqlite::Result<Vec<Value>> {
    let value = |parameter: &&str| {
        Ok(match (*parameter, entry) {
            (":user", _) => user_value(users, entry.user()),
            (":campaign", _) => Value::Text(entry.campaign().to_string()),
            (":seat", _) => Value::Integer(entry.seat().into()),
            (":nth", _) => Value::Integer(entry.nth().into()),
            (":granted_at", Entry::Grant { grant, .. }) => Value::Text(utc(grant.at)),
            (":granted_at", Entry::Return(back)) => granted_at(tx, back)?,
            (":seq", Entry::Grant { grant, .. }) => Value::Integer(int(grant.seq.get())),
            (":seq", Entry::Return(back)) => Value::Integer(int(back.grant.get())),
            (":returned_at", Entry::Return(back)) => Value::Text(utc(back.at)),
            (":return_seq", Entry::Return(back)) => Value::Integer(int(back.seq.get())),
            (other, _) => unreachable!("{other} was refused when the ledger was opened"),
        })
    };
    also.parameters.iter().map(value).collect()
}

/// `None`: a position is not as it was seen.
fn claim(
    conn: &mut Connection,
    owner: &str,
    seen: &[Position],
    new: &[Move],
) -> rusqlite::Result<Option<Vec<Position>>> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let epoch = seen.iter().map(|position| position.epoch).max().unwrap_or(0) + 1;
    for position in seen {
        if read_position(&tx, &position.source, position.kpart)?.as_ref() != Some(position) {
            return Ok(None);
        }
        let sql = "UPDATE coupon_sink_position SET owner_epoch = ?1, owner = ?2, \
                   updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE source = ?3 AND kpart = ?4";
        tx.execute(sql, params![int(epoch), owner, position.source, position.kpart])?;
    }
    for to in new {
        if read_position(&tx, &to.source, to.kpart)?.is_some() {
            return Ok(None);
        }
        let (next, log, last) = (int(to.next), to.log.to_string(), int(to.last_seq.get()));
        tx.execute(MAKE, params![to.source, to.kpart, next, log, last, to.hole, int(epoch), owner])?;
    }
    let mut claimed = Vec::with_capacity(seen.len() + new.len());
    let parts = seen.iter().map(|p| (&p.source, p.kpart)).chain(new.iter().map(|to| (&to.source, to.kpart)));
    for (source, kpart) in parts {
        claimed.extend(read_position(&tx, source, kpart)?);
    }
    tx.commit()?;
    Ok(Some(claimed))
}
