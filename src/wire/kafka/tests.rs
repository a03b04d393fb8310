//! The forms of a record, as users were promised them, and what is made of records that others wrote.

use super::*;
use crate::grant::{Grant, GrantUser, Kind, Return};
use crate::ids::{LogId, Millis};

const LOG: LogId = LogId([0xab; 16]);

fn grant(user: GrantUser) -> Grant {
    Grant {
        log: LOG,
        seq: Lsn::new(991),
        campaign: "spring".into(),
        seat: 57,
        user,
        nth: 1,
        at: Millis(1_732_250_000_123),
    }
}

fn record(user: GrantUser) -> EntryRecord {
    EntryRecord { entry: grant(user).into(), prev: Lsn::new(990) }
}

/// The return of that seat.
fn return_record(user: GrantUser) -> EntryRecord {
    let Grant { log, seq, campaign, seat, user, nth, .. } = grant(user);
    let at = Millis(1_732_250_060_000);
    let back = Return { log, seq: Lsn::new(1004), grant: seq, campaign, seat, user, nth, at };
    EntryRecord { entry: Entry::Return(back), prev: Lsn::new(800) }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, Option<Vec<u8>>)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec()))).collect()
}

fn read_back(record: &EntryRecord, key: Key, value: Value) -> Parsed {
    let (key, value, headers) = encode(record, key, value);
    let headers: Vec<_> = headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
    parse(record.entry.kind(), key.as_deref(), Some(&value), Some(record.entry.at()), &headers)
}

#[test]
fn a_long_record_has_its_golden_bytes() {
    let (key, value, headers) = encode(&record(GrantUser::Int(42)), Key::Campaign, Value::Long);
    assert_eq!(key.as_deref(), Some(&b"spring"[..]));
    assert_eq!(value, [0, 0, 0, 0, 0, 0, 0, 42]);
    let headers: Vec<(&str, String)> =
        headers.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect();
    let log = "ab".repeat(16);
    let golden = [("cg-log", log), ("cg-seq", "991".into()), ("cg-prev", "990".into()), ("cg-seat", "57".into())];
    assert_eq!(headers, golden);
}

#[test]
fn a_json_record_says_what_users_were_promised() {
    let (_, value, _) = encode(&record(GrantUser::Int(42)), Key::Campaign, Value::Json);
    let log = "ab".repeat(16);
    let golden = format!(
        r#"{{"v":1,"kind":"grant","campaign":"spring","user":"42","seat":57,"nth":1,"at":1732250000123,"seq":"991","log":"{log}"}}"#
    );
    let (there, golden): (serde_json::Value, serde_json::Value) =
        (serde_json::from_slice(&value).unwrap(), serde_json::from_str(&golden).unwrap());
    assert_eq!(there, golden);
}

#[test]
fn a_return_is_a_record_of_the_same_forms_that_names_its_grant() {
    let (key, value, headers) = encode(&return_record(GrantUser::Int(42)), Key::Campaign, Value::Long);
    assert_eq!((key.as_deref(), value), (Some(&b"spring"[..]), vec![0, 0, 0, 0, 0, 0, 0, 42]));
    let headers: Vec<(&str, String)> =
        headers.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect();
    let golden = [
        ("cg-log", "ab".repeat(16)),
        ("cg-seq", "1004".into()),
        ("cg-prev", "800".into()),
        ("cg-seat", "57".into()),
        ("cg-after", "991".into()),
    ];
    assert_eq!(headers, golden);
    let (_, value, _) = encode(&return_record(GrantUser::Int(42)), Key::Campaign, Value::Json);
    let golden = format!(
        r#"{{"v":1,"kind":"return","campaign":"spring","user":"42","seat":57,"nth":1,"at":1732250060000,"seq":"1004","grant":"991","log":"{}"}}"#,
        "ab".repeat(16)
    );
    let (there, golden): (serde_json::Value, serde_json::Value) =
        (serde_json::from_slice(&value).unwrap(), serde_json::from_str(&golden).unwrap());
    assert_eq!(there, golden);
}

#[test]
fn every_form_comes_back() {
    for user in [GrantUser::Int(i64::MIN), GrantUser::Int(-1), GrantUser::Int(7)] {
        for key in [Key::Campaign, Key::User, Key::None] {
            for value in [Value::Long, Value::Json] {
                let grant = Grant { nth: 3, ..grant(user.clone()) };
                let record = EntryRecord { entry: Entry::Grant { grant, after: Lsn::new(12) }, prev: Lsn::new(990) };
                for record in [record, return_record(user.clone())] {
                    assert_eq!(read_back(&record, key, value), Parsed::Entry(record));
                }
            }
        }
    }
    for bytes in [&b"ann"[..], b"\xff\x00", "j\u{fc}rgen".as_bytes()] {
        for record in [record(GrantUser::Any(bytes.into())), return_record(GrantUser::Any(bytes.into()))] {
            assert_eq!(read_back(&record, Key::User, Value::Json), Parsed::Entry(record));
        }
    }
}

#[test]
fn a_record_of_another_kind_than_its_topic_is_bad() {
    let read = |kind: Kind, record: &EntryRecord, value: Value| {
        let (key, value, headers) = encode(record, Key::Campaign, value);
        let headers: Vec<_> = headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
        parse(kind, key.as_deref(), Some(&value), Some(record.entry.at()), &headers)
    };
    let (there, back) = (record(GrantUser::Int(1)), return_record(GrantUser::Int(1)));
    for (kind, record, value, why) in [
        (Kind::Return, &there, Value::Json, "another kind than return"),
        (Kind::Grant, &back, Value::Json, "another kind than grant"),
        (Kind::Return, &there, Value::Long, "names no grant"),
    ] {
        let Parsed::Bad(bad) = read(kind, record, value) else { panic!("{record:?} is taken") };
        assert!(bad.reason.contains(why), "{} / {why}", bad.reason);
        assert_eq!(bad.place, Some((LOG, record.entry.seq(), record.prev)));
    }
}

#[test]
fn records_without_our_headers_are_somebody_elses() {
    let foreign = [owned(&[]), owned(&[("cg-log", "x")]), owned(&[("trace", "1")])];
    for headers in foreign {
        for kind in Kind::ALL {
            assert_eq!(parse(kind, Some(b"spring"), Some(&[0; 8]), Some(Millis(1)), &headers), Parsed::Foreign);
        }
    }
}

#[test]
fn a_record_with_our_headers_that_makes_no_sense_says_why_and_keeps_its_place() {
    let log = LOG.to_string();
    let good = [("cg-log", log.as_str()), ("cg-seq", "9"), ("cg-prev", "8"), ("cg-seat", "1"), ("cg-after", "3")];
    let with = |name: &'static str, value: &'static str| {
        let mut headers = good;
        headers.iter_mut().filter(|(there, _)| *there == name).for_each(|header| header.1 = value);
        owned(&headers)
    };
    let judge = |key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(String, Option<Vec<u8>>)]| {
        let bad = Kind::ALL.map(|kind| match parse(kind, key, value, Some(Millis(1)), headers) {
            Parsed::Bad(bad) => bad,
            other @ (Parsed::Entry(_) | Parsed::Foreign) => panic!("{other:?}"),
        });
        assert_eq!(bad[0], bad[1], "in either topic");
        bad[0].clone()
    };
    let key = Some(&b"spring"[..]);
    let value = Some(&[0; 8][..]);
    for (name, text) in [("cg-log", "abc"), ("cg-seq", "9x"), ("cg-seq", "8"), ("cg-seq", "09"), ("cg-prev", "-1")] {
        assert_eq!(judge(key, value, &with(name, text)).place, None, "{name}={text}");
    }
    let place = Some((LOG, Lsn::new(9), Lsn::new(8)));
    for (key, value, headers, why) in [
        (key, value, with("cg-seat", "0"), "cg-seat"),
        (key, value, with("cg-seat", "4294967296"), "cg-seat"),
        (key, value, with("cg-after", "9"), "cg-after is not before"),
        (key, value, with("cg-after", "x"), "cg-after"),
        (None, value, owned(&good), "campaign"),
        (Some(&b"a b"[..]), value, owned(&good), "campaign"),
        (key, None, owned(&good), "null"),
        (key, Some(&[0; 7][..]), owned(&good), "neither"),
        (key, Some(&b"[1]"[..]), owned(&good), "neither"),
        (key, Some(&b"{\"user\":\"\"}"[..]), owned(&good), "0 bytes"),
        (key, Some(&b"{}"[..]), owned(&good), "names no user"),
    ] {
        let bad = judge(key, value, &headers);
        assert!(bad.reason.contains(why), "{} / {why}", bad.reason);
        assert_eq!(bad.place, place);
    }
}
