//! Journals that no longer tell everything, and campaigns that were brought back in from outside.

use super::*;
use crate::journal::scribe::{self, Scribe};

/// `spring` had 100 seats; 60 were given, the last ten came back, then it had 50 and perhaps went. Of the first 39 grants
/// there is no history any more.
fn lowered(disk: &Arc<dyn Disk>, dropped: bool) -> Scribe {
    let (id, at) = (CampaignId(0), scribe::NOW);
    let mut scribe = Scribe::open(disk, data()).unwrap();
    scribe.create(0, "spring", 100, Users::Int);
    scribe.grant(0, 1..=39);
    scribe.save();
    let last = scribe.grant(0, 40..=60);
    scribe.save();
    scribe.expire();
    for seat in 51..=60 {
        scribe.write(&[Event::Returned {
            campaign: id,
            seat: Seat::new(seat),
            user: User::Int(1000 + i64::from(seat)),
            nth: 1,
            at,
            grant: Lsn::new(last.get() - u64::from(60 - seat)),
            seq: None,
        }]);
    }
    let to = Terms { limit: 50, ..Terms::DEFAULT }.alterable();
    scribe.write(&[Event::CampaignAltered { id, to, at, by: b"ops".as_slice().into() }]);
    if dropped {
        scribe.write(&[Event::CampaignDropped { id, at, purged: false }]);
    }
    scribe.save();
    scribe
}

fn audit(disk: &Arc<dyn Disk>) -> Report {
    let sources =
        Sources { disk: Arc::clone(disk), data: data().to_owned(), topic: None, ledger: None, campaign: None };
    run(sources, &mut Progress::hidden()).unwrap()
}

#[test]
fn a_limit_is_not_held_against_seats_that_came_back_before_it_was_lowered() {
    let _calm = crate::sabotage::peace::keep();
    for dropped in [false, true] {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let mut scribe = lowered(&disk, dropped);
        let kept_from = journal::kept_from(disk.as_ref(), data()).unwrap();
        assert!(kept_from > Lsn::new(1), "the first grants are no longer told");
        let report = audit(&disk);
        assert_eq!((report.exit(), report.findings.is_empty()), (Exit::Done, true), "{report}");
        let row = &report.campaigns[0];
        assert_eq!((row.limit, row.counter, row.dropped), (50, if dropped { 11 } else { 50 }, dropped), "{report}");
        if !dropped {
            scribe.grant(0, 51..=51);
            let report = audit(&disk);
            assert_eq!(report.exit(), Exit::Difference);
            assert!(report.to_string().contains("above the limit 50"), "{report}");
        }
    }
}

#[test]
fn grants_of_a_name_that_was_used_again_are_found_after_they_were_brought_back_in() {
    let mut world = World::new(1, Key::Campaign, Value::Long);
    let old = world.create("spring", 10, Users::Int, false);
    world.append(&Event::CampaignDropped { id: old, at: NOW, purged: true });
    // The part that was lost: a seat of the next campaign of that name was granted here.
    let seq = world.append(&Event::Flushed { db: None });
    let id = world.create("spring", 5, Users::Int, false);
    world.append(&Event::Imported {
        campaign: id,
        seat: Seat::new(1),
        user: User::Int(7),
        nth: 1,
        at: NOW,
        seq: Some(seq),
        after: Lsn::ZERO,
    });
    let (log, user) = (world.log, GrantUser::Int(7));
    let grants = [Grant { log, seq, campaign: "spring".into(), seat: 1, user, nth: 1, at: NOW }];
    world.publish(&grants);
    world.store_from_topic(&grants);
    world.assert_complete();
}
