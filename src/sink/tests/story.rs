//! Stories of seats that go to users and come back, told as a gate tells them.

use std::collections::BTreeMap;

use super::AT;
use crate::grant::{Entry, Grant, GrantUser, Return};
use crate::ids::{LogId, Lsn, Millis};

/// What one gate decides, in its order.
pub(super) struct Story {
    log: LogId,
    seq: u64,
    granted: BTreeMap<(&'static str, u32), Grant>,
    last_return: BTreeMap<&'static str, Lsn>,
    pub(super) entries: Vec<Entry>,
}

impl Story {
    pub(super) fn of(log: LogId) -> Story {
        Story::from(log, 0)
    }

    /// Behind the position `seq`.
    pub(super) fn from(log: LogId, seq: u64) -> Story {
        Story { log, seq, granted: BTreeMap::new(), last_return: BTreeMap::new(), entries: Vec::new() }
    }

    /// `seat` of `campaign` goes to `user`.
    pub(super) fn grant(&mut self, campaign: &'static str, seat: u32, user: i64) -> &Entry {
        self.seq += 1;
        let (seq, user, at) = (Lsn::new(self.seq), GrantUser::Int(user), Millis(AT));
        let grant = Grant { log: self.log, seq, campaign: campaign.into(), seat, user, nth: 1, at };
        let before = self.granted.insert((campaign, seat), grant.clone());
        assert_eq!(before, None, "the story makes sense");
        let after = self.last_return.get(campaign).copied().unwrap_or(Lsn::ZERO);
        self.tell(Entry::Grant { grant, after })
    }

    /// And comes back.
    pub(super) fn back(&mut self, campaign: &'static str, seat: u32) -> &Entry {
        self.seq += 1;
        let grant = self.granted.remove(&(campaign, seat)).expect("the story makes sense");
        let Grant { log, seq, campaign: name, user, nth, at, .. } = grant;
        let back = Return { log, seq: Lsn::new(self.seq), grant: seq, campaign: name, seat, user, nth, at };
        self.last_return.insert(campaign, back.seq);
        self.tell(Entry::Return(back))
    }

    fn tell(&mut self, entry: Entry) -> &Entry {
        self.entries.push(entry);
        self.entries.last().expect("it was told")
    }

    /// What is out in the end: campaign, seat and the `seq` of the grant.
    pub(super) fn out(&self) -> Vec<(String, u32, Lsn)> {
        self.granted.iter().map(|((campaign, seat), grant)| ((*campaign).to_owned(), *seat, grant.seq)).collect()
    }

    /// The `seq` of what came back, and of its grant.
    pub(super) fn returned(&self) -> Vec<(Lsn, Lsn)> {
        let returns = self.entries.iter().filter_map(|entry| match entry {
            Entry::Grant { .. } => None,
            Entry::Return(back) => Some((back.seq, back.grant)),
        });
        returns.collect()
    }
}
