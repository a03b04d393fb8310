//! What users heard whose seats come back, held against what a gate may say. Pure.
//!
//! Every user waits for one answer before he asks again, so his own answers have an order. What others hear at the same
//! time has none; but a seat that B hears of can only be his if what ended A's time with it was under way by then: A's
//! cancel had been sent, or A's hold was over. Holds are compared by the gate's own time, which their deadlines tell.

mod clock;
mod end;
mod occupied;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::Serialize;

pub use clock::{GateTime, Nanos, nanos_since};

use crate::rehearse::checks::{Check, Checks};
use crate::rehearse::truth::{Answer, Counts};
use clock::{caution, nanos};
use occupied::{Moment, Occupied};

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// `HELD seat remaining until`
    Held {
        /// The user's seat.
        seat: u32,
        /// Free seats after the decision.
        remaining: u32,
        /// The gate's time at which the hold ends.
        until: i64,
    },
    /// As where nothing is held.
    Plain(Answer),
}

/// The answer to a confirmation or a cancellation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// `GRANTED seat remaining` or `CANCELLED seat remaining`, as was asked for.
    Done {
        /// The seat.
        seat: u32,
        /// Free seats after the decision.
        remaining: u32,
    },
    /// `NONE 0 remaining`
    Nothing {
        /// Free seats.
        remaining: u32,
    },
    /// An error line, or something that is no such answer.
    Error(String),
}

/// What a user asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `GATE.CLAIM`
    Claim,
    /// `GATE.CONFIRM` of this seat.
    Confirm(u32),
    /// `GATE.CANCEL` of this seat.
    Cancel(u32),
}

/// What an answer means for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// He holds this seat, newly or still; at `over` the hold is certainly over.
    Held {
        /// The seat.
        seat: u32,
        /// Whether he did not hold it before.
        new: bool,
        /// When it is over, by our time.
        over: Nanos,
    },
    /// The seat is granted to him by this answer.
    Granted(u32),
    /// The seat is his no more by this answer.
    Cancelled(u32),
    /// Nothing to act upon.
    Nothing,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    at: Nanos,
    moment: Moment,
    /// The newest of the gate's times that was known then.
    newest: i64,
    /// It may get its user a seat, and is counted as if it did.
    counted: bool,
}

impl Asked {
    /// When that was.
    pub fn at(&self) -> Nanos {
        self.at
    }
}

/// What became of seats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// Holds.
    pub held: u64,
    /// Holds that were confirmed.
    pub confirmed: u64,
    /// Holds that were left to end, or were confirmed too late.
    pub expired: u64,
    /// Granted seats that were cancelled.
    pub cancelled: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// He has no seat.
    Free,
    Held,
    /// Held, and the confirmation is under way.
    Confirming,
    Granted,
    /// Granted, and the cancel is under way.
    Cancelling,
    /// What he heard of is over: the seat is somebody else's.
    Lapsed,
    /// His connection was lost before an answer.
    Unknown,
}

/// Who has a seat, and what is known of it.
#[derive(Clone, Copy, Debug, Default)]
struct Tenancy {
    /// 0 is nobody.
    user: u32,
    /// The deadline of the hold that it is or was.
    until: i64,
    /// Before that the hold cannot be over.
    may_end: Nanos,
    /// From here on it must be.
    over: Nanos,
    /// It is counted among the seats that are surely somebody's.
    is_sure: bool,
    /// It is counted among those that possibly are.
    is_possible: bool,
}

/// What comes to a hold by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Passing {
    MayEnd,
    Over,
}

/// The memory of a rehearsal whose seats come back: 5 bytes for each user, and about 150 for each seat that is taken.
#[derive(Debug)]
pub struct Turnover {
    seats: u32,
    hold_ms: u32,
    gate_time: GateTime,
    /// Who heard `HELD` again for the same hold counts as `already`.
    counts: Counts,
    moves: Moves,
    /// The seat that user `index + 1` heard of last; 0 is none.
    seat_of: Vec<u32>,
    standing: Vec<Standing>,
    /// Who has seat `index + 1`. There is none above: it is lower ones that are free.
    tenancies: Vec<Tenancy>,
    occupied: Occupied,
    /// When which hold (seat, deadline) passes by itself.
    passing: BinaryHeap<Reverse<(Nanos, Passing, u32, i64)>>,
    newest: i64,
    /// Of `GATE.SEATS`: the last seat, and how many agreed.
    listed: (i64, u64),
    checks: Checks,
}

impl Turnover {
    /// Nothing heard yet. Users are 1..=`users`; claims hold for `hold_ms`, or grant at once if that is 0.
    pub fn new(users: u32, seats: u32, hold_ms: u32, gate_time: GateTime) -> Turnover {
        Turnover {
            seats,
            hold_ms,
            gate_time,
            counts: Counts::default(),
            moves: Moves::default(),
            seat_of: vec![0; users as usize],
            standing: vec![Standing::Free; users as usize],
            tenancies: vec![Tenancy::default(); users.min(seats) as usize],
            occupied: Occupied::default(),
            passing: BinaryHeap::new(),
            newest: gate_time.told_ms,
            listed: (0, 0),
            checks: Checks::new(Check::OF_RETURNS),
        }
    }

    /// The user is about to ask; he has no other request under way.
    pub fn ask(&mut self, user: u32, ask: Ask, now: Nanos) -> Asked {
        self.pass(now);
        let standing = self.standing_of(user);
        let counted = ask == Ask::Claim && standing != Standing::Granted;
        if counted {
            self.occupied.more_possibly();
        }
        match (ask, standing) {
            (Ask::Confirm(_), Standing::Held) => self.stand(user, Standing::Confirming),
            (Ask::Cancel(_), Standing::Granted) => {
                self.stand(user, Standing::Cancelling);
                self.doubt(self.seat_of[user as usize - 1]);
            }
            (Ask::Claim | Ask::Confirm(_) | Ask::Cancel(_), _) => {}
        }
        Asked { at: now, moment: self.occupied.moment(), newest: self.newest, counted }
    }

    /// The user's claim was answered.
    pub fn claimed(&mut self, user: u32, asked: &Asked, claimed: &Claimed, now: Nanos) -> Outcome {
        self.pass(now);
        let outcome = match claimed {
            Claimed::Held { seat, remaining, until } if self.hold_ms > 0 => {
                self.hear_held(user, asked, (*seat, *remaining, *until), now)
            }
            Claimed::Plain(Answer::Granted { seat, remaining }) if self.hold_ms == 0 => {
                self.counts.granted += 1;
                if let Some(seat) = self.seat_of(user) {
                    self.differ(Check::OneSeat, || format!("user {user} has seat {seat} and heard GRANTED again"));
                    self.release(user);
                }
                self.judge_new(user, asked, *seat, *remaining);
                self.take(user, *seat, Tenancy { user, ..Tenancy::default() }, Standing::Granted);
                Outcome::Granted(*seat)
            }
            Claimed::Held { .. } => {
                self.counts.errors += 1;
                self.differ(Check::AllAnswered, || format!("user {user} heard HELD from a campaign without HOLD"));
                Outcome::Nothing
            }
            Claimed::Plain(answer) => {
                self.hear_plain(user, asked, answer, now);
                Outcome::Nothing
            }
        };
        if asked.counted {
            self.occupied.less_possibly();
        }
        outcome
    }

    /// The user's confirmation of this seat was answered.
    pub fn confirmed(&mut self, user: u32, seat: u32, asked: &Asked, settled: &Settled, now: Nanos) -> Outcome {
        self.pass(now);
        let Tenancy { may_end, over, is_sure, .. } = self.tenancy(user).copied().unwrap_or_default();
        let standing = self.standing_of(user);
        match (settled, standing) {
            (Settled::Done { seat: told, remaining }, Standing::Confirming) => {
                self.moves.confirmed += 1;
                self.judge_same(Check::Confirm, user, seat, *told);
                self.judge_possible(user, asked, *remaining, 0, 0);
                if asked.at >= over {
                    self.differ(Check::Confirm, || {
                        format!("user {user} confirmed seat {seat} after his hold was over")
                    });
                }
                if !is_sure {
                    self.occupied.more_surely();
                    self.tenancies[seat as usize - 1].is_sure = true;
                }
                self.stand(user, Standing::Granted);
                return Outcome::Granted(seat);
            }
            (Settled::Done { .. }, Standing::Lapsed) => {
                self.moves.confirmed += 1;
                self.differ(Check::OneUser, || format!("user {user} confirmed seat {seat}, which another has"));
                self.release(user);
            }
            (Settled::Done { .. }, _) => {
                self.differ(Check::Confirm, || format!("user {user} confirmed seat {seat}, which he did not hold"));
            }
            (Settled::Nothing { remaining }, _) => {
                self.judge_possible(user, asked, *remaining, 0, 0);
                if standing == Standing::Confirming && now < may_end {
                    self.differ(Check::Confirm, || format!("user {user} confirmed seat {seat} in time and heard NONE"));
                }
                if matches!(standing, Standing::Confirming | Standing::Lapsed) {
                    self.moves.expired += 1;
                    self.release(user);
                }
            }
            (Settled::Error(text), _) => {
                self.hear_error(user, text);
                if standing == Standing::Confirming {
                    self.stand(user, Standing::Held);
                }
            }
        }
        Outcome::Nothing
    }

    /// The user's cancellation of this seat was answered.
    pub fn cancelled(&mut self, user: u32, seat: u32, asked: &Asked, settled: &Settled, now: Nanos) -> Outcome {
        self.pass(now);
        let had_it = self.standing_of(user) == Standing::Cancelling;
        match settled {
            Settled::Done { seat: told, remaining } if had_it => {
                self.moves.cancelled += 1;
                self.judge_same(Check::Cancel, user, seat, *told);
                // His own seat was counted as long as he waited.
                self.judge_possible(user, asked, *remaining, 1, 0);
                self.release(user);
                return Outcome::Cancelled(seat);
            }
            Settled::Done { .. } => {
                self.moves.cancelled += 1;
                self.differ(Check::Cancel, || format!("user {user} cancelled seat {seat}, which he did not have"));
            }
            Settled::Nothing { remaining } => {
                self.judge_possible(user, asked, *remaining, 0, 0);
                if had_it {
                    self.differ(Check::Cancel, || format!("user {user} has seat {seat}, cancelled it and heard NONE"));
                    self.release(user);
                }
            }
            Settled::Error(text) => {
                self.hear_error(user, text);
                if had_it {
                    self.stand(user, Standing::Granted);
                }
            }
        }
        Outcome::Nothing
    }

    fn hear_held(
        &mut self,
        user: u32,
        asked: &Asked,
        (seat, remaining, until): (u32, u32, i64),
        now: Nanos,
    ) -> Outcome {
        let known = self.tenancy(user).copied();
        match (self.standing_of(user), known) {
            (Standing::Held, Some(known)) if (seat, until) == (self.seat_of[user as usize - 1], known.until) => {
                self.counts.already += 1;
                self.judge_possible(user, asked, remaining, u64::from(asked.counted), 0);
                if asked.at >= known.over {
                    self.differ(Check::Confirm, || {
                        format!("user {user} heard HELD of seat {seat} after that was over")
                    });
                }
                return Outcome::Held { seat, new: false, over: known.over };
            }
            (Standing::Held, Some(known)) => {
                if self.began(until) < known.until {
                    let known = (self.seat_of[user as usize - 1], known.until);
                    self.differ(Check::Repeat, || {
                        format!(
                            "user {user} heard HELD of seat {} until {}, then of {seat} until {until}",
                            known.0, known.1
                        )
                    });
                }
                self.moves.expired += 1;
            }
            (Standing::Lapsed, _) => self.moves.expired += 1,
            (Standing::Granted, _) => {
                let known = self.seat_of[user as usize - 1];
                self.differ(Check::OneSeat, || format!("user {user} has seat {known} and heard HELD of seat {seat}"));
            }
            (Standing::Free | Standing::Held | Standing::Confirming | Standing::Cancelling | Standing::Unknown, _) => {}
        }
        self.release(user);
        self.moves.held += 1;
        self.judge_new(user, asked, seat, remaining);
        let began = self.began(until);
        if began < asked.newest || !self.gate_time.can_be(began, asked.at, now) {
            let hold_ms = self.hold_ms;
            self.differ(Check::Deadline, || {
                format!("user {user} holds seat {seat} until {until}, which is not {hold_ms} ms after he claimed it")
            });
        }
        self.newest = self.newest.max(began);
        let hold = nanos(self.hold_ms);
        let (may_end, over) = ((asked.at + hold).saturating_sub(caution(hold)), now + hold + caution(hold));
        let tenancy = Tenancy { user, until, may_end, over, ..Tenancy::default() };
        self.take(user, seat, tenancy, Standing::Held);
        Outcome::Held { seat, new: true, over }
    }

    /// All answers to a claim but those that give a seat.
    fn hear_plain(&mut self, user: u32, asked: &Asked, answer: &Answer, now: Nanos) {
        let known = self.seat_of(user);
        // The claim itself is counted, but got no seat.
        let itself = u64::from(asked.counted);
        match answer {
            Answer::Already { seat, remaining } => {
                self.counts.already += 1;
                self.judge_possible(user, asked, *remaining, itself, 0);
                let granted = known.filter(|_| self.standing_of(user) == Standing::Granted);
                if granted != Some(*seat) {
                    let known = granted.map_or("none".to_string(), |seat| format!("seat {seat}"));
                    self.differ(Check::Repeat, || format!("user {user} was granted {known} and heard ALREADY {seat}"));
                }
            }
            Answer::SoldOut { remaining } => {
                self.counts.sold_out += 1;
                self.judge_sold_out(user, asked, *remaining);
                let may_end = self.tenancy(user).map_or(0, |tenancy| tenancy.may_end);
                match self.standing_of(user) {
                    Standing::Granted => {
                        let seat = self.seat_of[user as usize - 1];
                        self.differ(Check::OneSeat, || format!("user {user} has seat {seat} and heard SOLDOUT"));
                    }
                    Standing::Held | Standing::Lapsed => {
                        if now < may_end {
                            self.differ(Check::OneSeat, || format!("user {user} holds a seat and heard SOLDOUT"));
                        }
                        self.moves.expired += 1;
                        self.release(user);
                    }
                    Standing::Free | Standing::Confirming | Standing::Cancelling | Standing::Unknown => {}
                }
            }
            Answer::NotOpen => {
                self.counts.not_open += 1;
                self.differ(Check::AllAnswered, || {
                    format!("user {user} heard NOTOPEN from a campaign without a window")
                });
            }
            Answer::Closed => {
                self.counts.closed += 1;
                self.differ(Check::AllAnswered, || {
                    format!("user {user} heard CLOSED from a campaign without a window")
                });
            }
            Answer::Granted { seat, .. } => {
                self.counts.granted += 1;
                self.differ(Check::AllAnswered, || {
                    format!("user {user} heard GRANTED {seat} from a campaign that holds what is claimed")
                });
            }
            Answer::Error(text) => self.hear_error(user, text),
        }
    }

    fn hear_error(&mut self, user: u32, text: &str) {
        self.counts.errors += 1;
        self.differ(Check::AllAnswered, || format!("user {user} heard an error: {text}"));
    }

    /// The seat becomes the user's, who has none.
    fn take(&mut self, user: u32, seat: u32, tenancy: Tenancy, standing: Standing) {
        self.seat_of[user as usize - 1] = seat;
        let place = (seat as usize).checked_sub(1).and_then(|index| self.tenancies.get(index)).copied();
        let Some(before) = place else {
            self.differ(Check::Lowest, || format!("user {user} heard of seat {seat}, which cannot be"));
            self.stand(user, Standing::Lapsed);
            return;
        };
        if before.user != 0 {
            let holds = self.hold_ms > 0;
            if holds && tenancy.until <= self.began(before.until) {
                // This answer was so long on its way that the seat is another's since.
                self.stand(user, Standing::Lapsed);
                return;
            }
            let is_over = match self.standing_of(before.user) {
                Standing::Held | Standing::Confirming => before.until <= self.began(tenancy.until),
                Standing::Granted => false,
                Standing::Free | Standing::Cancelling | Standing::Lapsed | Standing::Unknown => true,
            };
            if !is_over {
                let other = before.user;
                self.differ(Check::OneUser, || format!("users {other} and {user} both have seat {seat}"));
            }
            if self.standing_of(before.user) != Standing::Cancelling {
                self.stand(before.user, Standing::Lapsed);
            }
            self.vacate(seat);
        }
        self.stand(user, standing);
        self.tenancies[seat as usize - 1] = Tenancy { is_sure: true, is_possible: true, ..tenancy };
        self.occupied.more_surely();
        self.occupied.more_possibly();
        if standing == Standing::Held {
            self.passing.push(Reverse((tenancy.may_end, Passing::MayEnd, seat, tenancy.until)));
            self.passing.push(Reverse((tenancy.over, Passing::Over, seat, tenancy.until)));
        }
    }

    /// The user has no seat any more.
    fn release(&mut self, user: u32) {
        if self.tenancy(user).is_some() {
            self.vacate(self.seat_of[user as usize - 1]);
        }
        self.seat_of[user as usize - 1] = 0;
        self.stand(user, Standing::Free);
    }

    fn vacate(&mut self, seat: u32) {
        self.doubt(seat);
        self.free(seat);
        self.tenancies[seat as usize - 1] = Tenancy::default();
    }

    /// The seat may be nobody's from now on.
    fn doubt(&mut self, seat: u32) {
        if let Some(tenancy) = self.tenancies.get_mut(seat as usize - 1)
            && std::mem::take(&mut tenancy.is_sure)
        {
            self.occupied.less_surely();
        }
    }

    /// The seat is nobody's, whoever was the last to have it.
    fn free(&mut self, seat: u32) {
        if let Some(tenancy) = self.tenancies.get_mut(seat as usize - 1)
            && std::mem::take(&mut tenancy.is_possible)
        {
            self.occupied.less_possibly();
        }
    }

    /// What comes by itself until now.
    fn pass(&mut self, now: Nanos) {
        while let Some(Reverse((at, passing, seat, until))) = self.passing.peek().copied()
            && at <= now
        {
            self.passing.pop();
            let Tenancy { user, until: known, .. } = self.tenancies[seat as usize - 1];
            if user == 0 || known != until {
                continue;
            }
            match (passing, self.standing_of(user)) {
                (Passing::MayEnd, Standing::Held | Standing::Confirming) => self.doubt(seat),
                // A confirmation that is under way may have come in time.
                (Passing::Over, Standing::Held) => self.free(seat),
                (Passing::MayEnd | Passing::Over, _) => {}
            }
        }
    }

    /// A new seat: the lowest that was free, so all below are somebody's.
    fn judge_new(&mut self, user: u32, asked: &Asked, seat: u32, remaining: u32) {
        if !asked.counted {
            // Nobody thought of a second seat, and that is told elsewhere.
            return;
        }
        self.judge_possible(user, asked, remaining, 0, 1);
        if u64::from(seat) + u64::from(remaining) > u64::from(self.seats) {
            self.differ(Check::Lowest, || {
                format!("user {user} got seat {seat} and heard that {remaining} remain: a lower one was free")
            });
        }
    }

    /// `counted`: seats that are counted as possibly somebody's for this request, but were nobody's after it. `own`: seats
    /// that are not counted as surely somebody's, but were.
    fn judge_possible(&mut self, user: u32, asked: &Asked, remaining: u32, counted: u64, own: u64) {
        let least = self.occupied.surely_since(asked.moment) + own;
        let most = self.occupied.possibly_since(asked.moment) - counted;
        let seats = u64::from(self.seats);
        let can_be = seats.saturating_sub(most)..=seats.saturating_sub(least);
        if !can_be.contains(&u64::from(remaining)) {
            let (low, high) = can_be.into_inner();
            self.differ(Check::Possible, || {
                format!("user {user} heard that {remaining} remain, which must be {low} to {high}")
            });
        }
    }

    fn judge_sold_out(&mut self, user: u32, asked: &Asked, remaining: u32) {
        if remaining != 0 {
            self.differ(Check::Possible, || format!("user {user} heard SOLDOUT and that {remaining} remain"));
        }
        let most = self.occupied.possibly_since(asked.moment) - u64::from(asked.counted);
        let seats = self.seats;
        if most < u64::from(seats) {
            self.differ(Check::SoldOut, || {
                format!("user {user} heard SOLDOUT with {most} of {seats} seats taken at most")
            });
        }
    }

    fn judge_same(&mut self, check: Check, user: u32, seat: u32, told: u32) {
        if seat != told {
            self.differ(check, || format!("user {user} asked for seat {seat} and heard of seat {told}"));
        }
    }

    /// When a hold began, by the gate's time.
    fn began(&self, until: i64) -> i64 {
        until.saturating_sub(i64::from(self.hold_ms))
    }

    fn seat_of(&self, user: u32) -> Option<u32> {
        Some(self.seat_of[user as usize - 1]).filter(|seat| *seat != 0)
    }

    /// The user's own, if the seat he heard of is still his.
    fn tenancy(&self, user: u32) -> Option<&Tenancy> {
        let tenancy = self.tenancies.get(self.seat_of(user)? as usize - 1)?;
        (tenancy.user == user).then_some(tenancy)
    }

    fn standing_of(&self, user: u32) -> Standing {
        self.standing[user as usize - 1]
    }

    fn stand(&mut self, user: u32, standing: Standing) {
        self.standing[user as usize - 1] = standing;
    }

    fn differ(&mut self, check: Check, what: impl FnOnce() -> String) {
        self.checks.differ(check, what);
    }
}
