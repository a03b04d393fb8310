//! Points in time as people write them: unix milliseconds, or ISO 8601 with an offset.

use jiff::Timestamp;

use crate::core::{Refusal, parse_integer};
use crate::ids::Millis;
use crate::wire::refusals::quoted;

/// 1973-03-03 in seconds: what is smaller was meant as no time of ours.
const SECONDS_MIN: i64 = 100_000_000;
/// 2001-09-09: what is smaller was meant as seconds.
const MILLIS_MIN: i64 = 1_000_000_000_000;
/// The last millisecond of the year 9999: what is larger was meant as microseconds or less.
const MILLIS_MAX: i64 = 253_402_300_799_999;

/// The time that `text` tells; `option` is whose value it is.
pub(super) fn time(option: &str, text: &[u8]) -> Result<Millis, Refusal> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        return millis(option, text);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<Timestamp>().ok())
        .map(|time| Millis(time.as_millisecond()))
        .ok_or_else(|| {
            Refusal::ErrText(format!(
                "{option} '{}' is not a time: give unix milliseconds, or ISO 8601 with an offset as in \
                 2026-05-01T12:00:00+09:00",
                quoted(text)
            ))
        })
}

fn millis(option: &str, text: &[u8]) -> Result<Millis, Refusal> {
    match parse_integer(text) {
        Some(time @ MILLIS_MIN..=MILLIS_MAX) => Ok(Millis(time)),
        Some(time @ SECONDS_MIN..MILLIS_MIN) => Err(Refusal::ErrText(format!(
            "{option} {time} looks like seconds: give unix milliseconds ({time}000), or ISO 8601 with an offset"
        ))),
        _ => Err(Refusal::ErrText(format!(
            "{option} '{}' is out of range: unix milliseconds have 13 digits in our time",
            quoted(text)
        ))),
    }
}
