//! `--allow-reset`: campaigns of test systems go, with all their seats back in stock and their names free again.

use super::{Gate, LOADED, Ran, no_room, refuse, room};
use crate::core::{Command, Decision, Dropping, Event, Refusal, Reply};
use crate::ids::{Db, Lsn};
use crate::journal::{self, Room};
use crate::wire::{self, Protocol};

const NOT_ALLOWED: &str = "GATE.DROP PURGE is for test systems: start the gate with --allow-reset yes";

impl Gate {
    /// What becomes of a command that may purge; none where it is carried out as any other.
    #[cold]
    pub(super) fn reset(&mut self, command: &Command<'_>, protocol: Protocol, out: &mut Vec<u8>) -> Option<Ran> {
        if self.stale.is_some() {
            return None;
        }
        if let Command::Drop { campaign, .. } = command {
            if !self.facts.allows_reset {
                return Some(refuse(Refusal::Err(NOT_ALLOWED), protocol, out));
            }
            return Some(match self.purge(campaign, protocol, out) {
                Ok(lsn) => {
                    wire::encode(&Reply::Ok, protocol, out);
                    Ran::Answered { depends: self.depends(lsn, lsn) }
                }
                Err(ran) => ran,
            });
        }
        if !self.purges(command) {
            return None;
        }
        // One after the other: what found no room is gone over again.
        self.core.live_names().iter().find_map(|name| self.purge(name, protocol, out).err())
    }

    /// Whether it is a `FLUSHALL` that purges campaigns.
    pub(super) fn purges(&self, command: &Command<'_>) -> bool {
        let is_meant = matches!(command, Command::Flush { db } if db.is_none_or(|db| db == Db(0)));
        is_meant && self.facts.allows_reset
    }

    /// Takes all seats of a campaign back and drops it, in as many groups as that needs: where one finds no room, seats are
    /// back in stock and the campaign is there, until the request is gone over again. Answers the position of the drop, or
    /// what became of the request.
    fn purge(&mut self, name: &[u8], protocol: Protocol, out: &mut Vec<u8>) -> Result<Lsn, Ran> {
        let drop = Command::Drop { campaign: name, how: Dropping::Purged };
        let (id, dropped) = match self.core.decide(drop, &self.view) {
            Decision::Answer { reply, depends } => {
                wire::encode(&reply, protocol, out);
                return Err(Ran::Answered { depends: self.depends(depends, depends) });
            }
            Decision::Record { group, .. } => match group.events() {
                [Event::CampaignDropped { id, at, purged }] => {
                    (*id, Event::CampaignDropped { id: *id, at: *at, purged: *purged })
                }
                other => unreachable!("a campaign is dropped by that event: {other:?}"),
            },
        };
        if self.is_streamed(id)
            && let Some(why) = self.facts.return_not_carried()
        {
            return Err(self.refuse_durably(why, protocol, out));
        }
        loop {
            let back = self.core.returns_of(id, self.view.now, self.purge_seats);
            let last = (back.len() < self.purge_seats).then_some(&dropped);
            let events = || back.iter().map(|seat| seat.event()).chain(last.cloned());
            let bytes = events().map(|event| journal::record_bytes_max(&event)).sum();
            let room = room(self.journal.as_mut().expect(LOADED), bytes, self.view.now);
            if room != Room::Ready {
                return Err(no_room(room, protocol, out));
            }
            let count = back.len() + usize::from(last.is_some());
            let mut lsn = Lsn::ZERO;
            for (event, left) in events().zip((0..count).rev()) {
                lsn = self.journal.as_mut().expect(LOADED).append(&event, left > 0);
                self.core.evolve(lsn, &event);
                self.tally.note(&event);
            }
            if last.is_some() {
                return Ok(lsn);
            }
        }
    }

    /// An error that tells of a campaign: it leaves when that may be told.
    fn refuse_durably(&self, why: &'static str, protocol: Protocol, out: &mut Vec<u8>) -> Ran {
        wire::encode(&Reply::Refused(Refusal::Err(why)), protocol, out);
        let applied = self.core.applied();
        Ran::Answered { depends: self.depends(applied, applied) }
    }
}
