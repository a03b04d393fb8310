//! Rows of a MySQL ledger as they are written and read.

use std::time::Duration;

use mysql::prelude::{FromRow, Queryable};
use mysql::{Conn, Error, Params, Value};

use super::mysql_at::MysqlAt;
use super::mysql_fault::fault;
use super::mysql_open;
use super::{DeadLetter, InPlace, LedgerError, LedgerReader, Position, ReturnRow, UserColumn};
use crate::grant::{Entry, Grant, GrantUser, Return};
use crate::ids::{LogId, Lsn, Millis};

/// What [`read_positions`] reads, up to its condition.
const POSITIONS: &str = "SELECT source, kpart, next_position, log_id, last_seq, hole <> 0, owner_epoch, owner, \
     CAST(updated_at AS CHAR) FROM coupon_sink_position ";

/// Bytes of a reason: what its column holds.
const REASON_BYTES_MAX: usize = 65_535;

/// A ledger in MySQL, for who only reads.
pub struct MysqlReader {
    at: MysqlAt,
    users: UserColumn,
    conn: Conn,
}

impl MysqlReader {
    /// Connects; `None` where the database, or the tables in it, are not there.
    pub fn open(at: &MysqlAt, users: UserColumn) -> Result<Option<MysqlReader>, LedgerError> {
        let conn = mysql_open::open_to_read(at, users)?;
        Ok(conn.map(|conn| MysqlReader { at: at.clone(), users, conn }))
    }
}

impl LedgerReader for MysqlReader {
    fn all_positions(&mut self) -> Result<Vec<Position>, LedgerError> {
        let read = read_positions(&mut self.conn, "ORDER BY source, kpart", ());
        read.map_err(|e| fault(&self.at, "read the positions", &e))
    }

    fn grants(&mut self, after: Option<(&str, u32)>, limit: usize) -> Result<Vec<Grant>, LedgerError> {
        let (campaign, seat) = after.unwrap_or(("", 0));
        let read = read_grants(&mut self.conn, self.users, campaign, seat, limit);
        read.map_err(|e| fault(&self.at, "read the grants", &e))
    }

    fn returns(&mut self, after: Option<(LogId, Lsn)>, limit: usize) -> Result<Vec<ReturnRow>, LedgerError> {
        let read = read_returns(&mut self.conn, self.users, after, limit);
        read.map_err(|e| fault(&self.at, "read the returns", &e))
    }

    fn dead_letters(&mut self, after: Option<(&str, u32, u64)>, limit: usize) -> Result<Vec<DeadLetter>, LedgerError> {
        let read = read_dead_letters(&mut self.conn, after.unwrap_or(("", 0, 0)), limit);
        read.map_err(|e| fault(&self.at, "read the dead letters", &e))
    }
}

/// The rows that a prepared statement answers. The driver's own way panics over a value of another type.
pub(super) fn rows<T: FromRow>(conn: &mut Conn, sql: &str, params: impl Into<Params>) -> mysql::Result<Vec<T>> {
    conn.exec_opt::<T, _, _>(sql, params)?.into_iter().map(|row| row.map_err(Error::from)).collect()
}

/// The positions that `condition` names, which also orders them.
pub(super) fn read_positions(
    conn: &mut Conn,
    condition: &str,
    params: impl Into<Params>,
) -> mysql::Result<Vec<Position>> {
    type Row = (String, u32, u64, Vec<u8>, u64, bool, u64, String, String);
    let read: Vec<Row> = rows(conn, &format!("{POSITIONS}{condition}"), params)?;
    let positions = read.into_iter().map(|(source, kpart, next, log, last_seq, hole, epoch, owner, beat)| Position {
        source,
        kpart,
        next,
        log: log_id(&log),
        last_seq: Lsn::new(last_seq),
        hole,
        epoch,
        owner,
        beat,
    });
    Ok(positions.collect())
}

/// The two branches are two ranges of the primary key; a comparison of pairs is none to older servers.
fn read_grants(
    conn: &mut Conn,
    users: UserColumn,
    campaign: &str,
    seat: u32,
    limit: usize,
) -> mysql::Result<Vec<Grant>> {
    type Row = (String, u32, Value, u16, Value, Vec<u8>, u64);
    let sql = "SELECT campaign, seat, user_id, nth, granted_at, log_id, seq FROM coupon_grant \
               WHERE campaign > ? OR (campaign = ? AND seat > ?) ORDER BY campaign, seat LIMIT ?";
    let read: Vec<Row> = rows(conn, sql, (campaign, campaign, seat, limit))?;
    let grants = read.into_iter().map(|(campaign, seat, user, nth, at, log, seq)| {
        Ok(Grant {
            campaign: campaign.into(),
            seat,
            user: user_of(user, users)?,
            nth,
            at: millis(&at),
            log: log_id(&log),
            seq: Lsn::new(seq),
        })
    });
    grants.collect()
}

fn read_returns(
    conn: &mut Conn,
    users: UserColumn,
    after: Option<(LogId, Lsn)>,
    limit: usize,
) -> mysql::Result<Vec<ReturnRow>> {
    type Row = (String, u32, Value, u16, Value, Vec<u8>, u64, Value, u64);
    let sql = "SELECT campaign, seat, user_id, nth, granted_at, log_id, seq, returned_at, return_seq FROM coupon_return \
               WHERE log_id > ? OR (log_id = ? AND return_seq > ?) ORDER BY log_id, return_seq LIMIT ?";
    let (log, seq) = after.map_or((Vec::new(), 0), |(log, seq)| (log.0.to_vec(), seq.get()));
    let read: Vec<Row> = rows(conn, sql, (&log, &log, seq, limit))?;
    let returns = read.into_iter().map(|(campaign, seat, user, nth, granted_at, log, grant, at, seq)| {
        let back = Return {
            log: log_id(&log),
            seq: Lsn::new(seq),
            grant: Lsn::new(grant),
            campaign: campaign.into(),
            seat,
            user: user_of(user, users)?,
            nth,
            at: millis(&at),
        };
        Ok(ReturnRow { back, granted_at: millis(&granted_at) })
    });
    returns.collect()
}

fn read_dead_letters(
    conn: &mut Conn,
    (source, kpart, position): (&str, u32, u64),
    limit: usize,
) -> mysql::Result<Vec<DeadLetter>> {
    type Row = (String, u32, u64, String, Option<Vec<u8>>, Option<Vec<u8>>, Option<String>, Value);
    let sql = "SELECT source, kpart, position, reason, `key`, value, headers, at FROM coupon_dead_letter \
               WHERE source > ? OR (source = ? AND kpart > ?) OR (source = ? AND kpart = ? AND position > ?) \
               ORDER BY source, kpart, position LIMIT ?";
    let read: Vec<Row> = rows(conn, sql, (source, source, kpart, source, kpart, position, limit))?;
    let letters = read.into_iter().map(|(source, kpart, position, reason, key, value, headers, at)| DeadLetter {
        source,
        kpart,
        position,
        reason,
        key,
        value,
        headers,
        at: millis(&at),
    });
    Ok(letters.collect())
}

/// Of a grant: its seat, user, nth, journal and seq.
type Row = (u32, Vec<u8>, u16, Vec<u8>, u64);

/// What stands on the grant's seat, else what its user has as his `nth`; unless it has come back, which it did as it was.
pub(super) fn in_place_of_grant(conn: &mut Conn, users: UserColumn, grant: &Grant) -> mysql::Result<InPlace> {
    let columns = "SELECT seat, CAST(user_id AS BINARY), nth, log_id, seq FROM coupon_grant";
    let by_seat = format!("{columns} WHERE campaign = ? AND seat = ?");
    let mut there: Vec<Row> = rows(conn, &by_seat, (&*grant.campaign, grant.seat))?;
    let ours: Row = (grant.seat, text(&grant.user), grant.nth, grant.log.0.to_vec(), grant.seq.get());
    if there.first() == Some(&ours) {
        return Ok(InPlace::Same);
    }
    let returned =
        "SELECT seat, CAST(user_id AS BINARY), nth, log_id, seq FROM coupon_return WHERE campaign = ? AND seq = ?";
    if rows(conn, returned, (&*grant.campaign, grant.seq.get()))?.first() == Some(&ours) {
        return Ok(InPlace::Same);
    }
    if there.is_empty() {
        let user = user_value(users, &grant.user);
        // The database would take any text for the number 0.
        if users == UserColumn::Text || matches!(user, Value::Int(_)) {
            let by_user = format!("{columns} WHERE user_id = ? AND campaign = ? AND nth = ?");
            there = rows(conn, &by_user, (user, &*grant.campaign, grant.nth))?;
        }
    }
    Ok(there.pop().map_or(InPlace::Nothing, |there| other(there, grant.log, grant.seq)))
}

/// Another row where the grant of `log` at `seq` belongs.
fn other((seat, user, nth, other_log, other_seq): Row, log: LogId, seq: Lsn) -> InPlace {
    let (user, other_log) = (user.escape_ascii(), log_id(&other_log));
    let told = format!("seat {seat} user {user} nth {nth} (log {other_log}, seq {other_seq})");
    let is_earlier = other_log == log && other_seq < seq.get();
    if is_earlier { InPlace::Earlier(told) } else { InPlace::Other(told) }
}

/// The return of that journal and seq, else another grant on its seat.
pub(super) fn in_place_of_return(conn: &mut Conn, back: &Return) -> mysql::Result<InPlace> {
    let log = &back.log.0[..];
    let sql = "SELECT campaign, seat, seq FROM coupon_return WHERE log_id = ? AND return_seq = ?";
    let there: Vec<(String, u32, u64)> = rows(conn, sql, (log, back.seq.get()))?;
    if let Some((campaign, seat, seq)) = there.first() {
        let is_same = (&**campaign, *seat, *seq) == (&*back.campaign, back.seat, back.grant.get());
        let log = back.log;
        let told = format!("the return of campaign {campaign} seat {seat} (log {log}, its grant's seq {seq})");
        return Ok(if is_same { InPlace::Same } else { InPlace::Other(told) });
    }
    let sql = "SELECT seat, CAST(user_id AS BINARY), nth, log_id, seq FROM coupon_grant \
               WHERE campaign = ? AND seat = ? AND NOT (log_id = ? AND seq = ?)";
    let there: Vec<Row> = rows(conn, sql, (&*back.campaign, back.seat, log, back.grant.get()))?;
    let there = there.into_iter().next();
    Ok(there.map_or(InPlace::Nothing, |there| other(there, back.log, back.grant)))
}

/// Whether what `entry` must come after is there.
pub(super) fn is_ready(conn: &mut Conn, entry: &Entry) -> mysql::Result<bool> {
    let (log, after) = (entry.log(), entry.after().get());
    let mut is_returned = |seq: u64| -> mysql::Result<bool> {
        let sql = "SELECT 1 FROM coupon_return WHERE log_id = ? AND return_seq = ?";
        Ok(!rows::<u8>(conn, sql, (&log.0[..], seq))?.is_empty())
    };
    match entry {
        Entry::Grant { .. } => Ok(after == 0 || is_returned(after)?),
        Entry::Return(back) => {
            if is_returned(back.seq.get())? {
                return Ok(true);
            }
            let sql = "SELECT 1 FROM coupon_grant WHERE campaign = ? AND seat = ? AND log_id = ? AND seq = ?";
            Ok(!rows::<u8>(conn, sql, (&*back.campaign, back.seat, &log.0[..], after))?.is_empty())
        }
    }
}

/// When the grant of a return that is stored was granted.
pub(super) fn granted_at(conn: &mut Conn, back: &Return) -> mysql::Result<Value> {
    let sql = "SELECT granted_at FROM coupon_return WHERE log_id = ? AND return_seq = ?";
    let told: Vec<Value> = rows(conn, sql, (&back.log.0[..], back.seq.get()))?;
    Ok(told.into_iter().next().unwrap_or(Value::NULL))
}

/// Puts a record away that can be no row.
pub(super) fn put_away(conn: &mut Conn, letter: &DeadLetter) -> mysql::Result<()> {
    let sql = "INSERT INTO coupon_dead_letter (source, kpart, position, reason, `key`, value, headers, at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE position = coupon_dead_letter.position";
    let end = (0..=REASON_BYTES_MAX.min(letter.reason.len())).rev().find(|end| letter.reason.is_char_boundary(*end));
    let reason = &letter.reason[..end.unwrap_or(0)];
    let (key, value, headers) = (&letter.key, &letter.value, &letter.headers);
    let at = utc(letter.at);
    conn.exec_drop(sql, (&letter.source, letter.kpart, letter.position, reason, key, value, headers, at))
}

/// A user as his column takes him.
pub(super) fn user_value(users: UserColumn, user: &GrantUser) -> Value {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<i64>().ok();
    match (users, user) {
        (UserColumn::Bigint, GrantUser::Int(number)) => Value::Int(*number),
        (UserColumn::Bigint, GrantUser::Any(bytes)) => match number(bytes) {
            Some(number) => Value::Int(number),
            None => Value::Bytes(bytes.to_vec()),
        },
        (UserColumn::Text, user) => Value::Bytes(text(user)),
    }
}

/// A user as [`user_value`] wrote him.
fn user_of(value: Value, users: UserColumn) -> mysql::Result<GrantUser> {
    Ok(match (value, users) {
        (Value::Bytes(bytes), UserColumn::Text) => GrantUser::Any(bytes.into()),
        (other, _) => GrantUser::Int(mysql::from_value_opt(other)?),
    })
}

fn text(user: &GrantUser) -> Vec<u8> {
    match user {
        GrantUser::Int(number) => number.to_string().into_bytes(),
        GrantUser::Any(bytes) => bytes.to_vec(),
    }
}

/// A time in UTC, to the millisecond.
pub(super) fn utc(at: Millis) -> Value {
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX);
    let time = jiff::tz::Offset::UTC.to_datetime(instant);
    // Every part of a civil time is small and not negative; so are the years that are not before the common era.
    let part = |part: i8| part.unsigned_abs();
    let micros = u32::from(time.millisecond().unsigned_abs()) * 1000;
    let (hour, minute, second) = (part(time.hour()), part(time.minute()), part(time.second()));
    Value::Date(time.year().unsigned_abs(), part(time.month()), part(time.day()), hour, minute, second, micros)
}

/// The time that [`utc`] wrote; 0 for what is none.
fn millis(value: &Value) -> Millis {
    let Value::Date(year, month, day, hour, minute, second, micros) = *value else { return Millis(0) };
    let part = |part: u8| i8::try_from(part).unwrap_or(-1);
    let year = i16::try_from(year).unwrap_or(-1);
    let date = jiff::civil::Date::new(year, part(month), part(day));
    let time = jiff::civil::Time::new(part(hour), part(minute), part(second), 0);
    let (Ok(date), Ok(time)) = (date, time) else { return Millis(0) };
    let since = Duration::from_micros(micros.into());
    let instant = jiff::tz::Offset::UTC.to_timestamp(date.to_datetime(time));
    Millis(instant.map_or(0, |instant| instant.as_millisecond() + since.as_millis() as i64))
}

/// The log id of a row; `LogId::NONE` for what is none.
pub(super) fn log_id(bytes: &[u8]) -> LogId {
    bytes.try_into().map_or(LogId::NONE, LogId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_as_they_were_written() {
        for at in [0, 1, 999, 1_732_250_000_123, 253_402_207_199_998] {
            assert_eq!(millis(&utc(Millis(at))), Millis(at));
        }
        assert_eq!(utc(Millis(1_732_250_000_123)), Value::Date(2024, 11, 22, 4, 33, 20, 123_000));
    }
}
