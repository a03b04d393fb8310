//! `GATE.WHY campaign user`: the user's story, for the support desk. A thread of its own reads it from the journal; only
//! this connection waits.

use std::sync::Arc;

use crate::core::{Refusal, Reply};
use crate::ids::Lsn;
use crate::server::commands::Answered;
use crate::server::gate::Gate;
use crate::server::held::Depends;
use crate::server::session::{Awaited, Session};
use crate::stories::{Happened, Question, Story};
use crate::wire::Args;

/// `None` until the story is there; what it depends on beside it.
pub fn why(session: &mut Session, gate: &Gate, args: &Args<'_>) -> Option<(Answered<'static>, Depends)> {
    let (story, upto) = match &session.awaited {
        Some(Awaited::Story { story, upto }) => (Arc::clone(story), *upto),
        Some(Awaited::Snapshot(_)) | None => match ask(gate, args) {
            Ok(asked) => asked,
            Err(refusal) => return Some((Err(refusal), gate.depends(gate.core.applied(), Lsn::ZERO))),
        },
    };
    let Some(found) = story.get() else {
        session.awaited = Some(Awaited::Story { story, upto });
        return None;
    };
    session.awaited = None;
    Some(match found {
        Ok(story) => {
            let grants = story.iter().filter(|happened| happened.leaves).map(|happened| happened.lsn).max();
            let rows = story.iter().map(|happened| row(gate, happened)).collect();
            (Ok(Some(Reply::Array(rows))), gate.depends(upto, grants.unwrap_or(Lsn::ZERO)))
        }
        Err(because) => (Err(Refusal::ErrText(because.replace(['\r', '\n'], " "))), gate.depends(upto, Lsn::ZERO)),
    })
}

fn ask(gate: &Gate, args: &Args<'_>) -> Result<(Story, Lsn), Refusal> {
    let (campaign, user) = gate.core.user_of_any_campaign(args.get(1), args.get(2), gate.now())?;
    let upto = gate.core.applied();
    let question = Question { campaign, user: user.into(), upto };
    let busy = || Refusal::Line("BUSY too many stories are asked for already; ask again in a moment".into());
    Ok((gate.watermarks.stories.ask(question).ok_or_else(busy)?, upto))
}

fn row(gate: &Gate, happened: &Happened) -> Reply<'static> {
    let Happened { at, what, seat, lsn, seq, leaves } = *happened;
    let number = |number: u64| Reply::Int(number.cast_signed());
    let stage = Reply::Status(gate.stage(lsn, leaves));
    Reply::Array(vec![Reply::Int(at.0), Reply::Status(what), Reply::Int(seat.into()), number(seq.get()), stage])
}
