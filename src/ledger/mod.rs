//! # ledger - the SQL tables, and the databases that hold them
//! What a database must do to be a ledger, as a trait, and one thin adapter a database. Nothing else names SQL.
//! May use: `core` (what users look like), `grant`, `ids`, `sabotage`.
//! Promises: a batch is in with its positions or not at all; rows of one campaign never come from two journals; no row
//! is ever replaced or ignored.

pub mod ddl; //        the tables, as data
pub mod ddl_mysql; //  the same in the words of MySQL
mod both; //           what every adapter does alike
mod sqlite; //         the ledger in an SQLite file
mod sqlite_copy; //    a copy of the file while it is in use
mod sqlite_look; //    the same file for who must not leave a trace
mod sqlite_open; //    its connection, tables and errors
mod sqlite_rows; //    its rows, written and read
mod mysql; //          the ledger in MySQL or MariaDB
mod mysql_at; //       where that is, and its connections
mod mysql_open; //     its tables and their shape
mod mysql_rows; //     its rows, written and read
mod mysql_entries; //  the entries of a batch
mod mysql_also; //     the operator's statements there
mod mysql_fault; //    what its errors mean
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

pub use mysql::{MysqlLedger, MysqlOptions};
pub use mysql_at::{MysqlAt, Password, Tls};
pub use sqlite::{SqliteLedger, SqliteOptions};
#[cfg(test)]
pub(crate) use sqlite::{Step, Trip};
pub use sqlite_copy::copy_sqlite;
#[cfg(test)]
pub(crate) use sqlite_open::fault;

use crate::core::Users;
use crate::grant::{Entry, Grant, Kind, Return};
use crate::ids::{LogId, Lsn, Millis};

/// Which database the ledger is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerAt {
    /// `sqlite:PATH`.
    Sqlite(PathBuf),
    /// `mysql://...`
    Mysql(MysqlAt),
}

/// Settings of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSettings {
    /// `--ledger`.
    pub at: LedgerAt,
    /// `--ledger-users`.
    pub users: UserColumn,
    /// `--ledger-create`: create what is missing.
    pub create: bool,
    /// `--ledger-also`.
    pub also: Option<String>,
    /// `--ledger-also-return`.
    pub also_return: Option<String>,
    /// `--ledger-pause-when`.
    pub pause_when: Option<String>,
}

impl LedgerSettings {
    /// The ledger at `at` with every other setting at its default.
    pub fn new(at: LedgerAt) -> LedgerSettings {
        LedgerSettings {
            at,
            users: UserColumn::default(),
            create: true,
            also: None,
            also_return: None,
            pause_when: None,
        }
    }

    /// Whether a campaign with such users can be stored; asked before it is created.
    pub fn carries(&self, users: Users) -> bool {
        self.users.carries(users)
    }

    /// The ledger for its one sink, not open yet.
    pub fn to_write(&self) -> Box<dyn Ledger> {
        match &self.at {
            LedgerAt::Sqlite(path) => Box::new(SqliteLedger::new(SqliteOptions {
                path: path.clone(),
                users: self.users,
                create: self.create,
                also: self.also.clone(),
                also_return: self.also_return.clone(),
                pause_when: self.pause_when.clone(),
            })),
            LedgerAt::Mysql(at) => Box::new(MysqlLedger::new(MysqlOptions {
                at: at.clone(),
                users: self.users,
                create: self.create,
                also: self.also.clone(),
                also_return: self.also_return.clone(),
                pause_when: self.pause_when.clone(),
            })),
        }
    }

    /// Opens the ledger for who only reads: nothing is made or changed. `None`: there is no database, or none of the
    /// tables is in it.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be asked at the moment, `Unfit` where its tables have another shape.
    pub fn to_read(&self) -> Result<Option<Box<dyn LedgerReader>>, LedgerError> {
        match &self.at {
            LedgerAt::Sqlite(path) => Ok(sqlite_rows::SqliteReader::open(path, self.users)?
                .map(|reader| Box::new(reader) as Box<dyn LedgerReader>)),
            LedgerAt::Mysql(at) => {
                Ok(mysql_rows::MysqlReader::open(at, self.users)?
                    .map(|reader| Box::new(reader) as Box<dyn LedgerReader>))
            }
        }
    }
}

impl LedgerSettings {
    /// As `to_read`, for who must not touch anything: an SQLite file that nobody has open is read without a lock and
    /// without the files that SQLite keeps beside an open database.
    ///
    /// # Errors
    /// As `to_read`.
    pub fn to_look(&self) -> Result<Option<Box<dyn LedgerReader>>, LedgerError> {
        match &self.at {
            LedgerAt::Sqlite(path) => {
                Ok(sqlite_look::SqliteLook::open(path, self.users)?.map(|look| Box::new(look) as Box<dyn LedgerReader>))
            }
            LedgerAt::Mysql(_) => self.to_read(),
        }
    }
}

/// The source name of the journal of `log`, read directly; its one partition is 0.
pub fn journal_source(log: LogId) -> String {
    format!("journal:{log}")
}

/// The source name of a Kafka topic of grants.
pub fn kafka_source(cluster: &str, topic: &str) -> String {
    format!("kafka:{cluster}:{topic}")
}

/// What the name of a topic of returns begins with.
const KAFKA_RETURNS: &str = "kafka-returns:";

/// The source name of a Kafka topic of returns.
pub fn kafka_returns_source(cluster: &str, topic: &str) -> String {
    format!("{KAFKA_RETURNS}{cluster}:{topic}")
}

/// What the records of a source are, or would have been: dead letters make no entries, but it is known of which kind.
pub fn kind_of_source(source: &str) -> Kind {
    if source.starts_with(KAFKA_RETURNS) { Kind::Return } else { Kind::Grant }
}

/// A row of `coupon_sink_position`: how far one partition of a source is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// `journal:LOG`, `kafka:CLUSTER:TOPIC`, `kafka-returns:CLUSTER:TOPIC`; with `:LOG` behind it for each further journal
    /// with records in that partition: what was the last one of it; `next` is then where the partition stood.
    pub source: String,
    /// The partition; 0 where there are none.
    pub kpart: u32,
    /// The first position that is not in the ledger: an lsn, or an offset.
    pub next: u64,
    /// The journal whose records the row counts: that of the first one; `LogId::NONE` before it.
    pub log: LogId,
    /// `seq` of the last one stored or put aside; `Lsn::ZERO` before the first.
    pub last_seq: Lsn,
    /// Records of `log` are missing in the source behind `last_seq`: the gate that has them sends them again.
    pub hole: bool,
    /// Counts the owners; only the newest may store.
    pub epoch: u64,
    /// Who that is; empty when he left in order.
    pub owner: String,
    /// When the row was last written, in the database's own words: changes with each sign of life.
    pub beat: String,
}

/// Where one partition goes with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The row: its source.
    pub source: String,
    /// The row: its partition.
    pub kpart: u32,
    /// Where the ledger must stand, `next` and `last_seq`; `None` makes the row. The offset alone comes again, with other
    /// records before it, where a topic lost its tail.
    pub expected: Option<(u64, Lsn)>,
    /// Where it stands afterwards.
    pub next: u64,
    /// See [`Position::log`].
    pub log: LogId,
    /// See [`Position::last_seq`].
    pub last_seq: Lsn,
    /// See [`Position::hole`].
    pub hole: bool,
}

/// What goes in with one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The writer's owner epoch: that of every row it moves.
    pub epoch: u64,
    /// Who writes; for the rows that are made.
    pub owner: &'a str,
    /// Never empty. A batch of moves alone is a sign of life.
    pub moves: &'a [Move],
    /// In the order in which they are to be applied; may be empty.
    pub entries: &'a [Entry],
    /// Records that cannot be rows; may be empty. One whose place is taken is there already, and stays as it is: a source
    /// is read again from its start.
    pub dead: &'a [DeadLetter],
}

/// A row of `coupon_dead_letter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it came from: see [`Position::source`].
    pub source: String,
    /// Its partition.
    pub kpart: u32,
    /// Its offset, or its lsn.
    pub position: u64,
    /// Why it is no row, for humans.
    pub reason: String,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: Option<Vec<u8>>,
    /// The record's headers as a JSON object of strings.
    pub headers: Option<String>,
    /// When it was put away.
    pub at: Millis,
}

impl DeadLetter {
    /// The record's headers by name, as a record has them; none where the text is no JSON object of strings.
    pub fn record_headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let text = self.headers.as_deref().unwrap_or_default();
        let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else { return Vec::new() };
        let bytes = |value: serde_json::Value| value.as_str().map(|text| text.as_bytes().to_vec());
        object.into_iter().map(|(name, value)| (name, bytes(value))).collect()
    }
}

/// What stands where an entry belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InPlace {
    /// That very entry.
    Same,
    /// A grant of the same journal that came before it, on its seat or of its user, and is still there: in words.
    Earlier(String),
    /// Another row on its seat, or of its user: in words.
    Other(String),
    /// Nothing.
    Nothing,
}

/// A row of `coupon_return`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnRow {
    /// What came back.
    pub back: Return,
    /// When it had been granted.
    pub granted_at: Millis,
}

/// A database that a sink writes to. All calls block; the connection is dropped and made anew by `open`.
pub trait Ledger: Send {
    /// Connects, creates what is missing (where that is allowed), checks what is there. Drops an earlier connection.
    fn open(&mut self) -> Result<(), LedgerError>;

    /// The rows of `source` and those named `source:LOG`, by source and partition.
    fn positions(&mut self, source: &str) -> Result<Vec<Position>, LedgerError>;

    /// The rows of any source whose last record is of `log`: how much of that journal is in the ledger already.
    fn positions_of_log(&mut self, log: LogId) -> Result<Vec<Position>, LedgerError>;

    /// Makes `owner` the one that may store: every row of `seen` gets the same new epoch, one above the highest among
    /// them, and the rows `new` are made with it. Answers all of them as they stand then.
    ///
    /// # Errors
    /// `Unavailable` if a row of `seen` has changed or one of `new` is there: read them again.
    fn claim(&mut self, owner: &str, seen: &[Position], new: &[Move]) -> Result<Vec<Position>, LedgerError>;

    /// What stands where `entry` belongs. A grant belongs on its seat, with its user and `nth`; one that came back since is
    /// the same. A return belongs among the returns, and is another where its seat is somebody else's already.
    fn in_place_of(&mut self, entry: &Entry) -> Result<InPlace, LedgerError>;

    /// Whether what `entry` must come after is in the ledger: of a return its grant, of a grant the return that it names.
    /// An entry that waits for nothing is ready, and so is a return that is there already.
    fn is_ready(&mut self, entry: &Entry) -> Result<bool, LedgerError>;

    /// One transaction: compare-and-set of every move, then the dead letters, the entries in their order, and the
    /// operator's statement for each of them. A grant makes a row of `coupon_grant`, a return moves that to `coupon_return`.
    /// Any error means: rolled back, or (a lost answer) as if; only the positions tell.
    ///
    /// # Errors
    /// `Refused` also for a return whose grant has no row.
    fn store(&mut self, batch: &Batch<'_>) -> Result<(), LedgerError>;

    /// One transaction: takes `letters` out of the dead letters, stores `entries` and runs the operator's statement for
    /// each. No position moves. Either slice may be empty.
    ///
    /// # Errors
    /// `TakenOver` where one of the letters is not there: somebody else saw to it.
    fn bury(&mut self, letters: &[DeadLetter], entries: &[Entry]) -> Result<(), LedgerError>;

    /// Statements that others have run in this database since this was asked last; `None` where that cannot be known, and
    /// at the first time after `open`.
    fn others(&mut self) -> Result<Option<u64>, LedgerError>;

    /// The answer of the operator's `--ledger-pause-when`: whether the sink is to rest. False where there is none.
    fn asks_for_a_pause(&mut self) -> Result<bool, LedgerError>;
}

/// A ledger as `audit`, `catch-up` and `dead-letters` see it. Only reads.
pub trait LedgerReader: Send {
    /// All rows of `coupon_sink_position`, by source and partition.
    fn all_positions(&mut self) -> Result<Vec<Position>, LedgerError>;

    /// At most `limit` rows of `coupon_grant` behind `after` (campaign, seat), in the order of campaign and seat.
    fn grants(&mut self, after: Option<(&str, u32)>, limit: usize) -> Result<Vec<Grant>, LedgerError>;

    /// At most `limit` rows of `coupon_return` behind `after` (journal, the return's seq), in that order.
    fn returns(&mut self, after: Option<(LogId, Lsn)>, limit: usize) -> Result<Vec<ReturnRow>, LedgerError>;

    /// At most `limit` rows of `coupon_dead_letter` behind `after` (source, partition, position), in that order.
    fn dead_letters(&mut self, after: Option<(&str, u32, u64)>, limit: usize) -> Result<Vec<DeadLetter>, LedgerError>;
}

/// Column type of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserColumn {
    /// A signed 64-bit integer: `USERS INT` only.
    #[default]
    Bigint,
    /// Text: any user.
    Text,
}

impl UserColumn {
    /// Whether users of this kind can be written.
    pub fn carries(self, users: Users) -> bool {
        match (self, users) {
            (UserColumn::Text, _) | (UserColumn::Bigint, Users::Int) => true,
            (UserColumn::Bigint, Users::Any) => false,
        }
    }
}

/// Why the ledger did not do what was asked; nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerError {
    /// Busy, locked, full, read-only, away: the same call can succeed later.
    Unavailable(String),
    /// The settings or the tables do not fit: somebody must change one of them.
    Unfit(String),
    /// The database refuses a row, or the operator's statement for it: a duplicate key, a value out of range, a check.
    Refused(String),
    /// A row is there that contradicts one of ours, or our journal.
    Contradiction(String),
    /// A campaign is there with rows of another journal.
    OtherJournal {
        /// What is said of it.
        line: String,
        /// Whose record was to be stored, and whose rows are there.
        logs: [LogId; 2],
    },
    /// A position is not where this sink left it, or has a newer owner.
    TakenOver(String),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerError::Unavailable(line)
            | LedgerError::Unfit(line)
            | LedgerError::Refused(line)
            | LedgerError::Contradiction(line)
            | LedgerError::OtherJournal { line, .. }
            | LedgerError::TakenOver(line) => f.write_str(line),
        }
    }
}

impl std::error::Error for LedgerError {}
