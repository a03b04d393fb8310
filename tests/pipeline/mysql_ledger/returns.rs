//! Returns: rows that move, statements that run, entries that come again.

use coupon_gate::grant::{Entry, Grant, GrantUser, Return};
use coupon_gate::ids::{Lsn, Millis};
use coupon_gate::ledger::{
    DeadLetter, InPlace, Ledger, LedgerError, LedgerSettings, Position, ReturnRow, UserColumn, kafka_returns_source,
};

use super::{
    AT, LOG, OTHER_LOG, any, claim, count, entry, grant, open, peace, reader, refused, settings, store, store_entries,
    there,
};
use crate::peers::mariadb::{self, Database};

fn back(seq: u64, grant: &Grant) -> Return {
    let Grant { log, seq: of, campaign, seat, user, nth, .. } = grant.clone();
    Return { log, seq: Lsn::new(seq), grant: of, campaign, seat, user, nth, at: Millis(AT.0 + seq as i64) }
}

fn returned(seq: u64, grant: &Grant) -> Entry {
    Entry::Return(back(seq, grant))
}

/// Of seat 1, as the event at `seq`.
fn again(seq: u64, user: i64) -> Grant {
    Grant { seq: Lsn::new(seq), user: GrantUser::Int(user), ..grant(1) }
}

/// Seats 1 and 2 go; seat 1 comes back, goes to another user and to its first one again.
fn story() -> Vec<Entry> {
    let (first, second, third) = (grant(1), again(11, 44), again(13, 1001));
    vec![
        entry(&first),
        entry(&grant(2)),
        returned(10, &first),
        Entry::Grant { grant: second.clone(), after: Lsn::new(10) },
        returned(12, &second),
        Entry::Grant { grant: third, after: Lsn::new(12) },
    ]
}

fn tables(settings: &LedgerSettings) -> (Vec<Grant>, Vec<ReturnRow>) {
    let mut reader = reader(settings);
    (reader.grants(None, 10_000).unwrap(), reader.returns(None, 10_000).unwrap())
}

/// A batch that is refused, and leaves everything as it was.
#[track_caller]
fn refuses(ledger: &mut dyn Ledger, position: &mut Position, settings: &LedgerSettings, entries: &[Entry]) -> String {
    let before = (tables(settings), there(ledger));
    let line = refused(store_entries(ledger, position, entries));
    assert_eq!((tables(settings), there(ledger)), before, "nothing of it is stored");
    line
}

#[test]
fn a_return_moves_the_row_as_it_was_and_its_seat_goes_on() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    store_entries(&mut *ledger, &mut position, &story()).unwrap();
    let (grants, returns) = tables(&settings);
    assert_eq!(grants, [again(13, 1001), grant(2)]);
    let of_first = ReturnRow { back: back(10, &grant(1)), granted_at: AT };
    assert_eq!(returns, [of_first, ReturnRow { back: back(12, &again(11, 44)), granted_at: AT }]);
    let told: Vec<(String, String)> = database
        .query("SELECT CAST(granted_at AS CHAR), CAST(returned_at AS CHAR) FROM coupon_return WHERE return_seq = 10");
    assert_eq!(told, [("2024-11-22 04:33:20.123".into(), "2024-11-22 04:33:20.133".into())]);
}

#[test]
fn many_returns_at_once_move_all_their_rows_and_come_page_by_page() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = LedgerSettings { users: UserColumn::Text, ..settings(&database) };
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    // Whole statements and a rest, of users that are bytes.
    let user = |seat: u32| any(&[0xff, b'\'', (seat % 256) as u8, (seat / 256) as u8]);
    let grants: Vec<Grant> = (1..=230).map(|seat| Grant { user: user(seat), ..grant(seat) }).collect();
    store(&mut *ledger, &mut position, &grants).unwrap();
    let returns: Vec<Return> = grants[7..].iter().rev().zip(1000..).map(|(grant, seq)| back(seq, grant)).collect();
    let entries: Vec<Entry> = returns.iter().cloned().map(Entry::Return).collect();
    store_entries(&mut *ledger, &mut position, &entries).unwrap();
    let mut reader = reader(&settings);
    assert_eq!(reader.grants(None, 1000), Ok(grants[..7].to_vec()));
    let mut read: Vec<ReturnRow> = Vec::new();
    loop {
        let page = reader.returns(read.last().map(|row| (row.back.log, row.back.seq)), 100).unwrap();
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read, returns.into_iter().map(|back| ReturnRow { back, granted_at: AT }).collect::<Vec<_>>());
}

#[test]
fn a_return_whose_grant_has_no_row_is_refused_with_the_whole_batch() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    store_entries(&mut *ledger, &mut position, &story()).unwrap();
    for wrong in [
        grant(9),
        Grant { seq: Lsn::new(3), ..grant(2) },
        Grant { seat: 1, ..grant(2) },
        grant(1),
        Grant { campaign: "summer".into(), ..grant(2) },
    ] {
        let line = refuses(&mut *ledger, &mut position, &settings, &[entry(&grant(20)), returned(21, &wrong)]);
        assert!(line.contains("the row of its grant is not in coupon_grant"), "{line}");
        assert!(line.contains(&returned(21, &wrong).to_string()), "{line}");
        let line = refuses(&mut *ledger, &mut position, &settings, &[returned(20, &grant(2)), returned(21, &wrong)]);
        assert!(line.contains("one of the 2 returns from campaign spring seat 2"), "{line}");
    }
    let line = refuses(&mut *ledger, &mut position, &settings, &[returned(10, &grant(2))]);
    assert!(line.contains("Duplicate entry"), "one position cannot be two returns: {line}");
    store_entries(&mut *ledger, &mut position, &[returned(22, &grant(2))]).unwrap();
}

#[test]
fn what_comes_again_is_found_and_makes_no_row_a_second_time() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    store_entries(&mut *ledger, &mut position, &story()).unwrap();
    for entry in story() {
        assert_eq!(ledger.in_place_of(&entry), Ok(InPlace::Same), "{entry}");
        refuses(&mut *ledger, &mut position, &settings, std::slice::from_ref(&entry));
    }
    store_entries(&mut *ledger, &mut position, &[returned(14, &again(13, 1001))]).unwrap();
    let line = refuses(&mut *ledger, &mut position, &settings, &[entry(&grant(8)), entry(&again(11, 44))]);
    assert!(line.contains("seat 1 user 44 (seq 11): it has come back"), "{line}");
    assert_eq!(ledger.in_place_of(&entry(&again(13, 1001))), Ok(InPlace::Same));
    assert_eq!(ledger.in_place_of(&entry(&again(13, 1002))), Ok(InPlace::Earlier(on_seat_2())), "of another user");

    assert_eq!(ledger.in_place_of(&returned(15, &grant(2))), Ok(InPlace::Nothing), "its grant is there, and it is not");
    assert_eq!(ledger.in_place_of(&returned(15, &grant(9))), Ok(InPlace::Nothing));
    let other = Grant { seq: Lsn::new(5), ..grant(2) };
    assert_eq!(ledger.in_place_of(&returned(15, &other)), Ok(InPlace::Earlier(on_seat_2())));
    let at_10 = format!("the return of campaign spring seat 1 (log {LOG}, its grant's seq 1)");
    assert_eq!(ledger.in_place_of(&returned(10, &grant(2))), Ok(InPlace::Other(at_10)));
}

fn on_seat_2() -> String {
    format!("seat 2 user 1002 nth 1 (log {LOG}, seq 2)")
}

#[test]
fn an_entry_is_ready_when_what_it_comes_after_is_there() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let mut ledger = open(&settings(&database));
    let mut position = claim(&mut *ledger);
    let next = |after| Entry::Grant { grant: again(11, 44), after: Lsn::new(after) };
    assert_eq!(ledger.is_ready(&next(0)), Ok(true));
    assert_eq!(ledger.is_ready(&returned(10, &grant(1))), Ok(false));
    store(&mut *ledger, &mut position, &[grant(1)]).unwrap();
    assert_eq!(ledger.is_ready(&returned(10, &grant(1))), Ok(true));
    assert_eq!(ledger.is_ready(&returned(10, &again(2, 44))), Ok(false), "another grant is on its seat");
    assert_eq!(ledger.is_ready(&next(10)), Ok(false));
    store_entries(&mut *ledger, &mut position, &[returned(10, &grant(1))]).unwrap();
    assert_eq!((ledger.is_ready(&next(10)), ledger.is_ready(&next(9))), (Ok(true), Ok(false)));
    assert_eq!(ledger.is_ready(&returned(10, &grant(1))), Ok(true), "it is there already");
}

#[test]
fn a_campaign_whose_rows_all_came_back_is_still_of_its_journal() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let mut ledger = open(&settings(&database));
    let mut position = claim(&mut *ledger);
    store_entries(&mut *ledger, &mut position, &[entry(&grant(1)), returned(10, &grant(1))]).unwrap();
    let foreign = Grant { log: OTHER_LOG, ..grant(2) };
    let Err(LedgerError::OtherJournal { line, .. }) = store(&mut *ledger, &mut position, &[foreign]) else {
        panic!("mixed")
    };
    assert!(line.contains("campaign spring") && line.contains(&LOG.to_string()), "{line}");
}

/// With a table of the operator's, and his two statements.
fn with_coupons(database: &Database, also_return: &str) -> LedgerSettings {
    database.execute("CREATE TABLE coupon (user_id BIGINT PRIMARY KEY)");
    database.execute(
        "CREATE TABLE gone (a BIGINT, b DATETIME(3), c DATETIME(3), d BIGINT, e INT, f INT, g VARCHAR(64), h BIGINT)",
    );
    let also = Some("INSERT INTO coupon (user_id) VALUES (:user)".into());
    LedgerSettings { also, also_return: Some(also_return.into()), ..settings(database) }
}

fn coupons(database: &Database) -> Vec<i64> {
    database.query("SELECT user_id FROM coupon ORDER BY user_id")
}

#[test]
fn the_statement_for_returns_runs_once_for_each_in_its_place() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = with_coupons(&database, "DELETE FROM coupon WHERE user_id = :user");
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    // User 1001 has a seat, none, and one again: in another order a row would be there twice, or gone.
    store_entries(&mut *ledger, &mut position, &story()).unwrap();
    assert_eq!(coupons(&database), [1001, 1002]);
}

#[test]
fn the_statement_for_returns_may_use_every_parameter() {
    let _peace = peace();
    // Many rows in one statement, and one at a time.
    for also in [
        "INSERT INTO gone VALUES (:return_seq, :returned_at, :granted_at, :seq, :nth, :seat, :campaign, :user)",
        "INSERT INTO gone SELECT :return_seq, :returned_at, :granted_at, :seq, :nth, :seat, :campaign, :user",
    ] {
        let database = mariadb::shared().database();
        let settings = LedgerSettings { also: None, ..with_coupons(&database, also) };
        let mut ledger = open(&settings);
        let mut position = claim(&mut *ledger);
        let grants = [grant(1), grant(2)];
        let returns = [returned(10, &grants[0]), returned(11, &grants[1])];
        store(&mut *ledger, &mut position, &grants).unwrap();
        store_entries(&mut *ledger, &mut position, &returns).unwrap();
        let told: Vec<String> = database.query("SELECT CONCAT_WS('|', a, b, c, d, e, f, g, h) FROM gone ORDER BY a");
        assert_eq!(
            told,
            [
                "10|2024-11-22 04:33:20.133|2024-11-22 04:33:20.123|1|1|1|spring|1001",
                "11|2024-11-22 04:33:20.134|2024-11-22 04:33:20.123|2|1|2|spring|1002",
            ],
            "{also}"
        );
    }
}

#[test]
fn a_statement_for_returns_that_fails_rolls_all_back_and_is_named() {
    let _peace = peace();
    for also in ["INSERT INTO coupon (user_id) VALUES (:user)", "INSERT INTO coupon (user_id) SELECT :user"] {
        let database = mariadb::shared().database();
        let settings = LedgerSettings { also: None, ..with_coupons(&database, also) };
        database.execute("INSERT INTO coupon VALUES (44)");
        let mut ledger = open(&settings);
        let mut position = claim(&mut *ledger);
        let line = refuses(&mut *ledger, &mut position, &settings, &story());
        assert!(line.contains("cannot run the statement of --ledger-also-return") && line.contains("44"), "{line}");
        assert_eq!(coupons(&database), [44]);
    }
    let database = mariadb::shared().database();
    let settings = with_coupons(&database, "DELETE FROM coupon WHERE user_id = :usr");
    let Err(LedgerError::Unfit(line)) = settings.to_write().open() else { panic!("taken") };
    assert!(line.starts_with("--ledger-also-return: unknown parameter :usr"), "{line}");
}

#[test]
fn a_letter_gives_way_to_its_return_or_stays() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    let mut ledger = open(&settings);
    let mut position = claim(&mut *ledger);
    let source = kafka_returns_source("c", "t");
    let reason = "its grant was not there".to_owned();
    let letter = DeadLetter { source, kpart: 3, position: 7, reason, key: None, value: None, headers: None, at: AT };
    let dead = std::slice::from_ref(&letter);
    let to = super::Move { expected: Some((1, Lsn::ZERO)), ..super::first(&position.source, LOG) };
    ledger.store(&super::Batch { epoch: 1, owner: "me", moves: &[to], entries: &[], dead }).unwrap();
    refused(ledger.bury(dead, &[returned(10, &grant(1))]));
    assert_eq!(reader(&settings).dead_letters(None, 9), Ok(vec![letter.clone()]));
    store(&mut *ledger, &mut position, &[grant(1)]).unwrap();
    ledger.bury(dead, &[returned(10, &grant(1))]).unwrap();
    assert_eq!((reader(&settings).dead_letters(None, 9), count(&database)), (Ok(vec![]), 0));
}

#[test]
fn tables_that_were_made_without_an_index_get_it() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let settings = settings(&database);
    open(&settings);
    let index = "coupon_return_by_campaign_seq";
    let drop = || database.execute(&format!("DROP INDEX {index} ON coupon_return"));
    drop();
    assert!(settings.to_read().unwrap().is_some(), "who only reads needs none");
    open(&settings);
    drop();
    let by_hand = LedgerSettings { create: false, ..settings.clone() };
    let Err(LedgerError::Unfit(line)) = by_hand.to_write().open() else { panic!("opened") };
    let make = format!("CREATE INDEX {index} ON coupon_return (campaign, seq)");
    assert!(line.contains("table coupon_return has no index (campaign, seq)") && line.ends_with(&make), "{line}");
    database.execute(&make);
    open(&by_hand);
}
