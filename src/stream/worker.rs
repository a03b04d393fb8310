//! The stream's thread: finds its place in the topics, publishes what is durable, keeps its place through every failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, REST_MAX, Reminder};
use super::checkpoint::{self, Checkpoint};
use super::records::{At, Entries, JournalFiles, entry_at};
use super::resume::{self, Aim, Resume};
use super::session::{Fault, Form, Session};
use super::signals::Signals;
use super::topics::Topics;
use super::{Connect, Options};
use crate::edge::{draw, now, wall};
use crate::grant::{Entry, Kind};
use crate::ids::Lsn;
use crate::journal::Campaigns;
use crate::kafka::Cluster;
use crate::metrics::Figures;
use crate::sabotage::{Sabotage, on};
use crate::watermark::Watermarks;
use crate::wire::kafka::Key;

/// How long one wait lasts before the word to stop and the sink's wishes are looked for.
const GLANCE: Duration = Duration::from_millis(100);

/// How old the checkpoint may get while records are acknowledged.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The longest rest after a failure once the word to stop has come: the time left is for trying.
const REST_AT_THE_END: Duration = Duration::from_millis(500);

/// What is between the journal and the topics. Runs on a thread of its own; tests turn it by hand.
pub(super) struct Worker {
    connect: Connect,
    topics: Topics,
    settings: Settings,
    files: JournalFiles,
    campaigns: Campaigns,
    watermarks: Arc<Watermarks>,
    figures: Arc<Figures>,
    signals: Arc<Signals>,
    on_progress: Box<dyn Fn() + Send>,
    /// What is known of the topics while there is no session.
    known: Option<Checkpoint>,
    session: Option<Session>,
    /// Requests of a dead producer may arrive until then.
    late_until: Option<Instant>,
    late_window: Duration,
    /// The journal was older than a topic. Growth would hide that and heal nothing: only a start does.
    stale: Option<String>,
    /// The last `seq` told as published, by lane: what is sent again was published before.
    told: Vec<Lsn>,
    saved: (Instant, Lsn),
    save_trouble: Reminder,
    warned: bool,
}

/// What stays as it was set.
struct Settings {
    accept_partitions: Option<u32>,
    adopt: bool,
    log: crate::ids::LogId,
    key: Key,
    value: crate::wire::kafka::Value,
}

/// How things went lately.
#[derive(Debug, Default)]
pub(super) struct Mood {
    backoff: Backoff,
    trouble: Reminder,
}

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one.
    Turn,
    /// Another one when there is something to do.
    Wait,
    /// Another one after this long.
    Rest(Duration),
    /// Nothing: the word to stop has come, and no turn would help.
    End,
}

/// What one turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Something was sent, read or acknowledged.
    Moved,
    /// There is nothing to do until something is acknowledged or the journal grows.
    Idle,
}

impl Worker {
    pub(super) fn new(
        options: Options,
        watermarks: Arc<Watermarks>,
        figures: Arc<Figures>,
        files: JournalFiles,
        campaigns: Campaigns,
        signals: Arc<Signals>,
        on_progress: Box<dyn Fn() + Send>,
    ) -> Worker {
        let Options { connect, brokers, topic, cancel_topic, create, accept_partitions, .. } = options;
        let Options { key, value, adopt, log, late_window, .. } = options;
        let known = checkpoint::load(files.disk.as_ref(), &files.data, log);
        let crashed = known.as_ref().is_some_and(|known| !known.clean);
        Worker {
            connect,
            topics: Topics { brokers, grants: topic, returns: cancel_topic, create },
            settings: Settings { accept_partitions, adopt, log, key, value },
            files,
            campaigns,
            watermarks,
            figures,
            signals,
            on_progress,
            known,
            session: None,
            late_until: crashed.then(|| now() + late_window),
            late_window,
            stale: None,
            told: Vec::new(),
            saved: (now(), Lsn::ZERO),
            save_trouble: Reminder::default(),
            warned: false,
        }
    }

    /// Turns until the word to stop has come and everything durable is published, or its deadline has.
    pub(super) fn run(mut self) {
        let mut mood = Mood::default();
        loop {
            let asked = self.signals.deadline();
            if asked.is_some_and(|deadline| now() >= deadline || self.is_done()) {
                break;
            }
            let seen = self.watermarks.durable.nudges();
            match self.step(&mut mood, asked.is_some()) {
                Next::Turn => {}
                Next::Wait => {
                    let behind = self.session.as_ref().map_or(Lsn::ZERO, Session::waits_behind);
                    self.watermarks.durable.wait_past_or_nudge(behind, seen, GLANCE);
                }
                Next::Rest(rest) => self.signals.rest_until(now() + rest),
                Next::End => break,
            }
        }
        self.settle();
        self.signals.end();
    }

    /// One turn, and what is to come after it. `asked`: the word to stop has come.
    pub(super) fn step(&mut self, mood: &mut Mood, asked: bool) -> Next {
        match self.turn() {
            Ok(turn) => {
                if self.is_well() {
                    mood.backoff.reset(now());
                    if mood.trouble.over() {
                        tracing::info!("kafka: publishes again");
                        self.figures.kafka_trouble.set("");
                    }
                }
                if turn == Turn::Idle && (!asked || !self.is_done()) { Next::Wait } else { Next::Turn }
            }
            Err(fault) => {
                self.tell(&fault, &mut mood.trouble);
                if asked && !fault.passes() {
                    return Next::End;
                }
                let rest = if fault.passes() { mood.backoff.next(now(), draw()) } else { REST_MAX };
                Next::Rest(if asked { rest.min(REST_AT_THE_END) } else { rest })
            }
        }
    }

    /// Everything durable is published, and nothing else is on its way.
    fn is_done(&self) -> bool {
        let settled = self.session.as_ref().is_none_or(Session::is_settled);
        settled && self.watermarks.published.get() >= self.watermarks.durable.get()
    }

    /// The producer has shown that it works, or has nothing to do.
    fn is_well(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.acknowledged() > 0 || session.is_settled())
    }

    /// Finds its place, takes what is acknowledged, sends what has room.
    pub(super) fn turn(&mut self) -> Result<Turn, Fault> {
        let turn = self.hold().and_then(|()| self.publish());
        if let Err(fault) = &turn {
            self.close(fault);
        }
        turn
    }

    fn publish(&mut self) -> Result<Turn, Fault> {
        let session = self.session.as_mut().expect("a turn begins with its place");
        let (before, acknowledged) = (session.published(), session.acknowledged());
        let taken = session.take_acks();
        let acknowledged = session.acknowledged() - acknowledged;
        self.figures.kafka_records.add(acknowledged);
        if taken.is_err() {
            self.follow();
        }
        taken?;
        let missing = self.watermarks.lanes.take_missing();
        let session = self.session.as_mut().expect("a turn begins with its place");
        if !missing.is_empty() {
            session.send_again(missing, &self.files)?;
        }
        if session.has_old_rule_ended() {
            session.old_rule = None;
            let known = self.known.clone();
            self.remember(false);
            self.change_rule(known)?;
        }
        let session = self.session.as_mut().expect("a turn begins with its place");
        let durable = self.watermarks.durable.get();
        let form = Form { key: self.settings.key, value: self.settings.value, wall: wall() };
        let sent = session.send(&mut self.campaigns, durable, form);
        let moved = acknowledged > 0 || session.published() > before || sent == Ok(true);
        self.follow();
        sent?;
        self.save_in_time();
        Ok(if moved { Turn::Moved } else { Turn::Idle })
    }

    /// Connects, reads the tails back, makes a producer.
    fn hold(&mut self) -> Result<(), Fault> {
        if self.session.is_some() {
            return Ok(());
        }
        if let Some(line) = &self.stale {
            return Err(Fault::Stale(line.clone()));
        }
        // What this process has published since is in the journal: only what was there before can be beyond it.
        let durable = self.watermarks.durable.get();
        let mut cluster = (self.connect)()?;
        let id = cluster.id()?;
        let Settings { log, adopt, accept_partitions, key, .. } = self.settings;
        let there = self.topics.look(cluster.as_mut())?;
        let (topic, cancel_topic) = (self.topics.grants.name.clone(), self.topics.returns.clone());
        let known = self.known.as_ref().filter(|known| known.cluster == id && known.topic == topic);
        let partitions = there.partitions(known.map(|known| known.rule.partitions), &self.topics);
        let cancel_topic = cancel_topic.as_deref();
        let is_new = durable == Lsn::ZERO && !on(Sabotage::IgnoreTheWorld);
        let aim = Aim { topic: &topic, cancel_topic, log, key, partitions, accept_partitions, adopt, is_new };
        if let Some(known) = &self.known
            && !resume::belongs(known, &id, &aim)?
        {
            self.known = None;
        }
        self.topics.complete(cluster.as_mut(), there, partitions)?;
        let mut resume = self.look(cluster.as_mut(), &aim, durable)?;
        if let Some(until) = self.late_until.take().filter(|until| now() < *until) {
            self.signals.looked();
            self.signals.rest_until(until);
            resume = self.look(cluster.as_mut(), &aim, durable)?;
        }
        self.signals.looked();
        for found in resume.found.values() {
            self.figures.kafka_duplicates.add(found.duplicates);
            if let Some(line) = &found.lost {
                tracing::error!("{line}");
            }
        }
        self.warn(cluster.as_mut());
        let watermarks = Arc::clone(&self.watermarks);
        let writer = cluster.writer(&self.topics.names(), Box::new(move || watermarks.durable.nudge()))?;
        let next = resume.published.next();
        let next = if on(Sabotage::StreamOneLate) { next.next() } else { next };
        let next = if on(Sabotage::StreamOneEarly) { next.prev() } else { next };
        let entries = Entries::from(&self.files, next)?;
        let names = self.topics.names().into_iter().map(str::to_owned).collect();
        self.session = Some(Session::new(cluster, writer, names, partitions, &resume, entries));
        let before = self.known.replace(self.checkpoint(id, false).expect("there is a session"));
        self.follow();
        self.change_rule(before)
    }

    /// Writes `known` down. Where entries are dealt by another rule than `before`, nothing is sent until that stands
    /// there: a crash would deal by the old rule what went out by the new one.
    fn change_rule(&mut self, before: Option<Checkpoint>) -> Result<(), Fault> {
        let same = before.as_ref().is_none_or(|before| Some(before.rule) == self.known.as_ref().map(|is| is.rule));
        if same {
            self.save();
            return Ok(());
        }
        self.write_down().map_err(|line| {
            self.known = before;
            Fault::Journal(line)
        })
    }

    /// Looks at the tails, and whether this is the journal that they were written from.
    fn look(&mut self, cluster: &mut dyn Cluster, aim: &Aim<'_>, durable: Lsn) -> Result<Resume, Fault> {
        let resume = match resume::examine(cluster, aim, self.known.as_ref()) {
            Err(Fault::Stale(line)) => return Err(self.refuse_claims(line)),
            examined => examined?,
        };
        if on(Sabotage::IgnoreTheWorld) {
            return Ok(resume);
        }
        let stale = match resume::ahead(aim, &resume, self.known.as_ref(), durable) {
            Some(line) => Some(line),
            None => self.other_than_the_journal(aim, &resume, durable)?,
        };
        let Some(line) = stale else { return Ok(resume) };
        Err(self.refuse_claims(line))
    }

    /// The world around it is newer than the journal.
    fn refuse_claims(&mut self, line: String) -> Fault {
        let told = format!("kafka: {line}");
        self.figures.set_stale(line);
        self.stale = Some(told.clone());
        Fault::Stale(told)
    }

    /// The newest record of each tail must be the journal's own: a journal that was set back and has grown again since
    /// holds another entry in its place.
    fn other_than_the_journal(
        &mut self,
        aim: &Aim<'_>,
        resume: &Resume,
        durable: Lsn,
    ) -> Result<Option<String>, Fault> {
        for (lane, found) in &resume.found {
            let Some(there) = found.newest.as_ref().map(|record| &record.entry) else { continue };
            let ours = entry_at(&self.files, &mut self.campaigns, there.seq(), durable)?;
            let ours = match ours {
                At::GivenUp => continue,
                At::NoEntry => format!("the journal has no {} there", lane.kind().word()),
                At::Entry(ours) => {
                    let what =
                        |entry: &Entry| (entry.kind(), entry.campaign().clone(), entry.seat(), Key::User.of(entry));
                    if what(&ours) == what(there) {
                        continue;
                    }
                    format!("the journal says {ours}")
                }
            };
            return Ok(Some(format!(
                "this is not the journal that topic {} was filled from: {} holds {there}, {ours} (was the data directory \
                 restored from a copy?); nothing is published and no claim is decided until `coupon-gate catch-up --from \
                 kafka` has looked at it",
                aim.topic,
                aim.place(*lane)
            )));
        }
        Ok(None)
    }

    /// What about the topics' settings puts records at risk, once.
    fn warn(&mut self, cluster: &mut dyn Cluster) {
        if self.warned {
            return;
        }
        let lines: Result<Vec<_>, _> = self.topics.names().into_iter().map(|name| cluster.warnings(name)).collect();
        if let Ok(lines) = lines {
            self.warned = true;
            lines.iter().flatten().for_each(|line| tracing::warn!("kafka: {line}"));
        }
    }

    /// Ends the session. What its producer still gets answered counts; what it does not may arrive later.
    fn close(&mut self, fault: &Fault) {
        if self.session.is_none() {
            return;
        }
        let until = now() + self.late_window;
        let answers_count = matches!(fault, Fault::Kafka(_) | Fault::Journal(_));
        while let Some(session) = self.session.as_mut().filter(|_| answers_count && now() < until) {
            let seen = self.watermarks.durable.nudges();
            let before = session.acknowledged();
            if let Err(Fault::Replaced(_)) = session.take_acks() {
                break;
            }
            self.figures.kafka_records.add(session.acknowledged() - before);
            if session.in_flight() == 0 || self.signals.deadline().is_some() {
                break;
            }
            self.watermarks.durable.wait_past_or_nudge(Lsn::new(u64::MAX), seen, GLANCE);
        }
        self.follow();
        self.remember(false);
        let Some(session) = self.session.take() else { return };
        if session.in_flight() > 0 {
            self.late_until = Some(now() + self.late_window);
        }
        self.figures.kafka_in_flight.set(0);
    }

    /// Moves `published` and the figures to where the session is. What is sent again after a loss was published before:
    /// that is not taken back.
    fn follow(&mut self) {
        let Some(session) = &self.session else { return };
        self.told.resize(session.acked().count().max(self.told.len()), Lsn::ZERO);
        for (told, acked) in self.told.iter_mut().zip(session.acked()) {
            *told = acked.max(*told);
        }
        let oldest = session.oldest().map_or(0, |at| u64::try_from(at.0).unwrap_or(0));
        self.figures.oldest_unpublished_at.set(oldest);
        self.figures.kafka_in_flight.set(session.in_flight() as u64);
        self.watermarks.lanes.set_published(&self.told);
        let published = session.published();
        if published > self.watermarks.published.get() {
            self.watermarks.published.advance(published);
            (self.on_progress)();
        }
    }

    /// The checkpoint as the session has it.
    fn checkpoint(&self, cluster: String, clean: bool) -> Option<Checkpoint> {
        let session = self.session.as_ref()?;
        Some(Checkpoint {
            log: self.settings.log,
            cluster,
            topic: self.topics.grants.name.clone(),
            cancel_topic: self.topics.returns.clone(),
            rule: session.rule(self.settings.key),
            published: session.published(),
            clean: clean && session.is_settled(),
            acked: session.there(Kind::Grant),
            returned: session.there(Kind::Return),
        })
    }

    /// Brings `known` up to the session.
    pub(super) fn remember(&mut self, clean: bool) {
        if let Some(Checkpoint { cluster, .. }) = &self.known
            && let Some(checkpoint) = self.checkpoint(cluster.clone(), clean)
        {
            self.known = Some(checkpoint);
        }
    }

    fn save_in_time(&mut self) {
        let (saved, published) = self.saved;
        let moved = self.session.as_ref().is_some_and(|session| session.published() > published);
        if moved && now().duration_since(saved) >= SAVE_EVERY {
            self.remember(false);
            self.save();
        }
    }

    /// Writes `known` down. Without it nothing is lost but time.
    pub(super) fn save(&mut self) {
        if let Err(line) = self.write_down()
            && self.save_trouble.due(now(), &line)
        {
            tracing::warn!("{line}; after a crash the topics themselves are searched for what was published");
        }
    }

    fn write_down(&mut self) -> Result<(), String> {
        let Some(known) = &self.known else { return Ok(()) };
        self.saved = (now(), known.published);
        match checkpoint::save(self.files.disk.as_ref(), &self.files.data, known) {
            Ok(()) => {
                self.save_trouble.over();
                Ok(())
            }
            Err(error) => Err(format!("kafka: cannot write {}: {error}", checkpoint::path(&self.files.data).display())),
        }
    }

    /// At the end: with nothing on the way, the next start has nothing to wait for.
    pub(super) fn settle(&mut self) {
        self.remember(true);
        if self.session.take().is_some() {
            self.save();
        }
    }

    fn tell(&self, fault: &Fault, reminder: &mut Reminder) {
        let line = fault.line();
        if reminder.due(now(), &line) {
            if fault.passes() {
                tracing::warn!("{line}; the gate goes on, the topic follows when it can");
            } else {
                tracing::error!("{line}");
            }
        }
        if !fault.passes() {
            self.signals.looked();
        }
        let waits = self.watermarks.durable.get() > self.watermarks.published.get();
        if waits && self.figures.oldest_unpublished_at.get() == 0 {
            // Its place is not known, so neither is the oldest entry that waits: it waits since now at the latest.
            self.figures.oldest_unpublished_at.set(u64::try_from(wall().0).unwrap_or(0));
        }
        self.figures.kafka_trouble.set(line);
    }
}
