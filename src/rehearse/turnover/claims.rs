//! The answers to claims: a seat that is held or granted, the one that a user has already, or none.

use crate::rehearse::checks::Check;
use crate::rehearse::truth::Answer;
use crate::rehearse::turnover::clock::{Nanos, caution, nanos};
use crate::rehearse::turnover::{Asked, Claimed, Outcome, Standing, Tenancy, Turnover};

impl Turnover {
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
}
