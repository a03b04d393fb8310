//! One campaign as the journal has it: who has which seat, in 16 bytes a grant, and two bits for where else it was seen.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::returned::{Gone, Mark, Returned};
use crate::core::{Terms, Users};
use crate::ids::Lsn;

/// Bits of a position; the rest of its word is the partition.
const SEQ_BITS: u32 = 48;

/// The highest position that can be audited: 281 million millions.
pub const SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;

/// A grant: its position, its partition, and its user as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    place: u64,
    /// The user: a number is itself, everything else is its hash.
    pub user: u64,
}

impl Entry {
    /// A grant at `seq`, which is at most `SEQ_MAX`.
    pub fn new(seq: Lsn, partition: u16, user: u64) -> Entry {
        Entry { place: seq.get() | u64::from(partition) << SEQ_BITS, user }
    }

    /// Its position; `Lsn::ZERO`: nobody has the seat.
    pub fn seq(self) -> Lsn {
        Lsn::new(self.place & SEQ_MAX)
    }

    /// The partition that it goes to.
    pub fn partition(self) -> u16 {
        (self.place >> SEQ_BITS) as u16
    }
}

/// One bit for each seat.
#[derive(Clone, Debug, Default)]
pub struct Bits {
    words: Vec<u64>,
    count: u64,
}

impl Bits {
    /// Whether `index` is set.
    pub fn has(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Sets `index`; false where it was set already.
    pub fn set(&mut self, index: usize) -> bool {
        if self.has(index) {
            return false;
        }
        if self.words.len() <= index / 64 {
            self.words.resize(index / 64 + 1, 0);
        }
        self.words[index / 64] |= 1 << (index % 64);
        self.count += 1;
        true
    }

    /// Takes `index` out; whether it was set.
    pub fn take(&mut self, index: usize) -> bool {
        let was = self.has(index);
        if was {
            self.words[index / 64] &= !(1 << (index % 64));
            self.count -= 1;
        }
        was
    }

    /// How many are set.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// A campaign.
#[derive(Debug)]
pub struct Page {
    /// Its name.
    pub name: Arc<str>,
    /// The first position of what happened to it: where it was created, or what was brought back in from before that.
    pub begins: Lsn,
    /// Its seats.
    pub limit: u32,
    /// Where that was settled.
    pub limit_since: Lsn,
    /// Seats that a user may have.
    pub per_user: u16,
    /// What its users look like.
    pub users: Users,
    /// It must not be seen outside.
    pub shadow: bool,
    /// It was dropped.
    pub dropped: bool,
    /// Where its name leads, if names lead somewhere.
    pub partition: u16,
    /// Grants that the journal tells of.
    pub events: u64,
    /// How many of those came back.
    pub returns: u64,
    /// Those, and further ones whose grant the journal no longer tells of.
    pub returned: Returned,
    /// Who has each seat; the first is seat 1.
    pub seats: Vec<Entry>,
    /// Seats that somebody has.
    pub taken: u64,
    /// Which of its user's seats one is, where that is not the first.
    nths: BTreeMap<u32, u16>,
    /// Seats were given in order, so that a position can be searched.
    ascending: bool,
    /// Seen in the topic, in its turn.
    pub in_topic: Bits,
    /// Seen in the topic, before its turn.
    pub early: Bits,
    /// Seen in the ledger.
    pub in_ledger: Bits,
}

impl Page {
    /// A campaign without grants, created at `created`.
    pub fn new(name: Arc<str>, terms: &Terms, partition: u16, created: Lsn) -> Page {
        Page {
            name,
            begins: created,
            limit: terms.limit,
            limit_since: created,
            per_user: terms.per_user,
            users: terms.users,
            shadow: terms.shadow,
            dropped: false,
            partition,
            events: 0,
            returns: 0,
            returned: Returned::default(),
            seats: Vec::new(),
            taken: 0,
            nths: BTreeMap::new(),
            ascending: true,
            in_topic: Bits::default(),
            early: Bits::default(),
            in_ledger: Bits::default(),
        }
    }

    /// The grant of `seat`, if somebody has it.
    pub fn entry(&self, seat: u32) -> Option<Entry> {
        let entry = self.seats.get((seat as usize).checked_sub(1)?)?;
        (entry.seq() > Lsn::ZERO).then_some(*entry)
    }

    /// Which of its user's seats it is.
    pub fn nth(&self, seat: u32) -> u16 {
        self.nths.get(&seat).copied().unwrap_or(1)
    }

    /// Gives a seat as the `nth` of its user; false where somebody has it already.
    pub fn give(&mut self, seat: u32, entry: Entry, nth: u16) -> bool {
        let index = seat as usize - 1;
        self.ascending &= index == self.seats.len() && self.seats.last().is_none_or(|last| last.seq() < entry.seq());
        if self.seats.len() <= index {
            self.seats.resize(index + 1, Entry::default());
        }
        let free = self.seats[index].seq() == Lsn::ZERO;
        if free {
            self.seats[index] = entry;
            self.taken += 1;
            if nth != 1 {
                self.nths.insert(seat, nth);
            }
        }
        free
    }

    /// A grant came back. What was seen of it already goes with it.
    pub fn take_back(&mut self, mut gone: Gone) {
        if self.entry(gone.seat).is_some_and(|entry| entry.seq() == gone.grant.seq()) {
            let index = gone.seat as usize - 1;
            self.seats[index] = Entry::default();
            self.nths.remove(&gone.seat);
            (self.taken, self.ascending) = (self.taken - 1, false);
            self.returns += 1;
            for (bits, mark) in [
                (&mut self.in_topic, Mark::GrantInTopic),
                (&mut self.early, Mark::GrantEarly),
                (&mut self.in_ledger, Mark::GrantRow),
            ] {
                if bits.take(index) {
                    gone.set(mark);
                }
            }
        }
        self.returned.add(gone);
    }

    /// The seat that was granted at `seq`; `None` also where seats were not given in order.
    pub fn seat_of(&self, seq: Lsn) -> Option<u32> {
        let index = self.seats.partition_point(|entry| entry.seq() < seq);
        let found = self.ascending && self.seats.get(index).is_some_and(|entry| entry.seq() == seq);
        found.then_some(index as u32 + 1)
    }

    /// The user of `entry` in words, as far as that is known.
    pub fn user_words(&self, entry: Entry) -> String {
        match self.users {
            Users::Int => format!("user {}", entry.user.cast_signed()),
            Users::Any => "another user".to_owned(),
        }
    }

    /// Users who have more seats than they may, or two with one `nth`, with their seats.
    pub fn users_with_too_many(&self) -> Vec<(u64, Vec<u32>)> {
        let taken = || (1..).zip(&self.seats).filter(|(_, entry)| entry.seq() > Lsn::ZERO);
        let mut users: Vec<u64> = taken().map(|(_, entry)| entry.user).collect();
        users.sort_unstable();
        let several = users.chunk_by(|one, other| one == other).filter(|seats| seats.len() > 1);
        let mut several: HashMap<u64, Vec<u32>> = several.map(|seats| (seats[0], Vec::new())).collect();
        drop(users);
        for (seat, entry) in taken() {
            if let Some(seats) = several.get_mut(&entry.user) {
                seats.push(seat);
            }
        }
        let is_broken = |seats: &Vec<u32>| {
            let mut nths: Vec<u16> = seats.iter().map(|seat| self.nth(*seat)).collect();
            nths.sort_unstable();
            nths.dedup();
            seats.len() > usize::from(self.per_user) || nths.len() < seats.len()
        };
        let mut broken: Vec<(u64, Vec<u32>)> = several.into_iter().filter(|(_, seats)| is_broken(seats)).collect();
        broken.sort_unstable();
        broken
    }
}
