//! One event as a line: `LSN TIME WHAT name=value ...`, and as a JSON object with the same names. The forms stand in
//! docs/operations.md and are promises to users.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use crate::core::{Alterable, Event, Terms, Users};
use crate::grant::GrantUser;
use crate::ids::{CampaignId, Db, Lsn, Millis, Seat, User};

/// Bytes of a value that a line for people shows.
const SHOWN_BYTES_MAX: usize = 64;

/// What campaigns are called.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<CampaignId, String>);

impl Names {
    /// Remembers what `event` says of names.
    pub fn learn(&mut self, event: &Event<'_>) {
        if let Event::CampaignCreated { id, name, .. } = event {
            self.0.insert(*id, String::from_utf8_lossy(name).into_owned());
        }
    }

    /// Everyone that ever had this name, in the order of their creation.
    pub fn of(&self, name: &str) -> Vec<CampaignId> {
        self.0.iter().filter(|(_, there)| *there == name).map(|(id, _)| *id).collect()
    }

    fn name(&self, id: CampaignId) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| format!("#{}", id.0))
    }
}

/// An event with its place and the time at which its batch was sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub lsn: Lsn,
    pub at: Millis,
    pub event: &'a Event<'a>,
}

/// A field's value: a word, a number, bytes of a client, or a time.
enum Field<'a> {
    Number(i64),
    Unsigned(u64),
    Word(&'static str),
    Name(String),
    User(GrantUser),
    Bytes(&'a [u8]),
    /// The bytes themselves, which a line for people may cut.
    Value(&'a [u8]),
    Flag(bool),
    Time(Millis),
}

impl Line<'_> {
    /// The campaign that it is about.
    pub fn campaign(&self) -> Option<CampaignId> {
        match self.event {
            Event::CampaignCreated { id, .. }
            | Event::CampaignAltered { id, .. }
            | Event::CampaignDropped { id, .. } => Some(*id),
            Event::Granted { campaign, .. }
            | Event::Held { campaign, .. }
            | Event::Confirmed { campaign, .. }
            | Event::HoldEnded { campaign, .. }
            | Event::Returned { campaign, .. }
            | Event::Imported { campaign, .. } => Some(*campaign),
            Event::Skipped { .. }
            | Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => None,
        }
    }

    /// The user that it is about.
    pub fn user(&self) -> Option<GrantUser> {
        match self.event {
            Event::Granted { user, .. }
            | Event::Held { user, .. }
            | Event::Confirmed { user, .. }
            | Event::HoldEnded { user, .. }
            | Event::Returned { user, .. }
            | Event::Imported { user, .. } => Some((*user).into()),
            Event::CampaignCreated { .. }
            | Event::CampaignAltered { .. }
            | Event::CampaignDropped { .. }
            | Event::Skipped { .. }
            | Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => None,
        }
    }

    /// For people.
    pub fn text(&self, names: &Names, into: &mut String) {
        let (what, at, fields) = self.told(names);
        write!(into, "{} {} {what}", self.lsn, time(at)).expect("text grows");
        for (name, field) in fields {
            let written = match field {
                Field::Number(number) => write!(into, " {name}={number}"),
                Field::Unsigned(number) => write!(into, " {name}={number}"),
                Field::Word(word) => write!(into, " {name}={word}"),
                Field::Name(text) => write!(into, " {name}={text}"),
                Field::User(user @ GrantUser::Int(_)) => write!(into, " {name}={user}"),
                Field::User(GrantUser::Any(bytes)) => write!(into, " {name}=\"{}\"", bytes.escape_ascii()),
                Field::Bytes(bytes) => write!(into, " {name}=\"{}\"", bytes.escape_ascii()),
                Field::Value(bytes) => {
                    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
                    let more = if shown.len() < bytes.len() { "..." } else { "" };
                    write!(into, " bytes={} {name}=\"{}\"{more}", bytes.len(), shown.escape_ascii())
                }
                Field::Flag(flag) => write!(into, " {name}={}", if flag { "yes" } else { "no" }),
                Field::Time(at) => write!(into, " {name}={}", time(at)),
            };
            written.expect("text grows");
        }
    }

    /// For programs.
    pub fn json(&self, names: &Names, into: &mut String) {
        let (what, at, fields) = self.told(names);
        let mut object = Map::new();
        object.insert("lsn".into(), json!(self.lsn.get()));
        object.insert("at".into(), json!(at.0));
        object.insert("what".into(), json!(what));
        for (name, field) in fields {
            let value = match field {
                Field::Number(number) => json!(number),
                Field::Unsigned(number) => json!(number),
                Field::Word(word) => json!(word),
                Field::Name(text) => json!(text),
                Field::User(GrantUser::Int(user)) => json!(user.to_string()),
                Field::User(GrantUser::Any(bytes)) => as_json(&bytes),
                Field::Bytes(bytes) | Field::Value(bytes) => as_json(bytes),
                Field::Flag(flag) => json!(flag),
                Field::Time(at) => json!(at.0),
            };
            object.insert(name.into(), value);
        }
        write!(into, "{}", Json::Object(object)).expect("text grows");
    }

    /// What happened, when, and with what.
    fn told(&self, names: &Names) -> (&'static str, Millis, Vec<(&'static str, Field<'_>)>) {
        let named = |id: &CampaignId| ("campaign", Field::Name(names.name(*id)));
        let expiry = |at: &Millis| at.some().map(|at| ("expires", Field::Time(at)));
        let key = |key| ("key", Field::Bytes(key));
        let db = |db: &Db| ("db", Field::Unsigned(db.0.into()));
        match self.event {
            Event::CampaignCreated { id, terms, at, .. } => {
                ("created", *at, std::iter::once(named(id)).chain(told_terms(terms)).collect())
            }
            Event::CampaignAltered { id, to, at, by } => {
                let fields = std::iter::once(named(id)).chain(told_alterable(*to));
                ("altered", *at, fields.chain([("by", Field::Bytes(by))]).chain(per_user_of(to.per_user)).collect())
            }
            Event::CampaignDropped { id, at, purged } => {
                (if *purged { "purged" } else { "dropped" }, *at, vec![named(id)])
            }
            Event::Granted { campaign, seat, user, nth, request, at, after } => {
                let mut fields = vec![named(campaign), ("seat", seat_of(seat)), ("user", user_of(user))];
                fields.extend(nth_of(*nth));
                fields.extend((!request.is_empty()).then_some(("id", Field::Bytes(request))));
                fields.extend(after_of(*after));
                ("granted", *at, fields)
            }
            Event::Held { campaign, seat, user, nth, request, at, until } => {
                let mut fields = vec![named(campaign), ("seat", seat_of(seat)), ("user", user_of(user))];
                fields.push(("until", Field::Time(*until)));
                fields.extend(nth_of(*nth));
                fields.extend((!request.is_empty()).then_some(("id", Field::Bytes(request))));
                ("held", *at, fields)
            }
            Event::Confirmed { campaign, seat, user, nth, at, after } => {
                let mut fields = vec![named(campaign), ("seat", seat_of(seat)), ("user", user_of(user))];
                fields.extend(nth_of(*nth));
                fields.extend(after_of(*after));
                ("confirmed", *at, fields)
            }
            Event::Returned { campaign, seat, user, nth, at, grant, seq } => {
                let mut fields = vec![named(campaign), ("seat", seat_of(seat)), ("user", user_of(user))];
                fields.extend(nth_of(*nth));
                fields.push(("grant", Field::Unsigned(grant.get())));
                fields.extend(seq.map(|seq| ("seq", Field::Unsigned(seq.get()))));
                ("returned", *at, fields)
            }
            Event::HoldEnded { campaign, seat, user, at, expired } => {
                let what = if *expired { "hold-expired" } else { "hold-released" };
                (what, *at, vec![named(campaign), ("seat", seat_of(seat)), ("user", user_of(user))])
            }
            Event::Imported { campaign, seat, user, nth, at, seq, after } => {
                let mut fields = vec![named(campaign), ("seat", seat_of(seat)), ("user", user_of(user))];
                fields.extend(seq.map(|seq| ("seq", Field::Unsigned(seq.get()))));
                fields.extend(nth_of(*nth));
                fields.extend(after_of(*after));
                (if seq.is_some() { "imported" } else { "seeded" }, *at, fields)
            }
            Event::Skipped { upto } => ("skipped", self.at, vec![("upto", Field::Unsigned(upto.get()))]),
            Event::KeySet { db: number, key: name, value, expires } => {
                let fields = [db(number), key(name), ("value", Field::Value(value))];
                ("set", self.at, fields.into_iter().chain(expiry(expires)).collect())
            }
            Event::KeyCounted { db: number, key: name, value } => {
                ("counted", self.at, vec![db(number), key(name), ("value", Field::Number(*value))])
            }
            Event::KeyPatched { db: number, key: name, offset, bytes } => {
                let offset = ("offset", Field::Unsigned((*offset).into()));
                ("patched", self.at, vec![db(number), key(name), offset, ("value", Field::Value(bytes))])
            }
            Event::KeyExpirySet { db: number, key: name, expires } => {
                let what = if expires.some().is_some() { "expires" } else { "persists" };
                (what, self.at, [db(number), key(name)].into_iter().chain(expiry(expires)).collect())
            }
            Event::KeyRemoved { db: number, key: name, expired } => {
                let what = if *expired { "expired" } else { "removed" };
                (what, self.at, vec![db(number), key(name)])
            }
            Event::KeyRenamed { db: number, from, to } => {
                ("renamed", self.at, vec![db(number), key(from), ("to", Field::Bytes(to))])
            }
            Event::Flushed { db: number } => ("flushed", self.at, number.iter().map(db).collect()),
        }
    }
}

fn told_terms(terms: &Terms) -> Vec<(&'static str, Field<'static>)> {
    let users = match terms.users {
        Users::Int => "int",
        Users::Any => "any",
    };
    let mut fields = told_alterable(terms.alterable());
    fields.insert(1, ("users", Field::Word(users)));
    fields.push(("shadow", Field::Flag(terms.shadow)));
    fields.extend(per_user_of(terms.per_user));
    fields.extend(terms.no_id.then_some(("noid", Field::Flag(true))));
    fields.extend((terms.hold > 0).then_some(("hold", Field::Unsigned(terms.hold.into()))));
    fields
}

fn told_alterable(to: Alterable) -> Vec<(&'static str, Field<'static>)> {
    let mut fields = vec![("limit", Field::Unsigned(to.limit.into()))];
    fields.extend(to.open.map(|at| ("open", Field::Time(at))));
    fields.extend(to.close.map(|at| ("close", Field::Time(at))));
    fields
}

/// Seats of a user, where that is not one.
fn per_user_of(per_user: u16) -> Option<(&'static str, Field<'static>)> {
    (per_user > 1).then_some(("peruser", Field::Unsigned(per_user.into())))
}

/// The return that may have made room for a grant.
fn after_of(after: Lsn) -> Option<(&'static str, Field<'static>)> {
    (after > Lsn::ZERO).then_some(("after", Field::Unsigned(after.get())))
}

/// Which of its user's seats one is, where that is not the first.
fn nth_of(nth: u16) -> Option<(&'static str, Field<'static>)> {
    (nth > 1).then_some(("nth", Field::Unsigned(nth.into())))
}

fn seat_of(seat: &Seat) -> Field<'static> {
    Field::Unsigned(seat.get().into())
}

fn user_of(user: &User<'_>) -> Field<'static> {
    Field::User((*user).into())
}

/// ISO 8601 in UTC with milliseconds; a time beyond the calendar as its number.
fn time(at: Millis) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| format!("{at:.3}"))
}

/// Bytes that are no UTF-8 are told as hex.
fn as_json(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}
