//! Wrong addresses, wrong passwords, missing rights: the gate serves, and says what is wrong where an operator looks.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::gate::{Gate, free_port};
use crate::level::until;
use crate::peers;
use crate::peers::mariadb::Database;

/// What `GET path` answers.
fn asked(admin: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(admin).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Starts a gate that must serve, and waits until INFO says all of `words`, the first of which is the part in trouble;
/// then the figures tell it, too.
#[track_caller]
pub fn serves_and_says(options: &[&str], words: &[&str]) {
    let admin = format!("127.0.0.1:{}", free_port());
    let gate = Gate::start(&[options, &["--admin", &admin]].concat());
    let mut client = gate.client();
    client.call("GATE.CREATE spring LIMIT 10");
    assert!(format!("{}", client.call("GATE.CLAIM spring 1 FLAT")).contains("GRANTED 1 9"));
    let mut info = String::new();
    let told = || {
        info = client.call("INFO").text()?;
        let line = info.lines().find(|line| line.starts_with(words[0]))?;
        words.iter().all(|word| line.contains(word)).then_some(())
    };
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until("INFO tells", told)));
    assert!(told.is_ok(), "INFO does not say {words:?}:\n{info}\n{}", gate.said());
    let part = words[0].trim_end_matches("_trouble:");
    let figures = asked(&admin, "/metrics");
    assert!(figures.contains(&format!("coupon_gate_trouble{{part=\"{part}\"}} 1\n")), "{figures}");
    assert!(asked(&admin, "/readyz").starts_with("HTTP/1.1 200"), "it is no reason to take the gate out of service");
    client.call("GATE.CREATE summer LIMIT 10");
    assert!(format!("{}", client.call("GATE.CLAIM summer 1 FLAT")).contains("GRANTED 1 9"));
}

fn instead(ledger: &Database, from: &str, to: &str) -> String {
    assert!(ledger.url.contains(from), "{}", ledger.url);
    ledger.url.replacen(from, to, 1)
}

#[test]
fn a_wrong_broker_address() {
    serves_and_says(&["--kafka-brokers", "127.0.0.1:1"], &["kafka_trouble:", "127.0.0.1:1"]);
}

#[test]
fn a_topic_that_is_missing_and_may_not_be_made() {
    let kafka = peers::kafka::shared();
    let topic = peers::unique("nowhere");
    let cancel = peers::unique("nowhere_else");
    let topics = ["--kafka-topic", &topic, "--kafka-cancel-topic", &cancel];
    let bootstrap = kafka.bootstrap();
    let options = [&topics[..], &["--kafka-brokers", &bootstrap, "--kafka-create", "no"]].concat();
    serves_and_says(&options, &["kafka_trouble:", &topic, &cancel, "kafka-topics.sh", "--create"]);
}

#[test]
fn a_topic_with_the_records_of_somebody_else() {
    let kafka = peers::kafka::shared();
    let topic = peers::unique("theirs");
    kafka.create_topic(&topic, 2);
    kafka.produce(&topic, 1, Some(b"k"), Some(b"v"), &[]);
    let cancel = peers::unique("returns");
    let bootstrap = kafka.bootstrap();
    let options = ["--kafka-brokers", &bootstrap, "--kafka-topic", &topic, "--kafka-cancel-topic", &cancel];
    serves_and_says(&options, &["kafka_trouble:", &topic, "--kafka-adopt"]);
    assert_eq!(kafka.read_all(&topic).len(), 1, "nothing was published");
    let gate = Gate::start(&[&options[..], &["--kafka-adopt", "yes"]].concat());
    let mut client = gate.client();
    client.call("GATE.CREATE spring LIMIT 10");
    client.call("GATE.CLAIM spring 1");
    until("the grant is published", || (kafka.read_all(&topic).len() == 2).then_some(()));
}

#[test]
fn a_wrong_password() {
    let ledger = peers::mariadb::shared().database();
    let url = instead(&ledger, ":open-sesame@", ":open-barley@");
    serves_and_says(&["--ledger", &url], &["ledger_trouble:", &ledger.name, "password"]);
}

#[test]
fn an_unknown_database() {
    let ledger = peers::mariadb::shared().database();
    let url = instead(&ledger, &format!("/{}", ledger.name), "/nowhere").replace("mysql:/nowhere", "mysql:/");
    serves_and_says(&["--ledger", &url], &["ledger_trouble:", "nowhere"]);
}

#[test]
fn a_database_that_is_away() {
    let ledger = peers::mariadb::shared().database();
    let port = peers::mariadb::shared().port();
    let url = instead(&ledger, &format!(":{port}/"), ":1/");
    serves_and_says(&["--ledger", &url], &["ledger_trouble:", "127.0.0.1:1"]);
}

#[test]
fn a_user_who_may_only_read() {
    let ledger = peers::mariadb::shared().database();
    let (name, words) = (&ledger.name, ["ledger_trouble:", "denied"]);
    ledger.execute(&format!("REVOKE ALL ON {name}.* FROM {name}@'%'"));
    ledger.execute(&format!("GRANT SELECT ON {name}.* TO {name}@'%'"));
    serves_and_says(&["--ledger", &ledger.url], &words);
}

#[test]
fn a_table_of_another_shape_is_refused_at_the_start() {
    let ledger = peers::mariadb::shared().database();
    ledger.execute("CREATE TABLE coupon_grant (campaign VARCHAR(64), seat INT, PRIMARY KEY (campaign, seat))");
    let end = Gate::stopped(&["--ledger", &ledger.url]).start_in_vain();
    assert_eq!(end.code, Some(2), "{}", end.said);
    assert!(end.said.contains("coupon_grant") && end.said.contains("coupon-gate ddl mysql"), "{}", end.said);
}
