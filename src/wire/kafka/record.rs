//! One entry as key, value and headers, and what a record says when it is read. Pure.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::EntryRecord;
use crate::grant::{Entry, Grant, GrantUser, Kind, Return};
use crate::ids::{LogId, Lsn, Millis};
use crate::limits;
use crate::wire::parse_gate::is_campaign_name;

/// The form of a value: `--kafka-value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// The user as 8 bytes, big-endian two's complement: what Spring's `LongDeserializer` reads. `USERS INT` only.
    #[default]
    Long,
    /// A JSON object.
    Json,
}

/// What a record's key is: `--kafka-key`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// The campaign's name: order holds per campaign.
    #[default]
    Campaign,
    /// The user as text: order holds per partition.
    User,
    /// Null; the partition is `seq` modulo their number.
    None,
}

impl Value {
    /// Whether users of a `USERS ANY` campaign can be written.
    pub fn carries_any(self) -> bool {
        self == Value::Json
    }
}

impl Key {
    /// The setting's own word.
    pub fn word(self) -> &'static str {
        match self {
            Key::Campaign => "campaign",
            Key::User => "user",
            Key::None => "none",
        }
    }

    /// The key's bytes for `entry`.
    pub fn of(self, entry: &Entry) -> Option<Vec<u8>> {
        match self {
            Key::Campaign => Some(entry.campaign().as_bytes().to_vec()),
            Key::User => Some(match entry.user() {
                GrantUser::Int(number) => number.to_string().into_bytes(),
                GrantUser::Any(bytes) => bytes.to_vec(),
            }),
            Key::None => None,
        }
    }

    /// The partition of `entry` among `partitions`, in the topic of its kind.
    pub fn partition(self, entry: &Entry, partitions: u32) -> u32 {
        match self {
            Key::Campaign => super::partition_of(entry.campaign().as_bytes(), partitions),
            Key::User => super::partition_of(&self.of(entry).expect("a user is a key"), partitions),
            Key::None => (entry.seq().get() % u64::from(partitions)) as u32,
        }
    }
}

/// Headers in order, by name.
pub type Headers = Vec<(&'static str, Vec<u8>)>;

/// Key, value and headers of `record`.
///
/// # Panics
/// A user that is no number in a `long`: such campaigns are refused where they are created.
pub fn encode(record: &EntryRecord, key: Key, value: Value) -> (Option<Vec<u8>>, Vec<u8>, Headers) {
    let EntryRecord { entry, prev } = record;
    let mut headers: Headers = vec![
        ("cg-log", entry.log().hex().to_vec()),
        ("cg-seq", decimal(entry.seq().get())),
        ("cg-prev", decimal(prev.get())),
        ("cg-seat", decimal(u64::from(entry.seat()))),
    ];
    if entry.nth() > 1 {
        headers.push(("cg-nth", decimal(u64::from(entry.nth()))));
    }
    if entry.after() > Lsn::ZERO {
        headers.push(("cg-after", decimal(entry.after().get())));
    }
    if key != Key::Campaign {
        headers.push(("cg-campaign", entry.campaign().as_bytes().to_vec()));
    }
    let value = match (value, entry.user()) {
        (Value::Long, GrantUser::Int(number)) => number.to_be_bytes().to_vec(),
        (Value::Long, GrantUser::Any(_)) => panic!("campaigns whose users a value cannot carry are refused"),
        (Value::Json, _) => json_of(entry).to_string().into_bytes(),
    };
    (key.of(entry), value, headers)
}

/// Users that are no UTF-8 stand in `user_hex`.
fn json_of(entry: &Entry) -> Json {
    let mut object = json!({
        "v": 1,
        "kind": entry.kind().word(),
        "campaign": &**entry.campaign(),
        "seat": entry.seat(),
        "nth": entry.nth(),
        "at": entry.at().0,
        "seq": entry.seq().to_string(),
        "log": entry.log().to_string(),
    });
    if let Entry::Return(back) = entry {
        object["grant"] = Json::String(back.grant.to_string());
    }
    let (name, text) = match entry.user() {
        GrantUser::Int(number) => ("user", number.to_string()),
        GrantUser::Any(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => ("user", text.to_owned()),
            Err(_) => ("user_hex", bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        },
    };
    object[name] = Json::String(text);
    object
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A grant or return of some gate.
    Entry(EntryRecord),
    /// It has none of our headers: somebody else's.
    Foreign,
    /// It has our headers and cannot be an entry of its topic: why, and the place it claims, where it can be read.
    Bad(Bad),
}

/// A record with our headers that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// For humans.
    pub reason: String,
    /// Its journal, seq and prev: its place in the line is kept even if nothing else can be.
    pub place: Option<(LogId, Lsn, Lsn)>,
}

/// Reads a record of the topic of `kind`: `headers` by name, in order; of a name that is there twice the last one counts. Whether a value is a
/// long or JSON is told by its first byte and its length.
pub fn parse(
    kind: Kind,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    at: Option<Millis>,
    headers: &[(String, Option<Vec<u8>>)],
) -> Parsed {
    let header = |name: &str| {
        let (_, bytes) = headers.iter().rev().find(|(there, _)| there == name)?;
        // What is no text is there all the same, and is no number, no name and no journal.
        Some(std::str::from_utf8(bytes.as_deref().unwrap_or_default()).unwrap_or("\u{fffd}"))
    };
    let (Some(log), Some(seq)) = (header("cg-log"), header("cg-seq")) else { return Parsed::Foreign };
    let place = || {
        let prev = header("cg-prev").and_then(number)?;
        Some((log.parse().ok()?, Lsn::new(number(seq).filter(|seq| *seq > prev)?), Lsn::new(prev)))
    };
    let Some((log, seq, prev)) = place() else {
        return Parsed::Bad(Bad { reason: "cg-log, cg-seq or cg-prev is no such thing".into(), place: None });
    };
    let bad = |reason: String| Parsed::Bad(Bad { reason, place: Some((log, seq, prev)) });
    let Some(seat) = header("cg-seat").and_then(number).and_then(|seat| u32::try_from(seat).ok()).filter(|s| *s > 0)
    else {
        return bad("cg-seat is no seat".into());
    };
    let nth = header("cg-nth").map_or(Some(1), |nth| number(nth).and_then(|nth| u16::try_from(nth).ok()));
    let after = header("cg-after").map_or(Some(0), number);
    let (Some(nth @ 1..), Some(after)) = (nth, after) else { return bad("cg-nth or cg-after is no number".into()) };
    let after = Lsn::new(after);
    if after >= seq {
        return bad("cg-after is not before cg-seq".into());
    }
    let campaign = match header("cg-campaign") {
        Some(name) => name.as_bytes(),
        None => key.unwrap_or_default(),
    };
    let Some(campaign) = campaign_name(campaign) else { return bad("its key is no campaign's name".into()) };
    let Some(at) = at.filter(|at| at.0 >= 0) else { return bad("it has no time".into()) };
    let user = match user_of(kind, value) {
        Ok(user) => user,
        Err(reason) => return bad(reason),
    };
    let entry = match kind {
        Kind::Grant => Entry::Grant { grant: Grant { log, seq, campaign, seat, user, nth, at }, after },
        Kind::Return if after == Lsn::ZERO => return bad("a return without cg-after names no grant".into()),
        Kind::Return => Entry::Return(Return { log, seq, grant: after, campaign, seat, user, nth, at }),
    };
    Parsed::Entry(EntryRecord { entry, prev })
}

fn user_of(kind: Kind, value: Option<&[u8]>) -> Result<GrantUser, String> {
    let value = value.ok_or("its value is null")?;
    if let Ok(long) = <[u8; 8]>::try_from(value) {
        return Ok(GrantUser::Int(i64::from_be_bytes(long)));
    }
    let json: Json = match serde_json::from_slice(value) {
        Ok(json @ Json::Object(_)) => json,
        Ok(_) | Err(_) => {
            return Err(format!("its value of {} bytes is neither a long nor a JSON object", value.len()));
        }
    };
    if json.get("kind").is_some_and(|said| said.as_str() != Some(kind.word())) {
        return Err(format!("its value says another kind than {}, which is that of its topic", kind.word()));
    }
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    let user = match (text("user"), text("user_hex")) {
        (Some(user), None) => match crate::core::parse_integer(user.as_bytes()) {
            Some(number) => GrantUser::Int(number),
            None => GrantUser::Any(user.as_bytes().into()),
        },
        (None, Some(hex)) => match bytes_of(hex).ok_or("user_hex is not hex")? {
            text if std::str::from_utf8(&text).is_ok() => {
                return Err("its user_hex is text, which stands in user".into());
            }
            bytes => GrantUser::Any(bytes),
        },
        (None, None) | (Some(_), Some(_)) => return Err("its value names no user".into()),
    };
    match &user {
        GrantUser::Any(bytes) if bytes.is_empty() || bytes.len() > limits::USER_BYTES_MAX => {
            Err(format!("its user has {} bytes; there are 1 to {}", bytes.len(), limits::USER_BYTES_MAX))
        }
        GrantUser::Any(_) | GrantUser::Int(_) => Ok(user),
    }
}

fn bytes_of(hex: &str) -> Option<Box<[u8]>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn campaign_name(bytes: &[u8]) -> Option<Arc<str>> {
    is_campaign_name(bytes).then(|| std::str::from_utf8(bytes).ok().map(Arc::from)).flatten()
}

fn decimal(number: u64) -> Vec<u8> {
    itoa::Buffer::new().format(number).as_bytes().to_vec()
}

/// Canonical decimals only: what `decimal` writes.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}
