//! The rows of the commands on the process.

use crate::wire::spec::{Arg, ArgKind, Categories, CommandSpec, ConnectionCommand as Run, Flags, Group, Handler};

const ADMIN: Flags = Flags::ADMIN;
const NOSCRIPT: Flags = Flags::NOSCRIPT;
const LOADING: Flags = Flags::LOADING;
const STALE: Flags = Flags::STALE;

const fn server(name: &'static str, arity: i32, run: Run) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Server, Handler::Connection(run)).flags(&[LOADING, STALE])
}

/// `COMMAND` and its subcommands.
const fn about(name: &'static str, arity: i32, run: Run) -> CommandSpec {
    server(name, arity, run).category(Categories::CONNECTION)
}

const fn config(name: &'static str, arity: i32, run: Run) -> CommandSpec {
    server(name, arity, run).flags(&[ADMIN, NOSCRIPT])
}

/// What asks for a snapshot.
const fn snapshot(name: &'static str, arity: i32, run: Run) -> CommandSpec {
    let row = CommandSpec::new(name, arity, Group::Server, Handler::Connection(run));
    row.flags(&[ADMIN, NOSCRIPT, Flags::NO_ASYNC_LOADING])
}

const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const NAMES: &[Arg] = &[Arg::string("command-name").optional().multiple()];

/// The rows.
pub(super) const ROWS: &[CommandSpec] = &[
    about("command", -1, Run::Command)
        .flags(&[Flags::CONTAINER])
        .tips(&["nondeterministic_output_order"])
        .complexity("O(N) where N is the number of commands.")
        .doc("2.8.13", "Returns details of all commands.", &[]),
    about("command|count", 2, Run::CommandCount).doc("2.8.13", "Returns the number of commands.", &[]),
    about("command|info", -2, Run::CommandInfo)
        .tips(&["nondeterministic_output_order"])
        .complexity("O(N) where N is the number of commands.")
        .doc("2.8.13", "Returns details of commands.", NAMES),
    about("command|docs", -2, Run::CommandDocs)
        .tips(&["nondeterministic_output_order"])
        .complexity("O(N) where N is the number of commands.")
        .doc("7.0.0", "Returns the documents of commands.", NAMES),
    about("command|list", -2, Run::CommandList)
        .tips(&["nondeterministic_output_order"])
        .complexity("O(N) where N is the number of commands.")
        .doc(
            "7.0.0",
            "Returns the names of commands.",
            &[Arg::one_of(
                "filterby",
                &[
                    Arg::string("module-name").after("MODULE"),
                    Arg::string("category").after("ACLCAT"),
                    Arg::new("pattern", ArgKind::Pattern).after("PATTERN"),
                ],
            )
            .after("FILTERBY")
            .optional()],
        ),
    about("command|getkeys", -3, Run::CommandGetKeys).complexity("O(N) where N is the number of arguments.").doc(
        "2.8.13",
        "Returns the keys of a command.",
        &[Arg::string("command"), Arg::string("arg").optional().multiple()],
    ),
    about("command|help", 2, Run::CommandHelp).doc("5.0.0", "Returns what COMMAND can do.", &[]),
    server("info", -1, Run::Info)
        .category(Categories::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .doc("1.0.0", "Returns facts and figures of the server.", &[Arg::string("section").optional().multiple()]),
    CommandSpec::new("config", -2, Group::Server, Handler::Container)
        .flags(&[Flags::CONTAINER])
        .complexity("Depends on subcommand.")
        .doc("2.0.0", "A container for commands on settings.", &[]),
    config("config|get", -3, Run::ConfigGet).complexity("O(N) where N is the number of settings.").doc(
        "2.0.0",
        "Returns settings.",
        &[Arg::string("parameter").multiple()],
    ),
    config("config|set", -4, Run::ConfigSet).tips(ALL_NODES).complexity("O(N) where N is the number of settings.").doc(
        "2.0.0",
        "Changes settings.",
        &[Arg::block("data", &[Arg::string("parameter"), Arg::string("value")]).multiple()],
    ),
    config("config|resetstat", 2, Run::ConfigResetStat).tips(ALL_NODES).doc(
        "2.0.0",
        "Sets the figures of INFO to 0.",
        &[],
    ),
    server("config|help", 2, Run::ConfigHelp).doc("5.0.0", "Returns what CONFIG can do.", &[]),
    server("time", 1, Run::Time).flags(&[Flags::FAST]).tips(&["nondeterministic_output"]).doc(
        "2.6.0",
        "Returns the server's time.",
        &[],
    ),
    snapshot("bgsave", -1, Run::BgSave).doc(
        "1.0.0",
        "Starts a snapshot of all data.",
        &[Arg::word("schedule", "SCHEDULE").optional()],
    ),
    snapshot("save", 1, Run::Save)
        .flags(&[Flags::NO_MULTI])
        .complexity("O(N) where N is the number of keys and grants, beside the other connections.")
        .doc("1.0.0", "Makes a snapshot of all data and answers when it is on disk.", &[]),
    snapshot("bgrewriteaof", 1, Run::BgRewriteAof).doc(
        "1.0.0",
        "Starts a snapshot of all data, so that old segments of the journal can go.",
        &[],
    ),
    server("lastsave", 1, Run::LastSave)
        .flags(&[Flags::FAST])
        .category(Categories::ADMIN)
        .category(Categories::DANGEROUS)
        .tips(&["nondeterministic_output"])
        .doc("1.0.0", "Returns the Unix time of the newest snapshot.", &[]),
    server("shutdown", -1, Run::Shutdown).flags(&[ADMIN, NOSCRIPT, Flags::NO_MULTI, Flags::ALLOW_BUSY]).doc(
        "1.0.0",
        "Ends the server.",
        &[
            Arg::one_of("save-selector", &[Arg::word("nosave", "NOSAVE"), Arg::word("save", "SAVE")]).optional(),
            Arg::word("now", "NOW").optional(),
            Arg::word("force", "FORCE").optional(),
            Arg::word("abort", "ABORT").optional(),
        ],
    ),
    server("cluster", -2, Run::ClusterDisabled).doc(
        "3.0.0",
        "Says that there is no cluster.",
        &[Arg::string("subcommand"), Arg::string("arg").optional().multiple()],
    ),
    server("readonly", 1, Run::ClusterDisabled).flags(&[Flags::FAST]).category(Categories::CONNECTION).doc(
        "3.0.0",
        "Says that there is no cluster.",
        &[],
    ),
    server("readwrite", 1, Run::ClusterDisabled).flags(&[Flags::FAST]).category(Categories::CONNECTION).doc(
        "3.0.0",
        "Says that there is no cluster.",
        &[],
    ),
];
