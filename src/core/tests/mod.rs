//! The core as its callers see it: commands in, answers out, and the events replayed.

mod breach;
mod campaigns;
mod keys;
mod older;
mod promises;
mod replay;
mod several;

use crate::core::{Command, Core, Decision, Event, Group, Reply, View};
use crate::ids::{Db, Lsn, Millis};

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

    /// Removes at most `at_most` keys whose deadline has passed, as the loop does.
    pub(super) fn expire(&mut self, at_most: usize) -> usize {
        let due = self.core.due(self.view.now, at_most);
        for (db, key) in &due {
            let (lsn, event) = (self.core.applied().next(), Event::KeyRemoved { db: *db, key, expired: true });
            self.core.evolve(lsn, &event);
            self.journal.push((lsn, Owned::of(&event)));
        }
        due.len()
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
            format!("{status} {number} {}", claim.remaining)
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
            Event::CampaignDropped { id, at } => keep(none, none, Event::CampaignDropped { id, at }),
            Event::Granted { campaign, seat, user, nth, request, at } => match user {
                crate::ids::User::Int(number) => {
                    let user = crate::ids::User::Int(number);
                    keep(none, request, Event::Granted { campaign, seat, user, nth, request: none, at })
                }
                crate::ids::User::Any(bytes) => {
                    let user = crate::ids::User::Any(none);
                    keep(bytes, request, Event::Granted { campaign, seat, user, nth, request: none, at })
                }
            },
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
            Event::Granted { user: crate::ids::User::Any(user), request, .. } => (*user, *request) = (first, second),
            Event::Granted { request, .. } => *request = second,
            Event::KeySet { key, value, .. } => (*key, *value) = (first, second.into()),
            Event::KeyPatched { key, bytes, .. } => (*key, *bytes) = (first, second),
            Event::KeyCounted { key, .. } | Event::KeyExpirySet { key, .. } | Event::KeyRemoved { key, .. } => {
                *key = first
            }
            Event::KeyRenamed { from, to, .. } => (*from, *to) = (first, second),
            Event::CampaignDropped { .. } | Event::Imported { .. } | Event::Skipped { .. } | Event::Flushed { .. } => {}
        }
        event
    }
}
