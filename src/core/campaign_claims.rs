//! What becomes of a claim and of a hold, and what a user, a list of seats or a campaign looks like.

use crate::core::campaigns::{Absent, Campaign};
use crate::core::command::Command;
use crate::core::event::{Event, Group, Users};
use crate::core::numbers::parse_integer;
use crate::core::reply::{Claim, Decision, Outcome, Refusal, Reply, Settled, Settlement};
use crate::core::roster::{Row, Standing};
use crate::core::{Core, View, answer, record, refuse, shown};
use crate::ids::{CampaignId, Lsn, Millis, Seat, User};
use crate::limits;

/// How many grants of a campaign have arrived; none where that cannot be told.
struct Progress {
    published: Option<u32>,
    stored: Option<u32>,
}

impl Core {
    /// `GATE.CLAIM`. Order of judgement: unknown campaign, bad user, no `ID`, already, closed, not open, sold out.
    pub(super) fn claim<'s, 'a>(
        &'s self,
        name: &[u8],
        user: &'a [u8],
        request: &'a [u8],
        flat: bool,
        view: &View,
    ) -> Decision<'s, 'a> {
        let (id, campaign) = match self.find_campaign(name, view.now) {
            Ok(found) => found,
            Err(absent) => return no_campaign(name, &absent),
        };
        let user = match user_of(campaign.terms.users, user) {
            Ok(user) => user,
            Err(refusal) => return refuse(refusal, campaign.lsn),
        };
        let terms = &campaign.terms;
        if terms.per_user > 1 && request.is_empty() && !terms.no_id {
            return no_id(name, campaign);
        }
        let remaining = campaign.remaining();
        let reply = |outcome, remaining| Reply::Claim(Claim { campaign: id, outcome, remaining, flat });
        let standing = campaign.roster.standing(self.scatter, user);
        if let Some((seat, is_again)) = self.has_already(standing, request, terms.per_user) {
            // The seat is the user's own; how many remain is everybody's.
            let outcome = match campaign.roster.row(seat).until {
                Some(until) if is_again => Outcome::Held(seat, until),
                Some(_) | None => Outcome::Already(seat),
            };
            return answer(reply(outcome, remaining), campaign.lsn);
        }
        let refusal = match (terms.open, terms.close) {
            // First: it may have been stopped before it opened.
            (_, Some(close)) if close <= view.now => Some(Outcome::Closed),
            (Some(open), _) if open > view.now => Some(Outcome::NotOpen(open.0.saturating_sub(view.now.0))),
            _ if remaining == 0 => Some(Outcome::SoldOut),
            _ => None,
        };
        if let Some(outcome) = refusal {
            return answer(reply(outcome, remaining), campaign.lsn);
        }
        let (seat, nth, at) = (campaign.roster.next_seat(), standing.next_nth(), view.now);
        if terms.hold > 0 {
            let until = Millis(at.0.saturating_add(terms.hold.into()));
            let held = Event::Held { campaign: id, seat, user, nth, request, at, until };
            return record(held, reply(Outcome::Held(seat, until), remaining - 1));
        }
        let group = Group::One(Event::Granted {
            campaign: id,
            seat,
            user,
            nth,
            request,
            at,
            after: campaign.roster.last_return(),
        });
        Decision::Record { group, reply: reply(Outcome::Granted(seat), remaining - 1) }
    }

    /// The campaign of this name, and the user as it takes him; else the refusal. A claim does the same in place: it is the
    /// hot path.
    fn named<'s, 'u, 'a>(
        &'s self,
        name: &[u8],
        user: &'u [u8],
        view: &View,
    ) -> Result<(CampaignId, &'s Campaign, User<'u>), Box<Decision<'s, 'a>>> {
        let (id, campaign) =
            self.find_campaign(name, view.now).map_err(|absent| Box::new(no_campaign(name, &absent)))?;
        match user_of(campaign.terms.users, user) {
            Ok(user) => Ok((id, campaign, user)),
            Err(refusal) => Err(Box::new(refuse(refusal, campaign.lsn))),
        }
    }

    /// The seat that answers a claim without a new one: what the same request got before, or the last one of a user who
    /// has all that he may have. And whether this may be that claim again: it is another one if it has an `ID` of its own.
    fn has_already(&self, standing: Standing<'_>, request: &[u8], per_user: u16) -> Option<(Seat, bool)> {
        let all = || standing.last().filter(|_| standing.len() >= usize::from(per_user));
        let same = standing.seat_by(self.scatter, request).map(|seat| (seat, true));
        same.or_else(|| all().map(|last| (last, request.is_empty())))
    }

    /// `GATE.CONFIRM`: the seat that is named, or the first of the user's that is held. What was confirmed before is
    /// answered alike, so that a request can be sent again, where there is no doubt which seat it means.
    pub(super) fn confirm<'s, 'a>(
        &'s self,
        name: &[u8],
        user: &'a [u8],
        seat: Option<Seat>,
        flat: bool,
        view: &View,
    ) -> Decision<'s, 'a> {
        let (id, campaign, user) = match self.named(name, user, view) {
            Ok(named) => named,
            Err(refused) => return *refused,
        };
        let remaining = campaign.remaining();
        let reply = |settlement| Reply::Settled(Settled { settlement, remaining, flat });
        let is_held = |row: &Row<'_>| row.until.is_some_and(|until| until > view.now);
        let found = match seat {
            Some(seat) => Some(seat)
                .filter(|seat| campaign.roster.is_out(*seat))
                .map(|seat| (seat, campaign.roster.row(seat)))
                .filter(|(_, row)| row.user == user),
            None => {
                let is_meant = |row: &Row<'_>| is_held(row) || (campaign.terms.per_user == 1 && row.until.is_none());
                let seats = campaign.roster.standing(self.scatter, user).seats().into_iter();
                seats.map(|seat| (seat, campaign.roster.row(seat))).find(|(_, row)| is_meant(row))
            }
        };
        let (seat, row) = match found {
            Some((seat, row)) if is_held(&row) => (seat, row),
            Some((seat, row)) if row.until.is_none() => {
                return answer(reply(Settlement::Granted(seat)), campaign.lsn);
            }
            Some(_) | None => return answer(reply(Settlement::None), campaign.lsn),
        };
        let after = campaign.roster.last_return();
        let confirmed = Event::Confirmed { campaign: id, seat, user, nth: row.nth, at: view.now, after };
        record(confirmed, reply(Settlement::Granted(seat)))
    }

    /// `GATE.CANCEL`: the seat that is named, or the only one that the user has. Where he has several, a request that is
    /// sent again must not cancel another one: it has to be named.
    pub(super) fn cancel<'s, 'a>(
        &'s self,
        name: &[u8],
        user: &'a [u8],
        seat: Option<Seat>,
        flat: bool,
        view: &View,
    ) -> Decision<'s, 'a> {
        let (id, campaign, user) = match self.named(name, user, view) {
            Ok(named) => named,
            Err(refused) => return *refused,
        };
        let remaining = campaign.remaining();
        let reply = |settlement, remaining| Reply::Settled(Settled { settlement, remaining, flat });
        let seats = campaign.roster.standing(self.scatter, user).seats();
        let seat = match (seat, &*seats) {
            (Some(seat), seats) => seats.contains(&seat).then_some(seat),
            (None, [] | [_]) => seats.first().copied(),
            (None, seats) => return which_seat(name, seats.len(), campaign),
        };
        let Some(seat) = seat else { return answer(reply(Settlement::None, remaining), campaign.lsn) };
        let (row, at) = (campaign.roster.row(seat), view.now);
        let event = match row.until {
            Some(until) if until <= at => return answer(reply(Settlement::None, remaining), campaign.lsn),
            Some(_) => Event::HoldEnded { campaign: id, seat, user, at, expired: false },
            None => Event::Returned {
                campaign: id,
                seat,
                user,
                nth: row.nth,
                at,
                grant: campaign.roster.seq(seat),
                seq: None,
            },
        };
        record(event, reply(Settlement::Cancelled(seat), remaining + 1))
    }

    /// The seats that are still held although their time is over, of this command's user, or of whoever it is where a claim
    /// finds no other seat: that they have ended is to be journalled before it is decided.
    pub fn overdue(&self, command: &Command<'_>, now: Millis) -> Option<(CampaignId, Vec<Seat>)> {
        let (Command::Claim { campaign, user, .. }
        | Command::Confirm { campaign, user, .. }
        | Command::Cancel { campaign, user, .. }) = command
        else {
            return None;
        };
        let (id, campaign) = self.find_campaign(campaign, now).ok()?;
        let seats = campaign.roster.standing(self.scatter, user_of(campaign.terms.users, user).ok()?).seats();
        let holds = campaign.roster.holds();
        let is_over = |seat: &Seat| holds.get(*seat).is_some_and(|hold| hold.until <= now);
        let mut over: Vec<Seat> = seats.into_iter().filter(is_over).collect();
        if over.is_empty() && campaign.remaining() == 0 {
            over.extend(holds.due(now).next().map(|(_, seat)| seat));
        }
        Some((id, over))
    }

    /// The campaign of this name, also one that was dropped, and the user as it takes him: for who asks what was.
    pub fn user_of_any_campaign<'a>(
        &self,
        name: &[u8],
        user: &'a [u8],
        now: Millis,
    ) -> Result<(CampaignId, User<'a>), Refusal> {
        let (id, users) = match self.find_campaign(name, now) {
            Ok((id, campaign)) => (id, campaign.terms.users),
            Err(Absent::Retired(retired)) => (retired.id, retired.terms.users),
            Err(absent) => return Err(absence(name, &absent).0),
        };
        Ok((id, user_of(users, user)?))
    }

    /// `GATE.STATUS`
    pub(super) fn status<'s, 'a>(&'s self, name: &[u8], user: &[u8], view: &View) -> Decision<'s, 'a> {
        let (_, campaign, user) = match self.named(name, user, view) {
            Ok(named) => named,
            Err(refused) => return *refused,
        };
        let seats = campaign.roster.standing(self.scatter, user).seats();
        // That a seat is not there any more is told, too.
        let was_more = campaign.terms.hold > 0 || campaign.roster.last_return() > Lsn::ZERO;
        let mut depends = if seats.is_empty() || was_more { campaign.lsn } else { Lsn::ZERO };
        let row = |seat: Seat| {
            let Row { at, lsn, until, .. } = campaign.roster.row(seat);
            depends = depends.max(lsn);
            // A hold leaves the gate by no way.
            let stage = Reply::Status(stage(lsn, campaign.terms.shadow || until.is_some(), view));
            Reply::Array(vec![state_of(until), number(seat.get()), Reply::Int(at.0), stage])
        };
        let rows = seats.into_iter().map(row).collect();
        answer(Reply::Array(rows), depends)
    }

    /// `GATE.SEATS`: the rows from seat `first` on, at most `count` and at most `SEATS_ROWS_MAX`; free seats have none.
    pub(super) fn seats<'s, 'a>(&'s self, name: &[u8], first: u32, count: u32, view: &View) -> Decision<'s, 'a> {
        let campaign = match self.find_campaign(name, view.now) {
            Ok((_, campaign)) => campaign,
            Err(absent) => return no_campaign(name, &absent),
        };
        let row = |(seat, row): (Seat, Row<'s>)| {
            let user = match row.user {
                User::Int(user) => Reply::Int(user),
                User::Any(user) => Reply::bulk(user),
            };
            Reply::Array(vec![number(seat.get()), user, Reply::Int(row.at.0), state_of(row.until)])
        };
        let count = count.min(limits::SEATS_ROWS_MAX) as usize;
        let rows = campaign.roster.rows_from(Seat::new(first.max(1))).take(count).map(row).collect();
        answer(Reply::Array(rows), campaign.lsn)
    }

    /// `GATE.INFO` without the counts of claims and refusals, which are no state.
    pub(super) fn campaign_info<'s, 'a>(&'s self, name: &[u8], view: &View) -> Decision<'s, 'a> {
        match self.find_campaign(name, view.now) {
            Ok((id, campaign)) => {
                let state = state(campaign, view.now);
                let here = |lsn: Lsn| if campaign.terms.shadow { 0 } else { campaign.roster.given_by(lsn) };
                let progress = Progress { published: view.published.map(here), stored: view.stored.map(here) };
                answer(self.info_map(id, state, &progress), campaign.lsn)
            }
            Err(Absent::Retired(retired)) => {
                // The rows are gone: all that can be told is whether the last one has arrived.
                let here = |lsn: Lsn| match retired.terms.shadow {
                    true => Some(0),
                    false => (retired.last_lsn <= lsn).then_some(retired.granted),
                };
                let progress =
                    Progress { published: view.published.and_then(here), stored: view.stored.and_then(here) };
                answer(self.info_map(retired.id, "DROPPED", &progress), retired.lsn)
            }
            Err(absent @ (Absent::Unknown { .. } | Absent::PlainKey(_))) => no_campaign(name, &absent),
        }
    }

    fn info_map(&self, id: CampaignId, state: &'static str, progress: &Progress) -> Reply<'_> {
        let facts = self.campaign(id).expect("a campaign that was found has facts");
        let terms = facts.terms;
        let time = |at: Option<Millis>| at.map_or(Reply::Null, |at| Reply::Int(at.0));
        let count = |count: Option<u32>| count.map_or(Reply::Null, number);
        let users = match terms.users {
            Users::Int => "INT",
            Users::Any => "ANY",
        };
        let rows = [
            ("campaign", Reply::bulk(facts.name)),
            ("state", Reply::Status(state)),
            ("limit", number(terms.limit)),
            ("peruser", number(terms.per_user.into())),
            ("noid", Reply::Int(i64::from(terms.no_id))),
            ("granted", number(facts.granted)),
            ("held", number(facts.held)),
            ("remaining", number(facts.remaining)),
            ("open", time(terms.open)),
            ("close", time(terms.close)),
            ("hold", number(terms.hold)),
            ("users", Reply::Status(users)),
            ("shadow", Reply::Int(i64::from(terms.shadow))),
            ("created", Reply::Int(facts.created.0)),
            ("first_grant", time(facts.first_grant)),
            ("last_grant", time(facts.last_grant)),
            ("published", count(progress.published)),
            ("stored", count(progress.stored)),
        ];
        Reply::Map(rows.into_iter().map(|(name, value)| (Reply::bulk(name.as_bytes()), value)).collect())
    }
}

/// Why there is nothing to claim from under this name.
pub(super) fn no_campaign<'s, 'a>(name: &[u8], absent: &Absent<'_>) -> Decision<'s, 'a> {
    let (refusal, depends) = absence(name, absent);
    refuse(refusal, depends)
}

fn absence(name: &[u8], absent: &Absent<'_>) -> (Refusal, Lsn) {
    let name = shown(name);
    match absent {
        Absent::Unknown { depends, .. } => {
            (Refusal::NoCampaign(format!("no campaign '{name}'; create it with GATE.CREATE")), *depends)
        }
        Absent::Retired(retired) => (Refusal::NoCampaign(format!("campaign '{name}' was dropped")), retired.lsn),
        Absent::PlainKey(lsn) => (Refusal::WrongType, *lsn),
    }
}

#[cold]
fn no_id<'s, 'a>(name: &[u8], campaign: &Campaign) -> Decision<'s, 'a> {
    let (name, per_user) = (shown(name), campaign.terms.per_user);
    let text = format!(
        "a user may have {per_user} seats of campaign '{name}': say which claim this is with ID, and repeat it with the \
         same one"
    );
    refuse(Refusal::ErrText(text), campaign.lsn)
}

#[cold]
fn which_seat<'s, 'a>(name: &[u8], seats: usize, campaign: &Campaign) -> Decision<'s, 'a> {
    let text = format!("the user has {seats} seats of campaign '{}': say which one with SEAT", shown(name));
    refuse(Refusal::ErrText(text), campaign.lsn)
}

pub(super) fn user_of(users: Users, text: &[u8]) -> Result<User<'_>, Refusal> {
    match users {
        Users::Int => parse_integer(text).map(User::Int).ok_or(Refusal::Err("user is not an integer or out of range")),
        Users::Any if (1..=limits::USER_BYTES_MAX).contains(&text.len()) => Ok(User::Any(text)),
        Users::Any => Err(Refusal::Err("user must be 1 to 64 bytes long")),
    }
}

fn state(campaign: &Campaign, now: Millis) -> &'static str {
    match (campaign.terms.open, campaign.terms.close) {
        (_, Some(close)) if close <= now => "CLOSED",
        (Some(open), _) if open > now => "NOTOPEN",
        _ if campaign.remaining() == 0 => "SOLDOUT",
        _ => "OPEN",
    }
}

fn state_of(until: Option<Millis>) -> Reply<'static> {
    Reply::Status(if until.is_some() { "HELD" } else { "GRANTED" })
}

/// How far a change has come; one that `stays` in the gate is neither published nor stored.
pub(crate) fn stage(lsn: Lsn, stays: bool, view: &View) -> &'static str {
    let reached = |mark: Option<Lsn>| !stays && mark.is_some_and(|mark| mark >= lsn);
    if reached(view.stored) {
        "stored"
    } else if reached(view.published) {
        "published"
    } else if view.durable >= lsn {
        "durable"
    } else {
        "accepted"
    }
}

fn number(number: u32) -> Reply<'static> {
    Reply::Int(i64::from(number))
}
