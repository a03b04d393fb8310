//! # banner - what the first start says
//! Where the gate listens, where data and ledger lie, and what to try. Pure. May use: `settings`.

use std::fmt::Write;

use crate::settings::{Appendfsync, Ledger, Listen, ServeSettings, Sink};

/// The text for a terminal once the gate is ready. `listening` are the addresses it really got (port 0 resolved),
/// `admin` likewise; `new` says that the data directory was made by this start: then it also says what to try.
pub fn banner(
    settings: &ServeSettings,
    listening: &[Listen],
    admin: Option<std::net::SocketAddr>,
    new: bool,
) -> String {
    let mut text = String::new();
    let doors: Vec<String> = listening.iter().map(Listen::to_string).collect();
    let kept = match settings.appendfsync {
        Appendfsync::Always => "every grant is on disk before its answer",
        Appendfsync::Everysec => "appendfsync everysec: a power cut may lose the last second",
        Appendfsync::No => "appendfsync no: a power cut may lose the last seconds",
    };
    let ledger = match (&settings.ledger, settings.sink) {
        (Ledger::None, _) => "none".to_owned(),
        (_, Sink::Inside) => format!("{}, table coupon_grant", settings.ledger),
        (_, Sink::Outside) => format!("{}, filled by a sink elsewhere", settings.ledger),
        (_, Sink::Off) => format!("{}, not filled (sink off)", settings.ledger),
    };
    let admin = admin.map_or("none".to_owned(), |address| format!("http://{address}/metrics"));
    line(&mut text, &format!("coupon-gate {}", env!("CARGO_PKG_VERSION")));
    line(&mut text, &format!("  clients  {}", doors.join("  ")));
    line(&mut text, &format!("  data     {} ({kept})", settings.data.display()));
    if let Some(kafka) = &settings.kafka {
        line(&mut text, &format!("  stream   {} to {}", kafka.topic, kafka.brokers));
    }
    line(&mut text, &format!("  ledger   {ledger}"));
    line(&mut text, &format!("  figures  {admin}"));
    if new && let Some(door) = listening.first() {
        let cli = redis_cli(door, settings.password.is_some());
        line(&mut text, "Try:");
        line(&mut text, &format!("  {cli} GATE.CREATE spring LIMIT 100"));
        line(&mut text, &format!("  {cli} GATE.CLAIM spring 42"));
        line(&mut text, &format!("  {cli} GATE.SEATS spring 1 10"));
    }
    text
}

fn redis_cli(door: &Listen, password: bool) -> String {
    let login = if password { " --askpass" } else { "" };
    match door {
        Listen::Tcp(address) => {
            let host = match address.ip() {
                ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
                ip if ip.is_unspecified() => "::1".to_owned(),
                ip => ip.to_string(),
            };
            let host = if host == "127.0.0.1" { String::new() } else { format!(" -h {host}") };
            let port = if address.port() == 6379 { String::new() } else { format!(" -p {}", address.port()) };
            format!("redis-cli{host}{port}{login}")
        }
        Listen::Unix(path) => format!("redis-cli -s {}{login}", path.display()),
    }
}

fn line(text: &mut String, words: &str) {
    writeln!(text, "{words}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Command, parse};

    fn settings(args: &[&str]) -> ServeSettings {
        match parse(["coupon-gate"].iter().chain(args).map(Into::into)) {
            Ok(Command::Serve(settings)) => *settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_start_says_where_everything_is_and_what_to_try() {
        let settings = settings(&[]);
        let text = banner(&settings, &settings.listen, settings.admin, true);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text,
            format!(
                "coupon-gate {version}\n  clients  127.0.0.1:6379\n  \
                 data     ./data (every grant is on disk before its answer)\n  \
                 ledger   sqlite:./data/ledger.db, table coupon_grant\n  \
                 figures  http://127.0.0.1:9379/metrics\n\
                 Try:\n  redis-cli GATE.CREATE spring LIMIT 100\n  \
                 redis-cli GATE.CLAIM spring 42\n  redis-cli GATE.SEATS spring 1 10\n"
            )
        );
    }

    #[test]
    fn later_starts_are_shorter_and_tell_what_is_given_up() {
        let settings = settings(&["--appendfsync", "everysec", "--ledger", "none"]);
        let text = banner(&settings, &settings.listen, None, false);
        assert!(!text.contains("Try:") && text.contains("may lose the last second"), "{text}");
        assert!(text.contains("ledger   none\n") && text.contains("figures  none\n"), "{text}");
    }

    #[test]
    fn the_lines_to_try_reach_the_gate_wherever_it_listens() {
        let door = |text: &str, password| redis_cli(&Listen::Tcp(text.parse().unwrap()), password);
        assert_eq!(door("0.0.0.0:7000", false), "redis-cli -p 7000");
        assert_eq!(door("[::]:6379", true), "redis-cli -h ::1 --askpass");
        assert_eq!(redis_cli(&Listen::Unix("/run/g".into()), false), "redis-cli -s /run/g");
    }
}
