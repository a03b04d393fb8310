//! Opening a MySQL ledger: connection, tables and their shape, the operator's statements.

use mysql::Conn;
use mysql::prelude::Queryable;

use super::both::{Each, also_setting};
use super::ddl::{self, Table};
use super::ddl_mysql::{self, Column, Holds};
use super::mysql::MysqlOptions;
use super::mysql_also::Also;
use super::mysql_at::{LOOK, MysqlAt, WORK};
use super::mysql_fault::{self, address, fault};
use super::mysql_rows::rows;
use super::{LedgerError, UserColumn};
use crate::grant::Kind;

/// An open connection.
pub(super) struct Opened {
    pub(super) conn: Conn,
    pub(super) also: Each<Option<Also>>,
    /// Statements of others in this server when that was asked last.
    pub(super) others: Option<u64>,
}

/// A sink that stands still in the middle of a transaction holds the rows that its heir must read. One that works says
/// something at least every 3 seconds; its heir counts its 10 seconds from when it can read them.
const GIVE_UP_THE_FROZEN: &str = "SET SESSION wait_timeout = 5";

/// Statements that change nothing and need the rights that a sink needs, also from a server that is read-only.
const RIGHTS: [&str; 5] = [
    "UPDATE coupon_sink_position SET hole = hole WHERE 1 = 0",
    "INSERT INTO coupon_grant SELECT * FROM coupon_grant WHERE 1 = 0",
    "DELETE FROM coupon_grant WHERE 1 = 0",
    "INSERT INTO coupon_return SELECT * FROM coupon_return WHERE 1 = 0",
    "INSERT INTO coupon_dead_letter SELECT * FROM coupon_dead_letter WHERE 1 = 0",
];

/// Connects, makes and checks the tables, checks the operator's statements and the rights.
pub(super) fn open(options: &MysqlOptions) -> Result<Opened, LedgerError> {
    let at = &options.at;
    let also = Each::try_new(|kind| options.also(kind).map(|text| Also::parse(kind, text)).transpose())?;
    let mut conn = at.connect(LOOK)?;
    make_tables(&mut conn, options)?;
    for table in &ddl::TABLES {
        check_shape(&mut conn, table, at, options.users)?;
    }
    for table in &ddl::TABLES {
        make_index(&mut conn, table, options)?;
    }
    for sql in RIGHTS {
        conn.query_drop(sql).map_err(|e| fault(at, "write to the tables", &e))?;
    }
    for kind in Kind::ALL {
        if let (Some(also), Some(text)) = (also.of(kind), options.also(kind)) {
            check_also(&mut conn, at, kind, also, text)?;
        }
    }
    // What was a look has short time-outs, and a connection keeps those that it began with.
    drop(conn);
    let mut conn = at.connect(WORK)?;
    conn.query_drop(GIVE_UP_THE_FROZEN).map_err(|e| fault(at, "limit the time of a silent session", &e))?;
    Ok(Opened { conn, also, others: None })
}

/// Opens the database for who only reads; `None` where it, or our tables in it, are not there.
pub(super) fn open_to_read(at: &MysqlAt, users: UserColumn) -> Result<Option<Conn>, LedgerError> {
    let mut conn = match at.dial(LOOK)? {
        Ok(conn) => conn,
        Err(mysql::Error::MySqlError(answer)) if answer.code == mysql_fault::NO_SUCH_DATABASE => return Ok(None),
        Err(error) => return Err(mysql_fault::connecting(at, &error)),
    };
    let missing = missing_tables(&mut conn, at)?;
    if missing.len() == ddl::TABLES.len() {
        return Ok(None);
    }
    for table in &ddl::TABLES {
        check_shape(&mut conn, table, at, users)?;
    }
    drop(conn);
    at.connect(WORK).map(Some)
}

fn missing_tables(conn: &mut Conn, at: &MysqlAt) -> Result<Vec<&'static Table>, LedgerError> {
    let sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()";
    let there: Vec<String> = rows(conn, sql, ()).map_err(|e| fault(at, "look for the tables", &e))?;
    Ok(ddl::TABLES.iter().filter(|table| !there.iter().any(|name| name == table.name)).collect())
}

fn make_tables(conn: &mut Conn, options: &MysqlOptions) -> Result<(), LedgerError> {
    let at = &options.at;
    let missing = missing_tables(conn, at)?;
    if let (Some(table), false) = (missing.first(), options.create) {
        return Err(LedgerError::Unfit(format!(
            "{}: there is no table {} and --ledger-create is no; make it with: coupon-gate ddl mysql | mysql {}",
            address(at),
            table.name,
            at.database
        )));
    }
    for table in missing {
        let sql = ddl_mysql::mysql_table(table, options.users);
        conn.query_drop(sql).map_err(|e| fault(at, &format!("create the table {}", table.name), &e))?;
    }
    Ok(())
}

/// Tables that were made before they had their index get it: without it, each look at the table reads all of it.
fn make_index(conn: &mut Conn, table: &Table, options: &MysqlOptions) -> Result<(), LedgerError> {
    let at = &options.at;
    if table.index.is_empty() {
        return Ok(());
    }
    let there = indexes(conn, table).map_err(|e| fault(at, "read the tables", &e))?;
    if there.iter().any(|index| index.columns.iter().take(table.index.len()).eq(table.index)) {
        return Ok(());
    }
    let sql = ddl_mysql::mysql_index(table);
    if !options.create {
        return Err(LedgerError::Unfit(format!(
            "{}: table {} has no index ({}) and --ledger-create is no; make it with: {sql}",
            address(at),
            table.name,
            table.index.join(", ")
        )));
    }
    conn.query_drop(sql).map_err(|e| fault(at, &format!("create an index of the table {}", table.name), &e))
}

/// Our columns must hold what ours hold, under our keys, in InnoDB; what else the table has must not need a value.
fn check_shape(conn: &mut Conn, table: &Table, at: &MysqlAt, users: UserColumn) -> Result<(), LedgerError> {
    let unfit = |what: String| {
        let hint = match (what.contains("user_id"), users) {
            (true, UserColumn::Bigint) => " (or should --ledger-users be text?)",
            (true, UserColumn::Text) => " (or should --ledger-users be bigint?)",
            (false, UserColumn::Bigint | UserColumn::Text) => "",
        };
        LedgerError::Unfit(format!(
            "{}: table {} has another shape: {what}; compare with: coupon-gate ddl mysql{hint}",
            address(at),
            table.name
        ))
    };
    let failed = |e| fault(at, "read the tables", &e);
    let sql = "SELECT COALESCE(engine, table_type) FROM information_schema.tables \
               WHERE table_schema = DATABASE() AND table_name = ?";
    match rows::<String>(conn, sql, (table.name,)).map_err(failed)?.pop() {
        None => return Err(unfit("it is missing".into())),
        Some(engine) if !engine.eq_ignore_ascii_case("innodb") => {
            return Err(unfit(format!("it is {engine}, not InnoDB, and has no transactions")));
        }
        Some(_) => {}
    }
    let there = columns(conn, table).map_err(failed)?;
    for (name, ..) in table.columns {
        let want = ddl_mysql::column(name, users);
        match there.iter().find(|column| column.name == *name) {
            None => return Err(unfit(format!("column {name} is missing"))),
            Some(column) if !column.carries(&want) => {
                return Err(unfit(format!("column {name} is {}, not {}", column.told(), want.declared)));
            }
            Some(_) => {}
        }
    }
    if let Some(odd) = there.iter().find(|c| c.must && !table.columns.iter().any(|(name, ..)| *name == c.name)) {
        return Err(unfit(format!("column {} needs a value and has no default", odd.name)));
    }
    let indexes = indexes(conn, table).map_err(failed)?;
    if !indexes.iter().any(|index| index.name == "PRIMARY" && index.columns.iter().eq(table.key)) {
        return Err(unfit(format!("its primary key is not ({})", table.key.join(", "))));
    }
    let same = |index: &Index| {
        let Index { columns, is_unique, .. } = index;
        *is_unique
            && columns.len() == table.unique.len()
            && table.unique.iter().all(|name| columns.iter().any(|c| c == name))
    };
    if !table.unique.is_empty() && !indexes.iter().any(same) {
        return Err(unfit(format!("it has no UNIQUE KEY ({})", table.unique.join(", "))));
    }
    Ok(())
}

/// A column that is there.
struct There {
    name: String,
    /// `bigint`, `varchar`
    kind: String,
    /// `bigint(20) unsigned`
    full: String,
    /// Of text and bytes: the most bytes.
    bytes: u64,
    /// Of text: the most characters.
    characters: u64,
    /// Of times: the digits behind the second.
    digits: u64,
    collation: String,
    must: bool,
}

fn columns(conn: &mut Conn, table: &Table) -> mysql::Result<Vec<There>> {
    let sql = "SELECT column_name, data_type, column_type, COALESCE(character_octet_length, 0), \
                      COALESCE(character_maximum_length, 0), COALESCE(datetime_precision, 0), \
                      COALESCE(collation_name, ''), \
                      is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%' \
                      AND extra NOT LIKE '%GENERATED%' \
               FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?";
    type Told = (String, String, String, u64, u64, u64, String, bool);
    let told: Vec<Told> = rows(conn, sql, (table.name,))?;
    let columns = told.into_iter().map(|(name, kind, full, bytes, characters, digits, collation, must)| {
        let (kind, full) = (kind.to_ascii_lowercase(), full.to_ascii_lowercase());
        There { name, kind, full, bytes, characters, digits, collation, must }
    });
    Ok(columns.collect())
}

/// An index that is there.
struct Index {
    name: String,
    is_unique: bool,
    columns: Vec<String>,
}

fn indexes(conn: &mut Conn, table: &Table) -> mysql::Result<Vec<Index>> {
    let sql = "SELECT index_name, non_unique = 0, COALESCE(column_name, ''), sub_part IS NULL \
               FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? \
               ORDER BY index_name, seq_in_index";
    let parts: Vec<(String, bool, String, bool)> = rows(conn, sql, (table.name,))?;
    let mut indexes: Vec<Index> = Vec::new();
    for (name, is_unique, column, whole) in parts {
        // A prefix of a column is not the column.
        let column = if whole { column } else { format!("{column}(...)") };
        match indexes.last_mut().filter(|index| index.name == name) {
            Some(index) => index.columns.push(column),
            None => indexes.push(Index { name, is_unique, columns: vec![column] }),
        }
    }
    Ok(indexes)
}

impl There {
    /// Whether everything that ours holds goes in and comes out as it was.
    fn carries(&self, ours: &Column) -> bool {
        let kind = self.kind.as_str();
        match ours.holds {
            Holds::Whole(low, high) => self.range().is_some_and(|(least, most)| least <= low && high <= most),
            // Two names that differ must differ for the database too.
            Holds::Name(characters) => {
                kind == "varbinary" && self.bytes >= characters
                    || kind == "varchar" && self.characters >= characters && self.collation.ends_with("_bin")
            }
            Holds::Words(bytes) => {
                matches!(kind, "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "json")
                    && (self.bytes >= bytes || kind == "json")
            }
            Holds::Bytes(16) => self.full == "binary(16)" || kind == "varbinary" && self.bytes >= 16,
            Holds::Bytes(bytes) => kind.ends_with("blob") && self.bytes >= bytes,
            Holds::Time(digits) => matches!(kind, "datetime" | "timestamp") && self.digits >= digits,
        }
    }

    /// The whole numbers of this column.
    fn range(&self) -> Option<(i128, i128)> {
        let bits = match self.kind.as_str() {
            "tinyint" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" => 32,
            "bigint" => 64,
            _ => return None,
        };
        let all = 1_i128 << bits;
        Some(if self.full.contains("unsigned") { (0, all - 1) } else { (-(all >> 1), (all >> 1) - 1) })
    }

    fn told(&self) -> String {
        if self.collation.is_empty() { self.full.clone() } else { format!("{} {}", self.full, self.collation) }
    }
}

/// The server must understand it.
fn check_also(conn: &mut Conn, at: &MysqlAt, kind: Kind, also: &Also, text: &str) -> Result<(), LedgerError> {
    let setting = also_setting(kind);
    let refuse = |why: String| LedgerError::Unfit(format!("{setting}: {why}; the statement is: {text}"));
    let statement = conn.prep(&also.sql).map_err(|error| {
        if mysql_fault::passes(&error) {
            fault(at, &format!("prepare {setting}"), &error)
        } else {
            refuse(mysql_fault::told(&error))
        }
    })?;
    if usize::from(statement.num_params()) != also.parameters.len() {
        return Err(refuse("its parameters are not understood".into()));
    }
    Ok(())
}
