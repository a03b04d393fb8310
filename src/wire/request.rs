//! Requests off the wire: RESP arrays of bulk strings, and inline lines.
//!
//! The scan is resumable: what came of a request is scanned once, however small the pieces it comes in. It copies
//! nothing; only the words of an inline line, which may hold escapes, have a buffer of their own.
//!
//! ```text
//!   *2\r\n $4\r\nINCR\r\n $1\r\nk\r\n     count, then a length line and a body for each argument
//!            ^ at: scanned up to here; spans: the arguments before it
//! ```

use std::fmt;

use crate::core::parse_integer;
use crate::limits::{
    INLINE_BYTES_MAX, LENGTH_LINE_BYTES_MAX, REQUEST_ARGS_MAX, REQUEST_BYTES_MAX, UNAUTHENTICATED_ARGS_MAX,
    UNAUTHENTICATED_BULK_BYTES_MAX, VALUE_BYTES_MAX,
};
use crate::wire::args::{Args, Span};
use crate::wire::inline;

const _: () = assert!(REQUEST_BYTES_MAX < u32::MAX as usize, "a span of a request fits 32 bits");

/// Capacity that a scanner keeps from one request to the next: one long request is no lasting cost.
const KEPT_SPANS: usize = 1024;
/// See [`KEPT_SPANS`].
const KEPT_INLINE_BYTES: usize = 4096;

/// What the bytes so far come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The request goes on: scan again with the same bytes and more behind them.
    Incomplete,
    /// A request of `len` bytes; [`Scanner::args`] has its arguments, at least one.
    Command {
        /// Bytes to consume before the next scan.
        len: usize,
    },
    /// `len` bytes that ask for nothing and are not answered: an empty line, `*0`, `*-1`.
    Skip {
        /// Bytes to consume before the next scan.
        len: usize,
    },
    /// Not a request. The connection is to be closed after the answer, if there is one.
    Refused(ProtocolError),
}

/// Why bytes are no request. `Display` is the answer's error line, without `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A count that is no integer or beyond `REQUEST_ARGS_MAX`.
    InvalidMultibulkLength,
    /// A length that is no integer, negative, beyond `VALUE_BYTES_MAX`, or not the length of what follows it.
    InvalidBulkLength,
    /// Something else where an argument should begin.
    ExpectedBulk(u8),
    /// A quote without its end.
    UnbalancedQuotes,
    /// A line beyond `INLINE_BYTES_MAX`.
    TooBigInline,
    /// A count of more digits than any integer has.
    TooBigMultibulkCount,
    /// A length of more digits than any integer has.
    TooBigBulkCount,
    /// A request beyond `REQUEST_BYTES_MAX`.
    TooBigRequest,
    /// More arguments than somebody without a password may send.
    UnauthenticatedMultibulk,
    /// A longer argument than somebody without a password may send.
    UnauthenticatedBulk,
    /// A web page talks to us through somebody's browser (`POST`, `Host:`): close without an answer.
    CrossProtocol,
}

impl ProtocolError {
    /// Whether the client hears of it: all but [`ProtocolError::CrossProtocol`].
    pub fn is_answered(self) -> bool {
        self != ProtocolError::CrossProtocol
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ERR Protocol error: ")?;
        f.write_str(match self {
            ProtocolError::InvalidMultibulkLength => "invalid multibulk length",
            ProtocolError::InvalidBulkLength => "invalid bulk length",
            ProtocolError::ExpectedBulk(byte) => return write!(f, "expected '$', got '{}'", [*byte].escape_ascii()),
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::TooBigInline => "too big inline request",
            ProtocolError::TooBigMultibulkCount => "too big mbulk count string",
            ProtocolError::TooBigBulkCount => "too big bulk count string",
            ProtocolError::TooBigRequest => "too big request",
            ProtocolError::UnauthenticatedMultibulk => "unauthenticated multibulk length",
            ProtocolError::UnauthenticatedBulk => "unauthenticated bulk length",
            ProtocolError::CrossProtocol => "an HTTP request on a Redis port",
        })
    }
}

/// The scan of one connection's requests.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The arguments so far.
    spans: Vec<Span>,
    /// Scanned up to here, from the start of the request.
    at: usize,
    /// Arguments still to come; 0 before the count is read.
    wanted: usize,
    /// The length of the argument that begins at `at`, once it is read.
    body: Option<usize>,
    /// The words of an inline request.
    own: Vec<u8>,
    /// The arguments stand in `own`, not in the client's bytes.
    is_inline: bool,
    /// The last scan came to an end: the next bytes are another request.
    done: bool,
}

impl Scanner {
    /// A scanner for a fresh connection.
    pub fn new() -> Scanner {
        Scanner::default()
    }

    /// What `bytes` come to; they begin where the last request ended. After `Incomplete`, the same bytes again and
    /// more. Somebody not `authenticated` may send only little. After `Refused` the scanner is of no further use.
    #[inline]
    pub fn scan(&mut self, bytes: &[u8], authenticated: bool) -> Scan {
        if self.done {
            self.forget();
        }
        let scan = match bytes.first() {
            None => Scan::Incomplete,
            Some(b'*') => self.scan_array(bytes, authenticated),
            Some(_) => self.scan_inline(bytes),
        };
        self.done = scan != Scan::Incomplete;
        scan
    }

    /// The arguments of the request that the last scan found; `bytes` as given to it.
    #[inline]
    pub fn args<'a>(&'a self, bytes: &'a [u8]) -> Args<'a> {
        assert!(self.done && !self.spans.is_empty(), "arguments are read after a scan that found a request");
        Args::new(if self.is_inline { &self.own } else { bytes }, &self.spans)
    }

    #[inline]
    fn forget(&mut self) {
        self.spans.clear();
        self.at = 0;
        self.wanted = 0;
        self.body = None;
        self.is_inline = false;
        self.done = false;
        if self.spans.capacity() > KEPT_SPANS || self.own.capacity() > KEPT_INLINE_BYTES {
            self.spans = Vec::new();
            self.own = Vec::new();
        }
    }

    fn scan_array(&mut self, bytes: &[u8], authenticated: bool) -> Scan {
        let (mut at, mut wanted) = (self.at, self.wanted);
        if wanted == 0 {
            let (count, next) = match length_line(bytes, 1) {
                Line::Number { value, next } => (value, next),
                Line::Incomplete => return Scan::Incomplete,
                Line::Malformed => return Scan::Refused(ProtocolError::InvalidMultibulkLength),
                Line::TooLong => return Scan::Refused(ProtocolError::TooBigMultibulkCount),
            };
            if count <= 0 {
                return Scan::Skip { len: next };
            }
            if count > REQUEST_ARGS_MAX as i64 {
                return Scan::Refused(ProtocolError::InvalidMultibulkLength);
            }
            if count > UNAUTHENTICATED_ARGS_MAX as i64 && !authenticated {
                return Scan::Refused(ProtocolError::UnauthenticatedMultibulk);
            }
            (at, wanted) = (next, count as usize);
        }
        let mut body = self.body;
        while wanted > 0 {
            let len = match body.take() {
                Some(len) => len,
                None => match bulk_length(bytes, at, authenticated) {
                    Ok((len, next)) => {
                        at = next;
                        len
                    }
                    Err(Scan::Incomplete) => return self.pause(at, wanted, None),
                    Err(refused) => return refused,
                },
            };
            let end = at + len;
            match bytes.get(end..end + 2) {
                Some(b"\r\n") => {}
                Some(_) => return Scan::Refused(ProtocolError::InvalidBulkLength),
                None => return self.pause(at, wanted, Some(len)),
            }
            self.spans.push(Span::new(at, len));
            at = end + 2;
            wanted -= 1;
        }
        Scan::Command { len: at }
    }

    fn pause(&mut self, at: usize, wanted: usize, body: Option<usize>) -> Scan {
        self.at = at;
        self.wanted = wanted;
        self.body = body;
        Scan::Incomplete
    }

    fn scan_inline(&mut self, bytes: &[u8]) -> Scan {
        let end = bytes.len().min(INLINE_BYTES_MAX + 1);
        let Some(found) = bytes[self.at..end].iter().position(|&byte| byte == b'\n') else {
            if bytes.len() > INLINE_BYTES_MAX {
                return Scan::Refused(ProtocolError::TooBigInline);
            }
            self.at = bytes.len();
            return Scan::Incomplete;
        };
        let newline = self.at + found;
        let line = &bytes[..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if inline::split(line, &mut self.own, &mut self.spans).is_err() {
            return Scan::Refused(ProtocolError::UnbalancedQuotes);
        }
        if self.spans.is_empty() {
            return Scan::Skip { len: newline + 1 };
        }
        self.is_inline = true;
        let name = Args::new(&self.own, &self.spans).name();
        if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
            return Scan::Refused(ProtocolError::CrossProtocol);
        }
        Scan::Command { len: newline + 1 }
    }
}

/// The length of the argument whose length line begins at `at`, and where its body begins.
#[inline]
fn bulk_length(bytes: &[u8], at: usize, authenticated: bool) -> Result<(usize, usize), Scan> {
    match bytes.get(at) {
        Some(b'$') => {}
        Some(&byte) => return Err(Scan::Refused(ProtocolError::ExpectedBulk(byte))),
        None => return Err(Scan::Incomplete),
    }
    let (value, next) = match length_line(bytes, at + 1) {
        Line::Number { value, next } => (value, next),
        Line::Incomplete => return Err(Scan::Incomplete),
        Line::Malformed => return Err(Scan::Refused(ProtocolError::InvalidBulkLength)),
        Line::TooLong => return Err(Scan::Refused(ProtocolError::TooBigBulkCount)),
    };
    if value < 0 || value > VALUE_BYTES_MAX as i64 {
        return Err(Scan::Refused(ProtocolError::InvalidBulkLength));
    }
    let len = value as usize;
    if len > UNAUTHENTICATED_BULK_BYTES_MAX && !authenticated {
        return Err(Scan::Refused(ProtocolError::UnauthenticatedBulk));
    }
    if next + len + 2 > REQUEST_BYTES_MAX {
        return Err(Scan::Refused(ProtocolError::TooBigRequest));
    }
    Ok((len, next))
}

/// A line with a number in it.
enum Line {
    Number { value: i64, next: usize },
    Incomplete,
    Malformed,
    TooLong,
}

/// The number between `at` and the next `\r\n`. Nearly all lengths have one or two digits.
#[inline(always)]
fn length_line(bytes: &[u8], at: usize) -> Line {
    match bytes.get(at..) {
        Some([digit @ b'0'..=b'9', b'\r', b'\n', ..]) => Line::Number { value: i64::from(digit - b'0'), next: at + 3 },
        Some([tens @ b'1'..=b'9', digit @ b'0'..=b'9', b'\r', b'\n', ..]) => {
            Line::Number { value: i64::from((tens - b'0') * 10 + (digit - b'0')), next: at + 4 }
        }
        Some(rest) => long_length_line(rest, at),
        None => Line::Incomplete,
    }
}

#[cold]
#[inline(never)]
fn long_length_line(rest: &[u8], at: usize) -> Line {
    let head = &rest[..rest.len().min(LENGTH_LINE_BYTES_MAX)];
    let Some(end) = head.iter().position(|&byte| byte == b'\r') else {
        return if head.len() == LENGTH_LINE_BYTES_MAX { Line::TooLong } else { Line::Incomplete };
    };
    match (rest.get(end + 1), parse_integer(&head[..end])) {
        (None, _) => Line::Incomplete,
        (Some(b'\n'), Some(value)) => Line::Number { value, next: at + end + 2 },
        _ => Line::Malformed,
    }
}
