//! How fast the sink may go, and how long it rests after a failure. Pure: times in, times out.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The ceilings an operator gave. Without any there is no pacing at all: the database is kept busy until all is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Rows a second; `None` is no ceiling.
    pub rows_per_second: Option<NonZeroU32>,
    /// Transactions a second; `None` is no ceiling.
    pub commits_per_second: Option<NonZeroU32>,
}

impl Pace {
    /// Whether the operator wants no pacing.
    fn is_free(self) -> bool {
        self.rows_per_second.is_none() && self.commits_per_second.is_none()
    }

    /// The share of time that a transaction of `rows` rows may have.
    fn turn(self, rows: usize) -> Duration {
        let share = |amount: usize, per_second: Option<NonZeroU32>| match per_second {
            None => Duration::ZERO,
            Some(ceiling) => Duration::from_secs(1) * u32::try_from(amount).unwrap_or(u32::MAX) / ceiling.get(),
        };
        share(rows, self.rows_per_second).max(share(1, self.commits_per_second))
    }
}

/// Rows of one transaction: beyond this, longer transactions gain nothing and hold locks longer.
pub(super) const ROWS_PER_TRANSACTION: usize = 1000;

/// Rows of one transaction where nobody else is to be considered: each costs some round trips beside its rows.
const ROWS_PER_TRANSACTION_FREE: usize = 4000;

/// Rows of one transaction that is kept short: fewer gain nothing, each has a sync of its own.
const ROWS_PER_TRANSACTION_MIN: usize = 50;

/// What 19 of 20 transactions should stay below: a transaction of 1000 rows takes 10 to 30 ms where nobody else wants
/// the database, and a site's own queries notice when its redo log and its disk are kept longer than this.
pub(super) const COMMIT_TARGET: Duration = Duration::from_millis(50);

/// How far back transactions are looked at.
const WINDOW: Duration = Duration::from_secs(5);

/// How often the rate is adjusted: a second has seen some transactions at the last rate.
const ADJUST: Duration = Duration::from_secs(1);

/// The sink goes on with this part of its ceiling however slow the database is: so that it comes to an end.
const PART_MIN: f64 = 1.0 / 20.0;

/// The ceiling where the operator set none, once the database was slow; as often as it is not, it is raised again.
const NO_CEILING: f64 = 1e9;

/// Statements a second from which on others count as users of the database: a gate that looks how far the ledger is, and
/// somebody's monitoring, stay below.
const OTHERS_PER_SECOND: f64 = 10.0;

/// Rows a second for a backlog where others use the database: a million in less than five minutes, which is about a
/// twentieth of what such a database can do.
const ROWS_PER_SECOND_BESIDE_OTHERS: f64 = 3_500.0;

/// Such a backlog goes in transactions so many times as long, and as much rarer: a statement of somebody else notices that
/// there is one, hardly how long it is.
const LONGER_BESIDE_OTHERS: usize = 3;

/// Rows that go at the ceiling all the same: those of a crowd, which are over in a second.
const CROWD_ROWS: f64 = 20_000.0;

/// Time that was not used and is made up for: a crowd's first rows find the sink idle, and a ceiling is not passed by
/// more than a tenth of a second's worth.
const CREDIT: Duration = Duration::from_millis(100);

/// The pace of the moment: the ceilings, and beneath them what the database bears. Additive increase, multiplicative
/// decrease, on the time that transactions take.
#[derive(Debug)]
pub(super) struct Throttle {
    pace: Pace,
    /// Rows a second.
    rate: f64,
    /// When each transaction ended, how long it took, its rows.
    recent: VecDeque<(Instant, Duration, usize)>,
    adjusted: Option<Instant>,
    /// When the shares of all transactions so far are used up.
    due: Option<Instant>,
    /// Somebody else uses the database.
    others: bool,
    /// Rows of a crowd that are left, and since when; below zero while a backlog is paid off.
    crowd: (f64, Option<Instant>),
}

impl Throttle {
    /// Starts at the ceiling.
    pub(super) fn new(pace: Pace) -> Throttle {
        Throttle {
            pace,
            rate: Throttle::ceiling(pace),
            recent: VecDeque::new(),
            adjusted: None,
            due: None,
            others: false,
            crowd: (CROWD_ROWS, None),
        }
    }

    fn ceiling(pace: Pace) -> f64 {
        pace.rows_per_second.map_or(NO_CEILING, |rows| f64::from(rows.get()))
    }

    /// Rows a second at the moment; 0 is no ceiling.
    pub(super) fn rate(&self) -> u64 {
        let rate = if self.gives_way() { self.rate.min(ROWS_PER_SECOND_BESIDE_OTHERS) } else { self.rate };
        if rate >= NO_CEILING { 0 } else { rate as u64 }
    }

    /// A backlog is stored while others use the database.
    fn gives_way(&self) -> bool {
        self.others && self.crowd.0 <= 0.0
    }

    /// Others have run `statements` in the database within `time`.
    pub(super) fn heard(&mut self, statements: u64, time: Duration) {
        self.others = statements as f64 >= OTHERS_PER_SECOND * time.as_secs_f64().max(0.1);
    }

    /// The most rows that a transaction may ever have.
    pub(super) fn batch_max(&self) -> usize {
        if self.pace.is_free() { ROWS_PER_TRANSACTION_FREE } else { ROWS_PER_TRANSACTION * LONGER_BESIDE_OTHERS }
    }

    /// Rows of the next transaction: those of one turn at this rate, so that a slow database gets short ones.
    pub(super) fn batch(&self) -> usize {
        if self.pace.is_free() {
            return self.batch_max();
        }
        let turn = self.pace.turn(1).max(COMMIT_TARGET).as_secs_f64();
        let rows = ((self.rate * turn) as usize).clamp(ROWS_PER_TRANSACTION_MIN, ROWS_PER_TRANSACTION);
        if self.gives_way() { rows * LONGER_BESIDE_OTHERS } else { rows }
    }

    /// A transaction of `rows` rows ended `now`, after `took`: how long to rest, so that neither ceiling is passed, and no
    /// database is ever kept busy for more than half of the time. Without ceilings there is no rest.
    pub(super) fn after(&mut self, rows: usize, took: Duration, now: Instant) -> Duration {
        if self.pace.is_free() {
            return Duration::ZERO;
        }
        if rows > 0 {
            self.recent.push_back((now, took, rows));
            while self.recent.front().is_some_and(|(at, ..)| now.duration_since(*at) > WINDOW) {
                self.recent.pop_front();
            }
            self.adjust(now);
        }
        let share = Duration::from_secs_f64(rows as f64 / self.rate).max(self.pace.turn(rows));
        let earliest = now.checked_sub(took + CREDIT).unwrap_or(now);
        let due = self.due.map_or(earliest, |due| due.max(earliest)) + share;
        self.due = Some(due);
        due.saturating_duration_since(now).max(took).max(self.beside_others(rows, now))
    }

    /// How long a backlog rests after `rows` more of it, where others use the database.
    fn beside_others(&mut self, rows: usize, now: Instant) -> Duration {
        let (left, since) = self.crowd;
        let earned = since.map_or(0.0, |since| now.duration_since(since).as_secs_f64() * ROWS_PER_SECOND_BESIDE_OTHERS);
        let left = ((left + earned).min(CROWD_ROWS) - rows as f64).max(-(self.batch_max() as f64));
        self.crowd = (left, Some(now));
        if self.others && left < 0.0 {
            Duration::from_secs_f64(-left / ROWS_PER_SECOND_BESIDE_OTHERS)
        } else {
            Duration::ZERO
        }
    }

    /// The database refuses for now.
    pub(super) fn congested(&mut self) {
        if self.pace.is_free() {
            return;
        }
        let measured = self.measured();
        self.rate = (self.rate.min(measured) * 0.7).max(self.least());
        self.recent.clear();
    }

    fn adjust(&mut self, now: Instant) {
        let since = *self.adjusted.get_or_insert(now);
        if now.duration_since(since) < ADJUST {
            return;
        }
        self.adjusted = Some(now);
        if self.slow() {
            self.congested();
        } else {
            let ceiling = Throttle::ceiling(self.pace);
            let more = if ceiling < NO_CEILING { ceiling } else { self.rate } * 0.05;
            self.rate = (self.rate + more).min(ceiling);
        }
    }

    /// Whether the 95th percentile is above the target; one slow transaction among few is no trend.
    fn slow(&self) -> bool {
        let mut took: Vec<Duration> = self.recent.iter().map(|(_, took, _)| *took).collect();
        took.sort_unstable();
        let place = (took.len() * 95).div_ceil(100).min(took.len().saturating_sub(1));
        place > 0 && took[place - 1] > COMMIT_TARGET
    }

    /// Rows a second lately, where no ceiling says what to come down from.
    fn measured(&self) -> f64 {
        let rows: usize = self.recent.iter().map(|(.., rows)| rows).sum();
        match (self.rate < NO_CEILING, self.recent.front(), self.recent.back()) {
            (false, Some((first, took, _)), Some((last, ..))) => {
                rows as f64 / (last.duration_since(*first) + *took).as_secs_f64().max(0.001)
            }
            (true, ..) | (false, None, _) | (false, _, None) => self.rate,
        }
    }

    fn least(&self) -> f64 {
        let ceiling = Throttle::ceiling(self.pace);
        if ceiling < NO_CEILING { (ceiling * PART_MIN).max(1.0) } else { 1000.0 }
    }
}

/// The first rest after a failure.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest rest: one connection every few seconds is no load, and who comes back is not kept waiting.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The rest after a failure that only a human ends.
pub(super) const UNTIL_MENDED: Duration = Duration::from_secs(30);

/// Exponential back-off.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next rest: doubles from 100 ms to 5 s; `draw` moves it within its upper half, so that many sinks that
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
    fn neither_ceiling_is_passed_by_more_than_an_idle_moment_is_worth() {
        let commits = Pace { rows_per_second: None, commits_per_second: NonZeroU32::new(20) };
        let rows = Pace { rows_per_second: NonZeroU32::new(1000), commits_per_second: None };
        for (pace, rows, few, many) in [(commits, 1, 200, 203), (rows, 50, 200, 203)] {
            let (mut throttle, began) = (Throttle::new(pace), began());
            let (mut at, mut count) = (NO_TIME, 0);
            while at < Duration::from_secs(10) {
                count += 1;
                at += throttle.after(rows, NO_TIME, began + at);
            }
            assert!((few..=many).contains(&count), "{count} transactions of {rows} rows in ten seconds");
        }
    }

    #[test]
    fn without_a_ceiling_there_is_no_rest() {
        let mut free = Throttle::new(Pace { rows_per_second: None, commits_per_second: None });
        assert_eq!(free.after(1000, Duration::from_secs(1), began()), NO_TIME);
        run(&mut free, began(), 60, |_| 100);
        free.congested();
        assert_eq!((free.rate(), free.batch()), (0, ROWS_PER_TRANSACTION_FREE));
    }

    #[test]
    fn a_slow_database_has_half_of_the_time_for_others() {
        let slow = Duration::from_millis(300);
        assert_eq!(Throttle::new(PACE).after(1000, slow, began()), slow);
    }

    #[test]
    fn rests_double_to_five_seconds_and_start_again() {
        let mut backoff = Backoff::default();
        let whole: Vec<u128> = (0..8).map(|_| backoff.next(u32::MAX).as_millis()).collect();
        assert_eq!(whole, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next(0).as_millis(), 50, "a draw halves it at most");
    }

    /// Runs transactions for `seconds`, each of a full batch, that take `ms(rows)`; answers the rows.
    fn run(throttle: &mut Throttle, began: Instant, seconds: u64, ms: impl Fn(usize) -> u64) -> usize {
        let (mut at, mut rows) = (Duration::ZERO, 0);
        while at < Duration::from_secs(seconds) {
            let batch = throttle.batch();
            let took = Duration::from_millis(ms(batch));
            at += took;
            rows += batch;
            at += throttle.after(batch, took, began + at);
        }
        rows
    }

    fn began() -> Instant {
        crate::edge::now()
    }

    #[test]
    fn an_idle_database_is_filled_at_the_ceiling_from_the_first_row() {
        let mut throttle = Throttle::new(PACE);
        assert_eq!((throttle.batch(), throttle.rate()), (1000, 20_000));
        let rows = run(&mut throttle, began(), 50, |_| 15);
        assert!((990_000..=1_003_000).contains(&rows), "{rows}");
    }

    #[test]
    fn a_database_that_slows_down_gets_fewer_and_shorter_transactions() {
        let (mut throttle, began) = (Throttle::new(PACE), began());
        run(&mut throttle, began, 5, |_| 15);
        let slow = run(&mut throttle, began + Duration::from_secs(10), 30, |rows| 30 + rows as u64 / 10);
        assert!(throttle.rate() < 8_000 && throttle.batch() < 400, "{} {}", throttle.rate(), throttle.batch());
        assert!(slow > 30 * 1000, "the least part goes on: {slow}");
        run(&mut throttle, began + Duration::from_secs(50), 30, |_| 15);
        assert_eq!(throttle.rate(), 20_000, "and it is given the rest back");
    }

    #[test]
    fn a_database_that_is_always_slow_is_filled_all_the_same() {
        let mut throttle = Throttle::new(PACE);
        run(&mut throttle, began(), 60, |_| 100);
        assert_eq!(throttle.rate(), 1000, "a twentieth");
        let rows_free = Pace { rows_per_second: None, ..PACE };
        let mut throttle = Throttle::new(rows_free);
        assert_eq!((throttle.rate(), throttle.batch()), (0, 1000));
        run(&mut throttle, began(), 60, |_| 100);
        assert_eq!(throttle.rate(), 1000, "without a ceiling on rows, what was measured is what it comes down from");
    }

    #[test]
    fn beside_others_a_crowd_goes_at_the_ceiling_and_a_backlog_gives_way() {
        let (mut throttle, began) = (Throttle::new(PACE), began());
        throttle.heard(1000, Duration::from_secs(2));
        let crowd = run(&mut throttle, began, 1, |_| 15);
        assert!((19_000..=24_000).contains(&crowd), "{crowd} rows in the first second");
        let backlog = run(&mut throttle, began + Duration::from_secs(1), 100, |rows| rows as u64 / 90);
        assert!((330_000..=360_000).contains(&backlog), "{backlog} rows in a hundred seconds");
        assert_eq!(throttle.batch(), ROWS_PER_TRANSACTION * LONGER_BESIDE_OTHERS, "rare transactions");
        throttle.heard(15, Duration::from_secs(2));
        let alone = run(&mut throttle, began + Duration::from_secs(101), 10, |_| 15);
        assert!((190_000..=205_000).contains(&alone), "{alone} rows in ten seconds when the others have gone");
    }

    #[test]
    fn one_slow_transaction_is_no_trend_and_a_refusal_is() {
        let (mut throttle, began) = (Throttle::new(PACE), began());
        throttle.after(1000, Duration::from_millis(900), began);
        run(&mut throttle, began + Duration::from_secs(1), 3, |_| 15);
        assert_eq!(throttle.rate(), 20_000);
        throttle.congested();
        assert_eq!(throttle.rate(), 14_000);
    }
}
