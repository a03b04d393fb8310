//! Requests on string values, as commands of the core. The row's arity is checked before.

use crate::core::{Command, Deadline, NOT_AN_INTEGER, Refusal, Set, SetAnswer, SetIf, parse_integer};
use crate::wire::refusals;
use crate::wire::spec::Request;
use crate::wire::table;

/// What parsing comes to.
pub(super) type Parsed<'a> = Result<Command<'a>, Refusal>;

/// Argument `index` as an integer.
#[inline]
pub(super) fn integer(request: &Request<'_>, index: usize) -> Result<i64, Refusal> {
    parse_integer(request.args.get(index)).ok_or(NOT_AN_INTEGER)
}

/// `GET key`
pub(super) fn get<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Get { db: request.db, key: request.args.get(1) })
}

/// `MGET key [key ...]`
pub(super) fn mget<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::GetMany { db: request.db, keys: keys(request) })
}

/// `GETDEL key`
pub(super) fn getdel<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::GetAndRemove { db: request.db, key: request.args.get(1) })
}

/// `GETSET key value`
pub(super) fn getset<'a>(request: &Request<'a>) -> Parsed<'a> {
    plain_set(request, SetIf::Always, SetAnswer::Old)
}

/// `SETNX key value`
pub(super) fn setnx<'a>(request: &Request<'a>) -> Parsed<'a> {
    plain_set(request, SetIf::Missing, SetAnswer::Written)
}

fn plain_set<'a>(request: &Request<'a>, only_if: SetIf, answer: SetAnswer) -> Parsed<'a> {
    Ok(Command::Set(Set {
        db: request.db,
        key: request.args.get(1),
        value: request.args.get(2),
        only_if,
        deadline: Deadline::Clear,
        answer,
    }))
}

/// `SETEX key seconds value`
pub(super) fn setex<'a>(request: &Request<'a>) -> Parsed<'a> {
    set_with_ttl(request, true, "setex")
}

/// `PSETEX key milliseconds value`
pub(super) fn psetex<'a>(request: &Request<'a>) -> Parsed<'a> {
    set_with_ttl(request, false, "psetex")
}

fn set_with_ttl<'a>(request: &Request<'a>, seconds: bool, command: &'static str) -> Parsed<'a> {
    Ok(Command::Set(Set {
        db: request.db,
        key: request.args.get(1),
        value: request.args.get(3),
        only_if: SetIf::Always,
        deadline: Deadline::In { amount: integer(request, 2)?, seconds, command },
        answer: SetAnswer::Ok,
    }))
}

/// `MSET key value [key value ...]`
pub(super) fn mset<'a>(request: &Request<'a>) -> Parsed<'a> {
    set_many(request, false)
}

/// `MSETNX key value [key value ...]`
pub(super) fn msetnx<'a>(request: &Request<'a>) -> Parsed<'a> {
    set_many(request, true)
}

fn set_many<'a>(request: &Request<'a>, only_if_none: bool) -> Parsed<'a> {
    let args = request.args;
    if args.len().is_multiple_of(2) {
        let spec = table::lookup(args.name()).expect("a request is parsed by a row of the table");
        return Err(refusals::arity(spec));
    }
    let pairs = (1..args.len()).step_by(2).map(|at| (args.get(at), args.get(at + 1))).collect();
    Ok(Command::SetMany { db: request.db, pairs, only_if_none })
}

/// `APPEND key value`
pub(super) fn append<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Append { db: request.db, key: request.args.get(1), bytes: request.args.get(2) })
}

/// `STRLEN key`
pub(super) fn strlen<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Length { db: request.db, key: request.args.get(1) })
}

/// `GETRANGE key start end`
pub(super) fn getrange<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::GetRange {
        db: request.db,
        key: request.args.get(1),
        start: integer(request, 2)?,
        end: integer(request, 3)?,
    })
}

/// `SETRANGE key offset value`
pub(super) fn setrange<'a>(request: &Request<'a>) -> Parsed<'a> {
    let offset = integer(request, 2)?;
    if offset < 0 {
        return Err(Refusal::Err("offset is out of range"));
    }
    Ok(Command::SetRange { db: request.db, key: request.args.get(1), offset, bytes: request.args.get(3) })
}

/// `INCR key`
#[inline]
pub(super) fn incr<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Add { db: request.db, key: request.args.get(1), step: 1 })
}

/// `DECR key`
pub(super) fn decr<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Add { db: request.db, key: request.args.get(1), step: -1 })
}

/// `INCRBY key increment`
pub(super) fn incrby<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Add { db: request.db, key: request.args.get(1), step: integer(request, 2)? })
}

/// `DECRBY key decrement`
pub(super) fn decrby<'a>(request: &Request<'a>) -> Parsed<'a> {
    let step = integer(request, 2)?.checked_neg().ok_or(Refusal::Err("decrement would overflow"))?;
    Ok(Command::Add { db: request.db, key: request.args.get(1), step })
}

/// `INCRBYFLOAT key increment`
pub(super) fn incrbyfloat<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::AddFloat { db: request.db, key: request.args.get(1), step: request.args.get(2) })
}

/// All arguments but the name.
pub(super) fn keys<'a>(request: &Request<'a>) -> Vec<&'a [u8]> {
    request.args.iter().skip(1).collect()
}
