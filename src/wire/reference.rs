//! The commands as a document: `docs/commands.md` is this text, and a test holds them against each other.

use crate::wire::spec::{Arg, ArgKind, CommandSpec, Flags, Group};
use crate::wire::table::commands;

const HEAD: &str = "\
# Commands

Made from the command table; `GATE.HELP`, `COMMAND DOCS` and `redis-cli`'s own help tell the same.

Words in capitals are written as they stand, in any case; what stands in brackets may be left out; options come in any
order, each at most once.

## Campaigns

In these tables `-` begins an error line. Beside what each command answers for itself, all of them can be refused with

| answer | when |
|---|---|
| `-ERR wrong number of arguments ...`, `-ERR syntax error: ...` | The request has another form than its first line; the text says which part is wrong, and what would be right. |
| `-NOAUTH ...` | The gate has a password and this connection has not shown it. |
| `-LOADING ...` | The gate reads its data back. |
| `-STALE ...` | Kafka or the ledger knows grants that this journal does not: nothing is written before `coupon-gate catch-up`. |
| `-MISCONF ...` | The disk is full or has failed: nothing is written until there is room. |
";

const REDIS: &str = "
## Commands of Redis

Replies and error texts are those of Redis 7.2, in RESP2 and RESP3. Campaigns show as keys of database 0 (`TYPE` says
`campaign`); what would change one is answered with `-WRONGTYPE`.
";

/// The whole document.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for spec in in_group(Group::Gate) {
        chapter(spec, &mut text);
    }
    text += REDIS;
    let groups = [
        (Group::String, "Strings and counters"),
        (Group::Generic, "Keys"),
        (Group::Connection, "Connections"),
        (Group::Server, "The server"),
    ];
    for (group, title) in groups {
        text += &format!("\n### {title}\n\n| command | what it does |\n|---|---|\n");
        for spec in in_group(group) {
            text += &format!("| `{}` | {} |\n", line(spec).replace('|', "\\|"), spec.summary.replace('|', "\\|"));
        }
    }
    text
}

fn in_group(group: Group) -> impl Iterator<Item = &'static CommandSpec> {
    commands().iter().filter(move |spec| spec.group == group && !spec.flags.contains(Flags::CONTAINER))
}

/// What a command of our own takes, does and answers.
fn chapter(spec: &CommandSpec, text: &mut String) {
    *text += &format!("\n### {}\n\n    {}\n\n{}\n", spec.name.to_ascii_uppercase(), line(spec), spec.summary);
    if spec.complexity != "O(1)" {
        *text += &format!("{}\n", spec.complexity);
    }
    if !spec.answers.is_empty() {
        *text += "\n| answer | when |\n|---|---|\n";
    }
    for (answer, when) in spec.answers {
        *text += &format!("| `{}` | {} |\n", answer.replace('|', "\\|"), when.replace('|', "\\|"));
    }
}

/// A request as it is written.
fn line(spec: &CommandSpec) -> String {
    let name = spec.name.replace('|', " ").to_ascii_uppercase();
    spec.arguments.iter().fold(name, |line, arg| line + " " + &written(arg))
}

fn written(arg: &Arg) -> String {
    let between = |separator: &str| arg.parts.iter().map(written).collect::<Vec<_>>().join(separator);
    let value = match arg.kind {
        ArgKind::PureToken => String::new(),
        ArgKind::OneOf => between("|"),
        ArgKind::Block => between(" "),
        ArgKind::Key | ArgKind::String | ArgKind::Integer | ArgKind::Double | ArgKind::Pattern | ArgKind::UnixTime => {
            arg.name.to_owned()
        }
    };
    let one = match arg.token {
        Some(token) if value.is_empty() => token.to_owned(),
        Some(token) => format!("{token} {value}"),
        None => value,
    };
    let all = if arg.multiple { format!("{one} [{one} ...]") } else { one };
    if arg.optional { format!("[{all}]") } else { all }
}
