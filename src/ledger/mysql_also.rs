//! The operator's statements in MySQL: its parameters become `?`, and a plain INSERT of one row one of many.

use std::fmt::Write as _;

use super::LedgerError;
use super::both::{also_parameters, also_setting};
use crate::grant::Kind;

/// The operator's statement as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Also {
    /// With `?` for each parameter, without comments.
    pub(super) sql: String,
    /// In the order in which they are bound.
    pub(super) parameters: Vec<&'static str>,
    /// Where the `(...)` of `INSERT INTO t (...) VALUES (...)` begins in `sql`: it may stand there many times. Only
    /// where it holds nothing but parameters and literals, for whatever else could tell one row from the next.
    values: Option<usize>,
}

impl Also {
    /// Reads a statement: one that changes rows, with parameters that we know.
    pub(super) fn parse(kind: Kind, text: &str) -> Result<Also, LedgerError> {
        let setting = also_setting(kind);
        let refuse = |why: String| LedgerError::Unfit(format!("{setting}: {why}; the statement is: {text}"));
        let mut sql = String::new();
        let (mut parameters, mut depth, mut rest) = (Vec::new(), 0_u32, text.trim());
        // Where the last `(` outside of all others stands, and whether there was more than parameters and literals in it.
        let (mut last, mut plain) = (None, true);
        while let Some(first) = rest.chars().next() {
            let (token, after) =
                rest.split_at(length(rest).ok_or_else(|| refuse("a quote or comment is open".into()))?);
            rest = after;
            if is_comment(token) {
                if token.starts_with("/*!") || token.starts_with("/*M!") {
                    return Err(refuse("it has a comment that is code".into()));
                }
                sql.push(' ');
                continue;
            }
            if token.starts_with(':') && token.len() > 1 {
                let known = also_parameters(kind);
                let unknown = || refuse(format!("unknown parameter {token}; there are {}", known.join(" ")));
                parameters.push(*known.iter().find(|known| **known == token).ok_or_else(unknown)?);
                sql.push('?');
                continue;
            }
            match first {
                '?' => return Err(refuse("it has a ?; parameters have names".into())),
                ';' if rest.trim().is_empty() => continue,
                ';' => return Err(refuse("it is more than one".into())),
                '(' => {
                    if depth == 0 {
                        (last, plain) = (Some(sql.len()), true);
                    }
                    plain &= depth == 0;
                    depth += 1;
                }
                ')' => depth = depth.saturating_sub(1),
                _ => plain &= is_literal(token),
            }
            sql.push_str(token);
        }
        sql.truncate(sql.trim_end().len());
        let verb: String = sql.chars().take_while(char::is_ascii_alphabetic).collect();
        if !["INSERT", "UPDATE", "DELETE", "REPLACE"].contains(&verb.to_ascii_uppercase().as_str()) {
            return Err(refuse("it must be one INSERT, UPDATE, DELETE or REPLACE".into()));
        }
        let values = last.filter(|at| plain && is_one_row(&sql, *at));
        Ok(Also { sql, parameters, values })
    }

    /// The statement for `rows` rows; `None` where it takes one at a time.
    pub(super) fn of_many(&self, rows: usize) -> Option<String> {
        let one = &self.sql[self.values?..];
        let mut sql = self.sql.clone();
        for _ in 1..rows {
            write!(sql, ",{one}").expect("a String takes everything");
        }
        Some(sql)
    }
}

/// Whether `sql` is `INSERT [INTO] t (columns) VALUES (` up to `at`, and ends with the `)` of that.
fn is_one_row(sql: &str, at: usize) -> bool {
    let head = sql[..at].trim_end().to_ascii_uppercase();
    let words: Vec<&str> = head.split_whitespace().collect();
    let before = head.strip_suffix("VALUES").or_else(|| head.strip_suffix("VALUE"));
    let bounded = before.is_some_and(|before| before.ends_with([')', ' ', '\n', '\t', '\r']));
    sql.ends_with(')') && words.first() == Some(&"INSERT") && bounded && !words.contains(&"SELECT")
}

/// What may stand in a row: numbers, text, NULL, DEFAULT, commas, spaces.
fn is_literal(token: &str) -> bool {
    let first = token.chars().next().unwrap_or(' ');
    matches!(first, '\'' | '"' | ',' | '.' | '-' | '+')
        || first.is_whitespace()
        || first.is_ascii_digit()
        || ["NULL", "DEFAULT", "TRUE", "FALSE"].contains(&token.to_ascii_uppercase().as_str())
}

fn is_comment(token: &str) -> bool {
    token.starts_with('#') || token.starts_with("/*") || token.starts_with("--")
}

/// The bytes of the first token: a comment, a quoted text or name, a word, a parameter, a single character.
/// `None`: it does not end.
fn length(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let dashes = text.strip_prefix("--").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
    if first == '#' || dashes {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return text.find("*/").map(|end| end + 2);
    }
    if matches!(first, '\'' | '"' | '`') {
        return quoted(text, first);
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let word = |text: &str| text.find(|c| !is_word(c)).unwrap_or(text.len());
    if first == ':' {
        return Some(1 + word(&text[1..]));
    }
    Some(if is_word(first) { word(text) } else { first.len_utf8() })
}

/// A quote ends at the next one that is not doubled, and in texts not behind a backslash.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote != '`' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_none_or(|(_, next)| *next != quote) {
                return Some(at + 1);
            }
            chars.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_question_marks_in_their_order() {
        let also = Also::parse(
            Kind::Grant,
            "UPDATE coupon SET user_id = :user, note = ':seat ? ''x\\'', `:nth` = 1 -- :seq\n WHERE id = :seat;",
        );
        let also = also.unwrap();
        assert_eq!(also.sql, "UPDATE coupon SET user_id = ?, note = ':seat ? ''x\\'', `:nth` = 1  \n WHERE id = ?");
        assert_eq!(also.parameters, [":user", ":seat"]);
        assert_eq!(also.of_many(2), None);
    }

    #[test]
    fn a_plain_insert_takes_many_rows() {
        for (text, of_two) in [
            ("INSERT INTO coupon (user_id) VALUES (:user)", "INSERT INTO coupon (user_id) VALUES (?),(?)"),
            (
                "insert into c values(NULL, :user, 'x(', -1.5);",
                "insert into c values(NULL, ?, 'x(', -1.5),(NULL, ?, 'x(', -1.5)",
            ),
        ] {
            assert_eq!(Also::parse(Kind::Grant, text).unwrap().of_many(2).as_deref(), Some(of_two));
        }
    }

    #[test]
    fn what_could_tell_one_row_from_the_next_takes_one_at_a_time() {
        for text in [
            "INSERT INTO c (u) VALUES (:user) ON DUPLICATE KEY UPDATE n = n + 1",
            "INSERT INTO c (u, v) VALUES (:user, LAST_INSERT_ID())",
            "INSERT INTO c (u, v) VALUES (:user, @last)",
            "INSERT INTO c (u) SELECT id FROM d WHERE id IN (:user)",
            "INSERT INTO c (u) VALUES (:user), (:seat)",
            "REPLACE INTO c (u) VALUES (:user)",
            "INSERT INTO c SET u = :user",
            "DELETE FROM c WHERE u IN (:user)",
        ] {
            assert_eq!(Also::parse(Kind::Grant, text).unwrap().of_many(2), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_one_statement_with_our_parameters_is_refused() {
        for (text, why) in [
            ("SELECT 1", "must be one INSERT"),
            ("DROP TABLE c", "must be one INSERT"),
            ("INSERT INTO c (u) VALUES (:usr)", "unknown parameter :usr"),
            ("INSERT INTO c (u) VALUES (?)", "parameters have names"),
            ("DELETE FROM c; DELETE FROM d", "more than one"),
            ("DELETE FROM c WHERE u = 'x", "a quote or comment is open"),
            ("DELETE FROM c /*! WHERE 1 */", "comment that is code"),
        ] {
            let LedgerError::Unfit(line) = Also::parse(Kind::Grant, text).unwrap_err() else { panic!("{text}") };
            assert!(line.contains(why) && line.contains(text), "{text}: {line}");
        }
    }

    #[test]
    fn the_statement_for_returns_has_two_parameters_more() {
        let text = "DELETE FROM c WHERE u = :user AND at < :returned_at AND s < :return_seq";
        assert_eq!(Also::parse(Kind::Return, text).unwrap().parameters, [":user", ":returned_at", ":return_seq"]);
        let LedgerError::Unfit(line) = Also::parse(Kind::Grant, text).unwrap_err() else { panic!("taken") };
        assert!(line.starts_with("--ledger-also: unknown parameter :returned_at"), "{line}");
        let LedgerError::Unfit(line) = Also::parse(Kind::Return, "SELECT 1").unwrap_err() else { panic!("taken") };
        assert!(line.starts_with("--ledger-also-return: it must be one INSERT"), "{line}");
    }
}
