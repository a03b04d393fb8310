//! The gate's time: the monotonic clock plus an offset that follows the wall slowly. It never steps, in either
//! direction, and never starts before the newest time in the journal.

use std::time::{Duration, Instant};

use crate::edge;
use crate::ids::Millis;
use crate::sabotage::{Sabotage, on};

/// While it is off, the gate's time runs this part of a second per second faster or slower than the monotonic clock.
const SLEW_PARTS: i128 = 100;

/// The loop's clock.
#[derive(Debug)]
pub struct GateClock {
    started: Instant,
    /// The gate's time when `started` was taken, moved by slewing, in nanoseconds.
    base_ns: i128,
    slewed_at: Duration,
    last: Millis,
}

impl GateClock {
    /// A clock that shows the wall's time.
    pub fn start() -> GateClock {
        GateClock::start_at(edge::now(), edge::wall())
    }

    fn start_at(started: Instant, wall: Millis) -> GateClock {
        GateClock { started, base_ns: i128::from(wall.0) * 1_000_000, slewed_at: Duration::ZERO, last: wall }
    }

    /// Before anything is decided: goes to `floor`, the newest time in the journal, where the clock is behind that.
    pub fn begin_at(&mut self, floor: Millis) {
        self.begin_after(self.uptime(), floor);
    }

    fn begin_after(&mut self, elapsed: Duration, floor: Millis) {
        let behind_ms = i128::from(floor.0) - i128::from(self.now_after(elapsed).0);
        self.base_ns += behind_ms.max(0) * 1_000_000;
    }

    /// The time. Never earlier than the answer before.
    pub fn now(&mut self) -> Millis {
        self.now_after(self.uptime())
    }

    fn now_after(&mut self, elapsed: Duration) -> Millis {
        let ns = self.base_ns + elapsed.as_nanos() as i128;
        self.last = self.last.max(Millis((ns / 1_000_000) as i64));
        self.last
    }

    /// Since the clock was started: for figures and idle times, not for decisions.
    pub fn uptime(&self) -> Duration {
        edge::now().saturating_duration_since(self.started)
    }

    /// The same in microseconds.
    pub fn uptime_us(&self) -> u64 {
        self.uptime().as_micros() as u64
    }

    /// Lets time pass at once.
    #[cfg(test)]
    pub fn pass(&mut self, time: Duration) {
        self.base_ns += time.as_nanos() as i128;
    }

    /// Follows the wall a little; answers by how many milliseconds the gate is ahead of it. Call about ten times a
    /// second.
    pub fn follow_wall(&mut self) -> i64 {
        self.follow(self.uptime(), edge::wall())
    }

    fn follow(&mut self, elapsed: Duration, wall: Millis) -> i64 {
        let ahead_ns = self.base_ns + elapsed.as_nanos() as i128 - i128::from(wall.0) * 1_000_000;
        let step = elapsed.saturating_sub(self.slewed_at).as_nanos() as i128 / SLEW_PARTS;
        self.base_ns -= if on(Sabotage::ClockSteps) { ahead_ns } else { ahead_ns.clamp(-step, step) };
        self.slewed_at = elapsed;
        (ahead_ns / 1_000_000) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const T0: Millis = Millis(1_732_250_000_000);

    fn clock(wall: Millis, floor: Millis) -> GateClock {
        let mut clock = GateClock::start_at(edge::now(), wall);
        clock.begin_after(Duration::ZERO, floor);
        clock
    }

    #[test]
    fn a_wall_that_jumps_moves_the_gate_by_one_part_in_a_hundred() {
        for jump in [-DAY, DAY] {
            let mut clock = clock(T0, Millis(0));
            let mut before = T0;
            for tick in 1..=600_i64 {
                let elapsed = Duration::from_millis(tick as u64 * 100);
                clock.follow(elapsed, Millis(T0.0 + tick * 100 + jump));
                let now = clock.now_after(elapsed);
                assert!(now >= before && now.0 - before.0 <= 102, "no step: {before:?} -> {now:?}");
                before = now;
            }
            assert!((before.0 - T0.0 - 60_000).abs() <= 601);
        }
    }

    #[test]
    fn the_journal_is_the_floor_after_a_restart_with_a_wall_set_back() {
        let mut clock = clock(Millis(T0.0 - DAY), T0);
        assert_eq!(clock.now_after(Duration::ZERO), T0);
        assert_eq!(clock.follow(Duration::from_millis(100), Millis(T0.0 - DAY + 100)), DAY);
    }

    #[test]
    fn a_small_difference_is_closed() {
        let mut clock = clock(T0, Millis(T0.0 + 50));
        for tick in 1..=100 {
            clock.follow(Duration::from_millis(tick * 100), Millis(T0.0 + tick as i64 * 100));
        }
        assert_eq!(clock.follow(Duration::from_millis(10_100), Millis(T0.0 + 10_100)), 0);
    }
}
