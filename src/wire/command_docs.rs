//! What the server tells of its commands: the replies of `COMMAND` and the `HELP` lines, made from the table.

use crate::core::Reply;
use crate::wire::args::Args;
use crate::wire::spec::ConnectionCommand;

/// The reply of `COMMAND`, `COMMAND COUNT|INFO|DOCS|LIST|GETKEYS` and of each `HELP`; `None` for other commands.
/// `args` as `resolve` saw them.
pub fn describe(command: ConnectionCommand, args: &Args<'_>) -> Option<Reply<'static>> {
    let _ = (command, args);
    None
}
