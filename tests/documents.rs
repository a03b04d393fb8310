//! What the documents say of the source is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands between backticks, one line at a time.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The names of all functions below `folder`.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let declared = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            names.extend(declared.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
}

fn missing_tests(text: &str, names: &BTreeSet<String>) -> Vec<String> {
    let (_, table) = text.split_once("## Promises and what holds them").expect("the chapter of promises");
    let is_name = |word: &&str| word.contains('_') && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    quoted(table).filter(is_name).filter(|name| !names.contains(*name)).map(str::to_owned).collect()
}

#[test]
fn the_promises_name_tests_that_exist() {
    let mut names = BTreeSet::new();
    functions(&root().join("src"), &mut names);
    functions(&root().join("tests"), &mut names);
    assert_eq!(missing_tests(&read("ARCHITECTURE.md"), &names), [""; 0], "not a test in src/ or tests/");
    names.remove("the_promises_name_tests_that_exist");
    assert_eq!(missing_tests(&read("ARCHITECTURE.md"), &names), ["the_promises_name_tests_that_exist"]);
}

#[test]
fn paths_in_the_documents_exist() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        let roots = ["src/", "tests/", "bench/", "docs/"];
        for path in quoted(&text).filter(|word| roots.iter().any(|root| word.starts_with(root))) {
            assert!(root().join(path).exists(), "{document} names {path}, which is not there");
        }
    }
}

#[test]
fn the_readme_names_every_setting_with_its_default() {
    let output = Command::new(env!("CARGO_BIN_EXE_coupon-gate")).arg("config").output().expect("the program starts");
    let settings = String::from_utf8(output.stdout).expect("text");
    let readme = read("README.md");
    let mut seen = 0;
    for line in settings.lines() {
        let (key, value) = line.trim_start_matches("# ").split_once(" =").expect("a setting a line");
        let row = readme.lines().find(|row| row.starts_with(&format!("| `--{key}`")));
        let row = row.unwrap_or_else(|| panic!("the README has no row for --{key}"));
        let value = value.split("    # ").next().unwrap_or_default().trim().trim_matches(['[', ']']).trim_matches('"');
        let default = if key == "ledger" { "sqlite:DATA/ledger.db" } else { value };
        let told = if default.is_empty() { "| none |".to_owned() } else { format!("| `{default}` |") };
        assert!(row.contains(&told), "the README's default of --{key} is not {told}: {row}");
        seen += 1;
    }
    assert!(seen >= 20, "{seen} settings were printed");
}

#[test]
fn the_reference_is_the_command_table() {
    let made = coupon_gate::wire::reference();
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(root().join("docs/commands.md"), &made).expect("the file is written");
    }
    let first_difference = || {
        let told = read("docs/commands.md");
        let lines = made.lines().zip(told.lines()).find(|(made, told)| made != told);
        format!("{lines:?}; made anew by WRITE_DOCS=1 cargo test --test documents")
    };
    assert!(read("docs/commands.md") == made, "docs/commands.md is not what the table says: {}", first_difference());
}

/// The first word of an answer, without what encloses it.
fn sign(answer: &str) -> &str {
    let bare = answer.trim_start_matches(['[', '{', '"', '~', '=']);
    bare.split([' ', ',', ']', '"']).next().unwrap_or_default()
}

/// What the conversations show: each command of our own with the first words of its answers.
fn shown() -> BTreeSet<(String, String)> {
    let mut shown = BTreeSet::new();
    let folders = ["gate", "process"].map(|folder| root().join("tests/conversations").join(folder));
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("the conversations"));
    for entry in entries {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a conversation");
        let mut asked = String::new();
        for line in text.lines() {
            if let Some(request) = line.strip_prefix("> ") {
                asked = request.split(' ').next().unwrap_or_default().to_ascii_lowercase();
            } else if let Some(answer) = line.strip_prefix("< ") {
                shown.insert((asked.clone(), sign(answer).to_owned()));
            }
        }
    }
    shown
}

#[test]
fn every_answer_of_the_reference_is_shown_by_a_conversation() {
    let shown = shown();
    for spec in coupon_gate::wire::commands() {
        let words = spec.answers.iter().map(|(answer, _)| sign(answer));
        // Other answers are forms, not words.
        for word in words.filter(|word| word.starts_with(|first: char| first == '-' || first.is_ascii_uppercase())) {
            let pair = (spec.name.to_owned(), word.to_owned());
            if (spec.name, word) == ("gate.why", "-BUSY") {
                // A conversation has one connection.
                continue;
            }
            assert!(shown.contains(&pair), "no conversation shows that {} answers {word}", spec.name);
        }
    }
}
