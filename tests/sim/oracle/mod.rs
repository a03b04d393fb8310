//! # oracle - what the gate promised, kept by somebody else
//! A model of its own judges every answer as it leaves, and every state that recovery finds: it must be the state after
//! some of the changes, in order, and after all of those that an answer has told of. Shares no code with the gate.

pub mod ask;
mod ear;
pub mod model;
mod reply;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use ask::{Ask, CAMPAIGNS, KEYS};
use ear::Ear;
use model::{Campaign, Effect, Entry, Model, Moment, Promise};

/// Why an answer was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No room on the disk.
    NoRoom,
    /// The journal is older than the world.
    Stale,
    /// A campaign is not dropped unless that is forced.
    Undropped,
}

/// A request was executed.
#[derive(Clone, Copy, Debug)]
pub struct Executed {
    pub ask: Ask,
    pub now: i64,
    pub refused: Option<Refused>,
    /// The journal went from this position to that with it.
    pub low: u64,
    pub high: u64,
    /// Everything up to here has left the gate and has arrived; none where nothing leaves it.
    pub arrived: Option<u64>,
}

/// A hold that the gate has ended by itself.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub campaign: u8,
    pub seat: u32,
    pub at: i64,
    /// Its position in the journal.
    pub lsn: u64,
    /// None that should have ended before may be left.
    pub in_order: bool,
}

/// What can change the state.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Asked(Ask),
    Ended(Ended),
}

/// One change, for who goes over them again.
#[derive(Clone, Copy, Debug)]
struct Change {
    cause: Cause,
    now: i64,
    /// Positions between which it stands in the journal, as far as is known.
    low: u64,
    high: u64,
}

/// What became of seats: how many were held, how many of those confirmed, cancelled, or ended by the gate; how many that
/// were granted came back; and how many that were free again were given again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeatCounts {
    pub held: u64,
    pub confirmed: u64,
    pub cancelled: u64,
    pub ended: u64,
    pub returned: u64,
    pub purged: u64,
    pub seeded: u64,
    pub given_again: u64,
}

impl AddAssign for SeatCounts {
    fn add_assign(&mut self, other: SeatCounts) {
        self.held += other.held;
        self.confirmed += other.confirmed;
        self.cancelled += other.cancelled;
        self.ended += other.ended;
        self.returned += other.returned;
        self.purged += other.purged;
        self.seeded += other.seeded;
        self.given_again += other.given_again;
    }
}

/// The judge.
#[derive(Default)]
pub struct Oracle {
    /// The state that recovery found last, and how many changes that is.
    base: Model,
    before: u64,
    /// What has changed since.
    changes: Vec<Change>,
    model: Model,
    /// Answers tell of changes up to here.
    answered: u64,
    ears: Vec<Ear>,
    /// Seats that answers gave: by campaign and user, by campaign and seat.
    seats_of: BTreeMap<(u8, u32), BTreeSet<u32>>,
    user_of: BTreeMap<(u8, u32), u32>,
    /// Seats that came back and nobody has.
    back: BTreeSet<(u8, u32)>,
    /// What is to leave the gate, in order.
    entries: Vec<Entry>,
    /// Answers judged.
    pub heard: u64,
    pub counts: SeatCounts,
}

impl Oracle {
    /// As many connections as that are listened to; whether what comes back can leave the gate, and
    /// whether seats are brought in.
    pub fn new(connections: usize, takes_returns: bool, seeds: bool) -> Oracle {
        let model = Model::new(takes_returns, seeds);
        let ears = (0..connections).map(|_| Ear::default()).collect();
        Oracle { ears, base: model.clone(), model, ..Oracle::default() }
    }

    /// The state as it should be.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What is to leave the gate, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The gate has executed a request of a connection.
    ///
    /// # Errors
    /// It should not have done so.
    pub fn executed(&mut self, connection: usize, executed: Executed) -> Result<(), String> {
        let Executed { ask, now, refused, low, high, .. } = executed;
        let refusal = match refused {
            Some(Refused::NoRoom) => Some((b"MISCONF ".as_slice(), 0)),
            Some(Refused::Stale) => Some((b"STALE ".as_slice(), 0)),
            _ => self.undropped(&executed)?.map(|depends| (b"CONFLICT ".as_slice(), depends)),
        };
        let Oracle { ears, model, .. } = self;
        let ear = &mut ears[connection];
        if let Some((prefix, depends)) = refusal {
            ear.expect(|out| reply::error(out, prefix), depends, None);
            return Ok(());
        }
        let change = self.before + self.changes.len() as u64 + 1;
        let mut effect = Effect::default();
        ear.expect_after(|out| {
            effect = model.execute(ask, Moment { now, change, lsn: high }, out);
            (effect.depends, effect.seat)
        });
        if effect.changed {
            // A count that takes no position is written over the one before it.
            let low = if high == low { 0 } else { low + 1 };
            self.changes.push(Change { cause: Cause::Asked(ask), now, low, high });
            self.count_seats(ask, &effect);
            self.entries.extend(effect.entries);
        }
        Ok(())
    }

    /// `GATE.DROP` without `FORCE` goes through where no seat is held and all has arrived: the last change that a refusal
    /// tells of. When that is the gate itself knows best, but it is never too early.
    fn undropped(&self, executed: &Executed) -> Result<Option<u64>, String> {
        let Ask::Drop { campaign: name, force: false } = executed.ask else { return Ok(None) };
        let Some(campaign) = self.model.claimable(name) else { return Ok(None) };
        let may_wait = executed.arrived.is_some() && !campaign.shadow() && campaign.waits();
        if campaign.held().count() > 0 || may_wait && executed.refused == Some(Refused::Undropped) {
            return Ok(Some(self.model.changed_at(name)));
        }
        let arrived = executed.arrived.filter(|_| may_wait);
        match arrived.is_none_or(|mark| campaign.has_arrived(mark)) {
            true => Ok(None),
            false => Err(format!("c{name} was dropped, and not all of it has arrived: {arrived:?} {campaign:?}")),
        }
    }

    fn count_seats(&mut self, ask: Ask, effect: &Effect) {
        if let Some(Promise { campaign, seat, there }) = effect.seat {
            let confirmed = matches!(ask, Ask::Confirm { .. });
            self.counts.confirmed += u64::from(confirmed);
            self.counts.held += u64::from(there.until.is_some());
            self.counts.given_again += u64::from(!confirmed && self.back.remove(&(campaign, seat)));
        }
        if let Ask::Seed { .. } = ask {
            self.counts.seeded += effect.entries.len() as u64;
        }
        for Promise { campaign, seat, there } in &effect.freed {
            let (campaign, seat) = (*campaign, *seat);
            match ask {
                Ask::Cancel { .. } if there.until.is_some() => self.counts.cancelled += 1,
                Ask::Cancel { .. } => self.counts.returned += 1,
                _ => self.counts.purged += u64::from(there.until.is_none()),
            }
            self.is_free_again(campaign, there.user, seat);
            self.back.insert((campaign, seat));
        }
        if let Ask::Drop { campaign, .. } | Ask::Purge { campaign } = ask {
            self.back.retain(|(there, _)| *there != campaign);
        }
    }

    /// The gate has ended a hold.
    ///
    /// # Errors
    /// It should not have.
    pub fn ended(&mut self, ended: Ended) -> Result<(), String> {
        let Ended { campaign, seat, at, lsn, in_order } = ended;
        let user = self.model.end_hold((campaign, seat), at, self.count() + 1, in_order)?;
        self.changes.push(Change { cause: Cause::Ended(ended), now: at, low: lsn, high: lsn });
        self.counts.ended += 1;
        self.is_free_again(campaign, user, seat);
        self.back.insert((campaign, seat));
        Ok(())
    }

    /// What answers promised of this seat is over.
    fn is_free_again(&mut self, campaign: u8, user: u32, seat: u32) {
        self.user_of.remove(&(campaign, seat));
        if let Some(seats) = self.seats_of.get_mut(&(campaign, user)) {
            seats.remove(&seat);
        }
    }

    /// The gate has looked at `now` which holds are over.
    ///
    /// # Errors
    /// One of them was forgotten.
    pub fn all_ended(&self, now: i64) -> Result<(), String> {
        let forgotten = self.model.overdue(now);
        forgotten.map_or(Ok(()), |(campaign, seat)| Err(format!("seat {seat} of c{campaign} is still held at {now}")))
    }

    /// A copy was brought back: the state is `model` from here on, and what answers told of beyond it is lost; `entries`
    /// are what leaves the gate, now and before.
    pub fn brought_back(&mut self, model: Model, entries: Vec<Entry>) {
        self.entries = entries;
        self.before = self.count();
        self.changes.clear();
        self.answered = self.before;
        self.base = model;
        self.keep_promises_of_base();
        self.model = self.base.clone();
        self.ears.iter_mut().for_each(|ear| *ear = Ear::default());
    }

    /// What answers promised beyond the state that is left is no promise any more.
    fn keep_promises_of_base(&mut self) {
        let base = &self.base;
        let kept = |campaign: u8, user: u32, seat: u32| {
            let there = base.campaign(campaign).and_then(|campaign| campaign.seats.get(&seat));
            there.is_some_and(|there| there.user == user)
        };
        for ((campaign, user), seats) in &mut self.seats_of {
            seats.retain(|seat| kept(*campaign, *user, *seat));
        }
        self.user_of.retain(|(campaign, seat), user| kept(*campaign, *user, *seat));
    }

    /// How many changes there were.
    pub fn count(&self) -> u64 {
        self.before + self.changes.len() as u64
    }

    /// Changes up to this number are told of by answers.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Bytes have left the gate for a connection.
    ///
    /// # Errors
    /// They are not what should have left.
    pub fn hear(&mut self, connection: usize, bytes: &[u8]) -> Result<(), String> {
        let Oracle { ears, answered, heard, seats_of, user_of, model, .. } = self;
        ears[connection].hear(bytes, &mut |depends, seat| {
            *heard += 1;
            *answered = (*answered).max(depends);
            let Some(Promise { campaign, seat, there }) = seat else { return Ok(()) };
            // It may have come back, or what was held may be a grant, while the answer was on its way.
            if model.campaign(campaign).and_then(|campaign| campaign.seats.get(&seat)) != Some(&there) {
                return Ok(());
            }
            let user = there.user;
            let limit = model.campaign(campaign).map_or(u32::MAX, Campaign::limit);
            if seat == 0 || seat > limit {
                return Err(format!("seat {seat} of c{campaign}, which has {limit}"));
            }
            let seats = seats_of.entry((campaign, user)).or_default();
            seats.insert(seat);
            // It is never less than what a user has.
            let may = model.campaign(campaign).map_or(u16::MAX, |campaign| campaign.terms.per_user);
            if seats.len() > usize::from(may) {
                return Err(format!("c{campaign}: user {user}, who may have {may}, was told of seats {seats:?}"));
            }
            match *user_of.entry((campaign, seat)).or_insert(user) == user {
                true => Ok(()),
                false => Err(format!("c{campaign}: seat {seat} for user {user}, which was promised to another")),
            }
        })
    }

    /// The journal, which goes back to position `from`, says that `told` leaves the gate.
    ///
    /// # Errors
    /// It should say something else.
    pub fn check_entries(&self, from: u64, told: &[Entry]) -> Result<(), String> {
        // What was brought in is known by an older position than it has.
        let first = told.first().map_or(from, |first| first.seq.min(from));
        let wanted = &self.entries[self.entries.partition_point(|entry| entry.seq < first)..];
        match wanted.iter().zip(told).find(|(wanted, told)| wanted != told) {
            Some((wanted, told)) => Err(format!("the journal says {told:?}, that was {wanted:?}")),
            None if wanted.len() != told.len() => {
                let (wanted, there) = (wanted.len(), told.len());
                Err(format!("the journal from {from} on tells of {there} grants and returns, there were {wanted}"))
            }
            None => Ok(()),
        }
    }

    /// Answers of a connection that have not left.
    pub fn waits_for(&self, connection: usize) -> usize {
        self.ears[connection].waits_for()
    }

    /// The connection is gone, with what it had not heard.
    pub fn closed(&mut self, connection: usize) {
        self.ears[connection] = Ear::default();
    }

    /// What a gate is asked after recovery.
    pub fn questions() -> impl Iterator<Item = Ask> {
        let seats = (0..CAMPAIGNS).flat_map(|campaign| [Ask::Seats { campaign }, Ask::Info { campaign }]);
        seats.chain((0..KEYS).flat_map(|key| [Ask::Get { key }, Ask::TimeToLive { key }]))
    }

    /// Recovery found a journal that ends at `last`, and a gate that has `ended` some holds and then answered the questions
    /// with `told` at `now`. Before that it is the state after some of the changes; with `all_answered` after all that was
    /// ever told of.
    ///
    /// # Errors
    /// It is none of those.
    pub fn recovered(
        &mut self,
        last: u64,
        ended: &[Ended],
        told: &[u8],
        now: i64,
        all_answered: bool,
    ) -> Result<(), String> {
        let least = if all_answered { self.answered } else { self.before };
        let mut state = self.base.clone();
        let mut found = None;
        let mut replies = Vec::new();
        for place in 0..=self.changes.len() {
            let number = self.before + place as u64;
            if place > 0 && self.changes[place - 1].low > last {
                break;
            }
            // All that has a position of its own is there if that is.
            let fits = self.changes.get(place).is_none_or(|next| last < next.high || next.low == 0);
            if number >= least && fits && tells(&state, ended, told, now, &mut replies) {
                found = Some((place, state.clone()));
            }
            if let Some(next) = self.changes.get(place) {
                replies.clear();
                match next.cause {
                    Cause::Asked(ask) => {
                        let when = Moment { now: next.now, change: number + 1, lsn: next.high };
                        state.execute(ask, when, &mut replies);
                    }
                    Cause::Ended(Ended { campaign, seat, at, in_order, .. }) => {
                        state.end_hold((campaign, seat), at, number + 1, in_order)?;
                    }
                }
            }
        }
        let Some((place, state)) = found else {
            replies.clear();
            for ask in Oracle::questions() {
                self.model.execute(ask, Moment { now, change: 0, lsn: 0 }, &mut replies);
            }
            return Err(format!(
                "recovery found a state at lsn {last} that never was, or lost what was answered: there were {} changes, \
                 answers told of {}, the last recovery was at {}\n ended {ended:?}\n told {}\n last {}",
                self.count(),
                self.answered,
                self.before,
                told.escape_ascii(),
                replies.escape_ascii()
            ));
        };
        self.entries.retain(|entry| entry.seq <= last);
        self.before += place as u64;
        self.answered = self.answered.min(self.before);
        self.changes.clear();
        self.base = state.clone();
        self.model = state;
        if !all_answered {
            self.keep_promises_of_base();
        }
        self.ears.iter_mut().for_each(|ear| *ear = Ear::default());
        ended.iter().try_for_each(|ended| self.ended(*ended))
    }
}

/// Whether this is the state that was told of, once those holds have `ended`. What is over by `now` stays in it: the wall
/// may stand further back when the next recovery looks, and then it is not over.
fn tells(state: &Model, ended: &[Ended], told: &[u8], now: i64, replies: &mut Vec<u8>) -> bool {
    let (mut state, mut rest) = (state.clone(), told);
    for Ended { campaign, seat, at, in_order, .. } in ended {
        if state.end_hold((*campaign, *seat), *at, 0, *in_order).is_err() {
            return false;
        }
    }
    for ask in Oracle::questions() {
        replies.clear();
        state.execute(ask, Moment { now, change: 0, lsn: 0 }, replies);
        match ear::leads(replies, rest) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty()
}
