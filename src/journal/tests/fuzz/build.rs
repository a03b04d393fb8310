//! Small journals of fixed bytes: the same chance, the same files. Written here, not by the writer.

use super::super::batch::{BATCH_HEADER_BYTES, BatchHeader, SegmentHeader};
use super::super::*;
use crate::fuzz::Chance;
use crate::ids::{CampaignId, LogId, Seat, User};

pub(super) const SEGMENT: usize = 4096;

/// A journal as a stopped or a killed gate leaves it.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub files: Vec<Vec<u8>>,
    /// What replay gives.
    pub events: Events,
    pub stopped: bool,
    /// Where the last batch lies, and what it says was durable.
    pub last: Last,
}

/// The last batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    pub file: usize,
    pub range: std::ops::Range<usize>,
    pub durable: u64,
}

/// One to three segments, each with some batches.
pub(super) fn build(chance: &mut Chance) -> Built {
    let stopped = chance.one_in(2);
    let segments = 1 + chance.below(3) as u64;
    let mut built = Built { files: Vec::new(), events: Vec::new(), stopped, last: Last::default() };
    let mut pen = Pen { next: 1, chain: 0, end: 0, durable: 0 };
    for number in 1..=segments {
        segment(&mut built, &mut pen, number, chance);
        for _ in 0..chance.below(4) {
            let body = events(pen.next, &mut built.events, chance);
            batch(&mut built, &mut pen, &body, false, chance);
        }
    }
    if stopped {
        batch(&mut built, &mut pen, &(Vec::new(), 0), true, chance);
    } else {
        built.files.last_mut().expect("it was begun").resize(SEGMENT, 0);
    }
    if !stopped && chance.one_in(2) {
        built.files.push(vec![0; SEGMENT]);
    }
    built
}

struct Pen {
    next: u64,
    chain: u32,
    end: u64,
    durable: u64,
}

/// The salt of segment `number`.
fn salt(number: u64) -> u32 {
    0x5a17_0000 + number as u32
}

/// Begins segment `number`: the process goes on, or another one starts.
fn segment(built: &mut Built, pen: &mut Pen, number: u64, chance: &mut Chance) {
    let before = built.files.last().map_or(0, |file| SegmentHeader::read(file).expect("sound").term);
    let term = if before == 0 || chance.one_in(2) { before + 1 } else { before };
    let mut block = vec![0; BLOCK as usize];
    SegmentHeader {
        block_bytes: BLOCK as u32,
        segment_bytes: SEGMENT as u64,
        number,
        term,
        owner: [term as u8; 16],
        log: LogId([9; 16]),
        salt: salt(number),
        next_salt: salt(number + 1),
        first_lsn: Lsn::new(pen.next),
        durable: Lsn::new(pen.next - 1),
        prev_end: pen.end,
        prev_chain: pen.chain,
        at: Millis(chance.below(1000) as i64),
    }
    .write(&mut block);
    built.files.push(block);
    (pen.durable, pen.end) = (pen.next - 1, BLOCK);
}

fn batch(built: &mut Built, pen: &mut Pen, (body, count): &(Vec<u8>, u32), ends_journal: bool, chance: &mut Chance) {
    let file = built.files.last_mut().expect("a segment was begun");
    let segment = SegmentHeader::read(file).expect("sound");
    let mut bytes = vec![0; BATCH_HEADER_BYTES];
    bytes.extend_from_slice(body);
    let room = if ends_journal { SEGMENT } else { SEGMENT - BLOCK as usize };
    assert!(file.len() + bytes.len() <= room, "a few small batches fit a segment");
    let header = BatchHeader {
        ends_journal,
        synced_before: true,
        term: segment.term,
        owner: segment.owner,
        first_lsn: Lsn::new(pen.next),
        count: *count,
        body_len: body.len() as u32,
        durable: Lsn::new(pen.durable),
        at: Millis(chance.below(1000) as i64),
        prev_chain: pen.chain,
        crc: 0,
    };
    pen.chain = header.write(&mut bytes, segment.salt);
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    let range = file.len()..file.len() + bytes.len();
    file.extend_from_slice(&bytes);
    let end = file.len() as u64;
    built.last = Last { file: built.files.len() - 1, range, durable: pen.durable };
    pen.next += u64::from(*count);
    pen.durable = pen.next - 1;
    pen.end = end;
}

/// The records of a batch and how many positions they take; what they say is added to `all`.
fn events(first: u64, all: &mut Events, chance: &mut Chance) -> (Vec<u8>, u32) {
    let mut body = Vec::new();
    let count = 1 + chance.below(4) as u32;
    for index in 0..count {
        let more = index + 1 < count && chance.one_in(3);
        let mut one = Vec::new();
        with_event(chance, &mut |event| record::encode(event, false, &mut one));
        all.push((first + u64::from(index), one.clone()));
        one[2] = u8::from(more);
        body.extend_from_slice(&one);
    }
    (body, count)
}

/// Any event, but for those that take more than one position.
pub(super) fn with_event<T>(chance: &mut Chance, look: &mut dyn FnMut(&Event<'_>) -> T) -> T {
    let (key, value, more) = (chance.bytes(12), chance.bytes(100), chance.bytes(9));
    let at = Millis(chance.number() as i64);
    let db = Db(chance.below(16) as u8);
    let campaign = CampaignId(chance.number() as u32);
    let seat = Seat::new((chance.number() as u32).max(1));
    let user = if chance.one_in(2) { User::Int(chance.number() as i64) } else { User::Any(&key) };
    let mut time = |odds| (!chance.one_in(odds)).then_some(at);
    let (open, close) = (time(2), time(2));
    let per_user = [1, 1, 2, u16::MAX][chance.below(4)];
    let hold = [0, 0, 1, u32::MAX][chance.below(4)];
    let terms = crate::core::Terms { limit: 7, per_user, open, close, hold, ..crate::core::Terms::DEFAULT };
    let (nth, request) = ([1, 1, 2, 300][chance.below(4)], if chance.one_in(3) { &more[..] } else { b"" });
    let after = Lsn::new(chance.number() * chance.below(2) as u64);
    let event = match chance.below(17) {
        13 => Event::Held { campaign, seat, user, nth, request, at, until: Millis(chance.number() as i64) },
        14 => Event::Confirmed { campaign, seat, user, nth, at, after },
        16 => {
            let (grant, seq) = (Lsn::new(chance.number()), (after > Lsn::ZERO).then_some(after));
            Event::Returned { campaign, seat, user, nth, at, grant, seq }
        }
        15 => Event::HoldEnded { campaign, seat, user, at, expired: chance.one_in(2) },
        12 => Event::CampaignAltered { id: campaign, to: terms.alterable(), at, by: key.as_slice().into() },
        0 => Event::CampaignCreated { id: campaign, name: &more, terms, at },
        1 => Event::CampaignDropped { id: campaign, at, purged: false },
        2 | 3 => Event::Granted { campaign, seat, user, nth, request, at, after },
        4 => Event::Imported { campaign, seat, user, nth, at, seq: Some(Lsn::new(chance.number())), after },
        5 | 6 => Event::KeySet { db, key: &key, value: value.as_slice().into(), expires: at },
        7 => Event::KeyCounted { db, key: &key, value: at.0 },
        8 => Event::KeyPatched { db, key: &key, offset: chance.number() as u32, bytes: &value },
        9 => Event::KeyExpirySet { db, key: &key, expires: at },
        10 => Event::KeyRemoved { db, key: &key, expired: chance.one_in(2) },
        _ if chance.one_in(4) => Event::Flushed { db: chance.one_in(2).then_some(db) },
        _ => Event::KeyRenamed { db, from: &key, to: &more },
    };
    look(&event)
}

/// The files as the journal of a disk.
pub(super) fn on_disk(files: &[Vec<u8>]) -> MemoryDisk {
    MemoryDisk::of(&files.iter().zip(1..).map(|(bytes, number)| (seg(number), bytes.clone())).collect())
}
