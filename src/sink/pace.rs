//! How fast the sink may go, and how long it rests after a failure. Pure: durations in, durations out.

use std::num::NonZeroU32;
use std::time::Duration;

/// The ceilings an operator gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Rows a second; `None` is no ceiling.
    pub rows_per_second: Option<NonZeroU32>,
    /// Transactions a second; `None` is no ceiling.
    pub commits_per_second: Option<NonZeroU32>,
}

impl Pace {
    /// How long to rest after a transaction of `rows` rows that took `took`: so that neither ceiling is passed, and
    /// no database is ever kept busy for more than half of the time.
    pub(super) fn rest(self, rows: usize, took: Duration) -> Duration {
        let share = |amount: usize, per_second: Option<NonZeroU32>| match per_second {
            None => Duration::ZERO,
            Some(ceiling) => Duration::from_secs(1) * u32::try_from(amount).unwrap_or(u32::MAX) / ceiling.get(),
        };
        let turn = share(rows, self.rows_per_second).max(share(1, self.commits_per_second));
        turn.saturating_sub(took).max(took)
    }
}

/// The first rest after a failure.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest rest; also the one after a failure that only a human ends.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Exponential back-off.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next rest: doubles from 100 ms to 30 s; `draw` moves it within its upper half, so that many sinks that
    /// failed together do not come back together.
    pub(super) fn next(&mut self, draw: u32) -> Duration {
        let whole = BACKOFF_MIN.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        half + half.mul_f64(f64::from(draw) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { rows_per_second: NonZeroU32::new(20_000), commits_per_second: NonZeroU32::new(20) };
    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn neither_ceiling_is_passed() {
        assert_eq!(PACE.rest(1, NO_TIME), Duration::from_millis(50), "20 transactions a second");
        let slow = Pace { rows_per_second: NonZeroU32::new(100), ..PACE };
        assert_eq!(slow.rest(1000, NO_TIME), Duration::from_secs(10), "100 rows a second");
        assert_eq!(PACE.rest(1, Duration::from_millis(20)), Duration::from_millis(30), "the time it took counts");
    }

    #[test]
    fn without_a_ceiling_there_is_no_rest() {
        let free = Pace { rows_per_second: None, commits_per_second: None };
        assert_eq!(free.rest(1000, NO_TIME), NO_TIME);
    }

    #[test]
    fn a_slow_database_has_half_of_the_time_for_others() {
        let slow = Duration::from_millis(300);
        assert_eq!(PACE.rest(1000, slow), slow);
    }

    #[test]
    fn rests_double_to_half_a_minute_and_start_again() {
        let mut backoff = Backoff::default();
        let whole: Vec<u128> = (0..11).map(|_| backoff.next(u32::MAX).as_millis()).collect();
        assert_eq!(whole, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.next(0).as_millis(), 50, "a draw halves it at most");
    }
}
