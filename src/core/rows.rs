//! The rows of a roster: seats of one kind of user, in the order of their numbers, and found by the user.
//!
//! A row whose stamp has no position is no grant: the seat is held, or free.

use std::borrow::Borrow;
use std::hash::Hash;

use crate::core::Scatter;
use crate::core::free_seats::FreeSeats;
use crate::core::roster::Standing;
use crate::core::several::{self, Several};
use crate::core::table::Table;
use crate::ids::{Lsn, Millis, Seat};

/// Rows of a chunk. A chunk is never copied once it is full; the first one starts small.
const CHUNK_ROWS: usize = 2048;

/// An index is built anew where a larger part of the rows than one in so many is not in it.
const REBUILD_PART: u32 = 8;

/// Seats of one kind of user.
#[derive(Debug)]
pub(super) struct Rows<U> {
    /// Seat s is row s - 1; all chunks but the last are full, or empty where nobody ever had one of their seats.
    chunks: Vec<Chunk<U>>,
    len: u32,
    /// Seat numbers, found by the hash of the user in the row; those of [`Several`] are not among them.
    seats: Table<u32>,
    /// The first so many rows are found by their users, if they have one; the others wait for [`Rows::index`].
    pub(super) entered: u32,
    /// Nothing until there is a seat to be noted.
    pub(super) several: Option<Box<Several>>,
}

#[derive(Debug)]
struct Chunk<U> {
    users: Vec<U>,
    stamps: Vec<Stamp>,
    /// How many rows are grants; their positions lie between the next two.
    granted: u32,
    oldest: Lsn,
    newest: Lsn,
}

impl<U> Chunk<U> {
    fn new(rows: usize) -> Chunk<U> {
        let (users, stamps) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        Chunk { users, stamps, granted: 0, oldest: Lsn::new(u64::MAX), newest: Lsn::ZERO }
    }

    #[inline]
    fn count(&mut self, stamp: Stamp) {
        let lsn = stamp.lsn();
        if lsn > Lsn::ZERO {
            self.granted += 1;
            self.oldest = self.oldest.min(lsn);
            self.newest = self.newest.max(lsn);
        }
    }

    /// A row is a grant no longer. The bounds stay: they were wide enough before.
    fn discount(&mut self, stamp: Stamp) {
        self.granted -= u32::from(stamp.is_grant());
    }

    /// Grants up to `lsn`.
    fn given_by(&self, lsn: Lsn) -> u32 {
        if self.newest <= lsn {
            return self.granted;
        }
        if self.oldest > lsn {
            return 0;
        }
        self.stamps.iter().filter(|stamp| stamp.is_grant() && stamp.lsn() <= lsn).count() as u32
    }
}

impl<U> Default for Rows<U> {
    fn default() -> Self {
        Rows { chunks: Vec::new(), len: 0, seats: Table::default(), entered: 0, several: None }
    }
}

impl<U: Hash + Eq + Default> Rows<U> {
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn user(&self, seat: Seat) -> &U {
        &self.chunks[seat.index() / CHUNK_ROWS].users[seat.index() % CHUNK_ROWS]
    }

    pub(super) fn stamp(&self, seat: Seat) -> Stamp {
        self.chunks[seat.index() / CHUNK_ROWS].stamps[seat.index() % CHUNK_ROWS]
    }

    pub(super) fn standing<Q: Hash + Eq + ?Sized>(&self, scatter: Scatter, user: &Q) -> Standing<'_>
    where
        U: Borrow<Q>,
    {
        let hash = scatter.of(user);
        let same = |seat| user_of(&self.chunks, seat).borrow() == user;
        if let Some(seat) = self.seats.find(hash, |seat| same(*seat)) {
            return Standing::One(Seat::new(*seat));
        }
        let Some(several) = &self.several else { return Standing::None };
        several.find(hash, same).map_or(Standing::None, |holding| Standing::Several(several, holding))
    }

    /// Grants up to `lsn`.
    pub(super) fn given_by(&self, lsn: Lsn) -> u32 {
        self.chunks.iter().map(|chunk| chunk.given_by(lsn)).sum()
    }

    /// Whether any user is found.
    pub(super) fn finds_anybody(&self) -> bool {
        self.seats.len() > 0
    }

    /// Makes the user of a row found by it.
    pub(super) fn enter(&mut self, scatter: Scatter, seat: u32, per_user: u16) -> Result<(), Seat> {
        let chunks = &self.chunks;
        let user = user_of(chunks, seat);
        let hash = scatter.of(user);
        let hash_of = |seat| scatter.of(user_of(chunks, seat));
        let same = |seat| user_of(chunks, seat) == user;
        let alone = self.seats.find(hash, |seat| same(*seat)).copied();
        let is_held = match &mut self.several {
            Some(several) => {
                let users = several::Users { hash, same: &same, hash_of: &hash_of };
                several.enter(scatter, seat, alone, per_user, users).ok_or(Seat::new(seat))?
            }
            None if alone.is_some() => return Err(Seat::new(seat)),
            None => false,
        };
        match is_held {
            true => drop(self.seats.remove(hash, |seat| same(*seat), |seat| hash_of(*seat))),
            false => self.seats.insert_unique(hash, seat, |seat| hash_of(*seat)),
        }
        self.entered = self.entered.max(seat);
        Ok(())
    }

    /// Nobody has this row any more. `found`: its user is found by it; otherwise nobody is from here
    /// on, until [`Rows::index`].
    pub(super) fn leave(&mut self, scatter: Scatter, seat: Seat, found: bool) {
        match found {
            true => self.exit(scatter, seat.get()),
            false => self.find_nobody(),
        }
        if let Some(several) = &mut self.several {
            several.forget(seat.get());
        }
        let (chunk, row) = (&mut self.chunks[seat.index() / CHUNK_ROWS], seat.index() % CHUNK_ROWS);
        chunk.users[row] = U::default();
        chunk.discount(chunk.stamps[row]);
        chunk.stamps[row] = Stamp::NONE;
    }

    /// The user of a row is no longer found by it.
    fn exit(&mut self, scatter: Scatter, seat: u32) {
        let chunks = &self.chunks;
        let user = user_of(chunks, seat);
        let hash = scatter.of(user);
        let hash_of = |seat| scatter.of(user_of(chunks, seat));
        let same = |seat| user_of(chunks, seat) == user;
        if self.seats.remove(hash, |there| *there == seat, |seat| hash_of(*seat)).is_none() {
            let several = self.several.as_mut().expect("who has a seat is found by it or among those with several");
            several.leave(seat, several::Users { hash, same: &same, hash_of: &hash_of });
        }
    }

    /// No user is found until [`Rows::index`].
    pub(super) fn find_nobody(&mut self) {
        if self.entered > 0 {
            (self.seats, self.entered) = (Table::default(), 0);
            if let Some(several) = &mut self.several {
                several.find_nobody();
            }
        }
    }

    /// Puts a row in the place of one that is free, or behind the last one. Its user is not found yet.
    #[inline]
    pub(super) fn put(&mut self, seat: Seat, user: U, stamp: Stamp, nth: u16, request: &[u8]) {
        match seat.index() == self.len as usize {
            true => self.push(user, stamp, nth, request),
            false => self.replace(seat, user, stamp, nth, request),
        }
    }

    /// Puts a row in the place of one that is free.
    fn replace(&mut self, seat: Seat, user: U, stamp: Stamp, nth: u16, request: &[u8]) {
        let (chunk, row) = (&mut self.chunks[seat.index() / CHUNK_ROWS], seat.index() % CHUNK_ROWS);
        if chunk.users.is_empty() {
            chunk.users.resize_with(CHUNK_ROWS, U::default);
            chunk.stamps.resize(CHUNK_ROWS, Stamp::NONE);
        }
        chunk.users[row] = user;
        chunk.stamps[row] = stamp;
        chunk.count(stamp);
        if nth != 1 || !request.is_empty() {
            self.several.get_or_insert_default().note(seat.get(), nth, request);
        }
    }

    /// A row that was no grant is one.
    pub(super) fn grant(&mut self, seat: Seat, stamp: Stamp) {
        let (chunk, row) = (&mut self.chunks[seat.index() / CHUNK_ROWS], seat.index() % CHUNK_ROWS);
        chunk.stamps[row] = stamp;
        chunk.count(stamp);
    }

    /// Adds rows that nobody has, up to seat `last`.
    pub(super) fn fill_empty(&mut self, last: u32) {
        while self.len < last {
            if (self.len as usize).is_multiple_of(CHUNK_ROWS) && last - self.len >= CHUNK_ROWS as u32 {
                self.chunks.push(Chunk::new(0));
                self.len += CHUNK_ROWS as u32;
            } else {
                self.push(U::default(), Stamp::NONE, 1, b"");
            }
        }
    }

    /// Adds a row. Its user is not found yet.
    #[inline(always)]
    fn push(&mut self, user: U, stamp: Stamp, nth: u16, request: &[u8]) {
        if (self.len as usize).is_multiple_of(CHUNK_ROWS) {
            let rows = if self.chunks.is_empty() { 0 } else { CHUNK_ROWS };
            self.chunks.push(Chunk::new(rows));
        }
        let chunk = self.chunks.last_mut().expect("a chunk was made for the first row of each");
        chunk.users.push(user);
        chunk.stamps.push(stamp);
        chunk.count(stamp);
        self.len = self.len.checked_add(1).expect("a limit is 32 bits wide, and seats end there");
        if nth != 1 || !request.is_empty() {
            self.several.get_or_insert_default().note(self.len, nth, request);
        }
    }

    /// Makes all users found; who sits on a seat that is `free` is nobody.
    pub(super) fn index(&mut self, scatter: Scatter, free: &FreeSeats, per_user: u16) -> Result<(), Seat> {
        let entered = self.entered;
        if self.several.is_some() || (self.len - entered).saturating_mul(REBUILD_PART) < entered {
            free.taken(entered + 1, self.len).try_for_each(|seat| self.enter(scatter, seat, per_user))?;
        } else {
            let chunks = &self.chunks;
            let hash_of = |seat: &u32| scatter.of(user_of(chunks, *seat));
            let same = |one, other| user_of(chunks, one) == user_of(chunks, other);
            self.seats = Table::default();
            let count = (self.len - free.len()) as usize;
            self.seats = Table::of_numbers(count, free.taken(1, self.len), hash_of, same).map_err(Seat::new)?;
        }
        self.entered = self.len;
        Ok(())
    }

    pub(super) fn free(&mut self, budget: usize) -> usize {
        let mut freed = self.seats.free(budget);
        if let Some(several) = &mut self.several
            && freed < budget
        {
            freed += several.free(budget - freed);
        }
        while freed < budget
            && let Some(chunk) = self.chunks.pop()
        {
            freed += chunk.users.len().max(1);
        }
        (self.len, self.entered) = (0, 0);
        freed
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
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
pub(super) struct Stamp {
    at_low: u32,
    lsn_low: u32,
    at_high: u16,
    lsn_high: u16,
}

const _: () = assert!(size_of::<Stamp>() == 12, "a row of an integer user takes 20 bytes");

impl Stamp {
    const NONE: Stamp = Stamp { at_low: 0, lsn_low: 0, at_high: 0, lsn_high: 0 };

    pub(super) fn new(at: Millis, lsn: Lsn) -> Stamp {
        let (at_low, at_high) = halves(at.0.cast_unsigned()).expect("grants happen between the years 1970 and 10889");
        let (lsn_low, lsn_high) = halves(lsn.get()).expect("a journal ends before 2^48 changes");
        Stamp { at_low, lsn_low, at_high, lsn_high }
    }

    pub(super) fn at(self) -> Millis {
        Millis((i64::from(self.at_high) << 32) | i64::from(self.at_low))
    }

    /// Whether the row is a grant: it has a position then.
    pub(super) fn is_grant(self) -> bool {
        self.lsn_low != 0 || self.lsn_high != 0
    }

    pub(super) fn lsn(self) -> Lsn {
        Lsn::new((u64::from(self.lsn_high) << 32) | u64::from(self.lsn_low))
    }
}

fn halves(number: u64) -> Option<(u32, u16)> {
    Some((number as u32, u16::try_from(number >> 32).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extremes_of_a_stamp_come_back() {
        let (at, lsn) = (Millis((1 << 48) - 1), Lsn::new((1 << 48) - 1));
        let stamp = Stamp::new(at, lsn);
        assert_eq!((stamp.at(), stamp.lsn()), (at, lsn));
    }
}
