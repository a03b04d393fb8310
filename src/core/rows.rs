//! The rows of a roster: seats of one kind of user, in the order of their numbers, and found by the user.

use std::borrow::Borrow;
use std::hash::Hash;

use crate::core::Scatter;
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
    /// Seat s is row s - 1; all chunks but the last are full.
    chunks: Vec<Chunk<U>>,
    len: u32,
    /// Seat numbers, found by the hash of the user in the row; those of [`Several`] are not among them.
    seats: Table<u32>,
    /// The first so many rows are found by their users; the others wait for [`Rows::index`].
    pub(super) entered: u32,
    /// Nothing until there is a seat to be noted.
    pub(super) several: Option<Box<Several>>,
}

#[derive(Debug)]
struct Chunk<U> {
    users: Vec<U>,
    stamps: Vec<Stamp>,
}

impl<U> Default for Rows<U> {
    fn default() -> Self {
        Rows { chunks: Vec::new(), len: 0, seats: Table::default(), entered: 0, several: None }
    }
}

impl<U: Hash + Eq> Rows<U> {
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

    /// Makes the next row found by its user.
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
        self.entered = seat;
        Ok(())
    }

    /// Adds a row. Its user is not found yet.
    pub(super) fn push(&mut self, user: U, stamp: Stamp, nth: u16, request: &[u8]) {
        if self.chunks.last().is_none_or(|chunk| chunk.users.len() == CHUNK_ROWS) {
            let rows = if self.chunks.is_empty() { 0 } else { CHUNK_ROWS };
            self.chunks.push(Chunk { users: Vec::with_capacity(rows), stamps: Vec::with_capacity(rows) });
        }
        let chunk = self.chunks.last_mut().expect("a chunk was made for the first row of each");
        chunk.users.push(user);
        chunk.stamps.push(stamp);
        self.len = self.len.checked_add(1).expect("a limit is 32 bits wide, and seats end there");
        if nth != 1 || !request.is_empty() {
            self.several.get_or_insert_default().note(self.len, nth, request);
        }
    }

    pub(super) fn index(&mut self, scatter: Scatter, per_user: u16) -> Result<(), Seat> {
        if self.several.is_some() || (self.len - self.entered).saturating_mul(REBUILD_PART) < self.entered {
            return (self.entered + 1..=self.len).try_for_each(|seat| self.enter(scatter, seat, per_user));
        }
        let chunks = &self.chunks;
        let hash_of = |seat: &u32| scatter.of(user_of(chunks, *seat));
        let same = |one, other| user_of(chunks, one) == user_of(chunks, other);
        self.seats = Table::default();
        self.seats = Table::of_numbers(1..=self.len, hash_of, same).map_err(Seat::new)?;
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
            freed += chunk.users.len();
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
    pub(super) fn new(at: Millis, lsn: Lsn) -> Stamp {
        let (at_low, at_high) = halves(at.0.cast_unsigned()).expect("grants happen between the years 1970 and 10889");
        let (lsn_low, lsn_high) = halves(lsn.get()).expect("a journal ends before 2^48 changes");
        Stamp { at_low, lsn_low, at_high, lsn_high }
    }

    pub(super) fn at(self) -> Millis {
        Millis((i64::from(self.at_high) << 32) | i64::from(self.at_low))
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
