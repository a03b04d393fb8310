//! What the gate should be, in the plainest words: a few campaigns, a few keys. Shares no code with what it judges.

mod keys;
mod seats;
mod several;

use std::collections::BTreeMap;

use super::ask::{Ask, CAMPAIGNS, KEYS, Terms};
use super::reply::{ANYTHING, error};

/// No deadline.
const NEVER: i64 = i64::MAX;

/// The state after some changes.
#[derive(Clone, Debug, Default)]
pub struct Model {
    campaigns: [Option<Campaign>; CAMPAIGNS as usize],
    keys: [Option<Value>; KEYS as usize],
    /// The last change of each campaign and of each key.
    campaigns_at: [u64; CAMPAIGNS as usize],
    keys_at: [u64; KEYS as usize],
    /// What comes back can leave the gate; where it cannot, granted seats stay but for those of rehearsals.
    takes_returns: bool,
    /// Seats are brought in, with free ones in between.
    seeds: bool,
    /// The last return of the last campaign of each name that the world can know of.
    returned: [u64; CAMPAIGNS as usize],
}

/// A campaign that exists, or existed and granted seats.
#[derive(Clone, Debug)]
pub struct Campaign {
    pub terms: Terms,
    /// Those it was created with.
    first: Terms,
    dropped: bool,
    /// When it was; nobody knows of one whose terms were lost.
    created: Option<i64>,
    /// Those that somebody has.
    pub seats: BTreeMap<u32, Seated>,
    /// When the first grant was and when the last, also of those that came back.
    grants: Option<(i64, i64)>,
    /// The position of the last grant that came back; 0 where none did, neither here nor of one that had this name before.
    last_return: u64,
    /// What that was at the beginning.
    began_after: u64,
    /// Seats that were brought in, as long as there are no others.
    seeds: usize,
    /// The operator says that claims are held.
    told_hold: bool,
}

/// Who has a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seated {
    pub user: u32,
    pub at: i64,
    /// Which of his seats it is.
    pub nth: u16,
    /// What he asked with for it; 0 is none.
    pub request: u8,
    /// It is held until then, and not granted.
    pub until: Option<i64>,
    /// The position at which it was granted, by which the world knows it; or held.
    pub lsn: u64,
    /// The change that this was.
    pub change: u64,
}

/// What leaves the gate: a seat that was granted, or one that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: u64,
    pub is_return: bool,
    pub campaign: u8,
    pub seat: u32,
    pub user: u32,
    pub nth: u16,
    pub at: i64,
    /// Of a return: its grant's position. Of a grant: that of the campaign's last return, 0 where there is none.
    pub after: u64,
}

/// When something happens: by the gate's time, as which change, and at which position of the journal.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: i64,
    pub change: u64,
    pub lsn: u64,
}

impl Campaign {
    fn new(terms: Terms, created: Option<i64>, after: u64) -> Campaign {
        let seats = BTreeMap::new();
        let (last_return, began_after) = (after, after);
        Campaign {
            terms,
            first: terms,
            dropped: false,
            created,
            seats,
            grants: None,
            last_return,
            began_after,
            seeds: 0,
            told_hold: false,
        }
    }

    /// Whether its users have names.
    pub fn any(&self) -> bool {
        self.terms.any
    }

    /// Whether it is a rehearsal, which leaves the gate by no way.
    pub fn shadow(&self) -> bool {
        self.terms.shadow
    }

    /// How many seats it has.
    pub fn limit(&self) -> u32 {
        self.terms.limit
    }

    /// Seats that are granted, and who has them.
    pub fn granted(&self) -> impl Iterator<Item = (u32, &Seated)> {
        self.seats.iter().filter(|(_, there)| there.until.is_none()).map(|(seat, there)| (*seat, there))
    }

    /// Seats that are held, who holds them, and until when.
    pub fn held(&self) -> impl Iterator<Item = (u32, u32, i64)> {
        self.seats.iter().filter_map(|(seat, there)| Some((*seat, there.user, there.until?)))
    }

    /// The seat that comes next.
    fn lowest_free(&self) -> u32 {
        (1..).find(|seat| !self.seats.contains_key(seat)).unwrap_or(0)
    }

    /// The highest seat that somebody has.
    fn highest(&self) -> u32 {
        self.seats.last_key_value().map_or(0, |(seat, _)| *seat)
    }

    fn remaining(&self) -> i64 {
        i64::from(self.limit()) - self.seats.len() as i64
    }

    /// A user's seats, his first one first.
    fn of(&self, user: u32) -> Vec<(u32, Seated)> {
        let seats = self.seats.iter().filter(|(_, there)| there.user == user);
        let mut seats: Vec<(u32, Seated)> = seats.map(|(seat, there)| (*seat, *there)).collect();
        seats.sort_by_key(|(_, there)| there.nth);
        seats
    }

    /// A seat is granted: what is told of that.
    fn grant(&mut self, name: u8, seat: u32, seated: Seated) -> Entry {
        let Seated { user, at, nth, lsn, .. } = seated;
        self.seats.insert(seat, seated);
        self.seeds = 0;
        self.grants = Some((self.grants.map_or(at, |(first, _)| first.min(at)), at));
        Entry { seq: lsn, is_return: false, campaign: name, seat, user, nth, at, after: self.last_return }
    }

    /// A seat is kept for somebody.
    fn hold(&mut self, seat: u32, seated: Seated) {
        self.seats.insert(seat, seated);
        self.seeds = 0;
    }

    /// A seat that was granted comes back at that position and time: what is told of that.
    fn give_back(&mut self, name: u8, seat: u32, there: Seated, (seq, at): (u64, i64)) -> Entry {
        let Seated { user, nth, lsn: after, .. } = there;
        self.seats.remove(&seat);
        self.last_return = seq;
        Entry { seq, is_return: true, campaign: name, seat, user, nth, at, after }
    }

    /// Whether all of it has arrived where everything up to position `mark` has.
    pub fn has_arrived(&self, mark: u64) -> bool {
        self.last_return <= mark && self.granted().all(|(_, there)| there.lsn <= mark)
    }

    /// Whether there is something that can still be on its way.
    pub fn waits(&self) -> bool {
        self.has_granted() || self.last_return > 0
    }

    /// Whether a seat of it was ever granted.
    fn has_granted(&self) -> bool {
        self.grants.is_some()
    }

    /// Whether a seat can be brought in: nobody has it, and its user may have it beside his others.
    fn takes(&self, seat: u32, seated: Seated) -> bool {
        let others = self.of(seated.user);
        let is_new = others.iter().all(|(_, there)| there.nth != seated.nth);
        let is_free = seat <= self.terms.limit && !self.seats.contains_key(&seat);
        is_free && is_new && others.len() < usize::from(self.terms.per_user)
    }

    fn end_holds(&mut self, those: impl Fn(u32, &Seated) -> bool) {
        self.seats.retain(|seat, there| there.until.is_none() || !those(*seat, there));
    }

    /// What holds after each change.
    fn assert_adds_up(&self) {
        let free = (1..=self.limit()).filter(|seat| !self.seats.contains_key(seat)).count();
        let (granted, held) = (self.granted().count(), self.held().count());
        assert!(granted + held + free == self.limit() as usize, "granted, held and free seats are the limit: {self:?}");
    }
}

#[derive(Clone, Debug)]
struct Value {
    bytes: Vec<u8>,
    deadline: i64,
}

/// What one request came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Something is not as it was.
    pub changed: bool,
    /// The last change that the answer tells of; where `changed`, that is the new one.
    pub depends: u64,
    /// A seat that the answer says is the user's.
    pub seat: Option<Promise>,
    /// Seats that are nobody's any more.
    pub freed: Vec<Promise>,
    /// What leaves the gate because of it.
    pub entries: Vec<Entry>,
}

/// A seat that an answer says is a user's: until it comes back, or as long as his hold lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    pub campaign: u8,
    pub seat: u32,
    pub there: Seated,
}

impl Model {
    /// Nothing yet; whether what comes back can leave the gate, and whether seats are brought in.
    pub fn new(takes_returns: bool, seeds: bool) -> Model {
        Model { takes_returns, seeds, ..Model::default() }
    }

    /// Whether seats are brought in.
    pub fn seeds(&self) -> bool {
        self.seeds
    }

    /// The campaign's state.
    pub fn campaign(&self, campaign: u8) -> Option<&Campaign> {
        self.campaigns[usize::from(campaign)].as_ref()
    }

    /// A grant that the world knows and this state does not, for which holds give way: what leaves the gate by it; none where
    /// it contradicts.
    pub fn bring_back(&mut self, grant: Entry) -> Option<Entry> {
        let Entry { seq: lsn, campaign: name, seat, user, nth, at, .. } = grant;
        let seated = Seated { user, at, nth, request: 0, until: None, lsn, change: 0 };
        let slot = self.campaigns.get_mut(usize::from(name))?;
        let terms = Terms {
            limit: u32::MAX,
            per_user: u16::MAX,
            no_id: false,
            open: None,
            close: None,
            hold: 0,
            any: false,
            shadow: false,
        };
        let after = self.returned[usize::from(name)];
        let campaign = slot.get_or_insert_with(|| Campaign::new(terms, None, after));
        campaign.end_holds(|held, _| held == seat);
        if !campaign.takes(seat, seated) {
            campaign.end_holds(|_, there| there.user == user);
        }
        // Holds leave seats between grants that nobody has, and so does who brings some in.
        let is_next = self.seeds || campaign.terms.hold > 0 || campaign.told_hold || seat == campaign.lowest_free();
        let is_all = grant.after <= campaign.last_return;
        let fits = is_all && is_next && !campaign.dropped && campaign.takes(seat, seated);
        fits.then(|| campaign.grant(name, seat, seated))
    }

    /// A return that the world knows and this state does not; none where it contradicts.
    pub fn take_back(&mut self, back: Entry) -> Option<Entry> {
        let campaign = self.live(back.campaign)?;
        let there = campaign.seats.get(&back.seat).filter(|there| there.until.is_none())?;
        ((there.user, there.nth, there.lsn) == (back.user, back.nth, back.after)).then_some(())?;
        campaign.seats.remove(&back.seat);
        campaign.last_return = back.seq;
        Some(back)
    }

    /// What `--campaigns` tells: the limit that `now` has, where the world has a seat `highest` beyond the one here; and
    /// how many seats a user may have, where it has somebody's `nth` beyond that; and whether claims are held.
    pub fn raise(&mut self, now: &Model, name: u8, (highest, nth): (u32, u16)) {
        let Some(campaign) = &mut self.campaigns[usize::from(name)] else { return };
        let Some(told) = now.campaign(name).map(|now| now.terms) else { return };
        campaign.told_hold = told.hold > 0;
        let terms = &mut campaign.terms;
        if terms.limit < highest {
            terms.limit = terms.limit.max(told.limit);
        }
        if terms.per_user < nth {
            terms.per_user = terms.per_user.max(told.per_user);
        }
    }

    /// Campaigns whose terms nobody kept come back closed, with the highest seat that was `granted` as limit.
    pub fn close_lost(&mut self, granted: impl Fn(u8) -> (u32, u16)) {
        for (name, campaign) in (0..).zip(&mut self.campaigns) {
            let Some(campaign) = campaign.as_mut().filter(|campaign| campaign.terms.limit == u32::MAX) else {
                continue;
            };
            let (limit, per_user) = granted(name);
            campaign.terms = Terms { limit, per_user, close: Some(0), ..campaign.terms };
            campaign.first = campaign.terms;
        }
    }

    /// A hold whose time is over by `now`: campaign and seat.
    pub fn overdue(&self, now: i64) -> Option<(u8, u32)> {
        self.holds().find(|(until, ..)| *until <= now).map(|(_, campaign, seat)| (campaign, seat))
    }

    fn holds(&self) -> impl Iterator<Item = (i64, u8, u32)> {
        (0..).zip(&self.campaigns).flat_map(|(name, campaign)| {
            let held = campaign.iter().filter(|campaign| !campaign.dropped).flat_map(Campaign::held);
            held.map(move |(seat, _, until)| (until, name, seat))
        })
    }

    /// The hold on a seat ends at `now`, as change number `change`; who had it. `in_order`: none whose time was over
    /// earlier may be left. (Between campaigns nobody says which of two ends first that are over at one time.)
    ///
    /// # Errors
    /// It may not end.
    pub fn end_hold(&mut self, (name, seat): (u8, u32), now: i64, change: u64, in_order: bool) -> Result<u32, String> {
        let earliest = self.holds().min_by_key(|(until, campaign, seat)| (*until, *campaign != name, *seat));
        let campaign = self.live(name).ok_or_else(|| format!("a hold ends, and there is no c{name}"))?;
        let Some(Seated { user, until: Some(until), .. }) = campaign.seats.get(&seat).copied() else {
            return Err(format!("a hold ends, and seat {seat} of c{name} is not held: {campaign:?}"));
        };
        if until > now {
            return Err(format!("the hold on seat {seat} of c{name} ends at {now}, its time is over at {until}"));
        }
        if let Some((first, ..)) = earliest.filter(|there| in_order && *there != (until, name, seat)) {
            return Err(format!("the hold on seat {seat} of c{name} ends before another: {until} before {first}"));
        }
        campaign.seats.remove(&seat);
        campaign.assert_adds_up();
        self.campaigns_at[usize::from(name)] = change;
        Ok(user)
    }

    /// The campaign that can be claimed from.
    pub fn claimable(&self, name: u8) -> Option<&Campaign> {
        self.campaign(name).filter(|campaign| !campaign.dropped)
    }

    /// The last change of a campaign.
    pub fn changed_at(&self, name: u8) -> u64 {
        self.campaigns_at[usize::from(name)]
    }

    /// Does what `ask` asks; writes the reply to `out`.
    pub fn execute(&mut self, ask: Ask, when: Moment, out: &mut Vec<u8>) -> Effect {
        let Moment { now, change, .. } = when;
        match ask {
            Ask::Ping => {
                out.extend_from_slice(b"+PONG\r\n");
                Effect::default()
            }
            Ask::Save => {
                out.extend_from_slice(b"+Background saving ");
                out.push(ANYTHING);
                out.extend_from_slice(b"\r\n");
                Effect::default()
            }
            Ask::Create { campaign, .. }
            | Ask::Alter { campaign, .. }
            | Ask::Claim { campaign, .. }
            | Ask::Confirm { campaign, .. }
            | Ask::Cancel { campaign, .. }
            | Ask::Seed { campaign, .. }
            | Ask::Drop { campaign, .. }
            | Ask::Purge { campaign }
            | Ask::Status { campaign, .. }
            | Ask::Info { campaign }
            | Ask::Seats { campaign } => {
                let mut effect = Effect { depends: self.changed_at(campaign), ..Effect::default() };
                let leaves = self.campaign(campaign).is_some_and(|there| !there.shadow());
                match ask {
                    Ask::Create { terms, .. } => effect.changed = self.create(campaign, terms, now, out),
                    Ask::Alter { limit, per_user, open, close, .. } => {
                        effect.changed = self.alter(campaign, limit, per_user, [open, close], now, out);
                    }
                    Ask::Claim { user, request, flat, .. } => {
                        self.claim(campaign, (user, request), flat, when, &mut effect, out);
                    }
                    Ask::Confirm { user, seat, flat, .. } => {
                        self.confirm(campaign, (user, seat), flat, when, &mut effect, out);
                    }
                    Ask::Cancel { user, seat, flat, .. } => {
                        self.cancel(campaign, (user, seat), flat, when, &mut effect, out);
                    }
                    Ask::Seed { seats, count, .. } => {
                        self.seed(campaign, &seats[..usize::from(count)], when, &mut effect, out);
                    }
                    Ask::Drop { .. } => effect.changed = self.drop(campaign, &mut effect, out),
                    Ask::Purge { .. } => self.purge(campaign, when, &mut effect, out),
                    Ask::Status { user, .. } => effect.depends = self.status(campaign, user, out),
                    Ask::Info { .. } => self.info(campaign, now, out),
                    _ => self.seats(campaign, out),
                }
                if effect.changed {
                    effect.depends = change;
                    effect.entries.retain(|_| leaves);
                    self.campaigns_at[usize::from(campaign)] = change;
                    self.live(campaign).iter().for_each(|campaign| campaign.assert_adds_up());
                }
                effect
            }
            Ask::SetTwo { keys, .. } | Ask::GetTwo { keys } => self.on_keys(ask, keys, now, change, out),
            Ask::Rename { from, to } => self.on_keys(ask, [from, to], now, change, out),
            Ask::Get { key }
            | Ask::Set { key, .. }
            | Ask::SetIfNone { key, .. }
            | Ask::Add { key, .. }
            | Ask::Append { key, .. }
            | Ask::Delete { key }
            | Ask::Expire { key, .. }
            | Ask::TimeToLive { key }
            | Ask::Persist { key }
            | Ask::Exists { key } => self.on_keys(ask, [key, key], now, change, out),
        }
    }

    fn create(&mut self, name: u8, terms: Terms, now: i64, out: &mut Vec<u8>) -> bool {
        let slot = &mut self.campaigns[usize::from(name)];
        match slot {
            None => {
                *slot = Some(Campaign::new(terms, Some(now), self.returned[usize::from(name)]));
                out.extend_from_slice(b"+CREATED\r\n");
                true
            }
            Some(there) => {
                if !there.dropped && there.first == terms {
                    out.extend_from_slice(b"+EXISTS\r\n");
                } else {
                    error(out, b"CONFLICT ");
                }
                false
            }
        }
    }

    fn alter(
        &mut self,
        name: u8,
        limit: Option<u32>,
        per_user: Option<u16>,
        window: [Option<i64>; 2],
        now: i64,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(campaign) = self.live(name) else {
            error(out, b"NOCAMPAIGN ");
            return false;
        };
        let wanted = |asked: Option<i64>, there: Option<i64>| match asked {
            None => there,
            Some(-1) => None,
            Some(0) => Some(now),
            at => at,
        };
        let before = campaign.terms;
        let terms = Terms {
            limit: limit.unwrap_or(before.limit),
            per_user: per_user.unwrap_or(before.per_user),
            open: wanted(window[0], before.open),
            close: wanted(window[1], before.close),
            ..before
        };
        let sets = window.iter().any(Option::is_some) && window[1] != Some(0);
        let crossed = sets && terms.open.zip(terms.close).is_some_and(|(open, close)| open >= close);
        let most = campaign.seats.values().map(|there| campaign.of(there.user).len()).max().unwrap_or(0);
        if terms.limit < campaign.highest() || usize::from(terms.per_user) < most || crossed {
            error(out, b"CONFLICT ");
            return false;
        }
        out.extend_from_slice(b"+OK\r\n");
        std::mem::replace(&mut campaign.terms, terms) != terms
    }

    fn drop(&mut self, name: u8, effect: &mut Effect, out: &mut Vec<u8>) -> bool {
        let slot = &mut self.campaigns[usize::from(name)];
        let Some(campaign) = slot.as_mut().filter(|campaign| !campaign.dropped) else {
            error(out, b"NOCAMPAIGN ");
            return false;
        };
        campaign.dropped = true;
        let held = campaign.seats.iter().filter(|(_, there)| there.until.is_some());
        effect.freed.extend(held.map(|(seat, there)| Promise { campaign: name, seat: *seat, there: *there }));
        campaign.end_holds(|_, _| true);
        if !campaign.has_granted() {
            *slot = None;
        }
        out.extend_from_slice(b"+OK\r\n");
        true
    }

    fn live(&mut self, name: u8) -> Option<&mut Campaign> {
        self.campaigns[usize::from(name)].as_mut().filter(|campaign| !campaign.dropped)
    }
}
