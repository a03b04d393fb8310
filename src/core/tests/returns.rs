//! Seats that come back from whom they were granted to, or who held them.

use super::campaigns::{TERMS, claim};
use super::{Gate, NOW};
use crate::core::{Alteration, AlteredTime, Command, Core, Dropping, Event, Terms, View};
use crate::ids::{CampaignId, Lsn, Millis, Seat, User};

const SPRING: CampaignId = CampaignId(0);

fn spring(terms: Terms) -> Gate {
    let mut gate = Gate::new();
    assert_eq!(gate.ask(Command::Create { campaign: b"spring", terms }), "CREATED");
    gate
}

fn cancel(user: &str, seat: Option<u32>) -> Command<'_> {
    Command::Cancel { campaign: b"spring", user: user.as_bytes(), seat: seat.map(Seat::new), flat: false }
}

fn with_id<'a>(user: &'a str, request: &'a str) -> Command<'a> {
    Command::Claim { campaign: b"spring", user: user.as_bytes(), request: request.as_bytes(), flat: false }
}

fn figures(gate: &Gate) -> (u32, u32, u32) {
    let facts = gate.core.campaign(SPRING).unwrap();
    (facts.granted, facts.held, facts.remaining)
}

#[test]
fn a_seat_goes_back_to_stock_once_and_the_next_claim_gets_the_lowest() {
    let mut gate = spring(Terms { limit: 3, ..TERMS });
    for user in ["1", "2", "3"] {
        gate.ask(claim("spring", user));
    }
    assert_eq!(gate.ask(cancel("2", None)), "CANCELLED 2 1");
    assert_eq!(gate.ask(cancel("2", None)), "NONE 0 1", "sent again");
    assert_eq!(gate.ask(cancel("1", Some(1))), "CANCELLED 1 2");
    assert_eq!(gate.ask(cancel("1", Some(1))), "NONE 0 2");
    assert_eq!(gate.ask(cancel("1", Some(3))), "NONE 0 2", "somebody else's seat is not touched");
    assert_eq!(figures(&gate), (1, 0, 2));
    assert_eq!(gate.ask(claim("spring", "2")), "GRANTED 1 1", "he may claim again");
    assert_eq!(gate.ask(claim("spring", "4")), "GRANTED 2 0");
    assert_eq!(gate.ask(claim("spring", "1")), "SOLDOUT 0 0");
    assert_eq!(gate.ask(cancel("x", None)), "ERR user is not an integer or out of range");
}

#[test]
fn a_status_depends_on_the_return_that_it_tells_of_by_leaving_a_seat_out() {
    let mut gate = spring(Terms { limit: 3, per_user: 2, ..TERMS });
    for (user, request) in [("1", "a"), ("1", "b"), ("2", "a")] {
        gate.ask(with_id(user, request));
    }
    let status = || Command::Status { campaign: b"spring", user: b"1" };
    assert_eq!(gate.ask_fully(status()).1, Lsn::new(3), "not on what others have got since");
    gate.ask(cancel("1", Some(1)));
    assert_eq!(gate.ask_fully(status()).1, Lsn::new(5));
}

#[test]
fn what_is_granted_from_then_on_says_which_return_it_may_depend_on() {
    let mut gate = spring(Terms { limit: 3, ..TERMS });
    gate.ask(claim("spring", "1"));
    gate.ask(claim("spring", "2"));
    gate.ask(cancel("1", None));
    gate.ask(claim("spring", "3"));
    let told = gate.journal.iter().filter_map(|(_, event)| {
        let event = event.event();
        if let Event::Granted { seat, after, .. } = event {
            return Some((seat.get(), after.get()));
        }
        let Event::Returned { seat, grant, seq: None, .. } = event else { return None };
        Some((seat.get(), grant.get()))
    });
    assert_eq!(told.collect::<Vec<_>>(), [(1, 0), (2, 0), (1, 2), (1, 4)]);
}

#[test]
fn of_several_seats_one_must_be_named_and_its_request_and_place_are_free_again() {
    let mut gate = spring(Terms { limit: 9, per_user: 3, ..TERMS });
    for request in ["a", "b", "c"] {
        gate.ask(with_id("7", request));
    }
    let told = "ERR the user has 3 seats of campaign 'spring': say which one with SEAT";
    assert_eq!(gate.ask(cancel("7", None)), told);
    assert_eq!(gate.ask(cancel("7", Some(2))), "CANCELLED 2 7");
    assert_eq!(gate.ask(with_id("7", "a")), "ALREADY 1 7");
    assert_eq!(gate.ask(with_id("7", "b")), "GRANTED 2 6", "an ID counts as long as its seat is his");
    let nth = gate.core.seat_as_nth(SPRING, User::Int(7), 2);
    assert_eq!(nth, Some(Seat::new(2)), "the lowest n-th that is free");
    assert_eq!(gate.ask(cancel("7", Some(1))), "CANCELLED 1 7");
    assert_eq!(gate.ask(cancel("7", Some(3))), "CANCELLED 3 8");
    assert_eq!(gate.ask(cancel("7", None)), "CANCELLED 2 9", "his only one");
    assert_eq!(gate.ask(cancel("7", None)), "NONE 0 9");
}

#[test]
fn a_hold_is_released_and_leaves_the_gate_by_no_way() {
    let mut gate = spring(Terms { limit: 2, hold: 1_000, ..TERMS });
    gate.ask(claim("spring", "1"));
    gate.ask(claim("spring", "2"));
    assert_eq!(gate.ask(cancel("1", None)), "CANCELLED 1 1");
    let Some(Event::HoldEnded { expired: false, .. }) = gate.journal.last().map(|(_, event)| event.event()) else {
        panic!("{:?}", gate.journal.last().map(|(_, event)| event));
    };
    assert_eq!(gate.core.next_hold_deadline(), Some(Millis(NOW.0 + 1_000)));
    assert_eq!(gate.ask(Command::Confirm { campaign: b"spring", user: b"1", seat: None, flat: false }), "NONE 0 1");
    gate.wait(1_000);
    assert_eq!(gate.ask(cancel("2", None)), "NONE 0 2", "its time was over");
    assert_eq!(figures(&gate), (0, 0, 2));
}

#[test]
fn seats_come_back_whatever_the_window_says() {
    let mut gate = spring(Terms { limit: 2, ..TERMS });
    gate.ask(claim("spring", "1"));
    let change = Alteration { close: Some(AlteredTime::Now), ..Alteration::default() };
    gate.ask(Command::Alter { campaign: b"spring", change, by: b"ops".into() });
    assert_eq!(gate.ask(cancel("1", None)), "CANCELLED 1 2");
    assert_eq!(gate.ask(claim("spring", "1")), "CLOSED 0 2");
}

#[test]
fn a_limit_may_go_below_seats_that_came_back() {
    let mut gate = spring(Terms { limit: 3, ..TERMS });
    for user in ["1", "2", "3"] {
        gate.ask(claim("spring", user));
    }
    gate.ask(cancel("3", None));
    gate.ask(cancel("2", None));
    let change = Alteration { limit: Some(1), ..Alteration::default() };
    assert_eq!(gate.ask(Command::Alter { campaign: b"spring", change, by: b"ops".into() }), "OK");
    assert_eq!(gate.ask(claim("spring", "4")), "SOLDOUT 0 0");
    assert_eq!(figures(&gate), (1, 0, 0));
}

#[test]
fn a_name_is_kept_although_all_its_grants_came_back() {
    let mut gate = spring(Terms { limit: 3, ..TERMS });
    gate.ask(claim("spring", "1"));
    gate.ask(cancel("1", None));
    assert_eq!(gate.ask(Command::Drop { campaign: b"spring", how: Dropping::Safely }), "OK");
    let told = gate.ask(Command::Create { campaign: b"spring", terms: TERMS });
    assert!(told.starts_with("CONFLICT"), "{told}");
    let facts = gate.core.campaign(SPRING).unwrap();
    assert_eq!((facts.granted, facts.first_grant), (0, Some(NOW)));
}

#[test]
fn a_campaign_is_not_dropped_before_its_last_return_has_arrived() {
    let mut gate = spring(Terms { limit: 3, ..TERMS });
    gate.ask(claim("spring", "1"));
    gate.ask(cancel("1", None));
    gate.view = View { published: Some(Lsn::new(2)), stored: Some(Lsn::new(2)), ..gate.view };
    let drop = || Command::Drop { campaign: b"spring", how: Dropping::Safely };
    let told = "CONFLICT the last return of campaign 'spring' is not yet published; wait, or FORCE";
    assert_eq!(gate.ask(drop()), told);
    gate.view.published = Some(Lsn::new(3));
    assert_eq!(gate.ask(drop()), told.replace("published", "stored"));
    gate.view.stored = Some(Lsn::new(3));
    assert_eq!(gate.ask(drop()), "OK");
}

/// With one grant, to user 1, at position 2.
fn granted() -> Core {
    let mut core = Core::new(1);
    let terms = Terms { limit: 3, ..TERMS };
    core.evolve(Lsn::new(1), &Event::CampaignCreated { id: SPRING, name: b"spring", terms, at: NOW });
    let (seat, user) = (Seat::new(1), User::Int(1));
    let event = Event::Granted { campaign: SPRING, seat, user, nth: 1, request: b"", at: NOW, after: Lsn::ZERO };
    core.evolve(Lsn::new(2), &event);
    core
}

fn returned(user: i64, grant: u64) -> Event<'static> {
    let (seat, user, grant) = (Seat::new(1), User::Int(user), Lsn::new(grant));
    Event::Returned { campaign: SPRING, seat, user, nth: 1, at: NOW, grant, seq: None }
}

#[test]
fn a_return_that_is_none_is_told_before_it_ends_the_process() {
    for event in [returned(2, 2), returned(1, 1)] {
        let told = granted().breach(Lsn::new(3), &event);
        assert_eq!(told, Some("a seat comes back from whom it was granted to"), "{event:?}");
    }
    assert_eq!(granted().breach(Lsn::new(3), &returned(1, 2)), None);
}

#[test]
#[should_panic(expected = "from whom it was granted to")]
fn a_seat_that_comes_back_twice_ends_the_process() {
    let mut core = granted();
    core.evolve(Lsn::new(3), &returned(1, 2));
    core.evolve(Lsn::new(4), &returned(1, 2));
}

#[test]
fn what_was_imported_comes_back_under_the_position_that_the_world_knows() {
    let mut gate = spring(Terms { limit: 3, ..TERMS });
    let (seat, user, seq) = (Seat::new(2), User::Int(5), Lsn::new(77));
    let event = Event::Imported { campaign: SPRING, seat, user, nth: 1, at: NOW, seq: Some(seq), after: Lsn::ZERO };
    gate.core.evolve(gate.core.applied().next(), &event);
    assert_eq!(gate.ask(cancel("5", None)), "CANCELLED 2 3");
    let Some(Event::Returned { grant, .. }) = gate.journal.last().map(|(_, event)| event.event()) else {
        panic!("{:?}", gate.journal.last().map(|(_, event)| event));
    };
    assert_eq!(grant, seq);
    assert_eq!(gate.ask(claim("spring", "5")), "GRANTED 1 2");
    assert_eq!(gate.ask(claim("spring", "6")), "GRANTED 2 1");
    gate.ask(cancel("6", None));
    let Some(Event::Returned { grant, .. }) = gate.journal.last().map(|(_, event)| event.event()) else {
        panic!("{:?}", gate.journal.last().map(|(_, event)| event));
    };
    assert_eq!(grant, gate.core.applied().prev(), "a later grant of that seat has its own");
}
