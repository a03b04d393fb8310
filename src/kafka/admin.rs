//! Topics are made, and asked whether they keep what is written to them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::admin::{self, AdminClient, AdminOptions, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError as Fault, RDKafkaErrorCode as Code};

use super::closing::close;
use super::faults::{command, explain_code};
use super::librdkafka::{Librdkafka, unfit};
use super::properties::{self, Role};
use super::reader::until;
use super::voice::Voice;
use super::{KafkaError, NewTopic};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);

/// How long a topic may take until all its partitions have a leader.
const LEADERS: Duration = Duration::from_secs(10);

/// How long is waited before the cluster is asked again.
const BREATH: Duration = Duration::from_millis(50);

/// A record that lies shorter than this may be gone before a sink that was stopped over a holiday has read it.
const KEPT_MS: i64 = 7 * 24 * 3600 * 1000;

/// Clocks of two machines may differ by this much.
const CLOCKS_MS: i64 = 60_000;

impl Librdkafka {
    pub(super) fn make(&mut self, topic: &NewTopic) -> Result<(), KafkaError> {
        // Also: whoever cannot be reached is told by its cause here, where librdkafka tells it.
        if self.replicas(&topic.name)?.is_some() {
            return Ok(());
        }
        let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
        let replication = TopicReplication::Fixed(topic.replication.map_or(-1, i32::from));
        let asked = admin::NewTopic::new(&topic.name, partitions, replication);
        let admin = self.admin()?;
        let results = wait(admin.create_topics([&asked], &options()));
        close(admin);
        let refused = match results {
            Ok(results) => results.into_iter().find_map(Result::err).map(|(_, code)| code),
            Err(fault) => Some(code_of(&fault)),
        };
        match refused {
            None | Some(Code::TopicAlreadyExists) => self.wait_for_leaders(topic),
            Some(code) => Err(not_made(&self.voice, topic, code)),
        }
    }

    /// The topic is made when this is called; that all brokers know it by the end is a kindness to the next caller.
    fn wait_for_leaders(&mut self, topic: &NewTopic) -> Result<(), KafkaError> {
        #[expect(clippy::disallowed_methods, reason = "patience with a broker is a matter of real time")]
        let deadline = Instant::now() + LEADERS;
        while !until(deadline).is_zero() {
            let partitions = self.replicas(&topic.name)?;
            if partitions.is_some_and(|all| !all.is_empty() && all.iter().all(|one| one.led)) {
                break;
            }
            self.listen(BREATH)?;
        }
        Ok(())
    }

    pub(super) fn risks(&mut self, topic: &str) -> Result<Vec<String>, KafkaError> {
        let replicas = self.replicas(topic)?.unwrap_or_default();
        let replication = replicas.iter().map(|partition| partition.count).min().unwrap_or(0);
        let admin = self.admin()?;
        let results = wait(admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options()));
        close(admin);
        let mut settings = BTreeMap::new();
        // Who may not ask is not told; that is no reason to stop.
        for resource in results.into_iter().flatten().flatten() {
            settings.extend(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))));
        }
        let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(risks(topic, replication, &settings))
    }

    fn admin(&self) -> Result<AdminClient<Voice>, KafkaError> {
        let config = properties::config(&self.settings, Role::Admin);
        config.create_with_context(self.voice.clone()).map_err(|fault| unfit(&self.settings, &fault))
    }
}

/// Why the topic was not made, and what somebody who may has to run.
fn not_made(voice: &Voice, topic: &NewTopic, code: Code) -> KafkaError {
    let brokers = voice.brokers();
    let by_hand = command(brokers, topic);
    if matches!(code, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) {
        return KafkaError::Unfit(format!(
            "the topic {} is missing, and Kafka at {brokers} does not permit the gate to make it; run: {by_hand}",
            topic.name
        ));
    }
    match explain_code(voice, &format!("making the topic {}", topic.name), code, &code.to_string()) {
        KafkaError::Unfit(line) => KafkaError::Unfit(format!("{line}; by hand: {by_hand}")),
        KafkaError::Unavailable(line) => KafkaError::Unavailable(line),
        KafkaError::Gone { partition, line } => KafkaError::Gone { partition, line },
    }
}

/// What puts records at risk, by the settings of the topic.
fn risks(topic: &str, replication: usize, settings: &BTreeMap<&str, &str>) -> Vec<String> {
    let number = |name: &str| settings.get(name).and_then(|value| value.parse::<i64>().ok());
    let mut lines = Vec::new();
    let mut tell = |line: String| lines.push(format!("topic {topic}: {line}"));
    if replication == 1 {
        tell("has one replica: its records are lost with one broker's disk; 3 are usual".into());
    } else if replication > 1 && number("min.insync.replicas").is_some_and(|least| least < 2) {
        tell("min.insync.replicas=1: a record counts as written when one broker has it; 2 are usual".into());
    }
    if settings.get("unclean.leader.election.enable") == Some(&"true") {
        tell("unclean.leader.election.enable=true: a broker that missed records may take over without them".into());
    }
    if settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        tell("cleanup.policy has compact: older grants of a campaign would be removed; use delete".into());
    }
    if let Some(kept) = number("retention.ms").filter(|kept| (0..KEPT_MS).contains(kept)) {
        let hours = kept / 3_600_000;
        tell(format!("retention.ms={kept}: records are removed after {hours} h, read or not; 7 days are usual"));
    }
    if let Some(bytes) = number("retention.bytes").filter(|bytes| *bytes >= 0) {
        tell(format!("retention.bytes={bytes}: records are removed beyond that size, read or not; -1 is usual"));
    }
    if settings.get("message.timestamp.type") == Some(&"LogAppendTime") {
        tell("message.timestamp.type=LogAppendTime: records carry the broker's time, not that of the grant".into());
    }
    for name in ["message.timestamp.before.max.ms", "message.timestamp.difference.max.ms"] {
        if let Some(most) = number(name).filter(|most| (0..KEPT_MS).contains(most)) {
            tell(format!("{name}={most}: grants that are older when they are sent would be refused"));
        }
    }
    if let Some(most) = number("message.timestamp.after.max.ms").filter(|most| (0..CLOCKS_MS).contains(most)) {
        tell(format!("message.timestamp.after.max.ms={most}: a clock behind ours would refuse our records"));
    }
    lines
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST / 2))
}

fn code_of(fault: &Fault) -> Code {
    let said = if let Fault::AdminOp(code) = fault { Some(*code) } else { fault.rdkafka_error_code() };
    said.unwrap_or(Code::Fail)
}

/// Waits on this thread for an answer that another one brings.
fn wait<F: Future>(answer: F) -> F::Output {
    struct Waiting(Thread);
    impl Wake for Waiting {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Waiting(thread::current())));
    let mut answer = pin!(answer);
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_topic_gives_no_warning() {
        let settings = BTreeMap::from([
            ("min.insync.replicas", "2"),
            ("unclean.leader.election.enable", "false"),
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("message.timestamp.type", "CreateTime"),
            ("message.timestamp.before.max.ms", "9223372036854775807"),
            ("message.timestamp.after.max.ms", "3600000"),
        ]);
        assert_eq!(risks("spring", 3, &settings), [""; 0]);
        assert_eq!(risks("spring", 0, &BTreeMap::new()), [""; 0]);
    }

    #[test]
    fn who_may_not_make_a_topic_is_told_the_command() {
        let topic = NewTopic { name: "spring".into(), partitions: 12, replication: None };
        for code in [Code::TopicAuthorizationFailed, Code::ClusterAuthorizationFailed] {
            let KafkaError::Unfit(line) = not_made(&Voice::new("kafka:9092"), &topic, code) else { panic!("{code}") };
            let command = "kafka-topics.sh --bootstrap-server kafka:9092 --create --topic spring --partitions 12";
            assert!(line.ends_with(&format!("run: {command}")), "{line}");
        }
    }

    #[test]
    fn each_setting_that_loses_records_is_told() {
        for (name, value) in [
            ("min.insync.replicas", "1"),
            ("unclean.leader.election.enable", "true"),
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", "3600000"),
            ("retention.bytes", "1000000"),
            ("message.timestamp.type", "LogAppendTime"),
            ("message.timestamp.before.max.ms", "1000"),
            ("message.timestamp.difference.max.ms", "1000"),
            ("message.timestamp.after.max.ms", "1000"),
        ] {
            let lines = risks("spring", 3, &BTreeMap::from([(name, value)]));
            assert_eq!(lines.len(), 1, "{name}={value}: {lines:?}");
            let word = name.split('.').next_back().expect("a name");
            assert!(lines[0].starts_with("topic spring: ") && lines[0].contains(word), "{lines:?}");
        }
        assert_eq!(risks("spring", 1, &BTreeMap::new()).len(), 1);
    }
}
