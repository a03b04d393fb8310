//! One change of an input.

use super::Chance;

/// Bends `input` in one place; `other` is another input to take from.
pub(super) fn bend(input: &mut Vec<u8>, other: &[u8], words: &[&[u8]], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    match chance.below(13) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = chance.any() as u8;
            }
        }
        3 if !words.is_empty() => insert(input, at, chance.pick::<&[u8]>(words)),
        4 if !words.is_empty() => overwrite(input, at, chance.pick::<&[u8]>(words)),
        5 => {
            let end = range_end(input, at, chance);
            input.drain(at..end);
        }
        6 => {
            let piece = input[at..range_end(input, at, chance)].to_vec();
            insert(input, chance.below(input.len() + 1), &piece);
        }
        7 => {
            let from = chance.below(other.len() + 1);
            let end = from + chance.below((other.len() - from).min(64) + 1);
            insert(input, at, &other[from..end]);
        }
        8 => {
            input.truncate(at);
            input.extend_from_slice(&other[chance.below(other.len() + 1)..]);
        }
        9 => {
            let width = *chance.pick(&[1, 2, 4, 8]);
            let number = chance.number().to_le_bytes();
            overwrite(input, at, &number[..width]);
        }
        10 => step(input, at, chance),
        11 => decimal(input, at, chance),
        _ => insert(input, at, &chance.bytes(16)),
    }
}

/// Ranges are short, mostly.
fn range_end(input: &[u8], at: usize, chance: &mut Chance) -> usize {
    let longest = if chance.one_in(8) { input.len() } else { 16 };
    at + chance.below((input.len() - at).min(longest) + 1)
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

fn overwrite(input: &mut [u8], at: usize, piece: &[u8]) {
    let len = piece.len().min(input.len() - at);
    input[at..at + len].copy_from_slice(&piece[..len]);
}

/// A binary number, little-endian, a little more or less.
fn step(input: &mut [u8], at: usize, chance: &mut Chance) {
    if let Some(bytes) = input.get_mut(at..at + 4) {
        let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let changed = number.wrapping_add(chance.below(9) as u32).wrapping_sub(4);
        bytes.copy_from_slice(&changed.to_le_bytes());
    }
}

/// The decimal number at or behind `at`, another one.
fn decimal(input: &mut Vec<u8>, at: usize, chance: &mut Chance) {
    let Some(start) = input[at..].iter().position(u8::is_ascii_digit).map(|skip| at + skip) else { return };
    let len = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let there: u64 =
        std::str::from_utf8(&input[start..start + len]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let number = match chance.below(4) {
        0 => there.wrapping_add(1),
        1 => there.saturating_sub(1),
        2 => chance.number(),
        _ => chance.below(12) as u64,
    };
    let sign = *chance.pick(&["", "", "", "-", "+", "0"]);
    input.splice(start..start + len, format!("{sign}{number}").into_bytes());
}
