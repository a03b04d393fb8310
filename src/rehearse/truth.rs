//! What every user heard, held against what a gate may say. Pure.

use serde::Serialize;

use crate::rehearse::checks::{Check, Checks, Verdict};
use crate::rehearse::judge::{InfoRow, Judge, SeatRow, told};
use crate::rehearse::turnover::Moves;

const HEARD_GRANTED: u8 = 1;
const HEARD_ALREADY: u8 = 2;
const HEARD_SOLD_OUT: u8 = 4;

/// The answer to one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `GRANTED seat remaining`
    Granted {
        /// The user's seat.
        seat: u32,
        /// Free seats after the decision.
        remaining: u32,
    },
    /// `ALREADY seat remaining`
    Already {
        /// The seat that the user has.
        seat: u32,
        /// Free seats.
        remaining: u32,
    },
    /// `SOLDOUT 0 remaining`
    SoldOut {
        /// Free seats.
        remaining: u32,
    },
    /// `NOTOPEN`: a rehearsal's campaign has no window, so this is a difference.
    NotOpen,
    /// `CLOSED`: likewise.
    Closed,
    /// An error line, or something that is no answer to a claim.
    Error(String),
}

/// How many claims were answered how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// `GRANTED`
    pub granted: u64,
    /// `ALREADY`
    pub already: u64,
    /// `SOLDOUT`
    pub sold_out: u64,
    /// `NOTOPEN`
    pub not_open: u64,
    /// `CLOSED`
    pub closed: u64,
    /// Error lines.
    pub errors: u64,
    /// Claims that were never answered: their connection was lost.
    pub unanswered: u64,
}

/// The memory of a rehearsal: 5 bytes for each user and 4 for each winner.
///
/// Answers may be heard in any order (a user's claims travel on several connections), so most judgements wait for the end.
#[derive(Debug)]
pub struct Truth {
    users: u32,
    seats: u32,
    counts: Counts,
    /// The seat that user `index + 1` heard of; 0 is none.
    seat_of: Vec<u32>,
    /// Which answers user `index + 1` heard.
    heard: Vec<u8>,
    /// The user who heard of seat `index + 1`; 0 is none.
    user_at: Vec<u32>,
    /// The seat that the next row of `GATE.SEATS` must have.
    listed_next: u32,
    checks: Checks,
}

impl Truth {
    /// Nothing heard yet. Users are 1..=`users`.
    pub fn new(users: u32, seats: u32) -> Truth {
        Truth {
            users,
            seats,
            counts: Counts::default(),
            seat_of: vec![0; users as usize],
            heard: vec![0; users as usize],
            user_at: vec![0; users.min(seats) as usize],
            listed_next: 1,
            checks: Checks::new(Check::OF_GRANTS),
        }
    }

    /// How many users must win.
    pub fn winners(&self) -> u32 {
        self.users.min(self.seats)
    }

    /// The seat that `user` heard of.
    pub fn seat_of(&self, user: u32) -> Option<u32> {
        Some(self.seat_of[user as usize - 1]).filter(|seat| *seat != 0)
    }

    /// The user's claim was answered.
    pub fn hear(&mut self, user: u32, answer: &Answer) {
        match answer {
            Answer::Granted { seat, remaining } => {
                self.counts.granted += 1;
                self.hear_granted(user, *seat);
                if u64::from(*remaining) + u64::from(*seat) != u64::from(self.seats) {
                    self.differ(Check::Remaining, || {
                        format!("user {user} got seat {seat} and heard that {remaining} remain")
                    });
                }
            }
            Answer::Already { seat, remaining } => {
                self.counts.already += 1;
                self.mark(user, HEARD_ALREADY);
                self.hear_seat(user, *seat);
                if u64::from(*remaining) + u64::from(*seat) > u64::from(self.seats) {
                    self.differ(Check::Remaining, || {
                        format!("user {user} has seat {seat} already and heard that {remaining} remain")
                    });
                }
            }
            Answer::SoldOut { remaining } => {
                self.counts.sold_out += 1;
                self.mark(user, HEARD_SOLD_OUT);
                if *remaining != 0 {
                    self.differ(Check::Remaining, || format!("user {user} heard sold out and that {remaining} remain"));
                }
            }
            Answer::NotOpen => {
                self.counts.not_open += 1;
                self.differ(Check::Answered, || format!("user {user} heard NOTOPEN from a campaign without a window"));
            }
            Answer::Closed => {
                self.counts.closed += 1;
                self.differ(Check::Answered, || format!("user {user} heard CLOSED from a campaign without a window"));
            }
            Answer::Error(text) => {
                self.counts.errors += 1;
                self.differ(Check::Answered, || format!("user {user} heard an error: {text}"));
            }
        }
    }

    /// A connection was lost with so many claims unanswered.
    pub fn lose(&mut self, claims: u64, why: &str) {
        self.counts.unanswered += claims;
        if claims > 0 {
            self.differ(Check::Answered, || format!("{claims} claims without an answer: {why}"));
        }
    }

    /// All claims were made: judges what can only be judged together.
    pub fn judge_answers(&mut self) {
        let winners = self.winners();
        if self.counts.granted != u64::from(winners) {
            let granted = self.counts.granted;
            self.differ(Check::Granted, || format!("{granted} users heard GRANTED, {winners} must win"));
        }
        for seat in 1..=winners {
            if self.user_at[seat as usize - 1] == 0 {
                self.differ(Check::Seats, || format!("nobody heard of seat {seat}"));
            }
        }
        for user in 1..=self.users {
            let heard = self.heard[user as usize - 1];
            if heard & HEARD_ALREADY != 0 && heard & HEARD_GRANTED == 0 {
                self.differ(Check::Repeat, || format!("user {user} heard ALREADY but never GRANTED"));
            }
            if heard & HEARD_SOLD_OUT != 0 && heard & (HEARD_GRANTED | HEARD_ALREADY) != 0 {
                self.differ(Check::OneSeat, || format!("user {user} has a seat and heard SOLDOUT too"));
            }
        }
    }

    fn hear_granted(&mut self, user: u32, seat: u32) {
        if self.heard[user as usize - 1] & HEARD_GRANTED != 0 {
            self.differ(Check::OneSeat, || format!("user {user} heard GRANTED twice, the second time seat {seat}"));
        }
        self.mark(user, HEARD_GRANTED);
        self.hear_seat(user, seat);
    }

    fn hear_seat(&mut self, user: u32, seat: u32) {
        let known = self.seat_of[user as usize - 1];
        if known != 0 && known != seat {
            self.differ(Check::Repeat, || format!("user {user} heard of seat {known} and of seat {seat}"));
        }
        self.seat_of[user as usize - 1] = seat;
        let Some(holder) = (seat as usize).checked_sub(1).and_then(|index| self.user_at.get_mut(index)) else {
            self.differ(Check::Seats, || format!("user {user} heard of seat {seat}, which cannot be"));
            return;
        };
        let other = std::mem::replace(holder, user);
        if other != 0 && other != user {
            self.differ(Check::Seats, || format!("users {other} and {user} both heard of seat {seat}"));
        }
    }

    fn mark(&mut self, user: u32, answer: u8) {
        self.heard[user as usize - 1] |= answer;
    }

    fn differ(&mut self, check: Check, what: impl FnOnce() -> String) {
        self.checks.differ(check, what);
    }
}

impl Judge for Truth {
    fn seats_max(&self) -> u32 {
        self.winners()
    }

    fn granted(&self) -> u64 {
        self.counts.granted
    }

    fn judge_info(&mut self, info: &InfoRow) {
        let (granted, remaining, state) = (info.granted, info.remaining, info.state.as_deref());
        let must_grant = i64::from(self.winners());
        let must_remain = i64::from(self.seats) - must_grant;
        let must_state = if must_remain == 0 { "SOLDOUT" } else { "OPEN" };
        if granted != Some(must_grant) {
            self.differ(Check::Info, || format!("granted is {}, must be {must_grant}", told(granted)));
        }
        if remaining != Some(must_remain) {
            self.differ(Check::Info, || format!("remaining is {}, must be {must_remain}", told(remaining)));
        }
        if state != Some(must_state) {
            self.differ(Check::Info, || format!("state is {}, must be {must_state}", told(state)));
        }
    }

    fn judge_seat_row(&mut self, row: &SeatRow) {
        let SeatRow { seat, user, status } = row;
        let next = self.listed_next;
        if *seat != i64::from(next) {
            self.differ(Check::SeatList, || format!("the list says seat {seat} where seat {next} belongs"));
        }
        self.listed_next = next.saturating_add(1);
        let heard = usize::try_from(*seat).ok().and_then(|seat| self.user_at.get(seat.wrapping_sub(1))).copied();
        if heard.map(i64::from) != Some(*user) {
            self.differ(Check::SeatList, || match heard {
                Some(1..) => format!("seat {seat} is user {user}'s in the list, and {}'s by the answers", told(heard)),
                Some(0) | None => format!("seat {seat} is user {user}'s in the list, and nobody's by the answers"),
            });
        }
        if status != "GRANTED" {
            self.differ(Check::SeatList, || format!("seat {seat} is {status} in the list"));
        }
    }

    fn judge_seats_end(&mut self) {
        let (listed, winners) = (self.listed_next - 1, self.winners());
        if listed != winners {
            self.differ(Check::SeatList, || format!("the list has {listed} seats, must be {winners}"));
        }
    }

    fn judge_status(&mut self, user: u32, rows: &[(String, i64)]) {
        let agrees = match (self.seat_of(user), rows) {
            (None, []) => true,
            (Some(seat), [(status, listed)]) => status == "GRANTED" && *listed == i64::from(seat),
            (None | Some(_), _) => false,
        };
        if !agrees {
            let heard = self.seat_of(user).map_or("no seat".to_string(), |seat| format!("seat {seat}"));
            self.differ(Check::Status, || format!("user {user} heard of {heard}, GATE.STATUS says {rows:?}"));
        }
    }

    fn judge_stored(&mut self, stored: i64) {
        let granted = self.counts.granted;
        if i128::from(stored) != i128::from(granted) {
            self.differ(Check::Stored, || format!("{stored} of {granted} grants are in the ledger"));
        }
    }

    fn judge_form(&mut self, check: Check, what: &str) {
        self.differ(check, || what.to_string());
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn moves(&self) -> Option<Moves> {
        None
    }

    fn verdicts(self, with_ledger: bool) -> Vec<Verdict> {
        self.checks.verdicts(with_ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearse::checks::EXAMPLES_MAX;

    const GRANT: fn(u32) -> Answer = |seat| Answer::Granted { seat, remaining: 3 - seat };
    const AGAIN: fn(u32) -> Answer = |seat| Answer::Already { seat, remaining: 0 };
    const SOLD_OUT: Answer = Answer::SoldOut { remaining: 0 };

    /// Five users ask twice for three seats; all that a sound gate says, as (user, answer).
    fn sound() -> Vec<(u32, Answer)> {
        vec![
            (4, GRANT(1)),
            (2, AGAIN(2)),
            (2, GRANT(2)),
            (5, GRANT(3)),
            (1, SOLD_OUT),
            (4, AGAIN(1)),
            (3, SOLD_OUT),
            (5, AGAIN(3)),
            (1, SOLD_OUT),
            (3, SOLD_OUT),
        ]
    }

    fn info(granted: Option<i64>, remaining: Option<i64>, state: Option<&str>) -> InfoRow {
        InfoRow { granted, held: Some(0), remaining, state: state.map(str::to_string) }
    }

    fn row(seat: i64, user: i64) -> SeatRow {
        SeatRow { seat, user, status: "GRANTED".to_string() }
    }

    /// The world after `answers`; `lie` may judge what it likes instead of the sound listings.
    fn broken(answers: &[(u32, Answer)], lie: impl FnOnce(&mut Truth)) -> Vec<&'static str> {
        let mut truth = Truth::new(5, 3);
        for (user, answer) in answers {
            truth.hear(*user, answer);
        }
        truth.judge_answers();
        lie(&mut truth);
        truth.verdicts(true).iter().filter(|verdict| verdict.differences > 0).map(|verdict| verdict.check).collect()
    }

    fn sound_listings(truth: &mut Truth) {
        truth.judge_info(&info(Some(3), Some(0), Some("SOLDOUT")));
        [(1, 4), (2, 2), (3, 5)].into_iter().for_each(|(seat, user)| truth.judge_seat_row(&row(seat, user)));
        truth.judge_seats_end();
        truth.judge_status(4, &[("GRANTED".to_string(), 1)]);
        truth.judge_status(1, &[]);
        truth.judge_stored(3);
    }

    /// Plants one lie: the `index`-th answer is `answer`. Returns the checks that found it.
    fn lying(index: usize, answer: Answer) -> Vec<&'static str> {
        let mut answers = sound();
        answers[index].1 = answer;
        broken(&answers, |_| ())
    }

    #[test]
    fn a_sound_gate_passes_every_check_in_any_order_of_answers() {
        assert_eq!(broken(&sound(), sound_listings), Vec::<&str>::new());
        let backwards: Vec<_> = sound().into_iter().rev().collect();
        assert_eq!(broken(&backwards, sound_listings), Vec::<&str>::new());
    }

    #[test]
    fn a_doubled_seat_is_found() {
        assert!(lying(2, GRANT(1)).contains(&Check::Seats.title()));
    }

    #[test]
    fn a_seat_outside_the_campaign_is_found() {
        assert!(lying(0, Answer::Granted { seat: 4, remaining: 0 }).contains(&Check::Seats.title()));
        assert!(lying(0, Answer::Granted { seat: 0, remaining: 3 }).contains(&Check::Seats.title()));
    }

    #[test]
    fn a_missing_grant_is_found_in_the_count_and_in_the_seats() {
        let found = lying(3, SOLD_OUT);
        assert!(found.contains(&Check::Granted.title()));
        assert!(found.contains(&Check::Repeat.title()), "ALREADY without GRANTED");
    }

    #[test]
    fn one_grant_too_many_is_found() {
        assert!(lying(4, Answer::Granted { seat: 4, remaining: 0 }).contains(&Check::Granted.title()));
    }

    #[test]
    fn a_second_seat_for_one_user_is_found() {
        assert!(lying(5, Answer::Granted { seat: 2, remaining: 1 }).contains(&Check::OneSeat.title()));
        assert!(lying(5, GRANT(1)).contains(&Check::OneSeat.title()), "the same seat granted twice");
    }

    #[test]
    fn a_winner_who_hears_sold_out_is_found() {
        assert_eq!(lying(5, SOLD_OUT), vec![Check::OneSeat.title()]);
    }

    #[test]
    fn a_repeat_with_another_seat_is_found() {
        assert!(lying(5, AGAIN(3)).contains(&Check::Repeat.title()));
    }

    #[test]
    fn a_loser_who_hears_already_is_found() {
        assert!(lying(4, AGAIN(1)).contains(&Check::Repeat.title()));
    }

    #[test]
    fn a_wrong_remaining_is_found() {
        assert_eq!(lying(0, Answer::Granted { seat: 1, remaining: 3 }), vec![Check::Remaining.title()]);
        assert_eq!(lying(4, Answer::SoldOut { remaining: 1 }), vec![Check::Remaining.title()]);
        assert_eq!(lying(5, Answer::Already { seat: 1, remaining: 3 }), vec![Check::Remaining.title()]);
    }

    #[test]
    fn errors_and_answers_that_cannot_be_are_found() {
        for answer in [Answer::NotOpen, Answer::Closed, Answer::Error("MISCONF no room".to_string())] {
            assert_eq!(lying(4, answer), vec![Check::Answered.title()]);
        }
    }

    #[test]
    fn a_claim_without_an_answer_is_found() {
        assert_eq!(broken(&sound()[..9], |truth| truth.lose(1, "end of stream")), vec![Check::Answered.title()]);
    }

    #[test]
    fn a_wrong_info_is_found() {
        let lies = [
            (Some(2), Some(0), Some("SOLDOUT")),
            (Some(3), Some(1), Some("SOLDOUT")),
            (Some(3), Some(0), Some("OPEN")),
            (None, Some(0), Some("SOLDOUT")),
        ];
        for (granted, remaining, state) in lies {
            let found = broken(&sound(), |truth| truth.judge_info(&info(granted, remaining, state)));
            assert_eq!(found, vec![Check::Info.title()]);
        }
    }

    #[test]
    fn a_wrong_seat_list_is_found() {
        let lies: [&[(i64, i64)]; 6] = [
            &[(1, 4), (2, 2)],
            &[(1, 4), (2, 2), (3, 1)],
            &[(1, 4), (3, 5), (2, 2)],
            &[(1, 4), (2, 2), (3, 5), (4, 1)],
            &[(1, 4), (2, 2), (2, 2)],
            &[(0, 4), (i64::MIN, 2), (3, i64::MAX)],
        ];
        for lie in lies {
            let found = broken(&sound(), |truth| {
                lie.iter().for_each(|(seat, user)| truth.judge_seat_row(&row(*seat, *user)));
                truth.judge_seats_end();
            });
            assert_eq!(found, vec![Check::SeatList.title()], "{lie:?}");
        }
        let held = SeatRow { status: "HELD".to_string(), ..row(1, 4) };
        assert_eq!(broken(&sound(), |truth| truth.judge_seat_row(&held)), vec![Check::SeatList.title()]);
    }

    #[test]
    fn a_wrong_status_is_found() {
        let granted = |seat| ("GRANTED".to_string(), seat);
        let lies = [(4, vec![]), (4, vec![granted(2)]), (4, vec![granted(1), granted(1)]), (1, vec![granted(1)])];
        for (user, rows) in lies {
            let found = broken(&sound(), |truth| truth.judge_status(user, &rows));
            assert_eq!(found, vec![Check::Status.title()], "{user} {rows:?}");
        }
    }

    #[test]
    fn a_ledger_that_lacks_a_row_or_has_one_too_many_is_found() {
        for stored in [2, 4, -1] {
            assert_eq!(broken(&sound(), |truth| truth.judge_stored(stored)), vec![Check::Stored.title()]);
        }
    }

    #[test]
    fn examples_are_few_however_many_differences_there_are() {
        let mut truth = Truth::new(1000, 10);
        (1..=1000).for_each(|user| truth.hear(user, &Answer::Closed));
        let verdicts = truth.verdicts(false);
        let answered = verdicts.iter().find(|verdict| verdict.check == Check::Answered.title()).unwrap();
        assert_eq!((answered.differences, answered.examples.len()), (1000, EXAMPLES_MAX));
    }
}
