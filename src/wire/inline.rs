//! Inline requests: one line of words, quoted as a shell would, for people with a terminal.
//!
//! The rules are those of Redis's `sdssplitargs`: words are parted by white space; `"..."` knows `\n \r \t \b \a`,
//! `\xHH` and a backslash before anything else; `'...'` knows only `\'`; a closing quote must end the word.

use crate::wire::args::Span;

/// A quote without its end, or one that does not end its word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// Splits `line` into words: their bytes go to `own`, where they stand there to `spans`. Both are emptied first.
pub(super) fn split(line: &[u8], own: &mut Vec<u8>, spans: &mut Vec<Span>) -> Result<(), Unbalanced> {
    own.clear();
    spans.clear();
    let mut rest = line;
    loop {
        let blank = rest.iter().take_while(|&&byte| is_space(byte)).count();
        rest = &rest[blank..];
        // A zero byte ends the line, as it ends a C string.
        if rest.first().is_none_or(|&byte| byte == 0) {
            return Ok(());
        }
        let start = own.len();
        rest = word(rest, own)?;
        spans.push(Span::new(start, own.len() - start));
    }
}

/// Takes one word off `rest`.
fn word<'a>(mut rest: &'a [u8], own: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match rest {
            [] | [0, ..] => return Ok(&[]),
            [b'"', after @ ..] => return closed(double_quoted(after, own)?),
            [b'\'', after @ ..] => return closed(single_quoted(after, own)?),
            [byte, ..] if is_space(*byte) => return Ok(rest),
            [byte, after @ ..] => {
                own.push(*byte);
                after
            }
        }
    }
}

/// What follows a closing quote must part words.
fn closed(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest.first() {
        Some(&byte) if byte != 0 && !is_space(byte) => Err(Unbalanced),
        _ => Ok(rest),
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], own: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match rest {
            [] | [0, ..] => return Err(Unbalanced),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                own.push(hex(*high) << 4 | hex(*low));
                after
            }
            [b'\\', byte, after @ ..] if *byte != 0 => {
                own.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                own.push(*byte);
                after
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], own: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match rest {
            [] | [0, ..] => return Err(Unbalanced),
            [b'\\', b'\'', after @ ..] => {
                own.push(b'\'');
                after
            }
            [b'\'', after @ ..] => return Ok(after),
            [byte, after @ ..] => {
                own.push(*byte);
                after
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

/// White space as C's `isspace` has it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<Vec<u8>>, Unbalanced> {
        let (mut own, mut spans) = (Vec::new(), Vec::new());
        split(line.as_bytes(), &mut own, &mut spans)?;
        Ok(spans.iter().map(|span| own[span.start as usize..][..span.len as usize].to_vec()).collect())
    }

    #[test]
    fn words_are_parted_by_white_space() {
        assert_eq!(words("").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(words(" \t ").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(words("  SET  k\tv ").unwrap(), [b"SET".to_vec(), b"k".to_vec(), b"v".to_vec()]);
    }

    #[test]
    fn quotes_hold_spaces_and_escapes() {
        assert_eq!(words(r#""a b" 'c d'"#).unwrap(), [b"a b".to_vec(), b"c d".to_vec()]);
        assert_eq!(words(r#""" ''"#).unwrap(), [b"".to_vec(), b"".to_vec()]);
        assert_eq!(words(r#""\x00\xfF\n\r\t\b\a\q\"\\""#).unwrap(), [b"\x00\xff\n\r\t\x08\x07q\"\\".to_vec()]);
        assert_eq!(words(r#""\xZZ""#).unwrap(), [b"xZZ".to_vec()]);
        assert_eq!(words(r"'it\'s \n'").unwrap(), [br"it's \n".to_vec()]);
        assert_eq!(words(r#"foo"bar" x"#).unwrap(), [b"foobar".to_vec(), b"x".to_vec()]);
        assert_eq!(words(r"a\x41").unwrap(), [br"a\x41".to_vec()]);
    }

    #[test]
    fn a_quote_must_end_and_end_its_word() {
        for line in [r#""a"#, "'a", r#""a"b"#, "'a'b", r#""a\"#, r#""a\""#, r"'a\'", r#"x " y"#] {
            assert_eq!(words(line), Err(Unbalanced), "{line}");
        }
    }

    #[test]
    fn a_zero_byte_ends_the_line() {
        assert_eq!(words("a b\0c d").unwrap(), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(words("\"a\0\""), Err(Unbalanced));
    }
}
