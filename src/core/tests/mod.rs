//! The core as its callers see it: commands in, answers out, and the events replayed.

mod breach;
mod campaigns;
mod holds;
mod keys;
mod older;
mod promises;
mod purge;
mod replay;
mod returns;
mod seeds;
mod several;

use crate::core::{Command, Core, Decision, Dropping, Event, Group, Reply, View};
use crate::ids::{CampaignId, Db, Lsn, Millis, Seat, User};

pub(super) const DB: Db = Db(0);
pub(super) const NOW: Millis = Millis(1_732_250_000_000);

/// A core and a clock.
pub(super) struct Gate {
    pub(super) core: Core,
    pub(super) view: View,
    /// All events so far, each as the bytes of nobody else.
    pub(super) journal: Vec<(Lsn, Owned)>,
}

impl Gate {
    pub(super) fn new() -> Gate {
        let view = View { now: NOW, ..View::default() };
        Gate { core: Core::new(7), view, journal: Vec::new() }
    }

    /// Carries a command out; the answer as text, nested ones in brackets.
    pub(super) fn ask(&mut self, command: Command<'_>) -> String {
        let (text, _, _) = self.ask_fully(command);
        text
    }

    /// The answer, what it depends on, and how many events there were.
    pub(super) fn ask_fully(&mut self, command: Command<'_>) -> (String, Lsn, usize) {
        if let Some((campaign, seats)) = self.core.overdue(&command, self.view.now) {
            seats.into_iter().for_each(|seat| self.end_hold(campaign, seat));
        }
        let (text, group) = match self.core.decide(command, &self.view) {
            Decision::Answer { reply, depends } => return (told(&reply), depends, 0),
            Decision::Record { group, reply } => (told(&reply), group),
        };
        assert!(!group.events().is_empty(), "a group is never empty");
        for event in group.events() {
            let lsn = self.core.applied().next();
            self.core.evolve(lsn, event);
            self.journal.push((lsn, Owned::of(event)));
        }
        (text, self.core.applied(), group.events().len())
    }

    /// The events that a command would cause.
    pub(super) fn events<'a>(&self, command: Command<'a>) -> Vec<Event<'a>> {
        match self.core.decide(command, &self.view) {
            Decision::Answer { reply, .. } => panic!("an answer: {reply:?}"),
            Decision::Record { group: Group::One(event) | Group::Count { event, .. }, .. } => vec![event],
            Decision::Record { group: Group::Many(events), .. } => events,
        }
    }

    /// Lets time pass, without removing what expires.
    pub(super) fn wait(&mut self, millis: i64) {
        self.view.now.0 += millis;
    }

    /// Ends at most `at_most` holds and removes as many keys whose deadline has passed, as the loop does.
    pub(super) fn expire(&mut self, at_most: usize) -> usize {
        for (campaign, seat) in self.core.due_holds(self.view.now, at_most) {
            self.end_hold(campaign, seat);
        }
        let due = self.core.due(self.view.now, at_most);
        for (db, key) in &due {
            let (lsn, event) = (self.core.applied().next(), Event::KeyRemoved { db: *db, key, expired: true });
            self.core.evolve(lsn, &event);
            self.journal.push((lsn, Owned::of(&event)));
        }
        due.len()
    }

    /// As the loop does: all seats come back, then the campaign goes.
    pub(super) fn purge(&mut self, name: &[u8]) -> String {
        let live = self.core.campaign_id(name).filter(|id| self.core.campaign(*id).is_some_and(|facts| !facts.dropped));
        for back in live.map_or_else(Vec::new, |id| self.core.returns_of(id, self.view.now, usize::MAX)) {
            let (lsn, event) = (self.core.applied().next(), back.event());
            assert_eq!(self.core.breach(lsn, &event), None, "{event:?}");
            self.core.evolve(lsn, &event);
            self.journal.push((lsn, Owned::of(&event)));
        }
        self.ask(Command::Drop { campaign: name, how: Dropping::Purged })
    }

    /// A hold is over.
    pub(super) fn end_hold(&mut self, campaign: CampaignId, seat: Seat) {
        let lsn = self.core.applied().next();
        let at = self.view.now;
        let owned =
            Owned::of(&Event::HoldEnded { campaign, seat, user: self.core.user_at(campaign, seat), at, expired: true });
        self.core.evolve(lsn, &owned.event());
        self.journal.push((lsn, owned));
    }
}

/// An answer as text.
pub(super) fn told(reply: &Reply<'_>) -> String {
    let many = |replies: &[Reply<'_>]| format!("[{}]", replies.iter().map(told).collect::<Vec<_>>().join(" "));
    match reply {
        Reply::Ok => "OK".into(),
        Reply::Status(text) => (*text).into(),
        Reply::Int(number) => format!(":{number}"),
        Reply::Bulk(bytes) => format!("'{}'", bytes.escape_ascii()),
        Reply::BulkInt(number) => format!("'{number}'"),
        Reply::Null => "nil".into(),
        Reply::Array(replies) | Reply::Set(replies) => many(replies),
        Reply::Map(rows) => {
            let row =
                |(name, value): &(Reply<'_>, Reply<'_>)| format!("{}={}", told(name).replace('\'', ""), told(value));
            rows.iter().map(row).collect::<Vec<_>>().join(" ")
        }
        Reply::Verbatim(text) => text.clone(),
        Reply::Claim(claim) => {
            let (status, number) = claim.outcome.words();
            let until = claim.outcome.until().map_or_else(String::new, |until| format!(" {}", until.0));
            format!("{status} {number} {}{until}", claim.remaining)
        }
        Reply::Settled(settled) => {
            let (status, number) = settled.settlement.words();
            format!("{status} {number} {}", settled.remaining)
        }
        Reply::Refused(refusal) => refusal.to_string(),
    }
}

/// An event that borrows from nobody.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    bytes: [Vec<u8>; 2],
    event: Event<'static>,
}

impl Owned {
    /// Keeps the bytes apart from the event, whose own are left empty.
    fn of(event: &Event<'_>) -> Owned {
        use std::borrow::Cow;
        let none: &'static [u8] = b"";
        let keep = |first: &[u8], second: &[u8], event| Owned { bytes: [first.to_vec(), second.to_vec()], event };
        match *event {
            Event::CampaignCreated { id, name, terms, at } => {
                keep(name, none, Event::CampaignCreated { id, name: none, terms, at })
            }
            Event::CampaignAltered { id, to, at, ref by } => {
                keep(by, none, Event::CampaignAltered { id, to, at, by: Cow::Borrowed(none) })
            }
            Event::CampaignDropped { id, at, purged } => keep(none, none, Event::CampaignDropped { id, at, purged }),
            Event::Granted { campaign, seat, user, nth, request, at, after } => {
                let (user, bytes) = apart(user);
                keep(bytes, request, Event::Granted { campaign, seat, user, nth, request: none, at, after })
            }
            Event::Held { campaign, seat, user, nth, request, at, until } => {
                let (user, bytes) = apart(user);
                keep(bytes, request, Event::Held { campaign, seat, user, nth, request: none, at, until })
            }
            Event::Confirmed { campaign, seat, user, nth, at, after } => {
                let (user, bytes) = apart(user);
                keep(bytes, none, Event::Confirmed { campaign, seat, user, nth, at, after })
            }
            Event::Returned { campaign, seat, user, nth, at, grant, seq } => {
                let (user, bytes) = apart(user);
                keep(bytes, none, Event::Returned { campaign, seat, user, nth, at, grant, seq })
            }
            Event::HoldEnded { campaign, seat, user, at, expired } => {
                let (user, bytes) = apart(user);
                keep(bytes, none, Event::HoldEnded { campaign, seat, user, at, expired })
            }
            Event::Imported { campaign, seat, user, nth, at, seq: None, after } => {
                let (user, bytes) = apart(user);
                keep(bytes, none, Event::Imported { campaign, seat, user, nth, at, seq: None, after })
            }
            Event::Imported { .. } | Event::Skipped { .. } => panic!("no command is answered with {event:?}"),
            Event::KeySet { db, key, ref value, expires } => {
                keep(key, value, Event::KeySet { db, key: none, value: Cow::Borrowed(none), expires })
            }
            Event::KeyCounted { db, key, value } => keep(key, none, Event::KeyCounted { db, key: none, value }),
            Event::KeyPatched { db, key, offset, bytes } => {
                keep(key, bytes, Event::KeyPatched { db, key: none, offset, bytes: none })
            }
            Event::KeyExpirySet { db, key, expires } => keep(key, none, Event::KeyExpirySet { db, key: none, expires }),
            Event::KeyRemoved { db, key, expired } => keep(key, none, Event::KeyRemoved { db, key: none, expired }),
            Event::KeyRenamed { db, from, to } => keep(from, to, Event::KeyRenamed { db, from: none, to: none }),
            Event::Flushed { db } => keep(none, none, Event::Flushed { db }),
        }
    }

    /// The event with its bytes.
    pub(super) fn event(&self) -> Event<'_> {
        let [first, second] = &self.bytes;
        let mut event = self.event.clone();
        match &mut event {
            Event::CampaignCreated { name, .. } => *name = first,
            Event::CampaignAltered { by, .. } => *by = first.into(),
            Event::Granted { user, request, .. } | Event::Held { user, request, .. } => {
                (*user, *request) = (together(*user, first), second);
            }
            Event::Confirmed { user, .. }
            | Event::HoldEnded { user, .. }
            | Event::Returned { user, .. }
            | Event::Imported { user, .. } => *user = together(*user, first),
            Event::KeySet { key, value, .. } => (*key, *value) = (first, second.into()),
            Event::KeyPatched { key, bytes, .. } => (*key, *bytes) = (first, second),
            Event::KeyCounted { key, .. } | Event::KeyExpirySet { key, .. } | Event::KeyRemoved { key, .. } => {
                *key = first
            }
            Event::KeyRenamed { from, to, .. } => (*from, *to) = (first, second),
            Event::CampaignDropped { .. } | Event::Skipped { .. } | Event::Flushed { .. } => {}
        }
        event
    }
}

/// A user without his bytes, and those.
fn apart(user: User<'_>) -> (User<'static>, &[u8]) {
    match user {
        User::Int(number) => (User::Int(number), b""),
        User::Any(bytes) => (User::Any(b""), bytes),
    }
}

fn together<'a>(user: User<'a>, bytes: &'a [u8]) -> User<'a> {
    if let User::Any(_) = user { User::Any(bytes) } else { user }
}
