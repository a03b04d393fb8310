//! Claims answered since start, by campaign. Counted on the loop, told to the other threads at most once a tick.

use crate::core::{Claim, Core, Outcome, Reply};
use crate::ids::CampaignId;
use crate::limits;
use crate::metrics::{CampaignFigures, Figures};

/// Where campaigns beyond the bound are counted together.
const OTHER: &str = "other";

/// The counts of all campaigns.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Vec<Counts>,
    touched: Vec<CampaignId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    figures: CampaignFigures,
    /// What the other threads were told last.
    told: CampaignFigures,
    /// Where it is told.
    series: Series,
    /// Waits in `touched`.
    touched: bool,
}

/// Under which name a campaign is told; settled when it is told first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Series {
    #[default]
    Unsettled,
    Own,
    Other,
}

impl Tally {
    /// One more claim was answered.
    pub fn count(&mut self, claim: Claim) {
        self.touch(claim.campaign);
        let figures = &mut self.counts[claim.campaign.index()].figures;
        figures.claims += 1;
        match claim.outcome {
            Outcome::Granted(_) | Outcome::Held(..) => {}
            Outcome::Already(_) => figures.refused_already += 1,
            Outcome::SoldOut => figures.refused_soldout += 1,
            Outcome::NotOpen(_) => figures.refused_notopen += 1,
            Outcome::Closed => figures.refused_closed += 1,
        }
    }

    /// Something about `campaign` has changed that the figures tell.
    pub fn touch(&mut self, campaign: CampaignId) {
        if campaign.index() >= self.counts.len() {
            self.counts.resize(campaign.index() + 1, Counts::default());
        }
        let counts = &mut self.counts[campaign.index()];
        if !counts.touched {
            counts.touched = true;
            self.touched.push(campaign);
        }
    }

    /// Puts the counts of `campaign` into the rows of its `GATE.INFO`, before `published` and `stored`.
    pub fn complete_info(&self, campaign: CampaignId, rows: &mut Vec<(Reply<'_>, Reply<'_>)>) {
        let figures = self.counts.get(campaign.index()).map(|counts| counts.figures).unwrap_or_default();
        let counts = [
            ("claims", figures.claims),
            ("refused_soldout", figures.refused_soldout),
            ("refused_already", figures.refused_already),
            ("refused_notopen", figures.refused_notopen),
            ("refused_closed", figures.refused_closed),
        ];
        let place = rows.len().saturating_sub(2);
        let counts = counts.map(|(name, count)| (Reply::bulk(name.as_bytes()), Reply::Int(count as i64)));
        rows.splice(place..place, counts);
    }

    /// Writes what has changed into `figures`: a series of its own for a campaign while there is room, else `other`.
    pub fn publish(&mut self, core: &Core, figures: &Figures) {
        for campaign in std::mem::take(&mut self.touched) {
            let counts = &mut self.counts[campaign.index()];
            counts.touched = false;
            let Some(facts) = core.campaign(campaign) else { continue };
            let name = String::from_utf8_lossy(facts.name).into_owned();
            if counts.series == Series::Unsettled {
                let room = figures.campaigns.len() < limits::FIGURES_CAMPAIGNS_MAX;
                counts.series = if room && name != OTHER { Series::Own } else { Series::Other };
            }
            let told = CampaignFigures {
                granted: u64::from(facts.granted),
                held: u64::from(facts.held),
                remaining: u64::from(facts.remaining),
                ..counts.figures
            };
            let told = if facts.dropped { CampaignFigures::default() } else { told };
            let before = std::mem::replace(&mut counts.told, told);
            match counts.series {
                Series::Own if facts.dropped => drop(figures.campaigns.remove(&name)),
                Series::Own => drop(figures.campaigns.insert(name, told)),
                Series::Unsettled | Series::Other => {
                    add_difference(&mut figures.campaigns.entry(OTHER.to_owned()).or_default(), told, before);
                }
            }
        }
    }
}

fn add_difference(sum: &mut CampaignFigures, told: CampaignFigures, before: CampaignFigures) {
    let add = |sum: &mut u64, told: u64, before: u64| *sum = sum.wrapping_add(told.wrapping_sub(before));
    add(&mut sum.granted, told.granted, before.granted);
    add(&mut sum.held, told.held, before.held);
    add(&mut sum.remaining, told.remaining, before.remaining);
    add(&mut sum.claims, told.claims, before.claims);
    add(&mut sum.refused_soldout, told.refused_soldout, before.refused_soldout);
    add(&mut sum.refused_already, told.refused_already, before.refused_already);
    add(&mut sum.refused_notopen, told.refused_notopen, before.refused_notopen);
    add(&mut sum.refused_closed, told.refused_closed, before.refused_closed);
}
