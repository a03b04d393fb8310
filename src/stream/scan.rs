//! Records of one lane, oldest first, as evidence of what of our journal is there. Pure.

use crate::grant::Kind;
use crate::ids::{LogId, Lsn};
use crate::kafka::Record;
use crate::stream::checkpoint::Anchor;
use crate::wire::kafka::{EntryRecord, Parsed, parse};

/// What a stretch of a partition of the topic of `kind` says of the journal of `log`.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    log: LogId,
    kind: Kind,
    /// Where the line of our records begins without anything that says so: a lower one behind it is a better beginning.
    assumed: Option<Lsn>,
    /// Up to here our records follow each other without a hole; `None` before the first.
    pub last: Option<Lsn>,
    /// The first of our records: its `seq` and its `prev`.
    pub first: Option<(Lsn, Lsn)>,
    /// The lowest of our records.
    pub lowest: Option<Lsn>,
    /// The last of our records in the stretch.
    pub anchor: Option<Anchor>,
    /// The record with the highest `seq`, if it can be read.
    pub newest: Option<EntryRecord>,
    /// The highest `seq`.
    pub highest: Lsn,
    /// Behind `last` a record of ours follows one that is not there: this `seq`.
    pub hole: Option<Lsn>,
    /// Records of ours that were there before.
    pub duplicates: u64,
    /// The first record that is not ours, or not of this kind: its offset, and the journal it names.
    pub foreign: Option<(u64, Option<LogId>)>,
}

impl Scan {
    /// Nothing seen yet; everything up to `last` is there before what will be.
    pub fn new(log: LogId, kind: Kind, last: Option<Lsn>) -> Scan {
        Scan {
            log,
            kind,
            assumed: None,
            last,
            first: None,
            lowest: None,
            anchor: None,
            newest: None,
            highest: Lsn::ZERO,
            hole: None,
            duplicates: 0,
            foreign: None,
        }
    }

    /// Takes the next record.
    pub fn take(&mut self, record: &Record) {
        let parsed = parse(self.kind, record.key.as_deref(), record.value.as_deref(), record.at, &record.headers);
        let (place, entry) = match parsed {
            Parsed::Entry(there) => (Some((there.entry.log(), there.entry.seq(), there.prev)), Some(there)),
            Parsed::Bad(bad) => (bad.place, None),
            Parsed::Foreign => (None, None),
        };
        // A grant of ours in the topic of returns must not pass for all returns up to there.
        let is_line = entry.is_some() || self.kind == Kind::Grant;
        match place {
            Some((log, seq, prev)) if log == self.log && is_line => self.ours(record.offset, seq, prev, entry),
            place => {
                self.foreign = self.foreign.or(Some((record.offset, place.map(|(log, _, _)| log))));
            }
        }
    }

    fn ours(&mut self, offset: u64, seq: Lsn, prev: Lsn, entry: Option<EntryRecord>) {
        self.first = self.first.or(Some((seq, prev)));
        self.lowest = Some(self.lowest.map_or(seq, |lowest| lowest.min(seq)));
        if seq > self.highest {
            self.highest = seq;
            self.newest = entry;
        }
        match self.last {
            Some(_) if self.assumed.is_some_and(|assumed| seq < assumed) => {
                // What came before was written over a loss, and this is sent again.
                (self.assumed, self.last, self.hole) = (Some(seq), Some(seq), None);
            }
            Some(last) if seq <= last => self.duplicates += 1,
            Some(last) if prev > last => self.hole = self.hole.or(Some(prev)),
            None => (self.assumed, self.last) = (Some(seq), Some(seq)),
            Some(_) => {
                self.last = Some(seq);
                self.hole = None;
            }
        }
        self.anchor = Some(Anchor { offset, seq, acked: self.last.unwrap_or(Lsn::ZERO) });
    }
}
