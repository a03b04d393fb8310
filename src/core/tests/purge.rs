//! Campaigns of test systems that go, and leave their names.

use super::campaigns::{TERMS, claim};
use super::{Gate, NOW};
use crate::core::{Command, Core, Dropping, Event, Terms};
use crate::ids::{CampaignId, Lsn, Seat, User};

const SPRING: CampaignId = CampaignId(0);

fn create(gate: &mut Gate, terms: Terms) -> String {
    gate.ask(Command::Create { campaign: b"spring", terms })
}

#[test]
fn a_purged_campaign_leaves_its_name_and_the_next_one_builds_on_its_last_return() {
    let mut gate = Gate::new();
    create(&mut gate, Terms { limit: 3, ..TERMS });
    for user in ["1", "2", "3"] {
        gate.ask(claim("spring", user));
    }
    assert_eq!(gate.purge(b"spring"), "OK");
    assert!(gate.ask(claim("spring", "1")).starts_with("NOCAMPAIGN no campaign 'spring'"));
    let last_return = gate.core.applied().prev();
    assert_eq!(create(&mut gate, Terms { limit: 2, ..TERMS }), "CREATED");
    let seats = vec![(&b"9"[..], Seat::new(2))];
    assert_eq!(gate.ask(Command::Seed { campaign: b"spring", seats }), ":1", "it is as new");
    let Some(Event::Imported { after, .. }) = gate.journal.last().map(|(_, event)| event.event()) else {
        panic!("{:?}", gate.journal.last());
    };
    assert_eq!(after, last_return, "the seat may have been another's before");
    assert_eq!(gate.ask(claim("spring", "1")), "GRANTED 1 0");
    let Some(Event::Granted { campaign, after, .. }) = gate.journal.last().map(|(_, event)| event.event()) else {
        panic!("{:?}", gate.journal.last());
    };
    assert_eq!((campaign, after), (CampaignId(1), last_return));
    let facts = gate.core.campaign(CampaignId(1)).unwrap();
    assert_eq!((facts.granted, facts.remaining), (2, 0));
}

#[test]
fn nothing_depends_on_the_returns_of_a_rehearsal_which_never_leave_the_gate() {
    let mut gate = Gate::new();
    create(&mut gate, Terms { limit: 3, ..TERMS });
    gate.ask(claim("spring", "1"));
    gate.purge(b"spring");
    let last_return = gate.core.applied().prev();
    create(&mut gate, Terms { limit: 3, shadow: true, ..TERMS });
    gate.ask(claim("spring", "1"));
    let id = gate.core.campaign_id(b"spring").unwrap();
    assert_eq!(gate.core.last_return(id), last_return);
    gate.purge(b"spring");
    create(&mut gate, Terms { limit: 3, ..TERMS });
    let id = gate.core.campaign_id(b"spring").unwrap();
    assert_eq!(gate.core.last_return(id), last_return);
}

#[test]
fn a_name_that_is_free_again_keeps_what_its_grants_come_after() {
    let mut gate = Gate::new();
    create(&mut gate, Terms { limit: 3, ..TERMS });
    gate.ask(claim("spring", "1"));
    gate.purge(b"spring");
    let last_return = gate.core.applied().prev();
    create(&mut gate, Terms { limit: 2, ..TERMS });
    assert_eq!(gate.ask(Command::Drop { campaign: b"spring", how: Dropping::Forced }), "OK", "it granted nothing");
    create(&mut gate, Terms { limit: 2, ..TERMS });
    for core in [&gate.core, &super::replay::restored(&gate.core)] {
        let id = core.campaign_id(b"spring").unwrap();
        assert_eq!((id, core.last_return(id)), (CampaignId(2), last_return));
    }
}

#[test]
fn one_that_granted_nothing_or_held_something_can_be_purged_too() {
    let mut gate = Gate::new();
    create(&mut gate, Terms { limit: 3, hold: 1_000, ..TERMS });
    gate.ask(claim("spring", "1"));
    assert_eq!(gate.purge(b"spring"), "OK");
    assert_eq!(gate.core.next_hold_deadline(), None);
    assert_eq!(create(&mut gate, Terms { limit: 3, ..TERMS }), "CREATED");
    let none = gate.ask(Command::Drop { campaign: b"summer", how: Dropping::Purged });
    assert!(none.starts_with("NOCAMPAIGN"), "{none}");
}

fn granted() -> Core {
    let mut core = Core::new(1);
    let terms = Terms { limit: 3, ..TERMS };
    core.evolve(Lsn::new(1), &Event::CampaignCreated { id: SPRING, name: b"spring", terms, at: NOW });
    let (seat, user) = (Seat::new(1), User::Int(1));
    let event = Event::Granted { campaign: SPRING, seat, user, nth: 1, request: b"", at: NOW, after: Lsn::ZERO };
    core.evolve(Lsn::new(2), &event);
    core
}

#[test]
#[should_panic(expected = "purged when all its seats came back")]
fn a_campaign_with_seats_out_is_not_purged() {
    let purged = Event::CampaignDropped { id: SPRING, at: NOW, purged: true };
    assert_eq!(granted().breach(Lsn::new(3), &purged), Some("a campaign is purged when all its seats came back"));
    granted().evolve(Lsn::new(3), &purged);
}

#[test]
fn a_purged_campaign_is_known_by_its_number_while_its_returns_are_on_their_way() {
    let mut gate = Gate::new();
    create(&mut gate, Terms { limit: 3, ..TERMS });
    gate.ask(claim("spring", "1"));
    gate.purge(b"spring");
    create(&mut gate, Terms { limit: 2, ..TERMS });
    for core in [&gate.core, &super::replay::restored(&gate.core)] {
        let facts = core.campaign(SPRING).unwrap();
        assert_eq!((facts.name, facts.dropped, facts.granted), (&b"spring"[..], true, 0));
        assert_eq!(core.campaign_id(b"spring"), Some(CampaignId(1)));
    }
}
