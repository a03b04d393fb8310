//! # metrics - the figures that threads leave for each other
//! Plain atomics and one map. The loop writes at most once a turn and never waits; the admin thread and `INFO` read.
//! May use: `ids`.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;

/// A number that one thread sets and others read.
#[derive(Debug, Default)]
pub struct Figure(AtomicU64);

impl Figure {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// A line for humans about something that is wrong at the moment; empty while all is well.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<String>);

impl Trouble {
    /// The line, or nothing.
    pub fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets or (with an empty line) clears it.
    pub fn set(&self, line: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = line.into();
    }
}

/// Upper bounds of a [`Spread`]'s buckets, in microseconds: from an answer out of memory to a client's time-out.
pub const SPREAD_BOUNDS_US: [u64; 16] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];

/// How long things took, as a Prometheus histogram tells it; cheap enough for every answer.
#[derive(Debug, Default)]
pub struct Spread {
    counts: [Figure; SPREAD_BOUNDS_US.len() + 1],
    sum_us: Figure,
}

impl Spread {
    /// `count` things took `us` microseconds each.
    pub fn add(&self, us: u64, count: u64) {
        let bucket = SPREAD_BOUNDS_US.partition_point(|&bound| bound < us);
        self.counts[bucket].add(count);
        self.sum_us.add(us * count);
    }

    /// How many took at most each bound, then how many there were, and their sum in microseconds.
    pub fn cumulated(&self) -> ([u64; SPREAD_BOUNDS_US.len()], u64, u64) {
        let mut sum = 0;
        let below = std::array::from_fn(|bucket| {
            sum += self.counts[bucket].get();
            sum
        });
        (below, sum + self.counts[SPREAD_BOUNDS_US.len()].get(), self.sum_us.get())
    }
}

/// What the loop tells about one campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignFigures {
    /// Seats given: those that somebody had at the start, and each one since, also if it came back.
    pub granted: u64,
    /// Seats free.
    pub remaining: u64,
    /// Seats held.
    pub held: u64,
    /// Claims answered, of every kind.
    pub claims: u64,
    /// Claims answered `SOLDOUT`.
    pub refused_soldout: u64,
    /// Claims answered `ALREADY`.
    pub refused_already: u64,
    /// Claims answered `NOTOPEN`.
    pub refused_notopen: u64,
    /// Claims answered `CLOSED`.
    pub refused_closed: u64,
}

/// How far the loading of the data is, at start.
#[derive(Debug, Default)]
pub struct Loading {
    /// It goes on: what needs data is refused.
    pub on: AtomicBool,
    /// When it began, in Unix milliseconds.
    pub began_at: Figure,
    /// Bytes to load.
    pub bytes_total: Figure,
    /// Bytes loaded. Where these are all, the gate is about to open.
    pub bytes_loaded: Figure,
    /// The last position applied.
    pub lsn: Figure,
}

/// All figures of one process.
#[derive(Debug, Default)]
pub struct Figures {
    /// By campaign name; at most `limits::FIGURES_CAMPAIGNS_MAX` and `other`.
    pub campaigns: DashMap<String, CampaignFigures>,
    /// Calls by command name, in the order of the command table.
    pub commands: DashMap<&'static str, u64>,
    /// From a command's decision until its answer may leave.
    pub command_seconds: Spread,
    /// What happens before that.
    pub loading: Loading,
    /// Replay is done and claims are answered.
    pub ready: AtomicBool,
    /// Milliseconds on the process's own monotonic clock at the loop's last turn.
    pub last_turn: Figure,
    /// Connections open.
    pub connected_clients: Figure,
    /// Bytes of all journal segments.
    pub journal_bytes: Figure,
    /// What the gate's time is ahead of the wall clock, in milliseconds.
    pub clock_ahead_ms: ClockAhead,
    /// Why writes are refused at the moment (`MISCONF`).
    pub journal_trouble: Trouble,
    /// Rows the sink has committed since start.
    pub ledger_rows: Figure,
    /// Transactions the sink has committed since start.
    pub ledger_commits: Figure,
    /// Rows in `coupon_dead_letter` written since start.
    pub dead_letters: Figure,
    /// Unix milliseconds of the oldest grant that is durable and not stored; 0 is none.
    pub oldest_unstored_at: Figure,
    /// Why the ledger does not advance at the moment.
    pub ledger_trouble: Trouble,
    /// Records of the source that were in the ledger already, since start.
    pub ledger_duplicates: Figure,
    /// Records of the source with headers that are not ours, since start.
    pub foreign_records: Figure,
    /// Rows a second that the sink allows itself at the moment; 0 is no ceiling.
    pub ledger_pace: Figure,
    /// Grants that are published (or durable, without Kafka) and not stored.
    pub ledger_lag: Figure,
    /// Seconds until nothing waits, at the rate of the backlog so far; 0 while there is none to speak of.
    pub ledger_drain_seconds: Figure,
    /// 1 while `--ledger-pause-when` asks for a pause.
    pub ledger_paused: Figure,
    /// Records acknowledged by Kafka since start.
    pub kafka_records: Figure,
    /// Records on their way to Kafka.
    pub kafka_in_flight: Figure,
    /// Records found twice in the topic, since start.
    pub kafka_duplicates: Figure,
    /// Unix milliseconds of the oldest grant that is durable and not published; 0 is none.
    pub oldest_unpublished_at: Figure,
    /// Why the stream does not advance at the moment.
    pub kafka_trouble: Trouble,
    /// The journal is older than the world around it: claims are refused. `stale_because` says why.
    pub stale: AtomicBool,
    /// See `stale`.
    pub stale_because: Trouble,
}

impl Figures {
    /// The journal is older than the world around it, as `line` says: no claim is decided until the process is started
    /// again. The first reason stays.
    pub fn set_stale(&self, line: impl Into<String>) {
        if !self.stale.load(Ordering::Acquire) {
            self.stale_because.set(line);
            self.stale.store(true, Ordering::Release);
        }
    }
}

/// A signed [`Figure`].
#[derive(Debug, Default)]
pub struct ClockAhead(AtomicI64);

impl ClockAhead {
    /// Its value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }
}
