//! What client libraries send when they connect, and what they need to hear. Sequences from their sources: what each
//! does with an error decides which error it must be.

use crate::client::Client;
use crate::conversation::Reply;
use crate::gate::Gate;

/// The map that typed clients cast without looking.
#[track_caller]
fn hello(client: &mut Client, line: &str, protocol: i64) {
    let reply = client.call(line);
    assert_eq!(matches!(reply, Reply::Map(_)), protocol == 3, "a map in RESP3, a flat array in RESP2: {reply}");
    assert_eq!(reply.pairs().unwrap().len(), 7, "{reply}");
    assert_eq!(reply.field("proto"), Some(Reply::Int(protocol)), "{reply}");
    assert!(reply.field("id").unwrap().int().unwrap() > 0, "{reply}");
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        assert_eq!(reply.field(name), Some(Reply::Bulk(value.into())), "{reply}");
    }
    assert_eq!(reply.field("modules"), Some(Reply::Array(Vec::new())), "{reply}");
    let version = reply.field("version").unwrap().text().unwrap();
    assert!(version.starts_with("7.2."), "what clients gate features by: {version}");
}

/// Refused, so that the library goes on without: never `OK` for what is not there.
#[track_caller]
fn maintenance(client: &mut Client, line: &str) {
    assert_eq!(client.call(line).to_string(), "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.");
}

#[track_caller]
fn ok(client: &mut Client, line: &str) {
    assert_eq!(client.call(line).to_string(), "OK", "{line}");
}

#[track_caller]
fn info(client: &mut Client, line: &str, fields: &[&str]) {
    let text = client.call(line).text().unwrap();
    for field in fields {
        assert!(text.contains(&format!("\n{field}")), "{line} has no {field}:\n{text}");
    }
    assert!(text.split('\n').all(|line| line.is_empty() || line.ends_with('\r')), "{line}: lines end with CRLF");
}

#[test]
fn lettuce_connects() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    hello(&mut client, "HELLO 3 SETNAME spring", 3);
    ok(&mut client, "SELECT 2");
    ok(&mut client, "CLIENT SETINFO lib-name Lettuce");
    ok(&mut client, "CLIENT SETINFO lib-ver 7.8.0");
    maintenance(&mut client, "CLIENT MAINT_NOTIFICATIONS on moving-endpoint-type internal-ip");
    assert_eq!(client.call("PING").to_string(), "PONG");
    assert_eq!(client.call("INCR stock").to_string(), "1");
    // Spring Data Redis takes no mixed array.
    ok(&mut client, "SELECT 0");
    assert_eq!(client.call("GATE.CREATE spring LIMIT 100").to_string(), "CREATED");
    assert_eq!(client.call("GATE.CLAIM spring 42 FLAT"), Reply::Bulk(b"GRANTED 1 99".to_vec()));
    info(&mut client, "INFO", &["redis_version:7.2."]);
    info(&mut client, "INFO server", &["redis_version:7.2."]);
}

#[test]
fn jedis_connects() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    hello(&mut client, "HELLO 3", 3);
    ok(&mut client, "CLIENT SETNAME jedis");
    ok(&mut client, "CLIENT SETINFO LIB-NAME jedis");
    ok(&mut client, "CLIENT SETINFO LIB-VER 8.0.0");
    assert_eq!(client.call("PING").to_string(), "PONG");
}

#[test]
fn redis_py_connects() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    hello(&mut client, "HELLO 3", 3);
    maintenance(&mut client, "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type none");
    ok(&mut client, "CLIENT SETNAME py");
    ok(&mut client, "CLIENT SETINFO LIB-NAME redis-py");
    ok(&mut client, "CLIENT SETINFO LIB-VER 8.0.0");
    ok(&mut client, "SELECT 1");
    let line = client.call("CLIENT INFO").text().unwrap();
    for field in
        ["id=", "addr=127.0.0.1:", "name=py", "db=1", "resp=3", "lib-name=redis-py", "lib-ver=8.0.0", "cmd=client|info"]
    {
        assert!(line.contains(field), "{field} is missing: {line}");
    }
}

#[test]
fn go_redis_and_node_redis_connect() {
    let gate = Gate::start(&[]);
    for maint in ["CLIENT MAINT_NOTIFICATIONS ON", "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type auto"] {
        let mut client = gate.client();
        hello(&mut client, "HELLO 3 SETNAME go", 3);
        let asked =
            ["SELECT 3", "CLIENT SETINFO LIB-NAME go-redis", "CLIENT SETINFO LIB-VER 9.22.0"].map(str::to_owned);
        assert!(client.pipeline(&asked).iter().all(|reply| reply.to_string() == "OK"));
        maintenance(&mut client, maint);
        assert_eq!(client.call("READONLY").to_string(), "-ERR This instance has cluster support disabled");
    }
}

#[test]
fn ioredis_connects() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    let asked =
        ["HELLO 3", "SELECT 0", "CLIENT SETNAME io", "CLIENT SETINFO LIB-VER 6.0.0", "CLIENT SETINFO LIB-NAME ioredis"];
    let replies = client.pipeline(&asked.map(str::to_owned));
    assert_eq!(replies[0].field("proto"), Some(Reply::Int(3)));
    assert!(replies[1..].iter().all(|reply| reply.to_string() == "OK"));
    info(&mut client, "INFO", &["loading:0\r", "redis_mode:standalone\r", "role:master\r", "cluster_enabled:0\r"]);
}

#[test]
fn stack_exchange_redis_connects() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    hello(&mut client, "HELLO 2 SETNAME dotnet", 2);
    ok(&mut client, "CLIENT SETINFO lib-name SE.Redis");
    ok(&mut client, "CLIENT SETINFO lib-ver 3.1");
    assert!(client.call("CLIENT ID").int().is_some());
    for setting in ["timeout", "replica-read-only", "databases"] {
        let reply = client.call(&format!("CONFIG GET {setting}"));
        assert!(reply.field(setting).is_some() || reply == Reply::Array(Vec::new()), "{setting}: {reply}");
    }
    assert_eq!(client.call("CONFIG GET databases").field("databases").unwrap().text().unwrap(), "16");
    assert_eq!(
        client.call("SENTINEL MASTERS").to_string(),
        "-ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS' "
    );
    info(&mut client, "INFO replication", &["role:master\r"]);
    info(&mut client, "INFO server", &["redis_version:7.2."]);
    assert_eq!(client.call("CLUSTER NODES").to_string(), "-ERR This instance has cluster support disabled");
    assert_eq!(client.call("GET __Booksleeve_TieBreak"), Reply::Null);
    let tracer = [0u8, 13, 10, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    assert_eq!(client.call_args(&[b"ECHO".as_slice(), &tracer]), Reply::Bulk(tracer.to_vec()));
}

#[test]
fn redisson_and_redis_rs_connect() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    assert!(client.call("CLIENT CAPA redirect").is_error("ERR unknown subcommand"));
    assert_eq!(client.call("PING").to_string(), "PONG");
    info(&mut client, "INFO ALL", &["redis_version:", "used_memory:", "connected_clients:"]);
    ok(&mut client, "CLIENT SETINFO LIB-NAME redis-rs");
    ok(&mut client, "CLIENT SETINFO LIB-VER 1.6.0");
    assert!(client.call("CLIENT SETINFO lib-colour blue").is_error("ERR Unrecognized option 'lib-colour'"));
    assert!(client.call_args(&["CLIENT", "SETINFO", "lib-name", "two words"]).is_error("ERR lib-name cannot contain"));
}

#[test]
fn exporters_and_browsers_find_what_they_look_for() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    assert_eq!(client.call("SET k v").to_string(), "OK");
    ok(&mut client, "CLIENT SETNAME redis_exporter");
    let fields = [
        "redis_version:",
        "redis_mode:",
        "os:",
        "arch_bits:",
        "process_id:",
        "run_id:",
        "tcp_port:",
        "uptime_in_seconds:",
        "connected_clients:",
        "maxclients:",
        "blocked_clients:",
        "used_memory:",
        "used_memory_rss:",
        "maxmemory:",
        "loading:",
        "aof_enabled:1",
        "aof_last_write_status:ok",
        "total_connections_received:",
        "total_commands_processed:",
        "rejected_connections:",
        "expired_keys:",
        "keyspace_hits:",
        "keyspace_misses:",
        "role:master",
        "connected_slaves:0",
        "cluster_enabled:0",
        "db0:keys=1,expires=0",
        "# Gate",
    ];
    info(&mut client, "INFO ALL", &fields);
    info(&mut client, "INFO everything", &fields);
    info(&mut client, "INFO gate", &[]);
    assert!(!client.call("INFO clients").text().unwrap().contains("redis_version"), "one section is one section");
    assert!(client.call("CONFIG GET *").pairs().unwrap().len() > 5);
    assert_eq!(client.call("COMMAND INFO COMMANDLOG").to_string(), "[(nil)]");
    let listed = client.call("CLIENT LIST").text().unwrap();
    assert!(listed.contains("name=redis_exporter") && listed.ends_with('\n'), "{listed}");
    let port = gate.port();
    assert!(client.call("INFO server").text().unwrap().contains(&format!("tcp_port:{port}\r")));
    let pid = gate.pid();
    assert!(client.call("INFO server").text().unwrap().contains(&format!("process_id:{pid}\r")));
}

#[test]
fn every_command_of_ours_is_described() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    let count = client.call("COMMAND COUNT").int().unwrap();
    let all = client.call("COMMAND");
    assert_eq!(all.items().unwrap().len() as i64, count);
    assert!(client.call("COMMAND LIST").items().unwrap().len() as i64 >= count, "subcommands are listed, too");
    let docs = client.call("COMMAND DOCS");
    assert_eq!(docs.pairs().unwrap().len() as i64, count);
    for (name, doc) in docs.pairs().unwrap() {
        for field in ["summary", "since", "group"] {
            assert!(
                doc.field(field).is_some_and(|text| text.text().is_some_and(|text| !text.is_empty())),
                "{name} {field}"
            );
        }
    }
    for row in all.items().unwrap() {
        let row = row.items().unwrap();
        assert_eq!(row.len(), 10, "the form of Redis 7: {row:?}");
        assert!(row[0].text().is_some() && row[1].int().is_some() && row[2].items().is_some());
    }
    let named = client.call("COMMAND DOCS gate.claim incr nosuch");
    assert_eq!(named.pairs().unwrap().len(), 2, "{named}");
    let help = client.call("GATE.HELP");
    let help: Vec<String> = help.items().unwrap().iter().map(|line| line.text().unwrap()).collect();
    for command in ["CREATE", "CLAIM", "STATUS", "INFO", "LIST", "SEATS", "DROP"] {
        assert!(help.iter().any(|line| line.contains(command)), "GATE.HELP names {command}: {help:?}");
    }
}
