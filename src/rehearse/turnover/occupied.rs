//! How many seats can be somebody's: bounds on what the gate knows, from what its customers know. Pure.
//!
//! A seat is surely somebody's from the answer that says so until he sends what ends it, and possibly from the claim until
//! the answer to what ends it. So between the sending of a request and its answer the true number was at some moment
//! decided upon, and lies between the least `surely` and the greatest `possibly` of that time.

use std::collections::VecDeque;

/// The two bounds, and their extremes since any earlier moment.
#[derive(Debug, Default)]
pub struct Occupied {
    step: u64,
    surely: u64,
    possibly: u64,
    /// What later values have not undercut, by step; both fall and rise along the line.
    lowest: VecDeque<(u64, u64)>,
    /// What later values have not exceeded.
    highest: VecDeque<(u64, u64)>,
}

/// A moment, to be asked about later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    step: u64,
    surely: u64,
    possibly: u64,
}

impl Occupied {
    /// One more is surely somebody's.
    pub fn more_surely(&mut self) {
        self.set_surely(self.surely + 1);
    }

    /// One less is surely somebody's.
    pub fn less_surely(&mut self) {
        self.set_surely(self.surely - 1);
    }

    /// One more is possibly somebody's.
    pub fn more_possibly(&mut self) {
        self.set_possibly(self.possibly + 1);
    }

    /// One less is possibly somebody's.
    pub fn less_possibly(&mut self) {
        self.set_possibly(self.possibly - 1);
    }

    /// Now.
    pub fn moment(&self) -> Moment {
        Moment { step: self.step, surely: self.surely, possibly: self.possibly }
    }

    /// So many were somebody's at any moment since then.
    pub fn surely_since(&self, then: Moment) -> u64 {
        extreme(&self.lowest, then.step).map_or(then.surely, |since| since.min(then.surely))
    }

    /// No more were somebody's at any moment since then.
    pub fn possibly_since(&self, then: Moment) -> u64 {
        extreme(&self.highest, then.step).map_or(then.possibly, |since| since.max(then.possibly))
    }

    fn set_surely(&mut self, value: u64) {
        (self.step, self.surely) = (self.step + 1, value);
        while self.lowest.back().is_some_and(|(_, earlier)| *earlier >= value) {
            self.lowest.pop_back();
        }
        self.lowest.push_back((self.step, value));
    }

    fn set_possibly(&mut self, value: u64) {
        (self.step, self.possibly) = (self.step + 1, value);
        while self.highest.back().is_some_and(|(_, earlier)| *earlier <= value) {
            self.highest.pop_back();
        }
        self.highest.push_back((self.step, value));
    }
}

/// The first of the extremes behind a step: the others are less extreme.
fn extreme(extremes: &VecDeque<(u64, u64)>, step: u64) -> Option<u64> {
    extremes.get(extremes.partition_point(|(at, _)| *at <= step)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearse::crowd::scatter;

    #[test]
    fn the_extremes_since_any_moment_are_those_of_all_values_since() {
        let mut occupied = Occupied::default();
        let mut line = vec![(occupied.moment(), 0, 0)];
        for turn in 0..400 {
            match scatter(turn, 7) % 4 {
                0 => occupied.more_surely(),
                1 if occupied.surely > 0 => occupied.less_surely(),
                2 if occupied.possibly > 0 => occupied.less_possibly(),
                _ => occupied.more_possibly(),
            }
            line.push((occupied.moment(), occupied.surely, occupied.possibly));
            for (from, (then, ..)) in line.iter().enumerate() {
                let since = &line[from..];
                assert_eq!(Some(occupied.surely_since(*then)), since.iter().map(|(_, surely, _)| *surely).min());
                assert_eq!(Some(occupied.possibly_since(*then)), since.iter().map(|(.., possibly)| *possibly).max());
            }
        }
    }
}
