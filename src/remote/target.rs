//! `redis://[user][:password]@host[:port][/0]`: where the gate is.

use std::fmt;
use std::str::FromStr;

/// The port that Redis has.
const PORT: u16 = 6379;

/// Where the gate is and who asks. `Display` never tells the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// For `AUTH user password`.
    pub user: Option<String>,
    /// For `AUTH`.
    pub password: Option<String>,
}

impl Default for Target {
    fn default() -> Target {
        Target { host: "127.0.0.1".to_string(), port: PORT, user: None, password: None }
    }
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(url: &str) -> Result<Target, BadTarget> {
        parse(url).map_err(|why| BadTarget::new("--target", url, why, GATE))
    }
}

impl Target {
    /// The Redis that `flag` gives as `url`, and the number of its database, if it names one.
    ///
    /// # Errors
    /// The URL is none.
    pub fn of_redis(flag: &str, url: &str) -> Result<(Target, Option<u32>), BadTarget> {
        let bad = |why| BadTarget::new(flag, url, why, REDIS);
        let (address, db) = match url.split_once("://").and_then(|(_, rest)| rest.split_once('/')) {
            Some((_, db)) => (&url[..url.len() - db.len() - 1], db),
            None => (url, ""),
        };
        let target = parse(address).map_err(bad)?;
        match db {
            "" => Ok((target, None)),
            number => number.parse::<u32>().map(|db| (target, Some(db))).map_err(|_| bad("the database is no number")),
        }
    }
}

/// What is right for a gate.
const GATE: &str = "redis://[:password@]host:port";

/// What is right for a Redis.
const REDIS: &str = "redis://[:password@]host:port[/db]";

/// A URL that is none: which, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTarget {
    what: String,
    right: &'static str,
}

impl BadTarget {
    fn new(flag: &str, url: &str, why: &str, right: &'static str) -> BadTarget {
        BadTarget { what: format!("{flag} {}: {why}", masked(url)), right }
    }
}

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; must be {}", self.what, self.right)
    }
}

impl std::error::Error for BadTarget {}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "redis://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "redis://{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn parse(url: &str) -> Result<Target, &'static str> {
    let rest = match url.split_once("://") {
        Some(("redis", rest)) => rest,
        Some(("rediss", _)) => return Err("TLS is not known here"),
        Some(_) => return Err("this scheme is not known here"),
        None => return Err("no redis:// in front"),
    };
    let rest = match rest.split_once('/') {
        Some((rest, "" | "0")) => rest,
        Some(_) => return Err("campaigns stand in database 0"),
        None => rest,
    };
    let (credentials, address) = rest.rsplit_once('@').map_or((None, rest), |(left, right)| (Some(left), right));
    let (host, port) = match address.strip_prefix('[') {
        Some(six) => {
            let (host, after) = six.split_once(']').ok_or("an address in brackets without an end")?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or("something else than a port after the brackets")?)),
            }
        }
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("no host");
    }
    let port = match port {
        Some(digits) => digits.parse().ok().filter(|port| *port != 0).ok_or("the port is not 1 to 65535")?,
        None => PORT,
    };
    let (user, password) = match credentials {
        None => (None, None),
        Some(credentials) => {
            let (user, password) = credentials.split_once(':').ok_or("a user without a :password")?;
            (Some(unescape(user)?).filter(|user| !user.is_empty()), Some(unescape(password)?))
        }
    };
    Ok(Target { host: host.to_string(), port, user, password })
}

/// `%40` is `@`.
fn unescape(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (hex, after) = rest.split_at_checked(2).ok_or("a % without two hex digits")?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or("a % without two hex digits");
        let byte = digit(hex[0])? * 16 + digit(hex[1])?;
        bytes.push(u8::try_from(byte).expect("two hex digits are a byte"));
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8 behind the %")
}

fn masked(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, address))) => format!("{scheme}://***@{address}"),
        (_, Some((_, address))) => format!("***@{address}"),
        (_, None) => url.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, port: u16, user: Option<&str>, password: Option<&str>) -> Target {
        let owned = |text: &str| text.to_string();
        Target { host: owned(host), port, user: user.map(owned), password: password.map(owned) }
    }

    #[test]
    fn every_part_of_the_url_is_read() {
        let urls = [
            ("redis://localhost", target("localhost", 6379, None, None)),
            ("redis://10.0.0.1:7000/", target("10.0.0.1", 7000, None, None)),
            ("redis://[::1]:7000/0", target("::1", 7000, None, None)),
            ("redis://[::1]", target("::1", 6379, None, None)),
            ("redis://:p%40ss@gate:1", target("gate", 1, None, Some("p@ss"))),
            ("redis://shop:p@ss:word@gate", target("gate", 6379, Some("shop"), Some("p@ss:word"))),
        ];
        for (url, right) in urls {
            let read: Target = url.parse().unwrap();
            assert!(read == right && read.password == right.password, "{url}");
        }
    }

    #[test]
    fn a_bad_url_is_refused_with_what_would_be_right_and_without_the_password() {
        let urls = [
            "localhost:6379",
            "rediss://localhost",
            "http://localhost",
            "redis://",
            "redis://:secret@",
            "redis://secret@host",
            "redis://host:0",
            "redis://host:65536",
            "redis://host:port",
            "redis://host/1",
            "redis://[::1",
            "redis://[::1]7",
            "redis://:secret%4@host",
            "redis://:secret%zz@host",
        ];
        for url in urls {
            let message = url.parse::<Target>().unwrap_err().to_string();
            assert!(message.contains("redis://[:password@]host:port"), "{url}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_redis_can_have_another_database() {
        let of = |url| Target::of_redis("--from-redis", url);
        assert_eq!(of("redis://host:1").unwrap(), (target("host", 1, None, None), None));
        assert_eq!(of("redis://host:1/").unwrap(), (target("host", 1, None, None), None));
        assert_eq!(of("redis://:p@host/12").unwrap(), (target("host", 6379, None, Some("p")), Some(12)));
        for (url, why) in [
            ("redis://:secret@host:1/abc", "--from-redis redis://***@host:1/abc: the database is no number"),
            ("redis://host:1/3/4", "the database is no number"),
            ("redis://host:port/3", "the port is not 1 to 65535"),
            ("host/3", "no redis:// in front"),
        ] {
            let message = of(url).unwrap_err().to_string();
            assert!(message.contains(why), "{url}: {message}");
            assert!(message.ends_with("; must be redis://[:password@]host:port[/db]"), "{url}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn the_password_is_never_told() {
        let target: Target = "redis://:secret@[::1]:7".parse().unwrap();
        assert_eq!(
            (target.to_string().as_str(), format!("{target:?}").as_str()),
            ("redis://[::1]:7", "redis://[::1]:7")
        );
    }
}
