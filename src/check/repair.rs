//! The mildest remedy that makes a directory start again: cut before the damage, on top of a copy, with claims held back.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;

use super::CheckError;
use super::beside::{Room, copy_beside};
use crate::journal::{self, Disk, Place};

/// Copies `data`, holds claims back, cuts the journal at `cut`. Answers where the copy is. Killed at any moment, another
/// check says what is left to do.
pub(super) fn repair(disk: &dyn Disk, data: &Path, cut: &Place, room: &dyn Room) -> Result<PathBuf, CheckError> {
    if cut.number == 1 && cut.offset == 0 {
        return Err(CheckError::NothingToKeep(data.to_owned()));
    }
    let copy = copy_beside(data, &Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string(), room)?;
    let reason = format!(
        "coupon-gate check --repair cut this journal before lsn {} (what was there is in {}): Kafka or the ledger may hold \
         grants that it lost",
        cut.lsn,
        copy.display()
    );
    journal::hold(disk, data, &reason)?;
    journal::cut(disk, data, cut)?;
    Ok(copy)
}

/// What was done.
pub(super) fn told(copy: &Path, cut: &Place, as_json: bool) -> String {
    if as_json {
        let repair = json!({"copy": copy.display().to_string(), "cut_before_lsn": cut.lsn.get()});
        return json!({ "repair": repair }).to_string() + "\n";
    }
    format!(
        "repaired: cut before lsn {}; the directory as it was is in {}\nclaims are held back until `coupon-gate catch-up` has \
         asked Kafka or the ledger; checked again:\n",
        cut.lsn,
        copy.display()
    )
}
