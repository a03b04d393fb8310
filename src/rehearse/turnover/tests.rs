//! A sound gate is believed, and each lie is found by the check that is meant for it.

use super::*;
use crate::rehearse::judge::{InfoRow, Judge, SeatRow};
use crate::rehearse::truth::Answer;
use clock::nanos;

const HOLD_MS: u32 = 1000;
/// The gate's time when ours began.
const GATE_MS: i64 = 1_732_250_000_000;

/// Five users and three seats. Times are milliseconds of ours; every answer takes one.
struct Stage(Turnover);

impl Stage {
    fn new(hold_ms: u32) -> Stage {
        Stage(Turnover::new(5, 3, hold_ms, GateTime { told_ms: GATE_MS, asked: 0, heard: 0 }))
    }

    fn ask(&mut self, user: u32, ask: Ask, at: u32) -> Asked {
        self.0.ask(user, ask, nanos(at))
    }

    fn claim(&mut self, user: u32, at: u32, claimed: Claimed) -> Outcome {
        let asked = self.ask(user, Ask::Claim, at);
        self.0.claimed(user, &asked, &claimed, nanos(at + 1))
    }

    fn confirm(&mut self, user: u32, seat: u32, at: u32, settled: Settled) -> Outcome {
        let asked = self.ask(user, Ask::Confirm(seat), at);
        self.0.confirmed(user, seat, &asked, &settled, nanos(at + 1))
    }

    fn cancel(&mut self, user: u32, seat: u32, at: u32, settled: Settled) -> Outcome {
        let asked = self.ask(user, Ask::Cancel(seat), at);
        self.0.cancelled(user, seat, &asked, &settled, nanos(at + 1))
    }

    fn info(&mut self, granted: i64, held: i64, remaining: i64, state: &str) {
        let (granted, held, remaining) = (Some(granted), Some(held), Some(remaining));
        self.0.judge_info(&InfoRow { granted, held, remaining, state: Some(state.to_string()) });
    }

    fn rows(&mut self, rows: &[(i64, i64, &str)]) {
        for (seat, user, status) in rows {
            self.0.judge_seat_row(&SeatRow { seat: *seat, user: *user, status: (*status).to_string() });
        }
        self.0.judge_seats_end();
    }

    fn status(&mut self, user: u32, rows: &[(&str, i64)]) {
        let rows: Vec<_> = rows.iter().map(|(status, seat)| ((*status).to_string(), *seat)).collect();
        self.0.judge_status(user, &rows);
    }
}

/// Held at this time.
fn held(seat: u32, remaining: u32, at: u32) -> Claimed {
    Claimed::Held { seat, remaining, until: GATE_MS + i64::from(at + HOLD_MS) }
}

fn granted(seat: u32, remaining: u32) -> Claimed {
    Claimed::Plain(Answer::Granted { seat, remaining })
}

fn already(seat: u32, remaining: u32) -> Claimed {
    Claimed::Plain(Answer::Already { seat, remaining })
}

const SOLD_OUT: Claimed = Claimed::Plain(Answer::SoldOut { remaining: 0 });

fn done(seat: u32, remaining: u32) -> Settled {
    Settled::Done { seat, remaining }
}

fn none(remaining: u32) -> Settled {
    Settled::Nothing { remaining }
}

/// The checks that do not pass.
fn broken<R>(hold_ms: u32, play: impl FnOnce(&mut Stage) -> R) -> Vec<&'static str> {
    let mut stage = Stage::new(hold_ms);
    play(&mut stage);
    let verdicts = stage.0.verdicts(true).into_iter().filter(|verdict| verdict.differences > 0);
    verdicts.map(|verdict| verdict.check).collect()
}

/// Which lie of a gate with holds is found by what alone.
fn only<R>(check: Check, play: impl FnOnce(&mut Stage) -> R) {
    assert_eq!(broken(HOLD_MS, play), [check.title()]);
}

/// The same of a gate that grants at once.
fn only_at_once<R>(check: Check, play: impl FnOnce(&mut Stage) -> R) {
    assert_eq!(broken(0, play), [check.title()]);
}

/// User 1 holds, confirms and cancels seat 1, user 2 gets it and lets it go; 3 and 4 hold the others, 5 comes too late.
fn story(stage: &mut Stage) {
    assert_eq!(stage.claim(1, 10, held(1, 2, 10)), Outcome::Held { seat: 1, new: true, over: nanos(1131) });
    assert_eq!(stage.confirm(1, 1, 12, done(1, 2)), Outcome::Granted(1));
    assert_eq!(stage.claim(1, 14, already(1, 2)), Outcome::Nothing);
    assert_eq!(stage.cancel(1, 1, 16, done(1, 3)), Outcome::Cancelled(1));
    assert_eq!(stage.cancel(1, 1, 18, none(3)), Outcome::Nothing);
    stage.claim(2, 20, held(1, 2, 21));
    stage.claim(3, 22, held(2, 1, 23));
    stage.claim(4, 24, held(3, 0, 24));
    assert_eq!(stage.claim(2, 26, held(1, 0, 21)), Outcome::Held { seat: 1, new: false, over: nanos(1141) });
    stage.claim(5, 28, SOLD_OUT);
    stage.confirm(3, 2, 30, done(2, 0));
    stage.confirm(4, 3, 32, done(3, 0));
}

fn ending(stage: &mut Stage) {
    assert_eq!(stage.confirm(2, 1, 1150, none(1)), Outcome::Nothing);
    stage.claim(5, 1160, held(1, 0, 1160));
    stage.cancel(4, 3, 1162, done(3, 1));
    stage.confirm(5, 1, 1164, done(1, 1));
    stage.0.close();
}

#[test]
fn a_sound_gate_passes_every_check() {
    let mut stage = Stage::new(HOLD_MS);
    story(&mut stage);
    ending(&mut stage);
    stage.info(2, 0, 1, "OPEN");
    stage.rows(&[(1, 5, "GRANTED"), (2, 3, "GRANTED")]);
    stage.status(5, &[("GRANTED", 1)]);
    stage.status(4, &[]);
    stage.0.judge_stored(2);
    assert_eq!(stage.0.moves(), Some(Moves { held: 5, confirmed: 4, expired: 1, cancelled: 2 }));
    assert_eq!((stage.0.counts().already, stage.0.counts().sold_out), (2, 1));
    let verdicts = stage.0.verdicts(true);
    assert!(verdicts.iter().all(|verdict| verdict.differences == 0), "{verdicts:?}");
}

#[test]
fn a_sound_gate_that_grants_at_once_passes_too() {
    let found = broken(0, |stage| {
        for (user, remaining) in [(1, 2), (2, 1), (3, 0)] {
            assert_eq!(stage.claim(user, 10 * user, granted(user, remaining)), Outcome::Granted(user));
        }
        stage.claim(4, 40, SOLD_OUT);
        assert_eq!(stage.cancel(2, 2, 50, done(2, 1)), Outcome::Cancelled(2));
        stage.claim(5, 60, granted(2, 0));
        stage.cancel(2, 2, 70, none(0));
        stage.0.close();
        stage.info(3, 0, 0, "SOLDOUT");
        stage.rows(&[(1, 1, "GRANTED"), (2, 5, "GRANTED"), (3, 3, "GRANTED")]);
    });
    assert_eq!(found, Vec::<&str>::new());
}

#[test]
fn a_seat_goes_to_the_next_while_the_answer_to_its_cancel_is_on_the_way() {
    let found = broken(0, |stage| {
        stage.claim(1, 10, granted(1, 2));
        let cancel = stage.ask(1, Ask::Cancel(1), 20);
        stage.claim(2, 21, granted(1, 2));
        assert_eq!(stage.0.cancelled(1, 1, &cancel, &done(1, 3), nanos(25)), Outcome::Cancelled(1));
        stage.0.close();
        stage.info(1, 0, 2, "OPEN");
        stage.rows(&[(1, 2, "GRANTED")]);
    });
    assert_eq!(found, Vec::<&str>::new());
}

#[test]
fn a_hold_that_was_over_before_its_answer_came_harms_nobody() {
    let found = broken(HOLD_MS, |stage| {
        let claim = stage.ask(1, Ask::Claim, 10);
        stage.claim(2, 1200, held(1, 2, 1200));
        stage.0.claimed(1, &claim, &held(1, 2, 10), nanos(1210));
        assert_eq!(stage.confirm(1, 1, 1220, none(2)), Outcome::Nothing);
        stage.confirm(2, 1, 1221, done(1, 2));
        stage.0.close();
        stage.info(1, 0, 2, "OPEN");
    });
    assert_eq!(found, Vec::<&str>::new());
}

#[test]
fn a_seat_that_is_granted_and_given_to_another_is_found() {
    only(Check::OneUser, |stage| {
        story(stage);
        stage.claim(5, 1100, held(2, 0, 1100));
    });
    only_at_once(Check::OneUser, |stage| {
        stage.claim(1, 10, granted(1, 2));
        stage.claim(2, 20, granted(1, 1));
    });
}

#[test]
fn a_seat_that_is_held_and_given_to_another_is_found_to_the_millisecond() {
    let handed_over_at = |at: u32| {
        broken(HOLD_MS, |stage| {
            stage.claim(1, 10, held(1, 2, 10));
            stage.claim(2, at - 1, held(1, 2, at));
        })
    };
    assert_eq!(handed_over_at(1009), [Check::OneUser.title()]);
    assert_eq!(handed_over_at(1010), Vec::<&str>::new());
}

#[test]
fn a_confirmation_of_a_seat_that_another_has_by_then_is_found() {
    only(Check::OneUser, |stage| {
        stage.claim(1, 10, held(1, 2, 10));
        let confirm = stage.ask(1, Ask::Confirm(1), 1000);
        stage.claim(2, 1010, held(1, 2, 1010));
        stage.0.confirmed(1, 1, &confirm, &done(1, 2), nanos(1020));
    });
}

#[test]
fn a_second_seat_for_one_user_is_found() {
    only_at_once(Check::OneSeat, |stage| {
        stage.claim(1, 10, granted(1, 2));
        stage.claim(2, 20, granted(2, 1));
        stage.claim(1, 30, granted(3, 0));
    });
    only(Check::OneSeat, |stage| {
        stage.claim(1, 10, held(1, 2, 10));
        stage.confirm(1, 1, 20, done(1, 2));
        stage.claim(1, 30, held(2, 1, 30));
    });
}

#[test]
fn a_user_with_a_seat_who_hears_sold_out_is_found() {
    only(Check::OneSeat, |stage| {
        story(stage);
        stage.claim(3, 40, SOLD_OUT);
    });
    only(Check::OneSeat, |stage| {
        story(stage);
        stage.claim(2, 40, SOLD_OUT);
    });
}

#[test]
fn a_repeated_claim_with_another_seat_or_deadline_is_found() {
    for changed in [held(1, 2, 11), held(2, 1, 30)] {
        only(Check::Repeat, |stage| {
            stage.claim(1, 10, held(1, 2, 10));
            stage.claim(1, 30, changed);
        });
    }
    only_at_once(Check::Repeat, |stage| {
        stage.claim(1, 10, granted(1, 2));
        stage.claim(1, 20, already(2, 2));
    });
    only_at_once(Check::Repeat, |stage| {
        stage.claim(1, 10, granted(1, 2));
        stage.cancel(1, 1, 20, done(1, 3));
        stage.claim(1, 30, already(1, 3));
    });
}

#[test]
fn a_seat_above_a_free_one_is_found() {
    only_at_once(Check::Lowest, |stage| {
        stage.claim(1, 10, granted(2, 2));
    });
    for seat in [0, 4] {
        assert!(broken(0, |stage| stage.claim(1, 10, granted(seat, 2))).contains(&Check::Lowest.title()));
    }
}

#[test]
fn a_remaining_that_cannot_be_is_found() {
    for remaining in [1, 3] {
        let found = broken(HOLD_MS, |stage| stage.claim(1, 10, held(1, remaining, 10)));
        assert!(found.contains(&Check::Possible.title()), "{found:?}");
    }
    only(Check::Possible, |stage| {
        stage.claim(1, 10, held(1, 2, 10));
        stage.confirm(1, 1, 20, done(1, 1));
    });
    only(Check::Possible, |stage| {
        stage.claim(1, 10, held(1, 2, 10));
        stage.confirm(1, 1, 20, done(1, 2));
        stage.cancel(1, 1, 30, done(1, 2));
    });
    only(Check::Possible, |stage| {
        story(stage);
        stage.claim(3, 40, already(2, 1));
    });
    only(Check::Possible, |stage| {
        story(stage);
        stage.claim(5, 40, Claimed::Plain(Answer::SoldOut { remaining: 1 }));
    });
}

#[test]
fn others_under_way_widen_what_can_remain_and_nothing_else_does() {
    let heard = |remaining| {
        broken(0, |stage| {
            stage.claim(1, 10, granted(1, 2));
            let other = stage.ask(2, Ask::Claim, 20);
            stage.claim(1, 22, already(1, remaining));
            stage.0.claimed(2, &other, &granted(2, 1), nanos(30));
        })
    };
    assert_eq!((heard(1), heard(2)), (vec![], vec![]));
    assert_eq!((heard(0), heard(3)), (vec![Check::Possible.title()], vec![Check::Possible.title()]));
}

#[test]
fn sold_out_beside_a_free_seat_is_found() {
    only_at_once(Check::SoldOut, |stage| {
        stage.claim(1, 10, granted(1, 2));
        stage.claim(2, 20, granted(2, 1));
        stage.claim(3, 30, SOLD_OUT);
    });
    // A hold that is over is a free seat, whether its user asked or not.
    let asked_at = |at| {
        broken(HOLD_MS, |stage| {
            story(stage);
            stage.claim(5, at, SOLD_OUT);
        })
    };
    assert_eq!(asked_at(1140), Vec::<&str>::new());
    assert_eq!(asked_at(1142), [Check::SoldOut.title()]);
}

#[test]
fn a_deadline_that_is_not_hold_after_the_claim_is_found() {
    for at in [200, 1500] {
        only(Check::Deadline, |stage| stage.claim(1, 600, held(1, 2, at)));
    }
    // Nobody's clock may go back, by not one millisecond.
    only(Check::Deadline, |stage| {
        stage.claim(1, 10, held(1, 2, 11));
        stage.claim(2, 20, held(2, 1, 10));
    });
}

#[test]
fn a_confirmation_in_time_that_is_refused_is_found() {
    let refused_at = |at| {
        broken(HOLD_MS, |stage| {
            stage.claim(1, 10, held(1, 2, 10));
            stage.confirm(1, 1, at, none(2));
        })
    };
    assert_eq!(refused_at(800), [Check::Confirm.title()]);
    assert_eq!(refused_at(960), Vec::<&str>::new(), "clocks differ");
}

#[test]
fn a_confirmation_that_comes_too_late_and_is_granted_is_found() {
    let granted_at = |at| {
        broken(HOLD_MS, |stage| {
            stage.claim(1, 10, held(1, 2, 10));
            stage.confirm(1, 1, at, done(1, 2));
        })
    };
    assert!(granted_at(1131).contains(&Check::Confirm.title()));
    assert_eq!(granted_at(1100), Vec::<&str>::new(), "clocks differ");
    only(Check::Confirm, |stage| {
        stage.claim(1, 10, held(1, 2, 10));
        stage.confirm(1, 1, 20, done(2, 2));
    });
}

#[test]
fn a_hold_that_is_told_after_its_end_is_found() {
    let found = broken(HOLD_MS, |stage| {
        stage.claim(1, 10, held(1, 2, 10));
        stage.claim(1, 1200, held(1, 2, 10));
    });
    assert!(found.contains(&Check::Confirm.title()), "{found:?}");
}

#[test]
fn a_cancel_that_finds_nothing_or_something_twice_is_found() {
    only_at_once(Check::Cancel, |stage| {
        stage.claim(1, 10, granted(1, 2));
        stage.cancel(1, 1, 20, none(2));
    });
    only_at_once(Check::Cancel, |stage| {
        stage.claim(1, 10, granted(1, 2));
        stage.cancel(1, 1, 20, done(1, 3));
        stage.cancel(1, 1, 30, done(1, 3));
    });
    only_at_once(Check::Cancel, |stage| {
        stage.claim(1, 10, granted(1, 2));
        stage.cancel(1, 1, 20, done(2, 3));
    });
}

#[test]
fn errors_and_answers_that_cannot_be_are_found() {
    let error = || Settled::Error("MISCONF no room".to_string());
    for plain in [Answer::NotOpen, Answer::Closed, Answer::Error("MISCONF no room".to_string())] {
        only(Check::AllAnswered, |stage| stage.claim(1, 10, Claimed::Plain(plain)));
    }
    only(Check::AllAnswered, |stage| stage.claim(1, 10, granted(1, 2)));
    only_at_once(Check::AllAnswered, |stage| stage.claim(1, 10, held(1, 2, 10)));
    // What was refused has changed nothing: asked again, it is done.
    only(Check::AllAnswered, |stage| {
        stage.claim(1, 10, held(1, 2, 10));
        stage.confirm(1, 1, 20, error());
        stage.confirm(1, 1, 30, done(1, 2));
        stage.cancel(1, 1, 40, error());
        stage.claim(2, 50, held(2, 1, 50));
        stage.cancel(1, 1, 60, done(1, 2));
    });
}

#[test]
fn of_who_lost_his_connection_nothing_is_known_and_all_else_is_judged() {
    let play = |granted: i64, held: i64, rows: &[(i64, i64, &str)]| {
        broken(HOLD_MS, |stage| {
            story(stage);
            let _ = stage.ask(5, Ask::Claim, 40);
            stage.0.lose(5);
            stage.0.lose_claims(1, "end of stream");
            stage.0.close();
            stage.info(granted, held, 3 - granted - held, if granted + held == 3 { "SOLDOUT" } else { "OPEN" });
            stage.rows(rows);
            stage.status(5, &[("HELD", 1)]);
        })
    };
    let lost = [Check::AllAnswered.title()];
    assert_eq!(play(2, 1, &[(1, 2, "HELD"), (2, 3, "GRANTED"), (3, 4, "GRANTED")]), lost);
    assert_eq!(play(3, 0, &[(1, 5, "GRANTED"), (2, 3, "GRANTED"), (3, 4, "GRANTED")]), lost);
    assert_eq!(play(2, 0, &[(2, 3, "GRANTED"), (3, 4, "GRANTED")]), lost);
    assert!(play(1, 0, &[(2, 3, "GRANTED")]).contains(&Check::Info.title()));
}

#[test]
fn a_wrong_info_is_found() {
    let lies =
        [(1, 0, 2, "OPEN"), (2, 1, 0, "SOLDOUT"), (2, 0, 2, "OPEN"), (2, 0, 1, "SOLDOUT"), (i64::MAX, 1, 1, "OPEN")];
    for (granted, held, remaining, state) in lies {
        only(Check::Info, |stage| {
            story(stage);
            ending(stage);
            stage.info(granted, held, remaining, state);
        });
    }
}

#[test]
fn a_wrong_seat_list_is_found() {
    let lies: [&[(i64, i64, &str)]; 7] = [
        &[(1, 5, "GRANTED")],
        &[(2, 3, "GRANTED"), (1, 5, "GRANTED")],
        &[(1, 5, "GRANTED"), (2, 4, "GRANTED")],
        &[(1, 5, "GRANTED"), (2, 3, "GRANTED"), (3, 4, "GRANTED")],
        &[(1, 5, "GRANTED"), (2, 3, "HELD")],
        &[(1, 5, "GRANTED"), (2, 3, "GRANTED"), (2, 3, "GRANTED")],
        &[(0, 5, "GRANTED"), (i64::MIN, 3, "GRANTED"), (i64::MAX, i64::MAX, "GRANTED")],
    ];
    for lie in lies {
        only(Check::SeatList, |stage| {
            story(stage);
            ending(stage);
            stage.rows(lie);
        });
    }
}

#[test]
fn a_wrong_status_is_found() {
    let lies: [(u32, &[(&str, i64)]); 5] =
        [(5, &[]), (5, &[("GRANTED", 2)]), (5, &[("HELD", 1)]), (4, &[("GRANTED", 3)]), (2, &[("HELD", 1)])];
    for (user, rows) in lies {
        only(Check::Status, |stage| {
            story(stage);
            ending(stage);
            stage.status(user, rows);
        });
    }
}

#[test]
fn a_ledger_that_lacks_a_row_or_keeps_one_that_was_returned_is_found() {
    for stored in [1, 3, -1] {
        only(Check::StoredInTheEnd, |stage| {
            story(stage);
            ending(stage);
            stage.0.judge_stored(stored);
        });
    }
}
