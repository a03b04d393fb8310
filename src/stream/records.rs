//! The journal as the stream reads it: grants and returns in order, a bounded number at a time.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use crate::grant::Entry;
use crate::ids::Lsn;
use crate::journal::{Batch, Campaigns, Disk, JournalError, NoSuchCampaign, Reader, kept_from};
use crate::limits;

/// Where the journal's files are.
#[derive(Clone)]
pub struct JournalFiles {
    /// On which disk.
    pub disk: Arc<dyn Disk>,
    /// The data directory.
    pub data: PathBuf,
}

/// The journal cannot be read: says what, where and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub String);

/// Entries from one position on.
pub(super) struct Entries {
    reader: Reader,
    /// A batch of which not everything is in `ready`.
    batch: Option<Batch>,
    ready: VecDeque<(Lsn, Entry)>,
    /// Everything up to here has been read: it is in `ready`, or was.
    read: Lsn,
}

impl Entries {
    /// Those of the events from `from` on.
    pub(super) fn from(files: &JournalFiles, from: Lsn) -> Result<Entries, Unreadable> {
        let reader = Reader::open(Arc::clone(&files.disk), &files.data, from).map_err(unreadable)?;
        Ok(Entries { reader, batch: None, ready: VecDeque::new(), read: from.prev() })
    }

    /// Every entry up to here has been handed out.
    pub(super) fn passed(&self) -> Lsn {
        self.ready.front().map_or(self.read, |(next, _)| next.prev())
    }

    /// The next entry with its event's position; `pop` takes it. `None` where nothing is left up to `upto`, and after a
    /// stretch without entries: then `passed` has moved.
    pub(super) fn front(&mut self, campaigns: &mut Campaigns, upto: Lsn) -> Result<Option<(Lsn, &Entry)>, Unreadable> {
        if self.ready.is_empty() {
            if self.batch.is_none() {
                self.batch = self.reader.next(upto).map_err(unreadable)?;
            }
            self.fill(campaigns)?;
        }
        Ok(self.ready.front().map(|(lsn, entry)| (*lsn, entry)))
    }

    /// Takes the next entry.
    pub(super) fn pop(&mut self) -> Option<(Lsn, Entry)> {
        self.ready.pop_front()
    }

    /// Some of the batch's entries; the batch goes when all of it is read.
    fn fill(&mut self, campaigns: &mut Campaigns) -> Result<(), Unreadable> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        let mut whole = true;
        for event in batch.events() {
            let (lsn, event) = event.map_err(|bad| Unreadable(format!("journal: {bad}")))?;
            if lsn <= self.read {
                continue;
            }
            if self.ready.len() >= limits::STREAM_EVENTS_PER_TURN {
                whole = false;
                break;
            }
            let entry = campaigns.entry(lsn, &event).map_err(|NoSuchCampaign(id)| {
                Unreadable(format!("journal: the entry at {lsn} names campaign {}, which nobody created", id.0))
            })?;
            self.ready.extend(entry.map(|entry| (lsn, entry)));
            self.read = lsn;
        }
        if whole {
            self.read = batch.last;
        } else {
            self.batch = Some(batch);
        }
        Ok(())
    }
}

/// What the journal says of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// It has this there.
    Entry(Entry),
    /// It has neither a grant nor a return there.
    NoEntry,
    /// It lies before what is kept.
    GivenUp,
}

/// The entry that the world knows as `seq`, if the journal has it up to `upto`.
pub(super) fn entry_at(files: &JournalFiles, campaigns: &mut Campaigns, seq: Lsn, upto: Lsn) -> Result<At, Unreadable> {
    if seq < kept_from(files.disk.as_ref(), &files.data).map_err(unreadable)? {
        return Ok(At::GivenUp);
    }
    let mut entries = Entries::from(files, seq)?;
    loop {
        let before = entries.passed();
        match entries.front(campaigns, upto)?.map(|(_, entry)| entry.seq()) {
            Some(there) if there < seq => drop(entries.pop()),
            Some(there) if there == seq => {
                return Ok(entries.pop().map_or(At::NoEntry, |(_, entry)| At::Entry(entry)));
            }
            Some(_) => return Ok(At::NoEntry),
            None if entries.passed() == before => return Ok(At::NoEntry),
            None => {}
        }
    }
}

fn unreadable(error: JournalError) -> Unreadable {
    Unreadable(error.to_string())
}
