//! The judgement: what is answered in the end, and whether what left the gate is what it granted.

use std::time::Duration;

use super::{Told, World};
use crate::edge::simulated;
use crate::grant::GrantUser;
use crate::ids::Lsn;
use crate::sim::database;
use crate::sim::disk;
use crate::sim::line::Route;
use crate::sim::oracle::ask::CAMPAIGNS;

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
            if self.drain()? && quiet && ended.is_ok() {
                return Ok(());
            }
        }
        let process = self.process();
        let troubles = [&process.figures.kafka_trouble, &process.figures.ledger_trouble].map(|trouble| trouble.get());
        let marks = &process.watermarks;
        let [durable, published, stored] = [&marks.durable, &marks.published, &marks.stored].map(|mark| mark.get());
        Err(format!(
            "something never comes, though nothing is wrong any more: {durable} durable, {published} published, {stored} stored; \
             {troubles:?} {} {:?}",
            self.outside.database.told(),
            self.outside.broker.counts(),
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

    /// What left the gate is what it granted: some of it, or all.
    pub(super) fn compare(&mut self, all: bool) -> Result<(), String> {
        let World { outside, oracle, foreign, is_calm, .. } = self;
        if outside.route == Route::Nowhere {
            return Ok(());
        }
        let (rows, dead) = outside.database.counts();
        let (there, duplicates) = outside.broker.counts();
        if *foreign {
            let ours = there > 1 || rows > 1;
            return if ours { Err("grants were sent among those of another gate".to_owned()) } else { Ok(()) };
        }
        if *is_calm && duplicates > 0 {
            return Err(format!("a record was sent twice, and there was no reason: {}", outside.broker.duplicate()));
        }
        let mut told = Ok(());
        let mut judge = |place: &str, campaign: &[u8], seat: u32, user: i64, nth: u16| {
            let number = campaign.get(1).map_or(u8::MAX, |digit| digit.wrapping_sub(b'0')) % CAMPAIGNS;
            let ours = oracle.model().campaign(number).filter(|campaign| !campaign.shadow());
            let ours = ours.and_then(|campaign| campaign.seats.get(&seat)).filter(|there| there.until.is_none());
            if ours.is_none_or(|there| (i64::from(there.user), there.nth) != (user, nth)) {
                told = Err(format!("{place} says c{number} seat {seat} user {user} nth {nth}, the gate says {ours:?}"));
            }
        };
        outside.broker.for_each(|grant| judge("the topic", &grant.campaign, grant.seat, grant.user, grant.nth));
        outside.database.for_each(|row| {
            let user = if let GrantUser::Int(user) = row.user { user } else { -1 };
            judge("the ledger", row.campaign.as_bytes(), row.seat, user, row.nth);
        });
        told?;
        let seats = oracle.seats();
        let there = if outside.route == Route::Both { there } else { seats };
        if dead > 0 || all && (rows, there) != (seats, seats) {
            return Err(format!("{seats} seats, {there} in the topic, {rows} rows, {dead} dead letters"));
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
