//! A topic in memory, filled as gates fill it: each record with the `seq` before it in its partition.

use std::collections::BTreeMap;

use super::*;
use crate::grant::{Grant, GrantUser, Kind};
use crate::kafka::memory::MemoryCluster;
use crate::kafka::{Cluster, Outgoing};
use crate::wire::kafka::{EntryRecord, Key, Value, encode};

pub(super) const TOPIC: &str = "coupon_create";
pub(super) const RETURNS: &str = "coupon_cancel";

/// The topics of grants and of returns.
pub(super) fn topics() -> Topics {
    Topics { grants: TOPIC.into(), returns: Some(RETURNS.into()) }
}

/// What is told of the grants' partitions, as it is told of lanes: nothing of the returns.
pub(super) fn lanes(grants: &[u64]) -> Vec<Lsn> {
    grants.iter().flat_map(|seq| [Lsn::new(*seq), Lsn::ZERO]).collect()
}

/// The topic, and what each gate has sent to each partition.
pub(super) struct Topic {
    pub(super) cluster: MemoryCluster,
    pub(super) sent: BTreeMap<(LogId, u32), Vec<u64>>,
    pub(super) campaign: &'static str,
}

impl Topic {
    pub(super) fn new(partitions: u32) -> Topic {
        Topic { cluster: MemoryCluster::with_topic(TOPIC, partitions), sent: BTreeMap::new(), campaign: "spring" }
    }

    /// The grants `seqs`, in order, behind those sent before: seat `seq` of spring for user 1000 + `seq`.
    pub(super) fn send(&mut self, log: LogId, partition: u32, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            self.lose(log, partition, [seq]);
            self.send_again(log, partition, [seq]);
        }
    }

    /// The same, but they never reach the topic.
    pub(super) fn lose(&mut self, log: LogId, partition: u32, seqs: impl IntoIterator<Item = u64>) {
        self.sent.entry((log, partition)).or_default().extend(seqs);
    }

    /// What was sent (and maybe lost), as it was.
    pub(super) fn send_again(&self, log: LogId, partition: u32, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            let line = &self.sent[&(log, partition)];
            let prev = line.iter().filter(|sent| **sent < seq).max().copied().unwrap_or(0);
            self.cluster.add(TOPIC, self.record(log, partition, seq, prev));
        }
    }

    pub(super) fn record(&self, log: LogId, partition: u32, seq: u64, prev: u64) -> Outgoing {
        let grant = Grant {
            log,
            seq: Lsn::new(seq),
            campaign: self.campaign.into(),
            seat: seq as u32,
            user: GrantUser::Int(1000 + seq as i64),
            nth: 1,
            at: Millis(AT),
        };
        let record = EntryRecord { entry: grant.into(), prev: Lsn::new(prev) };
        let (key, value, headers) = encode(&record, Key::Campaign, Value::Long);
        Outgoing { topic: 0, partition, at: Millis(AT), key, value, headers }
    }

    /// A gate that hears that records are missing sends everything behind them again.
    pub(super) fn heal(&self, bench: &Bench) -> usize {
        let missing = bench.watermarks.lanes.take_missing();
        for (lane, after) in &missing {
            assert_eq!(lane.kind(), Kind::Grant, "nothing else was sent");
            let line = self.sent.get(&(LOG, lane.partition())).into_iter().flatten();
            self.send_again(LOG, lane.partition(), line.copied().filter(|seq| *seq > after.get()));
        }
        missing.len()
    }

    pub(super) fn connect(&self) -> Connect {
        let cluster = self.cluster.clone();
        Box::new(move || Ok(Box::new(cluster.clone()) as Box<dyn Cluster>))
    }

    pub(super) fn feed(&self, bench: &Bench) -> Box<dyn Feed> {
        let gate = Some((LOG, Arc::clone(&bench.watermarks)));
        Box::new(KafkaFeed::new(self.connect(), topics(), gate))
    }

    /// A sink to be turned by hand, and what cuts its transactions.
    pub(super) fn worker(&self, bench: &Bench) -> (Worker, Trip) {
        bench.worker_of(self.feed(bench))
    }

    /// A new sink stores what there is.
    pub(super) fn drain(&self, bench: &Bench) -> usize {
        drain(&mut self.worker(bench).0).unwrap()
    }
}

/// `kpart:next/last_seq` of each row, `!` where something is missing.
pub(super) fn positions(bench: &Bench) -> String {
    bench.text(
        "SELECT group_concat(kpart || ':' || next_position || '/' || last_seq || iif(hole, '!', ''), ' ') \
         FROM (SELECT * FROM coupon_sink_position WHERE source LIKE 'kafka:%' ORDER BY source, kpart)",
    )
}
