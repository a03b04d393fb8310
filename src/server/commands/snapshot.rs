//! `BGSAVE`, `SAVE`, `BGREWRITEAOF`, `LASTSAVE`. What Redis does with two kinds of files is one thing here: a snapshot
//! covers what the journal holds, and lets its old segments go.

use crate::core::{Refusal, Reply};
use crate::server::commands::Answered;
use crate::server::gate::Gate;
use crate::server::session::{Awaited, Session};
use crate::wire::{Args, SYNTAX};

/// `BGSAVE [SCHEDULE]`; with `SCHEDULE`, one that is being made is followed by another.
pub fn in_background(gate: &mut Gate, args: &Args<'_>) -> Answered<'static> {
    let schedule = match args.len() {
        1 => false,
        2 if args.get(1).eq_ignore_ascii_case(b"schedule") => true,
        _ => return Err(SYNTAX),
    };
    let behind = gate.watermarks.snapshots.figures().in_progress();
    if behind && !schedule {
        return Err(Refusal::Err("Background save already in progress"));
    }
    gate.ask_for_snapshot();
    Ok(Some(Reply::Status(if behind { "Background saving scheduled" } else { "Background saving started" })))
}

/// `BGREWRITEAOF`
pub fn rewrite(gate: &mut Gate) -> Answered<'static> {
    if gate.watermarks.snapshots.figures().in_progress() {
        return Err(Refusal::Err("Background append only file rewriting already in progress"));
    }
    gate.ask_for_snapshot();
    Ok(Some(Reply::Status("Background append only file rewriting started")))
}

/// `SAVE`: `None` until a snapshot of everything decided before it is published, or failed. Only this connection waits:
/// a snapshot that is being made already is waited for, too.
pub fn save(session: &mut Session, gate: &mut Gate) -> Option<Answered<'static>> {
    let ticket = match session.awaited {
        Some(Awaited::Snapshot(ticket)) => ticket,
        Some(Awaited::Story { .. }) | None => gate.ask_for_snapshot(),
    };
    let Some(outcome) = gate.watermarks.snapshots.outcome(&ticket) else {
        session.awaited = Some(Awaited::Snapshot(ticket));
        return None;
    };
    session.awaited = None;
    Some(match outcome {
        Ok(_) => Ok(Some(Reply::Ok)),
        Err(because) => Err(Refusal::ErrText(because.replace(['\r', '\n'], " "))),
    })
}

/// `LASTSAVE`: when the newest snapshot was published, in Unix seconds; 0 where there is none.
pub fn last(gate: &Gate) -> Reply<'static> {
    let newest = gate.watermarks.snapshots.figures().newest;
    Reply::Int(newest.map_or(0, |newest| newest.at.0 / 1000))
}
