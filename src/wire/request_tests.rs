//! Tests of the request scan; its oracle is redis-protocol.

use proptest::collection::vec;
use proptest::prelude::*;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

use crate::limits::{INLINE_BYTES_MAX, LENGTH_LINE_BYTES_MAX, REQUEST_ARGS_MAX, REQUEST_BYTES_MAX, VALUE_BYTES_MAX};
use crate::wire::request::{ProtocolError, Scan, Scanner};
use crate::wire::scanned::request_bytes;

/// What a connection's bytes come to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    Request(Vec<Vec<u8>>),
    Skipped(usize),
    Refused(ProtocolError),
}

/// Scans what comes in pieces, as the server does.
pub(super) fn scan_pieces<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    authenticated: bool,
) -> (Vec<Found>, Vec<u8>) {
    let (mut scanner, mut buffer, mut found) = (Scanner::new(), Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let len = match scanner.scan(&buffer, authenticated) {
                Scan::Incomplete => break,
                Scan::Command { len } => {
                    found.push(Found::Request(scanner.args(&buffer).iter().map(<[u8]>::to_vec).collect()));
                    len
                }
                Scan::Skip { len } => {
                    found.push(Found::Skipped(len));
                    len
                }
                Scan::Refused(error) => {
                    found.push(Found::Refused(error));
                    return (found, Vec::new());
                }
            };
            buffer.drain(..len);
        }
    }
    (found, buffer)
}

fn scan_all(bytes: &[u8]) -> Vec<Found> {
    scan_pieces([bytes], true).0
}

fn scan_bytewise(bytes: &[u8]) -> Vec<Found> {
    scan_pieces(bytes.chunks(1), true).0
}

fn request(words: &[&str]) -> Found {
    Found::Request(words.iter().map(|word| word.as_bytes().to_vec()).collect())
}

/// The refusal of `bytes`, which must be the same when they come one by one.
fn refusal(bytes: &[u8]) -> ProtocolError {
    let found = scan_all(bytes);
    assert_eq!(found, scan_bytewise(bytes), "{}", bytes.escape_ascii());
    match found.last() {
        Some(Found::Refused(error)) => *error,
        other => panic!("{} came to {other:?}", bytes.escape_ascii()),
    }
}

#[test]
fn a_pipeline_of_arrays_and_lines_is_read_in_order() {
    let bytes =
        b"*2\r\n$4\r\nINCR\r\n$1\r\nk\r\nPING\r\n\r\n*1\r\n$4\r\nPING\r\n*0\r\n*-1\r\n \n set 'a b' \"\\x00\"\n";
    let expected = [
        request(&["INCR", "k"]),
        request(&["PING"]),
        Found::Skipped(2),
        request(&["PING"]),
        Found::Skipped(4),
        Found::Skipped(5),
        Found::Skipped(2),
        request(&["set", "a b", "\0"]),
    ];
    assert_eq!(scan_all(bytes), expected);
    assert_eq!(scan_bytewise(bytes), expected);
}

#[test]
fn arguments_may_be_empty_binary_and_of_any_length_of_length() {
    for len in [0, 1, 9, 10, 99, 100, 12_345] {
        let word: Vec<u8> = (0..len).map(|at| (at * 7 % 256) as u8).collect();
        let bytes = request_bytes(&[b"SET".to_vec(), word.clone(), b"\r\n$1\r\n".to_vec()]);
        let found = scan_all(&bytes);
        assert_eq!(found, [Found::Request(vec![b"SET".to_vec(), word, b"\r\n$1\r\n".to_vec()])]);
        assert_eq!(found, scan_bytewise(&bytes));
    }
}

#[test]
fn half_a_request_is_incomplete() {
    let bytes = b"*2\r\n$4\r\nINCR\r\n$12\r\nabcdefghijkl\r\n";
    for end in 0..bytes.len() {
        let (found, rest) = scan_pieces([&bytes[..end]], true);
        assert_eq!((found.as_slice(), rest.as_slice()), ([].as_slice(), &bytes[..end]));
    }
}

#[test]
fn wrong_counts_are_refused() {
    let too_many = format!("*{}\r\n", REQUEST_ARGS_MAX + 1);
    let wrong = [
        "*2147483647\r\n",
        "*99999999999999999999\r\n",
        "*x\r\n",
        "*\r\n",
        "*1x\r\n",
        "*+1\r\n",
        "*01\r\n",
        "*1\rx",
        &too_many,
    ];
    for bytes in wrong {
        assert_eq!(refusal(bytes.as_bytes()), ProtocolError::InvalidMultibulkLength, "{bytes:?}");
    }
    assert_eq!(
        refusal(&[b"*".as_slice(), &[b'1'; LENGTH_LINE_BYTES_MAX]].concat()),
        ProtocolError::TooBigMultibulkCount
    );
    assert_eq!(scan_all(format!("*{REQUEST_ARGS_MAX}\r\n").as_bytes()), []);
}

#[test]
fn wrong_lengths_are_refused() {
    let too_long = format!("${}\r\n", VALUE_BYTES_MAX + 1);
    let wrong = [
        "$9999999999\r\n",
        "$-1\r\n",
        "$x\r\n",
        "$\r\n",
        "$1\rx",
        "$1\r\nab\r\n",
        "$0\r\nx\r\n",
        "$1\r\na\rx",
        &too_long,
    ];
    for bytes in wrong {
        assert_eq!(refusal(format!("*1\r\n{bytes}").as_bytes()), ProtocolError::InvalidBulkLength, "{bytes:?}");
    }
    let long = [b"*1\r\n$".as_slice(), &[b'1'; LENGTH_LINE_BYTES_MAX]].concat();
    assert_eq!(refusal(&long), ProtocolError::TooBigBulkCount);
}

#[test]
fn something_else_than_an_argument_is_refused() {
    assert_eq!(refusal(b"*1\r\n*1\r\n$4\r\nPING\r\n"), ProtocolError::ExpectedBulk(b'*'));
    assert_eq!(refusal(b"*2\r\n$4\r\nPING\r\n:1\r\n"), ProtocolError::ExpectedBulk(b':'));
    assert_eq!(refusal(b"*1\r\n\r\n"), ProtocolError::ExpectedBulk(b'\r'));
    let deep = b"*1\r\n".repeat(100_000);
    assert_eq!(scan_all(&deep), [Found::Refused(ProtocolError::ExpectedBulk(b'*'))]);
}

#[test]
fn a_request_beyond_the_bound_is_refused_before_its_bytes_come() {
    let value = vec![b'x'; VALUE_BYTES_MAX];
    let mut bytes = b"*3\r\n".to_vec();
    crate::wire::reply::bulk(&value, &mut bytes);
    let room = REQUEST_BYTES_MAX - bytes.len();
    for (len, fits) in [(room - 13, true), (room - 12, false)] {
        let tail = format!("${len}\r\n");
        assert_eq!(tail.len(), 11);
        let found = scan_all(&[bytes.as_slice(), tail.as_bytes()].concat());
        let expected = if fits { vec![] } else { vec![Found::Refused(ProtocolError::TooBigRequest)] };
        assert_eq!(found, expected, "{len}");
    }
}

#[test]
fn strangers_may_send_little() {
    let stranger = |bytes: &str| scan_pieces([bytes.as_bytes()], false).0;
    assert_eq!(stranger("*11\r\n"), [Found::Refused(ProtocolError::UnauthenticatedMultibulk)]);
    assert_eq!(stranger("*10\r\n"), []);
    assert_eq!(stranger("*1\r\n$16385\r\n"), [Found::Refused(ProtocolError::UnauthenticatedBulk)]);
    assert_eq!(stranger("*1\r\n$16384\r\n"), []);
    assert_eq!(stranger("*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n"), [request(&["AUTH", "p"])]);
}

#[test]
fn a_line_is_bounded() {
    let mut line = vec![b'a'; INLINE_BYTES_MAX];
    assert_eq!(scan_all(&line), []);
    line.push(b'\n');
    assert_eq!(scan_all(&line), [Found::Request(vec![vec![b'a'; INLINE_BYTES_MAX]])]);
    line.insert(0, b'a');
    assert_eq!(refusal(&line), ProtocolError::TooBigInline);
    assert_eq!(scan_all(&vec![b'a'; 1 << 20]), [Found::Refused(ProtocolError::TooBigInline)]);
}

#[test]
fn unbalanced_quotes_are_refused() {
    for line in ["set k \"v\n", "set k 'v\r\n", "set \"k\"v\n"] {
        assert_eq!(refusal(line.as_bytes()), ProtocolError::UnbalancedQuotes, "{line:?}");
    }
}

#[test]
fn web_pages_are_cut_off_without_an_answer() {
    for line in ["POST / HTTP/1.1\r\n", "post /\n", "Host: localhost:6379\r\n", "hOST: x\n"] {
        let error = refusal(line.as_bytes());
        assert_eq!(error, ProtocolError::CrossProtocol, "{line:?}");
        assert!(!error.is_answered());
    }
    assert_eq!(scan_all(b"POSTPONE 1\n"), [request(&["POSTPONE", "1"])]);
}

#[test]
fn protocol_errors_speak_as_redis_does() {
    let texts = [
        (ProtocolError::InvalidMultibulkLength, "invalid multibulk length"),
        (ProtocolError::InvalidBulkLength, "invalid bulk length"),
        (ProtocolError::ExpectedBulk(b'*'), "expected '$', got '*'"),
        (ProtocolError::ExpectedBulk(b'\r'), "expected '$', got '\\r'"),
        (ProtocolError::UnbalancedQuotes, "unbalanced quotes in request"),
        (ProtocolError::TooBigInline, "too big inline request"),
        (ProtocolError::TooBigMultibulkCount, "too big mbulk count string"),
        (ProtocolError::TooBigBulkCount, "too big bulk count string"),
        (ProtocolError::TooBigRequest, "too big request"),
        (ProtocolError::UnauthenticatedMultibulk, "unauthenticated multibulk length"),
        (ProtocolError::UnauthenticatedBulk, "unauthenticated bulk length"),
    ];
    for (error, text) in texts {
        assert_eq!(error.to_string(), format!("ERR Protocol error: {text}"));
        assert!(error.is_answered());
    }
}

#[test]
fn a_long_request_is_no_lasting_cost() {
    let mut scanner = Scanner::new();
    let many = request_bytes(&vec![b"x"; 5000]);
    assert_eq!(scanner.scan(&many, true), Scan::Command { len: many.len() });
    assert_eq!(scanner.args(&many).len(), 5000);
    assert_eq!(scanner.scan(b"PING\n", true), Scan::Command { len: 5 });
    assert_eq!(scanner.args(b"PING\n").name(), b"PING");
    assert!(format!("{scanner:?}").len() < 1000);
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..40), 1..8)
}

/// The arguments of the request that begins `bytes`, and its length, as the oracle reads them. It goes down into arrays
/// within arrays: give it only what holds none.
pub(super) fn oracle(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let (OwnedFrame::Array(frames), len) = decode(bytes).ok()?? else { return None };
    let words =
        frames.into_iter().map(|frame| if let OwnedFrame::BulkString(word) = frame { Some(word) } else { None });
    Some((words.collect::<Option<_>>()?, len))
}

/// `bytes` in pieces cut at `cuts`.
fn pieces<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter().map(|end| &bytes[std::mem::replace(&mut start, end)..end]).collect()
}

proptest! {
    #[test]
    fn however_requests_are_cut_the_arguments_are_the_oracles(
        requests in vec(words(), 1..6),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|words| request_bytes(words)).collect();
        let (found, rest) = scan_pieces(pieces(&bytes, &cuts), true);
        prop_assert!(rest.is_empty());
        let mut at = 0;
        for (found, words) in found.iter().zip(&requests) {
            let (expected, len) = oracle(&bytes[at..]).unwrap();
            prop_assert_eq!(&expected, words);
            prop_assert_eq!(found, &Found::Request(expected));
            at += len;
        }
        prop_assert_eq!((found.len(), at), (requests.len(), bytes.len()));
    }

    #[test]
    fn what_is_accepted_of_damaged_requests_is_what_the_oracle_reads(
        requests in vec(words(), 1..4),
        damage in vec((any::<prop::sample::Index>(), prop::sample::select(&b"*$:\r\n0123456789-a\0"[..])), 1..4),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut bytes: Vec<u8> = requests.iter().flat_map(|words| request_bytes(words)).collect();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let whole = scan_pieces([bytes.as_slice()], true);
        prop_assert_eq!(&whole, &scan_pieces(pieces(&bytes, &cuts), true));
        prop_assert_eq!(&whole, &scan_pieces(bytes.chunks(1), true));
        if let (Some(Found::Request(words)), Some(b'*')) = (whole.0.first(), bytes.first()) {
            // The oracle does not look at what ends an argument, and takes +1 for a length: the scan is stricter.
            let plain = request_bytes(words);
            prop_assert!(bytes.starts_with(&plain), "{}", bytes.escape_ascii());
            prop_assert_eq!(oracle(&plain), Some((words.clone(), plain.len())));
        }
    }

    #[test]
    fn garbage_comes_to_the_same_in_any_pieces(
        bytes in vec(prop_oneof![
            any::<u8>(),
            prop::sample::select(&b"*$\r\n012-\"'\\x PING"[..]),
        ], 0..200),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = scan_pieces([bytes.as_slice()], true);
        prop_assert_eq!(&whole, &scan_pieces(pieces(&bytes, &cuts), true));
        prop_assert_eq!(&whole, &scan_pieces(bytes.chunks(1), true));
    }
}
