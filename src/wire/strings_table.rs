//! Commands on string values.

use crate::core::Command;
use crate::wire::spec::{Arg, Categories, CommandSpec, Flags, Group, Handler, KeySpec};

/// The rows.
pub(super) const ROWS: &[CommandSpec] = &[CommandSpec::new(
    "get",
    2,
    Group::String,
    Handler::Core(|request| Ok(Command::Get { db: request.db, key: request.args.get(1) })),
)
.flags(&[Flags::READONLY, Flags::FAST])
.category(Categories::STRING)
.keys(&[KeySpec { first: 1, last: 0, step: 1, flags: &["RO", "access"] }])
.doc("1.0.0", "Returns the value of a key.", &[Arg::KEY])];
