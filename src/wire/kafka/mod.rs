//! Grants as Kafka records and back: key, value, headers, partition. Forms: the reference, "Kafka records".
//!
//! ```text
//! key      campaign, or user as text, or null
//! value    long: the user as 8 bytes, big-endian; json: one object
//! headers  cg-log 32 hex | cg-seq | cg-prev | cg-seat          and where they say something:
//!          cg-nth (from 2) | cg-after | cg-campaign (where the key is not the campaign)
//! ```

#[cfg(test)]
mod fuzz;
mod murmur2;
mod record;
#[cfg(test)]
mod tests;

pub use murmur2::partition_of;
pub use record::{Bad, Key, Parsed, Value, encode, parse};

use crate::grant::Grant;
use crate::ids::Lsn;

/// A grant in a topic, with its place in the line of its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// The grant.
    pub grant: Grant,
    /// `seq` of the record before it in this partition and topic; `Lsn::ZERO` for the first.
    pub prev: Lsn,
    /// What must be applied before it; `Lsn::ZERO` is nothing.
    pub after: Lsn,
}
