//! Glob patterns as Redis matches them: `*`, `?`, `[a-z]`, `[^x]` and a backslash before what stands for itself.

/// Whether all of `text` matches `pattern`, letters in either case. For short texts of our own: names of commands and
/// settings. Time is bounded by the product of both lengths.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // After the last star: what follows it, and the text from which that was tried last.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            retry = Some((rest, text));
            pattern = rest;
            continue;
        }
        if let Some((&byte, after)) = text.split_first() {
            if let Some(rest) = step(pattern, byte) {
                (pattern, text) = (rest, after);
                continue;
            }
        } else if pattern.is_empty() {
            return true;
        }
        let Some((rest, [_, from @ ..])) = retry else { return false };
        retry = Some((rest, from));
        (pattern, text) = (rest, from);
    }
}

/// What is left of a pattern that begins with no star, after `byte`; `None` where it does not match.
fn step(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => class(rest, byte),
        [b'\\', wanted, rest @ ..] | [wanted, rest @ ..] => wanted.eq_ignore_ascii_case(&byte).then_some(rest),
    }
}

/// What is left of a pattern after the class that begins it, if `byte` is in it. A class without its end reaches to
/// the end of the pattern.
fn class(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let byte = byte.to_ascii_lowercase();
    let mut found = false;
    loop {
        rest = match rest {
            [] => break,
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [b'\\', wanted, after @ ..] => {
                found |= wanted.eq_ignore_ascii_case(&byte);
                after
            }
            [from, b'-', to, after @ ..] => {
                let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                after
            }
            [wanted, after @ ..] => {
                found |= wanted.eq_ignore_ascii_case(&byte);
                after
            }
        }
    }
    (found != negated).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let right = [
            ("*", ""),
            ("*", "abc"),
            ("", ""),
            ("a*c", "abbc"),
            ("a*c", "ac"),
            ("*b*", "abc"),
            ("a?c", "abc"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-c]llo", "hbllo"),
            ("h[c-a]llo", "hbllo"),
            (r"a\*c", "a*c"),
            ("A*", "abc"),
            ("a**c", "abc"),
            ("*a*b*c", "xxaxxbabc"),
            ("[ab", "a"),
            (r"[\]]", "]"),
            ("config|*", "config|get"),
        ];
        for (pattern, text) in right {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        let wrong = [
            ("", "a"),
            ("a", ""),
            ("a*c", "ab"),
            ("a?c", "ac"),
            ("h[ae]llo", "hillo"),
            ("h[^e]llo", "hello"),
            (r"a\*c", "abc"),
            ("?", ""),
            ("[", "a"),
            ("a", "aa"),
            ("*x", "xy"),
            ("[^a", ""),
        ];
        for (pattern, text) in wrong {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }
}
