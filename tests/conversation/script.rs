//! The text of a conversation as steps.

use std::path::{Path, PathBuf};

use super::Pattern;

/// One file: steps in order.
#[derive(Debug)]
pub struct Script {
    /// Its path below `tests/conversations`, for messages.
    pub name: String,
    /// What happens.
    pub steps: Vec<Step>,
}

/// A line of a conversation.
#[derive(Debug)]
pub enum Step {
    /// `>` and the `<` lines that follow it.
    Ask {
        /// The line of `>`, counted from 1.
        line: usize,
        /// The sentence before it.
        about: String,
        /// The command.
        args: Vec<Vec<u8>>,
        /// What must be answered.
        expected: Pattern,
    },
    /// `!`
    Fault(Fault),
}

/// What befalls the server or the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `! restart`: a clean stop and a new start.
    Restart,
    /// `! kill`, `! power-cut`: the process ends between two instructions, then a new start. A real power cut of a
    /// binary is the simulation's affair; over a socket it is a `kill -9`.
    Kill,
    /// `! reconnect`: a new connection.
    Reconnect,
    /// `! clock MS`: the loop's time from here on (the core alone: nobody sets the time of a real process).
    Clock(i64),
}

/// All conversations of `tests/conversations/NAME`, in the order of their names; never none.
pub fn folder(name: &str) -> Vec<Script> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversations").join(name);
    let entries = std::fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} holds conversations", root.display());
    paths.iter().map(|path| Script::read(name, path)).collect()
}

impl Script {
    fn read(folder: &str, path: &Path) -> Script {
        let text = std::fs::read_to_string(path).unwrap();
        let name = format!("{folder}/{}", path.file_name().unwrap().to_string_lossy());
        Script::parse(&name, &text).unwrap_or_else(|error| panic!("{name}:{error}"))
    }

    /// Reads a conversation; an error starts with the line's number.
    pub fn parse(name: &str, text: &str) -> Result<Script, String> {
        let mut steps = Vec::new();
        let mut about = String::new();
        let mut asked: Option<(usize, Vec<Vec<u8>>, String)> = None;
        for (index, line) in text.lines().chain([""]).enumerate() {
            let (number, line) = (index + 1, line.trim());
            if let Some(more) = line.strip_prefix('<') {
                let (.., expected) = asked.as_mut().ok_or(format!("{number}: an answer to nothing"))?;
                *expected = format!("{expected} {}", more.trim());
                continue;
            }
            if let Some((at, args, expected)) = asked.take() {
                let expected = Pattern::parse(&expected).map_err(|error| format!("{at}: {error}"))?;
                steps.push(Step::Ask { line: at, about: about.clone(), args, expected });
            }
            match line.split_at_checked(1) {
                None => {}
                Some(("#", sentence)) => about = sentence.trim().to_owned(),
                Some((">", command)) => {
                    let args = split_args(command).map_err(|error| format!("{number}: {error}"))?;
                    asked = Some((number, args, String::new()));
                }
                Some(("!", fault)) => steps.push(Step::Fault(match fault.trim().split_once(' ') {
                    None if fault.trim() == "restart" => Fault::Restart,
                    None if matches!(fault.trim(), "kill" | "power-cut") => Fault::Kill,
                    None if fault.trim() == "reconnect" => Fault::Reconnect,
                    Some(("clock", time)) => Fault::Clock(time.parse().map_err(|_| format!("{number}: no time"))?),
                    _ => return Err(format!("{number}: what is '!{fault}'?")),
                })),
                Some(_) => return Err(format!("{number}: a line starts with '#', '>', '<' or '!'")),
            }
        }
        Ok(Script { name: name.to_owned(), steps })
    }
}

/// Splits a command as redis-cli does; `\r`, `\n`, `\t`, `\xHH`, `\\` and `\"` count inside double quotes. A bare word
/// `(3*ab)` is `ababab`.
fn split_args(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut rest = text.trim();
    let mut args = Vec::new();
    while !rest.is_empty() {
        if rest.starts_with('"') {
            args.push(unquote(&mut rest)?);
        } else {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            let repeat =
                word.strip_prefix('(').and_then(|word| word.strip_suffix(')')).and_then(|word| word.split_once('*'));
            args.push(match repeat.and_then(|(count, what)| Some((count.parse().ok()?, what))) {
                Some((count, what)) => what.repeat(count).into_bytes(),
                None => word.as_bytes().to_vec(),
            });
            rest = after;
        }
        rest = rest.trim_start();
    }
    if args.is_empty() { Err("a command is missing".into()) } else { Ok(args) }
}

/// Takes a string in double quotes from the front of `rest`.
pub fn unquote(rest: &mut &str) -> Result<Vec<u8>, String> {
    let body = rest.strip_prefix('"').ok_or("a quote is missing")?;
    let mut bytes = Vec::new();
    let mut chars = body.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => {
                *rest = &body[at + 1..];
                return Ok(bytes);
            }
            '\\' => match chars.next().map(|(_, char)| char) {
                Some('n') => bytes.push(b'\n'),
                Some('r') => bytes.push(b'\r'),
                Some('t') => bytes.push(b'\t'),
                Some('x') => {
                    let hex: String = chars.by_ref().take(2).map(|(_, char)| char).collect();
                    bytes.push(u8::from_str_radix(&hex, 16).map_err(|_| format!("'\\x{hex}' is no byte"))?);
                }
                Some(char @ ('\\' | '"')) => bytes.push(char as u8),
                other => return Err(format!("'\\{}' is not known", other.unwrap_or(' '))),
            },
            _ => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("a closing quote is missing".into())
}

#[test]
fn a_conversation_becomes_steps() {
    let script =
        Script::parse("here", "# A sentence.\n> SET k \"a \\x01\"\n< OK\n! kill\n> MGET k x\n< \"a \\x01\"\n< (nil)\n")
            .unwrap();
    let [Step::Ask { args, about, line: 2, .. }, Step::Fault(Fault::Kill), Step::Ask { expected, .. }] =
        &script.steps[..]
    else {
        panic!("{:?}", script.steps)
    };
    assert_eq!((about.as_str(), args[2].as_slice()), ("A sentence.", &b"a \x01"[..]));
    assert_eq!(*expected, Pattern::Array(vec![Pattern::Bulk(b"a \x01".to_vec()), Pattern::Null]));
    assert!(Script::parse("here", "> GET k\n! quake\n").is_err());
    assert!(Script::parse("here", "> GET k\n> GET k\n< 1").is_err(), "an answer is missing");
}
