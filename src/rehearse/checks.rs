//! What is checked, and what was found to differ. Pure.

use serde::Serialize;

/// Examples kept for each check: enough to see what is wrong, whatever the size of the crowd.
pub const EXAMPLES_MAX: usize = 5;

/// What is checked. The title is what the report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Neither more nor fewer winners than there must be.
    Granted,
    /// No seat twice, none outside, none left out.
    Seats,
    /// No user with two seats, none who won and lost.
    OneSeat,
    /// `ALREADY` names the seat that `GRANTED` named.
    Repeat,
    /// Seats left, as each answer told them.
    Remaining,
    /// Every claim was answered, and by a decision.
    Answered,
    /// `GATE.INFO`
    Info,
    /// `GATE.SEATS`
    SeatList,
    /// `GATE.STATUS`
    Status,
    /// The ledger has every grant (`--through`).
    Stored,
    /// Whoever got a seat got it after the one before him had lost it.
    OneUser,
    /// No seat above a free one.
    Lowest,
    /// Seats left, within what all others know.
    Possible,
    /// Nobody is sent away while a seat must be free.
    SoldOut,
    /// A hold's deadline is `HOLD` after its claim, by the gate's own time.
    Deadline,
    /// `GATE.CONFIRM` answers `GRANTED` before the deadline and `NONE` after it.
    Confirm,
    /// `GATE.CANCEL` answers `CANCELLED` once, then `NONE`.
    Cancel,
    /// Every claim, confirmation and cancellation was answered, and by a decision.
    AllAnswered,
    /// The ledger has the seats that are granted in the end (`--through`).
    StoredInTheEnd,
}

impl Check {
    /// The checks of a crowd whose seats never come back, in the order of the report.
    pub const OF_GRANTS: &[Check] = &[
        Check::Granted,
        Check::Seats,
        Check::OneSeat,
        Check::Repeat,
        Check::Remaining,
        Check::Answered,
        Check::Info,
        Check::SeatList,
        Check::Status,
        Check::Stored,
    ];

    /// The checks of a crowd whose seats come back, in the order of the report.
    pub const OF_RETURNS: &[Check] = &[
        Check::OneUser,
        Check::OneSeat,
        Check::Repeat,
        Check::Lowest,
        Check::Possible,
        Check::SoldOut,
        Check::Deadline,
        Check::Confirm,
        Check::Cancel,
        Check::AllAnswered,
        Check::Info,
        Check::SeatList,
        Check::Status,
        Check::StoredInTheEnd,
    ];

    /// The promise in words.
    pub const fn title(self) -> &'static str {
        match self {
            Check::Granted => "exactly min(users, seats) granted",
            Check::Seats => "seats 1..=granted, each exactly once",
            Check::OneSeat => "every user at most one seat",
            Check::Repeat => "a repeated claim answers the same seat",
            Check::Remaining => "each answer's remaining is right",
            Check::Answered => "every claim got an answer",
            Check::Info => "GATE.INFO agrees",
            Check::SeatList => "GATE.SEATS agrees",
            Check::Status => "GATE.STATUS agrees",
            Check::Stored => "every grant is in the ledger",
            Check::OneUser => "no seat is two users' at a time",
            Check::Lowest => "each seat given is the lowest free one",
            Check::Possible => "each answer's remaining can be",
            Check::SoldOut => "nobody hears SOLDOUT beside a free seat",
            Check::Deadline => "each hold ends HOLD after its claim",
            Check::Confirm => "holds are confirmed in time, never later",
            Check::Cancel => "a cancel takes its seat back, once",
            Check::AllAnswered => "every request got an answer",
            Check::StoredInTheEnd => "every seat granted in the end is stored",
        }
    }

    fn is_of_ledger(self) -> bool {
        matches!(self, Check::Stored | Check::StoredInTheEnd)
    }
}

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The promise in words.
    pub check: &'static str,
    /// How often it was broken.
    pub differences: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

/// Every difference found so far, by check.
#[derive(Debug)]
pub struct Checks {
    of: &'static [Check],
    found: Vec<Verdict>,
}

impl Checks {
    /// Nothing differs yet.
    pub fn new(of: &'static [Check]) -> Checks {
        let found = of.iter().map(|check| Verdict { check: check.title(), differences: 0, examples: Vec::new() });
        Checks { of, found: found.collect() }
    }

    /// A promise was broken.
    pub fn differ(&mut self, check: Check, what: impl FnOnce() -> String) {
        let place = self.of.iter().position(|known| *known == check).expect("a crowd is judged by its own checks");
        let verdict = &mut self.found[place];
        verdict.differences += 1;
        if verdict.examples.len() < EXAMPLES_MAX {
            verdict.examples.push(what());
        }
    }

    /// What became of the checks; those of the ledger only where one was looked at.
    pub fn verdicts(self, with_ledger: bool) -> Vec<Verdict> {
        let checks = self.of.iter().zip(self.found);
        checks.filter(|(check, _)| with_ledger || !check.is_of_ledger()).map(|(_, verdict)| verdict).collect()
    }
}
