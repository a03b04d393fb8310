//! The settings of the gate, with real types.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use crate::settings::Values;
use crate::settings::error::{Origin, SettingsError};
use crate::settings::kafka::{Kafka, KafkaStream};
use crate::settings::tools::LedgerWriting;
use crate::settings::value::{
    self, AnswerAfter, Appendfsync, Ledger, LedgerUsers, Listen, LogFormat, LogLevels, Secret, Sink,
};

/// Everything the gate needs to know to start; each value can be used, and all of them together.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// Where clients connect; never empty, no address twice.
    pub listen: Vec<Listen>,
    /// The data directory.
    pub data: PathBuf,
    /// How long to wait for another holder of the data directory.
    pub lock_wait: Duration,
    /// When a write counts as kept.
    pub appendfsync: Appendfsync,
    /// When a grant's answer leaves; `Published` only with Kafka.
    pub answer_after: AnswerAfter,
    /// Where grants are streamed to.
    pub kafka: Option<Kafka>,
    /// How they are streamed there.
    pub kafka_stream: KafkaStream,
    /// Campaigns may be purged: a test system.
    pub allow_reset: bool,
    /// Size of a journal segment: within `limits`, whole blocks.
    pub segment_bytes: u64,
    /// Bytes of journal behind the last snapshot that call for the next one: at least a segment; `None`: none ever does.
    pub snapshot_when_journal_exceeds: Option<NonZeroU64>,
    /// How long history stays that is published and stored.
    pub journal_keep: Duration,
    /// How many bytes of it stay; `None`: as many as there are.
    pub journal_keep_bytes: Option<NonZeroU64>,
    /// Where grants are stored as rows.
    pub ledger: Ledger,
    /// Who fills the ledger; `Off` when there is none.
    pub sink: Sink,
    /// How it is filled.
    pub ledger_writing: LedgerWriting,
    /// The column type of users.
    pub ledger_users: LedgerUsers,
    /// Where HTTP is served.
    pub admin: Option<SocketAddr>,
    /// The most connections at a time.
    pub max_clients: NonZeroU32,
    /// What clients send with AUTH.
    pub password: Option<Secret>,
    /// Refuse to listen beyond this machine without a password. Kept for `CONFIG GET`; checked here.
    pub protected_mode: bool,
    /// How much is told.
    pub log: LogLevels,
    /// In which form.
    pub log_format: LogFormat,
    /// How long the ledger may catch up at the end.
    pub shutdown_timeout: Duration,
}

impl ServeSettings {
    pub(super) fn read(values: &Values) -> Result<ServeSettings, SettingsError> {
        let data = values.one("data", value::path)?;
        let ledger = values.ledger(&data)?;
        let settings = ServeSettings {
            listen: values.all("listen", value::listen)?,
            data,
            lock_wait: values.one("lock-wait", value::seconds)?,
            appendfsync: values.one("appendfsync", value::appendfsync)?,
            answer_after: values.one("answer-after", value::answer_after)?,
            kafka: Kafka::read(values)?,
            kafka_stream: KafkaStream::read(values)?,
            allow_reset: values.one("allow-reset", value::yes_no)?,
            segment_bytes: values.one("segment-bytes", value::segment_bytes)?,
            snapshot_when_journal_exceeds: values.one("snapshot-when-journal-exceeds", value::bytes)?,
            journal_keep: values.one("journal-keep", value::time_kept)?,
            journal_keep_bytes: values.one("journal-keep-bytes", value::bytes)?,
            ledger,
            sink: values.one("sink", value::sink)?,
            ledger_writing: LedgerWriting::read(values)?,
            ledger_users: values.one("ledger-users", value::ledger_users)?,
            admin: values.one("admin", value::admin)?,
            max_clients: values.one("max-clients", value::count)?,
            password: values.password()?,
            protected_mode: values.one("protected-mode", value::yes_no)?,
            log: values.one("log", value::log_levels)?,
            log_format: values.one("log-format", value::log_format)?,
            shutdown_timeout: values.one("shutdown-timeout", value::seconds)?,
        };
        settings.checked(values)
    }

    /// Refuses combinations that cannot work.
    fn checked(mut self, values: &Values) -> Result<ServeSettings, SettingsError> {
        let name = |key: &str| values.text(key).map_or(Origin::Flag, |sourced| sourced.origin).name(key);
        let clash = |sentence: String| Err(SettingsError::Combination(sentence));
        for (place, listen) in self.listen.iter().enumerate() {
            let free = matches!(listen, Listen::Tcp(address) if address.port() == 0);
            if !free && self.listen[..place].contains(listen) {
                return clash(format!("{}: {listen} is there twice; leave one of them", name("listen")));
            }
            let taken = matches!((listen, self.admin), (Listen::Tcp(tcp), Some(admin)) if *tcp == admin);
            if taken && !free {
                return clash(format!(
                    "{} and {} both want {listen}; give one of them another port",
                    name("listen"),
                    name("admin")
                ));
            }
            let open = matches!(listen, Listen::Tcp(address) if !address.ip().to_canonical().is_loopback());
            if open && self.password.is_none() && self.protected_mode {
                return clash(format!(
                    "{}: {listen} is reachable from other machines and there is no password; \
                     set --password-file (or COUPON_GATE_PASSWORD), or --protected-mode no if the network is closed",
                    name("listen")
                ));
            }
        }
        let said = |key: &str| values.text(key).is_some_and(|sourced| sourced.origin != Origin::Default);
        if let Some(bytes) = &mut self.snapshot_when_journal_exceeds
            && bytes.get() < self.segment_bytes
        {
            if said("snapshot-when-journal-exceeds") {
                return clash(format!(
                    "{}: a snapshot covers whole segments, so it cannot be below {} ({} bytes); 0 makes none but when asked",
                    name("snapshot-when-journal-exceeds"),
                    name("segment-bytes"),
                    self.segment_bytes
                ));
            }
            *bytes = NonZeroU64::new(self.segment_bytes).expect("a segment is not empty");
        }
        if self.ledger == Ledger::None {
            if said("sink") && self.sink == Sink::Inside {
                return clash(format!(
                    "{} is none and {} is inside: there is nothing to fill; leave one of them",
                    name("ledger"),
                    name("sink")
                ));
            }
            self.sink = Sink::Off;
        }
        if self.kafka.is_none() {
            if self.answer_after == AnswerAfter::Published {
                return clash(format!("{}: nothing is published without --kafka-brokers", name("answer-after")));
            }
            if self.sink == Sink::Outside {
                return clash(format!(
                    "{}: a sink elsewhere reads from Kafka; set --kafka-brokers, or --sink inside",
                    name("sink")
                ));
            }
            let idle = ["kafka-config", "kafka-config-file"].into_iter().find(|key| said(key));
            let idle = idle.or(self.kafka_stream.adopt.then_some("kafka-adopt"));
            if let Some(key) = idle.or(self.kafka_stream.accept_partitions.map(|_| "kafka-accept-partitions")) {
                return clash(format!("{} does nothing without --kafka-brokers", name(key)));
            }
        }
        if self.sink == Sink::Outside && matches!(self.ledger, Ledger::Sqlite(_)) && !said("ledger") {
            return clash(format!(
                "{}: name the ledger that the sink elsewhere fills with --ledger, so that the gate can see how far it is",
                name("sink")
            ));
        }
        let LedgerWriting { also, also_return, .. } = &self.ledger_writing;
        for (key, statement) in [("ledger-also", also), ("ledger-also-return", also_return)] {
            if statement.is_some() && self.sink == Sink::Off {
                return clash(format!(
                    "{} would never run: no ledger is filled; set --ledger and --sink inside, or leave it out",
                    name(key)
                ));
            }
        }
        if let Some(Kafka { topic, cancel_topic: Some(cancel), .. }) = &self.kafka
            && topic == cancel
        {
            return clash(format!(
                "{}: {topic} is the topic of the grants; returns need one of their own",
                name("kafka-cancel-topic")
            ));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Command, parse};

    fn serve(args: &[&str]) -> Result<ServeSettings, String> {
        let args = std::iter::once("coupon-gate").chain(args.iter().copied()).map(Into::into);
        match parse(args) {
            Ok(Command::Serve(settings)) => Ok(*settings),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn with_file(text: &str, args: &[&str]) -> Result<ServeSettings, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gate.toml");
        std::fs::write(&path, text).unwrap();
        let config = format!("--config={}", path.display());
        serve(&[&[config.as_str()], args].concat())
    }

    #[test]
    fn nothing_said_is_the_default_of_everything() {
        let settings = serve(&[]).unwrap();
        assert_eq!(settings.listen, [Listen::Tcp("127.0.0.1:6379".parse().unwrap())]);
        assert_eq!(settings.data, PathBuf::from("./data"));
        assert_eq!(settings.ledger, Ledger::Sqlite("./data/ledger.db".into()));
        assert_eq!(settings.segment_bytes, crate::limits::SEGMENT_BYTES);
        assert_eq!(settings.snapshot_when_journal_exceeds, NonZeroU64::new(256 << 20));
        assert_eq!(settings.journal_keep, Duration::from_secs(7 * 86_400));
        assert_eq!(settings.journal_keep_bytes, None);
        assert_eq!(settings.appendfsync, Appendfsync::Always);
        assert_eq!(settings.ledger_writing.commits_per_second, NonZeroU32::new(20));
        assert_eq!(settings.admin, Some("127.0.0.1:9379".parse().unwrap()));
        assert_eq!(settings.shutdown_timeout, Duration::from_secs(10));
        assert!(settings.password.is_none() && settings.protected_mode && settings.ledger_writing.create);
        assert_eq!(serve(&["serve", "--data", "x"]).unwrap().ledger, Ledger::Sqlite("x/ledger.db".into()));
    }

    #[test]
    fn a_flag_beats_the_file_which_beats_the_default() {
        let file = "data = 'from-file'\n[ledger]\nrows-per-second = 7\ncreate = false";
        let settings = with_file(file, &["--data", "from-flag"]).unwrap();
        assert_eq!(settings.data, PathBuf::from("from-flag"));
        assert_eq!(settings.ledger_writing.rows_per_second, NonZeroU32::new(7));
        assert!(!settings.ledger_writing.create);
        assert_eq!(settings.shutdown_timeout, Duration::from_secs(10));
    }

    #[test]
    fn a_snapshot_is_asked_for_by_whole_segments_or_not_at_all() {
        let exceeds = |args: &[&str]| serve(args).map(|settings| settings.snapshot_when_journal_exceeds);
        assert_eq!(exceeds(&["--snapshot-when-journal-exceeds", "0"]), Ok(None));
        assert_eq!(exceeds(&["--snapshot-when-journal-exceeds", "64MiB"]), Ok(NonZeroU64::new(64 << 20)));
        let below = exceeds(&["--snapshot-when-journal-exceeds", "63MiB"]).unwrap_err();
        assert!(below.contains("--snapshot-when-journal-exceeds") && below.contains("segment-bytes"), "{below}");
        assert_eq!(exceeds(&["--segment-bytes", "512MiB"]), Ok(NonZeroU64::new(512 << 20)), "the default gives way");
    }

    #[test]
    fn listen_may_be_given_several_times() {
        let several = serve(&["--listen", "127.0.0.1:1", "--listen", "unix:/tmp/a,[::1]:1"]).unwrap();
        assert_eq!(several.listen.len(), 3);
        assert_eq!(with_file("listen = ['127.0.0.1:1', '127.0.0.1:2']", &[]).unwrap().listen.len(), 2);
        assert_eq!(serve(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]).unwrap().listen.len(), 2);
        assert!(serve(&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:1"]).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_name_its_origin_and_what_would_be_right() {
        assert_eq!(
            serve(&["--appendfsync", "sometimes"]).unwrap_err(),
            "--appendfsync: \"sometimes\" is none of always, everysec, no"
        );
        assert!(serve(&["--shutdown-timeout", "-1"]).unwrap_err().contains("\"-1\" is no number of whole seconds"));
        let file = with_file("max-clients = 0", &[]).unwrap_err();
        assert!(file.starts_with("max-clients in ") && file.contains("between 1 and"), "{file}");
        let list = with_file("data = ['a', 'b']", &[]).unwrap_err();
        assert!(list.contains("\"a, b\" is a list"), "{list}");
        assert!(with_file("listen = []", &[]).unwrap_err().contains("at least one"));
        assert!(serve(&["--config", "/nowhere/gate.toml"]).unwrap_err().contains("/nowhere/gate.toml"));
        assert!(serve(&["--lissten", "x"]).unwrap_err().contains("--listen"), "clap names the nearest");
    }

    #[test]
    fn an_open_door_needs_a_password() {
        let refusal = serve(&["--listen", "0.0.0.0:6379"]).unwrap_err();
        assert!(refusal.contains("--listen: 0.0.0.0:6379") && refusal.contains("--password-file"), "{refusal}");
        assert!(serve(&["--listen", "[::]:6379"]).is_err());
        assert!(serve(&["--listen", "[::1]:6379"]).is_ok());
        assert!(serve(&["--listen", "unix:/tmp/a"]).is_ok());
        assert!(serve(&["--listen", "0.0.0.0:6379", "--password", "x"]).is_ok());
        assert!(serve(&["--listen", "0.0.0.0:6379", "--password", ""]).is_err());
        assert!(serve(&["--listen", "0.0.0.0:6379", "--protected-mode", "no"]).is_ok());
    }

    #[test]
    fn a_password_comes_from_one_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "s3cret\n").unwrap();
        let file = path.to_str().unwrap();
        assert_eq!(serve(&["--password-file", file]).unwrap().password, Some(Secret::new("s3cret")));
        let both = serve(&["--password-file", file, "--password", "x"]).unwrap_err();
        assert_eq!(both, "--password and --password-file both give a password; leave one of them");
        std::fs::write(&path, "\n").unwrap();
        assert!(serve(&["--password-file", file]).unwrap_err().contains("first line is empty"));
    }

    #[test]
    fn kafka_is_set_by_its_brokers_and_properties_add_up() {
        assert_eq!(serve(&[]).unwrap().kafka, None);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kafka.properties");
        std::fs::write(&path, "# who we are\nsasl.username = gate\n\nsasl.password=a=b\n").unwrap();
        let args = ["--kafka-brokers", "k1:9092,k2:9092", "--kafka-config", "linger.ms=7"];
        let file = ["--kafka-config-file", path.to_str().unwrap()];
        let kafka = serve(&[&args[..], &file[..]].concat()).unwrap().kafka.unwrap();
        let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let all = [owned("sasl.username", "gate"), owned("sasl.password", "a=b"), owned("linger.ms", "7")];
        assert_eq!((kafka.topic.as_str(), kafka.properties.as_slice()), ("coupon_create", &all[..]));
        std::fs::write(&path, "linger.ms\n").unwrap();
        assert!(serve(&[&args[..], &file[..]].concat()).unwrap_err().contains("line 1 is no property"));
        assert!(serve(&["--kafka-brokers", "k1"]).unwrap_err().contains("no list of brokers"));
        assert!(serve(&[&args[..2], &["--kafka-topic", "a b"]].concat()).unwrap_err().contains("topic name"));
    }

    #[test]
    fn a_ledgers_password_comes_from_one_place_and_is_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "s3cret\n").unwrap();
        let file = ["--ledger-password-file", path.to_str().unwrap()];
        let with = |url: &str| serve(&[&["--ledger", url][..], &file[..]].concat());
        let Ledger::Mysql(url) = with("mysql://gate@db/coupons").unwrap().ledger else { panic!("a MySQL ledger") };
        assert_eq!(url.password, Some(Secret::new("s3cret")));
        assert!(with("mysql://gate:x@db/coupons").unwrap_err().contains("both give a password"));
        assert!(with("sqlite:x").unwrap_err().contains("no password"));
        let slip = serve(&["--ledger", "mysql://gate:hunter2@db"]).unwrap_err();
        assert!(slip.contains("names no database") && !slip.contains("hunter2"), "{slip}");
    }

    #[test]
    fn combinations_that_cannot_work_are_refused() {
        assert_eq!(serve(&["--ledger", "none"]).unwrap().sink, Sink::Off);
        assert!(serve(&["--ledger", "none", "--sink", "inside"]).unwrap_err().contains("nothing to fill"));
        let also = "INSERT INTO coupon (user_id) VALUES (:user)";
        assert!(serve(&["--ledger", "none", "--ledger-also", also]).unwrap_err().contains("would never run"));
        assert!(serve(&["--sink", "off", "--ledger-also", also]).unwrap_err().contains("would never run"));
        assert!(serve(&["--ledger-also", also]).is_ok());
        assert!(serve(&["--answer-after", "published"]).unwrap_err().contains("without --kafka-brokers"));
        assert!(serve(&["--sink", "outside"]).unwrap_err().contains("set --kafka-brokers"));
        assert!(serve(&["--kafka-adopt", "yes"]).unwrap_err().contains("does nothing"));
        assert!(serve(&["--kafka-accept-partitions", "8"]).unwrap_err().contains("does nothing"));
        assert!(serve(&["--kafka-accept-partitions", "x"]).unwrap_err().contains("between 0 and 10000"));
        let brokers = ["--kafka-brokers", "127.0.0.1:9092"];
        assert!(serve(&[&brokers[..], &["--sink", "outside"]].concat()).unwrap_err().contains("name the ledger"));
        assert!(serve(&[&brokers[..], &["--answer-after", "published", "--kafka-adopt", "yes"]].concat()).is_ok());
        assert!(serve(&["--admin", "127.0.0.1:6379"]).unwrap_err().contains("another port"));
    }
}
