//! The topics: made where they are missing and may be, with as many partitions each.

use std::cmp::Ordering;

use crate::kafka::{Cluster, KafkaError, NewTopic};

/// The topics as they are wanted.
pub(super) struct Topics {
    /// `--kafka-brokers`, for humans.
    pub brokers: String,
    /// Of the grants.
    pub grants: NewTopic,
    /// Of the returns: its name, where there is one.
    pub returns: Option<String>,
    /// They may be made.
    pub create: bool,
}

/// How many partitions the topics have; `None` of one that is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct There {
    grants: Option<u32>,
    returns: Option<u32>,
}

impl There {
    /// How many there are or will be, where entries were dealt to `dealt`: a topic that was there gets as many as it had.
    pub fn partitions(self, dealt: Option<u32>, topics: &Topics) -> u32 {
        self.grants.or(dealt).or(self.returns).unwrap_or(topics.grants.partitions)
    }
}

impl Topics {
    /// Their names; the place of one is that of its kind.
    pub fn names(&self) -> Vec<&str> {
        [&self.grants.name].into_iter().chain(&self.returns).map(String::as_str).collect()
    }

    /// Looks for them.
    pub fn look(&self, cluster: &mut dyn Cluster) -> Result<There, KafkaError> {
        let grants = cluster.partitions(&self.grants.name)?;
        let returns = self.returns.as_ref().map(|name| cluster.partitions(name)).transpose()?.flatten();
        Ok(There { grants, returns })
    }

    /// Makes those that are missing, with so many partitions; both have as many then. That of the returns comes first: who
    /// sees that of the grants sees both.
    pub fn complete(&self, cluster: &mut dyn Cluster, there: There, partitions: u32) -> Result<(), KafkaError> {
        let named = |name: &String| NewTopic { name: name.clone(), partitions, ..self.grants.clone() };
        let missing: Vec<NewTopic> = [
            self.returns.as_ref().filter(|_| there.returns.is_none()).map(named),
            there.grants.is_none().then(|| named(&self.grants.name)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let commands: Vec<String> = missing.iter().map(|topic| format!("`{}`", self.command(topic))).collect();
        let commands = commands.join(" and ");
        for wanted in &missing {
            let name = &wanted.name;
            if !self.create {
                return Err(KafkaError::Unfit(format!(
                    "kafka: there is no topic {name}; make what is missing with {commands}, or set --kafka-create yes"
                )));
            }
            match cluster.create(wanted) {
                Ok(()) => tracing::info!("kafka: made topic {name} with {partitions} partitions"),
                Err(KafkaError::Unfit(line)) => {
                    return Err(KafkaError::Unfit(format!(
                        "{line}; there is no topic {name} and this gate may not make it: make what is missing with {commands}"
                    )));
                }
                Err(error) => return Err(error),
            }
            if cluster.partitions(name)? != Some(partitions) {
                return Err(KafkaError::Unavailable(format!("kafka: topic {name} is being made")));
            }
        }
        match there.returns {
            Some(returns) => self.compare(partitions, returns),
            None => Ok(()),
        }
    }

    /// A campaign's grants and returns are in partitions of the same number: one more of one topic has no other side.
    fn compare(&self, grants: u32, returns: u32) -> Result<(), KafkaError> {
        let cancel = self.returns.as_deref().unwrap_or_default();
        let topic = &self.grants.name;
        let (few, number, also) = match grants.cmp(&returns) {
            Ordering::Equal => return Ok(()),
            Ordering::Less => {
                (topic.as_str(), returns, format!(" and start the gate with --kafka-accept-partitions {returns}"))
            }
            Ordering::Greater => (cancel, grants, String::new()),
        };
        Err(KafkaError::Unfit(format!(
            "kafka: topic {topic} of the grants has {grants} partitions, topic {cancel} of the returns has {returns}: nothing is \
             published until both have as many. Grow {few} with `kafka-topics.sh --bootstrap-server {} --alter --topic {few} \
             --partitions {number}`{also}; or choose another topic of returns with --kafka-cancel-topic",
            self.brokers
        )))
    }

    /// What somebody who may make topics has to run.
    fn command(&self, topic: &NewTopic) -> String {
        let replicas = topic.replication.map(|replicas| format!(" --replication-factor {replicas}"));
        format!(
            "kafka-topics.sh --bootstrap-server {} --create --topic {} --partitions {}{}",
            self.brokers,
            topic.name,
            topic.partitions,
            replicas.unwrap_or_default()
        )
    }
}
