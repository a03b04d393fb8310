//! What a conversation expects, and whether a reply is that.
//!
//! ```text
//! OK                  a simple string              12            an integer
//! "a\x00b"            a bulk string                (nil)         null
//! =OPEN               either kind of string        *             anything
//! (int) (bulk)        any integer, any bulk        (time)        Unix milliseconds
//! GRANTED 1 99        an array of these            [] [1 [2 3]]  arrays in brackets
//! {"a" 1 "b" *}       a map (flat in RESP2)        {... "b" 2}   a map that holds at least this
//! -ERR no such *      an error line; * stands for any text; a final $ stands behind a blank that ends the line
//! ~"one" "two"        an array or set in any order
//! ```

use super::Reply;
use super::script::unquote;

/// What a reply must look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// `*`
    Anything,
    /// `(int)`
    AnyInt,
    /// `(time)`
    Time,
    /// `(bulk)`
    AnyBulk,
    /// `(nil)`
    Null,
    /// A bare word.
    Status(String),
    /// `=word`
    Text(String),
    /// A number.
    Int(i64),
    /// A quoted string.
    Bulk(Vec<u8>),
    /// `-line`, with `*` for any text.
    Error(String),
    /// Several values, or brackets.
    Array(Vec<Pattern>),
    /// `~`: several values in any order.
    AnyOrder(Vec<Pattern>),
    /// `{...}`: pairs; with `open` others may stand beside them, in any order.
    Map { pairs: Vec<(Pattern, Pattern)>, open: bool },
}

impl Pattern {
    /// Reads what stands behind `<`.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let text = text.trim();
        if let Some(line) = text.strip_prefix('-')
            && !line.starts_with(|first: char| first.is_ascii_digit())
        {
            return Ok(Pattern::Error(line.strip_suffix('$').unwrap_or(line).to_owned()));
        }
        let (text, any_order) = match text.strip_prefix('~') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let mut rest = text;
        let mut values = Vec::new();
        while !rest.trim_start().is_empty() {
            values.push(one(&mut rest)?);
        }
        if any_order {
            return Ok(Pattern::AnyOrder(values));
        }
        match values.len() {
            0 => Err("nothing is expected".into()),
            1 => Ok(values.remove(0)),
            _ => Ok(Pattern::Array(values)),
        }
    }

    /// Whether `reply` is what was expected.
    pub fn matches(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Pattern::Anything, _) => true,
            (Pattern::AnyInt, Reply::Int(_)) | (Pattern::AnyBulk, Reply::Bulk(_)) | (Pattern::Null, Reply::Null) => {
                true
            }
            (Pattern::Time, Reply::Int(number)) => *number >= 1_000_000_000_000,
            (Pattern::Status(word), Reply::Status(text)) => word == text,
            (Pattern::Text(word), _) => reply.text().as_ref() == Some(word),
            (Pattern::Int(expected), Reply::Int(number)) => expected == number,
            (Pattern::Bulk(expected), Reply::Bulk(bytes)) => expected == bytes,
            (Pattern::Error(glob), Reply::Error(line)) => glob_matches(glob, line),
            (Pattern::Array(expected), Reply::Array(items) | Reply::Set(items)) => {
                expected.len() == items.len() && expected.iter().zip(items).all(|(one, item)| one.matches(item))
            }
            (Pattern::AnyOrder(expected), Reply::Array(items) | Reply::Set(items)) => {
                let mut left: Vec<&Reply> = items.iter().collect();
                expected.len() == items.len()
                    && expected.iter().all(|one| match left.iter().position(|item| one.matches(item)) {
                        Some(at) => {
                            left.remove(at);
                            true
                        }
                        None => false,
                    })
            }
            (Pattern::Map { pairs, open }, _) => {
                let Some(found) = reply.pairs() else { return false };
                let same =
                    |(key, value): &(Pattern, Pattern), at: &(Reply, Reply)| key.matches(&at.0) && value.matches(&at.1);
                if *open {
                    pairs.iter().all(|pair| found.iter().any(|at| same(pair, at)))
                } else {
                    pairs.len() == found.len() && pairs.iter().zip(&found).all(|(pair, at)| same(pair, at))
                }
            }
            _ => false,
        }
    }
}

fn one(rest: &mut &str) -> Result<Pattern, String> {
    *rest = rest.trim_start();
    let first = rest.chars().next().ok_or("a value is missing")?;
    match first {
        '[' => {
            *rest = &rest[1..];
            Ok(Pattern::Array(until(rest, ']')?))
        }
        '{' => {
            *rest = &rest[1..];
            let open = rest.starts_with("...");
            if open {
                *rest = &rest[3..];
            }
            let values = until(rest, '}')?;
            if values.len() % 2 != 0 {
                return Err("a map needs pairs".into());
            }
            let pairs = values.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            Ok(Pattern::Map { pairs, open })
        }
        '"' => Ok(Pattern::Bulk(unquote(rest)?)),
        _ => {
            let end = rest.find([' ', ']', '}']).unwrap_or(rest.len());
            let word = &rest[..end];
            *rest = &rest[end..];
            Ok(match word {
                "*" => Pattern::Anything,
                "(int)" => Pattern::AnyInt,
                "(time)" => Pattern::Time,
                "(bulk)" => Pattern::AnyBulk,
                "(nil)" => Pattern::Null,
                _ => match (word.parse(), word.strip_prefix('=')) {
                    (Ok(number), _) => Pattern::Int(number),
                    (_, Some(text)) => Pattern::Text(text.to_owned()),
                    _ => Pattern::Status(word.to_owned()),
                },
            })
        }
    }
}

fn until(rest: &mut &str, close: char) -> Result<Vec<Pattern>, String> {
    let mut values = Vec::new();
    loop {
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(close) {
            *rest = after;
            return Ok(values);
        }
        if rest.is_empty() {
            return Err(format!("'{close}' is missing"));
        }
        values.push(one(rest)?);
    }
}

fn glob_matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    match last {
        None => rest.is_empty(),
        Some(tail) => text.ends_with(tail),
    }
}

#[test]
fn a_pattern_accepts_what_it_says_and_nothing_else() {
    let reply = |bytes: &[u8]| super::decode(bytes).unwrap().unwrap().0;
    for (pattern, bytes, fits) in [
        ("OK", &b"+OK\r\n"[..], true),
        ("OK", b"$2\r\nOK\r\n", false),
        ("=OK", b"$2\r\nOK\r\n", true),
        ("1", b":1\r\n", true),
        ("\"1\"", b":1\r\n", false),
        ("-1", b":-1\r\n", true),
        ("-ERR no *", b"-ERR no such key\r\n", true),
        ("-ERR no", b"-ERR no such key\r\n", false),
        ("-ERR with: $", b"-ERR with: \r\n", true),
        ("GRANTED 1 (int)", b"*3\r\n+GRANTED\r\n:1\r\n:9\r\n", true),
        ("[]", b"*0\r\n", true),
        ("~\"b\" \"a\"", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", true),
        ("~\"b\" \"b\"", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", false),
        ("{\"a\" 1}", b"%1\r\n$1\r\na\r\n:1\r\n", true),
        ("{\"a\" 1}", b"*2\r\n$1\r\na\r\n:1\r\n", true),
        ("{...\"c\" 2}", b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nc\r\n:2\r\n", true),
        ("[1 [2 (nil)]]", b"*2\r\n:1\r\n*2\r\n:2\r\n$-1\r\n", true),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap().matches(&reply(bytes)), fits, "{pattern} on {}", reply(bytes));
    }
}
