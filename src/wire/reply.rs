//! Replies onto the wire, as RESP2 or RESP3.

use std::fmt::{self, Write as _};

use crate::core::{Claim, Outcome, Reply, Settled};
use crate::ids::{Millis, Seat};

/// Which protocol a connection speaks: RESP2 until `HELLO 3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2
    #[default]
    Resp2,
    /// RESP3
    Resp3,
}

/// Appends `reply` to `out`.
#[inline]
pub fn encode(reply: &Reply<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    match reply {
        Reply::Int(number) => int(*number, out),
        Reply::Claim(answer) => claim(answer, out),
        Reply::Settled(Settled { settlement, remaining, flat }) => {
            seat_answer(settlement.words(), *remaining, *flat, out);
        }
        Reply::Ok => out.extend_from_slice(b"+OK\r\n"),
        Reply::Bulk(bytes) => bulk(bytes, out),
        Reply::Null => null(protocol, out),
        Reply::Status(_)
        | Reply::BulkInt(_)
        | Reply::Array(_)
        | Reply::Map(_)
        | Reply::Set(_)
        | Reply::Verbatim(_)
        | Reply::Refused(_) => encode_rest(reply, protocol, out),
    }
}

#[inline(never)]
fn encode_rest(reply: &Reply<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    match reply {
        Reply::Status(text) => simple(text, out),
        Reply::BulkInt(number) => bulk(itoa::Buffer::new().format(*number).as_bytes(), out),
        Reply::Array(items) => {
            array_header(items.len(), out);
            items.iter().for_each(|item| encode(item, protocol, out));
        }
        Reply::Set(items) => {
            set_header(items.len(), protocol, out);
            items.iter().for_each(|item| encode(item, protocol, out));
        }
        Reply::Map(pairs) => {
            map_header(pairs.len(), protocol, out);
            for (key, value) in pairs {
                encode(key, protocol, out);
                encode(value, protocol, out);
            }
        }
        Reply::Verbatim(text) => verbatim(text, protocol, out),
        Reply::Refused(refusal) => error(refusal, out),
        Reply::Ok | Reply::Int(_) | Reply::Bulk(_) | Reply::Null | Reply::Claim(_) | Reply::Settled(_) => {
            encode(reply, protocol, out)
        }
    }
}

/// `+text`. The text has no line ends: simple strings are ours, not the client's.
pub fn simple(text: &str, out: &mut Vec<u8>) {
    assert!(!text.contains(['\r', '\n']), "a simple string is one line");
    out.push(b'+');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `-line`, where the line is what `text` displays, with line ends as spaces.
pub fn error(text: &impl fmt::Display, out: &mut Vec<u8>) {
    out.push(b'-');
    write!(OneLine(out), "{text}").expect("a Vec takes every byte");
    out.extend_from_slice(b"\r\n");
}

/// `:number`
#[inline]
pub fn int(number: i64, out: &mut Vec<u8>) {
    header(b':', number, out);
}

/// `$len` and the bytes.
#[inline]
pub fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    header(b'$', bytes.len() as i64, out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// `$-1`, in RESP3 `_`.
pub fn null(protocol: Protocol, out: &mut Vec<u8>) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"$-1\r\n".as_slice(),
        Protocol::Resp3 => b"_\r\n",
    });
}

/// The head of an array of `len` items.
pub fn array_header(len: usize, out: &mut Vec<u8>) {
    header(b'*', len as i64, out);
}

/// The head of a map of `pairs` pairs; in RESP2 of an array twice as long.
pub fn map_header(pairs: usize, protocol: Protocol, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Resp2 => header(b'*', 2 * pairs as i64, out),
        Protocol::Resp3 => header(b'%', pairs as i64, out),
    }
}

/// The head of a set of `len` items; in RESP2 of an array.
pub fn set_header(len: usize, protocol: Protocol, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Resp2 => header(b'*', len as i64, out),
        Protocol::Resp3 => header(b'~', len as i64, out),
    }
}

/// The head of a push message of `len` items; in RESP2 of an array.
pub fn push_header(len: usize, protocol: Protocol, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Resp2 => header(b'*', len as i64, out),
        Protocol::Resp3 => header(b'>', len as i64, out),
    }
}

/// A text that RESP3 marks as such (`=len`, `txt:`); in RESP2 a bulk string.
pub fn verbatim(text: &str, protocol: Protocol, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Resp2 => bulk(text.as_bytes(), out),
        Protocol::Resp3 => {
            header(b'=', text.len() as i64 + 4, out);
            out.extend_from_slice(b"txt:");
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn claim(claim: &Claim, out: &mut Vec<u8>) {
    if let Outcome::Held(seat, until) = claim.outcome {
        return hold_answer(seat, claim.remaining, until, claim.flat, out);
    }
    if let (Outcome::Granted(seat), false) = (claim.outcome, claim.flat) {
        out.extend_from_slice(b"*3\r\n+GRANTED\r\n:");
        return two_numbers(i64::from(seat.get()), claim.remaining, out);
    }
    seat_answer(claim.outcome.words(), claim.remaining, claim.flat, out);
}

/// Two integers, the mark of the first of which is there.
#[inline]
fn two_numbers(number: i64, remaining: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n:");
    out.extend_from_slice(itoa::Buffer::new().format(remaining).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A status, its number and the free seats: an array, or one line.
#[inline]
fn seat_answer((status, number): (&str, i64), remaining: u32, flat: bool, out: &mut Vec<u8>) {
    if flat {
        let (mut first, mut second) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (number, remaining) = (first.format(number), second.format(remaining));
        header(b'$', (status.len() + number.len() + remaining.len() + 2) as i64, out);
        out.extend_from_slice(status.as_bytes());
        out.push(b' ');
        out.extend_from_slice(number.as_bytes());
        out.push(b' ');
        out.extend_from_slice(remaining.as_bytes());
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(b"*3\r\n+");
        out.extend_from_slice(status.as_bytes());
        out.extend_from_slice(b"\r\n:");
        two_numbers(number, remaining, out);
    }
}

/// The same of a hold, and when it ends.
#[cold]
fn hold_answer(seat: Seat, remaining: u32, until: Millis, flat: bool, out: &mut Vec<u8>) {
    if flat {
        bulk(format!("HELD {seat} {remaining} {}", until.0).as_bytes(), out);
    } else {
        out.extend_from_slice(b"*4\r\n+HELD\r\n");
        [i64::from(seat.get()), i64::from(remaining), until.0].into_iter().for_each(|number| int(number, out));
    }
}

#[inline]
fn header(mark: u8, number: i64, out: &mut Vec<u8>) {
    out.push(mark);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes text with its line ends as spaces: an error is one line whatever a client wrote into it.
struct OneLine<'a>(&'a mut Vec<u8>);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        Ok(())
    }
}
