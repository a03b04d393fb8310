//! What clients saw, judged by a checker that is not ours: is there one order of all operations, each between its call
//! and its answer, in which a simple gate answers the same? `tests/linear` holds the simple gate; the search is done by
//! porcupine. What a kill left unanswered may have happened at any time since, or never.
//!
//! `HISTORY_ROUNDS`: rounds of kill -9 in each history, for a long run (`bash tests/histories`).

mod operation;
mod record;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use operation::Operation;
use record::record;

use crate::level::{Luck, rounds};

/// What the checker says of a history.
#[derive(Debug, PartialEq)]
enum Verdict {
    Linearizable,
    /// Its words.
    Broken(String),
}

/// The checker, built once.
fn checker() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linear");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/linear");
        let mut build = Command::new("go");
        let output = build.args(["build", "-o"]).arg(&program).arg(".").current_dir(source).output();
        let output = output.expect("Go builds the checker of histories: apt-get install golang-go");
        assert!(output.status.success(), "go build: {}", String::from_utf8_lossy(&output.stderr));
        program
    })
}

fn judge(history: &[Operation]) -> Verdict {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("history.jsonl");
    let mut text = String::new();
    history.iter().for_each(|operation| operation.write(&mut text));
    std::fs::write(&path, text).unwrap();
    let output = Command::new(checker()).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    eprintln!("histories: {said}");
    match output.status.code() {
        Some(0) => Verdict::Linearizable,
        Some(1) => Verdict::Broken(said),
        other => panic!("the checker ended with {other:?}: {said}"),
    }
}

/// A history that does not pass is kept, with the picture, for whoever looks for the reason.
fn keep(history: &[Operation]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("history.jsonl");
    let mut text = String::new();
    history.iter().for_each(|operation| operation.write(&mut text));
    std::fs::write(&path, text).unwrap();
    path
}

#[track_caller]
fn linearizable(history: &[Operation]) {
    let verdict = judge(history);
    assert!(verdict == Verdict::Linearizable, "{verdict:?}; kept as {}", keep(history).display());
}

fn many(few: usize, more: usize) -> usize {
    let asked = std::env::var("HISTORY_ROUNDS").ok();
    asked.map_or(rounds(few, more), |asked| asked.parse().expect("HISTORY_ROUNDS is a number"))
}

#[test]
fn histories_with_kill_9_are_linearizable() {
    linearizable(&record(many(4, 12), &mut Luck::new("histories"), &[]));
}

#[test]
fn histories_with_kill_9_are_linearizable_with_everysec() {
    linearizable(&record(many(2, 6), &mut Luck::new("histories, everysec"), &["--appendfsync", "everysec"]));
}

/// Changes the answer of operation `at`.
fn retold(history: &[Operation], at: usize, words: &[String]) -> Vec<Operation> {
    let mut history = history.to_vec();
    history[at].answered.as_mut().expect("it was answered").words = words.to_vec();
    history
}

/// The last place where a pair of operations on the same key is `so`: the earlier one was answered before the later
/// one was sent.
#[track_caller]
fn pair(history: &[Operation], so: impl Fn(&Operation, &Operation) -> bool) -> (usize, usize) {
    let later = (0..history.len()).rev().find_map(|later| {
        let after = |earlier: &Operation| earlier.on() == history[later].on() && earlier.ends_before(&history[later]);
        let earlier = history.iter().position(|earlier| after(earlier) && so(earlier, &history[later]))?;
        Some((earlier, later))
    });
    later.expect("a history holds such a pair")
}

/// The first word of a claim's or a status's answer.
fn said(operation: &Operation, word: &str) -> bool {
    operation.words().first().is_some_and(|first| first == word)
}

#[test]
fn doctored_histories_are_rejected() {
    let history = record(3, &mut Luck::new("doctored histories"), &[]);
    linearizable(&history);
    let broken = |what: &str, doctored: &[Operation]| {
        assert!(matches!(judge(doctored), Verdict::Broken(_)), "{what} passes; kept as {}", keep(doctored).display());
    };

    // An acknowledged grant is gone later.
    let (_, status) = pair(&history, |claim, status| {
        claim.is("GATE.CLAIM")
            && said(claim, "GRANTED")
            && status.is("GATE.STATUS")
            && claim.command[2] == status.command[2]
    });
    broken("a lost grant", &retold(&history, status, &["NONE".to_owned()]));

    // Two users have one seat.
    let grant = |operation: &Operation| operation.is("GATE.CLAIM") && said(operation, "GRANTED");
    let (first, second) = pair(&history, |first, second| grant(first) && grant(second));
    broken("a double seat", &retold(&history, second, history[first].words()));

    // A value is read that was overwritten long ago.
    let written = |operation: &Operation| operation.is("SET") && operation.answered.is_some();
    let (overwritten, overwriting) = pair(&history, |first, second| written(first) && written(second));
    let read = (0..history.len()).rev().find(|at| {
        history[*at].is("GET")
            && history[*at].on() == history[overwriting].on()
            && history[overwriting].ends_before(&history[*at])
    });
    let stale = ["$".to_owned(), history[overwritten].command[2].clone()];
    broken("a stale read", &retold(&history, read.expect("every key is read at the end"), &stale));

    // A number is counted twice.
    let counted = |operation: &Operation| {
        operation.is("INCR") && operation.on().starts_with("counter") && operation.answered.is_some()
    };
    let (first, second) = pair(&history, |first, second| counted(first) && counted(second));
    broken("a number counted twice", &retold(&history, second, history[first].words()));

    // What was never asked for has happened.
    let nobody = (0..history.len()).rev().find(|at| said(&history[*at], "NONE")).expect("some users never claim");
    broken("a grant to nobody", &retold(&history, nobody, &["GRANTED".to_owned(), "1".to_owned()]));
}
