//! The line behind the gate: the real stream and the real sink, between the journal, a cluster and a database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::book;
use super::broker::{Broker, PARTITIONS, TOPICS};
use super::database::Database;
use super::disk::SimDisk;
use super::process::DATA;
use crate::core::Core;
use crate::ids::{LogId, Lsn};
use crate::kafka::{Cluster, NewTopic};
use crate::ledger::{LedgerAt, LedgerReader, LedgerSettings};
use crate::metrics::Figures;
use crate::server::Wake;
use crate::sink::{self, Feed, JournalFeed, JournalSource, KafkaFeed, Topics};
use crate::stream::{self, JournalFiles};
use crate::watermark::Watermarks;
use crate::wire::kafka::{Key, Value};

/// Which way grants go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// They stay in the gate.
    Nowhere,
    /// From the journal to the ledger.
    Ledger,
    /// To the topic, and from there to the ledger.
    Both,
}

/// What stands outside of the gate and outlives it.
#[derive(Clone)]
pub struct Outside {
    pub broker: Broker,
    pub database: Database,
    pub route: Route,
    /// There is a topic of returns, where there is one of grants.
    pub takes_returns: bool,
}

impl Outside {
    /// What the ledger knows of the journal of `log`, if it can be asked.
    pub fn known(&self, log: LogId) -> Option<Lsn> {
        if self.route == Route::Nowhere {
            return None;
        }
        let positions = self.database.clone().all_positions().ok()?;
        sink::known_to(&positions, log)
    }
}

/// The stream and the sink of one process.
pub struct Line {
    pub stream: Option<stream::by_hand::Hand>,
    pub sink: Option<sink::by_hand::Hand>,
}

impl Line {
    /// As `serve` starts them.
    pub fn start(
        outside: &Outside,
        disk: &SimDisk,
        log: LogId,
        core: &Core,
        watermarks: &Arc<Watermarks>,
        figures: &Arc<Figures>,
        wake: &Wake,
    ) -> Line {
        if outside.route == Route::Nowhere {
            return Line { stream: None, sink: None };
        }
        let data = PathBuf::from(DATA);
        let campaigns = || book::campaigns(core);
        let (kafka, marks) = (outside.broker.clone(), Arc::clone(watermarks));
        let connect = move || Ok(Box::new(kafka.clone()) as Box<dyn Cluster>);
        let cancel_topic = outside.takes_returns.then(|| TOPICS[1].to_owned());
        let feed: Box<dyn Feed> = match outside.route {
            Route::Both => {
                let topics = Topics { grants: TOPICS[0].to_owned(), returns: cancel_topic.clone() };
                Box::new(KafkaFeed::new(Box::new(connect.clone()), topics, Some((log, marks))))
            }
            Route::Ledger | Route::Nowhere => {
                let events = Box::new(JournalSource::new(Arc::new(disk.clone()), &data));
                Box::new(JournalFeed::new(log, events, campaigns(), marks))
            }
        };
        let settings = LedgerSettings::new(LedgerAt::Sqlite(PathBuf::new()));
        let ledger = Box::new(outside.database.clone());
        let sink = sink::by_hand::Hand::new(ledger, settings, Arc::clone(watermarks), Arc::clone(figures), feed);
        let stream = (outside.route == Route::Both).then(|| {
            let options = stream::Options {
                connect: Box::new(connect),
                brokers: String::new(),
                topic: NewTopic { name: TOPICS[0].to_owned(), partitions: PARTITIONS, replication: None },
                cancel_topic,
                create: true,
                accept_partitions: None,
                key: Key::Campaign,
                value: Value::Long,
                adopt: false,
                log,
                late_window: Duration::from_millis(50),
            };
            let files = JournalFiles { disk: Arc::new(disk.clone()), data };
            let wake = wake.clone();
            let (watermarks, figures) = (Arc::clone(watermarks), Arc::clone(figures));
            stream::by_hand::Hand::new(options, watermarks, figures, files, campaigns(), Box::new(move || wake.wake()))
        });
        Line { stream, sink: Some(sink) }
    }
}
