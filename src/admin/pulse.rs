//! Whether the loop turns, told from the number it leaves at each turn. Pure: time is an argument.

use std::time::Duration;

/// The last turn seen and when it was first seen.
#[derive(Debug)]
pub(super) struct Pulse {
    still_max: Duration,
    turn: u64,
    since: Duration,
}

impl Pulse {
    pub(super) fn new(still_max: Duration) -> Pulse {
        Pulse { still_max, turn: 0, since: Duration::ZERO }
    }

    /// Looks at the loop's last `turn` at time `at`; `None` if all is well, else for how long it has stood still.
    /// Turn 0 is before the first one: there is nothing to stand still.
    pub(super) fn look(&mut self, turn: u64, at: Duration) -> Option<Duration> {
        if turn != self.turn {
            self.turn = turn;
            self.since = at;
        }
        let still = at.saturating_sub(self.since);
        (turn != 0 && still > self.still_max).then_some(still)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_loop_that_stands_still_is_noticed_and_forgiven_when_it_turns() {
        let mut pulse = Pulse::new(seconds(5));
        assert_eq!(pulse.look(0, seconds(100)), None, "not begun, however long that takes");
        assert_eq!(pulse.look(1, seconds(101)), None);
        assert_eq!(pulse.look(1, seconds(106)), None, "the last moment");
        assert_eq!(pulse.look(1, seconds(107)), Some(seconds(6)));
        assert_eq!(pulse.look(2, seconds(108)), None);
    }
}
