//! What is wrong at the moment, told once and then at intervals.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::lines::Hole;
use super::worker::Fault;
use crate::ids::{LogId, Lsn};
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
    holes: BTreeMap<(u32, LogId), (Lsn, Instant)>,
    /// The line about holes, while there are some.
    missing: Option<String>,
    changed: bool,
}

impl Trouble {
    /// Logs a fault, unless that was said a moment ago.
    pub(super) fn tell(&mut self, fault: &Fault, now: Instant) {
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
            tracing::warn!("{line}; claims go on, the ledger follows when it can");
        } else {
            tracing::error!("{line}; claims go on, the ledger does not");
        }
        self.fault = Some((line, now));
    }

    /// A turn came about: the line about the ledger, if it is another one than before.
    pub(super) fn well(&mut self) -> Option<String> {
        let over = self.fault.take().is_some();
        if over {
            tracing::info!("ledger: stores again");
        }
        (over || std::mem::take(&mut self.changed)).then(|| self.missing.clone().unwrap_or_default())
    }

    /// What is missing at the moment: those that are to be asked for (again).
    pub(super) fn holes(&mut self, holes: &[Hole], now: Instant) -> Vec<Hole> {
        self.holes.retain(|key, _| holes.iter().any(|hole| (hole.kpart, hole.log) == *key));
        let mut ask = Vec::new();
        for hole in holes {
            let known = self.holes.get(&(hole.kpart, hole.log));
            if known.is_none_or(|(after, at)| *after != hole.after || now.duration_since(*at) >= ASK_AGAIN) {
                tracing::error!("{}", line(hole));
                self.holes.insert((hole.kpart, hole.log), (hole.after, now));
                ask.push(*hole);
            }
        }
        let missing = holes.first().map(line);
        self.changed |= missing != self.missing;
        self.missing = missing;
        ask
    }
}

fn line(hole: &Hole) -> String {
    let Hole { kpart, log, after, upto } = hole;
    format!(
        "ledger: records of log {log} are missing in partition {kpart}, behind seq {after} and up to {upto}: what comes \
         behind them is not stored until the gate has sent them again (is that gate gone for good? then stop the sink, and \
         set last_seq = {upto}, hole = 0 there in coupon_sink_position)"
    )
}
