//! Kills and faults at random moments: whatever happens, a reader ends with every grant and every return, in order.

use super::*;

/// The numbers of a splitmix64 generator: the same seed, the same numbers.
struct Draws(u64);

impl Draws {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.next(of) == 0
    }
}

/// What a run may do to the topic.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Kills, producers that fail, brokers that do not answer: nothing acknowledged is lost.
    Faults,
    /// Requests of dead producers arrive late, too.
    Late,
    /// The topic loses its tail or is replaced, too.
    Loss,
}

fn run(seed: u64, kind: Kind) -> (usize, u64) {
    let mut draws = Draws(seed);
    let bench = Bench::in_any_world();
    let mut process = bench.process();
    let mut late = 0;
    for _ in 0..60 {
        bench.grant(draws.next(12) as usize);
        let out = bench.granted.borrow().len() - bench.returned.borrow().len();
        bench.give_back(out.min(draws.next(5) as usize));
        let room = if draws.one_in(4) { 1 + draws.next(9) as usize } else { usize::MAX };
        bench.cluster.faults(|faults| {
            faults.down = draws.one_in(8);
            faults.hold_acks = draws.one_in(4);
            faults.hold_appends = draws.one_in(6);
            faults.hold_appends_to = draws.one_in(4).then(|| if draws.one_in(2) { TOPIC } else { CANCEL }.into());
            faults.hide_offsets = draws.one_in(6);
            faults.room = room;
            faults.fatal_after = draws.one_in(5).then(|| draws.next(10));
            faults.calls_left = draws.one_in(6).then(|| draws.next(12));
        });
        process.see(&bench);
        for _ in 0..draws.next(6) {
            if process.worker.turn().is_err() && draws.one_in(2) {
                break;
            }
        }
        if draws.one_in(4) {
            process.worker.remember(false);
            process.worker.save();
        }
        if draws.one_in(4) {
            process = bench.process();
        }
        if kind == Kind::Faults && draws.one_in(20) {
            crate::journal::Disk::remove(&bench.disk, &super::checkpoint::path(data())).ok();
        }
        match kind {
            Kind::Late if draws.one_in(3) => {
                let before = bench.cluster.travelling();
                bench.cluster.append_late(draws.next(8) as usize);
                late += before - bench.cluster.travelling();
            }
            Kind::Faults | Kind::Late | Kind::Loss => bench.cluster.lose_travelling(),
        }
        if kind == Kind::Loss && draws.one_in(10) {
            let topic = if draws.one_in(2) { TOPIC } else { CANCEL };
            match draws.next(3) {
                0 => bench.cluster.make_topic(topic, 3),
                partition => {
                    let partition = partition as u32;
                    let high = bench.cluster.records(topic, partition).len() as u64;
                    if high > 0 {
                        bench.cluster.truncate(topic, partition, draws.next(high + 1));
                    }
                }
            }
        }
    }
    bench.cluster.faults(|faults| *faults = Default::default());
    // As the gate does on its thread: until everything is published.
    for _ in 0..20 {
        if process.publish(&bench).is_ok() {
            break;
        }
    }
    // What was lost behind the last look is only found by the next one.
    drop(process);
    let mut process = bench.process();
    process.publish(&bench).unwrap();
    assert_eq!(process.published(), bench.last.get());
    assert!(!process.figures.stale.load(std::sync::atomic::Ordering::Acquire));
    (bench.check(), late as u64)
}

fn runs(kind: Kind, check: impl Fn(usize, u64)) {
    let _calm = crate::sabotage::peace::keep();
    for seed in 0..150 {
        let seed = seed * 7919 + kind as u64;
        let told = std::panic::catch_unwind(|| run(seed, kind));
        match told {
            Ok((skipped, late)) => check(skipped, late),
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn through_kills_and_faults_each_entry_is_there_once_and_in_order() {
    runs(Kind::Faults, |skipped, _| assert_eq!(skipped, 0, "records that are there twice, or out of order"));
}

#[test]
fn late_requests_of_dead_producers_are_the_only_duplicates() {
    runs(Kind::Late, |skipped, late| assert!(skipped as u64 <= late, "{skipped} duplicates, {late} came late"));
}

#[test]
fn through_losses_every_entry_is_there_for_a_reader_that_waits_at_holes() {
    runs(Kind::Loss, |_, _| {});
}
