//! What differs, named: the first of each kind in words, all of them counted.

use std::collections::BTreeMap;
use std::fmt;

/// Differences of one kind in one campaign that are told in words; the others are counted.
pub const NAMED_MAX: usize = 20;

/// Campaigns and kinds that are told apart: a topic full of forged names costs no more memory than this.
const GROUPS_MAX: usize = 10_000;

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The journal contradicts itself.
    Journal,
    /// The topic.
    Kafka,
    /// The ledger.
    Ledger,
}

/// What is wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A promise of the gate is broken in its own journal: a seat or a user twice, a seat above the limit.
    Broken,
    /// A grant that should be there is not.
    Missing,
    /// A grant that the journal does not have.
    Orphan,
    /// A grant with another seat, user or position than the journal's.
    Wrong,
    /// A grant that is there under two seats.
    Twice,
    /// A grant before its turn, or after it.
    Order,
    /// A record that names another one before it than there is.
    Chain,
    /// A grant of a rehearsal, which must not leave the gate.
    Shadow,
    /// Rows of another journal under one of our campaigns.
    OtherJournal,
    /// Records that were there are not there any more, and retention did not take them.
    LostTail,
    /// The journal ends before what this place knows of it.
    Ahead,
}

impl Place {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Place::Journal => "journal",
            Place::Kafka => "kafka",
            Place::Ledger => "ledger",
        }
    }
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Broken => "broken promise",
            Kind::Missing => "missing",
            Kind::Orphan => "not in the journal",
            Kind::Wrong => "wrong seat or user",
            Kind::Twice => "there twice",
            Kind::Order => "out of order",
            Kind::Chain => "chain broken",
            Kind::Shadow => "rehearsal outside",
            Kind::OtherJournal => "rows of another journal",
            Kind::LostTail => "lost tail",
            Kind::Ahead => "journal too old",
        }
    }
}

/// Differences of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// The first of them, in words.
    pub first: Vec<String>,
}

/// Everything that differs, by campaign (empty: of no campaign), place and kind.
#[derive(Debug, Default)]
pub struct Findings {
    groups: BTreeMap<(String, Place, Kind), Group>,
}

impl Findings {
    /// One more; `words` is asked only where they will be told.
    pub fn add(&mut self, campaign: &str, place: Place, kind: Kind, words: impl FnOnce() -> String) {
        let mut key = (campaign.to_owned(), place, kind);
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            key.0 = "(other campaigns)".to_owned();
        }
        let group = self.groups.entry(key).or_default();
        group.count += 1;
        if group.first.len() < NAMED_MAX {
            group.first.push(words());
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// All of them, in order.
    pub fn groups(&self) -> impl Iterator<Item = (&str, Place, Kind, &Group)> {
        self.groups.iter().map(|((campaign, place, kind), group)| (campaign.as_str(), *place, *kind, group))
    }

    /// How many there are in `campaign` of kinds that `which` chooses.
    pub fn count(&self, campaign: &str, which: impl Fn(Place, Kind) -> bool) -> u64 {
        let groups = self.groups().filter(|(name, place, kind, _)| *name == campaign && which(*place, *kind));
        groups.map(|(_, _, _, group)| group.count).sum()
    }

    /// The campaigns that differ.
    pub fn campaigns(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.groups().map(|(campaign, ..)| campaign).collect();
        names.dedup();
        names
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (campaign, place, kind, group) in self.groups() {
            let of = if campaign.is_empty() { String::new() } else { format!("{campaign}: ") };
            writeln!(f, "{of}{}: {}: {}", place.name(), kind.name(), group.count)?;
            for line in &group.first {
                writeln!(f, "  {line}")?;
            }
            let more = group.count - group.first.len() as u64;
            if more > 0 {
                writeln!(f, "  and {more} more")?;
            }
        }
        Ok(())
    }
}
