//! On its thread: it follows the journal, waits for the cluster, ends when told to.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

struct Running {
    handle: StreamHandle,
    marks: Arc<Watermarks>,
    figures: Arc<Figures>,
    told: Arc<AtomicU64>,
}

fn run(bench: &Bench) -> Running {
    let (marks, figures, told) = (Arc::clone(&bench.marks), Arc::<Figures>::default(), Arc::<AtomicU64>::default());
    let count = Arc::clone(&told);
    let on_progress = Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let (watermarks, seen) = (Arc::clone(&marks), Arc::clone(&figures));
    let campaigns = bench.campaigns();
    let handle = start(bench.options(), watermarks, seen, bench.files(), campaigns, on_progress).unwrap();
    Running { handle, marks, figures, told }
}

#[test]
fn it_follows_a_running_journal_and_tells_of_its_progress() {
    let bench = Bench::new();
    let running = run(&bench);
    assert!(running.handle.wait_for_first_look(Duration::from_secs(60)));
    for _ in 0..5 {
        let before = running.told.load(Ordering::SeqCst);
        bench.grant(20);
        until("the grants", || running.marks.published.get() == bench.last.get());
        until("the word", || running.told.load(Ordering::SeqCst) > before);
    }
    assert!(running.handle.stop(Duration::from_secs(60)));
    bench.check_once();
    assert_eq!(surely_published(&bench.disk, data(), bench.log), bench.last.get());
}

#[test]
fn a_cluster_that_is_down_is_told_and_waited_for() {
    let bench = Bench::new();
    bench.cluster.faults(|faults| faults.down = true);
    bench.grant(20);
    let running = run(&bench);
    until("the trouble", || running.figures.kafka_trouble.get().contains("down"));
    assert!(!running.handle.wait_for_first_look(Duration::ZERO), "nobody has looked yet");
    assert!(running.figures.oldest_unpublished_at.get() > 0);
    bench.cluster.faults(|faults| faults.down = false);
    until("the grants", || running.marks.published.get() == bench.last.get());
    until("the end of the trouble", || running.figures.kafka_trouble.get().is_empty());
    assert!(running.handle.wait_for_first_look(Duration::ZERO));

    bench.cluster.faults(|faults| faults.down = true);
    bench.grant(1);
    until("the grant on its way", || running.figures.kafka_in_flight.get() == 1);
    bench.grant(19);
    bench.cluster.faults(|faults| faults.down = false);
    until("the grants", || running.marks.published.get() == bench.last.get());
    assert!(running.handle.stop(Duration::from_secs(60)));
    bench.check_once();
}

#[test]
fn a_stop_publishes_what_is_left() {
    let bench = Bench::new();
    let running = run(&bench);
    bench.grant(500);
    assert!(running.handle.stop(Duration::from_secs(60)));
    bench.check_once();
}

#[test]
fn a_stop_waits_for_a_cluster_that_is_down_as_long_as_its_patience() {
    let bench = Bench::new();
    bench.cluster.faults(|faults| faults.down = true);
    bench.grant(5);
    let running = run(&bench);
    until("the trouble", || !running.figures.kafka_trouble.get().is_empty());
    let began = now();
    assert!(!running.handle.stop(Duration::from_millis(300)), "not everything is published");
    assert!(now().duration_since(began) < Duration::from_secs(20), "it ends with its patience");

    bench.cluster.faults(|faults| faults.down = false);
    assert!(run(&bench).handle.stop(Duration::from_secs(60)));
    bench.check_once();
}

#[test]
fn what_only_a_human_heals_ends_the_wait_for_the_first_look_and_a_stop() {
    let bench = Bench::new();
    bench.cluster.faults(|faults| faults.refuse = Some("kafka: the password is wrong".into()));
    bench.grant(5);
    let running = run(&bench);
    assert!(running.handle.wait_for_first_look(Duration::from_secs(60)));
    until("the trouble", || running.figures.kafka_trouble.get().contains("password"));
    let began = now();
    assert!(!running.handle.stop(Duration::from_secs(60)));
    assert!(now().duration_since(began) < Duration::from_secs(30));
}

#[test]
fn a_disk_that_takes_no_checkpoint_keeps_nothing_from_being_published() {
    let bench = Bench::new();
    bench.grant(5);
    let journal = bench.journal.take().unwrap();
    journal.finish(Millis(AT)).unwrap();
    bench.disk.faults(|faults| faults.fail_write = true);
    assert!(run(&bench).handle.stop(Duration::from_secs(60)));
    bench.check_once();
}
