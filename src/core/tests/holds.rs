//! Claims that are held, confirmed in time or not.

use super::campaigns::TERMS;
use super::{Gate, NOW};
use crate::core::{Alteration, AlteredTime, Command, Core, Dropping, Event, Terms};
use crate::ids::{CampaignId, Lsn, Millis, Seat, User};

const HOLD: Terms = Terms { limit: 3, hold: 1_000, ..TERMS };

impl Gate {
    fn holding(terms: Terms) -> Gate {
        let mut gate = Gate::new();
        assert_eq!(gate.ask(Command::Create { campaign: b"spring", terms }), "CREATED");
        gate
    }

    fn hold(&mut self, user: &str, request: &str) -> String {
        let (user, request) = (user.as_bytes(), request.as_bytes());
        self.ask(Command::Claim { campaign: b"spring", user, request, flat: false })
    }

    fn confirm(&mut self, user: &str, seat: Option<u32>) -> String {
        let (user, seat) = (user.as_bytes(), seat.map(Seat::new));
        self.ask(Command::Confirm { campaign: b"spring", user, seat, flat: false })
    }

    fn figures(&self) -> (u32, u32, u32) {
        let facts = self.core.campaign(CampaignId(0)).unwrap();
        (facts.granted, facts.held, facts.remaining)
    }

    fn rows(&mut self) -> String {
        self.ask(Command::Seats { campaign: b"spring", first: 1, count: 10 }).replace(&format!(":{} ", NOW.0), "")
    }
}

fn until(millis: i64) -> i64 {
    NOW.0 + millis
}

#[test]
fn a_claim_is_held_until_it_is_confirmed() {
    let mut gate = Gate::holding(HOLD);
    assert_eq!(gate.hold("7", ""), format!("HELD 1 2 {}", until(1_000)));
    gate.wait(10);
    assert_eq!(gate.hold("7", ""), format!("HELD 1 2 {}", until(1_000)), "the same seat, the same deadline");
    assert_eq!(gate.figures(), (0, 1, 2));
    assert_eq!(gate.confirm("7", None), "GRANTED 1 2");
    assert_eq!(gate.figures(), (1, 0, 2));
    assert_eq!(gate.hold("7", ""), "ALREADY 1 2");
    let row = format!("[[GRANTED :1 :{} accepted]]", until(10));
    assert_eq!(gate.ask(Command::Status { campaign: b"spring", user: b"7" }), row, "since it was confirmed");
    gate.wait(2_000);
    assert_eq!(gate.core.due_holds(gate.view.now, 10), []);
}

#[test]
fn what_is_not_confirmed_in_time_goes_to_the_next_lowest_first() {
    let mut gate = Gate::holding(HOLD);
    gate.hold("1", "");
    gate.wait(1);
    gate.hold("2", "");
    gate.hold("3", "");
    assert_eq!(gate.hold("4", ""), "SOLDOUT 0 0");
    assert_eq!(gate.confirm("3", None), "GRANTED 3 0");
    gate.wait(999);
    assert_eq!(gate.confirm("1", None), "NONE 0 1", "its time is over at its deadline, and the seat is free");
    assert_eq!(gate.hold("4", ""), format!("HELD 1 0 {}", until(2_000)));
    gate.wait(1);
    assert_eq!(gate.expire(10), 0);
    assert_eq!(gate.figures(), (1, 1, 1));
    assert_eq!(gate.rows(), format!("[[:1 :4 :{} HELD] [:3 :3 :{} GRANTED]]", until(1_000), until(1)));
    assert_eq!(gate.hold("5", ""), format!("HELD 2 0 {}", until(2_001)));
    assert_eq!(gate.hold("2", ""), "SOLDOUT 0 0");
}

#[test]
fn a_confirmation_can_be_sent_again_where_there_is_no_doubt_which_seat_it_means() {
    let mut gate = Gate::holding(HOLD);
    assert_eq!(gate.confirm("7", None), "NONE 0 3");
    gate.hold("7", "");
    assert_eq!(gate.confirm("8", None), "NONE 0 2");
    assert_eq!(gate.confirm("7", Some(2)), "NONE 0 2");
    assert_eq!(gate.confirm("8", Some(1)), "NONE 0 2", "a seat of somebody else");
    assert_eq!(gate.confirm("7", None), "GRANTED 1 2");
    let before = gate.core.applied();
    assert_eq!(gate.confirm("7", None), "GRANTED 1 2");
    assert_eq!(gate.confirm("7", Some(1)), "GRANTED 1 2");
    assert_eq!(gate.core.applied(), before);
    assert_eq!(gate.confirm("x", None), "ERR user is not an integer or out of range");

    let mut gate = Gate::holding(Terms { per_user: 2, ..HOLD });
    gate.hold("7", "a");
    gate.hold("7", "b");
    assert_eq!(gate.confirm("7", Some(2)), "GRANTED 2 1");
    assert_eq!(gate.confirm("7", Some(2)), "GRANTED 2 1");
    assert_eq!(gate.confirm("7", None), "GRANTED 1 1", "the first that is held");
    assert_eq!(gate.confirm("7", None), "NONE 0 1", "it could mean either of two");
    assert_eq!(gate.confirm("7", Some(1)), "GRANTED 1 1");
}

#[test]
fn requests_and_holds_go_together() {
    let mut gate = Gate::holding(Terms { per_user: 2, ..HOLD });
    assert_eq!(gate.hold("7", "a"), format!("HELD 1 2 {}", until(1_000)));
    gate.wait(10);
    assert_eq!(gate.hold("7", "b"), format!("HELD 2 1 {}", until(1_010)));
    assert_eq!(gate.hold("7", "a"), format!("HELD 1 1 {}", until(1_000)));
    assert_eq!(gate.hold("7", "c"), "ALREADY 2 1", "another claim, which must not take his last seat for its own");
    assert_eq!(gate.confirm("7", Some(2)), "GRANTED 2 1");
    gate.wait(990);
    assert_eq!(gate.hold("7", "b"), "ALREADY 2 2", "and his first has ended");
    assert_eq!(gate.hold("7", "a"), format!("HELD 1 1 {}", until(2_000)), "an ID counts as long as its seat is his");
    assert_eq!(
        gate.ask(Command::Claim { campaign: b"spring", user: b"8", request: b"a", flat: true }),
        format!("HELD 3 0 {}", until(2_000))
    );
}

#[test]
fn a_hold_lives_on_behind_the_end_of_the_window() {
    let mut gate = Gate::holding(HOLD);
    gate.hold("1", "");
    gate.hold("2", "");
    let change = Alteration { close: Some(AlteredTime::Now), ..Alteration::default() };
    assert_eq!(gate.ask(Command::Alter { campaign: b"spring", change, by: b"ops".into() }), "OK");
    assert_eq!(gate.hold("1", ""), format!("HELD 1 1 {}", until(1_000)));
    assert_eq!(gate.confirm("1", None), "GRANTED 1 1");
    gate.wait(1_000);
    assert_eq!(gate.hold("2", ""), "CLOSED 0 2");
}

#[test]
fn the_limit_stays_above_the_highest_seat_that_somebody_has() {
    let mut gate = Gate::holding(HOLD);
    ["1", "2", "3"].iter().for_each(|user| drop(gate.hold(user, "")));
    gate.confirm("2", None);
    let limit = |limit| Command::Alter {
        campaign: b"spring",
        change: Alteration { limit: Some(limit), ..Alteration::default() },
        by: b"ops".into(),
    };
    assert_eq!(gate.ask(limit(2)), "CONFLICT campaign 'spring' has given seat 3; LIMIT 2 would be below it");
    gate.wait(1_000);
    gate.expire(10);
    assert_eq!(gate.ask(limit(1)), "CONFLICT campaign 'spring' has given seat 2; LIMIT 1 would be below it");
    assert_eq!(gate.ask(limit(2)), "OK");
    assert_eq!(gate.hold("4", ""), format!("HELD 1 0 {}", until(2_000)));
    assert_eq!(gate.hold("5", ""), "SOLDOUT 0 0");
    assert_eq!(gate.ask(limit(4)), "OK");
    assert_eq!(gate.hold("5", ""), format!("HELD 3 1 {}", until(2_000)));
    assert_eq!(gate.hold("6", ""), format!("HELD 4 0 {}", until(2_000)));
}

#[test]
fn a_campaign_with_holds_is_dropped_only_by_force() {
    let mut gate = Gate::holding(HOLD);
    let drop =
        |force| Command::Drop { campaign: b"spring", how: if force { Dropping::Forced } else { Dropping::Safely } };
    gate.hold("1", "");
    let told = "CONFLICT 1 seats of campaign 'spring' are held; wait until no hold is left, or FORCE";
    assert_eq!(gate.ask(drop(false)), told);
    assert_eq!(gate.ask(drop(true)), "OK");
    assert_eq!(gate.core.next_hold_deadline(), None);
    assert_eq!(gate.ask(Command::Create { campaign: b"spring", terms: HOLD }), "CREATED", "no seat was ever granted");
}

#[test]
fn nobody_is_told_that_all_is_sold_out_while_a_hold_is_over() {
    let mut gate = Gate::holding(HOLD);
    for user in ["1", "2", "3"] {
        gate.hold(user, "");
    }
    assert_eq!(gate.hold("4", ""), "SOLDOUT 0 0");
    gate.wait(1_000);
    // The loop has not come to any of them.
    assert_eq!(gate.hold("4", ""), format!("HELD 1 0 {}", until(2_000)));
    assert_eq!(gate.figures(), (0, 3, 0));
}

#[test]
fn very_many_campaigns_whose_holds_end_at_once_are_taken_in_order() {
    let mut gate = Gate::new();
    let names: Vec<String> = (0..50).map(|number| format!("c{number:02}")).collect();
    for name in &names {
        let terms = Terms { limit: 9, hold: 50, ..TERMS };
        gate.ask(Command::Create { campaign: name.as_bytes(), terms });
    }
    for user in ["1", "2"] {
        for name in &names {
            gate.ask(super::campaigns::claim(name, user));
        }
    }
    gate.wait(50);
    let due: Vec<(u32, u32)> =
        gate.core.due_holds(gate.view.now, 75).iter().map(|(id, seat)| (id.0, seat.get())).collect();
    let all: Vec<(u32, u32)> = (0..50).flat_map(|id| [(id, 1), (id, 2)]).collect();
    assert_eq!(due, all[..75]);
    gate.expire(75);
    assert_eq!(gate.core.due_holds(gate.view.now, 75).len(), 25);
}

#[test]
fn holds_come_due_in_the_order_of_their_deadlines_whatever_their_campaign() {
    let mut gate = Gate::new();
    for (name, hold) in [("a", 50), ("b", 20), ("c", 90)] {
        let terms = Terms { limit: 9, hold, ..TERMS };
        assert_eq!(gate.ask(Command::Create { campaign: name.as_bytes(), terms }), "CREATED");
    }
    for user in ["1", "2", "3"] {
        for name in ["a", "b", "c"] {
            gate.ask(super::campaigns::claim(name, user));
        }
        gate.wait(20);
    }
    let due = |gate: &Gate, at_most| {
        let due = gate.core.due_holds(gate.view.now, at_most).into_iter();
        due.map(|(id, seat)| (id.0, seat.get())).collect::<Vec<_>>()
    };
    // Ends: a 50, 70, 90; b 20, 40, 60; c 90, 110, 130.
    assert_eq!(due(&gate, 10), [(1, 1), (1, 2), (0, 1), (1, 3)]);
    gate.wait(50);
    let all = [(1, 1), (1, 2), (0, 1), (1, 3), (0, 2), (0, 3), (2, 1), (2, 2)];
    assert_eq!(due(&gate, 10), all);
    assert_eq!(due(&gate, 3), all[..3]);
    gate.expire(3);
    assert_eq!(due(&gate, 2), all[3..5]);
}

fn held(core: &mut Core, seat: u32, user: i64) {
    let (campaign, seat, user) = (CampaignId(0), Seat::new(seat), User::Int(user));
    let event = Event::Held { campaign, seat, user, nth: 1, request: b"", at: NOW, until: NOW };
    core.evolve(core.applied().next(), &event);
}

fn spring() -> Core {
    let mut core = Core::new(1);
    core.evolve(Lsn::new(1), &Event::CampaignCreated { id: CampaignId(0), name: b"spring", terms: HOLD, at: NOW });
    held(&mut core, 1, 1);
    core
}

#[test]
#[should_panic(expected = "for whom it was made")]
fn a_confirmation_of_somebody_elses_hold_ends_the_process() {
    let confirmed = Event::Confirmed {
        campaign: CampaignId(0),
        seat: Seat::new(1),
        user: User::Int(2),
        nth: 1,
        at: NOW,
        after: Lsn::ZERO,
    };
    spring().evolve(Lsn::new(3), &confirmed);
}

#[test]
#[should_panic(expected = "for whom it was made")]
fn a_hold_that_ends_twice_ends_the_process() {
    let mut core = spring();
    for lsn in [3, 4] {
        let (seat, user) = (Seat::new(1), User::Int(1));
        let ended = Event::HoldEnded { campaign: CampaignId(0), seat, user, at: NOW, expired: true };
        core.evolve(Lsn::new(lsn), &ended);
    }
}

#[test]
#[should_panic(expected = "lowest first")]
fn a_seat_that_is_held_is_not_given() {
    held(&mut spring(), 1, 2);
}

#[test]
fn what_is_imported_may_leave_seats_free_that_are_given_later() {
    let mut gate = Gate::holding(Terms { limit: 5, ..TERMS });
    for (seat, user) in [(4, 40), (2, 20)] {
        let (campaign, seat, user) = (CampaignId(0), Seat::new(seat), User::Int(user));
        let event = Event::Imported { campaign, seat, user, nth: 1, at: NOW, seq: Some(Lsn::new(9)), after: Lsn::ZERO };
        assert_eq!(gate.core.breach(gate.core.applied().next(), &event), None);
        gate.core.evolve(gate.core.applied().next(), &event);
    }
    assert_eq!(gate.figures(), (2, 0, 3));
    let given = ["1", "3", "5", "6"].map(|user| gate.hold(user, ""));
    assert_eq!(given, ["GRANTED 1 2", "GRANTED 3 1", "GRANTED 5 0", "SOLDOUT 0 0"]);
    let facts = gate.core.campaign(CampaignId(0)).unwrap();
    assert_eq!((facts.first_grant, facts.last_grant), (Some(NOW), Some(Millis(NOW.0))));
}
