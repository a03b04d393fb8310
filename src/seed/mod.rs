//! # seed - a Redis event moves in
//! Reads the users that a Redis set, sorted set or list holds, gives each a seat, and brings them into a campaign that
//! nobody has claimed from. All is looked at first: on any contradiction nothing is brought in.
//! May use: `settings` (its own), `remote` (Redis and the running gate), `limits`, `exit`.
//! Promises: the same key gives the same seats, so that it can be run again after it was cut short; no claim comes between
//! two parts of one event.

mod event;

use std::fmt;

use crate::exit::Exit;
use crate::limits::SEED_SEATS_MAX;
use crate::remote::{BadTarget, Gate, RemoteError, Target};
use crate::settings::SeedSettings;
use event::Event;

/// Rows asked for in one `GATE.SEATS`.
const SEATS_PAGE: u32 = 1000;

/// Why nothing more was brought in.
#[derive(Debug)]
pub enum SeedError {
    /// A URL is none.
    Target(BadTarget),
    /// Redis could not be asked.
    Redis(RemoteError),
    /// The gate could not be asked, or refused.
    Gate(RemoteError),
    /// What is here and what is there do not fit: in words.
    Contradiction(String),
}

impl SeedError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            SeedError::Target(_) => Exit::Usage,
            SeedError::Contradiction(_) => Exit::Difference,
            SeedError::Redis(_) | SeedError::Gate(_) => Exit::Surroundings,
        }
    }
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SeedError::Target(error) => write!(f, "seed: {error}"),
            SeedError::Redis(RemoteError::Unreachable(target, error)) => {
                write!(f, "seed: cannot reach Redis at {target}: {error}; name another with --from-redis")
            }
            SeedError::Redis(error @ RemoteError::Refused(target, reply)) => match error.wants_password() {
                true => write!(
                    f,
                    "seed: Redis at {target} says: {reply}; its password stands in --from-redis redis://:PASSWORD@HOST:PORT"
                ),
                false => write!(f, "seed: Redis at {target} says: {reply}"),
            },
            SeedError::Redis(RemoteError::NoAnswer(target, what)) => {
                write!(f, "seed: Redis at {target} does not tell {what}: it is no Redis")
            }
            SeedError::Gate(error) => write!(f, "seed: {error}"),
            SeedError::Contradiction(what) => write!(f, "seed: {what}; nothing was brought in"),
        }
    }
}

impl std::error::Error for SeedError {}

/// The campaign at the gate, before anything is brought in.
struct Campaign {
    limit: u32,
    granted: u32,
    is_int: bool,
    /// Nobody can claim now.
    is_shut: bool,
}

/// Brings the users in; tells what it did in a line.
///
/// # Errors
/// Nobody answers, or something does not fit. What was brought in by then stays, and is passed over the next time.
pub fn command(settings: &SeedSettings, say: &mut dyn FnMut(&str)) -> Result<Exit, SeedError> {
    let target: Target = settings.target.parse().map_err(SeedError::Target)?;
    let password = settings.password.as_ref().map(|password| password.reveal());
    let mut gate = Gate::connect(target, password).map_err(SeedError::Gate)?;
    let name = &settings.campaign;
    let campaign = look(&mut gate, name)?;
    let users = Event::open(settings)?.users(campaign.is_int)?;
    check(name, &campaign, &users)?;
    let there = compare(&mut gate, name, &campaign, &users)?;
    let new = users.len() as u64 - u64::from(there);
    if settings.dry_run {
        say(&format!("{name}: {new} seats would be brought in, {there} are there\n"));
        return Ok(Exit::Done);
    }
    for (batch, first) in users.chunks(SEED_SEATS_MAX).zip((1..).step_by(SEED_SEATS_MAX)) {
        let seats: Vec<String> = (first..).take(batch.len()).map(|seat: u32| seat.to_string()).collect();
        let pairs = batch.iter().zip(&seats).flat_map(|(user, seat)| [user.as_str(), seat.as_str()]);
        let words: Vec<&str> = ["GATE.SEED", name].into_iter().chain(pairs).collect();
        gate.ask(&words).map_err(SeedError::Gate)?;
    }
    say(&format!("{name}: {new} seats brought in, {there} were there\n"));
    Ok(Exit::Done)
}

fn look(gate: &mut Gate, name: &str) -> Result<Campaign, SeedError> {
    let info = gate.ask(&["GATE.INFO", name]).map_err(SeedError::Gate)?;
    let field = |field: &str| info.chunks_exact(2).find(|row| row[0] == field).map(|row| row[1].as_str());
    let number = |name| field(name).and_then(|text| text.parse().ok());
    let (Some(limit), Some(granted), Some(state)) = (number("limit"), number("granted"), field("state")) else {
        return Err(SeedError::Gate(gate.lacks("the limit, the grants and the state of a campaign")));
    };
    let is_shut = matches!(state, "NOTOPEN" | "CLOSED");
    Ok(Campaign { limit, granted, is_int: field("users") == Some("INT"), is_shut })
}

fn check(name: &str, campaign: &Campaign, users: &[String]) -> Result<(), SeedError> {
    let contradiction = |what| Err(SeedError::Contradiction(what));
    if users.len() > campaign.limit as usize {
        let (users, limit) = (users.len(), campaign.limit);
        return contradiction(format!("there are {users} users, campaign {name} has {limit} seats"));
    }
    if users.len() > SEED_SEATS_MAX && !campaign.is_shut {
        return contradiction(format!(
            "claims could come in between: more than {SEED_SEATS_MAX} seats are brought in one part after the other, and campaign \
             {name} is open; create it with OPEN at a later time, or GATE.ALTER {name} CLOSE NOW, and open it afterwards"
        ));
    }
    Ok(())
}

/// How many of the users have their seats already; a seat that is another's is a contradiction.
fn compare(gate: &mut Gate, name: &str, campaign: &Campaign, users: &[String]) -> Result<u32, SeedError> {
    let (mut there, mut next) = (0, 1_u32);
    while there < campaign.granted {
        let rows = gate.ask(&["GATE.SEATS", name, &next.to_string(), &SEATS_PAGE.to_string()]);
        let rows = rows.map_err(SeedError::Gate)?;
        if rows.is_empty() {
            break;
        }
        for row in rows.chunks_exact(4) {
            let seat: u32 = row[0].parse().map_err(|_| SeedError::Gate(gate.lacks("the seats of a campaign")))?;
            let ours = users.get(seat as usize - 1).map_or("nobody", String::as_str);
            if row[1] != ours {
                let told = format!("seat {seat} of campaign {name} is user {}'s already, it would be {ours}'s", row[1]);
                return Err(SeedError::Contradiction(told));
            }
            (there, next) = (there + 1, seat.saturating_add(1));
        }
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_wants_another_password_is_told_with_its_own_option() {
        let refused = |reply: &str| RemoteError::Refused("redis://10.0.0.5:6379".into(), reply.into());
        for reply in ["WRONGPASS invalid username-password pair", "NOAUTH Authentication required."] {
            let told = SeedError::Redis(refused(reply)).to_string();
            assert!(told.contains(reply) && told.contains("--from-redis redis://:PASSWORD@HOST:PORT"), "{told}");
            assert!(!told.contains("--target") && !told.contains("--password-file"), "{told}");
            assert!(SeedError::Gate(refused(reply)).to_string().contains("--target"), "the gate's own");
        }
        let told = SeedError::Redis(refused("ERR unknown command")).to_string();
        assert_eq!(told, "seed: Redis at redis://10.0.0.5:6379 says: ERR unknown command");
    }
}
