//! How the two sides of the world are reached.

use super::CatchUpError;
use crate::kafka::{Cluster, KafkaSettings};
use crate::ledger::{LedgerAt, LedgerReader, LedgerSettings, MysqlAt, Password, Tls, UserColumn};
use crate::settings::{Kafka, Ledger, LedgerUsers, MysqlTls, World};

/// The cluster.
pub(super) fn cluster(kafka: &Kafka) -> Result<Box<dyn Cluster>, CatchUpError> {
    let settings = KafkaSettings { brokers: kafka.brokers.clone(), properties: kafka.properties.clone() };
    settings.connect().map_err(CatchUpError::Kafka)
}

/// The ledger; `None` where there is none.
pub(super) fn ledger(world: &World) -> Result<Option<Box<dyn LedgerReader>>, CatchUpError> {
    let at = match &world.ledger {
        Ledger::Sqlite(path) => LedgerAt::Sqlite(path.clone()),
        Ledger::None => return Ok(None),
        Ledger::Mysql(url) => LedgerAt::Mysql(MysqlAt {
            user: url.user.clone(),
            password: url.password.as_ref().map(|password| Password::new(password.reveal())),
            host: url.host.clone(),
            port: url.port,
            database: url.database.clone(),
            tls: match &url.tls {
                MysqlTls::Off => Tls::Off,
                MysqlTls::Require => Tls::Require,
                MysqlTls::Verify { ca } => Tls::Verify { ca: ca.clone() },
            },
        }),
    };
    let users = match world.ledger_users {
        LedgerUsers::Bigint => UserColumn::Bigint,
        LedgerUsers::Text => UserColumn::Text,
    };
    LedgerSettings { users, ..LedgerSettings::new(at) }.to_read().map_err(CatchUpError::Ledger)
}
