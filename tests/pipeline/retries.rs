//! Clients that hear no answer and ask again, over a network that loses answers: nobody gets a seat more than he asked for.

use std::collections::BTreeMap;
use std::thread;

use crate::client::Client;
use crate::level::until;
use crate::line::{CAMPAIGN, Line};
use crate::{lossy, peers};

/// Asks until there is an answer; how often that was in vain.
fn insist(port: u16, client: &mut Option<Client>, words: &[&str]) -> (String, u32) {
    for lost in 0.. {
        let there = client.get_or_insert_with(|| Client::connect(port).unwrap());
        match there.try_call(words) {
            Ok(reply) => return (reply.text().unwrap_or_else(|| panic!("{words:?}: {reply}")), lost),
            Err(_) => *client = None,
        }
    }
    unreachable!("there is no last try")
}

#[test]
fn whoever_asks_again_because_the_answer_was_lost_gets_what_he_has() {
    const USERS: u32 = 400;
    let (kafka, mariadb) = peers::shared();
    let ledger = mariadb.database();
    let line = Line::start(&kafka.bootstrap(), &ledger, &[]);
    let mut client = line.gate.client();
    let seats = USERS * 3 + 10;
    assert_eq!(
        client.call(&format!("GATE.CREATE {CAMPAIGN} LIMIT {seats} PERUSER 3")).text().as_deref(),
        Some("CREATED")
    );
    assert_eq!(client.call(&format!("GATE.CREATE single LIMIT {USERS}")).text().as_deref(), Some("CREATED"));
    let port = lossy::way_to(line.gate.port(), 3);
    let lost: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|share| {
                scope.spawn(move || {
                    let (mut client, mut lost) = (None, 0);
                    for user in (1..=USERS).filter(|user| user % 8 == share) {
                        let user = user.to_string();
                        for cart in ["one", "two", "three"] {
                            let words = ["GATE.CLAIM", CAMPAIGN, &user, "ID", cart, "FLAT"];
                            let (told, again) = insist(port, &mut client, &words);
                            assert!(
                                told.starts_with("GRANTED ") || again > 0 && told.starts_with("ALREADY "),
                                "{told}"
                            );
                            lost += again;
                        }
                        let (told, again) = insist(port, &mut client, &["GATE.CLAIM", "single", &user, "FLAT"]);
                        assert!(told.starts_with("GRANTED ") || again > 0 && told.starts_with("ALREADY "), "{told}");
                        lost += again;
                    }
                    lost
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(lost > USERS, "{lost} answers were lost");
    line.settle();
    let of = |campaign: &str| -> Vec<(u32, i64, u16)> {
        ledger
            .query(&format!("SELECT seat, user_id, nth FROM coupon_grant WHERE campaign = '{campaign}' ORDER BY seat"))
    };
    let mut by_user: BTreeMap<i64, Vec<u16>> = BTreeMap::new();
    let rows = of(CAMPAIGN);
    assert!(rows.iter().map(|row| row.0).eq(1..=USERS * 3), "each seat once, none beside those that were asked for");
    rows.into_iter().for_each(|(_, user, nth)| by_user.entry(user).or_default().push(nth));
    assert!(by_user.len() == USERS as usize && by_user.values().all(|nths| *nths == [1, 2, 3]), "{by_user:?}");
    assert!(of("single").into_iter().map(|(seat, _, nth)| (seat, nth)).eq((1..=USERS).map(|seat| (seat, 1))));
    line.audit();
}

/// Claims three seats, confirms them and gives one back; how many answers were lost.
fn buys_and_gives_back(port: u16, client: &mut Option<Client>, user: u32) -> u32 {
    let user = user.to_string();
    let mut lost = 0;
    let mut ask = |words: &[&str], right: &str, if_again: &str| {
        let (told, again) = insist(port, client, words);
        let word = told.split(' ').next().unwrap_or_default();
        assert!(word == right || again > 0 && word == if_again, "{words:?}: {told}");
        lost += again;
        told.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let carts = ["one", "two", "three"];
    let seats = carts.map(|cart| ask(&["GATE.CLAIM", CAMPAIGN, &user, "ID", cart, "FLAT"], "HELD", "HELD"));
    for seat in &seats {
        let told = ask(&["GATE.CONFIRM", CAMPAIGN, &user, "SEAT", seat, "FLAT"], "GRANTED", "GRANTED");
        assert_eq!(told, *seat);
    }
    ask(&["GATE.CANCEL", CAMPAIGN, &user, "SEAT", &seats[1], "FLAT"], "CANCELLED", "NONE");
    lost
}

#[test]
fn a_confirmation_and_a_cancel_that_are_sent_again_happen_once() {
    const USERS: u32 = 200;
    let (kafka, mariadb) = peers::shared();
    let ledger = mariadb.database();
    let line = Line::start(&kafka.bootstrap(), &ledger, &[]);
    let mut client = line.gate.client();
    let seats = USERS * 3 + 10;
    let created = client.call(&format!("GATE.CREATE {CAMPAIGN} LIMIT {seats} PERUSER 3 HOLD 600000")).text();
    assert_eq!(created.as_deref(), Some("CREATED"));
    let port = lossy::way_to(line.gate.port(), 3);
    let lost: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|share| {
                scope.spawn(move || {
                    let mut client = None;
                    let users = (1..=USERS).filter(|user| user % 8 == share);
                    users.map(|user| buys_and_gives_back(port, &mut client, user)).sum::<u32>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(lost > USERS, "{lost} answers were lost");
    // Each user keeps two of his three seats, and gave one back, once.
    let by_user = |table: &str| -> Vec<(i64, u32)> {
        ledger.query(&format!("SELECT user_id, COUNT(*) FROM {table} GROUP BY user_id ORDER BY user_id"))
    };
    let every = |seats: u32| (1..=i64::from(USERS)).map(|user| (user, seats)).collect::<Vec<_>>();
    until("all is stored", || (by_user("coupon_return") == every(1)).then_some(()));
    line.settle();
    assert_eq!((by_user("coupon_grant"), by_user("coupon_return")), (every(2), every(1)));
    line.audit();
}
