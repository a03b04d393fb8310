//! Snapshot files: golden bytes, long ones, blocks in each other's place.

use super::*;
use crate::core::{Alterable, Event, Terms, Users};
use crate::ids::Seat;
use crate::journal::memory::MemoryDisk;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn small() -> (Core, Covered) {
    let mut core = Core::new(7);
    let terms = Terms { limit: 9, open: Some(Millis(2)), shadow: true, ..Terms::DEFAULT };
    let any = Terms { users: Users::Any, shadow: false, open: None, ..terms };
    let altered = Alterable { limit: 5, per_user: 1, open: None, close: Some(Millis(6)) };
    let granted = |campaign, seat, user| Event::Granted {
        campaign,
        seat: Seat::new(seat),
        user,
        nth: 1,
        request: b"",
        at: Millis(3),
        after: Lsn::ZERO,
    };
    let held = |seat, user| Event::Held {
        campaign: CampaignId(4),
        seat: Seat::new(seat),
        user: User::Int(user),
        nth: 1,
        request: b"",
        at: Millis(3),
        until: Millis(8),
    };
    let imported = |campaign, seq| Event::Imported {
        campaign: CampaignId(campaign),
        seat: Seat::new(1),
        user: User::Int(1),
        nth: 1,
        at: Millis(3),
        seq,
        after: Lsn::ZERO,
    };
    let created = |id, name, terms| Event::CampaignCreated { id: CampaignId(id), name, terms, at: Millis(1) };
    for (lsn, event) in (1..).map(Lsn::new).zip([
        created(0, b"a", terms),
        granted(CampaignId(0), 1, User::Int(-2)),
        created(1, b"b", any),
        Event::CampaignAltered { id: CampaignId(1), to: altered, at: Millis(6), by: b"ops".into() },
        granted(CampaignId(1), 1, User::Any(b"ann")),
        created(2, b"gone", any),
        Event::CampaignDropped { id: CampaignId(2), at: Millis(4), purged: false },
        created(3, b"c", any),
        granted(CampaignId(3), 1, User::Any(b"bob")),
        Event::CampaignDropped { id: CampaignId(3), at: Millis(5), purged: false },
        Event::KeySet { db: Db(2), key: b"k", value: b"vv".into(), expires: Millis(77) },
        created(4, b"h", Terms { limit: 9, hold: 5, ..Terms::DEFAULT }),
        held(1, 1),
        held(2, 2),
        Event::HoldEnded {
            campaign: CampaignId(4),
            seat: Seat::new(1),
            user: User::Int(1),
            at: Millis(3),
            expired: true,
        },
        created(5, b"r", Terms { limit: 9, ..Terms::DEFAULT }),
        imported(5, Some(Lsn::new(77))),
        granted(CampaignId(5), 2, User::Int(2)),
        Event::Returned {
            campaign: CampaignId(5),
            seat: Seat::new(2),
            user: User::Int(2),
            nth: 1,
            at: Millis(3),
            grant: Lsn::new(18),
            seq: None,
        },
        created(6, b"s", Terms { limit: 9, ..Terms::DEFAULT }),
        imported(6, None),
    ]) {
        core.evolve(lsn, &event);
    }
    let log = LogId([0xbb; 16]);
    let covered = Covered { log, segment: 3, next: Lsn::new(22), chain: 0x0102_0304, term: 2, owner: [0xaa; 16] };
    (core, covered)
}

#[test]
fn a_snapshot_has_its_golden_bytes() {
    let disk = MemoryDisk::default();
    let dir = Path::new("/data/journal");
    let (core, covered) = small();
    let size = write(&disk, dir, &covered, Millis(8), &core, &mut |_| Ok(())).expect("written");
    let golden = [
        "4347534e41505331 0200 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 0300000000000000 1600000000000000 04030201",
        "0200000000000000 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0a00000000000000 0600000000000000 0800000000000000",
        "CRC",
        "59020000 12000000 CRC",
        "01 00000000 09000000 09 0100000000000000 0200000000000000 0000000000000000 0100000000000000 0200000000000000 01000000 61",
        "04 feffffffffffffff 030000000000 020000000000",
        "01 01000000 09000000 04 0100000000000000 0000000000000000 0000000000000000 0300000000000000 0500000000000000 01000000 62",
        "07 05000000 02 0000000000000000 0600000000000000 0600000000000000 0400000000000000",
        "05 030000000000 050000000000 03000000 616e6e",
        "03 02000000",
        "02 03000000 09000000 04 0100000000000000 0000000000000000 0000000000000000 0800000000000000",
        "0a00000000000000",
        "01000000 0300000000000000 0300000000000000 0900000000000000 01000000 63",
        "01 04000000 09000000 40 0100000000000000 0000000000000000 0000000000000000 05000000",
        "0c00000000000000 0f00000000000000 01000000 68",
        "0a 01000000",
        "0b 0200000000000000 030000000000 0e0000000000 0800000000000000 0100 00",
        "01 05000000 09000000 00 0100000000000000 0000000000000000 0000000000000000 1000000000000000 1300000000000000 01000000 72",
        "0d 0300000000000000 0300000000000000 1200000000000000 1300000000000000",
        "0e 4d00000000000000",
        "04 0100000000000000 030000000000 110000000000",
        "01 06000000 09000000 00 0100000000000000 0000000000000000 0000000000000000 1400000000000000 1500000000000000 01000000 73",
        "0f 01000000",
        "04 0100000000000000 030000000000 150000000000",
        "06 02 4d00000000000000 0b00000000000000 01000000 6b 02000000 7676",
        "00000000 00000000 CRC 1200000000000000 0500000000000000 CRC",
    ];
    let bytes = disk.files().remove(&path(dir, 3)).expect("it is there");
    let (mut at, golden) = (0, golden.join(" "));
    for field in golden.split(' ') {
        let len = if field == "CRC" { 4 } else { field.len() / 2 };
        let here = hex(&bytes[at..at + len]);
        assert!(field == "CRC" || here == field, "at {at}: {here}, not {field}");
        at += len;
    }
    assert_eq!((at as u64, size), (size.bytes, SnapshotSize { bytes: bytes.len() as u64, pieces: 18, seats: 5 }));
    let crc = u32::from_le_bytes(bytes[94..98].try_into().expect("four bytes"));
    assert_eq!(crc, crc32c::crc32c(&bytes[..94]));
}

#[test]
fn a_snapshot_reads_back_and_a_long_one_in_many_blocks() {
    let disk = MemoryDisk::default();
    let dir = Path::new("/data/journal");
    let (mut core, mut covered) = small();
    let shown = |core: &Core| {
        let mut all = vec![format!("{:?}", core.marks())];
        let mut show = |piece: Piece<'_>| -> Result<(), ()> {
            all.push(format!("{piece:?}"));
            Ok(())
        };
        core.pieces(&mut show).expect("nobody stops it");
        all.sort();
        all
    };
    for lsn in 22..20_000 {
        let value = vec![b'v'; lsn as usize % 99];
        let key = lsn.to_string();
        let event = Event::KeySet { db: Db(0), key: key.as_bytes(), value: value.into(), expires: Millis::NEVER };
        core.evolve(Lsn::new(lsn), &event);
    }
    covered.next = Lsn::new(20_000);
    let size = write(&disk, dir, &covered, Millis(8), &core, &mut |_| Ok(())).expect("written");
    assert!(size.bytes > 3 * BLOCK_BYTES as u64);
    let snapshot = Snapshot::open(&disk, dir, 3).expect("sound");
    let again = snapshot.restore(Core::new(99).restoring(), &mut |_| ()).expect("sound");
    assert_eq!(shown(&again), shown(&core));

    // Two blocks in each other's place: both sound by themselves.
    let mut files = disk.files();
    let bytes = files.get_mut(&path(dir, 3)).expect("it is there");
    let block = |at: usize| BLOCK_HEAD_BYTES + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (first, second) = (block(HEAD_BYTES), block(HEAD_BYTES + block(HEAD_BYTES)));
    bytes[HEAD_BYTES..HEAD_BYTES + first + second].rotate_left(first);
    let disk = MemoryDisk::of(&files);
    let snapshot = Snapshot::open(&disk, dir, 3).expect("the head is sound");
    let refused = snapshot.restore(Core::new(99).restoring(), &mut |_| ()).expect_err("blocks have their places");
    assert!(refused.is_damage(), "{refused}");
}
