//! Campaigns as the pieces of a snapshot, and put back from them: each in the order in which they were created.

use super::{Campaign, Campaigns, Retired, Slot};
use crate::core::Scatter;
use crate::core::event::Alterable;
use crate::core::image::{Contradiction, Piece, RetiredSeats};
use crate::core::roster::{Grants, Roster, Row};
use crate::ids::{CampaignId, Lsn, Millis, Seat};

/// Of imported seats in a snapshot.
const KNOWN_SEAT: &str = "what the world knows by another position is a grant";

/// Of free seats in a snapshot.
const FREE_BETWEEN: &str = "a seat that somebody has follows each run of free ones";

impl Campaigns {
    /// See [`Core::pieces`].
    pub(in crate::core) fn pieces<E>(&self, show: &mut dyn FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
        for (name, last_return) in &self.purged {
            show(Piece::Purged { name, last_return: *last_return })?;
        }
        for (id, slot) in (0..).map(CampaignId).zip(&self.slots) {
            match slot {
                Slot::Gone => show(Piece::Gone(id))?,
                Slot::Retired(of) => {
                    let retired = Some(RetiredSeats {
                        granted: of.granted,
                        first_grant: of.first_grant,
                        last_grant: of.last_grant,
                        last_lsn: of.last_lsn,
                        purged: of.purged,
                    });
                    let Retired { ref name, terms, created, created_lsn, lsn, .. } = **of;
                    show(Piece::Campaign { id, name, terms, created, created_lsn, lsn, retired })?;
                }
                Slot::Live(campaign) => {
                    let Campaign { ref name, created_with, created, created_lsn, lsn, ref roster, .. } = **campaign;
                    let terms = created_with;
                    show(Piece::Campaign { id, name, terms, created, created_lsn, lsn, retired: None })?;
                    if let Some((at, lsn)) = campaign.altered {
                        show(Piece::Altered { to: campaign.terms.alterable(), at, lsn })?;
                    }
                    let Grants { first_at, last_at, last_lsn, last_return, .. } = roster.grants();
                    if roster.began_after() > Lsn::ZERO {
                        show(Piece::BeganAfter(roster.began_after()))?;
                    }
                    if last_return > roster.began_after() {
                        show(Piece::Returns { first_grant: first_at, last_grant: last_at, last_lsn, last_return })?;
                    }
                    if roster.seeds() > 0 {
                        show(Piece::Seeds(roster.seeds()))?;
                    }
                    let mut next = 1;
                    for (seat, Row { user, nth, request, at, lsn, until }) in roster.rows_from(Seat::new(1)) {
                        if seat.get() > next {
                            show(Piece::FreeSeats(seat.get() - next))?;
                        }
                        if let Some(seq) = roster.known_as(seat) {
                            show(Piece::KnownAs(seq))?;
                        }
                        show(Piece::Seat { user, nth, request, at, lsn, until })?;
                        next = seat.get().saturating_add(1);
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts a campaign back, without its seats; or what is left of it.
    pub(in crate::core) fn restore(
        &mut self,
        scatter: Scatter,
        id: CampaignId,
        campaign: Campaign,
        retired: Option<RetiredSeats>,
    ) -> Result<(), Contradiction> {
        self.expect_next(id)?;
        let Some(RetiredSeats { granted, first_grant, last_grant, last_lsn, purged }) = retired else {
            self.slots.push(Slot::Live(Box::new(campaign)));
            self.live += 1;
            return Ok(());
        };
        let Campaign { name, terms, created, created_lsn, lsn, .. } = campaign;
        if granted > terms.limit {
            return Err(Contradiction("never more than N"));
        }
        self.slots.push(Slot::Gone);
        let retired =
            Retired { id, name, terms, created, created_lsn, granted, first_grant, last_grant, last_lsn, lsn, purged };
        self.retire(scatter, retired);
        Ok(())
    }

    /// Puts back the number of a campaign that was dropped before it gave a seat.
    pub(in crate::core) fn restore_gone(&mut self, id: CampaignId) -> Result<(), Contradiction> {
        self.expect_next(id)?;
        self.slots.push(Slot::Gone);
        Ok(())
    }

    fn expect_next(&self, id: CampaignId) -> Result<(), Contradiction> {
        if self.next_id() == Some(id) { Ok(()) } else { Err(Contradiction("campaigns are numbered without holes")) }
    }

    /// The last campaign, which has no seat yet, was altered.
    pub(in crate::core) fn alter_last(&mut self, to: Alterable, at: Millis, lsn: Lsn) -> Result<(), Contradiction> {
        match self.slots.last_mut() {
            Some(Slot::Live(campaign)) if campaign.roster.is_new() && campaign.altered.is_none() => {
                campaign.terms = campaign.terms.with(to);
                campaign.altered = Some((at, lsn));
                Ok(())
            }
            Some(Slot::Live(_) | Slot::Retired(_) | Slot::Gone) | None => {
                Err(Contradiction("altered terms follow their campaign"))
            }
        }
    }

    /// Seats of the last campaign, which has none yet, came back.
    pub(in crate::core) fn returns_of_last(&mut self, grants: Grants) -> Result<(), Contradiction> {
        match self.last_roster()?.restore_returns(grants) {
            true => Ok(()),
            false => Err(Contradiction("what came back is told before the seats")),
        }
    }

    /// The last campaign, which has no seat yet, took the name of one that was purged.
    pub(in crate::core) fn last_began_after(&mut self, last_return: Lsn) -> Result<(), Contradiction> {
        match self.last_roster()?.restore_beginning(last_return) {
            true => Ok(()),
            false => Err(Contradiction("what a campaign began after is told before the seats")),
        }
    }

    /// So many seats of the last campaign, which has none yet, are another system's grants.
    pub(in crate::core) fn seeds_of_last(&mut self, seeds: u32) -> Result<(), Contradiction> {
        match self.last_roster()?.restore_seeds(seeds) {
            true => Ok(()),
            false => Err(Contradiction("what was brought in is told before the seats")),
        }
    }

    /// The next seat of the last campaign is a grant that the world knows as `seq`.
    pub(in crate::core) fn know_next_as(&mut self, seq: Lsn) -> Result<(), Contradiction> {
        self.last_roster()?.know_next_as(seq);
        Ok(())
    }

    /// Gives the next seat of the last campaign; see [`Roster::fill`].
    pub(in crate::core) fn fill_last(&mut self, row: &Row<'_>) -> Result<(), Contradiction> {
        let roster = self.last_roster()?;
        let began_after = roster.began_after();
        let told = |grants: Grants| (grants.last_return > began_after).then_some(Grants { count: 0, ..grants });
        let before = told(roster.grants());
        match roster.fill_next(row) {
            true if told(roster.grants()) != before => Err(Contradiction("what came back counts for first and last")),
            true if row.until.is_some() && roster.misses_imported() => Err(Contradiction(KNOWN_SEAT)),
            true => Ok(()),
            false => Err(Contradiction("a user is of the kind that his campaign takes")),
        }
    }

    /// The next `count` seats of the last campaign are free.
    pub(in crate::core) fn free_last(&mut self, count: u32) -> Result<(), Contradiction> {
        let Some(Slot::Live(campaign)) = self.slots.last() else {
            return Err(Contradiction("a seat without its campaign"));
        };
        if count >= campaign.terms.limit {
            return Err(Contradiction("never more than N"));
        }
        let roster = self.last_roster()?;
        match roster.fill_free(count) {
            true if roster.misses_imported() => Err(Contradiction(KNOWN_SEAT)),
            true => Ok(()),
            false => Err(Contradiction(FREE_BETWEEN)),
        }
    }

    fn last_roster(&mut self) -> Result<&mut Roster, Contradiction> {
        match self.slots.last_mut() {
            Some(Slot::Live(campaign)) => Ok(&mut campaign.roster),
            Some(Slot::Retired(_) | Slot::Gone) | None => Err(Contradiction("a seat without its campaign")),
        }
    }

    /// All seats of the last campaign are there; `found`: its users are to be found.
    pub(in crate::core) fn close_last(&mut self, scatter: Scatter, found: bool) -> Result<(), Contradiction> {
        let Some(Slot::Live(campaign)) = self.slots.last_mut() else { return Ok(()) };
        if found {
            let per_user = campaign.terms.per_user;
            let entered = campaign.roster.index(scatter, per_user);
            entered.map_err(|_| Contradiction("never more than PERUSER for a user, each his n-th once"))?;
        }
        if campaign.roster.highest_out() > campaign.terms.limit {
            return Err(Contradiction("never more than N"));
        }
        if campaign.roster.ends_free() {
            return Err(Contradiction(FREE_BETWEEN));
        }
        if campaign.roster.misses_imported() {
            return Err(Contradiction(KNOWN_SEAT));
        }
        if campaign.roster.misses_seeds() {
            return Err(Contradiction("what was brought in is all there is"));
        }
        if let Some(deadline) = campaign.roster.holds().first_deadline() {
            self.first_hold_moved(CampaignId(self.slots.len() as u32 - 1), None, Some(deadline));
        }
        Ok(())
    }

    /// Makes all users found.
    pub(in crate::core) fn index(&mut self, scatter: Scatter) {
        for slot in &mut self.slots {
            if let Slot::Live(campaign) = slot {
                campaign.roster.index(scatter, campaign.terms.per_user).unwrap_or_else(|seat| {
                    panic!(
                        "never more than PERUSER for a user, each his n-th once: who has seat {seat} of {} has others",
                        campaign.name.escape_ascii()
                    )
                });
            }
        }
    }
}
