//! What must come and never does: the newest records of a lane that retention took before they were read, or that were
//! lost with its tail. No record behind them tells of the hole. That they were published does, where this process did
//! that; elsewhere what waits for one of them in the other lane; and time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::lines::Hole;
use super::waiting::Line;
use super::worker::{Progress, Worker};
use crate::edge::now;

/// How long what was sent may take to be read.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// What is awaited of each journal in each lane, and since when. What moves in other lanes changes nothing here.
#[derive(Debug, Default)]
pub(super) struct Awaited(BTreeMap<Line, One>);

#[derive(Clone, Copy, Debug)]
struct One {
    hole: Hole,
    /// Since when it is awaited behind the same record, or when the lane was last asked for it.
    since: Instant,
    is_lost: bool,
}

impl Awaited {
    /// `holes` are awaited, and nothing else: one of each line at most.
    fn look(&mut self, holes: Vec<Hole>, now: Instant) {
        let before = std::mem::take(&mut self.0);
        for hole in holes {
            let line = (hole.lane, hole.log);
            let known = before.get(&line).filter(|known| known.hole.after == hole.after);
            let one = known.map_or(One { hole, since: now, is_lost: false }, |known| One { hole, ..*known });
            self.0.insert(line, one);
        }
    }

    /// What has been awaited for long and is not known to be lost; it is not told again for as long.
    fn overdue(&mut self, now: Instant) -> Vec<Hole> {
        let mut overdue = Vec::new();
        for one in self.0.values_mut() {
            if !one.is_lost && now.duration_since(one.since) >= ON_ITS_WAY {
                one.since = now;
                overdue.push(one.hole);
            }
        }
        overdue
    }

    /// It does not come by itself.
    fn lose(&mut self, hole: &Hole) {
        if let Some(one) = self.0.get_mut(&(hole.lane, hole.log)) {
            one.is_lost = true;
        }
    }

    /// What will not come by itself, as it was at the last look.
    pub(super) fn lost(&self) -> impl Iterator<Item = &Hole> {
        self.0.values().filter(|one| one.is_lost).map(|one| &one.hole)
    }
}

impl Worker {
    /// Nothing is in the queue: what has been awaited for long from a lane of which nothing is left to read is missing
    /// there. Where nobody in this process has it, the ledger tells, as of a hole.
    pub(super) fn look_for_lost(&mut self) {
        let Worker { feed, progress, .. } = self;
        let Progress { waiting, lines, awaited, .. } = progress;
        let lines = lines.as_mut().expect("a turn begins with its place");
        let mut holes = feed.awaits(lines);
        let heads = waiting.heads().filter(|((_, log), _)| !feed.reaches(*log));
        holes.extend(heads.filter_map(|((lane, log), entry)| lines.behind(lane.other(), log, entry.after())));
        let known = lines.holes();
        let is_known = |hole: &Hole| known.iter().any(|known| (known.lane, known.log) == (hole.lane, hole.log));
        // What is parked has come, and what is known to be missing is asked for anyway.
        holes.retain(|hole| !is_known(hole) && !waiting.is_parked((hole.lane, hole.log)));
        awaited.look(holes, now());
        for hole in awaited.overdue(now()) {
            let next = lines.read(hole.lane);
            // A source that cannot tell is asked another time.
            if next.is_some_and(|next| feed.is_read(hole.lane, next) == Ok(true)) {
                match feed.reaches(hole.log) {
                    true => awaited.lose(&hole),
                    false => lines.lose(hole.lane, hole.log, hole.upto),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::Lane;
    use crate::ids::{LogId, Lsn};

    #[test]
    fn each_lane_has_a_clock_of_its_own_and_what_moves_is_not_lost() {
        let hole = |lane, after, upto| Hole {
            lane: Lane::at(lane),
            log: LogId([7; 16]),
            after: Lsn::new(after),
            upto: Lsn::new(upto),
        };
        let (began, mut awaited) = (now(), Awaited::default());
        let mut at = |seconds, holes: Vec<Hole>| {
            let now = began + Duration::from_secs(seconds);
            awaited.look(holes, now);
            let overdue = awaited.overdue(now);
            // Of the first lane there is something left to read.
            overdue.iter().filter(|hole| hole.lane != Lane::at(0)).for_each(|hole| awaited.lose(hole));
            (overdue, awaited.lost().copied().collect::<Vec<_>>())
        };
        assert_eq!(at(0, vec![hole(0, 3, 5), hole(1, 2, 5)]), (vec![], vec![]));
        assert_eq!(at(4, vec![hole(0, 3, 5), hole(1, 2, 6), hole(2, 1, 7)]), (vec![], vec![]), "more is published");
        let lost = vec![hole(1, 2, 6)];
        assert_eq!(
            at(5, vec![hole(0, 3, 5), hole(1, 2, 6), hole(2, 6, 7)]),
            (vec![hole(0, 3, 5), hole(1, 2, 6)], lost.clone()),
            "what moves in another lane makes none of them wait longer"
        );
        assert_eq!(at(9, vec![hole(0, 3, 5), hole(1, 2, 6)]), (vec![], lost.clone()));
        assert_eq!(at(10, vec![hole(0, 3, 5), hole(1, 2, 6)]), (vec![hole(0, 3, 5)], lost), "asked again");
        assert_eq!(at(11, vec![hole(0, 4, 5), hole(1, 4, 6)]), (vec![], vec![]), "something came");
        assert_eq!(at(60, vec![]), (vec![], vec![]));
    }
}
