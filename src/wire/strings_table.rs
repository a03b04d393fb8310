//! The rows of the commands on string values.

use crate::wire::spec::{Arg, ArgKind, Categories, CommandSpec, Flags, Group, Handler, KeySpec, Parse};
use crate::wire::{parse, parse_set};

const READONLY: Flags = Flags::READONLY;
const WRITE: Flags = Flags::WRITE;
const DENYOOM: Flags = Flags::DENYOOM;
const FAST: Flags = Flags::FAST;

const fn string(name: &'static str, arity: i32, parse: Parse) -> CommandSpec {
    CommandSpec::new(name, arity, Group::String, Handler::Core(parse)).category(Categories::STRING)
}

const fn one(flags: &'static [&'static str]) -> KeySpec {
    KeySpec { first: 1, last: 0, step: 1, flags }
}

const fn pairs(flags: &'static [&'static str]) -> KeySpec {
    KeySpec { first: 1, last: -1, step: 2, flags }
}

const KEYS: KeySpec = KeySpec { first: 1, last: -1, step: 1, flags: &["RO", "access"] };

const PAIR: Arg = Arg::block("data", &[Arg::KEY, Arg::VALUE]).multiple();

const UNIX_SECONDS: Arg = Arg::new("unix-time-seconds", ArgKind::UnixTime).after("EXAT");
const UNIX_MILLIS: Arg = Arg::new("unix-time-milliseconds", ArgKind::UnixTime).after("PXAT");
const SECONDS: Arg = Arg::integer("seconds").after("EX");
const MILLIS: Arg = Arg::integer("milliseconds").after("PX");

/// The rows.
pub(super) const ROWS: &[CommandSpec] = &[
    string("get", 2, parse::get).flags(&[READONLY, FAST]).keys(&[one(&["RO", "access"])]).doc(
        "1.0.0",
        "Returns the string value of a key.",
        &[Arg::KEY],
    ),
    string("set", -3, parse_set::set)
        .flags(&[WRITE, DENYOOM])
        .keys(&[one(&["RW", "access", "update", "variable_flags"])])
        .doc(
            "1.0.0",
            "Sets the string value of a key, whatever it held before; creates it if it is missing.",
            &[
                Arg::KEY,
                Arg::VALUE,
                Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
                Arg::word("get", "GET").optional(),
                Arg::one_of(
                    "expiration",
                    &[SECONDS, MILLIS, UNIX_SECONDS, UNIX_MILLIS, Arg::word("keepttl", "KEEPTTL")],
                )
                .optional(),
            ],
        ),
    string("setnx", 3, parse::setnx).flags(&[WRITE, DENYOOM, FAST]).keys(&[one(&["OW", "insert"])]).doc(
        "1.0.0",
        "Sets the string value of a key only if the key is missing.",
        &[Arg::KEY, Arg::VALUE],
    ),
    string("setex", 4, parse::setex).flags(&[WRITE, DENYOOM]).keys(&[one(&["OW", "update"])]).doc(
        "2.0.0",
        "Sets the string value of a key and its time to live in seconds.",
        &[Arg::KEY, Arg::integer("seconds"), Arg::VALUE],
    ),
    string("psetex", 4, parse::psetex).flags(&[WRITE, DENYOOM]).keys(&[one(&["OW", "update"])]).doc(
        "2.6.0",
        "Sets the string value of a key and its time to live in milliseconds.",
        &[Arg::KEY, Arg::integer("milliseconds"), Arg::VALUE],
    ),
    string("getset", 3, parse::getset).flags(&[WRITE, DENYOOM, FAST]).keys(&[one(&["RW", "access", "update"])]).doc(
        "1.0.0",
        "Sets the string value of a key and returns the one before.",
        &[Arg::KEY, Arg::VALUE],
    ),
    string("getdel", 2, parse::getdel).flags(&[WRITE, FAST]).keys(&[one(&["RW", "access", "delete"])]).doc(
        "6.2.0",
        "Returns the string value of a key and removes the key.",
        &[Arg::KEY],
    ),
    string("getex", -2, parse_set::getex).flags(&[WRITE, FAST]).keys(&[one(&["RW", "access", "update"])]).doc(
        "6.2.0",
        "Returns the string value of a key and sets its time to live.",
        &[
            Arg::KEY,
            Arg::one_of("expiration", &[SECONDS, MILLIS, UNIX_SECONDS, UNIX_MILLIS, Arg::word("persist", "PERSIST")])
                .optional(),
        ],
    ),
    string("mget", -2, parse::mget)
        .flags(&[READONLY, FAST])
        .keys(&[KEYS])
        .tips(&["request_policy:multi_shard"])
        .complexity("O(N) where N is the number of keys.")
        .doc("1.0.0", "Returns the string values of keys.", &[Arg::KEY.multiple()]),
    string("mset", -3, parse::mset)
        .flags(&[WRITE, DENYOOM])
        .keys(&[pairs(&["OW", "update"])])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .complexity("O(N) where N is the number of keys.")
        .doc("1.0.1", "Sets the string values of keys, all at once.", &[PAIR]),
    string("msetnx", -3, parse::msetnx)
        .flags(&[WRITE, DENYOOM])
        .keys(&[pairs(&["OW", "insert"])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
        .complexity("O(N) where N is the number of keys.")
        .doc("1.0.1", "Sets the string values of keys, all at once, only if all of them are missing.", &[PAIR]),
    string("append", 3, parse::append).flags(&[WRITE, DENYOOM, FAST]).keys(&[one(&["RW", "insert"])]).doc(
        "2.0.0",
        "Adds bytes to the end of a key's string value; creates it if it is missing.",
        &[Arg::KEY, Arg::VALUE],
    ),
    string("strlen", 2, parse::strlen).flags(&[READONLY, FAST]).keys(&[one(&["RO"])]).doc(
        "2.2.0",
        "Returns the length of a key's string value.",
        &[Arg::KEY],
    ),
    string("getrange", 4, parse::getrange)
        .flags(&[READONLY])
        .keys(&[one(&["RO", "access"])])
        .complexity("O(N) where N is the length of the returned string.")
        .doc(
            "2.4.0",
            "Returns a part of a key's string value.",
            &[Arg::KEY, Arg::integer("start"), Arg::integer("end")],
        ),
    string("setrange", 4, parse::setrange)
        .flags(&[WRITE, DENYOOM])
        .keys(&[one(&["RW", "update"])])
        .complexity("O(N) where N is the length of the written part.")
        .doc("2.2.0", "Overwrites a part of a key's string value.", &[Arg::KEY, Arg::integer("offset"), Arg::VALUE]),
    string("incr", 2, parse::incr).flags(&[WRITE, DENYOOM, FAST]).keys(&[one(&["RW", "access", "update"])]).doc(
        "1.0.0",
        "Adds one to the integer value of a key; a missing key counts as 0.",
        &[Arg::KEY],
    ),
    string("decr", 2, parse::decr).flags(&[WRITE, DENYOOM, FAST]).keys(&[one(&["RW", "access", "update"])]).doc(
        "1.0.0",
        "Takes one from the integer value of a key; a missing key counts as 0.",
        &[Arg::KEY],
    ),
    string("incrby", 3, parse::incrby).flags(&[WRITE, DENYOOM, FAST]).keys(&[one(&["RW", "access", "update"])]).doc(
        "1.0.0",
        "Adds a number to the integer value of a key; a missing key counts as 0.",
        &[Arg::KEY, Arg::integer("increment")],
    ),
    string("decrby", 3, parse::decrby).flags(&[WRITE, DENYOOM, FAST]).keys(&[one(&["RW", "access", "update"])]).doc(
        "1.0.0",
        "Takes a number from the integer value of a key; a missing key counts as 0.",
        &[Arg::KEY, Arg::integer("decrement")],
    ),
    string("incrbyfloat", 3, parse::incrbyfloat)
        .flags(&[WRITE, DENYOOM, FAST])
        .keys(&[one(&["RW", "access", "update"])])
        .doc(
            "2.6.0",
            "Adds a decimal number to the value of a key; a missing key counts as 0.",
            &[Arg::KEY, Arg::new("increment", ArgKind::Double)],
        ),
];
