//! Catching up in a simulation: the same work over a disk, a cluster and a database of its own.

use std::path::Path;
use std::sync::Arc;

use super::known::Known;
pub(crate) use super::plan::Hints;
use super::plan::Plan;
use super::world::Intake;
pub(crate) use super::world::Topics;
use super::{CatchUpError, apply, ask_sides};
use crate::edge;
use crate::journal::{Disk, Options};
use crate::kafka::Cluster;
use crate::ledger::LedgerReader;
use crate::settings::CatchUpFrom;

/// As [`super::run`]. Answers how many grants and returns were brought in.
pub(crate) fn run(
    disk: &Arc<dyn Disk>,
    data: &Path,
    options: Options,
    from: CatchUpFrom,
    topics: (Option<&mut (dyn Cluster + 'static)>, Topics<'_>),
    ledger: Option<&mut (dyn LedgerReader + 'static)>,
    hints: Hints<'_>,
) -> Result<usize, CatchUpError> {
    let known = Known::read(disk, data, &options)?;
    let mut intake = Intake::new(known, None);
    ask_sides(from, topics, ledger, &mut intake)?;
    let plan = Plan::make(intake.close()?, hints, edge::wall())?;
    apply::apply(disk, data, options, &plan)?;
    Ok(plan.seats.len())
}
