//! Snapshot files: an input is one. What is accepted is the only form of what was read; a state that is put together
//! from it is taken apart into the same pieces.

use super::super::snapshot::{self, BLOCK_HEAD_BYTES, Covered, FOOT_BYTES, HEAD_BYTES, Snapshot, encode};
use super::*;
use crate::core::{Command, Decision, Terms, View};
use crate::ids::{CampaignId, LogId, Seat, User};

/// The pieces of a file, as bytes.
type Read<'a> = dyn Fn(&[u8]) -> Result<Vec<Vec<u8>>, JournalError> + 'a;

/// Where the head tells the last segment.
const SEGMENT_AT: usize = 26;

fn target<'a>(check: &'a dyn Fn(&[u8]) -> Trace) -> Target<'a> {
    Target {
        name: "snapshot",
        bytes_max: 8 << 10,
        words: &[b"CGSNAPS1"],
        draw: &draw,
        mend: &|bytes| mend(bytes),
        check,
    }
}

fn journal_dir() -> PathBuf {
    segment::directory(data())
}

/// A disk with `bytes` as the snapshot that they say they are.
fn on_disk(bytes: &[u8]) -> (MemoryDisk, u64) {
    let field = bytes.get(SEGMENT_AT..SEGMENT_AT + 8).and_then(|field| field.try_into().ok());
    let number = field.map_or(1, u64::from_le_bytes);
    (MemoryDisk::of(&[(snapshot::path(&journal_dir(), number), bytes.to_vec())].into()), number)
}

/// The snapshot of a small state.
fn draw(chance: &mut Chance) -> Vec<u8> {
    let mut core = Core::new(7);
    let (mut campaigns, mut lsn) = (Vec::<u32>::new(), 0);
    for _ in 0..chance.below(30) {
        let (key, value) = ([b"k".as_slice(), &chance.bytes(8)].concat(), chance.bytes(60));
        let at = Millis(1_000 + lsn as i64);
        let which = chance.below(campaigns.len() + 2);
        let seat = Seat::new(1 + chance.below(4) as u32);
        if chance.one_in(5) && which < campaigns.len() && core.is_held(CampaignId(which as u32), seat) == Some(false) {
            let User::Int(user) = core.user_at(CampaignId(which as u32), seat) else { unreachable!("all are numbers") };
            let (name, user) = (format!("campaign-{}", which + 1), user.to_string());
            let (campaign, user) = (name.as_bytes(), user.as_bytes());
            let cancel = Command::Cancel { campaign, user, seat: Some(seat), flat: false };
            let view = View { now: at, ..View::default() };
            let Decision::Record { group, .. } = core.decide(cancel, &view) else { unreachable!("it is granted") };
            let [Event::Returned { campaign, seat, user: User::Int(user), nth, at, grant, seq }] = *group.events()
            else {
                unreachable!("a grant comes back by that event: {:?}", group.events())
            };
            let event = Event::Returned { campaign, seat, user: User::Int(user), nth, at, grant, seq };
            lsn += 1;
            core.evolve(Lsn::new(lsn), &event);
            continue;
        }
        let event = if let Some(granted) = campaigns.get_mut(which) {
            *granted += 1;
            // Every third user has three seats.
            let (user, nth) = match *granted % 5 {
                2 | 3 => (*granted - *granted % 5 + 1, (*granted % 5) as u16),
                _ => (*granted, 1),
            };
            let (user, request) = (User::Int(i64::from(user) * 7), if chance.one_in(4) { &key[..] } else { b"" });
            let (campaign, seat) = (CampaignId(which as u32), Seat::new(*granted));
            let comes_next = core.next_seat(campaign) == seat;
            if chance.one_in(5) {
                // A seat that somebody has behind some that nobody has.
                *granted += 2;
                let seat = Seat::new(*granted);
                Event::Imported {
                    campaign,
                    seat,
                    user,
                    nth,
                    at,
                    seq: chance.one_in(2).then_some(Lsn::new(1)),
                    after: Lsn::ZERO,
                }
            } else if comes_next && chance.one_in(3) {
                Event::Held { campaign, seat, user, nth, request, at, until: Millis(at.0 + 9) }
            } else if comes_next {
                Event::Granted { campaign, seat, user, nth, request, at, after: Lsn::ZERO }
            } else {
                Event::Imported { campaign, seat, user, nth, at, seq: Some(Lsn::new(1)), after: Lsn::ZERO }
            }
        } else if chance.one_in(3) && campaigns.len() < 5 {
            campaigns.push(0);
            let terms = Terms { limit: 150, per_user: 3, close: Some(Millis(i64::MAX)), ..Terms::DEFAULT };
            let name = format!("campaign-{}", campaigns.len());
            let event =
                Event::CampaignCreated { id: CampaignId(campaigns.len() as u32 - 1), name: name.as_bytes(), terms, at };
            lsn += 1;
            core.evolve(Lsn::new(lsn), &event);
            continue;
        } else {
            let (db, value) = (Db(chance.below(3) as u8), value.as_slice().into());
            Event::KeySet { db, key: &key, value, expires: Millis::NEVER }
        };
        lsn += 1;
        core.evolve(Lsn::new(lsn), &event);
    }
    let covered = Covered {
        log: LogId([9; 16]),
        segment: 1 + chance.below(5) as u64,
        next: Lsn::new(lsn + 1),
        chain: chance.any() as u32,
        term: 1,
        owner: [1; 16],
    };
    written(&covered, &core)
}

fn written(covered: &Covered, core: &Core) -> Vec<u8> {
    let disk = MemoryDisk::default();
    snapshot::write(&disk, &journal_dir(), covered, NOW, core, &mut |_| Ok(())).expect("a disk without faults");
    disk.files().into_values().next().expect("one file")
}

/// Makes all sums right, block by block.
fn mend(bytes: &mut [u8]) {
    if bytes.len() < HEAD_BYTES + FOOT_BYTES {
        return;
    }
    let sum = crc32c::crc32c(&bytes[..HEAD_BYTES - 4]);
    bytes[HEAD_BYTES - 4..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    let (mut at, mut seed) = (HEAD_BYTES, crc32c::crc32c(&bytes[..HEAD_BYTES]));
    while at + BLOCK_HEAD_BYTES <= bytes.len() {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let Some(end) = (at + BLOCK_HEAD_BYTES).checked_add(len).filter(|end| *end <= bytes.len()) else { return };
        let sum = crc32c::crc32c_append(seed, &bytes[at..at + 8]);
        let sum = crc32c::crc32c_append(sum, &bytes[at + BLOCK_HEAD_BYTES..end]);
        bytes[at + 8..at + BLOCK_HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
        if len == 0 {
            if let Some(foot) = bytes.get_mut(at..at + FOOT_BYTES) {
                let sum = crc32c::crc32c_append(seed, &foot[..FOOT_BYTES - 4]);
                foot[FOOT_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
            }
            return;
        }
        (at, seed) = (end, sum);
    }
}

/// The bodies of all blocks, as they stand there.
fn bodies(bytes: &[u8]) -> Vec<u8> {
    let (mut at, mut bodies) = (HEAD_BYTES, Vec::new());
    while let len @ 1.. = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize {
        bodies.extend_from_slice(&bytes[at + BLOCK_HEAD_BYTES..at + BLOCK_HEAD_BYTES + len]);
        at += BLOCK_HEAD_BYTES + len;
    }
    bodies
}

fn check(bytes: &[u8], read: &Read<'_>) -> Trace {
    let pieces = match read(bytes) {
        Ok(pieces) => pieces,
        Err(error) => {
            assert!(!matches!(error, JournalError::Io { .. }), "{error}");
            return trouble(&error);
        }
    };
    assert_eq!(pieces.concat(), bodies(bytes), "what was read is what stands there");
    let mut chance = Chance::of(bytes);
    for _ in 0..3 {
        let mut changed = bytes.to_vec();
        let at = chance.below(bytes.len());
        changed[at] ^= 1 << chance.below(8);
        assert!(read(&changed).is_err(), "byte {at} does not count");
        assert!(read(&bytes[..at]).is_err(), "cut at byte {at}");
    }
    let kinds = pieces.iter().take(4).fold(Trace::default(), |trace, piece| trace.and(u64::from(piece[0])));
    match restored(bytes) {
        Ok(restored) => {
            let sorted = |mut pieces: Vec<Vec<u8>>| {
                pieces.sort();
                pieces
            };
            assert_eq!(sorted(restored), sorted(pieces), "the state has the same pieces");
            kinds
        }
        Err(error) => trouble(&error).and(1),
    }
}

/// The pieces of the state that is put together from a file.
fn restored(bytes: &[u8]) -> Result<Vec<Vec<u8>>, JournalError> {
    let (disk, number) = on_disk(bytes);
    let core = Snapshot::open(&disk, &journal_dir(), number)?.restore(Core::new(7).restoring(), &mut |_| ())?;
    let mut pieces = Vec::new();
    let done = core.pieces(&mut |piece| {
        pieces.push(bytes_of_piece(&piece));
        Ok::<(), JournalError>(())
    });
    done.map(|()| pieces)
}

fn bytes_of_piece(piece: &crate::core::Piece<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(piece, &mut bytes);
    bytes
}

fn real(bytes: &[u8]) -> Result<Vec<Vec<u8>>, JournalError> {
    let (disk, number) = on_disk(bytes);
    let snapshot = Snapshot::open(&disk, &journal_dir(), number)?;
    let mut pieces = Vec::new();
    let size = snapshot.pieces(
        &mut |piece| {
            pieces.push(bytes_of_piece(piece));
            Ok(())
        },
        &mut |_| (),
    )?;
    assert_eq!((size.bytes, size.pieces), (bytes.len() as u64, pieces.len() as u64));
    Ok(pieces)
}

#[test]
fn fuzz_snapshots() {
    target(&|bytes| check(bytes, &real)).run(10_000);
}

/// Readers that are wrong in one point each.
#[test]
fn fuzz_snapshots_notices_planted_defects() {
    type Defect = (&'static str, fn(&[u8]) -> Result<Vec<Vec<u8>>, JournalError>);
    let defects: [Defect; 3] = [
        ("the last piece is left out", |bytes| {
            let mut pieces = real(bytes)?;
            pieces.pop();
            Ok(pieces)
        }),
        ("sums are not looked at", |bytes| {
            let mut mended = bytes.to_vec();
            mend(&mut mended);
            real(&mended)
        }),
        ("a key's deadline is lost", |bytes| {
            let mut pieces = real(bytes)?;
            pieces.iter_mut().filter(|piece| piece[0] == 6).for_each(|piece| piece[9] = 0);
            Ok(pieces)
        }),
    ];
    for (name, defect) in defects {
        eprintln!("planted: {name}");
        notices(&target(&|bytes| check(bytes, &defect)), 5_000);
    }
}
