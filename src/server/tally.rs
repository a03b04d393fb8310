//! Claims answered since start, by campaign. Counted on the loop, told to the other threads at most once a tick.

use crate::core::{Claim, Core, Event, Outcome, Reply};
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

#[derive(Clone, Debug, Default)]
struct Counts {
    figures: CampaignFigures,
    /// Grants that came back: they were given all the same.
    returned: u64,
    /// What the other threads were told last.
    told: CampaignFigures,
    /// Where it is told.
    series: Series,
    /// Waits in `touched`.
    touched: bool,
}

/// Under which name a campaign is told; settled when it is told first, until it is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Series {
    #[default]
    Unsettled,
    /// Its own, which is not known any more of a campaign that went without a grant.
    Own(String),
    Other,
}

impl Series {
    /// One of its own for a campaign while there is room.
    fn of(name: &[u8], figures: &Figures) -> Series {
        let name = String::from_utf8_lossy(name);
        let room = figures.campaigns.len() < limits::FIGURES_CAMPAIGNS_MAX;
        if room && name != OTHER { Series::Own(name.into_owned()) } else { Series::Other }
    }
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

    /// An event was applied. Seats that a claim gives are counted with its answer.
    pub fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Returned { campaign, .. } => {
                self.touch(*campaign);
                self.counts[campaign.index()].returned += 1;
            }
            Event::CampaignCreated { id, .. }
            | Event::CampaignAltered { id, .. }
            | Event::CampaignDropped { id, .. }
            | Event::Confirmed { campaign: id, .. }
            | Event::Imported { campaign: id, .. }
            | Event::HoldEnded { campaign: id, .. } => self.touch(*id),
            Event::Granted { .. }
            | Event::Held { .. }
            | Event::Skipped { .. }
            | Event::KeySet { .. }
            | Event::KeyCounted { .. }
            | Event::KeyPatched { .. }
            | Event::KeyExpirySet { .. }
            | Event::KeyRemoved { .. }
            | Event::KeyRenamed { .. }
            | Event::Flushed { .. } => {}
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
    /// What only counts up stays in `other` when its campaign is gone.
    pub fn publish(&mut self, core: &Core, figures: &Figures) {
        for campaign in std::mem::take(&mut self.touched) {
            let counts = &mut self.counts[campaign.index()];
            counts.touched = false;
            let facts = core.campaign(campaign);
            let live = facts.as_ref().filter(|facts| !facts.dropped);
            if counts.series == Series::Unsettled {
                // One that is gone and that nobody was told of leaves nothing.
                let Some(facts) = live else { continue };
                counts.series = Series::of(facts.name, figures);
            }
            let told = CampaignFigures {
                granted: facts.as_ref().map_or(0, |facts| u64::from(facts.granted)) + counts.returned,
                held: live.map_or(0, |facts| u64::from(facts.held)),
                remaining: live.map_or(0, |facts| u64::from(facts.remaining)),
                ..counts.figures
            };
            let before = std::mem::replace(&mut counts.told, told);
            match (&counts.series, live.is_some()) {
                (Series::Own(name), true) => drop(figures.campaigns.insert(name.clone(), told)),
                (Series::Own(name), false) => drop(figures.campaigns.remove(name)),
                (Series::Unsettled | Series::Other, _) => {
                    add_difference(&mut figures.campaigns.entry(OTHER.to_owned()).or_default(), told, before);
                }
            }
            if live.is_none() {
                counts.series = Series::Unsettled;
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
