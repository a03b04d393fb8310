//! Grants and returns in a real SQLite file, batch by batch.

use std::sync::RwLockReadGuard;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::grant::GrantUser;

const LOG: LogId = LogId([7; 16]);
const OTHER_LOG: LogId = LogId([8; 16]);

/// 2024-11-22 07:15:23.123 UTC.
const AT: i64 = 1_732_259_723_123;

/// Of spring, at a time that tells its position.
fn grant(seq: u64, seat: u32, user: i64) -> Grant {
    let at = Millis(AT + seq as i64);
    Grant { log: LOG, seq: Lsn::new(seq), campaign: "spring".into(), seat, user: GrantUser::Int(user), nth: 1, at }
}

fn granted(seq: u64, seat: u32, user: i64) -> Entry {
    Entry::Grant { grant: grant(seq, seat, user), after: Lsn::ZERO }
}

/// The return of `grant`, as the event at `seq`.
fn back(seq: u64, grant: &Grant) -> Return {
    Return {
        log: grant.log,
        seq: Lsn::new(seq),
        grant: grant.seq,
        campaign: grant.campaign.clone(),
        seat: grant.seat,
        user: grant.user.clone(),
        nth: grant.nth,
        at: Millis(AT + seq as i64),
    }
}

fn returned(seq: u64, grant: &Grant) -> Entry {
    Entry::Return(back(seq, grant))
}

/// Seat 1 goes to 42, seat 2 to 43; seat 1 comes back, goes to 44 and to 42 again.
fn story() -> Vec<Entry> {
    vec![
        granted(2, 1, 42),
        granted(3, 2, 43),
        returned(4, &grant(2, 1, 42)),
        granted(5, 1, 44),
        returned(6, &grant(5, 1, 44)),
        granted(7, 1, 42),
    ]
}

/// A ledger with its one position claimed.
struct Bench {
    dir: TempDir,
    settings: LedgerSettings,
    ledger: SqliteLedger,
    position: Position,
    _world: RwLockReadGuard<'static, ()>,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(None, None)
    }

    fn with(also: Option<&str>, also_return: Option<&str>) -> Bench {
        let _world = crate::sabotage::peace::keep();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let mine = "CREATE TABLE mine (a, b, c, d, e, f, g, h); CREATE TABLE coupon (user_id INTEGER PRIMARY KEY)";
        Connection::open(&path).unwrap().execute_batch(mine).unwrap();
        let text = |sql: Option<&str>| sql.map(str::to_owned);
        let (also, also_return) = (text(also), text(also_return));
        let settings = LedgerSettings { also, also_return, ..LedgerSettings::new(LedgerAt::Sqlite(path.clone())) };
        let mut ledger = SqliteLedger::new(SqliteOptions {
            path,
            users: settings.users,
            create: true,
            also: settings.also.clone(),
            also_return: settings.also_return.clone(),
            pause_when: None,
        });
        ledger.open().unwrap();
        let (source, kpart, next, last_seq) = (journal_source(LOG), 0, 1, Lsn::ZERO);
        let first = Move { source, kpart, expected: None, next, log: LOG, last_seq, hole: false };
        let position = ledger.claim("test", &[], &[first]).unwrap().remove(0);
        Bench { dir, settings, ledger, position, _world }
    }

    /// Stores `entries` behind the position, which moves where that went well.
    fn store(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        let Position { source, kpart, next, last_seq, epoch, .. } = self.position.clone();
        let expected = Some((next, last_seq));
        let next = next + entries.len() as u64;
        let moves = [Move { source, kpart, expected, next, log: LOG, last_seq, hole: false }];
        self.ledger.store(&Batch { epoch, owner: "test", moves: &moves, entries, dead: &[] })?;
        self.position.next = next;
        Ok(())
    }

    #[track_caller]
    fn refused(&mut self, entries: &[Entry]) -> String {
        let (before, there) = (self.tables(), self.there());
        let Err(LedgerError::Refused(line)) = self.store(entries) else { panic!("not refused") };
        assert_eq!((self.tables(), self.there()), (before, there), "nothing of it is stored");
        line
    }

    fn there(&mut self) -> u64 {
        self.ledger.positions(&self.position.source).unwrap()[0].next
    }

    fn reader(&self) -> Box<dyn LedgerReader> {
        self.settings.to_read().unwrap().unwrap()
    }

    /// All grants and returns.
    fn tables(&self) -> (Vec<Grant>, Vec<ReturnRow>) {
        let mut reader = self.reader();
        (reader.grants(None, 1000).unwrap(), reader.returns(None, 1000).unwrap())
    }

    fn sql(&self) -> Connection {
        Connection::open(self.dir.path().join("ledger.db")).unwrap()
    }

    fn text(&self, sql: &str) -> String {
        self.sql().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// What the tables hold once `entries` are stored, each once.
fn tables_of(entries: &[Entry]) -> (Vec<Grant>, Vec<ReturnRow>) {
    let (mut grants, mut returns): (Vec<Grant>, Vec<ReturnRow>) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Grant { grant, .. } => grants.push(grant.clone()),
            Entry::Return(back) => {
                let row = grants.iter().position(|grant| grant.seq == back.grant).expect("the story makes sense");
                returns.push(ReturnRow { back: back.clone(), granted_at: grants.remove(row).at });
            }
        }
    }
    grants.sort_by_key(|grant| grant.seat);
    (grants, returns)
}

#[test]
fn a_return_moves_the_row_as_it_was_and_its_seat_goes_on() {
    let mut bench = Bench::new();
    bench.store(&story()).unwrap();
    assert_eq!(bench.tables(), tables_of(&story()));
    let row = bench.text(
        "SELECT concat_ws('|', campaign, seat, user_id, typeof(user_id), nth, granted_at, log_id, seq, returned_at, \
         return_seq) FROM coupon_return WHERE return_seq = 4",
    );
    let times = ("2024-11-22 07:15:23.125", "2024-11-22 07:15:23.127");
    assert_eq!(row, format!("spring|1|42|integer|1|{}|{LOG}|2|{}|4", times.0, times.1));
}

#[test]
fn returns_are_read_page_by_page_in_their_order() {
    let mut bench = Bench::new();
    let grants: Vec<Grant> = (1..=5).map(|seat| grant(seat.into(), seat, seat.into())).collect();
    bench
        .store(&grants.iter().map(|grant| granted(grant.seq.get(), grant.seat, grant.seat.into())).collect::<Vec<_>>())
        .unwrap();
    let returns: Vec<Return> = [3, 1, 4, 2, 0].iter().zip(10..).map(|(row, seq)| back(seq, &grants[*row])).collect();
    bench.store(&returns.iter().cloned().map(Entry::Return).collect::<Vec<_>>()).unwrap();
    let mut look = bench.settings.to_look().unwrap().unwrap();
    let mut read: Vec<Return> = Vec::new();
    loop {
        let page = look.returns(read.last().map(|back| (back.log, back.seq)), 2).unwrap();
        if page.is_empty() {
            break;
        }
        read.extend(page.into_iter().map(|row| row.back));
    }
    assert_eq!(read, returns);
}

#[test]
fn a_transaction_with_returns_that_is_cut_anywhere_is_stored_whole_or_not_at_all() {
    let also = "INSERT INTO coupon VALUES (:user)";
    let also_return = "DELETE FROM coupon WHERE user_id = :user";
    let steps = [
        Step::Begun,
        Step::Compared,
        Step::Inserted,
        Step::Also,
        Step::Copied,
        Step::Returned,
        Step::AlsoReturn,
        Step::Committed,
    ];
    for step in steps {
        let mut bench = Bench::with(Some(also), Some(also_return));
        bench.ledger.trip.arm(step);
        let cut = bench.store(&story());
        assert_eq!(cut, Err(LedgerError::Unavailable(format!("the test cuts at {step:?}"))));
        let is_stored = bench.there() != 1;
        assert_eq!(is_stored, step == Step::Committed, "{step:?}");
        assert_eq!(bench.tables(), if is_stored { tables_of(&story()) } else { tables_of(&[]) }, "{step:?}");
        if !is_stored {
            bench.store(&story()).unwrap();
            assert_eq!(bench.tables(), tables_of(&story()), "{step:?}");
        }
        assert_eq!(bench.text("SELECT group_concat(user_id) FROM coupon"), "42,43", "{step:?}");
    }
}

#[test]
fn a_return_whose_grant_has_no_row_is_refused_with_the_whole_batch() {
    let mut bench = Bench::new();
    bench.store(&story()).unwrap();
    let there = grant(3, 2, 43);
    for wrong in [
        grant(9, 9, 9),                                         // a seat that nobody has
        grant(2, 2, 43),                                        // another grant of the seat
        grant(3, 1, 43),                                        // on another seat
        grant(2, 1, 42),                                        // which came back before
        Grant { campaign: "summer".into(), ..grant(3, 2, 43) }, // of another campaign
    ] {
        let line = bench.refused(&[granted(20, 5, 55), returned(21, &wrong)]);
        assert!(line.contains("the row of its grant is not in coupon_grant"), "{line}");
        assert!(line.contains(&returned(21, &wrong).to_string()), "{line}");
    }
    // One position cannot be two returns.
    let line = bench.refused(&[returned(4, &there)]);
    assert!(line.contains("move a row to the returns"), "{line}");
    bench.store(&[returned(22, &there)]).unwrap();
}

#[test]
fn what_stands_in_place_of_an_entry_is_told() {
    let mut bench = Bench::new();
    bench.store(&story()).unwrap();
    let mut of = |entry: &Entry| bench.ledger.in_place_of(entry).unwrap();
    for entry in story() {
        assert_eq!(of(&entry), InPlace::Same, "{entry}: also what has come back since");
    }
    let on_seat_1 = InPlace::Other(format!("seat 1 user 42 nth 1 (log {LOG}, seq 7)"));
    assert_eq!(of(&granted(2, 1, 44)), on_seat_1, "a grant of another user came back");
    assert_eq!(of(&granted(4, 1, 42)), on_seat_1, "a return's position is no grant's");
    assert_eq!(of(&granted(8, 3, 45)), InPlace::Nothing);

    assert_eq!(of(&returned(9, &grant(3, 2, 43))), InPlace::Nothing, "its grant is there, and it is not");
    assert_eq!(of(&returned(9, &grant(8, 3, 45))), InPlace::Nothing);
    assert_eq!(of(&returned(9, &grant(1, 1, 41))), on_seat_1);
    let at_4 = InPlace::Other(format!("the return of campaign spring seat 1 (log {LOG}, its grant's seq 2)"));
    assert_eq!(of(&returned(4, &grant(3, 1, 42))), at_4);
    assert_eq!(of(&returned(4, &grant(2, 2, 42))), at_4);
}

#[test]
fn a_grant_that_has_come_back_makes_no_row_a_second_time() {
    let mut bench = Bench::new();
    let first = grant(2, 1, 42);
    bench.store(&[granted(2, 1, 42), granted(3, 2, 43), returned(4, &first)]).unwrap();
    let line = bench.refused(&[granted(2, 1, 42)]);
    assert!(line.contains("seat 1 user 42 (seq 2): it has come back"), "{line}");
    bench.refused(&[granted(1, 7, 47), granted(2, 1, 42), granted(9, 8, 48)]);
    bench.refused(&[returned(4, &first)]);
    // Around it, and on its seat, all others are welcome.
    bench.store(&[granted(1, 7, 47), granted(9, 1, 48)]).unwrap();
}

#[test]
fn an_entry_is_ready_when_what_it_comes_after_is_there() {
    let mut bench = Bench::new();
    let (one, two) = (grant(2, 1, 42), grant(5, 1, 44));
    let after = |after| Entry::Grant { grant: two.clone(), after: Lsn::new(after) };
    let ready = |bench: &mut Bench, entry: &Entry| bench.ledger.is_ready(entry).unwrap();
    assert!(ready(&mut bench, &after(0)));
    assert!(!ready(&mut bench, &returned(4, &one)));
    bench.store(&[granted(2, 1, 42)]).unwrap();
    assert!(ready(&mut bench, &returned(4, &one)));
    assert!(!ready(&mut bench, &returned(4, &grant(1, 1, 41))), "another grant is on its seat");
    assert!(!ready(&mut bench, &after(4)));
    bench.store(&[returned(4, &one)]).unwrap();
    assert!(ready(&mut bench, &after(4)));
    assert!(!ready(&mut bench, &after(3)));
    assert!(ready(&mut bench, &returned(4, &one)), "it is there already");
    bench.store(&[after(4)]).unwrap();
    assert!(ready(&mut bench, &returned(4, &one)), "also when its seat is another's");
}

#[test]
fn a_campaign_whose_rows_all_came_back_is_still_of_its_journal() {
    let mut bench = Bench::new();
    bench.store(&[granted(2, 1, 42), returned(4, &grant(2, 1, 42))]).unwrap();
    let foreign = Entry::Grant { grant: Grant { log: OTHER_LOG, ..grant(2, 1, 42) }, after: Lsn::ZERO };
    let Err(LedgerError::OtherJournal { line, .. }) = bench.store(&[foreign]) else { panic!("mixed") };
    assert!(line.contains("campaign spring") && line.contains(&LOG.to_string()), "{line}");
}

#[test]
fn two_journals_in_one_batch_are_never_mixed() {
    let mut bench = Bench::new();
    let foreign = Entry::Grant { grant: Grant { log: OTHER_LOG, ..grant(9, 2, 43) }, after: Lsn::ZERO };
    let Err(LedgerError::OtherJournal { .. }) = bench.store(&[granted(2, 1, 42), foreign]) else { panic!("mixed") };
    assert_eq!(bench.tables(), tables_of(&[]));
}

#[test]
fn the_statement_for_returns_runs_once_for_each_with_all_its_parameters() {
    let also_return =
        "INSERT INTO mine VALUES (:return_seq, :returned_at, :granted_at, :seq, :nth, :seat, :campaign, :user)";
    let mut bench = Bench::with(None, Some(also_return));
    bench.store(&story()).unwrap();
    let rows = bench.text(
        "SELECT group_concat(concat_ws('|', a, b, c, d, e, f, g, h), ' / ') FROM (SELECT * FROM mine ORDER BY a)",
    );
    assert_eq!(
        rows,
        "4|2024-11-22 07:15:23.127|2024-11-22 07:15:23.125|2|1|1|spring|42 / \
         6|2024-11-22 07:15:23.129|2024-11-22 07:15:23.128|5|1|1|spring|44"
    );
}

#[test]
fn a_statement_for_returns_that_fails_rolls_all_back_and_is_named() {
    let mut bench = Bench::with(None, Some("INSERT INTO coupon VALUES (:user)"));
    bench.sql().execute("INSERT INTO coupon VALUES (44)", []).unwrap();
    let line = bench.refused(&story());
    assert!(line.contains("cannot run the statement of --ledger-also-return"), "{line}");
    assert!(line.ends_with("campaign spring seat 1 returned by user 44 (seq 6, its grant's 5)"), "{line}");
    assert_eq!(bench.text("SELECT group_concat(user_id) FROM coupon"), "44");
}

#[test]
fn a_statement_for_returns_that_cannot_work_is_refused_when_the_ledger_is_opened() {
    for (sql, why) in [
        ("DELETE FROM coupon WHERE user_id = :usr", "unknown parameter :usr; there are :user"),
        ("DELETE FROM koupon WHERE user_id = :user", "no such table: koupon"),
        ("SELECT :user", "one INSERT, UPDATE or DELETE"),
    ] {
        let mut bench = Bench::new();
        bench.settings.also_return = Some(sql.into());
        let Err(LedgerError::Unfit(line)) = bench.settings.to_write().open() else { panic!("{sql} was taken") };
        assert!(line.starts_with("--ledger-also-return: ") && line.contains(why), "{line}");
    }
    let mut bench = Bench::new();
    bench.settings.also = Some("DELETE FROM coupon WHERE user_id = :return_seq".into());
    let Err(LedgerError::Unfit(line)) = bench.settings.to_write().open() else { panic!("taken") };
    assert!(line.starts_with("--ledger-also: unknown parameter :return_seq"), "{line}");
}

#[test]
fn a_ledger_that_was_made_without_an_index_gets_it() {
    let count = |conn: &Connection| -> i64 {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'coupon_return_by_campaign_seq'";
        conn.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let settings = LedgerSettings::new(LedgerAt::Sqlite(path.clone()));
    std::fs::copy("tests/golden/0.1/stopped/ledger.db", &path).unwrap();
    settings.to_write().open().unwrap();
    let conn = Connection::open(&path).unwrap();
    assert_eq!(count(&conn), 1, "a ledger of an older release");
    conn.execute_batch("DROP INDEX coupon_return_by_campaign_seq").unwrap();
    assert_eq!(settings.to_read().unwrap().unwrap().returns(None, 9), Ok(vec![]), "who only reads needs none");
    let by_hand = LedgerSettings { create: false, ..settings.clone() };
    let Err(LedgerError::Unfit(line)) = by_hand.to_write().open() else { panic!("opened without its index") };
    let make = "CREATE INDEX IF NOT EXISTS coupon_return_by_campaign_seq ON coupon_return (campaign, seq)";
    assert!(line.contains("table coupon_return has no index (campaign, seq)") && line.contains(make), "{line}");
    settings.to_write().open().unwrap();
    assert_eq!(count(&conn), 1);
    by_hand.to_write().open().unwrap();
    // One that begins with those columns is as good.
    conn.execute_batch(
        "DROP INDEX coupon_return_by_campaign_seq; CREATE INDEX mine ON coupon_return (campaign, seq, nth)",
    )
    .unwrap();
    by_hand.to_write().open().unwrap();
    assert_eq!(count(&conn), 0);
}

#[test]
fn letters_give_way_to_returns_and_stay_where_the_grant_is_missing() {
    let mut bench = Bench::new();
    let source = kafka_returns_source("c", "coupon_cancel");
    assert_eq!((kind_of_source(&source), kind_of_source(&kafka_source("c", "t"))), (Kind::Return, Kind::Grant));
    let letter = DeadLetter {
        source,
        kpart: 3,
        position: 7,
        reason: "its grant was not there".into(),
        key: None,
        value: None,
        headers: None,
        at: Millis(AT),
    };
    let Position { source, kpart, next, last_seq, epoch, .. } = bench.position.clone();
    let expected = Some((next, last_seq));
    let moves = [Move { source, kpart, expected, next, log: LOG, last_seq, hole: false }];
    let dead = std::slice::from_ref(&letter);
    bench.ledger.store(&Batch { epoch, owner: "test", moves: &moves, entries: &[], dead }).unwrap();
    let comes_back = [returned(4, &grant(2, 1, 42))];
    let Err(LedgerError::Refused(_)) = bench.ledger.bury(dead, &comes_back) else { panic!("buried") };
    assert_eq!(bench.reader().dead_letters(None, 9).unwrap(), dead);
    bench.store(&[granted(2, 1, 42)]).unwrap();
    bench.ledger.bury(dead, &comes_back).unwrap();
    assert_eq!(bench.reader().dead_letters(None, 9).unwrap(), []);
    assert_eq!(bench.tables(), tables_of(&[granted(2, 1, 42), comes_back[0].clone()]));
}

/// A small generator: the same seed, the same story.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Few users, few seats, most of which come back.
fn random_story(chance: &mut Chance) -> Vec<Entry> {
    let (mut entries, mut out): (Vec<Entry>, Vec<Grant>) = (Vec::new(), Vec::new());
    for seq in 2..200 {
        let (seat, user) = (1 + chance.below(6) as u32, chance.below(9) as i64);
        let is_free = !out.iter().any(|grant| grant.seat == seat || grant.user == GrantUser::Int(user));
        if is_free {
            out.push(grant(seq, seat, user));
            entries.push(granted(seq, seat, user));
        } else if !out.is_empty() {
            let gone = out.swap_remove(chance.below(out.len() as u64) as usize);
            entries.push(returned(seq, &gone));
        }
    }
    entries
}

#[test]
fn whatever_comes_again_each_entry_is_in_once() {
    for seed in 1..=12 {
        let mut chance = Chance(seed);
        let (story, mut bench) = (random_story(&mut chance), Bench::new());
        let mut stored = 0;
        while stored < story.len() {
            // A stretch that may begin with what is in already: such a batch is refused, and each of it is found.
            let from = stored.saturating_sub(chance.below(30) as usize);
            let upto = story.len().min(stored + 1 + chance.below(30) as usize);
            if from < stored {
                bench.refused(&story[from..upto]);
                for entry in &story[from..stored] {
                    assert_eq!(bench.ledger.in_place_of(entry), Ok(InPlace::Same), "{entry} of seed {seed}");
                    bench.refused(std::slice::from_ref(entry));
                }
            }
            for entry in &story[stored..upto] {
                assert_ne!(bench.ledger.in_place_of(entry), Ok(InPlace::Same), "{entry} of seed {seed}");
            }
            bench.store(&story[stored..upto]).unwrap();
            stored = upto;
            assert_eq!(bench.tables(), tables_of(&story[..stored]), "seed {seed}");
        }
    }
}
