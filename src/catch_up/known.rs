//! What the journal holds: its state, and every grant by the `seq` under which the world knows it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::CatchUpError;
use crate::core::{Core, Event};
use crate::grant::{Grant, GrantUser};
use crate::ids::{CampaignId, LogId, Lsn, Millis};
use crate::journal::{self, Disk, Options};

/// A journal as it was found.
pub(super) struct Known {
    /// Its name; none where there is no journal.
    pub log: Option<LogId>,
    /// Where it ends.
    pub last: Lsn,
    /// The newest time in it.
    pub newest_at: Millis,
    /// Its state.
    pub core: Core,
    /// Somebody was on it before: see `journal::hold`.
    pub held: bool,
    /// Before it only the seats of campaigns that live are known.
    kept_from: Lsn,
    names: HashMap<CampaignId, Arc<str>>,
    /// In the order of their `seq`.
    seats: Vec<Seated>,
    /// First and last positions of what was left out, in order.
    skipped: Vec<(Lsn, Lsn)>,
}

/// A grant in the journal.
struct Seated {
    seq: Lsn,
    campaign: CampaignId,
    seat: u32,
    user: GrantUser,
    nth: u16,
}

/// What the journal says of a grant of the world.
pub(super) enum Says {
    /// It has it.
    Same,
    /// It has another one in its place, or none: in words.
    Other(String),
    /// It ends before it, or left it out.
    Unknown,
}

impl Known {
    /// Reads the journal in `data`; changes nothing.
    pub fn read(disk: &Arc<dyn Disk>, data: &Path, options: &Options) -> Result<Known, CatchUpError> {
        let mut known = Known {
            log: None,
            last: Lsn::ZERO,
            newest_at: Millis(0),
            core: Core::new(0),
            held: journal::held_because(disk.as_ref(), data)?.is_some(),
            kept_from: Lsn::ZERO,
            names: HashMap::new(),
            seats: Vec::new(),
            skipped: Vec::new(),
        };
        let mut core = Core::new(0);
        if let Some((log, replayed)) = journal::look(disk.as_ref(), data, options, &mut core, &mut |_| ())? {
            if let Some(mut journal) = journal::read_only(Arc::clone(disk), data)? {
                journal.catch_up(&mut |lsn, event| known.take(lsn, event), &mut |_| ())?;
                known.kept_from = journal.kept_from();
            }
            known.core = core;
            known.seats.sort_unstable_by_key(|seated| seated.seq);
            known.log = Some(log);
            known.last = replayed.last_lsn;
            known.newest_at = replayed.newest_at.max(known.core.newest_at());
        }
        Ok(known)
    }

    fn take(&mut self, lsn: Lsn, event: &Event<'_>) {
        match event {
            Event::CampaignCreated { id, name, .. } => {
                self.names.insert(*id, String::from_utf8_lossy(name).into());
            }
            Event::Granted { campaign, seat, user, nth, .. } | Event::Confirmed { campaign, seat, user, nth, .. } => {
                self.add(lsn, *campaign, seat.get(), (*user).into(), *nth);
            }
            Event::Imported { campaign, seat, user, nth, seq, .. } => {
                self.add(seq.unwrap_or(lsn), *campaign, seat.get(), (*user).into(), *nth);
            }
            Event::Skipped { upto } => self.skipped.push((lsn, *upto)),
            Event::CampaignAltered { .. }
            | Event::CampaignDropped { .. }
            | Event::Held { .. }
            | Event::Returned { .. }
            | Event::HoldEnded { .. }
            | Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => {}
        }
    }

    fn add(&mut self, seq: Lsn, campaign: CampaignId, seat: u32, user: GrantUser, nth: u16) {
        self.seats.push(Seated { seq, campaign, seat, user, nth });
    }

    /// What the journal says of `grant`, which is of its name.
    pub fn says(&self, grant: &Grant) -> Says {
        match self.seats.binary_search_by_key(&grant.seq, |seated| seated.seq) {
            Ok(index) => {
                let seated = &self.seats[index];
                let name = &self.names[&seated.campaign];
                let same = *name == grant.campaign && seated.seat == grant.seat && seated.nth == grant.nth;
                if same && same_user(&seated.user, &grant.user) {
                    return Says::Same;
                }
                Says::Other(format!(
                    "at seq {} the journal has campaign {name} seat {} user {}{}, the other side campaign {} seat {} user {}{}",
                    grant.seq,
                    seated.seat,
                    seated.user,
                    nth_words(seated.nth),
                    grant.campaign,
                    grant.seat,
                    grant.user,
                    nth_words(grant.nth)
                ))
            }
            // Its campaign was dropped, and its history is given up.
            Err(_) if grant.seq < self.kept_from && !self.lives(&grant.campaign) => Says::Same,
            Err(_) if grant.seq <= self.last && !self.left_out(grant.seq) => {
                Says::Other(format!("at seq {} the journal has no grant, the other side has {grant}", grant.seq))
            }
            Err(_) => Says::Unknown,
        }
    }

    fn lives(&self, campaign: &str) -> bool {
        self.core
            .campaign_id(campaign.as_bytes())
            .and_then(|id| self.core.campaign(id))
            .is_some_and(|facts| !facts.dropped)
    }

    fn left_out(&self, seq: Lsn) -> bool {
        let before = self.skipped.partition_point(|(first, _)| *first <= seq);
        before > 0 && self.skipped[before - 1].1 >= seq
    }
}

/// Where it is not a user's first seat.
fn nth_words(nth: u16) -> String {
    if nth == 1 { String::new() } else { format!(" nth {nth}") }
}

/// Users are compared as they are written: a number read from text is the same user.
pub(super) fn same_user(one: &GrantUser, other: &GrantUser) -> bool {
    match (one, other) {
        (GrantUser::Int(one), GrantUser::Int(other)) => one == other,
        (GrantUser::Any(one), GrantUser::Any(other)) => one == other,
        (GrantUser::Int(number), GrantUser::Any(bytes)) | (GrantUser::Any(bytes), GrantUser::Int(number)) => {
            number.to_string().as_bytes() == &**bytes
        }
    }
}
