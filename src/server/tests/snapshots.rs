//! `BGSAVE` and its kin, with the test in the compactor's place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use super::World;
use crate::ids::{Lsn, Millis};
use crate::snapshots::Snapshot;

const NOW: Duration = Duration::ZERO;

fn made(lsn: u64, at: i64) -> Snapshot {
    Snapshot { lsn: Lsn::new(lsn), bytes: 4096, at: Millis(at) }
}

impl World {
    /// The compactor's end: what it leaves on the desk, then its word to the loop.
    fn end_snapshot(&mut self, outcome: Result<Snapshot, &str>) {
        match outcome {
            Ok(snapshot) => self.gate.watermarks.snapshots.succeeded(snapshot),
            Err(because) => self.gate.watermarks.snapshots.failed(because),
        }
        self.wake.journal_moved();
        self.gate.end_turn();
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_snapshot_is_started_once_and_told() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "SET k v");
    assert_eq!(world.ask(&mut client, "LASTSAVE"), ":0");
    assert_eq!(world.ask(&mut client, "BGSAVE"), "+Background saving started");
    let marks = Arc::clone(&world.gate.watermarks);
    assert_eq!(marks.snapshots.wait(NOW), Some(Lsn::new(1)));
    for (asked, answer) in [
        ("BGSAVE", "-ERR Background save already in progress"),
        ("BGREWRITEAOF", "-ERR Background append only file rewriting already in progress"),
        ("BGSAVE NOW", "-ERR syntax error"),
        ("BGSAVE SCHEDULE SCHEDULE", "-ERR syntax error"),
        ("SAVE now", "-ERR wrong number of arguments for 'save' command"),
    ] {
        assert_eq!(world.ask(&mut client, asked), answer, "{asked}");
    }
    marks.snapshots.begin(Millis(1_000_000));
    assert_eq!(world.ask(&mut client, "BGSAVE"), "-ERR Background save already in progress");
    assert_eq!(world.ask(&mut client, "BGSAVE schedule"), "+Background saving scheduled");
    let info = world.ask(&mut client, "INFO persistence");
    for field in [
        " rdb_bgsave_in_progress:1 ",
        " aof_rewrite_in_progress:1 ",
        " aof_rewrite_scheduled:1 ",
        " rdb_last_bgsave_time_sec:-1 ",
        " rdb_changes_since_last_save:1 ",
        " rdb_saves:0 ",
    ] {
        assert!(info.contains(field), "{field}: {info}");
    }
    world.end_snapshot(Ok(made(1, 1_007_900)));
    assert_eq!(marks.snapshots.wait(NOW), Some(Lsn::new(1)), "the scheduled one");
    marks.snapshots.begin(Millis(1_008_000));
    world.end_snapshot(Err("no room"));
    world.ask(&mut client, "INCR n");
    assert_eq!(world.ask(&mut client, "LASTSAVE"), ":1007");
    let info = world.ask(&mut client, "INFO persistence");
    for field in [
        " loading:0 ",
        " rdb_bgsave_in_progress:0 ",
        " rdb_current_bgsave_time_sec:-1 ",
        " rdb_last_save_time:1007 ",
        " rdb_last_bgsave_status:err ",
        " rdb_last_bgsave_time_sec:7 ",
        " aof_last_rewrite_time_sec:7 ",
        " aof_last_bgrewrite_status:err ",
        " aof_base_size:4096 ",
        " rdb_changes_since_last_save:1 ",
        " rdb_saves:1 ",
    ] {
        assert!(info.contains(field), "{field}: {info}");
    }
    assert!(!info.contains("loading_start_time"), "{info}");
    assert_eq!(world.ask(&mut client, "BGREWRITEAOF"), "+Background append only file rewriting started");
}

#[test]
fn save_is_answered_by_a_snapshot_of_everything_before_it_and_by_nothing_else() {
    let mut world = World::new();
    let [mut saver, mut other] = [(); 2].map(|()| world.client());
    let marks = Arc::clone(&world.gate.watermarks);
    marks.snapshots.begin(Millis(0));
    world.ask(&mut other, "SET k v");
    assert_eq!(world.ask(&mut saver, "INCR n\r\nSAVE\r\nPING"), ":1");
    let awaited = saver.waits_for_helper().expect("it waits").clone();
    assert!(!saver.may_read(), "what stands behind it waits with it");
    let woken = Arc::new(Woken::default());
    for _ in 0..3 {
        world.gate.wait_for_helper(awaited.clone(), Waker::from(Arc::clone(&woken)));
    }
    assert_eq!(world.ask(&mut other, "INCR m"), ":1", "only the one who asked waits");
    world.end_snapshot(Ok(made(1, 5)));
    assert_eq!(woken.0.load(Ordering::SeqCst), 0, "this one does not cover what it asked for, nor does the journal");
    assert_eq!(world.heard(&mut saver), "");
    assert_eq!(marks.snapshots.begin(Millis(6)), Lsn::new(2));
    world.end_snapshot(Ok(made(3, 7)));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(world.heard(&mut saver), "+OK +PONG");
    assert_eq!(world.ask(&mut saver, "LASTSAVE"), ":0");
    assert_eq!(marks.snapshots.wait(NOW), None, "one request, one snapshot");
}

#[test]
fn save_tells_why_there_is_no_snapshot() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "SET k v");
    assert_eq!(world.ask(&mut client, "SAVE\r\nPING"), "");
    assert_eq!(world.gate.watermarks.snapshots.begin(Millis(0)), Lsn::new(1));
    world.end_snapshot(Err("snapshot: writing 00000001.snap failed:\nno space left"));
    assert_eq!(world.heard(&mut client), "-ERR snapshot: writing 00000001.snap failed: no space left +PONG");
}
