//! One life of a gate: the real journal, loop and connections, moved by hand.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::disk::SimDisk;
use super::line::{Line, Outside, Route};
use super::oracle::ask::Ask;
use super::oracle::{self, Ended, Oracle, Refused};
use super::pipe::{Bell, Pipe};
use crate::core::Core;
use crate::edge;
use crate::ids::{LogId, Lsn, Millis, Seat};
use crate::journal::{self, Compaction, Compactor, Hands, Hooks, Journal, JournalError, Options, Replayed};
use crate::metrics::Figures;
use crate::sabotage::{Sabotage, on};
use crate::server::by_hand::Hand;
use crate::server::{Executed, Facts, Gate, Loaded, Wake};
use crate::watermark::Watermarks;

/// Where the data directory of every simulation is.
pub const DATA: &str = "/d";

/// A client and its connection.
pub struct Conn {
    hand: Hand<Pipe>,
    bell: Arc<Bell>,
    waker: Waker,
    /// Sent and not executed.
    pub asked: VecDeque<Ask>,
    /// Bytes of the last request that the client has not sent yet.
    pub unsent: Vec<u8>,
    fed: bool,
}

/// A gate that runs.
pub struct Process {
    pub gate: Rc<RefCell<Gate>>,
    pub hands: Hands,
    pub conns: Vec<Conn>,
    pub watermarks: Arc<Watermarks>,
    pub figures: Arc<Figures>,
    pub replayed: Replayed,
    pub log: LogId,
    pub line: Line,
    route: Route,
    compactor: Compactor,
    wake: Wake,
    failed: Arc<AtomicBool>,
    buffer: Rc<RefCell<Vec<u8>>>,
    /// Changes of the state before the next command, by position.
    applied: u64,
    /// The journal had no room then for the end of a hold.
    crowded_at: Option<i64>,
}

/// How a gate of this simulation is set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub journal: Options,
    pub connections: usize,
    pub route: Route,
    /// What comes back can leave the gate.
    pub takes_returns: bool,
    pub compaction: Compaction,
}

impl Process {
    /// Starts a gate over what the disk holds.
    pub fn start(disk: &SimDisk, setting: &Setting, outside: &Outside) -> Result<Process, JournalError> {
        let (watermarks, figures, wake) = (Arc::<Watermarks>::default(), Arc::<Figures>::default(), Wake::default());
        let failed = Arc::new(AtomicBool::new(false));
        let hooks = hooks(&watermarks, &figures, &wake, &failed);
        let secret = edge::random().expect("a simulation has chance");
        let mut core = Core::new(u128::from_le_bytes(secret));
        let mut journal = Journal::open(Arc::new(disk.clone()), Path::new(DATA), setting.journal)?;
        let log = journal.log_id();
        if let Some(known) = outside.known(log).filter(|_| !on(Sabotage::IgnoreTheWorld)) {
            journal.expect_durable(known);
        }
        let (journal, replayed) = journal.replay(&mut core, hooks, &mut |_| ())?;
        let hands = journal.hands();
        hands.set_at_once(false);
        let floor = replayed.newest_at.max(core.newest_at());
        if let Some(behind) = replayed.behind {
            figures.set_stale(format!("the ledger holds {behind}"));
        } else if let Some(held) = journal::held_because(disk, Path::new(DATA))? {
            figures.set_stale(held);
        }
        let mut line = Line::start(outside, disk, log, &core, &watermarks, &figures, &wake);
        if let Some(stream) = &mut line.stream {
            // The doors stay closed until the topic was looked at, or does not answer.
            stream.turn();
        }
        let facts = facts(setting, log);
        let applied = core.applied().get();
        let compactor = journal.compactor(setting.compaction);
        let mut gate = Gate::new(Arc::clone(&watermarks), Arc::clone(&figures), facts, wake.clone());
        gate.open(Loaded { core, journal, floor, elsewhere: None });
        gate.executed = Some(Vec::new());
        let gate = Rc::new(RefCell::new(gate));
        let buffer = Rc::new(RefCell::new(vec![0; 4096]));
        let mut process = Process {
            gate,
            hands,
            conns: Vec::new(),
            watermarks,
            figures,
            replayed,
            log,
            line,
            route: setting.route,
            compactor,
            wake,
            failed,
            buffer,
            applied,
            crowded_at: None,
        };
        for _ in 0..setting.connections {
            process.connect();
        }
        Ok(process)
    }

    fn connect(&mut self) {
        let conn = self.accept();
        self.conns.push(conn);
    }

    fn accept(&self) -> Conn {
        let (bell, waker) = Bell::new();
        let hand = Hand::accept(Pipe::new(), &self.gate, &self.buffer);
        Conn { hand, bell, waker, asked: VecDeque::new(), unsent: Vec::new(), fed: false }
    }

    /// The client hangs up and comes back.
    pub fn reconnect(&mut self, number: usize, oracle: &mut Oracle) {
        let fresh = self.accept();
        std::mem::replace(&mut self.conns[number], fresh).hand.close();
        oracle.closed(number);
    }

    /// A write or a sync has failed: a real process would have ended.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The gate's time.
    pub fn now(&self) -> i64 {
        self.gate.borrow().now().0
    }

    /// A client sends a request; all of it, or all but the last `keep` bytes.
    pub fn ask(&mut self, number: usize, ask: Ask, any: impl Fn(u8) -> bool, keep: usize) {
        let conn = &mut self.conns[number];
        let bytes = conn.hand.stream().send();
        bytes.append(&mut conn.unsent);
        let before = bytes.len();
        ask.write(any, bytes);
        let sent = bytes.len() - keep.min(bytes.len() - before);
        conn.unsent.extend(bytes.drain(sent..));
        conn.asked.push_back(ask);
        conn.fed = true;
    }

    /// The client sends the rest of what it has begun.
    pub fn complete(&mut self, number: usize) {
        let conn = &mut self.conns[number];
        if !conn.unsent.is_empty() {
            conn.hand.stream().send().append(&mut conn.unsent);
            conn.fed = true;
        }
    }

    /// So many bytes of an answer go in one write.
    pub fn set_takes(&mut self, number: usize, takes: usize) {
        self.conns[number].hand.stream().takes = takes;
    }

    /// Lets a connection go as far as it can, if it was woken or fed; whether it was.
    ///
    /// # Errors
    /// What it says is not what the oracle expects.
    pub fn poll(&mut self, number: usize, oracle: &mut Oracle) -> Result<bool, String> {
        let conn = &mut self.conns[number];
        if !conn.bell.take() && !std::mem::take(&mut conn.fed) {
            return Ok(false);
        }
        conn.fed = false;
        let ended = conn.hand.poll(&mut Context::from_waker(&conn.waker)).is_ready();
        self.judge(Some(number), oracle)?;
        let said = &mut self.conns[number].hand.stream().to_client;
        let heard = oracle.hear(number, said);
        said.clear();
        heard?;
        if ended { Err(format!("connection {number} was closed by the gate")) } else { Ok(true) }
    }

    /// Tells the oracle what was executed, for a connection if there is one.
    fn judge(&mut self, number: Option<usize>, oracle: &mut Oracle) -> Result<(), String> {
        let gate = Rc::clone(&self.gate);
        let gate = &mut *gate.borrow_mut();
        let now = gate.now().0;
        for executed in gate.executed.as_mut().expect("it is listened to").drain(..) {
            match executed {
                Executed::Command { begins, applied } => {
                    let asked = number.and_then(|number| Some((number, self.conns[number].asked.pop_front()?)));
                    let (number, ask) = asked.ok_or("a command was executed that nobody asked for")?;
                    let refused = match begins {
                        [b'-', b'M'] => Some(Refused::NoRoom),
                        [b'-', b'S'] => Some(Refused::Stale),
                        [b'-', b'C'] if matches!(ask, Ask::Drop { .. }) => Some(Refused::Undropped),
                        _ => None,
                    };
                    let (low, high, arrived) = (self.applied, applied.get(), self.arrived());
                    oracle.executed(number, oracle::Executed { ask, now, refused, low, high, arrived })?;
                    self.applied = applied.get();
                }
                Executed::HoldEnded { campaign, seat, at, lsn } => {
                    let ended = self.ended(&campaign, seat, at, lsn);
                    oracle.ended(ended)?;
                    self.applied = self.applied.max(ended.lsn);
                }
                Executed::HoldStayed { at } => self.crowded_at = Some(at.0),
            }
        }
        self.applied = gate.core.applied().get();
        if self.crowded_at == Some(now) || self.is_stale() { Ok(()) } else { oracle.all_ended(now) }
    }

    /// Everything up to here has left the gate and arrived; none where nothing leaves it.
    fn arrived(&self) -> Option<u64> {
        let [published, stored] = [&self.watermarks.published, &self.watermarks.stored].map(|mark| mark.get().get());
        match self.route {
            Route::Nowhere => None,
            Route::Ledger => Some(stored),
            Route::Both => Some(published.min(stored)),
        }
    }

    fn ended(&self, campaign: &[u8], seat: Seat, at: Millis, lsn: Lsn) -> Ended {
        let (campaign, at) = (campaign[1] - b'0', at.0);
        // Where there was no room, somebody's own hold may end first, for what he asks.
        Ended { campaign, seat: seat.get(), at, lsn: lsn.get(), in_order: self.crowded_at != Some(at) }
    }

    /// Ends the turn, if there is one or something to release; whether there was.
    pub fn turn(&mut self, oracle: &mut Oracle) -> Result<bool, String> {
        let woken = self.wake.take();
        if woken {
            self.gate.borrow_mut().end_turn();
            self.judge(None, oracle)?;
        }
        Ok(woken)
    }

    /// What the loop does ten times a second.
    pub fn tick(&mut self, oracle: &mut Oracle) -> Result<(), String> {
        self.gate.borrow_mut().tick();
        self.judge(None, oracle)
    }

    /// The compactor looks once; how many snapshots there were.
    pub fn compact(&mut self) -> u64 {
        let asked = self.watermarks.snapshots.wait(Duration::ZERO);
        self.compactor.turn(&edge::wall, asked);
        self.watermarks.snapshots.figures().made
    }

    /// It has noticed that its journal is older than the world.
    pub fn is_stale(&self) -> bool {
        self.figures.stale.load(Ordering::Relaxed)
    }

    /// What it says at once to one request of somebody else.
    pub fn probe(&mut self, ask: Ask) -> Vec<u8> {
        let mut stranger = self.accept();
        ask.write(|_| false, stranger.hand.stream().send());
        let _pending = stranger.hand.poll(&mut Context::from_waker(&stranger.waker));
        std::mem::take(&mut stranger.hand.stream().to_client)
    }

    /// Which holds a gate ends that has just begun, and what it says then when it is asked for all it has; nothing of that
    /// may be held back.
    pub fn tell(&mut self, oracle: &Oracle) -> Result<(Vec<Ended>, Vec<u8>), String> {
        self.gate.borrow_mut().tick();
        let mut inspector = self.accept();
        for ask in Oracle::questions() {
            let any = |campaign| oracle.model().campaign(campaign).is_some_and(super::oracle::model::Campaign::any);
            ask.write(any, inspector.hand.stream().send());
        }
        for _ in 0..4 {
            // Keys whose time has come go first: what tells of their absence waits for that.
            let _pending = inspector.hand.poll(&mut Context::from_waker(&inspector.waker));
            self.gate.borrow_mut().end_turn();
            while self.hands.make() | self.hands.write() {}
        }
        let executed = self.gate.borrow_mut().executed.replace(Vec::new()).expect("it is listened to");
        let (mut ended, mut has_answered) = (Vec::new(), false);
        for executed in executed {
            match executed {
                Executed::Command { .. } => has_answered = true,
                Executed::HoldStayed { at } => self.crowded_at = Some(at.0),
                // Those that had to wait are judged when something is executed.
                Executed::HoldEnded { .. } if has_answered => {
                    self.gate.borrow_mut().executed.get_or_insert_default().push(executed);
                }
                Executed::HoldEnded { campaign, seat, at, lsn } => ended.push(self.ended(&campaign, seat, at, lsn)),
            }
        }
        self.applied = self.gate.borrow().core.applied().get();
        let told = std::mem::take(&mut inspector.hand.stream().to_client);
        inspector.hand.close();
        Ok((ended, told))
    }

    /// A clean stop.
    pub fn finish(self) -> Result<(), JournalError> {
        let Process { gate, conns, line, .. } = self;
        drop(conns);
        let gate = Rc::into_inner(gate).expect("nobody else has the gate");
        gate.into_inner().finish()?;
        if let Some(stream) = line.stream {
            stream.settle();
        }
        if let Some(sink) = line.sink {
            sink.leave();
        }
        Ok(())
    }
}

/// Whom the journal tells in a simulation.
pub fn hooks(watermarks: &Arc<Watermarks>, figures: &Arc<Figures>, wake: &Wake, failed: &Arc<AtomicBool>) -> Hooks {
    let (wake, failed) = (wake.clone(), Arc::clone(failed));
    Hooks {
        watermarks: Arc::clone(watermarks),
        figures: Arc::clone(figures),
        on_progress: Arc::new(move || wake.journal_moved()),
        on_failure: Arc::new(move |_| failed.store(true, Ordering::Relaxed)),
    }
}

fn facts(setting: &Setting, log: LogId) -> Facts {
    use crate::journal::Appendfsync;
    Facts {
        allows_reset: true,
        password: None,
        max_clients: 100,
        clients_ceiling: 100,
        needs_password: false,
        appendfsync: "always",
        answers_are_durable: setting.journal.appendfsync == Appendfsync::Always,
        kafka: String::new(),
        streams: setting.route == Route::Both,
        answers_are_published: false,
        has_ledger: setting.route != Route::Nowhere,
        ledger_carries_any: true,
        kafka_carries_any: true,
        kafka_carries_returns: setting.takes_returns,
        ledger: String::new(),
        port: 0,
        bind: String::new(),
        unix_socket: String::new(),
        data: String::new(),
        log_id: log,
        run_id: String::new(),
        stop: Rc::new(Notify::new()),
    }
}

/// What the wall shows when a simulation begins.
pub const DAWN: Millis = Millis(1_732_250_000_000);
