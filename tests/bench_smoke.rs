//! The benches work at small sizes, so that they do not rot; and they would notice a server that miscounts.

#[path = "../bench/growth.rs"]
#[allow(dead_code, reason = "its main belongs to the bench")]
mod growth;
#[path = "../bench/speed/mod.rs"]
mod speed;

use std::path::{Path, PathBuf};

use clap::Parser;
use speed::generator::{ask, flat};
use speed::requests::{Crowd, Script, granted_by_gate, granted_by_script};
use speed::servers::{Kind, Mode, Server};
use speed::{Cores, Options, SpeedError, measure_claims, measure_incr};

/// The release binary: named by GATE_BINARY, or where `cargo build --release` puts it.
fn release_binary() -> PathBuf {
    let debug = PathBuf::from(env!("CARGO_BIN_EXE_coupon-gate"));
    let target = debug.ancestors().nth(2).expect("cargo builds into a profile of a target directory");
    let binary = std::env::var_os("GATE_BINARY").map_or(target.join("release/coupon-gate"), PathBuf::from);
    assert!(binary.is_file(), "{} is not there: run `cargo build --release` first", binary.display());
    binary
}

#[test]
fn speed_measures_both_servers_and_finds_them_truthful() {
    let gate = release_binary();
    let options = Options::parse_from(["speed", "--quick", "--gate", gate.to_str().unwrap()]);
    let outcome = speed::run(&options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.rows.len(), 12, "two modes, two pipelines, three kinds: {outcome}");
    for row in &outcome.rows {
        assert!(row.gate.median().rate > 0.0 && row.redis.median().rate > 0.0, "{outcome}");
    }
    let json: serde_json::Value = serde_json::from_str(&outcome.json()).unwrap();
    assert_eq!(json["rows"].as_array().unwrap().len(), 12);
}

#[test]
fn growth_measures_every_step() {
    let options = growth::Options::parse_from(["growth", "--grants", "5000", "--rounds", "2"]);
    let told = growth::measure(&options).to_string();
    assert!(told.contains("of 5000), at most 2: ") && told.contains("bytes a user, at most 32: "), "{told}");
}

#[test]
fn a_server_that_miscounts_has_no_figures() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = Options::parse_from(["speed", "--seconds", "0.01", "--seats", "100"]);
    runtime.block_on(async {
        let program = Path::new("redis-server");
        let server = Server::start(Kind::Redis, program, Mode::None, dir.path(), Cores(None)).await.unwrap();
        let mut one_more_than_there_were = 1;
        let incr = measure_incr(&server, 16, &options, &mut one_more_than_there_were).await;
        assert!(matches!(incr, Err(SpeedError::Untrue { .. })), "{incr:?}");

        for stranger in [["SADD", "taken", "1"], ["SADD", "unrecorded", "1"]] {
            let script = Script::prepare(&server, stranger[1], 100).await.unwrap();
            ask(&server, &stranger).await.unwrap();
            if stranger[1] == "taken" {
                ask(&server, &["XADD", "taken:stream", "*", "user", "1"]).await.unwrap();
            }
            let claims = measure_claims(&server, &script, 16, &options, 0).await;
            assert!(matches!(claims, Err(SpeedError::Untrue { .. })), "{claims:?}");
        }
    });
}

#[test]
fn grants_are_counted_in_the_replies_of_both_servers() {
    let gate = b"*3\r\n+GRANTED\r\n:57\r\n:43\r\n*3\r\n+ALREADY\r\n:57\r\n:43\r\n*3\r\n+SOLDOUT\r\n:0\r\n:0\r\n";
    assert_eq!(granted_by_gate(gate), 1);
    assert_eq!(granted_by_script(b":1\r\n:-1\r\n:0\r\n:99\r\n"), 2);
}

#[test]
fn the_crowd_is_the_same_for_both_servers_and_every_user_has_eight_digits() {
    let (crowd, mut digits) = (Crowd::claiming(1000, 7), [0; 8]);
    let mut users = std::collections::BTreeSet::new();
    for turn in 0..2000 {
        crowd.write(turn, &mut digits);
        let user: u32 = std::str::from_utf8(&digits).unwrap().parse().unwrap();
        assert!((10_000_000..10_001_000).contains(&user));
        users.insert(user);
    }
    assert_eq!(crowd.different(2000), users.len() as u64);
    assert!((800..930).contains(&users.len()), "about 865 of 1000 users claim: {}", users.len());
}

#[test]
fn a_reply_is_flattened_when_it_is_whole() {
    assert_eq!(flat(b"*2\r\n$1\r\na\r\n*1\r\n:7\r\n"), Some(Ok(vec!["a".to_string(), "7".to_string()])));
    assert_eq!(flat(b"*2\r\n$1\r\na\r\n"), None);
    assert_eq!(flat(b"$5\r\nab"), None);
    assert_eq!(flat(b"-ERR no\r\n"), Some(Err("ERR no".to_string())));
}
