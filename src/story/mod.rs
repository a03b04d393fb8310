//! # story - what happened to a user, read from the journal
//! The thread behind `GATE.WHY`: for each question it reads all that the journal and its history hold of one campaign's
//! user. The loop does not wait for it.
//! May use: `journal`, `core` (events), `stories`, `watermark`, `rank`, `grant`, `ids`.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::core::Event;
use crate::grant::GrantUser;
use crate::ids::{CampaignId, Lsn, Millis, Seat, User};
use crate::journal::{self, Disk};
use crate::rank;
use crate::stories::{Happened, Question};
use crate::watermark::Watermarks;

/// How often it is looked whether what was asked for has been written, and how many times.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS_MAX: u32 = 50;

/// The running thread. It reads no further question once this is gone; what it reads then it reads in vain.
#[derive(Debug)]
pub struct StoryHandle(Arc<Watermarks>);

impl Drop for StoryHandle {
    fn drop(&mut self) {
        self.0.stories.end();
    }
}

/// Answers the questions of `watermarks.stories` about the journal in `data`; `told` is called after each.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    disk: Arc<dyn Disk>,
    data: PathBuf,
    watermarks: Arc<Watermarks>,
    told: impl Fn() + Send + 'static,
) -> std::io::Result<StoryHandle> {
    let marks = Arc::clone(&watermarks);
    let run = move || {
        rank::behind();
        while let Some((question, story)) = marks.stories.next() {
            let found = read(&disk, &data, &question, &marks);
            // It is told once, to whoever is still there.
            let _ = story.set(found);
            drop(story);
            told();
        }
    };
    std::thread::Builder::new().name("story".into()).spawn(run)?;
    Ok(StoryHandle(watermarks))
}

/// The story in order of its positions, or why it cannot be told.
fn read(
    disk: &Arc<dyn Disk>,
    data: &Path,
    question: &Question,
    watermarks: &Watermarks,
) -> Result<Vec<Happened>, String> {
    let journal = journal::read_only(Arc::clone(disk), data).map_err(|error| error.to_string())?;
    let Some(mut journal) = journal else { return Ok(Vec::new()) };
    let (mut story, mut shadow) = (Vec::new(), false);
    for _ in 0..LOOKS_MAX {
        let mut visit = |lsn: Lsn, event: &Event<'_>| {
            if let Event::CampaignCreated { id, terms, .. } = event
                && *id == question.campaign
            {
                shadow = terms.shadow;
            }
            let found = happened(lsn, event).filter(|(campaign, user, happened)| {
                *campaign == question.campaign
                    && user.is_none_or(|user| same(user, &question.user))
                    && happened.lsn <= question.upto
            });
            story.extend(found.map(|(_, _, happened)| happened));
        };
        journal.catch_up(&mut visit, &mut |_| ()).map_err(|error| error.to_string())?;
        if journal.last() >= question.upto {
            // What even history gave up is told seat by seat.
            story.sort_by_key(|happened| happened.lsn);
            // What happens in a rehearsal is told to nobody outside.
            story.iter_mut().for_each(|happened| happened.leaves &= !shadow);
            return Ok(story);
        }
        watermarks.durable.wait_past(journal.last(), LOOK);
    }
    Err(format!(
        "the journal is written up to lsn {} only, not yet up to lsn {}; ask again",
        journal.last(),
        question.upto
    ))
}

/// What an event is to a user: of which campaign, to whom (nobody: to all), and in one word.
fn happened<'e>(lsn: Lsn, event: &Event<'e>) -> Option<(CampaignId, Option<User<'e>>, Happened)> {
    let to = |campaign: &CampaignId, user: &User<'e>, seat: &Seat, at: &Millis, what, leaves| {
        let happened = Happened { at: *at, what, seat: seat.get(), lsn, seq: lsn, leaves };
        Some((*campaign, Some(*user), happened))
    };
    match event {
        Event::Granted { campaign, seat, user, at, .. } => to(campaign, user, seat, at, "granted", true),
        Event::Held { campaign, seat, user, at, .. } => to(campaign, user, seat, at, "held", false),
        Event::Confirmed { campaign, seat, user, at, .. } => to(campaign, user, seat, at, "confirmed", true),
        Event::HoldEnded { campaign, seat, user, at, expired } => {
            to(campaign, user, seat, at, if *expired { "expired" } else { "released" }, false)
        }
        Event::Returned { campaign, seat, user, at, seq, .. } => {
            let (campaign, user, happened) = to(campaign, user, seat, at, "returned", true)?;
            Some((campaign, user, Happened { seq: seq.unwrap_or(lsn), ..happened }))
        }
        Event::Imported { campaign, seat, user, at, seq, .. } => {
            let what = if seq.is_some() { "imported" } else { "seeded" };
            let (campaign, user, happened) = to(campaign, user, seat, at, what, true)?;
            Some((campaign, user, Happened { seq: seq.unwrap_or(lsn), ..happened }))
        }
        Event::CampaignDropped { id, at, purged: _ } => {
            Some((*id, None, Happened { at: *at, what: "dropped", seat: 0, lsn, seq: lsn, leaves: false }))
        }
        Event::CampaignCreated { .. }
        | Event::CampaignAltered { .. }
        | Event::Skipped { .. }
        | Event::KeySet { .. }
        | Event::KeyCounted { .. }
        | Event::KeyPatched { .. }
        | Event::KeyExpirySet { .. }
        | Event::KeyRemoved { .. }
        | Event::KeyRenamed { .. }
        | Event::Flushed { .. } => None,
    }
}

fn same(user: User<'_>, asked: &GrantUser) -> bool {
    match (user, asked) {
        (User::Int(user), GrantUser::Int(asked)) => user == *asked,
        (User::Any(user), GrantUser::Any(asked)) => *user == **asked,
        (User::Int(_), GrantUser::Any(_)) | (User::Any(_), GrantUser::Int(_)) => false,
    }
}
