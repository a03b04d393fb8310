//! The journal as the audit holds it: a page for each campaign, and the judgement over every grant seen elsewhere.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::AuditError;
use super::findings::{Findings, Kind, Place};
use super::page::{Entry, Page, SEQ_MAX};
use super::progress::Progress;
use super::returned::{Gone, Mark};
use crate::core::{Event, parse_integer};
use crate::grant::{Grant, GrantUser, Return};
use crate::ids::{CampaignId, LogId, Lsn, Seat, User};
use crate::journal::ReadOnly;
use crate::wire::kafka::{Key, partition_of};

/// How grants are spread over a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// By what.
    pub key: Key,
    /// Over how many; 0: there is no topic.
    pub partitions: u32,
}

impl Layout {
    /// Where a grant goes: by its campaign's name, its user as text, or its position.
    fn partition(self, name: &str, user: User<'_>, seq: Lsn) -> u16 {
        let bytes = |bytes: &[u8]| partition_of(bytes, self.partitions) as u16;
        match (self.partitions, self.key, user) {
            (0, ..) => 0,
            (_, Key::Campaign, _) => bytes(name.as_bytes()),
            (_, Key::User, User::Int(number)) => bytes(number.to_string().as_bytes()),
            (_, Key::User, User::Any(text)) => bytes(text),
            (partitions, Key::None, _) => (seq.get() % u64::from(partitions)) as u16,
        }
    }
}

/// Where a grant was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// In the topic, in its turn.
    Topic,
    /// In the topic, before its turn: whoever reads it waits until it is sent again.
    Early,
    /// In the ledger.
    Ledger,
}

/// What the journal says of a grant seen elsewhere; what differs is among the findings already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is one of ours, seen for the first time.
    Right,
    /// It is one of ours, seen before.
    Again,
    /// One of ours is meant, and something of it is wrong.
    Wrong,
    /// It is none of ours.
    Orphan,
    /// It may be one of ours: the journal no longer tells of what was then and is not now.
    Untold,
    /// Its campaign was not asked for.
    Ignored,
}

/// The journal.
pub struct Book {
    journal: ReadOnly,
    layout: Layout,
    /// The one campaign that is asked for.
    only: Option<String>,
    hash_keys: (u64, u64),
    pages: Vec<Page>,
    /// By the campaign's number.
    by_id: Vec<Option<usize>>,
    /// Those of one name in order: where each begins, and its page. A purged campaign leaves its name to the next.
    by_name: HashMap<Arc<str>, Vec<(Lsn, usize)>>,
    /// The last event that brought a grant back in from elsewhere.
    pub imports_upto: Lsn,
    /// What differs so far, everywhere.
    pub findings: Findings,
    trouble: Option<AuditError>,
}

impl Book {
    /// The journal, of which nothing is read yet.
    pub fn new(journal: ReadOnly, layout: Layout, only: Option<String>, hash_keys: (u64, u64)) -> Book {
        Book {
            journal,
            layout,
            only,
            hash_keys,
            pages: Vec::new(),
            by_id: Vec::new(),
            by_name: HashMap::new(),
            imports_upto: Lsn::ZERO,
            findings: Findings::default(),
            trouble: None,
        }
    }

    /// The journal's name.
    pub fn log(&self) -> LogId {
        self.journal.log_id()
    }

    /// The last position read.
    pub fn last(&self) -> Lsn {
        self.journal.last()
    }

    /// The unfinished write at the end, in words.
    pub fn torn(&self) -> Option<String> {
        let torn = self.journal.torn()?;
        Some(format!("an unfinished write of {} bytes at {}:{}", torn.bytes, torn.path.display(), torn.offset))
    }

    /// The campaigns, in the order in which they were created.
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// The pages and the findings.
    pub fn parts(&mut self) -> (&mut [Page], &mut Findings) {
        (&mut self.pages, &mut self.findings)
    }

    /// How a grant is spread.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether `campaign` is asked for.
    pub fn wants(&self, campaign: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == campaign)
    }

    /// The page of `campaign`.
    pub fn page(&self, campaign: &str) -> Option<&Page> {
        self.page_at(campaign, Lsn::new(u64::MAX)).map(|index| &self.pages[index])
    }

    /// The page of the campaign that had this name at `seq`: the first one where none had it yet.
    fn page_at(&self, campaign: &str, seq: Lsn) -> Option<usize> {
        let named = self.by_name.get(campaign)?;
        let before = named.partition_point(|(begins, _)| *begins <= seq).max(1);
        named.get(before - 1).map(|(_, index)| *index)
    }

    /// Reads what was written since the last call.
    pub fn catch_up(&mut self, progress: &mut Progress) -> Result<(), AuditError> {
        let Book { journal, layout, only, hash_keys, pages, by_id, by_name, imports_upto, findings, trouble } = self;
        let mut above = Vec::new();
        let mut turn = Turn {
            layout: *layout,
            only,
            hash_keys: *hash_keys,
            pages,
            by_id,
            by_name,
            imports_upto,
            above: &mut above,
            findings,
            trouble,
        };
        let mut shown = |at: crate::journal::ReplayProgress| progress.at(at.bytes_done, at.bytes_total);
        journal.catch_up(&mut |lsn, event| turn.take(lsn, event), &mut shown).map_err(AuditError::Journal)?;
        self.judge_limits(&above);
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// Names the seats that were above the limit. Which one held before what is kept is known by no one: a campaign that is
    /// older may have had more seats when one was given that came back, so only what is still out is held against it.
    fn judge_limits(&mut self, above: &[Above]) {
        let kept_from = self.journal.kept_from();
        for Above { page, seat, seq, limit, since } in above {
            let page = &self.pages[*page];
            if *since >= kept_from || page.entry(*seat).is_some_and(|entry| entry.seq() == *seq) {
                self.findings.add(&page.name, Place::Journal, Kind::Broken, || {
                    format!("seat {seat} (seq {seq}): above the limit {limit}")
                });
            }
        }
    }

    /// Holds a grant of our journal that was seen outside against the journal.
    pub fn judge(&mut self, seen: Seen, grant: &Grant, progress: &mut Progress) -> Result<Judged, AuditError> {
        if !self.wants(&grant.campaign) {
            return Ok(Judged::Ignored);
        }
        if grant.seq > self.last() {
            // Of a running gate the world may know what was not written when the journal was read.
            self.catch_up(progress)?;
        }
        let place = if seen == Seen::Ledger { Place::Ledger } else { Place::Kafka };
        let user = fold(self.hash_keys, &grant.user);
        let (last, kept_from) = (self.last(), self.journal.kept_from());
        let Some(index) = self.page_at(&grant.campaign, grant.seq) else {
            self.findings.add(&grant.campaign, place, Kind::Orphan, || format!("{}: no such campaign", words(grant)));
            return Ok(Judged::Orphan);
        };
        let (page, findings) = (&mut self.pages[index], &mut self.findings);
        if page.shadow {
            findings.add(&grant.campaign, place, Kind::Shadow, || words(grant));
            return Ok(Judged::Orphan);
        }
        let there = page.entry(grant.seat);
        if let Some(entry) = there.filter(|entry| entry.seq() == grant.seq) {
            let first = mark(page, seen, grant.seat);
            let nth = page.nth(grant.seat);
            if entry.user == user && grant.nth == nth {
                return Ok(if first { Judged::Right } else { Judged::Again });
            }
            findings.add(&grant.campaign, place, Kind::Wrong, || match entry.user == user {
                true => format!("{} with nth {}: the journal has nth {nth}", words(grant), grant.nth),
                false => format!("{}: the journal has {} there", words(grant), page.user_words(entry)),
            });
            return Ok(Judged::Wrong);
        }
        if let Some(gone) = page.returned.granted_at(grant.seq) {
            let mark = match seen {
                Seen::Topic => Mark::GrantInTopic,
                Seen::Early => Mark::GrantEarly,
                Seen::Ledger => Mark::GrantRow,
            };
            if (gone.seat, gone.grant.user, gone.nth) == (grant.seat, user, grant.nth) {
                return Ok(if gone.set(mark) { Judged::Right } else { Judged::Again });
            }
            let seat = gone.seat;
            findings.add(&grant.campaign, place, Kind::Wrong, || {
                format!(
                    "{}: the journal has another one at seq {} (seat {seat}), which came back",
                    words(grant),
                    grant.seq
                )
            });
            return Ok(Judged::Wrong);
        }
        let is_later = there.is_none_or(|entry| entry.seq() > grant.seq);
        if grant.seq < kept_from && is_later && (place == Place::Kafka || page.dropped) {
            return Ok(Judged::Untold);
        }
        if let Some(seat) = page.seat_of(grant.seq) {
            let kind = if mark(page, seen, seat) { Kind::Wrong } else { Kind::Twice };
            findings
                .add(&grant.campaign, place, kind, || format!("{}: the journal has it as seat {seat}", words(grant)));
            return Ok(Judged::Wrong);
        }
        if let Some(entry) = there {
            // A row takes the place of the right one, a record stands beside it.
            if seen == Seen::Ledger {
                mark(page, seen, grant.seat);
            }
            findings.add(&grant.campaign, place, Kind::Wrong, || {
                format!("{}: the journal has {} there with seq {}", words(grant), page.user_words(entry), entry.seq())
            });
            return Ok(Judged::Wrong);
        }
        findings.add(&grant.campaign, place, Kind::Orphan, || match grant.seq > last {
            true => format!("{}: beyond the journal's end at {last}", words(grant)),
            false => words(grant),
        });
        Ok(Judged::Orphan)
    }
}

impl Book {
    /// Holds a return of our journal that was seen outside against the journal.
    pub fn judge_return(&mut self, seen: Seen, back: &Return, progress: &mut Progress) -> Result<Judged, AuditError> {
        if !self.wants(&back.campaign) {
            return Ok(Judged::Ignored);
        }
        if back.seq > self.last() {
            self.catch_up(progress)?;
        }
        let place = if seen == Seen::Ledger { Place::Ledger } else { Place::Kafka };
        let (user, last, kept_from) = (fold(self.hash_keys, &back.user), self.last(), self.journal.kept_from());
        let orphan = |findings: &mut Findings, why: &str| {
            findings.add(&back.campaign, place, Kind::Orphan, || format!("{back}{why}"));
            Ok(Judged::Orphan)
        };
        let Some(index) = self.page_at(&back.campaign, back.seq) else {
            return orphan(&mut self.findings, ": no such campaign");
        };
        let (page, findings) = (&mut self.pages[index], &mut self.findings);
        if page.shadow {
            findings.add(&back.campaign, place, Kind::Shadow, || back.to_string());
            return Ok(Judged::Orphan);
        }
        let Some(gone) = page.returned.returned_at(back.seq) else {
            if back.seq < kept_from {
                return Ok(Judged::Untold);
            }
            let beyond = format!(": beyond the journal's end at {last}");
            return orphan(findings, if back.seq > last { &beyond } else { "" });
        };
        let mark = match seen {
            Seen::Topic => Mark::InTopic,
            Seen::Early => Mark::Early,
            Seen::Ledger => Mark::Row,
        };
        if (gone.seat, gone.grant.user, gone.nth, gone.grant.seq()) == (back.seat, user, back.nth, back.grant) {
            return Ok(if gone.set(mark) { Judged::Right } else { Judged::Again });
        }
        let there = *gone;
        findings.add(&back.campaign, place, Kind::Wrong, || {
            let Gone { seat, nth, grant, .. } = there;
            let user = page.user_words(grant);
            format!("{back}: the journal has seat {seat} {user} nth {nth} there, whose grant's seq is {}", grant.seq())
        });
        Ok(Judged::Wrong)
    }
}

fn mark(page: &mut Page, seen: Seen, seat: u32) -> bool {
    let index = seat as usize - 1;
    match seen {
        Seen::Topic => page.in_topic.set(index),
        Seen::Early => page.early.set(index),
        Seen::Ledger => page.in_ledger.set(index),
    }
}

fn words(grant: &Grant) -> String {
    format!("seat {} user {} (seq {})", grant.seat, grant.user, grant.seq)
}

/// A user as a number: users that are the same text are the same number.
fn fold(keys: (u64, u64), user: &GrantUser) -> u64 {
    match user {
        GrantUser::Int(number) => number.cast_unsigned(),
        GrantUser::Any(bytes) => fold_bytes(keys, bytes),
    }
}

fn fold_bytes(keys: (u64, u64), bytes: &[u8]) -> u64 {
    if let Some(number) = parse_integer(bytes) {
        return number.cast_unsigned();
    }
    let mut hasher = SipHasher13::new_with_keys(keys.0, keys.1);
    hasher.write(bytes);
    hasher.finish()
}

/// A seat that was given above the limit of its campaign.
struct Above {
    page: usize,
    seat: u32,
    seq: Lsn,
    limit: u32,
    /// Where the limit was settled.
    since: Lsn,
}

/// What reading the journal changes.
struct Turn<'b> {
    layout: Layout,
    only: &'b Option<String>,
    hash_keys: (u64, u64),
    pages: &'b mut Vec<Page>,
    by_id: &'b mut Vec<Option<usize>>,
    by_name: &'b mut HashMap<Arc<str>, Vec<(Lsn, usize)>>,
    imports_upto: &'b mut Lsn,
    above: &'b mut Vec<Above>,
    findings: &'b mut Findings,
    trouble: &'b mut Option<AuditError>,
}

impl Turn<'_> {
    fn take(&mut self, lsn: Lsn, event: &Event<'_>) {
        match event {
            Event::CampaignCreated { id, name, terms, .. } => {
                let name: Arc<str> = String::from_utf8_lossy(name).into();
                let wanted = self.only.as_deref().is_none_or(|only| only == &*name);
                let index = wanted.then(|| {
                    let partition = self.layout.partition(&name, User::Int(0), Lsn::ZERO);
                    self.pages.push(Page::new(Arc::clone(&name), terms, partition, lsn));
                    self.by_name.entry(name).or_default().push((lsn, self.pages.len() - 1));
                    self.pages.len() - 1
                });
                self.by_id.resize(self.by_id.len().max(id.index() + 1), None);
                self.by_id[id.index()] = index;
            }
            Event::CampaignAltered { id, to, .. } => {
                if let Some(index) = self.by_id.get(id.index()).copied().flatten() {
                    let page = &mut self.pages[index];
                    (page.limit, page.limit_since, page.per_user) = (to.limit, lsn, to.per_user);
                }
            }
            Event::CampaignDropped { id, .. } => {
                if let Some(index) = self.by_id.get(id.index()).copied().flatten() {
                    self.pages[index].dropped = true;
                }
            }
            Event::Granted { campaign, seat, user, nth, .. } | Event::Confirmed { campaign, seat, user, nth, .. } => {
                self.granted(*campaign, *seat, (*user, *nth), lsn);
            }
            Event::Imported { campaign, seat, user, nth, seq, .. } => {
                if seq.is_some() {
                    *self.imports_upto = lsn;
                }
                self.granted(*campaign, *seat, (*user, *nth), seq.unwrap_or(lsn));
            }
            Event::Returned { campaign, seat, user, nth, grant, seq, .. } => {
                if seq.is_some() {
                    *self.imports_upto = lsn;
                }
                self.returned(*campaign, *seat, (*user, *nth), *grant, seq.unwrap_or(lsn));
            }
            Event::Held { .. }
            | Event::HoldEnded { .. }
            | Event::Skipped { .. }
            | Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => {}
        }
    }

    /// The page of what happened at `seq`; none where its campaign was not asked for, or where it cannot be.
    fn page_of(&mut self, id: CampaignId, seq: Lsn) -> Option<usize> {
        let Some(known) = self.by_id.get(id.index()) else {
            self.trouble.get_or_insert(AuditError::NoSuchCampaign { seq, id: id.0 });
            return None;
        };
        let index = (*known)?;
        if seq.get() > SEQ_MAX {
            self.trouble.get_or_insert(AuditError::TooFar(seq));
            return None;
        }
        Some(index)
    }

    /// Catch-up creates a campaign behind what it brings back in of it: the name was this one's from there on.
    fn begins_by(&mut self, index: usize, seq: Lsn) {
        let page = &mut self.pages[index];
        if seq >= page.begins {
            return;
        }
        page.begins = seq;
        let named = self.by_name.get_mut(&page.name).expect("every page is found by its name");
        named.iter_mut().filter(|(_, there)| *there == index).for_each(|(begins, _)| *begins = seq);
        named.sort_by_key(|(begins, _)| *begins);
    }

    fn returned(&mut self, id: CampaignId, seat: Seat, (user, nth): (User<'_>, u16), grant: Lsn, seq: Lsn) {
        let Some(index) = self.page_of(id, seq) else { return };
        self.begins_by(index, grant.min(seq));
        let page = &mut self.pages[index];
        if page.shadow {
            // Which seats somebody has is not kept of a rehearsal.
            page.taken = page.taken.saturating_sub(1);
            page.events = page.events.saturating_sub(1);
            return;
        }
        let entry = entry(self.layout, self.hash_keys, page, user, grant);
        page.take_back(Gone::new(entry, seat.get(), nth, seq));
    }

    fn granted(&mut self, id: CampaignId, seat: Seat, (user, nth): (User<'_>, u16), seq: Lsn) {
        let Some(index) = self.page_of(id, seq) else { return };
        self.begins_by(index, seq);
        let page = &mut self.pages[index];
        page.events += 1;
        if seat.get() > page.limit {
            let (limit, since) = (page.limit, page.limit_since);
            self.above.push(Above { page: index, seat: seat.get(), seq, limit, since });
        }
        if page.shadow {
            page.taken += 1;
            return;
        }
        let entry = entry(self.layout, self.hash_keys, page, user, seq);
        if !page.give(seat.get(), entry, nth) {
            self.findings.add(&page.name, Place::Journal, Kind::Broken, || {
                format!("seat {seat} (seq {seq}): granted a second time")
            });
        }
    }
}

/// A grant at `seq` as a page holds it.
fn entry(layout: Layout, hash_keys: (u64, u64), page: &Page, user: User<'_>, seq: Lsn) -> Entry {
    let partition = match layout.key {
        Key::Campaign => page.partition,
        Key::User | Key::None => layout.partition(&page.name, user, seq),
    };
    let folded = match user {
        User::Int(number) => number.cast_unsigned(),
        User::Any(bytes) => fold_bytes(hash_keys, bytes),
    };
    Entry::new(seq, partition, folded)
}
