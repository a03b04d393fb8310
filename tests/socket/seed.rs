//! A running Redis event moves in.

use std::process::{Command, Stdio};

use crate::gate::{Gate, binary};

/// Seeds `campaign` from `redis`; the exit code and all that was said.
fn seed(gate: &Gate, redis: &Gate, campaign: &str, more: &[&str]) -> (Option<i32>, String) {
    let [target, from] = [gate, redis].map(|server| format!("redis://127.0.0.1:{}", server.port()));
    let output = Command::new(binary())
        .args(["seed", campaign, "--target", &target, "--from-redis", &from])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn a_set_and_its_counter_move_in_and_claims_go_on_behind_them() {
    let (mut gate, redis) = (Gate::start(&[]), Gate::redis_server());
    let (mut there, mut here) = (redis.client(), gate.client());
    let users: Vec<String> = (0..2500).map(|user| (user * 7 - 100).to_string()).collect();
    for part in users.chunks(500) {
        assert_eq!(there.call(&format!("SADD winners {}", part.join(" "))).to_string(), "500");
    }
    assert_eq!(there.call("SET count 2500").to_string(), "OK");
    let args = ["--set", "winners", "--counter", "count"];

    let create = "GATE.CREATE spring LIMIT 3000 OPEN 2099-01-01T00:00:00Z";
    assert_eq!(here.call(create).to_string(), "CREATED");
    let would = "spring: 2500 seats would be brought in, 0 are there\n";
    assert_eq!(seed(&gate, &redis, "spring", &[&args[..], &["--dry-run"]].concat()), (Some(0), would.into()));
    // As if a run had been cut short.
    assert_eq!(here.call("GATE.SEED spring -100 1 -93 2").to_string(), "2");
    let done = "spring: 2498 seats brought in, 2 were there\n";
    assert_eq!(seed(&gate, &redis, "spring", &args), (Some(0), done.into()));
    let again = "spring: 0 seats brought in, 2500 were there\n";
    assert_eq!(seed(&gate, &redis, "spring", &args), (Some(0), again.into()));

    gate.kill();
    gate.start_again();
    let mut here = gate.client();
    assert_eq!(here.call("GATE.ALTER spring OPEN NONE").to_string(), "OK");
    assert_eq!(here.call("GATE.CLAIM spring -100 FLAT").to_string(), "\"ALREADY 1 500\"");
    assert_eq!(here.call(&format!("GATE.CLAIM spring {} FLAT", users[2499])).to_string(), "\"ALREADY 2500 500\"");
    assert_eq!(here.call("GATE.CLAIM spring 1000000 FLAT").to_string(), "\"GRANTED 2501 499\"");
    let (code, said) = seed(&gate, &redis, "spring", &args);
    assert!(code == Some(1) && said.contains("claims could come in between"), "{said}");
}

#[test]
fn the_order_of_a_sorted_set_and_of_a_list_is_kept() {
    let (gate, redis) = (Gate::start(&["--ledger", "none"]), Gate::redis_server());
    let (mut there, mut here) = (redis.client(), gate.client());
    there.call("ZADD ranked 3 ann 1 bob 2 cid");
    there.call("RPUSH queue 30 10 20");
    here.call("GATE.CREATE ranked LIMIT 3 USERS ANY");
    here.call("GATE.CREATE queue LIMIT 5");
    assert_eq!(seed(&gate, &redis, "ranked", &["--set", "ranked"]).0, Some(0));
    assert_eq!(seed(&gate, &redis, "queue", &["--set", "queue"]).0, Some(0));
    let seats = |rows: String| rows.split(']').filter_map(|row| row.split(' ').next_back().map(str::to_owned)).count();
    assert_eq!(seats(here.call("GATE.SEATS ranked 1 9").to_string()), 5);
    for (campaign, user, seat) in [("ranked", "bob", 1), ("ranked", "cid", 2), ("ranked", "ann", 3)] {
        let told = here.call(&format!("GATE.CLAIM {campaign} {user} FLAT")).to_string();
        assert_eq!(told, format!("\"ALREADY {seat} 0\""));
    }
    assert_eq!(here.call("GATE.CLAIM queue 30 FLAT").to_string(), "\"ALREADY 1 2\"");
}

#[test]
fn what_contradicts_is_told_and_nothing_is_brought_in() {
    let (gate, redis) = (Gate::start(&["--ledger", "none"]), Gate::redis_server());
    let (mut there, mut here) = (redis.client(), gate.client());
    there.call("SADD winners 1 2 3");
    there.call("SADD words 1 two");
    there.call("SADD many 1 2 3 4 5 6");
    there.call("RPUSH twice 1 2 1");
    there.call("SET count 4");
    here.call("GATE.CREATE spring LIMIT 5");
    for (more, why) in [
        (&["--set", "winners", "--counter", "count"][..], "counter 'count' says 4, 'winners' has 3 users"),
        (&["--set", "winners", "--counter", "nothing"], "counter 'nothing' says nothing, 'winners' has 3 users"),
        (&["--set", "words"], "user 'two' is not an integer"),
        (&["--set", "many"], "there are 6 users, campaign spring has 5 seats"),
        (&["--set", "twice"], "user 1 is there twice"),
        (&["--set", "missing"], "Redis has no key 'missing'"),
        (&["--set", "count"], "key 'count' is a string"),
    ] {
        let (code, said) = seed(&gate, &redis, "spring", more);
        assert!(code == Some(1) && said.contains(why) && said.contains("nothing was brought in"), "{said}");
    }
    here.call("GATE.CLAIM spring 9");
    let (code, said) = seed(&gate, &redis, "spring", &["--set", "winners"]);
    assert!(
        code == Some(1) && said.contains("seat 1 of campaign spring is user 9's already, it would be 1's"),
        "{said}"
    );
    let (code, said) = seed(&gate, &redis, "nobody", &["--set", "winners"]);
    assert!(code == Some(4) && said.contains("NOCAMPAIGN"), "{said}");
    assert_eq!(here.call("GATE.CLAIM spring 1 FLAT").to_string(), "\"GRANTED 2 3\"");
    drop(redis);
}
