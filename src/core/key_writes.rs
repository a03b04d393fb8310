//! Commands that write values.

use std::borrow::Cow;

use crate::core::command::{Deadline, Set, SetAnswer, SetIf};
use crate::core::event::{Event, Group};
use crate::core::key_life::deadline_of;
use crate::core::key_reads::is_campaign;
use crate::core::keys::Look;
use crate::core::numbers::{NOT_AN_INTEGER, add_decimals};
use crate::core::reply::{Decision, Refusal, Reply};
use crate::core::{Core, View, answer, record, refuse};
use crate::ids::{Db, Lsn, Millis};
use crate::limits;

const TOO_LONG: Refusal = Refusal::Err("string exceeds maximum allowed size (proto-max-bulk-len)");

impl Core {
    /// `SET` and its relatives.
    pub(super) fn set<'s, 'a>(&'s self, set: &Set<'a>, view: &View) -> Decision<'s, 'a> {
        let asked = match deadline_of(set.deadline, view.now) {
            Ok(deadline) => deadline,
            Err(refusal) => return refuse(refusal, Lsn::ZERO),
        };
        let (old, depends) = match self.look(set.db, set.key, view.now) {
            Look::Plain(entry) => (Some(entry), entry.lsn),
            Look::Missing { depends, .. } => (None, depends),
            Look::Campaign(_, entry) => return is_campaign(entry),
        };
        if set.value.len() > limits::VALUE_BYTES_MAX {
            return refuse(TOO_LONG, Lsn::ZERO);
        }
        let writes = match set.only_if {
            SetIf::Always => true,
            SetIf::Missing => old.is_none(),
            SetIf::Exists => old.is_some(),
        };
        let reply = match (set.answer, writes) {
            (SetAnswer::Ok, true) => Reply::Ok,
            (SetAnswer::Ok, false) => Reply::Null,
            (SetAnswer::Written, _) => Reply::Int(i64::from(writes)),
            (SetAnswer::Old, _) => old.map_or(Reply::Null, |entry| entry.reply()),
        };
        if !writes {
            return answer(reply, depends);
        }
        let kept = old.map_or(Millis::NEVER, |entry| entry.deadline);
        let expires = if set.deadline == Deadline::Keep { kept } else { asked };
        record(Event::KeySet { db: set.db, key: set.key, value: Cow::Borrowed(set.value), expires }, reply)
    }

    /// `MSET`, `MSETNX`
    pub(super) fn set_many<'s, 'a>(
        &'s self,
        db: Db,
        pairs: &[(&'a [u8], &'a [u8])],
        only_if_none: bool,
        view: &View,
    ) -> Decision<'s, 'a> {
        let mut there = None;
        for (key, value) in pairs {
            match self.look(db, key, view.now) {
                Look::Plain(entry) => there = there.or(Some(entry.lsn)),
                Look::Missing { .. } => {}
                Look::Campaign(_, entry) => return is_campaign(entry),
            }
            if value.len() > limits::VALUE_BYTES_MAX {
                return refuse(TOO_LONG, Lsn::ZERO);
            }
        }
        if let Some(depends) = there.filter(|_| only_if_none) {
            return answer(Reply::Int(0), depends);
        }
        let set = |&(key, value): &(&'a [u8], &'a [u8])| {
            let value = Cow::Borrowed(value);
            Event::KeySet { db, key, value, expires: Millis::NEVER }
        };
        let reply = if only_if_none { Reply::Int(1) } else { Reply::Ok };
        Decision::Record { group: Group::Many(pairs.iter().map(set).collect()), reply }
    }

    /// `APPEND`
    pub(super) fn append<'s, 'a>(&'s self, db: Db, key: &'a [u8], bytes: &'a [u8], view: &View) -> Decision<'s, 'a> {
        let entry = match self.look(db, key, view.now) {
            Look::Plain(entry) => entry,
            Look::Missing { .. } if bytes.len() > limits::VALUE_BYTES_MAX => return refuse(TOO_LONG, Lsn::ZERO),
            Look::Missing { .. } => {
                let value = Cow::Borrowed(bytes);
                let reply = Reply::Int(bytes.len() as i64);
                return record(Event::KeySet { db, key, value, expires: Millis::NEVER }, reply);
            }
            Look::Campaign(_, entry) => return is_campaign(entry),
        };
        let length = entry.text().len();
        if bytes.is_empty() {
            return answer(Reply::Int(length as i64), entry.lsn);
        }
        let Some(offset) = patch_offset(length as i64, bytes) else { return refuse(TOO_LONG, entry.lsn) };
        record(Event::KeyPatched { db, key, offset, bytes }, Reply::Int((length + bytes.len()) as i64))
    }

    /// `SETRANGE`
    pub(super) fn set_range<'s, 'a>(
        &'s self,
        db: Db,
        key: &'a [u8],
        offset: i64,
        bytes: &'a [u8],
        view: &View,
    ) -> Decision<'s, 'a> {
        if offset < 0 {
            return refuse(Refusal::Err("offset is out of range"), Lsn::ZERO);
        }
        let (length, depends, stale) = match self.look(db, key, view.now) {
            Look::Plain(entry) => (entry.text().len(), entry.lsn, false),
            Look::Missing { depends, stale } => (0, depends, stale),
            Look::Campaign(_, entry) => return is_campaign(entry),
        };
        if bytes.is_empty() {
            return answer(Reply::Int(length as i64), depends);
        }
        let Some(offset) = patch_offset(offset, bytes) else { return refuse(TOO_LONG, depends) };
        let reply = Reply::Int(length.max(offset as usize + bytes.len()) as i64);
        record_anew(stale, Event::KeyPatched { db, key, offset, bytes }, db, key, reply)
    }

    /// `INCR` and its relatives. The way of a hot counter: two looks, no allocation.
    pub(super) fn add<'s, 'a>(&'s self, db: Db, key: &'a [u8], step: i64, view: &View) -> Decision<'s, 'a> {
        let (value, depends, last, stale) = match self.look(db, key, view.now) {
            Look::Plain(entry) => match entry.integer() {
                Some(value) => (value, entry.lsn, Some(entry.lsn), false),
                None => return refuse(NOT_AN_INTEGER, entry.lsn),
            },
            Look::Missing { depends, stale } => (0, depends, None, stale),
            Look::Campaign(_, entry) => return is_campaign(entry),
        };
        let Some(value) = value.checked_add(step) else {
            return refuse(Refusal::Err("increment or decrement would overflow"), depends);
        };
        let (event, reply) = (Event::KeyCounted { db, key, value }, Reply::Int(value));
        match last {
            Some(last) => Decision::Record { group: Group::Count { event, last }, reply },
            None => record_anew(stale, event, db, key, reply),
        }
    }

    /// `INCRBYFLOAT`
    pub(super) fn add_float<'s, 'a>(&'s self, db: Db, key: &'a [u8], step: &[u8], view: &View) -> Decision<'s, 'a> {
        let (value, expires, depends) = match self.look(db, key, view.now) {
            Look::Plain(entry) => (entry.text(), entry.deadline, entry.lsn),
            Look::Missing { depends, .. } => (Cow::Borrowed(b"0".as_slice()), Millis::NEVER, depends),
            Look::Campaign(_, entry) => return is_campaign(entry),
        };
        match add_decimals(&value, step) {
            Ok(sum) => {
                let value = Cow::Owned(sum.clone().into_bytes());
                record(Event::KeySet { db, key, value, expires }, Reply::text(sum))
            }
            Err(refusal) => refuse(refusal, depends),
        }
    }
}

/// An event that builds on what is there: what has expired must be gone before, or it would come back.
fn record_anew<'s, 'a>(stale: bool, event: Event<'a>, db: Db, key: &'a [u8], reply: Reply<'s>) -> Decision<'s, 'a> {
    let group = match stale {
        true => Group::Many(vec![Event::KeyRemoved { db, key, expired: true }, event]),
        false => Group::One(event),
    };
    Decision::Record { group, reply }
}

/// Where a patch begins, if it ends within the longest value.
fn patch_offset(offset: i64, bytes: &[u8]) -> Option<u32> {
    let end = offset.checked_add(bytes.len() as i64)?;
    (end <= limits::VALUE_BYTES_MAX as i64).then_some(offset as u32)
}
