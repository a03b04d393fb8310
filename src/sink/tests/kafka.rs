//! The sink fed from a topic: duplicates, holes, strangers, and topics that are not what they were.

use super::topic::{TOPIC, Topic, lanes, positions};
use super::*;
use crate::kafka::Outgoing;

const OTHER: LogId = LogId([9; 16]);

#[test]
fn grants_of_all_partitions_are_rows_and_each_partition_has_its_position() {
    let (bench, mut topic) = (Bench::new(), Topic::new(3));
    topic.send(LOG, 0, [1, 3, 4]);
    topic.send(LOG, 2, [2, 5]);
    assert_eq!(topic.drain(&bench), 5);
    bench.assert_stored(5);
    assert_eq!(positions(&bench), "0:3/4 1:0/0 2:2/5");
    let source = bench.text("SELECT DISTINCT source FROM coupon_sink_position");
    assert_eq!(source, format!("kafka:memory:{TOPIC}"));
    topic.send(LOG, 1, [6]);
    assert_eq!(topic.drain(&bench), 1, "by the next sink");
    bench.assert_stored(6);
    assert_eq!(bench.figures.ledger_duplicates.get(), 0, "which reads nothing again");
}

#[test]
fn stored_is_as_far_as_the_slowest_partition() {
    let (bench, mut topic) = (Bench::new(), Topic::new(2));
    topic.send(LOG, 0, 1..=2);
    topic.send(LOG, 1, [5]);
    bench.watermarks.durable.advance(Lsn::new(9));
    bench.watermarks.lanes.set_published(&lanes(&[4, 5]));
    bench.watermarks.published.advance(Lsn::new(5));
    let (mut worker, _) = topic.worker(&bench);
    drain(&mut worker).unwrap();
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(2));
    topic.send(LOG, 0, 3..=4);
    drain(&mut worker).unwrap();
    assert_eq!(bench.watermarks.stored.get(), Lsn::new(5));
}

#[test]
fn a_late_duplicate_is_skipped_and_counted() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, 1..=5);
    topic.send_again(LOG, 0, [2, 5]);
    topic.send(LOG, 0, [6]);
    topic.send_again(LOG, 0, [4]);
    assert_eq!(topic.drain(&bench), 6);
    bench.assert_stored(6);
    assert_eq!(bench.figures.ledger_duplicates.get(), 3);
    topic.send(LOG, 0, [7]);
    assert_eq!(topic.drain(&bench), 1, "behind a duplicate, too, the next sink finds its place");
}

#[test]
fn a_hole_stops_its_partition_until_what_is_missing_has_come() {
    let (bench, mut topic) = (Bench::new(), Topic::new(2));
    topic.send(LOG, 0, 1..=2);
    topic.lose(LOG, 0, [3]);
    topic.send(LOG, 0, [4, 6]);
    topic.send(LOG, 1, [5, 7]);
    let (mut worker, _) = topic.worker(&bench);
    assert_eq!(drain(&mut worker).unwrap(), 4);
    assert_eq!(positions(&bench), "0:2/2! 1:2/7", "the other partition goes on");
    worker.step(false).unwrap();
    let trouble = bench.figures.ledger_trouble.get();
    assert!(trouble.contains("missing in partition 0, behind seq 2 and up to 4"), "{trouble}");

    topic.send(LOG, 0, [8]);
    assert_eq!(drain(&mut worker).unwrap(), 0, "nothing behind it is stored");
    assert_eq!(topic.heal(&bench), 1, "it was asked for");
    assert_eq!(drain(&mut worker).unwrap(), 4);
    bench.assert_stored(8);
    assert_eq!(positions(&bench), "0:9/8 1:2/7");
    worker.step(false).unwrap();
    assert_eq!(bench.figures.ledger_trouble.get(), "");
}

#[test]
fn a_hole_is_asked_for_again_by_the_next_sink() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.lose(LOG, 0, 1..=2);
    topic.send(LOG, 0, [3]);
    assert_eq!(topic.drain(&bench), 0);
    assert_eq!(bench.watermarks.lanes.take_missing().len(), 1);
    let (mut next, _) = topic.worker(&bench);
    assert_eq!(drain(&mut next).unwrap(), 0);
    topic.heal(&bench);
    assert_eq!(drain(&mut next).unwrap(), 3);
    bench.assert_stored(3);
}

#[test]
fn what_comes_again_without_all_that_was_behind_it_is_asked_for_until_it_is_all() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, [1]);
    topic.lose(LOG, 0, [2]);
    topic.send(LOG, 0, 3..=4);
    let (mut worker, _) = topic.worker(&bench);
    drain(&mut worker).unwrap();
    topic.send_again(LOG, 0, [2]);
    topic.send(LOG, 0, [5]);
    assert_eq!(drain(&mut worker).unwrap(), 1);
    assert_eq!(positions(&bench), "0:4/2!");
    topic.heal(&bench);
    drain(&mut worker).unwrap();
    bench.assert_stored(5);
}

#[test]
fn records_of_strangers_are_counted_and_passed() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    let stranger = Outgoing {
        topic: 0,
        partition: 0,
        at: Millis(AT),
        key: None,
        value: b"hello".to_vec(),
        headers: vec![("x", vec![1])],
    };
    topic.cluster.add(TOPIC, stranger.clone());
    topic.send(LOG, 0, [1]);
    topic.cluster.add(TOPIC, stranger.clone());
    let (mut worker, _) = topic.worker(&bench);
    drain(&mut worker).unwrap();
    worker.leave();
    bench.assert_stored(1);
    assert_eq!((bench.figures.foreign_records.get(), positions(&bench)), (2, "0:3/1".into()));
    assert_eq!(bench.number("SELECT count(*) FROM coupon_dead_letter"), 0);
}

#[test]
fn a_record_of_ours_that_is_no_grant_is_put_aside_and_keeps_its_place_in_the_line() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, [1]);
    topic.lose(LOG, 0, [2]);
    let broken = Outgoing { value: b"no long".to_vec(), ..topic.record(LOG, 0, 2, 1) };
    topic.cluster.add(TOPIC, broken);
    let mut nameless = topic.record(LOG, 0, 3, 1);
    nameless.headers.retain(|(name, _)| *name != "cg-prev");
    topic.cluster.add(TOPIC, nameless);
    topic.send(LOG, 0, [3]);
    let (mut worker, _) = topic.worker(&bench);
    assert_eq!(drain(&mut worker).unwrap(), 2, "what follows is stored");
    let letters = "SELECT group_concat(position || ' ' || reason, '; ') FROM coupon_dead_letter";
    let letters = bench.text(letters);
    assert!(letters.contains("1 its value of 7 bytes") && letters.contains("2 cg-log, cg-seq or cg-prev"), "{letters}");
    let record = "SELECT concat_ws('|', CAST(key AS TEXT), CAST(value AS TEXT), headers ->> 'cg-seq', source) \
                  FROM coupon_dead_letter WHERE position = 1";
    assert_eq!(bench.text(record), format!("spring|no long|2|kafka:memory:{TOPIC}"));

    // Read again from the start, they are there already.
    bench.sql().execute_batch("UPDATE coupon_sink_position SET next_position = 0, last_seq = 0").unwrap();
    bench.sql().execute_batch("DELETE FROM coupon_grant").unwrap();
    assert_eq!(topic.drain(&bench), 2);
    assert_eq!(bench.number("SELECT count(*) FROM coupon_dead_letter"), 2);
}

#[test]
fn records_that_no_gate_writes_are_put_aside() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.cluster.add(TOPIC, topic.record(LogId::NONE, 0, 1, 0));
    topic.cluster.add(TOPIC, topic.record(LOG, 0, u64::MAX, 0));
    topic.send(LOG, 0, [1]);
    assert_eq!(topic.drain(&bench), 1);
    assert_eq!(bench.number("SELECT count(*) FROM coupon_dead_letter WHERE reason LIKE '%no gate writes such%'"), 2);
}

#[test]
fn a_grant_that_the_database_refuses_keeps_its_place_in_the_line() {
    let mut bench = Bench::new();
    bench.settings.also = Some("INSERT INTO coupon (user_id) VALUES (:user)".into());
    let tables = "CREATE TABLE coupon (user_id INTEGER PRIMARY KEY CHECK (user_id <> 1002))";
    bench.sql().execute_batch(tables).unwrap();
    let mut topic = Topic::new(1);
    topic.send(LOG, 0, 1..=2);
    assert_eq!(topic.drain(&bench), 1);
    topic.send(LOG, 0, [3]);
    assert_eq!(topic.drain(&bench), 1, "which comes behind it");
    assert_eq!(bench.text("SELECT CAST(key AS TEXT) || hex(value) FROM coupon_dead_letter"), "spring00000000000003EA");
    assert_eq!((positions(&bench), bench.figures.ledger_trouble.get()), ("0:3/3".into(), String::new()));
}

#[test]
fn two_gates_in_one_topic_have_lines_of_their_own() {
    let (bench, mut ours) = (Bench::new(), Topic::new(1));
    let mut other = Topic { cluster: ours.cluster.clone(), sent: Default::default(), campaign: "autumn" };
    ours.send(LOG, 0, 1..=2);
    other.send(OTHER, 0, 1..=3);
    ours.lose(LOG, 0, [3]);
    ours.send(LOG, 0, [4]);
    other.send(OTHER, 0, [4]);
    let (mut worker, _) = ours.worker(&bench);
    assert_eq!(drain(&mut worker).unwrap(), 6, "a hole of one is none of the other");
    let source = "SELECT group_concat(source || ' ' || last_seq || ' ' || hole, '; ') FROM coupon_sink_position";
    let row = format!("kafka:memory:{TOPIC}");
    assert_eq!(bench.text(source), format!("{row} 2 1; {row}:{OTHER} 4 0"));
    assert_eq!(positions(&bench).split(' ').next(), Some("0:5/2!"), "where it was noticed, it is read from again");
    let (mut next, _) = ours.worker(&bench);
    drain(&mut next).unwrap();
    assert_eq!(bench.figures.ledger_duplicates.get(), 1, "what was stored behind the hole is skipped");
    ours.heal(&bench);
    drain(&mut next).unwrap();
    assert_eq!(bench.number("SELECT count(*) FROM coupon_grant WHERE campaign = 'spring'"), 4);
    assert_eq!(bench.number("SELECT count(*) FROM coupon_grant WHERE campaign = 'autumn'"), 4);
}

#[test]
fn a_campaign_of_two_gates_stops_the_sink() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, 1..=2);
    topic.drain(&bench);
    topic.send(OTHER, 0, [3]);
    let mut worker = topic.worker(&bench).0;
    let fault = drain(&mut worker).expect_err("they are of another journal");
    worker.tell(&fault);
    let Fault::Ledger(LedgerError::OtherJournal { line, logs: [OTHER, LOG] }) = fault else { panic!("{fault:?}") };
    assert!(line.contains("never mixed"), "{line}");
    assert_eq!(bench.figures.stale_because.get(), "", "it is the other gate that gave these seats again");
    bench.assert_stored(2);
}

#[test]
fn what_retention_removed_unread_is_asked_for() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, 1..=3);
    let (mut worker, _) = topic.worker(&bench);
    drain(&mut worker).unwrap();
    topic.send(LOG, 0, 4..=6);
    topic.cluster.delete_records(TOPIC, 0, 5);
    assert!(matches!(worker.turn(), Err(Fault::Feed(FeedError::Away(_)))), "the offset is gone");
    assert_eq!(drain(&mut worker).unwrap(), 0);
    assert_eq!(positions(&bench), "0:5/3!");
    topic.heal(&bench);
    assert_eq!(drain(&mut worker).unwrap(), 3);
    bench.assert_stored(6);
}

#[test]
fn a_partition_emptied_behind_its_position_is_no_trouble() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, 1..=3);
    topic.drain(&bench);
    topic.cluster.delete_records(TOPIC, 0, 3);
    topic.send(LOG, 0, [4]);
    assert_eq!(topic.drain(&bench), 1);
    bench.assert_stored(4);
}

#[test]
fn a_topic_made_anew_is_read_from_its_start() {
    for refilled in [0, 3, 5, 9] {
        let (bench, mut topic) = (Bench::new(), Topic::new(1));
        topic.send(LOG, 0, 1..=5);
        let (mut worker, _) = topic.worker(&bench);
        drain(&mut worker).unwrap();
        for restart in [false, true] {
            topic.cluster.make_topic(TOPIC, 1);
            topic.send_again(LOG, 0, (1..=5).take(refilled));
            if restart {
                worker = topic.worker(&bench).0;
            }
            // A follower beyond the end is told so.
            let _gone = worker.turn();
            drain(&mut worker).unwrap();
        }
        topic.send_again(LOG, 0, (1..=5).skip(refilled));
        topic.send(LOG, 0, 6..=8);
        drain(&mut worker).unwrap();
        assert!(bench.watermarks.lanes.take_missing().is_empty(), "nothing was missing: {refilled}");
        bench.assert_stored(8);
    }
}

#[test]
fn another_gates_records_before_the_next_position_make_it_read_from_the_start() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, 1..=3);
    topic.drain(&bench);
    topic.cluster.make_topic(TOPIC, 1);
    let mut other = Topic { cluster: topic.cluster.clone(), sent: Default::default(), campaign: "autumn" };
    other.send(OTHER, 0, 1..=4);
    topic.send(LOG, 0, [4]);
    assert_eq!(topic.drain(&bench), 5, "the other gate's first records, too");
}

#[test]
fn after_the_journal_the_topic_adds_what_is_new() {
    let (bench, mut topic) = (Bench::new(), Topic::new(2));
    bench.spring();
    // The journal's grants have the seqs 2..=21, as the topic's have.
    for seq in 2..=21 {
        let (seat, user) = (Seat::new(seq), User::Int(1000 + i64::from(seq)));
        bench.push(Event::Granted {
            campaign: SPRING,
            seat,
            user,
            nth: 1,
            request: b"",
            at: Millis(AT),
            after: Lsn::ZERO,
        });
    }
    drain(&mut bench.worker().0).unwrap();
    topic.send(LOG, 0, (2..=20).step_by(2));
    topic.send(LOG, 1, (3..=21).step_by(2));
    topic.send(LOG, 0, [22]);
    assert_eq!(topic.drain(&bench), 1);
    assert_eq!(bench.number("SELECT count(*) FROM coupon_grant"), 21);
    assert_eq!(bench.figures.ledger_duplicates.get(), 20);
    assert_eq!(positions(&bench), "0:11/22 1:10/21");
    assert_eq!(topic.drain(&bench), 0, "and the next sink again nothing");
}

#[test]
fn after_the_topic_the_journal_starts_behind_the_slowest_partition() {
    let (bench, mut topic) = (Bench::new(), Topic::new(2));
    bench.spring();
    for seq in 2..=31 {
        let (seat, user) = (Seat::new(seq), User::Int(1000 + i64::from(seq)));
        bench.push(Event::Granted {
            campaign: SPRING,
            seat,
            user,
            nth: 1,
            request: b"",
            at: Millis(AT),
            after: Lsn::ZERO,
        });
    }
    topic.send(LOG, 0, (2..=20).step_by(2));
    topic.send(LOG, 1, (3..=11).step_by(2));
    topic.drain(&bench);
    let (mut worker, _) = bench.worker();
    assert_eq!(drain(&mut worker).unwrap(), 15, "13, 15, 17, 19, and all from 21 on");
    assert_eq!(bench.number("SELECT count(*) FROM coupon_grant"), 30);
    let duplicates = bench.figures.ledger_duplicates.get();
    assert_eq!(duplicates, 10 + 5, "all up to 11, and 12, 14, 16, 18, 20: found by their rows");
    assert_eq!(bench.watermarks.stored.get(), bench.watermarks.durable.get());
}

#[test]
fn a_partition_that_nothing_came_from_may_still_get_the_first_grant() {
    let (bench, mut topic) = (Bench::new(), Topic::new(2));
    bench.spring();
    for seq in 2..=4 {
        let (seat, user) = (Seat::new(seq), User::Int(1000 + i64::from(seq)));
        bench.push(Event::Granted {
            campaign: SPRING,
            seat,
            user,
            nth: 1,
            request: b"",
            at: Millis(AT),
            after: Lsn::ZERO,
        });
    }
    topic.send(LOG, 0, [3, 4]);
    topic.drain(&bench);
    assert_eq!(drain(&mut bench.worker().0).unwrap(), 1, "2 was on its way to the other partition");
}

#[test]
fn another_cluster_goes_on_where_the_first_one_was() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, 1..=5);
    topic.drain(&bench);
    topic.cluster.set_id("another");
    topic.cluster.make_topic(TOPIC, 1);
    topic.send_again(LOG, 0, 1..=5);
    topic.send(LOG, 0, [6]);
    assert_eq!(topic.drain(&bench), 1);
    bench.assert_stored(6);
    assert_eq!(bench.figures.ledger_duplicates.get(), 5);
}

#[test]
fn a_ledger_that_was_set_back_is_filled_from_the_topic_again() {
    let (bench, mut topic) = (Bench::new(), Topic::new(2));
    topic.send(LOG, 0, 1..=10);
    topic.send(LOG, 1, 11..=20);
    let (mut worker, _) = topic.worker(&bench);
    drain(&mut worker).unwrap();
    let back = "DELETE FROM coupon_grant WHERE seat BETWEEN 5 AND 10; \
                UPDATE coupon_sink_position SET next_position = 4, last_seq = 4 WHERE kpart = 0";
    bench.sql().execute_batch(back).unwrap();
    topic.send(LOG, 0, [21]);
    assert!(matches!(ledger_fault(worker.turn()), LedgerError::TakenOver(_)), "the position is not where it was left");
    drain(&mut worker).unwrap();
    bench.assert_stored(21);
}

#[test]
fn a_ledger_that_was_set_back_to_the_same_offset_of_a_topic_that_lost_its_tail_is_filled_again() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, [1]);
    let (mut worker, _) = topic.worker(&bench);
    drain(&mut worker).unwrap();
    topic.cluster.truncate(TOPIC, 0, 0);
    topic.send(LOG, 0, [2]);
    let (mut worker, _) = topic.worker(&bench);
    drain(&mut worker).unwrap();
    assert_eq!(positions(&bench), "0:1/2", "offset 0 was stored twice");
    let back = "DELETE FROM coupon_grant WHERE seat = 2; UPDATE coupon_sink_position SET last_seq = 1";
    bench.sql().execute_batch(back).unwrap();
    topic.send(LOG, 0, [3]);
    assert!(matches!(ledger_fault(worker.turn()), LedgerError::TakenOver(_)), "the last seq is not what was stored");
    drain(&mut worker).unwrap();
    bench.assert_stored(3);
}

#[test]
fn partitions_that_are_added_are_read_from_their_start() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.send(LOG, 0, 1..=2);
    topic.drain(&bench);
    topic.cluster.grow_topic(TOPIC, 3);
    topic.send(LOG, 2, [3]);
    topic.drain(&bench);
    bench.assert_stored(3);
    assert_eq!(positions(&bench), "0:2/2 1:0/0 2:1/3");
}

#[test]
fn a_cluster_and_a_topic_that_are_away_are_waited_for() {
    let (bench, mut topic) = (Bench::new(), Topic::new(1));
    topic.cluster.delete_topic(TOPIC);
    topic.cluster.faults(|faults| faults.down = true);
    let (watermarks, figures) = (Arc::clone(&bench.watermarks), Arc::clone(&bench.figures));
    let sink = start(bench.options(), watermarks, figures, topic.feed(&bench)).unwrap();
    bench.wait("the trouble", |b| b.figures.ledger_trouble.get().contains("is down"));
    topic.cluster.faults(|faults| faults.down = false);
    bench.wait("the topic's trouble", |b| b.figures.ledger_trouble.get().contains("there is no topic"));
    topic.cluster.make_topic(TOPIC, 1);
    topic.send(LOG, 0, 1..=3);
    bench.wait("the rows", |b| b.figures.ledger_rows.get() == 3);
    topic.cluster.faults(|faults| faults.down = true);
    bench.wait("the trouble", |b| !b.figures.ledger_trouble.get().is_empty());
    topic.cluster.faults(|faults| faults.down = false);
    topic.send(LOG, 0, 4..=5);
    bench.wait("the other rows", |b| b.figures.ledger_rows.get() == 5);
    bench.watermarks.durable.advance(Lsn::new(5));
    bench.watermarks.lanes.set_published(&lanes(&[5]));
    bench.watermarks.published.advance(Lsn::new(5));
    assert!(sink.stop(Duration::from_secs(60)), "all that was published is stored");
    bench.assert_stored(5);
}

#[test]
fn while_the_operators_query_asks_for_a_pause_nothing_is_stored() {
    let mut bench = Bench::new();
    bench.settings.pause_when = Some("SELECT wait FROM busy".into());
    bench.sql().execute_batch("CREATE TABLE busy (wait INTEGER); INSERT INTO busy VALUES (1)").unwrap();
    let mut topic = Topic::new(1);
    topic.send(LOG, 0, 1..=3);
    let (mut worker, _) = topic.worker(&bench);
    assert_eq!(worker.turn(), Ok(Turn::Paused));
    topic.send(LOG, 0, 4..=5);
    assert_eq!(worker.turn(), Ok(Turn::Paused));
    assert_eq!(worker.progress.waiting.len(), 3, "nothing more is fetched");
    bench.assert_stored(0);
    bench.sql().execute_batch("UPDATE busy SET wait = 0").unwrap();
    assert_eq!(worker.turn(), Ok(Turn::Paused), "it is asked every two seconds");
    worker.progress.paused.0 = None;
    drain(&mut worker).unwrap();
    bench.assert_stored(5);
}

/// The same with the promise broken: what the tests above rely on is not there by chance.
#[cfg(feature = "sabotage")]
mod sabotaged {
    use super::*;
    use crate::sabotage::{Sabotage, peace};

    #[test]
    fn a_sink_that_stores_behind_a_hole_is_noticed() {
        peace::broken(Sabotage::HoleIgnored, || {
            let (bench, mut topic) = (Bench::in_any_world(), Topic::new(1));
            topic.send(LOG, 0, 1..=2);
            topic.lose(LOG, 0, [3]);
            topic.send(LOG, 0, [4]);
            topic.drain(&bench);
            assert_eq!(topic.heal(&bench), 0, "nobody asks for what is missing");
            topic.send_again(LOG, 0, [3]);
            topic.drain(&bench);
            assert_eq!(bench.number("SELECT count(*) FROM coupon_grant"), 3, "and when it comes, it is too late");
        });
    }
}
