//! Everything at once, from a seed: duplicates, holes, strangers, sinks killed at any step, ledgers set back. At the end
//! the table is exactly what was granted.

use std::path::PathBuf;

use super::pair::{Pair, assert_told};
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

const CAMPAIGNS: [&str; PARTITIONS as usize] = ["spring", "summer", "autumn"];

/// The same with seats that come back, each campaign in the partition of its place.
struct Returning<'b> {
    bench: &'b Bench,
    pair: Pair,
    story: super::story::Story,
    chance: Chance,
    worker: Worker,
    trip: Trip,
}

impl Returning<'_> {
    fn decide(&mut self) {
        let partition = self.chance.below(u64::from(PARTITIONS)) as u32;
        let campaign = CAMPAIGNS[partition as usize];
        let out: Vec<u32> =
            self.story.out().into_iter().filter(|(of, ..)| of == campaign).map(|(_, seat, _)| seat).collect();
        let entry = if self.chance.below(5) < 2 && !out.is_empty() {
            self.story.back(campaign, out[self.chance.below(out.len() as u64) as usize])
        } else {
            // The lowest free seat; who gives it back is among the next ones to get one.
            let seat = (1..).find(|seat| !out.contains(seat)).expect("there are seats enough");
            self.story.grant(campaign, seat, i64::from(seat))
        };
        match self.chance.below(60) {
            0 => self.pair.lose(partition, entry),
            _ => self.pair.send(partition, entry),
        }
    }

    fn step(&mut self) {
        match self.chance.below(20) {
            0..=6 => (0..=self.chance.below(40)).for_each(|_| self.decide()),
            7 if !self.story.entries.is_empty() => {
                let from = self.chance.below(self.story.entries.len() as u64) as usize;
                for entry in self.story.entries.iter().skip(from).take(5) {
                    self.send_again(entry);
                }
            }
            8 => {
                let steps = [Step::Begun, Step::Compared, Step::Inserted, Step::Also, Step::Committed];
                self.trip.arm(steps[self.chance.below(STEPS) as usize]);
            }
            9 => (self.worker, self.trip) = self.bench.worker_of(Box::new(self.pair.feed(self.bench))),
            10 => drop(self.pair.heal(self.bench)),
            _ => {
                self.worker.progress.limit = 1 + self.chance.below(30) as usize;
                let _may_fail = self.worker.turn();
            }
        }
    }

    fn send_again(&self, entry: &crate::grant::Entry) {
        let partition = CAMPAIGNS.iter().position(|campaign| **campaign == **entry.campaign());
        self.pair.send_again(partition.expect("it is one of them") as u32, entry);
    }

    /// Turns, and sends again what is asked for, until all is in.
    fn end(&mut self) {
        for _ in 0..1000 {
            if let Ok(Turn::Idle) = self.worker.turn()
                && self.pair.heal(self.bench).is_empty()
            {
                if self.worker.lines().holes().is_empty() && self.worker.progress.waiting.parked() == 0 {
                    return;
                }
                (self.worker, self.trip) = self.bench.worker_of(Box::new(self.pair.feed(self.bench)));
            }
        }
        panic!("it does not come to an end: {:?}", self.worker.lines().holes());
    }
}

#[test]
fn whatever_happens_to_seats_that_come_back_the_tables_end_exactly_right() {
    for seed in 1..=25 {
        let bench = Bench::new();
        let (pair, story) = (Pair::new(PARTITIONS), super::story::Story::of(LOG));
        let (worker, trip) = bench.worker_of(Box::new(pair.feed(&bench)));
        let mut play = Returning { bench: &bench, pair, story, chance: Chance(seed), worker, trip };
        for _ in 0..150 {
            play.step();
        }
        // A lost record at the end of a lane is noticed by the one that is sent again.
        play.pair.last().into_iter().for_each(|entry| play.send_again(&entry));
        play.end();
        assert_told(&bench, &[&play.story]);
        assert_eq!(bench.number("SELECT count(*) FROM coupon_dead_letter"), 0, "seed {seed}");
    }
}
