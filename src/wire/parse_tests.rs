//! Tests of parsing: strings and keys.

use crate::core::{Command, Deadline, ExpireIf, Set, SetAnswer, SetIf, TtlForm};
use crate::ids::Db;
use crate::wire::scanned::with_args;
use crate::wire::spec::{Handler, Request};
use crate::wire::table::resolve;

const DB: Db = Db(3);

/// What `line`, words parted by spaces, is parsed to, as `Debug` shows it, or the error.
pub(super) fn parsed(line: &str) -> Result<String, String> {
    parsed_words(&line.split(' ').collect::<Vec<_>>())
}

pub(super) fn parsed_words(words: &[&str]) -> Result<String, String> {
    with_args(words, |args| {
        let spec = resolve(&args).map_err(|refusal| refusal.to_string())?;
        let Handler::Core(parse) = spec.handler else { panic!("{words:?} is the core's") };
        let command = parse(&Request { db: DB, args, draw: 99 }).map_err(|refusal| refusal.to_string())?;
        Ok(format!("{command:?}"))
    })
}

fn same(line: &str, command: Command<'_>) {
    assert_eq!(parsed(line), Ok(format!("{command:?}")), "{line}");
}

fn refused(line: &str, error: &str) {
    assert_eq!(parsed(line), Err(error.to_owned()), "{line}");
}

const SYNTAX: &str = "ERR syntax error";
const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

fn set(only_if: SetIf, deadline: Deadline, answer: SetAnswer) -> Command<'static> {
    Command::Set(Set { db: DB, key: b"k", value: b"v", only_if, deadline, answer })
}

#[test]
fn set_takes_all_its_options() {
    use Deadline::{At, Clear, In, Keep};
    use SetAnswer::{Ok, Old};
    use SetIf::{Always, Exists, Missing};
    let command = "set";
    same("SET k v", set(Always, Clear, Ok));
    same("set k v nx", set(Missing, Clear, Ok));
    same("SET k v XX", set(Exists, Clear, Ok));
    same("SET k v NX GET", set(Missing, Clear, Old));
    same("SET k v KEEPTTL", set(Always, Keep, Ok));
    same("SET k v EX 10", set(Always, In { amount: 10, seconds: true, command }, Ok));
    same("SET k v px 10 get xx", set(Exists, In { amount: 10, seconds: false, command }, Old));
    same("SET k v EXAT 10", set(Always, At { amount: 10, seconds: true, command }, Ok));
    same("SET k v PXAT -1", set(Always, At { amount: -1, seconds: false, command }, Ok));
    same("SET k v EX 10 EX 20", set(Always, In { amount: 20, seconds: true, command }, Ok));
    same("SET k v NX NX GET GET", set(Missing, Clear, Old));
}

#[test]
fn set_options_that_rule_each_other_out_are_a_syntax_error() {
    let wrong = [
        "NX XX",
        "XX NX",
        "EX",
        "PX",
        "EX 1 PX 1",
        "EX 1 EXAT 1",
        "PXAT 1 EXAT 1",
        "EX 1 KEEPTTL",
        "KEEPTTL PX 1",
        "FOO",
        "PERSIST",
        "EX x FOO",
        "NX FOO",
    ];
    for options in wrong {
        refused(&format!("SET k v {options}"), SYNTAX);
    }
    refused("SET k v EX x", NOT_AN_INTEGER);
    refused("SET k v PXAT 1.5", NOT_AN_INTEGER);
    refused("SET k", "ERR wrong number of arguments for 'set' command");
}

#[test]
fn relatives_of_set_are_set() {
    use Deadline::{Clear, In};
    same("SETNX k v", set(SetIf::Missing, Clear, SetAnswer::Written));
    same("GETSET k v", set(SetIf::Always, Clear, SetAnswer::Old));
    same("SETEX k 5 v", set(SetIf::Always, In { amount: 5, seconds: true, command: "setex" }, SetAnswer::Ok));
    same("PSETEX k 5 v", set(SetIf::Always, In { amount: 5, seconds: false, command: "psetex" }, SetAnswer::Ok));
    refused("SETEX k v 5", NOT_AN_INTEGER);
    refused("PSETEX k x v", NOT_AN_INTEGER);
}

#[test]
fn getex_takes_its_options() {
    let getex = |deadline| Command::GetAndExpire { db: DB, key: b"k", deadline };
    same("GETEX k", getex(Deadline::Keep));
    same("GETEX k PERSIST", getex(Deadline::Clear));
    same("GETEX k EX 5", getex(Deadline::In { amount: 5, seconds: true, command: "getex" }));
    same("GETEX k PXAT 5", getex(Deadline::At { amount: 5, seconds: false, command: "getex" }));
    for options in ["NX", "GET", "KEEPTTL", "EX", "EX 1 PERSIST", "PERSIST EX 1", "FOO"] {
        refused(&format!("GETEX k {options}"), SYNTAX);
    }
    refused("GETEX k EX x", NOT_AN_INTEGER);
}

#[test]
fn string_commands_reach_the_core() {
    let key: &[u8] = b"k";
    same("GET k", Command::Get { db: DB, key });
    same("MGET a b", Command::GetMany { db: DB, keys: vec![b"a", b"b"] });
    same("GETDEL k", Command::GetAndRemove { db: DB, key });
    same("MSET a 1 b 2", Command::SetMany { db: DB, pairs: vec![(b"a", b"1"), (b"b", b"2")], only_if_none: false });
    same("MSETNX a 1", Command::SetMany { db: DB, pairs: vec![(b"a", b"1")], only_if_none: true });
    same("APPEND k x", Command::Append { db: DB, key, bytes: b"x" });
    same("STRLEN k", Command::Length { db: DB, key });
    same("GETRANGE k 0 -1", Command::GetRange { db: DB, key, start: 0, end: -1 });
    same("SETRANGE k 4 x", Command::SetRange { db: DB, key, offset: 4, bytes: b"x" });
    same("INCR k", Command::Add { db: DB, key, step: 1 });
    same("DECR k", Command::Add { db: DB, key, step: -1 });
    same("INCRBY k -7", Command::Add { db: DB, key, step: -7 });
    same("DECRBY k 7", Command::Add { db: DB, key, step: -7 });
    same("INCRBYFLOAT k 1e2", Command::AddFloat { db: DB, key, step: b"1e2" });
}

#[test]
fn string_commands_refuse_what_is_no_number() {
    for line in ["INCRBY k x", "DECRBY k 1.0", "INCRBY k 9223372036854775808", "GETRANGE k a 1", "GETRANGE k 1 a"] {
        refused(line, NOT_AN_INTEGER);
    }
    refused("SETRANGE k x v", NOT_AN_INTEGER);
    refused("SETRANGE k -1 v", "ERR offset is out of range");
    refused("DECRBY k -9223372036854775808", "ERR decrement would overflow");
    refused("MSET a 1 b", "ERR wrong number of arguments for 'mset' command");
    refused("MSETNX a 1 b", "ERR wrong number of arguments for 'msetnx' command");
    refused("MSET a", "ERR wrong number of arguments for 'mset' command");
}

#[test]
fn key_commands_reach_the_core() {
    let key: &[u8] = b"k";
    let keys: Vec<&[u8]> = vec![b"a", b"b"];
    same("DEL a b", Command::Remove { db: DB, keys: keys.clone() });
    same("UNLINK a b", Command::Remove { db: DB, keys: keys.clone() });
    same("EXISTS a b", Command::Exists { db: DB, keys: keys.clone() });
    same("TOUCH a b", Command::Exists { db: DB, keys });
    same("TYPE k", Command::Type { db: DB, key });
    same("KEYS k*", Command::Keys { db: DB, pattern: b"k*" });
    same("RANDOMKEY", Command::RandomKey { db: DB, draw: 99 });
    same("RENAME k to", Command::Rename { db: DB, from: key, to: b"to", only_if_none: false });
    same("RENAMENX k to", Command::Rename { db: DB, from: key, to: b"to", only_if_none: true });
    same("TTL k", Command::TimeToLive { db: DB, key, form: TtlForm::SecondsLeft });
    same("PTTL k", Command::TimeToLive { db: DB, key, form: TtlForm::MillisLeft });
    same("EXPIRETIME k", Command::TimeToLive { db: DB, key, form: TtlForm::UnixSeconds });
    same("PEXPIRETIME k", Command::TimeToLive { db: DB, key, form: TtlForm::UnixMillis });
    same("PERSIST k", Command::Persist { db: DB, key });
    same("DBSIZE", Command::Size { db: DB });
}

#[test]
fn scan_takes_its_options() {
    let scan = |cursor, pattern, count, kind| Command::Scan { db: DB, cursor, pattern, count, kind };
    same("SCAN 0", scan(0, None, 10, None));
    same("SCAN 18446744073709551615 count 5", scan(u64::MAX, None, 5, None));
    same("SCAN 7 TYPE string MATCH a* COUNT 1", scan(7, Some(b"a*"), 1, Some(b"string")));
    for cursor in ["x", "-1", "1x", "18446744073709551616"] {
        refused(&format!("SCAN {cursor}"), "ERR invalid cursor");
    }
    for options in ["COUNT", "MATCH", "COUNT 0", "COUNT -1", "FOO 1", "MATCH a TYPE"] {
        refused(&format!("SCAN 0 {options}"), SYNTAX);
    }
    refused("SCAN 0 COUNT x", NOT_AN_INTEGER);
}

#[test]
fn the_expire_family_takes_its_options() {
    let expire = |deadline, only_if| Command::Expire { db: DB, key: b"k", deadline, only_if };
    let none = ExpireIf::default();
    same("EXPIRE k 5", expire(Deadline::In { amount: 5, seconds: true, command: "expire" }, none));
    same("PEXPIRE k -5", expire(Deadline::In { amount: -5, seconds: false, command: "pexpire" }, none));
    same("EXPIREAT k 5", expire(Deadline::At { amount: 5, seconds: true, command: "expireat" }, none));
    let at = Deadline::At { amount: 5, seconds: false, command: "pexpireat" };
    same("PEXPIREAT k 5 NX nx", expire(at, ExpireIf { none: true, ..none }));
    same("PEXPIREAT k 5 XX GT", expire(at, ExpireIf { some: true, later: true, ..none }));
    same("PEXPIREAT k 5 lt", expire(at, ExpireIf { earlier: true, ..none }));
}

#[test]
fn the_expire_family_refuses_as_redis_does() {
    let incompatible = "ERR NX and XX, GT or LT options at the same time are not compatible";
    for options in ["NX XX", "NX GT", "LT NX"] {
        refused(&format!("EXPIRE k 5 {options}"), incompatible);
    }
    refused("EXPIRE k 5 GT LT", "ERR GT and LT options at the same time are not compatible");
    refused("EXPIRE k 5 foo", "ERR Unsupported option foo");
    refused("EXPIRE k x foo", "ERR Unsupported option foo");
    refused("PEXPIRE k x", NOT_AN_INTEGER);
    refused("EXPIREAT k 99999999999999999999", NOT_AN_INTEGER);
    refused("PEXPIREAT k", "ERR wrong number of arguments for 'pexpireat' command");
}

#[test]
fn flushes_say_sync_async_or_nothing() {
    same("FLUSHALL", Command::Flush { db: None });
    same("FLUSHALL ASYNC", Command::Flush { db: None });
    same("FLUSHDB sync", Command::Flush { db: Some(DB) });
    refused("FLUSHALL now", SYNTAX);
    refused("FLUSHDB SYNC ASYNC", SYNTAX);
}
