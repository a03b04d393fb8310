//! Fuzzing of the reader of Kafka records. A record is laid out in an input as
//!
//! ```text
//! kind u8 (odd: of the returns' topic) | key, value: len u8 (255: null), bytes | time i64 | headers: name len u8, name, value len u8 (255: null), value
//! ```

use super::*;
use crate::fuzz::{Chance, Target, Trace, notices};
use crate::grant::{Grant, GrantUser, Kind, Return};
use crate::ids::{LogId, Millis};
use crate::limits;

const NULL: u8 = 255;

const WORDS: &[&[u8]] = &[
    b"cg-log",
    b"cg-seq",
    b"cg-prev",
    b"cg-seat",
    b"cg-nth",
    b"cg-after",
    b"cg-campaign",
    b"spring",
    b"0",
    b"1",
    b"01",
    b"-1",
    b"18446744073709551615",
    b"4294967295",
    b"4294967296",
    b"65536",
    b"{\"user\":\"42\"}",
    b"{\"user_hex\":\"ff00\"}",
    b"\"user\"",
    b"\"kind\":\"grant\"",
    b"\"kind\":\"return\"",
    b"\"user_hex\"",
    b"{}",
    b"[",
    b"{\"a\":",
    b"\"\\ud800\"",
    b"ffffffffffffffffffffffffffffffff",
    &[NULL],
];

/// A record as a consumer gets it.
#[derive(Clone, Debug)]
struct Record {
    kind: Kind,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    at: Option<Millis>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    fn read(bytes: &[u8]) -> Record {
        let (kind, mut bytes) = bytes.split_first().unwrap_or((&0, &[]));
        let mut field = || {
            let (len, rest) = bytes.split_first()?;
            let (field, rest) = rest.split_at(if *len == NULL { 0 } else { rest.len().min(usize::from(*len)) });
            bytes = rest;
            Some((*len != NULL).then(|| field.to_vec()))
        };
        let (key, value) = (field().flatten(), field().flatten());
        let at =
            field().flatten().and_then(|bytes| bytes.try_into().ok()).map(|bytes| Millis(i64::from_le_bytes(bytes)));
        let mut headers = Vec::new();
        while let Some(name) = field() {
            let name = String::from_utf8_lossy(&name.unwrap_or_default()).into_owned();
            headers.push((name, field().flatten()));
        }
        Record { kind: if kind.is_multiple_of(2) { Kind::Grant } else { Kind::Return }, key, value, at, headers }
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.kind == Kind::Return)];
        let mut put = |field: Option<&[u8]>| match field {
            Some(field) => {
                let field = &field[..field.len().min(254)];
                bytes.push(field.len() as u8);
                bytes.extend_from_slice(field);
            }
            None => bytes.push(NULL),
        };
        put(self.key.as_deref());
        put(self.value.as_deref());
        put(self.at.map(|at| at.0.to_le_bytes()).as_ref().map(|bytes| &bytes[..]));
        for (name, value) in &self.headers {
            put(Some(name.as_bytes()));
            put(value.as_deref());
        }
        bytes
    }

    fn of(record: &EntryRecord, key: Key, value: Value) -> Record {
        let (key, value, headers) = encode(record, key, value);
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
        Record { kind: record.entry.kind(), key, value: Some(value), at: Some(record.entry.at()), headers }
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().rfind(|(there, _)| there == name).map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    fn parse(&self) -> Parsed {
        parse(self.kind, self.key.as_deref(), self.value.as_deref(), self.at, &self.headers)
    }
}

fn target<'a>(check: &'a dyn Fn(&[u8]) -> Trace) -> Target<'a> {
    Target { name: "kafka-record", bytes_max: 1024, words: WORDS, draw: &draw, mend: &mend, check }
}

fn draw(chance: &mut Chance) -> Vec<u8> {
    let any = chance.one_in(2);
    let user = if any { GrantUser::Any(some(chance).into()) } else { GrantUser::Int(chance.number() as i64) };
    let seq = chance.number().max(2);
    let grant = Grant {
        log: LogId([chance.any() as u8; 16]),
        seq: Lsn::new(seq),
        campaign: chance.pick(&["spring", "a", "x.y_z:{1}-2"]).to_string().into(),
        seat: (chance.number() as u32).max(1),
        user,
        nth: (chance.number() as u16).max(1),
        at: Millis((chance.number() >> 1) as i64),
    };
    let after = Lsn::new(chance.number() % seq);
    let entry = match chance.one_in(2) {
        true => Entry::Grant { grant, after },
        false => {
            let Grant { log, seq, campaign, seat, user, nth, at } = grant;
            Entry::Return(Return { log, seq, grant: after.max(Lsn::new(1)), campaign, seat, user, nth, at })
        }
    };
    let record = EntryRecord { entry, prev: Lsn::new(chance.number() % seq) };
    let value = if any { Value::Json } else { *chance.pick(&[Value::Json, Value::Long]) };
    Record::of(&record, *chance.pick(&[Key::Campaign, Key::User, Key::None]), value).write()
}

fn some(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = chance.bytes(limits::USER_BYTES_MAX - 1);
    bytes.push(b'u');
    bytes
}

/// Gives the fields the lengths that their bytes have: drops what does not fit and writes the rest anew.
fn mend(bytes: &mut Vec<u8>) {
    *bytes = Record::read(bytes).write();
}

/// An entry is within all bounds and comes back in every form; what is not one keeps its place in the line; only what
/// lacks our headers is somebody else's.
fn check(bytes: &[u8], parse: &dyn Fn(&Record) -> Parsed) -> Trace {
    let record = Record::read(bytes);
    let decimal = |name: &str| std::str::from_utf8(record.header(name)?).ok()?.parse::<u64>().ok();
    let ours = record.header("cg-log").is_some() && record.header("cg-seq").is_some();
    match parse(&record) {
        Parsed::Foreign => {
            assert!(!ours, "it has our headers");
            Trace::default()
        }
        Parsed::Bad(bad) => {
            if let Some((log, seq, prev)) = bad.place {
                assert!(seq > prev, "the place makes sense");
                assert_eq!(record.header("cg-log").unwrap().to_ascii_lowercase(), log.hex());
                assert_eq!((decimal("cg-seq"), decimal("cg-prev")), (Some(seq.get()), Some(prev.get())));
            }
            assert!(ours && !bad.reason.is_empty());
            Trace::default().and_text(&bad.reason).and(u64::from(bad.place.is_some()))
        }
        Parsed::Entry(there) => entry(&record, &there, parse),
    }
}

fn entry(record: &Record, there: &EntryRecord, parse: &dyn Fn(&Record) -> Parsed) -> Trace {
    let EntryRecord { entry, prev } = there;
    let names = |name: &str, number: u64| {
        let text = number.to_string();
        record
            .header(name)
            .map_or(text == "0" || (name, text.as_str()) == ("cg-nth", "1"), |there| there == text.as_bytes())
    };
    assert_eq!(entry.kind(), record.kind, "the topic tells the kind");
    assert!(entry.seq() > *prev && entry.seq() > entry.after(), "{there:?}");
    assert!(entry.kind() == Kind::Grant || entry.after() > Lsn::ZERO, "a return has a grant: {there:?}");
    assert!(entry.seat() > 0 && entry.nth() > 0 && entry.at().0 >= 0, "{there:?}");
    let (seq, prev, after) = (entry.seq().get(), prev.get(), entry.after().get());
    assert!(names("cg-seq", seq) && names("cg-prev", prev) && names("cg-after", after), "{record:?}: {there:?}");
    assert!(names("cg-seat", entry.seat().into()) && names("cg-nth", entry.nth().into()), "{record:?}: {there:?}");
    assert_eq!(Some(entry.at()), record.at);
    let campaign = entry.campaign();
    assert_eq!(record.header("cg-campaign").or(record.key.as_deref()), Some(campaign.as_bytes()));
    assert!((1..=64).contains(&campaign.len()) && campaign.is_ascii(), "{there:?}");
    let value = record.value.as_deref().expect("an entry has a user");
    if let Ok(json @ serde_json::Value::Object(_)) = serde_json::from_slice::<serde_json::Value>(value) {
        let said = json.get("kind").and_then(serde_json::Value::as_str);
        assert!(value.len() == 8 || json.get("kind").is_none() || said == Some(record.kind.word()), "{there:?}");
    }
    let any = match entry.user() {
        GrantUser::Any(user) => {
            assert!((1..=limits::USER_BYTES_MAX).contains(&user.len()), "{there:?}");
            true
        }
        GrantUser::Int(user) => {
            let text = String::from_utf8_lossy(value);
            assert!(
                value == user.to_be_bytes() || text.contains(&user.to_string()) || text.contains('\\'),
                "{there:?}"
            );
            false
        }
    };
    for key in [Key::Campaign, Key::User, Key::None] {
        for value in [Value::Json, Value::Long].into_iter().take(if any { 1 } else { 2 }) {
            assert_eq!(parse(&Record::of(there, key, value)), Parsed::Entry(there.clone()), "{key:?} {value:?}");
        }
    }
    let is_return = entry.kind() == Kind::Return;
    let parts = [any, is_return, entry.nth() > 1, after > 0, record.key.is_some(), value.len() == 8];
    parts.into_iter().fold(Trace::default().and(1), |trace, part| trace.and(u64::from(part)))
}

#[test]
fn fuzz_kafka_records() {
    target(&|bytes| check(bytes, &Record::parse)).run(20_000);
}

/// Readers that are wrong in one point each.
#[test]
fn fuzz_kafka_records_notices_planted_defects() {
    type Defect = (&'static str, fn(&Record) -> Parsed);
    let defects: [Defect; 6] = [
        ("the first of two headers counts", |record| {
            let mut other = record.clone();
            other.headers.reverse();
            other.parse()
        }),
        ("the place of a bad record is lost", |record| match record.parse() {
            Parsed::Bad(bad) if bad.place.is_some() && record.headers.len() > 4 => Parsed::Foreign,
            parsed @ (Parsed::Bad(_) | Parsed::Entry(_) | Parsed::Foreign) => parsed,
        }),
        ("the user's seat is cut to a byte", |record| match record.parse() {
            Parsed::Entry(mut there) => {
                let (Entry::Grant { grant: Grant { nth, .. }, .. } | Entry::Return(Return { nth, .. })) =
                    &mut there.entry;
                *nth = (*nth as u8).max(1).into();
                Parsed::Entry(there)
            }
            parsed @ (Parsed::Bad(_) | Parsed::Foreign) => parsed,
        }),
        ("seat 0 is taken", |record| match record.parse() {
            Parsed::Bad(bad) if bad.reason.contains("no seat") && record.header("cg-seat") == Some(b"0") => {
                let mut other = record.clone();
                other.headers.push(("cg-seat".into(), Some(b"1".to_vec())));
                match other.parse() {
                    Parsed::Entry(mut there) => {
                        let (Entry::Grant { grant: Grant { seat, .. }, .. } | Entry::Return(Return { seat, .. })) =
                            &mut there.entry;
                        *seat = 0;
                        Parsed::Entry(there)
                    }
                    parsed @ (Parsed::Bad(_) | Parsed::Foreign) => parsed,
                }
            }
            parsed @ (Parsed::Bad(_) | Parsed::Entry(_) | Parsed::Foreign) => parsed,
        }),
        ("the kind is told by the headers", |record| {
            let kind = if record.header("cg-after").is_some() { Kind::Return } else { Kind::Grant };
            Record { kind, ..record.clone() }.parse()
        }),
        ("a value of another kind is taken", |record| match record.parse() {
            Parsed::Bad(bad) if bad.reason.contains("another kind") => {
                let kind = if record.kind == Kind::Grant { Kind::Return } else { Kind::Grant };
                match (Record { kind, ..record.clone() }).parse() {
                    Parsed::Entry(EntryRecord { entry: Entry::Return(back), prev }) => {
                        let Return { log, seq, grant: after, campaign, seat, user, nth, at } = back;
                        let grant = Grant { log, seq, campaign, seat, user, nth, at };
                        Parsed::Entry(EntryRecord { entry: Entry::Grant { grant, after }, prev })
                    }
                    parsed @ (Parsed::Bad(_) | Parsed::Entry(_) | Parsed::Foreign) => parsed,
                }
            }
            parsed @ (Parsed::Bad(_) | Parsed::Entry(_) | Parsed::Foreign) => parsed,
        }),
    ];
    for (name, defect) in defects {
        eprintln!("planted: {name}");
        notices(&target(&|bytes| check(bytes, &defect)), 20_000);
    }
}
