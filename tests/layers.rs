//! The rooms and who may use whom, checked against the source: arrows point down only, pure rooms stay pure, and a
//! library that speaks to the outside is named in one room.

#[path = "layers/source.rs"]
mod source;

use std::path::Path;

use source::{SourceFile, read_rooms, read_tree};

/// A room, and the rooms below it that it may use.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
}

const fn room(name: &'static str, may_use: &'static [&'static str]) -> Room {
    Room { name, may_use }
}

/// In the order of `lib.rs`; a room may only use rooms that stand after it.
const ROOMS: &[Room] = &[
    room(
        "main",
        &[
            "settings",
            "logging",
            "serve",
            "sink_process",
            "audit",
            "dead_letters",
            "dump",
            "check",
            "backup",
            "apply",
            "seed",
            "catch_up",
            "wiring",
            "rehearse",
            "ledger",
            "exit",
            "sabotage",
        ],
    ),
    // Its files are not below `src`: the rooms that it turns by hand are those of the process.
    room("sim", &[]),
    room("settings", &["limits", "ids", "exit"]),
    room("logging", &["settings"]),
    room("sink_process", &["settings", "serve", "wiring", "admin", "sink", "kafka", "metrics", "watermark", "exit"]),
    room(
        "serve",
        &[
            "settings",
            "wiring",
            "banner",
            "admin",
            "server",
            "story",
            "stream",
            "sink",
            "kafka",
            "ledger",
            "journal",
            "wire",
            "core",
            "metrics",
            "rank",
            "watermark",
            "edge",
            "limits",
            "ids",
            "exit",
        ],
    ),
    room(
        "audit",
        &["wiring", "kafka", "ledger", "journal", "wire", "core", "grant", "ids", "exit", "settings", "sabotage"],
    ),
    room("dead_letters", &["wiring", "ledger", "wire", "core", "grant", "ids", "exit", "settings"]),
    room("dump", &["settings", "journal", "core", "grant", "ids", "exit", "sabotage"]),
    room("check", &["settings", "journal", "core", "grant", "limits", "ids", "exit", "sabotage"]),
    room("backup", &["settings", "remote", "ledger", "journal", "core", "limits", "ids", "exit", "sabotage"]),
    room("apply", &["settings", "remote", "exit"]),
    room("seed", &["settings", "remote", "limits", "exit"]),
    room(
        "catch_up",
        &[
            "settings",
            "wiring",
            "kafka",
            "ledger",
            "journal",
            "wire",
            "core",
            "metrics",
            "watermark",
            "edge",
            "sabotage",
            "grant",
            "limits",
            "ids",
            "exit",
        ],
    ),
    room("wiring", &["settings", "sink", "kafka", "ledger"]),
    room("banner", &["settings"]),
    room(
        "server",
        &[
            "journal",
            "wire",
            "core",
            "metrics",
            "watermark",
            "snapshots",
            "stories",
            "grant",
            "edge",
            "limits",
            "ids",
            "sabotage",
        ],
    ),
    room("story", &["journal", "core", "watermark", "stories", "rank", "grant", "ids", "sabotage"]),
    room(
        "stream",
        &["kafka", "journal", "wire", "core", "grant", "metrics", "watermark", "edge", "limits", "ids", "sabotage"],
    ),
    room(
        "sink",
        &[
            "kafka",
            "ledger",
            "journal",
            "wire",
            "core",
            "grant",
            "metrics",
            "watermark",
            "edge",
            "limits",
            "ids",
            "sabotage",
        ],
    ),
    room("admin", &["metrics", "watermark", "snapshots", "limits", "ids"]),
    room("rehearse", &["remote", "limits"]),
    room("remote", &[]),
    room("kafka", &["sabotage", "ids"]),
    room("ledger", &["core", "grant", "ids", "sabotage"]),
    room(
        "journal",
        &["core", "grant", "metrics", "watermark", "snapshots", "edge", "rank", "limits", "ids", "sabotage", "fuzz"],
    ),
    room("wire", &["core", "grant", "limits", "ids", "fuzz"]),
    room("core", &["limits", "ids"]),
    room("metrics", &["limits", "ids"]),
    room("watermark", &["snapshots", "stories", "edge", "grant", "ids"]),
    room("snapshots", &["edge", "ids"]),
    room("stories", &["grant", "limits", "ids"]),
    room("edge", &["ids"]),
    room("rank", &[]),
    room("sabotage", &[]),
    room("fuzz", &[]),
    room("grant", &["ids"]),
    room("limits", &[]),
    room("ids", &[]),
    room("exit", &[]),
];

/// A library that speaks to the outside, and where it may be named. `wire#test` is the test code of `wire`.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("redis_protocol", &["rehearse", "wire#test"]),
    ("rusqlite", &["ledger", "sink#test", "audit#test", "dead_letters#test"]),
    ("mysql", &["ledger"]),
    ("rdkafka", &["kafka"]),
    ("axum", &["admin"]),
    ("metrics_exporter_prometheus", &["admin"]),
    ("clap", &["settings"]),
    ("toml", &["settings"]),
    ("tracing_subscriber", &["logging"]),
    ("socket2", &["server"]),
    ("indicatif", &["serve", "audit", "rehearse"]),
    ("crc32c", &["journal"]),
    ("hashbrown", &["core"]),
];

/// What is pure: no I/O, no clock, no chance, no threads. Paths below `src/`.
const PURE: &[&str] =
    &["core/", "wire/", "journal/record.rs", "journal/batch.rs", "grant.rs", "ids.rs", "limits.rs", "exit.rs"];

/// What pure code does not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::os",
    "std::thread",
    "std::time",
    "std::env",
    "std::sync::mpsc",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::process::exit",
    "std::process::Command",
    "tokio",
    "rustix",
    "socket2",
    "getrandom",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
];

#[test]
fn arrows_point_down_and_libraries_stay_in_their_room() {
    let files = read_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 10, "the source was found: {} files", files.len());
    let violations = violations(&files);
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn the_table_and_the_tree_name_the_same_rooms() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms = read_rooms(&source.join("lib.rs"));
    let table: Vec<&str> = ROOMS.iter().map(|room| room.name).filter(|name| *name != "main").collect();
    for room in &rooms {
        assert!(table.contains(&room.as_str()), "lib.rs has the room {room}, the table of this test has not");
    }
    for name in table {
        assert!(rooms.iter().any(|room| room == name), "the table of this test has the room {name}, lib.rs has not");
    }
    let order: Vec<usize> = rooms.iter().map(|room| place(room)).collect();
    assert!(order.is_sorted(), "lib.rs lists the rooms in the order of the table: {rooms:?}");
    for path in PURE {
        assert!(source.join(path).exists(), "{path} is said to be pure, but it is not there");
    }
}

#[test]
fn the_table_itself_points_down() {
    for room in ROOMS {
        for used in room.may_use {
            // Settings are plain values: whoever runs a command takes its own.
            let down = place(used) > place(room.name) || *used == "settings";
            assert!(down, "{} may use {used}, which stands above it", room.name);
        }
    }
}

#[test]
fn shell_rooms_never_know_each_other() {
    let shell = ["admin", "server", "stream", "sink", "audit", "dead_letters", "catch_up", "rehearse"];
    for room in ROOMS.iter().filter(|room| shell.contains(&room.name)) {
        assert!(!room.may_use.iter().any(|used| shell.contains(used)), "{}", room.name);
    }
}

#[test]
fn every_kind_of_planted_violation_is_found() {
    for (path, text, told) in [
        ("core/claim.rs", "use crate::server::Loop;", "core/claim.rs: core uses crate::server"),
        ("sink/mod.rs", "use crate::{core::Event, server::{Held, Turn}};", "sink/mod.rs: sink uses crate::server"),
        ("server/mod.rs", "use super::admin::Figures;", "server/mod.rs: server uses crate::admin"),
        ("server/mod.rs", "fn f() { let x = crate::sink::start(); }", "server/mod.rs: server uses crate::sink"),
        ("journal/mod.rs", "pub use crate::wire as w;", "journal/mod.rs: journal uses crate::wire"),
        (
            "journal/reader.rs",
            "use super::super::wire::Args;",
            "journal/reader.rs: journal climbs out with super::super",
        ),
        ("main.rs", "use coupon_gate::journal::Journal;", "main.rs: main uses crate::journal"),
        ("cellar/mod.rs", "", "cellar/mod.rs: the room cellar is not in the table"),
        ("core/keys.rs", "use std::{fmt, time::Instant};", "core/keys.rs: pure code names std::time::Instant"),
        ("wire/reply.rs", "fn f() { std::fs::read(p); }", "wire/reply.rs: pure code names std::fs::read"),
        ("journal/batch.rs", "use ::std::fs;", "journal/batch.rs: pure code names std::fs"),
        ("core/mod.rs", "use tokio::sync::Notify;", "core/mod.rs: pure code names tokio::sync::Notify"),
        (
            "server/mod.rs",
            "use rusqlite::Connection;",
            "server/mod.rs: server names rusqlite, which belongs to ledger, sink#test, audit#test, dead_letters#test",
        ),
        ("serve.rs", "fn f() { axum::serve(l, r); }", "serve.rs: serve names axum, which belongs to admin"),
        (
            "wire/request.rs",
            "use redis_protocol::resp2; #[cfg(test)] mod tests { use redis_protocol::resp2; }",
            "wire/request.rs: wire names redis_protocol, which belongs to rehearse, wire#test",
        ),
    ] {
        let found = violations(&[SourceFile::new(path, text, false)]);
        assert_eq!(found, [told], "{path}: {text}");
    }
}

#[test]
fn what_only_looks_like_a_violation_passes() {
    for (path, text) in [
        ("core/claim.rs", "// use crate::server::Loop;\n/* std::time /* nested */ tokio::x */ fn f() {}"),
        (
            "core/claim.rs",
            "/// See [`crate::server::Loop`].\nfn f() -> &'static str { \"std::time::Instant \\\" tokio::x\" }",
        ),
        ("core/claim.rs", "const X: &str = r#\"tokio::x \" std::fs\"#; const Y: char = '\"'; fn f<'a>(x: &'a str) {}"),
        ("core/claim.rs", "#[cfg(test)]\nmod tests { use std::time::Instant; fn f() { {} } }"),
        ("wire/request.rs", "#[cfg(test)] mod tests { use redis_protocol::resp2; }"),
        ("settings/mod.rs", "fn f(toml: &str) -> usize { toml.len() }"),
        ("server/mod.rs", "use crate::journal::Journal; use super::wire::Args; use crate::limits;"),
        ("sink/mod.rs", "mod server; use self::server::X; fn f() { Self::core::<u8>(); }"),
    ] {
        assert_eq!(violations(&[SourceFile::new(path, text, false)]), [""; 0], "{path}: {text}");
    }
}

/// Everything in `files` that the tables above forbid, one line each.
fn violations(files: &[SourceFile]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let Some(room) = ROOMS.iter().find(|room| room.name == file.room) else {
            if file.room != "lib" {
                found.push(format!("{}: the room {} is not in the table", file.path, file.room));
            }
            continue;
        };
        let mut tell = |line: String| {
            let line = format!("{}: {line}", file.path);
            if !found.contains(&line) {
                found.push(line);
            }
        };
        for (path, in_test) in file.paths() {
            let mut parts = path.split("::");
            let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if first == "super" && second == "super" && !in_test {
                tell(format!("{} climbs out with super::super", room.name));
            }
            let up = first == "super" && file.is_room_top && !in_test;
            let known = ROOMS.iter().any(|room| room.name == second);
            if (matches!(first, "crate" | "coupon_gate") || up)
                && known
                && second != room.name
                && !room.may_use.contains(&second)
            {
                tell(format!("{} uses crate::{second}", room.name));
            }
            let pure = PURE.iter().any(|pure| file.path == *pure || pure.ends_with('/') && file.path.starts_with(pure));
            let impure = IMPURE.iter().any(|word| path == *word || path.starts_with(&format!("{word}::")));
            if pure && impure && !in_test {
                tell(format!("pure code names {path}"));
            }
            if let Some((library, rooms)) = LIBRARIES.iter().find(|(library, _)| *library == first) {
                let test_room = format!("{}#test", room.name);
                let allowed = rooms.contains(&room.name) || in_test && rooms.contains(&test_room.as_str());
                if !allowed {
                    tell(format!("{} names {library}, which belongs to {}", room.name, rooms.join(", ")));
                }
            }
        }
    }
    found
}

fn place(name: &str) -> usize {
    ROOMS.iter().position(|room| room.name == name).unwrap_or(usize::MAX)
}
