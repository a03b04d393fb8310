//! Journals with damage: an input is the seed of a sound journal, then what befalls its files. Sums stay as they were,
//! but for a batch that is exchanged for another one, which only the chain tells.
//!
//! ```text
//! seed u64 | kind u8, file u8, from u16, to u16, len u16 | ...
//! ```

use super::super::batch::{BATCH_HEADER_BYTES, BatchHeader, SegmentHeader};
use super::build::{Built, build, on_disk};
use super::*;

const HEAD: usize = 8;
const STEP: usize = 8;

fn target<'a>(check: &'a dyn Fn(&[u8]) -> Trace) -> Target<'a> {
    Target { name: "damage", bytes_max: HEAD + 8 * STEP, words: &[], draw: &draw, mend: &|_| (), check }
}

fn draw(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = (chance.below(64) as u64).to_le_bytes().to_vec();
    for _ in 0..1 + chance.below(3) {
        let mut step = chance.any().to_le_bytes();
        // Places of some weight: the beginnings of blocks.
        if chance.one_in(2) {
            step[2] = (chance.below(2) * 128) as u8;
            step[4] = (chance.below(2) * 128) as u8;
        }
        bytes.extend(step);
    }
    bytes
}

/// One thing that befalls the files: bits, bytes, blocks that went elsewhere, ends that are gone.
fn befall(files: &mut [Vec<u8>], step: &[u8]) {
    let number = |at: usize| usize::from(u16::from_le_bytes([step[at], step[at + 1]]));
    let other = files[number(1) / 7 % files.len()].clone();
    let file = usize::from(step[1]) % files.len();
    let file = &mut files[file];
    if file.is_empty() {
        return;
    }
    let (from, to) = (number(2) % file.len(), number(4) % file.len());
    let len = number(6) % 300;
    let piece = from..(from + len).min(file.len());
    match step[0] % 9 % 8 {
        0 | 1 => file[from] ^= 1 << (step[6] % 8),
        2 => file[from] = step[6],
        3 => file[piece].fill(0),
        4 => file.truncate(from),
        5 => {
            let bytes = file[piece].to_vec();
            let len = bytes.len().min(file.len() - to);
            file[to..to + len].copy_from_slice(&bytes[..len]);
        }
        6 => {
            let (from, to) = (from - from % BLOCK as usize, to - to % BLOCK as usize);
            let bytes = &other[from.min(other.len())..other.len().min(from + BLOCK as usize)];
            let len = bytes.len().min(file.len() - to);
            file[to..to + len].copy_from_slice(&bytes[..len]);
        }
        _ => file[piece].fill(step[7]),
    }
}

/// Exchanges a batch for one that is sound by itself and says something else. Not the last one: nothing follows it that
/// could tell.
fn exchange(files: &mut [Vec<u8>], which: usize) {
    let mut places = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let Ok(SegmentHeader { salt, .. }) = SegmentHeader::read(file) else { continue };
        let starts = (BLOCK as usize..file.len()).step_by(BLOCK as usize);
        places.extend(
            starts.filter(|at| BatchHeader::read(&file[*at..], salt, BLOCK).is_ok()).map(|at| (index, at, salt)),
        );
    }
    places.pop();
    if let Some((index, at, salt)) = places.get(which % places.len().max(1)).copied() {
        let header = BatchHeader::peek(&files[index][at..]).expect("it was just read");
        let batch = &mut files[index][at..at + BATCH_HEADER_BYTES + header.body_len as usize];
        *batch.last_mut().expect("it has a header") ^= 1;
        header.write(batch, salt);
    }
}

/// A stopped journal is read back exactly or refused with its place. Of a killed one nothing below the mark is missing,
/// and what is there is what was written.
fn check(bytes: &[u8]) -> Trace {
    let Some((seed, steps)) = bytes.split_at_checked(HEAD) else { return Trace::default() };
    let Built { mut files, events, stopped, last } = build(&mut Chance::of(seed));
    let sound = files.clone();
    // Alone: with what follows it damaged, too, nothing could tell that a batch was exchanged.
    match steps.chunks_exact(STEP).find(|step| step[0] % 9 == 8) {
        Some(step) => exchange(&mut files, usize::from(step[2])),
        None => steps.chunks_exact(STEP).for_each(|step| befall(&mut files, step)),
    }
    let whole =
        !last.range.is_empty() && files[last.file].get(last.range.clone()) == Some(&sound[last.file][last.range]);
    match super::start(&on_disk(&files), always()) {
        Ok(run) => {
            assert!(events.starts_with(&run.events), "what is there was written");
            let lost = events.len() - run.events.len();
            assert!(lost == 0 || !stopped, "{lost} events of a stopped journal are gone");
            assert!(!whole || run.replayed.last_lsn.get() >= last.durable, "what a sound batch calls durable is gone");
            Trace::default().and(u64::from(stopped)).and(lost as u64).and(files.len() as u64)
        }
        Err(error) => {
            assert!(error.is_damage(), "{error}");
            trouble(&error).and(files.len() as u64)
        }
    }
}

#[test]
fn fuzz_damaged_journals() {
    let _calm = calm();
    target(&check).run(2_000);
}

#[cfg(feature = "sabotage")]
#[test]
fn fuzz_damaged_journals_notices_broken_promises() {
    use crate::sabotage::{Sabotage, peace};
    for promise in [Sabotage::IgnoreMark, Sabotage::IgnoreChain] {
        eprintln!("planted: {promise:?}");
        peace::broken(promise, || notices(&target(&check), 20_000));
    }
}
