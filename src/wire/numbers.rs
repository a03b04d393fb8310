//! Unsigned integers as Redis reads them: one spelling per number. Signed ones are `core::parse_integer`'s.

/// The unsigned 64-bit integer that `text` spells canonically.
pub(super) fn unsigned(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => text.iter().try_fold(0u64, |number, byte| {
            let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
            number.checked_mul(10)?.checked_add(u64::from(digit))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
