//! Whole directories: an input is the files one behind the other, each with its length before it. Sums are made right,
//! mostly, so that what is read may be anything; all that read a journal must make the same of it.

use super::super::batch::{BATCH_HEADER_BYTES, BatchHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::build::{build, on_disk};
use super::*;

/// What a start finds: events and the last position.
type Found = Result<(Events, u64), JournalError>;

fn target<'a>(check: &'a dyn Fn(&[u8]) -> Trace) -> Target<'a> {
    Target { name: "journal", bytes_max: 24 << 10, words: &[b"CGSEGMT1", b"CGBATCH1"], draw: &draw, mend: &mend, check }
}

fn draw(chance: &mut Chance) -> Vec<u8> {
    write(&build(chance).files)
}

fn write(files: &[Vec<u8>]) -> Vec<u8> {
    files.iter().flat_map(|file| [&(file.len() as u16).to_le_bytes()[..], file].concat()).collect()
}

fn read(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    while let Some((len, rest)) = bytes.split_at_checked(2) {
        let (file, rest) = rest.split_at(usize::from(u16::from_le_bytes([len[0], len[1]])).min(rest.len()));
        files.push(file.to_vec());
        bytes = rest;
    }
    files
}

/// Makes all sums and the chain right.
fn mend(bytes: &mut Vec<u8>) {
    let mut files = read(bytes);
    let mut chain = 0;
    for file in &mut files {
        if file.len() < BLOCK as usize {
            continue;
        }
        file[SEGMENT_HEADER_BYTES - 8 - 8..][..4].copy_from_slice(&u32::to_le_bytes(chain));
        let sum = crc32c::crc32c(&file[..SEGMENT_HEADER_BYTES - 4]);
        file[SEGMENT_HEADER_BYTES - 4..SEGMENT_HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        let Ok(segment) = SegmentHeader::read(file) else { continue };
        for at in (BLOCK as usize..file.len()).step_by(BLOCK as usize) {
            let Some(header) = BatchHeader::peek(&file[at..]) else { continue };
            let end = at + BATCH_HEADER_BYTES + header.body_len as usize;
            if end <= file.len() {
                let known = BatchHeader { prev_chain: chain, ..header };
                chain = known.write(&mut file[at..end], segment.salt);
            }
        }
    }
    *bytes = write(&files);
}

/// All that read a journal make the same of it; a start that refuses changes nothing; a second start finds what the
/// first one did.
fn check(bytes: &[u8], start: &dyn Fn(&MemoryDisk) -> Found) -> Trace {
    let files = read(bytes);
    let disk = on_disk(&files);
    let before = disk.files();
    let read_only = read_only_of(&disk);
    assert_eq!(disk.files(), before, "a look changes nothing");
    let found = start(&disk);
    // Who only reads does not know how long a segment is made, and takes a cut one without a header for none.
    if read_only != Ok(None) {
        assert_eq!(read_only.is_ok(), found.is_ok(), "a look and a start agree: {read_only:?} {found:?}");
    }
    let (events, last) = match found {
        Ok(found) => found,
        Err(error) => {
            assert!(!matches!(error, JournalError::Io { .. }), "{error}");
            assert_eq!(disk.files(), before, "a refused start changes nothing");
            return trouble(&error);
        }
    };
    if let Ok(Some(seen)) = read_only {
        assert_eq!(seen, events, "what was seen and what was replayed");
    }
    assert_eq!(start(&disk), Ok((events.clone(), last)), "a second start");
    assert_eq!(followed(&disk, last), events, "what follows the files");
    let kinds = events.iter().map(|(_, event)| u64::from(event[0])).take(3);
    kinds.fold(Trace::default().and(files.len() as u64), Trace::and)
}

fn read_only_of(disk: &MemoryDisk) -> Result<Option<Events>, JournalError> {
    let Some(mut look) = read_only(disk.disk(), data())? else { return Ok(None) };
    let mut events = Events::new();
    look.catch_up(&mut |lsn, event| events.push((lsn.get(), bytes_of(event))), &mut |_| ())?;
    Ok(Some(events))
}

fn followed(disk: &MemoryDisk, last: u64) -> Events {
    let mut events = Events::new();
    let mut reader = Reader::open(disk.disk(), data(), Lsn::new(1)).expect("it opens nothing yet");
    while let Some(batch) = reader.next(Lsn::new(last)).expect("a start found it sound") {
        for event in batch.events() {
            let (lsn, event) = event.expect("a start found it sound");
            events.push((lsn.get(), bytes_of(&event)));
        }
    }
    events
}

fn real(disk: &MemoryDisk) -> Found {
    let run = super::start(disk, always())?;
    Ok((run.events, run.replayed.last_lsn.get()))
}

#[test]
fn fuzz_journals() {
    let _calm = calm();
    target(&|bytes| check(bytes, &real)).run(300);
}

/// Starts that are wrong in one point each.
#[test]
fn fuzz_journals_notices_planted_defects() {
    let _calm = calm();
    type Defect = (&'static str, fn(&MemoryDisk) -> Found);
    let defects: [Defect; 3] = [
        ("the last event is left out", |disk| {
            let (mut events, last) = real(disk)?;
            events.pop();
            Ok((events, last))
        }),
        ("damage is taken for an empty journal", |disk| match real(disk) {
            Err(JournalError::Rot { .. }) => Ok((Events::new(), 0)),
            found => found,
        }),
        ("a refused start removes the last file", |disk| {
            let found = real(disk);
            if found.is_err()
                && let Some(path) = disk.files().keys().next_back()
            {
                disk.remove(path).unwrap();
            }
            found
        }),
    ];
    for (name, defect) in defects {
        eprintln!("planted: {name}");
        notices(&target(&|bytes| check(bytes, &defect)), 2_000);
    }
}
