//! Entries into a MySQL ledger: grants that become rows, returns that move them, and the operator's statements.

use mysql::prelude::Queryable;
use mysql::{Conn, Value};

use super::both::{also_setting, campaigns, mixed, refuse_returned, stretch, without_grant};
use super::mysql::MysqlOptions;
use super::mysql_also::Also;
use super::mysql_at::MysqlAt;
use super::mysql_fault::{address, fault};
use super::mysql_open::Opened;
use super::mysql_rows::{granted_at, log_id, rows, user_value, utc};
use super::{LedgerError, UserColumn};
use crate::grant::{Entry, Kind};

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

/// The entries in their order, and the operator's statement for each of them.
pub(super) fn put_entries(options: &MysqlOptions, opened: &mut Opened, entries: &[Entry]) -> Result<(), LedgerError> {
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
    execute(conn, &sql, values, matches!(rows.len(), 1 | ROWS_PER_STATEMENT))
}

/// The rows of the grants of `returns` once more, among the returns; how many there were.
fn copy_back(conn: &mut Conn, returns: &[Entry]) -> mysql::Result<u64> {
    let mut values = Vec::with_capacity(returns.len() * 6);
    for back in returns {
        values.extend([utc(back.at()), Value::UInt(back.seq().get())]);
        values.extend(its_grant(back));
    }
    let sql = format!("{COPY_BACK}{}", vec![GRANT_AS_RETURN; returns.len()].join(" UNION ALL "));
    execute(conn, &sql, values, matches!(returns.len(), 1 | RETURNS_PER_STATEMENT))
}

/// Those rows no longer among the grants.
fn remove(conn: &mut Conn, returns: &[Entry]) -> mysql::Result<u64> {
    let sql = format!("DELETE FROM coupon_grant WHERE {}", vec![ITS_GRANT; returns.len()].join(" OR "));
    let values = returns.iter().flat_map(its_grant).collect();
    execute(conn, &sql, values, matches!(returns.len(), 1 | RETURNS_PER_STATEMENT))
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
