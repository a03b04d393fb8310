//! # catch_up - a journal that is older than the world
//! Brings in what Kafka or the ledger holds beyond the end of a journal that was set back (a restored copy, a machine
//! rolled back), or all that they hold where the directory is gone.
//! May use: `settings`, `kafka`, `ledger`, `journal`, `wire` (records), `core`, `metrics`, `watermark`, `edge`, `grant`,
//! `limits`, `ids`, `exit`, `sabotage`.
//! Promises: where anything contradicts, nothing is changed; no seat that the world knows is granted again; killed at any
//! moment, the next run ends where this one would have, and no gate decides a claim in between.
//!
//! ```text
//! known    what the journal holds          world   what the other side holds, compared as it comes
//! plan     what is ahead, tried on a core  apply   hold, skip, create, import, finish, let go
//! ```

mod apply;
#[cfg(any(test, feature = "sim"))]
pub(crate) mod by_hand;
mod known;
mod plan;
mod report;
mod sides;
#[cfg(test)]
mod tests;
mod world;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use report::Report;

use crate::edge;
use crate::exit::Exit;
use crate::ids::LogId;
use crate::journal::{self, DirectoryLock, Disk, JournalError, LockError, RealDisk};
use crate::kafka::{Cluster, KafkaError};
use crate::ledger::{LedgerError, LedgerReader};
use crate::limits;
use crate::settings::{CatchUpFrom, CatchUpSettings};
use known::Known;
use plan::{Hints, Plan};
use world::{Intake, Topics};

/// Does what `settings` say, as far as they say: with `--dry-run` nothing is changed.
///
/// # Errors
/// What keeps it from being done; where the error is no failing disk, nothing was changed.
pub fn run(settings: &CatchUpSettings) -> Result<Report, CatchUpError> {
    let data = &settings.world.data;
    if !settings.dry_run {
        let made = std::fs::create_dir_all(data);
        made.map_err(|error| CatchUpError::Data(format!("cannot make {}: {error}; see --data", data.display())))?;
    }
    let locked = data.is_dir().then(|| DirectoryLock::acquire(data, Duration::ZERO));
    let _lock = locked.transpose().map_err(CatchUpError::Lock)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = journal::Options::default();
    let known = Known::read(&disk, data, &options)?;
    match settings.from {
        CatchUpFrom::Nobody => tracing::info!("the journal ends at lsn {}", known.last),
        from @ (CatchUpFrom::Kafka | CatchUpFrom::Ledger) => {
            tracing::info!("the journal ends at lsn {}; reading the {}", known.last, side(from));
        }
    }
    if let (Some(log), Some(wanted)) = (known.log, settings.log_id)
        && log != wanted
    {
        return Err(JournalError::OtherLog { dir: data.clone(), log, wanted }.into());
    }
    let mut intake = Intake::new(known, settings.log_id);
    ask(settings, &mut intake)?;
    let hints = Hints { terms: &settings.campaigns, seeded: &settings.seeded };
    let plan = Plan::make(intake.close()?, hints, edge::wall())?;
    if !settings.dry_run {
        apply::apply(&disk, data, options, &plan)?;
    }
    Ok(Report::new(settings, &plan))
}

/// Reads the side that was named, then the other one: in each partition either may be behind the other.
fn ask(settings: &CatchUpSettings, intake: &mut Intake) -> Result<(), CatchUpError> {
    let world = &settings.world;
    let mut cluster = world.kafka.as_ref().map(sides::cluster).transpose()?;
    let topics = Topics {
        grants: world.kafka.as_ref().map_or("", |kafka| kafka.topic.as_str()),
        returns: world.kafka.as_ref().and_then(|kafka| kafka.cancel_topic.as_deref()),
    };
    let mut ledger = sides::ledger(world)?;
    match (settings.from, &ledger) {
        // A ledger that is there was asked for by nobody, and knows more than nobody.
        (CatchUpFrom::Nobody, Some(_)) => return Err(CatchUpError::SomebodyKnows(world.ledger.to_string())),
        (CatchUpFrom::Nobody, None) => return Ok(()),
        (CatchUpFrom::Ledger, None) => return Err(CatchUpError::NoLedger(world.ledger.to_string())),
        (CatchUpFrom::Ledger, Some(_)) | (CatchUpFrom::Kafka, _) => {}
    }
    ask_sides(settings.from, (cluster.as_deref_mut(), topics), ledger.as_deref_mut(), intake)
}

/// The same, of sides that are there.
fn ask_sides(
    from: CatchUpFrom,
    (cluster, topics): (Option<&mut (dyn Cluster + 'static)>, Topics<'_>),
    ledger: Option<&mut (dyn LedgerReader + 'static)>,
    intake: &mut Intake,
) -> Result<(), CatchUpError> {
    match from {
        CatchUpFrom::Nobody => Ok(()),
        CatchUpFrom::Kafka => {
            world::read_topics(cluster.expect("--from kafka comes with brokers"), topics, intake)?;
            intake.turn_to_the_other_side();
            ledger.map_or(Ok(()), |ledger| world::read_ledger(ledger, intake))
        }
        CatchUpFrom::Ledger => {
            world::read_ledger(ledger.expect("a ledger that is missing was told of"), intake)?;
            intake.turn_to_the_other_side();
            match cluster.map_or(Ok(()), |cluster| world::read_topics(cluster, topics, intake)) {
                // Then it was never filled, or is to be filled anew.
                Err(CatchUpError::NoTopic(_)) => Ok(()),
                read => read,
            }
        }
    }
}

/// A side of the world, in words.
fn side(from: CatchUpFrom) -> &'static str {
    match from {
        CatchUpFrom::Kafka => "topic",
        CatchUpFrom::Ledger => "ledger",
        CatchUpFrom::Nobody => "world, of which nothing is left",
    }
}

/// What contradicts, or is missing: one line each, at most `limits::CATCH_UP_LINES_MAX` of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    lines: Vec<String>,
    more: u64,
}

impl Differences {
    fn add(&mut self, line: impl FnOnce() -> String) {
        if self.lines.len() < limits::CATCH_UP_LINES_MAX {
            self.lines.push(line());
        } else {
            self.more += 1;
        }
    }

    fn none_or(self) -> Result<(), CatchUpError> {
        if self.lines.is_empty() { Ok(()) } else { Err(CatchUpError::Differs(self)) }
    }
}

/// Why a journal was not brought up to date.
#[derive(Debug)]
pub enum CatchUpError {
    /// The data directory cannot be made.
    Data(String),
    /// It is in use.
    Lock(LockError),
    /// The journal is damaged, or the disk fails.
    Journal(JournalError),
    /// The disk is full.
    NoRoom(String),
    /// The ledger cannot be read.
    Ledger(LedgerError),
    /// The topic cannot be read.
    Kafka(KafkaError),
    /// There is no such topic.
    NoTopic(String),
    /// There is no ledger where it should be.
    NoLedger(String),
    /// The directory is empty, and the world knows several journals: their names, and how many grants and returns of each.
    SeveralLogs(Vec<(LogId, u64)>),
    /// The world holds grants, none of them of this journal: its name, and theirs.
    OtherLogs(LogId, Vec<(LogId, u64)>),
    /// There is no journal, and nothing of one in the world.
    Nothing,
    /// Nobody was to be asked, but there is a ledger.
    SomebodyKnows(String),
    /// Something contradicts or is missing.
    Differs(Differences),
}

impl CatchUpError {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            CatchUpError::Journal(error) if error.is_damage() => Exit::Damaged,
            CatchUpError::SeveralLogs(_)
            | CatchUpError::OtherLogs(..)
            | CatchUpError::Nothing
            | CatchUpError::SomebodyKnows(_) => Exit::Usage,
            CatchUpError::Differs(_) => Exit::Difference,
            CatchUpError::Data(_)
            | CatchUpError::Lock(_)
            | CatchUpError::Journal(_)
            | CatchUpError::NoRoom(_)
            | CatchUpError::Ledger(_)
            | CatchUpError::Kafka(_)
            | CatchUpError::NoTopic(_)
            | CatchUpError::NoLedger(_) => Exit::Surroundings,
        }
    }
}

impl From<JournalError> for CatchUpError {
    fn from(error: JournalError) -> CatchUpError {
        CatchUpError::Journal(error)
    }
}

impl From<LedgerError> for CatchUpError {
    fn from(error: LedgerError) -> CatchUpError {
        CatchUpError::Ledger(error)
    }
}

impl From<KafkaError> for CatchUpError {
    fn from(error: KafkaError) -> CatchUpError {
        CatchUpError::Kafka(error)
    }
}

impl fmt::Display for CatchUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |logs: &[(LogId, u64)]| {
            let each = logs.iter().map(|(log, grants)| format!("{log} ({grants} grants and returns)"));
            each.collect::<Vec<_>>().join(", ")
        };
        match self {
            CatchUpError::Data(line) => f.write_str(line),
            CatchUpError::Lock(error) => error.fmt(f),
            CatchUpError::Journal(error) => error.fmt(f),
            CatchUpError::NoRoom(reason) => {
                write!(f, "journal: no room for more: {reason}; make room and run this again: it goes on where it was")
            }
            CatchUpError::Ledger(error) => {
                write!(f, "{error}; where the ledger is gone for good, say --from kafka --ledger none")
            }
            CatchUpError::Kafka(error) => {
                write!(f, "{error}; where Kafka is gone for good, say --from ledger and leave --kafka-brokers out")
            }
            CatchUpError::NoTopic(topic) => write!(f, "kafka: there is no topic {topic}; see --kafka-topic"),
            CatchUpError::NoLedger(ledger) => write!(f, "ledger: there is none at {ledger}; see --ledger"),
            CatchUpError::SeveralLogs(logs) => write!(
                f,
                "there is no journal in the data directory, and grants of several are found: {}; say which one it is to \
                 be with --log-id",
                named(logs)
            ),
            CatchUpError::OtherLogs(log, logs) => write!(
                f,
                "there are grants, but none of this journal, {log}: {}; to bring one of those back, give a data directory \
                 that does not exist yet",
                named(logs)
            ),
            CatchUpError::Nothing => f.write_str("there is no journal, and no grant of one to bring back"),
            CatchUpError::SomebodyKnows(ledger) => {
                write!(f, "--from none: there is a ledger at {ledger}, which may know more: ask it with --from ledger")
            }
            CatchUpError::Differs(differences) => {
                for line in &differences.lines {
                    writeln!(f, "{line}")?;
                }
                if differences.more > 0 {
                    writeln!(f, "... and {} more", differences.more)?;
                }
                f.write_str("nothing was changed")
            }
        }
    }
}

impl std::error::Error for CatchUpError {}
