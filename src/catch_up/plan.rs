//! What is to be done: which campaigns to create, which seats to import, all of it tried on a core before the journal
//! hears of it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::known::Known;
use super::world::{Ahead, Found, What};
use super::{CatchUpError, Differences};
use crate::core::{Alterable, Command, Core, Decision, Event, Reply, Terms, Users, View, parse_integer};
use crate::grant::GrantUser;
use crate::ids::{CampaignId, Db, LogId, Lsn, Millis, Seat, User};
use crate::limits;
use crate::settings::{CampaignTerms, CampaignUsers};

/// A seat remembers its time in 48 bits.
const TIME_MAX: i64 = 1 << 48;

/// What is to be done, in this order: leave positions out, then campaigns and seats.
pub(super) struct Plan {
    /// The journal.
    pub log: LogId,
    /// Where it ends.
    pub last: Lsn,
    /// The positions up to here are left out; none where that was done before, or there is nothing to leave out.
    pub skip_to: Option<Lsn>,
    /// What campaigns need before they can get seats back, by the place in `seats` that it comes before.
    pub prepared: Vec<(usize, Prepared)>,
    /// Grants and returns in the order of their `seq`.
    pub seats: Vec<Ahead>,
    /// By `Ahead::campaign`.
    slots: Vec<Slot>,
    /// Grants and returns that both sides have.
    pub agreed: u64,
    /// Records that say nothing.
    pub unreadable: u64,
    /// Campaigns of the operator's file that nobody was granted a seat of: not created.
    pub idle_terms: Vec<String>,
    /// Campaigns that the operator calls seeded, and that nobody knows.
    pub idle_seeded: Vec<String>,
    /// Somebody was on this journal before.
    pub held: bool,
    /// The journal's time: not before the newest in it.
    pub now: Millis,
}

/// What makes room for the seats of a campaign.
pub(super) enum Prepared {
    /// The journal has lost it.
    Created {
        id: CampaignId,
        name: String,
        terms: Terms,
        at: Millis,
        /// A key of that name whose deadline has passed goes first.
        instead_of_key: bool,
    },
    /// The journal has lost that it was given a higher limit, or more seats for a user.
    Raised { id: CampaignId, to: Alterable, at: Millis },
    /// A hold stands in the way of what became of it, or of its user, in the part that is lost.
    Freed { id: CampaignId, seat: Seat, user: GrantUser, at: Millis },
}

/// A campaign that gets seats back.
pub(super) struct Touched {
    pub id: CampaignId,
    pub name: String,
    pub limit: u32,
    pub per_user: u16,
    /// The seats that come back; `first` is 0 where none do.
    pub first: u32,
    pub last: u32,
    /// How many they are.
    pub grants: u32,
    /// How many seats came back in the part that is lost.
    pub returns: u32,
    pub new: Option<New>,
}

/// Where the limit of a campaign comes from, if not from the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum New {
    /// From the operator's file, as all its terms.
    Told,
    /// From the operator's file: the journal's is lower.
    Raised,
    /// From nowhere: closed, its highest seat as limit.
    Closed,
}

/// What the operator knows of campaigns.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hints<'h> {
    /// The terms of those that the journal has lost.
    pub terms: &'h [CampaignTerms],
    /// Those whose first seats were brought in with free ones in between.
    pub seeded: &'h [String],
}

impl Plan {
    /// Tries everything on the core of the journal; nothing on disk is changed.
    pub fn make(found: Found, hints: Hints<'_>, wall: Millis) -> Result<Plan, CatchUpError> {
        let Found { known, log, names, mut ahead, agreed, unreadable, used, differences } = found;
        differences.none_or()?;
        let mut differences = Differences::default();
        let Known { last, newest_at, mut core, held, .. } = known;
        let now = wall.max(newest_at);
        // A skip leaves out one position at least beside its own.
        let skip_to = (used > last).then(|| used.max(last.next().next()));
        if let Some(upto) = skip_to {
            core.evolve(last.next(), &Event::Skipped { upto });
        }
        let slots = lacks(&ahead, names.len());
        let mut work =
            Work { core, names: &names, hints, differences: &mut differences, prepared: Vec::new(), slots, now };
        for (index, seat) in ahead.iter_mut().enumerate() {
            work.give(index, seat);
        }
        let Work { core, prepared, slots, .. } = work;
        differences.none_or()?;
        let named: HashSet<&str> = names.iter().map(|name| &**name).collect();
        let idle_terms =
            hints.terms.iter().filter(|terms| !named.contains(&*terms.name)).map(|terms| terms.name.clone());
        let is_known = |name: &str| named.contains(name) || core.campaign_id(name.as_bytes()).is_some();
        let idle_seeded = hints.seeded.iter().filter(|name| !is_known(name)).cloned();
        Ok(Plan {
            log,
            last,
            skip_to,
            prepared,
            seats: ahead,
            slots,
            agreed,
            unreadable,
            idle_terms: idle_terms.collect(),
            idle_seeded: idle_seeded.collect(),
            held,
            now,
        })
    }

    /// The journal lacks nothing.
    pub fn is_empty(&self) -> bool {
        self.skip_to.is_none() && self.seats.is_empty()
    }

    /// Campaigns that get seats back.
    pub fn campaigns(&self) -> impl Iterator<Item = &Touched> {
        self.slots.iter().filter_map(Slot::touched)
    }

    /// The campaign of one of `seats`.
    pub fn id_of(&self, seat: &Ahead) -> CampaignId {
        self.slots[seat.campaign as usize].touched().expect("a plan without a difference gives every seat").id
    }

    /// Where the journal ends afterwards.
    pub fn end(&self) -> Lsn {
        let events: usize = self.prepared.iter().map(|(_, prepared)| prepared.events().len()).sum();
        Lsn::new(self.skip_to.unwrap_or(self.last).get() + (events + self.seats.len()) as u64)
    }
}

/// A campaign that seats are given of.
struct State {
    touched: Touched,
    users: Users,
    /// Seats can be free between others: claims are held, or the first ones were brought in.
    has_holes: bool,
}

/// What is known of a campaign so far.
enum Slot {
    /// Not met yet.
    Lacks(Lacks),
    /// It can be given of.
    Given(State),
    /// It cannot: why was said.
    Refused,
}

/// What a campaign must be like that certain seats are all of it.
#[derive(Clone, Copy)]
struct Lacks {
    /// Its highest seat.
    highest: u32,
    /// The most seats that a user has.
    nth: u16,
    /// What all its users can be.
    users: Users,
}

impl Slot {
    fn touched(&self) -> Option<&Touched> {
        match self {
            Slot::Given(state) => Some(&state.touched),
            Slot::Lacks(_) | Slot::Refused => None,
        }
    }
}

/// What a campaign must be like that these are all the seats of.
fn lacks(ahead: &[Ahead], campaigns: usize) -> Vec<Slot> {
    let mut slots = vec![Lacks { highest: 0, nth: 1, users: Users::Int }; campaigns];
    for seat in ahead.iter().filter(|seat| matches!(seat.what, What::Grant { .. })) {
        let lacks = &mut slots[seat.campaign as usize];
        lacks.highest = seat.seat.max(lacks.highest);
        lacks.nth = seat.nth.max(lacks.nth);
        if as_users_of(Users::Int, &seat.user).is_none() {
            lacks.users = Users::Any;
        }
    }
    slots.into_iter().map(Slot::Lacks).collect()
}

/// Gives seat after seat on the core; what cannot be given is a difference.
struct Work<'w> {
    core: Core,
    names: &'w [Arc<str>],
    hints: Hints<'w>,
    differences: &'w mut Differences,
    prepared: Vec<(usize, Prepared)>,
    slots: Vec<Slot>,
    now: Millis,
}

impl Work<'_> {
    /// The next seat, at `index`.
    fn give(&mut self, index: usize, seat: &mut Ahead) {
        let campaign = seat.campaign as usize;
        if let Slot::Lacks(lacks) = self.slots[campaign] {
            self.slots[campaign] = match self.campaign(index, seat, lacks) {
                Ok(state) => Slot::Given(state),
                Err(line) => {
                    self.differences.add(|| line);
                    Slot::Refused
                }
            };
        }
        let Slot::Given(State { touched: Touched { id, .. }, users, .. }) = &self.slots[campaign] else { return };
        let (id, users) = (*id, *users);
        // As the campaign knows him, so that his holds are found. Who can be none of its users is told of below.
        if let Some(user) = as_users_of(users, &seat.user) {
            seat.user = user;
        }
        let mut missing = None;
        if let What::Grant { after } = &mut seat.what {
            let told = std::mem::replace(after, self.core.last_return(id));
            missing = Some(told).filter(|told| *told > *after);
            self.free(index, id, seat);
        }
        let Slot::Given(state) = &mut self.slots[campaign] else { return };
        let fits = match (seat.what, missing) {
            (What::Grant { .. }, Some(after)) => Err(format!(
                "campaign {} seat {} user {} (seq {}): it was granted after a return (seq {after}) that stands neither in the \
                 journal nor here; the other side (--from) may have it, or a dead letter, or a newer copy of the journal",
                state.touched.name, seat.seat, seat.user, seat.seq
            )),
            (What::Grant { .. }, None) => fits(&self.core, state, seat),
            (What::Return { .. }, _) => as_users_of(state.users, &seat.user).ok_or_else(|| {
                format!("campaign {} seat {}: user {} is no number", state.touched.name, seat.seat, seat.user)
            }),
        };
        let given = fits.and_then(|user| {
            seat.user = user;
            let (lsn, event) = (self.core.applied().next(), seat.event(state.touched.id));
            if let Some(promise) = self.core.breach(lsn, &event) {
                let (name, user, nth) = (&state.touched.name, &seat.user, seat.nth);
                return Err(format!("campaign {name} seat {} user {user} nth {nth}: {promise}", seat.seat));
            }
            self.core.evolve(lsn, &event);
            Ok(())
        });
        match given {
            Ok(()) if matches!(seat.what, What::Return { .. }) => state.touched.returns += 1,
            Ok(()) => {
                let touched = &mut state.touched;
                touched.grants += 1;
                touched.last = touched.last.max(seat.seat);
                touched.first = if touched.first == 0 { seat.seat } else { touched.first.min(seat.seat) };
            }
            Err(line) => {
                self.differences.add(|| line);
                // The seats behind it would all be told again for the same reason.
                self.slots[campaign] = Slot::Refused;
            }
        }
    }

    /// Ends the holds of the journal that contradict the seat at `index`: the one on that seat, and those of its user where
    /// he could not have it beside them.
    fn free(&mut self, index: usize, id: CampaignId, seat: &Ahead) {
        let is_held = |core: &Core, seat: &Seat| core.is_held(id, *seat) == Some(true);
        let there = Some(Seat::new(seat.seat)).filter(|seat| is_held(&self.core, seat));
        self.end_holds(index, id, there);
        let in_its_place = self.core.seat_as_nth(id, user_of(&seat.user), seat.nth);
        self.end_holds(index, id, in_its_place.filter(|seat| is_held(&self.core, seat)));
        let his = self.core.seats_of(id, user_of(&seat.user));
        for last in his.into_iter().rev().filter(|seat| self.core.is_held(id, *seat) == Some(true)).collect::<Vec<_>>()
        {
            if self.core.breach(self.core.applied().next(), &seat.event(id)).is_some() {
                self.end_holds(index, id, [last]);
            }
        }
    }

    fn end_holds(&mut self, index: usize, id: CampaignId, seats: impl IntoIterator<Item = Seat>) {
        for seat in seats {
            let user = self.core.user_at(id, seat).into();
            self.prepare(index, Prepared::Freed { id, seat, user, at: self.now });
        }
    }

    /// The campaign of the seat at `index`, the first of it, created where the journal lacks it and given what it lacks where
    /// the operator's file knows it; else why it cannot be had.
    fn campaign(&mut self, index: usize, seat: &Ahead, lacks: Lacks) -> Result<State, String> {
        let Lacks { highest, nth, users } = lacks;
        let name = &*self.names[seat.campaign as usize];
        let told = self.hints.terms.iter().find(|terms| terms.name == name);
        if let Some(facts) = self.core.campaign_id(name.as_bytes()).and_then(|id| self.core.campaign(id)) {
            if facts.dropped || facts.terms.shadow {
                let what = if facts.dropped { "was dropped" } else { "is a rehearsal (SHADOW)" };
                return Err(format!("campaign {name} {what} in the journal, the other side has later grants of it"));
            }
            let (id, users) = (facts.id, facts.terms.users);
            let has_holes = self.has_holes(name, facts.terms.hold.max(told.map_or(0, |told| told.hold)));
            let there = facts.terms.alterable();
            let mut to = there;
            if let Some(told) = told {
                to.limit = if there.limit < highest { told.limit.max(there.limit) } else { there.limit };
                to.per_user = if there.per_user < nth { told.per_user.max(there.per_user) } else { there.per_user };
            }
            let new = (to != there).then_some(New::Raised);
            if new.is_some() {
                self.prepare(index, Prepared::Raised { id, to, at: self.now });
            }
            return Ok(State { touched: Touched::new(id, name, to, new), users, has_holes });
        }
        let terms = match told {
            Some(told) => Terms {
                limit: told.limit,
                per_user: told.per_user,
                no_id: told.no_id,
                open: told.open.map(Millis),
                close: told.close.map(Millis),
                hold: told.hold,
                users: match told.users {
                    CampaignUsers::Int => Users::Int,
                    CampaignUsers::Any => Users::Any,
                },
                shadow: false,
            },
            None => Terms { limit: highest, per_user: nth, close: Some(self.now), users, ..Terms::DEFAULT },
        };
        let view = View { now: self.now, ..View::default() };
        let group = match self.core.decide(Command::Create { campaign: name.as_bytes(), terms }, &view) {
            Decision::Record { group, .. } => group,
            Decision::Answer { reply, .. } => {
                return Err(format!("campaign {name} cannot be created in the journal: {}", refusal(&reply)));
            }
        };
        let Some(Event::CampaignCreated { id, .. }) = group.events().last() else {
            unreachable!("a campaign is created by that event")
        };
        let instead_of_key = group.events().len() > 1;
        let (id, at) = (*id, seat.at);
        let new = if told.is_some() { New::Told } else { New::Closed };
        let touched = Touched::new(id, name, terms.alterable(), Some(new));
        let (name, has_holes) = (name.to_owned(), self.has_holes(name, terms.hold));
        self.prepare(index, Prepared::Created { id, name, terms, at, instead_of_key });
        Ok(State { touched, users: terms.users, has_holes })
    }

    fn has_holes(&self, name: &str, hold: u32) -> bool {
        hold > 0 || self.hints.seeded.iter().any(|seeded| seeded == name)
    }

    fn prepare(&mut self, index: usize, prepared: Prepared) {
        prepared.events().iter().for_each(|event| self.core.evolve(self.core.applied().next(), event));
        self.prepared.push((index, prepared));
    }
}

fn refusal(reply: &Reply<'_>) -> String {
    if let Reply::Refused(refusal) = reply { refusal.to_string() } else { "it is there".to_owned() }
}

impl Touched {
    fn new(id: CampaignId, name: &str, terms: Alterable, new: Option<New>) -> Touched {
        let Alterable { limit, per_user, .. } = terms;
        let name = name.to_owned();
        Touched { id, name, limit, per_user, first: 0, last: 0, grants: 0, returns: 0, new }
    }
}

/// The user as the campaign knows him; else why this seat cannot be his.
fn fits(core: &Core, state: &State, seat: &Ahead) -> Result<GrantUser, String> {
    let Touched { id, name, limit, per_user, new, .. } = &state.touched;
    let grant = format!("campaign {name} seat {} user {} (seq {})", seat.seat, seat.user, seat.seq);
    if core.is_held(*id, Seat::new(seat.seat)).is_some() {
        return Err(format!(
            "{grant}: the journal has that seat out under another seq: it went on, on its own, after it was set back"
        ));
    }
    let next = core.next_seat(*id).get();
    if seat.seat > next && !state.has_holes {
        let missing = match (next, seat.seat - 1) {
            (first, last) if first == last => format!("seat {first}"),
            (first, last) => format!("seats {first} to {last}"),
        };
        return Err(format!(
            "{grant}: {missing} of that campaign stand neither in the journal nor here; the other side (--from) may have \
             them, or a dead letter, or a newer copy of the journal; if it has HOLD, tell its terms with --campaigns; if \
             GATE.SEED left them free, say --seeded {name}"
        ));
    }
    if seat.seat > *limit {
        return Err(match new {
            Some(New::Told | New::Raised) => {
                format!("{grant}: the file with the terms says that the campaign has {limit} seats")
            }
            Some(New::Closed) | None => format!(
                "{grant}: the journal says that the campaign has {limit} seats; if it was altered to have more later, \
                 tell its limit with --campaigns"
            ),
        });
    }
    let Some(user) = as_users_of(state.users, &seat.user) else {
        return Err(format!("{grant}: the campaign has USERS INT, and this user is no such number"));
    };
    if !(0..TIME_MAX).contains(&seat.at.0) {
        return Err(format!("{grant}: its time is none"));
    }
    let there = core.seats_of(*id, user_of(&user));
    match core.seat_as_nth(*id, user_of(&user), seat.nth) {
        Some(there) if seat.nth == 1 => Err(format!("{grant}: that user has seat {there} already")),
        _ if there.len() >= usize::from(*per_user) => Err(format!(
            "{grant}: that user has {} seats, and PERUSER is {per_user}; if it was altered to more later, tell it with \
             --campaigns",
            there.len()
        )),
        Some(_) | None => Ok(user),
    }
}

/// A user of a campaign with such users; `None` where he cannot be one.
fn as_users_of(users: Users, user: &GrantUser) -> Option<GrantUser> {
    match (users, user) {
        (Users::Int, GrantUser::Int(number)) => Some(GrantUser::Int(*number)),
        (Users::Int, GrantUser::Any(bytes)) => parse_integer(bytes).map(GrantUser::Int),
        (Users::Any, GrantUser::Int(number)) => Some(GrantUser::Any(number.to_string().into_bytes().into())),
        (Users::Any, GrantUser::Any(bytes)) => {
            (1..=limits::USER_BYTES_MAX).contains(&bytes.len()).then(|| GrantUser::Any(bytes.clone()))
        }
    }
}

fn user_of(user: &GrantUser) -> User<'_> {
    match user {
        GrantUser::Int(number) => User::Int(*number),
        GrantUser::Any(bytes) => User::Any(bytes),
    }
}

impl Prepared {
    /// What the journal is told.
    pub fn events(&self) -> Vec<Event<'_>> {
        match self {
            Prepared::Created { id, name, terms, at, instead_of_key } => {
                let name = name.as_bytes();
                let created = Event::CampaignCreated { id: *id, name, terms: *terms, at: *at };
                let removed = Event::KeyRemoved { db: Db(0), key: name, expired: true };
                instead_of_key.then_some(removed).into_iter().chain([created]).collect()
            }
            Prepared::Freed { id, seat, user, at } => {
                let (campaign, user) = (*id, user_of(user));
                vec![Event::HoldEnded { campaign, seat: *seat, user, at: *at, expired: false }]
            }
            Prepared::Raised { id, to, at } => {
                vec![Event::CampaignAltered { id: *id, to: *to, at: *at, by: Cow::Borrowed(b"catch-up") }]
            }
        }
    }
}

impl Ahead {
    /// What the journal is told.
    pub fn event(&self, campaign: CampaignId) -> Event<'_> {
        let (seat, user) = (Seat::new(self.seat), user_of(&self.user));
        let (nth, at, seq) = (self.nth, self.at, Some(self.seq));
        match self.what {
            What::Grant { after } => Event::Imported { campaign, seat, user, nth, at, seq, after },
            What::Return { grant } => Event::Returned { campaign, seat, user, nth, at, grant, seq },
        }
    }
}
