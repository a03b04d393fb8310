//! Seats that nobody has although later ones were given: they came back, or were passed over by an import.

use std::collections::BTreeMap;

/// A set of seat numbers, as runs: a million holds that expire in a row are one run.
#[derive(Debug, Default)]
pub(super) struct FreeSeats {
    /// The last seat of each run by its first one; there are taken seats between any two.
    runs: BTreeMap<u32, u32>,
    len: u32,
}

impl FreeSeats {
    /// How many.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The lowest one.
    #[inline]
    pub(super) fn lowest(&self) -> Option<u32> {
        // Nearly always there is none, and that is known without a look.
        if self.len == 0 {
            return None;
        }
        self.runs.first_key_value().map(|(first, _)| *first)
    }

    /// Whether it is one of them.
    pub(super) fn contains(&self, seat: u32) -> bool {
        self.run_of(seat).is_some()
    }

    /// The first seat of the run that ends with `last`.
    pub(super) fn run_up_to(&self, last: u32) -> Option<u32> {
        self.run_of(last).filter(|(_, end)| *end == last).map(|(first, _)| first)
    }

    /// The seats from `first` to `last` that are not in it, in order.
    pub(super) fn taken(&self, first: u32, last: u32) -> impl Iterator<Item = u32> {
        // Where `first` is free, the run that holds it is passed over.
        let first = self.run_of(first).map_or(Some(first), |(_, end)| end.checked_add(1));
        let runs = || self.runs.range(first.unwrap_or(u32::MAX)..);
        let starts = first.into_iter().chain(runs().filter_map(|(_, end)| end.checked_add(1)));
        let ends = runs().map(|(start, _)| start - 1).take_while(move |end| *end < last).chain([last]);
        starts.zip(ends).flat_map(|(start, end)| start..=end)
    }

    /// Adds the seats from `first` to `last`, none of which is there.
    pub(super) fn add(&mut self, first: u32, last: u32) {
        debug_assert!(first <= last && self.runs.range(first..=last).next().is_none() && !self.contains(first));
        self.len += last - first + 1;
        let before = self.runs.range(..first).next_back().filter(|(_, end)| **end + 1 == first);
        let first = before.map_or(first, |(start, _)| *start);
        let behind = last.checked_add(1).and_then(|next| self.runs.remove(&next));
        self.runs.insert(first, behind.unwrap_or(last));
    }

    /// Takes a seat out; false where it is not there.
    pub(super) fn take(&mut self, seat: u32) -> bool {
        let Some((first, last)) = self.run_of(seat) else { return false };
        self.len -= 1;
        self.runs.remove(&first);
        if first < seat {
            self.runs.insert(first, seat - 1);
        }
        if seat < last {
            self.runs.insert(seat + 1, last);
        }
        true
    }

    /// The first and last seat of the run that holds `seat`.
    fn run_of(&self, seat: u32) -> Option<(u32, u32)> {
        let (first, last) = self.runs.range(..=seat).next_back()?;
        (seat <= *last).then_some((*first, *last))
    }

    /// Frees memory: at most `budget` runs, as many as the answer says.
    pub(super) fn free(&mut self, budget: usize) -> usize {
        (0..budget).take_while(|_| self.runs.pop_first().is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_whose_runs_do_not_touch(steps in prop::collection::vec((any::<bool>(), 1u32..24, 0u32..4), 0..200)) {
            let (mut free, mut set) = (FreeSeats::default(), BTreeSet::new());
            for (adds, seat, more) in steps {
                if adds {
                    if (seat..=seat + more).all(|seat| !set.contains(&seat)) {
                        free.add(seat, seat + more);
                        set.extend(seat..=seat + more);
                    }
                } else {
                    prop_assert_eq!(free.take(seat), set.remove(&seat));
                }
                prop_assert_eq!(free.len() as usize, set.len());
                prop_assert_eq!(free.lowest(), set.first().copied());
                for seat in 0..30 {
                    prop_assert_eq!(free.contains(seat), set.contains(&seat));
                    let ends = set.contains(&seat) && !set.contains(&(seat + 1));
                    let first = (0..=seat).rev().take_while(|seat| set.contains(seat)).last();
                    prop_assert_eq!(free.run_up_to(seat), first.filter(|_| ends));
                }
                let taken: Vec<u32> = (3..=25).filter(|seat| !set.contains(seat)).collect();
                prop_assert_eq!(free.taken(3, 25).collect::<Vec<_>>(), taken);
                let apart = free.runs.iter().zip(free.runs.iter().skip(1)).all(|((_, end), (next, _))| end + 1 < *next);
                prop_assert!(apart, "{:?}", free.runs);
            }
        }
    }

    #[test]
    fn the_last_number_there_is_can_be_free() {
        let mut free = FreeSeats::default();
        free.add(u32::MAX, u32::MAX);
        free.add(u32::MAX - 1, u32::MAX - 1);
        assert_eq!((free.run_up_to(u32::MAX), free.len()), (Some(u32::MAX - 1), 2));
    }
}
