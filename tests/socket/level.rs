//! How much is tried, with which luck, and how long something may take.

use std::time::{Duration, Instant};

/// How long an event is waited for before it counts as missing; generous: two slow cores run everything at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// `few` rounds at `TEST_LEVEL=quick`, `many` at `full`.
pub fn rounds(few: usize, many: usize) -> usize {
    match std::env::var("TEST_LEVEL").as_deref() {
        Err(_) | Ok("quick") => few,
        Ok("full") => many,
        Ok(other) => panic!("TEST_LEVEL is '{other}', but quick or full is needed"),
    }
}

/// Asks `ready` until it answers, at most `PATIENCE`.
pub fn until<T>(what: &str, ready: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ready)
}

/// Asks `ready` until it answers, at most `bound`.
pub fn within<T>(bound: Duration, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {bound:?}: {what}");
        // The other process tells nobody when it is ready, so it is asked again after a breath.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A small generator of random numbers (splitmix64): the same seed gives the same run.
#[derive(Clone, Debug)]
pub struct Luck(u64);

impl Luck {
    /// From `TEST_SEED`, or drawn; printed, so that it stands in the output of a test that fails.
    pub fn new(test: &str) -> Luck {
        let drawn = || Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id()) ^ now_ms() as u64;
        let seed =
            std::env::var("TEST_SEED").ok().map_or_else(drawn, |seed| seed.parse().expect("TEST_SEED is a number"));
        eprintln!("{test}: TEST_SEED={seed}");
        Luck(seed)
    }

    /// A generator of its own for one worker.
    pub fn fork(&mut self) -> Luck {
        Luck(self.next())
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0..bound
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Shuffles in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

/// The wall clock in Unix milliseconds.
pub fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}
