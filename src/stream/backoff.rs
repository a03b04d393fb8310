//! How long the stream rests after a failure, and how often it tells. Pure: durations and instants in and out.

use std::time::{Duration, Instant};

/// The first rest after a failure.
const REST_MIN: Duration = Duration::from_millis(100);

/// The longest rest; also the one after a failure that only a human ends.
pub(super) const REST_MAX: Duration = Duration::from_secs(30);

/// The longest rest while the brokers answered not long ago: they are being restarted, or a leader is being chosen.
const REST_MAX_SHORTLY_AFTER: Duration = Duration::from_secs(2);

/// How long ago that may be.
const NOT_LONG_AGO: Duration = Duration::from_secs(120);

/// How often a trouble that lasts is logged.
const REMIND: Duration = Duration::from_secs(60);

/// Exponential back-off.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    answered: Option<Instant>,
}

impl Backoff {
    /// The brokers answered.
    pub(super) fn reset(&mut self, now: Instant) {
        self.failures = 0;
        self.answered = Some(now);
    }

    /// The next rest: doubles from 100 ms to 30 s, to 2 s for two minutes after an answer; `draw` moves it within its
    /// upper half, so that many gates that failed together do not come back together.
    pub(super) fn next(&mut self, now: Instant, draw: u32) -> Duration {
        let recently = self.answered.is_some_and(|answered| now.duration_since(answered) < NOT_LONG_AGO);
        let ceiling = if recently { REST_MAX_SHORTLY_AFTER } else { REST_MAX };
        let whole = REST_MIN.saturating_mul(1 << self.failures.min(16)).min(ceiling);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        half + half.mul_f64(f64::from(draw) / f64::from(u32::MAX))
    }
}

/// Says when a trouble that lasts is worth a log line: at once where it is another one, then each minute.
#[derive(Debug, Default)]
pub(super) struct Reminder(Option<(Instant, String)>);

impl Reminder {
    pub(super) fn due(&mut self, now: Instant, line: &str) -> bool {
        let told = self.0.as_ref().is_some_and(|(told, said)| said == line && now.duration_since(*told) < REMIND);
        if !told {
            self.0 = Some((now, line.to_owned()));
        }
        !told
    }

    /// Whether there was one, which ends here.
    pub(super) fn over(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::now;

    #[test]
    fn rests_double_and_are_short_after_an_answer() {
        let began = now();
        let mut backoff = Backoff::default();
        let rests: Vec<_> = (0..12).map(|_| backoff.next(began, u32::MAX).as_millis()).collect();
        assert_eq!(rests[..4], [100, 200, 400, 800]);
        assert_eq!(rests[11], 30_000);
        backoff.reset(began);
        let rests: Vec<_> = (0..12).map(|_| backoff.next(began, 0).as_millis()).collect();
        assert_eq!((rests[0], rests[11]), (50, 1_000));
        assert_eq!(backoff.next(began + NOT_LONG_AGO, u32::MAX), REST_MAX);
    }

    #[test]
    fn a_trouble_is_told_once_and_then_each_minute() {
        let began = now();
        let mut reminder = Reminder::default();
        let due = [(0, "a"), (59, "a"), (60, "a"), (61, "b"), (62, "b")];
        let due = due.map(|(after, line)| reminder.due(began + Duration::from_secs(after), line));
        assert_eq!(due, [true, false, true, true, false]);
        assert!(reminder.over() && !reminder.over());
    }
}
