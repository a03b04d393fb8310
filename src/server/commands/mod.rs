//! Commands about the connection and the process: the rows of the command table that the core does not decide.

mod client;
mod config;
mod hello;
mod info;
mod snapshot;
mod why;

use crate::core::{NOT_AN_INTEGER, Refusal, Reply, parse_integer};
use crate::ids::Db;
use crate::limits;
use crate::server::gate::{Gate, Ran};
use crate::server::held::Depends;
use crate::server::session::{Answers, Session};
use crate::wire::{self, Args, ConnectionCommand, Protocol, SYNTAX};

/// Carries out `command`; its answer goes to the session's held replies.
pub fn run(session: &mut Session, gate: &mut Gate, command: ConnectionCommand, args: &Args<'_>) -> Ran {
    use ConnectionCommand as Command;
    let mut depends = Depends::NOTHING;
    let answered = match command {
        Command::Ping => ping(args),
        Command::Echo => Ok(Some(Reply::bulk(args.get(1)))),
        Command::Quit => quit(session),
        Command::Reset => reset(session, gate),
        Command::Select => select(session, args),
        Command::Hello => hello::hello(session, gate, args),
        Command::Auth => hello::auth(session, gate, args),
        Command::ClientId => Ok(Some(Reply::Int(session.client.id as i64))),
        Command::ClientGetName => client::get_name(session),
        Command::ClientSetName => client::set_name(session, args.get(2)).map(|()| Some(Reply::Ok)),
        Command::ClientSetInfo => client::set_info(session, args),
        Command::ClientList => client::list(gate, args),
        Command::ClientInfo => client::info(session, gate),
        Command::ClientKill => client::kill(session, gate, args),
        Command::ClientReply => client::reply(session, args),
        Command::ClientNoEvict => client::switch(&session.client.no_evict, args),
        Command::ClientNoTouch => client::switch(&session.client.no_touch, args),
        Command::Info => info::info(gate, args),
        Command::ConfigGet => config::get(gate, args),
        Command::ConfigSet => config::set(gate, args),
        Command::ConfigResetStat => {
            gate.stats.reset();
            Ok(Some(Reply::Ok))
        }
        Command::ClusterDisabled => Err(Refusal::Err("This instance has cluster support disabled")),
        Command::Time => Ok(Some(time(gate))),
        Command::BgSave => snapshot::in_background(gate, args),
        Command::BgRewriteAof => snapshot::rewrite(gate),
        Command::LastSave => Ok(Some(snapshot::last(gate))),
        Command::Save => match snapshot::save(session, gate) {
            Some(answered) => answered,
            None => return Ran::Later,
        },
        Command::GateWhy => match why::why(session, gate, args) {
            Some((answered, told)) => {
                depends = told;
                answered
            }
            None => return Ran::Later,
        },
        Command::Shutdown => shutdown(gate, args),
        Command::ClientHelp
        | Command::Command
        | Command::CommandCount
        | Command::CommandInfo
        | Command::CommandDocs
        | Command::CommandList
        | Command::CommandGetKeys
        | Command::CommandHelp
        | Command::ConfigHelp
        | Command::GateHelp => Ok(wire::describe(command, args)),
    };
    match answered {
        Ok(Some(reply)) => wire::encode(&reply, session.protocol, session.held.buffer()),
        Ok(None) => {}
        Err(refusal) => wire::encode(&Reply::Refused(refusal), session.protocol, session.held.buffer()),
    }
    Ran::Answered { depends }
}

/// What a command about the connection answers: a reply, silence, or an error line.
type Answered<'a> = Result<Option<Reply<'a>>, Refusal>;

fn ping<'a>(args: &Args<'a>) -> Answered<'a> {
    match args.len() {
        1 => Ok(Some(Reply::Status("PONG"))),
        2 => Ok(Some(Reply::bulk(args.get(1)))),
        _ => Err(Refusal::Err("wrong number of arguments for 'ping' command")),
    }
}

fn quit(session: &mut Session) -> Answered<'static> {
    session.closing = true;
    Ok(Some(Reply::Ok))
}

fn reset(session: &mut Session, gate: &Gate) -> Answered<'static> {
    session.protocol = Protocol::Resp2;
    session.client.resp.set(2);
    session.db = Db(0);
    session.client.db.set(0);
    session.client.name.borrow_mut().clear();
    session.client.no_evict.set(false);
    session.client.no_touch.set(false);
    session.answers = Answers::On;
    session.authenticated = gate.facts.password.is_none();
    Ok(Some(Reply::Status("RESET")))
}

fn select(session: &mut Session, args: &Args<'_>) -> Answered<'static> {
    let index = parse_integer(args.get(1)).ok_or(NOT_AN_INTEGER)?;
    let known = u8::try_from(index).ok().filter(|&db| usize::from(db) < limits::DATABASES);
    let db = known.ok_or(Refusal::Err("DB index is out of range"))?;
    session.db = Db(db);
    session.client.db.set(db);
    Ok(Some(Reply::Ok))
}

fn time(gate: &Gate) -> Reply<'static> {
    let now = gate.now().0;
    let micros = now.rem_euclid(1000) * 1000;
    Reply::Array(vec![Reply::text(now.div_euclid(1000).to_string()), Reply::text(micros.to_string())])
}

fn shutdown(gate: &Gate, args: &Args<'_>) -> Answered<'static> {
    for option in args.iter().skip(1) {
        if option.eq_ignore_ascii_case(b"abort") {
            return Err(Refusal::Err("No shutdown in progress."));
        }
        if ![&b"nosave"[..], b"save", b"now", b"force"].iter().any(|known| option.eq_ignore_ascii_case(known)) {
            return Err(SYNTAX);
        }
    }
    tracing::info!("a client asked for a shutdown");
    gate.facts.stop.notify_one();
    Ok(None)
}

/// A client's word as text.
fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}
