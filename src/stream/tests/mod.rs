//! The stream between a real journal on a disk in memory and a cluster in memory, turned by hand where the moment
//! matters and on its thread where it does not.

mod chaos;
mod lost;
mod others;
mod resume;
mod returns;
mod running;
mod thread;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use super::session::Fault;
use super::signals::Signals;
use super::worker::{Turn, Worker};
use super::*;
use crate::core::{Event, Terms};
use crate::grant::{Entry, Grant, GrantUser, Kind, Lane, Return};
use crate::ids::{CampaignId, Lsn, Millis, Seat, User};
use crate::journal::memory::MemoryDisk;
use crate::journal::{Appendfsync, Hooks, Journal, Open, Room};
use crate::kafka::Outgoing;
use crate::kafka::memory::MemoryCluster;
use crate::wire::kafka::{EntryRecord, Parsed, encode, parse};

const TOPIC: &str = "coupon_create";
const CANCEL: &str = "coupon_cancel";

/// 2024-11-22 07:15:23.123 UTC.
const AT: i64 = 1_732_259_723_123;

/// With three partitions, each has one of them at least.
const CAMPAIGNS: [&str; 5] = ["spring", "summer", "may", "night", "leap"];

fn data() -> &'static Path {
    Path::new("/data")
}

/// A gate's journal and a cluster beside it.
struct Bench {
    disk: MemoryDisk,
    cluster: MemoryCluster,
    journal: RefCell<Option<Journal<Open>>>,
    marks: Arc<Watermarks>,
    log: LogId,
    granted: RefCell<Vec<Grant>>,
    returned: RefCell<Vec<Return>>,
    last: Cell<Lsn>,
    cancel_topic: RefCell<Option<String>>,
    key: Cell<Key>,
    accept_partitions: Cell<Option<u32>>,
    adopt: Cell<bool>,
    create: Cell<bool>,
    late_window: Cell<Duration>,
    _world: Option<RwLockReadGuard<'static, ()>>,
}

/// One life of the process.
struct Process {
    worker: Worker,
    marks: Arc<Watermarks>,
    figures: Arc<Figures>,
}

impl Bench {
    /// Three partitions and the five campaigns.
    fn new() -> Bench {
        Bench { _world: Some(crate::sabotage::peace::keep()), ..Bench::in_any_world() }
    }

    fn in_any_world() -> Bench {
        let bench = Bench::without_campaigns();
        for (id, name) in CAMPAIGNS.iter().enumerate() {
            bench.create(id as u32, name, Users::Int, false);
        }
        bench.sync();
        bench
    }

    /// Nothing was ever written to its journal.
    fn without_campaigns() -> Bench {
        let disk = MemoryDisk::default();
        let marks: Arc<Watermarks> = Arc::default();
        let hooks = Hooks {
            watermarks: Arc::clone(&marks),
            figures: Arc::default(),
            on_progress: Arc::new(|| {}),
            on_failure: Arc::new(|error| panic!("{error}")),
        };
        // Segments small enough that a few hundred grants fill several.
        let options = crate::journal::Options {
            segment_bytes: 4096,
            block_bytes: 128,
            batch_bytes_max: 2048,
            appendfsync: Appendfsync::Always,
            known_durable: Lsn::ZERO,
        };
        let closed = Journal::open(Arc::new(disk.clone()), data(), options).unwrap();
        let log = closed.log_id();
        let (journal, _) = closed.replay_into(&mut |_, _| {}, hooks, &mut |_| {}).unwrap();
        Bench {
            disk,
            cluster: MemoryCluster::with_topic(TOPIC, 3),
            journal: RefCell::new(Some(journal)),
            marks,
            log,
            granted: RefCell::default(),
            returned: RefCell::default(),
            last: Cell::new(Lsn::ZERO),
            cancel_topic: RefCell::new(Some(CANCEL.into())),
            key: Cell::new(Key::Campaign),
            accept_partitions: Cell::new(None),
            adopt: Cell::new(false),
            create: Cell::new(true),
            late_window: Cell::new(Duration::ZERO),
            _world: None,
        }
    }

    fn create(&self, id: u32, name: &str, users: Users, shadow: bool) {
        let terms = Terms { limit: u32::MAX, users, shadow, ..Terms::DEFAULT };
        self.append(&Event::CampaignCreated { id: CampaignId(id), name: name.as_bytes(), terms, at: Millis(AT) });
    }

    fn append(&self, event: &Event<'_>) -> Lsn {
        let mut journal = self.journal.borrow_mut();
        let journal = journal.as_mut().expect("it is open");
        until("room in the journal", || {
            journal.seal(Millis(AT));
            journal.room(200) == Room::Ready
        });
        let lsn = journal.append(event, false);
        self.last.set(lsn);
        lsn
    }

    /// So many more grants, over all campaigns in turn, durable.
    fn grant(&self, count: usize) {
        for _ in 0..count {
            let number = self.granted.borrow().len();
            self.grant_to(number % CAMPAIGNS.len(), number as i64);
        }
        self.sync();
    }

    /// The next seat of a campaign.
    fn grant_to(&self, campaign: usize, user: i64) {
        let seat =
            1 + self.granted.borrow().iter().filter(|grant| *grant.campaign == *CAMPAIGNS[campaign]).count() as u32;
        let (id, at) = (CampaignId(campaign as u32), Millis(AT));
        let after = self.last_return(CAMPAIGNS[campaign], Lsn::new(u64::MAX));
        let seq = self.append(&Event::Granted {
            campaign: id,
            seat: Seat::new(seat),
            user: User::Int(user),
            nth: 1,
            request: b"",
            at,
            after,
        });
        self.granted.borrow_mut().push(Grant {
            log: self.log,
            seq,
            campaign: CAMPAIGNS[campaign].into(),
            seat,
            user: User::Int(user).into(),
            nth: 1,
            at,
        });
    }

    /// So many seats come back, those that went first; durable.
    fn give_back(&self, count: usize) {
        for _ in 0..count {
            let grant = self.granted.borrow().get(self.returned.borrow().len()).expect("a seat is out").clone();
            self.give_one_back(&grant);
        }
        self.sync();
    }

    fn give_one_back(&self, grant: &Grant) {
        let Grant { log, seq, campaign, seat, user, nth, at } = grant.clone();
        let place = CAMPAIGNS.iter().position(|name| **name == *campaign).expect("one of ours");
        let GrantUser::Int(number) = user else { panic!("{grant}") };
        let (id, seat_number, back) = (CampaignId(place as u32), Seat::new(seat), User::Int(number));
        let event = Event::Returned { campaign: id, seat: seat_number, user: back, nth, at, seq: None, grant: seq };
        let back = Return { log, seq: self.append(&event), grant: seq, campaign, seat, user, nth, at };
        self.returned.borrow_mut().push(back);
    }

    /// The last return of a campaign before `seq`.
    fn last_return(&self, campaign: &str, seq: Lsn) -> Lsn {
        let returned = self.returned.borrow();
        let before = returned.iter().filter(|back| *back.campaign == *campaign && back.seq < seq);
        before.map(|back| back.seq).max().unwrap_or(Lsn::ZERO)
    }

    /// Waits until everything is durable.
    fn sync(&self) {
        until("a sync", || {
            if let Some(journal) = self.journal.borrow_mut().as_mut() {
                journal.seal(Millis(AT));
            }
            self.marks.durable.get() >= self.last.get()
        });
    }

    fn campaigns(&self) -> Vec<Campaign> {
        let name = |(id, name): (usize, &&str)| Campaign {
            id: CampaignId(id as u32),
            name: (*name).to_owned(),
            users: Users::Int,
            shadow: false,
        };
        CAMPAIGNS.iter().enumerate().map(name).collect()
    }

    fn options(&self) -> Options {
        let cluster = self.cluster.clone();
        Options {
            connect: Box::new(move || Ok(Box::new(cluster.clone()) as Box<dyn Cluster>)),
            brokers: "kafka-1:9092".into(),
            topic: NewTopic { name: TOPIC.into(), partitions: 3, replication: Some(3) },
            cancel_topic: self.cancel_topic.borrow().clone(),
            create: self.create.get(),
            key: self.key.get(),
            value: Value::Long,
            accept_partitions: self.accept_partitions.get(),
            adopt: self.adopt.get(),
            log: self.log,
            late_window: self.late_window.get(),
        }
    }

    fn files(&self) -> JournalFiles {
        JournalFiles { disk: Arc::new(self.disk.clone()), data: data().to_owned() }
    }

    fn process(&self) -> Process {
        self.process_with(self.options())
    }

    fn process_with(&self, options: Options) -> Process {
        let (marks, figures) = (Arc::<Watermarks>::default(), Arc::<Figures>::default());
        marks.durable.advance(self.marks.durable.get());
        let worker = Worker::new(
            options,
            Arc::clone(&marks),
            Arc::clone(&figures),
            self.files(),
            Campaigns::new(self.log, self.campaigns()),
            Arc::new(Signals::default()),
            Box::new(|| {}),
        );
        Process { worker, marks, figures }
    }

    /// A process that publishes everything, checkpoints and is killed.
    fn published_once(&self) {
        let mut process = self.process();
        process.publish(self).unwrap();
        process.worker.remember(false);
        process.worker.save();
    }

    /// `seq` and `prev` of our records in a partition.
    fn places(&self, partition: u32) -> Vec<(u64, u64)> {
        self.places_in(Lane::new(Kind::Grant, partition))
    }

    fn places_in(&self, lane: Lane) -> Vec<(u64, u64)> {
        self.ours_in(lane).iter().map(|record| (record.entry.seq().get(), record.prev.get())).collect()
    }

    fn ours(&self, partition: u32) -> Vec<EntryRecord> {
        self.ours_in(Lane::new(Kind::Grant, partition))
    }

    fn ours_in(&self, lane: Lane) -> Vec<EntryRecord> {
        let topic = [TOPIC, CANCEL][lane.kind() as usize];
        let records = self.cluster.records(topic, lane.partition()).into_iter();
        let parsed = records.map(|r| parse(lane.kind(), r.key.as_deref(), r.value.as_deref(), r.at, &r.headers));
        let entries = parsed.filter_map(|parsed| if let Parsed::Entry(entry) = parsed { Some(entry) } else { None });
        entries.filter(|record| record.entry.log() == self.log).collect()
    }

    fn expected(&self, partition: u32, partitions: u32) -> Vec<Grant> {
        let granted = self.granted.borrow();
        let is_there =
            |grant: &&Grant| Key::Campaign.partition(&Entry::from((*grant).clone()), partitions) == partition;
        granted.iter().filter(is_there).cloned().collect()
    }

    /// What is to be in a lane.
    fn entries(&self, lane: Lane, partitions: u32) -> Vec<Entry> {
        let grants = self.granted.borrow().clone().into_iter().map(|grant| {
            let after = self.last_return(&grant.campaign, grant.seq);
            Entry::Grant { grant, after }
        });
        let returns = self.returned.borrow().clone().into_iter().map(Entry::Return);
        let entries = grants.chain(returns).filter(|entry| entry.kind() == lane.kind());
        entries.filter(|entry| Key::Campaign.partition(entry, partitions) == lane.partition()).collect()
    }

    /// A reader that skips what it knows and waits at a hole for what is missing ends with every entry, in order; answers
    /// how many records it skipped.
    fn check(&self) -> usize {
        let mut skipped = 0;
        for lane in Lane::all(3) {
            let (mut read, mut last) = (Vec::new(), Lsn::ZERO);
            for EntryRecord { entry, prev } in self.ours_in(lane) {
                if entry.seq() <= last || prev > last {
                    skipped += 1;
                    continue;
                }
                assert_eq!(prev, last, "{lane:?}: {entry}");
                last = entry.seq();
                read.push(entry);
            }
            let expected = self.entries(lane, 3);
            let seqs = |entries: &[Entry]| entries.iter().map(|entry| entry.seq().get()).collect::<Vec<_>>();
            assert_eq!(seqs(&read), seqs(&expected), "{lane:?}");
            assert!(read == expected, "{lane:?}: other entries than the journal's");
        }
        skipped
    }

    /// As `check`, and nothing is there twice.
    fn check_once(&self) {
        assert_eq!(self.check(), 0, "records that are there twice, or out of order");
    }

    /// A record of another gate.
    fn add_foreign(&self, partition: u32) -> u64 {
        let mut grant = self.granted.borrow().first().expect("there is a grant").clone();
        grant.log = LogId([9; 16]);
        self.add(partition, &EntryRecord { entry: grant.into(), prev: Lsn::ZERO })
    }

    fn add(&self, partition: u32, record: &EntryRecord) -> u64 {
        let (key, value, headers) = encode(record, Key::Campaign, Value::Long);
        self.cluster.add(TOPIC, Outgoing { topic: 0, partition, at: record.entry.at(), key, value, headers })
    }
}

impl Process {
    /// Publishes everything durable.
    fn publish(&mut self, bench: &Bench) -> Result<(), Fault> {
        self.see(bench);
        while self.worker.turn()? == Turn::Moved {}
        Ok(())
    }

    /// Learns how far the journal is.
    fn see(&self, bench: &Bench) {
        self.marks.durable.advance(bench.marks.durable.get());
    }

    fn published(&self) -> Lsn {
        self.marks.published.get()
    }

    fn fault(&mut self, bench: &Bench) -> Fault {
        self.publish(bench).expect_err("a fault")
    }

    /// As after `StreamHandle::stop`.
    fn stop(mut self) {
        self.worker.settle();
    }
}

fn unfit(fault: Fault) -> String {
    let Fault::Kafka(KafkaError::Unfit(line)) = fault else { panic!("not unfit: {fault:?}") };
    line
}

/// Tries until it is so, for a minute at most.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = now() + Duration::from_secs(60);
    while !so() {
        assert!(now() < deadline, "waited too long for {what}");
        std::thread::yield_now();
    }
}
