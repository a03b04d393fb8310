//! Commands that end keys, rename them or move their deadlines.

use std::collections::BTreeSet;

use crate::core::campaigns::HOME;
use crate::core::command::{Deadline, ExpireIf};
use crate::core::event::{Event, Group};
use crate::core::key_reads::is_campaign;
use crate::core::keys::Look;
use crate::core::reply::{Decision, Refusal, Reply};
use crate::core::{Core, View, answer, record, refuse};
use crate::ids::{Db, Lsn, Millis};

/// The latest deadline that is one.
const LATEST: i64 = Millis::NEVER.0 - 1;

impl Core {
    /// `DEL`, `UNLINK`: a key named twice goes once.
    pub(super) fn remove<'s, 'a>(&'s self, db: Db, keys: &[&'a [u8]], view: &View) -> Decision<'s, 'a> {
        let (mut events, mut depends) = (Vec::new(), Lsn::ZERO);
        let mut named = BTreeSet::new();
        for &key in keys {
            match self.look(db, key, view.now) {
                Look::Plain(_) if keys.len() == 1 || named.insert(key) => {
                    events.push(Event::KeyRemoved { db, key, expired: false });
                }
                Look::Plain(_) => {}
                Look::Missing { depends: here, .. } => depends = depends.max(here),
                Look::Campaign(_, entry) => return is_campaign(entry),
            }
        }
        let reply = Reply::Int(events.len() as i64);
        match events.len() {
            0 => answer(reply, depends),
            1 => Decision::Record { group: Group::One(events.remove(0)), reply },
            _ => Decision::Record { group: Group::Many(events), reply },
        }
    }

    /// `GETDEL`
    pub(super) fn get_and_remove<'s, 'a>(&'s self, db: Db, key: &'a [u8], view: &View) -> Decision<'s, 'a> {
        match self.look(db, key, view.now) {
            Look::Plain(entry) => record(Event::KeyRemoved { db, key, expired: false }, entry.reply()),
            Look::Missing { depends, .. } => answer(Reply::Null, depends),
            Look::Campaign(_, entry) => is_campaign(entry),
        }
    }

    /// `GETEX`
    pub(super) fn get_and_expire<'s, 'a>(
        &'s self,
        db: Db,
        key: &'a [u8],
        deadline: Deadline,
        view: &View,
    ) -> Decision<'s, 'a> {
        let entry = match self.look(db, key, view.now) {
            Look::Plain(entry) => entry,
            Look::Missing { depends, .. } => return answer(Reply::Null, depends),
            Look::Campaign(_, entry) => return is_campaign(entry),
        };
        let expires = match deadline_of(deadline, view.now) {
            Ok(expires) => expires,
            Err(refusal) => return refuse(refusal, entry.lsn),
        };
        if deadline == Deadline::Keep || expires == entry.deadline {
            return answer(entry.reply(), entry.lsn);
        }
        record(expiry(db, key, expires, view.now), entry.reply())
    }

    /// `EXPIRE` and its relatives. A deadline in the past removes the key.
    pub(super) fn expire<'s, 'a>(
        &'s self,
        db: Db,
        key: &'a [u8],
        deadline: Deadline,
        only_if: ExpireIf,
        view: &View,
    ) -> Decision<'s, 'a> {
        let expires = match any_deadline_of(deadline, view.now) {
            Ok(expires) => expires,
            Err(refusal) => return refuse(refusal, Lsn::ZERO),
        };
        let entry = match self.look(db, key, view.now) {
            Look::Plain(entry) => entry,
            Look::Missing { depends, .. } => return answer(Reply::Int(0), depends),
            Look::Campaign(_, entry) => return is_campaign(entry),
        };
        // No deadline is later than any other: `GT` never moves it, `LT` always does.
        let none = entry.deadline == Millis::NEVER;
        let refused = (only_if.none && !none)
            || (only_if.some && none)
            || (only_if.later && expires <= entry.deadline)
            || (only_if.earlier && expires >= entry.deadline);
        if refused {
            return answer(Reply::Int(0), entry.lsn);
        }
        if expires == entry.deadline {
            return answer(Reply::Int(1), entry.lsn);
        }
        record(expiry(db, key, expires, view.now), Reply::Int(1))
    }

    /// `PERSIST`
    pub(super) fn persist<'s, 'a>(&'s self, db: Db, key: &'a [u8], view: &View) -> Decision<'s, 'a> {
        match self.look(db, key, view.now) {
            Look::Plain(entry) if entry.deadline == Millis::NEVER => answer(Reply::Int(0), entry.lsn),
            Look::Plain(_) => record(Event::KeyExpirySet { db, key, expires: Millis::NEVER }, Reply::Int(1)),
            Look::Missing { depends, .. } => answer(Reply::Int(0), depends),
            Look::Campaign(_, entry) => is_campaign(entry),
        }
    }

    /// `RENAME`, `RENAMENX`
    pub(super) fn rename<'s, 'a>(
        &'s self,
        db: Db,
        from: &'a [u8],
        to: &'a [u8],
        only_if_none: bool,
        view: &View,
    ) -> Decision<'s, 'a> {
        let entry = match self.look(db, from, view.now) {
            Look::Plain(entry) => entry,
            Look::Missing { depends, .. } => return refuse(Refusal::Err("no such key"), depends),
            Look::Campaign(_, entry) => return is_campaign(entry),
        };
        let reply = |renamed| if only_if_none { Reply::Int(i64::from(renamed)) } else { Reply::Ok };
        if from == to {
            return answer(reply(false), entry.lsn);
        }
        match self.look(db, to, view.now) {
            Look::Plain(there) if only_if_none => answer(reply(false), there.lsn.max(entry.lsn)),
            Look::Plain(_) | Look::Missing { .. } => record(Event::KeyRenamed { db, from, to }, reply(true)),
            Look::Campaign(_, there) => is_campaign(there),
        }
    }

    /// `FLUSHDB`, `FLUSHALL`
    pub(super) fn flush<'s, 'a>(&'s self, db: Option<Db>) -> Decision<'s, 'a> {
        let campaigns = self.campaigns.live();
        if db.is_none_or(|db| db == HOME) && campaigns > 0 {
            let text = format!("{campaigns} campaigns are here and are never flushed; drop them first with GATE.DROP");
            return refuse(Refusal::ErrText(text), self.applied);
        }
        let empty = match db {
            Some(db) => self.space(db).len() == 0,
            None => self.spaces.iter().all(|space| space.len() == 0),
        };
        if empty { answer(Reply::Ok, self.applied) } else { record(Event::Flushed { db }, Reply::Ok) }
    }
}

/// The event that moves a deadline, which may have passed already.
fn expiry<'a>(db: Db, key: &'a [u8], expires: Millis, now: Millis) -> Event<'a> {
    if expires <= now {
        Event::KeyRemoved { db, key, expired: false }
    } else {
        Event::KeyExpirySet { db, key, expires }
    }
}

/// The deadline of a `SET` or `GETEX`, which must be given as more than zero.
pub(super) fn deadline_of(deadline: Deadline, now: Millis) -> Result<Millis, Refusal> {
    match deadline {
        Deadline::In { amount, command, .. } | Deadline::At { amount, command, .. } if amount <= 0 => {
            Err(invalid_expire_time(command))
        }
        Deadline::Keep | Deadline::Clear | Deadline::In { .. } | Deadline::At { .. } => any_deadline_of(deadline, now),
    }
}

/// The deadline of an `EXPIRE`, which may lie in the past. `Keep` and `Clear` have none.
fn any_deadline_of(deadline: Deadline, now: Millis) -> Result<Millis, Refusal> {
    let (amount, seconds, command, base) = match deadline {
        Deadline::Keep | Deadline::Clear => return Ok(Millis::NEVER),
        Deadline::In { amount, seconds, command } => (amount, seconds, command, now.0),
        Deadline::At { amount, seconds, command } => (amount, seconds, command, 0),
    };
    let millis = amount.checked_mul(if seconds { 1000 } else { 1 });
    let at = millis.and_then(|millis| millis.checked_add(base)).ok_or_else(|| invalid_expire_time(command))?;
    Ok(Millis(at.min(LATEST)))
}

fn invalid_expire_time(command: &'static str) -> Refusal {
    Refusal::ErrText(format!("invalid expire time in '{command}' command"))
}
