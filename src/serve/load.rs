//! From files to a gate that may answer: the journal is replayed, the world around is asked whether it is ahead, the
//! stream and the sink start.

use std::io::{self, IsTerminal};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::oneshot;

use super::ServeError;
use crate::core::Core;
use crate::edge;
use crate::ids::{LogId, Lsn};
use crate::journal::{
    self, Campaign, Closed, Compaction, CompactorHandle, Hooks, Journal, JournalError, Open, RealDisk, ReplayProgress,
    Replayed,
};
use crate::kafka::NewTopic;
use crate::ledger::LedgerSettings;
use crate::metrics::{Figures, Loading};
use crate::rank;
use crate::server::{Elsewhere, Loaded, Wake};
use crate::settings::{Appendfsync, Kafka, KafkaKey, KafkaValue, ServeSettings, Sink};
use crate::sink::{
    self, Feed, FollowHandle, FollowOptions, JournalFeed, JournalSource, KafkaFeed, Others, SinkError, SinkHandle,
};
use crate::story::{self, StoryHandle};
use crate::stream::{self, JournalFiles, StreamHandle};
use crate::watermark::Watermarks;
use crate::wire::kafka::{Key, Value};
use crate::wiring;

/// How long the doors stay closed until Kafka has said whether it is ahead of the journal.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// What loading needs, taken to a thread of its own: meanwhile the loop answers what needs no data.
pub(super) struct Load {
    pub settings: Arc<ServeSettings>,
    pub ledger: Option<LedgerSettings>,
    pub journal: Journal<Closed>,
    pub log: LogId,
    pub hooks: Hooks,
    pub wake: Wake,
}

/// The threads that follow the journal.
pub(super) struct Helpers {
    compactor: CompactorHandle,
    story: StoryHandle,
    stream: Option<StreamHandle>,
    sink: Option<Filler>,
}

impl Helpers {
    /// Ends them; what they do not get done in `patience` each is done after the next start, unless `figures` tell of a
    /// trouble that keeps them from it.
    pub fn stop(self, patience: Duration, figures: &Figures) {
        drop(self.story);
        drop(self.compactor);
        if let Some(stream) = self.stream
            && !stream.stop(patience)
        {
            tracing::warn!("{}", unfinished("topic", &figures.kafka_trouble.get()));
        }
        if let Some(Filler::Inside(sink)) = self.sink
            && !sink.stop(patience)
        {
            tracing::warn!("{}", unfinished("ledger", &figures.ledger_trouble.get()));
        }
    }
}

/// What does not hold all of the journal when the gate ends; with a trouble it may lie behind the journal, or beyond it.
fn unfinished(what: &str, trouble: &str) -> String {
    match trouble {
        "" => format!("the {what} is behind the journal; the next start goes on where it is"),
        trouble => format!("the {what} does not end where the journal does: {trouble}"),
    }
}

/// What loading comes to.
pub(super) type Outcome = Result<(Loaded, Helpers), ServeError>;

/// Looks at the journal.
pub(super) fn journal(settings: &ServeSettings) -> Result<Journal<Closed>, ServeError> {
    let options = journal::Options {
        segment_bytes: settings.segment_bytes,
        appendfsync: match settings.appendfsync {
            Appendfsync::Always => journal::Appendfsync::Always,
            Appendfsync::Everysec => journal::Appendfsync::Everysec,
            Appendfsync::No => journal::Appendfsync::No,
        },
        ..journal::Options::default()
    };
    Journal::open(Arc::new(RealDisk), &settings.data, options).map_err(ServeError::Journal)
}

impl Load {
    /// Loads on a thread of its own.
    pub fn start(self) -> Result<oneshot::Receiver<Outcome>, io::Error> {
        let (tell, outcome) = oneshot::channel();
        let loading = &self.hooks.figures.loading;
        loading.began_at.set(u64::try_from(edge::wall().0).unwrap_or_default());
        loading.on.store(true, Ordering::Release);
        let run = move || {
            // Nobody hears it where the process is ending already.
            let _ = tell.send(self.run());
        };
        std::thread::Builder::new().name("load".into()).spawn(run)?;
        Ok(outcome)
    }

    /// From files to a gate that may answer.
    fn run(self) -> Outcome {
        let Load { settings, ledger, journal, log, hooks, wake } = self;
        let Hooks { watermarks, figures, .. } = &hooks;
        let secret = edge::random().expect("the system has random numbers");
        let mut core = Core::new(u128::from_le_bytes(secret));
        let known = ledger.as_ref().map(|ledger| sink::known(ledger, log)).unwrap_or_default();
        let (journal, replayed) = replay(journal, known.position, &mut core, &hooks)?;
        let is_new = replayed.last_lsn == Lsn::ZERO;
        let elsewhere = known.others.map(|others| elsewhere(others, is_new));
        if let Some(because) = older_than_the_world(&settings, &replayed)? {
            figures.set_stale(because);
        }
        // For this thread, which has little left to do, and for those that the stream, the sink and librdkafka start from
        // it: they inherit it.
        rank::behind();
        let stream = match &settings.kafka {
            Some(kafka) => Some(start_stream(&settings, kafka, log, &core, watermarks, figures, &wake)?),
            None => None,
        };
        let sink = match &ledger {
            Some(ledger) => {
                let started = start_sink(&settings, ledger, log, &core, watermarks, figures);
                Some(started.map_err(ServeError::Sink)?)
            }
            None => None,
        };
        let compactor =
            journal.compactor(compaction(&settings, ledger.is_some())).start().map_err(ServeError::Journal)?;
        let (data, marks) = (settings.data.clone(), Arc::clone(watermarks));
        let story = story::start(Arc::new(RealDisk), data, marks, move || wake.journal_moved());
        let story = story.map_err(ServeError::Thread)?;
        let floor = replayed.newest_at.max(core.newest_at());
        Ok((Loaded { core, journal, floor, elsewhere }, Helpers { compactor, story, stream, sink }))
    }
}

/// What the ledger has of other journals; told where this one is new.
fn elsewhere(others: Others, is_new: bool) -> Elsewhere {
    let Others { log, last_seq, campaigns } = others;
    if is_new {
        tracing::warn!(
            "this journal is new, and the ledger has grants of another one (log {log}, up to seq {last_seq}): its \
             campaigns ({}) cannot be created here. Was its directory lost? Then stop this gate, and make it anew with \
             `coupon-gate catch-up`",
            campaigns.len()
        );
    }
    Elsewhere { log, campaigns }
}

fn compaction(settings: &ServeSettings, stores: bool) -> Compaction {
    Compaction {
        when_journal_exceeds: settings.snapshot_when_journal_exceeds.map_or(0, NonZeroU64::get),
        keep_ms: i64::try_from(settings.journal_keep.as_millis()).unwrap_or(i64::MAX),
        keep_bytes: settings.journal_keep_bytes.map_or(0, NonZeroU64::get),
        publishes: settings.kafka.is_some(),
        stores,
    }
}

fn replay(
    mut journal: Journal<Closed>,
    seen: Option<Lsn>,
    core: &mut Core,
    hooks: &Hooks,
) -> Result<(Journal<Open>, Replayed), ServeError> {
    if let Some(seen) = seen {
        journal.expect_durable(seen);
    }
    let mut bar = None;
    let opened = journal.replay(core, hooks.clone(), &mut |progress| {
        tell(&hooks.figures.loading, progress);
        show(&mut bar, progress);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let (journal, replayed) = opened.map_err(|error| {
        if let (JournalError::Rot { mark, .. }, Some(seen)) = (&error, seen)
            && *mark == seen
        {
            tracing::error!(
                "it is the ledger that says how far the journal was durable; if the data directory is a copy taken while a \
                 gate wrote to it, `coupon-gate catch-up` cuts the damaged end and brings its grants back"
            );
        }
        ServeError::Journal(error)
    })?;
    if let Some(torn) = &replayed.torn {
        tracing::warn!(
            "the journal ended in a torn batch: cut {} bytes at {}:{} (lsn {} and after); none of it was answered",
            torn.bytes,
            torn.path.display(),
            torn.offset,
            torn.lsn
        );
    }
    if replayed.last_lsn > Lsn::ZERO {
        tracing::info!(
            "read a snapshot up to lsn {} and {} events from {} segments behind it, up to lsn {}",
            replayed.snapshot,
            replayed.events,
            replayed.segments,
            replayed.last_lsn
        );
    }
    hooks.figures.loading.bytes_loaded.set(hooks.figures.loading.bytes_total.get());
    Ok((journal, replayed))
}

/// Why no claim may be decided over this journal, if there is a reason, and what to do.
fn older_than_the_world(settings: &ServeSettings, replayed: &Replayed) -> Result<Option<String>, ServeError> {
    let held = journal::held_because(&RealDisk, &settings.data).map_err(ServeError::Journal)?;
    let because = match (held, replayed.behind) {
        (Some(reason), _) => reason,
        (None, Some(known)) => format!(
            "the ledger holds what this journal had at lsn {known}, and the journal ends at {}: the data directory is \
             older than the world around it (a copy, a machine set back)",
            replayed.last_lsn
        ),
        (None, None) => return Ok(None),
    };
    let data = settings.data.display();
    Ok(Some(format!(
        "{because}; stop the gate and run `coupon-gate catch-up --data {data} --from kafka` or `--from ledger` (`--from none` \
         where there is neither), or bring the newest data directory back"
    )))
}

/// Progress of a replay, for `INFO` and `/readyz`.
fn tell(loading: &Loading, progress: ReplayProgress) {
    loading.bytes_total.set(progress.bytes_total);
    loading.bytes_loaded.set(progress.bytes_done);
    loading.lsn.set(progress.lsn.get());
}

/// The same on a terminal only.
fn show(bar: &mut Option<ProgressBar>, progress: ReplayProgress) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = bar.get_or_insert_with(|| {
        let style = "replaying the journal {bar:40} {bytes}/{total_bytes}, {msg} events, {eta} left";
        let style = ProgressStyle::with_template(style).expect("the template is well formed");
        ProgressBar::new(progress.bytes_total).with_style(style)
    });
    bar.set_message(progress.lsn.to_string());
    bar.set_position(progress.bytes_done);
}

/// Who fills the ledger.
enum Filler {
    Inside(SinkHandle),
    /// Another process; this one looks how far it is as long as it lives.
    Outside(#[expect(dead_code, reason = "its end ends the looking")] FollowHandle),
}

fn start_sink(
    settings: &ServeSettings,
    ledger: &LedgerSettings,
    log: LogId,
    core: &Core,
    watermarks: &Arc<Watermarks>,
    figures: &Arc<Figures>,
) -> Result<Filler, SinkError> {
    let campaigns = campaigns(core);
    sink::carries_all(ledger, &campaigns)?;
    let (watermarks, figures) = (Arc::clone(watermarks), Arc::clone(figures));
    let ledger = ledger.clone();
    let feed: Box<dyn Feed> = match &settings.kafka {
        Some(kafka) => {
            let (connect, topics) = (wiring::connect(kafka), wiring::topics(kafka));
            if settings.sink == Sink::Outside {
                let options = FollowOptions { ledger, connect, topics, log };
                return sink::follow(options, watermarks, figures).map(Filler::Outside);
            }
            Box::new(KafkaFeed::new(connect, topics, Some((log, Arc::clone(&watermarks)))).ahead())
        }
        None => {
            let events = Box::new(JournalSource::new(Arc::new(RealDisk), &settings.data));
            Box::new(JournalFeed::new(log, events, campaigns, Arc::clone(&watermarks)))
        }
    };
    let pace = wiring::pace(&settings.ledger_writing);
    let options = sink::Options { ledger, pace, owner: sink::owner(), claims_at_once: true };
    sink::start(options, watermarks, figures, feed).map(Filler::Inside)
}

/// Starts the stream and lets it look whether the topic is ahead of this journal, before a claim is decided from it.
fn start_stream(
    settings: &ServeSettings,
    kafka: &Kafka,
    log: LogId,
    core: &Core,
    watermarks: &Arc<Watermarks>,
    figures: &Arc<Figures>,
    wake: &Wake,
) -> Result<StreamHandle, ServeError> {
    let streaming = &settings.kafka_stream;
    let options = stream::Options {
        connect: wiring::connect(kafka),
        brokers: kafka.brokers.clone(),
        topic: NewTopic {
            name: kafka.topic.clone(),
            partitions: streaming.partitions,
            replication: streaming.replication,
        },
        cancel_topic: kafka.cancel_topic.clone(),
        create: streaming.create,
        key: match kafka.key {
            KafkaKey::Campaign => Key::Campaign,
            KafkaKey::User => Key::User,
            KafkaKey::None => Key::None,
        },
        value: kafka_value(streaming.value),
        accept_partitions: streaming.accept_partitions,
        adopt: streaming.adopt,
        log,
        late_window: stream::LATE_WINDOW,
    };
    let files = JournalFiles { disk: Arc::new(RealDisk), data: settings.data.clone() };
    let (watermarks, figures, wake) = (Arc::clone(watermarks), Arc::clone(figures), wake.clone());
    let on_progress = Box::new(move || wake.wake());
    let handle = stream::start(options, watermarks, figures, files, campaigns(core), on_progress);
    let handle = handle.map_err(ServeError::Stream)?;
    if !handle.wait_for_first_look(FIRST_LOOK) {
        tracing::warn!(
            "kafka: {} does not answer; claims are taken without knowing whether topic {} is ahead of this journal (after \
             the data directory was restored from a copy, stop here and wait for Kafka)",
            kafka.brokers,
            kafka.topic
        );
    }
    Ok(handle)
}

pub(super) fn kafka_value(value: KafkaValue) -> Value {
    match value {
        KafkaValue::Long => Value::Long,
        KafkaValue::Json => Value::Json,
    }
}

/// Every campaign that the journal has named.
fn campaigns(core: &Core) -> Vec<Campaign> {
    let campaigns = core.campaigns().map(|campaign| Campaign {
        id: campaign.id,
        name: String::from_utf8_lossy(campaign.name).into_owned(),
        users: campaign.terms.users,
        shadow: campaign.terms.shadow,
    });
    campaigns.collect()
}

#[cfg(test)]
mod tests {
    use super::unfinished;

    #[test]
    fn a_ledger_that_is_ahead_is_not_called_behind_when_the_gate_stops() {
        let told = unfinished("ledger", "ledger: it is ahead of the journal");
        assert_eq!(told, "the ledger does not end where the journal does: ledger: it is ahead of the journal");
        assert!(unfinished("topic", "").starts_with("the topic is behind the journal; the next start"));
    }
}
