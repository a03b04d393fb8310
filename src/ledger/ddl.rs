//! The ledger's tables as data: what `open` creates and checks, and what `coupon-gate ddl` prints.
//! If a column changes, a ledger of the release before must still open, or be refused with what to do.

use super::UserColumn;

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What it is for: a comment in the DDL.
    pub about: &'static str,
    /// Name, type, comment; every column is NOT NULL unless its type says NULL.
    pub columns: &'static [(&'static str, &'static str, &'static str)],
    /// Columns of the primary key, in order; the rows lie in this order.
    pub key: &'static [&'static str],
    /// Columns of the one further UNIQUE, or none.
    pub unique: &'static [&'static str],
    /// Columns that the one further index begins with, or none.
    pub index: &'static [&'static str],
}

impl Table {
    /// The name of its index.
    pub fn index_name(&self) -> String {
        format!("{}_by_{}", self.name, self.index.join("_"))
    }
}

/// Stands for the type that `--ledger-users` chooses.
pub const USER_TYPE: &str = "USER";

const GRANT: Table = Table {
    name: "coupon_grant",
    about: "one row for each grant",
    columns: &[
        ("campaign", "TEXT", ""),
        ("seat", "INTEGER", "1..limit, in the order of arrival"),
        ("user_id", USER_TYPE, ""),
        ("nth", "INTEGER", "the user's n-th seat in this campaign"),
        ("granted_at", "TEXT", "UTC, 'YYYY-MM-DD HH:MM:SS.mmm'"),
        ("log_id", "TEXT", "the gate's journal, 32 hex digits"),
        ("seq", "INTEGER", "the grant's position in that journal"),
    ],
    key: &["campaign", "seat"],
    unique: &["user_id", "campaign", "nth"],
    index: &[],
};

const RETURN: Table = Table {
    name: "coupon_return",
    about: "grants that were taken back: the row as it was",
    columns: &[
        ("campaign", "TEXT", ""),
        ("seat", "INTEGER", ""),
        ("user_id", USER_TYPE, ""),
        ("nth", "INTEGER", ""),
        ("granted_at", "TEXT", "UTC"),
        ("log_id", "TEXT", ""),
        ("seq", "INTEGER", "the grant's"),
        ("returned_at", "TEXT", "UTC"),
        ("return_seq", "INTEGER", "the return's position in that journal"),
    ],
    key: &["log_id", "return_seq"],
    unique: &[],
    index: &["campaign", "seq"],
};

const POSITION: Table = Table {
    name: "coupon_sink_position",
    about: "how far each source is stored; moves in the transaction that stores the rows. Never edit it.",
    columns: &[
        ("source", "TEXT", "journal:LOG, kafka:CLUSTER:TOPIC or kafka-returns:CLUSTER:TOPIC"),
        ("kpart", "INTEGER", "partition; 0 for a journal"),
        ("next_position", "INTEGER", "the first position that is not stored: an lsn, or an offset"),
        ("log_id", "TEXT", "the journal of the last record stored from there"),
        ("last_seq", "INTEGER", "its seq"),
        ("hole", "INTEGER", "1: records behind it are missing there, and are awaited"),
        ("owner_epoch", "INTEGER", "only the newest owner may store"),
        ("owner", "TEXT", ""),
        ("updated_at", "TEXT", "UTC"),
    ],
    key: &["source", "kpart"],
    unique: &[],
    index: &[],
};

const DEAD_LETTER: Table = Table {
    name: "coupon_dead_letter",
    about: "records that could not be stored, kept for an operator to judge",
    columns: &[
        ("source", "TEXT", ""),
        ("kpart", "INTEGER", ""),
        ("position", "INTEGER", ""),
        ("reason", "TEXT", ""),
        ("key", "BLOB NULL", ""),
        ("value", "BLOB NULL", ""),
        ("headers", "TEXT NULL", "JSON"),
        ("at", "TEXT", "UTC"),
    ],
    key: &["source", "kpart", "position"],
    unique: &[],
    index: &[],
};

/// All tables of the ledger.
pub const TABLES: [Table; 4] = [GRANT, RETURN, POSITION, DEAD_LETTER];

/// SQLite's word for a column's type: its affinity, as `PRAGMA table_info` shows it.
pub fn sqlite_type(declared: &'static str, users: UserColumn) -> &'static str {
    match (declared, users) {
        (USER_TYPE, UserColumn::Bigint) => "INTEGER",
        (USER_TYPE, UserColumn::Text) => "TEXT",
        (other, _) => other.strip_suffix(" NULL").unwrap_or(other),
    }
}

/// One table as an SQLite statement, without a semicolon.
pub fn sqlite_table(table: &Table, users: UserColumn) -> String {
    let mut sql = format!("CREATE TABLE IF NOT EXISTS {} ( -- {}\n", table.name, table.about);
    for (name, declared, comment) in table.columns {
        let null = if declared.ends_with(" NULL") { "" } else { " NOT NULL" };
        let remark = if comment.is_empty() { String::new() } else { format!(" -- {comment}") };
        sql += &format!("  {name} {}{null},{remark}\n", sqlite_type(declared, users));
    }
    sql += &format!("  PRIMARY KEY ({})", table.key.join(", "));
    if !table.unique.is_empty() {
        sql += &format!(",\n  UNIQUE ({})", table.unique.join(", "));
    }
    sql + "\n) WITHOUT ROWID"
}

/// The index of a table that has one, as an SQLite statement, without a semicolon.
pub fn sqlite_index(table: &Table) -> Option<String> {
    let columns = table.index.join(", ");
    let sql = || format!("CREATE INDEX IF NOT EXISTS {} ON {} ({columns})", table.index_name(), table.name);
    (!table.index.is_empty()).then(sql)
}

/// All tables as an SQLite script: what `coupon-gate ddl sqlite` prints.
pub fn sqlite(users: UserColumn) -> String {
    let script = |table| {
        let index = sqlite_index(table).map_or(String::new(), |index| index + ";\n");
        format!("{};\n{index}", sqlite_table(table, users))
    };
    TABLES.iter().map(script).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_what_users_were_promised() {
        assert_eq!(sqlite(UserColumn::Bigint), include_str!("ddl.golden.sql"));
    }

    #[test]
    fn text_users_change_the_user_columns_and_nothing_else() {
        let text = sqlite(UserColumn::Text);
        assert_eq!(text.replace("user_id TEXT", "user_id INTEGER"), sqlite(UserColumn::Bigint));
        assert_eq!(text.matches("user_id TEXT").count(), 2);
    }
}
