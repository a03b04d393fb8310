//! How much waits, and how long that will take: told while it lasts.

use std::time::{Duration, Instant};

/// A backlog is worth a line when it has lasted so long.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// How often it is told.
const TELL: Duration = Duration::from_secs(10);

/// The backlog of the moment.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    since: Option<Instant>,
    told: Option<Instant>,
    /// Rows stored since `since`.
    rows: u64,
}

impl Backlog {
    /// A transaction of `rows` rows was stored, and more than one more is waiting if `is_behind`. Whether it is time to tell.
    pub(super) fn stored(&mut self, rows: usize, is_behind: bool, now: Instant) -> bool {
        if !is_behind {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        self.rows += rows as u64;
        let due = self.told.is_none_or(|told| now.duration_since(told) >= TELL);
        now.duration_since(since) >= WORTH_TELLING && due
    }

    /// Tells that `behind` records wait. `rate` is the pace of the moment, in rows a second; 0 is no ceiling. How many
    /// seconds they will take.
    pub(super) fn tell(&mut self, behind: u64, rate: u64, now: Instant) -> u64 {
        self.told = Some(now);
        let so_far = self.since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
        let measured = self.rows as f64 / so_far.max(1.0);
        let seconds = behind as f64 / measured.max(1.0);
        let ceiling = if rate == 0 { String::new() } else { format!(" of at most {rate}") };
        tracing::info!(
            "ledger: {behind} records behind; stores {measured:.0} rows/s{ceiling}, about {seconds:.0} s to go"
        );
        seconds.ceil() as u64
    }

    /// Nothing waits.
    pub(super) fn over(&mut self) {
        if self.told.is_some() {
            tracing::info!("ledger: has caught up");
        }
        *self = Backlog::default();
    }
}
