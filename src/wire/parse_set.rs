//! The options of `SET` and `GETEX`. As in Redis, an option may be said twice, but not beside one that it rules out.

use crate::core::{Command, Deadline, NOT_AN_INTEGER, Refusal, Set, SetAnswer, SetIf, parse_integer};
use crate::wire::parse::Parsed;
use crate::wire::refusals::SYNTAX;
use crate::wire::spec::Request;

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub(super) fn set<'a>(request: &Request<'a>) -> Parsed<'a> {
    let args = request.args;
    let options = if args.len() == 3 { Options::default() } else { options(request, 3, Of::Set)? };
    Ok(Command::Set(Set {
        db: request.db,
        key: args.get(1),
        value: args.get(2),
        only_if: options.only_if.unwrap_or(SetIf::Always),
        deadline: deadline(options.expiry, Deadline::Clear, "set")?,
        answer: if options.get { SetAnswer::Old } else { SetAnswer::Ok },
    }))
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub(super) fn getex<'a>(request: &Request<'a>) -> Parsed<'a> {
    let options = options(request, 2, Of::Getex)?;
    let deadline = deadline(options.expiry, Deadline::Keep, "getex")?;
    Ok(Command::GetAndExpire { db: request.db, key: request.args.get(1), deadline })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Set,
    Getex,
}

#[derive(Default)]
struct Options<'a> {
    only_if: Option<SetIf>,
    get: bool,
    expiry: Option<Expiry<'a>>,
}

/// What is to become of the deadline, and the amount as typed.
#[derive(Clone, Copy)]
struct Expiry<'a> {
    kind: Kind,
    amount: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    InSeconds,
    InMillis,
    AtSeconds,
    AtMillis,
    Keep,
    Clear,
}

fn options<'a>(request: &Request<'a>, from: usize, of: Of) -> Result<Options<'a>, Refusal> {
    let args = request.args;
    let mut options = Options::default();
    let mut at = from;
    while at < args.len() {
        let word = args.get(at);
        at += 1;
        let kind = if of == Of::Set && word.eq_ignore_ascii_case(b"nx") {
            condition(&mut options, SetIf::Missing)?;
            continue;
        } else if of == Of::Set && word.eq_ignore_ascii_case(b"xx") {
            condition(&mut options, SetIf::Exists)?;
            continue;
        } else if of == Of::Set && word.eq_ignore_ascii_case(b"get") {
            options.get = true;
            continue;
        } else if of == Of::Set && word.eq_ignore_ascii_case(b"keepttl") {
            Kind::Keep
        } else if of == Of::Getex && word.eq_ignore_ascii_case(b"persist") {
            Kind::Clear
        } else {
            timed(word)?
        };
        if options.expiry.is_some_and(|expiry| expiry.kind != kind) {
            return Err(SYNTAX);
        }
        let mut amount: &[u8] = b"";
        if !matches!(kind, Kind::Keep | Kind::Clear) {
            if at == args.len() {
                return Err(SYNTAX);
            }
            amount = args.get(at);
            at += 1;
        }
        options.expiry = Some(Expiry { kind, amount });
    }
    Ok(options)
}

fn condition(options: &mut Options<'_>, only_if: SetIf) -> Result<(), Refusal> {
    match options.only_if.replace(only_if) {
        Some(before) if before != only_if => Err(SYNTAX),
        _ => Ok(()),
    }
}

fn timed(word: &[u8]) -> Result<Kind, Refusal> {
    Ok(match word {
        word if word.eq_ignore_ascii_case(b"ex") => Kind::InSeconds,
        word if word.eq_ignore_ascii_case(b"px") => Kind::InMillis,
        word if word.eq_ignore_ascii_case(b"exat") => Kind::AtSeconds,
        word if word.eq_ignore_ascii_case(b"pxat") => Kind::AtMillis,
        _ => return Err(SYNTAX),
    })
}

/// The amount is read after all options are: a wrong option is told before a wrong number, as in Redis.
fn deadline(expiry: Option<Expiry<'_>>, otherwise: Deadline, command: &'static str) -> Result<Deadline, Refusal> {
    let Some(Expiry { kind, amount }) = expiry else { return Ok(otherwise) };
    let amount = || parse_integer(amount).ok_or(NOT_AN_INTEGER);
    Ok(match kind {
        Kind::InSeconds => Deadline::In { amount: amount()?, seconds: true, command },
        Kind::InMillis => Deadline::In { amount: amount()?, seconds: false, command },
        Kind::AtSeconds => Deadline::At { amount: amount()?, seconds: true, command },
        Kind::AtMillis => Deadline::At { amount: amount()?, seconds: false, command },
        Kind::Keep => Deadline::Keep,
        Kind::Clear => Deadline::Clear,
    })
}
