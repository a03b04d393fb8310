//! What a journal that was lost or set back gets again: positions left out, seats imported.

use super::campaigns::TERMS;
use super::{DB, NOW};
use crate::core::{Command, Core, Decision, Event, Terms, Users, View};
use crate::ids::{CampaignId, Lsn, Millis, Seat, User};

const SPRING: CampaignId = CampaignId(0);

/// `spring` with a limit of 3, and positions up to 20 left out.
fn set_back() -> Core {
    let mut core = Core::new(1);
    let terms = Terms { limit: 3, users: Users::Int, ..TERMS };
    core.evolve(Lsn::new(1), &Event::CampaignCreated { id: SPRING, name: b"spring", terms, at: NOW });
    core.evolve(Lsn::new(2), &Event::Skipped { upto: Lsn::new(20) });
    core
}

fn import(core: &mut Core, lsn: u64, seat: u32, user: i64) {
    let (user, seq) = (User::Int(user), Lsn::new(lsn - 15));
    let at = Millis(NOW.0 + i64::from(seat));
    core.evolve(
        Lsn::new(lsn),
        &Event::Imported {
            campaign: SPRING,
            seat: Seat::new(seat),
            user,
            nth: 1,
            at,
            seq: Some(seq),
            after: Lsn::ZERO,
        },
    );
}

#[test]
fn the_line_goes_on_behind_what_was_left_out() {
    let mut core = set_back();
    assert_eq!(core.applied(), Lsn::new(20));
    core.evolve(Lsn::new(21), &Event::KeyCounted { db: DB, key: b"n", value: 1 });
    assert_eq!(core.applied(), Lsn::new(21));
}

#[test]
#[should_panic(expected = "each change has the next position")]
fn a_position_that_was_left_out_is_never_used() {
    set_back().evolve(Lsn::new(20), &Event::KeyRemoved { db: DB, key: b"n", expired: false });
}

#[test]
#[should_panic(expected = "ends behind its beginning")]
fn a_skip_backwards_ends_the_process() {
    set_back().evolve(Lsn::new(21), &Event::Skipped { upto: Lsn::new(20) });
}

#[test]
fn an_imported_seat_is_its_users_and_claims_go_on_behind_it() {
    let mut core = set_back();
    import(&mut core, 21, 1, 7);
    import(&mut core, 22, 2, 8);
    assert_eq!(core.newest_at(), Millis(NOW.0 + 2));
    assert_eq!(core.seats_of(SPRING, User::Int(8)), [Seat::new(2)]);
    assert_eq!(core.seats_of(SPRING, User::Int(9)), []);
    let view = View { now: NOW, durable: Lsn::new(22), published: None, stored: Some(Lsn::new(21)) };
    let status = |user| Command::Status { campaign: b"spring", user };
    let told = |core: &Core, user| match core.decide(status(user), &view) {
        Decision::Answer { reply, depends } => (super::told(&reply), depends),
        Decision::Record { .. } => panic!("it only reads"),
    };
    assert!(told(&core, b"7").0.contains("stored"), "{}", told(&core, b"7").0);
    assert_eq!(told(&core, b"8").1, Lsn::new(22), "it depends on its own position, not on the lost one");
    let claim = Command::Claim { campaign: b"spring", user: b"9", request: b"", flat: false };
    let Decision::Record { group, .. } = core.decide(claim, &view) else { panic!("a seat is left") };
    assert!(matches!(group.events(), [Event::Granted { seat, .. }] if *seat == Seat::new(3)), "{group:?}");
}

#[test]
#[should_panic(expected = "never more than PERUSER for a user")]
fn an_imported_second_seat_for_a_user_ends_the_process() {
    let mut core = set_back();
    import(&mut core, 21, 1, 7);
    import(&mut core, 22, 2, 7);
}

#[test]
#[should_panic(expected = "lowest first")]
fn a_claim_behind_the_gap_that_an_import_left_ends_the_process() {
    let mut core = set_back();
    import(&mut core, 21, 2, 7);
    let (seat, user) = (Seat::new(3), User::Int(8));
    let event = Event::Granted { campaign: CampaignId(0), seat, user, nth: 1, request: b"", at: NOW, after: Lsn::ZERO };
    core.evolve(core.applied().next(), &event);
}

#[test]
#[should_panic(expected = "never more than N")]
fn an_imported_seat_beyond_the_limit_ends_the_process() {
    let mut core = set_back();
    (1..=4).for_each(|seat| import(&mut core, 20 + u64::from(seat), seat, i64::from(seat)));
}
