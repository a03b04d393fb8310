//! Opening an SQLite ledger: connection, tables, the operator's statement; and what its errors mean.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::both::{Each, also_parameters, also_setting};
use super::ddl::{self, Table};
use super::sqlite::SqliteOptions;
use super::{LedgerError, UserColumn};
use crate::grant::Kind;

/// How long one statement waits for another connection's lock; the sink's own back-off does the rest.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);

/// How long who only reads waits for such a lock: the look before replay is taken once a start, and what it learns
/// protects the journal.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// An open database.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) also: Each<Option<Also>>,
    /// The operator's query, checked.
    pub(super) pause_when: Option<String>,
    file: (u64, u64),
}

/// The operator's statement, checked.
pub(super) struct Also {
    pub(super) sql: String,
    /// In the order in which they are bound.
    pub(super) parameters: Vec<&'static str>,
}

/// Connects, makes and checks the tables, checks the operator's statements.
pub(super) fn open(options: &SqliteOptions) -> Result<Opened, LedgerError> {
    let path = &options.path;
    if !options.create && !path.exists() {
        return Err(LedgerError::Unfit(format!(
            "ledger: {} does not exist and --ledger-create is no; make it with: coupon-gate ddl sqlite | sqlite3 {0}",
            path.display()
        )));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        return Err(LedgerError::Unavailable(format!(
            "ledger: {}: there is no folder {}; make it, or name another ledger with --ledger",
            path.display(),
            folder.display()
        )));
    }
    let create = if options.create { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
    let conn = connect(path, create).map_err(|e| fault(path, "open", &e))?;
    let mut conn = durable(conn).map_err(|e| fault(path, "open", &e))?;
    make_tables(&mut conn, options)?;
    for table in &ddl::TABLES {
        check_shape(&conn, table, path, options.users)?;
    }
    for table in &ddl::TABLES {
        make_index(&conn, table, options)?;
    }
    let check = |kind| options.also(kind).map(|sql| check_also(&conn, path, kind, sql)).transpose();
    let also = Each::try_new(check)?;
    let file = file_of(path).map_err(|e| LedgerError::Unavailable(format!("ledger: {}: {e}", path.display())))?;
    Ok(Opened { conn, also, pause_when: options.pause_when.clone(), file })
}

/// Opens the database at `path` for who only reads; `None` where it, or our tables in it, are not there.
pub(super) fn open_to_read(path: &Path, users: UserColumn) -> Result<Option<Connection>, LedgerError> {
    let away = |e| LedgerError::Unavailable(format!("ledger: {}: cannot look for it: {e}", path.display()));
    if !path.try_exists().map_err(away)? {
        return Ok(None);
    }
    checked(connect(path, OpenFlags::empty()), path, users)
}

/// Opens the database at `path` so that neither it nor its journal can change. `still`: nobody has it open, so that not
/// even a lock is taken; what another process does to it meanwhile goes unnoticed.
pub(super) fn open_to_look(path: &Path, users: UserColumn, still: bool) -> Result<Option<Connection>, LedgerError> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => uri.push(char::from(*byte)),
            other => uri += &format!("%{other:02X}"),
        }
    }
    uri += if still { "?mode=ro&immutable=1" } else { "?mode=ro" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let opened = Connection::open_with_flags(uri, flags).and_then(|conn| {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(conn)
    });
    checked(opened, path, users)
}

fn checked(
    opened: rusqlite::Result<Connection>,
    path: &Path,
    users: UserColumn,
) -> Result<Option<Connection>, LedgerError> {
    let opened = opened.and_then(|conn| {
        conn.busy_timeout(READ_TIMEOUT)?;
        let there = conn.table_exists(None, "coupon_sink_position")?;
        Ok(there.then_some(conn))
    });
    let conn = opened.map_err(|e| fault(path, "open", &e))?;
    if let Some(conn) = &conn {
        for table in &ddl::TABLES {
            check_shape(conn, table, path, users)?;
        }
    }
    Ok(conn)
}

/// A connection keeps its file when that is replaced or removed, and would store where nobody looks.
pub(super) fn same_file(path: &Path, opened: &Opened) -> Result<(), LedgerError> {
    if file_of(path).is_ok_and(|file| file == opened.file) {
        return Ok(());
    }
    Err(LedgerError::Unavailable(format!("ledger: {} was replaced or removed; it is opened anew", path.display())))
}

fn file_of(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

fn connect(path: &Path, more: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    Ok(conn)
}

/// WAL, so that who reads the ledger never stops it; FULL, so that a commit is on disk.
fn durable(conn: Connection) -> rusqlite::Result<Connection> {
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    Ok(conn)
}

fn make_tables(conn: &mut Connection, options: &SqliteOptions) -> Result<(), LedgerError> {
    let path = &options.path;
    let failed = |e| fault(path, "create the tables", &e);
    let mut missing = Vec::new();
    for table in &ddl::TABLES {
        if !conn.table_exists(None, table.name).map_err(|e| fault(path, "look for the tables", &e))? {
            missing.push(table);
        }
    }
    if missing.is_empty() {
        return if options.create { add_hole(conn).map_err(failed) } else { Ok(()) };
    }
    if !options.create {
        return Err(LedgerError::Unfit(format!(
            "ledger: {} has no table {} and --ledger-create is no; make it with: coupon-gate ddl sqlite | sqlite3 {0}",
            path.display(),
            missing[0].name
        )));
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    for table in missing {
        tx.execute(&ddl::sqlite_table(table, options.users), []).map_err(failed)?;
    }
    tx.commit().map_err(failed)
}

/// Ledgers made before a table had its index get it: without it, each look at the table reads all of it.
fn make_index(conn: &Connection, table: &Table, options: &SqliteOptions) -> Result<(), LedgerError> {
    let path = &options.path;
    let Some(sql) = ddl::sqlite_index(table) else { return Ok(()) };
    let there = indexes(conn, table).map_err(|e| fault(path, "read the tables", &e))?;
    if there.values().any(|columns| columns.iter().take(table.index.len()).eq(table.index)) {
        return Ok(());
    }
    if !options.create {
        return Err(LedgerError::Unfit(format!(
            "ledger: {}: table {} has no index ({}) and --ledger-create is no; make it with: {sql}",
            path.display(),
            table.name,
            table.index.join(", ")
        )));
    }
    conn.execute(&sql, []).map(drop).map_err(|e| fault(path, "create an index", &e))
}

/// The columns of every index.
fn indexes(conn: &Connection, table: &Table) -> rusqlite::Result<BTreeMap<String, Vec<String>>> {
    let sql = "SELECT one.name, part.name FROM pragma_index_list(?1) AS one, pragma_index_info(one.name) AS part \
               WHERE NOT one.partial AND part.name IS NOT NULL ORDER BY one.name, part.seqno";
    let mut statement = conn.prepare(sql)?;
    let parts = statement.query_map([table.name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut indexes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in parts {
        let (index, column) = part?;
        indexes.entry(index).or_default().push(column);
    }
    Ok(indexes)
}

/// Ledgers made before there was a column `hole` get it: nothing was missing there.
fn add_hole(conn: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT count(*) FROM pragma_table_info('coupon_sink_position') WHERE name = 'hole'";
    if conn.query_row(sql, [], |row| row.get::<_, i64>(0))? == 1 {
        return Ok(());
    }
    conn.execute("ALTER TABLE coupon_sink_position ADD COLUMN hole INTEGER NOT NULL DEFAULT 0", []).map(drop)
}

/// Our columns with their types and the primary key must be there; what else the table has must not need a value.
fn check_shape(conn: &Connection, table: &Table, path: &Path, users: UserColumn) -> Result<(), LedgerError> {
    let read = || -> rusqlite::Result<Vec<Column>> {
        let sql = "SELECT name, type, pk, \"notnull\" AND dflt_value IS NULL FROM pragma_table_info(?1)";
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([table.name], |row| {
            Ok(Column {
                name: row.get(0)?,
                affinity: affinity(&row.get::<_, String>(1)?),
                pk: row.get(2)?,
                must: row.get(3)?,
            })
        })?;
        rows.collect()
    };
    let there = read().map_err(|e| fault(path, "read the tables", &e))?;
    let unfit = |what: String| {
        let hint = match (table.columns.iter().any(|c| c.1 == ddl::USER_TYPE), users) {
            (true, UserColumn::Bigint) => " (or should --ledger-users be text?)",
            (true, UserColumn::Text) => " (or should --ledger-users be bigint?)",
            (false, UserColumn::Bigint | UserColumn::Text) => "",
        };
        LedgerError::Unfit(format!(
            "ledger: {}: table {} has another shape: {what}; compare with: coupon-gate ddl sqlite{hint}",
            path.display(),
            table.name
        ))
    };
    for (name, declared, _) in table.columns {
        let want = ddl::sqlite_type(declared, users);
        match there.iter().find(|column| column.name == *name) {
            None => return Err(unfit(format!("column {name} is missing"))),
            Some(column) if column.affinity != want => {
                return Err(unfit(format!("column {name} is {}, not {want}", column.affinity)));
            }
            Some(_) => {}
        }
    }
    if let Some(odd) = there.iter().find(|c| c.must && !table.columns.iter().any(|(name, ..)| *name == c.name)) {
        return Err(unfit(format!("column {} needs a value and has no default", odd.name)));
    }
    let mut key: Vec<(i64, &str)> = there.iter().filter(|c| c.pk > 0).map(|c| (c.pk, c.name.as_str())).collect();
    key.sort_unstable();
    if !key.iter().map(|(_, name)| *name).eq(table.key.iter().copied()) {
        return Err(unfit(format!("its primary key is not ({})", table.key.join(", "))));
    }
    Ok(())
}

struct Column {
    name: String,
    affinity: &'static str,
    pk: i64,
    must: bool,
}

/// The rules of SQLite's "Determination Of Column Affinity".
fn affinity(declared: &str) -> &'static str {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if has("INT") {
        "INTEGER"
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        "TEXT"
    } else if has("BLOB") || declared.is_empty() {
        "BLOB"
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        "REAL"
    } else {
        "NUMERIC"
    }
}

/// One statement that changes rows, with parameters that we know.
fn check_also(conn: &Connection, path: &Path, kind: Kind, sql: &str) -> Result<Also, LedgerError> {
    let (setting, known) = (also_setting(kind), also_parameters(kind));
    let refuse = |why: String| LedgerError::Unfit(format!("{setting}: {why}; the statement is: {sql}"));
    let statement = conn.prepare(sql).map_err(|e| match fault(path, &format!("prepare {setting}"), &e) {
        busy @ LedgerError::Unavailable(_) if is_passing(&e) => busy,
        LedgerError::Unavailable(_)
        | LedgerError::Unfit(_)
        | LedgerError::Refused(_)
        | LedgerError::Contradiction(_)
        | LedgerError::OtherJournal { .. }
        | LedgerError::TakenOver(_) => refuse(e.to_string()),
    })?;
    let first: String = sql.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    let verbs = ["INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"];
    if !verbs.contains(&first.to_ascii_uppercase().as_str()) || statement.readonly() || statement.column_count() > 0 {
        return Err(refuse("it must be one INSERT, UPDATE or DELETE that returns no rows".into()));
    }
    let mut parameters = Vec::new();
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).unwrap_or("?");
        let unknown = || refuse(format!("unknown parameter {name}; there are {}", known.join(" ")));
        parameters.push(*known.iter().find(|known| **known == name).ok_or_else(unknown)?);
    }
    Ok(Also { sql: sql.into(), parameters })
}

/// An error that another moment can heal, by SQLite's code; everything without one is a statement's own fault.
fn is_passing(error: &rusqlite::Error) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed, OperationInterrupted,
        OutOfMemory, PermissionDenied, ReadOnly, SchemaChanged, SystemIoFailure,
    };
    let code = error.sqlite_error_code();
    code.is_some_and(|code| {
        [
            CannotOpen,
            DatabaseBusy,
            DatabaseLocked,
            DiskFull,
            FileLockingProtocolFailed,
            OperationInterrupted,
            OutOfMemory,
            PermissionDenied,
            ReadOnly,
            SchemaChanged,
            SystemIoFailure,
        ]
        .contains(&code)
    })
}

/// What an error of SQLite means to the sink. What is not plainly permanent counts as passing: it is tried again
/// with a new connection, which says more.
pub(crate) fn fault(path: &Path, doing: &str, error: &rusqlite::Error) -> LedgerError {
    let text = format!("ledger: {}: cannot {doing}: {error}", path.display());
    let code = error.sqlite_error_code();
    if code == Some(ErrorCode::NotADatabase) {
        LedgerError::Unfit(text)
    } else if [Some(ErrorCode::ConstraintViolation), Some(ErrorCode::TypeMismatch), Some(ErrorCode::TooBig)]
        .contains(&code)
    {
        LedgerError::Refused(text)
    } else {
        LedgerError::Unavailable(text)
    }
}
