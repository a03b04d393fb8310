//! Requests on keys of any type, as commands of the core.

use crate::core::{Command, Deadline, ExpireIf, NOT_AN_INTEGER, Refusal, TtlForm, parse_integer};
use crate::ids::Db;
use crate::wire::numbers;
use crate::wire::parse::{Parsed, integer, keys};
use crate::wire::refusals::{SYNTAX, quoted};
use crate::wire::spec::Request;

/// Keys that one `SCAN` looks at, unless told otherwise.
const SCAN_COUNT: u64 = 10;

/// `DEL key [key ...]`, `UNLINK`
pub(super) fn del<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Remove { db: request.db, keys: keys(request) })
}

/// `EXISTS key [key ...]`, `TOUCH`
pub(super) fn exists<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Exists { db: request.db, keys: keys(request) })
}

/// `TYPE key`
pub(super) fn kind<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Type { db: request.db, key: request.args.get(1) })
}

/// `KEYS pattern`
pub(super) fn all_keys<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Keys { db: request.db, pattern: request.args.get(1) })
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan<'a>(request: &Request<'a>) -> Parsed<'a> {
    let args = request.args;
    let cursor = numbers::unsigned(args.get(1)).ok_or(Refusal::Err("invalid cursor"))?;
    let (mut pattern, mut count, mut kind) = (None, SCAN_COUNT, None);
    let mut at = 2;
    while at < args.len() {
        let word = args.get(at);
        if at + 1 == args.len() {
            return Err(SYNTAX);
        }
        let value = args.get(at + 1);
        if word.eq_ignore_ascii_case(b"match") {
            pattern = Some(value);
        } else if word.eq_ignore_ascii_case(b"count") {
            let number = parse_integer(value).ok_or(NOT_AN_INTEGER)?;
            count = u64::try_from(number).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
        } else if word.eq_ignore_ascii_case(b"type") {
            kind = Some(value);
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    Ok(Command::Scan { db: request.db, cursor, pattern, count, kind })
}

/// `RANDOMKEY`
pub(super) fn randomkey<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::RandomKey { db: request.db, draw: request.draw })
}

/// `RENAME key newkey`
pub(super) fn rename<'a>(request: &Request<'a>) -> Parsed<'a> {
    let (from, to) = (request.args.get(1), request.args.get(2));
    Ok(Command::Rename { db: request.db, from, to, only_if_none: false })
}

/// `RENAMENX key newkey`
pub(super) fn renamenx<'a>(request: &Request<'a>) -> Parsed<'a> {
    let (from, to) = (request.args.get(1), request.args.get(2));
    Ok(Command::Rename { db: request.db, from, to, only_if_none: true })
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub(super) fn expire<'a>(request: &Request<'a>) -> Parsed<'a> {
    expiring(request, |amount| Deadline::In { amount, seconds: true, command: "expire" })
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
pub(super) fn pexpire<'a>(request: &Request<'a>) -> Parsed<'a> {
    expiring(request, |amount| Deadline::In { amount, seconds: false, command: "pexpire" })
}

/// `EXPIREAT key unix-time-seconds [NX | XX | GT | LT]`
pub(super) fn expireat<'a>(request: &Request<'a>) -> Parsed<'a> {
    expiring(request, |amount| Deadline::At { amount, seconds: true, command: "expireat" })
}

/// `PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]`
pub(super) fn pexpireat<'a>(request: &Request<'a>) -> Parsed<'a> {
    expiring(request, |amount| Deadline::At { amount, seconds: false, command: "pexpireat" })
}

fn expiring<'a>(request: &Request<'a>, deadline: fn(i64) -> Deadline) -> Parsed<'a> {
    let mut only_if = ExpireIf::default();
    for word in request.args.iter().skip(3) {
        let option = match word {
            word if word.eq_ignore_ascii_case(b"nx") => &mut only_if.none,
            word if word.eq_ignore_ascii_case(b"xx") => &mut only_if.some,
            word if word.eq_ignore_ascii_case(b"gt") => &mut only_if.later,
            word if word.eq_ignore_ascii_case(b"lt") => &mut only_if.earlier,
            other => return Err(Refusal::ErrText(format!("Unsupported option {}", quoted(other)))),
        };
        *option = true;
    }
    if only_if.none && (only_if.some || only_if.later || only_if.earlier) {
        return Err(Refusal::Err("NX and XX, GT or LT options at the same time are not compatible"));
    }
    if only_if.later && only_if.earlier {
        return Err(Refusal::Err("GT and LT options at the same time are not compatible"));
    }
    let amount = integer(request, 2)?;
    Ok(Command::Expire { db: request.db, key: request.args.get(1), deadline: deadline(amount), only_if })
}

/// `TTL key`
pub(super) fn ttl<'a>(request: &Request<'a>) -> Parsed<'a> {
    time_to_live(request, TtlForm::SecondsLeft)
}

/// `PTTL key`
pub(super) fn pttl<'a>(request: &Request<'a>) -> Parsed<'a> {
    time_to_live(request, TtlForm::MillisLeft)
}

/// `EXPIRETIME key`
pub(super) fn expiretime<'a>(request: &Request<'a>) -> Parsed<'a> {
    time_to_live(request, TtlForm::UnixSeconds)
}

/// `PEXPIRETIME key`
pub(super) fn pexpiretime<'a>(request: &Request<'a>) -> Parsed<'a> {
    time_to_live(request, TtlForm::UnixMillis)
}

fn time_to_live<'a>(request: &Request<'a>, form: TtlForm) -> Parsed<'a> {
    Ok(Command::TimeToLive { db: request.db, key: request.args.get(1), form })
}

/// `PERSIST key`
pub(super) fn persist<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Persist { db: request.db, key: request.args.get(1) })
}

/// `DBSIZE`
pub(super) fn dbsize<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Size { db: request.db })
}

/// `FLUSHDB [ASYNC | SYNC]`
pub(super) fn flushdb<'a>(request: &Request<'a>) -> Parsed<'a> {
    flush(request, Some(request.db))
}

/// `FLUSHALL [ASYNC | SYNC]`
pub(super) fn flushall<'a>(request: &Request<'a>) -> Parsed<'a> {
    flush(request, None)
}

fn flush<'a>(request: &Request<'a>, db: Option<Db>) -> Parsed<'a> {
    let args = request.args;
    let known = |word: &[u8]| word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async");
    match args.len() {
        1 => Ok(Command::Flush { db }),
        2 if known(args.get(1)) => Ok(Command::Flush { db }),
        _ => Err(SYNTAX),
    }
}
