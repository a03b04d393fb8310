//! What a server answers, in both protocols. Shares no code with the product: it is what checks it.

use std::fmt;

/// One reply of RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+`
    Status(String),
    /// `-`, without the dash
    Error(String),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1`, `_`
    Null,
    /// `*`
    Array(Vec<Reply>),
    /// `%`
    Map(Vec<(Reply, Reply)>),
    /// `~`
    Set(Vec<Reply>),
    /// `,`
    Double(String),
    /// `=`, without the format
    Verbatim(Vec<u8>),
}

impl Reply {
    /// The text of a status, a bulk string or a verbatim text.
    pub fn text(&self) -> Option<String> {
        match self {
            Reply::Status(text) => Some(text.clone()),
            Reply::Bulk(bytes) | Reply::Verbatim(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    /// The number of an integer.
    pub fn int(&self) -> Option<i64> {
        match self {
            Reply::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The members of an array or a set.
    pub fn items(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(items) | Reply::Set(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a map, or of the flat array that stands for one in RESP2.
    pub fn pairs(&self) -> Option<Vec<(Reply, Reply)>> {
        match self {
            Reply::Map(pairs) => Some(pairs.clone()),
            Reply::Array(items) if items.len() % 2 == 0 => {
                Some(items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
            }
            _ => None,
        }
    }

    /// The value beside `name` in a map.
    pub fn field(&self, name: &str) -> Option<Reply> {
        let pairs = self.pairs()?;
        pairs.into_iter().find(|(key, _)| key.text().as_deref() == Some(name)).map(|(_, value)| value)
    }

    /// Whether this is an error whose line starts with `prefix`.
    pub fn is_error(&self, prefix: &str) -> bool {
        matches!(self, Reply::Error(line) if line.starts_with(prefix))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, open: &str, items: &[Reply], close: &str| {
            f.write_str(open)?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    f.write_str(" ")?;
                }
                item.fmt(f)?;
            }
            f.write_str(close)
        };
        match self {
            Reply::Status(text) => f.write_str(text),
            Reply::Error(line) => write!(f, "-{line}"),
            Reply::Int(number) => number.fmt(f),
            Reply::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Reply::Null => f.write_str("(nil)"),
            Reply::Array(items) => list(f, "[", items, "]"),
            Reply::Set(items) => list(f, "~[", items, "]"),
            Reply::Map(pairs) => {
                f.write_str("{")?;
                for (key, value) in pairs {
                    write!(f, " {key} {value}")?;
                }
                f.write_str(" }")
            }
            Reply::Double(text) => write!(f, "(double) {text}"),
            Reply::Verbatim(bytes) => write!(f, "(verbatim) \"{}\"", bytes.escape_ascii()),
        }
    }
}

/// The first reply in `bytes` and its length; `None` while it is not complete, `Err` where this is no RESP.
pub fn decode(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    let mut at = 0;
    Ok(value(bytes, &mut at)?.map(|reply| (reply, at)))
}

fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = &bytes[*at..];
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += end + 2;
    Some(&rest[..end])
}

fn number(text: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}

fn value(bytes: &[u8], at: &mut usize) -> Result<Option<Reply>, String> {
    let Some(head) = line(bytes, at) else { return Ok(None) };
    let Some((&kind, rest)) = head.split_first() else { return Err("an empty line".into()) };
    let text = || String::from_utf8_lossy(rest).into_owned();
    Ok(Some(match kind {
        b'+' => Reply::Status(text()),
        b'-' => Reply::Error(text()),
        b':' => Reply::Int(number(rest)?),
        b',' => Reply::Double(text()),
        b'_' => Reply::Null,
        b'$' | b'=' => {
            let length = number(rest)?;
            if length < 0 {
                return Ok(Some(Reply::Null));
            }
            let (start, end) = (*at, *at + length as usize);
            if bytes.len() < end + 2 {
                return Ok(None);
            }
            if &bytes[end..end + 2] != b"\r\n" {
                return Err(format!("a string of {length} bytes does not end with CRLF"));
            }
            *at = end + 2;
            let content = &bytes[start..end];
            if kind == b'=' { Reply::Verbatim(content[4..].to_vec()) } else { Reply::Bulk(content.to_vec()) }
        }
        b'*' | b'~' | b'%' => {
            let length = number(rest)?;
            if length < 0 {
                return Ok(Some(Reply::Null));
            }
            let count = if kind == b'%' { 2 * length } else { length };
            let mut items = Vec::new();
            for _ in 0..count {
                match value(bytes, at)? {
                    Some(item) => items.push(item),
                    None => return Ok(None),
                }
            }
            match kind {
                b'*' => Reply::Array(items),
                b'~' => Reply::Set(items),
                _ => {
                    let mut pairs = Vec::new();
                    let mut items = items.into_iter();
                    while let (Some(key), Some(value)) = (items.next(), items.next()) {
                        pairs.push((key, value));
                    }
                    Reply::Map(pairs)
                }
            }
        }
        other => return Err(format!("a reply starts with '{}'", other.escape_ascii())),
    }))
}

#[test]
fn replies_of_both_protocols_are_read_and_half_ones_wait() {
    let bytes = b"*3\r\n+GRANTED\r\n:1\r\n$2\r\na\n\r\n%1\r\n$1\r\nk\r\n_\r\n=5\r\ntxt:x\r\n";
    let (first, used) = decode(bytes).unwrap().unwrap();
    assert_eq!(first.to_string(), r#"[GRANTED 1 "a\n"]"#);
    let (second, more) = decode(&bytes[used..]).unwrap().unwrap();
    assert_eq!(second.to_string(), r#"{ "k" (nil) }"#);
    assert_eq!(decode(&bytes[used + more..]).unwrap().unwrap().0, Reply::Verbatim(b"x".to_vec()));
    for cut in 0..used {
        assert_eq!(decode(&bytes[..cut]).unwrap(), None, "cut at {cut}");
    }
}
