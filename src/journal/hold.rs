//! A word in the data directory that holds claims back: its journal may be older than the world, and somebody is on it.
//! Outlives kills and power cuts: written before the first change that could hide the age, taken away after the last.

use std::io;
use std::path::{Path, PathBuf};

use super::{Disk, JournalError};

/// More than any reason that was ever written there.
const REASON_BYTES_MAX: usize = 4096;

/// From here on no gate over `data` decides a claim, because of `reason`. The directory is made if missing.
pub fn hold(disk: &dyn Disk, data: &Path, reason: &str) -> Result<(), JournalError> {
    let path = path(data);
    let written = disk.create_dir_all(data).and_then(|()| {
        let file = disk.create(&path)?;
        file.write_at(reason.as_bytes(), 0)?;
        file.sync_data()?;
        disk.sync_dir(data)
    });
    written.map_err(|error| JournalError::io("writing", &path, &error))
}

/// Why claims are held back over `data`, if they are.
pub fn held_because(disk: &dyn Disk, data: &Path) -> Result<Option<String>, JournalError> {
    let path = path(data);
    let mut reason = [0; REASON_BYTES_MAX];
    match disk.open(&path).and_then(|file| file.read_at(&mut reason, 0)) {
        Ok(read) => Ok(Some(String::from_utf8_lossy(&reason[..read]).trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io("reading", &path, &error)),
    }
}

/// Ends [`hold`], for good.
pub fn let_go(disk: &dyn Disk, data: &Path) -> Result<(), JournalError> {
    let path = path(data);
    let removed = match disk.remove(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    removed.and_then(|()| disk.sync_dir(data)).map_err(|error| JournalError::io("removing", &path, &error))
}

fn path(data: &Path) -> PathBuf {
    data.join("stale")
}
