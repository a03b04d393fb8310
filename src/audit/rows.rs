//! The ledger: its rows against the journal, and how much of the journal must be in it.

use std::collections::{BTreeMap, HashMap};

use super::AuditError;
use super::book::{Book, Judged, Layout, Seen};
use super::findings::{Kind, Place};
use super::page::{Entry, Page};
use super::progress::Progress;
use crate::grant::Kind as EntryKind;
use crate::ids::{LogId, Lsn};
use crate::ledger::{DeadLetter, LedgerError, LedgerReader, Position, ReturnRow, journal_source, kind_of_source};
use crate::wire::kafka::{Key, Parsed, parse, partition_of};

/// Rows of one question to the database.
const PAGE_ROWS: usize = 5_000;

/// Dead letters whose grants are remembered, to say why a row is missing.
const LETTERS_MAX: usize = 100_000;

/// A ledger whose positions are known.
pub struct Rows {
    reader: Box<dyn LedgerReader>,
    /// How far each source was stored when the audit began.
    pub positions: Vec<Position>,
}

/// What a ledger holds beside what differs.
#[derive(Debug, Default)]
pub struct RowFacts {
    /// Rows of our journal, of grants and of returns.
    pub rows: u64,
    /// Rows of other journals, under campaigns that ours does not have.
    pub others: u64,
    /// What the journal no longer tells of.
    pub untold: u64,
    /// Dead letters of all sources.
    pub letters: u64,
    /// Why grants of ours became dead letters, by their position.
    pub reasons: HashMap<Lsn, String>,
}

impl Rows {
    /// Asks how far everything is stored.
    pub fn begin(mut reader: Box<dyn LedgerReader>) -> Result<Rows, LedgerError> {
        let positions = reader.all_positions()?;
        Ok(Rows { reader, positions })
    }

    /// Reads all of it. What it finds wrong goes to the findings of `book`.
    pub fn read(
        &mut self,
        book: &mut Book,
        only: Option<&str>,
        progress: &mut Progress,
    ) -> Result<RowFacts, ReadError> {
        let mut facts = RowFacts::default();
        self.letters(book.log(), &mut facts).map_err(ReadError::Ledger)?;
        let total: u64 = book.pages().iter().map(|page| page.taken).sum();
        let mut after = only.map(|campaign| (campaign.to_owned(), 0));
        loop {
            let from = after.as_ref().map(|(campaign, seat)| (campaign.as_str(), *seat));
            let rows = self.reader.grants(from, PAGE_ROWS).map_err(ReadError::Ledger)?;
            let Some(last) = rows.last() else { break };
            let over = only.is_some_and(|only| *last.campaign != *only);
            after = Some((last.campaign.to_string(), last.seat));
            for row in &rows {
                if !book.wants(&row.campaign) {
                    continue;
                }
                if row.log == book.log() {
                    facts.rows += 1;
                    let judged = book.judge(Seen::Ledger, row, progress).map_err(ReadError::Audit)?;
                    facts.untold += u64::from(judged == Judged::Untold);
                } else if book.page(&row.campaign).is_some_and(|page| !page.shadow) {
                    let words = || format!("seat {} user {} (log {}, seq {})", row.seat, row.user, row.log, row.seq);
                    book.findings.add(&row.campaign, Place::Ledger, Kind::OtherJournal, words);
                } else {
                    facts.others += 1;
                }
            }
            progress.at(facts.rows, total.max(facts.rows));
            if over {
                break;
            }
        }
        self.returns(book, &mut facts, progress)?;
        Ok(facts)
    }

    /// Reads all returns: they lie in the order of the journal, those of all campaigns.
    fn returns(&mut self, book: &mut Book, facts: &mut RowFacts, progress: &mut Progress) -> Result<(), ReadError> {
        let mut after = None;
        loop {
            let rows = self.reader.returns(after, PAGE_ROWS).map_err(ReadError::Ledger)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some((last.back.log, last.back.seq));
            for ReturnRow { back, .. } in &rows {
                if !book.wants(&back.campaign) {
                    continue;
                }
                if back.log == book.log() {
                    facts.rows += 1;
                    let judged = book.judge_return(Seen::Ledger, back, progress).map_err(ReadError::Audit)?;
                    facts.untold += u64::from(judged == Judged::Untold);
                } else if book.page(&back.campaign).is_some_and(|page| !page.shadow) {
                    let words = || format!("{back} (log {})", back.log);
                    book.findings.add(&back.campaign, Place::Ledger, Kind::OtherJournal, words);
                } else {
                    facts.others += 1;
                }
            }
        }
    }

    fn letters(&mut self, ours: LogId, facts: &mut RowFacts) -> Result<(), LedgerError> {
        let mut after: Option<(String, u32, u64)> = None;
        loop {
            let from = after.as_ref().map(|(source, kpart, position)| (source.as_str(), *kpart, *position));
            let letters = self.reader.dead_letters(from, PAGE_ROWS)?;
            let Some(last) = letters.last() else { return Ok(()) };
            after = Some((last.source.clone(), last.kpart, last.position));
            for letter in &letters {
                facts.letters += 1;
                if let Some((log, seq)) = meant(letter)
                    && log == ours
                    && facts.reasons.len() < LETTERS_MAX
                {
                    facts.reasons.insert(seq, letter.reason.clone());
                }
            }
        }
    }
}

/// Why reading ended early.
pub enum ReadError {
    /// The database did not answer.
    Ledger(LedgerError),
    /// The audit itself cannot go on.
    Audit(AuditError),
}

/// The grant or return that a dead letter claims to be.
fn meant(letter: &DeadLetter) -> Option<(LogId, Lsn)> {
    match parse(
        kind_of_source(&letter.source),
        letter.key.as_deref(),
        letter.value.as_deref(),
        Some(letter.at),
        &letter.record_headers(),
    ) {
        Parsed::Entry(record) => Some((record.entry.log(), record.entry.seq())),
        Parsed::Bad(bad) => bad.place.map(|(log, seq, _)| (log, seq)),
        Parsed::Foreign => None,
    }
}

/// How far one source of our journal is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// `journal:LOG`, `kafka:CLUSTER:TOPIC` or `kafka-returns:CLUSTER:TOPIC`.
    pub source: String,
    /// By partition: what is at or below this is stored.
    pub upto: Vec<Lsn>,
    /// By partition: the first position that is not.
    pub next: Vec<u64>,
    /// Records are missing there, and awaited.
    pub hole: bool,
}

/// What `positions` say of the journal `log`, whose last import from elsewhere is at `imports_upto`.
pub fn covers(positions: &[Position], log: LogId, imports_upto: Lsn) -> Vec<Cover> {
    let mut found: BTreeMap<String, Cover> = BTreeMap::new();
    for position in positions {
        let (source, own) = match position.source.rsplit_once(':') {
            _ if position.source == journal_source(log) => (position.source.as_str(), true),
            Some((topic, suffix)) if topic.starts_with("kafka") && suffix.parse::<LogId>().is_ok() => {
                if suffix != log.to_string() {
                    continue;
                }
                (topic, true)
            }
            Some(("journal", _)) | None => continue,
            Some(_) => (position.source.as_str(), position.log == log),
        };
        let empty = || Cover { source: source.to_owned(), upto: Vec::new(), next: Vec::new(), hole: false };
        let cover = found.entry(source.to_owned()).or_insert_with(empty);
        let part = position.kpart as usize;
        if cover.upto.len() <= part {
            cover.upto.resize(part + 1, Lsn::ZERO);
            cover.next.resize(part + 1, 0);
        }
        if source == position.source {
            cover.next[part] = position.next;
        }
        if own {
            cover.upto[part] = cover.upto[part].max(position.last_seq);
            cover.hole |= position.hole;
        }
        let end = Lsn::new(position.next).prev();
        if source.starts_with("journal:") && imports_upto <= end {
            // Every position of a journal is one of ours; what was brought in from elsewhere has older ones.
            cover.upto[part] = cover.upto[part].max(end);
        }
    }
    found.into_values().collect()
}

impl Cover {
    /// Whether entries of this kind are stored from there: a journal has both.
    fn tells_of(&self, kind: EntryKind) -> bool {
        self.source.starts_with("journal:") || kind_of_source(&self.source) == kind
    }

    /// Up to where grants of `page` are stored, where that is the same for all of them.
    fn of_page(&self, page: &Page, layout: Layout) -> Option<Lsn> {
        let partitions = u32::try_from(self.upto.len()).ok()?;
        match (partitions, layout.key) {
            (1, _) => Some(self.upto[0]),
            (_, Key::Campaign) => Some(self.upto[partition_of(page.name.as_bytes(), partitions) as usize]),
            (_, Key::User | Key::None) => None,
        }
    }

    /// Whether the grant of `entry` must be in the ledger because of this source.
    fn holds(&self, entry: Entry, layout: Layout) -> bool {
        let part = match layout.key {
            Key::None => (entry.seq().get() % self.upto.len() as u64) as usize,
            // Users are not kept, only where they lead in the topic that was asked.
            Key::User if layout.partitions as usize == self.upto.len() => usize::from(entry.partition()),
            Key::User | Key::Campaign => return false,
        };
        entry.seq() <= self.upto[part]
    }
}

/// What must be in the ledger of one page.
pub struct Stored<'a> {
    upto: Lsn,
    others: Vec<&'a Cover>,
    layout: Layout,
}

impl<'a> Stored<'a> {
    /// The entries of `kind` of `page`, by what `covers` say.
    pub fn of(covers: &'a [Cover], kind: EntryKind, page: &Page, layout: Layout) -> Stored<'a> {
        let covers = || covers.iter().filter(move |cover| cover.tells_of(kind));
        let upto = covers().filter_map(|cover| cover.of_page(page, layout)).max().unwrap_or(Lsn::ZERO);
        let others = covers().filter(|cover| cover.of_page(page, layout).is_none()).collect();
        Stored { upto, others, layout }
    }

    /// Whether the grant of `entry` must be there.
    pub fn holds(&self, entry: Entry) -> bool {
        entry.seq() <= self.upto || self.others.iter().any(|cover| cover.holds(entry, self.layout))
    }
}
