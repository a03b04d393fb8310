//! The database of a simulation: four tables in memory, transactions that are all or nothing, answers that get lost,
//! and a copy of an older day that somebody brings back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::grant::{Entry, Grant, GrantUser, Return};
use crate::ids::{LogId, Lsn};
use crate::ledger::{Batch, DeadLetter, InPlace, Ledger, LedgerError, LedgerReader, Move, Position, ReturnRow};
use crate::sabotage::{Sabotage, on};

/// The tables.
#[derive(Clone, Default)]
pub struct Tables {
    positions: BTreeMap<(String, u32), Position>,
    /// By campaign and seat.
    rows: BTreeMap<(Arc<str>, u32), Grant>,
    /// By journal and the return's seq.
    returned: BTreeMap<(LogId, Lsn), ReturnRow>,
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
    pub fn rows(&self) -> Vec<Grant> {
        self.state().tables.rows.values().cloned().collect()
    }

    /// Every row of `coupon_return`: the grant that it was, and its return.
    pub fn returned(&self) -> Vec<(Grant, Return)> {
        let pair = |row: &ReturnRow| {
            let ReturnRow { back, granted_at: at } = row.clone();
            let Return { log, grant: seq, seat, nth, .. } = back;
            (Grant { log, seq, campaign: Arc::clone(&back.campaign), seat, user: back.user.clone(), nth, at }, back)
        };
        self.state().tables.returned.values().map(pair).collect()
    }

    /// How many dead letters there are.
    pub fn dead_letters(&self) -> usize {
        self.state().tables.dead.len()
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
        for entry in batch.entries {
            match entry {
                Entry::Grant { grant, .. } => self.put_grant(grant),
                Entry::Return(back) => self.take_back(back),
            }
        }
    }

    fn put_grant(&mut self, row: &Grant) {
        self.users.insert((row.user.clone(), Arc::clone(&row.campaign), row.nth), row.seat);
        self.rows.insert((Arc::clone(&row.campaign), row.seat), row.clone());
    }

    fn take_back(&mut self, back: &Return) {
        let row = self.rows.remove(&(Arc::clone(&back.campaign), back.seat)).expect("its grant is there");
        self.users.remove(&(row.user.clone(), Arc::clone(&row.campaign), row.nth));
        self.returned.insert((back.log, back.seq), ReturnRow { back: back.clone(), granted_at: row.at });
    }

    /// Puts the entries into a copy, one by one.
    fn check_entries(&self, batch: &Batch<'_>) -> Result<(), LedgerError> {
        let mut after = self.clone();
        for entry in batch.entries {
            after.check_log(entry)?;
            match entry {
                Entry::Grant { grant, .. } => {
                    let user = (grant.user.clone(), Arc::clone(&grant.campaign), grant.nth);
                    let seat = (Arc::clone(&grant.campaign), grant.seat);
                    if after.users.contains_key(&user) || after.rows.contains_key(&seat) || after.came_back(grant) {
                        return Err(LedgerError::Refused(format!("ledger: duplicate key: {grant}")));
                    }
                    after.put_grant(grant);
                }
                Entry::Return(back) => {
                    if !after.has_grant_of(back) || after.returned.contains_key(&(back.log, back.seq)) {
                        return Err(LedgerError::Refused(format!("ledger: {back}: the row of its grant is not there")));
                    }
                    after.take_back(back);
                }
            }
        }
        Ok(())
    }

    /// Rows of one campaign never come from two journals.
    fn check_log(&self, entry: &Entry) -> Result<(), LedgerError> {
        let campaign = entry.campaign();
        let granted = self.rows.range((Arc::clone(campaign), 0)..).next();
        let granted = granted.filter(|((name, _), _)| name == campaign).map(|(_, row)| row.log);
        let returned = || self.returned.values().find(|row| row.back.campaign == *campaign).map(|row| row.back.log);
        match granted.or_else(returned).filter(|log| *log != entry.log()) {
            Some(log) => Err(LedgerError::Contradiction(format!("ledger: {campaign} is of log {log}, not of {entry}"))),
            None => Ok(()),
        }
    }

    fn came_back(&self, grant: &Grant) -> bool {
        let same = |back: &Return| {
            (&back.campaign, back.seat, back.log, back.grant) == (&grant.campaign, grant.seat, grant.log, grant.seq)
                && (&back.user, back.nth) == (&grant.user, grant.nth)
        };
        self.returned.values().any(|row| same(&row.back))
    }

    fn has_grant_of(&self, back: &Return) -> bool {
        let row = self.rows.get(&(Arc::clone(&back.campaign), back.seat));
        row.is_some_and(|row| (row.log, row.seq) == (back.log, back.grant))
    }

    fn in_place_of_grant(&self, grant: &Grant) -> InPlace {
        let seat = (Arc::clone(&grant.campaign), grant.seat);
        let user = (grant.user.clone(), Arc::clone(&grant.campaign), grant.nth);
        let others_seat = self.users.get(&user).map(|seat| (Arc::clone(&grant.campaign), *seat));
        let there = [Some(seat), others_seat].into_iter().flatten().filter_map(|at| self.rows.get(&at));
        let mut there = there.collect::<Vec<_>>();
        there.dedup();
        match there[..] {
            _ if self.came_back(grant) => InPlace::Same,
            [] => InPlace::Nothing,
            [same]
                if (same.log, same.seq, same.seat, &same.user) == (grant.log, grant.seq, grant.seat, &grant.user) =>
            {
                InPlace::Same
            }
            [there, ..] => other(there, grant.log, grant.seq),
        }
    }

    fn in_place_of_return(&self, back: &Return) -> InPlace {
        if let Some(ReturnRow { back: there, .. }) = self.returned.get(&(back.log, back.seq)) {
            let is_same = (&there.campaign, there.seat, there.grant) == (&back.campaign, back.seat, back.grant);
            return if is_same { InPlace::Same } else { InPlace::Other(there.to_string()) };
        }
        match self.rows.get(&(Arc::clone(&back.campaign), back.seat)) {
            Some(there) if !self.has_grant_of(back) => other(there, back.log, back.grant),
            Some(_) | None => InPlace::Nothing,
        }
    }
}

/// Another row where the grant of `log` at `seq` belongs.
fn other(there: &Grant, log: LogId, seq: Lsn) -> InPlace {
    let told = there.to_string();
    if there.log == log && there.seq < seq { InPlace::Earlier(told) } else { InPlace::Other(told) }
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

    fn in_place_of(&mut self, entry: &Entry) -> Result<InPlace, LedgerError> {
        let state = self.asked()?;
        Ok(match entry {
            Entry::Grant { grant, .. } => state.tables.in_place_of_grant(grant),
            Entry::Return(back) => state.tables.in_place_of_return(back),
        })
    }

    fn is_ready(&mut self, entry: &Entry) -> Result<bool, LedgerError> {
        let state = self.asked()?;
        let is_returned = |seq| state.tables.returned.contains_key(&(entry.log(), seq));
        Ok(match entry {
            Entry::Grant { after, .. } => *after == Lsn::ZERO || is_returned(*after),
            Entry::Return(back) => is_returned(back.seq) || state.tables.has_grant_of(back),
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
        tables.check_entries(batch)?;
        tables.put(batch);
        if !on(Sabotage::PositionOutsideTransaction) {
            tables.shift(batch);
        }
        if faults.lose_answer { Err(away("the answer to COMMIT was lost")) } else { Ok(()) }
    }

    fn bury(&mut self, _: &[DeadLetter], _: &[Entry]) -> Result<(), LedgerError> {
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

    fn returns(&mut self, after: Option<(LogId, Lsn)>, limit: usize) -> Result<Vec<ReturnRow>, LedgerError> {
        let state = self.asked()?;
        let rows = state.tables.returned.iter().filter(|(at, _)| after.is_none_or(|after| **at > after));
        Ok(rows.map(|(_, row)| row.clone()).take(limit).collect())
    }

    fn dead_letters(&mut self, _: Option<(&str, u32, u64)>, _: usize) -> Result<Vec<DeadLetter>, LedgerError> {
        Ok(self.asked()?.tables.dead.values().cloned().collect())
    }
}
