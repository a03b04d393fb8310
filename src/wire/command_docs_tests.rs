//! Tests of `command_docs`.

use crate::core::Reply;
use crate::wire::scanned::with_args;
use crate::wire::table::{self, lookup, resolve};
use crate::wire::{Handler, Protocol, describe, encode};

fn answer(words: &[&str], protocol: Protocol) -> String {
    with_args(words, |args| {
        let spec = resolve(&args).unwrap();
        let Handler::Connection(command) = spec.handler else { panic!("{words:?} is the server's") };
        let mut out = Vec::new();
        encode(&describe(command, &args).unwrap(), protocol, &mut out);
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    })
}

fn answer3(words: &[&str]) -> String {
    answer(words, Protocol::Resp3)
}

#[test]
fn command_info_has_ten_elements_and_null_for_the_unknown() {
    assert_eq!(
        answer3(&["COMMAND", "INFO", "GET", "nosuch"]),
        "*2 *10 $3 get :2 ~2 +readonly +fast :1 :1 :1 ~3 +@read +@string +@fast ~0 ~1 %3 $5 flags ~2 +RO +access \
         $12 begin_search %2 $4 type $5 index $4 spec %1 $5 index :1 \
         $9 find_keys %2 $4 type $5 range $4 spec %3 $7 lastkey :0 $7 keystep :1 $5 limit :0 ~0 _ "
    );
    assert_eq!(
        answer3(&["COMMAND", "INFO", "client|id"]),
        "*1 *10 $9 client|id :2 ~3 +noscript +loading +stale :0 :0 :0 ~2 +@slow +@connection ~0 ~0 ~0 "
    );
    assert_eq!(answer(&["COMMAND", "INFO", "nosuch"], Protocol::Resp2), "*1 $-1 ");
}

#[test]
fn command_docs_tell_of_the_known_only() {
    assert_eq!(
        answer3(&["COMMAND", "DOCS", "incr", "nosuch"]),
        "%1 $4 incr %5 $7 summary $66 Adds one to the integer value of a key; a missing key counts as 0. \
         $5 since $5 1.0.0 $5 group $6 string $10 complexity $4 O(1) \
         $9 arguments *1 %4 $4 name $3 key $4 type $3 key $12 display_text $3 key $14 key_spec_index :0 "
    );
    assert!(answer(&["COMMAND", "DOCS", "incr"], Protocol::Resp2).starts_with("*2 $4 incr *10 $7 summary "));
    assert_eq!(answer3(&["COMMAND", "DOCS", "nosuch"]), "%0 ");
}

#[test]
fn command_docs_nest_arguments_and_subcommands() {
    let set = answer3(&["COMMAND", "DOCS", "set"]);
    assert!(set.contains(
        "$4 name $9 condition $4 type $5 oneof $5 flags ~1 +optional \
         $9 arguments *2 %3 $4 name $2 nx $4 type $10 pure-token $5 token $2 NX "
    ));
    let rename = answer3(&["COMMAND", "DOCS", "rename"]);
    assert!(rename.contains("$6 newkey $4 type $3 key $12 display_text $6 newkey $14 key_spec_index :1 "));
    let config = answer3(&["COMMAND", "DOCS", "config"]);
    assert!(config.contains("$11 subcommands %4 $10 config|get %5 $7 summary "));
}

#[test]
fn count_and_bare_command_and_info_agree() {
    let top = table::commands().iter().filter(|spec| spec.container().is_none()).count();
    assert_eq!(answer3(&["COMMAND", "COUNT"]), format!(":{top} "));
    let all = answer3(&["COMMAND"]);
    assert!(all.starts_with(&format!("*{top} *10 ")));
    assert_eq!(answer3(&["COMMAND", "INFO"]), all);
    assert!(answer3(&["COMMAND", "DOCS"]).starts_with(&format!("%{top} ")));
}

#[test]
fn command_list_filters() {
    let all = table::commands().len();
    assert!(answer3(&["COMMAND", "LIST"]).starts_with(&format!("*{all} ")));
    assert_eq!(answer3(&["COMMAND", "LIST", "FILTERBY", "PATTERN", "GETRA*"]), "*1 $8 getrange ");
    assert_eq!(answer3(&["COMMAND", "LIST", "FILTERBY", "PATTERN", r"getr[A-C]\NGE"]), "*1 $8 getrange ");
    assert_eq!(
        answer3(&["COMMAND", "LIST", "FILTERBY", "PATTERN", "config|*"]),
        "*4 $10 config|get $10 config|set $16 config|resetstat $11 config|help "
    );
    let gates = table::commands().iter().filter(|spec| spec.name.starts_with("gate.")).count();
    assert!(
        answer3(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", "gate"]).starts_with(&format!("*{gates} $11 gate.create "))
    );
    assert_eq!(answer3(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", "nosuch"]), "*0 ");
    assert_eq!(answer3(&["COMMAND", "LIST", "FILTERBY", "MODULE", "any"]), "*0 ");
    for wrong in [&["X"][..], &["FILTERBY", "FOO", "x"], &["FILTERBY", "PATTERN"], &["FILTERBY", "PATTERN", "a", "b"]] {
        assert_eq!(answer3(&[&["COMMAND", "LIST"], wrong].concat()), "-ERR syntax error ");
    }
}

#[test]
fn getkeys_finds_the_keys() {
    let keys = |words: &[&str]| answer3(&[&["COMMAND", "GETKEYS"], words].concat());
    assert_eq!(keys(&["get", "b"]), "*1 $1 b ");
    assert_eq!(keys(&["MSET", "a", "b", "c", "d"]), "*2 $1 a $1 c ");
    assert_eq!(keys(&["del", "a", "b", "c"]), "*3 $1 a $1 b $1 c ");
    assert_eq!(keys(&["rename", "a", "b"]), "*2 $1 a $1 b ");
    assert_eq!(keys(&["gate.claim", "spring", "7", "FLAT"]), "*1 $6 spring ");
    assert_eq!(keys(&["nosuch", "b"]), "-ERR Invalid command specified ");
    assert_eq!(keys(&["config", "nosuch", "b"]), "-ERR Invalid command specified ");
    assert_eq!(keys(&["config|get", "b"]), "-ERR Invalid command specified ");
    assert_eq!(keys(&["ping"]), "-ERR The command has no key arguments ");
    assert_eq!(keys(&["config", "get", "b"]), "-ERR The command has no key arguments ");
    assert_eq!(keys(&["get", "b", "c"]), "-ERR Invalid number of arguments specified for command ");
}

#[test]
fn help_is_simple_strings() {
    for words in [&["CLIENT", "HELP"][..], &["COMMAND", "HELP"], &["CONFIG", "HELP"], &["GATE.HELP"]] {
        let lines = answer3(words);
        assert!(lines.contains("Print this help. "), "{words:?}");
        assert!(!lines.contains('$'), "{words:?}");
    }
}

#[test]
fn every_command_and_subcommand_stands_in_its_help() {
    for spec in table::commands() {
        let help: &[&str] = match (spec.container(), spec.name.split_once('.')) {
            (Some("client"), _) => &["CLIENT", "HELP"],
            (Some("command"), _) => &["COMMAND", "HELP"],
            (Some("config"), _) => &["CONFIG", "HELP"],
            (None, Some(("gate", _))) => &["GATE.HELP"],
            _ => continue,
        };
        let line = format!("+{}", spec.own_name().to_ascii_uppercase());
        assert!(answer3(help).contains(&line), "{} in {help:?}", spec.name);
    }
}

#[test]
fn only_commands_about_commands_are_described_here() {
    with_args(&["PING"], |args| {
        let Handler::Connection(ping) = lookup(b"ping").unwrap().handler else { panic!("PING is the server's") };
        assert_eq!(describe(ping, &args), None::<Reply<'_>>);
    });
}
