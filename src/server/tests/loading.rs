//! Clients that are there while the data is being loaded.

use std::path::Path;
use std::sync::Arc;

use super::{OPTIONS, World, facts, hooks};
use crate::core::Core;
use crate::ids::Millis;
use crate::journal::Journal;
use crate::journal::memory::MemoryDisk;
use crate::server::Wake;
use crate::server::gate::{Gate, Loaded};
use crate::server::session::Session;
use crate::wire::{CommandSpec, Handler, commands};

const LOADING: &str = "-LOADING Redis is loading the dataset in memory";

/// What a client hears at once.
fn ask(gate: &mut Gate, session: &mut Session, line: &str) -> String {
    session.read(gate, format!("{line}\r\n").as_bytes());
    gate.end_turn();
    let bytes = gate.release(&mut session.held).to_vec();
    session.held.sent(bytes.len());
    String::from_utf8(bytes).expect("text").replace("\r\n", " ").trim_end().to_owned()
}

fn loading() -> (Gate, Session) {
    let wake = Wake::default();
    let (hooks, _) = hooks(&wake);
    let mut gate = Gate::new(hooks.watermarks, hooks.figures, facts(), wake);
    let client = gate.clients.open("test:1".to_owned(), "gate:1".to_owned(), 0, gate.now());
    (gate, Session::new(client, true))
}

#[test]
fn what_needs_no_data_is_answered_and_the_rest_is_refused() {
    let (mut gate, mut session) = loading();
    for (asked, answer) in [
        ("PING", "+PONG"),
        ("ECHO hello", "$5 hello"),
        ("CLIENT ID", ":1"),
        ("CLIENT SETINFO LIB-NAME lettuce", "+OK"),
        ("SELECT 1", "+OK"),
        ("LASTSAVE", ":0"),
        ("CONFIG GET appendonly", "*2 $10 appendonly $3 yes"),
        ("COMMAND GETKEYS GET k", "*1 $1 k"),
        ("GET k", LOADING),
        ("INCR k", LOADING),
        ("DBSIZE", LOADING),
        ("FLUSHALL", LOADING),
        ("GATE.CLAIM spring 1", LOADING),
        ("GATE.LIST", LOADING),
        ("BGSAVE", LOADING),
        ("SAVE", LOADING),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("SET k v NO SUCH", LOADING),
    ] {
        assert_eq!(ask(&mut gate, &mut session, asked), answer, "{asked}");
    }
    gate.tick();
    assert!(ask(&mut gate, &mut session, "HELLO 3").starts_with("%7 "));
}

#[test]
fn the_table_says_as_redis_does_what_is_answered_while_it_loads() {
    let needs_no_data = |spec: &&CommandSpec| spec.needs_no_data();
    for spec in commands().iter().filter(needs_no_data) {
        assert!(!matches!(spec.handler, Handler::Core(_)), "{} asks the core", spec.name);
    }
    let refused: Vec<&str> = commands()
        .iter()
        .filter(|spec| !spec.needs_no_data() && matches!(spec.handler, Handler::Connection(_)))
        .map(|spec| spec.name)
        .collect();
    assert_eq!(refused, ["bgsave", "save", "bgrewriteaof", "gate.why"]);
}

#[test]
fn info_tells_how_far_loading_is() {
    let (mut gate, mut session) = loading();
    let figures = Arc::clone(&gate.figures);
    assert!(ask(&mut gate, &mut session, "INFO persistence").contains(
        "loading_start_time:0 loading_total_bytes:0 loading_rdb_used_mem:0 loading_loaded_bytes:0 \
         loading_loaded_perc:0.00 loading_eta_seconds:1"
    ));
    let began = crate::edge::wall().0 as u64 - 30_500;
    figures.loading.began_at.set(began);
    figures.loading.bytes_total.set(4000);
    figures.loading.bytes_loaded.set(3000);
    // The journal is replayed in another thread, and the marks move before the gate opens.
    gate.watermarks.applied.advance(crate::ids::Lsn::new(9));
    gate.watermarks.durable.advance(crate::ids::Lsn::new(9));
    let info = ask(&mut gate, &mut session, "INFO");
    let start = format!(" loading_start_time:{} ", began / 1000);
    for field in [" loading:1 ", &start, " loading_loaded_perc:75.00 ", " loading_eta_seconds:10 ", " lag_durable:0 "] {
        assert!(info.contains(field), "{field}: {info}");
    }
}

#[test]
fn a_connection_lives_on_when_the_gate_opens_and_time_begins_where_the_journal_ends() {
    let disk = MemoryDisk::default();
    let floor = Millis(crate::edge::wall().0 + 86_400_000);
    let open = |core: &mut Core, wake: &Wake| {
        let (hooks, moved) = hooks(wake);
        let journal = Journal::open(Arc::new(disk.clone()), Path::new("/data"), OPTIONS).expect("a sound disk");
        let (journal, _) = journal.replay(core, hooks.clone(), &mut |_| ()).expect("a sound journal");
        (journal, hooks, moved)
    };
    let wake = Wake::default();
    let mut core = Core::new(7);
    let (journal, hooks, moved) = open(&mut core, &wake);
    let mut gate = Gate::new(hooks.watermarks, hooks.figures, facts(), wake.clone());
    let client = gate.clients.open("test:1".to_owned(), "gate:1".to_owned(), 0, gate.now());
    let mut session = Session::new(client, true);
    assert_eq!(ask(&mut gate, &mut session, "CLIENT SETNAME early"), "+OK");
    assert_eq!(ask(&mut gate, &mut session, "INCR k"), LOADING);
    // Half a request, read before, is run after.
    session.read(&mut gate, b"INC");
    gate.open(Loaded { core, journal, floor, elsewhere: None });
    assert!(gate.now() >= floor, "the clock goes on where the journal ends");
    let mut world = World { gate, disk, moved, wake, _peace: None };
    assert_eq!(world.ask(&mut session, "R k"), ":1");
    assert_eq!(world.ask(&mut session, "CLIENT GETNAME"), "$5 early");
    assert!(world.ask(&mut session, "INFO persistence").starts_with("$") && !world.gate.is_loading());
}
