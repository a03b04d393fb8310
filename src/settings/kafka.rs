//! The settings of the Kafka side: which cluster, which topic, which form.

use std::path::Path;

use crate::settings::Values;
use crate::settings::error::SettingsError;
use crate::settings::value::{self, KafkaKey, KafkaValue};

/// Where grants are streamed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// HOST:PORT, separated by commas.
    pub brokers: String,
    /// The topic of the grants.
    pub topic: String,
    /// The topic of the returns; `None` where there can be none: `--kafka-cancel-topic none`, or a key that is not the campaign.
    pub cancel_topic: Option<String>,
    /// librdkafka's properties: those of the file first, then those of the command line.
    pub properties: Vec<(String, String)>,
    /// A record's key.
    pub key: KafkaKey,
}

/// What the gate alone needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KafkaStream {
    /// A record's value.
    pub value: KafkaValue,
    /// Create the topic when it is missing.
    pub create: bool,
    /// Its partitions then.
    pub partitions: u32,
    /// Its replicas then; `None` leaves it to the brokers.
    pub replication: Option<u16>,
    /// The topic may have so many partitions where records were dealt to another number.
    pub accept_partitions: Option<u32>,
    /// Publish among the records of others.
    pub adopt: bool,
}

impl Kafka {
    /// `None` where no brokers are set.
    pub(super) fn read(values: &Values) -> Result<Option<Kafka>, SettingsError> {
        let Some((brokers, _)) = values.maybe("kafka-brokers", value::brokers)? else { return Ok(None) };
        let mut properties = match values.maybe("kafka-config-file", value::path)? {
            Some((path, _)) => properties(&path)?,
            None => Vec::new(),
        };
        properties.extend(values.several("kafka-config", value::property)?);
        let key = match values.knows("kafka-key") {
            true => values.one("kafka-key", value::kafka_key)?,
            false => KafkaKey::Campaign,
        };
        let cancel_topic = values.one("kafka-cancel-topic", value::topic_or_none)?;
        let cancel_topic = cancel_topic.filter(|_| key == KafkaKey::Campaign);
        Ok(Some(Kafka { brokers, topic: values.one("kafka-topic", value::topic)?, cancel_topic, properties, key }))
    }
}

impl KafkaStream {
    pub(super) fn read(values: &Values) -> Result<KafkaStream, SettingsError> {
        Ok(KafkaStream {
            value: values.one("kafka-value", value::kafka_value)?,
            create: values.one("kafka-create", value::yes_no)?,
            partitions: values.one("kafka-partitions", value::partitions)?,
            replication: values.one("kafka-replication", value::replication)?,
            accept_partitions: values.one("kafka-accept-partitions", value::accepted_partitions)?,
            adopt: values.one("kafka-adopt", value::yes_no)?,
        })
    }
}

/// One `NAME=VALUE` a line.
fn properties(path: &Path) -> Result<Vec<(String, String)>, SettingsError> {
    let broken = |reason: String| SettingsError::File { key: "kafka-config-file", path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| broken(error.to_string()))?;
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| value::property(line).map_err(|what| broken(format!("line {} {what}", index + 1))))
        .collect()
}
