//! Two clocks, the gate's and ours, and what can be said of one by the other. Pure.

use std::time::Instant;

/// Our time: nanoseconds since a moment before the crowd came.
pub type Nanos = u64;

/// A gate decides by the time at which its turn began, and machines fall asleep now and then.
const CAUTION: Nanos = 100_000_000;

/// The gate's time may run by a hundredth faster or slower than it should, and so may ours.
const CAUTION_PARTS: u64 = 50;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// By how much a time span of the gate's may be shorter or longer than ours.
pub fn caution(span: Nanos) -> Nanos {
    CAUTION + span / CAUTION_PARTS
}

/// The gate's time (`TIME`), which was asked for before the crowd came.
#[derive(Clone, Copy, Debug, Default)]
pub struct GateTime {
    /// What it was, in Unix milliseconds.
    pub told_ms: i64,
    /// When it was asked for.
    pub asked: Nanos,
    /// When the answer came.
    pub heard: Nanos,
}

impl GateTime {
    /// Whether the gate's time can have been `at_ms` at some moment from `from` to `to`.
    pub fn can_be(&self, at_ms: i64, from: Nanos, to: Nanos) -> bool {
        let (shortest, longest) = (from.saturating_sub(self.heard), to.saturating_sub(self.asked));
        let earliest = millis(shortest) - millis(caution(shortest));
        let latest = millis(longest) + millis(caution(longest)) + 1;
        (earliest..=latest).contains(&at_ms.saturating_sub(self.told_ms))
    }
}

fn millis(span: Nanos) -> i64 {
    i64::try_from(span / NANOS_PER_MILLI).expect("nanoseconds have 64 bits")
}

/// Milliseconds as our time.
pub fn nanos(ms: u32) -> Nanos {
    u64::from(ms) * NANOS_PER_MILLI
}

/// Our time at `now`.
pub fn nanos_since(epoch: Instant, now: Instant) -> Nanos {
    u64::try_from(now.saturating_duration_since(epoch).as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_the_gate_told_is_believed_within_reason() {
        let time = GateTime { told_ms: 1_732_250_000_000, asked: nanos(3), heard: nanos(5) };
        let can_be =
            |after_ms: i64| time.can_be(1_732_250_000_000_i64.saturating_add(after_ms), nanos(1005), nanos(1010));
        assert!(can_be(1000) && can_be(1005) && can_be(1007));
        assert!(can_be(900) && can_be(1100), "a sleep here or there");
        assert!(!can_be(800) && !can_be(1200) && !can_be(i64::MIN) && !can_be(i64::MAX));
    }
}
