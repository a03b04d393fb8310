//! Rehearsals over a socket. The honest ones run against the gate that TEST_REHEARSE_TARGET names, if it names one
//! (`redis://127.0.0.1:6379`, no ledger held back), else against the fake one.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::checks::Check;
use super::fake::{self, Fake, Lie};
use super::{RehearseError, RehearseOptions, Report, Target, run};

const REAL_GATE: &str = "TEST_REHEARSE_TARGET";

fn target(port: u16, password: Option<&str>) -> Target {
    Target { port, password: password.map(str::to_string), ..Target::default() }
}

fn honest_gate() -> Target {
    match std::env::var(REAL_GATE) {
        Ok(url) => url.parse().unwrap(),
        Err(_) => target(fake::start(Lie::None, None).0, None),
    }
}

fn small(target: Target) -> RehearseOptions {
    RehearseOptions { target, users: 300, seats: 100, connections: 8, repeat: 2, ..RehearseOptions::default() }
}

fn quiet(options: &RehearseOptions) -> Result<Report, RehearseError> {
    run(options, &mut |line| panic!("a shadow has nothing to announce: {line}"))
}

fn broken(report: &Report) -> Vec<&str> {
    report.checks.iter().filter(|verdict| verdict.differences > 0).map(|verdict| verdict.check).collect()
}

/// A rehearsal of `small` with a gate that lies.
fn lied_to(lie: Lie) -> (Report, Arc<Mutex<Fake>>) {
    let (port, fake) = fake::start(lie, None);
    (quiet(&small(target(port, None))).unwrap(), fake)
}

#[test]
fn an_honest_gate_passes_with_any_shape_of_crowd() {
    let gate = honest_gate();
    let shapes = [(300, 100, 8, 1, 1), (300, 100, 8, 16, 3), (100, 300, 3, 7, 2), (1, 1, 1, 1, 1), (5, 2, 20, 100, 1)];
    for (users, seats, connections, pipeline, repeat) in shapes {
        // The fake gate knows one campaign: a fresh one each.
        let gate = if std::env::var(REAL_GATE).is_ok() { gate.clone() } else { honest_gate() };
        let options = RehearseOptions { users, seats, connections, pipeline, repeat, ..small(gate) };
        let report = quiet(&options).unwrap();
        assert!(report.agrees, "{report}");
        assert_eq!(report.answers.granted, u64::from(users.min(seats)));
        assert_eq!(report.claims, u64::from(users * repeat));
        assert!(report.latency_us.p50 > 0.0 && report.latency_us.max >= report.latency_us.p999);
    }
}

#[test]
fn a_shadow_is_created_and_dropped_and_nothing_else_is_touched() {
    let (_, fake) = lied_to(Lie::None);
    let deeds = &fake.lock().unwrap().deeds;
    let [create, drop] = &deeds[..] else { panic!("{deeds:?}") };
    let name = create.split(' ').nth(1).unwrap();
    assert!(name.starts_with("rehearsal-2") && name.len() <= 64, "{name}");
    assert_eq!(*create, format!("GATE.CREATE {name} LIMIT 100 SHADOW"));
    assert_eq!(*drop, format!("GATE.DROP {name} FORCE"));
}

#[test]
fn through_says_first_where_the_grants_go_then_waits_for_the_ledger_and_leaves_the_campaign() {
    let (port, fake) = fake::start(Lie::None, None);
    let mut said = Vec::new();
    let options = RehearseOptions { through: true, ..small(target(port, None)) };
    let report = run(&options, &mut |line| {
        assert_eq!(fake.lock().unwrap().deeds, ["INFO"], "said before anything is done");
        said.push(line.to_string());
    })
    .unwrap();
    assert!(report.agrees, "{report}");
    assert!(said.len() == 1 && said[0].contains("sqlite:/data/ledger.db") && said[0].contains("no topic"), "{said:?}");
    let stored = report.stored.unwrap();
    assert!(stored.rows == 100 && stored.seconds >= report.seconds, "{stored:?}");
    let deeds = &fake.lock().unwrap().deeds;
    assert_eq!(deeds.len(), 2, "{deeds:?}");
    assert!(deeds[1].ends_with(" LIMIT 100"), "{deeds:?}");
}

#[test]
fn every_lie_of_a_gate_is_found() {
    let lies = [
        (Lie::DoubledSeat, Check::Seats),
        (Lie::MissingGrant, Check::Granted),
        (Lie::ChangedRepeat, Check::Repeat),
        (Lie::Info, Check::Info),
        (Lie::SeatList, Check::SeatList),
        (Lie::Status, Check::Status),
        (Lie::Misconf, Check::Answered),
        (Lie::Hangup, Check::Answered),
    ];
    for (lie, check) in lies {
        let (report, fake) = lied_to(lie);
        assert!(!report.agrees && broken(&report).contains(&check.title()), "{lie:?}: {report}");
        assert!(fake.lock().unwrap().deeds[1].starts_with("GATE.DROP"), "dropped also after a difference");
    }
}

/// Users hold, confirm and cancel. The hold is long enough that nobody who confirms at once is too late.
fn returning(target: Target) -> RehearseOptions {
    RehearseOptions { hold: 300, confirm_share: 0.7, cancel_share: 0.3, ..small(target) }
}

#[test]
fn an_honest_gate_passes_where_seats_come_back_with_any_shape_of_crowd() {
    let shapes = [(300, 100, 8, 1, 1), (300, 100, 8, 16, 3), (100, 300, 3, 7, 2), (1, 1, 1, 1, 1), (5, 2, 20, 100, 4)];
    for (users, seats, connections, pipeline, repeat) in shapes {
        for (hold, confirm_share, cancel_share) in [(150, 0.6, 0.3), (150, 0.0, 0.0), (1, 1.0, 1.0), (0, 1.0, 0.5)] {
            let shape = RehearseOptions { users, seats, connections, pipeline, repeat, ..small(honest_gate()) };
            let report = quiet(&RehearseOptions { hold, confirm_share, cancel_share, ..shape }).unwrap();
            assert!(report.agrees, "{report}");
            assert_eq!(report.claims, u64::from(users * repeat));
            let answers = report.answers;
            let moves = report.returning.unwrap().moves;
            let claimed = if hold > 0 { moves.held } else { answers.granted };
            assert_eq!(claimed + answers.already + answers.sold_out, report.claims);
            assert_eq!(moves.held, moves.confirmed + moves.expired, "each hold has its end");
            let granted = if hold > 0 { moves.confirmed } else { answers.granted };
            match cancel_share {
                0.0 => assert_eq!(moves.cancelled, 0),
                1.0 => assert_eq!(moves.cancelled, granted),
                _ => assert!(moves.cancelled <= granted),
            }
        }
    }
}

#[test]
fn every_lie_about_seats_that_come_back_is_found() {
    let lies = [
        (Lie::DoubledSeat, Check::OneUser),
        (Lie::HoldsEndEarly, Check::OneUser),
        (Lie::HoldsEndEarly, Check::Confirm),
        (Lie::HoldsEndLate, Check::Confirm),
        (Lie::DeafToConfirms, Check::Confirm),
        (Lie::Deadline, Check::Deadline),
        (Lie::ChangedRepeat, Check::Repeat),
        (Lie::HighestFirst, Check::Lowest),
        (Lie::Remaining, Check::Possible),
        (Lie::KeepsCancelled, Check::Possible),
        (Lie::MissingGrant, Check::SoldOut),
        (Lie::CancelsTwice, Check::Cancel),
        (Lie::Misconf, Check::AllAnswered),
        (Lie::Hangup, Check::AllAnswered),
        (Lie::HangupAtConfirms, Check::AllAnswered),
        (Lie::Info, Check::Info),
        (Lie::HeldForEver, Check::Info),
        (Lie::SeatList, Check::SeatList),
        (Lie::Status, Check::Status),
    ];
    for (lie, check) in lies {
        let (port, fake) = fake::start(lie, None);
        let report = quiet(&returning(target(port, None))).unwrap();
        assert!(!report.agrees && broken(&report).contains(&check.title()), "{lie:?}: {report}");
        assert!(fake.lock().unwrap().deeds[1].starts_with("GATE.DROP"), "dropped also after a difference");
    }
}

#[test]
fn a_ledger_that_keeps_a_seat_that_was_cancelled_is_found() {
    for (lie, found) in [(Lie::None, vec![]), (Lie::Stored, vec![Check::StoredInTheEnd.title()])] {
        let (port, fake) = fake::start(lie, None);
        let options = RehearseOptions { through: true, ..returning(target(port, None)) };
        let report = run(&options, &mut |_| ()).unwrap();
        assert_eq!(broken(&report), found, "{report}");
        assert!(fake.lock().unwrap().deeds[1].ends_with(" LIMIT 100 HOLD 300"));
    }
}

#[test]
fn users_of_lost_connections_are_not_held_against_the_gate_twice() {
    let (port, _) = fake::start(Lie::HangupAtConfirms, None);
    let report = quiet(&returning(target(port, None))).unwrap();
    assert_eq!(broken(&report), [Check::AllAnswered.title()], "{report}");
    assert_eq!(
        report.answers.unanswered + report.answers.already + report.answers.sold_out,
        600 - report.returning.unwrap().moves.held
    );
}

#[test]
fn a_ledger_with_a_row_too_many_is_found() {
    let (port, _) = fake::start(Lie::Stored, None);
    let options = RehearseOptions { through: true, ..small(target(port, None)) };
    let report = run(&options, &mut |_| ()).unwrap();
    assert_eq!(broken(&report), [Check::Stored.title()]);
}

#[test]
fn claims_on_lost_connections_are_counted_as_unanswered() {
    let (report, _) = lied_to(Lie::Hangup);
    assert_eq!((report.answers.unanswered, report.answers.granted), (600, 0));
}

#[test]
fn the_right_password_opens_and_a_wrong_or_missing_one_says_what_to_do() {
    let (port, _) = fake::start(Lie::None, Some("open sesame"));
    assert!(quiet(&small(target(port, Some("open sesame")))).unwrap().agrees);
    for password in [None, Some("wrong")] {
        let error = quiet(&small(target(port, password))).unwrap_err();
        assert!(!error.is_usage() && error.to_string().contains("redis://:PASSWORD@host:port"), "{error}");
    }
    let (port, _) = fake::start(Lie::None, None);
    let error = quiet(&small(target(port, Some("needless")))).unwrap_err();
    assert!(error.to_string().contains("leave it out"), "{error}");
}

#[test]
fn nobody_at_the_port_is_an_error_that_names_it() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = quiet(&small(target(free, None))).unwrap_err();
    assert!(matches!(error, RehearseError::Unreachable { .. }) && !error.is_usage(), "{error}");
    assert!(error.to_string().contains(&format!("redis://127.0.0.1:{free}")), "{error}");
}

#[test]
fn an_option_out_of_range_is_refused_before_anything_is_done() {
    let broken: [fn(&mut RehearseOptions); 6] = [
        |options| options.users = 0,
        |options| options.users = 100_000_001,
        |options| options.seats = 0,
        |options| options.connections = 20_001,
        |options| options.pipeline = 0,
        |options| options.repeat = 0,
    ];
    for broken in broken {
        let mut options = RehearseOptions::default();
        broken(&mut options);
        let error = quiet(&options).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("must be 1 to"), "{error}");
    }
    for (confirm_share, cancel_share) in [(0.5, 1.1), (-0.1, 0.5), (f64::NAN, 0.5)] {
        let error = quiet(&RehearseOptions { hold: 1, confirm_share, cancel_share, ..RehearseOptions::default() });
        let error = error.unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("must be 0 to 1"), "{error}");
    }
    let error = quiet(&RehearseOptions { confirm_share: 0.5, ..RehearseOptions::default() }).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("--confirm-share 0.5 without --hold"), "{error}");
}
