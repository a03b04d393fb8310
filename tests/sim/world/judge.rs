//! The judgement: what is answered in the end, and whether what left the gate is what it granted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Told, World};
use crate::edge::simulated;
use crate::grant;
use crate::ids::Lsn;
use crate::sim::book::entry_of;
use crate::sim::database::{self, Database};
use crate::sim::disk;
use crate::sim::line::Route;
use crate::sim::oracle::model::Entry;
use crate::sim::process::Process;

impl World<'_> {
    /// Nothing goes wrong any more: all that was asked is answered.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.disk.faults(|faults| *faults = disk::Faults::default());
        self.outside.broker.set_down(false);
        self.outside.database.faults(|faults| *faults = database::Faults::default());
        for round in 0..300 {
            simulated::pass(Duration::from_millis(if round < 30 { 100 } else { 1_000 }));
            let World { process, oracle, .. } = self;
            process.as_mut().expect("a process runs").tick(oracle)?;
            let hands = self.process().hands.clone();
            while hands.make() | hands.write() {}
            hands.sync();
            self.process().compact();
            self.turn()?;
            for number in 0..self.setting.connections {
                self.process().set_takes(number, usize::MAX);
                self.process().complete(number);
            }
            let World { process, oracle, .. } = self;
            let conns = &process.as_ref().expect("a process runs").conns;
            let quiet = conns.iter().all(|conn| conn.asked.is_empty());
            let quiet = quiet && (0..conns.len()).all(|number| oracle.waits_for(number) == 0);
            let ended = oracle.all_ended(process.as_ref().expect("a process runs").now());
            let ended = ended.is_ok() || process.as_ref().is_some_and(Process::is_stale);
            if self.drain()? && quiet && ended {
                return Ok(());
            }
        }
        let process = self.process();
        let troubles = [&process.figures.kafka_trouble, &process.figures.ledger_trouble].map(|trouble| trouble.get());
        let marks = &process.watermarks;
        let [durable, published, stored] = [&marks.durable, &marks.published, &marks.stored].map(|mark| mark.get());
        Err(format!(
            "something never comes, though nothing is wrong any more: {durable} durable, {published} published, {stored} stored; \
             {troubles:?} {} {}",
            self.outside.database.told(),
            self.outside.broker.told(),
        ))
    }

    /// Stream, cluster and sink do what there is; whether all is where it belongs.
    fn drain(&mut self) -> Result<bool, String> {
        let World { process, outside, .. } = self;
        let process = process.as_mut().expect("a process runs");
        if let Some(stream) = &mut process.line.stream {
            stream.turn();
            outside.broker.settle();
            stream.turn();
        }
        if let Some(sink) = &mut process.line.sink {
            while sink.turn() {}
        }
        let marks = &process.watermarks;
        let durable = marks.durable.get();
        let done = match outside.route {
            Route::Nowhere => true,
            Route::Ledger => marks.stored.get() == durable,
            Route::Both if self.foreign => true,
            Route::Both => marks.stored.get() == durable && marks.published.get() == durable,
        };
        outside.broker.noticed().map_or(Ok(done), Err)
    }

    /// What left the gate is what happened there: some of it, in order, or all.
    pub(super) fn compare(&mut self, all: bool) -> Result<(), String> {
        let World { outside, oracle, foreign, is_calm, .. } = self;
        if outside.route == Route::Nowhere {
            return Ok(());
        }
        let published = outside.broker.published();
        let tables = Stored::of(&outside.database);
        if *foreign {
            let ours = published.len() > 1 || tables.grants.len() > 1 || !tables.returns.is_empty();
            return if ours { Err("something was sent among the grants of another gate".to_owned()) } else { Ok(()) };
        }
        let duplicate = outside.broker.duplicate().filter(|_| *is_calm);
        if let Some(duplicate) = duplicate {
            return Err(format!("a record was sent twice, and there was no reason: {duplicate}"));
        }
        let entries = oracle.entries();
        if let Some(wrong) = published.iter().find(|published| !entries.iter().any(|entry| is_same(published, entry))) {
            return Err(format!("the topic says {wrong:?}, and that never was"));
        }
        tables.judge(entries)?;
        let dead = outside.database.dead_letters();
        let sent = if outside.route == Route::Both { published.len() } else { entries.len() };
        let stored = tables.grants.len() + tables.returns.len();
        if dead > 0 || all && (sent, stored) != (entries.len(), entries.len()) {
            return Err(format!(
                "{} grants and returns, {sent} in the topics, {stored} in the ledger, {dead} dead letters",
                entries.len()
            ));
        }
        Ok(())
    }

    /// A clean stop, and what is found after it.
    pub(super) fn end(mut self) -> Result<Told, String> {
        let process = self.process.take().expect("a process runs");
        process.hands.set_at_once(true);
        process.finish().map_err(|error| format!("the gate does not stop: {error}"))?;
        self.durable = Lsn::ZERO;
        self.disk.after_power_cut(&mut self.chance, 50);
        if !self.start()? {
            return Err("nothing ends a start after a clean stop".to_owned());
        }
        if self.process().replayed.torn.is_some() {
            return Err("a clean stop left a torn batch".to_owned());
        }
        self.settle()?;
        self.compare(true)?;
        Ok(Told {
            trace: self.trace.hash(),
            steps: self.trace.steps,
            crashes: self.crashes,
            answers: self.oracle.heard,
            changes: self.oracle.count(),
            seats: self.oracle.counts,
        })
    }
}

/// Whether these are the same. The time of a record is the wall's where that is behind the gate's.
fn is_same(one: &Entry, other: &Entry) -> bool {
    Entry { at: other.at, ..*one } == *other
}

/// What the ledger has stored.
struct Stored {
    /// Rows of both tables: of what came back, too.
    grants: Vec<Entry>,
    /// Rows of `coupon_return`.
    returns: Vec<Entry>,
    /// Seats that have a row.
    rows: Vec<Entry>,
}

impl Stored {
    fn of(database: &Database) -> Stored {
        let rows: Vec<Entry> = database.rows().into_iter().map(|grant| entry_of(&grant.into())).collect();
        let (grants, returns): (Vec<_>, Vec<_>) = database.returned().into_iter().unzip();
        let grants = grants.into_iter().map(|grant| entry_of(&grant.into()));
        let grants = rows.iter().copied().chain(grants).collect();
        let returns = returns.into_iter().map(|back| entry_of(&grant::Entry::Return(back))).collect();
        Stored { grants, returns, rows }
    }

    /// Of every campaign the first so many grants are stored and the first so many returns, as they were; what came after a
    /// return only with it. So a seat has a row where it was granted and did not come back, and no other.
    fn judge(&self, entries: &[Entry]) -> Result<(), String> {
        let stored = |entry: &Entry| {
            let (among, after) = if entry.is_return { (&self.returns, entry.after) } else { (&self.grants, 0) };
            // A row does not say after what it came.
            among.iter().any(|there| is_same(&Entry { after, ..*there }, &Entry { after, ..*entry }))
        };
        let mut whole = BTreeMap::new();
        for entry in entries {
            let is_stored = stored(entry);
            let whole = whole.entry((entry.campaign, entry.is_return)).or_insert(true);
            if is_stored && !*whole {
                return Err(format!("the ledger has {entry:?}, and one before it is missing"));
            }
            *whole &= is_stored;
            let before = entries.iter().find(|before| entry.after > 0 && before.seq == entry.after);
            if let Some(before) = before.filter(|before| is_stored && !stored(before)) {
                return Err(format!("the ledger has {entry:?} without {before:?}"));
            }
        }
        let known = entries.iter().filter(|entry| stored(entry)).count();
        if known != self.grants.len() + self.returns.len() {
            let all = [&self.grants[..], &self.returns].concat();
            return Err(format!("the ledger has {} rows, {known} of those are as they were: {all:?}", all.len()));
        }
        let is_back = |row: &Entry| self.returns.iter().any(|back| back.after == row.seq);
        match self.rows.iter().find(|row| is_back(row)) {
            Some(row) => Err(format!("the ledger has a row of {row:?}, which came back")),
            None => Ok(()),
        }
    }
}
