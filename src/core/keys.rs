//! The keys of one database: what is there, and when it goes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::core::event::Event;
use crate::core::numbers::parse_integer;
use crate::core::reply::Reply;
use crate::core::table::Table;
use crate::core::{Core, Scatter};
use crate::ids::{CampaignId, Db, Lsn, Millis};
use crate::limits;

/// What a key stands for. `Vec` and not a box, so that `APPEND` has room to grow into.
#[derive(Debug)]
pub(super) enum Value {
    Int(i64),
    Bytes(Vec<u8>),
    /// A campaign shows as a key of database 0, so that one look tells who has a name.
    Campaign(CampaignId),
}

/// A key and what it holds.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Box<[u8]>,
    pub(super) value: Value,
    /// Gone from this time on, or `NEVER`.
    pub(super) deadline: Millis,
    /// The last change.
    pub(super) lsn: Lsn,
}

impl Entry {
    /// The value as text. A campaign has none: it is told apart before.
    pub(super) fn text(&self) -> Cow<'_, [u8]> {
        match &self.value {
            Value::Int(number) => Cow::Owned(number.to_string().into_bytes()),
            Value::Bytes(bytes) => Cow::Borrowed(bytes),
            Value::Campaign(_) => Cow::Borrowed(&[]),
        }
    }

    /// The value as `GET` answers it.
    pub(super) fn reply(&self) -> Reply<'_> {
        match &self.value {
            Value::Int(number) => Reply::BulkInt(*number),
            Value::Bytes(bytes) => Reply::bulk(bytes),
            Value::Campaign(_) => Reply::Null,
        }
    }

    /// The value as an integer, if it is one.
    pub(super) fn integer(&self) -> Option<i64> {
        match &self.value {
            Value::Int(number) => Some(*number),
            Value::Bytes(bytes) => parse_integer(bytes),
            Value::Campaign(_) => None,
        }
    }

    pub(super) fn is_campaign(&self) -> bool {
        matches!(self.value, Value::Campaign(_))
    }
}

impl Value {
    /// A canonical integer is kept as one: it needs no allocation and reads back as the same bytes.
    fn of(bytes: &[u8]) -> Value {
        parse_integer(bytes).map_or_else(|| Value::Bytes(bytes.to_vec()), Value::Int)
    }
}

/// What stands under a name at a given time.
pub(super) enum Look<'s> {
    /// Nothing, or something whose deadline has passed (`stale`) and that nobody has removed yet.
    Missing {
        /// What the absence was read from.
        depends: Lsn,
        stale: bool,
    },
    Plain(&'s Entry),
    Campaign(CampaignId, &'s Entry),
}

/// One numbered database.
#[derive(Debug, Default)]
pub(super) struct Keyspace {
    table: Table<Entry>,
    /// Deadlines in order, each with the hash of its key: small, and no second copy of the key.
    deadlines: BTreeSet<(Millis, u64)>,
    with_deadline: usize,
}

impl Keyspace {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn with_deadline(&self) -> usize {
        self.with_deadline
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    pub(super) fn find(&self, scatter: Scatter, key: &[u8]) -> Option<&Entry> {
        self.table.find(scatter.bytes(key), |entry| *entry.key == *key)
    }

    /// See [`Table::slice`].
    pub(super) fn slice(&self, scatter: Scatter, cursor: u64, count: usize) -> (Vec<&Entry>, u64) {
        self.table.slice(cursor, count, |entry| scatter.bytes(&entry.key))
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Keys whose deadline is not after `now`, earliest first.
    pub(super) fn due(&self, scatter: Scatter, now: Millis) -> impl Iterator<Item = (Millis, &[u8])> {
        self.deadlines.range(..=(now, u64::MAX)).map(move |&(deadline, hash)| {
            let entry = self.at_deadline(scatter, hash, deadline).expect("each deadline in order belongs to an entry");
            (deadline, &*entry.key)
        })
    }

    /// A campaign shows under its name.
    pub(super) fn add_campaign(&mut self, scatter: Scatter, lsn: Lsn, name: &[u8], id: CampaignId) {
        assert!(self.find(scatter, name).is_none(), "a campaign takes no name that is in use");
        self.insert(scatter, Entry { key: name.into(), value: Value::Campaign(id), deadline: Millis::NEVER, lsn });
    }

    /// A campaign's name shows no more.
    pub(super) fn remove_campaign(&mut self, scatter: Scatter, name: &[u8]) {
        let entry = self.take(scatter, name).expect("a campaign shows under its name");
        assert!(entry.is_campaign(), "a campaign shows under its name");
    }

    fn set(&mut self, scatter: Scatter, lsn: Lsn, key: &[u8], value: &[u8], deadline: Millis) {
        assert!(value.len() <= limits::VALUE_BYTES_MAX, "values are bounded");
        let hash = scatter.bytes(key);
        let Some(entry) = self.table.find_mut(hash, |entry| *entry.key == *key) else {
            return self.insert(scatter, Entry { key: key.into(), value: Value::of(value), deadline, lsn });
        };
        assert!(!entry.is_campaign(), "a plain value never replaces a campaign");
        match &mut entry.value {
            // A value of the same length is the usual case; it needs no allocation.
            Value::Bytes(bytes) if bytes.len() == value.len() && parse_integer(value).is_none() => {
                bytes.copy_from_slice(value);
            }
            slot @ (Value::Int(_) | Value::Bytes(_) | Value::Campaign(_)) => *slot = Value::of(value),
        }
        entry.lsn = lsn;
        let before = std::mem::replace(&mut entry.deadline, deadline);
        self.move_deadline(scatter, hash, before, deadline);
    }

    /// Puts a plain key back that is not there.
    pub(super) fn restore(&mut self, scatter: Scatter, lsn: Lsn, key: &[u8], value: &[u8], deadline: Millis) {
        self.insert(scatter, Entry { key: key.into(), value: Value::of(value), deadline, lsn });
    }

    fn count(&mut self, scatter: Scatter, lsn: Lsn, key: &[u8], value: i64, amends: bool) {
        let hash = scatter.bytes(key);
        match self.table.find_mut(hash, |entry| *entry.key == *key) {
            Some(entry) => {
                assert!(!amends || entry.lsn == lsn, "only the last change of a counter is amended");
                assert!(entry.integer().is_some(), "only an integer is counted");
                entry.value = Value::Int(value);
                entry.lsn = lsn;
            }
            None => {
                assert!(!amends, "only the last change of a counter is amended");
                let entry = Entry { key: key.into(), value: Value::Int(value), deadline: Millis::NEVER, lsn };
                self.insert(scatter, entry);
            }
        }
    }

    fn patch(&mut self, scatter: Scatter, lsn: Lsn, key: &[u8], offset: usize, patch: &[u8]) {
        let end = offset + patch.len();
        assert!(end <= limits::VALUE_BYTES_MAX, "values are bounded");
        if self.find(scatter, key).is_none() {
            self.set(scatter, lsn, key, b"", Millis::NEVER);
        }
        let entry = self.table.find_mut(scatter.bytes(key), |entry| *entry.key == *key).expect("just made if missing");
        assert!(!entry.is_campaign(), "a plain value never replaces a campaign");
        if let Value::Int(number) = entry.value {
            entry.value = Value::Bytes(number.to_string().into_bytes());
        }
        if let Value::Bytes(bytes) = &mut entry.value {
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[offset..end].copy_from_slice(patch);
        }
        entry.lsn = lsn;
    }

    fn expire(&mut self, scatter: Scatter, lsn: Lsn, key: &[u8], deadline: Millis) {
        let hash = scatter.bytes(key);
        let entry = self.table.find_mut(hash, |entry| *entry.key == *key).expect("only a key that exists expires");
        assert!(!entry.is_campaign(), "a campaign has no deadline");
        entry.lsn = lsn;
        let before = std::mem::replace(&mut entry.deadline, deadline);
        self.move_deadline(scatter, hash, before, deadline);
    }

    fn remove(&mut self, scatter: Scatter, key: &[u8], expired: bool) {
        let entry = self.take(scatter, key).expect("only a key that exists is removed");
        assert!(!entry.is_campaign(), "a campaign is dropped, never removed");
        assert!(!expired || entry.deadline != Millis::NEVER, "only a key with a deadline expires");
    }

    fn rename(&mut self, scatter: Scatter, lsn: Lsn, from: &[u8], to: &[u8]) {
        assert!(from != to, "a rename changes the name");
        if self.find(scatter, to).is_some() {
            self.remove(scatter, to, false);
        }
        let entry = self.take(scatter, from).expect("only a key that exists is renamed");
        assert!(!entry.is_campaign(), "a campaign keeps its name");
        self.insert(scatter, Entry { key: to.into(), lsn, ..entry });
    }

    fn insert(&mut self, scatter: Scatter, entry: Entry) {
        let (hash, deadline) = (scatter.bytes(&entry.key), entry.deadline);
        self.table.insert_unique(hash, entry, |entry| scatter.bytes(&entry.key));
        self.move_deadline(scatter, hash, Millis::NEVER, deadline);
    }

    fn take(&mut self, scatter: Scatter, key: &[u8]) -> Option<Entry> {
        let hash = scatter.bytes(key);
        let entry = self.table.remove(hash, |entry| *entry.key == *key, |entry| scatter.bytes(&entry.key))?;
        self.move_deadline(scatter, hash, entry.deadline, Millis::NEVER);
        Some(entry)
    }

    /// Follows an entry's deadline; the table already holds the entry as it is afterwards.
    fn move_deadline(&mut self, scatter: Scatter, hash: u64, before: Millis, after: Millis) {
        if before == after {
            return;
        }
        if before != Millis::NEVER {
            self.with_deadline -= 1;
            // Two keys may share hash and deadline.
            if self.at_deadline(scatter, hash, before).is_none() {
                self.deadlines.remove(&(before, hash));
            }
        }
        if after != Millis::NEVER {
            self.with_deadline += 1;
            self.deadlines.insert((after, hash));
        }
    }

    fn at_deadline(&self, scatter: Scatter, hash: u64, deadline: Millis) -> Option<&Entry> {
        self.table.find(hash, |entry| entry.deadline == deadline && scatter.bytes(&entry.key) == hash)
    }

    /// See [`Table::free`].
    pub(super) fn free(&mut self, budget: usize) -> usize {
        let mut freed = self.table.free(budget);
        while freed < budget && self.deadlines.pop_first().is_some() {
            freed += 1;
        }
        freed
    }
}

impl Core {
    /// What stands under `key` at `now`.
    pub(super) fn look(&self, db: Db, key: &[u8], now: Millis) -> Look<'_> {
        match self.space(db).find(self.scatter, key) {
            None => Look::Missing { depends: self.removed, stale: false },
            Some(entry) if entry.deadline <= now => Look::Missing { depends: entry.lsn, stale: true },
            Some(entry) => match entry.value {
                Value::Campaign(id) => Look::Campaign(id, entry),
                Value::Int(_) | Value::Bytes(_) => Look::Plain(entry),
            },
        }
    }

    pub(super) fn space(&self, db: Db) -> &Keyspace {
        &self.spaces[usize::from(db.0)]
    }

    /// Events that are about keys.
    pub(super) fn evolve_keys(&mut self, lsn: Lsn, event: &Event<'_>, amends: bool) {
        let scatter = self.scatter;
        match event {
            Event::KeySet { db, key, value, expires } => self.space_mut(*db).set(scatter, lsn, key, value, *expires),
            Event::KeyCounted { db, key, value } => self.space_mut(*db).count(scatter, lsn, key, *value, amends),
            Event::KeyPatched { db, key, offset, bytes } => {
                self.space_mut(*db).patch(scatter, lsn, key, *offset as usize, bytes);
            }
            Event::KeyExpirySet { db, key, expires } => self.space_mut(*db).expire(scatter, lsn, key, *expires),
            Event::KeyRemoved { db, key, expired } => {
                self.space_mut(*db).remove(scatter, key, *expired);
                self.removed = lsn;
            }
            Event::KeyRenamed { db, from, to } => {
                self.space_mut(*db).rename(scatter, lsn, from, to);
                self.removed = lsn;
            }
            Event::Flushed { db } => {
                let flushed = match db {
                    Some(db) => usize::from(db.0)..usize::from(db.0) + 1,
                    None => 0..limits::DATABASES,
                };
                assert!(flushed.start != 0 || self.campaigns.live() == 0, "campaigns are dropped, never flushed");
                for space in &mut self.spaces[flushed] {
                    self.discarded.keys(std::mem::take(space));
                }
                self.removed = lsn;
            }
            Event::CampaignCreated { .. }
            | Event::CampaignAltered { .. }
            | Event::CampaignDropped { .. }
            | Event::Granted { .. }
            | Event::Held { .. }
            | Event::Confirmed { .. }
            | Event::HoldEnded { .. }
            | Event::Returned { .. }
            | Event::Imported { .. }
            | Event::Skipped { .. } => unreachable!("what is about campaigns goes to evolve_campaigns"),
        }
    }

    fn space_mut(&mut self, db: Db) -> &mut Keyspace {
        &mut self.spaces[usize::from(db.0)]
    }
}
