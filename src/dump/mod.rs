//! # dump - the journal, one event a line
//! For people, and as JSON lines for their programs: what happened, in order, with the names of the campaigns.
//! May use: `settings` (its own), `journal`, `core` (events), `ids`, `exit`.
//! Promises: reads only, of a running gate too; lines keep their form (docs/operations.md); memory of one segment and the
//! names of the campaigns; ends quietly when nobody reads on.
//!
//! ```text
//! first   all of the journal is read and checked: where it ends, what its campaigns are called
//! then    batch after batch, from --from to --to
//! ```

mod line;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::core::Event;
use crate::exit::Exit;
use crate::ids::{CampaignId, Lsn, Millis};
use crate::journal::{self, BadRecord, Disk, JournalError, Reader, RealDisk};
use crate::settings::DumpSettings;
use line::{Line, Names};

/// Looks at files that a running gate had just replaced, each of them from where the last one ended.
const LOOKS_MAX: u32 = 10;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// From this position on.
    pub from: Option<Lsn>,
    /// Up to this one.
    pub to: Option<Lsn>,
    /// Only events of this campaign.
    pub campaign: Option<String>,
    /// Only grants of this user.
    pub user: Option<String>,
    /// As JSON lines.
    pub json: bool,
}

/// Why not everything was printed. What stands before it is true.
#[derive(Debug)]
pub enum DumpError {
    /// The journal is damaged, or cannot be read.
    Journal(JournalError),
    /// A batch with a good checksum holds what is no event.
    Senseless {
        /// The batch's first position.
        lsn: Lsn,
        /// What is wrong.
        what: BadRecord,
    },
    /// There is none.
    NoJournal(PathBuf),
    /// No campaign ever had that name.
    UnknownCampaign(String),
    /// The output failed.
    Output(io::Error),
}

impl DumpError {
    /// How the process ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            DumpError::Journal(error) if error.is_damage() => Exit::Damaged,
            DumpError::Senseless { .. } => Exit::Damaged,
            DumpError::UnknownCampaign(_) => Exit::Usage,
            DumpError::Journal(_) | DumpError::NoJournal(_) | DumpError::Output(_) => Exit::Surroundings,
        }
    }
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DumpError::Journal(error) => error.fmt(f),
            DumpError::Senseless { lsn, what } => write!(f, "dump: the batch at lsn {lsn} holds {what}"),
            DumpError::NoJournal(data) => {
                write!(f, "dump: there is no journal in {}: name the data directory of a gate", data.display())
            }
            DumpError::UnknownCampaign(name) => write!(f, "dump: the journal knows no campaign {name}"),
            DumpError::Output(error) => write!(f, "dump: cannot write: {error}"),
        }
    }
}

impl std::error::Error for DumpError {}

impl From<JournalError> for DumpError {
    fn from(error: JournalError) -> DumpError {
        DumpError::Journal(error)
    }
}

/// Prints what `settings` ask for to standard output.
///
/// # Errors
/// See [`DumpError`]; a reader that goes away is none.
pub fn command(settings: &DumpSettings) -> Result<(), DumpError> {
    let wanted = Wanted {
        from: settings.from.map(Lsn::new),
        to: settings.to.map(Lsn::new),
        campaign: settings.campaign.clone(),
        user: settings.user.clone(),
        json: settings.json,
    };
    let mut out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let done = run(&(Arc::new(RealDisk) as Arc<dyn Disk>), &settings.data, &wanted, &mut out);
    // What was read stands in front of the error that ended it.
    match out.flush().or_else(quietly) {
        Ok(()) => done,
        Err(error) => done.and(Err(DumpError::Output(error))),
    }
}

/// A reader that went away (`coupon-gate dump DIR | head -1`) is no failure.
fn quietly(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

/// Prints what is `wanted` of the journal in `data` to `out`.
///
/// # Errors
/// Damage is told after everything that stands before it was printed.
pub fn run(disk: &Arc<dyn Disk>, data: &Path, wanted: &Wanted, out: &mut dyn Write) -> Result<(), DumpError> {
    let journal = journal::read_only(Arc::clone(disk), data)?;
    let mut journal = journal.ok_or_else(|| DumpError::NoJournal(data.to_owned()))?;
    let mut names = Names::default();
    let read = journal.catch_up(&mut |_, event| names.learn(event), &mut |_| ());
    let campaign = match &wanted.campaign {
        Some(name) => match names.of(name) {
            found if !found.is_empty() => Some(found),
            // A campaign of that name may stand behind the damage.
            _ => return Err(read.err().map_or(DumpError::UnknownCampaign(name.clone()), DumpError::Journal)),
        },
        None => None,
    };
    let mut dump = Dump { names: &names, wanted, campaign, end: journal.last(), text: String::new(), out };
    match dump.events(disk, data) {
        Ok(()) => read.map_err(DumpError::Journal),
        Err(DumpError::Output(error)) => quietly(error).map_err(DumpError::Output),
        Err(error) => Err(error),
    }
}

struct Dump<'a> {
    names: &'a Names,
    wanted: &'a Wanted,
    /// The campaigns that ever had the name that was asked for.
    campaign: Option<Vec<CampaignId>>,
    /// Up to here the journal was found sound.
    end: Lsn,
    text: String,
    out: &'a mut dyn Write,
}

impl Dump<'_> {
    fn events(&mut self, disk: &Arc<dyn Disk>, data: &Path) -> Result<(), DumpError> {
        let mut next = self.wanted.from.unwrap_or(Lsn::new(1));
        let mut looks = 0;
        loop {
            match self.batches(disk, data, &mut next) {
                // A running gate turns old segments into history: what was there is found again elsewhere.
                Err(DumpError::Journal(JournalError::Io { .. } | JournalError::Missing { .. }))
                    if looks < LOOKS_MAX =>
                {
                    looks += 1;
                }
                done => return done,
            }
        }
    }

    /// Prints from `next` on, which moves.
    fn batches(&mut self, disk: &Arc<dyn Disk>, data: &Path, next: &mut Lsn) -> Result<(), DumpError> {
        let last = self.wanted.to.unwrap_or(self.end).min(self.end);
        let mut reader = Reader::open(Arc::clone(disk), data, *next)?;
        while *next <= last
            && let Some(batch) = reader.next(self.end)?
        {
            for record in batch.events() {
                let (lsn, event) = record.map_err(|what| DumpError::Senseless { lsn: batch.first, what })?;
                if lsn <= last {
                    self.event(lsn, batch.at, &event)?;
                }
            }
            *next = batch.last.next();
        }
        Ok(())
    }

    fn event(&mut self, lsn: Lsn, at: Millis, event: &Event<'_>) -> Result<(), DumpError> {
        let line = Line { lsn, at, event };
        let asked = self.campaign.as_ref().is_none_or(|ids| line.campaign().is_some_and(|id| ids.contains(&id)))
            && self.wanted.user.as_ref().is_none_or(|user| line.user().is_some_and(|there| there.to_string() == *user));
        if !asked {
            return Ok(());
        }
        self.text.clear();
        match self.wanted.json {
            true => line.json(self.names, &mut self.text),
            false => line.text(self.names, &mut self.text),
        }
        self.text.push('\n');
        self.out.write_all(self.text.as_bytes()).map_err(DumpError::Output)
    }
}
