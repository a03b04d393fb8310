//! `coupon-gate audit`: from its settings to what is printed.

use std::sync::Arc;

use super::{AuditError, Progress, Sources, TopicAt, run};
use crate::exit::Exit;
use crate::journal::RealDisk;
use crate::ledger::LedgerSettings;
use crate::settings::{AuditSettings, Kafka, KafkaKey};
use crate::wire::kafka::Key;
use crate::wiring;

/// What an audit says, and how the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// For standard output.
    pub text: String,
    /// The exit code.
    pub exit: Exit,
}

/// Compares what `settings` name.
pub fn command(settings: &AuditSettings) -> Result<Audited, AuditError> {
    let world = &settings.world;
    let ledger = wiring::ledger_at(&world.ledger).map(|at| LedgerSettings {
        users: wiring::user_column(world.ledger_users),
        create: false,
        ..LedgerSettings::new(at)
    });
    let sources = Sources {
        disk: Arc::new(RealDisk),
        data: world.data.clone(),
        topic: world.kafka.as_ref().map(topic),
        ledger,
        campaign: settings.campaign.clone(),
    };
    let report = run(sources, &mut Progress::shown())?;
    let text = if settings.json { report.json() + "\n" } else { report.to_string() };
    Ok(Audited { text, exit: report.exit() })
}

fn topic(kafka: &Kafka) -> TopicAt {
    let key = match kafka.key {
        KafkaKey::Campaign => Key::Campaign,
        KafkaKey::User => Key::User,
        KafkaKey::None => Key::None,
    };
    TopicAt {
        cluster: wiring::kafka(kafka).connect(),
        name: kafka.topic.clone(),
        cancel: kafka.cancel_topic.clone(),
        key,
    }
}
