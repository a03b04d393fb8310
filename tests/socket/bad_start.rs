//! What the surroundings or the operator get wrong: an exit code that says whose fault it is and a message that names
//! the key, the place or the holder.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::gate::{Gate, binary, free_port};

#[track_caller]
fn ends(options: &[&str], code: i32, naming: &[&str]) {
    let end = Gate::stopped(options).start_in_vain();
    assert_eq!(end.code, Some(code), "{options:?} said:\n{}", end.said);
    for name in naming {
        assert!(end.said.contains(name), "{options:?} should name '{name}', but said:\n{}", end.said);
    }
    assert!(!end.said.contains("panicked"), "{}", end.said);
}

#[test]
fn a_port_in_use_ends_with_4_and_names_it() {
    let port = free_port();
    let _holder = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let address = format!("127.0.0.1:{port}");
    ends(&["--listen", &address], 4, &[&address]);
    let admin = format!("127.0.0.1:{port}");
    ends(&["--admin", &admin], 4, &[&admin]);
}

#[test]
fn a_directory_in_use_ends_with_4_and_names_the_holder() {
    let holder = Gate::start(&[]);
    let mut second = Gate::stopped(&[]).through(&[], holder.data().to_owned());
    let end = second.start_in_vain();
    assert_eq!(end.code, Some(4), "{}", end.said);
    assert!(end.said.contains(&holder.pid().to_string()), "the holder is {}:\n{}", holder.pid(), end.said);
    assert!(end.said.contains(&holder.data().display().to_string()), "{}", end.said);
    assert_eq!(holder.client().call("PING").to_string(), "PONG");
}

#[test]
fn lock_wait_waits_for_the_holder_to_go() {
    let mut holder = Gate::start(&[]);
    assert_eq!(holder.client().call("INCR n").to_string(), "1");
    let mut second = Gate::stopped(&["--lock-wait", "30"]).through(&[], holder.data().to_owned());
    second.spawn();
    crate::level::until("it says that it waits", || second.said().contains(&holder.pid().to_string()).then_some(()));
    holder.kill();
    crate::level::until("the second serves", || {
        let mut client = crate::client::Client::connect(second.port()).ok()?;
        (client.try_call(&["INCR", "n"]).ok()?.to_string() == "2").then_some(())
    });
}

#[test]
fn a_directory_that_cannot_be_ends_with_4() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "no directory").unwrap();
    let mut gate = Gate::stopped(&[]).through(&[], file.join("data"));
    let end = gate.start_in_vain();
    assert_eq!(end.code, Some(4), "{}", end.said);
    assert!(end.said.contains("file"), "{}", end.said);
}

#[test]
fn unknown_and_impossible_settings_end_with_2_and_are_named() {
    ends(&["--no-such-setting", "1"], 2, &["--no-such-setting"]);
    ends(&["--appendfsync", "sometimes"], 2, &["appendfsync", "sometimes", "always"]);
    ends(&["--listen", "nowhere"], 2, &["listen", "nowhere"]);
    ends(&["--max-clients", "many"], 2, &["max-clients", "many"]);
    ends(&["--ledger", "oracle:x"], 2, &["ledger", "oracle"]);
    ends(&["--segment-bytes", "5"], 2, &["segment-bytes", "5"]);
    ends(&["surprise"], 2, &["surprise"]);
}

#[test]
fn a_settings_file_is_checked_like_the_command_line() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("gate.toml");
    let path = file.display().to_string();
    for (text, named) in [
        ("no-such-key = 1\n", "no-such-key"),
        ("appendfsync = \"sometimes\"\n", "sometimes"),
        ("max-clients = \"many\"\n", "max-clients"),
        ("not toml\n", "gate.toml"),
    ] {
        fs::write(&file, text).unwrap();
        ends(&["--config", &path], 2, &[named]);
    }
    ends(&["--config", "/nowhere/gate.toml"], 2, &["/nowhere/gate.toml"]);
    fs::write(&file, "appendfsync = \"everysec\"\n").unwrap();
    let gate = Gate::start(&["--config", &path]);
    assert_eq!(gate.client().call("CONFIG GET appendfsync").field("appendfsync").unwrap().text().unwrap(), "everysec");
    let gate = Gate::start(&["--config", &path, "--appendfsync", "no"]);
    assert_eq!(gate.client().call("CONFIG GET appendfsync").field("appendfsync").unwrap().text().unwrap(), "no");
}

#[test]
fn listening_to_strangers_without_a_password_is_refused() {
    let port = free_port();
    let address = format!("0.0.0.0:{port}");
    ends(&["--listen", &address], 2, &[&address, "--password", "--protected-mode"]);
    let gate = Gate::start(&["--listen", &address, "--protected-mode", "no"]);
    assert_eq!(crate::client::Client::connect(port).unwrap().call("PING").to_string(), "PONG");
    drop(gate);
    let _gate = Gate::start(&["--listen", &address, "--password", "secret"]);
    assert!(crate::client::Client::connect(port).unwrap().call("PING").is_error("NOAUTH"));
}

#[test]
fn help_and_version_tell_and_end_with_0() {
    for (flag, naming) in [("--help", "--appendfsync"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = Command::new(binary()).arg(flag).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(naming), "{flag}: {said}");
    }
}

#[test]
fn a_password_file_is_read_without_its_end_of_line() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("password");
    fs::write(&file, "from a file\n").unwrap();
    let gate = Gate::start(&["--password-file", &file.display().to_string()]);
    let mut client = gate.client();
    assert!(client.call("PING").is_error("NOAUTH"));
    assert_eq!(client.call_args(&["AUTH", "from a file"]).to_string(), "OK");
}
