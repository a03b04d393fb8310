//! Second opinions on what must wait for an entry of another lane, where how far the lanes are does not tell: the topics
//! had another number of partitions when that entry was sent, it was put aside, or it came from another source.

use std::time::Duration;

use super::feed::{Item, Positions, What};
use super::lines::Lines;
use super::refused::{self, Cause};
use super::waiting::{Line, Waiting};
use super::worker::{Fault, Worker};
use crate::edge::now;
use crate::grant::{Entry, Lane};
use crate::ids::Lsn;
use crate::ledger::LedgerError;

/// How often the ledger is asked about one line.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Entries that the ledger is asked for at a time: as many as a transaction has at least.
const ASK_MAX: usize = 50;

impl Worker {
    /// Asks the ledger whether what is parked may go, each line now and then; whether something may.
    pub(super) fn let_go(&mut self) -> Result<bool, Fault> {
        let mut any = false;
        for line in self.progress.waiting.due(now()) {
            match self.goes(line) {
                Ok(Some(upto)) => {
                    self.progress.waiting.let_go(line, upto);
                    any = true;
                }
                Ok(None) => {}
                Err(error) => {
                    self.doubt(None);
                    return Err(error.into());
                }
            }
        }
        Ok(any)
    }

    /// Up to where the entries parked of a line may go.
    fn goes(&mut self, line: Line) -> Result<Option<Lsn>, LedgerError> {
        let Worker { ledger, progress, .. } = self;
        let lines = progress.lines.as_ref().expect("a turn begins with its place");
        let (mut upto, mut known) = (None, Lsn::ZERO);
        for entry in progress.waiting.entries(line).take(ASK_MAX) {
            let (seq, after) = (entry.seq(), entry.after());
            if let Some(ends) = progress.waiting.doubted(line, seq) {
                let is_settled = has_come_to(lines, &progress.waiting, (line.0, entry), ends)
                    || !matches!(refused::judge(ledger.as_mut(), entry, "")?, Cause::Order(_));
                return Ok(if is_settled { Some(seq) } else { upto });
            }
            let goes = after == known || lines.has(line.0.other(), line.1, after) || ledger.is_ready(entry)?;
            if !goes {
                break;
            }
            (upto, known) = (Some(seq), after);
        }
        Ok(upto)
    }

    /// What `entry` builds on is not in the ledger, although its lane is past it: whether it may still come in another one,
    /// where it was sent when the topics had fewer partitions. Then `entry` is doubted.
    pub(super) fn may_come(&mut self, entry: &Entry) -> Result<bool, Fault> {
        let item = self.progress.waiting.onwards(entry).next().expect("an entry comes from a record that waits");
        let (lane, is_ordered) = (item.lane, matches!(item.what, What::Entry { prev: None, .. }));
        if is_ordered {
            return Ok(false);
        }
        let line = (lane, entry.log());
        let ends = match self.progress.waiting.doubted(line, entry.seq()) {
            Some(ends) => ends.clone(),
            None => self.feed.ends()?,
        };
        if has_come_to(self.lines(), &self.progress.waiting, (lane, entry), &ends) {
            return Ok(false);
        }
        self.progress.waiting.doubt(line, entry.seq(), ends);
        Ok(true)
    }
}

/// Whether all lanes that may bring what `entry` of a lane must come after have come to `ends`, or are past it.
fn has_come_to(lines: &Lines, waiting: &Waiting, (lane, entry): (Lane, &Entry), ends: &Positions) -> bool {
    let (log, after, next) = (entry.log(), entry.after(), lines.next());
    let mut others = ends.iter().filter(|(other, _)| other.kind() != lane.kind() && **other != lane.other());
    others.all(|(other, end)| {
        let is_behind = |head: &Item| head.place().is_some_and(|(_, seq)| seq > after);
        lines.has(*other, log, after)
            || next.get(other).is_none_or(|next| next >= end)
            || waiting.head((*other, log)).is_some_and(is_behind)
    })
}
