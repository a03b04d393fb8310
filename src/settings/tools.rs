//! The settings of the commands beside the gate: sink, audit, catch-up, dead-letters, ddl.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::ids::LogId;
use crate::settings::Values;
use crate::settings::campaigns::{self, CampaignTerms};
use crate::settings::error::SettingsError;
use crate::settings::kafka::Kafka;
use crate::settings::value::{self, Ledger, LedgerUsers, LogFormat, LogLevels, Secret};

/// Where a command that only reads looks: the journal, the topic, the ledger.
#[derive(Clone, Debug)]
pub struct World {
    /// The data directory; need not exist.
    pub data: PathBuf,
    /// The topic.
    pub kafka: Option<Kafka>,
    /// The ledger.
    pub ledger: Ledger,
    /// The column type of users there.
    pub ledger_users: LedgerUsers,
    /// How much is told.
    pub log: LogLevels,
    /// In which form.
    pub log_format: LogFormat,
}

impl World {
    fn read(values: &Values) -> Result<World, SettingsError> {
        let data = values.one("data", value::path)?;
        Ok(World {
            kafka: Kafka::read(values)?,
            ledger: values.ledger(&data)?,
            ledger_users: values.one("ledger-users", value::ledger_users)?,
            log: values.one("log", value::log_levels)?,
            log_format: values.one("log-format", value::log_format)?,
            data,
        })
    }
}

/// How the ledger is written; of the gate's own sink and of one that is a process of its own.
#[derive(Clone, Debug)]
pub struct LedgerWriting {
    /// The operator's own statement for each grant.
    pub also: Option<String>,
    /// The operator's own statement for each return.
    pub also_return: Option<String>,
    /// The operator's query that asks for a pause.
    pub pause_when: Option<String>,
    /// The ceiling on rows; `None` is no ceiling.
    pub rows_per_second: Option<NonZeroU32>,
    /// The ceiling on transactions; `None` is no ceiling.
    pub commits_per_second: Option<NonZeroU32>,
    /// Create missing tables.
    pub create: bool,
}

impl LedgerWriting {
    pub(super) fn read(values: &Values) -> Result<LedgerWriting, SettingsError> {
        Ok(LedgerWriting {
            also: values.maybe("ledger-also", value::statement)?.map(|(statement, _)| statement),
            also_return: values.maybe("ledger-also-return", value::statement)?.map(|(statement, _)| statement),
            pause_when: values.maybe("ledger-pause-when", value::statement)?.map(|(query, _)| query),
            rows_per_second: values.one("ledger-rows-per-second", value::ceiling)?,
            commits_per_second: values.one("ledger-commits-per-second", value::ceiling)?,
            create: values.one("ledger-create", value::yes_no)?,
        })
    }
}

/// `coupon-gate sink`, and what `dead-letters` needs of it.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// Where to read and where to write; there is a ledger, and a topic (for the sink).
    pub world: World,
    /// How to write.
    pub writing: LedgerWriting,
    /// Where HTTP is served.
    pub admin: Option<SocketAddr>,
    /// How long the sink may go on at the end.
    pub shutdown_timeout: Duration,
}

impl SinkSettings {
    pub(super) fn read(values: &Values) -> Result<SinkSettings, SettingsError> {
        let settings = SinkSettings {
            world: World::read(values)?,
            writing: LedgerWriting::read(values)?,
            admin: values.one("admin", value::admin)?,
            shutdown_timeout: values.one("shutdown-timeout", value::seconds)?,
        };
        if settings.world.ledger == Ledger::None {
            return Err(SettingsError::Combination("--ledger is none: there is nothing to fill".into()));
        }
        Ok(settings)
    }

    /// As a sink: with a topic to read.
    pub(super) fn with_topic(values: &Values) -> Result<SinkSettings, SettingsError> {
        let settings = SinkSettings::read(values)?;
        if settings.world.kafka.is_none() {
            let missing = "a sink of its own reads from Kafka: set --kafka-brokers; without Kafka the gate fills the ledger itself";
            return Err(SettingsError::Combination(missing.into()));
        }
        Ok(settings)
    }
}

/// `coupon-gate audit`.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// What is compared.
    pub world: World,
    /// Only this campaign.
    pub campaign: Option<String>,
    /// The result as JSON.
    pub json: bool,
}

impl AuditSettings {
    pub(super) fn read(values: &Values) -> Result<AuditSettings, SettingsError> {
        Ok(AuditSettings {
            world: World::read(values)?,
            campaign: values.maybe("campaign", value::url)?.map(|(name, _)| name),
            json: values.matches.get_flag("json"),
        })
    }
}

/// `coupon-gate apply`.
#[derive(Clone, Debug)]
pub struct ApplySettings {
    /// The campaigns of the file, in its order.
    pub campaigns: Vec<CampaignTerms>,
    /// The gate: a URL, read by the room that connects.
    pub target: String,
    /// Its password, unless the URL has one.
    pub password: Option<Secret>,
    /// Create nothing.
    pub dry_run: bool,
}

impl ApplySettings {
    pub(super) fn read(values: &Values) -> Result<ApplySettings, SettingsError> {
        Ok(ApplySettings {
            campaigns: campaigns::read("campaigns", &values.one("file", value::path)?)?,
            target: values.one("target", value::url)?,
            password: values.password()?,
            dry_run: values.matches.get_flag("dry-run"),
        })
    }
}

/// `coupon-gate seed`.
#[derive(Clone, Debug)]
pub struct SeedSettings {
    /// Into which campaign.
    pub campaign: String,
    /// The gate: a URL, read by the room that connects.
    pub target: String,
    /// Its password, unless the URL has one.
    pub password: Option<Secret>,
    /// Where Redis is: a URL.
    pub from_redis: String,
    /// The key that holds the users.
    pub set: String,
    /// The key that has counted them.
    pub counter: Option<String>,
    /// Bring in nothing.
    pub dry_run: bool,
}

impl SeedSettings {
    pub(super) fn read(values: &Values) -> Result<SeedSettings, SettingsError> {
        // It is no option: `--campaign` would be none to look for.
        let nameless = |_| SettingsError::Combination("the campaign's name is empty: say seed CAMPAIGN ...".into());
        Ok(SeedSettings {
            campaign: values.one("campaign", value::url).map_err(nameless)?,
            target: values.one("target", value::url)?,
            password: values.password()?,
            from_redis: values.one("from-redis", value::url)?,
            set: values.one("set", value::url)?,
            counter: values.maybe("counter", value::url)?.map(|(key, _)| key),
            dry_run: values.matches.get_flag("dry-run"),
        })
    }
}

/// Who knows the grants that a journal lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUpFrom {
    /// The topic.
    Kafka,
    /// The ledger.
    Ledger,
    /// Nobody: there is neither, and what the journal lacks is lost.
    Nobody,
}

/// `coupon-gate catch-up`.
#[derive(Clone, Debug)]
pub struct CatchUpSettings {
    /// The journal, and where to read.
    pub world: World,
    /// From which of them; it is set, or for `Nobody` the topic is not.
    pub from: CatchUpFrom,
    /// Which journal it is, where there is none and the world knows several.
    pub log_id: Option<LogId>,
    /// The terms of lost campaigns.
    pub campaigns: Vec<CampaignTerms>,
    /// Campaigns whose first seats were brought in with free ones in between.
    pub seeded: Vec<String>,
    /// Change nothing.
    pub dry_run: bool,
}

impl CatchUpSettings {
    pub(super) fn read(values: &Values) -> Result<CatchUpSettings, SettingsError> {
        let settings = CatchUpSettings {
            world: World::read(values)?,
            from: values.one("from", value::catch_up_from)?,
            log_id: values.maybe("log-id", value::log_id)?.map(|(log, _)| log),
            campaigns: match values.maybe("campaigns", value::path)? {
                Some((path, _)) => campaigns::read("campaigns", &path)?,
                None => Vec::new(),
            },
            seeded: values.several("seeded", value::url)?,
            dry_run: values.matches.get_flag("dry-run"),
        };
        let missing = match settings.from {
            CatchUpFrom::Kafka if settings.world.kafka.is_none() => "--from kafka: set --kafka-brokers",
            CatchUpFrom::Ledger if settings.world.ledger == Ledger::None => "--from ledger: --ledger is none",
            CatchUpFrom::Nobody if settings.world.kafka.is_some() => {
                "--from none: --kafka-brokers is set; ask the topic with --from kafka"
            }
            CatchUpFrom::Kafka | CatchUpFrom::Ledger | CatchUpFrom::Nobody => return Ok(settings),
        };
        Err(SettingsError::Combination(missing.into()))
    }
}

/// What is to be done with dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterAction {
    /// Show them.
    List,
    /// Store them, and take those away that are stored.
    Retry,
    /// Take them away.
    Drop,
}

/// `coupon-gate dead-letters`.
#[derive(Clone, Debug)]
pub struct DeadLetterSettings {
    /// Where they are, and how to store them.
    pub sink: SinkSettings,
    /// What to do.
    pub action: DeadLetterAction,
    /// Only of this source.
    pub source: Option<String>,
    /// Only of this partition.
    pub partition: Option<u32>,
    /// Only at this position.
    pub position: Option<u64>,
    /// The list as JSON.
    pub json: bool,
}

impl DeadLetterSettings {
    pub(super) fn read(values: &Values) -> Result<DeadLetterSettings, SettingsError> {
        Ok(DeadLetterSettings {
            sink: SinkSettings::read(values)?,
            action: values.one("action", value::dead_letter_action)?,
            source: values.maybe("source", value::url)?.map(|(name, _)| name),
            partition: values.maybe("partition", value::number)?.map(|(number, _)| number),
            position: values.maybe("position", value::number)?.map(|(number, _)| number),
            json: values.matches.get_flag("json"),
        })
    }
}

/// Which database's words `ddl` speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// MySQL and MariaDB.
    Mysql,
    /// SQLite.
    Sqlite,
}

/// `coupon-gate ddl`.
#[derive(Clone, Copy, Debug)]
pub struct DdlSettings {
    /// For which database.
    pub database: Database,
    /// The column type of users.
    pub users: LedgerUsers,
}

impl DdlSettings {
    pub(super) fn read(values: &Values) -> Result<DdlSettings, SettingsError> {
        Ok(DdlSettings {
            database: values.one("database", value::database)?,
            users: values.one("ledger-users", value::ledger_users)?,
        })
    }
}
