//! The oracle of the tests: a plain recursive RESP decoder that shares no code with the room it checks.

/// A decoded frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Frame {
    Simple(String),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    Verbatim(String),
    Null,
    Array(Vec<Frame>),
    Set(Vec<Frame>),
    Map(Vec<Frame>),
}

/// The first frame of `bytes` and its length; `None` if it is not whole or not RESP.
pub(super) fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(bytes.get(1..end)?).ok()?;
    let at = end + 2;
    let items = |count: usize| {
        let (mut items, mut at) = (Vec::new(), at);
        for _ in 0..count {
            let (item, len) = decode(&bytes[at..])?;
            items.push(item);
            at += len;
        }
        Some((items, at))
    };
    let blob = || {
        let len: usize = line.parse().ok()?;
        let body = bytes.get(at..at.checked_add(len)?)?;
        (bytes.get(at + len..at + len + 2)? == b"\r\n").then(|| (body.to_vec(), at + len + 2))
    };
    Some(match bytes[0] {
        b'+' => (Frame::Simple(line.to_owned()), at),
        b'-' => (Frame::Error(line.to_owned()), at),
        b':' => (Frame::Int(line.parse().ok()?), at),
        b'_' if line.is_empty() => (Frame::Null, at),
        b'$' | b'*' if line == "-1" => (Frame::Null, at),
        b'$' => blob().map(|(body, end)| (Frame::Bulk(body), end))?,
        b'=' => {
            let (body, end) = blob()?;
            (Frame::Verbatim(String::from_utf8(body).ok()?.strip_prefix("txt:")?.to_owned()), end)
        }
        b'*' => items(line.parse().ok()?).map(|(items, end)| (Frame::Array(items), end))?,
        b'~' => items(line.parse().ok()?).map(|(items, end)| (Frame::Set(items), end))?,
        b'%' => items(line.parse::<usize>().ok()?.checked_mul(2)?).map(|(items, end)| (Frame::Map(items), end))?,
        _ => return None,
    })
}

/// The arguments of the request that begins `bytes`, and its length.
pub(super) fn request(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let (Frame::Array(frames), len) = decode(bytes)? else { return None };
    let words = frames.into_iter().map(|frame| if let Frame::Bulk(word) = frame { Some(word) } else { None });
    Some((words.collect::<Option<_>>()?, len))
}
