//! # conversation - behaviour written once, as a protocol trace
//! Parses `tests/conversations/**/*.txt` and compares replies; the executors (the core alone, the real binary, a real
//! redis-server) live in the tests that use this.
//!
//! ```text
//! # A sentence that says what the next lines show.
//! > SET greeting "hello\x00"       a command, quoted as in redis-cli
//! < OK                             what it answers, see `pattern`
//! ! kill                           a fault or a change of the world, see `Fault`
//! ```

mod pattern;
mod reply;
mod script;

pub use pattern::Pattern;
pub use reply::{Reply, decode};
pub use script::{Fault, Script, Step, folder};

/// A command as RESP, the form that every client sends.
pub fn encode(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
