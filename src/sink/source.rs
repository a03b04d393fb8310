//! What the sink reads: decided events in order. `journal_source.rs` is the real one.

use std::fmt;

use crate::core::Event;
use crate::ids::Lsn;

/// Events in the order of their positions, as far as they are durable.
pub trait GrantSource: Send {
    /// The next event read is the first one at or after `from`.
    fn seek(&mut self, from: Lsn) -> Result<(), SourceError>;

    /// The first position whose event is kept.
    fn kept_from(&self) -> Result<Lsn, SourceError>;

    /// Hands one batch's events to `take`, in order, and answers the position of the last one;
    /// `None` when nothing is left up to `upto`. Never an event beyond `upto`.
    fn read(&mut self, upto: Lsn, take: &mut dyn FnMut(Lsn, &Event<'_>)) -> Result<Option<Lsn>, SourceError>;
}

/// The source cannot be read; says what, where and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError(pub String);

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SourceError {}
