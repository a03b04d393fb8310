//! Dead letters in a real SQLite file.

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::grant::{Entry, Grant, GrantUser, Return};
use crate::ids::{LogId, Lsn, Millis};
use crate::ledger::{Batch, LedgerAt, Move, journal_source, kafka_returns_source};
use crate::wire::kafka::{EntryRecord, Key, Value, encode};

const LOG: LogId = LogId([7; 16]);
const SOURCE: &str = "kafka:c:coupon_create";
const AT: Millis = Millis(1_732_259_723_123);

fn grant(seat: u32, user: GrantUser) -> Grant {
    Grant { log: LOG, seq: Lsn::new(u64::from(seat) * 10), campaign: "spring".into(), seat, user, nth: 1, at: AT }
}

fn letter(position: u64, grant: &Grant, value: Value) -> DeadLetter {
    letter_of(position, grant.clone().into(), value)
}

fn letter_of(position: u64, entry: Entry, value: Value) -> DeadLetter {
    let record = EntryRecord { entry, prev: Lsn::ZERO };
    let (key, value, headers) = encode(&record, Key::Campaign, value);
    let headers: serde_json::Map<String, Json> =
        headers.into_iter().map(|(name, value)| (name.to_owned(), String::from_utf8(value).unwrap().into())).collect();
    DeadLetter {
        source: SOURCE.into(),
        kpart: 0,
        position,
        reason: "the table refused it".into(),
        key,
        value: Some(value),
        headers: Some(Json::Object(headers).to_string()),
        at: Millis(AT.0 + 60_000),
    }
}

struct Bench {
    dir: TempDir,
    settings: LedgerSettings,
}

impl Bench {
    fn with(rows: &[Grant], dead: &[DeadLetter]) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let settings = LedgerSettings::new(LedgerAt::Sqlite(dir.path().join("ledger.db")));
        let mut ledger = settings.to_write();
        ledger.open().unwrap();
        let to = Move {
            source: SOURCE.into(),
            kpart: 0,
            expected: None,
            next: 1,
            log: LOG,
            last_seq: Lsn::new(1),
            hole: false,
        };
        let epoch = ledger.claim("test", &[], std::slice::from_ref(&to)).unwrap()[0].epoch;
        let moves = [Move { expected: Some((1, Lsn::new(1))), next: 2, ..to }];
        let entries: Vec<Entry> =
            rows.iter().map(|grant| Entry::Grant { grant: grant.clone(), after: Lsn::ZERO }).collect();
        ledger.store(&Batch { epoch, owner: "test", moves: &moves, entries: &entries, dead }).unwrap();
        Bench { dir, settings }
    }

    fn run(&self, action: DeadLetterAction, which: &Which) -> (Result<Exit, DeadLetterError>, String) {
        let mut said = String::new();
        (run(&self.settings, action, which, false, &mut |text| said += text), said)
    }

    fn count(&self, table: &str) -> i64 {
        let conn = Connection::open(self.dir.path().join("ledger.db")).unwrap();
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// Letters and rows.
    fn counts(&self) -> (i64, i64) {
        (self.count("coupon_dead_letter"), self.count("coupon_grant"))
    }
}

fn all_of_the_source() -> Which {
    Which { source: Some(SOURCE.into()), ..Which::default() }
}

#[test]
fn a_letter_that_is_sound_after_all_becomes_its_row() {
    let grants = [grant(1, GrantUser::Int(42)), grant(2, GrantUser::Int(43))];
    let bench = Bench::with(&[], &[letter(5, &grants[0], Value::Long), letter(6, &grants[1], Value::Json)]);
    let (exit, said) = bench.run(DeadLetterAction::Retry, &Which::default());
    assert_eq!((exit, bench.counts()), (Ok(Exit::Done), (0, 2)));
    assert!(said.contains("stored: campaign spring seat 1 user 42 (seq 10)"), "{said}");
    let mut reader = bench.settings.to_look().unwrap().unwrap();
    let rows = reader.grants(None, 9).unwrap();
    assert_eq!(rows[1], grants[1], "a JSON value has the time of its grant");
    assert_eq!(rows[0], Grant { at: Millis(AT.0 + 60_000), ..grants[0].clone() }, "a long has that of the letter");
    assert_eq!(bench.run(DeadLetterAction::Retry, &Which::default()).1, "no dead letters\n");
}

#[test]
fn a_letter_whose_row_is_there_is_taken_away_and_one_that_contradicts_stays() {
    let there = grant(1, GrantUser::Int(42));
    let seat_taken = grant(1, GrantUser::Int(43));
    let user_taken = grant(9, GrantUser::Int(42));
    let other_journal = Grant { log: LogId([8; 16]), ..grant(4, GrantUser::Int(44)) };
    let text = grant(5, GrantUser::Any(b"ann"[..].into()));
    let letters = [
        letter(1, &there, Value::Long),
        letter(2, &seat_taken, Value::Long),
        letter(3, &user_taken, Value::Long),
        letter(4, &other_journal, Value::Long),
        letter(5, &text, Value::Json),
        DeadLetter { value: Some(vec![1]), ..letter(6, &there, Value::Long) },
        DeadLetter { headers: None, ..letter(7, &there, Value::Long) },
    ];
    let bench = Bench::with(&[there], &letters);
    let (exit, said) = bench.run(DeadLetterAction::Retry, &Which::default());
    assert_eq!((exit, bench.counts()), (Ok(Exit::Difference), (6, 1)));
    let outcomes: Vec<&str> =
        said.lines().filter(|line| line.starts_with("  ") && !line.starts_with("  key ")).collect();
    for (outcome, told) in outcomes.iter().zip([
        "was stored already",
        "stays: campaign spring seat 1 user 43 (seq 10): there is seat 1 user 42",
        "stays: campaign spring seat 9 user 42 (seq 90): there is seat 1 user 42",
        "rows of another journal",
        "users are numbers",
        "neither a long nor a JSON object",
        "none of our headers",
    ]) {
        assert!(outcome.contains(told), "{outcome} | {told}");
    }
    assert_eq!(outcomes.len(), 7);
}

#[test]
fn the_operators_statement_runs_for_a_letter_too_or_neither_is_done() {
    let mut bench = Bench::with(&[], &[letter(5, &grant(1, GrantUser::Int(42)), Value::Long)]);
    let conn = Connection::open(bench.dir.path().join("ledger.db")).unwrap();
    conn.execute("CREATE TABLE coupon (user_id INTEGER PRIMARY KEY)", []).unwrap();
    conn.execute("INSERT INTO coupon VALUES (42)", []).unwrap();
    bench.settings.also = Some("INSERT INTO coupon (user_id) VALUES (:user)".into());
    let (exit, said) = bench.run(DeadLetterAction::Retry, &Which::default());
    assert_eq!((exit, bench.counts()), (Ok(Exit::Difference), (1, 0)), "{said}");
    conn.execute("DELETE FROM coupon", []).unwrap();
    let (exit, _) = bench.run(DeadLetterAction::Retry, &Which::default());
    assert_eq!((exit, bench.counts(), bench.count("coupon")), (Ok(Exit::Done), (0, 1), 1));
}

#[test]
fn only_what_was_named_is_dropped_and_it_is_printed_whole() {
    let grants = [1, 2, 3].map(|seat| grant(seat, GrantUser::Int(i64::from(seat))));
    let letters: Vec<DeadLetter> =
        grants.iter().map(|grant| letter(u64::from(grant.seat), grant, Value::Long)).collect();
    let bench = Bench::with(&[], &letters);
    let (refused, said) = bench.run(DeadLetterAction::Drop, &Which { position: Some(2), ..Which::default() });
    assert_eq!((refused, said.as_str(), bench.counts()), (Err(DeadLetterError::DropWhich), "", (3, 0)));
    let (exit, said) = bench.run(DeadLetterAction::Drop, &Which { position: Some(2), ..all_of_the_source() });
    assert_eq!((exit, bench.counts()), (Ok(Exit::Done), (2, 0)));
    assert!(said.contains("position 2: the table refused it") && said.contains("dropped"), "{said}");
    let elsewhere = Which { source: Some("kafka:c:other".into()), ..Which::default() };
    assert_eq!(bench.run(DeadLetterAction::Drop, &elsewhere).1, "no dead letters\n");
    assert_eq!((bench.run(DeadLetterAction::Drop, &all_of_the_source()).0, bench.counts()), (Ok(Exit::Done), (0, 0)));
}

#[test]
fn a_list_shows_every_letter_and_is_json_when_asked() {
    let letters: Vec<DeadLetter> =
        (1..=1200).map(|position| letter(position, &grant(1, GrantUser::Int(42)), Value::Long)).collect();
    let bench = Bench::with(&[], &letters);
    let mut said = String::new();
    let exit = run(&bench.settings, DeadLetterAction::List, &Which::default(), true, &mut |text| said += text);
    let list: Vec<Json> = serde_json::from_str(&said).unwrap();
    assert_eq!((exit, list.len(), bench.counts()), (Ok(Exit::Done), 1200, (1200, 0)));
    assert_eq!((&list[7]["position"], &list[7]["key"]), (&8.into(), &"spring".into()));
    assert_eq!(list[7]["headers"]["cg-seat"], "1");
    let one = Which { partition: Some(0), position: Some(77), ..all_of_the_source() };
    assert_eq!(bench.run(DeadLetterAction::List, &one).1.lines().count(), 2);
    let none = Which { partition: Some(1), ..Which::default() };
    assert_eq!(bench.run(DeadLetterAction::List, &none).1, "no dead letters\n");
}

#[test]
fn a_letter_that_somebody_else_took_is_told_and_no_row_is_stored() {
    let dead = letter(5, &grant(1, GrantUser::Int(42)), Value::Long);
    let bench = Bench::with(&[], std::slice::from_ref(&dead));
    let mut store = Store::open(&bench.settings).unwrap();
    assert_eq!(store.drop_letter(&dead), Ok(Outcome::Dropped));
    assert_eq!((store.retry(&dead), bench.counts()), (Ok(Outcome::Gone), (0, 0)));
}

/// The return of `grant`.
fn back(grant: &Grant) -> Return {
    let Grant { log, seq, campaign, seat, user, nth, at } = grant.clone();
    Return { log, seq: seq.next(), grant: seq, campaign, seat, user, nth, at: Millis(at.0 + 1) }
}

#[test]
fn a_letter_of_a_return_takes_its_grants_row_back_once_that_is_there() {
    let granted = grant(1, GrantUser::Int(42));
    let source = kafka_returns_source("c", "coupon_cancel");
    let returned = DeadLetter { source, ..letter_of(7, Entry::Return(back(&granted)), Value::Long) };
    let bench = Bench::with(&[], &[letter(5, &granted, Value::Long), returned.clone()]);
    let (exit, said) = bench.run(DeadLetterAction::Retry, &Which { source: Some(returned.source), ..Which::default() });
    assert_eq!((exit, bench.counts()), (Ok(Exit::Difference), (2, 0)));
    assert!(said.contains("stays: ") && said.contains("the row of its grant is not in coupon_grant"), "{said}");
    assert_eq!(bench.run(DeadLetterAction::Retry, &all_of_the_source()).0, Ok(Exit::Done));
    assert_eq!(bench.counts(), (1, 1));
    let (exit, said) = bench.run(DeadLetterAction::Retry, &Which::default());
    assert_eq!((exit, bench.counts(), bench.count("coupon_return")), (Ok(Exit::Done), (0, 0), 1));
    assert!(said.contains("stored: campaign spring seat 1 returned by user 42 (seq 11, its grant's 10)"), "{said}");
}

#[test]
fn letters_that_wait_for_each_other_are_stored_by_one_retry() {
    let first = grant(1, GrantUser::Int(42));
    let source = kafka_returns_source("c", "coupon_cancel");
    let returned = DeadLetter { source, ..letter_of(7, Entry::Return(back(&first)), Value::Long) };
    let second = Grant { seq: Lsn::new(12), ..grant(1, GrantUser::Int(43)) };
    // The seat's second grant waits for the return of the first, which is read behind it.
    let bench = Bench::with(&[], &[letter(4, &first, Value::Long), letter(5, &second, Value::Long), returned]);
    let (exit, said) = bench.run(DeadLetterAction::Retry, &Which::default());
    assert_eq!((exit, bench.counts(), bench.count("coupon_return")), (Ok(Exit::Done), (0, 1), 1), "{said}");
    assert_eq!((said.matches("stored: ").count(), said.matches("stays: ").count()), (3, 0), "{said}");
}

#[test]
fn a_journal_has_letters_of_both_kinds_and_a_topic_those_of_its_own() {
    let granted = grant(1, GrantUser::Int(42));
    let returned = letter_of(7, Entry::Return(back(&granted)), Value::Json);
    let of_journal = DeadLetter { source: journal_source(LOG), ..returned.clone() };
    let bench = Bench::with(std::slice::from_ref(&granted), &[returned, of_journal.clone()]);
    let (exit, said) = bench.run(DeadLetterAction::Retry, &all_of_the_source());
    assert_eq!((exit, bench.counts()), (Ok(Exit::Difference), (2, 1)), "a return among the grants stays: {said}");
    let (exit, _) = bench.run(DeadLetterAction::Retry, &Which { source: Some(of_journal.source), ..Which::default() });
    assert_eq!((exit, bench.counts(), bench.count("coupon_return")), (Ok(Exit::Done), (1, 0), 1));
}
