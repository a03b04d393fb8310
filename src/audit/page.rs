//! One campaign as the journal has it: who has which seat, in 16 bytes a grant, and two bits for where else it was seen.

use std::sync::Arc;

use crate::core::Users;
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
    /// Its seats.
    pub limit: u32,
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
    /// Who has each seat; the first is seat 1.
    pub seats: Vec<Entry>,
    /// Seats that somebody has.
    pub taken: u64,
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
    /// A campaign without grants.
    pub fn new(name: Arc<str>, limit: u32, users: Users, shadow: bool, partition: u16) -> Page {
        Page {
            name,
            limit,
            users,
            shadow,
            dropped: false,
            partition,
            events: 0,
            seats: Vec::new(),
            taken: 0,
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

    /// Gives a seat; false where somebody has it already.
    pub fn give(&mut self, seat: u32, entry: Entry) -> bool {
        let index = seat as usize - 1;
        self.ascending &= index == self.seats.len() && self.seats.last().is_none_or(|last| last.seq() < entry.seq());
        if self.seats.len() <= index {
            self.seats.resize(index + 1, Entry::default());
        }
        let free = self.seats[index].seq() == Lsn::ZERO;
        if free {
            self.seats[index] = entry;
            self.taken += 1;
        }
        free
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

    /// Users who have several seats, with them.
    pub fn users_with_several(&self) -> Vec<(u64, Vec<usize>)> {
        let mut users: Vec<u64> = self.seats.iter().filter(|e| e.seq() > Lsn::ZERO).map(|e| e.user).collect();
        users.sort_unstable();
        let mut several: Vec<u64> = users.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        drop(users);
        several.dedup();
        let seats =
            |user: u64| self.seats.iter().enumerate().filter(move |(_, e)| e.user == user && e.seq() > Lsn::ZERO);
        several.into_iter().map(|user| (user, seats(user).map(|(index, _)| index + 1).collect())).collect()
    }
}
