//! Segment files: their names, which there are, and how a new one is made.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{BadHeader, SegmentHeader};
use super::{Disk, DiskFile, JournalError};
use crate::sabotage::{Sabotage, on};

/// Zero bytes written at a time.
const FILL_BYTES: usize = 256 << 10;
/// Zero bytes written before a sync: what waits in the disk's queue stays short, for the batches of the other thread.
const FILL_SYNC_BYTES: u64 = 1 << 20;
/// A header block is at most this long.
pub(super) const BLOCK_BYTES_MAX: u64 = 64 << 10;

/// Where segments lie in a data directory.
pub(super) fn directory(data: &Path) -> PathBuf {
    data.join("journal")
}

/// The file of segment `number`.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.seg"))
}

/// The file of segment `number` while it is being made.
fn unfinished(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.tmp"))
}

/// The numbers of the segments that are there, in order.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, JournalError> {
    numbers(disk, dir, ".seg")
}

/// The numbers of the files in `dir` whose names end so, in order; none where there is no such directory.
pub(super) fn numbers(disk: &dyn Disk, dir: &Path, ending: &str) -> Result<Vec<u64>, JournalError> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(|error| JournalError::io("listing", dir, &error))?,
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name, ending)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether `name` is that of a file which is being made.
pub(super) fn is_unfinished(name: &str) -> bool {
    number_of(name, ".tmp").is_some()
}

/// Removes what a process that was killed had not finished making.
pub(super) fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    for number in numbers(disk, dir, ".tmp")? {
        let path = unfinished(dir, number);
        disk.remove(&path).map_err(|error| JournalError::io("removing", &path, &error))?;
    }
    Ok(())
}

fn number_of(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    (digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// Makes segment `number`: zero bytes really written and synced under another name, then renamed, then the directory
/// synced. On failure nothing of it is left behind, so that the attempt itself does not keep the disk full.
/// `None`: `stop` said so.
pub(super) fn make(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    bytes: u64,
    stop: &dyn Fn() -> bool,
) -> io::Result<Option<Arc<dyn DiskFile>>> {
    let (part, whole) = (unfinished(dir, number), path(dir, number));
    let made = fill(disk, &part, bytes, stop).and_then(|file| match file {
        Some(file) => disk.rename(&part, &whole).map(|()| Some(file)),
        None => Ok(None),
    });
    if !matches!(made, Ok(Some(_))) {
        // What cannot be removed either is removed by the next start.
        let _ = disk.remove(&part);
    }
    let made = made?;
    if made.is_some()
        && !on(Sabotage::SkipSyncDir)
        && let Err(error) = disk.sync_dir(dir)
    {
        let _ = disk.remove(&whole);
        return Err(error);
    }
    Ok(made)
}

fn fill(disk: &dyn Disk, path: &Path, bytes: u64, stop: &dyn Fn() -> bool) -> io::Result<Option<Arc<dyn DiskFile>>> {
    let zeros = vec![0; FILL_BYTES.min(usize::try_from(bytes).unwrap_or(FILL_BYTES))];
    let file = disk.create(path)?;
    let mut done = 0;
    while done < bytes {
        if stop() {
            return Ok(None);
        }
        let len = (bytes - done).min(zeros.len() as u64);
        file.write_at(&zeros[..usize::try_from(len).expect("a piece fits its buffer")], done)?;
        done += len;
        if done.is_multiple_of(FILL_SYNC_BYTES) && done < bytes {
            file.sync_data()?;
        }
    }
    file.sync_data()?;
    Ok(Some(file))
}

/// The header of an open segment. `None`: there is none, or a damaged one.
pub(super) fn header(file: &dyn DiskFile, path: &Path, number: u64) -> Result<Option<SegmentHeader>, JournalError> {
    let mut block = vec![0; 4096];
    let reread = |block: &mut Vec<u8>| {
        let len = file.read_at(block, 0).map_err(|error| JournalError::io("reading", path, &error))?;
        block.truncate(len);
        Ok(())
    };
    reread(&mut block)?;
    let wanted = block.get(10..14).map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")));
    if u64::from(wanted) > 4096 && u64::from(wanted) <= BLOCK_BYTES_MAX {
        block.resize(wanted as usize, 0);
        reread(&mut block)?;
    }
    match SegmentHeader::read(&block) {
        Ok(header) if header.number == number => Ok(Some(header)),
        Ok(_) | Err(BadHeader::Damaged) => Ok(None),
        Err(BadHeader::Newer(format)) => Err(JournalError::Newer {
            path: path.to_path_buf(),
            offset: 0,
            what: format!("segment format {format}, written by a newer release"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryDisk;
    use super::*;

    #[test]
    fn a_segment_whose_name_cannot_be_synced_leaves_nothing_behind() {
        let disk = MemoryDisk::default();
        disk.faults(|faults| faults.fail_sync_dir = true);
        assert!(make(&disk, Path::new("/j"), 1, 4096, &|| false).is_err());
        assert_eq!(disk.files().len(), 0);
    }

    #[test]
    fn only_numbered_names_are_segments() {
        assert_eq!(number_of("00000012.seg", ".seg"), Some(12));
        assert_eq!(number_of("123456789.seg", ".seg"), Some(123_456_789));
        for name in ["0000012.seg", "00000012.tmp", "0000001a.seg", "00000012.seg.old", ".seg"] {
            assert_eq!(number_of(name, ".seg"), None, "{name}");
        }
    }
}
