//! What goes wrong in a world, and how the gate comes back from it.

use std::time::Duration;

use super::World;
use crate::catch_up::CatchUpError;
use crate::edge::simulated;
use crate::grant::Lane;
use crate::ids::Lsn;
use crate::journal::Appendfsync;
use crate::settings::CatchUpFrom;
use crate::sim::broker::PARTITIONS;
use crate::sim::copy::Copy;
use crate::sim::database;
use crate::sim::disk::SimDisk;
use crate::sim::line::Route;
use crate::sim::oracle::ask::{Ask, Text};
use crate::sim::oracle::model::Entry;
use crate::sim::process::Process;
use crate::sim::rot;

impl World<'_> {
    /// Something goes wrong behind the gate.
    pub(super) fn trouble_outside(&mut self) {
        let World { outside, chance, trace, copy, foreign, .. } = self;
        let lane = Lane::at(chance.below(2 * u64::from(PARTITIONS)) as usize);
        let kind = chance.below(14);
        if *foreign && matches!(kind, 3..=5) {
            return;
        }
        match kind {
            0 => outside.broker.set_down(true),
            1 => outside.broker.set_calls_left(chance.range(0, 12)),
            2 => outside.broker.fail_writers(),
            3 => outside.broker.lose_tail(lane, chance.range(1, 4)),
            4 => outside.broker.retain(lane, chance.range(1, 6)),
            5 if chance.one_in(3) => outside.broker.delete_topic(lane.kind(), chance.one_in(2)),
            6 | 7 => drop(outside.broker.late(chance)),
            8 => outside.database.faults(|faults| faults.down = true),
            9 => outside.database.faults(|faults| faults.roll_back = true),
            10 | 11 => outside.database.faults(|faults| faults.lose_answer = true),
            12 => *copy = Some(outside.database.tables()),
            13 => {
                if let Some(copy) = copy.take() {
                    outside.database.bring_back(copy);
                }
            }
            _ => {}
        }
        self.is_calm &= !(1..=7).contains(&kind);
        trace.note("outside", &[kind]);
        if matches!(kind, 0 | 1 | 8) {
            self.well_at = self.trace.steps + self.chance.range(5, 80);
        }
    }

    /// Something goes wrong with the disk.
    pub(super) fn trouble(&mut self) {
        match self.chance.below(12) {
            0 => {
                self.disk.faults(|faults| faults.fail_sync = true);
                self.trace.note("fail sync", &[]);
            }
            1 => {
                self.disk.faults(|faults| faults.fail_write = true);
                self.trace.note("fail write", &[]);
            }
            2..=5 => {
                let room = self.disk.used() + self.chance.below(6_000) as usize;
                self.disk.faults(|faults| faults.room = Some(room));
                self.room_at = Some(self.trace.steps + self.chance.range(5, 60));
                self.trace.note("no room", &[room as u64]);
            }
            _ => {}
        }
    }

    /// The process ends, in one way or another, and another one begins.
    pub(super) fn crash(&mut self) -> Result<(), String> {
        if let Some(process) = self.process.take() {
            self.durable = self.durable.max(process.watermarks.durable.get());
            self.named = process.hands.named();
        }
        let mut unsynced = false;
        loop {
            self.crashes += 1;
            let killed = self.chance.one_in(2);
            if killed {
                self.disk.after_kill();
            } else {
                let percent = [0, 20, 50, 80, 100][self.chance.below(5) as usize];
                self.disk.after_power_cut(&mut self.chance, percent);
                if self.setting.journal.appendfsync != Appendfsync::Always {
                    unsynced = true;
                    self.all_answered = false;
                }
            }
            simulated::pass(Duration::from_millis(self.chance.below(3_000)));
            if self.chance.one_in(6) {
                self.bring_back()?;
            }
            self.trace.note("crash", &[u64::from(killed), self.oracle.answered(), self.durable.get()]);
            if self.chance.one_in(4) {
                // What says so may have gone with what it says it of, where nothing was synced.
                let named = if unsynced { 0 } else { self.named };
                rot::try_one(&self.disk, &self.setting.journal, &mut self.chance, named)?;
            }
            if self.chance.one_in(3) {
                let left = self.chance.below(14);
                self.disk.faults(|faults| faults.changes_left = Some(left));
            }
            if self.start()? {
                break;
            }
        }
        self.crash_at = self.trace.steps + self.chance.range(60, 240);
        self.room_at = None;
        Ok(())
    }

    /// Somebody brings an older copy of the data directory back. Where the world knows more, no claim is decided before
    /// that is brought in.
    fn bring_back(&mut self) -> Result<(), String> {
        let Some(copy) = self.kept.clone() else { return Ok(()) };
        self.outside.broker.set_down(false);
        self.outside.database.faults(|faults| *faults = database::Faults::default());
        // That is long after the last request of the lost process has arrived, or not.
        self.outside.broker.late(&mut self.chance);
        self.outside.broker.lose_travelling();
        self.is_calm = false;
        if !copy.is_behind(&self.outside) {
            return Ok(());
        }
        let both = self.outside.route == Route::Both;
        let from = if both && self.chance.one_in(2) { CatchUpFrom::Kafka } else { CatchUpFrom::Ledger };
        let disk = copy.disk.copy();
        self.trace.note("copy", &[]);
        let mut tries = 0;
        loop {
            tries += 1;
            if !self.refuses_claims(&disk, &copy)? {
                break;
            }
            if self.chance.one_in(2) && tries < 4 {
                let left = self.chance.below(30);
                disk.faults(|faults| faults.changes_left = Some(left));
            }
            let done = copy.catch_up(&disk, self.setting.journal, &self.outside, from, self.oracle.model());
            let ended = disk.has_crashed();
            disk.faults(|faults| faults.changes_left = None);
            self.trace.note("catch up", &[u64::from(done.is_ok()), u64::from(ended)]);
            match done {
                _ if ended => {
                    self.crashes += 1;
                    match self.chance.one_in(2) {
                        true => disk.after_kill(),
                        false => disk.after_power_cut(&mut self.chance, 50),
                    }
                }
                Ok(_) => break,
                // What the world has lost itself nobody can bring in: the newest directory stays.
                Err(CatchUpError::Differs(_)) => return Ok(()),
                Err(error) => return Err(format!("catching up fails: {error}")),
            }
        }
        let Some((model, entries)) = copy.caught_up(&self.outside, from, self.oracle.model()) else {
            return Err("what contradicts was brought in".to_owned());
        };
        self.disk = disk;
        self.kept = None;
        self.oracle.brought_back(model, entries);
        let entries = self.oracle.entries();
        let is_known = |seq| entries.binary_search_by_key(&seq, |entry: &Entry| entry.seq).is_ok();
        self.outside.broker.forget(|published| is_known(published.seq));
        self.durable = Lsn::ZERO;
        self.named = 0;
        self.all_answered = true;
        Ok(())
    }

    /// A gate over `disk` decides no claim: true. It may where its journal holds all that the world knows: false.
    fn refuses_claims(&mut self, disk: &SimDisk, copy: &Copy) -> Result<bool, String> {
        let mut process = match Process::start(disk, &self.setting, &self.outside) {
            Ok(process) => process,
            // The ledger says how far the journal was durable: what is torn below that is refused.
            Err(error) if error.is_damage() => return Ok(true),
            Err(error) => return Err(format!("the gate does not start over a copy: {error}")),
        };
        // Whatever would be written: any event takes a position that the lost part has used.
        let said = process.probe(Ask::Set { key: 0, value: Text::Number(1), px: None });
        match process.is_stale() && said.starts_with(b"-STALE ") {
            true => Ok(true),
            false if process.replayed.last_lsn >= copy.highest(&self.outside) => Ok(false),
            false => {
                Err(format!("the gate decides over a journal that is older than the world: {}", said.escape_ascii()))
            }
        }
    }
}
