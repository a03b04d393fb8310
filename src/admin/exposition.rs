//! The figures as Prometheus text. Counters and gauges are copied from `metrics::Figures` at each scrape; histograms
//! are recorded where things happen (`metrics::histogram!`) and kept by one recorder of the whole process.
//! If a name changes, the CHANGELOG says so: dashboards and alerts hang on it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, with_local_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::metrics::{CampaignFigures, Figures, SPREAD_BOUNDS_US};
use crate::snapshots::SnapshotFigures;
use crate::watermark::Watermarks;

/// Seconds: from a fast NVMe's fsync to one that makes people call.
const FSYNC_SECONDS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// Seconds of one transaction.
const LEDGER_SECONDS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// Events.
const BATCH_EVENTS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 50_000.0];

const HISTOGRAMS: [(&str, &[f64], &str); 3] = [
    ("coupon_gate_fsync_seconds", FSYNC_SECONDS, "Write and sync of one journal batch"),
    ("coupon_gate_commit_batch_events", BATCH_EVENTS, "Events in one journal batch"),
    ("coupon_gate_ledger_commit_seconds", LEDGER_SECONDS, "One transaction of the ledger"),
];

/// Renders one process's figures.
pub(super) struct Exposition {
    figures: Arc<Figures>,
    watermarks: Arc<Watermarks>,
    ledger: bool,
    stream: bool,
    histograms: &'static PrometheusHandle,
}

impl Exposition {
    pub(super) fn new(figures: Arc<Figures>, watermarks: Arc<Watermarks>, ledger: bool, stream: bool) -> Exposition {
        Exposition { figures, watermarks, ledger, stream, histograms: histograms() }
    }

    /// Everything, as of `wall_ms`.
    pub(super) fn text(&self, wall_ms: i64) -> String {
        // A recorder of this scrape's own: a campaign that is gone leaves no series behind.
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            self.process(wall_ms);
            for (line, figures) in self.campaigns() {
                campaign(line, figures);
            }
        });
        recorder.handle().render() + &self.histograms.render() + &self.command_seconds()
    }

    /// Counted by the loop itself: the recorder would take longer over an answer than the gate.
    fn command_seconds(&self) -> String {
        let (below, count, sum_us) = self.figures.command_seconds.cumulated();
        let name = "coupon_gate_command_seconds";
        let mut text =
            format!("# HELP {name} From a command's decision until its answer may leave\n# TYPE {name} histogram\n");
        for (bound_us, below) in SPREAD_BOUNDS_US.into_iter().zip(below) {
            let bound = Duration::from_micros(bound_us).as_secs_f64();
            text += &format!("{name}_bucket{{le=\"{bound}\"}} {below}\n");
        }
        let sum = Duration::from_micros(sum_us).as_secs_f64();
        text + &format!("{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}\n\n")
    }

    /// Folds recorded samples into buckets: without it they pile up between scrapes.
    pub(super) fn upkeep(&self) {
        self.histograms.run_upkeep();
    }

    fn campaigns(&self) -> Vec<(String, CampaignFigures)> {
        self.figures.campaigns.iter().map(|entry| (label(entry.key()), *entry.value())).collect()
    }

    fn process(&self, wall_ms: i64) {
        let figures = &self.figures;
        describe_gauge!("coupon_gate_build_info", "1; the label tells the version");
        gauge!("coupon_gate_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);

        describe_gauge!("coupon_gate_lsn", "How far each stage has come along the line of changes");
        let marks = &self.watermarks;
        let stages = [("applied", &marks.applied), ("staged", &marks.staged), ("durable", &marks.durable)];
        let published = self.stream.then_some(("published", &marks.published));
        let stored = self.ledger.then_some(("stored", &marks.stored));
        for (stage, mark) in stages.into_iter().chain(published).chain(stored) {
            gauge!("coupon_gate_lsn", "stage" => stage).set(number(mark.get().get()));
        }

        describe_counter!("coupon_gate_commands_total", "Commands called since start");
        for entry in &figures.commands {
            counter!("coupon_gate_commands_total", "command" => *entry.key()).absolute(*entry.value());
        }
        describe_gauge!("coupon_gate_connected_clients", "Connections open");
        gauge!("coupon_gate_connected_clients").set(number(figures.connected_clients.get()));
        describe_gauge!("coupon_gate_journal_bytes", "Bytes of all journal segments");
        gauge!("coupon_gate_journal_bytes").set(number(figures.journal_bytes.get()));
        describe_gauge!("coupon_gate_clock_offset_seconds", "What the gate's time is ahead of the wall clock");
        let ahead_ms = figures.clock_ahead_ms.get();
        gauge!("coupon_gate_clock_offset_seconds").set(seconds(ahead_ms));
        describe_gauge!("coupon_gate_stale", "1 while writes are refused: the journal is older than the world");
        gauge!("coupon_gate_stale").set(flag(figures.stale.load(Ordering::Acquire)));
        describe_gauge!("coupon_gate_ready", "1 while claims are decided, or refused for a reason of their own");
        let is_stale = figures.stale.load(Ordering::Acquire);
        gauge!("coupon_gate_ready").set(flag(figures.ready.load(Ordering::Acquire) && !is_stale));
        trouble("journal", &figures.journal_trouble.get());
        snapshots(&marks.snapshots.figures());

        let gate_ms = wall_ms.saturating_add(ahead_ms);
        if self.stream {
            stream(figures, gate_ms);
        }
        if self.ledger {
            ledger(figures, gate_ms);
        }
    }
}

/// Whether something is wrong with a part; `INFO` says what.
fn trouble(part: &'static str, line: &str) {
    describe_gauge!("coupon_gate_trouble", "1 while this part does not advance; INFO says why");
    gauge!("coupon_gate_trouble", "part" => part).set(flag(!line.is_empty()));
}

/// What the compactor leaves.
fn snapshots(figures: &SnapshotFigures) {
    trouble("snapshot", &figures.trouble);
    describe_gauge!("coupon_gate_snapshot_in_progress", "1 while a snapshot is being made or waits for its turn");
    gauge!("coupon_gate_snapshot_in_progress").set(flag(figures.in_progress()));
    describe_counter!("coupon_gate_snapshots_total", "Snapshots made since start");
    counter!("coupon_gate_snapshots_total").absolute(figures.made);
    describe_counter!("coupon_gate_snapshot_failures_total", "Snapshots that came to nothing since start");
    counter!("coupon_gate_snapshot_failures_total").absolute(figures.failures);
    if let Some(ms) = figures.took_ms {
        describe_gauge!("coupon_gate_snapshot_seconds", "How long the last snapshot took");
        gauge!("coupon_gate_snapshot_seconds").set(Duration::from_millis(ms).as_secs_f64());
    }
    if let Some(newest) = figures.newest {
        describe_gauge!("coupon_gate_snapshot_lsn", "The last change that the newest snapshot covers");
        gauge!("coupon_gate_snapshot_lsn").set(number(newest.lsn.get()));
        describe_gauge!("coupon_gate_snapshot_bytes", "Bytes of the newest snapshot");
        gauge!("coupon_gate_snapshot_bytes").set(number(newest.bytes));
        describe_gauge!(
            "coupon_gate_snapshot_timestamp_seconds",
            "Unix time at which the newest snapshot was published"
        );
        gauge!("coupon_gate_snapshot_timestamp_seconds").set(seconds(newest.at.0));
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// What the stream leaves, at `gate_ms` on the gate's own clock.
fn stream(figures: &Figures, gate_ms: i64) {
    trouble("kafka", &figures.kafka_trouble.get());
    describe_gauge!("coupon_gate_oldest_unpublished_seconds", "Age of the oldest grant that is not in Kafka");
    gauge!("coupon_gate_oldest_unpublished_seconds").set(age(figures.oldest_unpublished_at.get(), gate_ms));
    describe_counter!("coupon_gate_kafka_records_total", "Records acknowledged by Kafka since start");
    counter!("coupon_gate_kafka_records_total").absolute(figures.kafka_records.get());
    describe_gauge!("coupon_gate_kafka_in_flight", "Records on their way to Kafka");
    gauge!("coupon_gate_kafka_in_flight").set(number(figures.kafka_in_flight.get()));
    describe_counter!("coupon_gate_kafka_duplicates_total", "Records found twice in the topic since start");
    counter!("coupon_gate_kafka_duplicates_total").absolute(figures.kafka_duplicates.get());
}

/// What the sink leaves.
fn ledger(figures: &Figures, gate_ms: i64) {
    trouble("ledger", &figures.ledger_trouble.get());
    describe_gauge!("coupon_gate_oldest_unstored_seconds", "Age of the oldest grant that is not in the ledger");
    gauge!("coupon_gate_oldest_unstored_seconds").set(age(figures.oldest_unstored_at.get(), gate_ms));
    describe_gauge!("coupon_gate_ledger_lag", "Grants that are published (durable, without Kafka) and not stored");
    gauge!("coupon_gate_ledger_lag").set(number(figures.ledger_lag.get()));
    describe_gauge!("coupon_gate_ledger_pace", "Rows a second that the sink allows itself; 0 is no ceiling");
    gauge!("coupon_gate_ledger_pace").set(number(figures.ledger_pace.get()));
    describe_gauge!("coupon_gate_ledger_drain_seconds", "Seconds until the ledger has caught up, at the rate so far");
    gauge!("coupon_gate_ledger_drain_seconds").set(number(figures.ledger_drain_seconds.get()));
    describe_gauge!("coupon_gate_ledger_paused", "1 while --ledger-pause-when asks for a pause");
    gauge!("coupon_gate_ledger_paused").set(number(figures.ledger_paused.get()));
    describe_counter!("coupon_gate_ledger_rows_total", "Rows committed since start");
    counter!("coupon_gate_ledger_rows_total").absolute(figures.ledger_rows.get());
    describe_counter!("coupon_gate_ledger_duplicates_total", "Records that were in the ledger already, since start");
    counter!("coupon_gate_ledger_duplicates_total").absolute(figures.ledger_duplicates.get());
    describe_counter!("coupon_gate_foreign_records_total", "Records of others passed over since start");
    counter!("coupon_gate_foreign_records_total").absolute(figures.foreign_records.get());
    describe_counter!("coupon_gate_dead_letters_total", "Records put aside since start");
    counter!("coupon_gate_dead_letters_total").absolute(figures.dead_letters.get());
}

/// Seconds from `at` (unix milliseconds; 0 is never) to `gate_ms`.
fn age(at: u64, gate_ms: i64) -> f64 {
    match i64::try_from(at).unwrap_or(i64::MAX) {
        0 => 0.0,
        at => seconds(gate_ms.saturating_sub(at).max(0)),
    }
}

fn campaign(name: String, figures: CampaignFigures) {
    describe_counter!("coupon_gate_granted_total", "Seats given, also those that came back since start");
    counter!("coupon_gate_granted_total", "campaign" => name.clone()).absolute(figures.granted);
    describe_gauge!("coupon_gate_held", "Seats held, to be confirmed");
    gauge!("coupon_gate_held", "campaign" => name.clone()).set(number(figures.held));
    describe_gauge!("coupon_gate_remaining", "Seats free");
    gauge!("coupon_gate_remaining", "campaign" => name.clone()).set(number(figures.remaining));
    describe_counter!("coupon_gate_refused_total", "Claims that gave no new seat, since start");
    let refused = [
        ("soldout", figures.refused_soldout),
        ("already", figures.refused_already),
        ("notopen", figures.refused_notopen),
        ("closed", figures.refused_closed),
    ];
    for (reason, count) in refused {
        counter!("coupon_gate_refused_total", "campaign" => name.clone(), "reason" => reason).absolute(count);
    }
}

/// The exporter takes a backslash for the first half of an escape; two of them are one.
fn label(name: &str) -> String {
    name.replace('\\', r"\\")
}

/// Exact up to 2^53, as Prometheus itself.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn number(figure: u64) -> f64 {
    figure as f64
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// The process's recorder for histograms, installed by the first admin port.
fn histograms() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let mut builder = PrometheusBuilder::new();
        for (name, buckets, _) in HISTOGRAMS {
            let matcher = Matcher::Full(name.into());
            builder = builder.set_buckets_for_metric(matcher, buckets).expect("bucket lists are not empty");
        }
        let handle = builder.install_recorder().expect("no other room installs a recorder");
        for (name, _, about) in HISTOGRAMS {
            describe_histogram!(name, about);
        }
        handle
    })
}
