//! # audit - counter = journal = Kafka = ledger, campaign by campaign
//! Reads the journal into a table of seats, then holds every record of the topic and every row of the ledger against it.
//! The operator's word to the business that nothing was lost.
//! May use: `settings` (its own), `wiring`, `kafka`, `ledger`, `journal`, `wire` (records), `core` (events), `grant`,
//! `ids`, `exit`, `sabotage` (its tests keep the peace).
//! Promises: writes nothing; names every difference; says what it did not check; a running gate is no difference: what
//! is still on its way is told apart from what is missing; memory of 17 bytes a grant, 8 more for the largest campaign
//! while its users are compared, and one journal segment.
//!
//! ```text
//! ledger: positions -> topic: ends -> journal: all of it -> topic: records -> ledger: rows -> what is missing
//! ```
//!
//! A grant that is seen outside and is beyond what was read of the journal makes the audit read on there first.

mod book;
mod command;
mod findings;
mod page;
mod progress;
mod report;
mod returned;
mod rows;
mod sweep;
#[cfg(test)]
mod tests;
mod topic;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use command::{Audited, command};
pub use findings::{Findings, Group, Kind, Place};
pub use progress::Progress;
pub use report::{CampaignRow, Checked, Report};

use crate::exit::Exit;
use crate::ids::Lsn;
use crate::journal::{self, Disk, JournalError};
use crate::kafka::{Cluster, KafkaError};
use crate::ledger::LedgerSettings;
use crate::wire::kafka::Key;
use book::{Book, Layout};
use rows::Rows;
use sweep::Sweep;
use topic::Topic;

/// What is to be compared.
pub struct Sources {
    /// The disk of the journal.
    pub disk: Arc<dyn Disk>,
    /// The data directory.
    pub data: PathBuf,
    /// The topic; `None`: there is none.
    pub topic: Option<TopicAt>,
    /// The ledger; `None`: there is none.
    pub ledger: Option<LedgerSettings>,
    /// Only this campaign.
    pub campaign: Option<String>,
}

/// Where the grants are streamed to.
pub struct TopicAt {
    /// The cluster, or why there is no talking to it.
    pub cluster: Result<Box<dyn Cluster>, KafkaError>,
    /// The topic of the grants.
    pub name: String,
    /// The topic of the returns, if there is one.
    pub cancel: Option<String>,
    /// By what grants are spread over it.
    pub key: Key,
}

/// Why there is no result at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditError {
    /// The journal cannot be read.
    Journal(JournalError),
    /// There is none.
    NoJournal(PathBuf),
    /// A grant names a campaign that nobody created.
    NoSuchCampaign {
        /// The grant.
        seq: Lsn,
        /// The campaign's number.
        id: u32,
    },
    /// A position is beyond what an audit can hold.
    TooFar(Lsn),
    /// The campaign that was asked for is nowhere.
    UnknownCampaign(String),
    /// The system gave no random bytes.
    Random(String),
}

impl AuditError {
    /// How the process ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            AuditError::Journal(error) if error.is_damage() => Exit::Damaged,
            AuditError::NoSuchCampaign { .. } => Exit::Damaged,
            AuditError::UnknownCampaign(_) => Exit::Usage,
            AuditError::Journal(_) | AuditError::NoJournal(_) | AuditError::TooFar(_) | AuditError::Random(_) => {
                Exit::Surroundings
            }
        }
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditError::Journal(error) => error.fmt(f),
            AuditError::NoJournal(data) => write!(
                f,
                "audit: there is no journal in {}: name the gate's data directory with --data",
                data.display()
            ),
            AuditError::NoSuchCampaign { seq, id } => {
                write!(f, "audit: the grant at {seq} names campaign {id}, which nobody created")
            }
            AuditError::TooFar(seq) => write!(f, "audit: the grant at {seq} is beyond what an audit can hold"),
            AuditError::UnknownCampaign(name) => {
                write!(f, "audit: the campaign {name} is not in the journal, and nothing of it was found elsewhere")
            }
            AuditError::Random(reason) => write!(f, "audit: the system gave no random bytes: {reason}"),
        }
    }
}

impl std::error::Error for AuditError {}

/// Compares. Blocks for as long as reading all of it takes.
///
/// # Errors
/// Only what leaves nothing to compare with. Differences, and what cannot be reached, are in the report.
pub fn run(sources: Sources, progress: &mut Progress) -> Result<Report, AuditError> {
    let Sources { disk, data, topic, ledger, campaign } = sources;
    let journal = journal::read_only(disk, &data).map_err(AuditError::Journal)?;
    let journal = journal.ok_or(AuditError::NoJournal(data))?;
    let mut report = Report::new(journal.log_id());

    let mut rows = open_ledger(ledger.as_ref(), &mut report);
    let key = topic.as_ref().map_or(Key::default(), |topic| topic.key);
    let mut topic = open_topic(topic, &mut report);

    let partitions = match &topic {
        Some(topic) => topic.bounds.len() as u32,
        None => 0,
    };
    let mut keys = [0; 16];
    getrandom::fill(&mut keys).map_err(|error| AuditError::Random(error.to_string()))?;
    let (low, high) = keys.split_at(8);
    let keys = [low, high].map(|half| u64::from_le_bytes(half.try_into().expect("eight bytes")));
    let mut book = Book::new(journal, Layout { key, partitions }, campaign.clone(), (keys[0], keys[1]));
    progress.begin("the journal");
    book.catch_up(progress)?;

    let mut sweep = Sweep::default();
    if let Some(topic) = &mut topic {
        progress.begin("the topic");
        match topic.read(&mut book, progress) {
            Ok(facts) => sweep.topic = Some(facts),
            Err(topic::ReadError::Kafka(error)) => report.unreachable(Checked::Kafka, error.to_string()),
            Err(topic::ReadError::Audit(error)) => return Err(error),
        }
    }
    if let Some(rows) = &mut rows {
        progress.begin("the ledger");
        match rows.read(&mut book, campaign.as_deref(), progress) {
            Ok(facts) => sweep.rows = Some(facts),
            Err(rows::ReadError::Ledger(error)) => report.unreachable(Checked::Ledger, error.to_string()),
            Err(rows::ReadError::Audit(error)) => return Err(error),
        }
    }
    if let Some(rows) = &rows {
        sweep.covers = rows::covers(&rows.positions, book.log(), book.imports_upto);
    }
    if let Some(topic) = &topic {
        sweep.ends = topic.ends();
    }
    sweep.finish(&mut book, &mut report);
    progress.end();
    match campaign {
        Some(name) if report.campaigns.is_empty() => Err(AuditError::UnknownCampaign(name)),
        Some(_) | None => Ok(report),
    }
}

fn open_ledger(settings: Option<&LedgerSettings>, report: &mut Report) -> Option<Rows> {
    let Some(settings) = settings else {
        report.not_asked(Checked::Ledger, "--ledger is none");
        return None;
    };
    match settings.to_look().and_then(|reader| reader.map(Rows::begin).transpose()) {
        Ok(Some(rows)) => Some(rows),
        Ok(None) => {
            report.unreachable(Checked::Ledger, "ledger: it is not there, or has none of the tables".into());
            None
        }
        Err(error) => {
            report.unreachable(Checked::Ledger, error.to_string());
            None
        }
    }
}

fn open_topic(at: Option<TopicAt>, report: &mut Report) -> Option<Topic> {
    let Some(TopicAt { cluster, name, cancel, .. }) = at else {
        report.not_asked(Checked::Kafka, "--kafka-brokers is not set");
        return None;
    };
    match cluster.and_then(|cluster| Topic::begin(cluster, &name, cancel)) {
        Ok(Some(topic)) => Some(topic),
        Ok(None) => {
            report.unreachable(Checked::Kafka, format!("kafka: there is no topic {name}"));
            None
        }
        Err(error) => {
            report.unreachable(Checked::Kafka, error.to_string());
            None
        }
    }
}
