//! The lines of each `HELP`.

use crate::core::Reply;

/// The reply of a `HELP`: simple strings, as Redis answers it.
pub(super) fn lines(lines: &[&'static str]) -> Reply<'static> {
    Reply::Array(lines.iter().map(|line| Reply::Status(line)).collect())
}

/// `CLIENT HELP`
pub(super) const CLIENT: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "    Return the name of this connection.",
    "ID",
    "    Return the number of this connection.",
    "INFO",
    "    Return what is known of this connection.",
    "KILL <ip:port>",
    "    Close the connection from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close the connections that fit all options:",
    "    * ADDR <ip:port>, LADDR <ip:port>, ID <number>, USER <name>, TYPE NORMAL, SKIPME YES|NO (default: YES)",
    "LIST [TYPE NORMAL] [ID <number> [...]]",
    "    Return what is known of connections.",
    "NO-EVICT (ON|OFF)",
    "    Accepted; no connection is closed for want of memory.",
    "NO-TOUCH (ON|OFF)",
    "    Accepted; the use of keys is not recorded.",
    "REPLY (ON|OFF|SKIP)",
    "    Say whether this connection's requests are answered.",
    "SETINFO (LIB-NAME|LIB-VER) <text>",
    "    Say which client library this is.",
    "SETNAME <name>",
    "    Give this connection a name.",
    "HELP",
    "    Print this help.",
];

/// `COMMAND HELP`
pub(super) const COMMAND: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details of all commands.",
    "COUNT",
    "    Return the number of commands.",
    "DOCS [<command-name> ...]",
    "    Return the documents of the commands, or of all.",
    "GETKEYS <full-command>",
    "    Return the keys of a full command.",
    "INFO [<command-name> ...]",
    "    Return details of the commands, or of all.",
    "LIST [FILTERBY (PATTERN <glob>|ACLCAT <category>|MODULE <name>)]",
    "    Return the names of the commands.",
    "HELP",
    "    Print this help.",
];

/// `CONFIG HELP`
pub(super) const CONFIG: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern> [<pattern> ...]",
    "    Return the settings whose names match, and their values.",
    "RESETSTAT",
    "    Set the figures of INFO to 0.",
    "SET <setting> <value> [<setting> <value> ...]",
    "    Change settings.",
    "HELP",
    "    Print this help.",
];

/// `GATE.HELP`
pub(super) const GATE: &[&str] = &[
    "GATE.<command> <campaign> [<arg> ...]. Commands are:",
    "GATE.CREATE <campaign> LIMIT <n> [PERUSER <k> [NOID]] [OPEN <t>] [CLOSE <t>] [HOLD <ms>]",
    "            [USERS INT|ANY] [SHADOW]",
    "    Create a campaign with <n> seats: CREATED, or EXISTS when it is there with the same terms.",
    "    PERUSER: seats of one user, 1 unless it is said; claims need an ID then, unless NOID.",
    "    HOLD: claims are held so long for GATE.CONFIRM, and are no grants before it.",
    "    Times are unix milliseconds or ISO 8601 with an offset. SHADOW: a rehearsal, never published or stored.",
    "GATE.CLAIM <campaign> <user> [ID <request>] [FLAT]",
    "    Claim a seat: [status, number, remaining]. GRANTED seat, HELD seat (then until when), ALREADY seat,",
    "    SOLDOUT 0, NOTOPEN ms-to-wait, CLOSED 0.",
    "    ID: a claim that is sent again with it gets the same seat. FLAT: the same as one string.",
    "GATE.CONFIRM <campaign> <user> [SEAT <n>] [FLAT]",
    "    Grant the seat that the user holds: [GRANTED, seat, remaining], or [NONE, 0, remaining].",
    "GATE.CANCEL <campaign> <user> [SEAT <n>] [FLAT]",
    "    Take the seat back from the user: [CANCELLED, seat, remaining], or [NONE, 0, remaining].",
    "GATE.SEED <campaign> <user> <seat> [<user> <seat> ...]",
    "    Bring in seats that another system has granted, before the first claim; all of them or none.",
    "GATE.STATUS <campaign> <user>",
    "    The user's seats: [GRANTED|HELD, seat, at-unix-ms, accepted|durable|published|stored].",
    "GATE.WHY <campaign> <user>",
    "    What happened to the user: [at-unix-ms, what, seat, seq, stage].",
    "GATE.INFO <campaign>",
    "    The campaign's terms and figures.",
    "GATE.LIST",
    "    The names of all campaigns.",
    "GATE.SEATS <campaign> <first> <count>",
    "    Who has the seats from <first> on: [seat, user, at-unix-ms, GRANTED|HELD].",
    "GATE.ALTER <campaign> [LIMIT <n>] [PERUSER <k>] [OPEN <t>|NONE] [CLOSE <t>|NOW|NONE]",
    "    Give a campaign other terms, at once. Never fewer seats than are out, or than a user has. CLOSE NOW stops it.",
    "GATE.DROP <campaign> [FORCE|PURGE]",
    "    Remove a campaign; without FORCE only while no seat is held and once its grants are published and stored.",
    "    PURGE (--allow-reset): all its seats come back, and its name can be used again.",
    "GATE.HELP",
    "    Print this help.",
];
