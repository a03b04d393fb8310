//! What a row of the command table says.

use crate::core::{Command, Refusal};
use crate::ids::Db;
use crate::wire::args::Args;

/// What a command is parsed from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The database that the connection has selected.
    pub db: Db,
    /// The arguments, the name first; as many as the row's arity allows.
    pub args: Args<'a>,
    /// A random number, for `RANDOMKEY`.
    pub draw: u64,
}

/// Turns a request into a command of the core, or says what is wrong with it.
pub type Parse = for<'a> fn(&Request<'a>) -> Result<Command<'a>, Refusal>;

/// Who carries a command out.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// The core, with what this makes of the request.
    Core(Parse),
    /// The server room: it concerns the connection or the process.
    Connection(ConnectionCommand),
    /// Nobody: only its subcommands can be called. `resolve` never gives such a row.
    Container,
}

/// Commands on connections and on the process, one for each row that the server room carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the command of its name")]
pub enum ConnectionCommand {
    Ping,
    Echo,
    Quit,
    Reset,
    Select,
    Hello,
    Auth,
    ClientId,
    ClientGetName,
    ClientSetName,
    ClientSetInfo,
    ClientList,
    ClientInfo,
    ClientKill,
    ClientReply,
    ClientNoEvict,
    ClientNoTouch,
    ClientHelp,
    Command,
    CommandCount,
    CommandInfo,
    CommandDocs,
    CommandList,
    CommandGetKeys,
    CommandHelp,
    Info,
    ConfigGet,
    ConfigSet,
    ConfigResetStat,
    ConfigHelp,
    /// `CLUSTER`, `READONLY`, `READWRITE`: clients learn from the refusal that there is no cluster.
    ClusterDisabled,
    Time,
    BgSave,
    Save,
    BgRewriteAof,
    LastSave,
    Shutdown,
    GateHelp,
    GateWhy,
}

/// One command or subcommand.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Lower case; a subcommand is `container|name`.
    pub name: &'static str,
    /// The row's place in the table, for counters.
    pub index: usize,
    /// Arguments, the name included; negative: at least so many.
    pub arity: i32,
    /// As `COMMAND INFO` tells them.
    pub flags: Flags,
    /// ACL categories beside those that the flags imply.
    pub categories: Categories,
    /// Where its keys stand.
    pub keys: &'static [KeySpec],
    /// Hints for clients.
    pub tips: &'static [&'static str],
    /// Who carries it out.
    pub handler: Handler,
    /// Its chapter of the documents.
    pub group: Group,
    /// The release of Redis, or of ours, that brought it.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What it costs.
    pub complexity: &'static str,
    /// Its arguments as `COMMAND DOCS` tells them.
    pub arguments: &'static [Arg],
    /// Of a command of our own: what it answers, and when.
    pub answers: &'static [(&'static str, &'static str)],
}

impl CommandSpec {
    /// A row to be filled.
    pub(super) const fn new(name: &'static str, arity: i32, group: Group, handler: Handler) -> CommandSpec {
        CommandSpec {
            name,
            index: 0,
            arity,
            flags: Flags(0),
            categories: Categories(0),
            keys: &[],
            tips: &[],
            handler,
            group,
            since: "",
            summary: "",
            complexity: "O(1)",
            arguments: &[],
            answers: &[],
        }
    }

    pub(super) const fn flags(mut self, flags: &[Flags]) -> CommandSpec {
        let mut at = 0;
        while at < flags.len() {
            self.flags.0 |= flags[at].0;
            at += 1;
        }
        self
    }

    pub(super) const fn category(mut self, category: Categories) -> CommandSpec {
        self.categories.0 |= category.0;
        self
    }

    pub(super) const fn keys(mut self, keys: &'static [KeySpec]) -> CommandSpec {
        self.keys = keys;
        self
    }

    pub(super) const fn tips(mut self, tips: &'static [&'static str]) -> CommandSpec {
        self.tips = tips;
        self
    }

    pub(super) const fn doc(
        mut self,
        since: &'static str,
        summary: &'static str,
        arguments: &'static [Arg],
    ) -> CommandSpec {
        self.since = since;
        self.summary = summary;
        self.arguments = arguments;
        self
    }

    pub(super) const fn answers(mut self, answers: &'static [(&'static str, &'static str)]) -> CommandSpec {
        self.answers = answers;
        self
    }

    pub(super) const fn complexity(mut self, complexity: &'static str) -> CommandSpec {
        self.complexity = complexity;
        self
    }

    /// Whether it takes so many arguments, the name included.
    #[inline]
    pub const fn takes(&self, args: usize) -> bool {
        if self.arity < 0 { args >= self.arity.unsigned_abs() as usize } else { args == self.arity as usize }
    }

    /// The container of a subcommand.
    pub fn container(&self) -> Option<&'static str> {
        self.name.split_once('|').map(|(container, _)| container)
    }

    /// The name without its container.
    pub fn own_name(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, own)| own)
    }

    /// Whether it has subcommands.
    #[inline]
    pub const fn is_container(&self) -> bool {
        self.flags.contains(Flags::CONTAINER)
    }

    /// Whether it is answered while the data is being loaded. `PING` is, though Redis refuses it then: it asks for a sign
    /// of life, and `INFO`, `/readyz` and every command on data tell that the gate is not ready.
    pub const fn needs_no_data(&self) -> bool {
        self.flags.contains(Flags::LOADING) || matches!(self.handler, Handler::Connection(ConnectionCommand::Ping))
    }

    /// First key, last key (negative: counted from the end) and the step between keys; zeros where there are none.
    pub const fn key_range(&self) -> (i64, i64, i64) {
        let [first, ..] = self.keys else { return (0, 0, 0) };
        let last = self.keys[self.keys.len() - 1];
        let end = if last.last < 0 { last.last } else { last.first + last.last };
        (first.first, end, first.step)
    }
}

/// What a command does and when it may run. Names as `COMMAND INFO` tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u32);

#[expect(missing_docs, reason = "the flags of COMMAND INFO, by their names")]
impl Flags {
    pub const WRITE: Flags = Flags(1 << 0);
    pub const READONLY: Flags = Flags(1 << 1);
    pub const DENYOOM: Flags = Flags(1 << 2);
    pub const ADMIN: Flags = Flags(1 << 3);
    pub const NOSCRIPT: Flags = Flags(1 << 4);
    pub const LOADING: Flags = Flags(1 << 5);
    pub const STALE: Flags = Flags(1 << 6);
    pub const FAST: Flags = Flags(1 << 7);
    pub const NO_AUTH: Flags = Flags(1 << 8);
    pub const NO_MULTI: Flags = Flags(1 << 9);
    pub const ALLOW_BUSY: Flags = Flags(1 << 10);
    pub const NO_ASYNC_LOADING: Flags = Flags(1 << 11);
    /// Has subcommands; not told by `COMMAND INFO`.
    pub const CONTAINER: Flags = Flags(1 << 31);

    /// The flags that are told, in the order in which Redis tells them.
    pub const NAMES: [(Flags, &'static str); 12] = [
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::NO_ASYNC_LOADING, "no_async_loading"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::ALLOW_BUSY, "allow_busy"),
    ];

    /// Whether all of `flags` are here.
    #[inline]
    pub const fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// ACL categories that do not follow from the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Categories(u8);

#[expect(missing_docs, reason = "the categories of ACL CAT, by their names")]
impl Categories {
    pub const KEYSPACE: Categories = Categories(1 << 0);
    pub const STRING: Categories = Categories(1 << 1);
    pub const CONNECTION: Categories = Categories(1 << 2);
    pub const DANGEROUS: Categories = Categories(1 << 3);
    pub const GATE: Categories = Categories(1 << 4);
    /// Beside the commands with the flag `admin`.
    pub const ADMIN: Categories = Categories(1 << 5);

    /// Whether all of `categories` are here.
    pub const fn contains(self, categories: Categories) -> bool {
        self.0 & categories.0 == categories.0
    }
}

/// Keys that stand in a row: a key specification with an index and a range.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// The first key's argument.
    pub first: i64,
    /// The last key, counted from the first; negative: counted from the end.
    pub last: i64,
    /// Arguments from one key to the next.
    pub step: i64,
    /// What is done with them, as `COMMAND INFO` tells it.
    pub flags: &'static [&'static str],
}

/// Chapters of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Connections.
    Connection,
    /// Keys of any type.
    Generic,
    /// Campaigns.
    Gate,
    /// The process.
    Server,
    /// String values.
    String,
}

impl Group {
    /// As `COMMAND DOCS` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::Gate => "gate",
            Group::Server => "server",
            Group::String => "string",
        }
    }
}

/// An argument as `COMMAND DOCS` tells it.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Name.
    pub name: &'static str,
    /// Kind.
    pub kind: ArgKind,
    /// The word that stands before it, or instead of it.
    pub token: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// Which key specification a key belongs to.
    pub key_spec: usize,
    /// The parts of a block or of a choice.
    pub parts: &'static [Arg],
}

/// Kinds of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the argument types of COMMAND DOCS, by their names")]
pub enum ArgKind {
    Key,
    String,
    Integer,
    Double,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl ArgKind {
    /// As `COMMAND DOCS` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            ArgKind::Key => "key",
            ArgKind::String => "string",
            ArgKind::Integer => "integer",
            ArgKind::Double => "double",
            ArgKind::Pattern => "pattern",
            ArgKind::UnixTime => "unix-time",
            ArgKind::PureToken => "pure-token",
            ArgKind::OneOf => "oneof",
            ArgKind::Block => "block",
        }
    }
}

impl Arg {
    /// The usual first argument.
    pub(super) const KEY: Arg = Arg::new("key", ArgKind::Key);
    /// A string value.
    pub(super) const VALUE: Arg = Arg::new("value", ArgKind::String);

    pub(super) const fn new(name: &'static str, kind: ArgKind) -> Arg {
        Arg { name, kind, token: None, optional: false, multiple: false, key_spec: 0, parts: &[] }
    }

    pub(super) const fn string(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::String)
    }

    pub(super) const fn integer(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::Integer)
    }

    /// A word that stands for itself.
    pub(super) const fn word(name: &'static str, token: &'static str) -> Arg {
        Arg::new(name, ArgKind::PureToken).after(token)
    }

    pub(super) const fn one_of(name: &'static str, parts: &'static [Arg]) -> Arg {
        let mut arg = Arg::new(name, ArgKind::OneOf);
        arg.parts = parts;
        arg
    }

    pub(super) const fn block(name: &'static str, parts: &'static [Arg]) -> Arg {
        let mut arg = Arg::new(name, ArgKind::Block);
        arg.parts = parts;
        arg
    }

    pub(super) const fn after(mut self, token: &'static str) -> Arg {
        self.token = Some(token);
        self
    }

    pub(super) const fn optional(mut self) -> Arg {
        self.optional = true;
        self
    }

    pub(super) const fn multiple(mut self) -> Arg {
        self.multiple = true;
        self
    }

    pub(super) const fn of_key_spec(mut self, key_spec: usize) -> Arg {
        self.key_spec = key_spec;
        self
    }
}
