//! Tables that are made, that fit, that do not; and who may not use them.

use super::{at, claim, count, grants, open, peace, settings, store, unavailable};
use crate::peers::mariadb::{self, Database};
use coupon_gate::ledger::{LedgerAt, LedgerError, LedgerSettings, MysqlAt, Password, UserColumn, ddl_mysql};

/// Why the ledger does not open.
#[track_caller]
fn unfit(settings: &LedgerSettings) -> String {
    match settings.to_write().open() {
        Err(LedgerError::Unfit(line)) => line,
        other => panic!("not unfit: {other:?}"),
    }
}

/// Makes the tables as `coupon-gate ddl mysql` prints them.
fn make(database: &Database, users: UserColumn) {
    for statement in ddl_mysql::mysql(users).split_terminator(";\n") {
        database.execute(statement);
    }
}

#[test]
fn without_leave_to_make_tables_a_missing_one_is_named_with_the_remedy() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = LedgerSettings { create: false, ..settings(&database) };
    let line = unfit(&settings);
    assert!(line.contains("there is no table coupon_grant and --ledger-create is no"), "{line}");
    assert!(line.contains(&format!("coupon-gate ddl mysql | mysql {}", database.name)), "{line}");
    assert_eq!(database.query::<String>("SHOW TABLES"), [""; 0]);

    make(&database, UserColumn::Bigint);
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    store(&mut *ledger, &mut position, &grants(1..=3)).unwrap();

    database.execute("DROP TABLE coupon_return");
    assert!(unfit(&settings).contains("there is no table coupon_return"));
    let line = match settings.to_read().map(drop) {
        Err(LedgerError::Unfit(line)) => line,
        other => panic!("{other:?}"),
    };
    assert!(line.contains("table coupon_return has another shape: it is missing"), "{line}");
}

#[test]
fn tables_of_another_shape_are_refused_with_what_differs() {
    let _peace = peace();
    for (change, what) in [
        ("ALTER TABLE coupon_grant DROP COLUMN seq", "column seq is missing"),
        (
            "ALTER TABLE coupon_grant MODIFY seat SMALLINT UNSIGNED NOT NULL",
            "column seat is smallint(5) unsigned, not INT",
        ),
        ("ALTER TABLE coupon_grant MODIFY seat INT NOT NULL", "column seat is int(11), not INT UNSIGNED"),
        ("ALTER TABLE coupon_grant MODIFY user_id VARBINARY(64) NOT NULL", "or should --ledger-users be text?"),
        (
            "ALTER TABLE coupon_grant MODIFY campaign VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
            "column campaign is varchar(64) utf8mb4_general_ci",
        ),
        (
            "ALTER TABLE coupon_grant MODIFY campaign VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL",
            "column campaign is varchar(32)",
        ),
        (
            "ALTER TABLE coupon_grant MODIFY granted_at DATETIME NOT NULL",
            "column granted_at is datetime, not DATETIME(3)",
        ),
        ("ALTER TABLE coupon_grant MODIFY log_id BINARY(32) NOT NULL", "column log_id is binary(32)"),
        (
            "ALTER TABLE coupon_grant DROP PRIMARY KEY, ADD PRIMARY KEY (campaign, seat, nth)",
            "its primary key is not (campaign, seat)",
        ),
        ("ALTER TABLE coupon_grant DROP KEY uq_user", "it has no UNIQUE KEY (user_id, campaign, nth)"),
        ("ALTER TABLE coupon_grant ADD COLUMN shop INT NOT NULL", "column shop needs a value and has no default"),
        ("ALTER TABLE coupon_sink_position ENGINE=Aria", "it is Aria, not InnoDB"),
        ("ALTER TABLE coupon_dead_letter MODIFY value BLOB", "column value is blob, not LONGBLOB"),
    ] {
        let database = mariadb::shared().database();
        make(&database, UserColumn::Bigint);
        database.execute(change);
        let line = unfit(&settings(&database));
        assert!(line.contains(" has another shape: ") && line.contains(what), "{change}: {line}");
        assert!(line.contains("compare with: coupon-gate ddl mysql"), "{line}");
    }
}

#[test]
fn tables_that_hold_more_are_as_good() {
    let _peace = peace();
    let database = mariadb::shared().database();
    make(&database, UserColumn::Bigint);
    for change in [
        "ALTER TABLE coupon_grant MODIFY seat BIGINT NOT NULL, MODIFY nth INT NOT NULL, MODIFY seq BIGINT NOT NULL",
        "ALTER TABLE coupon_grant MODIFY granted_at DATETIME(6) NOT NULL, MODIFY log_id VARBINARY(64) NOT NULL",
        "ALTER TABLE coupon_grant MODIFY campaign VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL",
        "ALTER TABLE coupon_grant ADD COLUMN shop INT NOT NULL DEFAULT 7, ADD COLUMN note TEXT, ADD KEY (granted_at)",
        "ALTER TABLE coupon_sink_position MODIFY updated_at TIMESTAMP(6) NOT NULL, MODIFY kpart BIGINT NOT NULL",
    ] {
        database.execute(change);
    }
    let settings = settings(&database);
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    let rows = grants(1..=3);
    store(&mut *ledger, &mut position, &rows).unwrap();
    assert_eq!(super::reader(&settings).grants(None, 10), Ok(rows));
}

#[test]
fn text_users_need_columns_for_text() {
    let _peace = peace();
    let database = mariadb::shared().database();
    make(&database, UserColumn::Bigint);
    let settings = LedgerSettings { users: UserColumn::Text, ..settings(&database) };
    assert!(unfit(&settings).contains("column user_id is bigint(20), not VARBINARY(64)"));
    assert!(unfit(&settings).contains("or should --ledger-users be bigint?"));
    for table in ["coupon_grant", "coupon_return"] {
        database.execute(&format!(
            "ALTER TABLE {table} MODIFY user_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"
        ));
    }
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    store(&mut *ledger, &mut position, &grants(1..=3)).unwrap();
}

/// The same database as another user.
fn as_user(database: &Database, user: &str, password: &str) -> MysqlAt {
    MysqlAt { user: user.into(), password: Some(Password::new(password)), ..at(database) }
}

#[test]
fn a_wrong_password_is_told_and_tried_again() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let wrong = LedgerSettings::new(LedgerAt::Mysql(as_user(&database, &database.name, "sesame-shut")));
    let mut ledger = wrong.to_write();
    let line = unavailable(ledger.open());
    assert!(line.contains("wrong user or password") && line.contains("--ledger-password-file"), "{line}");
    assert!(!line.contains("sesame-shut"), "{line}");
    assert!(unavailable(wrong.to_read().map(drop)).contains("wrong user or password"));
    // Put right on the server, while the gate runs.
    database.execute(&format!("SET PASSWORD FOR {}@'%' = PASSWORD('sesame-shut')", database.name));
    ledger.open().unwrap();
}

#[test]
fn a_database_that_is_not_there_is_told_and_tried_again() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let elsewhere = |name: &str| MysqlAt { database: name.into(), ..at(&database) };
    let hidden = LedgerSettings::new(LedgerAt::Mysql(elsewhere("no_such_shop")));
    let line = unavailable(hidden.to_write().open());
    assert!(line.contains("may not use the database no_such_shop, or there is none"), "{line}");

    let user = crate::peers::unique("manager");
    database.execute(&format!("CREATE USER {user}@'%' IDENTIFIED BY 'open-sesame'"));
    database.execute(&format!("GRANT ALL ON *.* TO {user}@'%'"));
    let name = crate::peers::unique("later");
    let at = MysqlAt { database: name.clone(), ..as_user(&database, &user, "open-sesame") };
    let settings = LedgerSettings::new(LedgerAt::Mysql(at));
    assert!(settings.to_read().unwrap().is_none());
    let mut ledger = settings.to_write();
    let line = unavailable(ledger.open());
    assert!(line.contains(&format!("there is no database {name}")) && line.contains("CREATE DATABASE"), "{line}");
    database.execute(&format!("CREATE DATABASE {name}"));
    ledger.open().unwrap();
}

#[test]
fn a_user_who_only_reads_can_read_and_is_told_what_he_lacks() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let full = settings(&database);
    let mut ledger = open(&full);
    let mut position = claim(&mut *ledger);
    store(&mut *ledger, &mut position, &grants(1..=3)).unwrap();
    let user = crate::peers::unique("reader");
    database.execute(&format!("CREATE USER {user}@'%' IDENTIFIED BY 'open-sesame'"));
    database.execute(&format!("GRANT SELECT ON {}.* TO {user}@'%'", database.name));
    let settings = LedgerSettings::new(LedgerAt::Mysql(as_user(&database, &user, "open-sesame")));
    assert_eq!(super::reader(&settings).grants(None, 10), Ok(grants(1..=3)));
    let mut reading = settings.to_write();
    let line = unavailable(reading.open());
    assert!(
        line.contains("UPDATE command denied") && line.contains("needs SELECT, INSERT, UPDATE and DELETE"),
        "{line}"
    );
    database.execute(&format!("GRANT INSERT, UPDATE ON {}.* TO {user}@'%'", database.name));
    let line = unavailable(reading.open());
    assert!(line.contains("DELETE command denied"), "a return takes its grant's row away: {line}");
    database.execute(&format!("GRANT DELETE ON {}.* TO {user}@'%'", database.name));
    reading.open().unwrap();
    // The one who stored before has a right less.
    database.execute(&format!("REVOKE ALL ON {0}.* FROM {0}@'%'", database.name));
    database.execute(&format!("GRANT SELECT, UPDATE ON {0}.* TO {0}@'%'", database.name));
    let mut ledger = full.to_write();
    let line = unavailable(ledger.open());
    assert!(line.contains("INSERT command denied"), "{line}");
    assert_eq!(count(&database), 3);
}
