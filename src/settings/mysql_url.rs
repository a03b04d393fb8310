//! `mysql://` URLs. Of the schemes that drivers know only this one form is taken, so that nothing in it is ignored.

use super::value::{MysqlTls, MysqlUrl, Secret};

const RIGHT: &str = "right is mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?tls=off|require|verify&ca=FILE]";

/// Reads a URL, or says what is wrong with it: the rest of a sentence that begins with the URL.
pub fn parse(text: &str) -> Result<MysqlUrl, String> {
    read(text).map_err(|what| format!("{what}; {RIGHT}"))
}

fn read(text: &str) -> Result<MysqlUrl, String> {
    let rest = text.split_once("://").map(|(_, rest)| rest).ok_or("has no ://")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').ok_or("names no database")?;
    let (account, address) = authority.rsplit_once('@').ok_or("names no user")?;
    let (user, password) = match account.split_once(':') {
        Some((user, password)) => (user, Some(Secret::new(decoded(password)?))),
        None => (account, None),
    };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| "has no sound port")?),
        Some(_) | None => (address, 3306),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let database = decoded(database)?;
    if user.is_empty() || host.is_empty() || database.is_empty() || database.contains('/') {
        return Err("names no user, no host or no database".into());
    }
    let (user, host) = (decoded(user)?, host.to_owned());
    Ok(MysqlUrl { user, password, host, port, database, tls: tls(query)? })
}

fn tls(query: &str) -> Result<MysqlTls, String> {
    let (mut mode, mut ca) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("tls", value @ ("off" | "require" | "verify"))) if mode.is_none() => mode = Some(value),
            Some(("ca", value)) if ca.is_none() && !value.is_empty() => ca = Some(decoded(value)?.into()),
            Some(_) | None => return Err(format!("has the option {pair:?}")),
        }
    }
    match (mode, ca) {
        (None | Some("verify"), ca @ Some(_)) | (Some("verify"), ca @ None) => Ok(MysqlTls::Verify { ca }),
        (None | Some("off"), None) => Ok(MysqlTls::Off),
        (Some(_), None) => Ok(MysqlTls::Require),
        (Some(_), Some(_)) => Err("has a ca that tls=verify alone looks at".into()),
    }
}

/// Percent-decoded.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err("has a % that two hex digits do not follow".into());
        };
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| "is no UTF-8 when its % are decoded".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read() {
        let url = parse("mysql://gate:s%40crt@db.example:3307/coupons?tls=verify&ca=/etc/ca.pem").unwrap();
        assert_eq!((url.user.as_str(), url.host.as_str(), url.port), ("gate", "db.example", 3307));
        assert_eq!(url.password, Some(Secret::new("s@crt")));
        assert_eq!(
            (url.database.as_str(), url.tls.clone()),
            ("coupons", MysqlTls::Verify { ca: Some("/etc/ca.pem".into()) })
        );
        assert_eq!(url.to_string(), "mysql://gate:***@db.example:3307/coupons?tls=verify&ca=/etc/ca.pem");
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let url = parse("mysql://root@[::1]/test").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.password, url.tls), ("::1", 3306, None, MysqlTls::Off));
        assert_eq!(parse("mysql://u@h/d?tls=require").unwrap().tls, MysqlTls::Require);
        assert_eq!(parse("mariadb://u@h:1/d?ca=x").unwrap().tls, MysqlTls::Verify { ca: Some("x".into()) });
    }

    #[test]
    fn nothing_unknown_is_ignored() {
        for (text, what) in [
            ("mysql:u@h/d", "://"),
            ("mysql://u@h", "no database"),
            ("mysql://h/d", "no user"),
            ("mysql://@h/d", "no user"),
            ("mysql://u@/d", "no host"),
            ("mysql://u@h/", "no database"),
            ("mysql://u@h:x/d", "port"),
            ("mysql://u:%4@h/d", "hex digits"),
            ("mysql://u@h/d?tls=maybe", "option"),
            ("mysql://u@h/d?pool=3", "option"),
            ("mysql://u@h/d?tls=require&ca=x", "ca"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(what) && error.contains(RIGHT), "{text}: {error}");
        }
    }
}
