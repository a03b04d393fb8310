//! Everything at once, from a seed: duplicates, holes, strangers, sinks killed at any step, ledgers set back. At the end
//! the table is exactly what was granted.

use std::path::PathBuf;

use super::topic::{TOPIC, Topic};
use super::*;
use crate::kafka::Outgoing;

/// A small generator: the same seed, the same story.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

const PARTITIONS: u32 = 3;
const STEPS: u64 = [Step::Begun, Step::Compared, Step::Inserted, Step::Also, Step::Committed].len() as u64;

struct Story<'b> {
    bench: &'b Bench,
    topic: Topic,
    chance: Chance,
    seq: u64,
    worker: Worker,
    trip: Trip,
    copy: Option<PathBuf>,
}

impl Story<'_> {
    fn step(&mut self) {
        let partition = self.chance.below(u64::from(PARTITIONS)) as u32;
        match self.chance.below(20) {
            0..=6 => {
                for _ in 0..=self.chance.below(40) {
                    self.seq += 1;
                    match self.chance.below(60) {
                        0 => self.topic.lose(LOG, partition, [self.seq]),
                        _ => self.topic.send(LOG, partition, [self.seq]),
                    }
                }
            }
            7 => {
                let line = self.topic.sent.get(&(LOG, partition)).cloned().unwrap_or_default();
                let from = self.chance.below(line.len() as u64 + 1) as usize;
                let many = self.chance.below(5) as usize;
                // Late duplicates; a lost one among them may even come for the first time.
                self.topic.send_again(LOG, partition, line.into_iter().skip(from).take(many));
            }
            8 => {
                let headers = vec![("x", vec![1])];
                let stranger = Outgoing { topic: 0, partition, at: Millis(AT), key: None, value: vec![1], headers };
                self.topic.cluster.add(TOPIC, stranger);
            }
            9 => {
                let steps = [Step::Begun, Step::Compared, Step::Inserted, Step::Also, Step::Committed];
                self.trip.arm(steps[self.chance.below(STEPS) as usize]);
            }
            10 => (self.worker, self.trip) = self.topic.worker(self.bench),
            11 if self.bench.path().exists() => {
                let copy = self.bench.dir.path().join(format!("copy-{}.db", self.seq));
                if !copy.exists() {
                    self.bench.sql().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
                    self.copy = Some(copy);
                }
            }
            12 => {
                if let Some(copy) = self.copy.take() {
                    let path = self.bench.path();
                    for file in ["ledger.db-wal", "ledger.db-shm"] {
                        let _not_there = std::fs::remove_file(self.bench.dir.path().join(file));
                    }
                    std::fs::rename(copy, path).unwrap();
                }
            }
            13 => {
                self.topic.heal(self.bench);
            }
            _ => {
                let _may_fail = self.worker.turn();
            }
        }
    }

    /// Turns, and sends again what is asked for, until all is in.
    fn end(&mut self) {
        for _ in 0..1000 {
            if let Ok(Turn::Idle) = self.worker.turn()
                && self.topic.heal(self.bench) == 0
            {
                if self.worker.lines().holes().is_empty() {
                    return;
                }
                // What was asked for of a sink that is gone is asked for again by the next one.
                (self.worker, self.trip) = self.topic.worker(self.bench);
            }
        }
        panic!("it does not come to an end: {:?}", self.worker.lines().holes());
    }
}

#[test]
fn whatever_happens_the_table_ends_exactly_right() {
    for seed in 1..=40 {
        let bench = Bench::new();
        let topic = Topic::new(PARTITIONS);
        let (worker, trip) = topic.worker(&bench);
        let mut story = Story { bench: &bench, topic, chance: Chance(seed), seq: 0, worker, trip, copy: None };
        for _ in 0..200 {
            story.step();
        }
        // A lost record at the end of a partition is noticed by the one behind it.
        for partition in 0..PARTITIONS {
            story.seq += 1;
            story.topic.send(LOG, partition, [story.seq]);
        }
        story.end();
        let rows = "SELECT count(*) * 1000000 + count(DISTINCT seq) + sum(user_id <> seq + 1000 OR seat <> seq) \
                    FROM coupon_grant";
        let all = i64::try_from(story.seq).unwrap();
        assert_eq!(bench.number(rows), all * 1_000_000 + all, "seed {seed}");
        assert_eq!(bench.number("SELECT count(*) FROM coupon_dead_letter"), 0, "seed {seed}");
    }
}
