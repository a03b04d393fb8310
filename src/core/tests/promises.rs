//! What breaks a promise ends the process.

use super::campaigns::{TERMS, create};
use super::{DB, Gate, NOW};
use crate::core::{Command, Core, Decision, Event, Group, Terms, Users};
use crate::ids::{CampaignId, Lsn, Millis, Seat, User};

fn spring(limit: u32, users: Users) -> Core {
    let mut core = Core::new(1);
    let terms = Terms { limit, users, ..TERMS };
    core.evolve(Lsn::new(1), &Event::CampaignCreated { id: CampaignId(0), name: b"spring", terms, at: NOW });
    core
}

fn grant(core: &mut Core, seat: u32, user: User<'_>) {
    let event = Event::Granted {
        campaign: CampaignId(0),
        seat: Seat::new(seat),
        user,
        nth: 1,
        request: b"",
        at: NOW,
        after: Lsn::ZERO,
    };
    core.evolve(core.applied().next(), &event);
}

fn counted(key: &[u8], value: i64) -> Event<'_> {
    Event::KeyCounted { db: DB, key, value }
}

#[test]
#[should_panic(expected = "never more than N")]
fn a_seat_beyond_the_limit_ends_the_process() {
    let mut core = spring(1, Users::Int);
    grant(&mut core, 1, User::Int(1));
    grant(&mut core, 2, User::Int(2));
}

#[test]
#[should_panic(expected = "a limit is never below a seat that is out")]
fn a_limit_below_a_seat_that_is_out_ends_the_process() {
    let mut core = spring(5, Users::Int);
    grant(&mut core, 1, User::Int(1));
    grant(&mut core, 2, User::Int(2));
    let to = Terms { limit: 1, ..TERMS }.alterable();
    core.evolve(Lsn::new(4), &Event::CampaignAltered { id: CampaignId(0), to, at: NOW, by: b"".into() });
}

#[test]
#[should_panic(expected = "never more than PERUSER for a user")]
fn a_second_seat_for_a_user_ends_the_process() {
    let mut core = spring(5, Users::Int);
    grant(&mut core, 1, User::Int(1));
    grant(&mut core, 2, User::Int(1));
}

#[test]
#[should_panic(expected = "lowest first")]
fn a_seat_that_is_skipped_ends_the_process() {
    grant(&mut spring(5, Users::Int), 2, User::Int(1));
}

#[test]
#[should_panic(expected = "lowest first")]
fn a_seat_given_twice_ends_the_process() {
    let mut core = spring(5, Users::Int);
    grant(&mut core, 1, User::Int(1));
    grant(&mut core, 1, User::Int(2));
}

#[test]
#[should_panic(expected = "of the kind that his campaign takes")]
fn a_user_of_the_other_kind_ends_the_process() {
    grant(&mut spring(5, Users::Int), 1, User::Any(b"1"));
}

#[test]
#[should_panic(expected = "created and not dropped")]
fn a_grant_of_a_dropped_campaign_ends_the_process() {
    let mut core = spring(5, Users::Int);
    core.evolve(Lsn::new(2), &Event::CampaignDropped { id: CampaignId(0), at: NOW, purged: false });
    grant(&mut core, 1, User::Int(1));
}

#[test]
#[should_panic(expected = "numbered without holes")]
fn a_campaign_number_that_is_skipped_ends_the_process() {
    let created = Event::CampaignCreated { id: CampaignId(1), name: b"spring", terms: TERMS, at: NOW };
    Core::new(1).evolve(Lsn::new(1), &created);
}

#[test]
#[should_panic(expected = "no name that is in use")]
fn a_campaign_over_a_key_ends_the_process() {
    let mut core = Core::new(1);
    core.evolve(Lsn::new(1), &counted(b"spring", 1));
    let created = Event::CampaignCreated { id: CampaignId(0), name: b"spring", terms: TERMS, at: NOW };
    core.evolve(Lsn::new(2), &created);
}

#[test]
#[should_panic(expected = "the name of a dropped campaign is kept")]
fn a_second_life_of_a_campaign_ends_the_process() {
    let mut core = spring(5, Users::Int);
    grant(&mut core, 1, User::Int(1));
    core.evolve(Lsn::new(3), &Event::CampaignDropped { id: CampaignId(0), at: NOW, purged: false });
    core.evolve(Lsn::new(4), &Event::CampaignCreated { id: CampaignId(1), name: b"spring", terms: TERMS, at: NOW });
}

#[test]
#[should_panic(expected = "a campaign is dropped, never removed")]
fn a_removal_of_a_campaign_ends_the_process() {
    spring(5, Users::Int).evolve(Lsn::new(2), &Event::KeyRemoved { db: DB, key: b"spring", expired: false });
}

#[test]
#[should_panic(expected = "dropped, never flushed")]
fn a_flush_of_a_campaign_ends_the_process() {
    spring(5, Users::Int).evolve(Lsn::new(2), &Event::Flushed { db: None });
}

#[test]
#[should_panic(expected = "each change has the next position")]
fn a_hole_in_the_line_ends_the_process() {
    Core::new(1).evolve(Lsn::new(2), &counted(b"n", 1));
}

#[test]
#[should_panic(expected = "each change has the next position")]
fn a_position_used_twice_ends_the_process() {
    let mut core = Core::new(1);
    core.evolve(Lsn::new(1), &counted(b"n", 1));
    core.evolve(Lsn::new(1), &Event::KeyRemoved { db: DB, key: b"n", expired: false });
}

#[test]
#[should_panic(expected = "only the last change of a counter is amended")]
fn an_amendment_of_an_older_change_ends_the_process() {
    let mut core = Core::new(1);
    core.evolve(Lsn::new(1), &counted(b"n", 1));
    core.evolve(Lsn::new(2), &counted(b"n", 2));
    core.evolve(Lsn::new(1), &counted(b"n", 3));
}

#[test]
#[should_panic(expected = "only an integer is counted")]
fn counting_a_text_ends_the_process() {
    let mut core = Core::new(1);
    let set = Event::KeySet { db: DB, key: b"n", value: b"text".as_slice().into(), expires: Millis::NEVER };
    core.evolve(Lsn::new(1), &set);
    core.evolve(Lsn::new(2), &counted(b"n", 1));
}

#[test]
#[should_panic(expected = "only a key with a deadline expires")]
fn an_expiry_without_a_deadline_ends_the_process() {
    let mut core = Core::new(1);
    core.evolve(Lsn::new(1), &counted(b"n", 1));
    core.evolve(Lsn::new(2), &Event::KeyRemoved { db: DB, key: b"n", expired: true });
}

#[test]
fn the_last_change_of_a_counter_is_amended_in_place() {
    let mut gate = Gate::new();
    gate.core.evolve(Lsn::new(1), &counted(b"n", 1));
    assert_eq!(gate.ask(create("spring", 1)), "CREATED");
    let again = gate.core.decide(Command::Add { db: DB, key: b"n", step: 1 }, &gate.view);
    let Decision::Record { group: Group::Count { last, event }, .. } = again else { panic!("a count") };
    assert_eq!((last, &event), (Lsn::new(1), &counted(b"n", 2)));
    gate.core.evolve(last, &event);
    assert_eq!(gate.core.applied(), Lsn::new(2));
    let read = gate.ask_fully(Command::Get { db: DB, key: b"n" });
    assert_eq!(read, ("'2'".into(), Lsn::new(1), 0));
}
