//! The rows of the commands on connections.

use crate::wire::spec::{Arg, Categories, CommandSpec, ConnectionCommand as Run, Flags, Group, Handler};

const ADMIN: Flags = Flags::ADMIN;
const NOSCRIPT: Flags = Flags::NOSCRIPT;
const LOADING: Flags = Flags::LOADING;
const STALE: Flags = Flags::STALE;
const FAST: Flags = Flags::FAST;

/// What somebody may call who has not said a password yet.
const BEFORE_AUTH: &[Flags] = &[NOSCRIPT, LOADING, STALE, FAST, Flags::NO_AUTH, Flags::ALLOW_BUSY];

const fn connection(name: &'static str, arity: i32, run: Run) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Connection, Handler::Connection(run)).category(Categories::CONNECTION)
}

/// A subcommand of `CLIENT` on the connection itself.
const fn own(name: &'static str, arity: i32, run: Run) -> CommandSpec {
    connection(name, arity, run).flags(&[NOSCRIPT, LOADING, STALE])
}

/// A subcommand of `CLIENT` on all connections.
const fn admin(name: &'static str, arity: i32, run: Run) -> CommandSpec {
    own(name, arity, run).flags(&[ADMIN])
}

const ON_OFF: &[Arg] = &[Arg::one_of("enabled", &[Arg::word("on", "ON"), Arg::word("off", "OFF")])];
const CLIENT_TYPE: Arg = Arg::one_of(
    "client-type",
    &[
        Arg::word("normal", "NORMAL"),
        Arg::word("master", "MASTER"),
        Arg::word("replica", "REPLICA"),
        Arg::word("pubsub", "PUBSUB"),
    ],
)
.after("TYPE")
.optional();
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// The rows.
pub(super) const ROWS: &[CommandSpec] = &[
    connection("ping", -1, Run::Ping)
        .flags(&[FAST])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .doc("1.0.0", "Returns PONG, or the message.", &[Arg::string("message").optional()]),
    connection("echo", 2, Run::Echo).flags(&[LOADING, STALE, FAST]).doc(
        "1.0.0",
        "Returns the message.",
        &[Arg::string("message")],
    ),
    connection("quit", -1, Run::Quit).flags(BEFORE_AUTH).doc("1.0.0", "Closes the connection.", &[]),
    connection("reset", 1, Run::Reset).flags(BEFORE_AUTH).doc(
        "6.2.0",
        "Makes the connection as it was when it was opened.",
        &[],
    ),
    connection("select", 2, Run::Select).flags(&[LOADING, STALE, FAST]).doc(
        "1.0.0",
        "Chooses the connection's database.",
        &[Arg::integer("index")],
    ),
    connection("hello", -1, Run::Hello).flags(BEFORE_AUTH).doc(
        "6.0.0",
        "Greets the server and chooses the protocol.",
        &[Arg::block(
            "arguments",
            &[
                Arg::integer("protover"),
                Arg::block("auth", &[Arg::string("username"), Arg::string("password")]).after("AUTH").optional(),
                Arg::string("clientname").after("SETNAME").optional(),
            ],
        )
        .optional()],
    ),
    connection("auth", -2, Run::Auth).flags(BEFORE_AUTH).doc(
        "1.0.0",
        "Authenticates the connection.",
        &[Arg::string("username").optional(), Arg::string("password")],
    ),
    CommandSpec::new("client", -2, Group::Connection, Handler::Container)
        .flags(&[Flags::CONTAINER])
        .complexity("Depends on subcommand.")
        .doc("2.4.0", "A container for commands on connections.", &[]),
    own("client|id", 2, Run::ClientId).doc("5.0.0", "Returns the connection's number.", &[]),
    own("client|getname", 2, Run::ClientGetName).doc("2.6.9", "Returns the connection's name.", &[]),
    own("client|setname", 3, Run::ClientSetName).tips(ALL_NODES).doc(
        "2.6.9",
        "Gives the connection a name.",
        &[Arg::string("connection-name")],
    ),
    own("client|setinfo", 4, Run::ClientSetInfo).tips(ALL_NODES).doc(
        "7.2.0",
        "Tells the server which client library this is.",
        &[Arg::one_of("attr", &[Arg::string("libname").after("LIB-NAME"), Arg::string("libver").after("LIB-VER")])],
    ),
    admin("client|list", -2, Run::ClientList)
        .tips(&["nondeterministic_output"])
        .complexity("O(N) where N is the number of connections.")
        .doc(
            "2.4.0",
            "Lists the connections.",
            &[CLIENT_TYPE, Arg::integer("client-id").after("ID").optional().multiple()],
        ),
    own("client|info", 2, Run::ClientInfo).tips(&["nondeterministic_output"]).doc(
        "6.2.0",
        "Tells about the connection.",
        &[],
    ),
    admin("client|kill", -3, Run::ClientKill).complexity("O(N) where N is the number of connections.").doc(
        "2.4.0",
        "Closes connections.",
        &[Arg::one_of(
            "filter",
            &[
                Arg::string("old-format"),
                Arg::one_of(
                    "new-format",
                    &[
                        Arg::integer("client-id").after("ID").optional(),
                        CLIENT_TYPE,
                        Arg::string("username").after("USER").optional(),
                        Arg::string("addr").after("ADDR").optional(),
                        Arg::string("laddr").after("LADDR").optional(),
                        Arg::one_of("skipme", &[Arg::word("yes", "YES"), Arg::word("no", "NO")])
                            .after("SKIPME")
                            .optional(),
                    ],
                )
                .multiple(),
            ],
        )],
    ),
    own("client|reply", 3, Run::ClientReply).doc(
        "3.2.0",
        "Says whether the connection's requests are answered.",
        &[Arg::one_of("action", &[Arg::word("on", "ON"), Arg::word("off", "OFF"), Arg::word("skip", "SKIP")])],
    ),
    admin("client|no-evict", 3, Run::ClientNoEvict).doc(
        "7.0.0",
        "Says whether the connection may be closed for want of memory.",
        ON_OFF,
    ),
    own("client|no-touch", 3, Run::ClientNoTouch).doc(
        "7.2.0",
        "Says whether the connection's requests count as use of a key.",
        ON_OFF,
    ),
    connection("client|help", 2, Run::ClientHelp).flags(&[LOADING, STALE]).doc(
        "5.0.0",
        "Returns what CLIENT can do.",
        &[],
    ),
];
