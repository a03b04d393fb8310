//! What a setting's text can mean. Each reader takes the text and answers the value, or what would be right.

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::ids::LogId;
use crate::limits::{BLOCK_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::settings::mysql_url;
use crate::settings::nearest::nearest;
use crate::settings::tools::{CatchUpFrom, Database, DeadLetterAction};

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `ADDRESS:PORT`; port 0 takes a free one.
    Tcp(SocketAddr),
    /// `unix:PATH`
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// When a write counts as kept, as in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appendfsync {
    /// No answer before its fsync.
    Always,
    /// Answers after `write(2)`; synced each second.
    Everysec,
    /// Answers after `write(2)`; synced as the kernel likes, but at least every few seconds.
    No,
}

/// Where grants are stored as rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ledger {
    /// `sqlite:PATH`
    Sqlite(PathBuf),
    /// `mysql://...`
    Mysql(MysqlUrl),
    /// Nowhere.
    None,
}

/// `mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?tls=off|require|verify&ca=FILE]`, percent-encoded where needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlUrl {
    /// The user.
    pub user: String,
    /// His password, here or from `--ledger-password-file`.
    pub password: Option<Secret>,
    /// Host name or address, without brackets.
    pub host: String,
    /// 3306 unless said.
    pub port: u16,
    /// The database.
    pub database: String,
    /// How the connection is protected.
    pub tls: MysqlTls,
}

/// `?tls=`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MysqlTls {
    /// Not at all.
    Off,
    /// Encrypted, whoever answers.
    Require,
    /// Encrypted, and the certificate must be good for the host: by the public authorities that are built in,
    /// or by this file's.
    Verify {
        /// `&ca=FILE`
        ca: Option<PathBuf>,
    },
}

impl fmt::Display for MysqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = if self.password.is_some() { ":***" } else { "" };
        write!(f, "mysql://{}{password}@{}:{}/{}", self.user, self.host, self.port, self.database)?;
        match &self.tls {
            MysqlTls::Off => Ok(()),
            MysqlTls::Require => f.write_str("?tls=require"),
            MysqlTls::Verify { ca: None } => f.write_str("?tls=verify"),
            MysqlTls::Verify { ca: Some(ca) } => write!(f, "?tls=verify&ca={}", ca.display()),
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ledger::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Ledger::Mysql(url) => url.fmt(f),
            Ledger::None => f.write_str("none"),
        }
    }
}

/// Who fills the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// This process.
    Inside,
    /// A `coupon-gate sink` elsewhere.
    Outside,
    /// Nobody.
    Off,
}

/// When a grant's answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerAfter {
    /// It is on disk.
    Durable,
    /// Kafka has it too.
    Published,
}

/// A record's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaValue {
    /// 8 bytes, big-endian.
    Long,
    /// A JSON object.
    Json,
}

/// A record's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaKey {
    /// The campaign's name.
    Campaign,
    /// The user as text.
    User,
    /// Null.
    None,
}

/// The column type of users in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerUsers {
    /// Signed 64-bit integers.
    Bigint,
    /// Text, for campaigns with `USERS ANY`.
    Text,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For humans.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much each room tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevels {
    /// What rooms tell that are not named.
    pub default: LevelFilter,
    /// Rooms with a level of their own.
    pub rooms: Vec<(String, LevelFilter)>,
}

/// A password: never printed, also not by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The password `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The password itself, for who has to compare or to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A reader of text: the value, or what would be right (the rest of a sentence that begins with the text).
pub type Reader<T> = fn(&str) -> Result<T, String>;

/// The rooms that can have a log level of their own.
pub const LOG_ROOMS: [&str; 7] = ["serve", "admin", "server", "sink", "journal", "wire", "core"];

pub fn listen(text: &str) -> Result<Listen, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err("names no path; unix:/run/coupon-gate.sock would".into()),
            path => Ok(Listen::Unix(path.into())),
        };
    }
    text.parse().map(Listen::Tcp).map_err(|_| {
        "is no address to listen on; right are 127.0.0.1:6379, [::1]:6379, 0.0.0.0:6379 or unix:PATH".to_owned()
    })
}

pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("names no path".into()) } else { Ok(text.into()) }
}

pub fn appendfsync(text: &str) -> Result<Appendfsync, String> {
    choice(text, &[("always", Appendfsync::Always), ("everysec", Appendfsync::Everysec), ("no", Appendfsync::No)])
}

pub fn ledger(text: &str) -> Result<Ledger, String> {
    if text == "none" {
        return Ok(Ledger::None);
    }
    if text.starts_with("mysql:") || text.starts_with("mariadb:") {
        return mysql_url::parse(text).map(Ledger::Mysql);
    }
    match text.strip_prefix("sqlite:") {
        Some("") | None => Err("is no ledger; right are sqlite:PATH, mysql://USER@HOST/DATABASE or none".into()),
        Some(path) => Ok(Ledger::Sqlite(path.into())),
    }
}

pub fn answer_after(text: &str) -> Result<AnswerAfter, String> {
    choice(text, &[("durable", AnswerAfter::Durable), ("published", AnswerAfter::Published)])
}

pub fn kafka_value(text: &str) -> Result<KafkaValue, String> {
    choice(text, &[("long", KafkaValue::Long), ("json", KafkaValue::Json)])
}

pub fn kafka_key(text: &str) -> Result<KafkaKey, String> {
    choice(text, &[("campaign", KafkaKey::Campaign), ("user", KafkaKey::User), ("none", KafkaKey::None)])
}

/// A legal topic name.
pub fn topic(text: &str) -> Result<String, String> {
    let legal = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if (1..=249).contains(&text.len()) && legal && text != "." && text != ".." {
        Ok(text.to_owned())
    } else {
        Err("is no topic name: 1 to 249 letters, digits and . _ - are".into())
    }
}

/// A topic, or `none`.
pub fn topic_or_none(text: &str) -> Result<Option<String>, String> {
    if text == "none" { Ok(None) } else { topic(text).map(Some) }
}

/// `HOST:PORT`, separated by commas.
pub fn brokers(text: &str) -> Result<String, String> {
    let sound = |broker: &str| {
        let (host, port) = broker.trim().rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok()).then_some(())
    };
    if text.split(',').all(|broker| sound(broker).is_some()) {
        Ok(text.to_owned())
    } else {
        Err("is no list of brokers, such as kafka-1:9092,kafka-2:9092".into())
    }
}

/// `NAME=VALUE`.
pub fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        Some(_) | None => Err("is no property, such as linger.ms=20".into()),
    }
}

pub fn partitions(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|count| (1..=10_000).contains(count)).ok_or_else(|| "is not between 1 and 10000".into())
}

pub fn accepted_partitions(text: &str) -> Result<Option<u32>, String> {
    match text {
        "0" => Ok(None),
        text => partitions(text).map(Some).map_err(|_| "is not between 0 and 10000".into()),
    }
}

pub fn replication(text: &str) -> Result<Option<u16>, String> {
    match text.parse::<u16>() {
        Ok(0) => Ok(None),
        Ok(count) if count <= 100 => Ok(Some(count)),
        Ok(_) | Err(_) => Err("is not between 0 and 100".into()),
    }
}

pub fn catch_up_from(text: &str) -> Result<CatchUpFrom, String> {
    choice(text, &[("kafka", CatchUpFrom::Kafka), ("ledger", CatchUpFrom::Ledger), ("none", CatchUpFrom::Nobody)])
}

pub fn log_id(text: &str) -> Result<LogId, String> {
    text.parse().map_err(|_| "is no journal's name: 32 hex digits, as INFO and cg-log tell it".into())
}

pub fn dead_letter_action(text: &str) -> Result<DeadLetterAction, String> {
    choice(
        text,
        &[("list", DeadLetterAction::List), ("retry", DeadLetterAction::Retry), ("drop", DeadLetterAction::Drop)],
    )
}

pub fn database(text: &str) -> Result<Database, String> {
    choice(text, &[("mysql", Database::Mysql), ("sqlite", Database::Sqlite)])
}

pub fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "is no such number".into())
}

pub fn sink(text: &str) -> Result<Sink, String> {
    choice(text, &[("inside", Sink::Inside), ("outside", Sink::Outside), ("off", Sink::Off)])
}

pub fn ledger_users(text: &str) -> Result<LedgerUsers, String> {
    choice(text, &[("bigint", LedgerUsers::Bigint), ("text", LedgerUsers::Text)])
}

pub fn log_format(text: &str) -> Result<LogFormat, String> {
    choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

pub fn yes_no(text: &str) -> Result<bool, String> {
    choice(text, &[("yes", true), ("no", false), ("true", true), ("false", false)])
        .map_err(|_| "is neither yes nor no".into())
}

/// Text that its room reads: a URL.
pub fn url(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("names nothing".into()) } else { Ok(text.to_owned()) }
}

pub fn statement(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is no SQL statement".into()) } else { Ok(text.to_owned()) }
}

/// `none`, or an address.
pub fn admin(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| "is no address; right are 127.0.0.1:9379 or none".into())
}

/// An empty text is no password, as in Redis.
pub fn password(text: &str) -> Result<Option<Secret>, String> {
    Ok(if text.is_empty() { None } else { Some(Secret::new(text)) })
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => Err("is no number of whole seconds, such as 0 or 60".into()),
    }
}

/// Zero is no ceiling.
pub fn ceiling(text: &str) -> Result<Option<NonZeroU32>, String> {
    match text.parse::<u32>() {
        Ok(number) => Ok(NonZeroU32::new(number)),
        Err(_) => Err("is no whole number (0 means no ceiling)".into()),
    }
}

pub fn count(text: &str) -> Result<NonZeroU32, String> {
    text.parse::<NonZeroU32>().map_err(|_| format!("is not between 1 and {}", u32::MAX))
}

pub fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "is no share; right is 0 to 1: 0.7 is seven of ten".into())
}

pub fn hold(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("is no number of milliseconds; right is 0 (grant at once) to {}", u32::MAX))
}

pub fn segment_bytes(text: &str) -> Result<u64, String> {
    let right = || {
        format!(
            "is no segment size; right is {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} bytes in steps of {BLOCK_BYTES}, \
             also written as {}MiB to {}MiB",
            SEGMENT_BYTES_MIN >> 20,
            SEGMENT_BYTES_MAX >> 20
        )
    };
    let (digits, unit) = match text.strip_suffix("MiB") {
        Some(digits) => (digits, 1 << 20),
        None => (text, 1),
    };
    let bytes = digits.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(right)?;
    let fits = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(BLOCK_BYTES);
    if fits { Ok(bytes) } else { Err(right()) }
}

/// A size; zero is none.
pub fn bytes(text: &str) -> Result<Option<NonZeroU64>, String> {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20)];
    let unit = units.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)));
    let (digits, unit) = unit.unwrap_or((text, 1));
    let bytes = digits.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.map(NonZeroU64::new).ok_or_else(|| "is no size, such as 268435456, 256MiB, 1GiB or 0".into())
}

/// A time over which something is kept.
pub fn time_kept(text: &str) -> Result<Duration, String> {
    let units = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
    let unit = units.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)));
    let seconds = match unit {
        Some((digits, unit)) => digits.parse::<u32>().ok().map(|number| u64::from(number) * unit),
        None => (text == "0").then_some(0),
    };
    seconds.map(Duration::from_secs).ok_or_else(|| "is no time, such as 7d, 12h, 30m, 90s or 0".into())
}

pub fn log_levels(text: &str) -> Result<LogLevels, String> {
    let mut levels = LogLevels { default: LevelFilter::INFO, rooms: Vec::new() };
    for part in text.split(',').map(str::trim) {
        match part.split_once('=') {
            None => levels.default = log_level(part)?,
            Some((room, level)) => {
                let room = room.trim();
                if !LOG_ROOMS.contains(&room) {
                    let guess = nearest(room, LOG_ROOMS).map(|room| format!(", did you mean {room}?"));
                    let rooms = LOG_ROOMS.join(", ");
                    return Err(format!("names the room {room}{}; rooms are {rooms}", guess.unwrap_or_default()));
                }
                levels.rooms.push((room.to_owned(), log_level(level.trim())?));
            }
        }
    }
    Ok(levels)
}

fn log_level(text: &str) -> Result<LevelFilter, String> {
    let known = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    choice(text, &known).map_err(|_| {
        format!(
            "has no level in \"{text}\"; right are off, error, warn, info, debug, trace and ROOM=LEVEL, \
             separated by commas: warn,journal=debug"
        )
    })
}

fn choice<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    match known.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            Err(format!("is none of {}", words.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tcp_or_unix() {
        assert_eq!(listen("[::1]:7000").unwrap().to_string(), "[::1]:7000");
        assert_eq!(listen("unix:/tmp/x.sock").unwrap(), Listen::Unix("/tmp/x.sock".into()));
        for wrong in ["", "6379", "localhost", "unix:", "tls:0.0.0.0:6380", "127.0.0.1:70000"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn segment_sizes_have_a_floor_a_ceiling_and_a_step() {
        assert_eq!(segment_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(segment_bytes(&SEGMENT_BYTES_MIN.to_string()), Ok(SEGMENT_BYTES_MIN));
        for wrong in ["0", "4096", "64", "64MB", "-1", "67108865", "99999999999999999999", "18446744073709551615MiB"] {
            assert!(segment_bytes(wrong).unwrap_err().contains("steps of 4096"), "{wrong}");
        }
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(bytes("256MiB"), Ok(NonZeroU64::new(256 << 20)));
        assert_eq!(bytes("2 GiB"), Ok(NonZeroU64::new(2 << 30)));
        assert_eq!((bytes("5"), bytes("0")), (Ok(NonZeroU64::new(5)), Ok(None)));
        for wrong in ["", "MiB", "-1", "1KB", "1.5GiB", "99999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        let days = |days: u64| Ok(Duration::from_secs(days * 86_400));
        assert_eq!((time_kept("7d"), time_kept("48h"), time_kept("0")), (days(7), days(2), days(0)));
        assert_eq!((time_kept("30m"), time_kept("90s")), (Ok(Duration::from_secs(1800)), Ok(Duration::from_secs(90))));
        for wrong in ["", "7", "d", "-1d", "1w", "1.5h", "99999999999s"] {
            assert!(time_kept(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn levels_are_given_per_room() {
        let levels = log_levels("warn, journal=debug").unwrap();
        assert_eq!(levels.default, LevelFilter::WARN);
        assert_eq!(levels.rooms, [("journal".to_owned(), LevelFilter::DEBUG)]);
        assert!(log_levels("verbose").unwrap_err().contains("off, error, warn"));
        assert!(log_levels("info,jornal=debug").unwrap_err().contains("did you mean journal?"));
        assert!(log_levels("journal=loud").is_err());
        assert!(log_levels("").is_err());
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(***)");
    }

    #[test]
    fn zero_is_no_ceiling() {
        assert_eq!(ceiling("0"), Ok(None));
        assert_eq!(ceiling("20"), Ok(NonZeroU32::new(20)));
        assert!(ceiling("-1").is_err() && ceiling("many").is_err());
    }
}
