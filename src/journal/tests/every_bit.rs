//! Every bit of every file of a directory flipped, one at a time, and every length of every file: each start either
//! recovers exactly what was there or refuses with the place.

use std::fmt::Debug;

use super::*;

/// What came of all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sweep {
    /// Starts that recovered exactly.
    pub exact: u64,
    /// Starts that refused.
    pub refused: u64,
}

/// A real start: what it recovered.
pub(crate) type Start<'a, T> = &'a dyn Fn(&MemoryDisk) -> Result<T, JournalError>;

/// Flips every bit of `files`, a cleanly stopped directory in which `start` finds `whole`. `Err` tells of the first
/// start that did otherwise.
pub(crate) fn every_flip<T: PartialEq + Debug>(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    whole: &T,
    start: Start<'_, T>,
) -> Result<Sweep, String> {
    let mut sweep = Sweep::default();
    for (path, bytes) in files {
        let mut changed = files.clone();
        for bit in 0..bytes.len() * 8 {
            changed.get_mut(path).expect("it is there")[bit / 8] ^= 1 << (bit % 8);
            sweep
                .judge(&changed, path, whole, start)
                .map_err(|told| format!("byte {} bit {}: {told}", bit / 8, bit % 8))?;
            changed.get_mut(path).expect("it is there")[bit / 8] ^= 1 << (bit % 8);
        }
    }
    Ok(sweep)
}

/// Cuts each of `files` at every length below its own.
pub(crate) fn every_cut<T: PartialEq + Debug>(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    whole: &T,
    start: Start<'_, T>,
) -> Result<Sweep, String> {
    let mut sweep = Sweep::default();
    for (path, bytes) in files {
        let mut changed = files.clone();
        for len in (0..bytes.len()).rev() {
            changed.get_mut(path).expect("it is there").truncate(len);
            sweep.judge(&changed, path, whole, start).map_err(|told| format!("cut at {len}: {told}"))?;
        }
    }
    Ok(sweep)
}

impl Sweep {
    fn judge<T: PartialEq + Debug>(
        &mut self,
        files: &BTreeMap<PathBuf, Vec<u8>>,
        path: &Path,
        whole: &T,
        start: Start<'_, T>,
    ) -> Result<(), String> {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        match start(&MemoryDisk::of(files)) {
            Ok(found) if found == *whole => self.exact += 1,
            Ok(found) => return Err(format!("{name}: a start finds {found:?}")),
            Err(error) => {
                let told = error.to_string();
                // The file and the offset in it, then the position: "00000001.seg:4096 (lsn 7)".
                let place = told.split_once(&*name).and_then(|(_, rest)| rest.strip_prefix(':'));
                let place = place.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
                if !error.is_damage() || !place || !told.contains("lsn") {
                    return Err(format!("{name}: refused without its place: {told}"));
                }
                self.refused += 1;
            }
        }
        Ok(())
    }
}

/// A small journal of two processes, with a roll and a clean stop.
fn stopped() -> (BTreeMap<PathBuf, Vec<u8>>, Events) {
    let disk = MemoryDisk::default();
    let mut run = super::start(&disk, always()).expect("a new journal");
    for len in [1_500, 1_500, 60] {
        run.commit(len);
    }
    run.journal.finish(NOW).expect("a clean stop");
    let mut run = super::start(&disk, always()).expect("sound");
    run.commit(1);
    run.append(&counted(b"n", 1));
    run.commit(1);
    let events = run.events.clone();
    run.journal.finish(NOW).expect("a clean stop");
    (disk.files(), events)
}

fn events_of(disk: &MemoryDisk) -> Result<Events, JournalError> {
    super::start(disk, always()).map(|run| run.events)
}

#[test]
fn every_flipped_bit_of_a_stopped_journal_is_refused_or_harmless() {
    let _calm = calm();
    let (files, events) = stopped();
    let bits: usize = files.values().map(|bytes| bytes.len() * 8).sum();
    let sweep = every_flip(&files, &events, &events_of).unwrap();
    eprintln!("{bits} bits of {} files flipped: {sweep:?}", files.len());
    assert_eq!(sweep.exact + sweep.refused, bits as u64);
    assert!(sweep.refused > sweep.exact, "{sweep:?}");
}

#[test]
fn every_truncation_of_a_stopped_journal_is_refused_or_harmless() {
    let _calm = calm();
    let (files, events) = stopped();
    let lengths: usize = files.values().map(Vec::len).sum();
    let sweep = every_cut(&files, &events, &events_of).unwrap();
    eprintln!("{lengths} lengths of {} files: {sweep:?}", files.len());
    assert_eq!(sweep.exact + sweep.refused, lengths as u64);
}

/// What is at stake below the mark is missed where it is cut like a torn tail.
#[cfg(feature = "sabotage")]
#[test]
fn flips_that_are_cut_like_a_torn_tail_are_noticed() {
    let (files, events) = {
        let _calm = calm();
        stopped()
    };
    let sweep = crate::sabotage::peace::broken(crate::sabotage::Sabotage::IgnoreMark, || {
        every_flip(&files, &events, &events_of)
    });
    let told = sweep.expect_err("what was cut is missing");
    assert!(told.contains("a start finds"), "{told}");
}
