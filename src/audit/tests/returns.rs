//! Grants that came back: they and their returns are looked for everywhere.

use super::*;
use crate::grant::{Lane, Return};
use crate::kafka::NewTopic;
use crate::ledger::kafka_returns_source;

/// What a world with returns consists of.
struct Story {
    world: World,
    entries: Vec<Entry>,
    /// The last one in each lane.
    last: Vec<Lsn>,
}

impl Story {
    /// Seats 1 to 4 of spring are granted; 2 and 3 come back, 2 is granted to somebody else. Nothing has left yet.
    fn spring() -> Story {
        let mut world = World::new(2, Key::Campaign, Value::Long);
        let topic = NewTopic { name: CANCEL.into(), partitions: 2, replication: None };
        world.cluster.create(&topic).unwrap();
        let id = world.create("spring", 10, Users::Int, false);
        world.leave(id, "spring", 1..=4);
        let mut entries: Vec<Entry> = world.grants.iter().map(|grant| grant.clone().into()).collect();
        for place in [1, 2] {
            let grant = world.grants[place].clone();
            let GrantUser::Int(user) = grant.user else { unreachable!("all are numbers") };
            let event = Event::Returned {
                campaign: id,
                seat: Seat::new(grant.seat),
                user: User::Int(user),
                nth: 1,
                at: NOW,
                grant: grant.seq,
                seq: None,
            };
            let Grant { log, campaign, seat, user, nth, at, seq: granted } = grant;
            let seq = world.append(&event);
            entries.push(Entry::Return(Return { log, seq, grant: granted, campaign, seat, user, nth, at }));
        }
        let after = entries[5].seq();
        let grant = world.grant(id, "spring", 2, User::Int(77));
        entries.push(Entry::Grant { grant, after });
        Story { world, entries, last: vec![Lsn::ZERO; 4] }
    }

    fn publish(&mut self, which: impl Fn(&Entry) -> bool) {
        for entry in self.entries.iter().filter(|entry| which(entry)) {
            let lane = Lane::new(entry.kind(), self.world.key.partition(entry, 2));
            let prev = std::mem::replace(&mut self.last[lane.index()], entry.seq());
            let record = EntryRecord { entry: entry.clone(), prev };
            let (key, value, headers) = encode(&record, self.world.key, self.world.value);
            let topic = if entry.kind() == crate::grant::Kind::Grant { TOPIC } else { CANCEL };
            let outgoing = Outgoing { topic: 0, partition: lane.partition(), at: NOW, key, value, headers };
            self.world.cluster.add(topic, outgoing);
        }
    }

    /// As a sink does that has read all of both topics.
    fn store(&mut self) {
        let mut cluster = self.world.cluster.clone();
        let moves: Vec<Move> = Lane::all(2)
            .map(|lane| {
                let (topic, source) = match lane.kind() {
                    crate::grant::Kind::Grant => (TOPIC, kafka_source("memory", TOPIC)),
                    crate::grant::Kind::Return => (CANCEL, kafka_returns_source("memory", CANCEL)),
                };
                Move {
                    source,
                    kpart: lane.partition(),
                    expected: None,
                    next: cluster.bounds(topic, lane.partition()).unwrap().high,
                    log: self.world.log,
                    last_seq: self.last[lane.index()],
                    hole: false,
                }
            })
            .collect();
        self.store_with(&moves);
    }

    fn store_from_journal(&mut self) {
        let last_seq = self.entries.last().unwrap().seq();
        let (source, next) = (journal_source(self.world.log), last_seq.next().get());
        let log = self.world.log;
        self.store_with(&[Move { source, kpart: 0, expected: None, next, log, last_seq, hole: false }]);
    }

    fn store_with(&mut self, moves: &[Move]) {
        let mut ledger = self.world.settings().to_write();
        ledger.open().unwrap();
        let claimed = ledger.claim("test", &[], moves).unwrap();
        let again = |to: &Move| Move { expected: Some((to.next, to.last_seq)), ..to.clone() };
        let again: Vec<Move> = moves.iter().map(again).collect();
        let (epoch, entries) = (claimed[0].epoch, &self.entries[..]);
        ledger.store(&Batch { epoch, owner: "test", moves: &again, entries, dead: &[] }).unwrap();
    }

    fn complete() -> Story {
        let mut story = Story::spring();
        story.publish(|_| true);
        story.store();
        story
    }
}

fn found(place: Place, kind: Kind, count: u64) -> Vec<(String, Place, Kind, u64)> {
    vec![("spring".to_owned(), place, kind, count)]
}

#[test]
fn a_world_with_returns_agrees_and_is_complete() {
    let mut story = Story::complete();
    story.world.assert_complete();
    let report = story.world.audit();
    let row = &report.campaigns[0];
    assert_eq!((row.counter, row.journal, row.kafka, row.ledger), (3, 3, Some(3), Some(3)));
    assert_eq!((row.returned, row.kafka_returned, row.ledger_returned), (2, Some(2), Some(2)));
    assert!(report.to_string().contains("2 grants came back: 2 returns are in Kafka, 2 in the ledger"), "{report}");

    let mut story = Story::spring();
    story.publish(|_| true);
    story.store_from_journal();
    story.world.assert_complete();
}

#[test]
fn what_was_not_checked_is_not_counted_as_none() {
    let mut story = Story::spring();
    story.world.settle();
    let sources = Sources {
        disk: Arc::new(story.world.disk.clone()),
        data: data().to_owned(),
        topic: None,
        ledger: None,
        campaign: None,
    };
    let report = run(sources, &mut Progress::hidden()).unwrap().to_string();
    assert!(report.contains("2 grants came back: ? returns are in Kafka, ? in the ledger"), "{report}");
}

#[test]
fn what_is_on_its_way_is_no_difference() {
    let mut story = Story::spring();
    story.publish(|entry| entry.seq() <= Lsn::new(5));
    let report = story.world.audit();
    assert_eq!((report.exit(), report.findings.is_empty()), (Exit::Done, true), "{report}");
    // Three seats that somebody has and two that came back.
    assert_eq!(report.pending(), 5, "{report}");
}

#[test]
fn a_return_that_is_missing_in_its_topic_is_named() {
    let mut story = Story::spring();
    let first = story.entries[4].seq();
    story.publish(|entry| entry.seq() != first);
    story.store();
    assert_eq!(story.world.differences(), found(Place::Kafka, Kind::Missing, 1));
    let told = story.world.audit().to_string();
    assert!(told.contains("the return of seat 2 user 1002"), "{told}");
}

#[test]
fn a_row_that_did_not_move_or_is_gone_is_named() {
    let mut story = Story::complete();
    story.world.sql("DELETE FROM coupon_return WHERE seat = 3");
    assert_eq!(story.world.differences(), found(Place::Ledger, Kind::Missing, 1));

    let mut story = Story::complete();
    let (log, seq) = (story.world.log, story.world.grants[2].seq);
    story.world.sql(&format!(
        "INSERT INTO coupon_grant (campaign, seat, user_id, nth, granted_at, log_id, seq)
         VALUES ('spring', 3, '1003', 1, '2024-11-22 07:15:23.123', '{log}', {seq})"
    ));
    assert_eq!(story.world.differences(), found(Place::Ledger, Kind::Twice, 1));
}

#[test]
fn a_return_with_another_seat_user_or_grant_is_wrong_and_one_that_never_was_is_no_return() {
    for change in ["seat = 9", "user_id = '5'", "seq = 1", "nth = 2"] {
        let mut story = Story::complete();
        story.world.sql(&format!("UPDATE coupon_return SET {change} WHERE seat = 3"));
        assert_eq!(
            story.world.differences(),
            [found(Place::Ledger, Kind::Missing, 1), found(Place::Ledger, Kind::Wrong, 1)].concat(),
            "{change}"
        );
    }
    let mut story = Story::complete();
    story.world.sql("UPDATE coupon_return SET return_seq = 7777 WHERE seat = 3");
    let kinds: Vec<Kind> = story.world.differences().into_iter().map(|(_, _, kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Missing, Kind::Orphan]);
}

#[test]
fn a_row_of_a_grant_that_came_back_is_awaited_until_its_return_is_stored() {
    let mut story = Story::spring();
    story.publish(|_| true);
    let returns = story.entries.split_off(4);
    // The sink has stored the four grants and nothing else.
    story.last = vec![Lsn::ZERO; 4];
    let lane = Lane::new(crate::grant::Kind::Grant, story.world.key.partition(&story.entries[0], 2));
    story.last[lane.index()] = story.entries[3].seq();
    let moves: Vec<Move> = (0..2)
        .map(|kpart| Move {
            source: kafka_source("memory", TOPIC),
            kpart,
            expected: None,
            next: if kpart == lane.partition() { 4 } else { 0 },
            log: story.world.log,
            last_seq: if kpart == lane.partition() { story.entries[3].seq() } else { Lsn::ZERO },
            hole: false,
        })
        .collect();
    story.store_with(&moves);
    let report = story.world.audit();
    assert!(report.findings.is_empty(), "{report}");
    assert_eq!(report.pending(), 3, "the new grant of seat 2 and two returns: {report}");
    drop(returns);
}
