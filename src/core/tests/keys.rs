//! Keys as Redis 7.2 has them.

use super::{DB, Gate, NOW};
use crate::core::{Command, Deadline, Event, ExpireIf, Set, SetAnswer, SetIf, TtlForm};
use crate::ids::{Db, Lsn, Millis};
use crate::limits;

const WRONG: &str =
    "WRONGTYPE Operation against a key holding the wrong kind of value: 'spring' is a campaign, use GATE.*";

fn key(key: &str) -> &[u8] {
    key.as_bytes()
}

fn plain_set<'a>(name: &'a str, value: &'a str) -> Set<'a> {
    Set {
        db: DB,
        key: key(name),
        value: value.as_bytes(),
        only_if: SetIf::Always,
        deadline: Deadline::Clear,
        answer: SetAnswer::Ok,
    }
}

fn px(amount: i64) -> Deadline {
    Deadline::In { amount, seconds: false, command: "set" }
}

impl Gate {
    fn set(&mut self, name: &str, value: &str) {
        assert_eq!(self.ask(Command::Set(plain_set(name, value))), "OK");
    }

    fn set_for(&mut self, name: &str, value: &str, millis: i64) {
        let set = Set { deadline: px(millis), ..plain_set(name, value) };
        assert_eq!(self.ask(Command::Set(set)), "OK");
    }

    fn get(&mut self, name: &str) -> String {
        self.ask(Command::Get { db: DB, key: key(name) })
    }

    fn add(&mut self, name: &str, step: i64) -> String {
        self.ask(Command::Add { db: DB, key: key(name), step })
    }

    fn pttl(&mut self, name: &str) -> String {
        self.ask(Command::TimeToLive { db: DB, key: key(name), form: TtlForm::MillisLeft })
    }

    fn remove(&mut self, names: &[&str]) -> String {
        self.ask(Command::Remove { db: DB, keys: names.iter().map(|name| key(name)).collect() })
    }

    fn expire_at(&mut self, name: &str, at: i64, only_if: ExpireIf) -> String {
        let deadline = Deadline::At { amount: at, seconds: false, command: "pexpireat" };
        self.ask(Command::Expire { db: DB, key: key(name), deadline, only_if })
    }
}

#[test]
fn values_read_back_as_the_bytes_that_were_set() {
    let mut gate = Gate::new();
    for value in ["", "x", "5", "-5", "05", "+5", "-0", "0", "5 ", "9223372036854775807", "9223372036854775808", "\r\n"]
    {
        gate.set("k", value);
        assert_eq!(gate.get("k"), format!("'{}'", value.escape_default()));
        assert_eq!(gate.ask(Command::Length { db: DB, key: b"k" }), format!(":{}", value.len()));
    }
    assert_eq!(gate.get("none"), "nil");
    assert_eq!(gate.ask(Command::GetMany { db: DB, keys: vec![b"k", b"none", b"k"] }), r"['\r\n' nil '\r\n']");
}

#[test]
fn databases_are_apart() {
    let mut gate = Gate::new();
    gate.set("k", "zero");
    assert_eq!(gate.ask(Command::Get { db: Db(1), key: b"k" }), "nil");
    assert_eq!(gate.ask(Command::Add { db: Db(15), key: b"k", step: 2 }), ":2");
    assert_eq!(gate.get("k"), "'zero'");
    assert_eq!(gate.ask(Command::Flush { db: Some(Db(0)) }), "OK");
    assert_eq!((gate.get("k").as_str(), gate.ask(Command::Size { db: Db(15) }).as_str()), ("nil", ":1"));
}

#[test]
fn set_obeys_its_options() {
    let mut gate = Gate::new();
    let nx = Set { only_if: SetIf::Missing, ..plain_set("k", "1") };
    let xx = Set { only_if: SetIf::Exists, ..plain_set("k", "2") };
    assert_eq!(gate.ask_fully(Command::Set(xx.clone())), ("nil".into(), Lsn::ZERO, 0));
    assert_eq!(gate.ask(Command::Set(nx.clone())), "OK");
    assert_eq!(gate.ask_fully(Command::Set(nx.clone())), ("nil".into(), Lsn::new(1), 0));
    assert_eq!(gate.ask(Command::Set(Set { answer: SetAnswer::Written, ..nx.clone() })), ":0");
    assert_eq!(gate.ask(Command::Set(Set { answer: SetAnswer::Old, ..nx })), "'1'");
    assert_eq!(gate.ask(Command::Set(Set { answer: SetAnswer::Old, ..xx.clone() })), "'1'");
    assert_eq!(gate.get("k"), "'2'");
    let fresh = Set { answer: SetAnswer::Written, only_if: SetIf::Missing, ..plain_set("new", "1") };
    assert_eq!(gate.ask(Command::Set(fresh)), ":1");
    assert_eq!(gate.ask(Command::Set(Set { answer: SetAnswer::Old, ..plain_set("newer", "1") })), "nil");
}

#[test]
fn set_gives_keeps_and_clears_deadlines() {
    let mut gate = Gate::new();
    gate.set_for("k", "1", 1_000);
    assert_eq!(gate.pttl("k"), ":1000");
    assert_eq!(gate.ask(Command::Set(Set { deadline: Deadline::Keep, ..plain_set("k", "2") })), "OK");
    assert_eq!(gate.pttl("k"), ":1000");
    gate.set("k", "3");
    assert_eq!(gate.pttl("k"), ":-1");
    let at = Deadline::At { amount: NOW.0 / 1000 + 5, seconds: true, command: "set" };
    assert_eq!(gate.ask(Command::Set(Set { deadline: at, ..plain_set("k", "3") })), "OK");
    assert_eq!(gate.pttl("k"), ":5000");
    gate.wait(5_000);
    assert_eq!((gate.pttl("k").as_str(), gate.get("k").as_str()), (":-2", "nil"));
    assert_eq!(gate.ask(Command::Set(Set { deadline: Deadline::Keep, ..plain_set("k", "4") })), "OK");
    assert_eq!(gate.pttl("k"), ":-1", "what has expired leaves no deadline behind");
}

#[test]
fn a_deadline_that_is_none_is_refused() {
    let mut gate = Gate::new();
    for (amount, seconds) in [(0, false), (-1, true), (i64::MAX, true), (i64::MAX, false), (i64::MAX / 1000, true)] {
        let deadline = Deadline::In { amount, seconds, command: "setex" };
        let set = Set { deadline, ..plain_set("k", "v") };
        assert_eq!(gate.ask(Command::Set(set)), "ERR invalid expire time in 'setex' command", "{amount} {seconds}");
    }
    gate.set("k", "v");
    let deadline = Deadline::At { amount: 0, seconds: false, command: "getex" };
    let getex = |key| Command::GetAndExpire { db: DB, key, deadline };
    assert_eq!(gate.ask(getex(b"none")), "nil");
    assert_eq!(gate.ask(getex(b"k")), "ERR invalid expire time in 'getex' command");
    let deadline = Deadline::In { amount: i64::MIN, seconds: true, command: "expire" };
    let expire = Command::Expire { db: DB, key: b"none", deadline, only_if: ExpireIf::default() };
    assert_eq!(gate.ask(expire), "ERR invalid expire time in 'expire' command");
    let deadline = Deadline::In { amount: i64::MIN, seconds: false, command: "pexpire" };
    let expire = Command::Expire { db: DB, key: b"none", deadline, only_if: ExpireIf::default() };
    assert_eq!(gate.ask(expire), ":0");
}

#[test]
fn getex_moves_the_deadline_and_answers_the_value() {
    let mut gate = Gate::new();
    gate.set("k", "v");
    let mut getex = |deadline| gate.ask_fully(Command::GetAndExpire { db: DB, key: b"k", deadline });
    assert_eq!(getex(Deadline::Keep), ("'v'".into(), Lsn::new(1), 0));
    assert_eq!(getex(Deadline::Clear), ("'v'".into(), Lsn::new(1), 0));
    assert_eq!(getex(px(500)), ("'v'".into(), Lsn::new(2), 1));
    assert_eq!(getex(Deadline::Clear), ("'v'".into(), Lsn::new(3), 1));
    assert_eq!(getex(Deadline::At { amount: 1, seconds: true, command: "getex" }), ("'v'".into(), Lsn::new(4), 1));
    assert_eq!(gate.get("k"), "nil");
}

#[test]
fn getdel_answers_what_it_removes() {
    let mut gate = Gate::new();
    gate.set("k", "7");
    assert_eq!(gate.ask(Command::GetAndRemove { db: DB, key: b"k" }), "'7'");
    assert_eq!(gate.ask_fully(Command::GetAndRemove { db: DB, key: b"k" }), ("nil".into(), Lsn::new(2), 0));
}

#[test]
fn mset_sets_in_order_and_msetnx_all_or_none() {
    let mut gate = Gate::new();
    let set = |pairs: &[(&'static str, &'static str)], only_if_none| {
        let pairs = pairs.iter().map(|(name, value)| (key(name), value.as_bytes())).collect();
        Command::SetMany { db: DB, pairs, only_if_none }
    };
    assert_eq!(gate.ask(set(&[("a", "1"), ("b", "2"), ("a", "3")], false)), "OK");
    assert_eq!((gate.get("a").as_str(), gate.get("b").as_str()), ("'3'", "'2'"));
    assert_eq!(gate.ask_fully(set(&[("c", "1"), ("a", "2")], true)), (":0".into(), Lsn::new(3), 0));
    assert_eq!(gate.get("c"), "nil");
    assert_eq!(gate.ask(set(&[("c", "1"), ("d", "2")], true)), ":1");
}

#[test]
fn counters_count_and_never_wrap() {
    let mut gate = Gate::new();
    assert_eq!(gate.add("n", 1), ":1");
    assert_eq!(gate.add("n", -3), ":-2");
    assert_eq!(gate.get("n"), "'-2'");
    gate.set("n", "9223372036854775807");
    assert_eq!(gate.add("n", 1), "ERR increment or decrement would overflow");
    assert_eq!(gate.add("n", i64::MIN), ":-1");
    assert_eq!(gate.add("n", i64::MIN), "ERR increment or decrement would overflow");
    for value in ["abc", "1.5", "", " 1", "01", "9223372036854775808"] {
        gate.set("n", value);
        assert_eq!(gate.add("n", 1), "ERR value is not an integer or out of range", "{value:?}");
    }
    gate.set_for("n", "5", 1_000);
    assert_eq!((gate.add("n", 1).as_str(), gate.pttl("n").as_str()), (":6", ":1000"));
}

#[test]
fn a_counter_that_expired_starts_anew_and_without_a_deadline() {
    let mut gate = Gate::new();
    gate.set_for("n", "5", 10);
    gate.wait(10);
    let command = Command::Add { db: DB, key: b"n", step: 1 };
    assert_eq!(
        gate.events(command.clone()),
        [Event::KeyRemoved { db: DB, key: b"n", expired: true }, Event::KeyCounted { db: DB, key: b"n", value: 1 }]
    );
    assert_eq!(gate.ask(command), ":1");
    assert_eq!(gate.pttl("n"), ":-1");
    assert_eq!(gate.expire(10), 0);
}

#[test]
fn incrbyfloat_adds_exactly_and_keeps_the_deadline() {
    let mut gate = Gate::new();
    let mut add = |step: &str| gate.ask(Command::AddFloat { db: DB, key: b"f", step: step.as_bytes() });
    assert_eq!(add("0.1"), "'0.1'");
    assert_eq!(add("0.2"), "'0.3'");
    assert_eq!(add("5.0e3"), "'5000.3'");
    assert_eq!(add("-5000.3"), "'0'");
    assert_eq!(add("abc"), "ERR value is not a valid float");
    assert_eq!(add("nan"), "ERR value is not a valid float");
    assert_eq!(add("1e400"), "ERR value is not a valid float");
    assert_eq!(add("inf"), "ERR increment would produce NaN or Infinity");
    assert_eq!(gate.add("f", 2), ":2", "a whole sum is an integer again");
    gate.set("f", "text");
    assert_eq!(gate.ask(Command::AddFloat { db: DB, key: b"f", step: b"1" }), "ERR value is not a valid float");
    gate.set_for("f", "10.50", 1_000);
    assert_eq!(gate.ask(Command::AddFloat { db: DB, key: b"f", step: b"0.1" }), "'10.6'");
    assert_eq!(gate.pttl("f"), ":1000");
}

#[test]
fn append_and_setrange_patch_values() {
    let mut gate = Gate::new();
    let append = |bytes: &'static str| Command::Append { db: DB, key: b"k", bytes: bytes.as_bytes() };
    let set_range =
        |offset, bytes: &'static str| Command::SetRange { db: DB, key: b"k", offset, bytes: bytes.as_bytes() };
    assert_eq!(gate.ask_fully(set_range(3, "")), (":0".into(), Lsn::ZERO, 0));
    assert_eq!(gate.ask(set_range(-1, "x")), "ERR offset is out of range");
    assert_eq!(gate.ask(append("1")), ":1");
    assert_eq!(gate.add("k", 1), ":2");
    assert_eq!(gate.ask(append("0")), ":2");
    assert_eq!(gate.add("k", 1), ":21");
    assert_eq!(gate.ask_fully(append("")), (":2".into(), gate.core.applied(), 0));
    assert_eq!(gate.ask(set_range(1, "xy")), ":3");
    assert_eq!(gate.ask(set_range(0, "z")), ":3");
    assert_eq!(gate.ask(set_range(5, "!")), ":6");
    assert_eq!(gate.get("k"), r"'zxy\x00\x00!'");
    gate.remove(&["k"]);
    assert_eq!(gate.ask(set_range(2, "a")), ":3");
    assert_eq!(gate.get("k"), r"'\x00\x00a'");
    let too_long = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    assert_eq!(gate.ask(set_range(limits::VALUE_BYTES_MAX as i64, "a")), too_long);
    assert_eq!(gate.ask(set_range(i64::MAX, "ab")), too_long);
    assert_eq!(gate.ask(set_range(limits::VALUE_BYTES_MAX as i64 - 1, "a")), format!(":{}", limits::VALUE_BYTES_MAX));
    assert_eq!(gate.ask(append("a")), too_long);
}

#[test]
fn patches_keep_deadlines_and_take_none_from_what_expired() {
    let mut gate = Gate::new();
    gate.set_for("k", "abc", 10);
    assert_eq!(gate.ask(Command::Append { db: DB, key: b"k", bytes: b"d" }), ":4");
    assert_eq!(gate.pttl("k"), ":10");
    gate.wait(10);
    assert_eq!(gate.ask(Command::SetRange { db: DB, key: b"k", offset: 1, bytes: b"z" }), ":2");
    assert_eq!((gate.get("k").as_str(), gate.pttl("k").as_str()), (r"'\x00z'", ":-1"));
}

#[test]
fn getrange_counts_from_both_ends() {
    let mut gate = Gate::new();
    gate.set("k", "This is a string");
    gate.set("n", "12345");
    for (name, start, end, part) in [
        ("k", 0, 3, "This"),
        ("k", -3, -1, "ing"),
        ("k", 0, -1, "This is a string"),
        ("k", 10, 100, "string"),
        ("k", -100, 3, "This"),
        ("k", 5, 3, ""),
        ("k", -1, -5, ""),
        ("k", -100, -90, "T"),
        ("k", 16, 20, ""),
        ("k", i64::MIN, i64::MAX, "This is a string"),
        ("n", 1, 2, "23"),
        ("none", 0, -1, ""),
    ] {
        let answer = gate.ask(Command::GetRange { db: DB, key: key(name), start, end });
        assert_eq!(answer, format!("'{part}'"), "{name} {start} {end}");
    }
}

#[test]
fn del_and_exists_count_names() {
    let mut gate = Gate::new();
    for name in ["a", "b", "c"] {
        gate.set(name, "1");
    }
    assert_eq!(gate.ask(Command::Exists { db: DB, keys: vec![b"a", b"a", b"x", b"b"] }), ":3");
    assert_eq!(gate.remove(&["a", "a", "x", "b"]), ":2");
    assert_eq!(gate.remove(&["c"]), ":1");
    let (answer, depends, events) = gate.ask_fully(Command::Remove { db: DB, keys: vec![b"a"] });
    assert_eq!((answer.as_str(), depends, events), (":0", gate.core.applied(), 0));
}

#[test]
fn rename_takes_value_and_deadline_along() {
    let mut gate = Gate::new();
    let rename = |from: &'static str, to: &'static str, only_if_none| Command::Rename {
        db: DB,
        from: key(from),
        to: key(to),
        only_if_none,
    };
    assert_eq!(gate.ask(rename("a", "b", false)), "ERR no such key");
    assert_eq!(gate.ask(rename("a", "a", false)), "ERR no such key");
    gate.set_for("a", "1", 50);
    gate.set("b", "2");
    assert_eq!(gate.ask(rename("a", "a", false)), "OK");
    assert_eq!(gate.ask(rename("a", "a", true)), ":0");
    assert_eq!(gate.ask(rename("a", "b", true)), ":0");
    assert_eq!(gate.ask(rename("a", "b", false)), "OK");
    assert_eq!((gate.get("a").as_str(), gate.get("b").as_str(), gate.pttl("b").as_str()), ("nil", "'1'", ":50"));
    assert_eq!(gate.ask(rename("b", "c", true)), ":1");
    gate.wait(50);
    assert_eq!(gate.ask(rename("c", "d", false)), "ERR no such key");
    assert_eq!(gate.core.due(gate.view.now, 10), [(DB, key("c").into())]);
    gate.set("x", "3");
    assert_eq!(gate.ask(rename("x", "c", true)), ":1", "what has expired is in nobody's way");
    assert_eq!((gate.get("c").as_str(), gate.expire(10)), ("'3'", 0));
}

#[test]
fn expire_obeys_its_options() {
    let mut gate = Gate::new();
    let (none, some) = (ExpireIf { none: true, ..ExpireIf::default() }, ExpireIf { some: true, ..ExpireIf::default() });
    let (later, earlier) =
        (ExpireIf { later: true, ..ExpireIf::default() }, ExpireIf { earlier: true, ..ExpireIf::default() });
    gate.set("k", "v");
    assert_eq!(gate.expire_at("none", NOW.0 + 1, none), ":0");
    assert_eq!(gate.expire_at("k", NOW.0 + 100, some), ":0");
    assert_eq!(gate.expire_at("k", NOW.0 + 100, later), ":0", "no deadline is the latest");
    assert_eq!(gate.expire_at("k", NOW.0 + 100, earlier), ":1");
    assert_eq!(gate.expire_at("k", NOW.0 + 200, none), ":0");
    assert_eq!(gate.expire_at("k", NOW.0 + 100, earlier), ":0");
    assert_eq!(gate.expire_at("k", NOW.0 + 100, later), ":0");
    assert_eq!(gate.expire_at("k", NOW.0 + 200, later), ":1");
    assert_eq!(gate.expire_at("k", NOW.0 + 300, some), ":1");
    assert_eq!(gate.pttl("k"), ":300");
    assert_eq!(gate.ask(Command::Persist { db: DB, key: b"k" }), ":1");
    assert_eq!(gate.ask(Command::Persist { db: DB, key: b"k" }), ":0");
    assert_eq!(gate.ask(Command::Persist { db: DB, key: b"none" }), ":0");
    assert_eq!(gate.expire_at("k", NOW.0, none), ":1", "a deadline that has passed removes the key");
    assert_eq!((gate.get("k").as_str(), gate.ask(Command::Size { db: DB }).as_str()), ("nil", ":0"));
}

#[test]
fn deadlines_are_told_in_four_forms() {
    let mut gate = Gate::new();
    gate.set_for("k", "v", 1_500);
    let mut told = |form| gate.ask(Command::TimeToLive { db: DB, key: b"k", form });
    assert_eq!(told(TtlForm::MillisLeft), ":1500");
    assert_eq!(told(TtlForm::SecondsLeft), ":2", "rounded as in Redis");
    assert_eq!(told(TtlForm::UnixMillis), format!(":{}", NOW.0 + 1_500));
    assert_eq!(told(TtlForm::UnixSeconds), format!(":{}", (NOW.0 + 1_500 + 500) / 1000));
    gate.expire_at("k", i64::MAX, ExpireIf::default());
    assert_eq!(
        gate.ask(Command::TimeToLive { db: DB, key: b"k", form: TtlForm::UnixMillis }),
        format!(":{}", i64::MAX - 1)
    );
}

#[test]
fn keys_go_in_the_order_of_their_deadlines_and_in_bounded_numbers() {
    let mut gate = Gate::new();
    for (name, millis) in [("c", 30), ("a", 10), ("d", 40), ("b", 20), ("same", 20)] {
        gate.set_for(name, "v", millis);
    }
    assert_eq!(gate.ask(Command::Set(Set { db: Db(3), deadline: px(15), ..plain_set("other", "v") })), "OK");
    assert_eq!(gate.core.next_deadline(), Some(Millis(NOW.0 + 10)));
    assert_eq!(gate.expire(10), 0);
    gate.wait(30);
    assert_eq!(gate.ask(Command::Keys { db: DB, pattern: b"*" }), "['d']", "what has passed is not seen");
    let first: Vec<_> = gate.core.due(gate.view.now, 2);
    assert_eq!(first, [(DB, key("a").into()), (Db(3), key("other").into())]);
    assert_eq!((gate.expire(2), gate.expire(10), gate.expire(10)), (2, 3, 0));
    let here = gate.core.keyspaces().filter(|(_, keys, _)| *keys > 0).collect::<Vec<_>>();
    assert_eq!(here, [(DB, 1, 1)]);
}

#[test]
fn scan_and_keys_find_by_pattern_and_type() {
    let mut gate = Gate::new();
    for number in 0..300 {
        gate.set(&format!("user:{number}"), "v");
    }
    gate.set("other", "v");
    let keys = gate.ask(Command::Keys { db: DB, pattern: b"user:1?" });
    assert_eq!(keys.split(' ').count(), 10);
    let (mut cursor, mut names) = (0, std::collections::BTreeSet::new());
    loop {
        let scan = Command::Scan { db: DB, cursor, pattern: Some(b"user:*"), count: 20, kind: Some(b"STRING") };
        let answer = gate.ask(scan);
        let (next, found) = answer.trim_start_matches("['").split_once("' [").expect("a cursor and keys");
        names.extend(found.trim_end_matches("]]").split(' ').filter(|name| !name.is_empty()).map(String::from));
        cursor = next.parse().expect("a cursor is a number");
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(names.len(), 300);
    let lists = Command::Scan { db: DB, cursor: 0, pattern: None, count: 1_000, kind: Some(b"list") };
    assert_eq!(gate.ask(lists), "['0' []]");
    let beyond = Command::Scan { db: DB, cursor: u64::MAX, pattern: None, count: u64::MAX, kind: None };
    assert_eq!(gate.ask(beyond), "['0' []]");
}

#[test]
fn randomkey_finds_a_key_that_is_there() {
    let mut gate = Gate::new();
    assert_eq!(gate.ask(Command::RandomKey { db: DB, draw: 5 }), "nil");
    (0..40).for_each(|number| gate.set_for(&format!("short:{number}"), "v", 1));
    gate.set("stays", "v");
    gate.wait(1);
    for draw in [0, 1, u64::MAX / 2, u64::MAX] {
        assert_eq!(gate.ask(Command::RandomKey { db: DB, draw }), "'stays'");
    }
}

#[test]
fn a_flush_leaves_nothing_and_is_swept_in_steps() {
    let mut gate = Gate::new();
    (0..5_000).for_each(|number| gate.set_for(&format!("k{number}"), "text", 10));
    assert_eq!(gate.ask_fully(Command::Flush { db: None }).2, 1);
    assert_eq!(gate.ask_fully(Command::Flush { db: None }).2, 0, "nothing is left to flush");
    assert_eq!(gate.get("k1"), "nil");
    assert_eq!(gate.core.next_deadline(), None);
    gate.set("k1", "new");
    let steps = (0..100).take_while(|_| gate.core.sweep(1_000)).count();
    assert!((3..30).contains(&steps), "{steps} steps");
    assert_eq!(gate.get("k1"), "'new'");
}

#[test]
fn an_answer_depends_on_what_it_was_read_from() {
    let mut gate = Gate::new();
    gate.set("a", "1");
    gate.set("b", "2");
    gate.set("c", "3");
    let mut depends = |command| gate.ask_fully(command).1;
    assert_eq!(depends(Command::Get { db: DB, key: b"a" }), Lsn::new(1));
    assert_eq!(depends(Command::Get { db: DB, key: b"none" }), Lsn::ZERO, "nothing was ever removed");
    assert_eq!(depends(Command::GetMany { db: DB, keys: vec![b"a", b"b"] }), Lsn::new(2));
    assert_eq!(depends(Command::Size { db: DB }), Lsn::new(3));
    gate.remove(&["c"]);
    gate.set("d", "1");
    let mut depends = |command| gate.ask_fully(command).1;
    assert_eq!(depends(Command::Get { db: DB, key: b"none" }), Lsn::new(4));
    assert_eq!(depends(Command::Exists { db: DB, keys: vec![b"a", b"none"] }), Lsn::new(4));
    assert_eq!(depends(Command::Add { db: DB, key: b"d", step: i64::MAX }), Lsn::new(5));
}

#[test]
fn a_campaign_is_no_plain_key() {
    let mut gate = Gate::new();
    gate.set("plain", "v");
    assert_eq!(gate.ask(super::campaigns::create("spring", 3)), "CREATED");
    let deadline = px(10);
    let campaign = b"spring".as_slice();
    for command in [
        Command::Get { db: DB, key: campaign },
        Command::GetAndRemove { db: DB, key: campaign },
        Command::GetAndExpire { db: DB, key: campaign, deadline },
        Command::Set(plain_set("spring", "v")),
        Command::SetMany { db: DB, pairs: vec![(b"a", b"1"), (campaign, b"1")], only_if_none: false },
        Command::SetMany { db: DB, pairs: vec![(b"a", b"1"), (campaign, b"1")], only_if_none: true },
        Command::Append { db: DB, key: campaign, bytes: b"1" },
        Command::Length { db: DB, key: campaign },
        Command::GetRange { db: DB, key: campaign, start: 0, end: 1 },
        Command::SetRange { db: DB, key: campaign, offset: 0, bytes: b"1" },
        Command::Add { db: DB, key: campaign, step: 1 },
        Command::AddFloat { db: DB, key: campaign, step: b"1" },
        Command::Remove { db: DB, keys: vec![b"plain", campaign] },
        Command::Rename { db: DB, from: campaign, to: b"x", only_if_none: false },
        Command::Rename { db: DB, from: b"plain", to: campaign, only_if_none: true },
        Command::Expire { db: DB, key: campaign, deadline, only_if: ExpireIf::default() },
        Command::Persist { db: DB, key: campaign },
    ] {
        assert_eq!(gate.ask_fully(command.clone()), (WRONG.into(), Lsn::new(2), 0), "{command:?}");
    }
    let flush = "ERR 1 campaigns are here and are never flushed; drop them first with GATE.DROP";
    assert_eq!(gate.ask(Command::Flush { db: None }), flush);
    assert_eq!(gate.ask(Command::Flush { db: Some(DB) }), flush);
    assert_eq!(gate.ask(Command::Flush { db: Some(Db(1)) }), "OK");
    assert_eq!(gate.ask(Command::GetMany { db: DB, keys: vec![b"plain", campaign] }), "['v' nil]");
    assert_eq!(gate.ask(Command::Exists { db: DB, keys: vec![campaign] }), ":1");
    assert_eq!(gate.ask(Command::Type { db: DB, key: campaign }), "campaign");
    assert_eq!(gate.ask(Command::Type { db: DB, key: b"plain" }), "string");
    assert_eq!(gate.ask(Command::Type { db: Db(1), key: campaign }), "none");
    assert_eq!(gate.pttl("spring"), ":-1");
    assert_eq!(gate.ask(Command::Size { db: DB }), ":2");
    assert_eq!(gate.ask(Command::Keys { db: DB, pattern: b"s*" }), "['spring']");
    let scan = Command::Scan { db: DB, cursor: 0, pattern: None, count: 10, kind: Some(b"campaign") };
    assert_eq!(gate.ask(scan), "['0' ['spring']]");
}
