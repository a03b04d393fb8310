//! The last step: seat by seat, what should be outside and is not, and what stands beside it all.

use super::book::Book;
use super::findings::{Findings, Kind as Difference, Place};
use super::page::{Entry, Page};
use super::report::{CampaignRow, Checked, Report};
use super::returned::Mark;
use super::rows::{Cover, RowFacts, Stored};
use super::topic::TopicFacts;
use crate::grant::Kind;
use crate::ids::Lsn;
use crate::ledger::kind_of_source;

/// What was read.
#[derive(Default)]
pub struct Sweep {
    /// Of the topic; `None`: it was not read to its end.
    pub topic: Option<TopicFacts>,
    /// Of the ledger; `None`: it was not read to its end.
    pub rows: Option<RowFacts>,
    /// How far our journal is stored.
    pub covers: Vec<Cover>,
    /// The topics as sources of the ledger, and where their partitions end.
    pub ends: Vec<(String, Vec<u64>)>,
}

/// Why a grant is not where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    Pending,
    Unkept,
    Early,
    Missing,
}

impl Sweep {
    /// Finds what is missing, and writes the report.
    pub fn finish(mut self, book: &mut Book, report: &mut Report) {
        self.compare_ends(book);
        let (layout, last) = (book.layout(), book.last());
        let torn = book.torn();
        let (pages, findings) = book.parts();
        for page in &mut *pages {
            if !page.shadow {
                name_users(page, findings);
            }
            let stored = Kind::ALL.map(|kind| Stored::of(&self.covers, kind, page, layout));
            let mut row = self.row(page, &stored[0], findings);
            self.returned(page, &stored, &mut row, findings);
            if !(page.dropped && page.events == 0) {
                report.campaigns.push(row);
            }
        }
        for row in &mut report.campaigns {
            row.judge(findings);
        }
        for name in findings.campaigns() {
            if !name.is_empty() && !report.campaigns.iter().any(|row| row.campaign == name) {
                let mut row = CampaignRow { campaign: name.to_owned(), unknown: true, ..CampaignRow::default() };
                row.judge(findings);
                report.campaigns.push(row);
            }
        }
        report.journal_end = last;
        report.torn = torn;
        report.findings = std::mem::take(findings);
        self.facts(report);
    }

    /// What the ledger knows of the topic's end and of the journal's.
    fn compare_ends(&mut self, book: &mut Book) {
        let (last, log) = (book.last(), book.log());
        for (source, highs) in &self.ends {
            let Some(cover) = self.covers.iter_mut().find(|cover| cover.source == *source) else { continue };
            let parts = self.topic.as_ref().and_then(|facts| facts.parts_of(kind_of_source(source)));
            for (part, high) in highs.iter().enumerate() {
                let Some(next) = cover.next.get(part).copied() else { continue };
                if next > *high {
                    book.findings.add("", Place::Kafka, Difference::LostTail, || {
                        format!("partition {part} ends at offset {high}, but the ledger has read it up to {next}")
                    });
                } else if next == *high
                    && !cover.hole
                    && let Some(parts) = parts
                {
                    // The sink has read all of it: what stands there in its turn must be stored.
                    cover.upto[part] = cover.upto[part].max(parts[part].seen_upto);
                }
            }
        }
        for cover in &self.covers {
            if let Some(upto) = cover.upto.iter().max().filter(|upto| **upto > last) {
                book.findings.add("", Place::Ledger, Difference::Ahead, || {
                    format!("{} is stored up to seq {upto} of log {log}, the journal ends at {last}", cover.source)
                });
            }
        }
    }

    /// Up to where entries of `kind` of partition `part` have been in their topic.
    fn published_upto(&self, kind: Kind, part: usize, facts: &TopicFacts) -> Lsn {
        let source = self.ends.iter().map(|(source, _)| source).find(|source| kind_of_source(source) == kind);
        let stored = self.covers.iter().find(|cover| Some(&cover.source) == source);
        let stored = stored.and_then(|cover| cover.upto.get(part)).copied().unwrap_or(Lsn::ZERO);
        let part = facts.parts_of(kind).and_then(|parts| parts.get(part));
        part.map_or(stored, |part| part.seen_upto.max(stored))
    }

    fn row(&self, page: &Page, stored: &Stored<'_>, findings: &mut Findings) -> CampaignRow {
        let mut row = CampaignRow {
            campaign: page.name.to_string(),
            limit: page.limit,
            shadow: page.shadow,
            dropped: page.dropped,
            counter: page.taken,
            journal: page.events - page.returns,
            kafka: self.topic.as_ref().map(|_| page.in_topic.count()),
            ledger: self.rows.as_ref().map(|_| page.in_ledger.count()),
            ..CampaignRow::default()
        };
        if row.counter != row.journal {
            findings.add(&page.name, Place::Journal, Difference::Broken, || {
                format!("{} grants gave {} seats", row.journal, row.counter)
            });
        }
        for (index, entry) in page.seats.iter().enumerate().filter(|(_, entry)| entry.seq() > Lsn::ZERO) {
            let words = || format!("seat {} {} (seq {})", index + 1, page.user_words(*entry), entry.seq());
            let in_topic = self.topic.as_ref().and_then(|facts| {
                let seen = (page.in_topic.has(index), page.early.has(index));
                self.absent_in_topic(Kind::Grant, seen, facts, *entry)
            });
            match in_topic {
                Some(Absent::Pending) => row.kafka_pending += 1,
                Some(Absent::Unkept) => row.unkept += 1,
                Some(Absent::Early) => findings.add(&page.name, Place::Kafka, Difference::Order, || {
                    format!("{} stands before its turn, and was not sent again", words())
                }),
                Some(Absent::Missing) => findings.add(&page.name, Place::Kafka, Difference::Missing, words),
                None => {}
            }
            let Some(facts) = self.rows.as_ref().filter(|_| !page.in_ledger.has(index)) else {
                row.pending += u64::from(in_topic == Some(Absent::Pending));
                row.missing += u64::from(matches!(in_topic, Some(Absent::Missing | Absent::Early)));
                continue;
            };
            let reason = facts.reasons.get(&entry.seq());
            if reason.is_some() || stored.holds(*entry) {
                row.missing += 1;
                findings.add(&page.name, Place::Ledger, Difference::Missing, || match reason {
                    Some(reason) => format!("{}: it is a dead letter: {reason}", words()),
                    None => words(),
                });
            } else {
                row.ledger_pending += 1;
                row.pending += u64::from(!matches!(in_topic, Some(Absent::Missing | Absent::Early)));
                row.missing += u64::from(matches!(in_topic, Some(Absent::Missing | Absent::Early)));
            }
        }
        row
    }

    /// Grants that came back: they, their returns, and the row of each.
    fn returned(&self, page: &Page, stored: &[Stored<'_>; 2], row: &mut CampaignRow, findings: &mut Findings) {
        row.returned = page.returned.all().len() as u64;
        let has_topic = self.topic.as_ref().is_some_and(|facts| facts.returns.is_some());
        row.kafka_returned = has_topic.then(|| page.returned.count(Mark::InTopic));
        row.ledger_returned = self.rows.as_ref().map(|_| page.returned.count(Mark::Row));
        for gone in page.returned.all() {
            let words = || {
                let (user, seq) = (page.user_words(gone.grant), gone.grant.seq());
                format!("seat {} {user} (seq {seq}), which came back (seq {})", gone.seat, gone.seq)
            };
            let back = Entry::new(gone.seq, gone.grant.partition(), gone.grant.user);
            let mut absent = [None; 2];
            if let Some(facts) = &self.topic {
                let seen = (gone.has(Mark::GrantInTopic), gone.has(Mark::GrantEarly));
                absent[0] = self.absent_in_topic(Kind::Grant, seen, facts, gone.grant);
                if facts.returns.is_some() {
                    let seen = (gone.has(Mark::InTopic), gone.has(Mark::Early));
                    absent[1] = self.absent_in_topic(Kind::Return, seen, facts, back);
                }
            }
            for (absent, what) in absent.iter().zip(["", "the return of "]) {
                let words = || format!("{what}{}", words());
                match absent {
                    Some(Absent::Pending) => row.kafka_pending += 1,
                    Some(Absent::Unkept) => row.unkept += 1,
                    Some(Absent::Early) => findings.add(&page.name, Place::Kafka, Difference::Order, || {
                        format!("{} stands before its turn, and was not sent again", words())
                    }),
                    Some(Absent::Missing) => findings.add(&page.name, Place::Kafka, Difference::Missing, words),
                    None => {}
                }
            }
            let lacks = absent.iter().any(|absent| matches!(absent, Some(Absent::Missing | Absent::Early)));
            let waits = absent.contains(&Some(Absent::Pending));
            if gone.has(Mark::Row) && gone.has(Mark::GrantRow) && stored[1].holds(back) {
                findings.add(&page.name, Place::Ledger, Difference::Twice, || {
                    format!("{} is a row of coupon_grant all the same", words())
                });
            }
            let Some(facts) = self.rows.as_ref().filter(|_| !gone.has(Mark::Row)) else {
                row.pending += u64::from(waits);
                row.missing += u64::from(lacks);
                continue;
            };
            let reason = facts.reasons.get(&gone.seq);
            let must_be_grant = stored[0].holds(gone.grant) && !gone.has(Mark::GrantRow);
            if reason.is_some() || stored[1].holds(back) || must_be_grant {
                row.missing += 1;
                findings.add(&page.name, Place::Ledger, Difference::Missing, || match reason {
                    Some(reason) => format!("the return of {}: it is a dead letter: {reason}", words()),
                    None => format!("the return of {}", words()),
                });
            } else {
                row.ledger_pending += 1;
                row.pending += u64::from(!lacks);
                row.missing += u64::from(lacks);
            }
        }
    }

    fn absent_in_topic(
        &self,
        kind: Kind,
        (in_turn, early): (bool, bool),
        facts: &TopicFacts,
        entry: Entry,
    ) -> Option<Absent> {
        if in_turn {
            return None;
        }
        if early {
            return Some(Absent::Early);
        }
        let part = usize::from(entry.partition());
        let here = facts.parts_of(kind).and_then(|parts| parts.get(part)).copied().unwrap_or_default();
        let published = entry.seq() <= self.published_upto(kind, part, facts);
        if entry.seq() <= here.unkept_upto || here.all_taken && published {
            return Some(Absent::Unkept);
        }
        Some(if published { Absent::Missing } else { Absent::Pending })
    }

    /// What is no difference, and worth knowing.
    fn facts(&self, report: &mut Report) {
        if let Some(facts) = &self.topic {
            report.kafka_records = Some(facts.records);
            report.note(facts.repeats, "records are there again, the same: readers skip them by cg-seq");
            report.note(facts.early, "records stand before their turn: readers wait for them to be sent again");
            report.note(facts.bad, "records have our headers and make no sense");
            report.details.extend(facts.bad_named.iter().cloned());
            report.note(facts.foreign, "records are somebody else's");
            for (log, count) in &facts.others {
                report.note(*count, &format!("records are grants of another journal (log {log})"));
            }
            report.note(facts.further, "records are grants of further journals");
        }
        if let Some(facts) = &self.rows {
            report.ledger_rows = Some(facts.rows);
            report.note(facts.others, "rows are of other journals, in campaigns that this one does not have");
            report.note(facts.letters, "dead letters: see coupon-gate dead-letters list");
            let holes = self.covers.iter().filter(|cover| cover.hole).count() as u64;
            report.note(holes, "sources of the ledger have a hole: the gate sends what is missing there again");
        }
        let untold = self.topic.as_ref().map_or(0, |facts| facts.untold);
        report.note(untold, "records are of grants and returns that the journal no longer tells of");
        let untold = self.rows.as_ref().map_or(0, |facts| facts.untold);
        report.note(untold, "rows are of grants and returns that the journal no longer tells of");
        let known = || report.campaigns.iter().filter(|row| !row.unknown);
        let sum = |count: fn(&CampaignRow) -> Option<u64>| known().map(count).sum::<Option<u64>>();
        let told = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
        let (kafka, ledger) = (told(sum(|row| row.kafka_returned)), told(sum(|row| row.ledger_returned)));
        let all = sum(|row| Some(row.returned)).unwrap_or(0);
        report.note(all, &format!("grants came back: {kafka} returns are in Kafka, {ledger} in the ledger"));
        let unkept: u64 = report.campaigns.iter().map(|row| row.unkept).sum();
        report.note(unkept, "grants are no longer kept in the topic: retention took them");
        for (checked, pending) in [
            (Checked::Kafka, report.campaigns.iter().map(|row| row.kafka_pending).sum::<u64>()),
            (Checked::Ledger, report.campaigns.iter().map(|row| row.ledger_pending).sum::<u64>()),
        ] {
            report.note(pending, &format!("grants are not yet in {}", checked.in_words()));
        }
    }
}

/// Never more than PERUSER for a user, each his n-th once.
fn name_users(page: &Page, findings: &mut Findings) {
    for (user, seats) in page.users_with_too_many() {
        findings.add(&page.name, Place::Journal, Difference::Broken, || {
            let who = page.user_words(Entry::new(Lsn::ZERO, 0, user));
            format!("{who} has {} seats: {seats:?}", seats.len())
        });
    }
}
