//! Records as bytes: golden ones, cut ones, bounds.

use super::*;
use crate::ids::Seat;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn every_kind() -> Vec<(Event<'static>, &'static str)> {
    let terms = Terms { limit: 100, open: Some(Millis(2)), users: Users::Any, shadow: true, ..Terms::DEFAULT };
    let three = Terms { limit: 100, per_user: 3, no_id: true, ..Terms::DEFAULT };
    vec![
        (
            Event::CampaignCreated { id: CampaignId(7), name: b"spring", terms, at: Millis(1) },
            "0101000027000000 07000000 64000000 0d 0100000000000000 0200000000000000 0000000000000000 737072696e67",
        ),
        (
            Event::CampaignAltered {
                id: CampaignId(7),
                to: Alterable { limit: 100, per_user: 1, open: None, close: Some(Millis(2)) },
                at: Millis(9),
                by: b"ops".into(),
            },
            "0901000024000000 07000000 64000000 02 0000000000000000 0200000000000000 0900000000000000 6f7073",
        ),
        (
            Event::CampaignCreated { id: CampaignId(7), name: b"spring", terms: three, at: Millis(1) },
            "0101000029000000 07000000 64000000 30 0100000000000000 0000000000000000 0000000000000000 0300 737072696e67",
        ),
        (
            Event::CampaignAltered { id: CampaignId(7), to: three.alterable(), at: Millis(9), by: b"ops".into() },
            "0901000026000000 07000000 64000000 10 0000000000000000 0000000000000000 0300 0900000000000000 6f7073",
        ),
        (
            Event::Granted {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                nth: 2,
                request: b"",
                at: Millis(3),
                after: Lsn::ZERO,
            },
            "0a0100001b000000 01000000 39000000 0300000000000000 0200 00 feffffffffffffff",
        ),
        (
            Event::Granted {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                nth: 1,
                request: b"r-7",
                at: Millis(3),
                after: Lsn::ZERO,
            },
            "0b01000019000000 01000000 39000000 0300000000000000 0100 03 722d37 616e6e",
        ),
        (
            Event::Imported {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                nth: 2,
                at: Millis(3),
                seq: Some(Lsn::new(9)),
                after: Lsn::ZERO,
            },
            "0c01000022000000 01000000 39000000 0300000000000000 0900000000000000 0200 feffffffffffffff",
        ),
        (
            Event::Imported {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                nth: 2,
                at: Millis(3),
                seq: Some(Lsn::new(9)),
                after: Lsn::ZERO,
            },
            "0d0100001d000000 01000000 39000000 0300000000000000 0900000000000000 0200 616e6e",
        ),
        (
            Event::CampaignCreated {
                id: CampaignId(1),
                name: b"c",
                terms: Terms { limit: 9, hold: 600_000, ..Terms::DEFAULT },
                at: Millis(3),
            },
            "0101000026000000 01000000 09000000 40 0300000000000000 0000000000000000 0000000000000000 c0270900 63",
        ),
        (
            Event::Held {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                nth: 2,
                request: b"r-7",
                at: Millis(3),
                until: Millis(9),
            },
            "0e01000026000000 01000000 39000000 0300000000000000 0900000000000000 0200 03 722d37 feffffffffffffff",
        ),
        (
            Event::Held {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                nth: 1,
                request: b"",
                at: Millis(3),
                until: Millis(9),
            },
            "0f0100001e000000 01000000 39000000 0300000000000000 0900000000000000 0100 00 616e6e",
        ),
        (
            Event::HoldEnded {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                at: Millis(3),
                expired: true,
            },
            "1001000019000000 01000000 39000000 0300000000000000 01 feffffffffffffff",
        ),
        (
            Event::HoldEnded {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                at: Millis(3),
                expired: false,
            },
            "1101000014000000 01000000 39000000 0300000000000000 00 616e6e",
        ),
        (
            Event::Confirmed {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                nth: 2,
                at: Millis(3),
                after: Lsn::ZERO,
            },
            "1201000022000000 01000000 39000000 0300000000000000 0200 0000000000000000 feffffffffffffff",
        ),
        (
            Event::Confirmed {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                nth: 1,
                at: Millis(3),
                after: Lsn::new(5),
            },
            "130100001d000000 01000000 39000000 0300000000000000 0100 0500000000000000 616e6e",
        ),
        (
            Event::Granted {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                nth: 1,
                request: b"r",
                at: Millis(3),
                after: Lsn::new(5),
            },
            "1401000024000000 01000000 39000000 0300000000000000 0100 01 72 0500000000000000 feffffffffffffff",
        ),
        (
            Event::Granted {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                nth: 1,
                request: b"",
                at: Millis(3),
                after: Lsn::new(5),
            },
            "150100001e000000 01000000 39000000 0300000000000000 0100 00 0500000000000000 616e6e",
        ),
        (
            Event::Imported {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                nth: 1,
                at: Millis(3),
                seq: Some(Lsn::new(9)),
                after: Lsn::new(5),
            },
            "160100002a000000 01000000 39000000 0300000000000000 0900000000000000 0100 0500000000000000 feffffffffffffff",
        ),
        (
            Event::Imported {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                nth: 2,
                at: Millis(3),
                seq: Some(Lsn::new(9)),
                after: Lsn::new(5),
            },
            "1701000025000000 01000000 39000000 0300000000000000 0900000000000000 0200 0500000000000000 616e6e",
        ),
        (
            Event::Returned {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                nth: 1,
                at: Millis(3),
                grant: Lsn::new(9),
                seq: None,
            },
            "180100002a000000 01000000 39000000 0300000000000000 0100 0900000000000000 0000000000000000 feffffffffffffff",
        ),
        (
            Event::Returned {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                nth: 2,
                at: Millis(3),
                grant: Lsn::new(9),
                seq: Some(Lsn::new(12)),
            },
            "1901000025000000 01000000 39000000 0300000000000000 0200 0900000000000000 0c00000000000000 616e6e",
        ),
        (
            Event::CampaignDropped { id: CampaignId(7), at: Millis(9), purged: false },
            "020100000c000000 07000000 0900000000000000",
        ),
        (
            Event::CampaignDropped { id: CampaignId(7), at: Millis(9), purged: true },
            "1a0100000c000000 07000000 0900000000000000",
        ),
        (
            Event::Granted {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                nth: 1,
                request: b"",
                at: Millis(3),
                after: Lsn::ZERO,
            },
            "0301000018000000 01000000 39000000 feffffffffffffff 0300000000000000",
        ),
        (
            Event::Granted {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                nth: 1,
                request: b"",
                at: Millis(3),
                after: Lsn::ZERO,
            },
            "0401000013000000 01000000 39000000 0300000000000000 616e6e",
        ),
        (
            Event::Imported {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Int(-2),
                nth: 1,
                at: Millis(3),
                seq: Some(Lsn::new(9)),
                after: Lsn::ZERO,
            },
            "0501000020000000 01000000 39000000 0300000000000000 0900000000000000 feffffffffffffff",
        ),
        (
            Event::Imported {
                campaign: CampaignId(1),
                seat: Seat::new(57),
                user: User::Any(b"ann"),
                nth: 1,
                at: Millis(3),
                seq: Some(Lsn::new(9)),
                after: Lsn::ZERO,
            },
            "060100001b000000 01000000 39000000 0300000000000000 0900000000000000 616e6e",
        ),
        (Event::Skipped { upto: Lsn::new(9) }, "0701000008000000 0900000000000000"),
        (
            Event::KeySet { db: Db(2), key: b"k", value: Cow::Borrowed(b"vv"), expires: Millis::NEVER },
            "2001000010000000 02 ffffffffffffff7f 01000000 6b 7676",
        ),
        (Event::KeyCounted { db: Db(2), key: b"k", value: -1 }, "210100000a000000 02 ffffffffffffffff 6b"),
        (
            Event::KeyPatched { db: Db(2), key: b"k", offset: 5, bytes: b"xy" },
            "220100000c000000 02 05000000 01000000 6b 7879",
        ),
        (Event::KeyExpirySet { db: Db(2), key: b"k", expires: Millis(4) }, "230100000a000000 02 0400000000000000 6b"),
        (Event::KeyRemoved { db: Db(2), key: b"k", expired: true }, "2401000003000000 02 01 6b"),
        (Event::KeyRenamed { db: Db(2), from: b"a", to: b"bc" }, "2501000008000000 02 01000000 61 6263"),
        (Event::Flushed { db: Some(Db(3)) }, "2601000001000000 03"),
        (Event::Flushed { db: None }, "2601000001000000 ff"),
    ]
}

#[test]
fn every_kind_of_record_has_its_golden_bytes() {
    for (event, golden) in every_kind() {
        let mut bytes = Vec::new();
        encode(&event, false, &mut bytes);
        assert_eq!(hex(&bytes), golden.replace(' ', ""), "{event:?}");
        assert_eq!(decode(&bytes), Ok((event, false, bytes.len())));
    }
}

#[test]
fn a_record_cut_anywhere_is_no_event() {
    for (event, _) in every_kind() {
        let mut bytes = Vec::new();
        encode(&event, true, &mut bytes);
        assert_eq!(decode(&bytes), Ok((event, true, bytes.len())));
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err());
        }
    }
}

#[test]
fn the_overhead_of_a_record_is_within_its_bound() {
    for (event, _) in every_kind() {
        let mut bytes = Vec::new();
        encode(&event, true, &mut bytes);
        assert!(bytes.len() <= RECORD_OVERHEAD_BYTES_MAX + 6, "{event:?}");
    }
}

#[test]
fn what_history_leaves_out_has_its_golden_bytes_counts_as_records_and_yields_nothing() {
    let mut bytes = Vec::new();
    encode_left_out(Lsn::new(7), &mut bytes);
    assert_eq!(hex(&bytes), "08010000080000000700000000000000");
    encode(&Event::Flushed { db: None }, false, &mut bytes);
    encode_left_out(Lsn::new(9), &mut bytes);
    let seen: Vec<_> = Records::new(&bytes, Lsn::new(5), 5).map(|record| record.map(|(lsn, _)| lsn)).collect();
    assert_eq!(seen, [Ok(Lsn::new(8))]);
    for (first, count) in [(5, 4), (5, 6), (8, 5), (9, 5)] {
        let mut records = Records::new(&bytes, Lsn::new(first), count);
        assert!(records.any(|record| record == Err(BadRecord::Count)), "{first} {count}");
    }
}

#[test]
fn skipped_positions_count_as_records() {
    let mut bytes = Vec::new();
    encode(&Event::Skipped { upto: Lsn::new(7) }, false, &mut bytes);
    encode(&Event::Flushed { db: None }, false, &mut bytes);
    let seen: Vec<_> = Records::new(&bytes, Lsn::new(5), 4).map(|record| record.map(|(lsn, _)| lsn)).collect();
    assert_eq!(seen, [Ok(Lsn::new(5)), Ok(Lsn::new(8))]);
    for (first, count) in [(5, 3), (5, 5), (8, 4), (9, 4)] {
        let mut records = Records::new(&bytes, Lsn::new(first), count);
        assert!(records.any(|record| record == Err(BadRecord::Count)), "{first} {count}");
    }
}

#[test]
fn an_unknown_kind_or_version_is_told_as_newer() {
    let mut bytes = Vec::new();
    encode(&Event::Flushed { db: None }, false, &mut bytes);
    bytes[1] = 2;
    assert_eq!(decode(&bytes), Err(BadRecord::Newer { kind: FLUSHED, version: 2 }));
    (bytes[0], bytes[1]) = (200, 1);
    assert_eq!(decode(&bytes), Err(BadRecord::Newer { kind: 200, version: 1 }));
    assert!(decode(&bytes).is_err_and(|bad| bad.to_string().contains("newer release")));
}

#[test]
fn only_a_count_of_the_same_key_is_amended() {
    let counted = |db, key, value| Event::KeyCounted { db: Db(db), key, value };
    let mut bytes = Vec::new();
    encode(&counted(0, b"n", 1), false, &mut bytes);
    assert!(!amend(&mut bytes, &counted(0, b"m", 2)));
    assert!(!amend(&mut bytes, &counted(1, b"n", 2)));
    assert!(!amend(&mut bytes, &counted(0, b"nn", 2)));
    assert!(!amend(&mut bytes, &Event::Flushed { db: None }));
    assert!(amend(&mut bytes, &counted(0, b"n", 2)));
    assert_eq!(decode(&bytes).expect("a record").0, counted(0, b"n", 2));
    bytes.clear();
    encode(&Event::KeyExpirySet { db: Db(0), key: b"n", expires: Millis(5) }, false, &mut bytes);
    assert!(!amend(&mut bytes, &counted(0, b"n", 2)), "a deadline is no count");
}

#[test]
fn a_batch_that_ends_within_a_group_or_has_bytes_left_is_refused() {
    let mut bytes = Vec::new();
    encode(&Event::Flushed { db: None }, true, &mut bytes);
    let seen: Vec<_> = Records::new(&bytes, Lsn::new(5), 1).collect();
    assert_eq!(seen, [Ok((Lsn::new(5), Event::Flushed { db: None })), Err(BadRecord::Count)]);
    assert_eq!(Records::new(&bytes, Lsn::new(5), 0).collect::<Vec<_>>(), [Err(BadRecord::Count)]);
    assert!(Records::new(&bytes, Lsn::new(5), 2).any(|record| record.is_err()));
}
