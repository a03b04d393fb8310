//! The answers to confirmations and cancellations.

use crate::rehearse::checks::Check;
use crate::rehearse::turnover::clock::Nanos;
use crate::rehearse::turnover::{Asked, Outcome, Settled, Standing, Tenancy, Turnover};

impl Turnover {
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

    fn judge_same(&mut self, check: Check, user: u32, seat: u32, told: u32) {
        if seat != told {
            self.differ(check, || format!("user {user} asked for seat {seat} and heard of seat {told}"));
        }
    }
}
