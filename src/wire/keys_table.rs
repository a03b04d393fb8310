//! The rows of the commands on keys of any type.

use crate::wire::parse_keys as parse;
use crate::wire::spec::{Arg, ArgKind, Categories, CommandSpec, Flags, Group, Handler, KeySpec, Parse};

const READONLY: Flags = Flags::READONLY;
const WRITE: Flags = Flags::WRITE;
const FAST: Flags = Flags::FAST;

const fn generic(name: &'static str, arity: i32, parse: Parse) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Generic, Handler::Core(parse)).category(Categories::KEYSPACE)
}

const fn whole_db(name: &'static str, arity: i32, parse: Parse) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Server, Handler::Core(parse)).category(Categories::KEYSPACE)
}

const fn key(first: i64, flags: &'static [&'static str]) -> KeySpec {
    KeySpec { first, last: 0, step: 1, flags }
}

const fn keys(flags: &'static [&'static str]) -> KeySpec {
    KeySpec { first: 1, last: -1, step: 1, flags }
}

const SHARD_SUM: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const NEW_KEY: Arg = Arg::new("newkey", ArgKind::Key).of_key_spec(1);

const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::word("nx", "NX"), Arg::word("xx", "XX"), Arg::word("gt", "GT"), Arg::word("lt", "LT")],
)
.optional();

const FLUSH_TYPE: Arg = Arg::one_of("flush-type", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")]).optional();

/// The rows.
pub(super) const ROWS: &[CommandSpec] = &[
    generic("del", -2, parse::del)
        .flags(&[WRITE])
        .keys(&[keys(&["RM", "delete"])])
        .tips(SHARD_SUM)
        .complexity("O(N) where N is the number of keys.")
        .doc("1.0.0", "Removes keys.", &[Arg::KEY.multiple()]),
    generic("unlink", -2, parse::del)
        .flags(&[WRITE, FAST])
        .keys(&[keys(&["RM", "delete"])])
        .tips(SHARD_SUM)
        .complexity("O(N) where N is the number of keys.")
        .doc("4.0.0", "Removes keys, as DEL does.", &[Arg::KEY.multiple()]),
    generic("exists", -2, parse::exists)
        .flags(&[READONLY, FAST])
        .keys(&[keys(&["RO"])])
        .tips(SHARD_SUM)
        .complexity("O(N) where N is the number of keys.")
        .doc("1.0.0", "Counts how many of the keys exist.", &[Arg::KEY.multiple()]),
    generic("touch", -2, parse::exists)
        .flags(&[READONLY, FAST])
        .keys(&[keys(&["RO"])])
        .tips(SHARD_SUM)
        .complexity("O(N) where N is the number of keys.")
        .doc("3.2.1", "Counts how many of the keys exist, as EXISTS does.", &[Arg::KEY.multiple()]),
    generic("type", 2, parse::kind).flags(&[READONLY, FAST]).keys(&[key(1, &["RO"])]).doc(
        "1.0.0",
        "Returns the type of a key's value; 'campaign' for a campaign.",
        &[Arg::KEY],
    ),
    generic("keys", 2, parse::all_keys)
        .flags(&[READONLY])
        .category(Categories::DANGEROUS)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .complexity("O(N) where N is the number of keys in the database.")
        .doc("1.0.0", "Returns all keys that match a pattern.", &[Arg::new("pattern", ArgKind::Pattern)]),
    generic("scan", -2, parse::scan)
        .flags(&[READONLY])
        .tips(&["nondeterministic_output", "request_policy:special"])
        .complexity("O(1) for every call; O(N) for all keys of the database.")
        .doc(
            "2.8.0",
            "Walks over the keys of the database, a few with each call.",
            &[
                Arg::integer("cursor"),
                Arg::new("pattern", ArgKind::Pattern).after("MATCH").optional(),
                Arg::integer("count").after("COUNT").optional(),
                Arg::string("type").after("TYPE").optional(),
            ],
        ),
    generic("randomkey", 1, parse::randomkey)
        .flags(&[READONLY])
        .tips(&["request_policy:all_shards", "nondeterministic_output"])
        .doc("1.0.0", "Returns a random key of the database.", &[]),
    generic("rename", 3, parse::rename)
        .flags(&[WRITE])
        .keys(&[key(1, &["RW", "access", "delete"]), key(2, &["OW", "update"])])
        .doc("1.0.0", "Gives a key another name; what had that name is gone.", &[Arg::KEY, NEW_KEY]),
    generic("renamenx", 3, parse::renamenx)
        .flags(&[WRITE, FAST])
        .keys(&[key(1, &["RW", "access", "delete"]), key(2, &["OW", "insert"])])
        .doc("1.0.0", "Gives a key another name only if nothing has that name.", &[Arg::KEY, NEW_KEY]),
    generic("expire", -3, parse::expire).flags(&[WRITE, FAST]).keys(&[key(1, &["RW", "update"])]).doc(
        "1.0.0",
        "Sets a key's time to live in seconds.",
        &[Arg::KEY, Arg::integer("seconds"), CONDITION],
    ),
    generic("pexpire", -3, parse::pexpire).flags(&[WRITE, FAST]).keys(&[key(1, &["RW", "update"])]).doc(
        "2.6.0",
        "Sets a key's time to live in milliseconds.",
        &[Arg::KEY, Arg::integer("milliseconds"), CONDITION],
    ),
    generic("expireat", -3, parse::expireat).flags(&[WRITE, FAST]).keys(&[key(1, &["RW", "update"])]).doc(
        "1.2.0",
        "Sets the Unix time in seconds at which a key expires.",
        &[Arg::KEY, Arg::new("unix-time-seconds", ArgKind::UnixTime), CONDITION],
    ),
    generic("pexpireat", -3, parse::pexpireat).flags(&[WRITE, FAST]).keys(&[key(1, &["RW", "update"])]).doc(
        "2.6.0",
        "Sets the Unix time in milliseconds at which a key expires.",
        &[Arg::KEY, Arg::new("unix-time-milliseconds", ArgKind::UnixTime), CONDITION],
    ),
    generic("ttl", 2, parse::ttl)
        .flags(&[READONLY, FAST])
        .keys(&[key(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .doc("1.0.0", "Returns a key's time to live in seconds.", &[Arg::KEY]),
    generic("pttl", 2, parse::pttl)
        .flags(&[READONLY, FAST])
        .keys(&[key(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .doc("2.6.0", "Returns a key's time to live in milliseconds.", &[Arg::KEY]),
    generic("expiretime", 2, parse::expiretime).flags(&[READONLY, FAST]).keys(&[key(1, &["RO", "access"])]).doc(
        "7.0.0",
        "Returns the Unix time in seconds at which a key expires.",
        &[Arg::KEY],
    ),
    generic("pexpiretime", 2, parse::pexpiretime).flags(&[READONLY, FAST]).keys(&[key(1, &["RO", "access"])]).doc(
        "7.0.0",
        "Returns the Unix time in milliseconds at which a key expires.",
        &[Arg::KEY],
    ),
    generic("persist", 2, parse::persist).flags(&[WRITE, FAST]).keys(&[key(1, &["RW", "update"])]).doc(
        "2.2.0",
        "Makes a key live for ever.",
        &[Arg::KEY],
    ),
    whole_db("dbsize", 1, parse::dbsize)
        .flags(&[READONLY, FAST])
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .doc("1.0.0", "Returns the number of keys in the database.", &[]),
    whole_db("flushall", -1, parse::flushall)
        .flags(&[WRITE])
        .category(Categories::DANGEROUS)
        .tips(ALL_SHARDS)
        .complexity("O(N) where N is the number of keys in all databases.")
        .doc("1.0.0", "Removes all keys of all databases. Refused while there are campaigns, unless --allow-reset lets it purge them.", &[FLUSH_TYPE]),
    whole_db("flushdb", -1, parse::flushdb)
        .flags(&[WRITE])
        .category(Categories::DANGEROUS)
        .tips(ALL_SHARDS)
        .complexity("O(N) where N is the number of keys in the database.")
        .doc("1.0.0", "Removes all keys of the database. Database 0: refused while there are campaigns, unless --allow-reset lets it purge them.", &[FLUSH_TYPE]),
];
