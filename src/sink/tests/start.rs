//! What is refused at the start, and what the operator's own statement does.

use super::*;

fn also(sql: &str) -> Bench {
    let mut bench = Bench::new();
    bench.settings.also = Some(sql.into());
    bench.sql().execute_batch("CREATE TABLE coupon (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL)").unwrap();
    bench
}

#[test]
fn the_operators_statement_runs_once_for_each_grant() {
    let bench = also("INSERT INTO coupon (user_id) VALUES (:user)");
    bench.spring();
    bench.grant(1..=1234);
    let sink = bench.start().unwrap();
    assert!(sink.stop(Duration::from_secs(60)));
    bench.assert_stored(1234);
    let same = "SELECT count(*) FROM coupon JOIN coupon_grant ON coupon.user_id = coupon_grant.user_id AND id = seat";
    assert_eq!(bench.number(same), 1234, "in the order of the seats");
    assert_eq!(bench.number("SELECT count(*) FROM coupon"), 1234);
}

#[test]
fn the_operators_statement_may_use_every_parameter_in_any_order() {
    let bench = also("INSERT INTO mine VALUES (:seq, :granted_at, :nth, :seat, :campaign, :user, :seat)");
    bench.sql().execute_batch("CREATE TABLE mine (a, b, c, d, e, f, g)").unwrap();
    bench.spring();
    bench.grant(1..=2);
    drain(&mut bench.worker().0).unwrap();
    let row = bench.text("SELECT concat_ws('|', a, b, c, d, e, f, g) FROM mine WHERE d = 2");
    assert_eq!(row, "3|2024-11-22 07:15:23.123|1|2|spring|1002|2");
}

#[test]
fn an_operators_statement_that_cannot_work_is_refused_and_says_why() {
    let cases = [
        ("INSERT INTO coupon (user_id) VALUES (:usr)", "unknown parameter :usr"),
        ("INSERT INTO coupon (user_id) VALUES (?)", "unknown parameter ?"),
        ("INSERT INTO coupon (user_id) VALUES (@user)", "unknown parameter @user"),
        ("INSERT INTO koupon (user_id) VALUES (:user)", "no such table: koupon"),
        ("INSERT INTO coupon (user) VALUES (:user)", "no column named user"),
        ("INSERT INTO coupon (user_id) VALUES (:user); DELETE FROM coupon", "Multiple statements"),
        ("SELECT :user", "one INSERT, UPDATE or DELETE"),
        ("COMMIT", "one INSERT, UPDATE or DELETE"),
        ("BEGIN IMMEDIATE", "one INSERT, UPDATE or DELETE"),
        ("INSERT INTO coupon (user_id) VALUES (:user) RETURNING id", "one INSERT, UPDATE or DELETE"),
        ("", "one INSERT, UPDATE or DELETE"),
        ("INSERT INTO", "incomplete input"),
    ];
    for (sql, why) in cases {
        let refusal = also(sql).refusal();
        assert!(refusal.contains("--ledger-also") && refusal.contains(why), "{sql}: {refusal}");
    }
}

#[test]
fn tables_are_not_made_where_that_is_not_wanted() {
    let mut bench = Bench::new();
    bench.settings.create = false;
    assert!(bench.refusal().contains("does not exist and --ledger-create is no"), "{}", bench.refusal());
    assert!(!bench.path().exists());
    bench.sql().execute_batch("CREATE TABLE unrelated (x)").unwrap();
    assert!(bench.refusal().contains("has no table coupon_grant"), "{}", bench.refusal());
    bench.sql().execute_batch(&ddl::sqlite(UserColumn::Bigint)).unwrap();
    bench.spring();
    bench.grant(1..=3);
    assert!(bench.start().unwrap().stop(Duration::from_secs(60)));
    bench.assert_stored(3);
}

#[test]
fn a_table_of_another_shape_is_refused_by_name() {
    let good = ddl::sqlite(UserColumn::Bigint);
    let cases = [
        (
            good.replace("log_id TEXT NOT NULL, -- the gate's", "logid TEXT NOT NULL, -- the"),
            "column log_id is missing",
        ),
        (good.replace("user_id INTEGER", "user_id TEXT"), "column user_id is TEXT, not INTEGER"),
        (
            good.replace("PRIMARY KEY (campaign, seat)", "PRIMARY KEY (campaign, seq)"),
            "primary key is not (campaign, seat)",
        ),
        (good.replace("  seat INTEGER", "  extra TEXT NOT NULL,\n  seat INTEGER"), "column extra needs a value"),
    ];
    for (tables, why) in cases {
        let bench = Bench::new();
        bench.sql().execute_batch(&tables).unwrap();
        let refusal = bench.refusal();
        assert!(refusal.contains("table coupon_grant has another shape") && refusal.contains(why), "{refusal}");
    }
}

#[test]
fn other_words_for_the_same_types_and_columns_of_ones_own_are_welcome() {
    let bench = Bench::new();
    let tables = ddl::sqlite(UserColumn::Bigint)
        .replace("user_id INTEGER", "user_id BIGINT")
        .replace("campaign TEXT NOT NULL", "campaign VARCHAR(64) NOT NULL, note TEXT, sent INTEGER NOT NULL DEFAULT 0");
    bench.sql().execute_batch(&tables).unwrap();
    bench.spring();
    bench.grant(1..=3);
    assert!(bench.start().unwrap().stop(Duration::from_secs(60)));
    bench.assert_stored(3);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let bench = Bench::new();
    std::fs::write(bench.path(), [b'x'; 4096]).unwrap();
    assert!(bench.refusal().contains("not a database"), "{}", bench.refusal());
}

#[test]
fn users_of_any_kind_need_a_text_column() {
    let mut bench = Bench::new();
    let campaign = |shadow| Campaign { id: SPRING, name: "spring".into(), users: Users::Any, shadow };
    let fits = |bench: &Bench, shadow| carries_all(&bench.settings, &[campaign(shadow)]);
    let refusal = fits(&bench, false).expect_err("bigint is the default").to_string();
    assert!(refusal.contains("campaign spring has USERS ANY") && refusal.contains("--ledger-users text"), "{refusal}");
    assert!(fits(&bench, true).is_ok(), "a rehearsal is not stored");
    text_users(&mut bench);
    assert!(fits(&bench, false).is_ok());
    assert!(bench.settings.carries(Users::Any));
}

#[test]
fn the_known_position_is_asked_without_changing_anything() {
    let bench = Bench::new();
    assert_eq!(known(&bench.settings, LOG).position, None);
    assert!(!bench.path().exists());
    bench.sql().execute_batch("CREATE TABLE unrelated (x)").unwrap();
    assert_eq!(known(&bench.settings, LOG).position, None);
    bench.spring();
    bench.grant(1..=4);
    drain(&mut bench.worker().0).unwrap();
    assert_eq!(known(&bench.settings, LOG).position, Some(Lsn::new(5)));
    assert_eq!(known(&bench.settings, LogId([8; 16])).position, None, "another journal's");
}

#[test]
fn the_known_position_is_waited_for_while_the_ledger_is_locked() {
    let bench = Bench::new();
    bench.spring();
    bench.grant(1..=4);
    drain(&mut bench.worker().0).unwrap();
    let lock = bench.sql();
    lock.execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").unwrap();
    std::thread::scope(|threads| {
        let known = threads.spawn(|| known(&bench.settings, LOG).position);
        let far = Lsn::new(u64::MAX - 1);
        bench.watermarks.published.wait_past(far, Duration::from_millis(700));
        lock.execute_batch("ROLLBACK").unwrap();
        assert_eq!(known.join().unwrap(), Some(Lsn::new(5)));
    });
}

#[cfg(feature = "sabotage")]
#[test]
fn a_gate_that_does_not_ask_the_world_is_noticed() {
    use crate::sabotage::{Sabotage, peace};
    let known = peace::broken(Sabotage::IgnoreTheWorld, || {
        let bench = Bench::in_any_world();
        bench.spring();
        bench.grant(1..=4);
        drain(&mut bench.worker().0).unwrap();
        known(&bench.settings, LOG).position
    });
    assert_eq!(known, None, "a set back journal would be taken for a whole one");
}
