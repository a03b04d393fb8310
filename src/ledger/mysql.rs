//! The ledger in a MySQL or MariaDB database.

use mysql::prelude::Queryable;
use mysql::{Conn, Value};

use super::both::{also_setting, campaigns, mixed, refuse_returned, stretch, without_grant};
use super::mysql_also::Also;
use super::mysql_at::MysqlAt;
use super::mysql_fault::{address, fault};
use super::mysql_open::{self, Opened};
use super::mysql_rows::{
    granted_at, in_place_of_grant, in_place_of_return, is_ready, log_id, put_away, read_positions, rows, user_value,
    utc,
};
use super::{Batch, DeadLetter, InPlace, Ledger, LedgerError, Move, Position, UserColumn};
use crate::grant::{Entry, Kind};
use crate::ids::LogId;
use crate::sabotage::{Sabotage, on};

/// Rows of one INSERT statement: beyond this a longer statement gains nothing.
const ROWS_PER_STATEMENT: usize = 500;

/// Returns of one statement: each asks for its own row.
const RETURNS_PER_STATEMENT: usize = 50;

/// Parameters of one statement: the protocol counts them in 16 bits.
const PARAMETERS_MAX: usize = 65_535;

/// Campaigns that one statement looks for.
const CAMPAIGNS_PER_LOOK: usize = 20;

/// Columns of one row.
const COLUMNS: usize = 7;

const INSERT: &str = "INSERT INTO coupon_grant (campaign, seat, user_id, nth, granted_at, log_id, seq) VALUES ";

const COPY_BACK: &str = "INSERT INTO coupon_return \
     (campaign, seat, user_id, nth, granted_at, log_id, seq, returned_at, return_seq) ";

const GRANT_AS_RETURN: &str = "SELECT campaign, seat, user_id, nth, granted_at, log_id, seq, \
     CAST(? AS DATETIME(3)), CAST(? AS UNSIGNED) FROM coupon_grant \
     WHERE (campaign = ? AND seat = ? AND log_id = ? AND seq = ?)";

const ITS_GRANT: &str = "(campaign = ? AND seat = ? AND log_id = ? AND seq = ?)";

/// Of one campaign: the journal of its rows, and those of a stretch that have come back. Any one row will do for the
/// journal: they are all of one, because nobody else's are let in. Two journals that begin a campaign in the same moment
/// meet on its first seat.
const WAS_HERE: &str = "(SELECT campaign, log_id, CAST(0 AS UNSIGNED) FROM coupon_grant WHERE campaign = ? LIMIT 1) \
     UNION ALL (SELECT campaign, log_id, CAST(0 AS UNSIGNED) FROM coupon_return WHERE campaign = ? LIMIT 1) \
     UNION ALL (SELECT campaign, log_id, seq FROM coupon_return WHERE campaign = ? AND seq BETWEEN ? AND ?)";

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

/// The entries in their order, and the operator's statement for each of them.
fn put_entries(options: &MysqlOptions, opened: &mut Opened, entries: &[Entry]) -> Result<(), LedgerError> {
    let Opened { conn, also, .. } = opened;
    refuse_what_was_here(conn, &options.at, entries)?;
    for run in entries.chunk_by(|one, next| one.kind() == next.kind()) {
        let kind = run[0].kind();
        match kind {
            Kind::Grant => put_grants(conn, options, run)?,
            Kind::Return => put_returns(conn, &options.at, run)?,
        }
        if let Some(also) = also.of(kind) {
            run_also(conn, options, also, kind, run)?;
        }
    }
    Ok(())
}

fn put_grants(conn: &mut Conn, options: &MysqlOptions, grants: &[Entry]) -> Result<(), LedgerError> {
    for chunk in grants.chunks(ROWS_PER_STATEMENT) {
        insert(conn, options.users, chunk).map_err(|e| fault(&options.at, "insert rows", &e))?;
    }
    Ok(())
}

/// The row of each one's grant becomes one of the returns.
fn put_returns(conn: &mut Conn, at: &MysqlAt, returns: &[Entry]) -> Result<(), LedgerError> {
    for chunk in returns.chunks(RETURNS_PER_STATEMENT) {
        let copied = copy_back(conn, chunk).map_err(|e| fault(at, "move rows to the returns", &e))?;
        let removed = remove(conn, chunk).map_err(|e| fault(at, "take rows out of the grants", &e))?;
        if (copied, removed) != (chunk.len() as u64, chunk.len() as u64) {
            return Err(without_grant(&address(at), chunk));
        }
    }
    Ok(())
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

/// Rows of one campaign never come from two journals, and none comes again that has come back.
fn refuse_what_was_here(conn: &mut Conn, at: &MysqlAt, entries: &[Entry]) -> Result<(), LedgerError> {
    let who = address(at);
    for chunk in campaigns(&who, entries)?.chunks(CAMPAIGNS_PER_LOOK) {
        // Two statements stay prepared: for one campaign, and for many.
        let many = if chunk.len() == 1 { 1 } else { CAMPAIGNS_PER_LOOK };
        let asked = chunk.iter().chain(std::iter::repeat(&chunk[0])).take(many);
        let values = asked.flat_map(|(campaign, _, grants)| {
            let (from, upto) = stretch(grants);
            let campaign = Value::from(*campaign);
            [campaign.clone(), campaign.clone(), campaign, Value::UInt(from), Value::UInt(upto)]
        });
        let values: Vec<Value> = values.collect();
        let there: Vec<(String, Vec<u8>, u64)> = rows(conn, &vec![WAS_HERE; many].join(" UNION ALL "), values)
            .map_err(|e| fault(at, "look for rows of the same campaigns", &e))?;
        for (campaign, ours, grants) in chunk {
            let of_it = || there.iter().filter(|(name, ..)| name == campaign);
            if let Some(other) = of_it().map(|(_, log, _)| log_id(log)).find(|log| log != ours) {
                return Err(mixed(&who, campaign, *ours, other));
            }
            refuse_returned(&who, grants, &of_it().map(|(.., seq)| *seq).collect())?;
        }
    }
    Ok(())
}

fn insert(conn: &mut Conn, users: UserColumn, rows: &[Entry]) -> mysql::Result<u64> {
    let mut values = Vec::with_capacity(rows.len() * COLUMNS);
    for row in rows {
        values.push(Value::Bytes(row.campaign().as_bytes().to_vec()));
        values.push(Value::UInt(row.seat().into()));
        values.push(user_value(users, row.user()));
        values.push(Value::UInt(row.nth().into()));
        values.push(utc(row.at()));
        values.push(Value::Bytes(row.log().0.to_vec()));
        values.push(Value::UInt(row.seq().get()));
    }
    let sql = format!("{INSERT}{}", vec!["(?,?,?,?,?,?,?)"; rows.len()].join(","));
    execute(conn, &sql, values, rows.len() == ROWS_PER_STATEMENT)
}

/// The rows of the grants of `returns` once more, among the returns; how many there were.
fn copy_back(conn: &mut Conn, returns: &[Entry]) -> mysql::Result<u64> {
    let mut values = Vec::with_capacity(returns.len() * 6);
    for back in returns {
        values.extend([utc(back.at()), Value::UInt(back.seq().get())]);
        values.extend(its_grant(back));
    }
    let sql = format!("{COPY_BACK}{}", vec![GRANT_AS_RETURN; returns.len()].join(" UNION ALL "));
    execute(conn, &sql, values, returns.len() == RETURNS_PER_STATEMENT)
}

/// Those rows no longer among the grants.
fn remove(conn: &mut Conn, returns: &[Entry]) -> mysql::Result<u64> {
    let sql = format!("DELETE FROM coupon_grant WHERE {}", vec![ITS_GRANT; returns.len()].join(" OR "));
    let values = returns.iter().flat_map(its_grant).collect();
    execute(conn, &sql, values, returns.len() == RETURNS_PER_STATEMENT)
}

/// What [`ITS_GRANT`] asks for.
fn its_grant(back: &Entry) -> [Value; 4] {
    let campaign = Value::Bytes(back.campaign().as_bytes().to_vec());
    let log = Value::Bytes(back.log().0.to_vec());
    [campaign, Value::UInt(back.seat().into()), log, Value::UInt(back.after().get())]
}

/// The operator's statement for each entry: for many at once where that is the same.
fn run_also(
    conn: &mut Conn,
    options: &MysqlOptions,
    also: &Also,
    kind: Kind,
    entries: &[Entry],
) -> Result<(), LedgerError> {
    let doing = format!("run the statement of {}", also_setting(kind));
    let failed = |e| fault(&options.at, &doing, &e);
    let most = ROWS_PER_STATEMENT.min((PARAMETERS_MAX / also.parameters.len().max(1)).max(1));
    for chunk in entries.chunks(most) {
        let values = also_values(conn, also, options.users, chunk).map_err(failed)?;
        if let Some(sql) = also.of_many(chunk.len()) {
            execute(conn, &sql, values.into_iter().flatten().collect(), chunk.len() == most).map_err(failed)?;
            continue;
        }
        for (entry, values) in chunk.iter().zip(values) {
            let Err(error) = conn.exec_drop(&also.sql, values).map_err(failed) else { continue };
            return Err(if let LedgerError::Refused(text) = error {
                LedgerError::Refused(format!("{text}; {entry}"))
            } else {
                error
            });
        }
    }
    Ok(())
}

/// The parameters of `also`, for each entry.
fn also_values(conn: &mut Conn, also: &Also, users: UserColumn, entries: &[Entry]) -> mysql::Result<Vec<Vec<Value>>> {
    let mut value = |parameter: &str, entry: &Entry| {
        Ok(match (parameter, entry) {
            (":user", _) => user_value(users, entry.user()),
            (":campaign", _) => Value::Bytes(entry.campaign().as_bytes().to_vec()),
            (":seat", _) => Value::UInt(entry.seat().into()),
            (":nth", _) => Value::UInt(entry.nth().into()),
            (":granted_at", Entry::Grant { grant, .. }) => utc(grant.at),
            (":granted_at", Entry::Return(back)) => granted_at(conn, back)?,
            (":seq", Entry::Grant { grant, .. }) => Value::UInt(grant.seq.get()),
            (":seq", Entry::Return(back)) => Value::UInt(back.grant.get()),
            (":returned_at", Entry::Return(back)) => utc(back.at),
            (":return_seq", Entry::Return(back)) => Value::UInt(back.seq.get()),
            (other, _) => unreachable!("{other} was refused when the ledger was opened"),
        })
    };
    let mut of_one = |entry| also.parameters.iter().map(|parameter| value(parameter, entry)).collect();
    entries.iter().map(&mut of_one).collect()
}

/// Runs a statement of many rows; how many that changed. What will hardly come again does not stay prepared: it takes the
/// server's memory.
fn execute(conn: &mut Conn, sql: &str, values: Vec<Value>, again: bool) -> mysql::Result<u64> {
    if again {
        conn.exec_drop(sql, values)?;
        return Ok(conn.affected_rows());
    }
    let statement = conn.prep(sql)?;
    conn.exec_drop(&statement, values)?;
    let changed = conn.affected_rows();
    conn.close(statement)?;
    Ok(changed)
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
