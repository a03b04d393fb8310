//! Damage on the disk: rot below the mark is refused with the place, a torn tail is cut and told, and bytes inside a
//! value never pass for a batch.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::conversation::Reply;
use crate::gate::Gate;
use crate::level::{rounds, until};

const MARKER: &[u8] = b"an-unmistakable-value-in-the-middle-of-the-journal";

/// A stopped gate with a few grants, the marker and more; the segment that holds the marker, and where.
fn written() -> (Gate, PathBuf, u64) {
    let mut gate = Gate::start(&[]);
    let mut client = gate.client();
    assert_eq!(client.call("GATE.CREATE spring LIMIT 5").to_string(), "CREATED");
    assert_eq!(client.call("GATE.CLAIM spring 7").to_string(), "[GRANTED 1 4]");
    assert_eq!(client.call_args(&[b"SET".as_slice(), b"marker", MARKER]).to_string(), "OK");
    assert_eq!(client.call("GATE.CLAIM spring 8").to_string(), "[GRANTED 2 3]");
    let end = gate.stop();
    assert_eq!(end.code, Some(0), "{}", end.said);
    let (segment, offset) = find(&gate, MARKER);
    (gate, segment, offset)
}

fn find(gate: &Gate, bytes: &[u8]) -> (PathBuf, u64) {
    let found = gate.segments().into_iter().find_map(|segment| {
        let content = fs::read(&segment).unwrap();
        let at = content.windows(bytes.len()).position(|window| window == bytes)?;
        Some((segment, at as u64))
    });
    found.expect("what was acknowledged stands in a segment")
}

fn flip(path: &Path, offset: u64, bit: u8) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], offset).unwrap();
}

#[track_caller]
fn refused_as_rot(gate: &mut Gate, segment: &Path) {
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    let end = gate.start_in_vain();
    assert_eq!(end.code, Some(3), "{}", end.said);
    for part in [name.as_str(), "lsn"] {
        assert!(end.said.contains(part), "'{part}' is missing in:\n{}", end.said);
    }
}

#[track_caller]
fn all_there(gate: &mut Gate) {
    gate.start_again();
    let mut client = gate.client();
    assert_eq!(client.call("GATE.CLAIM spring 7").to_string(), "[ALREADY 1 3]");
    assert_eq!(client.call("GATE.CLAIM spring 8").to_string(), "[ALREADY 2 3]");
    assert_eq!(client.call("GET marker"), Reply::Bulk(MARKER.to_vec()));
}

#[test]
fn a_flipped_bit_is_refused_with_its_place_and_healed_by_flipping_it_back() {
    let (mut gate, segment, offset) = written();
    for (at, bit) in [(offset, 0), (offset + 10, 7), (offset - 3, 3)] {
        flip(&segment, at, bit);
        refused_as_rot(&mut gate, &segment);
        flip(&segment, at, bit);
    }
    all_there(&mut gate);
}

#[test]
fn a_flipped_bit_in_the_head_of_a_batch_is_refused() {
    let (mut gate, segment, offset) = written();
    let head = offset - offset % 4096;
    for at in (head..head + 48).step_by(rounds(5, 1)) {
        flip(&segment, at, (at % 8) as u8);
        let end = gate.start_in_vain();
        assert_eq!(end.code, Some(3), "byte {} of the head:\n{}", at - head, end.said);
        flip(&segment, at, (at % 8) as u8);
    }
    all_there(&mut gate);
}

#[test]
fn a_truncated_segment_is_refused() {
    let (mut gate, segment, offset) = written();
    let whole = fs::read(&segment).unwrap();
    for length in [offset, offset - offset % 4096, 100, 0] {
        OpenOptions::new().write(true).open(&segment).unwrap().set_len(length).unwrap();
        refused_as_rot(&mut gate, &segment);
        fs::write(&segment, &whole).unwrap();
    }
    all_there(&mut gate);
}

#[test]
fn a_missing_segment_is_refused() {
    let (mut gate, segment, _) = written();
    all_there(&mut gate);
    assert_eq!(gate.client().call("INCR n").to_string(), "1");
    assert_eq!(gate.stop().code, Some(0));
    let aside = gate.home().join("aside");
    fs::rename(&segment, &aside).unwrap();
    let end = gate.start_in_vain();
    assert_eq!(end.code, Some(3), "{}", end.said);
    assert!(end.said.contains(&*segment.file_name().unwrap().to_string_lossy()), "{}", end.said);
    fs::rename(&aside, &segment).unwrap();
    all_there(&mut gate);
    assert_eq!(gate.client().call("GET n").to_string(), "\"1\"");
}

#[test]
fn a_refused_start_changes_nothing_on_disk() {
    let (mut gate, segment, offset) = written();
    flip(&segment, offset, 0);
    let before: Vec<(PathBuf, Vec<u8>)> =
        gate.segments().into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    for _ in 0..3 {
        refused_as_rot(&mut gate, &segment);
    }
    for (path, content) in before {
        assert!(fs::read(&path).unwrap() == content, "{} is as it was", path.display());
    }
}

/// A value that holds a whole batch of this very journal, on a block boundary of the segment: the header and body of
/// the batch in which `forged` was counted to 1, so that taking it for real would set the counter back.
#[test]
fn a_batch_forged_inside_a_value_is_only_a_value() {
    let mut gate = Gate::start(&[]);
    let mut client = gate.client();
    assert_eq!(client.call("INCR forged").to_string(), "1");
    let (segment, at) = find(&gate, b"forged");
    let content = fs::read(&segment).unwrap();
    let block = (at - at % 4096) as usize;
    let batch = content[block..block + 4096].to_vec();
    assert_eq!(client.call("INCR forged").to_string(), "2");

    // Where in its block does a value of this length and key begin?
    let length = 3 * 4096;
    let probe: Vec<u8> = (0..length).map(|index: usize| (index % 251) as u8).collect();
    assert_eq!(client.call_args(&[b"SET".as_slice(), b"value", &probe]).to_string(), "OK");
    let (_, start) = find(&gate, &probe);
    let pad = (4096 - start as usize % 4096) % 4096;
    let mut value = vec![b'.'; pad];
    value.extend_from_slice(&batch);
    value.resize(length, b'.');
    assert_eq!(client.call_args(&[b"SET".as_slice(), b"value", &value]).to_string(), "OK");
    let (segment, start) = find(&gate, &value);
    assert_eq!((start as usize + pad) % 4096, 0, "the forged batch stands where a batch may begin");
    gate.kill();
    gate.start_again();
    let mut client = gate.client();
    assert!(client.call("GET value") == Reply::Bulk(value.clone()));
    assert_eq!(client.call("GET forged").to_string(), "\"2\"");
    gate.kill();

    // With its real head destroyed, nothing but the forged batch is left to be found there.
    let head = start - start % 4096;
    flip(&segment, head, 0);
    gate.spawn();
    let end = until("it serves or it ends", || {
        let asked = Client::connect(gate.port()).and_then(|mut client| client.try_call(&["GET", "forged"]));
        let serves = asked.is_ok_and(|reply| !reply.is_error("LOADING"));
        if serves { Some(None) } else { gate.ended().map(Some) }
    });
    if let Some(end) = end {
        assert_eq!(end.code, Some(3), "below the mark it is rot:\n{}", end.said);
        return;
    }
    let mut client = gate.client();
    assert_eq!(client.call("GET forged").to_string(), "\"2\"", "the forged batch counts for nothing");
    assert!(client.call("GET value") != Reply::Bulk(value), "the damaged batch was cut");
}
