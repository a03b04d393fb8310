//! The races that everybody runs, from the claim through Kafka to the row in MariaDB.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crate::level::{Luck, within};
use crate::line::{CAMPAIGN, Line};
use crate::peers;

/// Every one of `users` asks once, in random order, on `connections` at a time; who was told that he has a seat.
fn fire(line: &Line, users: i64, connections: usize, luck: &mut Luck) -> Vec<i64> {
    let mut crowd: Vec<i64> = (1..=users).collect();
    luck.shuffle(&mut crowd);
    let share = crowd.len().div_ceil(connections);
    thread::scope(|scope| {
        let threads: Vec<_> = crowd
            .chunks(share)
            .map(|share| {
                scope.spawn(move || {
                    let mut client = line.gate.client();
                    let lines: Vec<String> =
                        share.iter().map(|user| format!("GATE.CLAIM {CAMPAIGN} {user} FLAT")).collect();
                    let replies = client.pipeline(&lines);
                    let won = share.iter().zip(replies);
                    let won = won.filter(|(_, reply)| reply.text().is_some_and(|text| text.starts_with("GRANTED")));
                    won.map(|(user, _)| *user).collect::<Vec<i64>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn three_thousand_users_race_for_a_hundred_coupons_in_the_users_own_table() {
    let (kafka, mariadb) = peers::shared();
    let ledger = mariadb.database();
    ledger.execute("CREATE TABLE coupon (id BIGINT AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL)");
    let also = "INSERT INTO coupon (user_id) VALUES (:user)";
    let line = Line::start(&kafka.bootstrap(), &ledger, &["--ledger-also", also]);
    line.create(100);
    let winners = fire(&line, 3000, 32, &mut Luck::new("three_thousand_users"));
    line.settle();
    let winners: BTreeSet<i64> = winners.into_iter().collect();
    assert_eq!(winners.len(), 100);
    assert_eq!(line.rows().into_values().collect::<BTreeSet<_>>(), winners);
    let own: Vec<i64> = ledger.query("SELECT user_id FROM coupon");
    assert_eq!(own.len(), 100);
    assert_eq!(own.into_iter().collect::<BTreeSet<_>>(), winners);
    let records = kafka.read_all(&line.topic);
    let published: Vec<i64> =
        records.iter().map(|record| i64::from_be_bytes(record.value.as_deref().unwrap().try_into().unwrap())).collect();
    assert_eq!(published.len(), 100);
    assert_eq!(published.into_iter().collect::<BTreeSet<_>>(), winners);
    line.audit();
}

#[test]
fn twenty_thousand_users_for_ten_thousand_coupons_are_rows_a_moment_later() {
    let (kafka, mariadb) = peers::shared();
    let ledger = mariadb.database();
    let line = Line::start(&kafka.bootstrap(), &ledger, &[]);
    line.create(10_000);
    // Gates are up before their crowd is: topic, tables and connections are there once something has gone all the way.
    let mut client = line.gate.client();
    client.call("GATE.CREATE earlier LIMIT 1");
    client.call("GATE.CLAIM earlier 1");
    let rows = |campaign: &str| {
        let count: Vec<i64> = ledger.query(&format!("SELECT count(*) FROM coupon_grant WHERE campaign = '{campaign}'"));
        count[0]
    };
    within(Duration::from_secs(30), "the line's first row", || (rows("earlier") == 1).then_some(()));
    let began = Instant::now();
    let winners = fire(&line, 20_000, 50, &mut Luck::new("twenty_thousand_users"));
    assert_eq!(winners.len(), 10_000);
    within(Duration::from_secs(30), "ten thousand rows", || (rows(CAMPAIGN) == 10_000).then_some(()));
    eprintln!("10 000 rows in MariaDB {:.2} s after the first claim", began.elapsed().as_secs_f64());
    line.settle();
    let stored: BTreeSet<i64> = line.rows().into_values().collect();
    assert_eq!(stored, winners.into_iter().collect());
    line.audit();
}
