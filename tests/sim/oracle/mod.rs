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
use model::{Campaign, Effect, Model, Promise};

/// Why an answer was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No room on the disk.
    NoRoom,
    /// The journal is older than the world.
    Stale,
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

/// How many claims were held, how many of those confirmed, how many ended, and how many seats that came back were given
/// again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoldCounts {
    pub held: u64,
    pub confirmed: u64,
    pub ended: u64,
    pub given_again: u64,
}

impl AddAssign for HoldCounts {
    fn add_assign(&mut self, other: HoldCounts) {
        self.held += other.held;
        self.confirmed += other.confirmed;
        self.ended += other.ended;
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
    /// Answers judged.
    pub heard: u64,
    pub holds: HoldCounts,
}

impl Oracle {
    /// As many connections as that are listened to.
    pub fn new(connections: usize) -> Oracle {
        Oracle { ears: (0..connections).map(|_| Ear::default()).collect(), ..Oracle::default() }
    }

    /// The state as it should be.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The gate has executed `ask` of a connection at `now`, and refused it if so; the journal went from position `low`
    /// to `high` with it.
    pub fn executed(&mut self, connection: usize, ask: Ask, now: i64, refused: Option<Refused>, low: u64, high: u64) {
        let ear = &mut self.ears[connection];
        if let Some(refused) = refused {
            let prefix: &[u8] = match refused {
                Refused::NoRoom => b"MISCONF ",
                Refused::Stale => b"STALE ",
            };
            return ear.expect(|out| reply::error(out, prefix), 0, None);
        }
        let change = self.before + self.changes.len() as u64 + 1;
        let model = &mut self.model;
        let ends = if let Ask::Drop { campaign } = ask { held(model, campaign) } else { Vec::new() };
        let mut effect = Effect::default();
        ear.expect_after(|out| {
            effect = model.execute(ask, now, change, out);
            (effect.depends, effect.seat)
        });
        if effect.changed {
            // A count that takes no position is written over the one before it.
            let low = if high == low { 0 } else { low + 1 };
            self.changes.push(Change { cause: Cause::Asked(ask), now, low, high });
            self.count_hold(ask, effect.seat);
            if let Ask::Drop { campaign } = ask {
                ends.into_iter().for_each(|(seat, user)| self.is_free_again(campaign, user, seat));
                self.back.retain(|(there, _)| *there != campaign);
            }
        }
    }

    fn count_hold(&mut self, ask: Ask, seat: Option<Promise>) {
        let Some(Promise { campaign, seat, until, .. }) = seat else { return };
        let confirmed = matches!(ask, Ask::Confirm { .. });
        self.holds.confirmed += u64::from(confirmed);
        self.holds.held += u64::from(until.is_some());
        self.holds.given_again += u64::from(!confirmed && self.back.remove(&(campaign, seat)));
    }

    /// The gate has ended a hold.
    ///
    /// # Errors
    /// It should not have.
    pub fn ended(&mut self, ended: Ended) -> Result<(), String> {
        let Ended { campaign, seat, at, lsn, in_order } = ended;
        let user = self.model.end_hold((campaign, seat), at, self.count() + 1, in_order)?;
        self.changes.push(Change { cause: Cause::Ended(ended), now: at, low: lsn, high: lsn });
        self.holds.ended += 1;
        self.is_free_again(campaign, user, seat);
        self.back.insert((campaign, seat));
        Ok(())
    }

    /// What answers promised of this hold is over.
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

    /// A copy was brought back: the state is `model` from here on, and what answers told of beyond it is lost.
    pub fn brought_back(&mut self, model: Model) {
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

    /// Seats that are to leave the gate.
    pub fn seats(&self) -> usize {
        let campaigns = (0..CAMPAIGNS).filter_map(|campaign| self.model.campaign(campaign));
        campaigns.filter(|campaign| !campaign.shadow()).map(|campaign| campaign.granted().count()).sum()
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
            let Some(Promise { campaign, user, seat, until }) = seat else { return Ok(()) };
            // The hold may have ended, or become a grant, while the answer was on its way.
            let there = model.campaign(campaign).and_then(|campaign| campaign.seats.get(&seat));
            if until.is_some() && there.is_none_or(|there| there.until != until) {
                return Ok(());
            }
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
        let seats = (0..CAMPAIGNS).map(|campaign| Ask::Seats { campaign });
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
                        state.execute(ask, next.now, number + 1, &mut replies);
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
                self.model.execute(ask, now, 0, &mut replies);
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

/// Seats of a campaign that are held, and who holds them.
fn held(model: &Model, campaign: u8) -> Vec<(u32, u32)> {
    let held = model.campaign(campaign).into_iter().flat_map(Campaign::held);
    held.map(|(seat, user, _)| (seat, user)).collect()
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
        state.execute(ask, now, 0, replies);
        match ear::leads(replies, rest) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty()
}
