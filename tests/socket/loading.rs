//! Clients that come while the gate is still reading its journal: what they hear, that their connections live on, and
//! that nothing is lost or hidden by their being there.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::client::{Client, asked};
use crate::conversation::{Reply, encode};
use crate::gate::{Gate, free_port};
use crate::level::{rounds, until};

const LOADING: &str = "-LOADING Redis is loading the dataset in memory";

/// Keys of the long journal.
const KEYS: usize = 50_000;

/// A connection as soon as there is one to be had.
fn knock(gate: &mut Gate) -> Client {
    until("the doors are open", || {
        let early = gate.ended();
        assert!(early.is_none(), "{early:?}");
        Client::connect(gate.port()).ok()
    })
}

/// A field of `INFO persistence`.
#[track_caller]
fn field(client: &mut Client, name: &str) -> String {
    let text = client.call("INFO persistence").text().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO has no {name}:\n{text}")).to_owned()
}

/// Writes so many events that reading them back takes a while; answers how many.
fn fill(gate: &Gate) -> usize {
    let events = rounds(1_500_000, 3_000_000);
    let mut client = gate.client();
    let mut writer = client.stream().try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut bytes = Vec::new();
            for event in 0..events {
                let (key, value) = (format!("k{}", event % KEYS), format!("{event:040}"));
                bytes.extend(encode(&["SET", &key, &value]));
                if bytes.len() > 256 << 10 || event + 1 == events {
                    writer.write_all(&bytes).unwrap();
                    bytes.clear();
                }
            }
        });
        for event in 0..events {
            assert_eq!(client.read().unwrap().to_string(), "OK", "event {event}");
        }
    });
    events
}

/// The last value that was written, when the data is loaded.
fn last_value(client: &mut Client, events: usize) -> Reply {
    let key = format!("k{}", (events - 1) % KEYS);
    until("the data is loaded", || {
        let reply = client.call_args(&["GET", &key]);
        (!reply.is_error("LOADING")).then_some(reply)
    })
}

#[test]
fn a_long_journal_is_replayed_before_the_eyes_of_its_clients() {
    let admin = format!("127.0.0.1:{}", free_port());
    let mut gate = Gate::start(&["--appendfsync", "no", "--ledger", "none", "--admin", &admin]);
    let events = fill(&gate);
    gate.kill();
    are_told_and_live_on(&mut gate, &admin, events);
    gate.kill();
    may_be_ended_meanwhile(&mut gate, events);
    gate.kill();
    do_not_hide_damage(&mut gate);
}

fn are_told_and_live_on(gate: &mut Gate, admin: &str, events: usize) {
    gate.spawn();
    let mut client = knock(gate);
    assert_eq!(client.call("PING").to_string(), "PONG");
    assert_eq!(client.call("GET k1").to_string(), LOADING);
    assert_eq!(client.call("CLIENT SETNAME early").to_string(), "OK");
    let mut shares = Vec::new();
    while field(&mut client, "loading") == "1" {
        let text = client.call("INFO persistence").text().unwrap();
        let Some(share) = text.lines().find_map(|line| line.strip_prefix("loading_loaded_perc:")) else { break };
        let share: f64 = share.parse().unwrap();
        let ready = asked(admin, "/readyz");
        let told = ["being opened", "being replayed", "read up to lsn"].iter().any(|words| ready.contains(words));
        assert!(ready.starts_with("HTTP/1.1 200") || told, "{ready}");
        assert!(asked(admin, "/healthz").starts_with("HTTP/1.1 200"));
        shares.push(share);
    }
    assert!(shares.is_sorted() && shares.iter().any(|share| (1.0..99.0).contains(share)), "{shares:?}");
    assert_eq!(last_value(&mut client, events).text().unwrap(), format!("{:040}", events - 1));
    assert_eq!(client.call("CLIENT GETNAME").text().unwrap(), "early", "it is the same connection");
    assert_eq!(client.call("INCR n").to_string(), "1");
    assert_eq!(client.call("DBSIZE").to_string(), (KEYS + 1).to_string());
    assert!(asked(admin, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(gate.said().contains("  clients  "), "{}", gate.said());
}

fn may_be_ended_meanwhile(gate: &mut Gate, events: usize) {
    gate.spawn();
    let mut client = knock(gate);
    assert_eq!(client.call("GET k1").to_string(), LOADING);
    gate.signal(Signal::TERM);
    let end = gate.wait();
    assert_eq!(end.code, Some(0), "{}", end.said);
    assert!(end.said.contains("stopped while the data was being loaded"), "{}", end.said);
    assert!(client.is_closed_by_peer());

    gate.spawn();
    let mut client = knock(gate);
    assert_eq!(client.call("GET k1").to_string(), LOADING);
    client.send_raw(b"SHUTDOWN\r\n").unwrap();
    assert_eq!(gate.wait().code, Some(0));

    gate.spawn();
    assert_eq!(last_value(&mut knock(gate), events).text().unwrap(), format!("{:040}", events - 1));
    assert_eq!(gate.client().call("GET n").text().unwrap(), "1");
}

fn do_not_hide_damage(gate: &mut Gate) {
    // The last segment with so many bytes of batches: all before it is read first.
    const PLACE: u64 = 16 << 20;
    let open = |path: &PathBuf| OpenOptions::new().read(true).write(true).open(path).unwrap();
    let written = |path: &PathBuf| {
        let mut bytes = [0; 64];
        open(path).read_exact_at(&mut bytes, PLACE).is_ok() && bytes != [0; 64]
    };
    let segment = gate.segments().into_iter().rev().find(written).unwrap();
    let mut byte = [0];
    open(&segment).read_exact_at(&mut byte, PLACE).unwrap();
    open(&segment).write_all_at(&[byte[0] ^ 1], PLACE).unwrap();
    gate.spawn();
    let mut client = knock(gate);
    assert_eq!(client.call("GET k1").to_string(), LOADING);
    let end = gate.wait();
    assert_eq!(end.code, Some(3), "{}", end.said);
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    assert!(end.said.contains(&name) && end.said.contains("lsn"), "{}", end.said);
    assert!(!end.said.contains("  clients  "), "it never said that it is ready: {}", end.said);
    assert!(client.is_closed_by_peer());
}

/// A database that takes a connection and does not greet: the gate, which asks the ledger how far it is before it
/// replays, goes on loading until this lets go.
struct Silent {
    listener: TcpListener,
    held: Option<TcpStream>,
}

impl Silent {
    fn new() -> Silent {
        Silent { listener: TcpListener::bind("127.0.0.1:0").unwrap(), held: None }
    }

    fn url(&self) -> String {
        format!("mysql://gate@127.0.0.1:{}/coupons", self.listener.local_addr().unwrap().port())
    }

    /// The gate is asking.
    fn hold(&mut self) {
        self.held = Some(self.listener.accept().unwrap().0);
    }
}

fn cli(gate: &Gate, args: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &gate.port().to_string()]).args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn tools_and_libraries_connect_while_the_gate_loads() {
    let mut silent = Silent::new();
    let mut gate = Gate::stopped(&["--ledger", &silent.url()]);
    gate.spawn();
    silent.hold();
    assert_eq!(cli(&gate, &["PING"]), "PONG\n");
    assert_eq!(cli(&gate, &["-3", "GET", "k"]), format!("{}\n\n", &LOADING[1..]));
    assert_eq!(cli(&gate, &["--json", "CONFIG", "GET", "databases"]), "{\"databases\":\"16\"}\n");
    assert!(cli(&gate, &["INFO", "persistence"]).contains("loading:1\r\n"));

    // As redis-py 8 does, which ends at any error to HELLO.
    let mut python = gate.client();
    assert_eq!(python.call("HELLO 3").field("proto"), Some(Reply::Int(3)));
    assert!(python.call("CLIENT MAINT_NOTIFICATIONS ON").is_error("ERR"));
    for line in ["CLIENT SETINFO LIB-NAME redis-py", "CLIENT SETINFO LIB-VER 8.0.0", "SELECT 1"] {
        assert_eq!(python.call(line).to_string(), "OK", "{line}");
    }
    // As Lettuce does, whose connections Spring tries with PING.
    let mut lettuce = gate.client();
    assert_eq!(lettuce.call("HELLO 3 SETNAME spring").field("proto"), Some(Reply::Int(3)));
    for line in ["SELECT 0", "CLIENT SETINFO lib-name Lettuce", "CLIENT SETINFO lib-ver 7.8.0"] {
        assert_eq!(lettuce.call(line).to_string(), "OK", "{line}");
    }
    assert_eq!(lettuce.call("PING").to_string(), "PONG");
    // As ioredis does, which waits as long as INFO tells it to.
    let mut node = gate.client();
    assert_eq!(field(&mut node, "loading"), "1");
    let eta: u64 = field(&mut node, "loading_eta_seconds").parse().unwrap();
    assert!(eta < 3600);
    for claim in ["INCR stock", "GATE.CLAIM spring 42 FLAT", "SAVE", "BGSAVE"] {
        assert_eq!(lettuce.call(claim).to_string(), LOADING, "{claim}");
    }

    drop(silent);
    until("it has loaded", || (python.call("INCR stock").to_string() == "1").then_some(()));
    assert_eq!(lettuce.call("INCR stock").to_string(), "1", "each has the database that it chose");
    assert_eq!(python.call("GET stock").to_string(), "\"1\"");
    assert_eq!(lettuce.call("CLIENT GETNAME").text().unwrap(), "spring");
    assert_eq!(field(&mut node, "loading"), "0");
    assert_eq!(gate.stop().code, Some(0));
}

#[test]
fn no_claim_is_decided_before_kafka_was_given_its_time_to_say_that_it_is_ahead() {
    // Nobody answers there.
    let kafka = TcpListener::bind("127.0.0.1:0").unwrap();
    let brokers = kafka.local_addr().unwrap().to_string();
    let mut gate = Gate::stopped(&["--kafka-brokers", &brokers, "--ledger", "none"]);
    gate.spawn();
    let mut client = knock(&mut gate);
    assert_eq!(client.call("PING").to_string(), "PONG");
    assert_eq!(client.call("GATE.CREATE spring LIMIT 1").to_string(), LOADING);
    until("the stream has asked", || kafka.set_nonblocking(true).and_then(|()| kafka.accept()).ok());
    assert_eq!(client.call("GATE.CREATE spring LIMIT 1").to_string(), LOADING);
    assert!(!gate.said().contains("does not answer"), "{}", gate.said());
    let created = until("it decides", || {
        let reply = client.call("GATE.CREATE spring LIMIT 1");
        (!reply.is_error("LOADING")).then_some(reply)
    });
    assert_eq!(created.to_string(), "CREATED");
    assert!(gate.said().contains("claims are taken without knowing whether"), "{}", gate.said());
    assert_eq!(client.call("GATE.CLAIM spring 42").to_string(), "[GRANTED 1 0]");
}
