//! What the gate itself tells of the campaign in the end, and who holds it against what the users heard. Pure.

use crate::rehearse::checks::{Check, Verdict};
use crate::rehearse::truth::Counts;
use crate::rehearse::turnover::Moves;

/// What is looked at in `GATE.INFO`; what is missing there or has not the right form is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoRow {
    /// Seats granted.
    pub granted: Option<i64>,
    /// Seats held.
    pub held: Option<i64>,
    /// Seats left.
    pub remaining: Option<i64>,
    /// `OPEN`, `SOLDOUT`
    pub state: Option<String>,
}

/// A row of `GATE.SEATS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatRow {
    /// The seat.
    pub seat: i64,
    /// Its user.
    pub user: i64,
    /// `GRANTED`, `HELD`
    pub status: String,
}

/// All that was heard by a crowd that has gone home.
pub trait Judge {
    /// The highest seat that can be in the list.
    fn seats_max(&self) -> u32;

    /// How many seats are granted.
    fn granted(&self) -> u64;

    /// `GATE.INFO`
    fn judge_info(&mut self, info: &InfoRow);

    /// The next row of `GATE.SEATS`.
    fn judge_seat_row(&mut self, row: &SeatRow);

    /// `GATE.SEATS` has no further rows.
    fn judge_seats_end(&mut self);

    /// `GATE.STATUS` says that the user has these seats, each with its status.
    fn judge_status(&mut self, user: u32, rows: &[(String, i64)]);

    /// The ledger holds `stored` grants and holds no more, however long we wait.
    fn judge_stored(&mut self, stored: i64);

    /// A reply that cannot be judged, because it has not the form that it must have.
    fn judge_form(&mut self, check: Check, what: &str);

    /// How many claims were answered how.
    fn counts(&self) -> Counts;

    /// What became of seats, where they come back.
    fn moves(&self) -> Option<Moves>;

    /// What became of the checks; those of the ledger only where one was looked at.
    fn verdicts(self, with_ledger: bool) -> Vec<Verdict>
    where
        Self: Sized;
}

/// For an example: the value, or that there was none.
pub fn told<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or("missing".to_string(), |value| value.to_string())
}
