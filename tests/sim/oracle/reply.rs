//! Expected replies, in bytes.

use super::ask::number_to;

/// In an expected reply: whatever stands here up to the end of the line.
pub const ANYTHING: u8 = 0;

/// What becomes of a claim, a confirmation or a cancel: a word and numbers.
pub fn outcome(out: &mut Vec<u8>, flat: bool, word: &[u8], numbers: &[i64]) {
    if flat {
        let mut text = word.to_vec();
        for number in numbers {
            text.push(b' ');
            number_to(&mut text, *number);
        }
        return bulk(out, &text);
    }
    array(out, 1 + numbers.len());
    status(out, word);
    numbers.iter().for_each(|number| integer(out, *number));
}

/// The beginning of an array.
pub fn array(out: &mut Vec<u8>, len: usize) {
    out.push(b'*');
    number_to(out, len as i64);
    out.extend_from_slice(b"\r\n");
}

/// A word.
pub fn status(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'+');
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// A line that other rules judge, or none.
pub fn anything(out: &mut Vec<u8>) {
    out.push(ANYTHING);
    out.extend_from_slice(b"\r\n");
}

/// A number.
pub fn integer(out: &mut Vec<u8>, number: i64) {
    out.push(b':');
    number_to(out, number);
    out.extend_from_slice(b"\r\n");
}

/// Bytes.
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'$');
    number_to(out, bytes.len() as i64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// An error line that begins so.
pub fn error(out: &mut Vec<u8>, begins: &[u8]) {
    out.push(b'-');
    out.extend_from_slice(begins);
    out.push(ANYTHING);
    out.extend_from_slice(b"\r\n");
}
