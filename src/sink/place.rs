//! Who may store: one sink is active, others stand by, and a new owner's epoch fences the one before it.

use std::time::{Duration, Instant};

use super::feed::{Opened, Positions};
use super::lines::Lines;
use super::rows::Rows;
use super::worker::{Fault, LAZY, Worker};
use crate::edge::now;
use crate::grant::Lane;
use crate::ids::{LogId, Lsn};
use crate::ledger::{LedgerError, Move, Position};

/// How long an owner that gives no sign of life is waited for: three of its signs and some.
pub const SILENCE: Duration = Duration::from_secs(10);

/// How often a sink that stands by looks for such a sign.
pub(super) const STAND_BY_GLANCE: Duration = Duration::from_secs(1);

const _: () = assert!(LAZY.as_secs() * 3 < SILENCE.as_secs(), "an owner that lives is never taken for dead");

/// What the sink knows of its rows in the position table.
#[derive(Debug)]
pub(super) struct Place {
    /// Takes over at the first look: it holds the data directory, so whoever owned the rows is gone.
    pub(super) claims_at_once: bool,
    /// How long an owner is waited for.
    pub(super) silence: Duration,
    pub(super) hold: Hold,
    /// The connection to the ledger is good: who stands by looks often, and need not make one for each look.
    connected: bool,
}

/// See [`Place`].
#[derive(Debug)]
pub(super) enum Hold {
    /// Nothing yet.
    Unknown,
    /// They are this sink's, and the connections are good.
    Held { epoch: u64 },
    /// They were when something failed; the table has the last word. The transaction on its way then: `sent`.
    Doubtful { epoch: u64, sent: Option<(Vec<Move>, usize)> },
    /// Another sink owns them, and was last seen to move then.
    StandBy { seen: Vec<Position>, since: Instant },
}

impl Place {
    /// Of a sink that waits so long for an owner; not at all at the first look if `claims_at_once`.
    pub(super) fn new(claims_at_once: bool, silence: Duration) -> Place {
        Place { claims_at_once, silence, hold: Hold::Unknown, connected: false }
    }

    /// The epoch to write with.
    pub(super) fn epoch(&self) -> u64 {
        match self.hold {
            Hold::Held { epoch } => epoch,
            Hold::Unknown | Hold::Doubtful { .. } | Hold::StandBy { .. } => {
                unreachable!("a turn begins with its place")
            }
        }
    }

    pub(super) fn doubt(&mut self, sent: Option<(Vec<Move>, usize)>) {
        self.connected = false;
        if let Hold::Held { epoch } = self.hold {
            self.hold = Hold::Doubtful { epoch, sent };
        }
    }

    /// Whether the rows may be claimed; they are kept if they are this sink's already.
    fn may_claim(&mut self, rows: &Rows, now: Instant) -> Result<(), LedgerError> {
        let lost = match &self.hold {
            Hold::Unknown if self.claims_at_once => return Ok(()),
            Hold::Doubtful { epoch, .. } if rows.epoch() <= *epoch => return Ok(()),
            _ if rows.owner().is_empty() => return Ok(()),
            Hold::StandBy { seen, since } if *seen == rows.all => {
                if now.duration_since(*since) >= self.silence {
                    let silent = self.silence.as_secs();
                    tracing::warn!("ledger: {} has given no sign for {silent} s: taken over", rows.owner());
                    return Ok(());
                }
                return Err(LedgerError::TakenOver(stands_by(rows)));
            }
            Hold::Doubtful { epoch, .. } => Some(*epoch),
            Hold::Unknown | Hold::Held { .. } | Hold::StandBy { .. } => None,
        };
        self.hold = Hold::StandBy { seen: rows.all.clone(), since: now };
        Err(LedgerError::TakenOver(match lost {
            Some(epoch) => format!(
                "ledger: another sink took over {}: {} (epoch {}, this one had {epoch}); this one waits until it falls silent",
                rows.sources,
                rows.owner(),
                rows.epoch(),
            ),
            None => stands_by(rows),
        }))
    }
}

fn stands_by(rows: &Rows) -> String {
    format!("ledger: {} is stored by another sink: {}; this one stands by", rows.sources, rows.owner())
}

impl Worker {
    /// Connects where needed, learns where the ledger stands, becomes its owner.
    pub(super) fn hold(&mut self) -> Result<(), Fault> {
        if matches!(self.place.hold, Hold::Held { .. }) {
            return Ok(());
        }
        if !std::mem::take(&mut self.place.connected) {
            self.ledger.open()?;
        }
        let Opened { sources, lanes } = self.feed.open()?;
        let rows = Rows::read(&sources, self.ledger.as_mut())?;
        let may_claim = self.place.may_claim(&rows, now());
        self.place.connected = may_claim.is_err();
        may_claim?;
        let from = self.feed.resume(self.ledger.as_mut(), &rows)?;
        let (rows, epoch) = self.own(rows, &lanes, &from)?;
        self.feed.seek(&from)?;
        self.progress.lines = Some(Lines::new(&rows, &from));
        self.progress.sources = Some(sources);
        self.place.hold = Hold::Held { epoch };
        self.progress.written = now();
        self.seen();
        Ok(())
    }

    /// The rows as this sink owns them: one for each lane. Those of both kinds have one owner, and one epoch.
    fn own(&mut self, rows: Rows, lanes: &[Lane], from: &Positions) -> Result<(Rows, u64), Fault> {
        let missing = lanes.iter().filter(|lane| rows.of(**lane).is_none());
        let new: Vec<Move> = missing.map(|lane| first(rows.sources.of(*lane), lane.partition(), from[lane])).collect();
        if let Hold::Doubtful { epoch, sent } = &mut self.place.hold
            && rows.epoch() == *epoch
            && new.is_empty()
        {
            let epoch = *epoch;
            // A lost answer to COMMIT: the positions say that the rows are in.
            if let Some((moves, count)) = sent.take()
                && !moves.is_empty()
                && moves.iter().all(|to| is_there(&rows, to))
            {
                self.count(count);
            }
            return Ok((rows, epoch));
        }
        let claimed = self.ledger.claim(&self.owner, &rows.all, &new)?;
        let rows = Rows::new(&rows.sources, claimed);
        let epoch = rows.epoch();
        Ok((rows, epoch))
    }

    /// The end: writes the positions down and leaves the rows without an owner, so that the next sink need not wait.
    /// Nothing depends on it.
    pub(super) fn leave(&mut self) {
        if !matches!(self.place.hold, Hold::Held { .. }) {
            return;
        }
        let epoch = self.place.epoch();
        let left = self.give_a_sign().and_then(|()| {
            let sources = self.progress.sources.as_ref().expect("who holds has looked");
            let rows = Rows::read(sources, self.ledger.as_mut())?;
            if rows.epoch() == epoch {
                self.ledger.claim("", &rows.all, &[])?;
            }
            Ok(())
        });
        if let Err(fault) = left {
            tracing::warn!("{}", fault.line());
        }
    }
}

/// The row of a lane that has none.
fn first(source: &str, kpart: u32, next: u64) -> Move {
    Move { source: source.into(), kpart, expected: None, next, log: LogId::NONE, last_seq: Lsn::ZERO, hole: false }
}

fn is_there(rows: &Rows, to: &Move) -> bool {
    let mut rows = rows.all.iter();
    rows.any(|row| {
        row.source == to.source && row.kpart == to.kpart && row.next == to.next && row.last_seq == to.last_seq
    })
}
