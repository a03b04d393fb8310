//! The product from outside: the release binary over a socket, with kill -9, redis-tools and a real redis-server.
//!
//! * `GATE_BINARY`: the binary under test; default `target/release/coupon-gate`.
//! * `TEST_LEVEL`: `quick` (default) or `full`: how many rounds.
//! * `TEST_SEED`: the seed of what is random; printed by every test that draws, so that a run can be had again.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a test looks at a real process from outside: it watches the clock, starts threads and stops at the first surprise"
)]

mod apply;
mod audit;
mod bad_input;
mod bad_start;
mod client;
mod connect;
mod conversations;
#[path = "../conversation/mod.rs"]
mod conversation;
mod crash;
mod faulty_disk;
mod gate;
mod golden;
mod histories;
mod holds;
mod ledger;
mod level;
mod loading;
mod no_room;
mod operations;
mod race;
mod redis_tools;
mod rehearse;
mod reset;
mod rot;
mod seed;
mod slow_readers;
mod stale;
