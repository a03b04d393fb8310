//! The gate beside a sink that is another process.

use super::pair::{Pair, assert_told, positions};
use super::story::Story;
use super::topic::{Topic, lanes, topics};
use super::*;
use crate::edge::{now, passes, simulated};
use crate::grant::{Kind, Lane};
use crate::sink::follow::Follower;

/// The gate's side of the bench, and a process of its own that fills the ledger.
fn gate(bench: &Bench, connect: Connect) -> Follower {
    let options = FollowOptions { ledger: bench.settings.clone(), connect, topics: topics(), log: LOG };
    Follower::new(options, Arc::clone(&bench.watermarks), Arc::clone(&bench.figures))
}

fn elsewhere(bench: &Bench, connect: Connect) -> (Bench, Worker) {
    let other = Bench { settings: bench.settings.clone(), ..Bench::in_any_world() };
    let feed = Box::new(KafkaFeed::new(connect, topics(), None));
    let (worker, _) = other.worker_of(feed);
    (other, worker)
}

#[test]
fn the_gate_sees_how_far_a_sink_elsewhere_is_and_what_it_misses() {
    let (bench, mut topic) = (Bench::new(), Topic::new(2));
    let mut gate = gate(&bench, topic.connect());
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
    let (_other, mut sink) = elsewhere(&bench, topic.connect());
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
fn the_gate_hears_of_a_lost_tail_of_the_returns_from_the_grant_that_waits_for_it() {
    let (bench, mut pair, mut story) = (Bench::new(), Pair::new(1), Story::of(LOG));
    pair.send(0, story.grant("spring", 1, 1));
    pair.lose(0, story.back("spring", 1));
    pair.send(0, story.grant("spring", 1, 2));
    pair.publish(&bench);
    simulated::begin(Millis(AT), 1);
    let mut gate = gate(&bench, pair.connect());
    let (_other, mut sink) = elsewhere(&bench, pair.connect());
    drain(&mut sink).unwrap();
    gate.look(now());
    let at_once = pair.heal(&bench);
    for seat in [1, 2] {
        // What is read meanwhile makes it wait no longer.
        passes(Duration::from_secs(3));
        pair.send(0, story.grant("summer", seat, i64::from(seat)));
        drain(&mut sink).unwrap();
    }
    sink.give_a_sign().unwrap();
    let told = positions(&bench);
    gate.look(now());
    let missing = pair.heal(&bench);
    drain(&mut sink).unwrap();
    pair.publish(&bench);
    gate.look(now());
    let again = pair.heal(&bench);
    simulated::end();
    assert_eq!(at_once, []);
    assert_eq!(missing, [Lane::new(Kind::Return, 0)]);
    assert_eq!(again, [], "there is no hole any more");
    assert_eq!(told, "r0:0/0! g0:1/1", "by the ledger");
    assert_told(&bench, &[&story]);
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(5));
}

#[test]
fn the_gate_tells_that_nobody_fills_the_ledger() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    let mut gate = gate(&bench, topic.connect());
    topic.send(LOG, 0, 1..=2);
    let (_other, mut sink) = elsewhere(&bench, topic.connect());
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
