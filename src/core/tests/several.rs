//! Several seats for a user, and claims that say which one they are.

use super::campaigns::TERMS;
use super::{Gate, NOW};
use crate::core::{Alteration, Command, Core, Dropping, Event, Terms};
use crate::ids::{CampaignId, Lsn, Seat, User};

fn spring(terms: Terms) -> Gate {
    let mut gate = Gate::new();
    assert_eq!(gate.ask(Command::Create { campaign: b"spring", terms }), "CREATED");
    gate
}

fn claim<'a>(user: &'a str, request: &'a str) -> Command<'a> {
    Command::Claim { campaign: b"spring", user: user.as_bytes(), request: request.as_bytes(), flat: false }
}

fn per_user(per_user: u16) -> Command<'static> {
    let change = Alteration { per_user: Some(per_user), ..Alteration::default() };
    Command::Alter { campaign: b"spring", change, by: b"ops".into() }
}

#[test]
fn each_request_gets_one_seat_until_the_user_has_all_he_may_have() {
    let mut gate = spring(Terms { limit: 10, per_user: 3, ..TERMS });
    assert_eq!(gate.ask(claim("7", "a")), "GRANTED 1 9");
    assert_eq!(gate.ask(claim("8", "a")), "GRANTED 2 8", "requests are each user's own");
    assert_eq!(gate.ask(claim("7", "b")), "GRANTED 3 7");
    assert_eq!(gate.ask(claim("7", "a")), "ALREADY 1 7");
    assert_eq!(gate.ask(claim("7", "b")), "ALREADY 3 7");
    assert_eq!(gate.ask(claim("7", "c")), "GRANTED 4 6");
    assert_eq!(gate.ask(claim("7", "d")), "ALREADY 4 6", "the last one of all he may have");
    assert_eq!(gate.ask(claim("7", "a")), "ALREADY 1 6");
    let row = |seat| format!("[GRANTED :{seat} :{} accepted]", NOW.0);
    let status = Command::Status { campaign: b"spring", user: b"7" };
    assert_eq!(gate.ask_fully(status), (format!("[{} {} {}]", row(1), row(3), row(4)), Lsn::new(5), 0));
}

#[test]
fn a_claim_without_an_id_is_refused_where_it_could_not_be_repeated() {
    let mut gate = spring(Terms { limit: 10, per_user: 2, ..TERMS });
    let told = "ERR a user may have 2 seats of campaign 'spring': say which claim this is with ID, and repeat it with the \
                same one";
    assert_eq!(gate.ask_fully(claim("7", "")), (told.into(), Lsn::new(1), 0));
    assert_eq!(gate.ask(claim("x", "")), "ERR user is not an integer or out of range", "a bad user is told first");
    let mut gate = spring(Terms { limit: 10, per_user: 2, no_id: true, ..TERMS });
    assert_eq!(gate.ask(claim("7", "")), "GRANTED 1 9");
    assert_eq!(gate.ask(claim("7", "")), "GRANTED 2 8");
    assert_eq!(gate.ask(claim("7", "")), "ALREADY 2 8");
    assert_eq!(gate.ask(claim("8", "a")), "GRANTED 3 7");
    assert_eq!(gate.ask(claim("8", "a")), "ALREADY 3 7", "an ID counts where none is needed, too");
    assert_eq!(gate.ask(claim("8", "b")), "GRANTED 4 6");
}

#[test]
fn a_repeated_claim_hears_already_whatever_holds_meanwhile() {
    let mut gate = spring(Terms { limit: 2, per_user: 2, ..TERMS });
    gate.ask(claim("7", "a"));
    gate.ask(claim("8", "a"));
    assert_eq!(gate.ask(claim("7", "b")), "SOLDOUT 0 0");
    assert_eq!(gate.ask(claim("7", "a")), "ALREADY 1 0");
    let close = Alteration { close: Some(crate::core::AlteredTime::Now), ..Alteration::default() };
    gate.ask(Command::Alter { campaign: b"spring", change: close, by: b"".into() });
    assert_eq!(gate.ask(claim("7", "b")), "CLOSED 0 0", "a refusal is not remembered");
    assert_eq!(gate.ask(claim("7", "a")), "ALREADY 1 0");
}

#[test]
fn a_request_is_remembered_from_before_a_user_could_have_several() {
    let mut gate = spring(Terms { limit: 10, ..TERMS });
    assert_eq!(gate.ask(claim("7", "a")), "GRANTED 1 9");
    assert_eq!(gate.ask(claim("8", "")), "GRANTED 2 8");
    assert_eq!(gate.ask(claim("7", "b")), "ALREADY 1 8");
    assert_eq!(gate.ask(per_user(2)), "OK");
    assert_eq!(gate.ask(claim("7", "a")), "ALREADY 1 8", "sent again by a client that heard nothing");
    assert_eq!(gate.ask(claim("7", "b")), "GRANTED 3 7");
    assert_eq!(gate.ask(claim("8", "x")), "GRANTED 4 6");
    let told = "CONFLICT a user of campaign 'spring' has 2 seats; PERUSER 1 would be below it";
    assert_eq!(gate.ask_fully(per_user(1)), (told.into(), Lsn::new(6), 0));
    assert_eq!(gate.ask(per_user(3)), "OK");
    assert_eq!(gate.ask(per_user(2)), "OK");
}

#[test]
fn a_user_of_very_many_seats_is_found_with_each() {
    let mut gate = spring(Terms { limit: u32::MAX, per_user: u16::MAX, no_id: true, ..TERMS });
    for seat in 1..=u32::from(u16::MAX) {
        let request = if seat % 1000 == 1 { format!("r{seat}") } else { String::new() };
        assert_eq!(gate.ask(claim("7", &request)), format!("GRANTED {seat} {}", u32::MAX - seat));
    }
    assert!(gate.ask(claim("7", "another")).starts_with("ALREADY 65535 "));
    assert!(gate.ask(claim("7", "r64001")).starts_with("ALREADY 64001 "));
    assert_eq!(gate.core.seats_of(CampaignId(0), User::Int(7)).len(), 65_535);
    assert!(gate.ask(Command::Drop { campaign: b"spring", how: Dropping::Forced }) == "OK");
    let mut steps = 0;
    while gate.core.sweep(1000) {
        steps += 1;
    }
    assert!(steps > 60, "freed in {steps} steps");
}

fn given(core: &mut Core, seat: u32, user: i64, nth: u16) {
    let (campaign, seat, user) = (CampaignId(0), Seat::new(seat), User::Int(user));
    core.evolve(
        core.applied().next(),
        &Event::Granted { campaign, seat, user, nth, request: b"", at: NOW, after: Lsn::ZERO },
    );
}

fn core(per_user: u16) -> Core {
    let mut core = Core::new(1);
    let terms = Terms { limit: 9, per_user, ..TERMS };
    core.evolve(Lsn::new(1), &Event::CampaignCreated { id: CampaignId(0), name: b"spring", terms, at: NOW });
    core
}

#[test]
#[should_panic(expected = "never more than PERUSER for a user")]
fn a_seat_beyond_a_users_share_ends_the_process() {
    let mut core = core(2);
    (1..=3).for_each(|seat| given(&mut core, seat, 7, seat as u16));
}

#[test]
#[should_panic(expected = "each his n-th once")]
fn a_second_seat_with_the_number_of_the_first_ends_the_process() {
    let mut core = core(2);
    (1..=2).for_each(|seat| given(&mut core, seat, 7, 2));
}

#[test]
#[should_panic(expected = "PERUSER is never below what a user has")]
fn a_share_below_what_a_user_has_ends_the_process() {
    let mut core = core(2);
    (1..=2).for_each(|seat| given(&mut core, seat, 7, seat as u16));
    let to = Terms { limit: 9, ..TERMS }.alterable();
    core.evolve(Lsn::new(4), &Event::CampaignAltered { id: CampaignId(0), to, at: NOW, by: b"".into() });
}

#[test]
#[should_panic(expected = "each his n-th once")]
fn a_seat_that_is_nobodys_first_or_other_ends_the_process() {
    given(&mut core(2), 1, 7, 0);
}
