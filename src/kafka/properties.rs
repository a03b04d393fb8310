//! librdkafka's properties: ours, the operator's on top, and those that are not for him to change.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError as Fault;

use super::{KafkaError, KafkaSettings};

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Asks, and reads ranges.
    Reader,
    /// Reads on and on.
    Follower,
    /// Writes.
    Writer,
    /// Makes topics and asks for their settings.
    Admin,
}

/// Of all clients. In librdkafka's first names: [`first_name`].
const EVERYWHERE: &[(&str, &str)] = &[
    ("client.id", "coupon-gate"),
    ("socket.timeout.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    // Back soon after the broker is: the default lets it rise to 10 s.
    ("reconnect.backoff.max.ms", "2000"),
    ("topic.metadata.refresh.interval.ms", "60000"),
];

/// Of those that read.
const READING: &[(&str, &str)] = &[
    // More than this waits at the broker, not in our memory.
    ("queued.max.messages.kbytes", "32768"),
    ("fetch.queue.backoff.ms", "50"),
    ("check.crcs", "true"),
];

/// Of the reader of ranges alone: it is told that a partition ends after so long.
const RANGES: &[(&str, &str)] = &[("fetch.wait.max.ms", "50")];

/// Of those that write.
const WRITING: &[(&str, &str)] = &[
    // The writer says itself when they leave (`hurry`). Librdkafka asks without pause whether a record may go that has
    // waited so long behind a request without an answer: not before that is given up.
    ("queue.buffering.max.ms", "10000"),
    ("compression.codec", "lz4"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
    ("request.timeout.ms", "10000"),
];

/// What the promises of this room stand on. Librdkafka wants a group even of who is in none.
const PROMISED_READING: &[(&str, &str)] = &[
    ("group.id", "coupon-gate"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_uncommitted"),
];

/// The same for writing.
const PROMISED_WRITING: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("enable.gapless.guarantee", "true"),
    ("request.required.acks", "all"),
    ("message.timeout.ms", "0"),
];

/// Properties that are not for the operator to set, in all their names, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (&["metadata.broker.list", "test.mock.num.brokers"], "the brokers are named by --kafka-brokers"),
    (
        &[
            "enable.idempotence",
            "enable.gapless.guarantee",
            "request.required.acks",
            "max.in.flight.requests.per.connection",
            "message.send.max.retries",
            "queuing.strategy",
        ],
        "with another value records could get lost, doubled or out of order",
    ),
    (
        &["message.timeout.ms"],
        "a record that timed out would leave a hole: what Kafka does not take waits in the journal, as long as it takes",
    ),
    (&["transactional.id", "transaction.timeout.ms"], "records are written without transactions"),
    (
        &[
            "enable.auto.commit",
            "auto.commit.enable",
            "enable.auto.offset.store",
            "group.id",
            "group.instance.id",
            "group.protocol",
        ],
        "nothing here is in a consumer group: positions are kept where the rows are, not in Kafka",
    ),
    (&["auto.offset.reset"], "an offset that is gone has to be told, never jumped over"),
    (&["isolation.level"], "what was written before is looked for among all records"),
    (&["enable.partition.eof"], "the end of a partition is asked for where it is needed"),
    (&["allow.auto.create.topics"], "a topic is made by --kafka-create, with as many partitions as are asked for"),
];

/// Names that librdkafka has for the same thing. (Two of OAuth are not here: this build does without curl.)
const OTHER_NAMES: &[(&str, &str)] = &[
    ("bootstrap.servers", "metadata.broker.list"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("sasl.mechanism", "sasl.mechanisms"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("retries", "message.send.max.retries"),
    ("compression.type", "compression.codec"),
    ("acks", "request.required.acks"),
    ("delivery.timeout.ms", "message.timeout.ms"),
];

/// The properties of a client of that role. Those of the other roles come along: librdkafka passes over them.
pub(super) fn config(settings: &KafkaSettings, role: Role) -> ClientConfig {
    let mut config = ClientConfig::new();
    let mut set = |pairs: &[(&str, &str)]| {
        for (name, value) in pairs {
            config.set(*name, *value);
        }
    };
    set(EVERYWHERE);
    match role {
        Role::Reader => [READING, RANGES].into_iter().for_each(&mut set),
        Role::Follower => set(READING),
        Role::Writer => set(WRITING),
        Role::Admin => {}
    }
    for (name, value) in &settings.properties {
        set(&[(first_name(name), value)]);
    }
    set(&[("metadata.broker.list", &settings.brokers), ("allow.auto.create.topics", "false")]);
    match role {
        Role::Reader => {
            set(PROMISED_READING);
            set(&[("enable.partition.eof", "true")]);
        }
        Role::Follower => set(PROMISED_READING),
        Role::Writer => set(PROMISED_WRITING),
        Role::Admin => {}
    }
    let debug = config.get("debug").is_some_and(|contexts| !contexts.is_empty());
    config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
    config
}

/// Whether the operator's properties may be set, each for itself.
pub(super) fn check(settings: &KafkaSettings) -> Result<(), KafkaError> {
    for (name, value) in &settings.properties {
        if let Some((_, reason)) = REFUSED.iter().find(|(names, _)| names.contains(&first_name(name))) {
            return Err(KafkaError::Unfit(format!("--kafka-config: {name} cannot be set: {reason}")));
        }
        let mut alone = ClientConfig::new();
        alone.set(name, value);
        if let Err(fault) = alone.create_native_config() {
            return Err(KafkaError::Unfit(format!("--kafka-config: {}", words(name, value, &fault))));
        }
    }
    Ok(())
}

/// What librdkafka says about a property, unless that could tell a secret.
fn words(name: &str, value: &str, fault: &Fault) -> String {
    if is_secret(name) {
        return format!("{name} has a value that librdkafka does not take");
    }
    if let Fault::ClientConfig(_, said, ..) = fault {
        if said.contains(name) { said.clone() } else { format!("{name}={value}: {said}") }
    } else {
        format!("{name}={value}: {fault}")
    }
}

/// Whether a value must not be told.
pub(super) fn is_secret(name: &str) -> bool {
    let words = ["password", "secret", "private", "pem", "ssl.key", "sasl.oauthbearer.config"];
    !name.ends_with(".location") && words.iter().any(|word| name.contains(word))
}

/// The name under which a property is kept, whichever of its names it was given.
fn first_name(name: &str) -> &str {
    OTHER_NAMES.iter().find(|(other, _)| *other == name).map_or(name, |(_, first)| first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
        let properties = properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        KafkaSettings { brokers: "127.0.0.1:9".into(), properties }
    }

    #[test]
    fn the_operators_last_word_counts_under_any_name() {
        let told = settings(&[("linger.ms", "50"), ("queue.buffering.max.ms", "20"), ("client.id", "mine")]);
        let config = config(&told, Role::Writer);
        assert_eq!(config.get("queue.buffering.max.ms"), Some("20"));
        assert_eq!(config.get("linger.ms"), None);
        assert_eq!(config.get("client.id"), Some("mine"));
        config.create_native_config().unwrap();
    }

    #[test]
    fn every_role_has_properties_that_librdkafka_takes() {
        for role in [Role::Reader, Role::Follower, Role::Writer, Role::Admin] {
            config(&settings(&[]), role).create_native_config().unwrap();
        }
    }

    #[test]
    fn what_promises_stand_on_is_refused_under_each_of_its_names() {
        for (promised, _) in PROMISED_READING.iter().chain(PROMISED_WRITING) {
            let refused = REFUSED.iter().any(|(names, _)| names.contains(promised));
            assert!(refused, "{promised} is promised, but not refused");
        }
        for name in ["acks", "retries", "max.in.flight", "delivery.timeout.ms", "bootstrap.servers", "isolation.level"]
        {
            let Err(KafkaError::Unfit(line)) = check(&settings(&[(name, "1")])) else { panic!("{name} is taken") };
            assert!(line.starts_with(&format!("--kafka-config: {name} cannot be set: ")), "{line}");
        }
        for (names, _) in REFUSED {
            for name in *names {
                assert_eq!(first_name(name), *name, "{name} is never looked up");
            }
        }
    }

    #[test]
    fn both_names_are_one_property_to_librdkafka() {
        for (other, first) in OTHER_NAMES {
            let value = match *first {
                "compression.codec" => "zstd",
                "sasl.mechanisms" => "PLAIN",
                name if name.contains("ms") || name.contains("max") || name.contains("acks") => "1",
                _ => "word",
            };
            let mut config = ClientConfig::new();
            let plain = config.create_native_config().unwrap();
            let native = config.set(*other, value).create_native_config().unwrap();
            // Properties of a topic are not answered by this call.
            if let (Ok(before), Ok(after)) = (plain.get(first), native.get(first)) {
                assert_ne!(before, after, "{other} is no other name of {first}");
            }
        }
    }

    #[test]
    fn a_property_that_is_none_is_told_in_librdkafkas_words() {
        let Err(KafkaError::Unfit(line)) = check(&settings(&[("linger.sm", "5")])) else { panic!("it is taken") };
        assert_eq!(line, "--kafka-config: No such configuration property: \"linger.sm\"");
        let Err(KafkaError::Unfit(line)) = check(&settings(&[("linger.ms", "soon")])) else { panic!("it is taken") };
        assert!(line.contains("linger.ms") && line.contains("soon"), "{line}");
    }

    #[test]
    fn a_secret_is_not_in_what_is_told() {
        for name in ["sasl.passwort", "sasl.oauthbearer.client.secrets", "ssl.key.passwords", "ssl.keystore.password_"]
        {
            let told = check(&settings(&[(name, "hunter2")]));
            let Err(KafkaError::Unfit(line)) = told else { panic!("{name} is taken") };
            assert!(!line.contains("hunter2"), "{line}");
        }
    }
}
