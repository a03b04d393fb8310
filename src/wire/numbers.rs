//! Integers as Redis reads them: one spelling per number.

/// The integer that `text` spells canonically: no sign but `-`, no leading zero, no `-0`, no space.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = match digits {
        [b'0'] if !negative => 0,
        [b'1'..=b'9', ..] if digits.len() <= 19 => magnitude(digits)?,
        _ => return None,
    };
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// The unsigned 64-bit integer that `text` spells canonically.
pub fn unsigned(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => magnitude(text),
        _ => None,
    }
}

fn magnitude(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |sum, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_has_one_spelling() {
        for number in [0, 1, -1, 9, 10, -10, 1 << 40, i64::MAX, i64::MIN] {
            assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }
        let wrong: [&[u8]; 15] = [
            b"",
            b"-",
            b"+1",
            b"01",
            b"-0",
            b"00",
            b" 1",
            b"1 ",
            b"1.0",
            b"0x1",
            b"--1",
            b"1e3",
            b"\x001",
            b"9223372036854775808",
            b"-9223372036854775809",
        ];
        for text in wrong {
            assert_eq!(integer(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn an_unsigned_integer_has_one_spelling() {
        for number in [0, 1, 42, u64::MAX] {
            assert_eq!(unsigned(number.to_string().as_bytes()), Some(number));
        }
        let wrong: [&[u8]; 6] = [b"", b"-1", b"+1", b"007", b"18446744073709551616", b"1a"];
        for text in wrong {
            assert_eq!(unsigned(text), None, "{}", text.escape_ascii());
        }
    }
}
