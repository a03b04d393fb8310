//! Stories out of journals in memory.

use super::*;
use crate::core::Terms;
use crate::journal::memory::MemoryDisk;
use crate::journal::scribe::{NOW, Scribe};
use crate::sabotage::peace;

const SPRING: CampaignId = CampaignId(0);

fn data() -> &'static Path {
    Path::new("/data")
}

/// Another user's seat, a hold of user 7 that nobody confirmed, and one that he did; what they were told in words.
fn lived(scribe: &mut Scribe) -> Lsn {
    let terms = Terms { limit: 9, hold: 1_000, ..Terms::DEFAULT };
    scribe.write(&[Event::CampaignCreated { id: SPRING, name: b"spring", terms, at: NOW }]);
    let hold = |seat, user| Event::Held {
        campaign: SPRING,
        seat: Seat::new(seat),
        user: User::Int(user),
        nth: 1,
        request: b"",
        at: NOW,
        until: Millis(NOW.0 + 1_000),
    };
    scribe.write(&[hold(1, 7), hold(2, 8)]);
    let (seat, user, at) = (Seat::new(1), User::Int(7), Millis(NOW.0 + 1_000));
    scribe.write(&[Event::HoldEnded { campaign: SPRING, seat, user, at, expired: true }]);
    scribe.write(&[hold(1, 7)]);
    scribe.write(&[Event::Confirmed { campaign: SPRING, seat, user, nth: 1, at, after: Lsn::ZERO }])
}

fn question(user: i64, upto: Lsn) -> Question {
    Question { campaign: SPRING, user: GrantUser::Int(user), upto }
}

fn words(story: &[Happened]) -> Vec<String> {
    story.iter().map(|Happened { what, seat, lsn, leaves, .. }| format!("{lsn} {what} {seat} {leaves}")).collect()
}

#[test]
fn a_story_tells_what_happened_to_one_user_in_order_and_up_to_where_it_was_asked_for() {
    let _calm = peace::keep();
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let mut scribe = Scribe::open(&disk, data()).unwrap();
    let last = lived(&mut scribe);
    scribe.write(&[Event::CampaignDropped { id: SPRING, at: NOW, purged: false }]);
    let marks = Watermarks::default();
    let read = |user, upto| words(&read(&disk, data(), &question(user, upto), &marks).unwrap());
    let his = ["2 held 1 false", "4 expired 1 false", "5 held 1 false", "6 confirmed 1 true"];
    assert_eq!(read(7, last), his);
    assert_eq!(read(7, Lsn::new(4)), his[..2]);
    assert_eq!(read(7, last.next()), [&his[..], &["7 dropped 0 false"]].concat());
    assert_eq!(read(8, last), ["3 held 2 false"]);
    assert_eq!(read(9, last), [""; 0]);
}

#[test]
fn nothing_of_a_rehearsal_leaves_the_gate() {
    let _calm = peace::keep();
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let mut scribe = Scribe::open(&disk, data()).unwrap();
    let terms = Terms { limit: 9, shadow: true, ..Terms::DEFAULT };
    scribe.write(&[Event::CampaignCreated { id: SPRING, name: b"spring", terms, at: NOW }]);
    let last = scribe.grant(SPRING.0, 1..=1);
    let story = read(&disk, data(), &question(1001, last), &Watermarks::default()).unwrap();
    assert_eq!(words(&story), ["2 granted 1 false"]);
}

#[test]
fn history_tells_the_same_story() {
    let _calm = peace::keep();
    let memory = MemoryDisk::default();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut scribe = Scribe::open(&disk, data()).unwrap();
    let last = lived(&mut scribe);
    let before = read(&disk, data(), &question(7, last), &Watermarks::default()).unwrap();
    for _ in 0..3 {
        scribe.set("k", b"v");
        scribe.save();
    }
    assert!(!memory.files().contains_key(Path::new("/data/journal/00000001.seg")), "it is history");
    assert_eq!(read(&disk, data(), &question(7, last), &Watermarks::default()).unwrap(), before);
}
