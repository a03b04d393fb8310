//! # wire - RESP in and out, the command table
//! Bytes to arguments, arguments to core commands, replies to bytes; and one row per command with everything that is
//! known of it. Pure: no sockets, no clock, no threads.
//! May use: `core` (commands and replies, not the state), `grant`, `ids`, `limits`.
//! Promises: names, arities, replies and error texts as Redis 7.2; no input makes it panic, reserve memory for bytes
//! that have not come, or scan a byte of an argument twice; no allocation per pipelined command.

mod args;
mod command_docs;
mod connection_table;
mod gate_answers;
mod gate_table;
mod help;
mod inline;
pub mod kafka;
mod keys_table;
mod numbers;
mod parse;
mod parse_gate;
mod parse_keys;
mod parse_set;
mod reference;
mod refusals;
mod reply;
mod request;
mod server_table;
mod spec;
mod strings_table;
mod table;
mod times;

#[cfg(test)]
mod command_docs_tests;
#[cfg(test)]
mod parse_gate_tests;
#[cfg(test)]
mod parse_tests;
#[cfg(test)]
mod reply_tests;
#[cfg(test)]
mod request_fuzz;
#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod scanned;
#[cfg(test)]
mod table_tests;

pub use args::Args;
pub use command_docs::describe;
pub use reference::reference;
pub use refusals::{SYNTAX, arity};
pub use reply::{
    Protocol, array_header, bulk, encode, error, int, map_header, null, push_header, set_header, simple, verbatim,
};
pub use request::{ProtocolError, Scan, Scanner};
pub use spec::{
    Arg, ArgKind, Categories, CommandSpec, ConnectionCommand, Flags, Group, Handler, KeySpec, Parse, Request,
};
pub use table::{commands, lookup, lookup_subcommand, resolve, subcommands};
