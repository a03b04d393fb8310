//! What the server tells of its commands: the replies of `COMMAND`, made from the table.

use crate::core::{Refusal, Reply, glob_matches};
use crate::wire::args::Args;
use crate::wire::help;
use crate::wire::refusals::SYNTAX;
use crate::wire::spec::{Arg, Categories, CommandSpec, ConnectionCommand, Flags, KeySpec};
use crate::wire::table::{self, subcommands};

/// The reply of `COMMAND`, of its subcommands and of each `HELP`; `None` for other commands. `args` as `resolve` saw
/// them.
pub fn describe(command: ConnectionCommand, args: &Args<'_>) -> Option<Reply<'static>> {
    use ConnectionCommand as Run;
    Some(match command {
        Run::Command => Reply::Array(top_level().map(info).collect()),
        Run::CommandCount => Reply::Int(top_level().count() as i64),
        Run::CommandInfo => command_info(args),
        Run::CommandDocs => command_docs(args),
        Run::CommandList => command_list(args).unwrap_or_else(Reply::Refused),
        Run::CommandGetKeys => get_keys(args).unwrap_or_else(Reply::Refused),
        Run::CommandHelp => help::lines(help::COMMAND),
        Run::ClientHelp => help::lines(help::CLIENT),
        Run::ConfigHelp => help::lines(help::CONFIG),
        Run::GateHelp => help::lines(help::GATE),
        Run::Ping
        | Run::Echo
        | Run::Quit
        | Run::Reset
        | Run::Select
        | Run::Hello
        | Run::Auth
        | Run::ClientId
        | Run::ClientGetName
        | Run::ClientSetName
        | Run::ClientSetInfo
        | Run::ClientList
        | Run::ClientInfo
        | Run::ClientKill
        | Run::ClientReply
        | Run::ClientNoEvict
        | Run::ClientNoTouch
        | Run::Info
        | Run::ConfigGet
        | Run::ConfigSet
        | Run::ConfigResetStat
        | Run::ClusterDisabled
        | Run::Time
        | Run::BgSave
        | Run::Save
        | Run::BgRewriteAof
        | Run::LastSave
        | Run::GateWhy
        | Run::Shutdown => return None,
    })
}

fn top_level() -> impl Iterator<Item = &'static CommandSpec> {
    table::commands().iter().filter(|spec| spec.container().is_none())
}

/// A row by its full name, `container|name` for a subcommand.
fn by_full_name(name: &[u8]) -> Option<&'static CommandSpec> {
    match name.iter().position(|&byte| byte == b'|') {
        None => table::lookup(name),
        Some(bar) => table::lookup_subcommand(table::lookup(&name[..bar])?, &name[bar + 1..]),
    }
}

fn command_info(args: &Args<'_>) -> Reply<'static> {
    if args.len() == 2 {
        return Reply::Array(top_level().map(info).collect());
    }
    Reply::Array(args.iter().skip(2).map(|name| by_full_name(name).map_or(Reply::Null, info)).collect())
}

fn command_docs(args: &Args<'_>) -> Reply<'static> {
    let entry = |spec: &'static CommandSpec| (word(spec.name), docs(spec));
    Reply::Map(match args.len() {
        2 => top_level().map(entry).collect(),
        _ => args.iter().skip(2).filter_map(by_full_name).map(entry).collect(),
    })
}

fn command_list(args: &Args<'_>) -> Result<Reply<'static>, Refusal> {
    let names = |keep: &dyn Fn(&CommandSpec) -> bool| {
        Reply::Array(table::commands().iter().filter(|spec| keep(spec)).map(|spec| word(spec.name)).collect())
    };
    if args.len() == 2 {
        return Ok(names(&|_| true));
    }
    if args.len() != 5 || !args.get(2).eq_ignore_ascii_case(b"filterby") {
        return Err(SYNTAX);
    }
    let value = args.get(4);
    match args.get(3) {
        kind if kind.eq_ignore_ascii_case(b"pattern") => {
            let pattern = value.to_ascii_lowercase();
            Ok(names(&|spec| glob_matches(&pattern, spec.name.as_bytes())))
        }
        kind if kind.eq_ignore_ascii_case(b"aclcat") => {
            Ok(names(&|spec| categories(spec).any(|name| name.as_bytes().eq_ignore_ascii_case(value))))
        }
        kind if kind.eq_ignore_ascii_case(b"module") => Ok(Reply::Array(Vec::new())),
        _ => Err(SYNTAX),
    }
}

fn get_keys(args: &Args<'_>) -> Result<Reply<'static>, Refusal> {
    let invalid = Refusal::Err("Invalid command specified");
    let mut spec = table::lookup(args.get(2)).ok_or(invalid.clone())?;
    if spec.is_container() && args.len() > 3 {
        spec = table::lookup_subcommand(spec, args.get(3)).ok_or(invalid)?;
    }
    if spec.keys.is_empty() {
        return Err(Refusal::Err("The command has no key arguments"));
    }
    let count = args.len() - 2;
    if !spec.takes(count) {
        return Err(Refusal::Err("Invalid number of arguments specified for command"));
    }
    let (first, last, step) = spec.key_range();
    let last = if last < 0 { count as i64 + last } else { last };
    Ok(Reply::Array(
        (first..=last)
            .step_by(step as usize)
            .map(|index| Reply::Bulk(args.get(2 + index as usize).to_vec().into()))
            .collect(),
    ))
}

/// The ten elements of `COMMAND INFO`.
fn info(spec: &'static CommandSpec) -> Reply<'static> {
    let (first, last, step) = spec.key_range();
    let flags = Flags::NAMES.iter().filter(|(flag, _)| spec.flags.contains(*flag));
    Reply::Array(vec![
        word(spec.name),
        Reply::Int(i64::from(spec.arity)),
        Reply::Set(flags.map(|(_, name)| Reply::Status(name)).collect()),
        Reply::Int(first),
        Reply::Int(last),
        Reply::Int(step),
        Reply::Set(category_marks(spec)),
        Reply::Set(spec.tips.iter().map(|tip| word(tip)).collect()),
        Reply::Set(spec.keys.iter().map(key_spec).collect()),
        Reply::Set(subcommands(spec).iter().map(info).collect()),
    ])
}

fn key_spec(keys: &'static KeySpec) -> Reply<'static> {
    let last = keys.last;
    map([
        ("flags", Reply::Set(keys.flags.iter().map(|flag| Reply::Status(flag)).collect())),
        ("begin_search", map([("type", word("index")), ("spec", map([("index", Reply::Int(keys.first))]))])),
        (
            "find_keys",
            map([
                ("type", word("range")),
                (
                    "spec",
                    map([("lastkey", Reply::Int(last)), ("keystep", Reply::Int(keys.step)), ("limit", Reply::Int(0))]),
                ),
            ]),
        ),
    ])
}

/// One row per category: with the mark, without it, and whether a command is in it.
type CategoryRow = (&'static str, fn(&CommandSpec) -> bool);

/// In the order in which Redis tells them.
const CATEGORIES: [CategoryRow; 10] = [
    ("@keyspace", |spec| spec.categories.contains(Categories::KEYSPACE)),
    ("@read", |spec| spec.flags.contains(Flags::READONLY)),
    ("@write", |spec| spec.flags.contains(Flags::WRITE)),
    ("@string", |spec| spec.categories.contains(Categories::STRING)),
    ("@admin", |spec| spec.flags.contains(Flags::ADMIN) || spec.categories.contains(Categories::ADMIN)),
    ("@fast", |spec| spec.flags.contains(Flags::FAST)),
    ("@slow", |spec| !spec.flags.contains(Flags::FAST)),
    ("@dangerous", |spec| spec.flags.contains(Flags::ADMIN) || spec.categories.contains(Categories::DANGEROUS)),
    ("@connection", |spec| spec.categories.contains(Categories::CONNECTION)),
    ("@gate", |spec| spec.categories.contains(Categories::GATE)),
];

fn category_marks(spec: &CommandSpec) -> Vec<Reply<'static>> {
    CATEGORIES.iter().filter(|(_, has)| has(spec)).map(|(mark, _)| Reply::Status(mark)).collect()
}

/// A row's categories without their mark.
fn categories(spec: &CommandSpec) -> impl Iterator<Item = &'static str> {
    CATEGORIES.iter().filter(move |(_, has)| has(spec)).map(|(mark, _)| &mark[1..])
}

fn docs(spec: &'static CommandSpec) -> Reply<'static> {
    let mut pairs = vec![
        ("summary", word(spec.summary)),
        ("since", word(spec.since)),
        ("group", word(spec.group.name())),
        ("complexity", word(spec.complexity)),
    ];
    if !spec.arguments.is_empty() {
        pairs.push(("arguments", Reply::Array(spec.arguments.iter().map(argument).collect())));
    }
    let subcommands = subcommands(spec);
    if !subcommands.is_empty() {
        let entries = subcommands.iter().map(|row| (word(row.name), docs(row)));
        pairs.push(("subcommands", Reply::Map(entries.collect())));
    }
    map(pairs)
}

fn argument(arg: &'static Arg) -> Reply<'static> {
    let mut pairs = vec![("name", word(arg.name)), ("type", word(arg.kind.name()))];
    if arg.parts.is_empty() && arg.kind != crate::wire::spec::ArgKind::PureToken {
        pairs.push(("display_text", word(arg.name)));
    }
    if arg.kind == crate::wire::spec::ArgKind::Key {
        pairs.push(("key_spec_index", Reply::Int(arg.key_spec as i64)));
    }
    if let Some(token) = arg.token {
        pairs.push(("token", word(token)));
    }
    let flags = [(arg.optional, "optional"), (arg.multiple, "multiple")];
    if flags.iter().any(|(set, _)| *set) {
        let set = flags.into_iter().filter(|(set, _)| *set);
        pairs.push(("flags", Reply::Set(set.map(|(_, name)| Reply::Status(name)).collect())));
    }
    if !arg.parts.is_empty() {
        pairs.push(("arguments", Reply::Array(arg.parts.iter().map(argument).collect())));
    }
    map(pairs)
}

fn word(text: &'static str) -> Reply<'static> {
    Reply::bulk(text.as_bytes())
}

fn map(pairs: impl IntoIterator<Item = (&'static str, Reply<'static>)>) -> Reply<'static> {
    Reply::Map(pairs.into_iter().map(|(key, value)| (word(key), value)).collect())
}
