//! TLS to a server with a certificate of its own making.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{at, open, peace, unavailable};
use crate::peers::mariadb::{self, Database, MariaDb};
use coupon_gate::ledger::{LedgerAt, LedgerError, LedgerSettings, MysqlAt, Tls};

fn openssl(dir: &Path, line: &str) {
    let end = Command::new("openssl").args(line.split(' ')).current_dir(dir).output().expect("openssl runs");
    assert!(end.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&end.stderr));
}

/// `NAME.pem` and `NAME.key`: an authority.
fn authority(dir: &Path, name: &str) -> PathBuf {
    openssl(
        dir,
        &format!("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"),
    );
    dir.join(format!("{name}.pem"))
}

/// `server.pem` and `server.key` for localhost, signed by the authority `ca`.
fn certificate(dir: &Path, ca: &str) {
    std::fs::write(dir.join("san"), "subjectAltName=DNS:localhost").unwrap();
    openssl(dir, "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
    openssl(
        dir,
        &format!(
            "x509 -req -in server.csr -days 2 -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -extfile san -out server.pem"
        ),
    );
}

/// The ledger over TLS; it asks for a pause when the connection is encrypted.
fn over(database: &Database, host: &str, tls: Tls) -> LedgerSettings {
    let at = MysqlAt { host: host.into(), tls, ..at(database) };
    let encrypted =
        "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'SSL_CIPHER'";
    LedgerSettings { pause_when: Some(encrypted.into()), ..LedgerSettings::new(LedgerAt::Mysql(at)) }
}

#[test]
fn a_certificate_is_checked_when_that_is_asked_for() {
    let _peace = peace();
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (authority(dir.path(), "ours"), authority(dir.path(), "theirs"));
    certificate(dir.path(), "ours");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (cert, key) = (format!("--ssl-cert={}", path("server.pem")), format!("--ssl-key={}", path("server.key")));
    let server = MariaDb::start_with(dir.path(), &[&cert, &key]);
    let database = server.database();
    let verify = |ca: &Path| Tls::Verify { ca: Some(ca.to_owned()) };

    assert_eq!(open(&over(&database, "localhost", verify(&ours))).asks_for_a_pause(), Ok(true));
    assert_eq!(open(&over(&database, "127.0.0.1", Tls::Require)).asks_for_a_pause(), Ok(true));
    assert_eq!(open(&over(&database, "127.0.0.1", Tls::Off)).asks_for_a_pause(), Ok(false));

    for (host, tls) in [
        ("localhost", verify(&theirs)),
        ("localhost", Tls::Verify { ca: None }),
        // The certificate names no address.
        ("127.0.0.1", verify(&ours)),
    ] {
        let line = unavailable(over(&database, host, tls.clone()).to_write().open());
        assert!(line.contains(&format!("certificate is not good for {host}")), "{tls:?}: {line}");
    }
    let Err(LedgerError::Unfit(line)) =
        over(&database, "localhost", verify(&dir.path().join("none"))).to_write().open()
    else {
        panic!("there is no such file")
    };
    assert!(line.contains("cannot read the authorities in ca="), "{line}");
}

#[test]
fn a_server_without_tls_is_told() {
    let _peace = peace();
    let database = mariadb::shared().database();
    let line = unavailable(over(&database, "127.0.0.1", Tls::Require).to_write().open());
    assert!(line.contains("the server offers no TLS"), "{line}");
}
