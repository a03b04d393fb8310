//! `CLIENT`: who is connected, under which name, and how to be rid of him.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write;

use crate::core::{Refusal, Reply, parse_integer};
use crate::ids::Millis;
use crate::server::clients::Client;
use crate::server::commands::{Answered, text};
use crate::server::gate::Gate;
use crate::server::session::{Answers, Session};
use crate::wire::{Args, SYNTAX};

pub fn get_name(session: &Session) -> Answered<'static> {
    let name = session.client.name.borrow().clone();
    Ok(Some(if name.is_empty() { Reply::Null } else { Reply::text(name) }))
}

pub fn set_name(session: &Session, name: &[u8]) -> Result<(), Refusal> {
    if !is_plain(name) {
        return Err(Refusal::Err("Client names cannot contain spaces, newlines or special characters."));
    }
    *session.client.name.borrow_mut() = text(name);
    Ok(())
}

pub fn set_info(session: &Session, args: &Args<'_>) -> Answered<'static> {
    let attribute = text(args.get(2)).to_ascii_lowercase();
    let place = match attribute.as_str() {
        "lib-name" => &session.client.lib_name,
        "lib-ver" => &session.client.lib_ver,
        _ => return Err(Refusal::ErrText(format!("Unrecognized option '{}'", text(args.get(2))))),
    };
    if !is_plain(args.get(3)) {
        return Err(Refusal::ErrText(format!("{attribute} cannot contain spaces, newlines or special characters.")));
    }
    *place.borrow_mut() = text(args.get(3));
    Ok(Some(Reply::Ok))
}

/// What `CLIENT LIST` can show without quoting.
fn is_plain(word: &[u8]) -> bool {
    word.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

pub fn list(gate: &Gate, args: &Args<'_>) -> Answered<'static> {
    let mut ids = None;
    if args.len() > 2 {
        let (option, values) = (args.get(2), args.iter().skip(3));
        if option.eq_ignore_ascii_case(b"type") && args.len() == 4 {
            if !is_normal(args.get(3))? {
                ids = Some(BTreeSet::new());
            }
        } else if option.eq_ignore_ascii_case(b"id") && args.len() > 3 {
            let wanted = values.map(|id| parse_integer(id).ok_or(Refusal::Err("Invalid client ID")));
            ids = Some(wanted.collect::<Result<BTreeSet<_>, _>>()?);
        } else {
            return Err(SYNTAX);
        }
    }
    let mut lines = String::new();
    for client in gate.clients.iter().filter(|c| ids.as_ref().is_none_or(|ids| ids.contains(&(c.id as i64)))) {
        lines.push_str(&line(client, gate.now()));
        lines.push('\n');
    }
    Ok(Some(Reply::Verbatim(lines)))
}

pub fn info(session: &Session, gate: &Gate) -> Answered<'static> {
    Ok(Some(Reply::Verbatim(line(&session.client, gate.now()) + "\n")))
}

/// Whether `TYPE kind` names connections such as ours; other kinds exist, and nobody is of them.
fn is_normal(kind: &[u8]) -> Result<bool, Refusal> {
    match text(kind).to_ascii_lowercase().as_str() {
        "normal" => Ok(true),
        "master" | "replica" | "slave" | "pubsub" => Ok(false),
        _ => Err(Refusal::ErrText(format!("Unknown client type '{}'", text(kind)))),
    }
}

/// One line of `CLIENT LIST`, fields as in Redis.
fn line(client: &Client, now: Millis) -> String {
    let seconds = |since: Millis| (now.0 - since.0).max(0) / 1000;
    let mut flags = String::new();
    flags.push_str(if client.no_evict.get() { "e" } else { "" });
    flags.push_str(if client.no_touch.get() { "T" } else { "" });
    let flags = if flags.is_empty() { "N" } else { &flags };
    let (input, output) = (client.input_bytes.get(), client.output_bytes.get());
    let mut line = format!("id={} addr={} laddr={} fd={}", client.id, client.addr, client.laddr, client.fd);
    write!(
        line,
        " name={} age={} idle={} flags={flags} db={} sub=0 psub=0 ssub=0 multi=-1 qbuf={input} qbuf-free=0 argv-mem=0 \
         multi-mem=0 rbs=0 rbp=0 obl={output} oll=0 omem=0 tot-mem={} events=r cmd={} user=default redir=-1 resp={} \
         lib-name={} lib-ver={}",
        client.name.borrow(),
        seconds(client.since),
        seconds(client.last_at.get()),
        client.db.get(),
        input + output + std::mem::size_of::<Client>(),
        client.last_command.get(),
        client.resp.get(),
        client.lib_name.borrow(),
        client.lib_ver.borrow(),
    )
    .expect("text grows");
    line
}

pub fn kill(session: &mut Session, gate: &Gate, args: &Args<'_>) -> Answered<'static> {
    let old_form = args.len() == 3;
    let (mut id, mut addr, mut laddr, mut nobody, mut skip_me) = (None, None, None, false, !old_form);
    if old_form {
        addr = Some(text(args.get(2)));
    } else if args.len() % 2 == 1 {
        return Err(SYNTAX);
    }
    let options = if old_form { 3 } else { 2 };
    for at in (options..args.len()).step_by(2) {
        let (option, value) = (text(args.get(at)).to_ascii_lowercase(), args.get(at + 1));
        match option.as_str() {
            "id" => {
                let wanted = parse_integer(value).filter(|&wanted| wanted > 0);
                id = Some(wanted.ok_or(Refusal::Err("client-id should be greater than 0"))? as u64);
            }
            "addr" => addr = Some(text(value)),
            "laddr" => laddr = Some(text(value)),
            "type" => nobody |= !is_normal(value)?,
            "user" if value == b"default" => {}
            "user" => return Err(Refusal::ErrText(format!("No such user '{}'", text(value)))),
            "skipme" if value.eq_ignore_ascii_case(b"yes") => skip_me = true,
            "skipme" if value.eq_ignore_ascii_case(b"no") => skip_me = false,
            _ => return Err(SYNTAX),
        }
    }
    let meant = |client: &Client| {
        !nobody
            && id.is_none_or(|id| id == client.id)
            && addr.as_ref().is_none_or(|addr| *addr == client.addr)
            && laddr.as_ref().is_none_or(|laddr| *laddr == client.laddr)
            && !(skip_me && client.id == session.client.id)
    };
    let mut killed = 0;
    let mut myself = false;
    for client in gate.clients.iter().filter(|client| meant(client)) {
        killed += 1;
        if client.id == session.client.id {
            myself = true;
        } else {
            client.kill();
        }
    }
    session.closing |= myself;
    match (old_form, killed) {
        (true, 0) => Err(Refusal::Err("No such client")),
        (true, _) => Ok(Some(Reply::Ok)),
        (false, _) => Ok(Some(Reply::Int(killed))),
    }
}

pub fn reply(session: &mut Session, args: &Args<'_>) -> Answered<'static> {
    match text(args.get(2)).to_ascii_lowercase().as_str() {
        "on" => {
            session.answers = Answers::On;
            Ok(Some(Reply::Ok))
        }
        "off" => {
            session.answers = Answers::Off;
            Ok(None)
        }
        "skip" => {
            if session.answers == Answers::On {
                session.answers = Answers::SkipNext;
            }
            Ok(None)
        }
        _ => Err(SYNTAX),
    }
}

/// `ON` or `OFF`.
pub fn switch(place: &Cell<bool>, args: &Args<'_>) -> Answered<'static> {
    let word = args.get(2);
    if !word.eq_ignore_ascii_case(b"on") && !word.eq_ignore_ascii_case(b"off") {
        return Err(SYNTAX);
    }
    place.set(word.eq_ignore_ascii_case(b"on"));
    Ok(Some(Reply::Ok))
}
