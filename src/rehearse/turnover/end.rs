//! What the gate must tell when everybody has gone home: no hold is left, and who was granted a seat has it.

use crate::rehearse::checks::{Check, Verdict};
use crate::rehearse::judge::{InfoRow, Judge, SeatRow, told};
use crate::rehearse::truth::Counts;
use crate::rehearse::turnover::{Moves, Standing, Turnover};

impl Turnover {
    /// A connection was lost before this user's answer: he may have a seat or none.
    pub fn lose(&mut self, user: u32) {
        if self.standing_of(user) != Standing::Granted {
            self.stand(user, Standing::Unknown);
        }
    }

    /// A connection was lost, and so many claims were never answered.
    pub fn lose_claims(&mut self, claims: u64, why: &str) {
        self.counts.unanswered += claims;
        self.differ(Check::AllAnswered, || format!("a connection was lost with {claims} claims to come: {why}"));
    }

    /// Everybody has gone home. Who was not told what became of his hold may have it or not.
    pub fn close(&mut self) {
        for standing in &mut self.standing {
            match standing {
                Standing::Held | Standing::Confirming | Standing::Cancelling => *standing = Standing::Unknown,
                Standing::Lapsed => {
                    self.moves.expired += 1;
                    *standing = Standing::Free;
                }
                Standing::Free | Standing::Granted | Standing::Unknown => {}
            }
        }
    }

    fn count(&self, standing: Standing) -> i64 {
        let users = self.standing.iter().filter(|known| **known == standing).count();
        i64::try_from(users).expect("users are bounded")
    }
}

impl Judge for Turnover {
    fn seats_max(&self) -> u32 {
        u32::try_from(self.tenancies.len()).expect("there are no more seats than users, who are bounded")
    }

    fn granted(&self) -> u64 {
        self.count(Standing::Granted).cast_unsigned()
    }

    fn judge_info(&mut self, info: &InfoRow) {
        let (granted, unknown) = (self.count(Standing::Granted), self.count(Standing::Unknown));
        let seats = i64::from(self.seats);
        let must = |figure: Option<i64>, least: i64| figure.is_some_and(|is| (least..=least + unknown).contains(&is));
        if !must(info.granted, granted) {
            self.differ(Check::Info, || format!("granted is {}, must be {granted}", told(info.granted)));
        }
        if !must(info.held, 0) {
            self.differ(Check::Info, || format!("held is {} after all holds are over", told(info.held)));
        }
        let sum = [info.granted, info.held, info.remaining]
            .into_iter()
            .try_fold(0, |sum: i64, figure| sum.checked_add(figure?));
        if sum != Some(seats) {
            self.differ(Check::Info, || {
                format!("granted, held and remaining are {} together, must be {seats}", told(sum))
            });
        }
        let must_state = if info.remaining == Some(0) { "SOLDOUT" } else { "OPEN" };
        if info.state.as_deref() != Some(must_state) {
            self.differ(Check::Info, || format!("state is {}, must be {must_state}", told(info.state.as_ref())));
        }
    }

    fn judge_seat_row(&mut self, row: &SeatRow) {
        let SeatRow { seat, user, status } = row;
        let (last, agreed) = self.listed;
        if *seat <= last {
            self.differ(Check::SeatList, || format!("the list says seat {seat} behind seat {last}"));
        }
        self.listed.0 = *seat;
        let place = usize::try_from(*seat).ok().and_then(|seat| self.tenancies.get(seat.wrapping_sub(1)));
        let heard = place.map(|tenancy| tenancy.user).filter(|heard| *heard != 0);
        let known = u32::try_from(*user).ok().filter(|user| (1..=self.standing.len()).contains(&(*user as usize)));
        match known.map(|user| self.standing_of(user)) {
            Some(Standing::Unknown) => {}
            Some(Standing::Granted) if heard.map(i64::from) == Some(*user) => {
                self.listed.1 = agreed + 1;
                if status != "GRANTED" {
                    self.differ(Check::SeatList, || format!("seat {seat} is {status} in the list"));
                }
            }
            Some(_) | None => self.differ(Check::SeatList, || {
                let heard = heard.map_or("nobody's".to_string(), |other| format!("user {other}'s"));
                format!("seat {seat} is user {user}'s in the list, and {heard} by the answers")
            }),
        }
    }

    fn judge_seats_end(&mut self) {
        let (listed, granted) = (self.listed.1, self.granted());
        if listed != granted {
            self.differ(Check::SeatList, || format!("{listed} of {granted} granted seats are in the list"));
        }
    }

    fn judge_status(&mut self, user: u32, rows: &[(String, i64)]) {
        let granted = self.seat_of(user).filter(|_| self.standing_of(user) == Standing::Granted);
        let agrees = match (granted, rows) {
            _ if self.standing_of(user) == Standing::Unknown => true,
            (None, []) => true,
            (Some(seat), [(status, listed)]) => status == "GRANTED" && *listed == i64::from(seat),
            (None | Some(_), _) => false,
        };
        if !agrees {
            let heard = granted.map_or("no seat".to_string(), |seat| format!("seat {seat}"));
            self.differ(Check::Status, || format!("user {user} has {heard} in the end, GATE.STATUS says {rows:?}"));
        }
    }

    fn judge_stored(&mut self, stored: i64) {
        let (granted, unknown) = (self.count(Standing::Granted), self.count(Standing::Unknown));
        if !(granted..=granted + unknown).contains(&stored) {
            self.differ(Check::StoredInTheEnd, || format!("{stored} grants are in the ledger, must be {granted}"));
        }
    }

    fn judge_form(&mut self, check: Check, what: &str) {
        self.differ(check, || what.to_string());
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn moves(&self) -> Option<Moves> {
        Some(self.moves)
    }

    fn verdicts(self, with_ledger: bool) -> Vec<Verdict> {
        self.checks.verdicts(with_ledger)
    }
}
