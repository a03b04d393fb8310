//! Who has which seat, granted or held, and which are free.
//!
//! At most 32 bytes for a user of 8: 20 for the row, and 5 for a bucket of the index, which is at least 7/16 full. What
//! goes beyond one seat without an `ID` stands in [`Several`].

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::core::Scatter;
use crate::core::event::Users;
use crate::core::free_seats::FreeSeats;
use crate::core::holds::{Hold, Holds};
use crate::core::rows::{Rows, Stamp};
use crate::core::several::{Holding, Several};
use crate::ids::{Lsn, Millis, Seat, User};

/// The seats of a campaign: granted, held or free.
#[derive(Debug)]
pub(super) struct Roster {
    seating: Seating,
    free: FreeSeats,
    holds: Holds,
    grants: Grants,
    /// `last_return` at the beginning: of another campaign of that name, which was purged.
    began_after: Lsn,
    /// Seats of an import: the position by which the world knows the grant.
    imported: BTreeMap<u32, Lsn>,
    /// Grants of another system, as long as there are no others.
    seeds: u32,
}

#[derive(Debug)]
enum Seating {
    Int(Rows<i64>),
    Any(Rows<Box<[u8]>>),
}

/// The grants of a campaign, in short; those that came back count for the first and the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grants {
    pub(super) count: u32,
    /// When the earliest was given; nothing is said where there is none.
    pub(super) first_at: Millis,
    /// When and where the last was given.
    pub(super) last_at: Millis,
    pub(super) last_lsn: Lsn,
    /// The position by which the world knows the last one that came back; `Lsn::ZERO` where none did.
    pub(super) last_return: Lsn,
}

impl Grants {
    /// Whether there ever was one.
    pub(super) fn any(&self) -> bool {
        self.last_lsn > Lsn::ZERO
    }

    fn add(&mut self, at: Millis, lsn: Lsn) {
        if !self.any() || at < self.first_at {
            self.first_at = at;
        }
        self.count += 1;
        if lsn >= self.last_lsn {
            (self.last_at, self.last_lsn) = (at, lsn);
        }
    }
}

/// A seat that somebody has, as the roster remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'s> {
    pub(super) user: User<'s>,
    pub(super) nth: u16,
    pub(super) request: &'s [u8],
    pub(super) at: Millis,
    pub(super) lsn: Lsn,
    /// It is held until then, and no grant.
    pub(super) until: Option<Millis>,
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
    #[inline]
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
    /// Nobody has a seat; `after`: the last return of another campaign of that name.
    pub(super) fn new(users: Users, after: Lsn) -> Roster {
        let seating = match users {
            Users::Int => Seating::Int(Rows::default()),
            Users::Any => Seating::Any(Rows::default()),
        };
        let (free, holds) = (FreeSeats::default(), Holds::default());
        let grants = Grants { last_return: after, ..Grants::default() };
        Roster { seating, free, holds, grants, began_after: after, imported: BTreeMap::new(), seeds: 0 }
    }

    /// What holds at every moment: a seat that is not free is granted or held.
    pub(super) fn adds_up(&self) -> bool {
        self.grants.count + self.holds.len() == self.out()
    }

    /// The highest seat that anybody ever had.
    fn len(&self) -> u32 {
        match &self.seating {
            Seating::Int(rows) => rows.len(),
            Seating::Any(rows) => rows.len(),
        }
    }

    /// Seats that somebody has.
    pub(super) fn out(&self) -> u32 {
        self.len() - self.free.len()
    }

    /// The highest seat that somebody has; 0 where nobody has one.
    pub(super) fn highest_out(&self) -> u32 {
        let len = self.len();
        self.free.run_up_to(len).map_or(len, |first| first - 1)
    }

    /// The seats that are granted.
    pub(super) fn grants(&self) -> Grants {
        self.grants
    }

    /// See [`Grants::last_return`].
    #[inline]
    pub(super) fn last_return(&self) -> Lsn {
        self.grants.last_return
    }

    /// See the field.
    pub(super) fn began_after(&self) -> Lsn {
        self.began_after
    }

    /// Tells what it began after, before anything else; false where that is no such thing.
    pub(super) fn restore_beginning(&mut self, after: Lsn) -> bool {
        let fits = self.is_new() && self.seeds == 0 && self.grants.last_return == Lsn::ZERO && after > Lsn::ZERO;
        (self.began_after, self.grants.last_return) = (after, after);
        fits
    }

    /// What is known of grants that came back, before any seat is there; false where that is no such thing.
    pub(super) fn restore_returns(&mut self, grants: Grants) -> bool {
        let fits = self.is_new() && !self.grants.any() && grants.any() && grants.last_return > self.began_after;
        if fits {
            self.grants = Grants { count: 0, ..grants };
        }
        fits
    }

    /// The seats that are held.
    pub(super) fn holds(&self) -> &Holds {
        &self.holds
    }

    /// The seat that comes next: the lowest that nobody has.
    #[inline]
    pub(super) fn next_seat(&self) -> Seat {
        Seat::new(self.free.lowest().unwrap_or(self.len() + 1))
    }

    /// Whether somebody has the seat.
    pub(super) fn is_out(&self, seat: Seat) -> bool {
        seat.get() <= self.len() && !self.free.contains(seat.get())
    }

    /// Whether the user holds this seat, as his `nth` where that is said.
    pub(super) fn is_held_by(&self, seat: Seat, user: User<'_>, nth: Option<u16>) -> bool {
        self.holds.get(seat).is_some_and(|_| {
            let row = self.row(seat);
            row.user == user && nth.is_none_or(|nth| row.nth == nth)
        })
    }

    /// Whether this seat was granted to the user, as his `nth`, by the grant that the world knows as `grant`.
    pub(super) fn is_granted_to(&self, seat: Seat, user: User<'_>, nth: u16, grant: Lsn) -> bool {
        self.is_out(seat) && {
            let row = self.row(seat);
            row.until.is_none() && (row.user, row.nth, self.seq(seat)) == (user, nth, grant)
        }
    }

    /// What the user has: nothing for one of the other kind.
    #[inline]
    pub(super) fn standing(&self, scatter: Scatter, user: User<'_>) -> Standing<'_> {
        match (&self.seating, user) {
            (Seating::Int(rows), User::Int(user)) => rows.standing(scatter, &user),
            (Seating::Any(rows), User::Any(user)) => rows.standing(scatter, user),
            (Seating::Int(_), User::Any(_)) | (Seating::Any(_), User::Int(_)) => Standing::None,
        }
    }

    /// The most seats that any user has, as far as users are found.
    pub(super) fn most(&self) -> usize {
        let (anybody, several) = match &self.seating {
            Seating::Int(rows) => (rows.finds_anybody(), &rows.several),
            Seating::Any(rows) => (rows.finds_anybody(), &rows.several),
        };
        several.as_ref().map_or(0, |several| several.most()).max(usize::from(anybody))
    }

    /// Who has `seat`, which somebody has.
    pub(super) fn row(&self, seat: Seat) -> Row<'_> {
        debug_assert!(self.is_out(seat), "nobody has seat {seat}");
        let (user, stamp, several) = match &self.seating {
            Seating::Int(rows) => (User::Int(*rows.user(seat)), rows.stamp(seat), &rows.several),
            Seating::Any(rows) => (User::Any(rows.user(seat)), rows.stamp(seat), &rows.several),
        };
        let (nth, request) = several.as_ref().map_or((1, &b""[..]), |several| several.noted(seat));
        let hold = if stamp.is_grant() { None } else { self.holds.get(seat) };
        let lsn = hold.map_or(stamp.lsn(), |hold| hold.lsn);
        Row { user, nth, request, at: stamp.at(), lsn, until: hold.map(|hold| hold.until) }
    }

    /// The position by which the world knows the grant of a seat.
    pub(super) fn seq(&self, seat: Seat) -> Lsn {
        self.imported.get(&seat.get()).copied().unwrap_or_else(|| self.row(seat).lsn)
    }

    /// That position, where it is not the grant's own in this journal.
    pub(super) fn known_as(&self, seat: Seat) -> Option<Lsn> {
        self.imported.get(&seat.get()).copied()
    }

    /// The world knows the grant of this seat as `seq`.
    pub(super) fn know_as(&mut self, seat: Seat, seq: Lsn) {
        self.imported.insert(seat.get(), seq);
    }

    /// So many grants, all there are, are another system's: to be said behind the last of them.
    pub(super) fn set_seeds(&mut self, seeds: u32) {
        self.seeds = seeds;
    }

    /// Something else is there than was said of what another system had granted.
    pub(super) fn misses_seeds(&self) -> bool {
        self.seeds > 0 && !self.has_only_seeds()
    }

    /// How many grants are another system's; nothing is said once there are others, or some came back.
    pub(super) fn seeds(&self) -> u32 {
        if self.has_only_seeds() { self.seeds } else { 0 }
    }

    /// Whether nothing has happened here but that grants of another system were brought in.
    pub(super) fn has_only_seeds(&self) -> bool {
        self.seeds == self.out() && self.grants.last_return == self.began_after
    }

    /// So many seats, all that will come, are another system's grants.
    pub(super) fn restore_seeds(&mut self, seeds: u32) -> bool {
        let is_new = self.is_new() && self.grants.last_return == self.began_after;
        let fits = is_new && self.seeds == 0 && seeds > 0;
        self.seeds = seeds;
        fits
    }

    /// The next seat behind the last one is a grant that the world knows as `seq`.
    pub(super) fn know_next_as(&mut self, seq: Lsn) {
        self.imported.insert(self.len().saturating_add(1), seq);
    }

    /// A seat was announced by [`Roster::know_next_as`] and has not come, or is no grant.
    pub(super) fn misses_imported(&self) -> bool {
        self.imported.last_key_value().is_some_and(|(seat, _)| {
            *seat > self.len() || self.holds.get(Seat::new(*seat)).is_some() || self.free.contains(*seat)
        })
    }

    /// The rows from seat `first` on, without the seats that nobody has.
    pub(super) fn rows_from(&self, first: Seat) -> impl Iterator<Item = (Seat, Row<'_>)> {
        self.free.taken(first.get(), self.len()).map(Seat::new).map(|seat| (seat, self.row(seat)))
    }

    /// Grants up to `lsn`.
    pub(super) fn given_by(&self, lsn: Lsn) -> u32 {
        match &self.seating {
            Seating::Int(rows) => rows.given_by(lsn),
            Seating::Any(rows) => rows.given_by(lsn),
        }
    }

    /// Gives a seat that nobody has to a user who may have `per_user` of them. With `found` he is found by it at once;
    /// otherwise [`Roster::index`] sees to that for all users at once, and what they have is not looked at before.
    ///
    /// # Panics
    /// Where that breaks a promise.
    pub(super) fn give(&mut self, scatter: Scatter, seat: Seat, row: &Row<'_>, per_user: u16, found: bool) {
        if !found && seat.get() <= self.len() {
            match &mut self.seating {
                Seating::Int(rows) => rows.find_nobody(),
                Seating::Any(rows) => rows.find_nobody(),
            }
        }
        self.seeds = 0;
        assert!(self.fill(seat, row), "a user is of the kind that his campaign takes");
        if !found {
            return;
        }
        let entered = match &mut self.seating {
            Seating::Int(rows) => rows.enter(scatter, seat.get(), per_user),
            Seating::Any(rows) => rows.enter(scatter, seat.get(), per_user),
        };
        assert!(entered.is_ok(), "never more than PERUSER for a user, each his n-th once");
    }

    /// Gives a seat that nobody has without looking what the user has: see [`Roster::give`]. Seats that are passed over
    /// are free. False for a user of the other kind.
    #[inline]
    pub(super) fn fill(&mut self, seat: Seat, row: &Row<'_>) -> bool {
        match (seat.get() - 1).cmp(&self.len()) {
            Ordering::Equal => {}
            Ordering::Greater => self.pass_over(seat.get() - 1),
            Ordering::Less => assert!(self.free.take(seat.get()), "a seat is given once"),
        }
        let Row { user, nth, request, at, lsn, until } = *row;
        let stamp = Stamp::new(at, if until.is_some() { Lsn::ZERO } else { lsn });
        match (&mut self.seating, user) {
            (Seating::Int(rows), User::Int(user)) => rows.put(seat, user, stamp, nth, request),
            (Seating::Any(rows), User::Any(user)) => rows.put(seat, user.into(), stamp, nth, request),
            (Seating::Int(_), User::Any(_)) | (Seating::Any(_), User::Int(_)) => return false,
        }
        match until {
            Some(until) => self.holds.add(seat, Hold { until, lsn }),
            None => self.grants.add(at, lsn),
        }
        true
    }

    /// As [`Roster::fill`] of the seat behind the last one.
    pub(super) fn fill_next(&mut self, row: &Row<'_>) -> bool {
        self.len() < u32::MAX && self.fill(Seat::new(self.len() + 1), row)
    }

    /// The next `count` seats behind the last one, which somebody has, are free; false where that cannot be.
    pub(super) fn fill_free(&mut self, count: u32) -> bool {
        let first = self.len() + 1;
        let last = self.len().checked_add(count).filter(|last| *last >= first && !self.ends_free());
        last.map(|last| self.pass_over(last)).is_some()
    }

    /// The seats behind the last one up to `last` are free.
    #[cold]
    fn pass_over(&mut self, last: u32) {
        let first = self.len() + 1;
        match &mut self.seating {
            Seating::Int(rows) => rows.fill_empty(last),
            Seating::Any(rows) => rows.fill_empty(last),
        }
        self.free.add(first, last);
    }

    /// A seat that is held is granted.
    ///
    /// # Panics
    /// It is not held.
    pub(super) fn confirm(&mut self, seat: Seat, at: Millis, lsn: Lsn) {
        assert!(self.holds.remove(seat).is_some(), "only what is held is confirmed");
        let stamp = Stamp::new(at, lsn);
        match &mut self.seating {
            Seating::Int(rows) => rows.grant(seat, stamp),
            Seating::Any(rows) => rows.grant(seat, stamp),
        }
        self.grants.add(at, lsn);
    }

    /// A seat that is held is free again. `found`: users are found, as in [`Roster::give`].
    ///
    /// # Panics
    /// It is not held.
    pub(super) fn end_hold(&mut self, scatter: Scatter, seat: Seat, found: bool) {
        assert!(self.holds.remove(seat).is_some(), "only what is held comes back");
        self.free_up(scatter, seat, found);
    }

    /// A seat that was granted is free again; the world knows that as `seq`. `found` as in [`Roster::give`].
    pub(super) fn take_back(&mut self, scatter: Scatter, seat: Seat, found: bool, seq: Lsn) {
        self.free_up(scatter, seat, found);
        self.imported.remove(&seat.get());
        self.grants.count -= 1;
        self.grants.last_return = seq;
    }

    fn free_up(&mut self, scatter: Scatter, seat: Seat, found: bool) {
        match &mut self.seating {
            Seating::Int(rows) => rows.leave(scatter, seat, found),
            Seating::Any(rows) => rows.leave(scatter, seat, found),
        }
        self.free.add(seat.get(), seat.get());
    }

    /// Nobody ever had a seat.
    pub(super) fn is_new(&self) -> bool {
        self.len() == 0
    }

    /// Nobody has the last seat that is told of.
    pub(super) fn ends_free(&self) -> bool {
        self.free.contains(self.len())
    }

    /// Makes users found after [`Roster::fill`].
    ///
    /// # Errors
    /// A seat whose user has too many, or two with one `nth`.
    pub(super) fn index(&mut self, scatter: Scatter, per_user: u16) -> Result<(), Seat> {
        match &mut self.seating {
            Seating::Int(rows) => rows.index(scatter, &self.free, per_user),
            Seating::Any(rows) => rows.index(scatter, &self.free, per_user),
        }
    }

    /// See [`Table::free`](super::table::Table::free).
    pub(super) fn free(&mut self, budget: usize) -> usize {
        let freed = match &mut self.seating {
            Seating::Int(rows) => rows.free(budget),
            Seating::Any(rows) => rows.free(budget),
        };
        let freed = freed + self.holds.free(budget.saturating_sub(freed));
        let freed = freed + self.free.free(budget.saturating_sub(freed));
        freed + (freed..budget).take_while(|_| self.imported.pop_first().is_some()).count()
    }

    /// Bytes allocated, without what users point at.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        match &self.seating {
            Seating::Int(rows) => rows.bytes(),
            Seating::Any(rows) => rows.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(user: i64, at: i64, lsn: u64) -> Row<'static> {
        Row { user: User::Int(user), nth: 1, request: b"", at: Millis(at), lsn: Lsn::new(lsn), until: None }
    }

    fn filled(seats: u32) -> (Scatter, Roster) {
        let scatter = Scatter::new(7);
        let mut roster = Roster::new(Users::Int, Lsn::ZERO);
        for seat in 1..=seats {
            let number = i64::from(seat);
            let given = given(number * 3, 1_732_250_000_000 + number, u64::from(seat) * 2);
            roster.give(scatter, Seat::new(seat), &given, 1, true);
        }
        (scatter, roster)
    }

    #[test]
    fn a_user_costs_at_most_32_bytes_whatever_the_size() {
        let scatter = Scatter::new(7);
        let mut roster = Roster::new(Users::Int, Lsn::ZERO);
        for seat in 1..=1_000_000u32 {
            roster.give(scatter, Seat::new(seat), &given(i64::from(seat), 0, u64::from(seat)), 1, true);
            if seat >= 50_000 && seat % 10_000 == 0 {
                let per_user = roster.bytes() as f64 / f64::from(seat);
                assert!(per_user <= 32.0, "{per_user} bytes a user at {seat}");
            }
        }
    }

    #[test]
    fn a_roster_that_nobody_claimed_from_costs_nothing() {
        assert_eq!(Roster::new(Users::Int, Lsn::ZERO).bytes(), 0);
    }

    #[test]
    fn rows_and_seats_agree_across_chunks() {
        let (scatter, roster) = filled(10_000);
        for seat in (1..=10_000).map(Seat::new) {
            let user = User::Int(i64::from(seat.get()) * 3);
            assert!(matches!(roster.standing(scatter, user), Standing::One(there) if there == seat));
            let (at, lsn) = (Millis(1_732_250_000_000 + i64::from(seat.get())), Lsn::new(u64::from(seat.get()) * 2));
            assert_eq!(roster.row(seat), Row { user, nth: 1, request: b"", at, lsn, until: None });
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
        assert!(steps >= 10 && roster.bytes() < 2_000, "{steps} steps, {} bytes left", roster.bytes());
    }
}
