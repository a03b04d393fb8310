//! Which record of a partition is the next one: duplicates, holes, and where the position may stand. Pure.
//!
//! ```text
//! offset   0    1    2    3    4    5    6        position
//! seq      4    5    5    9    10   8    9
//! prev     0    4    4    8    9    5    8
//!          row  row  dup  hole .    row  row      3 while 6..=8 are missing, then 6, 7
//! ```

use std::collections::BTreeMap;

use super::rows::{Rows, row_of_log};
use crate::ids::{LogId, Lsn};
use crate::ledger::Move;
use crate::sabotage::{Sabotage, on};

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the next one of its journal.
    Apply,
    /// It was applied before.
    Duplicate,
    /// Records before it are missing: it is not applied until they have come.
    Beyond,
}

/// Records of `log` with a `seq` above `after` and up to `upto` are missing in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// In which partition.
    pub kpart: u32,
    /// Of which journal.
    pub log: LogId,
    /// The last one that is stored.
    pub after: Lsn,
    /// The last one that is missing.
    pub upto: Lsn,
}

/// How far each partition is, and what of it the table knows.
#[derive(Clone, Debug)]
pub struct Lines {
    source: String,
    lines: Vec<Line>,
    /// Journals that were asked for in other sources, with what is stored from there.
    elsewhere: BTreeMap<LogId, Lsn>,
}

#[derive(Clone, Debug)]
struct Line {
    next: u64,
    /// The journal that the partition's own row counts.
    own: LogId,
    logs: BTreeMap<LogId, Seen>,
    /// As the table has the partition's own row: its position, and the last one stored.
    written: (u64, Lsn),
}

/// What was applied of one journal in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    last: Lsn,
    /// Up to where records are missing.
    hole: Option<Lsn>,
    /// As the table has it: last, hole, and the position of its own row where it has one.
    written: Option<(Lsn, bool, u64)>,
}

impl Lines {
    /// As `rows` say, which have one for each of the partitions; read from `from` on.
    pub(super) fn new(rows: &Rows, from: &[u64]) -> Lines {
        let mut lines = Vec::with_capacity(from.len());
        for (kpart, &next) in (0..).zip(from) {
            let own = rows.of(kpart).expect("each partition has a row");
            let mut line = Line { next, own: own.log, logs: BTreeMap::new(), written: (own.next, own.last_seq) };
            for row in rows.all.iter().filter(|row| row.kpart == kpart && row.log != LogId::NONE) {
                let written = Some((row.last_seq, row.hole, row.next));
                let hole = row.hole.then_some(row.last_seq);
                line.logs.insert(row.log, Seen { last: row.last_seq, hole, written });
            }
            lines.push(line);
        }
        Lines { source: rows.source.clone(), lines, elsewhere: BTreeMap::new() }
    }

    /// Whether other sources were asked for `log`.
    pub(super) fn knows(&self, log: LogId) -> bool {
        self.elsewhere.contains_key(&log)
    }

    /// Everything of `log` up to `stored` is in the ledger from other sources.
    pub(super) fn learn(&mut self, log: LogId, stored: Lsn) {
        self.elsewhere.insert(log, stored);
        let seen = self.lines.iter_mut().filter_map(|line| line.logs.get_mut(&log));
        for seen in seen.filter(|seen| seen.last < stored) {
            seen.last = stored;
            seen.hole = seen.hole.filter(|upto| *upto > stored);
        }
    }

    /// A record of `log`; `prev` is the one before it in its partition. Its journal is known.
    pub(super) fn judge(&mut self, kpart: u32, log: LogId, seq: Lsn, prev: Option<Lsn>) -> Verdict {
        let last = *self.elsewhere.get(&log).expect("a record is judged when its journal is known");
        let line = &mut self.lines[kpart as usize];
        if line.own == LogId::NONE {
            line.own = log;
        }
        let seen = line.logs.entry(log).or_insert(Seen { last, hole: None, written: None });
        if seq <= seen.last {
            return Verdict::Duplicate;
        }
        if let Some(prev) = prev.filter(|prev| *prev > seen.last && !on(Sabotage::HoleIgnored)) {
            seen.hole = Some(seen.hole.map_or(prev, |known| known.max(prev)));
            return Verdict::Beyond;
        }
        (seen.last, seen.hole) = (seq, None);
        Verdict::Apply
    }

    /// Everything before `next` has been judged: the position moves, unless something is missing.
    pub(super) fn pass(&mut self, kpart: u32, next: u64) {
        let line = &mut self.lines[kpart as usize];
        if line.logs.values().all(|seen| seen.hole.is_none()) {
            line.next = next;
        }
    }

    /// Where each partition stands.
    pub(super) fn next(&self) -> Vec<u64> {
        self.lines.iter().map(|line| line.next).collect()
    }

    /// Where the partition stands of which a journal has only one.
    pub fn only(&self) -> u64 {
        self.lines[0].next
    }

    /// The last `seq` of `log` stored from each partition.
    pub fn last(&self, log: LogId) -> Vec<Lsn> {
        let last = |line: &Line| line.logs.get(&log).map_or(Lsn::ZERO, |seen| seen.last);
        self.lines.iter().map(last).collect()
    }

    /// What is missing.
    pub(super) fn holes(&self) -> Vec<Hole> {
        let mut holes = Vec::new();
        for (kpart, line) in (0..).zip(&self.lines) {
            for (&log, seen) in &line.logs {
                holes.extend(seen.hole.map(|upto| Hole { kpart, log, after: seen.last, upto }));
            }
        }
        holes
    }

    /// Whether the table must learn of a hole, or of the end of one.
    pub(super) fn holes_moved(&self) -> bool {
        let mut seen = self.lines.iter().flat_map(|line| line.logs.values());
        seen.any(|seen| seen.hole.is_some() != seen.written.is_some_and(|(_, hole, _)| hole))
    }

    /// What takes the table here. Empty where it is here.
    pub(super) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (kpart, line) in (0..).zip(&self.lines) {
            for (&log, seen) in &line.logs {
                let hole = seen.hole.is_some();
                let moved = seen.written.is_none_or(|(last, had, _)| (last, had) != (seen.last, hole));
                let is_own = log == line.own;
                if !(moved || is_own && line.written != (line.next, seen.last)) {
                    continue;
                }
                let (source, expected) = match is_own {
                    true => (self.source.clone(), Some(line.written)),
                    false => (row_of_log(&self.source, log), seen.written.map(|(last, _, at)| (at, last))),
                };
                moves.push(Move { source, kpart, expected, next: line.next, log, last_seq: seen.last, hole });
            }
            if line.own == LogId::NONE && line.written.0 != line.next {
                moves.push(self.stay(kpart));
            }
        }
        moves
    }

    /// A sign of life: a partition's row, as it is.
    pub(super) fn stay(&self, kpart: u32) -> Move {
        let line = &self.lines[kpart as usize];
        let seen = line.logs.get(&line.own);
        Move {
            source: self.source.clone(),
            kpart,
            expected: Some(line.written),
            next: line.next,
            log: line.own,
            last_seq: seen.map_or(Lsn::ZERO, |seen| seen.last),
            hole: seen.is_some_and(|seen| seen.hole.is_some()),
        }
    }

    /// The table is here, after `moves`.
    pub(super) fn written(&mut self, moves: &[Move]) {
        for to in moves {
            let line = &mut self.lines[to.kpart as usize];
            if to.source == self.source {
                line.written = (to.next, to.last_seq);
            }
            if let Some(seen) = line.logs.get_mut(&to.log) {
                seen.written = Some((to.last_seq, to.hole, to.next));
            }
        }
    }
}
