//! Who sits where: seats in the order of their grants, and each user's seats.
//!
//! At most 32 bytes for a user of 8: 20 for the row, and 5 for a bucket of the index, which is at least 7/16 full. What
//! goes beyond one seat without an `ID` stands in [`Several`].

use crate::core::Scatter;
use crate::core::event::Users;
use crate::core::rows::{Rows, Stamp};
use crate::core::several::{Holding, Several};
use crate::ids::{Lsn, Millis, Seat, User};

/// The seats of a campaign.
#[derive(Debug)]
pub(super) enum Roster {
    Int(Rows<i64>),
    Any(Rows<Box<[u8]>>),
}

/// A grant as the roster remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'s> {
    pub(super) user: User<'s>,
    pub(super) nth: u16,
    pub(super) request: &'s [u8],
    pub(super) at: Millis,
    pub(super) lsn: Lsn,
}

/// What a user has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing<'s> {
    None,
    /// One seat, his first, claimed without an `ID`.
    One(Seat),
    Several(&'s Several, &'s Holding),
}

impl Standing<'_> {
    /// How many seats.
    pub(super) fn len(self) -> usize {
        match self {
            Standing::None => 0,
            Standing::One(_) => 1,
            Standing::Several(_, holding) => holding.len(),
        }
    }

    /// The last seat by `nth`.
    pub(super) fn last(self) -> Option<Seat> {
        match self {
            Standing::None => None,
            Standing::One(seat) => Some(seat),
            Standing::Several(_, holding) => Some(holding.last()),
        }
    }

    /// The seat that a claim with this `ID` got.
    pub(super) fn seat_by(self, scatter: Scatter, request: &[u8]) -> Option<Seat> {
        match self {
            Standing::Several(several, holding) if !request.is_empty() => several.seat_by(scatter, holding, request),
            Standing::None | Standing::One(_) | Standing::Several(..) => None,
        }
    }

    /// Which one the next seat would be.
    pub(super) fn next_nth(self) -> u16 {
        match self {
            Standing::None => 1,
            Standing::One(_) => 2,
            Standing::Several(_, holding) => holding.next_nth(),
        }
    }

    /// Whether a seat may come that is the `nth` of a user who may have `per_user`.
    pub(super) fn takes(self, nth: u16, per_user: u16) -> bool {
        let is_free = match self {
            Standing::None => true,
            Standing::One(_) => nth != 1,
            Standing::Several(_, holding) => !holding.has(nth),
        };
        is_free && nth > 0 && self.len() < usize::from(per_user)
    }

    /// The seats by `nth`.
    pub(super) fn seats(self) -> Vec<Seat> {
        match self {
            Standing::None => Vec::new(),
            Standing::One(seat) => vec![seat],
            Standing::Several(_, holding) => holding.seats().collect(),
        }
    }
}

impl Roster {
    pub(super) fn new(users: Users) -> Roster {
        match users {
            Users::Int => Roster::Int(Rows::default()),
            Users::Any => Roster::Any(Rows::default()),
        }
    }

    /// Seats given.
    pub(super) fn len(&self) -> u32 {
        match self {
            Roster::Int(rows) => rows.len(),
            Roster::Any(rows) => rows.len(),
        }
    }

    /// What the user has: nothing for one of the other kind.
    #[inline]
    pub(super) fn standing(&self, scatter: Scatter, user: User<'_>) -> Standing<'_> {
        match (self, user) {
            (Roster::Int(rows), User::Int(user)) => rows.standing(scatter, &user),
            (Roster::Any(rows), User::Any(user)) => rows.standing(scatter, user),
            (Roster::Int(_), User::Any(_)) | (Roster::Any(_), User::Int(_)) => Standing::None,
        }
    }

    /// The most seats that any user has, as far as users are found.
    pub(super) fn most(&self) -> usize {
        let (entered, several) = match self {
            Roster::Int(rows) => (rows.entered, &rows.several),
            Roster::Any(rows) => (rows.entered, &rows.several),
        };
        several.as_ref().map_or(0, |several| several.most()).max(usize::from(entered > 0))
    }

    /// Who sits on `seat`, which has been given.
    pub(super) fn row(&self, seat: Seat) -> Row<'_> {
        let (user, stamp, several) = match self {
            Roster::Int(rows) => (User::Int(*rows.user(seat)), rows.stamp(seat), &rows.several),
            Roster::Any(rows) => (User::Any(rows.user(seat)), rows.stamp(seat), &rows.several),
        };
        let (nth, request) = several.as_ref().map_or((1, &b""[..]), |several| several.noted(seat));
        Row { user, nth, request, at: stamp.at(), lsn: stamp.lsn() }
    }

    fn lsn(&self, seat: Seat) -> Lsn {
        match self {
            Roster::Int(rows) => rows.stamp(seat).lsn(),
            Roster::Any(rows) => rows.stamp(seat).lsn(),
        }
    }

    /// The grant of the first seat.
    pub(super) fn first(&self) -> Option<Row<'_>> {
        (self.len() > 0).then(|| self.row(Seat::new(1)))
    }

    /// The grant of the last seat.
    pub(super) fn last(&self) -> Option<Row<'_>> {
        (self.len() > 0).then(|| self.row(Seat::new(self.len())))
    }

    /// Seats given up to `lsn`: grants stand in the order of their positions.
    pub(super) fn given_by(&self, lsn: Lsn) -> u32 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.lsn(Seat::new(middle + 1)) <= lsn {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Gives the next seat to a user who may have `per_user` of them.
    ///
    /// # Panics
    /// Where that breaks a promise.
    pub(super) fn give(&mut self, scatter: Scatter, seat: Seat, row: Row<'_>, per_user: u16) {
        assert!(seat.index() == self.len() as usize, "seats are given lowest first, each once");
        assert!(self.fill(row), "a user is of the kind that his campaign takes");
        let entered = match self {
            Roster::Int(rows) => rows.enter(scatter, seat.get(), per_user),
            Roster::Any(rows) => rows.enter(scatter, seat.get(), per_user),
        };
        assert!(entered.is_ok(), "never more than PERUSER for a user, each his n-th once");
    }

    /// Gives the next seat without looking what the user has: [`Roster::index`] does that for all of them at once, and
    /// before it those seats are not found. False for a user of the other kind.
    pub(super) fn fill(&mut self, row: Row<'_>) -> bool {
        let stamp = Stamp::new(row.at, row.lsn);
        match (self, row.user) {
            (Roster::Int(rows), User::Int(user)) => rows.push(user, stamp, row.nth, row.request),
            (Roster::Any(rows), User::Any(user)) => rows.push(user.into(), stamp, row.nth, row.request),
            (Roster::Int(_), User::Any(_)) | (Roster::Any(_), User::Int(_)) => return false,
        }
        true
    }

    /// Makes users found after [`Roster::fill`].
    ///
    /// # Errors
    /// A seat whose user has too many, or two with one `nth`.
    pub(super) fn index(&mut self, scatter: Scatter, per_user: u16) -> Result<(), Seat> {
        match self {
            Roster::Int(rows) => rows.index(scatter, per_user),
            Roster::Any(rows) => rows.index(scatter, per_user),
        }
    }

    /// See [`Table::free`].
    pub(super) fn free(&mut self, budget: usize) -> usize {
        match self {
            Roster::Int(rows) => rows.free(budget),
            Roster::Any(rows) => rows.free(budget),
        }
    }

    /// Bytes allocated, without what users point at.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        match self {
            Roster::Int(rows) => rows.bytes(),
            Roster::Any(rows) => rows.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(user: i64, at: i64, lsn: u64) -> Row<'static> {
        Row { user: User::Int(user), nth: 1, request: b"", at: Millis(at), lsn: Lsn::new(lsn) }
    }

    fn filled(seats: u32) -> (Scatter, Roster) {
        let scatter = Scatter::new(7);
        let mut roster = Roster::new(Users::Int);
        for seat in 1..=seats {
            let number = i64::from(seat);
            let given = given(number * 3, 1_732_250_000_000 + number, u64::from(seat) * 2);
            roster.give(scatter, Seat::new(seat), given, 1);
        }
        (scatter, roster)
    }

    #[test]
    fn a_user_costs_at_most_32_bytes_whatever_the_size() {
        let scatter = Scatter::new(7);
        let mut roster = Roster::new(Users::Int);
        for seat in 1..=1_000_000u32 {
            roster.give(scatter, Seat::new(seat), given(i64::from(seat), 0, u64::from(seat)), 1);
            if seat >= 50_000 && seat % 10_000 == 0 {
                let per_user = roster.bytes() as f64 / f64::from(seat);
                assert!(per_user <= 32.0, "{per_user} bytes a user at {seat}");
            }
        }
    }

    #[test]
    fn a_roster_that_nobody_claimed_from_costs_nothing() {
        assert_eq!(Roster::new(Users::Int).bytes(), 0);
    }

    #[test]
    fn rows_and_seats_agree_across_chunks() {
        let (scatter, roster) = filled(10_000);
        for seat in (1..=10_000).map(Seat::new) {
            let user = User::Int(i64::from(seat.get()) * 3);
            assert!(matches!(roster.standing(scatter, user), Standing::One(there) if there == seat));
            let (at, lsn) = (Millis(1_732_250_000_000 + i64::from(seat.get())), Lsn::new(u64::from(seat.get()) * 2));
            assert_eq!(roster.row(seat), Row { user, nth: 1, request: b"", at, lsn });
        }
        assert_eq!(roster.standing(scatter, User::Int(1)).len(), 0);
        assert_eq!(roster.standing(scatter, User::Any(b"3")).len(), 0);
    }

    #[test]
    fn grants_up_to_a_position_are_counted() {
        let (_, roster) = filled(5_000);
        for (lsn, given) in
            [(0, 0), (1, 0), (2, 1), (3, 1), (4_096, 2_048), (9_999, 4_999), (10_000, 5_000), (99_999, 5_000)]
        {
            assert_eq!(roster.given_by(Lsn::new(lsn)), given, "by {lsn}");
        }
    }

    #[test]
    fn freeing_goes_in_steps() {
        let (_, mut roster) = filled(20_000);
        let mut steps = 0;
        while roster.free(1_000) > 0 {
            steps += 1;
        }
        assert!(steps >= 10 && roster.bytes() < 1_000, "{steps} steps, {} bytes left", roster.bytes());
    }
}
