//! The event in Redis: who has won, in order.

use std::collections::HashSet;

use crate::remote::{Gate, RemoteError, Target};
use crate::seed::SeedError;
use crate::settings::SeedSettings;

/// Members asked for at a time.
const PAGE: usize = 1000;

/// A user of `USERS ANY` has at most so many bytes.
const USER_BYTES_MAX: usize = crate::limits::USER_BYTES_MAX;

/// A connection to Redis, and the key that holds the winners.
pub(super) struct Event {
    redis: Gate,
    key: String,
    counter: Option<String>,
}

impl Event {
    /// Connects; a number behind the port is the database.
    pub(super) fn open(settings: &SeedSettings) -> Result<Event, SeedError> {
        let (target, db) = Target::of_redis("--from-redis", &settings.from_redis).map_err(SeedError::Target)?;
        let mut redis = Gate::connect(target, None).map_err(SeedError::Redis)?;
        if let Some(db) = db {
            redis.ask(&["SELECT", &db.to_string()]).map_err(SeedError::Redis)?;
        }
        Ok(Event { redis, key: settings.set.clone(), counter: settings.counter.clone() })
    }

    /// The users, each once: those of a set in the order of their numbers or letters, those of a sorted set and of a list in
    /// its own.
    pub(super) fn users(mut self, is_int: bool) -> Result<Vec<String>, SeedError> {
        let key = self.key.clone();
        let kind = self.ask(&["TYPE", &key])?.concat();
        let count = match kind.as_str() {
            "set" => "SCARD",
            "zset" => "ZCARD",
            "list" => "LLEN",
            "none" => return contradiction(format!("Redis has no key '{key}'")),
            other => {
                return contradiction(format!("key '{key}' is a {other}: a set, a sorted set or a list holds users"));
            }
        };
        let before = self.number(&[count, &key])?;
        let mut users = match kind.as_str() {
            "set" => self.members()?,
            "zset" => self.range("ZRANGE")?,
            _ => self.range("LRANGE")?,
        };
        if self.number(&[count, &key])? != before || users.len() as u64 != before {
            return contradiction(format!("key '{key}' changed while it was read: end the event first"));
        }
        self.compare_counter(before)?;
        sound(&users, is_int)?;
        if kind == "set" {
            match is_int {
                true => users.sort_by_key(|user| user.parse::<i64>().unwrap_or_default()),
                false => users.sort(),
            }
        }
        Ok(users)
    }

    fn members(&mut self) -> Result<Vec<String>, SeedError> {
        let (key, mut cursor, mut users) = (self.key.clone(), "0".to_owned(), HashSet::new());
        loop {
            let mut page = self.ask(&["SSCAN", &key, &cursor, "COUNT", &PAGE.to_string()])?.into_iter();
            cursor = page.next().ok_or_else(|| SeedError::Redis(self.redis.lacks("a cursor")))?;
            users.extend(page);
            if cursor == "0" {
                return Ok(users.into_iter().collect());
            }
        }
    }

    fn range(&mut self, command: &str) -> Result<Vec<String>, SeedError> {
        let (key, mut users) = (self.key.clone(), Vec::new());
        loop {
            let (from, to) = (users.len().to_string(), (users.len() + PAGE - 1).to_string());
            let page = self.ask(&[command, &key, &from, &to])?;
            if page.is_empty() {
                return Ok(users);
            }
            users.extend(page);
        }
    }

    /// The counter, if one is named, has counted as many.
    fn compare_counter(&mut self, users: u64) -> Result<(), SeedError> {
        let Some(counter) = self.counter.clone() else { return Ok(()) };
        let counted = self.ask(&["GET", &counter])?.concat();
        if counted == users.to_string() {
            return Ok(());
        }
        let counted = if counted.is_empty() { "nothing" } else { &counted };
        contradiction(format!(
            "counter '{counter}' says {counted}, '{}' has {users} users: find out who is missing, or leave --counter out",
            self.key
        ))
    }

    fn number(&mut self, words: &[&str]) -> Result<u64, SeedError> {
        let told = self.ask(words)?.concat().parse();
        told.map_err(|_| SeedError::Redis(self.redis.lacks("how many users there are")))
    }

    fn ask(&mut self, words: &[&str]) -> Result<Vec<String>, SeedError> {
        self.redis.ask(words).map_err(|error: RemoteError| SeedError::Redis(error))
    }
}

/// Each is a user as the campaign takes him, and there once.
fn sound(users: &[String], is_int: bool) -> Result<(), SeedError> {
    let mut seen = HashSet::with_capacity(users.len());
    for user in users {
        let fits = match is_int {
            true => user.parse::<i64>().is_ok_and(|number| number.to_string() == *user),
            false => (1..=USER_BYTES_MAX).contains(&user.len()),
        };
        if !fits {
            let wanted = if is_int { "an integer" } else { "1 to 64 bytes long" };
            return contradiction(format!("user '{}' is not {wanted}", user.escape_debug()));
        }
        if !seen.insert(user) {
            return contradiction(format!("user {user} is there twice"));
        }
    }
    Ok(())
}

fn contradiction<T>(what: String) -> Result<T, SeedError> {
    Err(SeedError::Contradiction(what))
}
