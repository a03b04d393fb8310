//! The mildest remedy that makes a directory start again: cut before the damage, on top of a copy, with claims held back.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;

use super::CheckError;
use super::Report;
use super::beside::{Room, copy_beside};
use crate::journal::{self, Disk};

/// Copies `data`, then cuts the journal before the damage, with claims held back; where there is none, goes on without what
/// a start gets by without. One of them at a time: a cut can need what could be gone without otherwise. Answers where the
/// copy is. Killed at any moment, another check says what is left to do.
pub(super) fn repair(disk: &dyn Disk, data: &Path, report: &Report, room: &dyn Room) -> Result<PathBuf, CheckError> {
    if report.cut().is_some_and(|cut| cut.number == 1 && cut.offset == 0) {
        return Err(CheckError::NothingToKeep(data.to_owned()));
    }
    let copy = copy_beside(data, &Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string(), room)?;
    if let Some(cut) = report.cut() {
        let reason = format!(
            "coupon-gate check --repair cut this journal before lsn {} (what was there is in {}): Kafka or the ledger may \
             hold grants that it lost",
            cut.lsn,
            copy.display()
        );
        journal::hold(disk, data, &reason)?;
        journal::cut(disk, data, cut)?;
        return Ok(copy);
    }
    for aside in report.aside() {
        journal::forget(disk, data, aside)?;
    }
    Ok(copy)
}

/// What was done.
pub(super) fn told(copy: &Path, report: &Report, as_json: bool) -> String {
    let cut = report.cut().map(|cut| cut.lsn.get());
    let aside = if cut.is_some() { &[] } else { report.aside() };
    if as_json {
        let removed = aside.iter().map(|aside| aside.path.display().to_string());
        let repair = json!({
            "copy": copy.display().to_string(),
            "cut_before_lsn": cut,
            "went_on_without": removed.collect::<Vec<_>>(),
        });
        return json!({ "repair": repair }).to_string() + "\n";
    }
    let mut text = format!("repaired; the directory as it was is in {}\n", copy.display());
    for aside in aside {
        text += &format!("goes on without {}\n", aside.path.display());
    }
    if let Some(lsn) = cut {
        text += &format!(
            "cut before lsn {lsn}; claims are held back until `coupon-gate catch-up` has asked Kafka or the ledger\n"
        );
    }
    text + "checked again:\n"
}
