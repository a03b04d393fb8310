//! What happens to several seats at once: they are brought in, or all come back.

use super::{Effect, Model, Moment, Promise, Seated};
use crate::sim::oracle::reply::{error, integer};

impl Model {
    /// Grants of another system are brought in, all or none, before anything else has happened to the campaign.
    pub(super) fn seed(
        &mut self,
        name: u8,
        seats: &[(u32, u32)],
        when: Moment,
        effect: &mut Effect,
        out: &mut Vec<u8>,
    ) {
        let Some(campaign) = self.live(name) else { return error(out, b"NOCAMPAIGN ") };
        if campaign.seeds != campaign.seats.len() || campaign.last_return != campaign.began_after {
            return error(out, b"CONFLICT ");
        }
        let mut tried = campaign.clone();
        let mut new = Vec::new();
        for (user, seat) in seats {
            let (user, seat) = (*user, *seat);
            let is_there = campaign.seats.get(&seat).is_some_and(|there| there.user == user);
            let taken = tried.of(user);
            let nth = (1..).find(|nth| taken.iter().all(|(_, there)| there.nth != *nth)).unwrap_or(0);
            let Moment { now, change, lsn } = when;
            let seated = Seated { user, at: now, nth, request: 0, until: None, lsn, change };
            match is_there {
                true => {}
                false if tried.takes(seat, seated) => {
                    tried.seats.insert(seat, seated);
                    new.push((seat, seated));
                }
                false => return error(out, b"CONFLICT "),
            }
        }
        integer(out, new.len() as i64);
        effect.changed = !new.is_empty();
        let seeds = campaign.seeds + new.len();
        // The last of them has the last position.
        for ((seat, seated), behind) in new.iter().zip((0..new.len() as u64).rev()) {
            let entry = campaign.grant(name, *seat, Seated { lsn: when.lsn - behind, ..*seated });
            effect.entries.push(entry);
        }
        campaign.seeds = seeds;
    }

    /// All seats come back, and the name is free again; what the next campaign of that name grants comes after the last of
    /// these returns.
    pub(super) fn purge(&mut self, name: u8, when: Moment, effect: &mut Effect, out: &mut Vec<u8>) {
        let takes_returns = self.takes_returns;
        let Some(campaign) = self.live(name) else { return error(out, b"NOCAMPAIGN ") };
        if !takes_returns && !campaign.shadow() {
            return error(out, b"ERR ");
        }
        let seats: Vec<(u32, Seated)> = campaign.seats.iter().map(|(seat, there)| (*seat, *there)).collect();
        // The campaign itself goes behind the last of them.
        for ((seat, there), behind) in seats.iter().zip((1..=seats.len() as u64).rev()) {
            if there.until.is_none() {
                effect.entries.push(campaign.give_back(name, *seat, *there, (when.lsn - behind, when.now)));
            }
            effect.freed.push(Promise { campaign: name, seat: *seat, there: *there });
        }
        let after = if campaign.shadow() { campaign.began_after } else { campaign.last_return };
        self.returned[usize::from(name)] = after;
        self.campaigns[usize::from(name)] = None;
        effect.changed = true;
        out.extend_from_slice(b"+OK\r\n");
    }
}
