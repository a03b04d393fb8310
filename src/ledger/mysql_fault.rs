//! What an error of MySQL or MariaDB means to the sink, and how it is told.

use std::io;

use mysql::{DriverError, Error};

use super::LedgerError;
use super::mysql_at::{MysqlAt, Tls};

/// The answer to who asks for a database that is not there.
pub(super) const NO_SUCH_DATABASE: u16 = 1049;

/// `ledger: mysql://...`
pub(super) fn address(at: &MysqlAt) -> String {
    format!("ledger: {at}")
}

/// What an error means. What is not plainly about a row counts as passing: it is tried again with a new connection,
/// which says more.
pub(super) fn fault(at: &MysqlAt, doing: &str, error: &Error) -> LedgerError {
    let text = format!("{}: cannot {doing}: {}", address(at), told(error));
    match error {
        Error::MySqlError(answer) if is_about_a_row(answer.code) => LedgerError::Refused(text),
        Error::MySqlError(answer) if is_about_rights(answer.code) => LedgerError::Unavailable(format!(
            "{text}; the user needs SELECT, INSERT, UPDATE and DELETE on the tables of the ledger, what --ledger-also and \
             --ledger-also-return ask for, and CREATE where the gate is to make its tables: GRANT them"
        )),
        Error::MySqlError(_)
        | Error::IoError(_)
        | Error::CodecError(_)
        | Error::DriverError(_)
        | Error::UrlError(_)
        | Error::TlsError(_)
        | Error::FromValueError(_)
        | Error::FromRowError(_) => LedgerError::Unavailable(text),
    }
}

/// Why there is no connection.
pub(super) fn connecting(at: &MysqlAt, error: &Error) -> LedgerError {
    let (who, why) = (address(at), told(error));
    let MysqlAt { user, host, database, .. } = at;
    let text = match error {
        Error::MySqlError(answer) if answer.code == 1045 => format!(
            "{who}: wrong user or password: {why}; put it right in --ledger or --ledger-password-file, or on the server"
        ),
        Error::MySqlError(answer) if answer.code == NO_SUCH_DATABASE => {
            format!("{who}: there is no database {database}: {why}; make it with: CREATE DATABASE {database}")
        }
        Error::MySqlError(answer) if answer.code == 1044 => format!(
            "{who}: the user {user} may not use the database {database}, or there is none: {why}; make it, and GRANT \
             SELECT, INSERT, UPDATE, DELETE, CREATE ON {database}.*"
        ),
        Error::DriverError(DriverError::TlsNotSupported) => {
            format!("{who}: the server offers no TLS; give it a certificate, or leave ?tls= out")
        }
        error if io_of(error).is_some_and(is_about_a_certificate) => {
            let file = match &at.tls {
                Tls::Verify { ca: Some(ca) } => format!("the authorities in {}", ca.display()),
                Tls::Verify { ca: None } => "the public authorities (name others with &ca=FILE)".into(),
                Tls::Off | Tls::Require => "nobody".into(),
            };
            format!(
                "{who}: the server's certificate is not good for {host}: {why}; it must be signed by {file} and name \
                 the host as --ledger does (an IP address only if the certificate names that)"
            )
        }
        Error::TlsError(_) => format!("{who}: no TLS: {why}"),
        Error::MySqlError(_) => format!("{who}: the server lets nobody in: {why}"),
        Error::IoError(_)
        | Error::CodecError(_)
        | Error::DriverError(_)
        | Error::UrlError(_)
        | Error::FromValueError(_)
        | Error::FromRowError(_) => format!("{who}: cannot be reached: {why}"),
    };
    LedgerError::Unavailable(text)
}

/// Whether another moment can heal it, or somebody on the server: everything but what the statement itself is.
pub(super) fn passes(error: &Error) -> bool {
    match error {
        // Syntax, no such table, column or function, wrong count of values, ambiguous, no database, too many columns.
        Error::MySqlError(answer) => !matches!(
            answer.code,
            1046 | 1052
                | 1054
                | 1064
                | 1065
                | 1109
                | 1110
                | 1136
                | 1146
                | 1149
                | 1193
                | 1210
                | 1235
                | 1295
                | 1305
                | 1327
                | 1336
                | 1348
                | 1363
                | 1364
                | 1390
                | 1393
                | 1394
                | 1471
        ),
        Error::IoError(_)
        | Error::CodecError(_)
        | Error::DriverError(_)
        | Error::UrlError(_)
        | Error::TlsError(_)
        | Error::FromValueError(_)
        | Error::FromRowError(_) => true,
    }
}

/// A duplicate key; a value missing, out of range, too long or of the wrong kind; a check, a foreign key, a trigger.
fn is_about_a_row(code: u16) -> bool {
    matches!(
        code,
        1022 | 1048
            | 1062
            | 1138
            | 1169
            | 1216
            | 1217
            | 1264
            | 1267
            | 1265
            | 1292
            | 1300
            | 1364
            | 1365
            | 1366
            | 1367
            | 1369
            | 1406
            | 1411
            | 1416
            | 1441
            | 1451
            | 1452
            | 1526
            | 1557
            | 1586
            | 1644
            | 1690
            | 1748
            | 1761
            | 1762
            | 3140
            | 3141
            | 3819
            | 4025
    )
}

/// A right is missing: for a table, a column, a routine, a statement.
fn is_about_rights(code: u16) -> bool {
    matches!(code, 1044 | 1142 | 1143 | 1227 | 1370)
}

fn is_about_a_certificate(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData && error.to_string().contains("certificate")
}

/// The failure of the connection that the driver may have wrapped.
fn io_of(error: &Error) -> Option<&io::Error> {
    match error {
        Error::IoError(io) => Some(io),
        Error::CodecError(codec) => std::error::Error::source(codec)?.downcast_ref(),
        Error::MySqlError(_)
        | Error::DriverError(_)
        | Error::UrlError(_)
        | Error::TlsError(_)
        | Error::FromValueError(_)
        | Error::FromRowError(_) => None,
    }
}

/// In words, without the names of Rust's types.
pub(super) fn told(error: &Error) -> String {
    if let Some(io) = io_of(error) {
        let silent = matches!(io.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        return if silent { "no answer in time".into() } else { io.to_string() };
    }
    match error {
        Error::MySqlError(answer) => format!("{} (error {})", answer.message, answer.code),
        Error::IoError(io) => io.to_string(),
        Error::DriverError(DriverError::ConnectTimeout) => "no answer in time".into(),
        Error::DriverError(DriverError::CouldNotConnect(Some((_, why, _)))) => why.clone(),
        Error::DriverError(driver) => driver.to_string(),
        Error::CodecError(codec) => codec.to_string(),
        Error::TlsError(tls) => tls.to_string(),
        Error::UrlError(_) => error.to_string(),
        Error::FromValueError(_) | Error::FromRowError(_) => "a row holds what none of ours can hold".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql::MySqlError;

    #[test]
    fn errors_about_a_row_are_refusals_and_all_others_pass() {
        let at = MysqlAt {
            user: "gate".into(),
            password: None,
            host: "db".into(),
            port: 3306,
            database: "coupons".into(),
            tls: Tls::Off,
        };
        let meant = |code| {
            let answer = MySqlError { state: "HY000".into(), message: "said".into(), code };
            fault(&at, "commit", &Error::MySqlError(answer))
        };
        for code in [1048, 1062, 1264, 1265, 1366, 1406, 1452, 3819, 4025] {
            assert!(matches!(meant(code), LedgerError::Refused(_)), "{code}");
        }
        // Deadlocks, locks, time-outs; full; read-only; too many connections, going away; no rights; no such table.
        for code in [1205, 1213, 1021, 1114, 1290, 1836, 1040, 1053, 1158, 1161, 2006, 2013, 3100, 1142, 1146, 1153] {
            assert!(matches!(meant(code), LedgerError::Unavailable(_)), "{code}");
        }
        assert_eq!(meant(1213).to_string(), "ledger: mysql://gate@db:3306/coupons: cannot commit: said (error 1213)");
    }
}
