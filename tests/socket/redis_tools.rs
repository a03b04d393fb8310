//! Debian's redis-tools against the binary, as the README shows them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use crate::gate::Gate;

fn run(gate: &Gate, program: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(["-p", &gate.port().to_string()])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; it comes with the package redis-tools"));
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

#[track_caller]
fn cli(gate: &Gate, args: &[&str], input: &str) -> String {
    let output = run(gate, "redis-cli", args, input.as_bytes());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn redis_cli_counts() {
    let gate = Gate::start(&[]);
    assert_eq!(cli(&gate, &["INCR", "n"], ""), "1\n");
    assert_eq!(cli(&gate, &["-n", "3", "INCR", "n"], ""), "1\n");
    assert_eq!(cli(&gate, &["-3", "INCR", "n"], ""), "2\n");
    assert_eq!(cli(&gate, &["-r", "3", "INCR", "n"], ""), "3\n4\n5\n");
    assert_eq!(cli(&gate, &["--json", "CONFIG", "GET", "databases"], ""), "{\"databases\":\"16\"}\n");
}

#[test]
fn redis_cli_holds_a_conversation_about_a_campaign() {
    let gate = Gate::start(&[]);
    let asked = "GATE.CREATE spring LIMIT 2\nGATE.CLAIM spring 7\nGATE.CLAIM spring 8 FLAT\nGATE.CLAIM spring 9\nGATE.CLAIM spring 7\nGATE.LIST\n";
    for form in [&["--no-raw"][..], &["--no-raw", "-3"]] {
        let said = cli(&gate, form, asked);
        let claims = if form.len() == 1 {
            "GRANTED\n2) (integer) 1\n3) (integer) 1"
        } else {
            "ALREADY\n2) (integer) 1\n3) (integer) 0"
        };
        assert!(said.contains(claims), "{said}");
        assert!(said.contains("SOLDOUT\n2) (integer) 0\n3) (integer) 0"), "{said}");
        assert!(said.ends_with("1) \"spring\"\n"), "{said}");
    }
    let map = cli(&gate, &["-3", "--no-raw", "GATE.INFO", "spring"], "");
    assert!(map.contains("\"limit\" => (integer) 2"), "{map}");
    assert!(cli(&gate, &["GATE.HELP"], "").contains("GATE.CLAIM"));
}

#[test]
fn redis_cli_sends_ten_thousand_commands_through_a_pipe() {
    let gate = Gate::start(&[]);
    let mut input = String::from("GATE.CREATE spring LIMIT 4000\r\n");
    for number in 1..10_000 {
        match number % 2 {
            0 => input.push_str(&format!("SET key:{number} {number}\r\n")),
            _ => input.push_str(&format!("GATE.CLAIM spring {number}\r\n")),
        }
    }
    let said = cli(&gate, &["--pipe"], &input);
    assert!(said.contains("errors: 0, replies: 10000"), "{said}");
    assert_eq!(cli(&gate, &["DBSIZE"], ""), "5000\n");
    assert_eq!(cli(&gate, &["GATE.CLAIM", "spring", "7999", "FLAT"], ""), "ALREADY 4000 0\n");
    assert_eq!(cli(&gate, &["GATE.CLAIM", "spring", "8001", "FLAT"], ""), "SOLDOUT 0 0\n");
}

#[test]
fn redis_cli_scans_and_weighs_the_keys() {
    let gate = Gate::start(&[]);
    let input: String =
        (0..3000).map(|number| format!("SET key:{number} {}\r\n", "v".repeat(1 + number % 50))).collect();
    assert!(cli(&gate, &["--pipe"], &input).contains("errors: 0, replies: 3000"));
    let scanned = cli(&gate, &["--scan"], "");
    let mut keys: Vec<&str> = scanned.lines().collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 3000);
    assert_eq!(cli(&gate, &["--scan", "--pattern", "key:29??"], "").lines().count(), 100);
    let weighed = cli(&gate, &["--bigkeys"], "");
    assert!(weighed.contains("Sampled 3000 keys in the keyspace!"), "{weighed}");
    assert!(weighed.contains("has 50 bytes"), "{weighed}");
}

#[test]
fn redis_cli_starts_with_the_commands_we_have() {
    let gate = Gate::start(&[]);
    // Without a command it asks COMMAND DOCS first and helps with what it heard.
    let said = cli(&gate, &[], "INCR n\nHELP INCR\nHELP GATE.CLAIM\nQUIT\n");
    assert!(said.starts_with("1\n"), "{said}");
    assert_eq!(said.matches("summary:").count(), 2, "{said}");
    let stats = cli(&gate, &["INFO", "commandstats"], "");
    assert!(stats.contains("cmdstat_command|docs:calls=1"), "{stats}");
}

#[test]
fn redis_cli_watches_the_figures() {
    let gate = Gate::start(&[]);
    assert_eq!(cli(&gate, &["SET", "k", "v"], ""), "OK\n");
    let mut child = Command::new("redis-cli")
        .args(["-p", &gate.port().to_string(), "--stat", "-i", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let sample =
        lines.map(Result::unwrap).find(|line| line.trim_start().starts_with(|first: char| first.is_ascii_digit()));
    child.kill().unwrap();
    child.wait().unwrap();
    let sample = sample.expect("a line of figures");
    assert!(sample.starts_with("1 ") && !sample.contains("-9223372036854775808"), "a field is missing: {sample}");
}

#[test]
fn redis_benchmark_runs_through() {
    let gate = Gate::start(&[]);
    for form in [&[][..], &["-3"], &["-r", "100000"]] {
        let args = [&["-t", "ping,set,get,incr", "-P", "16", "-n", "20000", "-q"][..], form].concat();
        let output = run(&gate, "redis-benchmark", &args, b"");
        let said = String::from_utf8_lossy(&output.stdout).replace('\r', "\n");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{errors}");
        for test in ["PING_INLINE:", "PING_MBULK:", "SET:", "GET:", "INCR:"] {
            assert!(said.lines().any(|line| line.starts_with(test) && line.contains("requests per second")), "{said}");
        }
        assert!(
            !said.contains("WARNING") && !said.to_lowercase().contains("error") && errors.is_empty(),
            "{said}{errors}"
        );
    }
    let counted = cli(&gate, &["GET", "counter:__rand_int__"], "");
    assert_eq!(counted, "40000\n", "each INCR was counted once");
}
