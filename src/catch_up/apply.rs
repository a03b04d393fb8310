//! Writes a plan to the journal: held back from every gate before the first change, let go after the last.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::CatchUpError;
use super::plan::Plan;
use crate::core::{Core, Event};
use crate::ids::{Lsn, Millis};
use crate::journal::{self, Disk, Hooks, Journal, JournalError, Open, Options, Room};
use crate::sabotage::{Sabotage, on};
use crate::watermark::Watermarks;

/// What a gate says that is started before this is done.
const HELD: &str = "coupon-gate catch-up was begun on this data directory and not ended: run it again";

/// Between two looks at a disk that has no room for more at the moment.
const GLANCE: Duration = Duration::from_millis(100);

/// Does all of `plan`. After an error, or a kill, everything is read and planned again.
pub(super) fn apply(disk: &Arc<dyn Disk>, data: &Path, options: Options, plan: &Plan) -> Result<(), CatchUpError> {
    if !plan.is_empty() {
        if !on(Sabotage::CatchUpUnheld) {
            journal::hold(disk.as_ref(), data, HELD)?;
        }
        Writer::open(disk, data, options, plan)?.write(plan)?;
    }
    if !plan.is_empty() || plan.held {
        journal::let_go(disk.as_ref(), data)?;
    }
    Ok(())
}

/// The journal, and what its threads tell.
struct Writer {
    journal: Journal<Open>,
    watermarks: Arc<Watermarks>,
    failure: Arc<Mutex<Option<JournalError>>>,
    now: Millis,
}

impl Writer {
    fn open(disk: &Arc<dyn Disk>, data: &Path, options: Options, plan: &Plan) -> Result<Writer, CatchUpError> {
        let watermarks = Arc::<Watermarks>::default();
        let failure = Arc::<Mutex<Option<JournalError>>>::default();
        let failed = Arc::clone(&failure);
        let hooks = Hooks {
            watermarks: Arc::clone(&watermarks),
            figures: Arc::default(),
            on_progress: Arc::new(|| ()),
            on_failure: Arc::new(move |error| *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error)),
        };
        let journal = Journal::open_as(Arc::clone(disk), data, options, plan.log)?;
        let (journal, replayed) = journal.replay(&mut Core::new(0), hooks, &mut |_| ())?;
        assert!(replayed.last_lsn == plan.last, "the journal is as it was read: the directory is locked");
        Ok(Writer { journal, watermarks, failure, now: plan.now })
    }

    fn write(mut self, plan: &Plan) -> Result<(), CatchUpError> {
        let mut last = plan.last;
        while let Some(upto) = plan.skip_to.filter(|upto| last < *upto) {
            self.room(journal::record_bytes_max(&Event::Skipped { upto }))?;
            let (_, event) = self.journal.skip(upto);
            let Event::Skipped { upto } = event else { unreachable!("a skip is a skip") };
            last = upto;
            self.settle(last)?;
        }
        let mut prepared = plan.prepared.iter().peekable();
        for (index, seat) in plan.seats.iter().enumerate() {
            while let Some((_, campaign)) = prepared.next_if(|(before, _)| *before == index) {
                self.append(&campaign.events())?;
            }
            last = self.append(&[seat.event(plan.id_of(seat))])?;
        }
        assert!(last == plan.end(), "what was planned is what was written");
        let Writer { journal, now, .. } = self;
        Ok(journal.finish(now)?)
    }

    /// One group.
    fn append(&mut self, events: &[Event<'_>]) -> Result<Lsn, CatchUpError> {
        self.room(events.iter().map(journal::record_bytes_max).sum())?;
        let mut lsn = Lsn::ZERO;
        for (index, event) in events.iter().enumerate() {
            lsn = self.journal.append(event, index + 1 < events.len());
        }
        Ok(lsn)
    }

    /// Waits for room.
    fn room(&mut self, bytes: usize) -> Result<(), CatchUpError> {
        loop {
            match self.journal.room(bytes) {
                Room::Ready => return Ok(()),
                Room::Wait => {
                    let durable = self.watermarks.durable.get();
                    self.journal.seal(self.now);
                    if self.journal.room(bytes) == Room::Wait {
                        self.watermarks.durable.wait_past(durable, GLANCE);
                    }
                    self.failed()?;
                }
                Room::Refused(reason) => {
                    return Err(CatchUpError::NoRoom(reason));
                }
            }
        }
    }

    /// Waits until everything up to `lsn` is on disk.
    fn settle(&mut self, lsn: Lsn) -> Result<(), CatchUpError> {
        while self.watermarks.durable.get() < lsn {
            self.journal.seal(self.now);
            self.watermarks.durable.wait_past(lsn.prev(), GLANCE);
            self.failed()?;
        }
        Ok(())
    }

    fn failed(&self) -> Result<(), CatchUpError> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}
