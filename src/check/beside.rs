//! A full copy of a directory beside it, made safe before anything is changed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::CheckError;

/// Room that stays free: the next start makes a segment.
const SPARE_BYTES: u64 = 64 << 20;

/// Tells how much room there is.
pub(super) trait Room {
    /// Bytes that can be written into `dir`.
    fn free(&self, dir: &Path) -> io::Result<u64>;
}

/// What the file system says.
pub(super) struct RealRoom;

impl Room for RealRoom {
    fn free(&self, dir: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(found.f_bavail * found.f_frsize)
    }
}

/// Copies the directory `data` to a new one beside it, whose name ends with `stamp`, and syncs that. Answers its path.
pub(super) fn copy_beside(data: &Path, stamp: &str, room: &dyn Room) -> Result<PathBuf, CheckError> {
    let whole = fs::canonicalize(data).map_err(|error| CheckError::Copy(data.to_owned(), error))?;
    let mut name = whole.file_name().unwrap_or_default().to_owned();
    name.push(format!(".before-repair-{stamp}"));
    let copy = whole.with_file_name(name);
    let failed = |error| CheckError::Copy(copy.clone(), error);
    let parent = copy.parent().expect("a directory beside another has a parent").to_owned();
    let needed = bytes_of(&whole).map_err(failed)? + SPARE_BYTES;
    let free = room.free(&parent).map_err(failed)?;
    if free < needed {
        return Err(CheckError::NoRoom(parent, needed, free));
    }
    fs::create_dir(&copy).map_err(failed)?;
    let copied = copy_all(&whole, &copy).and_then(|()| File::open(&parent)?.sync_all());
    if let Err(error) = copied {
        // A copy that is not whole is no copy.
        let _best_effort = fs::remove_dir_all(&copy);
        return Err(failed(error));
    }
    Ok(copy)
}

fn bytes_of(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let found = fs::metadata(&path)?;
        bytes += if found.is_dir() { bytes_of(&path)? } else { found.len() };
    }
    Ok(bytes)
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let found = fs::metadata(&path)?;
        if found.is_dir() {
            fs::create_dir(&target)?;
            copy_all(&path, &target)?;
        } else if found.is_file() {
            fs::copy(&path, &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    File::open(to)?.sync_all()
}
