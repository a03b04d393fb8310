//! Topics that have grown: what a record must come after is in another lane than the sister of its own, which may be past
//! it all the same.

use super::LOG;
use super::interleaved::{drive, worker};
use super::story::Story;
use super::strict::{Script, Strict};
use crate::grant::{Entry, Kind, Lane};
use crate::ids::Lsn;
use crate::sink::{Item, Raw, What};

/// A grant, another campaign's grant, and the first one's return, which goes to another partition than it did.
fn story() -> Story {
    let mut story = Story::of(LOG);
    story.grant("spring", 1, 1);
    story.grant("winter", 1, 9);
    story.back("spring", 1);
    story
}

fn item(lane: Lane, entry: &Entry) -> Item {
    let what = What::Entry { entry: entry.clone(), prev: Some(Lsn::ZERO), there: false, raw: None };
    Item { lane, position: 0, next: 1, what }
}

/// The first grant comes last, as `first`.
fn play(story: &Story, first: Item) -> Strict {
    let (ledger, partition) = (Strict::default(), |kind| Lane::new(kind, 1));
    let [_, winter, back] = &story.entries[..] else { panic!("three entries") };
    let items = vec![item(partition(Kind::Grant), winter), item(partition(Kind::Return), back), first];
    let mut sink = worker(&ledger, Script::new(items, 2), 1000);
    drive(&mut sink).unwrap();
    assert_eq!(sink.lines().next(), sink.feed.ends().unwrap(), "all is done with");
    ledger
}

#[test]
fn a_return_that_its_grant_has_not_come_for_yet_waits_for_it() {
    let story = story();
    let ledger = play(&story, item(Lane::new(Kind::Grant, 0), &story.entries[0]));
    let tables = ledger.0.lock().unwrap();
    assert!(!tables.violations.is_empty(), "it was tried");
    assert_eq!(tables.dead, []);
    assert_eq!((tables.grants.len(), tables.returns.len()), (1, 1));
}

#[test]
fn a_return_whose_grant_turns_out_to_be_put_aside_is_put_aside_too() {
    let story = story();
    let place = Some((LOG, story.entries[0].seq(), Lsn::ZERO));
    let what = What::Bad { reason: "it makes no sense".into(), place, raw: Box::new(Raw::default()) };
    let ledger = play(&story, Item { lane: Lane::new(Kind::Grant, 0), position: 0, next: 1, what });
    let tables = ledger.0.lock().unwrap();
    let reasons: Vec<&str> = tables.dead.iter().map(|letter| letter.reason.as_str()).collect();
    let [first, second] = reasons[..] else { panic!("{reasons:?}") };
    assert_eq!(first, "it makes no sense");
    assert!(second.starts_with("its grant (seq 1) is no row of the ledger"), "{second}");
    assert_eq!((tables.grants.len(), tables.returns.len()), (1, 0));
}
