//! Grants of a campaign that came back, and where they and their returns were seen.

use std::collections::HashMap;

use super::page::Entry;
use crate::ids::Lsn;

/// Where something of a grant that came back was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The grant in the topic, in its turn.
    GrantInTopic = 1,
    /// The grant in the topic, before its turn.
    GrantEarly = 2,
    /// The grant's row, as if it had not come back.
    GrantRow = 4,
    /// The return in its topic, in its turn.
    InTopic = 8,
    /// The return in its topic, before its turn.
    Early = 16,
    /// The return's row.
    Row = 32,
}

/// A grant that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The grant: position, partition and user.
    pub grant: Entry,
    /// Its seat.
    pub seat: u32,
    /// Which of its user's seats it was.
    pub nth: u16,
    /// The position of its return.
    pub seq: Lsn,
    marks: u8,
}

impl Gone {
    /// A grant whose return nobody has seen outside yet.
    pub fn new(grant: Entry, seat: u32, nth: u16, seq: Lsn) -> Gone {
        Gone { grant, seat, nth, seq, marks: 0 }
    }

    /// Whether it was seen there.
    pub fn has(&self, mark: Mark) -> bool {
        self.marks & mark as u8 != 0
    }

    /// It was seen there; false where that is known.
    pub fn set(&mut self, mark: Mark) -> bool {
        let first = !self.has(mark);
        self.marks |= mark as u8;
        first
    }
}

/// All of a campaign, found by the position of the grant and of the return.
#[derive(Debug, Default)]
pub struct Returned {
    all: Vec<Gone>,
    by_grant: HashMap<Lsn, usize>,
    by_return: HashMap<Lsn, usize>,
}

impl Returned {
    /// One more.
    pub fn add(&mut self, gone: Gone) {
        self.by_grant.insert(gone.grant.seq(), self.all.len());
        self.by_return.insert(gone.seq, self.all.len());
        self.all.push(gone);
    }

    /// The one whose grant is at `seq`.
    pub fn granted_at(&mut self, seq: Lsn) -> Option<&mut Gone> {
        self.by_grant.get(&seq).map(|index| &mut self.all[*index])
    }

    /// The one whose return is at `seq`.
    pub fn returned_at(&mut self, seq: Lsn) -> Option<&mut Gone> {
        self.by_return.get(&seq).map(|index| &mut self.all[*index])
    }

    /// In the order of the journal.
    pub fn all(&self) -> &[Gone] {
        &self.all
    }

    /// How many were seen there.
    pub fn count(&self, mark: Mark) -> u64 {
        self.all.iter().filter(|gone| gone.has(mark)).count() as u64
    }
}
