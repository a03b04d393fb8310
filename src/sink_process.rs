//! # sink_process - the sink as a process of its own
//! `coupon-gate sink`: fills the ledger from Kafka, wherever the gate is. One is active, others stand by. Waits as long as
//! it takes for a cluster, a topic or a database that is away; ends with a signal.
//! May use: `settings`, `serve` (its signals), `wiring`, `admin`, `sink`, `kafka`, `metrics`, `watermark`, `exit`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::admin::{self, AdminError};
use crate::exit::Exit;
use crate::kafka::KafkaError;
use crate::metrics::Figures;
use crate::settings::SinkSettings;
use crate::sink::{self, KafkaFeed, SinkError};
use crate::watermark::Watermarks;
use crate::{serve, wiring};

/// Why the sink does not start.
#[derive(Debug)]
pub enum SinkProcessError {
    /// The admin port cannot be opened.
    Admin(AdminError),
    /// A setting of Kafka can never work.
    Kafka(String),
    /// The ledger can never work as it is set.
    Sink(SinkError),
    /// The system has no poller or no signals for us.
    System(std::io::Error),
}

impl SinkProcessError {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            SinkProcessError::Admin(_) | SinkProcessError::System(_) => Exit::Surroundings,
            SinkProcessError::Kafka(_) | SinkProcessError::Sink(_) => Exit::Usage,
        }
    }
}

impl fmt::Display for SinkProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkProcessError::Admin(error) => error.fmt(f),
            SinkProcessError::Kafka(line) => f.write_str(line),
            SinkProcessError::Sink(error) => error.fmt(f),
            SinkProcessError::System(error) => write!(f, "sink: the system gives no poller: {error}"),
        }
    }
}

/// Fills the ledger until a signal ends it.
///
/// # Errors
/// What kept it from starting: a setting, a table or the admin port.
///
/// # Panics
/// Settings without a topic or a ledger: they are refused where they are read.
pub fn run(settings: &SinkSettings) -> Result<Exit, SinkProcessError> {
    let world = &settings.world;
    let kafka = world.kafka.as_ref().expect("a sink of its own has a topic");
    let ledger = wiring::ledger(&world.ledger, world.ledger_users, &settings.writing);
    let ledger = ledger.expect("a sink of its own has a ledger");
    let (figures, watermarks) = (Arc::<Figures>::default(), Arc::<Watermarks>::default());
    let admin = match settings.admin {
        Some(at) => {
            let options = admin::Options::new(at, true);
            let started = admin::start(options, Arc::clone(&figures), Arc::clone(&watermarks));
            Some(started.map_err(SinkProcessError::Admin)?)
        }
        None => None,
    };
    let mut connect = wiring::connect(kafka);
    let mut first = match connect() {
        Ok(cluster) => Some(cluster),
        Err(KafkaError::Unfit(line)) => return Err(SinkProcessError::Kafka(line)),
        Err(KafkaError::Unavailable(_) | KafkaError::Gone { .. }) => None,
    };
    let connect = Box::new(move || first.take().map_or_else(&mut connect, Ok));
    let feed = KafkaFeed::new(connect, wiring::topics(kafka), None).ahead();
    let pace = wiring::pace(&settings.writing);
    let options = sink::Options { ledger, pace, owner: sink::owner(), claims_at_once: false };
    let sink =
        sink::start(options, watermarks, Arc::clone(&figures), Box::new(feed)).map_err(SinkProcessError::Sink)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(SinkProcessError::System)?;
    let figures_at = admin.as_ref().map_or("none".to_owned(), |admin| format!("http://{}/metrics", admin.address()));
    let returns = kafka.cancel_topic.as_ref().map_or(String::new(), |topic| format!(" and {topic}"));
    let (topic, brokers) = (&kafka.topic, &kafka.brokers);
    tracing::info!("sink: topic {topic}{returns} of {brokers} to {}; figures {figures_at}", world.ledger);
    figures.ready.store(true, Ordering::Release);
    runtime.block_on(serve::asked_to_stop());
    figures.ready.store(false, Ordering::Release);
    if !sink.stop(settings.shutdown_timeout) {
        tracing::warn!("sink: the ledger did not answer in time; the next sink goes on where it is");
    }
    tracing::info!("sink: stopped");
    Ok(Exit::Done)
}
