//! # logging - lines for humans and for machines, on stderr
//! Turns the settings into a subscriber; set up once, by main. May use: `settings`.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use crate::settings::{LogFormat, LogLevels};

/// Sends everything that rooms tell to stderr, from here to the end of the process.
pub fn start(levels: &LogLevels, format: LogFormat) {
    let color = std::io::stderr().is_terminal();
    match format {
        LogFormat::Text => text(levels, color, std::io::stderr).init(),
        LogFormat::Json => json(levels, std::io::stderr).init(),
    }
}

fn text<W>(levels: &LogLevels, color: bool, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(color).with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(targets(levels)))
}

fn json<W>(levels: &LogLevels, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(targets(levels)))
}

fn targets(levels: &LogLevels) -> Targets {
    let rooms = levels.rooms.iter().map(|(room, level)| (format!("coupon_gate::{room}"), *level));
    Targets::new().with_default(levels.default).with_targets(rooms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing::level_filters::LevelFilter;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        fn writer(&self) -> impl for<'w> MakeWriter<'w> + Send + Sync + 'static {
            let lines = self.clone();
            move || lines.clone()
        }
    }

    fn quiet_but_for_the_journal() -> LogLevels {
        LogLevels { default: LevelFilter::WARN, rooms: vec![("journal".into(), LevelFilter::DEBUG)] }
    }

    #[test]
    fn each_room_has_its_own_level() {
        let lines = Lines::default();
        tracing::subscriber::with_default(text(&quiet_but_for_the_journal(), false, lines.writer()), || {
            tracing::debug!(target: "coupon_gate::journal::writer", "heard");
            tracing::info!(target: "coupon_gate::server", "unheard");
            tracing::warn!(target: "coupon_gate::server", "alarm");
        });
        let told = lines.text();
        assert!(told.contains("heard") && told.contains("alarm") && !told.contains("unheard"), "{told}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let lines = Lines::default();
        tracing::subscriber::with_default(json(&quiet_but_for_the_journal(), lines.writer()), || {
            tracing::warn!(target: "coupon_gate::sink", rows = 7, "slow");
        });
        let line: serde_json::Value = serde_json::from_str(&lines.text()).unwrap();
        assert_eq!((line["message"].as_str(), line["rows"].as_i64()), (Some("slow"), Some(7)));
    }
}
