//! One thing wrong at a time: it is found, and called by its name.

use super::*;

#[test]
fn a_world_that_is_right_agrees_and_is_complete() {
    spring().assert_complete();
}

#[test]
fn a_row_that_is_gone_is_missing() {
    let mut world = spring();
    world.sql("DELETE FROM coupon_grant WHERE seat = 4");
    assert_eq!(world.differences(), found(Place::Ledger, Kind::Missing, 1));
    let report = world.audit();
    assert_eq!(
        (report.exit(), report.campaigns[0].missing, report.campaigns[0].ledger),
        (Exit::Difference, 1, Some(9))
    );
    let seq = world.grants[3].seq;
    assert!(report.to_string().contains(&format!("seat 4 user 1004 (seq {seq})")), "{report}");
}

#[test]
fn the_last_row_is_missed_where_the_sink_says_that_it_has_read_all() {
    let mut world = spring();
    world.sql("DELETE FROM coupon_grant WHERE seat = 10");
    assert_eq!(world.differences(), found(Place::Ledger, Kind::Missing, 1));
}

#[test]
fn a_row_with_another_user_seat_or_seq_is_wrong() {
    for change in [
        "user_id = 77 WHERE seat = 4",
        "seat = 77 WHERE seat = 4",
        "seq = 7777 WHERE seat = 4",
        "nth = 2 WHERE seat = 4",
    ] {
        let mut world = spring();
        world.sql(&format!("UPDATE coupon_grant SET {change}"));
        assert_eq!(world.differences(), found(Place::Ledger, Kind::Wrong, 1), "{change}");
    }
}

#[test]
fn each_of_a_users_seats_is_held_against_its_number() {
    let seats = |seats: &[(u32, i64, u16)], per_user| {
        let mut world = World::new(2, Key::None, Value::Long);
        let id = world.create_with("spring", Terms { limit: 20, per_user, ..Terms::DEFAULT });
        let grants = seats.iter().map(|(seat, user, nth)| world.grant_nth(id, "spring", *seat, User::Int(*user), *nth));
        let grants: Vec<Grant> = grants.collect();
        world.publish(&grants);
        world.store_from_topic(&grants);
        world
    };
    let mut world = seats(&[(1, 7, 1), (2, 7, 2), (3, 8, 1), (4, 7, 3)], 3);
    world.assert_complete();
    world.sql("UPDATE coupon_grant SET nth = 9 WHERE seat = 2");
    assert_eq!(world.differences(), found(Place::Ledger, Kind::Wrong, 1));
    let told = world.audit().to_string();
    assert!(told.contains("seat 2 user 7") && told.contains("with nth 9: the journal has nth 2"), "{told}");
    let mut world = seats(&[(1, 7, 1), (2, 7, 2), (3, 7, 3)], 2);
    assert_eq!(world.differences(), found(Place::Journal, Kind::Broken, 1));
    assert!(world.audit().to_string().contains("user 7 has 3 seats: [1, 2, 3]"));
}

#[test]
fn a_row_that_the_journal_does_not_have_is_named() {
    let mut world = spring();
    let log = world.log;
    let row = |seat: u32, seq: u64, log: LogId| {
        format!(
            "INSERT INTO coupon_grant VALUES ('spring', {seat}, '{seat}', 1, '2024-11-22 07:15:23.123', '{log}', {seq})"
        )
    };
    world.sql(&row(50, 5000, log));
    assert_eq!(world.differences(), found(Place::Ledger, Kind::Orphan, 1));
    let seq = world.grants[3].seq.get();
    world.sql("DELETE FROM coupon_grant WHERE seat = 50");
    world.sql(&row(50, seq, log));
    assert_eq!(world.differences(), found(Place::Ledger, Kind::Twice, 1));
    world.sql("DELETE FROM coupon_grant WHERE seat = 50");
    world.sql(&row(50, 1, OTHER_LOG));
    assert_eq!(world.differences(), found(Place::Ledger, Kind::OtherJournal, 1));
}

#[test]
fn a_row_of_a_campaign_that_nobody_created_is_named_under_that_campaign() {
    let mut world = spring();
    world.sql("UPDATE coupon_grant SET campaign = 'winter' WHERE seat = 4");
    let expected =
        [("spring".to_owned(), Place::Ledger, Kind::Missing, 1), ("winter".to_owned(), Place::Ledger, Kind::Orphan, 1)];
    assert_eq!(world.differences(), expected);
    assert!(world.audit().campaigns[1].unknown);
}

/// Ten grants of which the topic gets what `change` makes of their records.
fn topic_with(change: impl Fn(&mut Vec<(u32, EntryRecord)>)) -> World {
    let mut world = World::new(1, Key::Campaign, Value::Json);
    let id = world.create("spring", 100, Users::Int, false);
    world.leave(id, "spring", 1..=10);
    let grants = world.grants.clone();
    let mut records: Vec<_> = grants.iter().map(|grant| world.record(grant)).collect();
    change(&mut records);
    records.iter().for_each(|(partition, record)| world.send(*partition, record));
    world.store_from_topic(&grants);
    world
}

#[test]
fn a_record_that_is_gone_is_missing_and_those_behind_it_are_out_of_order() {
    let mut world = topic_with(|records| {
        records.remove(3);
    });
    let expected =
        [("spring".to_owned(), Place::Kafka, Kind::Missing, 1), ("spring".to_owned(), Place::Kafka, Kind::Order, 6)];
    assert_eq!(world.differences(), expected);
}

#[test]
fn a_record_with_another_user_seat_or_campaign_is_wrong() {
    let changes: [fn(&mut Grant); 2] = [|grant| grant.user = GrantUser::Int(77), |grant| grant.seat = 77];
    for change in changes {
        let mut world = topic_with(|records| change(grant_in(&mut records[3].1)));
        assert_eq!(world.differences(), found(Place::Kafka, Kind::Wrong, 1));
    }
    let mut world = topic_with(|records| grant_in(&mut records[3].1).campaign = "winter".into());
    assert!(world.differences().contains(&("winter".to_owned(), Place::Kafka, Kind::Orphan, 1)));
}

#[test]
fn a_record_that_the_journal_does_not_have_is_named() {
    let mut world = topic_with(|records| {
        let (partition, mut record) = records[9].clone();
        record.prev = record.entry.seq();
        let grant = grant_in(&mut record);
        (grant.seq, grant.seat, grant.user) = (Lsn::new(9000), 11, GrantUser::Int(5));
        records.push((partition, record));
    });
    assert_eq!(world.differences(), found(Place::Kafka, Kind::Orphan, 1));
    assert!(world.audit().to_string().contains("beyond the journal's end"));
}

#[test]
fn the_same_record_again_is_no_difference_and_is_told() {
    let mut world = topic_with(|records| {
        let early = records[2].clone();
        records.push(early);
    });
    world.assert_complete();
    assert_eq!(world.audit().notes, ["1 records are there again, the same: readers skip them by cg-seq"]);
}

#[test]
fn records_that_were_sent_again_from_the_hole_on_are_no_difference() {
    let mut world = topic_with(|records| {
        let tail = records.split_off(7);
        let lost = tail[0].clone();
        records.extend(tail[1..].iter().cloned());
        records.push(lost);
        records.extend(tail[1..].iter().cloned());
    });
    world.assert_complete();
    assert!(world.audit().notes[0].starts_with("2 records stand before their turn"));
}

#[test]
fn exchanged_records_are_out_of_order() {
    let mut world = topic_with(|records| records.swap(8, 9));
    assert_eq!(world.differences(), found(Place::Kafka, Kind::Order, 1));
}

#[test]
fn a_record_that_names_the_wrong_one_before_it_breaks_the_chain() {
    let mut world = topic_with(|records| records[5].1.prev = Lsn::new(records[5].1.prev.get() - 1));
    assert_eq!(world.differences(), found(Place::Kafka, Kind::Chain, 1));
}

#[test]
fn a_grant_with_our_seq_that_makes_no_sense_is_missing() {
    let mut world = topic_with(|records| {
        records.pop();
    });
    let grant = world.grants[9].clone();
    let (_, _, mut headers) =
        encode(&EntryRecord { entry: grant.clone().into(), prev: world.grants[8].seq }, Key::Campaign, Value::Long);
    headers.retain(|(name, _)| *name != "cg-seat");
    let key = Some(b"spring".to_vec());
    world.cluster.add(TOPIC, Outgoing { topic: 0, partition: 0, at: NOW, key, value: vec![0; 8], headers });
    assert_eq!(world.differences(), found(Place::Kafka, Kind::Missing, 1));
    assert_eq!(world.audit().details, ["partition 0 offset 9: cg-seat is no seat"]);
}

#[test]
fn what_is_not_ours_is_counted_and_no_difference() {
    let mut world = spring();
    let foreign = Outgoing { topic: 0, partition: 0, at: NOW, key: None, value: vec![1], headers: vec![] };
    world.cluster.add(TOPIC, foreign.clone());
    let bad = vec![("cg-log", b"x".to_vec()), ("cg-seq", b"1".to_vec())];
    world.cluster.add(TOPIC, Outgoing { headers: bad, ..foreign });
    let other = Grant { log: OTHER_LOG, seq: Lsn::new(1), ..world.grants[0].clone() };
    world.send(1, &EntryRecord { entry: other.into(), prev: Lsn::ZERO });
    world.sql(&format!(
        "INSERT INTO coupon_grant VALUES ('winter', 1, '1', 1, '2024-11-22 07:15:23.123', '{OTHER_LOG}', 1)"
    ));
    world.sql("INSERT INTO coupon_dead_letter VALUES ('kafka:memory:x', 0, 0, 'no sense', NULL, NULL, NULL, '')");
    world.assert_complete();
    let notes = world.audit().notes;
    for (note, what) in notes.iter().zip([
        "1 records have our headers",
        "1 records are somebody",
        "1 records are grants of another",
        "1 rows are of other",
        "1 dead letters",
    ]) {
        assert!(note.starts_with(what), "{notes:?}");
    }
    assert_eq!(notes.len(), 5);
}

#[test]
fn a_dead_letter_of_ours_says_why_its_row_is_missing() {
    let mut world = spring();
    let (log, seq) = (world.log, world.grants[9].seq);
    world.sql("DELETE FROM coupon_grant WHERE seat = 10");
    world.sql(&format!(
        "INSERT INTO coupon_dead_letter VALUES ('kafka:memory:x', 0, 4, 'the table refuses it', NULL, NULL, \
         '{{\"cg-log\":\"{log}\",\"cg-seq\":\"{seq}\",\"cg-prev\":\"0\"}}', '')"
    ));
    assert_eq!(world.differences(), found(Place::Ledger, Kind::Missing, 1));
    assert!(world.audit().to_string().contains("it is a dead letter: the table refuses it"));
}

#[test]
fn a_rehearsal_is_nowhere_outside() {
    let mut world = spring();
    let id = world.create("secret", 100, Users::Int, true);
    let grant = world.grant(id, "secret", 1, User::Int(1));
    world.assert_complete();
    assert_eq!(world.audit().campaigns[1].counter, 1);
    world.store(
        &[Move {
            source: "kafka:x:y".into(),
            kpart: 0,
            expected: None,
            next: 1,
            log: OTHER_LOG,
            last_seq: Lsn::ZERO,
            hole: false,
        }],
        std::slice::from_ref(&grant),
    );
    assert_eq!(world.differences(), [("secret".to_owned(), Place::Ledger, Kind::Shadow, 1)]);
}

#[test]
fn a_journal_that_breaks_its_own_promises_is_named() {
    for (seat, user, told) in
        [(10, 5, "a second time"), (11, 1004, "user 1004 has 2 seats"), (101, 5, "above the limit")]
    {
        let mut world = spring();
        world.grant(CampaignId(0), "spring", seat, User::Int(user));
        let report = world.audit();
        assert!(report.findings.count("spring", |place, kind| (place, kind) == (Place::Journal, Kind::Broken)) > 0);
        assert!(report.to_string().contains(told), "{report}");
    }
}

#[test]
fn what_retention_took_is_not_missing_and_what_it_did_not_take_is() {
    let mut world = topic_with(|_| ());
    world.cluster.delete_records(TOPIC, 0, 4);
    let report = world.audit();
    assert_eq!((report.exit(), report.campaigns[0].unkept, report.campaigns[0].kafka), (Exit::Done, 4, Some(6)));
    world.cluster.delete_records(TOPIC, 0, 10);
    let report = world.audit();
    assert_eq!((report.exit(), report.campaigns[0].unkept, report.pending()), (Exit::Done, 10, 0), "{report}");
}

#[test]
fn a_topic_that_ends_before_what_the_ledger_has_read_has_lost_its_tail() {
    let mut world = topic_with(|_| ());
    world.cluster.truncate(TOPIC, 0, 7);
    let expected =
        [(String::new(), Place::Kafka, Kind::LostTail, 1), ("spring".to_owned(), Place::Kafka, Kind::Missing, 3)];
    assert_eq!(world.differences(), expected);
}

#[test]
fn a_journal_that_is_older_than_the_ledger_is_told() {
    let mut world = spring();
    world.sql("UPDATE coupon_sink_position SET last_seq = 99999 WHERE kpart = 1");
    assert!(world.differences().contains(&(String::new(), Place::Ledger, Kind::Ahead, 1)));
}

#[test]
fn only_the_first_of_each_kind_are_told_in_words() {
    let mut world = World::new(1, Key::Campaign, Value::Long);
    let id = world.create("spring", 100, Users::Int, false);
    world.leave(id, "spring", 1..=50);
    let grants = world.grants.clone();
    world.publish(&grants);
    world.store_from_topic(&[]);
    let report = world.audit();
    let (.., group) = report.findings.groups().next().unwrap();
    assert_eq!((group.count, group.first.len()), (50, 20));
    assert!(report.to_string().contains("and 30 more"), "{report}");
}

#[test]
fn one_campaign_can_be_asked_for_alone() {
    let mut world = spring();
    let id = world.create("summer", 100, Users::Int, false);
    let grant = world.grant(id, "summer", 1, User::Int(1));
    world.publish(&[grant]);
    world.sql("DELETE FROM coupon_grant WHERE seat = 4");
    let report = world.audit_of(Some("spring")).unwrap();
    assert_eq!((report.exit(), report.campaigns.len()), (Exit::Difference, 1));
    let report = world.audit_of(Some("summer")).unwrap();
    assert_eq!((report.exit(), report.campaigns[0].campaign.as_str()), (Exit::Done, "summer"), "{report}");
    let error = world.audit_of(Some("winter")).unwrap_err();
    assert_eq!((error.exit(), error), (Exit::Usage, AuditError::UnknownCampaign("winter".into())));
}

#[test]
fn what_retention_took_too_early_and_was_sent_again_is_in_its_place() {
    let mut world = topic_with(|_| ());
    let sent = world.cluster.records(TOPIC, 0);
    world.cluster.delete_records(TOPIC, 0, 8);
    for record in &sent[..8] {
        let headers = record.headers.iter().map(|(name, value)| {
            let name: &'static str = name.clone().leak();
            (name, value.clone().unwrap())
        });
        let again = crate::kafka::Outgoing {
            topic: 0,
            partition: 0,
            at: record.at.unwrap(),
            key: record.key.clone(),
            value: record.value.clone().unwrap(),
            headers: headers.collect(),
        };
        world.cluster.add(TOPIC, again);
    }
    let report = world.audit();
    assert_eq!((report.exit(), report.campaigns[0].kafka), (Exit::Done, Some(10)), "{report}");
}
