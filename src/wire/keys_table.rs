//! keys

use crate::wire::spec::CommandSpec;

/// The rows.
pub(super) const ROWS: &[CommandSpec] = &[];
