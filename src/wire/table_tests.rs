//! Tests of the command table.

use std::collections::BTreeSet;

use crate::core::Refusal;
use crate::wire::scanned::with_args;
use crate::wire::spec::{CommandSpec, Flags, Handler};
use crate::wire::table::{commands, lookup, lookup_subcommand, resolve, subcommands};

fn resolved(words: &[impl AsRef<[u8]>]) -> Result<&'static str, String> {
    with_args(words, |args| resolve(&args).map(|spec| spec.name).map_err(|refusal| refusal.to_string()))
}

#[test]
fn names_are_unique_lower_case_and_found() {
    let names: BTreeSet<&str> = commands().iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), commands().len());
    for (place, spec) in commands().iter().enumerate() {
        assert_eq!(spec.index, place);
        assert_eq!(spec.name, spec.name.to_ascii_lowercase());
        assert!(spec.name.len() <= 16 && spec.name.is_ascii());
        match spec.container() {
            None => {
                assert_eq!(lookup(spec.name.as_bytes()).map(|row| row.index), Some(place));
                assert_eq!(lookup(spec.name.to_ascii_uppercase().as_bytes()).map(|row| row.index), Some(place));
            }
            Some(container) => {
                assert!(lookup(spec.name.as_bytes()).is_none(), "{}", spec.name);
                let container = lookup(container.as_bytes()).unwrap();
                let own = spec.own_name().to_ascii_uppercase();
                assert_eq!(lookup_subcommand(container, own.as_bytes()).map(|row| row.index), Some(place));
            }
        }
    }
}

#[test]
fn rows_agree_with_themselves() {
    for spec in commands() {
        assert!(spec.arity != 0, "{}", spec.name);
        assert_eq!(spec.is_container(), !subcommands(spec).is_empty(), "{}", spec.name);
        assert!(spec.container().is_none() || spec.arity.unsigned_abs() >= 2, "{}", spec.name);
        assert!(!(spec.flags.contains(Flags::WRITE) && spec.flags.contains(Flags::READONLY)), "{}", spec.name);
        assert!(spec.summary.ends_with('.') && !spec.since.is_empty(), "{}", spec.name);
        if matches!(spec.handler, Handler::Core(_)) {
            let told = spec.flags.contains(Flags::WRITE) || spec.flags.contains(Flags::READONLY);
            assert!(told, "{} reads or writes", spec.name);
        }
        let (_, last, _) = spec.key_range();
        assert!(last <= i64::from(spec.arity.unsigned_abs()), "{}", spec.name);
        assert_eq!(documented_arity(spec), spec.arity, "{}", spec.name);
    }
}

/// The arity that a row's documented arguments come to.
fn documented_arity(spec: &CommandSpec) -> i32 {
    use crate::wire::spec::{Arg, ArgKind};
    fn words(arg: &Arg) -> i32 {
        let token = i32::from(arg.token.is_some() && arg.kind != ArgKind::PureToken);
        token
            + match arg.kind {
                ArgKind::Block => arg.parts.iter().filter(|part| !part.optional).map(words).sum(),
                ArgKind::OneOf => arg.parts.iter().map(words).min().unwrap_or(0),
                ArgKind::Key
                | ArgKind::String
                | ArgKind::Integer
                | ArgKind::Double
                | ArgKind::Pattern
                | ArgKind::UnixTime
                | ArgKind::PureToken => 1,
            }
    }
    let own = if spec.container().is_some() { 2 } else { 1 };
    if spec.is_container() {
        return spec.arity;
    }
    let least: i32 = own + spec.arguments.iter().filter(|arg| !arg.optional).map(words).sum::<i32>();
    let open = spec.arguments.iter().any(|arg| arg.optional || arg.multiple);
    match spec.name {
        // Any number of arguments, for the sake of old clients.
        "quit" => -least,
        // Takes an address, or a filter and its value.
        "client|kill" => -3,
        _ if open => -least,
        _ => least,
    }
}

#[test]
fn a_name_with_a_byte_changed_is_found_only_if_it_stands_in_the_table() {
    let top: Vec<&CommandSpec> = commands().iter().filter(|spec| spec.container().is_none()).collect();
    let searched = |name: &[u8]| top.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name));
    for spec in &top {
        let longer = [spec.name.as_bytes(), b"x"].concat();
        for (place, len) in (0..longer.len()).flat_map(|place| [(place, longer.len()), (place, longer.len() - 1)]) {
            for byte in 0..=u8::MAX {
                let mut name = longer.clone();
                name[place] = byte;
                name.truncate(len);
                let found = lookup(&name).map(|row| row.index);
                assert_eq!(found, searched(&name).map(|row| row.index), "{}", name.escape_ascii());
            }
        }
    }
}

#[test]
fn strange_names_are_not_found() {
    let strange: [&[u8]; 10] = [
        b"",
        b"\0",
        b"get\0",
        b"ge",
        b"gett",
        b"client|id",
        b"gate.clate.claim",
        b"flushallflushall",
        b"a name beyond sixteen bytes",
        b"\xff\xfe",
    ];
    for name in strange {
        assert!(lookup(name).is_none(), "{}", name.escape_ascii());
    }
}

#[test]
fn subcommands_are_resolved_in_any_case() {
    assert_eq!(resolved(&["ClIeNt", "sEtNaMe", "x"]), Ok("client|setname"));
    assert_eq!(resolved(&["command"]), Ok("command"));
    assert_eq!(resolved(&["command", "count"]), Ok("command|count"));
    assert_eq!(resolved(&["config", "get", "a", "b"]), Ok("config|get"));
    assert_eq!(resolved(&["gate.help"]), Ok("gate.help"));
}

#[test]
fn arity_is_checked_for_commands_and_subcommands() {
    let wrong = |name: &str| Err(format!("ERR wrong number of arguments for '{name}' command"));
    assert_eq!(resolved(&["INCR"]), wrong("incr"));
    assert_eq!(resolved(&["incr", "a", "b"]), wrong("incr"));
    assert_eq!(resolved(&["client"]), wrong("client"));
    assert_eq!(resolved(&["CONFIG", "GET"]), wrong("config|get"));
    assert_eq!(resolved(&["command", "count", "x"]), wrong("command|count"));
    assert_eq!(resolved(&["gate.claim", "spring"]), wrong("gate.claim"));
}

#[test]
fn unknown_commands_are_repeated_up_to_128_bytes() {
    assert_eq!(resolved(&["foo"]), Err("ERR unknown command 'foo', with args beginning with: ".to_owned()));
    assert_eq!(
        resolved(&["FOO", "a", "b"]),
        Err("ERR unknown command 'FOO', with args beginning with: 'a' 'b' ".to_owned())
    );
    assert_eq!(
        resolved(&["config|get", "x"]),
        Err("ERR unknown command 'config|get', with args beginning with: 'x' ".to_owned())
    );
    assert_eq!(resolved(&["f\0o", "a\0b"]), Err("ERR unknown command 'f', with args beginning with: 'a' ".to_owned()));
    let (x, y, b) = ("x".repeat(130), "y".repeat(100), "b".repeat(100));
    assert_eq!(
        resolved(&[x.as_str(), &y, &b, "c"]),
        Err(format!("ERR unknown command '{}', with args beginning with: '{y}' '{}' ", &x[..128], &b[..25]))
    );
}

#[test]
fn unknown_subcommands_point_to_help() {
    assert_eq!(resolved(&["config", "foo"]), Err("ERR unknown subcommand 'foo'. Try CONFIG HELP.".to_owned()));
    assert_eq!(
        resolved(&["CLIENT", "MAINT_NOTIFICATIONS", "on"]),
        Err("ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.".to_owned())
    );
}

#[test]
fn bytes_that_are_no_text_are_refused_like_any() {
    let refused = with_args(&[b"\xff\xfe".as_slice()], |args| resolve(&args).map(|spec| spec.name));
    assert!(matches!(refused, Err(Refusal::ErrText(text)) if text.starts_with("unknown command '")));
}
