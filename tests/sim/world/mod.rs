//! One seed: a gate, its clients, its disk and its clock, and everything that can go wrong with them.

mod judge;
mod trouble;

use std::time::Duration;

use crate::edge::simulated;
use crate::ids::Lsn;
use crate::journal::{Appendfsync, Compaction, Options};
use crate::kafka::Outgoing;
use crate::sim::book;
use crate::sim::broker::Broker;
use crate::sim::chance::Chance;
use crate::sim::clients::Clients;
use crate::sim::copy::Copy;
use crate::sim::database::{self, Database, Tables};
use crate::sim::disk::SimDisk;
use crate::sim::line::{Outside, Route};
use crate::sim::oracle::ask::{Ask, KEYS};
use crate::sim::oracle::model::{Campaign, Model};
use crate::sim::oracle::{Oracle, SeatCounts};
use crate::sim::process::{DAWN, Process, Setting};
use crate::sim::trace::Trace;

/// Steps and crashes of one seed, at least.
pub const STEPS: u64 = 500;
/// See [`STEPS`].
pub const CRASHES: u64 = 3;

/// What came of a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The same for the same story.
    pub trace: u64,
    /// Steps taken.
    pub steps: u64,
    /// Kills and power cuts.
    pub crashes: u64,
    /// Answers judged.
    pub answers: u64,
    /// Changes that recovery kept.
    pub changes: u64,
    /// What became of seats.
    pub seats: SeatCounts,
}

/// What is likely in this world: each seed has its own.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub claims: u64,
    pipeline: u64,
    writer: u64,
    maker: u64,
    clock: u64,
    line: u64,
    faults: bool,
    trouble: bool,
    compactor: u64,
    pub keys: u64,
    pub users: u64,
    /// Some campaigns have `HOLD`.
    pub holds: bool,
    /// Some users give their seats back.
    pub cancels: bool,
    /// Campaigns begin with seats of another system.
    pub seeds: bool,
    /// It is a test system: campaigns go, and their names are used again.
    pub purges: bool,
}

/// A world and what was noticed in it.
pub struct World<'t> {
    chance: Chance,
    trace: &'t mut Trace,
    disk: SimDisk,
    outside: Outside,
    /// Another gate filled the topic first: nothing of this one's goes there.
    foreign: bool,
    /// Nothing has happened that would put a record into the topic twice.
    is_calm: bool,
    /// The data directory as it once was.
    kept: Option<Copy>,
    /// The database as it once was.
    copy: Option<Tables>,
    /// Cluster and database are well again then.
    well_at: u64,
    oracle: Oracle,
    /// The last seat that somebody gave back: who gets no answer asks again.
    cancelled: Option<Ask>,
    setting: Setting,
    habits: Habits,
    process: Option<Process>,
    crashes: u64,
    /// What the clocks showed at the last tick of this process, and how long that was after the one before.
    clock: Option<(i64, i64, i64)>,
    /// When the next crash is armed, in steps.
    crash_at: u64,
    /// The room on the disk is to come back then.
    room_at: Option<u64>,
    /// The highest position that was durable when the process ended.
    durable: Lsn,
    /// The highest of those that the journal itself tells of.
    named: u64,
    /// What answers told of must be found; not so after a power cut without syncs.
    all_answered: bool,
}

/// Lives through `seed`.
///
/// # Errors
/// What was promised and not kept, in words.
pub fn live(seed: u64, trace: &mut Trace) -> Result<Told, String> {
    let mut chance = Chance::new(seed);
    simulated::begin(DAWN, chance.next());
    let told = World::new(chance, trace).and_then(World::run);
    simulated::end();
    told
}

impl<'t> World<'t> {
    fn new(mut chance: Chance, trace: &'t mut Trace) -> Result<World<'t>, String> {
        let appendfsync = match chance.below(10) {
            0 => Appendfsync::No,
            1 | 2 => Appendfsync::Everysec,
            _ => Appendfsync::Always,
        };
        let journal = Options {
            segment_bytes: 4096,
            block_bytes: 128,
            batch_bytes_max: 1200,
            appendfsync,
            known_durable: Lsn::ZERO,
        };
        let route = [Route::Both, Route::Both, Route::Ledger, Route::Nowhere][chance.below(4) as usize];
        // Who forgets cannot fill again what others have lost.
        let forgets = chance.one_in(4);
        let setting = Setting {
            journal,
            connections: chance.range(1, 4) as usize,
            route,
            takes_returns: route != Route::Both || !chance.one_in(8),
            compaction: Compaction {
                // Who forgets does so soon, while the line behind is slow: so what is forgotten too early is missed.
                when_journal_exceeds: match forgets {
                    true => chance.range(1, 8_000),
                    false if chance.one_in(3) => 0,
                    false => chance.range(1, 20_000),
                },
                keep_ms: if forgets { chance.range(1, 1_000) as i64 } else { i64::MAX / 2 },
                keep_bytes: 0,
                publishes: route == Route::Both,
                stores: route != Route::Nowhere,
            },
        };
        let Setting { route, takes_returns, .. } = setting;
        let outside = Outside { broker: Broker::new(), database: Database::default(), route, takes_returns };
        let habits = Habits {
            claims: chance.range(20, 90),
            pipeline: chance.range(1, 6),
            writer: chance.range(5, 40),
            maker: chance.range(2, 20),
            clock: chance.range(2, 20),
            line: match setting.route {
                Route::Nowhere => 0,
                Route::Both | Route::Ledger if forgets => chance.range(1, 20),
                Route::Both | Route::Ledger => chance.range(10, 90),
            },
            faults: chance.one_in(3),
            trouble: !forgets,
            compactor: chance.range(1, 12),
            keys: chance.range(1, u64::from(KEYS)),
            users: chance.range(3, 30),
            holds: chance.percent(60),
            cancels: chance.percent(70),
            seeds: chance.percent(40),
            purges: chance.percent(40),
        };
        let crash_at = chance.range(20, 200);
        let oracle = Oracle::new(setting.connections, setting.takes_returns, habits.seeds);
        let mut world = World {
            chance,
            trace,
            disk: SimDisk::default(),
            outside,
            foreign: false,
            is_calm: true,
            kept: None,
            copy: None,
            well_at: u64::MAX,
            oracle,
            cancelled: None,
            setting,
            habits,
            process: None,
            crashes: 0,
            clock: None,
            crash_at,
            room_at: None,
            durable: Lsn::ZERO,
            named: 0,
            all_answered: true,
        };
        world.trace.remark(|| format!("{setting:?} {habits:?}"));
        if setting.route == Route::Both && world.chance.one_in(40) {
            world.foreign = true;
            let headers = vec![("cg-log", vec![b'f'; 32]), ("cg-seq", b"5".to_vec()), ("cg-prev", b"0".to_vec())];
            let headers = [headers, vec![("cg-seat", b"1".to_vec())]].concat();
            let (key, value) = (Some(b"c0".to_vec()), 7_777_i64.to_be_bytes().to_vec());
            world.outside.broker.fill_by_another(Outgoing { topic: 0, partition: 0, at: DAWN, key, value, headers });
            // A new journal that finds them at once decides nothing at all; mostly something has happened before.
            world.outside.broker.set_down(true);
            world.well_at = world.chance.range(5, 80);
        }
        world.start()?;
        Ok(world)
    }

    fn run(mut self) -> Result<Told, String> {
        while self.trace.steps < STEPS || self.crashes < CRASHES {
            self.step()?;
            let failed = self.disk.has_crashed() || self.process.as_ref().is_some_and(Process::has_failed);
            if failed || self.trace.steps >= self.crash_at + 40 {
                self.crash()?;
            }
        }
        self.settle()?;
        self.end()
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a process runs between crashes")
    }

    /// One thing happens.
    fn step(&mut self) -> Result<(), String> {
        self.trace.steps += 1;
        if self.trace.steps == self.crash_at {
            let left = self.chance.below(12);
            self.disk.faults(|faults| faults.changes_left = Some(left));
            self.trace.note("armed", &[left]);
        }
        if self.room_at.is_some_and(|at| self.trace.steps >= at) {
            self.room_at = None;
            self.disk.faults(|faults| faults.room = None);
            self.trace.note("room", &[]);
        }
        if self.trace.steps >= self.well_at {
            self.well_at = u64::MAX;
            self.outside.broker.set_down(false);
            self.outside.database.faults(|faults| *faults = database::Faults::default());
            self.trace.note("outside is well", &[]);
        }
        let Habits { writer, maker, clock, faults, line, compactor, .. } = self.habits;
        let mut draw = self.chance.below(60 + writer + maker + clock + 8 + line + compactor);
        let mut is = |weight: u64| {
            let yes = draw < weight;
            draw = draw.wrapping_sub(weight);
            yes
        };
        if is(30) {
            self.ask()
        } else if is(30) {
            self.turn()
        } else if is(writer) {
            let wrote = self.process().hands.write();
            self.trace.note("write", &[u64::from(wrote)]);
            Ok(())
        } else if is(maker) {
            let made = self.process().hands.make();
            self.trace.note("make", &[u64::from(made)]);
            Ok(())
        } else if is(clock) {
            self.pass();
            Ok(())
        } else if is(compactor) {
            let made = self.process().compact();
            self.trace.note("compact", &[made]);
            Ok(())
        } else if is(4) {
            // What begins a turn reads the clock.
            let World { process, oracle, .. } = self;
            let process = process.as_mut().expect("a process runs");
            process.turn(oracle)?;
            process.tick(oracle)?;
            self.trace.note("tick", &[]);
            self.check_clock()
        } else if is(2) {
            let synced = self.process().hands.sync();
            self.trace.note("sync", &[u64::from(synced)]);
            Ok(())
        } else if is(2) {
            if faults {
                self.trouble();
            }
            Ok(())
        } else {
            self.line()
        }
    }

    /// Something happens behind the gate.
    fn line(&mut self) -> Result<(), String> {
        let World { process, outside, chance, trace, .. } = self;
        let line = &mut process.as_mut().expect("a process runs").line;
        match chance.below(20) {
            0..=6 => {
                if let Some(stream) = &mut line.stream {
                    trace.note("stream", &[u64::from(stream.turn())]);
                    trace.remark(|| outside.broker.told());
                }
            }
            7..=12 => {
                if let Some(sink) = &mut line.sink {
                    trace.note("sink", &[u64::from(sink.turn())]);
                    trace.remark(|| outside.database.told());
                }
            }
            13..=18 => {
                let moved = outside.broker.work(chance);
                trace.note("broker", &[moved]);
                trace.remark(|| outside.broker.told());
            }
            _ if self.habits.trouble => self.trouble_outside(),
            _ => {}
        }
        self.outside.broker.noticed().map_or(Ok(()), Err)
    }

    /// A client says something, perhaps several things at once.
    fn ask(&mut self) -> Result<(), String> {
        let number = self.chance.below(self.setting.connections as u64) as usize;
        if self.chance.one_in(60) {
            self.trace.note("reconnect", &[number as u64]);
            let World { process, oracle, .. } = self;
            process.as_mut().expect("a process runs").reconnect(number, oracle);
            return Ok(());
        }
        let count = self.chance.range(1, self.habits.pipeline);
        for at in 0..count {
            let ask = self.next_ask();
            let keep = if at + 1 == count && self.chance.one_in(8) { self.chance.range(1, 30) as usize } else { 0 };
            self.trace.remark(|| format!("{number}: {ask:?}"));
            let World { process, oracle, .. } = self;
            let any = |campaign| oracle.model().campaign(campaign).is_some_and(Campaign::any);
            process.as_mut().expect("a process runs").ask(number, ask, any, keep);
        }
        if self.chance.one_in(10) {
            let takes = if self.chance.one_in(2) { usize::MAX } else { self.chance.range(1, 9) as usize };
            self.process().set_takes(number, takes);
        }
        self.trace.note("ask", &[number as u64, count]);
        self.poll(number)
    }

    fn next_ask(&mut self) -> Ask {
        let now = self.process().now().max(DAWN.0);
        let World { chance, habits, oracle, cancelled, .. } = self;
        Clients { chance, habits: *habits, model: oracle.model(), now, cancelled }.any_ask()
    }

    fn poll(&mut self, number: usize) -> Result<(), String> {
        let World { process, oracle, .. } = self;
        let process = process.as_mut().expect("a process runs");
        if process.poll(number, oracle)? {
            let (heard, count, answered) = (oracle.heard, oracle.count(), oracle.answered());
            self.trace.note("heard", &[number as u64, heard, count, answered]);
        }
        Ok(())
    }

    /// Everybody who was woken is heard, then the turn ends, as in the loop.
    fn turn(&mut self) -> Result<(), String> {
        for number in 0..self.setting.connections {
            self.poll(number)?;
        }
        let World { process, oracle, .. } = self;
        let ended = process.as_mut().expect("a process runs").turn(oracle)?;
        let durable = self.process().watermarks.durable.get().get();
        self.trace.note("turn", &[u64::from(ended), durable]);
        Ok(())
    }

    /// The gate's time neither steps nor stands still.
    fn check_clock(&mut self) -> Result<(), String> {
        let (elapsed, now) = (simulated::elapsed().as_millis() as i64, self.process().now());
        let (then, before, last) = self.clock.unwrap_or((elapsed, now, 0));
        let (went, should) = (now - before, elapsed - then);
        self.clock = Some((elapsed, now, should));
        // What a tick makes of the time before it shows at the next one.
        let slack = (should + last) / 50 + 250;
        match went < 0 || (went - should).abs() > slack {
            true => Err(format!("the gate's clock went {went} ms in {should} ms")),
            false => Ok(()),
        }
    }

    fn pass(&mut self) {
        let ms = match self.chance.below(10) {
            0..=5 => self.chance.range(0, 3),
            6..=8 => self.chance.range(10, 200),
            _ => self.chance.range(500, 5_000),
        };
        simulated::pass(Duration::from_millis(ms));
        let mut jump = 0;
        if self.habits.faults && self.chance.one_in(12) {
            // An hour, or a day: somebody has set the wall, or a machine came back with another one's.
            let most = if self.chance.one_in(4) { 86_400_000 } else { 3_600_000 };
            jump = self.chance.range(0, 2 * most) as i64 - most as i64;
            simulated::jump(jump);
        }
        self.trace.note("pass", &[ms, jump as u64]);
    }

    /// Starts a process over the disk as it is, and holds it against what was promised; false where the disk ended it.
    fn start(&mut self) -> Result<bool, String> {
        self.trace.steps += 1;
        let started = Process::start(&self.disk, &self.setting, &self.outside);
        let ended = self.disk.has_crashed();
        self.disk.faults(|faults| faults.changes_left = None);
        let mut process = match started {
            Err(_) if ended => return Ok(false),
            Err(error) => return Err(format!("the gate does not start: {error}")),
            Ok(_) if ended => return Ok(false),
            Ok(process) => process,
        };
        let last = process.replayed.last_lsn;
        if last < self.durable {
            return Err(format!("the journal ends at {last}, it was durable up to {}", self.durable));
        }
        self.clock = None;
        if self.foreign && last == Lsn::ZERO && process.is_stale() {
            let Setting { takes_returns, .. } = self.setting;
            self.oracle.brought_back(Model::new(takes_returns, self.habits.seeds), Vec::new());
            self.process = Some(process);
            return Ok(true);
        }
        let (ended, told) = process.tell(&self.oracle)?;
        self.trace.note("start", &[last.get(), u64::from(process.replayed.torn.is_some())]);
        if process.is_stale() {
            return Err(format!("the journal is taken for an old one: {}", process.figures.stale_because.get()));
        }
        self.oracle.recovered(last.get(), &ended, &told, process.now(), self.all_answered)?;
        self.all_answered = true;
        let (from, told) = book::read(&self.disk, &process.gate.borrow().core, process.log, last)?;
        self.oracle.check_entries(from, &told)?;
        self.compare(false)?;
        self.durable = last;
        if self.setting.route != Route::Nowhere && !self.foreign && self.chance.one_in(8) {
            self.kept = Some(Copy::take(&self.disk, &self.oracle, last.get(), process.log));
        }
        self.process = Some(process);
        Ok(true)
    }
}
