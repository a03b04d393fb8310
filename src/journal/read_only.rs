//! Reading a journal that may belong to a running gate: all that is written completely, as of now, and nothing changed.
//!
//! Recovery knows that nobody writes; here a gate may. It only ever adds: a batch behind the last one, a segment behind
//! the last one. So a verdict of damage on the tail is believed only when a second look finds nothing new there: what
//! was half written at the first look is whole at the second.
//!
//! What was reduced is read from history; what even history gave up is told as far as the newest snapshot knows it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::SegmentHeader;
use super::reader::kept_from;
use super::recover::{ReplayProgress, TornTail};
use super::snapshot::{self, Snapshot};
use super::walk::{Found, Stop, Walk, WalkState, survey};
use super::{Disk, JournalError, Reader, history, segment};
use crate::core::{Event, Piece};
use crate::ids::{CampaignId, LogId, Lsn, Seat};

/// Looks that each found something new behind a doubtful tail before what they read is taken for all there was.
const LOOKS_MAX: u32 = 100;

/// A journal for who only reads: of a running gate, of a stopped one, of one that was killed.
pub struct ReadOnly {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log: LogId,
    /// The last segment that was read as history, or never.
    before: u64,
    /// The last segment begun.
    done: u64,
    /// Where the last segment's sound batches ended.
    stop: Stop,
    state: WalkState,
    /// The first position whose event was read.
    kept_from: Lsn,
    /// What the tail was like at the last look.
    torn: Option<TornTail>,
}

/// Looks at the journal in the data directory `data`. `None`: there is none, or nothing was ever written to it.
pub fn read_only(disk: Arc<dyn Disk>, data: &Path) -> Result<Option<ReadOnly>, JournalError> {
    let dir = segment::directory(data);
    let Some(log) = settled(|| super::recover::log_id(disk.as_ref(), &dir))? else {
        return super::recover::check_never_begun(disk.as_ref(), &dir).map(|()| None);
    };
    Ok(Some(ReadOnly {
        disk,
        dir,
        log,
        before: 0,
        done: 0,
        stop: Stop::default(),
        state: WalkState::default(),
        kept_from: Lsn::ZERO,
        torn: None,
    }))
}

impl ReadOnly {
    /// The journal's name.
    pub fn log_id(&self) -> LogId {
        self.log
    }

    /// The last position read.
    pub fn last(&self) -> Lsn {
        self.state.next.prev()
    }

    /// The unfinished write behind it, if the last look found one: of a gate that was killed, or that is writing it.
    pub fn torn(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// The first position whose event is still kept: of what lies before, only seats of campaigns that live are known.
    pub fn kept_from(&self) -> Lsn {
        self.kept_from
    }

    /// Hands every event that was written since the last call to `visit`, the first time from the beginning; if more is
    /// written than it can follow, as much as it saw in [`LOOKS_MAX`] looks. Of what
    /// history left out there is nothing; of what it gave up, `visit` sees the campaigns and the grants that
    /// still stand, campaign by campaign.
    ///
    /// # Errors
    /// Damage as at a start, but for a torn tail. What `visit` has seen by then stands.
    pub fn catch_up(
        &mut self,
        visit: &mut dyn FnMut(Lsn, &Event<'_>),
        progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<(), JournalError> {
        let (mut doubted, mut looks) = (false, 0);
        loop {
            looks += 1;
            let before = (self.state.next, self.done, self.stop.offset);
            let looked = self.look(visit, progress);
            let moved = before != (self.state.next, self.done, self.stop.offset);
            match looked {
                // Somebody writes faster than this reads. Nothing gets past damage, so none was read past.
                Err(error) if error.is_damage() && moved && looks == LOOKS_MAX => return Ok(()),
                Err(error) if error.is_damage() && (moved || !doubted) => doubted = true,
                Err(_) | Ok(()) => return looked,
            }
        }
    }

    fn look(
        &mut self,
        visit: &mut dyn FnMut(Lsn, &Event<'_>),
        progress: &mut dyn FnMut(ReplayProgress),
    ) -> Result<(), JournalError> {
        if self.kept_from == Lsn::ZERO {
            self.begin(visit)?;
        }
        self.read_history(visit)?;
        // The segment at hand, if there is one, and what follows.
        let after = if self.done > self.before { self.done - 1 } else { self.before };
        let found = settled(|| survey(self.disk.as_ref(), &self.dir, after))?;
        let kept = found.iter().rposition(|found| found.header.is_some()).map_or(0, |last| last + 1);
        if kept == 0 || after + (kept as u64) < self.done {
            return Err(JournalError::Missing { path: segment::path(&self.dir, after + kept as u64 + 1) });
        }
        let mut walk = Walk::new(self.disk.as_ref(), &found, self.log, visit, progress);
        walk.resume(self.state);
        let mut bytes = Vec::new();
        let read = read(&mut walk, &found, kept, after, self.before, &mut self.done, &mut self.stop, &mut bytes);
        self.state = walk.state();
        self.torn = read?;
        Ok(())
    }

    /// Finds out where what is kept begins, and tells of what lies before.
    fn begin(&mut self, visit: &mut dyn FnMut(Lsn, &Event<'_>)) -> Result<(), JournalError> {
        let data = self.dir.parent().unwrap_or(&self.dir);
        let first = settled(|| kept_from(self.disk.as_ref(), data))?;
        if history::list(self.disk.as_ref(), &self.dir)?.is_empty() {
            self.before = segment::list(self.disk.as_ref(), &self.dir)?.first().map_or(0, |number| number - 1);
        }
        if first > Lsn::new(1) {
            self.tell_of_the_past(first, visit)?;
            self.state = WalkState::adopting(first);
            self.done = self.before;
        }
        self.kept_from = first;
        Ok(())
    }

    /// Tells what the newest sound snapshot knows of the time before `first`.
    fn tell_of_the_past(&mut self, first: Lsn, visit: &mut dyn FnMut(Lsn, &Event<'_>)) -> Result<(), JournalError> {
        let mut damage = None;
        for number in snapshot::list(self.disk.as_ref(), &self.dir)?.into_iter().rev() {
            let snapshot = match Snapshot::open(self.disk.as_ref(), &self.dir, number) {
                Err(error) if error.is_damage() => {
                    damage.get_or_insert(error);
                    continue;
                }
                opened => opened?,
            };
            // Sound to its end first: what was told cannot be taken back.
            match snapshot.pieces(&mut |_| Ok(()), &mut |_| ()) {
                Err(error) if error.is_damage() => {
                    damage.get_or_insert(error);
                }
                Err(error) => return Err(error),
                Ok(_) => return tell(&snapshot, first, visit),
            }
        }
        Err(damage.unwrap_or_else(|| JournalError::Missing { path: segment::path(&self.dir, 1) }))
    }

    /// Reads what comes next as history, where its segment is no more.
    fn read_history(&mut self, visit: &mut dyn FnMut(Lsn, &Event<'_>)) -> Result<(), JournalError> {
        let wanted = if self.done > self.before { self.done } else { self.before + 1 };
        if segment::list(self.disk.as_ref(), &self.dir)?.contains(&wanted) {
            return Ok(());
        }
        let history = settled(|| history::list(self.disk.as_ref(), &self.dir))?;
        let Some(last) = history.last() else { return Ok(()) };
        let SegmentHeader { number, durable, .. } = last.header;
        if number >= wanted {
            let data = self.dir.parent().unwrap_or(&self.dir);
            let mut reader = Reader::open(Arc::clone(&self.disk), data, self.state.next)?;
            while let Some(batch) = reader.next_of_all(durable)? {
                for event in batch.events() {
                    let senseless = |what| JournalError::Senseless { path: last.path.clone(), offset: 0, what };
                    let (lsn, event) = event.map_err(senseless)?;
                    visit(lsn, &event);
                }
                self.state = WalkState::adopting(batch.last.next());
            }
            self.go_on_behind(number, durable);
        }
        self.pass_over_the_empty(durable)
    }

    /// Segments without an event leave no history when they go: what follows goes on where history ends, at `durable`.
    fn pass_over_the_empty(&mut self, durable: Lsn) -> Result<(), JournalError> {
        let (disk, dir) = (self.disk.as_ref(), &self.dir);
        let Some(first) = segment::list(disk, dir)?.first().copied() else { return Ok(()) };
        if first > self.done.max(self.before + 1) && self.state.next == durable.next() {
            let header = settled(|| Found::look(disk, dir, first))?.header;
            if header.is_some_and(|header| header.first_lsn == durable.next()) {
                self.go_on_behind(first - 1, durable);
            }
        }
        Ok(())
    }

    /// Segments up to `number` were read as history, which ends at `durable`.
    fn go_on_behind(&mut self, number: u64, durable: Lsn) {
        self.state = WalkState::adopting(durable.next());
        (self.before, self.done, self.stop) = (number, number, Stop::default());
    }
}

/// Shows what a snapshot knows of the time before `first` as events.
fn tell(snapshot: &Snapshot, first: Lsn, visit: &mut dyn FnMut(Lsn, &Event<'_>)) -> Result<(), JournalError> {
    let (mut campaign, mut created, mut seat, mut known_as) = (CampaignId(0), Lsn::ZERO, 0, None);
    let show = &mut |piece: &Piece<'_>| {
        match piece {
            Piece::Campaign { id, name, terms, created: at, created_lsn, lsn, retired } => {
                (campaign, created, seat) = (*id, *created_lsn, 0);
                if created < first {
                    visit(created, &Event::CampaignCreated { id: *id, name, terms: *terms, at: *at });
                }
                if let Some(seats) = retired
                    && *lsn < first
                {
                    visit(*lsn, &Event::CampaignDropped { id: *id, at: seats.last_grant, purged: seats.purged });
                }
            }
            Piece::Altered { to, at, lsn } if created < first => {
                // The last alteration may be told again, at its own place: the ones before it, which held when the seats
                // that follow were given, are known by no one.
                let by = Cow::Borrowed(&b"nobody remembers"[..]);
                visit((*lsn).min(first.prev()), &Event::CampaignAltered { id: campaign, to: *to, at: *at, by });
            }
            Piece::Altered { .. }
            | Piece::Returns { .. }
            | Piece::Seeds(_)
            | Piece::Purged { .. }
            | Piece::BeganAfter(_) => {}
            Piece::FreeSeats(count) => seat += count,
            Piece::KnownAs(seq) => known_as = Some(*seq),
            Piece::Seat { user, nth, request, at, lsn, until } => {
                seat += 1;
                let known_as = known_as.take();
                if *lsn < first {
                    let (seat, user, nth, at) = (Seat::new(seat), *user, *nth, *at);
                    visit(
                        *lsn,
                        &match (*until, known_as) {
                            (Some(until), _) => Event::Held { campaign, seat, user, nth, request, at, until },
                            (None, Some(seq)) => {
                                Event::Imported { campaign, seat, user, nth, at, seq: Some(seq), after: Lsn::ZERO }
                            }
                            (None, None) => Event::Granted { campaign, seat, user, nth, request, at, after: Lsn::ZERO },
                        },
                    );
                }
            }
            Piece::Gone(_) | Piece::Key { .. } => {}
        }
        Ok(())
    };
    snapshot.pieces(show, &mut |_| ()).map(|_| ())
}

/// What lies there. A file can go between its name and its bytes: then all is looked at again.
fn settled<T>(look: impl Fn() -> Result<T, JournalError>) -> Result<T, JournalError> {
    for _ in 1..LOOKS_MAX {
        match look() {
            Err(JournalError::Io { .. }) => {}
            other => return other,
        }
    }
    look()
}

/// Goes on where the last look ended: `found` lie behind segment `after`. `done` and `stop` move also where it ends with
/// an error.
#[expect(clippy::too_many_arguments, reason = "borrowed one by one beside the walk")]
fn read(
    walk: &mut Walk<'_>,
    found: &[Found],
    kept: usize,
    after: u64,
    before: u64,
    done: &mut u64,
    stop: &mut Stop,
    bytes: &mut Vec<u8>,
) -> Result<Option<TornTail>, JournalError> {
    let mut index = 0;
    if *done > before {
        walk.rest(&found[..kept], 0, stop, bytes)?;
        index = 1;
    }
    while index < kept {
        *stop = walk.begin(&found[..kept], index)?;
        *done = after + index as u64 + 1;
        walk.rest(&found[..kept], index, stop, bytes)?;
        index += 1;
    }
    walk.tail(&found[kept - 1..], stop, bytes, Lsn::ZERO)
}
