//! librdkafka's errors as sentences: what, where, what next.

use rdkafka::error::{KafkaError as Fault, RDKafkaErrorCode as Code};

use super::voice::Voice;
use super::{Bounds, KafkaError, NewTopic};

/// Why `what` ("reading spring:2") did not succeed.
pub(super) fn explain(voice: &Voice, what: &str, fault: &Fault) -> KafkaError {
    match fault.rdkafka_error_code() {
        Some(code) => explain_code(voice, what, code, &code.to_string()),
        None => KafkaError::Unavailable(format!("{what}: {fault}")),
    }
}

/// The same for a code and the words that came with it.
pub(super) fn explain_code(voice: &Voice, what: &str, code: Code, words: &str) -> KafkaError {
    let cause = voice.cause();
    let brokers = voice.brokers();
    if is_absent(code) {
        return KafkaError::Unfit(format!("{what}: Kafka at {brokers} has no such topic or partition ({words})"));
    }
    if matches!(code, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) {
        return KafkaError::Unfit(format!(
            "{what}: Kafka at {brokers} does not permit it ({words}); the user of the gate needs Describe, \
             DescribeConfigs, Read and Write on the topic: kafka-acls.sh --bootstrap-server {brokers} --add ..."
        ));
    }
    if is_refused(code) {
        return KafkaError::Unfit(format!("{what}: Kafka at {brokers} refuses it: {words}"));
    }
    let (code, words) = match cause {
        Some(cause) if is_about_connections(code) => (cause.code, cause.reason),
        Some(_) | None => (code, words.to_owned()),
    };
    if matches!(
        code,
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism | Code::IllegalSASLState
    ) {
        KafkaError::Unfit(format!(
            "{what}: Kafka at {brokers} does not accept who we are ({words}); see sasl.mechanism, sasl.username and \
             sasl.password in --kafka-config-file"
        ))
    } else if code == Code::SSL {
        KafkaError::Unfit(format!(
            "{what}: no TLS with Kafka at {brokers} ({words}); see security.protocol, ssl.ca.location and the \
             certificates in --kafka-config-file"
        ))
    } else if is_about_connections(code) {
        KafkaError::Unavailable(format!(
            "{what}: Kafka at {brokers} does not answer ({words}); if it runs, see --kafka-brokers and \
             security.protocol"
        ))
    } else {
        KafkaError::Unavailable(format!("{what}: Kafka at {brokers} cannot do it at present ({words})"))
    }
}

/// What a partition keeps and what was asked of it do not meet.
pub(super) fn gone(topic: &str, partition: u32, wanted: u64, kept: Bounds) -> KafkaError {
    let Bounds { low, high } = kept;
    let why = if wanted < low {
        "retention or somebody's deletion removed what was before"
    } else {
        "what was there is lost, or the topic was replaced"
    };
    let line = format!("{topic}:{partition}: offset {wanted} is wanted, but Kafka keeps {low}..{high}: {why}");
    KafkaError::Gone { partition, line }
}

/// What somebody who may make topics has to run.
pub(super) fn command(brokers: &str, topic: &NewTopic) -> String {
    let replication = topic.replication.map(|count| format!(" --replication-factor {count}")).unwrap_or_default();
    format!(
        "kafka-topics.sh --bootstrap-server {brokers} --create --topic {} --partitions {}{replication}",
        topic.name, topic.partitions
    )
}

/// The topic or the partition is not there.
pub(super) fn is_absent(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId)
}

/// The connection or the whole cluster is at fault; a client mends that by itself.
pub(super) fn is_about_connections(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::WaitingForCoordinator
            | Code::CriticalSystemResource
    )
}

/// Somebody has to change something.
fn is_refused(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidReplicaAssignment
            | Code::InvalidConfig
            | Code::PolicyViolation
            | Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidTimestamp
            | Code::InvalidRecord
            | Code::InvalidRequiredAcks
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::UnsupportedCompressionType
            | Code::SecurityDisabled
            | Code::InvalidArgument
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::client::ClientContext;

    #[test]
    fn a_silent_cluster_is_told_with_its_cause() {
        let voice = Voice::new("kafka:9092");
        voice.error(Fault::Global(Code::BrokerTransportFailure), "kafka:9092: Connection refused");
        let silent = Fault::MetadataFetch(Code::OperationTimedOut);
        let KafkaError::Unavailable(line) = explain(&voice, "looking for spring", &silent) else { panic!() };
        assert!(line.starts_with("looking for spring: Kafka at kafka:9092 does not answer (kafka:9092: Connection"));
        voice.error(Fault::Global(Code::SSL), "certificate expired");
        let KafkaError::Unfit(line) = explain(&voice, "looking for spring", &silent) else { panic!() };
        assert!(line.contains("no TLS") && line.contains("certificate expired"), "{line}");
    }

    #[test]
    fn the_command_makes_what_was_asked_for() {
        let topic = NewTopic { name: "spring".into(), partitions: 12, replication: Some(3) };
        assert_eq!(
            command("a:1,b:2", &topic),
            "kafka-topics.sh --bootstrap-server a:1,b:2 --create --topic spring --partitions 12 --replication-factor 3"
        );
    }
}
