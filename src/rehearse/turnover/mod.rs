//! What users heard whose seats come back, held against what a gate may say. Pure.
//!
//! Every user waits for one answer before he asks again, so his own answers have an order. What others hear at the same
//! time has none; but a seat that B hears of can only be his if what ended A's time with it was under way by then: A's
//! cancel had been sent, or A's hold was over. Holds are compared by the gate's own time, which their deadlines tell.

mod claims;
mod clock;
mod end;
mod occupied;
mod settles;
mod words;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub use clock::{GateTime, Nanos, nanos_since};
pub use words::{Ask, Claimed, Moves, Outcome, Settled};

use crate::rehearse::checks::{Check, Checks};
use crate::rehearse::truth::Counts;
use occupied::{Moment, Occupied};

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

    fn hear_error(&mut self, user: u32, text: &str) {
        self.counts.errors += 1;
        self.differ(Check::AllAnswered, || format!("user {user} heard an error: {text}"));
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
