//! What was settled before the loop began, for commands that tell of it.

use std::rc::Rc;

use tokio::sync::Notify;

use crate::ids::LogId;

const LEDGER_LACKS_ANY: &str = "USERS ANY: the ledger's user column is bigint and cannot hold such users; start the gate \
     with --ledger-users text and a ledger made for it, or create the campaign with USERS INT";
const KAFKA_LACKS_ANY: &str = "USERS ANY: records with a value of 8 bytes cannot hold such users; start the gate with \
     --kafka-value json, or create the campaign with USERS INT";

const RETURNS_NEED_A_LINE: &str = "GATE.CANCEL needs --kafka-key campaign and a --kafka-cancel-topic while grants are streamed: a return \
     must not overtake its grant";

/// Settings and names of this process.
#[derive(Debug)]
pub struct Facts {
    /// `--password`; nobody needs one where it is `None`.
    pub password: Option<String>,
    /// Reachable from other machines in protected mode: the password can be changed and not taken away.
    pub needs_password: bool,
    /// `--max-clients`, as far as the system allows.
    pub max_clients: usize,
    /// How far `CONFIG SET maxclients` may go: descriptors were made ready for so many at the start.
    pub clients_ceiling: usize,
    /// `always`, `everysec` or `no`.
    pub appendfsync: &'static str,
    /// With `always`, whatever an answer tells of is on disk when it leaves.
    pub answers_are_durable: bool,
    /// The topic that grants are streamed to, or `none`.
    pub kafka: String,
    /// Grants are streamed to Kafka.
    pub streams: bool,
    /// The topic's records, if there is one, can hold users of `USERS ANY` campaigns.
    pub kafka_carries_any: bool,
    /// The stream, if there is one, can carry returns.
    pub kafka_carries_returns: bool,
    /// `--allow-reset`: campaigns may be purged.
    pub allows_reset: bool,
    /// What tells of a campaign waits for Kafka too: `--answer-after published`.
    pub answers_are_published: bool,
    /// A ledger is being filled.
    pub has_ledger: bool,
    /// The ledger, if there is one, has a column for users of `USERS ANY` campaigns.
    pub ledger_carries_any: bool,
    /// `--ledger` without its password, or `none`.
    pub ledger: String,
    /// The first TCP port, 0 where there is none.
    pub port: u16,
    /// Addresses as bound.
    pub bind: String,
    /// The first Unix socket, or empty.
    pub unix_socket: String,
    /// `--data`, absolute.
    pub data: String,
    /// The journal's name.
    pub log_id: LogId,
    /// 40 hex digits, new at each start.
    pub run_id: String,
    /// Ends the process when told to.
    pub stop: Rc<Notify>,
}

impl Facts {
    /// Why a granted seat could not come back, if that is so.
    pub fn return_not_carried(&self) -> Option<&'static str> {
        (!self.kafka_carries_returns).then_some(RETURNS_NEED_A_LINE)
    }

    /// Why a campaign with `USERS ANY` could not leave the gate, if that is so.
    pub fn any_not_carried(&self) -> Option<&'static str> {
        match (self.ledger_carries_any, self.kafka_carries_any) {
            (false, _) => Some(LEDGER_LACKS_ANY),
            (true, false) => Some(KAFKA_LACKS_ANY),
            (true, true) => None,
        }
    }
}
