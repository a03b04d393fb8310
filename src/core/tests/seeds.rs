//! Grants of another system that are brought in.

use super::campaigns::{TERMS, claim};
use super::{Gate, NOW};
use crate::core::{Command, Event, Terms, Users};
use crate::ids::{CampaignId, Seat, User};

fn spring(terms: Terms) -> Gate {
    let mut gate = Gate::new();
    assert_eq!(gate.ask(Command::Create { campaign: b"spring", terms }), "CREATED");
    gate
}

fn seed(gate: &mut Gate, seats: &[(&'static str, u32)]) -> String {
    let seats = seats.iter().map(|(user, seat)| (user.as_bytes(), Seat::new(*seat))).collect();
    gate.ask(Command::Seed { campaign: b"spring", seats })
}

#[test]
fn seats_of_another_system_are_the_users_and_claims_fill_what_is_left() {
    let mut gate = spring(Terms { limit: 5, hold: 1_000, ..TERMS });
    assert_eq!(seed(&mut gate, &[("7", 4), ("8", 2)]), ":2");
    assert_eq!(seed(&mut gate, &[("8", 2), ("9", 1), ("7", 4)]), ":1", "what is there already is passed over");
    assert_eq!(seed(&mut gate, &[("8", 2)]), ":0");
    let events: Vec<_> = gate.journal.iter().skip(1).map(|(_, event)| event.event()).collect();
    assert!(events.iter().all(|event| matches!(event, Event::Imported { seq: None, .. })), "{events:?}");
    let facts = gate.core.campaign(CampaignId(0)).unwrap();
    assert_eq!((facts.granted, facts.held, facts.remaining, facts.first_grant), (3, 0, 2, Some(NOW)));
    assert_eq!(gate.ask(claim("spring", "7")), "ALREADY 4 2");
    assert!(gate.ask(claim("spring", "1")).starts_with("HELD 3 1 "));
    let told = "CONFLICT campaign 'spring' has been claimed from: seats are brought in before the first claim";
    assert_eq!(seed(&mut gate, &[("2", 5)]), told);
    assert_eq!(seed(&mut gate, &[("8", 2)]), told, "also where nothing would change");
}

#[test]
fn a_contradiction_changes_nothing() {
    let mut gate = spring(Terms { limit: 5, ..TERMS });
    assert_eq!(seed(&mut gate, &[("7", 4)]), ":1");
    let before = gate.core.applied();
    let said = |gate: &mut Gate, seats: &[(&'static str, u32)]| seed(gate, seats);
    for (seats, told) in [
        (&[("1", 1), ("8", 4)][..], "CONFLICT campaign 'spring': seat 4 is user 7's, not 8's"),
        (&[("1", 1), ("7", 3)], "CONFLICT campaign 'spring': user 7 would have more than PERUSER 1"),
        (&[("1", 1), ("1", 2)], "CONFLICT campaign 'spring': user 1 would have more than PERUSER 1"),
        (&[("1", 1), ("2", 1)], "CONFLICT campaign 'spring': seat 1 is named twice"),
        (&[("1", 1), ("2", 6)], "CONFLICT campaign 'spring': seat 6 is beyond LIMIT 5"),
        (&[("1", 1), ("x", 2)], "ERR user is not an integer or out of range"),
    ] {
        assert_eq!(said(&mut gate, seats), told);
        assert_eq!(gate.core.applied(), before);
    }
    let seats = vec![(&b"1"[..], Seat::new(1))];
    let told = gate.ask(Command::Seed { campaign: b"summer", seats });
    assert_eq!(told, "NOCAMPAIGN no campaign 'summer'; create it with GATE.CREATE");
}

#[test]
fn a_user_may_bring_as_many_as_he_may_have() {
    let mut gate = spring(Terms { limit: 9, per_user: 2, users: Users::Any, ..TERMS });
    assert_eq!(seed(&mut gate, &[("ann", 3), ("ann", 1), ("bob", 2)]), ":3");
    assert_eq!(gate.core.seat_as_nth(CampaignId(0), User::Any(b"ann"), 1), Some(Seat::new(3)));
    assert_eq!(gate.core.seat_as_nth(CampaignId(0), User::Any(b"ann"), 2), Some(Seat::new(1)));
    let told = "CONFLICT campaign 'spring': user ann would have more than PERUSER 2";
    assert_eq!(seed(&mut gate, &[("ann", 4)]), told);
    assert_eq!(seed(&mut gate, &[("bob", 4)]), ":1");
}

#[test]
fn after_a_return_nothing_is_brought_in() {
    let mut gate = spring(Terms { limit: 5, ..TERMS });
    assert_eq!(seed(&mut gate, &[("7", 1)]), ":1");
    let cancel = Command::Cancel { campaign: b"spring", user: b"7", seat: None, flat: false };
    assert_eq!(gate.ask(cancel), "CANCELLED 1 5");
    assert!(seed(&mut gate, &[("7", 1)]).starts_with("CONFLICT campaign 'spring' has been claimed from"));
}
