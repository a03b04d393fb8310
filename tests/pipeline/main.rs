//! The pipeline from outside: the release binary between a real Kafka and a real MariaDB.
//!
//! * `KAFKA_LIBS`: the folder of Kafka's jars; default `tests/cache/kafka/libs`, which `bash tests/run` fills.
//! * `GATE_BINARY`, `TEST_LEVEL`, `TEST_SEED`: as in the socket tests.
//!
//! What takes long stands in a module named `long`: `bash tests/run quick` leaves it out.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a test looks at real processes from outside: it watches the clock, starts threads and stops at the first surprise"
)]

mod answer_after;
mod bench;
mod crowd;
mod cut_off;
mod faults_gate;
mod faults_peers;
mod faults_sink;
mod kafka_adapter;
mod kafka_adapter_faults;
mod life;
mod line;
mod lossy;
mod misfits;
mod mysql_ledger;
mod peers;
mod peers_tests;
mod race;
mod retries;
mod returns;
mod sabotaged;
mod spring;
mod ways;

#[path = "../socket/client.rs"]
#[allow(dead_code, reason = "the socket tests use the rest")]
mod client;
#[path = "../conversation/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the socket tests use the rest")]
mod conversation;
#[path = "../socket/gate.rs"]
#[allow(dead_code, reason = "the socket tests use the rest")]
mod gate;
#[path = "../socket/level.rs"]
#[allow(dead_code, reason = "the socket tests use the rest")]
mod level;
