//! The ledger in an SQLite file: the embedded default, needs no server.

use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params, params_from_iter};

use super::ledger::{Batch, Ledger, LedgerError, Position, Row, RowUser, Source, UserColumn};
use super::sqlite_open::{self, Also, Opened, fault};
use crate::ids::{LogId, Lsn, Millis};
use crate::sabotage::{Sabotage, on};

/// Rows of one INSERT statement: beyond this a longer statement gains nothing.
const ROWS_PER_STATEMENT: usize = 100;

/// Columns of one row.
const COLUMNS: usize = 7;

const INSERT: &str = "INSERT INTO coupon_grant (campaign, seat, user_id, nth, granted_at, log_id, seq) VALUES ";

const COMPARE_AND_SET: &str = "UPDATE coupon_sink_position \
     SET next_position = ?1, last_seq = ?2, updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') \
     WHERE source = ?3 AND kpart = ?4 AND owner_epoch = ?5 AND next_position = ?6";

const SET_WITHOUT_COMPARING: &str = "UPDATE coupon_sink_position \
     SET next_position = ?1, last_seq = ?2, updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') \
     WHERE source = ?3 AND kpart = ?4 AND ?5 > 0 AND ?6 > 0";

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
}

/// A ledger in an SQLite file.
pub struct SqliteLedger {
    options: SqliteOptions,
    opened: Option<Opened>,
    #[cfg(test)]
    pub(super) trip: super::tests::Trip,
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
            trip: super::tests::Trip::default(),
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

    /// The transaction of [`Ledger::store`]; the caller explains a constraint's failure.
    fn transact(&self, opened: &mut Opened, batch: &Batch<'_>) -> Result<(), Failure> {
        let path = &self.options.path;
        let begin = |e| Failure::Other(fault(path, "begin a transaction", &e));
        let tx = opened.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(begin)?;
        self.step(Step::Begun)?;
        if !on(Sabotage::PositionOutsideTransaction) {
            compare_and_set(&tx, path, batch)?;
        }
        self.step(Step::Compared)?;
        refuse_other_logs(&tx, path, batch)?;
        for chunk in batch.rows.chunks(ROWS_PER_STATEMENT) {
            insert(&tx, self.options.users, batch.source.log, chunk)
                .map_err(|e| Failure::of_row(path, "insert rows", &e, None))?;
        }
        self.step(Step::Inserted)?;
        if let Some(also) = &opened.also {
            run_also(&tx, also, self.options.users, batch.rows)
                .map_err(|(row, e)| Failure::of_row(path, "run the statement of --ledger-also", &e, Some(row)))?;
        }
        self.step(Step::Also)?;
        tx.commit().map_err(|e| Failure::of_row(path, "commit", &e, None))?;
        if on(Sabotage::PositionOutsideTransaction) {
            self.step(Step::BetweenTwo)?;
            compare_and_set(&opened.conn, path, batch)?;
        }
        self.step(Step::Committed)?;
        Ok(())
    }
}

/// How a transaction failed.
enum Failure {
    /// A constraint refused a row, or the operator's statement for this row.
    Constraint { text: String, row: Option<String> },
    /// Anything else.
    Other(LedgerError),
}

impl Failure {
    fn of_row(path: &Path, doing: &str, error: &rusqlite::Error, row: Option<&Row>) -> Failure {
        match fault(path, doing, error) {
            LedgerError::Contradiction(text) => Failure::Constraint { text, row: row.map(Row::to_string) },
            other @ (LedgerError::Unavailable(_) | LedgerError::Unfit(_) | LedgerError::TakenOver(_)) => {
                Failure::Other(other)
            }
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Failure {
        Failure::Other(error)
    }
}

impl Ledger for SqliteLedger {
    fn open(&mut self) -> Result<(), LedgerError> {
        self.opened = None;
        self.opened = Some(sqlite_open::open(&self.options)?);
        Ok(())
    }

    fn position(&mut self, source: &Source) -> Result<Option<Position>, LedgerError> {
        let path = self.options.path.clone();
        read_position(&self.opened()?.conn, source).map_err(|e| fault(&path, "read the position", &e))
    }

    fn claim(&mut self, source: &Source, owner: &str, seen: Option<&Position>) -> Result<Position, LedgerError> {
        let path = self.options.path.clone();
        let claimed = claim(&mut self.opened()?.conn, source, owner, seen);
        claimed.map_err(|e| fault(&path, "claim the position", &e))?.ok_or_else(|| {
            let moved = format!("ledger: {}: the position moved while it was claimed; it is read anew", path.display());
            LedgerError::Unavailable(moved)
        })
    }

    fn in_place_of(&mut self, source: &Source, row: &Row) -> Result<Option<String>, LedgerError> {
        let (path, users) = (self.options.path.clone(), self.options.users);
        let conn = &self.opened()?.conn;
        let same = is_there(conn, users, source.log, row).map_err(|e| fault(&path, "read the last row", &e))?;
        Ok((!same).then(|| row_in_place_of(conn, users, row).ok().flatten().unwrap_or_else(|| "no row".into())))
    }

    fn store(&mut self, batch: &Batch<'_>) -> Result<(), LedgerError> {
        let Some(mut opened) = self.opened.take() else {
            return Err(LedgerError::Unavailable("ledger: not open".into()));
        };
        sqlite_open::same_file(&self.options.path, &opened)?;
        let done = self.transact(&mut opened, batch);
        let answer = done.map_err(|failure| match failure {
            Failure::Other(error) => error,
            Failure::Constraint { text, row } => {
                let row = row.unwrap_or_else(|| self.culprit(&mut opened.conn, batch));
                LedgerError::Contradiction(format!(
                    "{text}; {row}; nothing is stored from here on until one of them is put right"
                ))
            }
        });
        self.opened = Some(opened);
        answer
    }
}

impl SqliteLedger {
    /// The first row of a refused batch that the table does not take, and what is there in its place.
    fn culprit(&self, conn: &mut Connection, batch: &Batch<'_>) -> String {
        let Ok(tx) = conn.transaction_with_behavior(TransactionBehavior::Immediate) else {
            return "the rows could not be tried one by one".into();
        };
        for row in batch.rows {
            if insert(&tx, self.options.users, batch.source.log, std::slice::from_ref(row)).is_err() {
                let there = row_in_place_of(&tx, self.options.users, row).ok().flatten();
                let there = there.map_or("no row in its place".into(), |there| format!("there is {there}"));
                return format!("the journal says {row} of log {}, {there}", batch.source.log);
            }
        }
        format!("none of the {} rows is refused by itself", batch.rows.len())
    }
}

/// Moves the position, if it stands where this sink left it and this sink is its newest owner.
fn compare_and_set(conn: &Connection, path: &Path, batch: &Batch<'_>) -> Result<(), LedgerError> {
    let unchecked = on(Sabotage::NoCompareAndSet);
    let sql = if unchecked { SET_WITHOUT_COMPARING } else { COMPARE_AND_SET };
    let (source, epoch) = (batch.source, int(batch.epoch));
    let changed = conn
        .prepare_cached(sql)
        .and_then(|mut statement| {
            let to = (int(batch.next), int(batch.last_seq.get()));
            statement.execute(params![to.0, to.1, source.name, source.kpart, epoch, int(batch.expected)])
        })
        .map_err(|e| fault(path, "move the position", &e))?;
    if changed == 1 || unchecked {
        return Ok(());
    }
    let there = read_position(conn, source).map_err(|e| fault(path, "read the position", &e))?;
    let there = there.map_or("no position".into(), |there| {
        format!("position {} of owner {} (epoch {})", there.next, there.owner, there.epoch)
    });
    Err(LedgerError::TakenOver(format!(
        "ledger: {}: another sink took over {}: expected position {} of epoch {}, there is {there}",
        path.display(),
        source.name,
        batch.expected,
        batch.epoch,
    )))
}

/// Rows of one campaign never come from two journals.
fn refuse_other_logs(tx: &Transaction<'_>, path: &Path, batch: &Batch<'_>) -> Result<(), LedgerError> {
    let mut campaigns: Vec<&str> = batch.rows.iter().map(|row| &*row.campaign).collect();
    campaigns.sort_unstable();
    campaigns.dedup();
    let ours = batch.source.log.to_string();
    for campaign in campaigns {
        // Any one row will do: they are all of one log, because of this very check.
        let log: Option<String> = tx
            .prepare_cached("SELECT log_id FROM coupon_grant WHERE campaign = ?1 LIMIT 1")
            .and_then(|mut statement| statement.query_row([campaign], |row| row.get(0)).optional())
            .map_err(|e| fault(path, "look for rows of another journal", &e))?;
        if let Some(other) = log.filter(|log| *log != ours) {
            return Err(LedgerError::Contradiction(format!(
                "ledger: {}: campaign {campaign} is there with rows of another journal (log {other}, this gate is {ours}); \
                 they are never mixed: give this gate a ledger of its own with --ledger, or the campaign another name",
                path.display(),
            )));
        }
    }
    Ok(())
}

fn insert(conn: &Connection, users: UserColumn, log: LogId, rows: &[Row]) -> rusqlite::Result<usize> {
    let sql = format!("{INSERT}{}", vec!["(?,?,?,?,?,?,?)"; rows.len()].join(","));
    let log = log.to_string();
    let mut values = Vec::with_capacity(rows.len() * COLUMNS);
    for row in rows {
        values.push(Value::Text(row.campaign.to_string()));
        values.push(Value::Integer(row.seat.into()));
        values.push(user_value(users, &row.user));
        values.push(Value::Integer(row.nth.into()));
        values.push(Value::Text(utc(row.granted_at)));
        values.push(Value::Text(log.clone()));
        values.push(Value::Integer(int(row.seq.get())));
    }
    if rows.len() == ROWS_PER_STATEMENT {
        conn.prepare_cached(&sql)?.execute(params_from_iter(values))
    } else {
        conn.prepare(&sql)?.execute(params_from_iter(values))
    }
}

fn run_also<'r>(
    tx: &Transaction<'_>,
    also: &Also,
    users: UserColumn,
    rows: &'r [Row],
) -> Result<(), (&'r Row, rusqlite::Error)> {
    for row in rows {
        let values = also.parameters.iter().map(|parameter| match *parameter {
            ":user" => user_value(users, &row.user),
            ":campaign" => Value::Text(row.campaign.to_string()),
            ":seat" => Value::Integer(row.seat.into()),
            ":nth" => Value::Integer(row.nth.into()),
            ":granted_at" => Value::Text(utc(row.granted_at)),
            ":seq" => Value::Integer(int(row.seq.get())),
            other => unreachable!("{other} was refused when the ledger was opened"),
        });
        let ran = tx.prepare_cached(&also.sql).and_then(|mut statement| statement.execute(params_from_iter(values)));
        ran.map_err(|error| (row, error))?;
    }
    Ok(())
}

pub(super) fn read_position(conn: &Connection, source: &Source) -> rusqlite::Result<Option<Position>> {
    let sql = "SELECT next_position, last_seq, owner_epoch, owner FROM coupon_sink_position \
               WHERE source = ?1 AND kpart = ?2";
    conn.query_row(sql, params![source.name, source.kpart], |row| {
        Ok(Position {
            next: unsigned(row.get(0)?),
            last_seq: Lsn::new(unsigned(row.get(1)?)),
            epoch: unsigned(row.get(2)?),
            owner: row.get(3)?,
        })
    })
    .optional()
}

/// `None`: the position is not `seen` any more.
fn claim(
    conn: &mut Connection,
    source: &Source,
    owner: &str,
    seen: Option<&Position>,
) -> rusqlite::Result<Option<Position>> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let there = read_position(&tx, source)?;
    if there.as_ref() != seen {
        return Ok(None);
    }
    let position = match there {
        Some(there) => {
            let sql = "UPDATE coupon_sink_position SET owner_epoch = ?1, owner = ?2, \
                       updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE source = ?3 AND kpart = ?4";
            let epoch = there.epoch + 1;
            tx.execute(sql, params![int(epoch), owner, source.name, source.kpart])?;
            Position { epoch, owner: owner.into(), ..there }
        }
        None => {
            let sql = "INSERT INTO coupon_sink_position \
                       (source, kpart, next_position, log_id, last_seq, owner_epoch, owner, updated_at) \
                       VALUES (?1, ?2, 1, ?3, 0, 1, ?4, strftime('%Y-%m-%d %H:%M:%f', 'now'))";
            tx.execute(sql, params![source.name, source.kpart, source.log.to_string(), owner])?;
            Position { next: 1, last_seq: Lsn::ZERO, epoch: 1, owner: owner.into() }
        }
    };
    tx.commit()?;
    Ok(Some(position))
}

/// Whether the table has this very row.
fn is_there(conn: &Connection, users: UserColumn, log: LogId, row: &Row) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM coupon_grant WHERE campaign = ?1 AND seat = ?2 \
               AND user_id = ?3 AND granted_at = ?4 AND log_id = ?5 AND seq = ?6";
    let (user, at, log) = (user_value(users, &row.user), utc(row.granted_at), log.to_string());
    let values = params![&*row.campaign, row.seat, user, at, log, int(row.seq.get())];
    conn.query_row(sql, values, |count| count.get::<_, i64>(0)).map(|count| count == 1)
}

/// The row that stands where `row` belongs, in words.
fn row_in_place_of(conn: &Connection, users: UserColumn, row: &Row) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT seat, CAST(user_id AS TEXT), nth, log_id, seq FROM coupon_grant \
               WHERE (campaign = ?1 AND seat = ?2) OR (user_id = ?3 AND campaign = ?1 AND nth = ?4) \
               ORDER BY seat <> ?2 LIMIT 1";
    let user = user_value(users, &row.user);
    conn.query_row(sql, params![&*row.campaign, row.seat, user, row.nth], |there| {
        let (seat, nth, seq): (i64, i64, i64) = (there.get(0)?, there.get(2)?, there.get(4)?);
        let (user, log): (String, String) = (there.get(1)?, there.get(3)?);
        Ok(format!("seat {seat} user {user} nth {nth} (log {log}, seq {seq})"))
    })
    .optional()
}

/// Bytes that are not UTF-8 stay bytes: SQLite keeps a BLOB in a TEXT column as it is, equal to no text.
fn user_value(users: UserColumn, user: &RowUser) -> Value {
    match (users, user) {
        (UserColumn::Bigint, RowUser::Int(number)) => Value::Integer(*number),
        (UserColumn::Text, RowUser::Int(number)) => Value::Text(number.to_string()),
        (UserColumn::Bigint | UserColumn::Text, RowUser::Any(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Blob(bytes.to_vec()),
        },
    }
}

/// `YYYY-MM-DD HH:MM:SS.mmm` in UTC: what SQLite's own date functions read and write.
fn utc(at: Millis) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX);
    instant.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// A number below zero was written by somebody else; the compare-and-set then says so.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn int(position: u64) -> i64 {
    i64::try_from(position).expect("a journal's positions stay below 2^63")
}
