//! The ledger's tables in the words of MySQL and MariaDB.

use super::UserColumn;
use super::ddl::{TABLES, Table};

/// What a column of ours has to hold: what is there may be wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// All whole numbers between the two.
    Whole(i128, i128),
    /// Text that is compared byte by byte, up to this many characters.
    Name(u64),
    /// Text that is only read by people, up to this many bytes.
    Words(u64),
    /// Exactly these bytes, at most so many.
    Bytes(u64),
    /// A time with so many digits behind the second.
    Time(u64),
}

/// A column's type, and what that promises.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) declared: &'static str,
    pub(super) holds: Holds,
}

const SEQ: Holds = Holds::Whole(0, i64::MAX as i128);

/// One column: a name means the same in every table.
///
/// Users that are text are VARBINARY: they need not be UTF-8, and the collations that both servers know take two users
/// for one that differ in spaces at the end alone.
pub(super) fn column(name: &str, users: UserColumn) -> Column {
    let (declared, holds) = match (name, users) {
        ("campaign", _) => ("VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin", Holds::Name(64)),
        ("seat", _) => ("INT UNSIGNED", Holds::Whole(0, u32::MAX as i128)),
        ("user_id", UserColumn::Bigint) => ("BIGINT", Holds::Whole(i64::MIN as i128, i64::MAX as i128)),
        ("user_id", UserColumn::Text) => ("VARBINARY(64)", Holds::Name(64)),
        ("nth", _) => ("SMALLINT UNSIGNED", Holds::Whole(0, u16::MAX as i128)),
        ("granted_at" | "returned_at" | "at", _) => ("DATETIME(3)", Holds::Time(3)),
        ("updated_at", _) => ("DATETIME(6)", Holds::Time(6)),
        ("log_id", _) => ("BINARY(16)", Holds::Bytes(16)),
        ("seq" | "return_seq" | "next_position" | "last_seq" | "owner_epoch" | "position", _) => {
            ("BIGINT UNSIGNED", SEQ)
        }
        ("source", _) => ("VARCHAR(400) CHARACTER SET ascii COLLATE ascii_bin", Holds::Name(400)),
        ("kpart", _) => ("INT UNSIGNED", Holds::Whole(0, i32::MAX as i128)),
        ("hole", _) => ("TINYINT", Holds::Whole(0, 1)),
        ("owner", _) => ("VARCHAR(255) CHARACTER SET utf8mb4", Holds::Words(255)),
        ("reason", _) => ("TEXT CHARACTER SET utf8mb4", Holds::Words(65_535)),
        ("headers", _) => ("LONGTEXT CHARACTER SET utf8mb4", Holds::Words(16_777_215)),
        ("key" | "value", _) => ("LONGBLOB", Holds::Bytes(16_777_215)),
        (other, _) => unreachable!("the column {other} has no type in MySQL"),
    };
    Column { declared, holds }
}

/// One table as a statement, without a semicolon.
pub fn mysql_table(table: &Table, users: UserColumn) -> String {
    let mut sql = format!("CREATE TABLE IF NOT EXISTS {} (\n", table.name);
    for (name, declared, comment) in table.columns {
        let null = if declared.ends_with(" NULL") { "NULL" } else { "NOT NULL" };
        sql += &format!("  {} {} {null}", quoted(name), column(name, users).declared);
        // The type says how a time or a journal is written; the comment only has to say what it is.
        let comment = match *name {
            "granted_at" | "returned_at" | "updated_at" | "at" => "UTC",
            "log_id" if !comment.is_empty() => comment.strip_suffix(", 32 hex digits").unwrap_or(comment),
            _ => comment,
        };
        if !comment.is_empty() {
            sql += &format!(" COMMENT {}", literal(comment));
        }
        sql += ",\n";
    }
    sql += &format!("  PRIMARY KEY ({})", list(table.key));
    if !table.unique.is_empty() {
        sql += &format!(",\n  UNIQUE KEY uq_user ({})", list(table.unique));
    }
    if !table.index.is_empty() {
        sql += &format!(",\n  KEY {} ({})", table.index_name(), list(table.index));
    }
    sql + &format!("\n) ENGINE=InnoDB COMMENT={}", literal(table.about))
}

/// The index of a table that was made without it, as a statement, without a semicolon.
pub(super) fn mysql_index(table: &Table) -> String {
    format!("CREATE INDEX {} ON {} ({})", table.index_name(), table.name, list(table.index))
}

/// All tables as a script: what `coupon-gate ddl mysql` prints.
pub fn mysql(users: UserColumn) -> String {
    TABLES.iter().map(|table| mysql_table(table, users) + ";\n").collect::<Vec<_>>().join("\n")
}

/// `key` is a word of SQL.
fn quoted(name: &str) -> String {
    if name == "key" { format!("`{name}`") } else { name.to_owned() }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_what_users_were_promised() {
        assert_eq!(mysql(UserColumn::Bigint), include_str!("ddl_mysql.golden.sql"));
    }

    #[test]
    fn text_users_change_the_user_columns_and_nothing_else() {
        let text = mysql(UserColumn::Text);
        assert_eq!(text.replace("user_id VARBINARY(64)", "user_id BIGINT"), mysql(UserColumn::Bigint));
        assert_eq!(text.matches("user_id VARBINARY(64)").count(), 2);
    }
}
