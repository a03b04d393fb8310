//! Headers of segments and batches: an input is a kind, a salt and the bytes from the header on.

use super::super::batch::{BATCH_HEADER_BYTES, BadHeader, BatchHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::build::{build, with_event};
use super::*;

/// What was read, written again with its body and padding.
type Read<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, BadHeader> + 'a;

const PREFIX: usize = 5;

fn target<'a>(check: &'a dyn Fn(&[u8]) -> Trace) -> Target<'a> {
    Target {
        name: "header",
        bytes_max: 1024,
        words: &[b"CGSEGMT1", b"CGBATCH1"],
        draw: &draw,
        mend: &|bytes| mend(bytes),
        check,
    }
}

fn is_segment(bytes: &[u8]) -> bool {
    bytes[0] & 1 == 1
}

fn salt(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[1..PREFIX].try_into().unwrap())
}

fn draw(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = vec![chance.any() as u8; PREFIX];
    if is_segment(&bytes) {
        bytes.extend_from_slice(&build(chance).files[0][..BLOCK as usize]);
        return bytes;
    }
    let mut batch = vec![0; BATCH_HEADER_BYTES];
    with_event(chance, &mut |event| record::encode(event, false, &mut batch));
    let header = BatchHeader {
        ends_journal: chance.one_in(2),
        synced_before: chance.one_in(2),
        term: chance.number(),
        owner: [chance.any() as u8; 16],
        first_lsn: Lsn::new(chance.number()),
        count: chance.number() as u32,
        body_len: (batch.len() - BATCH_HEADER_BYTES) as u32,
        durable: Lsn::new(chance.number()),
        at: Millis(chance.number() as i64),
        prev_chain: chance.any() as u32,
        crc: 0,
    };
    header.write(&mut batch, salt(&bytes));
    batch.resize(batch.len().next_multiple_of(BLOCK as usize), 0);
    bytes.extend_from_slice(&batch);
    bytes
}

/// Makes the sum right.
fn mend(bytes: &mut [u8]) {
    if bytes.len() < PREFIX + SEGMENT_HEADER_BYTES {
        return;
    }
    let (segment, salt) = (is_segment(bytes), salt(bytes));
    let rest = &mut bytes[PREFIX..];
    if segment {
        let sum = crc32c::crc32c(&rest[..SEGMENT_HEADER_BYTES - 4]);
        rest[SEGMENT_HEADER_BYTES - 4..SEGMENT_HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    } else if let Some(header) = BatchHeader::peek(rest) {
        let end = (BATCH_HEADER_BYTES + header.body_len as usize).min(rest.len());
        rest[BATCH_HEADER_BYTES - 4..BATCH_HEADER_BYTES].fill(0);
        let sum = crc32c::crc32c_append(salt, &rest[..end]);
        rest[BATCH_HEADER_BYTES - 4..BATCH_HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    }
}

/// What is accepted is the only form of what was read; half of it, or one bit of it changed, is accepted no more.
fn check(bytes: &[u8], read: &Read<'_>) -> Trace {
    if bytes.len() < PREFIX {
        return Trace::default();
    }
    let trace = Trace::default().and(u64::from(is_segment(bytes)));
    let whole = match read(bytes) {
        Ok(whole) => whole,
        Err(bad) => return trace.and_text(&format!("{bad:?}")),
    };
    assert!(bytes[PREFIX..].starts_with(&whole), "what was read is what stands there");
    let mut chance = Chance::of(bytes);
    for _ in 0..4 {
        let mut changed = bytes.to_vec();
        let at = PREFIX + chance.below(whole.len());
        changed[at] ^= 1 << chance.below(8);
        assert!(read(&changed).is_err(), "byte {at} of the input does not count");
        assert!(read(&bytes[..at]).is_err(), "cut at byte {at} of the input");
    }
    trace.and(whole.len() as u64 / BLOCK).and(u64::from(bytes[PREFIX + 10]))
}

fn real(bytes: &[u8]) -> Result<Vec<u8>, BadHeader> {
    let (rest, salt) = (&bytes[PREFIX..], salt(bytes));
    if is_segment(bytes) {
        let header = SegmentHeader::read(rest)?;
        let mut block = vec![1; header.block_bytes as usize];
        header.write(&mut block);
        return Ok(block);
    }
    let header = BatchHeader::read(rest, salt, BLOCK)?;
    let mut batch = rest[..BATCH_HEADER_BYTES + header.body_len as usize].to_vec();
    batch[..BATCH_HEADER_BYTES].fill(1);
    assert_eq!(header.write(&mut batch, salt), header.crc);
    batch.resize(header.padded(BLOCK) as usize, 0);
    Ok(batch)
}

#[test]
fn fuzz_headers() {
    target(&|bytes| check(bytes, &real)).run(60_000);
}

/// Readers that are wrong in one point each.
#[test]
fn fuzz_headers_notices_planted_defects() {
    type Defect = (&'static str, fn(&[u8]) -> Result<Vec<u8>, BadHeader>);
    let defects: [Defect; 3] = [
        ("padding is not looked at", |bytes| {
            let mut clean = bytes.to_vec();
            if let Some(header) = BatchHeader::peek(&bytes[PREFIX..]).filter(|_| !is_segment(bytes)) {
                let end = PREFIX + BATCH_HEADER_BYTES + header.body_len as usize;
                let to = PREFIX + header.padded(BLOCK) as usize;
                if let Some(padding) = clean.get_mut(end..to) {
                    padding.fill(0);
                }
            }
            real(&clean)
        }),
        ("the sum is not looked at", |bytes| {
            let mut mended = bytes.to_vec();
            mend(&mut mended);
            real(&mended)
        }),
        ("a flag is lost", |bytes| {
            let mut batch = real(bytes)?;
            if !is_segment(bytes) {
                batch[10] &= !2;
            }
            Ok(batch)
        }),
    ];
    for (name, defect) in defects {
        eprintln!("planted: {name}");
        notices(&target(&|bytes| check(bytes, &defect)), 10_000);
    }
}
