//! Who sits where: seats in the order of their grants, and each user's seat.
//!
//! At most 32 bytes for a user of 8: 20 for the row, and 5 for a bucket of the index, which is at least 7/16 full.

use std::borrow::Borrow;
use std::hash::Hash;

use crate::core::Scatter;
use crate::core::event::Users;
use crate::core::table::Table;
use crate::ids::{Lsn, Millis, Seat, User};

/// Rows of a chunk. A chunk is never copied once it is full; the first one starts small.
const CHUNK_ROWS: usize = 2048;

/// An index is built anew where a larger part of the rows than one in so many is not in it.
const REBUILD_PART: u32 = 8;

/// The seats of a campaign.
#[derive(Debug)]
pub(super) enum Roster {
    Int(Rows<i64>),
    Any(Rows<Box<[u8]>>),
}

/// A grant as the roster remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'s> {
    pub(super) seat: Seat,
    pub(super) user: User<'s>,
    pub(super) at: Millis,
    pub(super) lsn: Lsn,
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

    /// The user's seat. None for a user of the other kind.
    pub(super) fn seat_of(&self, scatter: Scatter, user: User<'_>) -> Option<Seat> {
        match (self, user) {
            (Roster::Int(rows), User::Int(user)) => rows.seat_of(scatter, &user),
            (Roster::Any(rows), User::Any(user)) => rows.seat_of(scatter, user),
            (Roster::Int(_), User::Any(_)) | (Roster::Any(_), User::Int(_)) => None,
        }
    }

    /// Who sits on `seat`, which has been given.
    pub(super) fn row(&self, seat: Seat) -> Row<'_> {
        let (user, stamp) = match self {
            Roster::Int(rows) => (User::Int(*rows.user(seat)), rows.stamp(seat)),
            Roster::Any(rows) => (User::Any(rows.user(seat)), rows.stamp(seat)),
        };
        Row { seat, user, at: stamp.at(), lsn: stamp.lsn() }
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
            if self.row(Seat::new(middle + 1)).lsn <= lsn {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Gives the next seat.
    pub(super) fn give(&mut self, scatter: Scatter, seat: Seat, user: User<'_>, at: Millis, lsn: Lsn) {
        let stamp = Stamp::new(at, lsn);
        match (self, user) {
            (Roster::Int(rows), User::Int(user)) => rows.give(scatter, seat, user, stamp),
            (Roster::Any(rows), User::Any(user)) => rows.give(scatter, seat, user.into(), stamp),
            (Roster::Int(_), User::Any(_)) | (Roster::Any(_), User::Int(_)) => {
                panic!("a user is of the kind that his campaign takes")
            }
        }
    }

    /// Gives the next seat without looking whether the user has one: [`Roster::index`] does that for all of them at
    /// once, and before it those users are not found. False for a user of the other kind.
    pub(super) fn fill(&mut self, user: User<'_>, at: Millis, lsn: Lsn) -> bool {
        let stamp = Stamp::new(at, lsn);
        match (self, user) {
            (Roster::Int(rows), User::Int(user)) => rows.push(user, stamp),
            (Roster::Any(rows), User::Any(user)) => rows.push(user.into(), stamp),
            (Roster::Int(_), User::Any(_)) | (Roster::Any(_), User::Int(_)) => return false,
        }
        true
    }

    /// Makes users found after [`Roster::fill`].
    ///
    /// # Errors
    /// A seat whose user has another one, too.
    pub(super) fn index(&mut self, scatter: Scatter) -> Result<(), Seat> {
        match self {
            Roster::Int(rows) => rows.index(scatter),
            Roster::Any(rows) => rows.index(scatter),
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

/// Seats of one kind of user.
#[derive(Debug)]
pub(super) struct Rows<U> {
    /// Seat s is row s - 1; all chunks but the last are full.
    chunks: Vec<Chunk<U>>,
    len: u32,
    /// Seat numbers, found by the hash of the user in the row; of the first rows, where the others wait for
    /// [`Rows::index`].
    seats: Table<u32>,
}

#[derive(Debug)]
struct Chunk<U> {
    users: Vec<U>,
    stamps: Vec<Stamp>,
}

impl<U> Default for Rows<U> {
    fn default() -> Self {
        Rows { chunks: Vec::new(), len: 0, seats: Table::default() }
    }
}

impl<U: Hash + Eq> Rows<U> {
    fn len(&self) -> u32 {
        self.len
    }

    fn user(&self, seat: Seat) -> &U {
        &self.chunks[seat.index() / CHUNK_ROWS].users[seat.index() % CHUNK_ROWS]
    }

    fn stamp(&self, seat: Seat) -> Stamp {
        self.chunks[seat.index() / CHUNK_ROWS].stamps[seat.index() % CHUNK_ROWS]
    }

    fn seat_of<Q: Hash + Eq + ?Sized>(&self, scatter: Scatter, user: &Q) -> Option<Seat>
    where
        U: Borrow<Q>,
    {
        self.seats.find(scatter.of(user), |seat| self.user(Seat::new(*seat)).borrow() == user).copied().map(Seat::new)
    }

    fn give(&mut self, scatter: Scatter, seat: Seat, user: U, stamp: Stamp) {
        assert!(seat.index() == self.len as usize, "seats are given lowest first, each once");
        assert!(self.seat_of(scatter, &user).is_none(), "one grant per user");
        let hash = scatter.of(&user);
        self.push(user, stamp);
        let chunks = &self.chunks;
        self.seats.insert_unique(hash, seat.get(), |seat| scatter.of(user_of(chunks, *seat)));
    }

    /// Adds a row. Its user is not found yet.
    fn push(&mut self, user: U, stamp: Stamp) {
        if self.chunks.last().is_none_or(|chunk| chunk.users.len() == CHUNK_ROWS) {
            let rows = if self.chunks.is_empty() { 0 } else { CHUNK_ROWS };
            self.chunks.push(Chunk { users: Vec::with_capacity(rows), stamps: Vec::with_capacity(rows) });
        }
        let chunk = self.chunks.last_mut().expect("a chunk was made for the first row of each");
        chunk.users.push(user);
        chunk.stamps.push(stamp);
        self.len = self.len.checked_add(1).expect("a limit is 32 bits wide, and seats end there");
    }

    fn index(&mut self, scatter: Scatter) -> Result<(), Seat> {
        let (chunks, found) = (&self.chunks, self.seats.len() as u32);
        let hash_of = |seat: &u32| scatter.of(user_of(chunks, *seat));
        let same = |one, other| user_of(chunks, one) == user_of(chunks, other);
        if (self.len - found).saturating_mul(REBUILD_PART) < found {
            return (found + 1..=self.len)
                .try_for_each(|seat| self.seats.insert_new(seat, hash_of, same))
                .map_err(Seat::new);
        }
        self.seats = Table::default();
        self.seats = Table::of_numbers(1..=self.len, hash_of, same).map_err(Seat::new)?;
        Ok(())
    }

    fn free(&mut self, budget: usize) -> usize {
        let mut freed = self.seats.free(budget);
        while freed < budget
            && let Some(chunk) = self.chunks.pop()
        {
            freed += chunk.users.len();
        }
        self.len = 0;
        freed
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let rows: usize = self
            .chunks
            .iter()
            .map(|chunk| chunk.users.capacity() * size_of::<U>() + chunk.stamps.capacity() * size_of::<Stamp>())
            .sum();
        rows + self.chunks.capacity() * size_of::<Chunk<U>>() + self.seats.bytes()
    }
}

/// The user in the row of a seat.
fn user_of<U>(chunks: &[Chunk<U>], seat: u32) -> &U {
    let index = Seat::new(seat).index();
    &chunks[index / CHUNK_ROWS].users[index % CHUNK_ROWS]
}

/// When and where on the line, 48 bits each: enough for 8 900 years, and for 9 years of a million changes a second.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    at_low: u32,
    lsn_low: u32,
    at_high: u16,
    lsn_high: u16,
}

const _: () = assert!(size_of::<Stamp>() == 12, "a row of an integer user takes 20 bytes");

impl Stamp {
    fn new(at: Millis, lsn: Lsn) -> Stamp {
        let (at_low, at_high) = halves(at.0.cast_unsigned()).expect("grants happen between the years 1970 and 10889");
        let (lsn_low, lsn_high) = halves(lsn.get()).expect("a journal ends before 2^48 changes");
        Stamp { at_low, lsn_low, at_high, lsn_high }
    }

    fn at(self) -> Millis {
        Millis((i64::from(self.at_high) << 32) | i64::from(self.at_low))
    }

    fn lsn(self) -> Lsn {
        Lsn::new((u64::from(self.lsn_high) << 32) | u64::from(self.lsn_low))
    }
}

fn halves(number: u64) -> Option<(u32, u16)> {
    Some((number as u32, u16::try_from(number >> 32).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(seats: u32) -> (Scatter, Roster) {
        let scatter = Scatter::new(7);
        let mut roster = Roster::new(Users::Int);
        for seat in 1..=seats {
            let (user, lsn) = (User::Int(i64::from(seat) * 3), Lsn::new(u64::from(seat) * 2));
            roster.give(scatter, Seat::new(seat), user, Millis(1_732_250_000_000 + i64::from(seat)), lsn);
        }
        (scatter, roster)
    }

    #[test]
    fn a_user_costs_at_most_32_bytes_whatever_the_size() {
        let scatter = Scatter::new(7);
        let mut roster = Roster::new(Users::Int);
        for seat in 1..=1_000_000u32 {
            roster.give(scatter, Seat::new(seat), User::Int(i64::from(seat)), Millis(0), Lsn::new(u64::from(seat)));
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
            assert_eq!(roster.seat_of(scatter, user), Some(seat));
            let (at, lsn) = (Millis(1_732_250_000_000 + i64::from(seat.get())), Lsn::new(u64::from(seat.get()) * 2));
            assert_eq!(roster.row(seat), Row { seat, user, at, lsn });
        }
        assert_eq!(roster.seat_of(scatter, User::Int(1)), None);
        assert_eq!(roster.seat_of(scatter, User::Any(b"3")), None);
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
    fn the_extremes_of_a_stamp_come_back() {
        let (at, lsn) = (Millis((1 << 48) - 1), Lsn::new((1 << 48) - 1));
        let stamp = Stamp::new(at, lsn);
        assert_eq!((stamp.at(), stamp.lsn()), (at, lsn));
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
