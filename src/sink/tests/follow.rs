//! The gate beside a sink that is another process.

use super::topic::{Topic, lanes, topics};
use super::*;
use crate::edge::now;
use crate::sink::follow::Follower;

/// The gate's side of the bench, and a process of its own that fills the ledger.
fn gate(bench: &Bench, topic: &Topic) -> Follower {
    let options =
        FollowOptions { ledger: bench.settings.clone(), connect: topic.connect(), topics: topics(), log: LOG };
    Follower::new(options, Arc::clone(&bench.watermarks), Arc::clone(&bench.figures))
}

fn elsewhere(bench: &Bench, topic: &Topic) -> (Bench, Worker) {
    let other = Bench { settings: bench.settings.clone(), ..Bench::in_any_world() };
    let feed = Box::new(KafkaFeed::new(topic.connect(), topics(), None));
    let (worker, _) = other.worker_of(feed);
    (other, worker)
}

#[test]
fn the_gate_sees_how_far_a_sink_elsewhere_is_and_what_it_misses() {
    let (bench, mut topic) = (Bench::new(), Topic::new(2));
    let mut gate = gate(&bench, &topic);
    bench.watermarks.durable.advance(Lsn::new(9));
    bench.watermarks.lanes.set_published(&lanes(&[4, 5]));
    bench.watermarks.published.advance(Lsn::new(5));
    gate.look(now());
    assert!(bench.figures.ledger_trouble.get().contains("no tables yet"), "{}", bench.figures.ledger_trouble.get());
    assert!(bench.figures.oldest_unstored_at.get() > 0);

    topic.send(LOG, 0, 1..=2);
    topic.lose(LOG, 0, [3]);
    topic.send(LOG, 0, [4]);
    topic.send(LOG, 1, [5]);
    let (_other, mut sink) = elsewhere(&bench, &topic);
    drain(&mut sink).unwrap();
    gate.look(now());
    assert_eq!(bench.figures.ledger_trouble.get(), "");
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(2));
    assert_eq!(topic.heal(&bench), 1);
    gate.look(now());
    assert_eq!(topic.heal(&bench), 0, "it is told once");
    drain(&mut sink).unwrap();
    gate.look(now());
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(5));
}

#[test]
fn the_gate_tells_that_nobody_fills_the_ledger() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    let mut gate = gate(&bench, &topic);
    topic.send(LOG, 0, 1..=2);
    let (_other, mut sink) = elsewhere(&bench, &topic);
    drain(&mut sink).unwrap();
    let seen = now();
    gate.look(seen);
    assert_eq!(bench.figures.ledger_trouble.get(), "");
    gate.look(seen + Duration::from_secs(60));
    assert!(bench.figures.ledger_trouble.get().contains("no sign of life: test"));
    sink.leave();
    gate.look(seen + Duration::from_secs(61));
    assert!(bench.figures.ledger_trouble.get().contains("has left in order"));
    std::fs::remove_file(bench.path()).unwrap();
    std::fs::create_dir(bench.path()).unwrap();
    gate.look(seen + Duration::from_secs(62));
    assert!(bench.figures.ledger_trouble.get().contains("cannot"), "{}", bench.figures.ledger_trouble.get());
}
