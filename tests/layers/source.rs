//! Rust source as the paths it names: enough of a scanner to see `use` trees and paths in code, without comments,
//! strings and macros that build paths.

use std::collections::BTreeSet;
use std::path::Path;

/// A file of `src/`.
pub struct SourceFile {
    /// Below `src/`, with `/`.
    pub path: String,
    /// Its room: the first part of the path, or the file's own name.
    pub room: String,
    /// The file that `lib.rs` names: there `super` is the crate.
    pub is_room_top: bool,
    tokens: Vec<Token>,
    test: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    PathSeparator,
    Sign(char),
}

/// Words that can stand before a path without being part of it.
const KEYWORDS: [&str; 12] = ["use", "pub", "in", "as", "return", "match", "if", "else", "dyn", "impl", "mut", "ref"];

impl SourceFile {
    /// The file at `path` below `src/`; `test` says that it is the body of a `#[cfg(test)] mod`.
    pub fn new(path: &str, text: &str, test: bool) -> SourceFile {
        let (room, is_room_top) = match path.split_once('/') {
            Some((room, rest)) => (room, rest == "mod.rs"),
            None => (path.trim_end_matches(".rs"), true),
        };
        SourceFile { path: path.to_owned(), room: room.to_owned(), is_room_top, tokens: scan(text), test }
    }

    /// Every path of two or more parts, `use` trees unfolded, each with whether it stands in test code.
    pub fn paths(&self) -> Vec<(String, bool)> {
        let test = self.test_ranges();
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let begins = matches!(&self.tokens[at], Token::Word(word) if !KEYWORDS.contains(&word.as_str()))
                || self.tokens[at] == Token::PathSeparator && !self.follows_generics(at);
            let joined = at > 0 && self.tokens[at - 1] == Token::PathSeparator;
            if begins && !joined {
                let in_test = self.test || test.iter().any(|range| range.contains(&at));
                let mut tree = Vec::new();
                let mut end = at;
                unfold(&self.tokens, &mut end, "", &mut tree);
                paths.extend(tree.into_iter().filter(|path| path.contains("::")).map(|path| (path, in_test)));
                at = end.max(at + 1);
            } else {
                at += 1;
            }
        }
        paths
    }

    /// The names of modules declared as `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<String> {
        self.cfg_test_places()
            .into_iter()
            .filter_map(|at| match (&self.tokens.get(at + 1), &self.tokens.get(at + 2)) {
                (Some(Token::Word(name)), Some(Token::Sign(';'))) => Some(name.clone()),
                _ => None,
            })
            .collect()
    }

    /// Token ranges of `#[cfg(test)] mod name { ... }`.
    fn test_ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut ranges = Vec::new();
        for place in self.cfg_test_places() {
            if self.tokens.get(place + 2) != Some(&Token::Sign('{')) {
                continue;
            }
            let mut depth = 0;
            let inside = self.tokens[place + 2..].iter().take_while(|token| {
                match token {
                    Token::Sign('{') => depth += 1,
                    Token::Sign('}') => depth -= 1,
                    Token::Word(_) | Token::PathSeparator | Token::Sign(_) => {}
                }
                depth > 0
            });
            ranges.push(place..place + 2 + inside.count());
        }
        ranges
    }

    /// Where a `mod` stands right behind `#[cfg(test)]` (other attributes may stand between).
    fn cfg_test_places(&self) -> Vec<usize> {
        let attribute: Vec<Token> = scan("#[cfg(test)]");
        let starts = self.tokens.windows(attribute.len()).enumerate().filter(|(_, window)| *window == attribute);
        starts
            .filter_map(|(start, _)| {
                let rest = &self.tokens[start + attribute.len()..];
                let place = rest.iter().position(|token| *token == Token::Word("mod".into()))?;
                let between = &rest[..place];
                let attributes = between.iter().all(|token| !matches!(token, Token::Sign('{' | '}' | ';')));
                attributes.then_some(start + attribute.len() + place)
            })
            .collect()
    }

    fn follows_generics(&self, at: usize) -> bool {
        at > 0 && self.tokens[at - 1] == Token::Sign('>')
    }
}

/// All Rust files below `source`, in order.
pub fn read_tree(source: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut tests = BTreeSet::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(source).expect("below src").to_string_lossy().replace('\\', "/");
                let text = std::fs::read_to_string(&path).expect("a source file");
                let file = SourceFile::new(&below, &text, false);
                let home = match below.strip_suffix("mod.rs") {
                    Some(folder) => folder.to_owned(),
                    None if matches!(below.as_str(), "lib.rs" | "main.rs") => String::new(),
                    None => format!("{}/", below.trim_end_matches(".rs")),
                };
                tests.extend(file.test_modules().iter().map(|name| format!("{home}{name}")));
                files.push(file);
            }
        }
    }
    for file in &mut files {
        file.test = tests.iter().any(|test| {
            file.path.strip_prefix(test.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// The `pub mod` names of `lib.rs`, in its order.
pub fn read_rooms(lib: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(lib).expect("lib.rs");
    let tokens = scan(&text);
    let declarations = tokens.windows(2).filter_map(|pair| match pair {
        [Token::Word(word), Token::Word(name)] if word == "mod" => Some(name.clone()),
        _ => None,
    });
    declarations.collect()
}

/// Reads one path or `use` tree from `at` on; adds what it names to `tree`.
fn unfold(tokens: &[Token], at: &mut usize, before: &str, tree: &mut Vec<String>) {
    let mut path = before.to_owned();
    loop {
        match tokens.get(*at) {
            Some(Token::Word(word)) => {
                path = if path.is_empty() { word.clone() } else { format!("{path}::{word}") };
                *at += 1;
                if tokens.get(*at) != Some(&Token::PathSeparator) {
                    break tree.push(path);
                }
            }
            Some(Token::PathSeparator) => *at += 1,
            Some(Token::Sign('{')) if *at > 0 && tokens[*at - 1] == Token::PathSeparator => {
                *at += 1;
                while let Some(token) = tokens.get(*at) {
                    match token {
                        Token::Sign('}') => break,
                        Token::Word(word) if word == "as" => *at += 2,
                        Token::Word(_) | Token::PathSeparator => unfold(tokens, at, &path, tree),
                        Token::Sign('{' | ';') => break,
                        Token::Sign(_) => *at += 1,
                    }
                }
                break *at += 1;
            }
            Some(Token::Sign(_)) | None => break tree.push(path),
        }
    }
}

fn scan(text: &str) -> Vec<Token> {
    let letters: Vec<char> = text.chars().collect();
    let is = |at: usize, letter: char| letters.get(at) == Some(&letter);
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let letter = letters[at];
        if letter == '/' && is(at + 1, '/') {
            at += letters[at..].iter().take_while(|letter| **letter != '\n').count();
        } else if letter == '/' && is(at + 1, '*') {
            at = end_of_block_comment(&letters, at);
        } else if let Some(end) = end_of_raw_string(&letters, at) {
            at = end;
        } else if letter == '"' {
            at = end_of_quoted(&letters, at, '"');
        } else if letter == '\'' && (is(at + 1, '\\') || is(at + 2, '\'')) {
            at = end_of_quoted(&letters, at, '\'');
        } else if letter.is_alphanumeric() || letter == '_' {
            let length = letters[at..].iter().take_while(|letter| letter.is_alphanumeric() || **letter == '_').count();
            tokens.push(Token::Word(letters[at..at + length].iter().collect()));
            at += length;
        } else if letter == ':' && is(at + 1, ':') {
            tokens.push(Token::PathSeparator);
            at += 2;
        } else {
            if !letter.is_whitespace() {
                tokens.push(Token::Sign(letter));
            }
            at += 1;
        }
    }
    tokens
}

fn end_of_block_comment(letters: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < letters.len() {
        match (letters[at], letters.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// `r"..."`, `r#"..."#`, `br"..."`: where it ends, if one begins at `start`.
fn end_of_raw_string(letters: &[char], start: usize) -> Option<usize> {
    let within_a_word = start > 0 && (letters[start - 1].is_alphanumeric() || letters[start - 1] == '_');
    let prefix = letters[start..].iter().take_while(|letter| matches!(letter, 'r' | 'b' | 'c')).count();
    let hashes = letters[start + prefix..].iter().take_while(|letter| **letter == '#').count();
    let open = start + prefix + hashes;
    let raw = letters[start..start + prefix].contains(&'r');
    if within_a_word || !raw || letters.get(open) != Some(&'"') {
        return None;
    }
    let mut at = open + 1;
    while at < letters.len() {
        if letters[at] == '"' && letters[at + 1..].iter().take_while(|letter| **letter == '#').count() >= hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(at)
}

fn end_of_quoted(letters: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < letters.len() && letters[at] != quote {
        at += if letters[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}
