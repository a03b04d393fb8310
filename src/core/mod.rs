//! # core - who gets a seat
//! Decides claims, counters and keys. Pure: no I/O, no clock, no randomness, no threads; time is an argument.
//! May use: `ids`, `limits`.
//! Promises: never more than N; never more than PERUSER for a user; seats 1..=N; a counter never wraps.

mod breach;
mod campaign_changes;
mod campaign_claims;
mod campaign_seeds;
mod campaign_terms;
mod campaigns;
mod command;
mod discarded;
mod event;
mod free_seats;
mod glob;
mod holds;
mod image;
mod key_life;
mod key_reads;
mod key_writes;
mod keys;
mod numbers;
mod reply;
mod roster;
mod rows;
mod several;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use campaign_claims::stage;
pub use campaigns::{CampaignFacts, ComingBack};
pub use command::{Alteration, AlteredTime, Command, Deadline, Dropping, ExpireIf, Set, SetAnswer, SetIf, TtlForm};
pub use event::{Alterable, Event, Group, Terms, Users};
pub use glob::glob_matches;
pub use image::{Contradiction, Marks, Piece, Restoring, RetiredSeats};
pub use numbers::{NOT_AN_INTEGER, parse_integer};
pub use reply::{Claim, Decision, Outcome, Refusal, Reply, Settled, Settlement};

use std::fmt;
use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

use crate::core::campaigns::Campaigns;
use crate::core::discarded::Discarded;
use crate::core::keys::Keyspace;
use crate::ids::{CampaignId, Db, Lsn, Millis, Seat};
use crate::limits;

/// What a decision may know of the world beside the state: all of it arguments, none of it looked up.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// The loop's time.
    pub now: Millis,
    /// Grants up to here are on disk when the answer leaves.
    pub durable: Lsn,
    /// Grants up to here are in Kafka; `None` without Kafka.
    pub published: Option<Lsn>,
    /// Grants up to here are in the ledger; `None` without a ledger.
    pub stored: Option<Lsn>,
}

/// The state: campaigns and keys.
pub struct Core {
    scatter: Scatter,
    /// The last change of all.
    applied: Lsn,
    /// The last change that took a name away: what the absence of a name was read from.
    removed: Lsn,
    newest_at: Millis,
    spaces: [Keyspace; limits::DATABASES],
    campaigns: Campaigns,
    discarded: Discarded,
    /// See [`Core::defer_users`].
    users_deferred: bool,
}

impl Core {
    /// An empty state. `secret` scatters the hash tables, so that nobody can aim at one slot of them; nothing that can be
    /// observed depends on it, but the order of `SCAN` and `KEYS`.
    pub fn new(secret: u128) -> Core {
        Core {
            scatter: Scatter::new(secret),
            applied: Lsn::ZERO,
            removed: Lsn::ZERO,
            newest_at: Millis(0),
            spaces: Default::default(),
            campaigns: Campaigns::default(),
            discarded: Discarded::default(),
            users_deferred: false,
        }
    }

    /// From here on the users of new seats are neither looked for nor found: for who puts a state together out of many
    /// events and asks it nothing meanwhile. A snapshot can be taken of it.
    pub fn defer_users(&mut self) {
        self.users_deferred = true;
    }

    /// Makes all users found, after [`Core::defer_users`].
    ///
    /// # Panics
    /// Where one has two seats.
    pub fn index_users(&mut self) {
        self.users_deferred = false;
        self.campaigns.index(self.scatter);
    }

    /// What `command` comes to. Reads only.
    pub fn decide<'s, 'a>(&'s self, command: Command<'a>, view: &View) -> Decision<'s, 'a> {
        match command {
            Command::Create { campaign, terms } => self.create_campaign(campaign, terms, view),
            Command::Claim { campaign, user, request, flat } => self.claim(campaign, user, request, flat, view),
            Command::Confirm { campaign, user, seat, flat } => self.confirm(campaign, user, seat, flat, view),
            Command::Cancel { campaign, user, seat, flat } => self.cancel(campaign, user, seat, flat, view),
            Command::Seed { campaign, seats } => self.seed(campaign, &seats, view),
            Command::Status { campaign, user } => self.status(campaign, user, view),
            Command::CampaignInfo { campaign } => self.campaign_info(campaign, view),
            Command::Campaigns => self.list_campaigns(),
            Command::Seats { campaign, first, count } => self.seats(campaign, first, count, view),
            Command::Alter { campaign, change, by } => self.alter(campaign, change, by, view),
            Command::Drop { campaign, how: Dropping::Purged } => self.purge(campaign, view),
            Command::Drop { campaign, how } => self.drop_if_safe(campaign, how == Dropping::Forced, view),

            Command::Get { db, key } => self.get(db, key, view),
            Command::GetMany { db, keys } => self.get_many(db, &keys, view),
            Command::GetAndRemove { db, key } => self.get_and_remove(db, key, view),
            Command::GetAndExpire { db, key, deadline } => self.get_and_expire(db, key, deadline, view),
            Command::Set(set) => self.set(&set, view),
            Command::SetMany { db, pairs, only_if_none } => self.set_many(db, &pairs, only_if_none, view),
            Command::Append { db, key, bytes } => self.append(db, key, bytes, view),
            Command::Length { db, key } => self.length(db, key, view),
            Command::GetRange { db, key, start, end } => self.get_range(db, key, start, end, view),
            Command::SetRange { db, key, offset, bytes } => self.set_range(db, key, offset, bytes, view),
            Command::Add { db, key, step } => self.add(db, key, step, view),
            Command::AddFloat { db, key, step } => self.add_float(db, key, step, view),

            Command::Remove { db, keys } => self.remove(db, &keys, view),
            Command::Exists { db, keys } => self.exists(db, &keys, view),
            Command::Type { db, key } => self.type_of(db, key, view),
            Command::Keys { db, pattern } => self.keys(db, pattern, view),
            Command::Scan { db, cursor, pattern, count, kind } => self.scan(db, cursor, pattern, count, kind, view),
            Command::RandomKey { db, draw } => self.random_key(db, draw, view),
            Command::Rename { db, from, to, only_if_none } => self.rename(db, from, to, only_if_none, view),
            Command::Expire { db, key, deadline, only_if } => self.expire(db, key, deadline, only_if, view),
            Command::TimeToLive { db, key, form } => self.time_to_live(db, key, form, view),
            Command::Persist { db, key } => self.persist(db, key, view),
            Command::Size { db } => answer(Reply::Int(self.space(db).len() as i64), self.applied),
            Command::Flush { db } => self.flush(db),
        }
    }

    /// The only door through which state changes. `lsn` is the next one, or that of a counter's last change, which is
    /// then amended. What breaks a promise ends the process.
    pub fn evolve(&mut self, lsn: Lsn, event: &Event<'_>) {
        let amends = lsn != self.applied.next();
        assert!(
            !amends || (lsn <= self.applied && matches!(event, Event::KeyCounted { .. })),
            "each change has the next position: {lsn} does not follow {}",
            self.applied
        );
        match event {
            Event::CampaignCreated { .. }
            | Event::CampaignAltered { .. }
            | Event::CampaignDropped { .. }
            | Event::Granted { .. }
            | Event::Held { .. }
            | Event::Confirmed { .. }
            | Event::HoldEnded { .. }
            | Event::Returned { .. }
            | Event::Imported { .. } => self.evolve_campaigns(lsn, event),
            Event::Skipped { upto } => {
                assert!(*upto >= lsn, "what is skipped ends behind its beginning");
                self.applied = *upto;
                return;
            }
            Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => self.evolve_keys(lsn, event, amends),
        }
        if !amends {
            self.applied = lsn;
        }
    }

    /// The position of the last change.
    pub fn applied(&self) -> Lsn {
        self.applied
    }

    /// The newest time in any event: time must not go on before it.
    pub fn newest_at(&self) -> Millis {
        self.newest_at
    }

    /// The databases: number, keys, keys with a deadline.
    pub fn keyspaces(&self) -> impl Iterator<Item = (Db, usize, usize)> {
        (0..).map(Db).zip(&self.spaces).map(|(db, space)| (db, space.len(), space.with_deadline()))
    }

    /// The earliest deadline of any hold.
    #[inline]
    pub fn next_hold_deadline(&self) -> Option<Millis> {
        self.campaigns.next_hold_deadline()
    }

    /// The earliest deadline of any key.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.spaces.iter().filter_map(Keyspace::next_deadline).min()
    }

    /// At most `at_most` keys whose deadline has passed, earliest first. The loop journals that they are removed.
    pub fn due(&self, now: Millis, at_most: usize) -> Vec<(Db, Box<[u8]>)> {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        let mut due: Vec<(Millis, Db, &[u8])> = Vec::new();
        for (db, space) in (0..).map(Db).zip(&self.spaces) {
            due.extend(space.due(self.scatter, now).take(at_most).map(|(deadline, key)| (deadline, db, key)));
        }
        due.sort_by_key(|(deadline, db, _)| (*deadline, *db));
        due.into_iter().take(at_most).map(|(_, db, key)| (db, key.into())).collect()
    }

    /// At most `at_most` holds whose deadline has passed, earliest first. The loop journals that they have ended.
    pub fn due_holds(&self, now: Millis, at_most: usize) -> Vec<(CampaignId, Seat)> {
        self.campaigns.due_holds(now, at_most)
    }

    /// Frees about `budget` entries of what was dropped or flushed; true while something is left. No change of state.
    pub fn sweep(&mut self, budget: usize) -> bool {
        self.discarded.sweep(budget)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: usize = self.spaces.iter().map(Keyspace::len).sum();
        write!(f, "Core {{ applied: {}, campaigns: {}, keys: {keys} }}", self.applied, self.campaigns.live())
    }
}

/// How names and users are scattered over the tables: SipHash-1-3 under a secret key, so that nobody can choose names
/// that meet in one place, not even who sees the cursors of `SCAN`.
#[derive(Clone, Copy)]
struct Scatter(SipHasher13);

impl Scatter {
    fn new(secret: u128) -> Scatter {
        Scatter(SipHasher13::new_with_keys((secret >> 64) as u64, secret as u64))
    }

    fn bytes(self, bytes: &[u8]) -> u64 {
        self.0.hash(bytes)
    }

    #[inline]
    fn of<T: Hash + ?Sized>(self, what: &T) -> u64 {
        let mut hasher = self.0;
        what.hash(&mut hasher);
        hasher.finish()
    }
}

fn answer<'s, 'a>(reply: Reply<'s>, depends: Lsn) -> Decision<'s, 'a> {
    Decision::Answer { reply, depends }
}

fn refuse<'s, 'a>(refusal: Refusal, depends: Lsn) -> Decision<'s, 'a> {
    Decision::Answer { reply: Reply::Refused(refusal), depends }
}

fn record<'s, 'a>(event: Event<'a>, reply: Reply<'s>) -> Decision<'s, 'a> {
    Decision::Record { group: Group::One(event), reply }
}

/// A name in a message: printable and short, whatever it was.
fn shown(name: &[u8]) -> String {
    let (head, more) = match name.get(..limits::CAMPAIGN_NAME_BYTES_MAX) {
        Some(head) if head.len() < name.len() => (head, "..."),
        Some(_) | None => (name, ""),
    };
    format!("{}{more}", head.escape_ascii())
}
