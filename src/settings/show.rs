//! The effective settings as a file that `--config` would take.

use std::fmt::Write;

use toml::Value;

use crate::settings::error::{Origin, variable};
use crate::settings::serve::ServeSettings;
use crate::settings::{Values, flags};

/// One line a setting, with where it came from. What is not set and what is secret stands there as a comment.
pub fn as_file(values: &Values, settings: &ServeSettings) -> String {
    let mut text = String::new();
    for arg in flags::settings() {
        let key = arg.get_id().as_str();
        let (texts, origin) = match values.text(key) {
            Some(sourced) => (sourced.texts, origin_words(key, &sourced.origin)),
            None if key == "ledger" => (vec![settings.ledger.to_string()], "default".to_owned()),
            None => (Vec::new(), "not set".to_owned()),
        };
        let repeatable = matches!(arg.get_action(), clap::ArgAction::Append);
        // Writing to a String cannot fail.
        let _ = match texts.as_slice() {
            [] => writeln!(text, "# {key} =    # {origin}"),
            [url] if key == "ledger" && url.contains('@') => {
                // With its password masked: no file that a start would take.
                writeln!(text, "# {key} = {}    # {origin}", plain(&settings.ledger.to_string()))
            }
            [_] if key == "password" => writeln!(text, "# {key} = \"***\"    # {origin}"),
            several if repeatable => {
                let list = several.iter().map(|one| Value::String(masked(key, one))).collect();
                writeln!(text, "{key} = {}    # {origin}", Value::Array(list))
            }
            [one, ..] => writeln!(text, "{key} = {}    # {origin}", plain(one)),
        };
    }
    text
}

/// Numbers stand there as numbers: the file takes both, people read this one.
fn plain(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::Integer(number),
        Ok(_) | Err(_) => Value::String(text.to_owned()),
    }
}

/// Properties of librdkafka that hold a secret lose it.
fn masked(key: &str, text: &str) -> String {
    match text.split_once('=') {
        Some((name, _))
            if key == "kafka-config" && ["password", "secret", "jaas"].iter().any(|word| name.contains(word)) =>
        {
            format!("{name}=***")
        }
        Some(_) | None => text.to_owned(),
    }
}

fn origin_words(key: &str, origin: &Origin) -> String {
    match origin {
        Origin::Flag => format!("--{key}"),
        Origin::Environment => variable(key),
        Origin::File(path) => path.display().to_string(),
        Origin::Default => "default".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Command, parse};

    fn config(args: &[&str]) -> String {
        match parse(["coupon-gate", "config"].iter().chain(args).map(Into::into)) {
            Ok(Command::Config(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn secrets_are_masked_and_origins_named() {
        let text = config(&["--password", "hunter2", "--data", "x\"y", "--listen", "127.0.0.1:1,127.0.0.1:2"]);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("# password = \"***\"    # --password\n"), "{text}");
        assert!(text.contains("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]    # --listen\n"), "{text}");
        assert!(text.contains("appendfsync = \"always\"    # default\n"), "{text}");
        assert!(text.contains("max-clients = 10000    # default\n"), "{text}");
        assert!(text.contains("# ledger-also =    # not set\n"), "{text}");
    }

    #[test]
    fn secrets_within_other_settings_are_masked_too() {
        let text = config(&[
            "--kafka-brokers",
            "k:9092",
            "--kafka-config",
            "sasl.password=hunter2",
            "--kafka-config",
            "linger.ms=3",
            "--ledger",
            "mysql://gate:hunter2@db/coupons",
        ]);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("kafka-config = [\"sasl.password=***\", \"linger.ms=3\"]"), "{text}");
        assert!(text.contains("# ledger = \"mysql://gate:***@db:3306/coupons\""), "{text}");
    }

    #[test]
    fn what_it_prints_is_a_settings_file_with_the_same_meaning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gate.toml");
        let strip = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split("    # ").next().unwrap_or_default().to_owned()).collect()
        };
        let first =
            config(&["--data", "a \\ \"b\"\n", "--ledger-commits-per-second", "0", "--log", "warn,journal=debug"]);
        std::fs::write(&path, &first).unwrap();
        let second = config(&["--config", path.to_str().unwrap()]);
        assert_eq!(strip(&first), strip(&second));
        assert!(second.contains(path.to_str().unwrap()));
    }
}
