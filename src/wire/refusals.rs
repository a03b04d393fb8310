//! The refusals that more than one command gives, word for word as Redis gives them.

use crate::core::Refusal;
use crate::wire::args::Args;
use crate::wire::spec::CommandSpec;

/// Bytes of a client's word that an error repeats.
const QUOTED_BYTES_MAX: usize = 128;

/// `ERR syntax error`
pub const SYNTAX: Refusal = Refusal::Err("syntax error");

/// Too few or too many arguments for `spec`.
#[cold]
pub fn arity(spec: &CommandSpec) -> Refusal {
    Refusal::ErrText(format!("wrong number of arguments for '{}' command", spec.name))
}

/// No command has this name.
#[cold]
pub fn unknown_command(args: &Args<'_>) -> Refusal {
    let mut beginning = Vec::new();
    for arg in args.iter().skip(1) {
        if beginning.len() >= QUOTED_BYTES_MAX {
            break;
        }
        let room = QUOTED_BYTES_MAX - beginning.len();
        beginning.push(b'\'');
        beginning.extend_from_slice(c_string(arg, room));
        beginning.extend_from_slice(b"' ");
    }
    Refusal::ErrText(format!(
        "unknown command '{}', with args beginning with: {}",
        quoted(args.name()),
        String::from_utf8_lossy(&beginning)
    ))
}

/// The container has no such subcommand. `args` has at least two.
#[cold]
pub fn unknown_subcommand(args: &Args<'_>) -> Refusal {
    Refusal::ErrText(format!(
        "unknown subcommand '{}'. Try {} HELP.",
        quoted(args.get(1)),
        quoted(args.name()).to_ascii_uppercase()
    ))
}

/// A client's word for an error text: its first 128 bytes, up to a zero byte, as UTF-8 as far as it is.
pub(super) fn quoted(word: &[u8]) -> String {
    String::from_utf8_lossy(c_string(word, QUOTED_BYTES_MAX)).into_owned()
}

/// What C's `%.*s` prints of `word`.
fn c_string(word: &[u8], bytes_max: usize) -> &[u8] {
    let head = &word[..word.len().min(bytes_max)];
    head.iter().position(|&byte| byte == 0).map_or(head, |end| &head[..end])
}
