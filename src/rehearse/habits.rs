//! What the users of a rehearsal do with their seats: confirm, let go, cancel. Pure.

use crate::rehearse::RehearseOptions;
use crate::rehearse::crowd::scatter;

/// The habits of a crowd, and the seed that says who does what.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// How large a share of the holds is confirmed.
    pub confirm_share: f64,
    /// How large a share of those granted is cancelled.
    pub cancel_share: f64,
    /// The same seed, the same choices.
    pub seed: u64,
}

/// Sets the two choices of one round apart from each other.
const CONFIRM: u64 = 0x636f_6e66;
const CANCEL: u64 = 0x6361_6e63;

impl Habits {
    /// None where seats never come back: then much more is known about the answers.
    pub fn of(options: &RehearseOptions, seed: u64) -> Option<Habits> {
        let RehearseOptions { hold, confirm_share, cancel_share, .. } = *options;
        (hold > 0 || cancel_share > 0.0).then_some(Habits { confirm_share, cancel_share, seed })
    }

    /// Whether the user confirms what he holds in this round.
    pub fn confirms(&self, user: u32, round: u32) -> bool {
        self.draw(user, round, CONFIRM) < self.confirm_share
    }

    /// Whether the user cancels what he was granted in this round.
    pub fn cancels(&self, user: u32, round: u32) -> bool {
        self.draw(user, round, CANCEL) < self.cancel_share
    }

    /// 0 to 1, without 1.
    fn draw(&self, user: u32, round: u32, choice: u64) -> f64 {
        let bits = scatter(u64::from(round) << 32 | u64::from(user), self.seed ^ choice);
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what the type holds")]
        let part = (bits >> 11) as f64;
        part / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habits(confirm_share: f64, cancel_share: f64) -> Habits {
        Habits { confirm_share, cancel_share, seed: 7 }
    }

    #[test]
    fn the_shares_are_as_large_as_told_and_independent_of_each_other() {
        let habits = habits(0.7, 0.2);
        let count = |chosen: &dyn Fn(u32) -> bool| (1..=100_000).filter(|user| chosen(*user)).count();
        let near = |count: usize, right: usize| count.abs_diff(right) < 600;
        assert!(near(count(&|user| habits.confirms(user, 1)), 70_000));
        assert!(near(count(&|user| habits.cancels(user, 1)), 20_000));
        assert!(near(count(&|user| habits.confirms(user, 1) && habits.cancels(user, 1)), 14_000));
        assert!(near(count(&|user| habits.cancels(user, 1) && habits.cancels(user, 2)), 4_000));
    }

    #[test]
    fn all_and_none_are_everybody_and_nobody() {
        let habits = habits(1.0, 0.0);
        assert!((1..=10_000).all(|user| habits.confirms(user, 1) && !habits.cancels(user, 1)));
    }

    #[test]
    fn a_crowd_that_keeps_its_seats_has_no_habits() {
        let options = RehearseOptions::default();
        assert!(Habits::of(&options, 7).is_none());
        assert!(Habits::of(&RehearseOptions { hold: 1, ..options.clone() }, 7).is_some());
        assert!(Habits::of(&RehearseOptions { cancel_share: 0.1, ..options }, 7).is_some());
    }
}
