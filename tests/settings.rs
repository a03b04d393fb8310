//! The layers of settings that only a whole process has: its environment, its exit code.

use std::process::{Command, Output};

fn gate(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coupon-gate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COUPON_GATE_") {
            command.env_remove(name);
        }
    }
    command.args(args).envs(variables.iter().copied()).output().expect("the program starts")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("gate.toml");
    std::fs::write(&path, "data = 'file'\nlock-wait = 1\nmax-clients = 7\n").expect("a file");
    let path = path.to_str().expect("a path of plain letters");
    let variables = [("COUPON_GATE_CONFIG", path), ("COUPON_GATE_DATA", "variable"), ("COUPON_GATE_LOCK_WAIT", "2")];
    let output = gate(&["config", "--data", "flag"], &variables);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(text.contains("data = \"flag\"    # --data\n"), "{text}");
    assert!(text.contains("lock-wait = 2    # COUPON_GATE_LOCK_WAIT\n"), "{text}");
    assert!(text.contains(&format!("max-clients = 7    # {path}\n")), "{text}");
}

#[test]
fn a_password_in_the_environment_is_masked_and_counts() {
    let variables = [("COUPON_GATE_PASSWORD", "hunter2"), ("COUPON_GATE_LISTEN", "0.0.0.0:6379,unix:/tmp/x")];
    let output = gate(&["config"], &variables);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(!out(&output).contains("hunter2"));
    assert!(out(&output).contains("listen = [\"0.0.0.0:6379\", \"unix:/tmp/x\"]    # COUPON_GATE_LISTEN\n"));
}

#[test]
fn what_is_unknown_ends_the_start_with_exit_code_2() {
    let variable = gate(&[], &[("COUPON_GATE_LEDGR", "none")]);
    assert_eq!(variable.status.code(), Some(2));
    assert_eq!(
        err(&variable),
        "coupon-gate: the environment variable COUPON_GATE_LEDGR is not a setting; did you mean COUPON_GATE_LEDGER?\n"
    );
    let flag = gate(&["--ledgr", "none"], &[]);
    assert_eq!(flag.status.code(), Some(2));
    assert!(err(&flag).contains("--ledger"), "{}", err(&flag));
    let command = gate(&["serv"], &[]);
    assert_eq!(command.status.code(), Some(2));
    assert!(err(&command).contains("serve"), "{}", err(&command));
}

#[test]
fn a_bad_value_ends_the_start_with_exit_code_2_and_names_its_origin() {
    let output = gate(&["serve"], &[("COUPON_GATE_APPENDFSYNC", "sometimes")]);
    assert_eq!(output.status.code(), Some(2));
    let line = "coupon-gate: COUPON_GATE_APPENDFSYNC: \"sometimes\" is none of always, everysec, no\n";
    assert_eq!(err(&output), line);
    assert_eq!(out(&output), "");
}

#[test]
fn help_and_version_are_answers_not_errors() {
    for args in [&["--help"][..], &["serve", "--help"], &["rehearse", "--help"], &["config", "--help"]] {
        let output = gate(args, &[]);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(out(&output).contains("Exit codes: 0"), "{args:?}");
    }
    assert_eq!(out(&gate(&["--version"], &[])), format!("coupon-gate {}\n", env!("CARGO_PKG_VERSION")));
}
