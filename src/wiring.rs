//! # wiring - the settings as the rooms' own options
//! What several commands hand to the rooms: where the ledger is, how it is written, how Kafka is reached. Pure.
//! May use: `settings`, `sink`, `kafka`, `ledger`.

use crate::kafka::KafkaSettings;
use crate::ledger::{LedgerAt, LedgerSettings, MysqlAt, Password, Tls, UserColumn};
use crate::settings::{Kafka, Ledger, LedgerUsers, LedgerWriting, MysqlTls, MysqlUrl};
use crate::sink::{Connect, Pace, Topics};

/// The ledger for who writes to it; `None` where there is to be none.
pub fn ledger(at: &Ledger, users: LedgerUsers, writing: &LedgerWriting) -> Option<LedgerSettings> {
    Some(LedgerSettings {
        at: ledger_at(at)?,
        users: user_column(users),
        create: writing.create,
        also: writing.also.clone(),
        also_return: writing.also_return.clone(),
        pause_when: writing.pause_when.clone(),
    })
}

/// Where the ledger is; `None` where there is to be none.
pub fn ledger_at(at: &Ledger) -> Option<LedgerAt> {
    match at {
        Ledger::Sqlite(path) => Some(LedgerAt::Sqlite(path.clone())),
        Ledger::Mysql(url) => Some(LedgerAt::Mysql(mysql_at(url))),
        Ledger::None => None,
    }
}

/// The type of its columns of users.
pub fn user_column(users: LedgerUsers) -> UserColumn {
    match users {
        LedgerUsers::Bigint => UserColumn::Bigint,
        LedgerUsers::Text => UserColumn::Text,
    }
}

fn mysql_at(url: &MysqlUrl) -> MysqlAt {
    MysqlAt {
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
    }
}

/// The ceilings.
pub fn pace(writing: &LedgerWriting) -> Pace {
    Pace { rows_per_second: writing.rows_per_second, commits_per_second: writing.commits_per_second }
}

/// How Kafka is reached.
pub fn kafka(kafka: &Kafka) -> KafkaSettings {
    KafkaSettings { brokers: kafka.brokers.clone(), properties: kafka.properties.clone() }
}

/// Leads to the cluster, each time anew.
pub fn connect(at: &Kafka) -> Connect {
    let settings = kafka(at);
    Box::new(move || settings.connect())
}

/// The topics that a sink reads.
pub fn topics(kafka: &Kafka) -> Topics {
    Topics { grants: kafka.topic.clone(), returns: kafka.cancel_topic.clone() }
}
