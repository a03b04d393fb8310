//! Numbers as Redis reads and writes them.

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, RoundingMode};

use crate::core::reply::Refusal;

/// `ERR value is not an integer or out of range`
pub const NOT_AN_INTEGER: Refusal = Refusal::Err("value is not an integer or out of range");

const NOT_A_FLOAT: Refusal = Refusal::Err("value is not a valid float");
const NOT_FINITE: Refusal = Refusal::Err("increment would produce NaN or Infinity");

/// The longest text of a decimal, as in Redis.
const DECIMAL_BYTES_MAX: usize = 5 * 1024;
/// The place of the first digit of a decimal: as far as a double goes.
const FIRST_DIGIT_MAX: i64 = 308;
/// The place below which a number counts as lost, as in Redis.
const FIRST_DIGIT_MIN: i64 = -4951;
/// Digits behind the point in a sum, as in Redis.
const FRACTION_DIGITS: usize = 17;

/// A canonical signed 64-bit integer: no `+`, no spaces, no leading zeros, no `-0`.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    digits
        .iter()
        .try_fold(0i64, |number, byte| {
            let digit = i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
            // Built downwards: the lowest integer has no positive counterpart.
            number.checked_mul(10)?.checked_sub(digit)
        })
        .and_then(|number| if negative { Some(number) } else { number.checked_neg() })
}

/// `value + step`, exact, with at most 17 digits behind the point and no zeros at the end: 0.1 + 0.2 is 0.3.
pub(super) fn add_decimals(value: &[u8], step: &[u8]) -> Result<String, Refusal> {
    let value = parse_decimal(value).ok_or(NOT_A_FLOAT)?;
    let step = parse_decimal(step).ok_or(NOT_A_FLOAT)?;
    let (Decimal::Finite(value), Decimal::Finite(step)) = (value, step) else { return Err(NOT_FINITE) };
    plain(&(value + step)).ok_or(NOT_FINITE)
}

enum Decimal {
    Finite(BigDecimal),
    Infinite,
}

fn parse_decimal(text: &[u8]) -> Option<Decimal> {
    if text.len() >= DECIMAL_BYTES_MAX {
        return None;
    }
    let (sign, unsigned) = match text {
        [b'-', rest @ ..] => (Sign::Minus, rest),
        [b'+', rest @ ..] | rest => (Sign::Plus, rest),
    };
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Some(Decimal::Infinite);
    }
    let (mantissa, exponent) = match unsigned.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e')) {
        Some(at) => (&unsigned[..at], parse_exponent(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &mantissa[..0]),
    };
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let Some(zeros) = digits.iter().position(|digit| *digit != b'0') else {
        return Some(Decimal::Finite(BigDecimal::from(0)));
    };
    // The bound on the exponent is what keeps the exact sum short.
    let first_digit = exponent + whole.len() as i64 - zeros as i64 - 1;
    if !(FIRST_DIGIT_MIN..=FIRST_DIGIT_MAX).contains(&first_digit) {
        return None;
    }
    let number = BigInt::parse_bytes(&digits, 10)?;
    let number = if sign == Sign::Minus { -number } else { number };
    Some(Decimal::Finite(BigDecimal::new(number, fraction.len() as i64 - exponent)))
}

/// An exponent, or one just as far out of range.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0i64, |size, digit| (size * 10 + i64::from(digit - b'0')).min(1 << 32));
    Some(if negative { -size } else { size })
}

/// The number in plain digits; nothing where it is beyond a double.
fn plain(number: &BigDecimal) -> Option<String> {
    let rounded = number.with_scale_round(FRACTION_DIGITS as i64, RoundingMode::HalfEven);
    let (scaled, _) = rounded.as_bigint_and_exponent();
    let digits = format!("{:0>width$}", scaled.magnitude().to_string(), width = FRACTION_DIGITS + 1);
    let (whole, fraction) = digits.split_at(digits.len() - FRACTION_DIGITS);
    if whole.len() as i64 > FIRST_DIGIT_MAX + 1 {
        return None;
    }
    let sign = if scaled.sign() == Sign::Minus { "-" } else { "" };
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_are_integers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-7", Some(-7)),
            ("1234567890", Some(1_234_567_890)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
            ("", None),
            ("-", None),
            ("+1", None),
            ("01", None),
            ("-0", None),
            ("-01", None),
            ("00", None),
            ("--1", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
            ("1a", None),
            ("1e3", None),
            ("0x1", None),
            ("\x001", None),
            ("a", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn decimals_add_exactly() {
        for (value, step, sum) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("3.0e3", "0", "3000"),
            ("5.0e3", "2.0e2", "5200"),
            ("5.0e3", "-2.0e2", "4800"),
            ("10", "-10", "0"),
            ("0", "-0.0", "0"),
            ("-0.5", "0.25", "-0.25"),
            (".5", "5.", "5.5"),
            ("+1", "1E+2", "101"),
            ("0.00000000000000001", "0", "0.00000000000000001"),
            ("0.000000000000000001", "0", "0"),
            ("-0.000000000000000001", "0", "0"),
            ("1e-4000", "1", "1"),
            ("9007199254740993", "0.5", "9007199254740993.5"),
            ("0e99999999999999999999", "1", "1"),
        ] {
            assert_eq!(add_decimals(value.as_bytes(), step.as_bytes()).as_deref(), Ok(sum), "{value} + {step}");
        }
        let large = add_decimals(b"1e308", b"1").expect("a double holds it");
        assert_eq!((large.len(), large.ends_with('1')), (309, true));
    }

    #[test]
    fn what_is_no_finite_decimal_is_refused() {
        for text in [
            "", " ", "1 ", " 1", "abc", "1.2.3", "e5", "1e", "1e+", ".", "-", "0x10", "nan", "--1", "1e400", "-1e400",
            "1e-5000",
        ] {
            assert_eq!(add_decimals(b"1", text.as_bytes()), Err(NOT_A_FLOAT), "{text:?}");
            assert_eq!(add_decimals(text.as_bytes(), b"1"), Err(NOT_A_FLOAT), "{text:?}");
        }
        assert_eq!(add_decimals(b"1", &[b'1'; DECIMAL_BYTES_MAX]), Err(NOT_A_FLOAT));
        for text in ["inf", "-inf", "+Infinity"] {
            assert_eq!(add_decimals(b"1", text.as_bytes()), Err(NOT_FINITE), "{text:?}");
        }
        assert_eq!(add_decimals(b"9.5e308", b"9.5e308"), Err(NOT_FINITE));
    }
}
