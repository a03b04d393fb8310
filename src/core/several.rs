//! Who has more than one seat, and which claim got it: beside the rows of a roster, and only where there is something to say.
//!
//! A seat is noted if it is not its user's first, or was claimed with an `ID`. Users without a noted seat are found by the
//! roster's own index; the seats of the others stand here. What is noted costs about 150 bytes a seat.

use std::collections::BTreeMap;

use crate::core::Scatter;
use crate::core::table::Table;
use crate::ids::Seat;

/// What is to be said of a seat beside its row.
#[derive(Debug)]
struct Note {
    nth: u16,
    request: Box<[u8]>,
}

/// The seats of a user, by `nth`; never empty.
#[derive(Debug)]
pub(super) struct Holding(Vec<Held>);

#[derive(Clone, Copy, Debug)]
struct Held {
    seat: u32,
    /// Of the request: most that are another differ in it.
    tag: u32,
    nth: u16,
}

/// The noted seats of a roster and the users who have them.
#[derive(Debug, Default)]
pub(super) struct Several {
    notes: BTreeMap<u32, Note>,
    holdings: Table<Holding>,
    /// How many users have so many seats, from two on.
    counts: BTreeMap<usize, u32>,
}

impl Several {
    /// Notes a seat. Its user is not found yet.
    pub(super) fn note(&mut self, seat: u32, nth: u16, request: &[u8]) {
        self.notes.insert(seat, Note { nth, request: request.into() });
    }

    /// Which of its user's seats it is, and the request that got it.
    pub(super) fn noted(&self, seat: Seat) -> (u16, &[u8]) {
        self.notes.get(&seat.get()).map_or((1, b""), |note| (note.nth, &*note.request))
    }

    /// The holding with this hash whose user, found by one of his seats, is the `same`.
    pub(super) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<&Holding> {
        self.holdings.find(hash, |holding| same(holding.first()))
    }

    /// The seat that a request got for a user.
    pub(super) fn seat_by(&self, scatter: Scatter, holding: &Holding, request: &[u8]) -> Option<Seat> {
        let tag = tag(scatter, request);
        let of = |held: &&Held| held.tag == tag && *self.noted(Seat::new(held.seat)).1 == *request;
        holding.0.iter().find(of).map(|held| Seat::new(held.seat))
    }

    /// The most seats that any user has, of those who have several.
    pub(super) fn most(&self) -> usize {
        self.counts.last_key_value().map_or(0, |(seats, _)| *seats)
    }

    /// Makes the user of `seat` found by it. `alone` is the seat by which the roster's index finds him: it is given up if he
    /// has a holding afterwards, which is the answer. None where he has such a seat already, or as many as he may have.
    pub(super) fn enter(
        &mut self,
        scatter: Scatter,
        seat: u32,
        alone: Option<u32>,
        per_user: u16,
        user: Users<'_>,
    ) -> Option<bool> {
        let note = self.notes.get(&seat);
        let nth = note.map_or(1, |note| note.nth);
        if nth == 0 {
            return None;
        }
        let held = Held { seat, tag: note.map_or(0, |note| tag(scatter, &note.request)), nth };
        if let Some(holding) = self.holdings.find_mut(user.hash, |holding| (user.same)(holding.first())) {
            let place = holding.0.binary_search_by_key(&nth, |held| held.nth).err()?;
            let seats = holding.0.len();
            if seats >= usize::from(per_user) {
                return None;
            }
            holding.0.insert(place, held);
            self.count(seats, seats + 1);
            return Some(true);
        }
        let before = alone.map(|seat| Held { seat, tag: 0, nth: 1 });
        if before.is_some() && (nth == 1 || per_user < 2) {
            return None;
        }
        if before.is_none() && note.is_none() {
            return Some(false);
        }
        let seats: Vec<Held> = before.into_iter().chain([held]).collect();
        self.count(0, seats.len());
        self.holdings.insert_unique(user.hash, Holding(seats), |holding| (user.hash_of)(holding.first()));
        Some(true)
    }

    /// The user of `seat`, who is found here, is no longer found by it.
    pub(super) fn leave(&mut self, seat: u32, user: Users<'_>) {
        let is_his = |holding: &Holding| (user.same)(holding.first());
        let Some(holding) = self.holdings.find_mut(user.hash, |holding| is_his(holding)) else {
            panic!("who has a seat is found")
        };
        let seats = holding.0.len();
        if seats == 1 {
            self.holdings.remove(user.hash, |holding| is_his(holding), |holding| (user.hash_of)(holding.first()));
        } else {
            holding.0.retain(|held| held.seat != seat);
            self.count(seats, seats - 1);
        }
    }

    /// Nothing is to be said of a seat any more.
    pub(super) fn forget(&mut self, seat: u32) {
        self.notes.remove(&seat);
    }

    /// No user is found from here on.
    pub(super) fn find_nobody(&mut self) {
        self.holdings = Table::default();
        self.counts.clear();
    }

    /// A user had so many seats and has another number of them.
    fn count(&mut self, before: usize, now: usize) {
        if let Some(users) = self.counts.get_mut(&before) {
            *users -= 1;
            if *users == 0 {
                self.counts.remove(&before);
            }
        }
        if now > 1 {
            *self.counts.entry(now).or_default() += 1;
        }
    }

    /// See [`Table::free`].
    pub(super) fn free(&mut self, budget: usize) -> usize {
        let mut freed = self.holdings.free(budget);
        while freed < budget && self.notes.pop_first().is_some() {
            freed += 1;
        }
        freed
    }
}

/// How users are compared and scattered, by one of their seats.
pub(super) struct Users<'u> {
    /// Of the user in question.
    pub(super) hash: u64,
    /// Whether the user of a seat is the one in question.
    pub(super) same: &'u dyn Fn(u32) -> bool,
    /// The hash of the user of a seat.
    pub(super) hash_of: &'u dyn Fn(u32) -> u64,
}

impl Holding {
    fn first(&self) -> u32 {
        self.0[0].seat
    }

    /// How many seats.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The last by `nth`.
    pub(super) fn last(&self) -> Seat {
        Seat::new(self.0[self.0.len() - 1].seat)
    }

    /// Whether one of them is the `nth`.
    pub(super) fn has(&self, nth: u16) -> bool {
        self.0.binary_search_by_key(&nth, |held| held.nth).is_ok()
    }

    /// All by `nth`.
    pub(super) fn seats(&self) -> impl Iterator<Item = Seat> {
        self.0.iter().map(|held| Seat::new(held.seat))
    }

    /// The lowest `nth` that no seat has.
    pub(super) fn next_nth(&self) -> u16 {
        let (mut low, mut high) = (0, self.0.len());
        while low < high {
            let middle = low + (high - low) / 2;
            // As long as none is missing each stands at its own place.
            if usize::from(self.0[middle].nth) == middle + 1 { low = middle + 1 } else { high = middle }
        }
        u16::try_from(low + 1).expect("a user has at most 65535 seats, and who has them all gets none")
    }
}

fn tag(scatter: Scatter, request: &[u8]) -> u32 {
    scatter.bytes(request) as u32
}
