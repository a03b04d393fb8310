//! Seats that are held: until when, and which hold ends next.
//!
//! A hold costs about 90 bytes beside its row, and nothing while it waits.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Lsn, Millis, Seat};

/// A claim that waits to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    /// From here on it cannot be confirmed.
    pub(super) until: Millis,
    /// Its position.
    pub(super) lsn: Lsn,
}

/// The holds of a campaign.
#[derive(Debug, Default)]
pub(super) struct Holds {
    by_seat: BTreeMap<u32, Hold>,
    by_deadline: BTreeSet<(Millis, u32)>,
}

impl Holds {
    /// How many.
    pub(super) fn len(&self) -> u32 {
        self.by_seat.len() as u32
    }

    /// The hold on a seat.
    pub(super) fn get(&self, seat: Seat) -> Option<Hold> {
        self.by_seat.get(&seat.get()).copied()
    }

    /// Holds a seat that is not held.
    pub(super) fn add(&mut self, seat: Seat, hold: Hold) {
        let before = self.by_seat.insert(seat.get(), hold);
        debug_assert!(before.is_none(), "a seat is held once");
        self.by_deadline.insert((hold.until, seat.get()));
    }

    /// The hold on a seat is over.
    pub(super) fn remove(&mut self, seat: Seat) -> Option<Hold> {
        let hold = self.by_seat.remove(&seat.get())?;
        self.by_deadline.remove(&(hold.until, seat.get()));
        Some(hold)
    }

    /// The earliest deadline.
    pub(super) fn first_deadline(&self) -> Option<Millis> {
        self.by_deadline.first().map(|(until, _)| *until)
    }

    /// Deadlines that have passed by `now`, and their seats, earliest first.
    pub(super) fn due(&self, now: Millis) -> impl Iterator<Item = (Millis, Seat)> {
        self.by_deadline.range(..=(now, u32::MAX)).map(|(until, seat)| (*until, Seat::new(*seat)))
    }

    /// Frees memory: about `budget` holds, as many as the answer says.
    pub(super) fn free(&mut self, budget: usize) -> usize {
        let freed = |_: &usize| self.by_seat.pop_first().is_some() | self.by_deadline.pop_first().is_some();
        (0..budget).take_while(freed).count()
    }
}
