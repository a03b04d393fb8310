//! Patterns as in Redis: `*`, `?`, `[a-z]`, `[^a]`, `\` before a byte that means itself.

/// Does `text` match `pattern`? Work is at most the product of their lengths: of several `*` only the last one is tried
/// again, since whatever an earlier one could swallow, the last one can too.
pub fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, text);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = rest {
            rest = after;
            retry = Some((after, left));
            if after.is_empty() {
                return true;
            }
            continue;
        }
        let step = match left {
            [] if rest.is_empty() => return true,
            // Every further try would have even less text.
            [] => return false,
            [byte, after @ ..] => one(rest, *byte).map(|rest| (rest, after)),
        };
        (rest, left) = match (step, retry) {
            (Some(next), _) => next,
            (None, Some((after_star, [_, text @ ..]))) => {
                retry = Some((after_star, text));
                (after_star, text)
            }
            (None, _) => return false,
        };
    }
}

/// The pattern behind its first element, if that element takes `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', b'^', rest @ ..] => class(rest, byte).and_then(|(rest, hit)| (!hit).then_some(rest)),
        [b'[', rest @ ..] => class(rest, byte).and_then(|(rest, hit)| hit.then_some(rest)),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == byte).then_some(rest),
    }
}

/// The pattern behind a class, and whether the class holds `byte`. A class without its `]` ends with the pattern.
fn class(mut pattern: &[u8], byte: u8) -> Option<(&[u8], bool)> {
    let mut hit = false;
    loop {
        pattern = match pattern {
            [] => return Some((pattern, hit)),
            [b'\\', literal, rest @ ..] => {
                hit |= *literal == byte;
                rest
            }
            [b']', rest @ ..] => return Some((rest, hit)),
            [from, b'-', to, rest @ ..] => {
                hit |= (*from.min(to)..=*from.max(to)).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                hit |= *literal == byte;
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab ab a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            // The range swallows the bracket.
            ("[a-]", "-", false),
            ("[a-]", "_", true),
            ("[-a]", "-", true),
            ("[]", "]", false),
            ("[\\]]", "]", true),
            ("[a\\-z]", "-", true),
            ("[a\\-z]", "b", false),
            ("[abc", "b", true),
            ("[abc", "d", false),
            ("[", "a", false),
            ("[^a", "", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\*c", "abc", false),
            ("a\\", "a\\", true),
            ("user:*:[0-9]", "user:x:y:7", true),
            ("**a**", "bab", true),
            ("a**", "a", true),
            ("*x", "xy", false),
            ("?", "", false),
            ("abc", "abcd", false),
            ("abcd", "abc", false),
        ] {
            assert_eq!(glob_matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!glob_matches(pattern.as_bytes(), &[b'a'; 20_000]));
    }
}
