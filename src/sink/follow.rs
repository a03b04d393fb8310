//! How far a sink elsewhere is: read from the ledger each second, so that the gate knows what is stored and what is
//! missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SinkError;
use super::kafka_feed::{Connect, Topics};
use super::place::SILENCE;
use super::rows::{Rows, Sources};
use super::stop::Stop;
use super::trouble;
use crate::edge::{now, wall};
use crate::grant::Lane;
use crate::ids::{LogId, Lsn};
use crate::ledger::{LedgerReader, LedgerSettings};
use crate::metrics::Figures;
use crate::watermark::Watermarks;

/// How often the positions are read.
const LOOK: Duration = Duration::from_secs(1);

/// How long what is missing may be on its way before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// What is followed.
pub struct FollowOptions {
    /// The ledger that the sink elsewhere fills.
    pub ledger: LedgerSettings,
    /// Leads to the cluster, for its name.
    pub connect: Connect,
    /// What it reads.
    pub topics: Topics,
    /// The journal of this gate.
    pub log: LogId,
}

/// A running follower; it ends when this is dropped.
#[derive(Debug)]
pub struct FollowHandle {
    stop: Arc<Stop>,
}

impl Drop for FollowHandle {
    fn drop(&mut self) {
        self.stop.ask(now());
    }
}

/// Starts the thread that moves `stored`, passes on what is missing and tells when the ledger cannot be read or is not
/// being filled.
pub fn follow(
    options: FollowOptions,
    watermarks: Arc<Watermarks>,
    figures: Arc<Figures>,
) -> Result<FollowHandle, SinkError> {
    let stop = Arc::new(Stop::default());
    let mut follower = Follower::new(options, watermarks, figures);
    let word = Arc::clone(&stop);
    let run = move || {
        while word.deadline().is_none() {
            follower.look(now());
            word.rest_until(now() + LOOK);
        }
    };
    let thread = std::thread::Builder::new().name("follow".into());
    thread.spawn(run).map_err(|error| SinkError::Thread(error.to_string()))?;
    Ok(FollowHandle { stop })
}

/// What the thread knows.
pub(super) struct Follower {
    options: FollowOptions,
    watermarks: Arc<Watermarks>,
    figures: Arc<Figures>,
    sources: Option<Sources>,
    reader: Option<Box<dyn LedgerReader>>,
    /// The signs of life of the sink, and since when they are these.
    signs: (Vec<String>, Instant),
    missing: BTreeMap<Lane, (Lsn, Instant)>,
    trouble: String,
}

impl Follower {
    pub(super) fn new(options: FollowOptions, watermarks: Arc<Watermarks>, figures: Arc<Figures>) -> Follower {
        Follower {
            options,
            watermarks,
            figures,
            sources: None,
            reader: None,
            signs: (Vec::new(), now()),
            missing: BTreeMap::new(),
            trouble: String::new(),
        }
    }

    /// Looks once.
    pub(super) fn look(&mut self, now: Instant) {
        let line = match self.read() {
            Ok(rows) => {
                self.tell_stored(&rows);
                self.pass_on_holes(&rows, now);
                let silence = self.sign(&rows, now);
                if silence.is_some() {
                    // It may be another database by now.
                    self.reader = None;
                }
                silence.unwrap_or_default()
            }
            Err(line) => {
                self.reader = None;
                line
            }
        };
        let waits = self.watermarks.durable.get() > self.watermarks.stored.get();
        match (waits, self.figures.oldest_unstored_at.get()) {
            (false, _) => self.figures.oldest_unstored_at.set(0),
            // Which grant waits is not known here: it waits since now at the latest.
            (true, 0) => self.figures.oldest_unstored_at.set(u64::try_from(wall().0).unwrap_or(0)),
            (true, _) => {}
        }
        if line != self.trouble {
            if line.is_empty() {
                tracing::info!("ledger: the sink elsewhere fills it again");
            } else {
                tracing::warn!("{line}");
            }
            self.figures.ledger_trouble.set(line.clone());
            self.trouble = line;
        }
    }

    fn read(&mut self) -> Result<Rows, String> {
        let sources = match &self.sources {
            Some(sources) => sources.clone(),
            None => {
                let id = (self.options.connect)().and_then(|mut cluster| cluster.id());
                let id = id.map_err(|error| format!("ledger: how far the sink elsewhere is, is not known: {error}"))?;
                self.sources.insert(self.options.topics.sources(&id)).clone()
            }
        };
        if self.reader.is_none() {
            self.reader = self.options.ledger.to_read().map_err(|error| error.to_string())?;
        }
        let Some(reader) = &mut self.reader else {
            return Err("ledger: it has no tables yet: no sink has filled it".into());
        };
        let all = reader.all_positions().map_err(|error| error.to_string())?;
        Ok(Rows::new(&sources, all))
    }

    fn tell_stored(&self, rows: &Rows) {
        let lanes = rows.by_lane().map(|(lane, _)| lane.index() + 1).max().unwrap_or(0);
        let last = |index| rows.last(Lane::at(index), self.options.log).unwrap_or(Lsn::ZERO);
        let last: Vec<Lsn> = (0..lanes).map(last).collect();
        let stored = self.watermarks.stored_by(&last);
        if !rows.all.is_empty() && stored > self.watermarks.stored.get() {
            self.watermarks.stored.advance(stored);
        }
    }

    fn pass_on_holes(&mut self, rows: &Rows, now: Instant) {
        let holes = rows.by_lane().filter(|(_, row)| row.hole && row.log == self.options.log);
        let holes: BTreeMap<Lane, Lsn> = holes.map(|(lane, row)| (lane, row.last_seq)).collect();
        self.missing.retain(|lane, _| holes.contains_key(lane));
        for (lane, after) in holes {
            let known = self.missing.get(&lane);
            if known.is_none_or(|(told, at)| *told != after || now.duration_since(*at) >= ASK_AGAIN) {
                let place = trouble::name(lane);
                tracing::warn!("ledger: records behind seq {after} are missing in {place}: they are sent again");
                self.missing.insert(lane, (after, now));
                self.watermarks.lanes.miss(lane, after);
            }
        }
    }

    /// What to say when no sink is at work.
    fn sign(&mut self, rows: &Rows, now: Instant) -> Option<String> {
        let signs: Vec<String> = rows.all.iter().map(|row| row.beat.clone()).collect();
        if signs != self.signs.0 {
            self.signs = (signs, now);
        }
        if rows.all.is_empty() {
            return Some(format!("ledger: no sink has stored anything from {} yet", rows.sources));
        }
        if rows.owner().is_empty() {
            return Some("ledger: no sink is filling it: the last one has left in order".into());
        }
        let silent = now.duration_since(self.signs.1) > SILENCE;
        silent.then(|| format!("ledger: its sink gives no sign of life: {}", rows.owner()))
    }
}
