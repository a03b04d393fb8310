//! Answers that wait for the journal, and for Kafka where that was asked for. They become bytes for the socket only for
//! a [`Leave`], which takes an `Answerable`, and only the journal can make one of those.

use std::collections::VecDeque;

use crate::ids::Lsn;
use crate::journal::Answerable;
use crate::metrics::Spread;
use crate::watermark::Watermark;

/// Bytes that were sent and still stand at the front are dropped once there are this many.
const COMPACT_BYTES: usize = 64 << 10;

/// Marks that a connection keeps room for when all has left.
const COMPACT_MARKS: usize = 64;

/// What an answer waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depends {
    /// What the journal must let go; `ZERO`: nothing.
    pub journal: Lsn,
    /// What must be in Kafka; `ZERO`: nothing.
    pub published: Lsn,
}

impl Depends {
    /// It tells of nothing that changes.
    pub const NOTHING: Depends = Depends { journal: Lsn::ZERO, published: Lsn::ZERO };

    /// Whoever waits for `other` has waited for this.
    fn within(self, other: Depends) -> bool {
        self.journal <= other.journal && self.published <= other.published
    }
}

/// How far answers may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    journal: Answerable,
    published: Lsn,
}

impl Leave {
    /// As far as the journal says, and as far as the stream has come.
    pub fn new(journal: Answerable, published: &Watermark) -> Leave {
        Leave { journal, published: published.get() }
    }

    /// Whether what depends on this may leave.
    pub fn covers(self, depends: Depends) -> bool {
        self.journal.covers(depends.journal) && depends.published <= self.published
    }

    /// How far the journal lets answers leave.
    pub fn journal(self) -> Answerable {
        self.journal
    }
}

/// The answers of one connection, in order.
///
/// ```text
///   sent          free           mark: 17         mark: 21
///    |-- leaves ---|--- waits for 17 ---|--- waits for 21 ---|
/// ```
#[derive(Debug, Default)]
pub struct HeldReplies {
    bytes: Vec<u8>,
    sent: usize,
    free: usize,
    marks: VecDeque<Mark>,
    /// Answers that waited for nothing and have not been counted.
    free_answers: u64,
}

#[derive(Debug)]
struct Mark {
    end: usize,
    depends: Depends,
    /// When the first of its answers was decided, in microseconds on the loop's own clock.
    decided_us: u64,
    answers: u64,
}

impl HeldReplies {
    /// Where the next answer is written. Close it with [`HeldReplies::seal`].
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The answer written since the last seal leaves once `depends` is covered, and not before what stands in front.
    /// Silence leaves no mark: it waits for nothing, and nothing waits behind it.
    pub fn seal(&mut self, depends: Depends, decided_us: u64) {
        let end = self.bytes.len();
        if end == self.marks.back().map_or(self.free, |last| last.end) {
            return;
        }
        match self.marks.back_mut() {
            Some(last) if depends.within(last.depends) => {
                last.end = end;
                last.answers += 1;
            }
            None if depends == Depends::NOTHING => {
                self.free = end;
                self.free_answers += 1;
            }
            _ => self.marks.push_back(Mark { end, depends, decided_us, answers: 1 }),
        }
    }

    /// The bytes that may leave now, at `now_us`; `took` learns how long their answers were held.
    pub fn release(&mut self, leave: Leave, now_us: u64, took: &Spread) -> &[u8] {
        if self.free_answers > 0 {
            took.add(0, std::mem::take(&mut self.free_answers));
        }
        while let Some(mark) = self.marks.front() {
            if !leave.covers(mark.depends) {
                break;
            }
            took.add(now_us.saturating_sub(mark.decided_us), mark.answers);
            self.free = mark.end;
            self.marks.pop_front();
        }
        &self.bytes[self.sent..self.free]
    }

    /// `count` of the released bytes have left.
    pub fn sent(&mut self, count: usize) {
        self.sent += count;
        assert!(self.sent <= self.free, "no answer leaves before its release");
        if self.sent == self.bytes.len() {
            assert!(self.marks.is_empty(), "what is held has not left");
            self.bytes.clear();
            self.bytes.shrink_to(COMPACT_BYTES);
            self.marks.shrink_to(COMPACT_MARKS);
            (self.sent, self.free) = (0, 0);
        } else if self.sent >= COMPACT_BYTES && self.sent >= self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.free -= self.sent;
            self.marks.iter_mut().for_each(|mark| mark.end -= self.sent);
            self.sent = 0;
        }
    }

    /// What the first held answer depends on.
    pub fn waits_for(&self) -> Option<Depends> {
        self.marks.front().map(|mark| mark.depends)
    }

    /// Bytes that have not left.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Everything has left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
