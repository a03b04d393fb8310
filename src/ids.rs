//! # ids - the words that must not be mixed up
//! Positions, seats, times and names as types of their own. Pure. May use: nothing.

use std::fmt;

/// A position on the line of changes: the first event of a journal is 1, `Lsn::ZERO` is "nothing yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// Before the first event.
    pub const ZERO: Lsn = Lsn(0);

    /// The position `position`, counted from 1.
    pub const fn new(position: u64) -> Lsn {
        Lsn(position)
    }

    /// The position as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }

    /// The position before this one; `ZERO` stays `ZERO`.
    #[must_use]
    pub const fn prev(self) -> Lsn {
        Lsn(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place among the winners of a campaign: 1..=limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(u32);

impl Seat {
    /// Seat number `number`; the first is 1.
    pub const fn new(number: u32) -> Seat {
        assert!(number > 0, "seats are counted from 1");
        Seat(number)
    }

    /// The seat's number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Where the seat stands in a table that starts at 0.
    pub const fn index(self) -> usize {
        self.0 as usize - 1
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A campaign's number in its journal: the first one created is 0. Never used again, also not after a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CampaignId(pub u32);

impl CampaignId {
    /// Where the campaign stands in a table of all campaigns.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One of the numbered databases that `SELECT` chooses; campaigns show in 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Db(pub u8);

/// Unix time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// The deadline of what has none.
    pub const NEVER: Millis = Millis(i64::MAX);

    /// The time, unless it is `NEVER`.
    pub fn some(self) -> Option<Millis> {
        (self != Millis::NEVER).then_some(self)
    }
}

/// A user as a campaign knows him.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum User<'a> {
    /// `USERS INT`: a signed 64-bit integer.
    Int(i64),
    /// `USERS ANY`: 1..=64 bytes.
    Any(&'a [u8]),
}

/// The random name of a data directory's journal: 16 bytes, written as 32 hex digits. Made once, with the directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 16]);

impl LogId {
    /// Stands for "no journal yet".
    pub const NONE: LogId = LogId([0; 16]);
}

/// What is not 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLogId;

impl std::str::FromStr for LogId {
    type Err = NoLogId;

    fn from_str(text: &str) -> Result<LogId, NoLogId> {
        let mut log = [0; 16];
        // Not a sign either, which the standard library takes for part of a number.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoLogId);
        }
        for (byte, digits) in log.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NoLogId)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NoLogId)?;
        }
        Ok(LogId(log))
    }
}

impl LogId {
    /// The 32 hex digits, in ASCII.
    pub fn hex(self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}
