//! # edge - where time and chance come in
//! The clocks and the random numbers of the system, behind one door. A simulation stands in that door for its own thread:
//! it hands out times and numbers of its own, a wait becomes time that has passed, and nothing starts a thread.
//! May use: `ids`.

use std::time::{Duration, Instant};

use crate::ids::Millis;

/// The monotonic clock.
#[inline]
#[expect(clippy::disallowed_methods, reason = "the edge where monotonic time comes in")]
pub fn now() -> Instant {
    #[cfg(any(test, feature = "sim"))]
    if let Some(now) = simulated::now() {
        return now;
    }
    Instant::now()
}

/// The wall clock, for people, and for what people's clocks are compared with.
#[expect(clippy::disallowed_methods, reason = "the edge where the wall's time comes in")]
pub fn wall() -> Millis {
    #[cfg(any(test, feature = "sim"))]
    if let Some(wall) = simulated::wall() {
        return wall;
    }
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Bytes that nobody can foresee.
///
/// # Errors
/// The system has none.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    #[cfg(any(test, feature = "sim"))]
    if simulated::fill(&mut bytes) {
        return Ok(bytes);
    }
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A number that spreads what would otherwise happen at once; where there is no chance, the highest.
pub fn draw() -> u32 {
    random().map_or(u32::MAX, u32::from_le_bytes)
}

/// Whether this thread lives in a simulation: then it turns by hand what has threads elsewhere.
pub fn is_simulated() -> bool {
    #[cfg(any(test, feature = "sim"))]
    return simulated::now().is_some();
    #[cfg(not(any(test, feature = "sim")))]
    false
}

/// In a simulation `time` has passed with this, and there is nothing to wait for: true. False in the real world.
pub fn passes(time: Duration) -> bool {
    #[cfg(any(test, feature = "sim"))]
    return simulated::pass(time);
    #[cfg(not(any(test, feature = "sim")))]
    {
        let _waited_for = time;
        false
    }
}

/// Another world's time and chance, for the thread that sets them.
#[cfg(any(test, feature = "sim"))]
pub mod simulated {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use crate::ids::Millis;

    /// What the thread's world is like.
    #[derive(Clone, Copy)]
    struct World {
        began: Instant,
        elapsed: Duration,
        /// What the wall shows when nothing has elapsed, in milliseconds.
        wall: i64,
        chance: u64,
    }

    thread_local! {
        static WORLD: Cell<Option<World>> = const { Cell::new(None) };
    }

    /// Begins a world on this thread: `wall` is its first wall time, `chance` seeds its random numbers.
    pub fn begin(wall: Millis, chance: u64) {
        #[expect(clippy::disallowed_methods, reason = "an origin: only differences to it are ever told")]
        let began = Instant::now();
        WORLD.set(Some(World { began, elapsed: Duration::ZERO, wall: wall.0, chance }));
    }

    /// The real world again.
    pub fn end() {
        WORLD.set(None);
    }

    /// The simulated monotonic clock, if there is one.
    pub fn now() -> Option<Instant> {
        WORLD.get().map(|world| world.began + world.elapsed)
    }

    /// How long the world has been there.
    pub fn elapsed() -> Duration {
        WORLD.get().map_or(Duration::ZERO, |world| world.elapsed)
    }

    /// The simulated wall clock, if there is one.
    pub fn wall() -> Option<Millis> {
        WORLD.get().map(|world| Millis(world.wall + i64::try_from(world.elapsed.as_millis()).unwrap_or(i64::MAX / 2)))
    }

    /// Time passes, on both clocks; false in the real world.
    pub fn pass(time: Duration) -> bool {
        change(|world| world.elapsed += time)
    }

    /// The wall clock alone jumps by so many milliseconds.
    pub fn jump(by: i64) -> bool {
        change(|world| world.wall += by)
    }

    /// Random bytes of the simulated world; false in the real one.
    pub fn fill(bytes: &mut [u8]) -> bool {
        change(|world| {
            for piece in bytes.chunks_mut(8) {
                world.chance = world.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (world.chance ^ (world.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                piece.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..piece.len()]);
            }
        })
    }

    fn change(change: impl FnOnce(&mut World)) -> bool {
        let mut world = WORLD.get();
        world.as_mut().map(change);
        let there = world.is_some();
        WORLD.set(world);
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_world_has_its_own_time_and_chance_and_ends() {
        let tell = || {
            simulated::begin(Millis(1_000), 7);
            let began = now();
            assert!(is_simulated() && passes(Duration::from_millis(250)));
            simulated::jump(-100);
            (now() - began, wall(), random::<20>().expect("there is chance"), draw())
        };
        let told = tell();
        assert_eq!((told.0, told.1), (Duration::from_millis(250), Millis(1_150)));
        assert_eq!(tell(), told);
        simulated::end();
        assert!(!is_simulated() && !passes(Duration::from_millis(1)) && wall() > Millis(1_000_000));
    }
}
