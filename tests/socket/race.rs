//! A crowd at the door: exactly the seats there are, each once, in every answer, in the journal and in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

use rusqlite::Connection;

use crate::client::Client;
use crate::conversation::{Reply, encode};
use crate::gate::Gate;
use crate::ledger;
use crate::level::{Luck, rounds, until};

/// Claims answered: what the crowd heard.
#[derive(Debug, Default)]
struct Heard {
    granted: BTreeMap<i64, i64>,
    already: Vec<(i64, i64)>,
    sold_out: BTreeSet<i64>,
}

impl Heard {
    fn note(&mut self, user: i64, reply: &Reply) {
        let Some([Reply::Status(status), Reply::Int(number), Reply::Int(remaining)]) = reply.items() else {
            panic!("a claim is answered {reply}")
        };
        assert!(*remaining >= 0, "{reply}");
        match status.as_str() {
            "GRANTED" => {
                assert_eq!(self.granted.insert(*number, user), None, "seat {number} was given twice");
            }
            "ALREADY" => self.already.push((user, *number)),
            "SOLDOUT" => {
                self.sold_out.insert(user);
            }
            _ => panic!("a claim is answered {reply}"),
        }
    }

    fn merge(&mut self, other: Heard) {
        for (seat, user) in other.granted {
            assert_eq!(self.granted.insert(seat, user), None, "seat {seat} was given twice");
        }
        self.already.extend(other.already);
        self.sold_out.extend(other.sold_out);
    }
}

/// All `claims` from `workers` threads with `connections` in all, each with up to `pipeline` claims under way; everybody
/// starts at once.
fn crowd(gate: &Gate, campaign: &str, claims: &[i64], workers: usize, connections: usize, pipeline: usize) -> Heard {
    let start = Barrier::new(workers);
    let shares: Vec<&[i64]> = claims.chunks(claims.len().div_ceil(workers)).collect();
    assert_eq!(shares.len(), workers, "each worker has something to do");
    let mut all = Heard::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| {
                let start = &start;
                scope.spawn(move || {
                    let mut clients: Vec<Client> = (0..connections / workers).map(|_| gate.client()).collect();
                    start.wait();
                    let mut heard = Heard::default();
                    for wave in share.chunks(clients.len() * pipeline) {
                        for (client, users) in clients.iter_mut().zip(wave.chunks(pipeline)) {
                            let bytes: Vec<u8> = users
                                .iter()
                                .flat_map(|user| encode(&["GATE.CLAIM", campaign, &user.to_string()]))
                                .collect();
                            client.send_raw(&bytes).unwrap();
                        }
                        for (client, users) in clients.iter_mut().zip(wave.chunks(pipeline)) {
                            for &user in users {
                                heard.note(user, &client.read().unwrap());
                            }
                        }
                    }
                    heard
                })
            })
            .collect();
        for thread in threads {
            all.merge(thread.join().unwrap());
        }
    });
    all
}

/// Checks that what was heard is exact and that every witness agrees.
fn check(gate: &Gate, campaign: &str, limit: i64, users: i64, heard: &Heard) {
    let expected = limit.min(users);
    let seats: Vec<i64> = heard.granted.keys().copied().collect();
    assert_eq!(seats, (1..=expected).collect::<Vec<_>>(), "seats 1..={expected}, each once");
    let winners: BTreeMap<i64, i64> = heard.granted.iter().map(|(&seat, &user)| (user, seat)).collect();
    assert_eq!(winners.len() as i64, expected, "nobody has two");
    for (user, seat) in &heard.already {
        assert_eq!(winners.get(user), Some(seat), "user {user} hears of the seat he has");
    }
    for user in &heard.sold_out {
        assert!(!winners.contains_key(user), "user {user} has a seat and was told that there is none");
    }
    assert_eq!(winners.len() + heard.sold_out.len(), users as usize, "every user heard something");

    let mut client = gate.client();
    assert_eq!(ledger::seats(&mut client, campaign), heard.granted, "GATE.SEATS tells what the crowd heard");
    let info = client.call(&format!("GATE.INFO {campaign}"));
    assert_eq!(info.field("granted"), Some(Reply::Int(expected)), "{info}");
    assert_eq!(info.field("remaining"), Some(Reply::Int(limit - expected)), "{info}");
    ledger::wait_for(&ledger::path(gate), campaign, &heard.granted);
}

fn users(count: i64, luck: &mut Luck) -> Vec<i64> {
    let mut users: Vec<i64> = (1..=count).map(|number| number * 7919 - 1_000_000).collect();
    luck.shuffle(&mut users);
    users
}

#[test]
fn of_3000_users_exactly_100_get_a_coupon_and_a_row() {
    let mut luck = Luck::new("3000 users");
    let also = ["--ledger-also", "INSERT INTO coupon (user_id) VALUES (:user)"];
    let mut gate = Gate::stopped(&also);
    std::fs::create_dir(gate.data()).unwrap();
    let own = Connection::open(ledger::path(&gate)).unwrap();
    own.execute_batch("CREATE TABLE coupon (id INTEGER PRIMARY KEY, user_id BIGINT NOT NULL UNIQUE)").unwrap();
    drop(own);
    gate.start_again();
    let mut of_the_user = BTreeSet::new();
    for round in 0..rounds(2, 8) {
        let campaign = format!("coupon-{round}");
        assert_eq!(gate.client().call(&format!("GATE.CREATE {campaign} LIMIT 100")).to_string(), "CREATED");
        // Each round has users of its own, so that the user's own table can hold each once.
        let claims: Vec<i64> = users(3000, &mut luck).iter().map(|user| user * 100 + round as i64).collect();
        let heard = crowd(&gate, &campaign, &claims, 32, 32, 1);
        check(&gate, &campaign, 100, 3000, &heard);
        of_the_user.extend(heard.granted.into_values());
        until("the user's own table has a row for each grant", || {
            let own = ledger::open(&ledger::path(&gate))?;
            let mut statement = own.prepare("SELECT user_id FROM coupon").unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            let rows: BTreeSet<i64> = rows.collect::<Result<_, _>>().ok()?;
            assert!(rows.is_subset(&of_the_user), "a row for nobody");
            (rows.len() == of_the_user.len()).then_some(())
        });
    }
}

#[test]
fn a_thousand_connections_at_once_get_exactly_100_seats() {
    let mut luck = Luck::new("1000 connections");
    let gate = Gate::start(&[]);
    for round in 0..rounds(1, 4) {
        let campaign = format!("coupon-{round}");
        assert_eq!(gate.client().call(&format!("GATE.CREATE {campaign} LIMIT 100")).to_string(), "CREATED");
        let heard = crowd(&gate, &campaign, &users(3000, &mut luck), 8, 1000, 1);
        check(&gate, &campaign, 100, 3000, &heard);
    }
}

#[test]
fn of_20_000_users_10_000_get_a_seat_though_a_third_asks_twice() {
    let mut luck = Luck::new("20 000 users");
    let gate = Gate::start(&[]);
    for round in 0..rounds(1, 3) {
        let campaign = format!("coupon-{round}");
        assert_eq!(gate.client().call(&format!("GATE.CREATE {campaign} LIMIT 10000")).to_string(), "CREATED");
        let mut claims = users(20_000, &mut luck);
        claims.extend_from_within(..6000);
        luck.shuffle(&mut claims);
        let heard = crowd(&gate, &campaign, &claims, 8, 200, 50);
        check(&gate, &campaign, 10_000, 20_000, &heard);
    }
}

#[test]
fn more_seats_than_users_leave_some() {
    let mut luck = Luck::new("more seats than users");
    let gate = Gate::start(&[]);
    assert_eq!(gate.client().call("GATE.CREATE plenty LIMIT 5000").to_string(), "CREATED");
    let heard = crowd(&gate, "plenty", &users(1600, &mut luck), 8, 16, 10);
    check(&gate, "plenty", 5000, 1600, &heard);
}

#[test]
fn a_shadow_campaign_reaches_no_ledger() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    assert_eq!(client.call("GATE.CREATE shadow LIMIT 10 SHADOW").to_string(), "CREATED");
    assert_eq!(client.call("GATE.CREATE real LIMIT 10").to_string(), "CREATED");
    for user in 1..=10 {
        assert_eq!(client.call(&format!("GATE.CLAIM shadow {user}")).items().unwrap()[1], Reply::Int(user));
        assert_eq!(client.call(&format!("GATE.CLAIM real {user}")).items().unwrap()[1], Reply::Int(user));
    }
    // The ledger fills in order: when the later grants are in, the earlier ones would be.
    let seats = ledger::seats(&mut client, "real");
    ledger::wait_for(&ledger::path(&gate), "real", &seats);
    assert_eq!(ledger::rows(&ledger::path(&gate), "shadow"), Some(Vec::new()));
    assert_eq!(ledger::seats(&mut client, "shadow").len(), 10);
}

#[test]
fn incr_from_many_connections_gives_each_number_once() {
    let gate = Gate::start(&[]);
    let (workers, each) = (16, rounds(500, 5000));
    let mut numbers = BTreeSet::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| {
                    let replies = gate.client().pipeline(&vec!["INCR hot".to_owned(); each]);
                    let numbers: Vec<i64> =
                        replies.iter().map(|reply| reply.int().expect("INCR tells a number")).collect();
                    assert!(numbers.is_sorted(), "answers of one connection come in order");
                    numbers
                })
            })
            .collect();
        for thread in threads {
            numbers.extend(thread.join().unwrap());
        }
    });
    let all = (workers * each) as i64;
    assert_eq!(numbers, (1..=all).collect(), "each number once");
    assert_eq!(gate.client().call("GET hot").text(), Some(all.to_string()));
}
