//! Where a MySQL or MariaDB ledger is, and how a connection to it behaves.

use std::fmt;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use mysql::consts::CapabilityFlags;
use mysql::{Conn, DriverError, Error, OptsBuilder, SslOpts};

use super::LedgerError;
use super::mysql_fault::{self, address};

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one answer may take while the ledger is looked at: a start waits for that.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// How long one answer may take at work: longer than any wait for a lock, so that the server speaks first.
pub(super) const WORK: Duration = Duration::from_secs(30);

/// A silent connection is probed after this long, and dead after three more probes as far apart.
const KEEPALIVE_MS: u32 = 30_000;
const KEEPALIVE_INTERVAL_SECS: u32 = 10;
const KEEPALIVE_PROBES: u32 = 3;

/// Statements that stay prepared: two dozen of our own and the operator's.
const STATEMENTS: usize = 32;

/// What a session is told. Errors stay errors; no gap locks; times are UTC; nobody waits for long.
const SESSION: [&str; 3] = [
    "SET NAMES utf8mb4",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
     time_zone = '+00:00', autocommit = 1, innodb_lock_wait_timeout = 5, lock_wait_timeout = 10",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

/// Which database, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlAt {
    /// The user.
    pub user: String,
    /// His password.
    pub password: Option<Password>,
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// How the connection is protected.
    pub tls: Tls,
}

/// A password; shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Keeps it.
    pub fn new(password: impl Into<String>) -> Password {
        Password(password.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Off,
    /// Encrypted, whoever answers.
    Require,
    /// Encrypted, and the certificate must be good for the host.
    Verify {
        /// Authorities to trust besides the public ones that are built in: a PEM file.
        ca: Option<PathBuf>,
    },
}

impl fmt::Display for MysqlAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MysqlAt { user, host, port, database, .. } = self;
        let (left, right) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "mysql://{user}@{left}{host}{right}:{port}/{database}")
    }
}

impl MysqlAt {
    /// A connection with our session; each of its answers may take `patience`.
    pub(super) fn connect(&self, patience: Duration) -> Result<Conn, LedgerError> {
        self.dial(patience)?.map_err(|error| mysql_fault::connecting(self, &error))
    }

    /// The same with the driver's own error.
    pub(super) fn dial(&self, patience: Duration) -> Result<mysql::Result<Conn>, LedgerError> {
        let tls = self.tls_options()?;
        let mut last = None;
        for host in self.hosts() {
            match Conn::new(self.options(host, patience, tls.clone())) {
                Err(error @ Error::DriverError(DriverError::ConnectTimeout | DriverError::CouldNotConnect(_))) => {
                    last = Some(Err(error));
                }
                answered => return Ok(answered),
            }
        }
        Ok(last.expect("a host is one name at least"))
    }

    /// The driver tries the first address of a name only: `localhost` is often ::1, where nobody may listen. Where the
    /// certificate is checked the name must stay.
    fn hosts(&self) -> Vec<String> {
        let addresses = match &self.tls {
            Tls::Off | Tls::Require => (&*self.host, self.port).to_socket_addrs().ok(),
            Tls::Verify { .. } => None,
        };
        let mut hosts: Vec<String> = addresses.into_iter().flatten().map(|address| address.ip().to_string()).collect();
        if hosts.is_empty() {
            hosts.push(self.host.clone());
        }
        hosts
    }

    fn options(&self, host: String, patience: Duration, tls: Option<SslOpts>) -> OptsBuilder {
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        OptsBuilder::new()
            .ip_or_hostname(Some(host))
            .tcp_port(self.port)
            // The server's own socket would do without time-outs and TLS.
            .prefer_socket(false)
            .user(Some(self.user.clone()))
            .pass(self.password.as_ref().map(|password| password.0.clone()))
            .db_name(Some(self.database.clone()))
            .ssl_opts(tls)
            .tcp_connect_timeout(Some(CONNECT_TIMEOUT))
            .read_timeout(Some(patience))
            .write_timeout(Some(patience))
            .tcp_keepalive_time_ms(Some(KEEPALIVE_MS))
            .tcp_keepalive_probe_interval_secs(Some(KEEPALIVE_INTERVAL_SECS))
            .tcp_keepalive_probe_count(Some(KEEPALIVE_PROBES))
            // A row that is set to what it was counts as changed: a compare-and-set must find one row.
            .additional_capabilities(CapabilityFlags::CLIENT_FOUND_ROWS)
            .stmt_cache_size(STATEMENTS)
            .init(SESSION.to_vec())
    }

    fn tls_options(&self) -> Result<Option<SslOpts>, LedgerError> {
        match &self.tls {
            Tls::Off => Ok(None),
            Tls::Require => {
                let anybody = SslOpts::default().with_danger_accept_invalid_certs(true);
                Ok(Some(anybody.with_danger_skip_domain_validation(true)))
            }
            Tls::Verify { ca: None } => Ok(Some(SslOpts::default())),
            Tls::Verify { ca: Some(ca) } => {
                if let Err(error) = std::fs::read(ca) {
                    let line =
                        format!("{}: cannot read the authorities in ca={}: {error}", address(self), ca.display());
                    return Err(LedgerError::Unfit(line));
                }
                Ok(Some(SslOpts::default().with_root_cert_path(Some(ca.clone()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let at = MysqlAt {
            user: "gate".into(),
            password: Some(Password::new("open-sesame")),
            host: "::1".into(),
            port: 3307,
            database: "coupons".into(),
            tls: Tls::Off,
        };
        assert!(!format!("{at} {at:?}").contains("open-sesame"));
        assert_eq!(at.to_string(), "mysql://gate@[::1]:3307/coupons");
    }
}
