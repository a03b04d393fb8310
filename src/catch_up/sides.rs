//! How the two sides of the world are reached.

use super::CatchUpError;
use crate::kafka::Cluster;
use crate::ledger::{LedgerReader, LedgerSettings};
use crate::settings::{Kafka, World};
use crate::wiring;

/// The cluster.
pub(super) fn cluster(kafka: &Kafka) -> Result<Box<dyn Cluster>, CatchUpError> {
    wiring::kafka(kafka).connect().map_err(CatchUpError::Kafka)
}

/// The ledger; `None` where there is none.
pub(super) fn ledger(world: &World) -> Result<Option<Box<dyn LedgerReader>>, CatchUpError> {
    let Some(at) = wiring::ledger_at(&world.ledger) else { return Ok(None) };
    let users = wiring::user_column(world.ledger_users);
    LedgerSettings { users, ..LedgerSettings::new(at) }.to_read().map_err(CatchUpError::Ledger)
}
