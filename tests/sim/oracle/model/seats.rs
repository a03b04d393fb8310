//! Who has which seat: claims, confirmations, what is cancelled, and what a campaign looks like.

use super::{Campaign, Effect, Model, Moment, Promise, Seated};
use crate::sim::oracle::ask::{Terms, user_to};
use crate::sim::oracle::reply::{ANYTHING, anything, array, bulk, error, integer, outcome, status};

impl Model {
    pub(super) fn claim(
        &mut self,
        name: u8,
        (user, request): (u32, u8),
        flat: bool,
        when: Moment,
        effect: &mut Effect,
        out: &mut Vec<u8>,
    ) {
        let Moment { now, change, lsn } = when;
        let Some(campaign) = self.live(name) else { return error(out, b"NOCAMPAIGN ") };
        let Terms { per_user, no_id, open, close, hold, .. } = campaign.terms;
        if per_user > 1 && request == 0 && !no_id {
            return error(out, b"ERR a user may have ");
        }
        let mine = campaign.of(user);
        let same = mine.iter().find(|(_, there)| request > 0 && there.request == request);
        let all = mine.last().filter(|_| mine.len() >= usize::from(per_user));
        let refused = |campaign: &Campaign, out: &mut Vec<u8>, word: &[u8], number: i64| {
            outcome(out, flat, word, &[number, campaign.remaining()]);
        };
        let (seat, there) = match (same.or(all), open, close) {
            (Some(has), ..) => *has,
            (None, _, Some(close)) if now >= close => return refused(campaign, out, b"CLOSED", 0),
            (None, Some(open), _) if now < open => return refused(campaign, out, b"NOTOPEN", open - now),
            _ if campaign.remaining() == 0 => return refused(campaign, out, b"SOLDOUT", 0),
            _ => {
                let free = campaign.lowest_free();
                let nth = (1..).find(|nth| mine.iter().all(|(_, there)| there.nth != *nth)).unwrap_or(0);
                let until = (hold > 0).then(|| now + i64::from(hold));
                let seated = Seated { user, at: now, nth, request, until, lsn, change };
                effect.changed = true;
                match until {
                    Some(_) => campaign.hold(free, seated),
                    None => effect.entries.push(campaign.grant(name, free, seated)),
                }
                (free, seated)
            }
        };
        let left = campaign.remaining();
        match there.until {
            Some(until) if effect.changed || same.is_some() || request == 0 => {
                outcome(out, flat, b"HELD", &[seat.into(), left, until]);
            }
            None if effect.changed => outcome(out, flat, b"GRANTED", &[seat.into(), left]),
            Some(_) | None => outcome(out, flat, b"ALREADY", &[seat.into(), left]),
        }
        effect.seat = Some(Promise { campaign: name, seat, there });
    }

    pub(super) fn confirm(
        &mut self,
        name: u8,
        (user, seat): (u32, Option<u32>),
        flat: bool,
        when: Moment,
        effect: &mut Effect,
        out: &mut Vec<u8>,
    ) {
        let Moment { now, change, lsn } = when;
        let Some(campaign) = self.live(name) else { return error(out, b"NOCAMPAIGN ") };
        let mine = campaign.of(user).into_iter();
        // What is granted is granted again where there is no doubt which seat is meant.
        let again = seat.is_some() || campaign.terms.per_user == 1;
        let mut fits = mine.filter(|(there, _)| seat.is_none_or(|seat| seat == *there));
        let found = fits.find(|(_, there)| there.until.map_or(again, |until| until > now));
        let left = campaign.remaining();
        let Some((seat, mut there)) = found else { return outcome(out, flat, b"NONE", &[0, left]) };
        if there.until.is_some() {
            there = Seated { at: now, until: None, lsn, change, ..there };
            effect.changed = true;
            effect.entries.push(campaign.grant(name, seat, there));
        }
        outcome(out, flat, b"GRANTED", &[seat.into(), left]);
        effect.seat = Some(Promise { campaign: name, seat, there });
    }

    /// A seat is free again: the one that is named, or the only one that the user has.
    pub(super) fn cancel(
        &mut self,
        name: u8,
        (user, seat): (u32, Option<u32>),
        flat: bool,
        when: Moment,
        effect: &mut Effect,
        out: &mut Vec<u8>,
    ) {
        let takes_returns = self.takes_returns;
        let Some(campaign) = self.live(name) else { return error(out, b"NOCAMPAIGN ") };
        let mine = campaign.of(user);
        if seat.is_none() && mine.len() > 1 {
            return error(out, format!("ERR the user has {} seats ", mine.len()).as_bytes());
        }
        let found = mine.into_iter().find(|(there, _)| seat.is_none_or(|seat| seat == *there));
        let found = found.filter(|(_, there)| there.until.is_none_or(|until| until > when.now));
        let Some((seat, there)) = found else { return outcome(out, flat, b"NONE", &[0, campaign.remaining()]) };
        if there.until.is_none() {
            if !takes_returns && !campaign.shadow() {
                return error(out, b"ERR ");
            }
            effect.entries.push(campaign.give_back(name, seat, there, (when.lsn, when.now)));
        }
        campaign.seats.remove(&seat);
        outcome(out, flat, b"CANCELLED", &[seat.into(), campaign.remaining()]);
        effect.changed = true;
        effect.freed.push(Promise { campaign: name, seat, there });
    }

    /// The last change that this tells of.
    pub(super) fn status(&mut self, name: u8, user: u32, out: &mut Vec<u8>) -> u64 {
        let last = self.changed_at(name);
        let Some(campaign) = self.live(name) else {
            error(out, b"NOCAMPAIGN ");
            return last;
        };
        let mine = campaign.of(user);
        array(out, mine.len());
        for (seat, there) in &mine {
            array(out, 4);
            there.state(out);
            integer(out, i64::from(*seat));
            integer(out, there.at);
            status(out, &[ANYTHING]);
        }
        // That a seat is not there any more is told, too.
        let was_more = campaign.terms.hold > 0 || campaign.last_return > 0;
        let seats = mine.iter().map(|(_, there)| there.change).max();
        seats.filter(|_| !was_more).unwrap_or(last)
    }

    pub(super) fn info(&mut self, name: u8, now: i64, out: &mut Vec<u8>) {
        let Some(campaign) = self.campaign(name) else { return error(out, b"NOCAMPAIGN ") };
        let Terms { limit, per_user, no_id, open, close, hold, any, shadow } = campaign.terms;
        let state: &[u8] = match (open, close) {
            _ if campaign.dropped => b"DROPPED",
            (_, Some(close)) if now >= close => b"CLOSED",
            (Some(open), _) if now < open => b"NOTOPEN",
            _ if campaign.remaining() == 0 => b"SOLDOUT",
            _ => b"OPEN",
        };
        array(out, 46);
        bulk(out, b"campaign");
        bulk(out, &[b'c', b'0' + name]);
        bulk(out, b"state");
        status(out, state);
        let numbers: [(&[u8], Option<i64>); 7] = [
            (b"limit", Some(limit.into())),
            (b"peruser", Some(per_user.into())),
            (b"noid", Some(no_id.into())),
            (b"granted", Some(campaign.granted().count() as i64)),
            (b"held", Some(campaign.held().count() as i64)),
            (b"remaining", Some(campaign.remaining())),
            (b"open", open),
        ];
        numbers.into_iter().for_each(|(word, number)| row(out, word, number));
        bulk(out, b"close");
        match (campaign.created, close) {
            (None, Some(0)) => anything(out),
            (_, Some(at)) => integer(out, at),
            (_, None) => out.extend_from_slice(b"$-1\r\n"),
        }
        row(out, b"hold", Some(hold.into()));
        bulk(out, b"users");
        status(out, if any { b"ANY" } else { b"INT" });
        row(out, b"shadow", Some(shadow.into()));
        bulk(out, b"created");
        match campaign.created {
            Some(at) => integer(out, at),
            None => anything(out),
        }
        row(out, b"first_grant", campaign.grants.map(|(first, _)| first));
        row(out, b"last_grant", campaign.grants.map(|(_, last)| last));
        let told_elsewhere: [&[u8]; 7] = [
            b"claims",
            b"refused_soldout",
            b"refused_already",
            b"refused_notopen",
            b"refused_closed",
            b"published",
            b"stored",
        ];
        for word in told_elsewhere {
            bulk(out, word);
            anything(out);
        }
    }

    pub(super) fn seats(&mut self, name: u8, out: &mut Vec<u8>) {
        let Some(campaign) = self.live(name) else { return error(out, b"NOCAMPAIGN ") };
        array(out, campaign.seats.len());
        for (seat, there) in &campaign.seats {
            array(out, 4);
            integer(out, i64::from(*seat));
            if campaign.any() {
                let mut name = Vec::new();
                user_to(&mut name, there.user, true);
                bulk(out, &name);
            } else {
                integer(out, i64::from(there.user));
            }
            integer(out, there.at);
            there.state(out);
        }
    }
}

impl Seated {
    fn state(&self, out: &mut Vec<u8>) {
        status(out, if self.until.is_some() { b"HELD" } else { b"GRANTED" });
    }
}

fn row(out: &mut Vec<u8>, word: &[u8], number: Option<i64>) {
    bulk(out, word);
    match number {
        Some(number) => integer(out, number),
        None => out.extend_from_slice(b"$-1\r\n"),
    }
}
