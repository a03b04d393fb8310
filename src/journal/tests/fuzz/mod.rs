//! Fuzzing of what reads a journal: records, headers, snapshots, whole directories, and directories with damage.

mod build;
mod damage;
mod directory;
mod header;
mod records;
mod snapshots;

use super::*;
use crate::fuzz::{Chance, Target, Trace, notices};

/// A word for each kind of trouble; numbers and places do not count.
fn trouble(error: &JournalError) -> Trace {
    Trace::default().and_text(&format!("{error:?}"))
}
