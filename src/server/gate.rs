//! All state of the loop: the core, the open side of the journal, the clock, who waits. One thread, no locks. While the
//! data is being loaded there is no journal, and nothing is asked of the core.

mod overdue;
mod reset;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use crate::core::{
    self, Claim, Command, Core, Decision, Dropping, Event, Group, Outcome, Refusal, Reply, Settlement, Terms, Users,
    View,
};
use crate::ids::{CampaignId, Lsn, Millis, Seat};
use crate::journal::{self, Answerable, Journal, Open, Room};
use crate::limits;
use crate::metrics::Figures;
use crate::sabotage::{Sabotage, on};
use crate::server::clients::Clients;
use crate::server::clock::GateClock;
use crate::server::elsewhere::Elsewhere;
use crate::server::held::{Depends, HeldReplies, Leave};
use crate::server::session::Awaited;
use crate::server::stats::Stats;
use crate::server::tally::Tally;
use crate::server::{Facts, Wake};
use crate::snapshots::Ticket;
use crate::watermark::Watermarks;
use crate::wire::{self, Protocol};

const LOADED: &str = "nobody is let to the data before it is loaded";

const TOO_LARGE: &str = "this command changes too much at once for one batch of the journal; split it";

/// Who decides, what is decided, and who waits for it to be on disk.
pub struct Gate {
    /// Campaigns and keys; empty while they are being loaded.
    pub core: Core,
    /// Who is connected.
    pub clients: Clients,
    /// What `INFO` counts.
    pub stats: Stats,
    /// Claims answered since start, by campaign.
    pub tally: Tally,
    /// What was settled before the loop began.
    pub facts: Facts,
    /// How far each part has come.
    pub watermarks: Arc<Watermarks>,
    /// What the admin thread reads.
    pub figures: Arc<Figures>,
    /// Seats that come back in one group when a campaign is purged.
    pub purge_seats: usize,
    /// `None` while the data is being loaded.
    journal: Option<Journal<Open>>,
    clock: GateClock,
    view: View,
    in_turn: bool,
    /// More deadlines of keys and holds have passed than one turn journals.
    more_due: bool,
    /// The end of a hold or of a key found no room in the journal: tried again when the journal has moved.
    due_waits: bool,
    stopping: bool,
    /// Ends the turn: seals the batch, lets answers go.
    turn: Wake,
    leave: Leave,
    /// The journal is older than the world: the error line that every write gets, here and in the next process alike.
    stale: Option<Box<str>>,
    /// Campaigns of other journals.
    elsewhere: Option<Elsewhere>,
    /// When the loop last looked at its clock, in microseconds since it began.
    now_us: u64,
    /// The state of the generator behind [`Gate::draw`].
    draws: u64,
    /// Connections whose first held answer depends on this.
    waiting: Vec<(Depends, Waker)>,
    /// Connections with a request that found no room and waits for it.
    crowded: Vec<Waker>,
    /// Connections that wait for what a helper thread is at.
    awaiting: Vec<(Awaited, Waker)>,
    /// What was executed since this was emptied, where somebody wants to know.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) executed: Option<Vec<Executed>>,
}

/// What a gate did, as a simulation sees it.
#[cfg(any(test, feature = "sim"))]
#[derive(Clone, Debug)]
pub(crate) enum Executed {
    /// A command was answered.
    Command {
        /// How the answer begins.
        begins: [u8; 2],
        /// The last change of all then.
        applied: Lsn,
    },
    /// A hold whose time was over ended.
    HoldEnded {
        /// Of the campaign with this name.
        campaign: Box<[u8]>,
        /// Its seat.
        seat: Seat,
        /// When.
        at: Millis,
        /// The position of that.
        lsn: Lsn,
    },
    /// A hold whose time was over stayed: the journal had no room for its end.
    HoldStayed {
        /// When.
        at: Millis,
    },
}

/// What a gate decides from: made by replay.
#[derive(Debug)]
pub struct Loaded {
    /// Campaigns and keys.
    pub core: Core,
    /// The journal they came from.
    pub journal: Journal<Open>,
    /// The gate's time does not go on before this.
    pub floor: Millis,
    /// What the ledger had of other journals at the start.
    pub elsewhere: Option<Elsewhere>,
}

/// How running a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// Answered; the answer may leave once `depends` is covered.
    Answered {
        /// The last change of what the answer tells of.
        depends: Depends,
    },
    /// Not decided: ask again when woken through [`Gate::wait_for_room`].
    NoRoom,
    /// Not answered: ask again when woken through [`Gate::wait_for_helper`].
    Later,
}

impl Gate {
    /// The loop's state while the data is being loaded: it answers what needs none.
    pub fn new(watermarks: Arc<Watermarks>, figures: Arc<Figures>, facts: Facts, turn: Wake) -> Gate {
        let leave = Leave::new(Answerable::NOTHING, &watermarks.published);
        Gate {
            core: Core::new(0),
            clients: Clients::default(),
            stats: Stats::default(),
            tally: Tally::default(),
            facts,
            watermarks,
            figures,
            purge_seats: limits::PURGE_SEATS_MAX,
            journal: None,
            clock: GateClock::start(),
            view: View::default(),
            in_turn: false,
            more_due: false,
            due_waits: false,
            stopping: false,
            turn,
            leave,
            stale: None,
            elsewhere: None,
            now_us: 0,
            draws: 1,
            waiting: Vec::new(),
            crowded: Vec::new(),
            awaiting: Vec::new(),
            #[cfg(any(test, feature = "sim"))]
            executed: None,
        }
    }

    /// The data is there: from here on, commands are decided.
    pub fn open(&mut self, loaded: Loaded) {
        assert!(self.is_loading(), "a gate is opened once");
        let Loaded { core, journal, floor, elsewhere } = loaded;
        self.clock.begin_at(floor);
        self.leave = Leave::new(journal.answerable(), &self.watermarks.published);
        core.campaigns().for_each(|campaign| self.tally.touch(campaign.id));
        self.core = core;
        self.journal = Some(journal);
        self.elsewhere = elsewhere;
        // Whoever is heard next is to see the time and the marks as they are.
        self.in_turn = false;
        self.view.now = self.clock.now();
    }

    /// The data is not there yet.
    pub fn is_loading(&self) -> bool {
        self.journal.is_none()
    }

    /// The loop's time, read once a turn.
    pub fn now(&self) -> Millis {
        self.view.now
    }

    /// When this turn began, or answers were last let go: microseconds since the loop began.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// What of `held` may leave now.
    pub fn release<'h>(&self, held: &'h mut HeldReplies) -> &'h [u8] {
        held.release(self.leave, self.now_us, &self.figures.command_seconds)
    }

    /// Since the loop began.
    pub fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    /// A number that nobody needs to be unable to guess: `RANDOMKEY`.
    pub fn draw(&mut self) -> u64 {
        self.draws = self.draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.draws
    }

    /// Opens a turn unless one is open: reads the clock and lets due keys expire.
    pub fn begin_turn(&mut self) {
        if self.in_turn {
            return;
        }
        self.in_turn = true;
        self.now_us = self.clock.uptime_us();
        self.view = View {
            now: self.clock.now(),
            durable: if self.facts.answers_are_durable { Lsn::new(u64::MAX) } else { self.watermarks.durable.get() },
            published: self.facts.streams.then(|| self.watermarks.published.get()),
            stored: self.facts.has_ledger.then(|| self.watermarks.stored.get()),
        };
        if self.stale.is_none() && self.figures.stale.load(Ordering::Acquire) {
            self.refuse_writes();
        }
        self.expire_due();
        self.turn.wake();
    }

    /// Not claims alone: any event would take a position that the lost part of this journal has used already, and hide
    /// from the next start that a part is lost.
    #[cold]
    fn refuse_writes(&mut self) {
        let because = self.figures.stale_because.get().replace(['\r', '\n'], " ");
        tracing::error!("{because}; claims and all other writes are refused (-STALE) until that is done");
        self.stale = Some(format!("STALE {because}").into());
    }

    /// Closes the turn: what it staged goes to the disk if that is free, and answers whose time has come leave.
    pub fn end_turn(&mut self) {
        self.in_turn = false;
        let Some(journal) = &mut self.journal else { return };
        self.watermarks.applied.advance(self.core.applied());
        self.watermarks.staged.advance(self.core.applied());
        journal.seal(self.view.now);
        let leave = Leave::new(journal.answerable(), &self.watermarks.published);
        if leave != self.leave {
            self.leave = leave;
            self.now_us = self.clock.uptime_us();
            self.waiting.retain(|(depends, waker)| {
                let held = !leave.covers(*depends);
                if !held {
                    waker.wake_by_ref();
                }
                held
            });
        }
        if self.turn.journal_has_moved() {
            self.more_due |= self.due_waits;
            self.crowded.drain(..).for_each(Waker::wake);
            let snapshots = &self.watermarks.snapshots;
            self.awaiting.retain(|(awaited, waker)| {
                let over = awaited.is_over(snapshots);
                if over {
                    waker.wake_by_ref();
                }
                !over
            });
        }
        self.core.sweep(limits::FREED_PER_TURN);
        if self.more_due {
            self.begin_turn();
        }
    }

    /// About ten times a second: time, closing batches, figures.
    pub fn tick(&mut self) {
        self.begin_turn();
        self.figures.clock_ahead_ms.set(self.clock.follow_wall());
        if let Some(journal) = &mut self.journal {
            journal.tick(self.view.now);
        }
        self.publish_figures();
    }

    /// Decides `command`, writes its events to the open batch and its answer to `out`.
    pub fn run(&mut self, command: Command<'_>, protocol: Protocol, out: &mut Vec<u8>) -> Ran {
        let told_of = if let Command::CampaignInfo { campaign } = command { Some(campaign) } else { None };
        if let Command::Drop { how: Dropping::Purged, .. } | Command::Flush { .. } = &command
            && let Some(ran) = self.reset(&command, protocol, out)
        {
            return ran;
        }
        if let Command::Create { campaign, terms } = &command
            && !terms.shadow
            && self.stale.is_none()
            && let Some(refusal) = self.not_carried(campaign, terms)
        {
            return refuse(refusal, protocol, out);
        }
        if self.core.next_hold_deadline().is_some_and(|deadline| deadline <= self.view.now)
            && let Err(room) = self.end_overdue(&command)
        {
            return no_room(room, protocol, out);
        }
        let waits_for_kafka = tells_of_grants(&command) || self.purges(&command);
        let cancels = if let Command::Cancel { seat, .. } = command { seat } else { None };
        let (claim, depends) = match self.core.decide(command, &self.view) {
            Decision::Answer { reply: Reply::Refused(Refusal::NoCampaign(_)), .. } if self.stale.is_some() => {
                // It may be in the part that is lost.
                return self.refuse_as_stale(protocol, out);
            }
            Decision::Answer { mut reply, depends } => {
                let depends = if on(Sabotage::ReadsUnheld) { Lsn::ZERO } else { depends };
                if on(Sabotage::ReturnTwice)
                    && let (Some(seat), Reply::Settled(settled)) = (cancels, &mut reply)
                {
                    settled.settlement = Settlement::Cancelled(seat);
                }
                if let (Some(campaign), Reply::Map(rows)) = (told_of, &mut reply)
                    && let Some(id) = self.core.campaign_id(campaign)
                {
                    self.tally.complete_info(id, rows);
                }
                wire::encode(&reply, protocol, out);
                (reply.claim(), depends)
            }
            Decision::Record { .. } if self.stale.is_some() => return self.refuse_as_stale(protocol, out),
            Decision::Record { group: Group::One(Event::Returned { campaign, .. }), .. }
                if self.is_streamed(campaign)
                    && let Some(why) = self.facts.return_not_carried() =>
            {
                // That the user has the seat is told, too.
                wire::encode(&Reply::Refused(Refusal::Err(why)), protocol, out);
                (None, self.core.applied())
            }
            Decision::Record { group, mut reply } => {
                let bytes = group.events().iter().map(journal::record_bytes_max).sum();
                if bytes > limits::GROUP_BYTES_MAX {
                    return refuse(Refusal::Err(TOO_LARGE), protocol, out);
                }
                let room = room(self.journal.as_mut().expect(LOADED), bytes, self.view.now);
                if room != Room::Ready {
                    return no_room(room, protocol, out);
                }
                if on(Sabotage::WrongSeat)
                    && let Reply::Claim(Claim { outcome: Outcome::Granted(seat), .. }) = &mut reply
                {
                    *seat = Seat::new(seat.get().max(2) - 1);
                }
                wire::encode(&reply, protocol, out);
                (reply.claim(), self.write(&group))
            }
        };
        if let Some(claim) = claim {
            self.tally.count(claim);
        }
        if self.more_due || claim.is_some_and(|claim| claim.outcome == Outcome::Closed) {
            self.journal.as_mut().expect(LOADED).mark_time();
        }
        let told = if waits_for_kafka { depends } else { Lsn::ZERO };
        Ran::Answered { depends: self.depends(depends, told) }
    }

    /// What an answer depends on: the last change of what it tells, and the last of those that tell of grants.
    pub fn depends(&self, journal: Lsn, grants: Lsn) -> Depends {
        Depends { journal, published: if self.facts.answers_are_published { grants } else { Lsn::ZERO } }
    }

    /// Whether what happens to a campaign's seats leaves the gate.
    fn is_streamed(&self, id: CampaignId) -> bool {
        self.core.campaign(id).is_some_and(|facts| !facts.terms.shadow)
    }

    /// Why the grants of a campaign of that name and terms could not be stored, if that is so.
    fn not_carried(&self, name: &[u8], terms: &Terms) -> Option<Refusal> {
        if terms.users == Users::Any
            && let Some(why) = self.facts.any_not_carried()
        {
            return Some(Refusal::Err(why));
        }
        // What is here already answers for itself.
        self.elsewhere.as_ref().filter(|_| self.core.campaign_id(name).is_none())?.refusal(name)
    }

    #[cold]
    fn refuse_as_stale(&self, protocol: Protocol, out: &mut Vec<u8>) -> Ran {
        refuse(Refusal::Line(self.stale.as_deref().unwrap_or("STALE").to_owned().into()), protocol, out)
    }

    /// Stages and applies a group that has room; answers the last of its positions.
    fn write(&mut self, group: &Group<'_>) -> Lsn {
        let journal = self.journal.as_mut().expect(LOADED);
        if let Group::Count { event, last } = group
            && journal.amend(*last, event)
        {
            self.core.evolve(*last, event);
            return *last;
        }
        let events = group.events();
        let mut lsn = Lsn::ZERO;
        for (index, event) in events.iter().enumerate() {
            lsn = journal.append(event, index + 1 < events.len());
            if matches!(event, Event::Returned { .. }) && on(Sabotage::SeatsStayOut) {
                self.core.evolve(lsn, &Event::Skipped { upto: lsn });
            } else {
                self.core.evolve(lsn, event);
            }
            self.tally.note(event);
        }
        lsn
    }

    #[cfg(any(test, feature = "sim"))]
    fn note(&mut self, what: impl FnOnce(&Gate) -> Executed) {
        if self.executed.is_some() {
            let executed = what(self);
            self.executed.get_or_insert_default().push(executed);
        }
    }

    /// How far answers may leave.
    pub fn leave(&self) -> Leave {
        self.leave
    }

    /// Why writes are refused: the journal is older than the world.
    pub fn stale(&self) -> Option<&str> {
        self.stale.as_deref()
    }

    /// Wakes `waker` once answers that depend on `depends` may leave.
    pub fn wait_for(&mut self, depends: Depends, waker: Waker) {
        self.waiting.push((depends, waker));
    }

    /// Wakes `waker` when a request that found no room may try again.
    pub fn wait_for_room(&mut self, waker: Waker) {
        self.crowded.push(waker);
    }

    /// Asks for a snapshot of everything decided so far; the journal goes on in a fresh segment, so that one can be made.
    pub fn ask_for_snapshot(&mut self) -> Ticket {
        let upto = self.journal.as_mut().map_or(Lsn::ZERO, Journal::roll);
        self.watermarks.snapshots.request(upto)
    }

    /// Wakes `waker` when a helper thread is done with that.
    pub fn wait_for_helper(&mut self, awaited: Awaited, waker: Waker) {
        if !self.awaiting.iter().any(|(_, known)| known.will_wake(&waker)) {
            self.awaiting.push((awaited, waker));
        }
    }

    /// How far a change has come that `leaves` the gate or stays in it.
    pub fn stage(&self, lsn: Lsn, leaves: bool) -> &'static str {
        core::stage(lsn, !leaves, &self.view)
    }

    /// Nothing is decided from here on; what was decided is still answered.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The process is about to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Nothing staged, nothing held.
    pub fn is_settled(&self) -> bool {
        self.leave.journal().covers(self.core.applied())
    }

    /// Lets time pass at once.
    #[cfg(test)]
    pub fn pass(&mut self, time: Duration) {
        self.clock.pass(time);
    }

    /// Seals and closes the journal, if it was ever open.
    pub fn finish(self) -> Result<(), journal::JournalError> {
        self.journal.map_or(Ok(()), |journal| journal.finish(self.view.now))
    }

    fn publish_figures(&mut self) {
        self.figures.last_turn.set(self.clock.uptime().as_millis() as u64);
        self.figures.connected_clients.set(self.clients.len() as u64);
        self.stats.publish(&self.figures, self.clock.uptime());
        self.tally.publish(&self.core, &self.figures);
    }
}

/// Asks for room; where the open batch is full and nothing is in flight, it goes first.
fn room(journal: &mut Journal<Open>, bytes: usize, now: Millis) -> Room {
    match journal.room(bytes) {
        Room::Wait => {
            journal.seal(now);
            journal.room(bytes)
        }
        room @ (Room::Ready | Room::Refused(_)) => room,
    }
}

/// What becomes of a request whose events find no room.
#[cold]
fn no_room(room: Room, protocol: Protocol, out: &mut Vec<u8>) -> Ran {
    match room {
        Room::Ready | Room::Wait => Ran::NoRoom,
        Room::Refused(reason) => {
            let line = format!("MISCONF Errors writing to the journal: {reason}");
            refuse(Refusal::Line(line.into()), protocol, out)
        }
    }
}

/// Whether the answer can tell of a grant, or that there is none.
fn tells_of_grants(command: &Command<'_>) -> bool {
    matches!(
        command,
        Command::Create { .. }
            | Command::Claim { .. }
            | Command::Confirm { .. }
            | Command::Cancel { .. }
            | Command::Seed { .. }
            | Command::Status { .. }
            | Command::CampaignInfo { .. }
            | Command::Campaigns
            | Command::Seats { .. }
            | Command::Alter { .. }
            | Command::Drop { .. }
    )
}

/// Answers with an error line that depends on nothing.
pub fn refuse(refusal: Refusal, protocol: Protocol, out: &mut Vec<u8>) -> Ran {
    wire::encode(&Reply::Refused(refusal), protocol, out);
    Ran::Answered { depends: Depends::NOTHING }
}
