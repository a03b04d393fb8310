//! The records of a batch: an input is the count of positions and the body.

use super::super::record::{BadRecord, Records, encode, encode_left_out, record_bytes_max};
use super::build::with_event;
use super::*;

/// One event as read: position, bytes with no further event in its group, room it was said to need.
type One = (u64, Vec<u8>, usize);
type Read<'a> = dyn Fn(&[u8], u32) -> Vec<Result<One, BadRecord>> + 'a;

const FIRST: u64 = 5;

fn target<'a>(check: &'a dyn Fn(&[u8]) -> Trace) -> Target<'a> {
    Target { name: "record", bytes_max: 2048, words: &[], draw: &draw, mend: &|bytes| mend(bytes), check }
}

fn draw(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = vec![0];
    for _ in 0..1 + chance.below(5) {
        let more = chance.one_in(3);
        if chance.one_in(8) {
            let upto = FIRST + u64::from(bytes[0]) + chance.below(4) as u64;
            encode_left_out(Lsn::new(upto), &mut bytes);
            bytes[0] = (upto - FIRST) as u8;
        } else if chance.one_in(6) {
            let upto = FIRST + u64::from(bytes[0]) + chance.below(4) as u64;
            encode(&Event::Skipped { upto: Lsn::new(upto) }, more, &mut bytes);
            bytes[0] = (upto - FIRST) as u8;
        } else {
            with_event(chance, &mut |event| encode(event, more, &mut bytes));
        }
        bytes[0] += 1;
    }
    bytes
}

/// Makes the length of each record fit what lies before the next one that begins like a record.
fn mend(bytes: &mut [u8]) {
    let mut at = 1;
    let mut count = 0;
    while at + 8 <= bytes.len() {
        let begins = |at: usize| bytes.get(at..at + 4).is_some_and(|head| head[1] == 1 && head[2] < 2 && head[3] == 0);
        let end = (at + 8..bytes.len()).find(|end| begins(*end)).unwrap_or(bytes.len());
        let len = (end - at - 8) as u32;
        bytes[at + 4..at + 8].copy_from_slice(&len.to_le_bytes());
        (at, count) = (end, count + 1);
    }
    if let Some(first) = bytes.first_mut() {
        *first = count;
    }
}

/// What is read stands there, byte for byte, in rising positions, in groups that end; no position is counted twice or
/// left out unless all say so.
fn check(bytes: &[u8], read: &Read<'_>) -> Trace {
    let Some((count, body)) = bytes.split_first() else { return Trace::default() };
    let (mut at, mut next, mut open) = (0, FIRST, false);
    let mut trace = Trace::default();
    for one in read(body, u32::from(*count)) {
        let (lsn, plain, room) = match one {
            Ok(one) => one,
            Err(bad) => return trace.and_text(&format!("{bad:?}")),
        };
        (at, next) = left_out(body, at, next);
        let mut there = body[at..at + plain.len()].to_vec();
        open = there[2] == 1;
        there[2] = 0;
        assert_eq!(there, plain, "what was read is what stands there");
        assert!(plain.len() <= room, "the room that was reserved is enough");
        assert_eq!(lsn, next, "positions follow each other");
        next = match plain[0] {
            7 => u64::from_le_bytes(plain[8..16].try_into().unwrap()) + 1,
            _ => lsn + 1,
        };
        at += plain.len();
        trace = trace.and(u64::from(plain[0]) * 2 + u64::from(open));
    }
    (at, next) = left_out(body, at, next);
    assert_eq!(
        (at, next, open),
        (body.len(), FIRST + u64::from(*count), false),
        "the whole body, all positions, no open group"
    );
    trace
}

/// Steps over words that history leaves positions out.
fn left_out(body: &[u8], mut at: usize, mut next: u64) -> (usize, u64) {
    while body.get(at) == Some(&8) {
        assert_eq!(body[at + 1..at + 8], [1, 0, 0, 8, 0, 0, 0], "the one form of it");
        let upto = u64::from_le_bytes(body[at + 8..at + 16].try_into().unwrap());
        assert!(upto >= next, "positions are left out once");
        (at, next) = (at + 16, upto + 1);
    }
    (at, next)
}

fn real(body: &[u8], count: u32) -> Vec<Result<One, BadRecord>> {
    let one = |(lsn, event): (Lsn, Event<'_>)| (lsn.get(), bytes_of(&event), record_bytes_max(&event));
    Records::new(body, Lsn::new(FIRST), count).map(|record| record.map(one)).collect()
}

#[test]
fn fuzz_records() {
    target(&|bytes| check(bytes, &real)).run(60_000);
}

/// Readers that are wrong in one point each.
#[test]
fn fuzz_records_notices_planted_defects() {
    type Defect = (&'static str, fn(Vec<Result<One, BadRecord>>) -> Vec<Result<One, BadRecord>>);
    let defects: [Defect; 4] = [
        ("what does not add up is ignored", |mut read| {
            read.retain(|one| *one != Err(BadRecord::Count));
            read
        }),
        ("a skip takes one position", |mut read| {
            let skip = read.iter().position(|one| one.as_ref().is_ok_and(|one| one.1[0] == 7)).unwrap_or(read.len());
            for one in read.iter_mut().skip(skip + 1).flatten() {
                one.0 = one.0.saturating_sub(1);
            }
            read
        }),
        ("a deadline is cut to 32 bits", |mut read| {
            for one in read.iter_mut().flatten().filter(|one| one.1[0] == 35) {
                one.1[13..17].fill(0);
            }
            read
        }),
        ("too little room is reserved", |mut read| {
            for one in read.iter_mut().flatten().filter(|one| one.1[0] == 1) {
                one.2 -= 12;
            }
            read
        }),
    ];
    for (name, defect) in defects {
        eprintln!("planted: {name}");
        notices(&target(&|bytes| check(bytes, &|body, count| defect(real(body, count)))), 20_000);
    }
}
