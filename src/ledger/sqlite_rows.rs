//! Rows of an SQLite ledger as they are written and read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use super::sqlite_open::{self, fault};
use super::{DeadLetter, InPlace, LedgerError, LedgerReader, Position, ReturnRow, UserColumn};
use crate::grant::{Entry, Grant, GrantUser, Return};
use crate::ids::{LogId, Lsn, Millis};

pub(super) const POSITION_COLUMNS: &str =
    "source, kpart, next_position, log_id, last_seq, hole, owner_epoch, owner, updated_at FROM coupon_sink_position";

const COPY_BACK: &str = "INSERT INTO coupon_return \
     (campaign, seat, user_id, nth, granted_at, log_id, seq, returned_at, return_seq) \
     SELECT campaign, seat, user_id, nth, granted_at, log_id, seq, ?5, ?6 FROM coupon_grant \
     WHERE campaign = ?1 AND seat = ?2 AND log_id = ?3 AND seq = ?4";

const REMOVE: &str = "DELETE FROM coupon_grant WHERE campaign = ?1 AND seat = ?2 AND log_id = ?3 AND seq = ?4";

/// A ledger in an SQLite file, for who only reads.
pub struct SqliteReader {
    path: PathBuf,
    users: UserColumn,
    conn: Connection,
}

impl SqliteReader {
    /// Reads through a connection that is there already.
    pub(super) fn over(conn: Connection, path: &Path, users: UserColumn) -> SqliteReader {
        SqliteReader { path: path.to_owned(), users, conn }
    }

    /// Opens the file at `path`; `None` where it, or the tables in it, are not there.
    pub fn open(path: &Path, users: UserColumn) -> Result<Option<SqliteReader>, LedgerError> {
        let conn = sqlite_open::open_to_read(path, users)?;
        Ok(conn.map(|conn| SqliteReader { path: path.to_owned(), users, conn }))
    }
}

impl LedgerReader for SqliteReader {
    fn all_positions(&mut self) -> Result<Vec<Position>, LedgerError> {
        let sql = format!("SELECT {POSITION_COLUMNS} ORDER BY source, kpart");
        read_positions(&self.conn, &sql, []).map_err(|e| fault(&self.path, "read the positions", &e))
    }

    fn grants(&mut self, after: Option<(&str, u32)>, limit: usize) -> Result<Vec<Grant>, LedgerError> {
        let (campaign, seat) = after.unwrap_or(("", 0));
        let read = read_grants(&self.conn, self.users, campaign, seat, limit);
        read.map_err(|e| fault(&self.path, "read the grants", &e))
    }

    fn returns(&mut self, after: Option<(LogId, Lsn)>, limit: usize) -> Result<Vec<ReturnRow>, LedgerError> {
        let read = read_returns(&self.conn, self.users, after, limit);
        read.map_err(|e| fault(&self.path, "read the returns", &e))
    }

    fn dead_letters(&mut self, after: Option<(&str, u32, u64)>, limit: usize) -> Result<Vec<DeadLetter>, LedgerError> {
        let read = read_dead_letters(&self.conn, after.unwrap_or(("", 0, 0)), limit);
        read.map_err(|e| fault(&self.path, "read the dead letters", &e))
    }
}

pub(super) fn read_position(conn: &Connection, source: &str, kpart: u32) -> rusqlite::Result<Option<Position>> {
    let sql = format!("SELECT {POSITION_COLUMNS} WHERE source = ?1 AND kpart = ?2");
    Ok(read_positions(conn, &sql, params![source, kpart])?.pop())
}

pub(super) fn read_positions(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Position>> {
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map(params, |row| {
        Ok(Position {
            source: row.get(0)?,
            kpart: row.get(1)?,
            next: unsigned(row.get(2)?),
            log: log_id(&row.get::<_, String>(3)?),
            last_seq: Lsn::new(unsigned(row.get(4)?)),
            hole: row.get(5)?,
            epoch: unsigned(row.get(6)?),
            owner: row.get(7)?,
            beat: row.get(8)?,
        })
    })?;
    rows.collect()
}

pub(super) fn in_place_of_grant(conn: &Connection, users: UserColumn, grant: &Grant) -> rusqlite::Result<InPlace> {
    let same = "WHERE campaign = ?1 AND seat = ?2 AND user_id = ?3 AND nth = ?4 AND log_id = ?5 AND seq = ?6";
    let sql = format!("SELECT 1 FROM coupon_grant {same} UNION ALL SELECT 1 FROM coupon_return {same}");
    let (user, log) = (user_value(users, &grant.user), grant.log.to_string());
    let values = params![&*grant.campaign, grant.seat, user, grant.nth, log, int(grant.seq.get())];
    if conn.prepare_cached(&sql)?.exists(values)? {
        return Ok(InPlace::Same);
    }
    let sql = "SELECT seat, CAST(user_id AS TEXT), nth, log_id, seq FROM coupon_grant \
               WHERE (campaign = ?1 AND seat = ?2) OR (user_id = ?3 AND campaign = ?1 AND nth = ?4) \
               ORDER BY seat <> ?2 LIMIT 1";
    let user = user_value(users, &grant.user);
    let there = conn.query_row(sql, params![&*grant.campaign, grant.seat, user, grant.nth], |there| {
        other(there, grant.log, grant.seq)
    });
    Ok(there.optional()?.unwrap_or(InPlace::Nothing))
}

pub(super) fn in_place_of_return(conn: &Connection, back: &Return) -> rusqlite::Result<InPlace> {
    let log = back.log.to_string();
    let sql = "SELECT campaign, seat, seq FROM coupon_return WHERE log_id = ?1 AND return_seq = ?2";
    let there = conn.query_row(sql, params![log, int(back.seq.get())], |there| {
        let (campaign, seat, seq): (String, i64, i64) = (there.get(0)?, there.get(1)?, there.get(2)?);
        Ok((campaign, seat, seq))
    });
    if let Some((campaign, seat, seq)) = there.optional()? {
        let is_same = (&*campaign, seat, seq) == (&*back.campaign, back.seat.into(), int(back.grant.get()));
        let told = format!("the return of campaign {campaign} seat {seat} (log {log}, its grant's seq {seq})");
        return Ok(if is_same { InPlace::Same } else { InPlace::Other(told) });
    }
    let sql = "SELECT seat, CAST(user_id AS TEXT), nth, log_id, seq FROM coupon_grant \
               WHERE campaign = ?1 AND seat = ?2 AND NOT (log_id = ?3 AND seq = ?4)";
    let there = conn.query_row(sql, params![&*back.campaign, back.seat, log, int(back.grant.get())], |there| {
        other(there, back.log, back.grant)
    });
    Ok(there.optional()?.unwrap_or(InPlace::Nothing))
}

/// Another row (seat, user, nth, log and seq) where the grant of `log` at `seq` belongs.
fn other(there: &rusqlite::Row<'_>, log: LogId, seq: Lsn) -> rusqlite::Result<InPlace> {
    let (seat, nth, other_seq): (i64, i64, i64) = (there.get(0)?, there.get(2)?, there.get(4)?);
    let (user, other_log): (String, String) = (there.get(1)?, there.get(3)?);
    let told = format!("seat {seat} user {user} nth {nth} (log {other_log}, seq {other_seq})");
    let is_earlier = other_log == log.to_string() && unsigned(other_seq) < seq.get();
    Ok(if is_earlier { InPlace::Earlier(told) } else { InPlace::Other(told) })
}

pub(super) fn is_ready(conn: &Connection, entry: &Entry) -> rusqlite::Result<bool> {
    let (log, after) = (entry.log().to_string(), int(entry.after().get()));
    let is_returned = |seq: i64| {
        let sql = "SELECT 1 FROM coupon_return WHERE log_id = ?1 AND return_seq = ?2";
        conn.prepare_cached(sql)?.exists(params![log, seq])
    };
    match entry {
        Entry::Grant { .. } => Ok(after == 0 || is_returned(after)?),
        Entry::Return(back) => {
            let sql = "SELECT 1 FROM coupon_grant WHERE campaign = ?1 AND seat = ?2 AND log_id = ?3 AND seq = ?4";
            let is_there = conn.prepare_cached(sql)?.exists(params![&*back.campaign, back.seat, log, after])?;
            Ok(is_there || is_returned(int(back.seq.get()))?)
        }
    }
}

fn read_grants(
    conn: &Connection,
    users: UserColumn,
    campaign: &str,
    seat: u32,
    limit: usize,
) -> rusqlite::Result<Vec<Grant>> {
    let sql = "SELECT campaign, seat, user_id, nth, granted_at, log_id, seq FROM coupon_grant \
               WHERE (campaign, seat) > (?1, ?2) ORDER BY campaign, seat LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![campaign, seat, rows_of(limit)], |row| {
        Ok(Grant {
            campaign: row.get::<_, String>(0)?.into(),
            seat: row.get(1)?,
            user: user(row.get(2)?, users)?,
            nth: row.get(3)?,
            at: millis(&row.get::<_, String>(4)?),
            log: log_id(&row.get::<_, String>(5)?),
            seq: Lsn::new(unsigned(row.get(6)?)),
        })
    })?;
    rows.collect()
}

fn read_returns(
    conn: &Connection,
    users: UserColumn,
    after: Option<(LogId, Lsn)>,
    limit: usize,
) -> rusqlite::Result<Vec<ReturnRow>> {
    let sql = "SELECT campaign, seat, user_id, nth, granted_at, log_id, seq, returned_at, return_seq FROM coupon_return \
               WHERE (log_id, return_seq) > (?1, ?2) ORDER BY log_id, return_seq LIMIT ?3";
    let (log, seq) = after.map_or((String::new(), 0), |(log, seq)| (log.to_string(), int(seq.get())));
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![log, seq, rows_of(limit)], |row| {
        let back = Return {
            campaign: row.get::<_, String>(0)?.into(),
            seat: row.get(1)?,
            user: user(row.get(2)?, users)?,
            nth: row.get(3)?,
            log: log_id(&row.get::<_, String>(5)?),
            grant: Lsn::new(unsigned(row.get(6)?)),
            at: millis(&row.get::<_, String>(7)?),
            seq: Lsn::new(unsigned(row.get(8)?)),
        };
        Ok(ReturnRow { back, granted_at: millis(&row.get::<_, String>(4)?) })
    })?;
    rows.collect()
}

fn read_dead_letters(
    conn: &Connection,
    (source, kpart, position): (&str, u32, u64),
    limit: usize,
) -> rusqlite::Result<Vec<DeadLetter>> {
    let sql = "SELECT source, kpart, position, reason, key, value, headers, at FROM coupon_dead_letter \
               WHERE (source, kpart, position) > (?1, ?2, ?3) ORDER BY source, kpart, position LIMIT ?4";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![source, kpart, int(position), rows_of(limit)], |row| {
        Ok(DeadLetter {
            source: row.get(0)?,
            kpart: row.get(1)?,
            position: unsigned(row.get(2)?),
            reason: row.get(3)?,
            key: row.get(4)?,
            value: row.get(5)?,
            headers: row.get(6)?,
            at: millis(&row.get::<_, String>(7)?),
        })
    })?;
    rows.collect()
}

/// The row of a return's grant once more, among the returns; how many there were.
pub(super) fn copy_back(conn: &Connection, back: &Entry) -> rusqlite::Result<usize> {
    let (log, grant, seq) = (back.log().to_string(), int(back.after().get()), int(back.seq().get()));
    let values = params![&**back.campaign(), back.seat(), log, grant, utc(back.at()), seq];
    conn.prepare_cached(COPY_BACK)?.execute(values)
}

/// That row no longer among the grants.
pub(super) fn remove(conn: &Connection, back: &Entry) -> rusqlite::Result<usize> {
    let (log, grant) = (back.log().to_string(), int(back.after().get()));
    conn.prepare_cached(REMOVE)?.execute(params![&**back.campaign(), back.seat(), log, grant])
}

/// When the grant of a return that is stored was granted.
pub(super) fn granted_at(conn: &Connection, back: &Return) -> rusqlite::Result<Value> {
    let sql = "SELECT granted_at FROM coupon_return WHERE log_id = ?1 AND return_seq = ?2";
    let key = params![back.log.to_string(), int(back.seq.get())];
    conn.prepare_cached(sql)?.query_row(key, |row| row.get(0))
}

/// The journal of a campaign's rows. Any one row will do: they are all of one, because nobody else's are let in.
pub(super) fn log_of(conn: &Connection, campaign: &str) -> rusqlite::Result<Option<LogId>> {
    let sql = "SELECT log_id FROM coupon_grant WHERE campaign = ?1 \
               UNION ALL SELECT log_id FROM coupon_return WHERE campaign = ?1 LIMIT 1";
    conn.prepare_cached(sql)?.query_row([campaign], |row| Ok(log_id(&row.get::<_, String>(0)?))).optional()
}

/// Those of a campaign's grants from one `seq` to another that have come back.
pub(super) fn returned(conn: &Connection, campaign: &str, (from, upto): (u64, u64)) -> rusqlite::Result<BTreeSet<u64>> {
    let sql = "SELECT seq FROM coupon_return WHERE campaign = ?1 AND seq BETWEEN ?2 AND ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let seqs = statement.query_map(params![campaign, int(from), int(upto)], |row| Ok(unsigned(row.get(0)?)))?;
    seqs.collect()
}

pub(super) fn put_away(conn: &Connection, letter: &DeadLetter) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO coupon_dead_letter (source, kpart, position, reason, key, value, headers, at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (source, kpart, position) DO NOTHING";
    conn.prepare_cached(sql)?.execute(params![
        letter.source,
        letter.kpart,
        int(letter.position),
        letter.reason,
        letter.key,
        letter.value,
        letter.headers,
        utc(letter.at)
    ])
}

pub(super) fn take_away(conn: &Connection, letter: &DeadLetter) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM coupon_dead_letter WHERE source = ?1 AND kpart = ?2 AND position = ?3";
    conn.prepare_cached(sql)?.execute(params![letter.source, letter.kpart, int(letter.position)])
}

/// Bytes that are not UTF-8 stay bytes: SQLite keeps a BLOB in a TEXT column as it is, equal to no text.
pub(super) fn user_value(users: UserColumn, user: &GrantUser) -> Value {
    match (users, user) {
        (UserColumn::Bigint, GrantUser::Int(number)) => Value::Integer(*number),
        (UserColumn::Text, GrantUser::Int(number)) => Value::Text(number.to_string()),
        (UserColumn::Bigint | UserColumn::Text, GrantUser::Any(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Blob(bytes.to_vec()),
        },
    }
}

/// A user as [`user_value`] wrote him.
fn user(value: Value, users: UserColumn) -> rusqlite::Result<GrantUser> {
    match (value, users) {
        (Value::Integer(number), _) => Ok(GrantUser::Int(number)),
        (Value::Text(text), UserColumn::Text) => Ok(GrantUser::Any(text.into_bytes().into())),
        (Value::Blob(bytes), UserColumn::Text) => Ok(GrantUser::Any(bytes.into())),
        (other, _) => Err(rusqlite::Error::InvalidColumnType(2, "user_id".into(), other.data_type())),
    }
}

/// `YYYY-MM-DD HH:MM:SS.mmm` in UTC: what SQLite's own date functions read and write.
pub(super) fn utc(at: Millis) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX);
    instant.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// The time that [`utc`] wrote; 0 for what somebody else wrote.
fn millis(text: &str) -> Millis {
    let time: Option<jiff::Timestamp> = format!("{}Z", text.replace(' ', "T")).parse().ok();
    Millis(time.map_or(0, jiff::Timestamp::as_millisecond))
}

/// The log id of a row; `LogId::NONE` for what somebody else wrote.
fn log_id(text: &str) -> LogId {
    text.parse().unwrap_or(LogId::NONE)
}

/// A number below zero was written by somebody else; the compare-and-set then says so.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn rows_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn int(position: u64) -> i64 {
    i64::try_from(position).expect("a journal's positions stay below 2^63")
}
