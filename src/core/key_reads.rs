//! Commands that only read keys.

use crate::core::command::TtlForm;
use crate::core::glob::glob_matches;
use crate::core::keys::{Entry, Look, Value};
use crate::core::reply::{Decision, Refusal, Reply};
use crate::core::{Core, View, answer, refuse, shown};
use crate::ids::{Db, Lsn, Millis};
use crate::limits;

/// Keys looked at for a `RANDOMKEY` before it gives up on finding one whose deadline has not passed.
const DRAWS_MAX: usize = 16;
/// Neighbours looked at in one draw.
const DRAW_KEYS: usize = 16;

/// A campaign stands where a plain key was expected.
pub(super) fn is_campaign<'s, 'a>(entry: &Entry) -> Decision<'s, 'a> {
    refuse(Refusal::IsCampaign(shown(&entry.key)), entry.lsn)
}

impl Core {
    /// `GET`
    pub(super) fn get<'s, 'a>(&'s self, db: Db, key: &[u8], view: &View) -> Decision<'s, 'a> {
        match self.look(db, key, view.now) {
            Look::Plain(entry) => answer(entry.reply(), entry.lsn),
            Look::Missing { depends, .. } => answer(Reply::Null, depends),
            Look::Campaign(_, entry) => is_campaign(entry),
        }
    }

    /// `MGET`: a campaign is null, as every other type is in Redis.
    pub(super) fn get_many<'s, 'a>(&'s self, db: Db, keys: &[&[u8]], view: &View) -> Decision<'s, 'a> {
        let mut newest = Lsn::ZERO;
        let mut bytes = 0;
        let values = keys.iter().map(|key| {
            let (reply, depends) = match self.look(db, key, view.now) {
                Look::Plain(entry) => {
                    bytes += entry.text().len();
                    (entry.reply(), entry.lsn)
                }
                Look::Missing { depends, .. } => (Reply::Null, depends),
                Look::Campaign(_, entry) => (Reply::Null, entry.lsn),
            };
            newest = newest.max(depends);
            reply
        });
        let values = values.collect();
        if bytes > limits::OUTPUT_CLOSE_BYTES {
            return refuse(Refusal::Err("the values together are longer than an answer may be; ask for fewer"), newest);
        }
        answer(Reply::Array(values), newest)
    }

    /// `STRLEN`
    pub(super) fn length<'s, 'a>(&'s self, db: Db, key: &[u8], view: &View) -> Decision<'s, 'a> {
        match self.look(db, key, view.now) {
            Look::Plain(entry) => answer(Reply::Int(entry.text().len() as i64), entry.lsn),
            Look::Missing { depends, .. } => answer(Reply::Int(0), depends),
            Look::Campaign(_, entry) => is_campaign(entry),
        }
    }

    /// `GETRANGE`: offsets below zero count from the end.
    pub(super) fn get_range<'s, 'a>(
        &'s self,
        db: Db,
        key: &[u8],
        start: i64,
        end: i64,
        view: &View,
    ) -> Decision<'s, 'a> {
        let entry = match self.look(db, key, view.now) {
            Look::Plain(entry) => entry,
            Look::Missing { depends, .. } => return answer(Reply::bulk(b""), depends),
            Look::Campaign(_, entry) => return is_campaign(entry),
        };
        let text = entry.text();
        let length = text.len() as i64;
        let from_end = |offset: i64| if offset < 0 { offset.saturating_add(length).max(0) } else { offset };
        // Redis looks at the order before it counts from the end, so that `-1 -5` is empty on a short value too.
        let turned = start < 0 && end < 0 && start > end;
        let (start, end) = (from_end(start), from_end(end).min(length - 1));
        if turned || start > end {
            return answer(Reply::bulk(b""), entry.lsn);
        }
        let range = start as usize..end as usize + 1;
        let part = match text {
            std::borrow::Cow::Borrowed(text) => Reply::bulk(&text[range]),
            std::borrow::Cow::Owned(text) => Reply::Bulk(text[range].to_vec().into()),
        };
        answer(part, entry.lsn)
    }

    /// `EXISTS`, `TOUCH`: a key named twice counts twice.
    pub(super) fn exists<'s, 'a>(&'s self, db: Db, keys: &[&[u8]], view: &View) -> Decision<'s, 'a> {
        let (mut count, mut newest) = (0, Lsn::ZERO);
        for key in keys {
            let (here, depends) = match self.look(db, key, view.now) {
                Look::Plain(entry) | Look::Campaign(_, entry) => (1, entry.lsn),
                Look::Missing { depends, .. } => (0, depends),
            };
            count += here;
            newest = newest.max(depends);
        }
        answer(Reply::Int(count), newest)
    }

    /// `TYPE`
    pub(super) fn type_of<'s, 'a>(&'s self, db: Db, key: &[u8], view: &View) -> Decision<'s, 'a> {
        match self.look(db, key, view.now) {
            Look::Plain(entry) | Look::Campaign(_, entry) => answer(Reply::Status(kind_of(entry)), entry.lsn),
            Look::Missing { depends, .. } => answer(Reply::Status("none"), depends),
        }
    }

    /// `TTL` and its relatives: -2 without a key, -1 without a deadline.
    pub(super) fn time_to_live<'s, 'a>(&'s self, db: Db, key: &[u8], form: TtlForm, view: &View) -> Decision<'s, 'a> {
        let entry = match self.look(db, key, view.now) {
            Look::Plain(entry) | Look::Campaign(_, entry) => entry,
            Look::Missing { depends, .. } => return answer(Reply::Int(-2), depends),
        };
        let told = entry.deadline.some().map_or(-1, |Millis(deadline)| {
            let left = deadline.saturating_sub(view.now.0);
            let seconds = |millis: i64| millis / 1000 + i64::from(millis % 1000 >= 500);
            match form {
                TtlForm::SecondsLeft => seconds(left),
                TtlForm::MillisLeft => left,
                TtlForm::UnixSeconds => seconds(deadline),
                TtlForm::UnixMillis => deadline,
            }
        });
        answer(Reply::Int(told), entry.lsn)
    }

    /// `KEYS`. Takes as long as there are keys, as in Redis.
    pub(super) fn keys<'s, 'a>(&'s self, db: Db, pattern: &[u8], view: &View) -> Decision<'s, 'a> {
        let there = self.space(db).iter().filter(|entry| entry.deadline > view.now);
        let named = there.filter(|entry| glob_matches(pattern, &entry.key));
        answer(Reply::Array(named.map(|entry| Reply::bulk(&entry.key)).collect()), self.applied)
    }

    /// `SCAN`: `count` is how many keys are looked at.
    pub(super) fn scan<'s, 'a>(
        &'s self,
        db: Db,
        cursor: u64,
        pattern: Option<&[u8]>,
        count: u64,
        kind: Option<&[u8]>,
        view: &View,
    ) -> Decision<'s, 'a> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (entries, next) = self.space(db).slice(self.scatter, cursor, count);
        let wanted = entries.into_iter().filter(|entry| {
            entry.deadline > view.now
                && pattern.is_none_or(|pattern| glob_matches(pattern, &entry.key))
                && kind.is_none_or(|kind| kind.eq_ignore_ascii_case(kind_of(entry).as_bytes()))
        });
        let keys = wanted.map(|entry| Reply::bulk(&entry.key)).collect();
        answer(Reply::Array(vec![Reply::text(next.to_string()), Reply::Array(keys)]), self.applied)
    }

    /// `RANDOMKEY`: a neighbour of the drawn place.
    pub(super) fn random_key<'s, 'a>(&'s self, db: Db, draw: u64, view: &View) -> Decision<'s, 'a> {
        let mut cursor = draw >> 16;
        for _ in 0..DRAWS_MAX {
            let (mut entries, next) = self.space(db).slice(self.scatter, cursor, DRAW_KEYS);
            entries.retain(|entry| entry.deadline > view.now);
            if !entries.is_empty() {
                let entry = entries[draw as usize % entries.len()];
                return answer(Reply::bulk(&entry.key), self.applied);
            }
            cursor = next;
        }
        answer(Reply::Null, self.applied)
    }
}

fn kind_of(entry: &Entry) -> &'static str {
    match entry.value {
        Value::Int(_) | Value::Bytes(_) => "string",
        Value::Campaign(_) => "campaign",
    }
}
