//! One transaction, planned: which of the waiting records become rows, which dead letters, and where the positions go.

use std::collections::VecDeque;

use super::feed::{Item, What};
use super::lines::{Lines, Verdict};
use crate::core::Users;
use crate::grant::{Entry, GrantUser};
use crate::ids::{Lsn, Millis};
use crate::ledger::{DeadLetter, LedgerSettings, Move};

/// What a transaction does, and what the world looks like afterwards.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) rows: Vec<Entry>,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) moves: Vec<Move>,
    /// The partitions afterwards.
    pub(super) lines: Lines,
    /// Waiting records that are done with.
    pub(super) items: usize,
    pub(super) duplicates: u64,
    pub(super) foreign: u64,
}

impl Plan {
    /// The first of `waiting`, with at most `limit` rows and dead letters; those that are neither are done with on the
    /// way. The journal of each is known to `lines`.
    pub(super) fn new(
        waiting: &VecDeque<Item>,
        lines: &Lines,
        limit: usize,
        ledger: &LedgerSettings,
        source: &str,
        at: Millis,
    ) -> Plan {
        let mut plan = Plan {
            rows: Vec::new(),
            dead: Vec::new(),
            moves: Vec::new(),
            lines: lines.clone(),
            items: 0,
            duplicates: 0,
            foreign: 0,
        };
        for item in waiting {
            let is_record = matches!(item.what, What::Grant { .. } | What::Bad { .. });
            if plan.writes() >= limit && is_record {
                break;
            }
            plan.add(item, ledger, source, at);
            plan.items += 1;
        }
        plan.moves = plan.lines.moves();
        plan
    }

    /// Rows and dead letters.
    pub(super) fn writes(&self) -> usize {
        self.rows.len() + self.dead.len()
    }

    /// Whether it cannot wait for the next sign of life.
    pub(super) fn is_due(&self) -> bool {
        self.writes() > 0 || self.lines.holes_moved()
    }

    fn add(&mut self, item: &Item, ledger: &LedgerSettings, source: &str, at: Millis) {
        let dead = |reason: String, raw: &super::feed::Raw| DeadLetter {
            source: source.to_owned(),
            kpart: item.kpart,
            position: item.position,
            reason,
            key: raw.key.clone(),
            value: raw.value.clone(),
            headers: Some(raw.headers_json()),
            at,
        };
        match &item.what {
            What::Passed => {}
            What::Foreign => self.foreign += 1,
            What::Grant { grant, prev, there, raw } => {
                match self.lines.judge(item.kpart, grant.log, grant.seq, *prev) {
                    Verdict::Duplicate => self.duplicates += 1,
                    Verdict::Beyond => {}
                    Verdict::Apply if *there => self.duplicates += 1,
                    Verdict::Apply if !carried(ledger, &grant.user) => {
                        let reason = format!(
                            "user {} is no number, and --ledger-users is bigint: use text, with a table made for it",
                            grant.user
                        );
                        self.dead.push(dead(reason, raw.as_deref().unwrap_or(&super::feed::Raw::default())));
                    }
                    Verdict::Apply => self.rows.push(Entry::Grant { grant: grant.clone(), after: Lsn::ZERO }),
                }
            }
            What::Bad { reason, place, raw } => {
                let verdict = match place {
                    Some((log, seq, prev)) => self.lines.judge(item.kpart, *log, *seq, Some(*prev)),
                    None => Verdict::Apply,
                };
                match verdict {
                    Verdict::Apply => self.dead.push(dead(reason.clone(), raw)),
                    Verdict::Duplicate => self.duplicates += 1,
                    Verdict::Beyond => {}
                }
            }
        }
        self.lines.pass(item.kpart, item.next);
    }
}

fn carried(ledger: &LedgerSettings, user: &GrantUser) -> bool {
    match user {
        GrantUser::Int(_) => true,
        GrantUser::Any(_) => ledger.carries(Users::Any),
    }
}
