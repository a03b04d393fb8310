//! Kafka and MariaDB as the pipeline meets them: real processes on free loopback ports, in directories of their own,
//! that end with the test however the test ends.
//!
//! A test that does a peer no harm takes the shared one and works in a topic or a database of its own. A test that
//! kills, freezes or restarts takes one of its own; at most three tests at a time have such.

pub mod kafka;
pub mod mariadb;
mod process;
mod records;
mod template;
mod turn;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kafka::{FOR_A_TEST, Kafka};
use mariadb::MariaDb;
pub use process::{Held, state};
pub use records::Record;
use turn::Turn;

/// A Kafka and a MariaDB for this test alone, started side by side below `dir`.
#[track_caller]
pub fn both(dir: &Path) -> (Kafka, MariaDb) {
    let turn = Turn::take();
    thread::scope(|scope| {
        let kafka = scope.spawn(|| Kafka::start_below(dir, &[], FOR_A_TEST, Some(turn.clone())));
        let mariadb = MariaDb::start_below(dir, &[], Some(turn.clone()));
        (kafka.join().expect("Kafka starts"), mariadb)
    })
}

/// The Kafka and the MariaDB that all tests of this process share.
pub fn shared() -> (&'static Kafka, &'static MariaDb) {
    thread::scope(|scope| {
        let kafka = scope.spawn(kafka::shared);
        let mariadb = mariadb::shared();
        (kafka.join().expect("Kafka starts"), mariadb)
    })
}

/// A name that no other test of this process has: `spring_3`.
pub fn unique(word: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{word}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
