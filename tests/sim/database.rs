//! The database of a simulation: three tables in memory, transactions that are all or nothing, answers that get lost,
//! and a copy of an older day that somebody brings back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::grant::{Grant, GrantUser};
use crate::ids::LogId;
use crate::ledger::{Batch, DeadLetter, InPlace, Ledger, LedgerError, LedgerReader, Move, Position};
use crate::sabotage::{Sabotage, on};

/// The tables.
#[derive(Clone, Default)]
pub struct Tables {
    positions: BTreeMap<(String, u32), Position>,
    /// By campaign and seat.
    rows: BTreeMap<(Arc<str>, u32), Grant>,
    users: BTreeMap<(GrantUser, Arc<str>, u16), u32>,
    dead: BTreeMap<(String, u32, u64), DeadLetter>,
    beats: u64,
}

/// What goes wrong at the next calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// No call is answered.
    pub down: bool,
    /// The next transaction is rolled back.
    pub roll_back: bool,
    /// The next transaction is committed, and its answer is lost.
    pub lose_answer: bool,
}

#[derive(Default)]
struct State {
    tables: Tables,
    faults: Faults,
}

/// The database. Clones are the same database.
#[derive(Clone, Default)]
pub struct Database(Arc<Mutex<State>>);

fn away(what: &str) -> LedgerError {
    LedgerError::Unavailable(format!("ledger: {what}"))
}

impl Database {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the faults.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state().faults);
    }

    /// All of it, as of now.
    pub fn tables(&self) -> Tables {
        self.state().tables.clone()
    }

    /// What was once copied is all there is.
    pub fn bring_back(&self, tables: Tables) {
        self.state().tables = tables;
    }

    /// The positions, for humans.
    pub fn told(&self) -> String {
        let state = self.state();
        let line =
            |row: &Position| format!("{}/{}: {} seq {} {}", row.source, row.kpart, row.next, row.last_seq, row.hole);
        state.tables.positions.values().map(line).collect::<Vec<_>>().join(", ")
    }

    /// Every row of `coupon_grant`.
    pub fn for_each(&self, take: impl FnMut(&Grant)) {
        self.state().tables.rows.values().for_each(take);
    }

    /// Rows and dead letters.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.tables.rows.len(), state.tables.dead.len())
    }

    fn asked(&self) -> Result<MutexGuard<'_, State>, LedgerError> {
        let state = self.state();
        if state.faults.down { Err(away("the database is down")) } else { Ok(state) }
    }
}

impl Tables {
    fn find(&self, wanted: impl Fn(&Position) -> bool) -> Vec<Position> {
        self.positions.values().filter(|row| wanted(row)).cloned().collect()
    }

    fn beat(&mut self) -> String {
        self.beats += 1;
        self.beats.to_string()
    }

    fn check_moves(&self, batch: &Batch<'_>) -> Result<(), LedgerError> {
        for to in batch.moves {
            let there = self.positions.get(&(to.source.clone(), to.kpart));
            let stands = match (there, to.expected) {
                (None, None) => true,
                (Some(there), Some(expected)) => (there.next, there.last_seq) == expected && there.epoch == batch.epoch,
                (None, Some(_)) | (Some(_), None) => false,
            };
            if !stands && !on(Sabotage::NoCompareAndSet) {
                return Err(LedgerError::TakenOver(format!(
                    "ledger: {there:?} is not {to:?} of epoch {}",
                    batch.epoch
                )));
            }
        }
        Ok(())
    }

    fn shift(&mut self, batch: &Batch<'_>) {
        for to in batch.moves {
            let beat = self.beat();
            self.positions.insert((to.source.clone(), to.kpart), position(to, batch.epoch, batch.owner, beat));
        }
    }

    fn put(&mut self, batch: &Batch<'_>) {
        for letter in batch.dead {
            let key = (letter.source.clone(), letter.kpart, letter.position);
            self.dead.entry(key).or_insert_with(|| letter.clone());
        }
        for row in batch.rows {
            self.users.insert((row.user.clone(), Arc::clone(&row.campaign), row.nth), row.seat);
            self.rows.insert((Arc::clone(&row.campaign), row.seat), row.clone());
        }
    }

    fn check_rows(&self, batch: &Batch<'_>) -> Result<(), LedgerError> {
        for (place, row) in batch.rows.iter().enumerate() {
            let mut others = self.rows.range((Arc::clone(&row.campaign), 0)..);
            if let Some((_, there)) = others.next().filter(|((campaign, _), _)| *campaign == row.campaign)
                && there.log != row.log
            {
                return Err(LedgerError::Contradiction(format!("ledger: {} is of log {}", there, there.log)));
            }
            let clashes =
                |other: &Grant| other.campaign == row.campaign && (other.seat == row.seat || other.user == row.user);
            if self.users.contains_key(&(row.user.clone(), Arc::clone(&row.campaign), row.nth))
                || self.rows.contains_key(&(Arc::clone(&row.campaign), row.seat))
                || batch.rows[..place].iter().any(clashes)
            {
                return Err(LedgerError::Refused(format!("ledger: duplicate key: {row}")));
            }
        }
        Ok(())
    }
}

fn position(to: &Move, epoch: u64, owner: &str, beat: String) -> Position {
    let Move { source, kpart, next, log, last_seq, hole, .. } = to.clone();
    Position { source, kpart, next, log, last_seq, hole, epoch, owner: owner.into(), beat }
}

impl Ledger for Database {
    fn open(&mut self) -> Result<(), LedgerError> {
        self.asked().map(drop)
    }

    fn positions(&mut self, source: &str) -> Result<Vec<Position>, LedgerError> {
        let ours = |name: &str| name.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        Ok(self.asked()?.tables.find(|row| ours(&row.source)))
    }

    fn positions_of_log(&mut self, log: LogId) -> Result<Vec<Position>, LedgerError> {
        Ok(self.asked()?.tables.find(|row| row.log == log))
    }

    fn claim(&mut self, owner: &str, seen: &[Position], new: &[Move]) -> Result<Vec<Position>, LedgerError> {
        let mut state = self.asked()?;
        let tables = &mut state.tables;
        let unchanged = |row: &Position| tables.positions.get(&(row.source.clone(), row.kpart)) == Some(row);
        let is_there = |to: &Move| tables.positions.contains_key(&(to.source.clone(), to.kpart));
        if !seen.iter().all(unchanged) || new.iter().any(is_there) {
            return Err(away("a position moved while it was claimed"));
        }
        let epoch = seen.iter().map(|row| row.epoch).max().unwrap_or(0) + 1;
        let mut claimed: Vec<Position> = Vec::new();
        for row in seen {
            let beat = tables.beat();
            claimed.push(Position { epoch, owner: owner.into(), beat, ..row.clone() });
        }
        for to in new {
            let beat = tables.beat();
            claimed.push(position(to, epoch, owner, beat));
        }
        for row in &claimed {
            tables.positions.insert((row.source.clone(), row.kpart), row.clone());
        }
        claimed.sort_by(|one, other| (&one.source, one.kpart).cmp(&(&other.source, other.kpart)));
        Ok(claimed)
    }

    fn in_place_of(&mut self, grant: &Grant) -> Result<InPlace, LedgerError> {
        let state = self.asked()?;
        let tables = &state.tables;
        let seat = (Arc::clone(&grant.campaign), grant.seat);
        let user = (grant.user.clone(), Arc::clone(&grant.campaign), grant.nth);
        let others_seat = tables.users.get(&user).map(|seat| (Arc::clone(&grant.campaign), *seat));
        let there = [Some(seat), others_seat].into_iter().flatten().filter_map(|at| tables.rows.get(&at));
        let mut there = there.collect::<Vec<_>>();
        there.dedup();
        Ok(match there[..] {
            [] => InPlace::Nothing,
            [same]
                if (same.log, same.seq, same.seat, &same.user) == (grant.log, grant.seq, grant.seat, &grant.user) =>
            {
                InPlace::Same
            }
            [other, ..] => InPlace::Other(other.to_string()),
        })
    }

    fn store(&mut self, batch: &Batch<'_>) -> Result<(), LedgerError> {
        let mut state = self.asked()?;
        let faults = std::mem::take(&mut state.faults);
        let tables = &mut state.tables;
        tables.check_moves(batch)?;
        if on(Sabotage::PositionOutsideTransaction) {
            tables.shift(batch);
        }
        if faults.roll_back {
            return Err(away("the connection broke"));
        }
        tables.check_rows(batch)?;
        tables.put(batch);
        if !on(Sabotage::PositionOutsideTransaction) {
            tables.shift(batch);
        }
        if faults.lose_answer { Err(away("the answer to COMMIT was lost")) } else { Ok(()) }
    }

    fn bury(&mut self, _: &[DeadLetter], _: &[Grant]) -> Result<(), LedgerError> {
        Err(away("nobody judges dead letters here"))
    }

    fn others(&mut self) -> Result<Option<u64>, LedgerError> {
        self.asked().map(|_| None)
    }

    fn asks_for_a_pause(&mut self) -> Result<bool, LedgerError> {
        Ok(false)
    }
}

impl LedgerReader for Database {
    fn all_positions(&mut self) -> Result<Vec<Position>, LedgerError> {
        Ok(self.asked()?.tables.find(|_| true))
    }

    fn grants(&mut self, after: Option<(&str, u32)>, limit: usize) -> Result<Vec<Grant>, LedgerError> {
        let state = self.asked()?;
        let behind = |campaign: &str, seat: u32| after.is_none_or(|after| (campaign, seat) > after);
        let rows = state.tables.rows.values().filter(|row| behind(&row.campaign, row.seat));
        Ok(rows.take(limit).cloned().collect())
    }

    fn dead_letters(&mut self, _: Option<(&str, u32, u64)>, _: usize) -> Result<Vec<DeadLetter>, LedgerError> {
        Ok(self.asked()?.tables.dead.values().cloned().collect())
    }
}
