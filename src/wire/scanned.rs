//! Arguments for tests, by way of the scanner.

use crate::wire::args::Args;
use crate::wire::request::{Scan, Scanner};

/// `words` as a RESP request.
pub(super) fn request_bytes(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        crate::wire::reply::bulk(word.as_ref(), &mut bytes);
    }
    bytes
}

/// What `look` makes of `words` as they come off the wire.
pub(super) fn with_args<T>(words: &[impl AsRef<[u8]>], look: impl FnOnce(Args<'_>) -> T) -> T {
    let bytes = request_bytes(words);
    let mut scanner = Scanner::new();
    assert_eq!(scanner.scan(&bytes, true), Scan::Command { len: bytes.len() });
    look(scanner.args(&bytes))
}
