//! Grants and returns as Kafka records and back: key, value, headers, partition. Forms: the reference, "Kafka records".
//! The kind of a record is that of its topic.
//!
//! ```text
//! key      campaign, or user as text, or null
//! value    long: the user as 8 bytes, big-endian; json: one object
//! headers  cg-log 32 hex | cg-seq | cg-prev | cg-seat          and where they say something:
//!          cg-nth (from 2) | cg-after | cg-campaign (where the key is not the campaign)
//! cg-after  of a return, always: the seq of its grant; of a grant: of the campaign's last return before it
//! ```

#[cfg(test)]
mod fuzz;
mod murmur2;
mod record;
#[cfg(test)]
mod tests;

pub use murmur2::partition_of;
pub use record::{Bad, Key, Parsed, Value, encode, parse};

use crate::grant::Entry;
use crate::ids::Lsn;

/// A grant or return in the topic of its kind, with its place in the line of its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRecord {
    /// Which.
    pub entry: Entry,
    /// `seq` of the record before it in this partition and topic; `Lsn::ZERO` for the first.
    pub prev: Lsn,
}
