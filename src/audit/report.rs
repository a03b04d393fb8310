//! The result of an audit, for people and for machines.

use std::fmt;

use serde_json::{Value as Json, json};

use super::findings::{Findings, Kind, Place};
use crate::exit::Exit;
use crate::ids::{LogId, Lsn};

/// What is compared with the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The topic.
    Kafka,
    /// The ledger.
    Ledger,
}

impl Checked {
    /// In the middle of a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            Checked::Kafka => "Kafka",
            Checked::Ledger => "the ledger",
        }
    }
}

/// One campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignRow {
    /// Its name.
    pub campaign: String,
    /// The journal does not have it.
    pub unknown: bool,
    /// Its seats.
    pub limit: u32,
    /// A rehearsal: nothing of it leaves the gate.
    pub shadow: bool,
    /// It was dropped.
    pub dropped: bool,
    /// Seats that somebody has.
    pub counter: u64,
    /// Grants in the journal that did not come back.
    pub journal: u64,
    /// Of those, in the topic; `None`: not checked.
    pub kafka: Option<u64>,
    /// Of those, in the ledger; `None`: not checked.
    pub ledger: Option<u64>,
    /// Grants that came back.
    pub returned: u64,
    /// Of those, returns in the topic of returns; `None`: not checked.
    pub kafka_returned: Option<u64>,
    /// Of those, returns in the ledger; `None`: not checked.
    pub ledger_returned: Option<u64>,
    /// Not yet in the topic.
    pub kafka_pending: u64,
    /// Not yet in the ledger.
    pub ledger_pending: u64,
    /// Not yet in one of them.
    pub pending: u64,
    /// No longer kept in the topic.
    pub unkept: u64,
    /// Missing in one of them.
    pub missing: u64,
    /// Differences beside what is missing.
    pub extra: u64,
    /// Nothing differs.
    pub agrees: bool,
}

impl CampaignRow {
    pub(super) fn judge(&mut self, findings: &Findings) {
        let lacks = |place: Place, kind: Kind| match kind {
            Kind::Missing => true,
            Kind::Order => place == Place::Kafka,
            Kind::Broken
            | Kind::Orphan
            | Kind::Wrong
            | Kind::Twice
            | Kind::Chain
            | Kind::Shadow
            | Kind::OtherJournal
            | Kind::LostTail
            | Kind::Ahead => false,
        };
        self.extra = findings.count(&self.campaign, |place, kind| !lacks(place, kind));
        self.agrees = findings.count(&self.campaign, |_, _| true) == 0;
    }
}

/// What an audit found.
#[derive(Debug)]
pub struct Report {
    /// The journal.
    pub log: LogId,
    /// Its last position.
    pub journal_end: Lsn,
    /// What stands behind that, unfinished.
    pub torn: Option<String>,
    /// Records in the topic, of all kinds; `None`: not checked.
    pub kafka_records: Option<u64>,
    /// Rows of our journal in the ledger; `None`: not checked.
    pub ledger_rows: Option<u64>,
    /// By campaign: those of the journal first.
    pub campaigns: Vec<CampaignRow>,
    /// What differs.
    pub findings: Findings,
    /// What is no difference, and worth knowing.
    pub notes: Vec<String>,
    /// Some of that by place.
    pub details: Vec<String>,
    /// What was not checked because nobody asked for it.
    pub not_asked: Vec<String>,
    /// What was not checked because it could not be reached.
    pub unreachable: Vec<String>,
}

impl Report {
    pub(super) fn new(log: LogId) -> Report {
        Report {
            log,
            journal_end: Lsn::ZERO,
            torn: None,
            kafka_records: None,
            ledger_rows: None,
            campaigns: Vec::new(),
            findings: Findings::default(),
            notes: Vec::new(),
            details: Vec::new(),
            not_asked: Vec::new(),
            unreachable: Vec::new(),
        }
    }

    pub(super) fn not_asked(&mut self, what: Checked, why: &str) {
        self.not_asked.push(format!("{} was not checked: {why}", what.in_words()));
    }

    pub(super) fn unreachable(&mut self, what: Checked, why: String) {
        self.unreachable.push(format!("{} was not checked to the end: {why}", what.in_words()));
    }

    pub(super) fn note(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.notes.push(format!("{count} {what}"));
        }
    }

    /// Grants that are still on their way.
    pub fn pending(&self) -> u64 {
        self.campaigns.iter().map(|row| row.pending).sum()
    }

    /// How the process ends with it.
    pub fn exit(&self) -> Exit {
        if !self.findings.is_empty() {
            Exit::Difference
        } else if !self.unreachable.is_empty() {
            Exit::Surroundings
        } else {
            Exit::Done
        }
    }

    /// The result in one line.
    pub fn verdict(&self) -> String {
        let differences: u64 = self.findings.groups().map(|(.., group)| group.count).sum();
        match (self.exit(), self.pending(), self.not_asked.is_empty()) {
            (Exit::Difference, ..) => format!("{differences} differences"),
            (Exit::Surroundings, ..) => "what could be checked agrees; not all could be reached".to_owned(),
            (_, 0, true) => "all agree, complete".to_owned(),
            (_, 0, false) => "all that was checked agrees, complete".to_owned(),
            (_, pending, true) => format!("all agree; {pending} grants are still on their way"),
            (_, pending, false) => format!("all that was checked agrees; {pending} grants are still on their way"),
        }
    }

    /// All of it as one JSON object.
    pub fn json(&self) -> String {
        let campaigns: Vec<Json> = self
            .campaigns
            .iter()
            .map(|row| {
                json!({
                    "campaign": row.campaign, "in_journal": !row.unknown, "limit": row.limit, "shadow": row.shadow,
                    "dropped": row.dropped, "counter": row.counter, "journal": row.journal, "kafka": row.kafka,
                    "ledger": row.ledger, "kafka_pending": row.kafka_pending, "ledger_pending": row.ledger_pending,
                    "returned": row.returned, "kafka_returned": row.kafka_returned,
                    "ledger_returned": row.ledger_returned, "pending": row.pending, "no_longer_kept": row.unkept, "missing": row.missing, "extra": row.extra,
                    "agrees": row.agrees,
                })
            })
            .collect();
        let differences: Vec<Json> = self
            .findings
            .groups()
            .map(|(campaign, place, kind, group)| {
                json!({
                    "campaign": campaign, "place": place.name(), "kind": kind.name(), "count": group.count,
                    "first": group.first,
                })
            })
            .collect();
        json!({
            "verdict": self.verdict(),
            "agrees": self.findings.is_empty(),
            "complete": self.exit() == Exit::Done && self.pending() == 0,
            "log": self.log.to_string(),
            "journal_end": self.journal_end.get(),
            "journal_torn": self.torn,
            "kafka_records": self.kafka_records,
            "ledger_rows": self.ledger_rows,
            "pending": self.pending(),
            "campaigns": campaigns,
            "differences": differences,
            "notes": self.notes,
            "details": self.details,
            "not_checked": self.not_asked,
            "unreachable": self.unreachable,
        })
        .to_string()
    }
}

const HEADINGS: [&str; 9] =
    ["campaign", "counter", "journal", "kafka", "ledger", "pending", "missing", "extra", "verdict"];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.campaigns.iter().map(cells));
        let widths: Vec<usize> = (0..HEADINGS.len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        for line in &lines {
            let mut text = String::new();
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                text += &match column {
                    0 => format!("{cell:<width$}"),
                    8 => format!("  {cell}"),
                    _ => format!("  {cell:>width$}"),
                };
            }
            writeln!(f, "{text}")?;
        }
        writeln!(f)?;
        if !self.findings.is_empty() {
            writeln!(f, "{}", self.findings)?;
        }
        for line in self.notes.iter().chain(&self.details) {
            writeln!(f, "{line}")?;
        }
        if let Some(torn) = &self.torn {
            writeln!(f, "the journal ends with {torn}: nothing was answered from it, or it is being written")?;
        }
        for line in self.not_asked.iter().chain(&self.unreachable) {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "journal {} up to {}: {}", self.log, self.journal_end, self.verdict())
    }
}

fn cells(row: &CampaignRow) -> [String; 9] {
    let count = |count: Option<u64>| match count {
        _ if row.shadow => "-".to_owned(),
        Some(count) => count.to_string(),
        None => "?".to_owned(),
    };
    let known = |count: u64| if row.unknown { "-".to_owned() } else { count.to_string() };
    let verdict = match (row.agrees, row.pending, row.shadow) {
        (false, ..) => "differs",
        (true, _, true) => "rehearsal",
        (true, 0, false) => "agrees",
        (true, _, false) => "agrees, on its way",
    };
    [
        row.campaign.clone(),
        known(row.counter),
        known(row.journal),
        if row.unknown { "-".to_owned() } else { count(row.kafka) },
        if row.unknown { "-".to_owned() } else { count(row.ledger) },
        row.pending.to_string(),
        row.missing.to_string(),
        row.extra.to_string(),
        verdict.to_owned(),
    ]
}
