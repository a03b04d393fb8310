//! `HELLO` and `AUTH`: which protocol, and who is there.

use crate::core::{Refusal, Reply, parse_integer};
use crate::server::commands::{Answered, client, text};
use crate::server::gate::Gate;
use crate::server::session::Session;
use crate::wire::{Args, Protocol, SYNTAX};

/// The only user there is.
const USER: &[u8] = b"default";

/// What clients take for the version of Redis: the commands are those of this one.
pub const REDIS_VERSION: &str = "7.2.4";

pub fn hello(session: &mut Session, gate: &Gate, args: &Args<'_>) -> Answered<'static> {
    let mut protocol = session.protocol;
    if args.len() > 1 {
        let version = parse_integer(args.get(1));
        protocol = match version.ok_or(Refusal::Err("Protocol version is not an integer or out of range"))? {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(Refusal::Line("NOPROTO unsupported protocol version".into())),
        };
    }
    let mut name = None;
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        let option = args.get(at);
        if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
            check(session, gate, args.get(at + 1), args.get(at + 2))?;
            at += 3;
        } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
            name = Some(args.get(at + 1));
            at += 2;
        } else {
            return Err(Refusal::ErrText(format!("Syntax error in HELLO option '{}'", text(option))));
        }
    }
    if !session.authenticated {
        return Err(Refusal::Line(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time"
                .into(),
        ));
    }
    if let Some(name) = name {
        client::set_name(session, name)?;
    }
    session.protocol = protocol;
    let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
    session.client.resp.set(version);
    let field = |name: &'static str, value| (Reply::bulk(name.as_bytes()), value);
    Ok(Some(Reply::Map(vec![
        field("server", Reply::bulk(b"redis")),
        field("version", Reply::bulk(REDIS_VERSION.as_bytes())),
        field("proto", Reply::Int(i64::from(version))),
        field("id", Reply::Int(session.client.id as i64)),
        field("mode", Reply::bulk(b"standalone")),
        field("role", Reply::bulk(b"master")),
        field("modules", Reply::Array(Vec::new())),
    ])))
}

pub fn auth(session: &mut Session, gate: &Gate, args: &Args<'_>) -> Answered<'static> {
    match args.len() {
        2 if gate.facts.password.is_none() => {
            return Err(Refusal::Err(
                "AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ));
        }
        2 => check(session, gate, USER, args.get(1))?,
        3 => check(session, gate, args.get(1), args.get(2))?,
        _ => return Err(SYNTAX),
    }
    Ok(Some(Reply::Ok))
}

/// Lets the session in, or says that the pair is wrong, and not what about it.
fn check(session: &mut Session, gate: &Gate, user: &[u8], password: &[u8]) -> Result<(), Refusal> {
    let right = gate.facts.password.as_ref().is_none_or(|right| same(right.as_bytes(), password));
    if user != USER || !right {
        return Err(Refusal::Line("WRONGPASS invalid username-password pair or user is disabled.".into()));
    }
    session.authenticated = true;
    Ok(())
}

/// Compares without telling by its duration how much was right.
fn same(right: &[u8], given: &[u8]) -> bool {
    let differs = (0..given.len()).fold(right.len() ^ given.len(), |differs, at| {
        differs | usize::from(given[at] ^ right.get(at).copied().unwrap_or_default())
    });
    differs == 0
}
