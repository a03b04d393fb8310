//! The topics of grants and of returns in memory, filled as gates fill them.

use std::collections::BTreeMap;

use super::story::Story;
use super::topic::{RETURNS, TOPIC, topics};
use super::*;
use crate::grant::{Entry, Kind, Lane};
use crate::kafka::memory::MemoryCluster;
use crate::kafka::{Cluster, Outgoing};
use crate::wire::kafka::{EntryRecord, Key, Value, encode};

/// The topics, and what the gates have decided for each lane, in order.
pub(super) struct Pair {
    pub(super) cluster: MemoryCluster,
    decided: BTreeMap<(LogId, Lane), Vec<Entry>>,
}

impl Pair {
    pub(super) fn new(partitions: u32) -> Pair {
        let cluster = MemoryCluster::with_topic(TOPIC, partitions);
        Pair { cluster, decided: BTreeMap::new() }.anew(partitions)
    }

    /// The topics made anew, with nothing in them, and a gate that has sent nothing.
    pub(super) fn anew(&self, partitions: u32) -> Pair {
        self.cluster.make_topic(TOPIC, partitions);
        self.cluster.make_topic(RETURNS, partitions);
        Pair { cluster: self.cluster.clone(), decided: BTreeMap::new() }
    }

    /// Goes to its lane.
    pub(super) fn send(&mut self, partition: u32, entry: &Entry) {
        self.lose(partition, entry);
        self.send_again(partition, entry);
    }

    /// The same, but it never reaches the topic.
    pub(super) fn lose(&mut self, partition: u32, entry: &Entry) {
        let lane = Lane::new(entry.kind(), partition);
        self.decided.entry((entry.log(), lane)).or_default().push(entry.clone());
    }

    /// What was decided, as it was.
    pub(super) fn send_again(&self, partition: u32, entry: &Entry) {
        let (topic, lane) = match entry.kind() {
            Kind::Grant => (TOPIC, Lane::new(Kind::Grant, partition)),
            Kind::Return => (RETURNS, Lane::new(Kind::Return, partition)),
        };
        let before = self.decided[&(entry.log(), lane)].iter().map(Entry::seq).filter(|seq| *seq < entry.seq());
        let record = EntryRecord { entry: entry.clone(), prev: before.max().unwrap_or(Lsn::ZERO) };
        let (key, value, headers) = encode(&record, Key::Campaign, Value::Long);
        self.cluster.add(topic, Outgoing { topic: 0, partition, at: entry.at(), key, value, headers });
    }

    /// The last one of each lane.
    pub(super) fn last(&self) -> Vec<Entry> {
        self.decided.values().filter_map(|line| line.last().cloned()).collect()
    }

    /// All of a story, to one partition.
    pub(super) fn tell(&mut self, partition: u32, story: &Story) {
        story.entries.iter().for_each(|entry| self.send(partition, entry));
    }

    /// The gate says that all of it is in the topics.
    pub(super) fn publish(&self, bench: &Bench) {
        let mut last = Vec::new();
        for ((_, lane), entries) in self.decided.iter().filter(|((log, _), _)| *log == LOG) {
            last.resize(last.len().max(lane.index() + 1), Lsn::ZERO);
            last[lane.index()] = entries.last().expect("a lane has something").seq();
        }
        bench.watermarks.lanes.set_published(&last);
        let upto = last.into_iter().max().unwrap_or(Lsn::ZERO);
        bench.watermarks.durable.advance(upto);
        bench.watermarks.published.advance(upto);
    }

    /// A gate that hears that records are missing sends everything behind them again; the lanes that it heard of.
    pub(super) fn heal(&self, bench: &Bench) -> Vec<Lane> {
        let missing = bench.watermarks.lanes.take_missing();
        for (lane, after) in &missing {
            let line = self.decided.get(&(LOG, *lane)).into_iter().flatten();
            line.filter(|entry| entry.seq() > *after).for_each(|entry| self.send_again(lane.partition(), entry));
        }
        missing.into_keys().collect()
    }

    pub(super) fn connect(&self) -> Connect {
        let cluster = self.cluster.clone();
        Box::new(move || Ok(Box::new(cluster.clone()) as Box<dyn Cluster>))
    }

    pub(super) fn feed(&self, bench: &Bench) -> KafkaFeed {
        KafkaFeed::new(self.connect(), topics(), Some((LOG, Arc::clone(&bench.watermarks))))
    }

    /// A sink to be turned by hand.
    pub(super) fn worker(&self, bench: &Bench) -> Worker {
        bench.worker_of(Box::new(self.feed(bench))).0
    }
}

/// The ledger is as the stories say.
#[track_caller]
pub(super) fn assert_told(bench: &Bench, stories: &[&Story]) {
    let sql = "SELECT group_concat(campaign || ' ' || seat || ' ' || seq, ', ') \
               FROM (SELECT * FROM coupon_grant ORDER BY campaign, seat)";
    let mut out: Vec<_> = stories.iter().flat_map(|story| story.out()).collect();
    out.sort();
    let out: Vec<_> = out.iter().map(|(campaign, seat, seq)| format!("{campaign} {seat} {seq}")).collect();
    assert_eq!(some_text(bench, sql), out.join(", "), "grants");
    let sql =
        "SELECT group_concat(return_seq || ' ' || seq, ', ') FROM (SELECT * FROM coupon_return ORDER BY return_seq)";
    let mut returned: Vec<_> = stories.iter().flat_map(|story| story.returned()).collect();
    returned.sort_unstable();
    let returned: Vec<_> = returned.iter().map(|(seq, grant)| format!("{seq} {grant}")).collect();
    assert_eq!(some_text(bench, sql), returned.join(", "), "returns");
}

fn some_text(bench: &Bench, sql: &str) -> String {
    bench.sql().query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
}

/// `source kpart:next/last_seq` of each row, `g` for grants and `r` for returns, `!` where something is missing.
pub(super) fn positions(bench: &Bench) -> String {
    bench.text(
        "SELECT group_concat(iif(source LIKE 'kafka-returns:%', 'r', 'g') || kpart || ':' || next_position || '/' \
         || last_seq || iif(hole, '!', ''), ' ') FROM (SELECT * FROM coupon_sink_position ORDER BY source, kpart)",
    )
}
