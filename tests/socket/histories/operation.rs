//! One operation of a history: what was asked and answered, and when.

use std::fmt::Write;

use crate::conversation::Reply;

/// A command on one key or campaign, the second word of it.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who asked.
    pub conn: u64,
    /// When it was sent, in nanoseconds of the test's clock.
    pub call: u64,
    /// When its answer was read; `None`: it may have happened, at any time since, or not.
    pub answered: Option<Answered>,
    /// Its words.
    pub command: Vec<String>,
}

/// The answer as words, and when it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// In nanoseconds of the test's clock.
    pub at: u64,
    /// See [`words_of`].
    pub words: Vec<String>,
}

impl Operation {
    /// Whether it is called `name`.
    pub fn is(&self, name: &str) -> bool {
        self.command[0] == name
    }

    /// Its key or campaign.
    pub fn on(&self) -> &str {
        &self.command[1]
    }

    /// The words of its answer; none if it has none.
    pub fn words(&self) -> &[String] {
        self.answered.as_ref().map_or(&[], |answered| &answered.words)
    }

    /// Whether it was answered before `other` was sent.
    pub fn ends_before(&self, other: &Operation) -> bool {
        self.answered.as_ref().is_some_and(|answered| answered.at < other.call)
    }

    /// As a line for the checker.
    pub fn write(&self, into: &mut String) {
        let words = |words: &[String]| serde_json::to_string(words).unwrap();
        let (at, answer) = match &self.answered {
            Some(answered) => (answered.at.to_string(), words(&answered.words)),
            None => ("null".to_owned(), "null".to_owned()),
        };
        let (conn, call, command) = (self.conn, self.call, words(&self.command));
        writeln!(into, r#"{{"conn":{conn},"call":{call},"return":{at},"command":{command},"answer":{answer}}}"#)
            .unwrap();
    }
}

/// What matters of an answer, as words: a claim's three, a status's seat, the counts of `GATE.INFO`; else the form and
/// the text.
pub fn words_of(command: &[String], reply: &Reply) -> Vec<String> {
    let word = |reply: &Reply| reply.int().map(|number| number.to_string()).or(reply.text()).unwrap();
    match (command[0].as_str(), reply) {
        (_, Reply::Error(line)) => vec!["-".into(), line.split(' ').next().unwrap().into()],
        ("GATE.CLAIM", Reply::Array(items)) => items.iter().map(word).collect(),
        ("GATE.STATUS", Reply::Array(rows)) => match rows.first().and_then(Reply::items) {
            Some(row) => row[..2].iter().map(word).collect(),
            None => vec!["NONE".into()],
        },
        ("GATE.INFO", info) => ["granted", "remaining"]
            .iter()
            .flat_map(|name| [(*name).to_owned(), word(&info.field(name).unwrap())])
            .collect(),
        (_, Reply::Status(text)) => vec!["+".into(), text.clone()],
        (_, Reply::Int(number)) => vec![":".into(), number.to_string()],
        (_, Reply::Bulk(_)) => vec!["$".into(), reply.text().unwrap()],
        (_, Reply::Null) => vec!["nil".into()],
        (name, other) => panic!("{name} is answered {other}"),
    }
}
