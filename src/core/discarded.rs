//! What a drop or a flush left behind, freed a bounded piece at a time.

use crate::core::keys::Keyspace;
use crate::core::roster::Roster;

/// Memory that belongs to no state any more.
#[derive(Debug, Default)]
pub(super) struct Discarded(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Keys(Keyspace),
    Roster(Roster),
}

impl Discarded {
    pub(super) fn keys(&mut self, keys: Keyspace) {
        self.0.push(Piece::Keys(keys));
    }

    pub(super) fn roster(&mut self, roster: Roster) {
        self.0.push(Piece::Roster(roster));
    }

    /// Frees about `budget` entries; true while something is left.
    pub(super) fn sweep(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while left > 0
            && let Some(piece) = self.0.last_mut()
        {
            let freed = match piece {
                Piece::Keys(keys) => keys.free(left),
                Piece::Roster(roster) => roster.free(left),
            };
            if freed == 0 {
                self.0.pop();
            }
            left = left.saturating_sub(freed.max(1));
        }
        !self.0.is_empty()
    }
}
