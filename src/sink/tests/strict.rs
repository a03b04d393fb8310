//! A ledger in memory that notes each violation of its constraints, and a feed that brings the records of its lanes in a
//! given order: both small enough that a scene can be played some ten thousand times.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::grant::{Entry, Grant, Lane, Return};
use crate::ids::{LogId, Lsn};
use crate::ledger::{Batch, DeadLetter, InPlace, Ledger, LedgerError, Move, Position};
use crate::sink::lines::{Hole, Lines};
use crate::sink::worker::Fault;
use crate::sink::{Feed, FeedError, Item, Opened, Positions, Rows, Sources};

/// The tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// By campaign and seat.
    pub(super) grants: BTreeMap<(String, u32), Grant>,
    /// By log and seq.
    pub(super) returns: BTreeMap<(LogId, Lsn), Return>,
    pub(super) dead: Vec<DeadLetter>,
    /// What was not taken, as it was told.
    pub(super) violations: Vec<String>,
    positions: BTreeMap<(String, u32), Position>,
    /// So many transactions are answered; then one is in and its answer lost.
    pub(super) answered: Option<usize>,
}

impl Tables {
    fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Grant { grant, .. } => {
                let key = (grant.campaign.to_string(), grant.seat);
                let is_his = |other: &Grant| {
                    (&other.campaign, &other.user, other.nth) == (&grant.campaign, &grant.user, grant.nth)
                };
                if self.returns.values().any(|back| (back.log, back.grant) == (grant.log, grant.seq)) {
                    return Err(format!("{grant}, which has come back"));
                }
                if let Some(there) = self.grants.get(&key).or(self.grants.values().find(|other| is_his(other))) {
                    return Err(format!("{grant} where {there} is"));
                }
                self.grants.insert(key, grant.clone());
            }
            Entry::Return(back) => {
                let key = (back.campaign.to_string(), back.seat);
                if self.grants.get(&key).map(|grant| (grant.log, grant.seq)) != Some((back.log, back.grant)) {
                    return Err(format!("{back} where that grant is not"));
                }
                self.grants.remove(&key);
                if let Some(there) = self.returns.insert((back.log, back.seq), back.clone()) {
                    return Err(format!("{back} where {there} is"));
                }
            }
        }
        Ok(())
    }

    fn store(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        for to in batch.moves {
            let there = self.positions.get_mut(&(to.source.clone(), to.kpart));
            match (there, to.expected) {
                (Some(there), Some(expected))
                    if (there.next, there.last_seq, there.epoch) == (expected.0, expected.1, batch.epoch) =>
                {
                    (there.next, there.log, there.last_seq, there.hole) = (to.next, to.log, to.last_seq, to.hole);
                }
                (None, None) => {
                    self.positions.insert((to.source.clone(), to.kpart), position(to, batch.epoch, batch.owner));
                }
                (there, expected) => return Err(format!("a move from {expected:?} where {there:?} is")),
            }
        }
        self.dead.extend_from_slice(batch.dead);
        batch.entries.iter().try_for_each(|entry| self.apply(entry))
    }
}

fn position(to: &Move, epoch: u64, owner: &str) -> Position {
    let (source, kpart, log, last_seq, hole) = (to.source.clone(), to.kpart, to.log, to.last_seq, to.hole);
    Position { source, kpart, next: to.next, log, last_seq, hole, epoch, owner: owner.into(), beat: String::new() }
}

/// The ledger. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Strict(pub(super) Arc<Mutex<Tables>>);

impl Ledger for Strict {
    fn open(&mut self) -> Result<(), LedgerError> {
        Ok(())
    }

    fn positions(&mut self, source: &str) -> Result<Vec<Position>, LedgerError> {
        let tables = self.0.lock().unwrap();
        Ok(tables.positions.values().filter(|row| row.source.starts_with(source)).cloned().collect())
    }

    fn positions_of_log(&mut self, log: LogId) -> Result<Vec<Position>, LedgerError> {
        Ok(self.0.lock().unwrap().positions.values().filter(|row| row.log == log).cloned().collect())
    }

    fn claim(&mut self, owner: &str, seen: &[Position], new: &[Move]) -> Result<Vec<Position>, LedgerError> {
        let mut tables = self.0.lock().unwrap();
        let epoch = seen.iter().map(|row| row.epoch).max().unwrap_or(0) + 1;
        let made = new.iter().map(|to| position(to, epoch, owner));
        let rows = seen.iter().map(|row| Position { epoch, owner: owner.into(), ..row.clone() }).chain(made);
        let rows: Vec<Position> = rows.collect();
        tables.positions.extend(rows.iter().map(|row| ((row.source.clone(), row.kpart), row.clone())));
        Ok(rows)
    }

    fn in_place_of(&mut self, entry: &Entry) -> Result<InPlace, LedgerError> {
        let tables = self.0.lock().unwrap();
        let on_seat = tables.grants.get(&(entry.campaign().to_string(), entry.seat()));
        let came_back =
            |grant: &Grant| tables.returns.values().any(|back| (back.log, back.grant) == (grant.log, grant.seq));
        Ok(match entry {
            Entry::Grant { grant, .. } if on_seat == Some(grant) || came_back(grant) => InPlace::Same,
            Entry::Return(back) if tables.returns.contains_key(&(back.log, back.seq)) => InPlace::Same,
            Entry::Return(back) if on_seat.is_some_and(|grant| grant.seq == back.grant) => InPlace::Nothing,
            Entry::Grant { .. } | Entry::Return(_) => match on_seat {
                None => InPlace::Nothing,
                Some(there) if there.seq < entry.seq() => InPlace::Earlier(there.to_string()),
                Some(there) => InPlace::Other(there.to_string()),
            },
        })
    }

    fn is_ready(&mut self, entry: &Entry) -> Result<bool, LedgerError> {
        let tables = self.0.lock().unwrap();
        Ok(match entry {
            Entry::Grant { after, .. } => *after == Lsn::ZERO || tables.returns.contains_key(&(entry.log(), *after)),
            Entry::Return(back) => tables.grants.values().any(|grant| (grant.log, grant.seq) == (back.log, back.grant)),
        })
    }

    fn store(&mut self, batch: &Batch<'_>) -> Result<(), LedgerError> {
        let mut tables = self.0.lock().unwrap();
        let mut after = tables.clone();
        if let Err(line) = after.store(batch) {
            tables.violations.push(line.clone());
            return Err(LedgerError::Refused(line));
        }
        *tables = after;
        match &mut tables.answered {
            Some(0) => {
                tables.answered = None;
                Err(LedgerError::Unavailable("the answer is lost".into()))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn bury(&mut self, _letters: &[DeadLetter], _entries: &[Entry]) -> Result<(), LedgerError> {
        unreachable!("a sink buries nothing")
    }

    fn others(&mut self) -> Result<Option<u64>, LedgerError> {
        Ok(None)
    }

    fn asks_for_a_pause(&mut self) -> Result<bool, LedgerError> {
        Ok(false)
    }
}

/// Brings items in the order in which they stand, a few at a time.
pub(super) struct Script {
    pub(super) items: Vec<Item>,
    pub(super) lanes: Vec<Lane>,
    /// How many come before it says that there are no more for now.
    pub(super) at_once: usize,
    pub(super) left: Vec<Item>,
    given: usize,
}

impl Script {
    pub(super) fn new(items: Vec<Item>, at_once: usize) -> Script {
        let mut lanes: Vec<Lane> = items.iter().flat_map(|item| [item.lane, item.lane.other()]).collect();
        lanes.sort_unstable();
        lanes.dedup();
        Script { items, lanes, at_once, left: Vec::new(), given: 0 }
    }
}

impl Feed for Script {
    fn open(&mut self) -> Result<Opened, FeedError> {
        let (grants, returns) = ("kafka:script:grants".into(), Some("kafka-returns:script:returns".into()));
        Ok(Opened { sources: Sources::Topics { grants, returns }, lanes: self.lanes.clone() })
    }

    fn resume(&mut self, _ledger: &mut dyn Ledger, rows: &Rows) -> Result<Positions, Fault> {
        Ok(self.lanes.iter().map(|lane| (*lane, rows.of(*lane).map_or(0, |row| row.next))).collect())
    }

    fn seek(&mut self, from: &Positions) -> Result<(), FeedError> {
        self.left = self.items.iter().rev().filter(|item| item.position >= from[&item.lane]).cloned().collect();
        Ok(())
    }

    fn next(
        &mut self,
        _patience: std::time::Duration,
        _room: usize,
        take: &mut dyn FnMut(Item),
    ) -> Result<(), FeedError> {
        if self.given == self.at_once {
            self.given = 0;
            return Ok(());
        }
        if let Some(item) = self.left.pop() {
            self.given += 1;
            take(item);
        }
        Ok(())
    }

    fn hold(&mut self, _held: &[Lane]) -> Result<(), FeedError> {
        Ok(())
    }

    fn ends(&mut self) -> Result<Positions, FeedError> {
        let mut ends: Positions = self.lanes.iter().map(|lane| (*lane, 0)).collect();
        for item in &self.items {
            ends.insert(item.lane, item.next.max(ends[&item.lane]));
        }
        Ok(ends)
    }

    fn is_read(&mut self, lane: Lane, next: u64) -> Result<bool, FeedError> {
        Ok(self.items.iter().all(|item| item.lane != lane || item.position < next))
    }

    fn stored(&self, _lines: &Lines) -> Lsn {
        Lsn::ZERO
    }

    fn is_all(&self, _lines: &Lines) -> bool {
        self.left.is_empty()
    }

    fn awaits(&self, _lines: &Lines) -> Vec<Hole> {
        Vec::new()
    }

    fn reaches(&self, _log: LogId) -> bool {
        false
    }

    fn miss(&self, _lane: Lane, _log: LogId, _after: Lsn) {}
}
