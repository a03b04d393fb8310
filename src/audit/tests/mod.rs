//! The audit against a journal in memory, a cluster in memory and real SQLite files: worlds that are right, and worlds
//! with one thing wrong.

mod older;
mod planted;
mod property;
mod returns;
mod running;

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLockReadGuard};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::core::{Core, Event, Terms, Users};
use crate::grant::{Entry, Grant, GrantUser};
use crate::ids::{CampaignId, LogId, Millis, Seat, User};
use crate::journal::memory::MemoryDisk;
use crate::journal::{Appendfsync, Hooks, Journal, Open, Options, Room};
use crate::kafka::Outgoing;
use crate::kafka::memory::MemoryCluster;
use crate::ledger::{Batch, LedgerAt, Move, UserColumn, journal_source, kafka_source};
use crate::wire::kafka::{EntryRecord, Value, encode};

const NOW: Millis = Millis(1_732_259_723_123);
const TOPIC: &str = "coupon_create";
const CANCEL: &str = "coupon_cancel";
const OTHER_LOG: LogId = LogId([9; 16]);

/// A gate's journal, a topic and a ledger.
struct World {
    dir: TempDir,
    disk: MemoryDisk,
    journal: Journal<Open>,
    log: LogId,
    cluster: MemoryCluster,
    partitions: u32,
    key: Key,
    value: Value,
    /// What left the gate, in the order of the journal.
    grants: Vec<Grant>,
    campaigns: u32,
    /// The last one in each partition.
    last: Vec<Lsn>,
    _calm: RwLockReadGuard<'static, ()>,
}

/// The grant of a record.
fn grant_in(record: &mut EntryRecord) -> &mut Grant {
    let Entry::Grant { grant, .. } = &mut record.entry else { panic!("it is a return") };
    grant
}

impl World {
    fn new(partitions: u32, key: Key, value: Value) -> World {
        let calm = crate::sabotage::peace::keep();
        let disk = MemoryDisk::default();
        let options = Options {
            segment_bytes: 16 << 10,
            block_bytes: 128,
            batch_bytes_max: 2048,
            appendfsync: Appendfsync::Always,
            known_durable: Lsn::ZERO,
        };
        let closed = Journal::open(Arc::new(disk.clone()), data(), options).unwrap();
        let log = closed.log_id();
        let hooks = Hooks {
            watermarks: Arc::default(),
            figures: Arc::default(),
            on_progress: Arc::new(|| {}),
            on_failure: Arc::new(|error| panic!("{error}")),
        };
        let (journal, _) = closed.replay(&mut Core::new(0), hooks, &mut |_| ()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let world = World {
            dir,
            disk,
            journal,
            log,
            cluster: MemoryCluster::with_topic(TOPIC, partitions),
            partitions,
            key,
            value,
            grants: Vec::new(),
            campaigns: 0,
            last: vec![Lsn::ZERO; partitions as usize],
            _calm: calm,
        };
        let mut made = LedgerSettings { create: true, ..world.settings() }.to_write();
        made.open().unwrap();
        world
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    fn settings(&self) -> LedgerSettings {
        LedgerSettings { users: UserColumn::Text, create: false, ..LedgerSettings::new(LedgerAt::Sqlite(self.path())) }
    }

    fn sql(&self, sql: &str) {
        assert_eq!(Connection::open(self.path()).unwrap().execute(sql, []), Ok(1), "{sql}");
    }

    fn append(&mut self, event: &Event<'_>) -> Lsn {
        while self.journal.room(512) != Room::Ready {
            self.journal.seal(NOW);
            std::thread::yield_now();
        }
        self.journal.append(event, false)
    }

    /// Waits until all is on disk.
    fn settle(&mut self) {
        let last = self.append(&Event::Flushed { db: None });
        while !self.journal.answerable().covers(last) {
            self.journal.seal(NOW);
            std::thread::yield_now();
        }
    }

    fn create(&mut self, name: &str, limit: u32, users: Users, shadow: bool) -> CampaignId {
        self.create_with(name, Terms { limit, users, shadow, ..Terms::DEFAULT })
    }

    fn create_with(&mut self, name: &str, terms: Terms) -> CampaignId {
        let id = CampaignId(self.campaigns);
        self.campaigns += 1;
        self.append(&Event::CampaignCreated { id, name: name.as_bytes(), terms, at: NOW });
        id
    }

    /// A grant in the journal alone.
    fn grant(&mut self, id: CampaignId, name: &str, seat: u32, user: User<'_>) -> Grant {
        self.grant_nth(id, name, seat, user, 1)
    }

    /// A grant of a user's `nth` seat in the journal alone.
    fn grant_nth(&mut self, id: CampaignId, name: &str, seat: u32, user: User<'_>, nth: u16) -> Grant {
        let seq = self.append(&Event::Granted {
            campaign: id,
            seat: Seat::new(seat),
            user,
            nth,
            request: b"",
            at: NOW,
            after: Lsn::ZERO,
        });
        Grant { log: self.log, seq, campaign: name.into(), seat, user: user.into(), nth, at: NOW }
    }

    /// Grants that are on their way out.
    fn leave(&mut self, id: CampaignId, name: &str, seats: std::ops::RangeInclusive<u32>) {
        for seat in seats {
            let grant = self.grant(id, name, seat, User::Int(1000 + i64::from(seat)));
            self.grants.push(grant);
        }
    }

    /// The record of a grant, in its turn.
    fn record(&mut self, grant: &Grant) -> (u32, EntryRecord) {
        let partition = self.key.partition(&grant.clone().into(), self.partitions);
        let prev = std::mem::replace(&mut self.last[partition as usize], grant.seq);
        (partition, EntryRecord { entry: grant.clone().into(), prev })
    }

    fn send(&self, partition: u32, record: &EntryRecord) {
        let (key, value, headers) = encode(record, self.key, self.value);
        self.cluster.add(TOPIC, Outgoing { topic: 0, partition, at: NOW, key, value, headers });
    }

    fn publish(&mut self, grants: &[Grant]) {
        for grant in grants {
            let (partition, record) = self.record(grant);
            self.send(partition, &record);
        }
    }

    /// Rows, and the positions of a sink that is fed from the topic and has read all of it.
    fn store_from_topic(&mut self, grants: &[Grant]) {
        let source = kafka_source("memory", TOPIC);
        let mut cluster = self.cluster.clone();
        let moves: Vec<Move> = (0..self.partitions)
            .map(|kpart| Move {
                source: source.clone(),
                kpart,
                expected: None,
                next: cluster.bounds(TOPIC, kpart).unwrap().high,
                log: self.log,
                last_seq: self.last[kpart as usize],
                hole: false,
            })
            .collect();
        self.store(&moves, grants);
    }

    /// Rows, and the position of a sink that is fed from the journal.
    fn store_from_journal(&mut self, grants: &[Grant]) {
        let last_seq = grants.last().map_or(Lsn::ZERO, |grant| grant.seq);
        let source = journal_source(self.log);
        let next = last_seq.next().get();
        self.store(&[Move { source, kpart: 0, expected: None, next, log: self.log, last_seq, hole: false }], grants);
    }

    fn store(&mut self, moves: &[Move], grants: &[Grant]) {
        let mut ledger = self.settings().to_write();
        ledger.open().unwrap();
        let claimed = ledger.claim("test", &[], moves).unwrap();
        let again = |to: &Move| Move { expected: Some((to.next, to.last_seq)), ..to.clone() };
        let again: Vec<Move> = moves.iter().map(again).collect();
        let entries: Vec<Entry> =
            grants.iter().map(|grant| Entry::Grant { grant: grant.clone(), after: Lsn::ZERO }).collect();
        let batch = Batch { epoch: claimed[0].epoch, owner: "test", moves: &again, entries: &entries, dead: &[] };
        ledger.store(&batch).unwrap();
    }

    fn audit_of(&mut self, campaign: Option<&str>) -> Result<Report, AuditError> {
        self.settle();
        let cluster: Box<dyn Cluster> = Box::new(self.cluster.clone());
        let sources = Sources {
            disk: Arc::new(self.disk.clone()),
            data: data().to_owned(),
            topic: Some(TopicAt {
                cluster: Ok(cluster),
                name: TOPIC.into(),
                cancel: Some(CANCEL.into()),
                key: self.key,
            }),
            ledger: Some(self.settings()),
            campaign: campaign.map(str::to_owned),
        };
        run(sources, &mut Progress::hidden())
    }

    fn audit(&mut self) -> Report {
        self.audit_of(None).unwrap()
    }

    /// The differences: campaign, place, kind, count.
    fn differences(&mut self) -> Vec<(String, Place, Kind, u64)> {
        let report = self.audit();
        let all =
            report.findings.groups().map(|(name, place, kind, group)| (name.to_owned(), place, kind, group.count));
        all.collect()
    }

    fn assert_complete(&mut self) {
        let report = self.audit();
        assert_eq!((report.verdict().as_str(), report.exit()), ("all agree, complete", Exit::Done), "{report}");
    }
}

fn data() -> &'static Path {
    Path::new("/data")
}

/// `spring` with ten grants in two partitions; everything is everywhere.
fn spring() -> World {
    let mut world = World::new(2, Key::None, Value::Long);
    let id = world.create("spring", 100, Users::Int, false);
    world.leave(id, "spring", 1..=10);
    let grants = world.grants.clone();
    world.publish(&grants);
    world.store_from_topic(&grants);
    world
}

fn found(place: Place, kind: Kind, count: u64) -> Vec<(String, Place, Kind, u64)> {
    vec![("spring".to_owned(), place, kind, count)]
}
