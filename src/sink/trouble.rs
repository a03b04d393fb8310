//! What is wrong at the moment, told once and then at intervals.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::lines::Hole;
use super::waiting::{Blocked, Line};
use super::worker::Fault;
use crate::grant::{Kind, Lane};
use crate::ids::Lsn;
use crate::ledger::LedgerError;

/// How often a trouble that lasts is logged.
const REMIND: Duration = Duration::from_secs(60);

/// How long what is missing may be on its way before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// The last fault's line, and when it was logged.
    fault: Option<(String, Instant)>,
    /// Since when each hole is asked for, and up to where it went then.
    holes: BTreeMap<Line, (Lsn, Instant)>,
    /// The line about holes, while there are some.
    missing: Option<String>,
    /// What has waited for another lane for long, and the line about it.
    blocked: Option<(Blocked, String)>,
    changed: bool,
}

impl Trouble {
    /// Logs a fault, unless that was said a moment ago. `is_stale`: the gate refuses claims meanwhile.
    pub(super) fn tell(&mut self, fault: &Fault, is_stale: bool, now: Instant) {
        let line = fault.line();
        let stands_by = matches!(fault, Fault::Ledger(LedgerError::TakenOver(_)));
        let due = match &self.fault {
            None => true,
            Some((told, at)) => now.duration_since(*at) >= REMIND && !stands_by || stands_by && *told != line,
        };
        if !due {
            return;
        }
        if stands_by {
            tracing::info!("{line}");
        } else if fault.passes() {
            tracing::warn!("{line}; {}", meaning(true, is_stale));
        } else {
            tracing::error!("{line}; {}", meaning(false, is_stale));
        }
        self.fault = Some((line, now));
    }

    /// A turn came about: the line about the ledger, if it is another one than before.
    pub(super) fn well(&mut self) -> Option<String> {
        let over = self.fault.take().is_some();
        if over {
            tracing::info!("ledger: stores again");
        }
        (over || std::mem::take(&mut self.changed)).then(|| self.line())
    }

    fn line(&self) -> String {
        let blocked = self.blocked.as_ref().map(|(_, line)| line.clone());
        self.missing.clone().or(blocked).unwrap_or_default()
    }

    /// What has waited for another lane for long.
    pub(super) fn blocked(&mut self, blocked: Option<Blocked>) {
        if blocked != self.blocked.as_ref().map(|(told, _)| *told) {
            self.changed = true;
            self.blocked = blocked.map(|blocked| (blocked, waits(&blocked)));
            if let Some((_, line)) = &self.blocked {
                tracing::warn!("{line}");
            }
        }
    }

    /// What is missing at the moment: those that are to be asked for (again).
    pub(super) fn holes(&mut self, holes: &[Hole], now: Instant) -> Vec<Hole> {
        self.holes.retain(|key, _| holes.iter().any(|hole| (hole.lane, hole.log) == *key));
        let mut ask = Vec::new();
        for hole in holes {
            let known = self.holes.get(&(hole.lane, hole.log));
            if known.is_none_or(|(after, at)| *after != hole.after || now.duration_since(*at) >= ASK_AGAIN) {
                tracing::error!("{}", line(hole));
                self.holes.insert((hole.lane, hole.log), (hole.after, now));
                ask.push(*hole);
            }
        }
        let missing = holes.first().map(line);
        self.changed |= missing != self.missing;
        self.missing = missing;
        ask
    }
}

/// What a fault means for claims and for the ledger; `passes`: another moment can heal it.
pub(super) fn meaning(passes: bool, is_stale: bool) -> &'static str {
    match (passes, is_stale) {
        (true, false) => "claims go on, the ledger follows when it can",
        (false, false) => "claims go on, the ledger does not",
        (true, true) => "claims are refused (STALE), the ledger follows when it can",
        (false, true) => "claims are refused (STALE), nothing is stored",
    }
}

fn line(hole: &Hole) -> String {
    let Hole { lane, log, after, upto } = hole;
    format!(
        "ledger: records of log {log} are missing in {}, behind seq {after} and up to {upto}: what comes behind them is not \
         stored until the gate has sent them again (is that gate gone for good? then stop the sink, and set last_seq = \
         {upto}, hole = 0 there in coupon_sink_position)",
        name(*lane)
    )
}

fn waits(blocked: &Blocked) -> String {
    let Blocked { line: (lane, log), seq, after } = blocked;
    let awaited = match lane.kind() {
        Kind::Grant => "return",
        Kind::Return => "grant",
    };
    format!(
        "ledger: records of log {log} in {} wait from seq {seq} on for the {awaited} with seq {after}, which is not in the \
         ledger; all else goes on (was it put aside? then `coupon-gate dead-letters retry` brings it in)",
        name(*lane)
    )
}

/// A lane in words.
pub(super) fn name(lane: Lane) -> String {
    match lane.kind() {
        Kind::Grant => format!("partition {}", lane.partition()),
        Kind::Return => format!("partition {} of the returns", lane.partition()),
    }
}
