//! A hash table that never stalls: extendible hashing over small tables.
//!
//! The top bits of a hash choose a slot of the directory, the slot a segment, and the segment is a small hash table. A
//! full segment splits in two; a full directory doubles, which copies numbers, never entries:
//!
//! ```text
//!   directory (2 bits)   00 ---> segment 0 (1 bit: 0)
//!                        01 --/
//!                        10 ---> segment 1 (2 bits: 10)
//!                        11 ---> segment 2 (2 bits: 11)
//! ```
//!
//! Slots stand in the order of hashes, so a scan by ascending hash is a walk along the directory, and a cursor that is
//! a bound on hashes stays valid whatever splits meanwhile.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Buckets of a full-grown segment: what one insert can have to move.
const SEGMENT_BUCKETS: usize = 2048;
/// Entries that such a segment holds.
const SEGMENT_ENTRIES_MAX: usize = SEGMENT_BUCKETS / 8 * 7;
/// A segment that has no room because of what was removed from it is cleaned below this and split from it on: cleaning
/// one that is nearly full would have to be done again at once.
const SPLIT_ENTRIES_MIN: usize = SEGMENT_ENTRIES_MAX / 4 * 3;
/// Entries of a segment, at most on average, in a table that is built at once: few enough that hardly any overflows.
const BUILD_ENTRIES: usize = 1600;
/// Bits of the directory: 15 thousand million entries, and an end to splitting where hashes are all the same.
const DEPTH_MAX: u8 = 24;
/// Bits of a hash that a cursor holds: few enough for clients that keep it in a double.
const CURSOR_BITS: u32 = 48;
/// Empty segments that a slice walks over for each entry asked for.
const EMPTY_SEGMENTS_PER_ENTRY: usize = 10;

/// A set of `T`, found by a hash and a test that the caller gives.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// For each value of the top `depth` bits: which segment. Empty until the first insert.
    directory: Vec<u32>,
    depth: u8,
    segments: Vec<Segment<T>>,
    len: usize,
}

#[derive(Debug)]
struct Segment<T> {
    entries: HashTable<T>,
    /// How many top bits all hashes in here share.
    depth: u8,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { directory: Vec::new(), depth: 0, segments: Vec::new(), len: 0 }
    }
}

impl<T> Table<T> {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The entry with this hash that is the `same`.
    pub(super) fn find(&self, hash: u64, same: impl FnMut(&T) -> bool) -> Option<&T> {
        let segment = *self.directory.get(self.slot(hash))?;
        self.segments[segment as usize].entries.find(inner(hash), same)
    }

    /// The entry with this hash that is the `same`. What makes up its hash must not be changed.
    pub(super) fn find_mut(&mut self, hash: u64, same: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let segment = *self.directory.get(self.slot(hash))?;
        self.segments[segment as usize].entries.find_mut(inner(hash), same)
    }

    /// Adds an entry that is not there. Moves at most the entries of one segment.
    pub(super) fn insert_unique(&mut self, hash: u64, entry: T, hash_of: impl Fn(&T) -> u64) {
        if self.directory.is_empty() {
            self.directory.push(0);
            self.segments.push(Segment { entries: HashTable::new(), depth: 0 });
        }
        let segment = loop {
            let number = self.directory[self.slot(hash)] as usize;
            let segment = &mut self.segments[number];
            let full = segment.entries.len() == segment.entries.capacity();
            if !full || segment.entries.num_buckets() < SEGMENT_BUCKETS || segment.depth == DEPTH_MAX {
                break segment;
            }
            if segment.entries.len() >= SPLIT_ENTRIES_MIN {
                self.split(number, hash, &hash_of);
            } else {
                segment.clean(&hash_of);
                break segment;
            }
        };
        segment.entries.insert_unique(inner(hash), entry, |entry| inner(hash_of(entry)));
        self.len += 1;
    }

    /// Takes out the entry with this hash that is the `same`. Gives memory back as a segment empties.
    pub(super) fn remove(&mut self, hash: u64, same: impl FnMut(&T) -> bool, hash_of: impl Fn(&T) -> u64) -> Option<T> {
        let number = *self.directory.get(self.slot(hash))?;
        let entries = &mut self.segments[number as usize].entries;
        let (entry, _) = entries.find_entry(inner(hash), same).ok()?.remove();
        self.len -= 1;
        if entries.len() * 8 < entries.num_buckets() {
            entries.shrink_to(entries.len() * 2, |entry| inner(hash_of(entry)));
        }
        Some(entry)
    }

    /// All entries, in the order of the segments.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flat_map(|segment| segment.entries.iter())
    }

    /// About `count` entries whose hashes follow `cursor`, and the cursor that goes on behind them; 0 is the start and
    /// the end. Whatever is in the table from the first call to the last one comes up. Fewer entries come back where
    /// the table is mostly empty, more where hashes agree in all bits of a cursor.
    pub(super) fn slice(&self, cursor: u64, count: usize, hash_of: impl Fn(&T) -> u64) -> (Vec<&T>, u64) {
        const UNUSED_BITS: u32 = u64::BITS - CURSOR_BITS;
        let mut found = Vec::new();
        if cursor >> CURSOR_BITS != 0 {
            return (found, 0);
        }
        let count = count.max(1);
        let mut walk = count.saturating_mul(EMPTY_SEGMENTS_PER_ENTRY);
        let mut slot = self.slot(cursor << UNUSED_BITS);
        while let Some(&number) = self.directory.get(slot) {
            let segment = &self.segments[number as usize];
            let position = |entry| hash_of(entry) >> UNUSED_BITS;
            let mut here: Vec<(u64, &T)> = segment.entries.iter().map(|entry| (position(entry), entry)).collect();
            here.retain(|(position, _)| *position >= cursor);
            let wanted = count - found.len();
            if here.len() > wanted {
                let last = here.select_nth_unstable_by_key(wanted - 1, |(position, _)| *position).1.0;
                found.extend(here.iter().filter(|(position, _)| *position <= last).map(|(_, entry)| *entry));
                return (found, (last + 1) & ((1 << CURSOR_BITS) - 1));
            }
            found.extend(here.iter().map(|(_, entry)| *entry));
            let width = 1 << (self.depth - segment.depth);
            slot = (slot & !(width - 1)) + width;
            walk -= 1;
            if (found.len() == count || walk == 0) && slot < self.directory.len() {
                return (found, (slot as u64) << (CURSOR_BITS - u32::from(self.depth)));
            }
        }
        (found, 0)
    }

    /// Frees a table that nobody needs any more, about `budget` entries at a time; answers how many were freed, 0 when
    /// nothing is left. Begin this and the table is empty.
    pub(super) fn free(&mut self, budget: usize) -> usize {
        self.directory = Vec::new();
        (self.depth, self.len) = (0, 0);
        let mut freed = 0;
        while freed < budget
            && let Some(segment) = self.segments.pop()
        {
            freed += segment.entries.len().max(1);
        }
        if freed == 0 {
            self.segments = Vec::new();
        }
        freed
    }

    /// Bytes allocated, without what entries point at.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.directory.capacity() * size_of::<u32>()
            + self.segments.capacity() * size_of::<Segment<T>>()
            + self.segments.iter().map(|segment| segment.entries.allocation_size()).sum::<usize>()
    }

    fn slot(&self, hash: u64) -> usize {
        (hash >> 1 >> (63 - self.depth)) as usize
    }

    fn split(&mut self, number: usize, hash: u64, hash_of: impl Fn(&T) -> u64) {
        let depth = self.segments[number].depth;
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&number| [number, number]).collect();
            self.depth += 1;
        }
        let upper = u32::try_from(self.segments.len()).expect("segments are fewer than slots, and slots at most 2^24");
        let width = 1 << (self.depth - depth);
        let first = self.slot(hash) & !(width - 1);
        self.directory[first + width / 2..first + width].fill(upper);

        let mut halves = [0, 1].map(|_| HashTable::with_capacity(SEGMENT_ENTRIES_MAX));
        for entry in std::mem::take(&mut self.segments[number].entries) {
            let hash = hash_of(&entry);
            let half = (hash >> (63 - depth) & 1) as usize;
            halves[half].insert_unique(inner(hash), entry, |entry| inner(hash_of(entry)));
        }
        let [low, high] = halves;
        self.segments[number] = Segment { entries: low, depth: depth + 1 };
        self.segments.push(Segment { entries: high, depth: depth + 1 });
    }
}

impl Table<u32> {
    /// The table of `count` `numbers`, built at once: each segment is filled while the processor's cache holds it. Takes about 9
    /// bytes a number meanwhile.
    ///
    /// # Errors
    /// A number that is the `same` as one before it.
    pub(super) fn of_numbers(
        count: usize,
        numbers: impl Iterator<Item = u32>,
        hash_of: impl Fn(&u32) -> u64,
        same: impl Fn(u32, u32) -> bool,
    ) -> Result<Table<u32>, u32> {
        let mut table = Table::default();
        if count == 0 {
            return Ok(table);
        }
        while count >> table.depth > BUILD_ENTRIES && table.depth < DEPTH_MAX {
            table.depth += 1;
        }
        // Hashes spread evenly: each slot gets the room that it most likely needs, and a number that finds none comes last.
        let slots = 1 << table.depth;
        let mean = count / slots;
        let room = (mean + 6 * mean.isqrt() + 8).min(SEGMENT_ENTRIES_MAX);
        let mut planned = vec![Planned::default(); slots * room];
        let mut ends: Vec<usize> = (0..slots).map(|slot| slot * room).collect();
        let mut overflow: Vec<u32> = Vec::new();
        for number in numbers {
            let hash = hash_of(&number);
            let slot = table.slot(hash);
            if ends[slot] == (slot + 1) * room {
                overflow.push(number);
                continue;
            }
            planned[ends[slot]] = Planned::new(number, hash);
            ends[slot] += 1;
        }
        for (slot, end) in (0..).zip(ends) {
            let fit = &planned[slot as usize * room..end];
            let mut entries = HashTable::with_capacity(fit.len());
            for one in fit {
                let number = one.number;
                match entries.entry(one.inner(), |there| same(*there, number), |there| inner(hash_of(there))) {
                    Entry::Occupied(_) => return Err(number),
                    Entry::Vacant(place) => place.insert(number),
                };
            }
            table.directory.push(slot);
            table.segments.push(Segment { entries, depth: table.depth });
            table.len += fit.len();
        }
        for number in overflow {
            table.insert_new(number, &hash_of, &same)?;
        }
        Ok(table)
    }

    /// Adds a number.
    ///
    /// # Errors
    /// It is the `same` as one that is there.
    pub(super) fn insert_new(
        &mut self,
        number: u32,
        hash_of: impl Fn(&u32) -> u64,
        same: impl Fn(u32, u32) -> bool,
    ) -> Result<(), u32> {
        let hash = hash_of(&number);
        if self.find(hash, |there| same(*there, number)).is_some() {
            return Err(number);
        }
        self.insert_unique(hash, number, hash_of);
        Ok(())
    }
}

/// A number on its way into a segment, with what a segment needs of its hash: reading what it was computed from again,
/// here and there in memory, takes longer than all the rest.
#[derive(Clone, Copy, Default)]
struct Planned {
    number: u32,
    /// Bits 25 to 56.
    hash: u32,
}

impl Planned {
    fn new(number: u32, hash: u64) -> Planned {
        Planned { number, hash: (hash >> 25) as u32 }
    }

    /// The hash within a segment, as far as places and tags of a segment go: see [`inner`].
    fn inner(self) -> u64 {
        inner(u64::from(self.hash) << 25)
    }
}

const _: () = assert!(SEGMENT_BUCKETS <= 1 << 25, "the place is among the bits that are kept");

impl<T> Segment<T> {
    /// Forgets the marks that removed entries left. `HashTable` by itself would double instead.
    fn clean(&mut self, hash_of: impl Fn(&T) -> u64) {
        let mut entries = HashTable::with_capacity(SEGMENT_ENTRIES_MAX);
        for entry in std::mem::take(&mut self.entries) {
            entries.insert_unique(inner(hash_of(&entry)), entry, |entry| inner(hash_of(entry)));
        }
        self.entries = entries;
    }
}

/// The hash within a segment. `HashTable` takes the place from the low bits and a tag from the top ones; the entries of
/// a segment share the top bits of their hash, so other bits must come there.
const fn inner(hash: u64) -> u64 {
    hash.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashSet};

    fn scatter(number: &u64) -> u64 {
        let mixed = (number ^ number >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    fn insert(table: &mut Table<u64>, number: u64) {
        table.insert_unique(scatter(&number), number, scatter);
    }

    fn remove(table: &mut Table<u64>, number: u64) -> bool {
        table.remove(scatter(&number), |there| *there == number, scatter).is_some()
    }

    fn holds(table: &Table<u64>, number: u64) -> bool {
        table.find(scatter(&number), |there| *there == number).is_some()
    }

    fn segments_are_bounded(table: &Table<u64>) {
        for segment in &table.segments {
            assert!(segment.entries.num_buckets() <= SEGMENT_BUCKETS, "no segment outgrows its buckets");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_holds_what_a_set_holds_and_a_scan_misses_nothing_that_stays(
            steps in prop::collection::vec((0u8..5, 0u64..3_000, 1u64..2_000), 1..60),
            count in 1usize..400,
        ) {
            let mut table = Table::default();
            let mut model = HashSet::new();
            let mut staying: HashSet<u64> = (1_000_000..1_000_050).collect();
            staying.iter().for_each(|&number| insert(&mut table, number));
            let mut seen: HashSet<u64> = HashSet::new();
            let mut cursor = 0;
            let mut done = false;
            for (what, first, many) in steps {
                for number in first..first + many {
                    if what < 3 {
                        if model.insert(number) {
                            insert(&mut table, number);
                        }
                    } else {
                        prop_assert_eq!(remove(&mut table, number), model.remove(&number));
                    }
                }
                prop_assert_eq!(table.len(), model.len() + 50);
                segments_are_bounded(&table);
                if !done {
                    let (found, next) = table.slice(cursor, count, scatter);
                    seen.extend(found);
                    cursor = next;
                    done = next == 0;
                }
            }
            while !done {
                let (found, next) = table.slice(cursor, count, scatter);
                seen.extend(found);
                cursor = next;
                done = next == 0;
            }
            staying.retain(|number| !seen.contains(number));
            prop_assert!(staying.is_empty(), "missed {staying:?}");
            let all: BTreeSet<u64> = table.iter().copied().filter(|number| *number < 1_000_000).collect();
            prop_assert_eq!(all, model.iter().copied().collect::<BTreeSet<u64>>());
            for number in 0..5_000 {
                prop_assert_eq!(holds(&table, number), model.contains(&number));
            }
        }
    }

    #[test]
    fn a_scan_of_a_table_that_rests_gives_each_entry_once() {
        let mut table = Table::default();
        (0..20_000).for_each(|number| insert(&mut table, number));
        let (mut seen, mut cursor) = (Vec::new(), 0);
        loop {
            let (found, next) = table.slice(cursor, 7, scatter);
            assert!(found.len() <= 7, "48 bits of 20 000 hashes do not collide here");
            seen.extend(found);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        seen.sort_unstable();
        assert!(seen.into_iter().copied().eq(0..20_000));
    }

    #[test]
    fn churn_at_a_constant_size_makes_nothing_grow() {
        let mut table = Table::default();
        (0..100_000).for_each(|number| insert(&mut table, number));
        for number in 0..1_000_000 {
            assert!(remove(&mut table, number));
            insert(&mut table, number + 100_000);
        }
        segments_are_bounded(&table);
        assert!(table.bytes() < 100_000 * 9 * 5, "{} bytes", table.bytes());
    }

    #[test]
    fn marks_of_removed_entries_are_cleaned_before_a_segment_would_double() {
        // Neighbours by number are neighbours in the segment: each removal out of a full row leaves a mark.
        let in_a_row = |number: &u64| (number % 2048) << 32;
        let mut table = Table::default();
        for number in 0..20_000u64 {
            table.insert_unique(in_a_row(&number), number, in_a_row);
            if let Some(old) = number.checked_sub(1_300) {
                assert!(table.remove(in_a_row(&old), |there| *there == old, in_a_row).is_some());
            }
        }
        segments_are_bounded(&table);
        assert_eq!((table.segments.len(), table.len()), (1, 1_300));
    }

    #[test]
    fn removing_gives_the_memory_back() {
        let mut table = Table::default();
        (0..100_000).for_each(|number| insert(&mut table, number));
        (0..100_000).for_each(|number| assert!(remove(&mut table, number)));
        assert_eq!(table.len(), 0);
        assert!(table.bytes() < 20_000, "{} bytes", table.bytes());
        assert_eq!(table.slice(0, 10, scatter).0.len(), 0);
    }

    #[test]
    fn equal_hashes_are_all_kept() {
        let mut table = Table::default();
        (0..5_000u64).for_each(|number| table.insert_unique(u64::MAX, number, |_| u64::MAX));
        assert!((0..5_000).all(|number| table.find(u64::MAX, |there| *there == number).is_some()));
        let (found, next) = table.slice(0, 10, |_| u64::MAX);
        assert_eq!((found.len(), next), (5_000, 0));
    }

    #[test]
    fn a_table_built_at_once_is_one_built_step_by_step() {
        let hash_of = |number: &u32| scatter(&u64::from(*number));
        for count in [0, 1, 2, 1_600, 1_601, 1_792, 1_793, 50_000] {
            let mut table =
                Table::of_numbers(count as usize, 1..=count, hash_of, |a, b| a == b).expect("no number twice");
            assert_eq!(table.len(), count as usize);
            for number in count + 1..=count + 3_000 {
                table.insert_unique(hash_of(&number), number, hash_of);
            }
            let found = |number: u32| table.find(hash_of(&number), |there| *there == number).is_some();
            assert!((1..=count + 3_000).all(found) && !found(0) && !found(count + 3_001), "{count}");
            let (mut seen, mut cursor) = (Vec::new(), 0);
            loop {
                let (some, next) = table.slice(cursor, 100, hash_of);
                seen.extend(some);
                cursor = next;
                if next == 0 {
                    break;
                }
            }
            seen.sort_unstable();
            assert!(seen.into_iter().copied().eq(1..=count + 3_000));
        }
    }

    #[test]
    fn a_table_built_at_once_takes_hashes_that_are_all_the_same_and_refuses_equals() {
        let table = Table::of_numbers(4_000, 1..=4_000, |_| 5, |a, b| a == b).expect("no number twice");
        assert!((1..=4_000).all(|number| table.find(5, |there| *there == number).is_some()));
        let twice =
            Table::of_numbers(4_000, 1..=4_000, |number| u64::from(number % 3_999), |a, b| a % 3_999 == b % 3_999);
        assert_eq!(twice.expect_err("1 and 4000 are the same"), 4_000);
        let late = Table::of_numbers(4_000, 1..=4_000, |_| 5, |a, b| a % 3_999 == b % 3_999);
        assert_eq!(late.expect_err("1 and 4000 are the same"), 4_000);
    }

    #[test]
    fn freeing_goes_in_steps() {
        let mut table = Table::default();
        (0..50_000).for_each(|number| insert(&mut table, number));
        let mut freed = 0;
        loop {
            let step = table.free(2_000);
            assert!(step <= 2_000 + SEGMENT_ENTRIES_MAX);
            if step == 0 {
                break;
            }
            freed += step;
        }
        assert_eq!(freed, 50_000);
        assert_eq!((table.bytes(), holds(&table, 1)), (0, false));
    }

    #[test]
    fn an_empty_table_has_no_allocation() {
        assert_eq!(Table::<u64>::default().bytes(), 0);
    }
}
