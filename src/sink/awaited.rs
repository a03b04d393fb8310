//! What was published and never comes: the newest records of a lane that retention took before they were read, or
//! that were lost with its tail. No record behind them tells of the hole, so time does.

use std::time::{Duration, Instant};

use super::lines::Hole;

/// How long what was acknowledged to the stream may take to be read.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// What is awaited, and since when.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    holes: Vec<Hole>,
    since: Option<Instant>,
    lost: bool,
}

impl Awaited {
    /// Everything there is was read; `holes` are still awaited. Those of lanes that are `known` to have a hole are
    /// asked for anyway.
    pub(super) fn look(&mut self, holes: Vec<Hole>, known: &[Hole], now: Instant) {
        let is_known = |hole: &Hole| known.iter().any(|known| (known.lane, known.log) == (hole.lane, hole.log));
        let holes: Vec<Hole> = holes.into_iter().filter(|hole| !is_known(hole)).collect();
        let is_same = holes.len() == self.holes.len()
            && holes.iter().zip(&self.holes).all(|(new, old)| (new.lane, new.after) == (old.lane, old.after));
        if holes.is_empty() || !is_same {
            self.since = (!holes.is_empty()).then_some(now);
        }
        self.lost = self.since.is_some_and(|since| now.duration_since(since) >= ON_ITS_WAY);
        self.holes = holes;
    }

    /// What will not come by itself.
    pub(super) fn lost(&self) -> &[Hole] {
        if self.lost { &self.holes } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::now;
    use crate::grant::Lane;
    use crate::ids::{LogId, Lsn};

    #[test]
    fn what_is_awaited_for_long_is_lost_and_what_moves_is_not() {
        let hole = |lane, after, upto| Hole {
            lane: Lane::at(lane),
            log: LogId([7; 16]),
            after: Lsn::new(after),
            upto: Lsn::new(upto),
        };
        let (began, mut awaited) = (now(), Awaited::default());
        let mut at = |seconds, holes: Vec<Hole>, known: &[Hole]| {
            awaited.look(holes, known, began + Duration::from_secs(seconds));
            awaited.lost().to_vec()
        };
        assert_eq!(at(0, vec![hole(0, 3, 5)], &[]), []);
        assert_eq!(at(4, vec![hole(0, 3, 6)], &[]), [], "more is published meanwhile");
        assert_eq!(at(5, vec![hole(0, 3, 7)], &[]), [hole(0, 3, 7)]);
        assert_eq!(at(6, vec![hole(0, 4, 7)], &[]), [], "something came");
        assert_eq!(at(60, vec![], &[]), []);
        assert_eq!(at(61, vec![hole(0, 4, 9), hole(1, 2, 3)], &[hole(0, 4, 8)]), []);
        assert_eq!(at(66, vec![hole(0, 4, 9), hole(1, 2, 3)], &[hole(0, 4, 8)]), [hole(1, 2, 3)]);
    }
}
