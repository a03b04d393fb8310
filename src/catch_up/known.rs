//! What the journal holds: its state, and every grant and return by the `seq` under which the world knows it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::CatchUpError;
use crate::core::{Core, Event};
use crate::grant::{Entry, GrantUser};
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
    seats: Vec<Told>,
    /// First and last positions of what was left out, in order.
    skipped: Vec<(Lsn, Lsn)>,
}

/// A grant or a return in the journal.
struct Told {
    seq: Lsn,
    /// The grant that came back.
    of: Option<Lsn>,
    campaign: CampaignId,
    seat: u32,
    user: GrantUser,
    nth: u16,
}

/// What the journal says of a grant or a return of the world.
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
                self.add(lsn, None, *campaign, seat.get(), (*user).into(), *nth);
            }
            Event::Imported { campaign, seat, user, nth, seq, .. } => {
                self.add(seq.unwrap_or(lsn), None, *campaign, seat.get(), (*user).into(), *nth);
            }
            Event::Returned { campaign, seat, user, nth, grant, seq, .. } => {
                self.add(seq.unwrap_or(lsn), Some(*grant), *campaign, seat.get(), (*user).into(), *nth);
            }
            Event::Skipped { upto } => self.skipped.push((lsn, *upto)),
            Event::CampaignAltered { .. }
            | Event::CampaignDropped { .. }
            | Event::Held { .. }
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

    fn add(&mut self, seq: Lsn, of: Option<Lsn>, campaign: CampaignId, seat: u32, user: GrantUser, nth: u16) {
        self.seats.push(Told { seq, of, campaign, seat, user, nth });
    }

    /// What the journal says of `entry`, which is of its name.
    pub fn says(&self, entry: &Entry) -> Says {
        let (seq, campaign) = (entry.seq(), entry.campaign());
        let of = if let Entry::Return(back) = entry { Some(back.grant) } else { None };
        match self.seats.binary_search_by_key(&seq, |told| told.seq) {
            Ok(index) => {
                let told = &self.seats[index];
                let name = &self.names[&told.campaign];
                let same = (name, told.seat, told.nth, told.of) == (campaign, entry.seat(), entry.nth(), of);
                if same && same_user(&told.user, entry.user()) {
                    return Says::Same;
                }
                Says::Other(format!(
                    "at seq {seq} the journal has {}campaign {name} seat {} user {}{}, the other side {}campaign {campaign} \
                     seat {} user {}{}",
                    return_words(told.of),
                    told.seat,
                    told.user,
                    nth_words(told.nth),
                    return_words(of),
                    entry.seat(),
                    entry.user(),
                    nth_words(entry.nth())
                ))
            }
            // Its campaign was dropped, or it came back, and its history is given up.
            Err(_) if seq < self.kept_from && self.is_over(campaign, seq) => Says::Same,
            Err(_) if seq <= self.last && !self.left_out(seq) => {
                let what = if of.is_some() { "return" } else { "grant" };
                Says::Other(format!("at seq {seq} the journal has no {what}, the other side has {entry}"))
            }
            Err(_) => Says::Unknown,
        }
    }

    /// Whether what the campaign was at `seq` can be over.
    fn is_over(&self, campaign: &str, seq: Lsn) -> bool {
        let facts = self.core.campaign_id(campaign.as_bytes()).and_then(|id| self.core.campaign(id));
        facts.is_none_or(|facts| facts.dropped || self.core.last_return(facts.id) >= seq)
    }

    fn left_out(&self, seq: Lsn) -> bool {
        let before = self.skipped.partition_point(|(first, _)| *first <= seq);
        before > 0 && self.skipped[before - 1].1 >= seq
    }
}

/// What a return of that grant begins with; nothing of a grant.
fn return_words(of: Option<Lsn>) -> String {
    of.map_or_else(String::new, |grant| format!("the return of seq {grant}, "))
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
