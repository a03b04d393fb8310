//! What was done, and what nobody can know.

use std::fmt;
use std::path::PathBuf;

use super::plan::{New, Plan};
use super::side;
use crate::ids::{LogId, Lsn};
use crate::settings::{CatchUpFrom, CatchUpSettings};

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    data: PathBuf,
    from: CatchUpFrom,
    dry_run: bool,
    log: LogId,
    last: Lsn,
    /// Where the journal ends afterwards.
    end: Lsn,
    skipped: bool,
    campaigns: Vec<CampaignLine>,
    brought_in: u64,
    returns: u64,
    agreed: u64,
    unreadable: u64,
    idle_terms: Vec<String>,
    idle_seeded: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct CampaignLine {
    name: String,
    first: u32,
    last: u32,
    grants: u32,
    returns: u32,
    limit: u32,
    new: Option<New>,
}

impl Report {
    pub(super) fn new(settings: &CatchUpSettings, plan: &Plan) -> Report {
        let line = |touched: &super::plan::Touched| CampaignLine {
            name: touched.name.clone(),
            first: touched.first,
            last: touched.last,
            grants: touched.grants,
            returns: touched.returns,
            limit: touched.limit,
            new: touched.new,
        };
        let mut campaigns: Vec<CampaignLine> =
            plan.campaigns().filter(|touched| touched.first > 0 || touched.returns > 0).map(line).collect();
        campaigns.sort_by(|one, other| one.name.cmp(&other.name));
        Report {
            data: settings.world.data.clone(),
            from: settings.from,
            dry_run: settings.dry_run,
            log: plan.log,
            last: plan.last,
            end: plan.end(),
            skipped: plan.skip_to.is_some(),
            campaigns,
            brought_in: plan.campaigns().map(|touched| u64::from(touched.grants)).sum(),
            returns: plan.campaigns().map(|touched| u64::from(touched.returns)).sum(),
            agreed: plan.agreed,
            unreadable: plan.unreadable,
            idle_terms: plan.idle_terms.clone(),
            idle_seeded: plan.idle_seeded.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.dry_run { "would be " } else { "" };
        let side = side(self.from);
        writeln!(f, "journal {} in {}, from the {side}", self.log, self.data.display())?;
        for campaign in &self.campaigns {
            let CampaignLine { name, first, last, grants, returns, limit, new } = campaign;
            write!(f, "campaign {name}: {grants} seats {would}brought in, {first} to {last} of {limit}")?;
            if *returns > 0 {
                write!(f, ", and {returns} returns")?;
            }
            match new {
                None => writeln!(f)?,
                Some(New::Raised) => writeln!(f, "; {would}given the limit of the file")?,
                Some(New::Told) => writeln!(f, "; {would}created with the terms of the file")?,
                Some(New::Closed) => {
                    writeln!(
                        f,
                        "; {would}created CLOSED, with its highest seat as limit: nobody told its terms (--campaigns)"
                    )?;
                }
            }
        }
        let (grants, agreed) = (self.brought_in, self.agreed);
        writeln!(f, "grants brought in: {grants}; grants and returns in the journal before: {agreed}")?;
        if self.returns > 0 {
            writeln!(f, "returns brought in: {}", self.returns)?;
        }
        if self.unreadable > 0 {
            writeln!(f, "records with our headers that say nothing: {} (passed over; see the log)", self.unreadable)?;
        }
        for name in &self.idle_terms {
            writeln!(
                f,
                "campaign {name} of the file: nothing to bring in; create it with GATE.CREATE if it is missing"
            )?;
        }
        for name in &self.idle_seeded {
            writeln!(f, "campaign {name} of --seeded: neither the journal nor the {side} knows it")?;
        }
        writeln!(f, "next lsn: {}", self.end.next())?;
        if self.skipped {
            self.unknown(f, side)?;
        } else if self.brought_in == 0 && self.returns == 0 {
            writeln!(f, "the journal lacks nothing that the {side} has; claims can go on")?;
        }
        if self.dry_run {
            writeln!(f, "nothing was changed (--dry-run)")?;
        }
        Ok(())
    }
}

impl Report {
    /// What nobody can know of the lost part.
    fn unknown(&self, f: &mut fmt::Formatter<'_>, side: &str) -> fmt::Result {
        writeln!(f, "what was lost behind lsn {} and cannot come back from here:", self.last)?;
        writeln!(f, "- plain keys and counters: they are as they were then")?;
        writeln!(f, "- campaigns without a grant, drops of campaigns, rehearsals (SHADOW)")?;
        writeln!(
            f,
            "- grants that were answered and had not reached the {side}: their seats will be granted to others, unless the \
             gate ran with --answer-after published (then there are none that Kafka lacks)"
        )
    }
}
