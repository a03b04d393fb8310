//! One transaction, planned: which of the waiting records are applied, which become dead letters, which must wait for
//! another lane, and where the positions go.
//!
//! Grants and returns of a campaign come in two lanes, each in order, and neither knows how far the other is. Whoever
//! comes after an entry of the other lane says so (`after`), and waits for it: the records behind him in his lane wait with
//! him, all other lanes go on. The one with the lowest `seq` of all that wait never has to, so there is always a next one.

use std::collections::BTreeSet;
use std::time::Instant;

use super::feed::{Item, Raw, What};
use super::lines::{Lines, Verdict};
use super::waiting::{Line, Waiting};
use crate::core::Users;
use crate::grant::{Entry, GrantUser, Lane};
use crate::ids::{Lsn, Millis};
use crate::ledger::{DeadLetter, LedgerSettings, Move};
use crate::sabotage::{Sabotage, on};

/// What a transaction does, and what the world looks like afterwards.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order in which they are applied.
    pub(super) entries: Vec<Entry>,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) moves: Vec<Move>,
    /// The lanes afterwards.
    pub(super) lines: Lines,
    /// The records that are done with, if it comes about.
    pub(super) taken: Vec<Item>,
    pub(super) duplicates: u64,
    pub(super) foreign: u64,
}

/// What a plan must keep to.
pub(super) struct Terms<'a> {
    /// Entries and dead letters at most.
    pub(super) limit: usize,
    pub(super) ledger: &'a LedgerSettings,
    pub(super) wall: Millis,
    pub(super) now: Instant,
}

impl Plan {
    /// The first of `waiting`; those that are neither entries nor dead letters are done with on the way. What is taken must
    /// be put back if the plan does not come about. The journal of each is known to `lines`.
    pub(super) fn new(waiting: &mut Waiting, lines: &Lines, terms: &Terms<'_>) -> Plan {
        let mut plan = Plan {
            entries: Vec::new(),
            dead: Vec::new(),
            moves: Vec::new(),
            lines: lines.clone(),
            taken: Vec::new(),
            duplicates: 0,
            foreign: 0,
        };
        for line in waiting.lines() {
            plan.release(waiting, line, terms);
        }
        while let Some(item) = waiting.front() {
            if !plan.has_room_for(item, terms) {
                break;
            }
            let item = waiting.pop().expect("it is the front");
            match line_of(&item) {
                Some(line) if waiting.is_parked(line) || !plan.may_go(waiting, &item) => {
                    plan.lines.pass(item.lane, item.next);
                    waiting.park(line, item, terms.now);
                }
                Some((lane, log)) => {
                    plan.add(waiting, item, terms);
                    plan.release(waiting, (lane.other(), log), terms);
                }
                None => plan.add(waiting, item, terms),
            }
        }
        plan.lines.settle(|lane| waiting.stop(lane));
        plan.moves = plan.lines.moves();
        plan.stay_where_relied_on();
        plan
    }

    /// What was applied before in another lane is relied on: its row must be where it was left, too. Of a ledger that was
    /// set back it is not, and nothing may be refused there for want of what is to be stored again.
    fn stay_where_relied_on(&mut self) {
        let builds = |item: &&Item| match &item.what {
            What::Entry { entry, .. } => entry.after() > Lsn::ZERO,
            What::Bad { place, .. } => place.is_some(),
            What::Foreign | What::Passed => false,
        };
        let others: BTreeSet<Lane> = self.taken.iter().filter(builds).map(|item| item.lane.other()).collect();
        for lane in others {
            let stay = self.lines.stay(lane);
            let is_new = |stay: &Move| self.moves.iter().all(|to| (&to.source, to.kpart) != (&stay.source, stay.kpart));
            self.moves.extend(stay.filter(is_new));
        }
    }

    /// Entries and dead letters.
    pub(super) fn writes(&self) -> usize {
        self.entries.len() + self.dead.len()
    }

    /// Whether it cannot wait for the next sign of life.
    pub(super) fn is_due(&self) -> bool {
        self.writes() > 0 || self.lines.holes_moved()
    }

    fn has_room_for(&self, item: &Item, terms: &Terms<'_>) -> bool {
        self.writes() < terms.limit || matches!(item.what, What::Foreign | What::Passed)
    }

    /// What is parked of `line` goes as far as it may, and what that lets go in turn.
    fn release(&mut self, waiting: &mut Waiting, line: Line, terms: &Terms<'_>) {
        let mut lines = vec![line];
        while let Some((lane, log)) = lines.pop() {
            while let Some(item) = waiting.head((lane, log)) {
                if !self.has_room_for(item, terms) {
                    return;
                }
                if !self.may_go(waiting, item) {
                    break;
                }
                let item = waiting.pop_parked((lane, log), terms.now).expect("it is the head");
                self.lines.find(lane.other(), log, item.entry().map_or(Lsn::ZERO, Entry::after));
                self.add(waiting, item, terms);
                lines.push((lane.other(), log));
            }
        }
    }

    /// Whether what it must come after is in the ledger. What is not to be applied waits for nothing.
    fn may_go(&self, waiting: &Waiting, item: &Item) -> bool {
        let What::Entry { entry, prev: Some(prev), there, .. } = &item.what else { return true };
        let (after, place) = (entry.after(), (entry.log(), entry.seq()));
        if after == Lsn::ZERO || *there {
            return true;
        }
        if self.lines.judge(item.lane, entry.kind(), place, Some(*prev)) != Verdict::Apply {
            return true;
        }
        let word = waiting.word((item.lane, entry.log()), entry.seq());
        word.unwrap_or_else(|| on(Sabotage::ReturnsUnordered) || self.lines.has(item.lane.other(), entry.log(), after))
    }

    fn add(&mut self, waiting: &Waiting, item: Item, terms: &Terms<'_>) {
        match &item.what {
            What::Passed => {}
            What::Foreign => self.foreign += 1,
            What::Entry { entry, prev, there, raw } => {
                if self.applies(waiting, &item, *prev) {
                    if *there {
                        self.duplicates += 1;
                    } else if carried(terms.ledger, entry.user()) {
                        self.entries.push(entry.clone());
                    } else {
                        let reason = format!(
                            "user {} is no number, and --ledger-users is bigint: use text, with a table made for it",
                            entry.user()
                        );
                        self.put_aside(&item, reason, raw.as_deref().unwrap_or(&Raw::default()), terms.wall);
                    }
                }
            }
            What::Bad { reason, place, raw } => {
                if place.is_none_or(|(.., prev)| self.applies(waiting, &item, Some(prev))) {
                    self.put_aside(&item, reason.clone(), raw, terms.wall);
                }
            }
        }
        self.lines.pass(item.lane, item.next);
        self.taken.push(item);
    }

    /// Judges a record that has a place in a line; whether it is the next one there, and has been counted as that.
    fn applies(&mut self, waiting: &Waiting, item: &Item, prev: Option<Lsn>) -> bool {
        let (lane, kind) = (item.lane, item.entry().map_or(item.lane.kind(), Entry::kind));
        let (log, seq) = item.place().expect("it has a place");
        self.lines.see(lane, log);
        match self.lines.judge(lane, kind, (log, seq), prev) {
            Verdict::Apply => {
                self.lines.apply(lane, log, seq);
                true
            }
            Verdict::Duplicate => {
                self.duplicates += 1;
                false
            }
            Verdict::Beyond => {
                let prev = prev.expect("only what is behind something can be beyond it");
                self.lines.miss(lane, log, prev, (item.position, waiting.stop(lane)));
                false
            }
        }
    }

    fn put_aside(&mut self, item: &Item, reason: String, raw: &Raw, at: Millis) {
        self.dead.push(DeadLetter {
            source: self.lines.source(item.lane).to_owned(),
            kpart: item.lane.partition(),
            position: item.position,
            reason,
            key: raw.key.clone(),
            value: raw.value.clone(),
            headers: Some(raw.headers_json()),
            at,
        });
    }
}

fn line_of(item: &Item) -> Option<Line> {
    item.place().map(|(log, _)| (item.lane, log))
}

fn carried(ledger: &LedgerSettings, user: &GrantUser) -> bool {
    match user {
        GrantUser::Int(_) => true,
        GrantUser::Any(_) => ledger.carries(Users::Any),
    }
}
