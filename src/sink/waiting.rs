//! What was read and is not done with: a queue, and beside it what must wait for an entry of another lane. Pure.
//!
//! ```text
//! queue                 g5 g6 | r7 ...
//! parked   lane 0       g9 g10          g9 is after r8, which has not come: all of its journal in its lane waits with it
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::feed::{Item, Positions};
use super::order::ASK_AGAIN;
use crate::grant::{Entry, Lane};
use crate::ids::{LogId, Lsn};

/// Records of a lane that may be parked before it is held: some transactions' worth.
pub(super) const PARKED_MAX: usize = 4096;

/// What waits so long is told.
const WORTH_TELLING: Duration = Duration::from_secs(10);

/// One journal's records in one lane.
pub(super) type Line = (Lane, LogId);

/// See above.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: VecDeque<Item>,
    parked: BTreeMap<Line, Parked>,
    words: BTreeMap<Line, Word>,
}

#[derive(Debug)]
struct Parked {
    items: VecDeque<Item>,
    /// Since when its first one is that.
    since: Instant,
    asked: Option<Instant>,
}

/// What is known of single entries of a line, beside what the lines tell.
#[derive(Debug, Default)]
struct Word {
    /// Up to here they may go.
    goes: Lsn,
    /// This one may not, although the lines say so: where the other lanes ended when that was found out.
    doubt: Option<(Lsn, Positions)>,
}

/// What a line waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    /// Which line.
    pub(super) line: Line,
    /// The `seq` of the first one that waits.
    pub(super) seq: Lsn,
    /// What it waits for.
    pub(super) after: Lsn,
}

impl Waiting {
    /// Read, behind all else.
    pub(super) fn push(&mut self, item: Item) {
        self.queue.push_back(item);
    }

    /// How many are in the queue.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many are parked.
    pub(super) fn parked(&self) -> usize {
        self.parked.values().map(|parked| parked.items.len()).sum()
    }

    /// What is read is read again.
    pub(super) fn clear(&mut self) {
        *self = Waiting::default();
    }

    /// The queue, in order.
    pub(super) fn queue(&self) -> impl Iterator<Item = &Item> {
        self.queue.iter()
    }

    /// The first of the queue.
    pub(super) fn front(&self) -> Option<&Item> {
        self.queue.front()
    }

    /// Takes it.
    pub(super) fn pop(&mut self) -> Option<Item> {
        self.queue.pop_front()
    }

    /// Whether something of the line waits already.
    pub(super) fn is_parked(&self, line: Line) -> bool {
        self.parked.contains_key(&line)
    }

    /// Sets `item` aside, behind what is parked of its line.
    pub(super) fn park(&mut self, line: Line, item: Item, now: Instant) {
        let parked = self.parked.entry(line);
        parked.or_insert_with(|| Parked { items: VecDeque::new(), since: now, asked: None }).items.push_back(item);
    }

    /// Lines that have something parked.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.parked.keys().copied().collect()
    }

    /// The first entry parked of each line that begins with one.
    pub(super) fn heads(&self) -> impl Iterator<Item = (Line, &Entry)> {
        self.parked.iter().filter_map(|(line, parked)| Some((*line, parked.items.front()?.entry()?)))
    }

    /// The first one parked of a line.
    pub(super) fn head(&self, line: Line) -> Option<&Item> {
        self.parked.get(&line).and_then(|parked| parked.items.front())
    }

    /// Takes it.
    pub(super) fn pop_parked(&mut self, line: Line, now: Instant) -> Option<Item> {
        let parked = self.parked.get_mut(&line)?;
        let item = parked.items.pop_front();
        (parked.since, parked.asked) = (now, None);
        if parked.items.is_empty() {
            self.parked.remove(&line);
        }
        item
    }

    /// What was taken and not stored comes back to where it was.
    pub(super) fn put_back(&mut self, taken: Vec<Item>) {
        for item in taken.into_iter().rev() {
            let line = item.place().map(|(log, _)| (item.lane, log));
            match line.and_then(|line| self.parked.get_mut(&line)) {
                Some(parked) => parked.items.push_front(item),
                None => self.queue.push_front(item),
            }
        }
    }

    /// Where the first one stands that is parked of a lane.
    pub(super) fn stop(&self, lane: Lane) -> Option<u64> {
        let of_lane = self.parked.iter().filter(|((of, _), _)| *of == lane);
        of_lane.filter_map(|(_, parked)| parked.items.front()).map(|item| item.position).min()
    }

    /// Whether the entry at `seq` may go, as far as that was found out; `None` where the lines tell.
    pub(super) fn word(&self, line: Line, seq: Lsn) -> Option<bool> {
        let word = self.words.get(&line)?;
        match &word.doubt {
            _ if seq <= word.goes => Some(true),
            Some((doubted, _)) if *doubted == seq => Some(false),
            Some(_) | None => None,
        }
    }

    /// What is parked of the line may go up to `seq`.
    pub(super) fn let_go(&mut self, line: Line, seq: Lsn) {
        self.words.entry(line).or_default().goes = seq;
    }

    /// The entry at `seq` may not go, although the lines say so, until the other lanes have come to where they end.
    pub(super) fn doubt(&mut self, line: Line, seq: Lsn, ends: Positions) {
        let word = self.words.entry(line).or_default();
        word.doubt = Some((seq, ends));
        word.goes = word.goes.min(seq.prev());
    }

    /// Where the other lanes ended when the entry at `seq` was doubted.
    pub(super) fn doubted(&self, line: Line, seq: Lsn) -> Option<&Positions> {
        let (doubted, ends) = self.words.get(&line)?.doubt.as_ref()?;
        (*doubted == seq).then_some(ends)
    }

    /// Entries parked of a line, in order.
    pub(super) fn entries(&self, line: Line) -> impl Iterator<Item = &Entry> {
        self.parked.get(&line).into_iter().flat_map(|parked| &parked.items).filter_map(Item::entry)
    }

    /// Lines whose head is due to be asked for; they are not for a while.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Line> {
        let mut due = Vec::new();
        for (line, parked) in &mut self.parked {
            if parked.asked.is_none_or(|at| now.duration_since(at) >= ASK_AGAIN) {
                parked.asked = Some(now);
                due.push(*line);
            }
        }
        due
    }

    /// Lanes with so much parked that no more is to be fetched; those that are `held` until half of it is gone. Never both
    /// of a partition: what one waits for comes with the other.
    pub(super) fn overfull(&self, held: &[Lane]) -> Vec<Lane> {
        let mut full = Vec::<Lane>::new();
        let mut counts = BTreeMap::<Lane, usize>::new();
        for ((lane, _), parked) in &self.parked {
            *counts.entry(*lane).or_default() += parked.items.len();
        }
        for (lane, count) in counts {
            let is_full = count >= if held.contains(&lane) { PARKED_MAX / 2 } else { PARKED_MAX };
            if is_full && !full.contains(&lane.other()) {
                full.push(lane);
            }
        }
        full
    }

    /// The line that has waited longest, if that is long.
    pub(super) fn blocked_for_long(&self, now: Instant) -> Option<Blocked> {
        let long = self.parked.iter().filter(|(_, parked)| now.duration_since(parked.since) >= WORTH_TELLING);
        let (line, _) = long.min_by_key(|(_, parked)| parked.since)?;
        let head = self.entries(*line).next()?;
        Some(Blocked { line: *line, seq: head.seq(), after: head.after() })
    }

    /// The time of the first entry that waits, as far as that is known.
    pub(super) fn oldest(&self) -> Option<i64> {
        let queued = self.queue.iter().find_map(Item::entry).into_iter();
        let parked = self.parked.values().filter_map(|parked| parked.items.front()).filter_map(Item::entry);
        queued.chain(parked).map(|entry| entry.at().0).min()
    }

    /// The record of `entry`, and what waits behind it.
    pub(super) fn onwards(&mut self, entry: &Entry) -> impl Iterator<Item = &mut Item> {
        let parked = self.parked.values_mut().flat_map(|parked| &mut parked.items);
        parked.chain(&mut self.queue).skip_while(move |item| item.entry() != Some(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::now;
    use crate::grant::{GrantUser, Kind, Return};
    use crate::ids::Millis;
    use crate::sink::feed::What;

    const LOG: LogId = LogId([7; 16]);

    fn lane() -> Lane {
        Lane::new(Kind::Return, 3)
    }

    fn item(lane: Lane, seq: u64) -> Item {
        let (seq, grant, user) = (Lsn::new(seq), Lsn::new(seq - 1), GrantUser::Int(1));
        let back = Return { log: LOG, seq, grant, campaign: "spring".into(), seat: 1, user, nth: 1, at: Millis(1) };
        let what = What::Entry { entry: Entry::Return(back), prev: Some(Lsn::ZERO), there: false, raw: None };
        Item { lane, position: seq.get() * 10, next: seq.get() * 10 + 1, what }
    }

    #[test]
    fn what_is_taken_and_put_back_stands_where_it_was() {
        let (mut waiting, now) = (Waiting::default(), now());
        (2..=4).for_each(|seq| waiting.park((lane(), LOG), item(lane(), seq), now));
        (5..=6).for_each(|seq| waiting.push(item(lane().other(), seq)));
        let mut taken = vec![waiting.pop().unwrap()];
        taken.extend((2..=3).map(|_| waiting.pop_parked((lane(), LOG), now).unwrap()));
        assert_eq!((waiting.stop(lane()), waiting.parked(), waiting.len()), (Some(40), 1, 1));
        waiting.put_back(taken);
        assert_eq!((waiting.stop(lane()), waiting.parked(), waiting.len()), (Some(20), 3, 2));
        let seqs: Vec<u64> = waiting.entries((lane(), LOG)).map(|entry| entry.seq().get()).collect();
        assert_eq!((seqs, waiting.front().unwrap().position), (vec![2, 3, 4], 50));
        (2..=4).for_each(|_| drop(waiting.pop_parked((lane(), LOG), now)));
        assert!(!waiting.is_parked((lane(), LOG)));
    }

    #[test]
    fn a_lane_is_held_while_much_is_parked_and_never_both_of_a_partition() {
        let (mut waiting, now) = (Waiting::default(), now());
        (2..).take(PARKED_MAX).for_each(|seq| waiting.park((lane(), LOG), item(lane(), seq), now));
        assert_eq!(waiting.overfull(&[]), [lane()]);
        (2..).take(PARKED_MAX).for_each(|seq| waiting.park((lane().other(), LOG), item(lane().other(), seq), now));
        assert_eq!(waiting.overfull(&[lane()]), [lane().other()]);
        (0..PARKED_MAX).for_each(|_| drop(waiting.pop_parked((lane().other(), LOG), now)));
        waiting.pop_parked((lane(), LOG), now);
        assert_eq!(
            (waiting.overfull(&[lane()]), waiting.overfull(&[])),
            (vec![lane()], vec![]),
            "until half of it is gone"
        );
    }

    #[test]
    fn what_waits_long_is_told_and_asked_for_now_and_then() {
        let (mut waiting, began) = (Waiting::default(), now());
        waiting.park((lane(), LOG), item(lane(), 9), began);
        assert_eq!((waiting.due(began), waiting.due(began)), (vec![(lane(), LOG)], vec![]));
        assert_eq!(waiting.due(began + ASK_AGAIN), [(lane(), LOG)]);
        assert_eq!(waiting.blocked_for_long(began + WORTH_TELLING / 2), None);
        let blocked = Blocked { line: (lane(), LOG), seq: Lsn::new(9), after: Lsn::new(8) };
        assert_eq!(waiting.blocked_for_long(began + WORTH_TELLING), Some(blocked));
    }
}
