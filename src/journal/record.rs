//! One event as bytes and back. Pure.
//!
//! Little-endian. If a layout changes, give it a new version and add golden bytes.
//!
//! ```text
//! kind u8 | version u8 | flags u8 (bit 0: the group goes on) | zero u8 | len u32 | payload of len bytes
//! ```
//!
//! An event has one form: bytes that `encode` would not have written are no event.

use std::borrow::Cow;
use std::fmt;

use super::bytes::{Cut, put_i64, put_short, put_sized, put_u16, put_u32, put_u64};
use crate::core::{Alterable, Event, Terms, Users};
use crate::ids::{CampaignId, Db, Lsn, Millis, User};
use crate::limits;

/// What a record takes beyond the bytes of its keys, values, names and users: at most this.
pub const RECORD_OVERHEAD_BYTES_MAX: usize = HEAD_BYTES + 42;

const HEAD_BYTES: usize = 8;
const VERSION: u8 = 1;
const MORE: u8 = 1;
const ALL_DATABASES: u8 = 0xff;

const CREATED: u8 = 1;
const DROPPED: u8 = 2;
const GRANTED_INT: u8 = 3;
const GRANTED_ANY: u8 = 4;
const IMPORTED_INT: u8 = 5;
const IMPORTED_ANY: u8 = 6;
const SKIPPED: u8 = 7;
const ALTERED: u8 = 9;
/// Grants and imports that say more than the ones above: which of the user's seats it is, and the request.
const GRANTED_MORE_INT: u8 = 10;
const GRANTED_MORE_ANY: u8 = 11;
const IMPORTED_MORE_INT: u8 = 12;
const IMPORTED_MORE_ANY: u8 = 13;
const HELD_INT: u8 = 14;
const HELD_ANY: u8 = 15;
const HOLD_ENDED_INT: u8 = 16;
const HOLD_ENDED_ANY: u8 = 17;
const CONFIRMED_INT: u8 = 18;
const CONFIRMED_ANY: u8 = 19;
/// Grants and imports that say the campaign's last return, too.
const GRANTED_AFTER_INT: u8 = 20;
const GRANTED_AFTER_ANY: u8 = 21;
const IMPORTED_AFTER_INT: u8 = 22;
const IMPORTED_AFTER_ANY: u8 = 23;
const RETURNED_INT: u8 = 24;
const RETURNED_ANY: u8 = 25;
const PURGED: u8 = 26;
/// Positions up to one whose events history leaves out: no event of its own.
const LEFT_OUT: u8 = 8;
const KEY_SET: u8 = 32;
const KEY_COUNTED: u8 = 33;
const KEY_PATCHED: u8 = 34;
const KEY_EXPIRY_SET: u8 = 35;
const KEY_REMOVED: u8 = 36;
const KEY_RENAMED: u8 = 37;
const FLUSHED: u8 = 38;

const HAS_OPEN: u8 = 1;
const HAS_CLOSE: u8 = 2;
const USERS_ANY: u8 = 4;
const SHADOW: u8 = 8;
const HAS_PER_USER: u8 = 16;
const NO_ID: u8 = 32;
const HAS_HOLD: u8 = 64;

/// Adds the word that history leaves out the events up to `upto`.
pub(super) fn encode_left_out(upto: Lsn, into: &mut Vec<u8>) {
    into.extend_from_slice(&[LEFT_OUT, VERSION, 0, 0, 8, 0, 0, 0]);
    put_u64(into, upto.get());
}

/// The last position that history leaves out from here on, and what took the word for it.
fn left_out(bytes: &[u8]) -> Option<(Lsn, &[u8])> {
    match bytes {
        [LEFT_OUT, VERSION, 0, 0, 8, 0, 0, 0, rest @ ..] => {
            rest.split_first_chunk().map(|(upto, rest)| (Lsn::new(u64::from_le_bytes(*upto)), rest))
        }
        _ => None,
    }
}

/// Adds one event to `into`. `more`: further events of the same group follow. Allocates only where `into` must grow.
pub(super) fn encode(event: &Event<'_>, more: bool, into: &mut Vec<u8>) {
    // Nearly all events of a busy gate are such grants.
    if let Event::Granted { campaign, seat, user: User::Int(user), nth: 1, request: b"", at, after: Lsn::ZERO } = event
    {
        let mut record = [0; HEAD_BYTES + 24];
        record[..5].copy_from_slice(&[GRANTED_INT, VERSION, if more { MORE } else { 0 }, 0, 24]);
        record[8..12].copy_from_slice(&campaign.0.to_le_bytes());
        record[12..16].copy_from_slice(&seat.get().to_le_bytes());
        record[16..24].copy_from_slice(&user.to_le_bytes());
        record[24..].copy_from_slice(&at.0.to_le_bytes());
        return into.extend_from_slice(&record);
    }
    encode_at_length(event, more, into);
}

fn encode_at_length(event: &Event<'_>, more: bool, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(&[kind_of(event), VERSION, if more { MORE } else { 0 }, 0, 0, 0, 0, 0]);
    match event {
        Event::CampaignCreated { id, name, terms, at } => {
            put_u32(into, id.0);
            put_u32(into, terms.limit);
            into.push(terms_flags(terms));
            put_i64(into, at.0);
            put_i64(into, terms.open.map_or(0, |time| time.0));
            put_i64(into, terms.close.map_or(0, |time| time.0));
            put_per_user(into, terms.per_user);
            put_hold(into, terms.hold);
            into.extend_from_slice(name);
        }
        Event::CampaignAltered { id, to, at, by } => {
            put_u32(into, id.0);
            put_alterable(into, *to);
            put_i64(into, at.0);
            into.extend_from_slice(by);
        }
        Event::CampaignDropped { id, at, purged: _ } => {
            put_u32(into, id.0);
            put_i64(into, at.0);
        }
        Event::Granted { campaign, seat, user, nth, request, at, after } => {
            put_u32(into, campaign.0);
            put_u32(into, seat.get());
            put_i64(into, at.0);
            if says_more(event) {
                put_u16(into, *nth);
                put_short(into, request);
            }
            put_after(into, *after);
            put_user(into, *user);
        }
        Event::Held { campaign, seat, user, nth, request, at, until } => {
            put_u32(into, campaign.0);
            put_u32(into, seat.get());
            put_i64(into, at.0);
            put_i64(into, until.0);
            put_u16(into, *nth);
            put_short(into, request);
            put_user(into, *user);
        }
        Event::Confirmed { campaign, seat, user, nth, at, after } => {
            put_u32(into, campaign.0);
            put_u32(into, seat.get());
            put_i64(into, at.0);
            put_u16(into, *nth);
            put_u64(into, after.get());
            put_user(into, *user);
        }
        Event::Returned { campaign, seat, user, nth, at, grant, seq } => {
            put_u32(into, campaign.0);
            put_u32(into, seat.get());
            put_i64(into, at.0);
            put_u16(into, *nth);
            put_u64(into, grant.get());
            put_u64(into, seq.map_or(0, Lsn::get));
            put_user(into, *user);
        }
        Event::HoldEnded { campaign, seat, user, at, expired } => {
            put_u32(into, campaign.0);
            put_u32(into, seat.get());
            put_i64(into, at.0);
            into.push(u8::from(*expired));
            put_user(into, *user);
        }
        Event::Imported { campaign, seat, user, nth, at, seq, after } => {
            put_u32(into, campaign.0);
            put_u32(into, seat.get());
            put_i64(into, at.0);
            put_u64(into, seq.map_or(0, Lsn::get));
            if says_more(event) {
                put_u16(into, *nth);
            }
            put_after(into, *after);
            put_user(into, *user);
        }
        Event::Skipped { upto } => put_u64(into, upto.get()),
        Event::KeySet { db, key, value, expires } => {
            into.push(db.0);
            put_i64(into, expires.0);
            put_sized(into, key);
            into.extend_from_slice(value);
        }
        Event::KeyCounted { db, key, value } => {
            into.push(db.0);
            put_i64(into, *value);
            into.extend_from_slice(key);
        }
        Event::KeyPatched { db, key, offset, bytes } => {
            into.push(db.0);
            put_u32(into, *offset);
            put_sized(into, key);
            into.extend_from_slice(bytes);
        }
        Event::KeyExpirySet { db, key, expires } => {
            into.push(db.0);
            put_i64(into, expires.0);
            into.extend_from_slice(key);
        }
        Event::KeyRemoved { db, key, expired } => {
            into.push(db.0);
            into.push(u8::from(*expired));
            into.extend_from_slice(key);
        }
        Event::KeyRenamed { db, from, to } => {
            into.push(db.0);
            put_sized(into, from);
            into.extend_from_slice(to);
        }
        Event::Flushed { db } => into.push(db.map_or(ALL_DATABASES, |db| db.0)),
    }
    let len = u32::try_from(into.len() - start - HEAD_BYTES).expect("a group fits a batch, and a batch is below 4 GiB");
    into[start + 4..start + HEAD_BYTES].copy_from_slice(&len.to_le_bytes());
}

/// Written only where something came back before.
fn put_after(into: &mut Vec<u8>, after: Lsn) {
    if after > Lsn::ZERO {
        put_u64(into, after.get());
    }
}

/// A user at the end of a record.
fn put_user(into: &mut Vec<u8>, user: User<'_>) {
    match user {
        User::Int(user) => put_i64(into, user),
        User::Any(user) => into.extend_from_slice(user),
    }
}

/// Room that is surely enough for `event` in a batch.
pub fn record_bytes_max(event: &Event<'_>) -> usize {
    let borrowed = match event {
        Event::CampaignCreated { name, .. } => name.len(),
        Event::CampaignAltered { by, .. } => by.len(),
        Event::Granted { user: User::Int(_), request, .. } | Event::Held { user: User::Int(_), request, .. } => {
            request.len()
        }
        Event::Granted { user: User::Any(user), request, .. } | Event::Held { user: User::Any(user), request, .. } => {
            user.len() + request.len()
        }
        Event::Imported { user: User::Any(user), .. }
        | Event::Confirmed { user: User::Any(user), .. }
        | Event::Returned { user: User::Any(user), .. }
        | Event::HoldEnded { user: User::Any(user), .. } => user.len(),
        Event::KeySet { key, value, .. } => key.len() + value.len(),
        Event::KeyPatched { key, bytes, .. } => key.len() + bytes.len(),
        Event::KeyCounted { key, .. } | Event::KeyExpirySet { key, .. } | Event::KeyRemoved { key, .. } => key.len(),
        Event::KeyRenamed { from, to, .. } => from.len() + to.len(),
        Event::CampaignDropped { .. }
        | Event::Confirmed { user: User::Int(_), .. }
        | Event::Returned { user: User::Int(_), .. }
        | Event::HoldEnded { user: User::Int(_), .. }
        | Event::Imported { user: User::Int(_), .. }
        | Event::Skipped { .. }
        | Event::Flushed { .. } => 0,
    };
    RECORD_OVERHEAD_BYTES_MAX + borrowed
}

/// Puts the value of `event` in the place of the one at the head of `record`, if both count the same key.
pub(super) fn amend(record: &mut [u8], event: &Event<'_>) -> bool {
    let Event::KeyCounted { db, key, value } = event else { return false };
    let len = u32::from_le_bytes(record[4..HEAD_BYTES].try_into().expect("a record has a head")) as usize;
    let kind = record[0];
    let payload = &mut record[HEAD_BYTES..HEAD_BYTES + len];
    let same = kind == KEY_COUNTED && payload[0] == db.0 && payload[9..] == **key;
    if same {
        payload[1..9].copy_from_slice(&value.to_le_bytes());
    }
    same
}

/// Why bytes with a good checksum are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecord {
    /// A kind or version that this release does not know.
    Newer {
        /// The record's kind.
        kind: u8,
        /// The record's version.
        version: u8,
    },
    /// A known kind whose bytes make no sense.
    Malformed {
        /// The record's kind.
        kind: u8,
    },
    /// The records and the count in the batch header do not agree, or the batch ends within a group.
    Count,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRecord::Newer { kind, version } => {
                write!(f, "a record of kind {kind} version {version}, written by a newer release")
            }
            BadRecord::Malformed { kind } => write!(f, "a record of kind {kind} that makes no sense"),
            BadRecord::Count => write!(f, "a batch whose records do not add up"),
        }
    }
}

/// The events of one batch in order, with their positions. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    next: Lsn,
    left: u32,
    within_group: bool,
}

impl<'a> Records<'a> {
    pub(super) fn new(body: &'a [u8], first: Lsn, count: u32) -> Records<'a> {
        Records { rest: body, next: first, left: count, within_group: false }
    }

    /// How many positions are left behind `last`; `None` where that is not one of them.
    fn left_behind(&self, last: Lsn) -> Option<u32> {
        let before_last = last.get().checked_sub(self.next.get())?;
        self.left.checked_sub(u32::try_from(before_last).ok()?.checked_add(1)?)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(Lsn, Event<'a>), BadRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((upto, rest)) = left_out(self.rest) {
            let Some(left) = self.left_behind(upto) else {
                (self.rest, self.left, self.within_group) = (&[], 0, false);
                return Some(Err(BadRecord::Count));
            };
            (self.rest, self.left, self.next) = (rest, left, upto.next());
        }
        if self.left == 0 {
            let sound = self.rest.is_empty() && !self.within_group;
            (self.rest, self.within_group) = (&[], false);
            return (!sound).then_some(Err(BadRecord::Count));
        }
        match decode(self.rest) {
            Ok((event, more, taken)) => {
                let lsn = self.next;
                let last = if let Event::Skipped { upto } = event { upto } else { lsn };
                let Some(left) = self.left_behind(last) else {
                    (self.rest, self.left, self.within_group) = (&[], 0, false);
                    return Some(Err(BadRecord::Count));
                };
                self.rest = &self.rest[taken..];
                self.next = last.next();
                self.left = left;
                self.within_group = more;
                Some(Ok((lsn, event)))
            }
            Err(bad) => {
                (self.rest, self.left, self.within_group) = (&[], 0, false);
                Some(Err(bad))
            }
        }
    }
}

/// The event at the head of `bytes`, whether its group goes on, and how many bytes it took.
pub(super) fn decode(bytes: &[u8]) -> Result<(Event<'_>, bool, usize), BadRecord> {
    let [kind, version, flags, zero, a, b, c, d, rest @ ..] = bytes else { return Err(BadRecord::Count) };
    let (kind, version) = (*kind, *version);
    let known = (CREATED..=SKIPPED).contains(&kind)
        || (ALTERED..=PURGED).contains(&kind)
        || (KEY_SET..=FLUSHED).contains(&kind);
    if !known || version != VERSION || flags & !MORE != 0 || *zero != 0 {
        return Err(BadRecord::Newer { kind, version });
    }
    let len = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    let payload = rest.get(..len).ok_or(BadRecord::Count)?;
    let event = payload_of(kind, &mut Cut(payload)).ok_or(BadRecord::Malformed { kind })?;
    Ok((event, flags & MORE != 0, HEAD_BYTES + len))
}

fn payload_of<'a>(kind: u8, cut: &mut Cut<'a>) -> Option<Event<'a>> {
    let event = match kind {
        CREATED => {
            let (id, limit, flags, at) = (CampaignId(cut.u32()?), cut.u32()?, cut.u8()?, Millis(cut.i64()?));
            let terms = terms_of(limit, flags, cut)?;
            Event::CampaignCreated { id, name: cut.rest(), terms, at }
        }
        ALTERED => Event::CampaignAltered {
            id: CampaignId(cut.u32()?),
            to: alterable_of(cut)?,
            at: Millis(cut.i64()?),
            by: Cow::Borrowed(cut.rest()),
        },
        DROPPED | PURGED => {
            Event::CampaignDropped { id: CampaignId(cut.u32()?), at: Millis(cut.i64()?), purged: kind == PURGED }
        }
        GRANTED_INT => Event::Granted {
            campaign: CampaignId(cut.u32()?),
            seat: cut.seat()?,
            user: User::Int(cut.i64()?),
            nth: 1,
            request: b"",
            at: Millis(cut.i64()?),
            after: Lsn::ZERO,
        },
        GRANTED_ANY | GRANTED_MORE_INT | GRANTED_MORE_ANY => {
            let (campaign, seat, at) = (CampaignId(cut.u32()?), cut.seat()?, Millis(cut.i64()?));
            let (nth, request) = if kind == GRANTED_ANY { (1, &b""[..]) } else { more_of(cut)? };
            let user = user_at(cut, kind == GRANTED_MORE_INT)?;
            Event::Granted { campaign, seat, user, nth, request, at, after: Lsn::ZERO }
        }
        GRANTED_AFTER_INT | GRANTED_AFTER_ANY => {
            let (campaign, seat, at) = (CampaignId(cut.u32()?), cut.seat()?, Millis(cut.i64()?));
            let (nth, request) = nth_and_request(cut)?;
            let after = after_of(cut)?;
            let user = user_at(cut, kind == GRANTED_AFTER_INT)?;
            Event::Granted { campaign, seat, user, nth, request, at, after }
        }
        HELD_INT | HELD_ANY => {
            let (campaign, seat) = (CampaignId(cut.u32()?), cut.seat()?);
            let (at, until) = (Millis(cut.i64()?), Millis(cut.i64()?));
            let (nth, request) = nth_and_request(cut)?;
            let user = user_at(cut, kind == HELD_INT)?;
            Event::Held { campaign, seat, user, nth, request, at, until }
        }
        CONFIRMED_INT | CONFIRMED_ANY => {
            let (campaign, seat, at) = (CampaignId(cut.u32()?), cut.seat()?, Millis(cut.i64()?));
            let nth = cut.u16().filter(|nth| *nth > 0)?;
            let after = Lsn::new(cut.u64()?);
            let user = user_at(cut, kind == CONFIRMED_INT)?;
            Event::Confirmed { campaign, seat, user, nth, at, after }
        }
        RETURNED_INT | RETURNED_ANY => {
            let (campaign, seat, at) = (CampaignId(cut.u32()?), cut.seat()?, Millis(cut.i64()?));
            let nth = cut.u16().filter(|nth| *nth > 0)?;
            let (grant, seq) = (Lsn::new(cut.u64()?), seq_of(cut)?);
            let user = user_at(cut, kind == RETURNED_INT)?;
            Event::Returned { campaign, seat, user, nth, at, grant, seq }
        }
        HOLD_ENDED_INT | HOLD_ENDED_ANY => {
            let (campaign, seat) = (CampaignId(cut.u32()?), cut.seat()?);
            let (at, expired) = (Millis(cut.i64()?), cut.truth()?);
            let user = user_at(cut, kind == HOLD_ENDED_INT)?;
            Event::HoldEnded { campaign, seat, user, at, expired }
        }
        IMPORTED_INT..=IMPORTED_ANY
        | IMPORTED_MORE_INT..=IMPORTED_MORE_ANY
        | IMPORTED_AFTER_INT..=IMPORTED_AFTER_ANY => {
            let (campaign, seat) = (CampaignId(cut.u32()?), cut.seat()?);
            let (at, seq) = (Millis(cut.i64()?), seq_of(cut)?);
            let (nth, after) = match kind {
                IMPORTED_INT | IMPORTED_ANY => (1, Lsn::ZERO),
                IMPORTED_MORE_INT | IMPORTED_MORE_ANY => (cut.u16().filter(|nth| *nth > 1)?, Lsn::ZERO),
                _ => (cut.u16().filter(|nth| *nth > 0)?, after_of(cut)?),
            };
            let user = user_at(cut, matches!(kind, IMPORTED_INT | IMPORTED_MORE_INT | IMPORTED_AFTER_INT))?;
            Event::Imported { campaign, seat, user, nth, at, seq, after }
        }
        SKIPPED => Event::Skipped { upto: Lsn::new(cut.u64()?) },
        KEY_SET => {
            let (db, expires, key) = (Db(cut.u8()?), Millis(cut.i64()?), cut.sized()?);
            Event::KeySet { db, key, value: Cow::Borrowed(cut.rest()), expires }
        }
        KEY_COUNTED => Event::KeyCounted { db: Db(cut.u8()?), value: cut.i64()?, key: cut.rest() },
        KEY_PATCHED => {
            Event::KeyPatched { db: Db(cut.u8()?), offset: cut.u32()?, key: cut.sized()?, bytes: cut.rest() }
        }
        KEY_EXPIRY_SET => Event::KeyExpirySet { db: Db(cut.u8()?), expires: Millis(cut.i64()?), key: cut.rest() },
        KEY_REMOVED => Event::KeyRemoved { db: Db(cut.u8()?), expired: cut.truth()?, key: cut.rest() },
        KEY_RENAMED => Event::KeyRenamed { db: Db(cut.u8()?), from: cut.sized()?, to: cut.rest() },
        FLUSHED => Event::Flushed { db: Some(cut.u8()?).filter(|db| *db != ALL_DATABASES).map(Db) },
        _ => return None,
    };
    cut.0.is_empty().then_some(event)
}

/// The user at the end of a record.
fn user_at<'a>(cut: &mut Cut<'a>, is_int: bool) -> Option<User<'a>> {
    Some(if is_int { User::Int(cut.i64()?) } else { User::Any(cut.rest()) })
}

fn kind_of(event: &Event<'_>) -> u8 {
    match event {
        Event::CampaignCreated { .. } => CREATED,
        Event::CampaignAltered { .. } => ALTERED,
        Event::CampaignDropped { purged: false, .. } => DROPPED,
        Event::CampaignDropped { purged: true, .. } => PURGED,
        Event::Granted { user: User::Int(_), nth: 1, request: b"", after: Lsn::ZERO, .. } => GRANTED_INT,
        Event::Granted { user: User::Any(_), nth: 1, request: b"", after: Lsn::ZERO, .. } => GRANTED_ANY,
        Event::Granted { user: User::Int(_), after: Lsn::ZERO, .. } => GRANTED_MORE_INT,
        Event::Granted { user: User::Any(_), after: Lsn::ZERO, .. } => GRANTED_MORE_ANY,
        Event::Granted { user: User::Int(_), .. } => GRANTED_AFTER_INT,
        Event::Granted { user: User::Any(_), .. } => GRANTED_AFTER_ANY,
        Event::Imported { user: User::Int(_), nth: 1, after: Lsn::ZERO, .. } => IMPORTED_INT,
        Event::Imported { user: User::Any(_), nth: 1, after: Lsn::ZERO, .. } => IMPORTED_ANY,
        Event::Imported { user: User::Int(_), after: Lsn::ZERO, .. } => IMPORTED_MORE_INT,
        Event::Imported { user: User::Any(_), after: Lsn::ZERO, .. } => IMPORTED_MORE_ANY,
        Event::Imported { user: User::Int(_), .. } => IMPORTED_AFTER_INT,
        Event::Imported { user: User::Any(_), .. } => IMPORTED_AFTER_ANY,
        Event::Returned { user: User::Int(_), .. } => RETURNED_INT,
        Event::Returned { user: User::Any(_), .. } => RETURNED_ANY,
        Event::Held { user: User::Int(_), .. } => HELD_INT,
        Event::Held { user: User::Any(_), .. } => HELD_ANY,
        Event::Confirmed { user: User::Int(_), .. } => CONFIRMED_INT,
        Event::Confirmed { user: User::Any(_), .. } => CONFIRMED_ANY,
        Event::HoldEnded { user: User::Int(_), .. } => HOLD_ENDED_INT,
        Event::HoldEnded { user: User::Any(_), .. } => HOLD_ENDED_ANY,
        Event::Skipped { .. } => SKIPPED,
        Event::KeySet { .. } => KEY_SET,
        Event::KeyCounted { .. } => KEY_COUNTED,
        Event::KeyPatched { .. } => KEY_PATCHED,
        Event::KeyExpirySet { .. } => KEY_EXPIRY_SET,
        Event::KeyRemoved { .. } => KEY_REMOVED,
        Event::KeyRenamed { .. } => KEY_RENAMED,
        Event::Flushed { .. } => FLUSHED,
    }
}

/// Whether a grant or an import says more than that a user has his only seat.
fn says_more(event: &Event<'_>) -> bool {
    let kind = kind_of(event);
    (GRANTED_MORE_INT..=IMPORTED_MORE_ANY).contains(&kind) || (GRANTED_AFTER_INT..=IMPORTED_AFTER_ANY).contains(&kind)
}

/// Where the world knows an event by another position than its own, that one; else 0.
fn seq_of(cut: &mut Cut<'_>) -> Option<Option<Lsn>> {
    cut.u64().map(|seq| (seq > 0).then(|| Lsn::new(seq)))
}

/// A last return, where it is written.
fn after_of(cut: &mut Cut<'_>) -> Option<Lsn> {
    cut.u64().filter(|after| *after > 0).map(Lsn::new)
}

/// What a grant says more: which of the user's seats it is, and the request.
pub(super) fn more_of<'a>(cut: &mut Cut<'a>) -> Option<(u16, &'a [u8])> {
    nth_and_request(cut).filter(|(nth, request)| *nth > 1 || !request.is_empty())
}

/// Which of the user's seats one is, and the request that got it.
pub(super) fn nth_and_request<'a>(cut: &mut Cut<'a>) -> Option<(u16, &'a [u8])> {
    let (nth, request) = (cut.u16()?, cut.short()?);
    (nth > 0 && request.len() <= limits::REQUEST_ID_BYTES_MAX).then_some((nth, request))
}

/// Terms behind their flags; none where they are not what `terms_flags` and its writer made.
pub(super) fn terms_of(limit: u32, flags: u8, cut: &mut Cut<'_>) -> Option<Terms> {
    let known = flags & !(HAS_OPEN | HAS_CLOSE | USERS_ANY | SHADOW | HAS_PER_USER | NO_ID | HAS_HOLD) == 0;
    let (open, close) = (Millis(cut.i64()?), Millis(cut.i64()?));
    Some(Terms {
        limit,
        per_user: per_user_of(flags, cut)?,
        hold: if flags & HAS_HOLD == 0 { 0 } else { cut.u32().filter(|hold| *hold > 0)? },
        no_id: flags & NO_ID != 0,
        open: flagged(flags & HAS_OPEN, open)?,
        close: flagged(flags & HAS_CLOSE, close)?,
        users: if flags & USERS_ANY != 0 { Users::Any } else { Users::Int },
        shadow: flags & SHADOW != 0,
    })
    .filter(|_| known)
}

/// A time that is there where its flag says so, and zero elsewhere.
fn flagged(flag: u8, time: Millis) -> Option<Option<Millis>> {
    match flag {
        0 => (time == Millis(0)).then_some(None),
        _ => Some(Some(time)),
    }
}

/// Written only where it is not 1.
pub(super) fn put_per_user(into: &mut Vec<u8>, per_user: u16) {
    if per_user != 1 {
        put_u16(into, per_user);
    }
}

/// Written only where claims are held.
pub(super) fn put_hold(into: &mut Vec<u8>, hold: u32) {
    if hold > 0 {
        put_u32(into, hold);
    }
}

fn per_user_of(flags: u8, cut: &mut Cut<'_>) -> Option<u16> {
    if flags & HAS_PER_USER == 0 { Some(1) } else { cut.u16().filter(|seats| *seats > 1) }
}

/// limit u32, flags u8 (as of a creation), open i64, close i64, seats of a user u16 where its flag says so
pub(super) fn put_alterable(into: &mut Vec<u8>, to: Alterable) {
    let Alterable { limit, per_user, open, close } = to;
    put_u32(into, limit);
    let flag = |on: bool, bit| if on { bit } else { 0 };
    into.push(flag(open.is_some(), HAS_OPEN) | flag(close.is_some(), HAS_CLOSE) | flag(per_user != 1, HAS_PER_USER));
    for time in [open, close] {
        put_i64(into, time.map_or(0, |time| time.0));
    }
    put_per_user(into, per_user);
}

/// What `put_alterable` wrote.
pub(super) fn alterable_of(cut: &mut Cut<'_>) -> Option<Alterable> {
    let (limit, flags) = (cut.u32()?, cut.u8()?);
    let (open, close) = (Millis(cut.i64()?), Millis(cut.i64()?));
    let known = flags & !(HAS_OPEN | HAS_CLOSE | HAS_PER_USER) == 0;
    let (open, close) = (flagged(flags & HAS_OPEN, open)?, flagged(flags & HAS_CLOSE, close)?);
    let per_user = per_user_of(flags, cut)?;
    known.then_some(Alterable { limit, per_user, open, close })
}

pub(super) fn terms_flags(terms: &Terms) -> u8 {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    flag(terms.open.is_some(), HAS_OPEN)
        | flag(terms.close.is_some(), HAS_CLOSE)
        | flag(terms.users == Users::Any, USERS_ANY)
        | flag(terms.per_user != 1, HAS_PER_USER)
        | flag(terms.no_id, NO_ID)
        | flag(terms.hold > 0, HAS_HOLD)
        | flag(terms.shadow, SHADOW)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
