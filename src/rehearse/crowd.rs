//! Who asks when: every user, as often as he asks, in an order without a pattern. Pure.

use std::ops::Range;

const ROUNDS: u64 = 4;

/// All claims of a rehearsal in shuffled order, computed instead of stored: a crowd of any size takes no memory.
///
/// The order is a permutation of 0..claims: a four-round Feistel network over the next even power of two, walked again
/// where it leaves the range (at most 4 steps on average).
#[derive(Clone, Debug)]
pub struct Crowd {
    users: u32,
    claims: u64,
    half_bits: u32,
    seed: u64,
}

impl Crowd {
    /// `users` users (1..=users) who ask `repeat` times each. The same seed gives the same order.
    pub fn new(users: u32, repeat: u32, seed: u64) -> Crowd {
        assert!(users > 0 && repeat > 0, "somebody asks");
        let claims = u64::from(users) * u64::from(repeat);
        let half_bits = (u64::BITS - (claims - 1).leading_zeros()).div_ceil(2).max(1);
        Crowd { users, claims, half_bits, seed }
    }

    /// How many claims there are.
    pub fn claims(&self) -> u64 {
        self.claims
    }

    /// Who makes the `turn`-th claim.
    pub fn user(&self, turn: u64) -> u32 {
        assert!(turn < self.claims, "the crowd is not larger than it is");
        let mut place = self.step(turn);
        while place >= self.claims {
            place = self.step(place);
        }
        u32::try_from(place % u64::from(self.users)).expect("a user's number is below the number of users") + 1
    }

    /// The turns that connection `index` of `connections` makes.
    pub fn slice(&self, index: u32, connections: u32) -> Range<u64> {
        let start = |index: u32| {
            let start = u128::from(self.claims) * u128::from(index) / u128::from(connections);
            u64::try_from(start).expect("a part is not larger than the whole")
        };
        start(index)..start(index + 1)
    }

    fn step(&self, place: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (place >> self.half_bits, place & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (scatter(right, self.seed.wrapping_add(round)) & mask));
        }
        left << self.half_bits | right
    }
}

/// The finisher of SplitMix64 over a place and a key.
pub(super) fn scatter(place: u64, key: u64) -> u64 {
    let mut bits = (place ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_asks_exactly_as_often_as_told() {
        for (users, repeat, seed) in [(1, 1, 0), (1, 3, 1), (2, 1, 2), (5, 4, 3), (1000, 3, 4), (4097, 1, 5)] {
            let crowd = Crowd::new(users, repeat, seed);
            let mut asked = vec![0; users as usize];
            (0..crowd.claims()).for_each(|turn| asked[crowd.user(turn) as usize - 1] += 1);
            assert!(asked.iter().all(|times| *times == repeat), "{users} users, {repeat} times");
        }
    }

    #[test]
    fn the_slices_of_all_connections_are_all_claims_once() {
        for (users, connections) in [(10, 3), (7, 7), (3, 10), (100_000_000, 9999)] {
            let crowd = Crowd::new(users, 2, 0);
            let mut next = 0;
            for index in 0..connections {
                let slice = crowd.slice(index, connections);
                assert_eq!(slice.start, next);
                next = slice.end;
            }
            assert_eq!(next, crowd.claims());
        }
    }

    #[test]
    fn the_order_is_another_with_another_seed_and_the_same_with_the_same() {
        let order = |seed| {
            let crowd = Crowd::new(100, 1, seed);
            (0..100).map(|turn| crowd.user(turn)).collect::<Vec<_>>()
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
        assert_ne!(order(7), (1..=100).collect::<Vec<_>>());
    }
}
