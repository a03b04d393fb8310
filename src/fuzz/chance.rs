//! Chance that can be had again, and what came of an input, folded into a number.

/// A small generator of random numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The same seed, the same numbers.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// Numbers that belong to `bytes`.
    pub fn of(bytes: &[u8]) -> Chance {
        Chance(bytes.iter().fold(bytes.len() as u64, |sum, byte| mixed(sum ^ u64::from(*byte))))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// 0..bound; 0 where there is nothing to choose.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.any() % bound as u64) as usize }
    }

    /// True once in `odds` times.
    pub fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    /// One of `items`, which are not none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Up to `longest` bytes, often few, often letters.
    pub fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let longest = if self.one_in(2) { longest.min(8) } else { longest };
        let (len, letters) = (self.below(longest + 1), self.one_in(2));
        (0..len).map(|_| if letters { b'a' + self.below(26) as u8 } else { self.any() as u8 }).collect()
    }

    /// A number of any size, often one where something changes.
    pub fn number(&mut self) -> u64 {
        const EDGES: [u64; 12] = [
            0,
            1,
            9,
            255,
            256,
            65_535,
            u32::MAX as u64,
            u32::MAX as u64 + 1,
            i64::MAX as u64,
            i64::MIN as u64,
            u64::MAX - 1,
            u64::MAX,
        ];
        match self.below(4) {
            0 => *self.pick(&EDGES),
            1 => self.any(),
            _ => self.any() % 100,
        }
    }
}

fn mixed(mut mixed: u64) -> u64 {
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What came of an input: inputs of the same trace went the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trace(u64);

impl Trace {
    /// And then this.
    pub fn and(self, step: u64) -> Trace {
        Trace(mixed(self.0.wrapping_mul(31).wrapping_add(step + 1)))
    }

    /// And then something that shows itself as this text; numbers in it do not count.
    pub fn and_text(self, text: &str) -> Trace {
        text.bytes().filter(|byte| !byte.is_ascii_digit()).fold(self, |trace, byte| trace.and(u64::from(byte)))
    }
}
