//! Who has which seat: claims, confirmations, and what a campaign looks like.

use super::{Campaign, Model, Promise, Seated};
use crate::sim::oracle::ask::{Terms, number_to, user_to};
use crate::sim::oracle::reply::{bulk, error, integer, outcome};

impl Model {
    pub(super) fn claim(
        &mut self,
        name: u8,
        (user, request): (u32, u8),
        flat: bool,
        now: i64,
        out: &mut Vec<u8>,
    ) -> (bool, Option<Promise>) {
        let Some(campaign) = self.live(name) else {
            error(out, b"NOCAMPAIGN ");
            return (false, None);
        };
        let Terms { per_user, no_id, open, close, hold, .. } = campaign.terms;
        if per_user > 1 && request == 0 && !no_id {
            error(out, b"ERR a user may have ");
            return (false, None);
        }
        let mine = campaign.of(user);
        let same = mine.iter().find(|(_, there)| request > 0 && there.request == request);
        let all = mine.last().filter(|_| mine.len() >= usize::from(per_user));
        let refused = |campaign: &Campaign, out: &mut Vec<u8>, word: &[u8], number: i64| {
            outcome(out, flat, word, &[number, campaign.remaining()]);
            (false, None)
        };
        let (changed, (seat, there)) = match (same.or(all), open, close) {
            (Some(has), ..) => (false, *has),
            (None, Some(open), _) if now < open => return refused(campaign, out, b"NOTOPEN", open - now),
            (None, _, Some(close)) if now >= close => return refused(campaign, out, b"CLOSED", 0),
            _ if campaign.remaining() == 0 => return refused(campaign, out, b"SOLDOUT", 0),
            _ => {
                let free = (1..).find(|seat| !campaign.seats.contains_key(seat)).unwrap_or(0);
                let nth = (1..).find(|nth| mine.iter().all(|(_, there)| there.nth != *nth)).unwrap_or(0);
                let until = (hold > 0).then(|| now + i64::from(hold));
                let seated = Seated { user, at: now, nth, request, until };
                campaign.seats.insert(free, seated);
                (true, (free, seated))
            }
        };
        let left = campaign.remaining();
        match there.until {
            Some(until) => outcome(out, flat, b"HELD", &[seat.into(), left, until]),
            None if changed => outcome(out, flat, b"GRANTED", &[seat.into(), left]),
            None => outcome(out, flat, b"ALREADY", &[seat.into(), left]),
        }
        (changed, Some(Promise { campaign: name, user, seat, until: there.until }))
    }

    pub(super) fn confirm(
        &mut self,
        name: u8,
        (user, seat): (u32, Option<u32>),
        flat: bool,
        now: i64,
        out: &mut Vec<u8>,
    ) -> (bool, Option<Promise>) {
        let Some(campaign) = self.live(name) else {
            error(out, b"NOCAMPAIGN ");
            return (false, None);
        };
        let mine = campaign.of(user).into_iter();
        // What is granted is granted again where there is no doubt which seat is meant.
        let again = seat.is_some() || campaign.terms.per_user == 1;
        let mut fits = mine.filter(|(there, _)| seat.is_none_or(|seat| seat == *there));
        let found = fits.find(|(_, there)| there.until.map_or(again, |until| until > now));
        let left = campaign.remaining();
        let Some((seat, there)) = found else {
            outcome(out, flat, b"NONE", &[0, left]);
            return (false, None);
        };
        if there.until.is_some() {
            campaign.seats.insert(seat, Seated { at: now, until: None, ..there });
        }
        outcome(out, flat, b"GRANTED", &[seat.into(), left]);
        (there.until.is_some(), Some(Promise { campaign: name, user, seat, until: None }))
    }

    pub(super) fn seats(&mut self, name: u8, out: &mut Vec<u8>) {
        let Some(campaign) = self.live(name) else { return error(out, b"NOCAMPAIGN ") };
        out.push(b'*');
        number_to(out, campaign.seats.len() as i64);
        out.extend_from_slice(b"\r\n");
        for (seat, there) in &campaign.seats {
            out.extend_from_slice(b"*4\r\n");
            integer(out, i64::from(*seat));
            if campaign.any() {
                let mut name = Vec::new();
                user_to(&mut name, there.user, true);
                bulk(out, &name);
            } else {
                integer(out, i64::from(there.user));
            }
            integer(out, there.at);
            out.extend_from_slice(if there.until.is_some() { b"+HELD\r\n" } else { b"+GRANTED\r\n" });
        }
    }
}
