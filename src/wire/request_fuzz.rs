//! Fuzzing of the request scan and of all that parses its arguments. The oracle is redis-protocol, for what holds no
//! arrays within arrays: it goes down into them without a bound.

use crate::core::parse_integer;
use crate::fuzz::{Chance, Target, Trace, notices};
use crate::ids::Db;
use crate::wire::request::ProtocolError;
use crate::wire::request_tests::{Found, oracle, scan_pieces};
use crate::wire::scanned::{request_bytes, with_args};
use crate::wire::spec::{Handler, Request};
use crate::wire::table::{commands, resolve};

/// A scan of all that came: what was found, and what is left.
type Scanned = (Vec<Found>, Vec<u8>);

const WORDS: &[&[u8]] = &[
    b"*1\r\n",
    b"*2\r\n",
    b"*3\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*",
    b"$",
    b"$0\r\n\r\n",
    b"$1\r\nk\r\n",
    b"$-1\r\n",
    b"$3\r\nGET\r\n",
    b"$4\r\nINCR\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\"",
    b"'",
    b"\\",
    b"\\x41",
    b"\0",
    b":1\r\n",
    b"+OK\r\n",
    b"_\r\n",
    b"PING\r\n",
    b"SET k v EX 10\r\n",
    b"POST / HTTP/1.1\r\n",
    b"Host: x\r\n",
    b"GATE.CLAIM c 1\r\n",
    b"16777216",
    b"16777217",
    b"1048577",
    b"2147483648",
    b"9223372036854775807",
    b"9223372036854775808",
    b"*11\r\n",
    b"$16385\r\n",
];

fn target<'a>(check: &'a dyn Fn(&[u8]) -> Trace) -> Target<'a> {
    Target { name: "request", bytes_max: 2048, words: WORDS, draw: &draw, mend: &mend, check }
}

/// A few requests, of commands that exist, mostly.
fn draw(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + chance.below(4) {
        let name = match chance.pick(commands()) {
            spec if spec.container().is_some() => spec.name.replace('|', " "),
            spec => spec.name.to_owned(),
        };
        let mut words: Vec<Vec<u8>> = name.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        for _ in 0..chance.below(6) {
            words.push(match chance.below(4) {
                0 => (chance.number() as i64).to_string().into_bytes(),
                1 => chance.pick(OPTIONS).to_vec(),
                _ => chance.bytes(24),
            });
        }
        if chance.one_in(4) {
            let line = words.join(&b' ');
            bytes.extend(line.into_iter().filter(|byte| *byte != b'\n'));
            bytes.extend_from_slice(chance.pick::<&[u8]>(&[b"\r\n", b"\n"]));
        } else {
            bytes.extend(request_bytes(&words));
        }
    }
    bytes
}

const OPTIONS: &[&[u8]] = &[
    b"NX",
    b"XX",
    b"EX",
    b"PX",
    b"EXAT",
    b"KEEPTTL",
    b"GET",
    b"LIMIT",
    b"OPEN",
    b"CLOSE",
    b"USERS",
    b"ANY",
    b"FLAT",
    b"COUNT",
    b"MATCH",
    b"FORCE",
    b"2030-01-01T00:00:00Z",
    b"1893456000000",
    b"spring",
    b"1.5",
    b"-0",
    b"inf",
];

/// Makes the lengths of arguments fit again: a body that lies between a length and the next line's end.
fn mend(bytes: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(skip) = bytes[at..].iter().position(|byte| *byte == b'$') {
        let digits = at + skip + 1;
        let Some(line) = find(&bytes[digits..]) else { return };
        let body = digits + line + 2;
        let Some(len) = find(&bytes[body..]) else { return };
        let number = len.to_string().into_bytes();
        at = digits + number.len() + 2 + len;
        bytes.splice(digits..digits + line, number);
        at = at.min(bytes.len());
    }
}

fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n")
}

/// `bytes` come to the same in any pieces; what is found is what the oracle reads there; nothing is refused that it
/// reads; a stranger finds the same or is refused; whatever was found can be parsed.
fn check(bytes: &[u8], scan: &dyn Fn(&[&[u8]], bool) -> Scanned) -> Trace {
    let whole = scan(&[bytes], true);
    let mut chance = Chance::of(bytes);
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(1 + chance.below(rest.len().min(40)));
        pieces.push(piece);
        rest = more;
    }
    assert_eq!(whole, scan(&pieces, true), "in pieces");
    if bytes.len() <= 200 {
        assert_eq!(whole, scan(&bytes.chunks(1).collect::<Vec<_>>(), true), "byte by byte");
    }
    stranger(&whole, &scan(&[bytes], false));
    let (mut at, mut trace) = (0, Trace::default());
    for found in &whole.0 {
        let rest = &bytes[at..];
        at += match found {
            Found::Request(words) => {
                trace = trace.and(parse(words));
                request(rest, words)
            }
            Found::Skipped(len) => {
                trace = trace.and(200);
                skipped(&rest[..*len]);
                *len
            }
            Found::Refused(error) => {
                assert_eq!(readable(rest), None, "{error} for what can be read");
                return trace.and_text(&error.to_string());
            }
        };
    }
    assert_eq!(&bytes[at..], whole.1, "what is left");
    assert_eq!(readable(&bytes[at..]), None, "what is whole is not waited for");
    trace.and(u64::from(at < bytes.len()))
}

/// The request at the head of `rest` as it was found; its length as the oracle sees it.
fn request(rest: &[u8], words: &[Vec<u8>]) -> usize {
    if rest[0] == b'*' {
        let plain = request_bytes(words);
        assert!(rest.starts_with(&plain), "the arguments stand there");
        assert_eq!(oracle(&plain), Some((words.to_vec(), plain.len())));
        return plain.len();
    }
    let end = rest.iter().position(|byte| *byte == b'\n').expect("a line has an end");
    let line = &rest[..end];
    if !line.iter().any(|byte| matches!(byte, b'"' | b'\'' | 0)) {
        let space = |byte: &u8| matches!(byte, b' ' | 9..=13);
        let plain: Vec<&[u8]> = line.split(space).filter(|word| !word.is_empty()).collect();
        assert_eq!(plain, words, "the words of a line");
    }
    end + 1
}

fn skipped(bytes: &[u8]) {
    match bytes {
        [b'*', count @ .., b'\r', b'\n'] => assert!(parse_integer(count).is_some_and(|count| count <= 0), "a count"),
        line => {
            assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one line");
            assert!(matches!(line[0], 0 | 9..=13 | b' '), "an empty line");
        }
    }
}

/// What the oracle reads at the head of `bytes`, where that is a request in the one form that clients send.
fn readable(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    if bytes.first() != Some(&b'*') || bytes.windows(2).any(|pair| pair[0] == b'\n' && pair[1] == b'*') {
        return None;
    }
    let (words, len) = oracle(bytes)?;
    (!words.is_empty() && request_bytes(&words) == bytes[..len]).then_some(words)
}

/// Who has not shown a password finds the same, up to where it is too much for him.
fn stranger(whole: &Scanned, found: &Scanned) {
    let same = whole.0.iter().zip(&found.0).take_while(|(whole, found)| whole == found).count();
    let refused = matches!(
        found.0.get(same),
        Some(Found::Refused(ProtocolError::UnauthenticatedBulk | ProtocolError::UnauthenticatedMultibulk))
    );
    assert!(refused && found.0.len() == same + 1 || whole == found, "a stranger finds {found:?} in {whole:?}");
}

/// Parses it as the server does; which command, and what came of it.
fn parse(words: &[Vec<u8>]) -> u64 {
    with_args(words, |args| {
        let Ok(spec) = resolve(&args) else { return 0 };
        let Handler::Core(parse) = spec.handler else { return 1 };
        let parsed = parse(&Request { db: Db(0), args, draw: 7 });
        2 + 2 * spec.index as u64 + u64::from(parsed.is_ok())
    })
}

fn real(pieces: &[&[u8]], authenticated: bool) -> Scanned {
    scan_pieces(pieces.iter().copied(), authenticated)
}

#[test]
fn fuzz_requests() {
    target(&|bytes| check(bytes, &real)).run(8_000);
}

/// Scanners that are wrong in one point each.
#[test]
fn fuzz_requests_notices_planted_defects() {
    type Defect = (&'static str, fn(Scanned, &[&[u8]], bool) -> Scanned);
    let defects: [Defect; 5] = [
        ("an argument is cut", |mut scanned, _, _| {
            for found in &mut scanned.0 {
                if let Found::Request(words) = found
                    && let Some(word) = words.iter_mut().find(|word| word.len() == 11)
                {
                    word.pop();
                }
            }
            scanned
        }),
        ("an empty argument is refused", |mut scanned, _, _| {
            let empty = |found: &Found| matches!(found, Found::Request(words) if words.iter().any(Vec::is_empty));
            if let Some(at) = scanned.0.iter().position(empty) {
                scanned.0.truncate(at);
                scanned.0.push(Found::Refused(ProtocolError::InvalidBulkLength));
                scanned.1.clear();
            }
            scanned
        }),
        ("pieces make a difference", |mut scanned, pieces, _| {
            if pieces.len() > 3 && scanned.0.len() > 2 {
                scanned.0.pop();
            }
            scanned
        }),
        ("what is whole is waited for", |scanned, pieces, _| {
            if scanned.0.len() == 1 && scanned.1.is_empty() { (Vec::new(), pieces.concat()) } else { scanned }
        }),
        ("a stranger is served otherwise", |mut scanned, _, authenticated| {
            if !authenticated && scanned.0.len() > 1 {
                scanned.0.pop();
            }
            scanned
        }),
    ];
    for (name, defect) in defects {
        let broken = |pieces: &[&[u8]], authenticated| defect(real(pieces, authenticated), pieces, authenticated);
        eprintln!("planted: {name}");
        notices(&target(&|bytes| check(bytes, &broken)), 5_000);
    }
}
