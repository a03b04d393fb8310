//! Which record of a partition is the next one: duplicates, holes, and where the position may stand. Pure.
//!
//! ```text
//! offset   0    1    2    3    4    5    6        position
//! seq      4    5    5    9    10   8    9
//! prev     0    4    4    8    9    5    8
//!          row  row  dup  hole .    row  row      3 while 6..=8 are missing, then 6, 7
//! ```

use std::collections::BTreeMap;

use super::feed::Positions;
use super::rows::{Rows, Sources, row_of_log};
use crate::grant::{Kind, Lane};
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

/// Records of `log` with a `seq` above `after` and up to `upto` are missing in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// In which lane.
    pub lane: Lane,
    /// Of which journal.
    pub log: LogId,
    /// The last one that is stored.
    pub after: Lsn,
    /// The last one that is missing.
    pub upto: Lsn,
}

/// How far each lane is, and what of it the table knows.
#[derive(Clone, Debug)]
pub struct Lines {
    sources: Sources,
    lines: BTreeMap<Lane, Line>,
    /// Journals that were asked for in other sources: up to where all grants, and all returns, are stored from there.
    elsewhere: BTreeMap<LogId, [Lsn; 2]>,
}

#[derive(Clone, Debug)]
struct Line {
    next: u64,
    /// Everything before it was judged, or is parked.
    read: u64,
    /// The journal that the lane's own row counts.
    own: LogId,
    logs: BTreeMap<LogId, Seen>,
    /// As the table has the lane's own row: its position, and the last one stored.
    written: (u64, Lsn),
}

/// What was applied of one journal in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    last: Lsn,
    /// Up to where records are missing, as one behind them says.
    hole: Option<Lsn>,
    /// The same, where no record says so: the lane ends before them.
    lost: Option<Lsn>,
    /// As the table has it: last, hole, and the position of its own row where it has one.
    written: Option<(Lsn, bool, u64)>,
}

impl Seen {
    fn missing(&self) -> Option<Lsn> {
        self.hole.max(self.lost)
    }
}

impl Line {
    fn has_hole(&self) -> bool {
        self.logs.values().any(|seen| seen.hole.is_some())
    }
}

impl Lines {
    /// As `rows` say, which have one for each of the lanes; read from `from` on.
    pub(super) fn new(rows: &Rows, from: &Positions) -> Lines {
        let mut lines = BTreeMap::new();
        for (&lane, &next) in from {
            let own = rows.of(lane).expect("each lane has a row");
            let written = (own.next, own.last_seq);
            let mut line = Line { next, read: next, own: own.log, logs: BTreeMap::new(), written };
            for row in rows.in_lane(lane).filter(|row| row.log != LogId::NONE) {
                let written = Some((row.last_seq, row.hole, row.next));
                let hole = row.hole.then_some(row.last_seq);
                line.logs.insert(row.log, Seen { last: row.last_seq, hole, lost: None, written });
            }
            lines.insert(lane, line);
        }
        Lines { sources: rows.sources.clone(), lines, elsewhere: BTreeMap::new() }
    }

    /// What the ledger calls the source of a lane.
    pub(super) fn source(&self, lane: Lane) -> &str {
        self.sources.of(lane)
    }

    /// Whether other sources were asked for `log`.
    pub(super) fn knows(&self, log: LogId) -> bool {
        self.elsewhere.contains_key(&log)
    }

    /// All grants, and all returns, of `log` up to `stored` are in the ledger from other sources.
    pub(super) fn learn(&mut self, log: LogId, stored: [Lsn; 2]) {
        self.elsewhere.insert(log, stored);
        for lane in self.lines.keys().copied().collect::<Vec<_>>() {
            let stored = self.certain(lane, log);
            let seen = self.lines.get_mut(&lane).and_then(|line| line.logs.get_mut(&log));
            if let Some(seen) = seen.filter(|seen| seen.last < stored) {
                seen.last = stored;
                seen.hole = seen.hole.filter(|upto| *upto > stored);
                seen.lost = seen.lost.filter(|upto| *upto > stored);
            }
        }
    }

    fn elsewhere(&self, kind: Kind, log: LogId) -> Lsn {
        self.elsewhere.get(&log).map_or(Lsn::ZERO, |stored| stored[kind as usize])
    }

    /// Everything that a lane could bring of `log` up to here is in the ledger from other sources.
    fn certain(&self, lane: Lane, log: LogId) -> Lsn {
        let stored = |kind| self.elsewhere(kind, log);
        match self.sources {
            Sources::Journal(_) => stored(Kind::Grant).min(stored(Kind::Return)),
            Sources::Topics { .. } => stored(lane.kind()),
        }
    }

    fn line(&mut self, lane: Lane) -> &mut Line {
        self.lines.get_mut(&lane).expect("a record comes from a lane that is there")
    }

    /// A record of `log` is to be judged.
    pub(super) fn see(&mut self, lane: Lane, log: LogId) {
        let last = self.certain(lane, log);
        let line = self.line(lane);
        if line.own == LogId::NONE {
            line.own = log;
        }
        line.logs.entry(log).or_insert(Seen { last, hole: None, lost: None, written: None });
    }

    /// What becomes of a record of `log`, whose journal is known; `prev` is the one before it in its lane.
    pub(super) fn judge(&self, lane: Lane, kind: Kind, (log, seq): (LogId, Lsn), prev: Option<Lsn>) -> Verdict {
        let last = self.last_in(lane, log).unwrap_or_else(|| self.certain(lane, log));
        if seq <= last || seq <= self.elsewhere(kind, log) {
            return Verdict::Duplicate;
        }
        match prev {
            Some(prev) if prev > last && !on(Sabotage::HoleIgnored) => Verdict::Beyond,
            Some(_) | None => Verdict::Apply,
        }
    }

    /// Whether everything of `log` up to `seq` that belongs into a lane is in the ledger, or put aside.
    pub(super) fn has(&self, lane: Lane, log: LogId, seq: Lsn) -> bool {
        self.last_in(lane, log).is_some_and(|last| seq <= last) || seq <= self.elsewhere(lane.kind(), log)
    }

    fn last_in(&self, lane: Lane, log: LogId) -> Option<Lsn> {
        self.lines.get(&lane)?.logs.get(&log).map(|seen| seen.last)
    }

    /// A record is applied.
    pub(super) fn apply(&mut self, lane: Lane, log: LogId, seq: Lsn) {
        let seen = self.line(lane).logs.get_mut(&log).expect("it was seen");
        (seen.last, seen.hole, seen.lost) = (seq, None, None);
    }

    /// Records up to `prev` are missing. The position stays before the one at `position`, the first that tells so, or where
    /// something of the lane is `parked`.
    pub(super) fn miss(&mut self, lane: Lane, log: LogId, prev: Lsn, (position, parked): (u64, Option<u64>)) {
        let line = self.line(lane);
        if !line.has_hole() {
            line.next = line.read.min(position).min(parked.unwrap_or(u64::MAX));
        }
        let seen = line.logs.get_mut(&log).expect("it was seen");
        seen.hole = Some(seen.hole.map_or(prev, |known| known.max(prev)));
    }

    /// What a lane that is there still has to bring of `log`, if it is to bring `seq`.
    pub(super) fn behind(&self, lane: Lane, log: LogId, seq: Lsn) -> Option<Hole> {
        let after = self.last_in(lane, log).unwrap_or(Lsn::ZERO);
        let is_behind = self.lines.contains_key(&lane) && !self.has(lane, log, seq);
        is_behind.then_some(Hole { lane, log, after, upto: seq })
    }

    /// Records up to `upto` are missing in a lane, and none behind them says so: it is read to its end, and its position
    /// stays there.
    pub(super) fn lose(&mut self, lane: Lane, log: LogId, upto: Lsn) {
        self.see(lane, log);
        let seen = self.line(lane).logs.get_mut(&log).expect("it was seen");
        seen.lost = Some(upto).filter(|upto| *upto > seen.last);
    }

    /// What waited for `seq` of a lane waits no more: if that was lost there, it came another way.
    pub(super) fn find(&mut self, lane: Lane, log: LogId, seq: Lsn) {
        let seen = self.lines.get_mut(&lane).and_then(|line| line.logs.get_mut(&log));
        if let Some(seen) = seen {
            seen.lost = seen.lost.filter(|upto| *upto > seq);
            // A mark that was read from the table: no record has said since up to where they are missing.
            seen.hole = seen.hole.filter(|upto| *upto > seen.last || *upto >= seq);
        }
    }

    /// Everything before `next` has been judged, or is parked.
    pub(super) fn pass(&mut self, lane: Lane, next: u64) {
        let line = self.line(lane);
        line.read = line.read.max(next);
    }

    /// The positions move as far as was read, unless something is missing, or parked at the position that `parked` says.
    pub(super) fn settle(&mut self, parked: impl Fn(Lane) -> Option<u64>) {
        for (lane, line) in self.lines.iter_mut().filter(|(_, line)| !line.has_hole()) {
            line.next = parked(*lane).unwrap_or(line.read);
        }
    }

    /// Up to where a lane was read; `None` where it is not there.
    pub(super) fn read(&self, lane: Lane) -> Option<u64> {
        self.lines.get(&lane).map(|line| line.read)
    }

    /// Where each lane stands.
    pub(super) fn next(&self) -> Positions {
        self.lines.iter().map(|(lane, line)| (*lane, line.next)).collect()
    }

    /// Where the lane stands of which a journal has only one.
    pub fn only(&self) -> u64 {
        self.lines.values().next().expect("a journal has a lane").next
    }

    /// The last `seq` of `log` stored from each lane, in their order; those that are not there have none.
    pub fn last(&self, log: LogId) -> Vec<Lsn> {
        let lanes = self.lines.keys().last().map_or(0, |lane| lane.index() + 1);
        (0..lanes).map(|index| self.last_in(Lane::at(index), log).unwrap_or(Lsn::ZERO)).collect()
    }

    /// What is missing.
    pub(super) fn holes(&self) -> Vec<Hole> {
        let mut holes = Vec::new();
        for (&lane, line) in &self.lines {
            for (&log, seen) in &line.logs {
                holes.extend(seen.missing().map(|upto| Hole { lane, log, after: seen.last, upto }));
            }
        }
        holes
    }

    /// Whether the table must learn of a hole, or of the end of one.
    pub(super) fn holes_moved(&self) -> bool {
        let mut seen = self.lines.values().flat_map(|line| line.logs.values());
        seen.any(|seen| seen.missing().is_some() != seen.written.is_some_and(|(_, hole, _)| hole))
    }

    /// What takes the table here. Empty where it is here.
    pub(super) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (&lane, line) in &self.lines {
            for (&log, seen) in &line.logs {
                let hole = seen.missing().is_some();
                let moved = seen.written.is_none_or(|(last, had, _)| (last, had) != (seen.last, hole));
                let is_own = log == line.own;
                if !(moved || is_own && line.written != (line.next, seen.last)) {
                    continue;
                }
                let (source, expected) = match is_own {
                    true => (self.source(lane).to_owned(), Some(line.written)),
                    false => (row_of_log(self.source(lane), log), seen.written.map(|(last, _, at)| (at, last))),
                };
                let (kpart, next, last_seq) = (lane.partition(), line.next, seen.last);
                moves.push(Move { source, kpart, expected, next, log, last_seq, hole });
            }
            if line.own == LogId::NONE && line.written.0 != line.next {
                moves.extend(self.stay(lane));
            }
        }
        moves
    }

    /// A lane's row, as it is: a sign of life, or a look whether it is where it was left. None of a lane that is not there.
    pub(super) fn stay(&self, lane: Lane) -> Option<Move> {
        let line = self.lines.get(&lane)?;
        let seen = line.logs.get(&line.own);
        Some(Move {
            source: self.source(lane).to_owned(),
            kpart: lane.partition(),
            expected: Some(line.written),
            next: line.next,
            log: line.own,
            last_seq: seen.map_or(Lsn::ZERO, |seen| seen.last),
            hole: seen.is_some_and(|seen| seen.missing().is_some()),
        })
    }

    /// What takes the table here, or a sign of life where it is here.
    pub(super) fn sign(&self) -> Vec<Move> {
        let moves = self.moves();
        if moves.is_empty() { self.lines.keys().take(1).filter_map(|first| self.stay(*first)).collect() } else { moves }
    }

    /// The table is here, after `moves`.
    pub(super) fn written(&mut self, moves: &[Move]) {
        for to in moves {
            let lane = self.sources.lane(&to.source, to.kpart).expect("moves are of these sources");
            let is_own = *to.source == **self.sources.of(lane);
            let line = self.line(lane);
            if is_own {
                line.written = (to.next, to.last_seq);
            }
            if let Some(seen) = line.logs.get_mut(&to.log) {
                seen.written = Some((to.last_seq, to.hole, to.next));
            }
        }
    }
}
