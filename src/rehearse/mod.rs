//! # rehearse - a crowd at the door, and the truth of every answer
//! Fires claims at a gate like any other client, over TCP, in a campaign of its own; then holds the answers against each
//! other and against what the gate tells afterwards.
//! May use: `limits`, `remote` (where the gate is). Knows nothing of the gate's insides: it is the customers' side.
//! Promises: a gate that lies is found out; a rehearsal touches no campaign but its own and, unless asked with `through`,
//! leaves nothing in Kafka or the ledger; memory of 5 bytes a user and 4 a winner (where seats come back, about 150 a seat).

mod checks;
mod client;
mod crowd;
mod error;
mod fire;
mod habits;
mod inquiry;
mod judge;
mod report;
mod truth;
mod turnover;
mod visits;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use tokio::task::{JoinSet, LocalSet};

pub use checks::Verdict;
pub use error::RehearseError;
pub use report::{Latency, Report, Returning, Stored};
pub use truth::Counts;
pub use turnover::Moves;

pub use crate::remote::Target;

use crate::limits::{REHEARSE_CONNECTIONS_MAX, REHEARSE_PIPELINE_MAX, REHEARSE_USERS_MAX};
use client::Client;
use crowd::Crowd;
use fire::Fired;
use habits::Habits;
use judge::Judge;
use truth::Truth;
use turnover::{GateTime, Turnover};
use visits::Visits;

/// Connections that are opened at a time: a gate far away costs a round trip each, and its backlog has a bound.
const CONNECTING_MAX: usize = 64;

/// What to rehearse.
#[derive(Clone, Debug)]
pub struct RehearseOptions {
    /// The gate.
    pub target: Target,
    /// Users: 1..=`REHEARSE_USERS_MAX`; they are called 1..=users.
    pub users: u32,
    /// Seats: at least 1.
    pub seats: u32,
    /// Connections: 1..=`REHEARSE_CONNECTIONS_MAX`.
    pub connections: u32,
    /// Claims under way on a connection at a time: 1..=`REHEARSE_PIPELINE_MAX`.
    pub pipeline: u32,
    /// How often each user asks: at least 1.
    pub repeat: u32,
    /// Milliseconds for which a claim holds its seat; 0 grants it at once.
    pub hold: u32,
    /// How large a share of the holds is confirmed: 0 to 1, and 1 without `hold`.
    pub confirm_share: f64,
    /// How large a share of those granted cancels: 0 to 1.
    pub cancel_share: f64,
    /// A real campaign instead of a shadow: its grants go on to Kafka and the ledger.
    pub through: bool,
    /// Whoever prints the report prints JSON.
    pub json: bool,
}

impl Default for RehearseOptions {
    fn default() -> RehearseOptions {
        RehearseOptions {
            target: Target::default(),
            users: 20_000,
            seats: 10_000,
            connections: 50,
            pipeline: 1,
            repeat: 1,
            hold: 0,
            confirm_share: 1.0,
            cancel_share: 0.0,
            through: false,
            json: false,
        }
    }
}

/// Holds a rehearsal. `say` hears what the operator must know before it begins (with `through`: where the grants will go).
/// A progress bar shows on standard error if that is a terminal. Blocks; makes a runtime of its own.
///
/// # Errors
/// Only what kept the rehearsal from being held to the end. Wrong answers are differences in the report.
pub fn run(options: &RehearseOptions, say: &mut dyn FnMut(&str)) -> Result<Report, RehearseError> {
    check(options)?;
    let machine = |what| move |why| RehearseError::Machine { what, why };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(machine("cannot start an event loop"))?;
    let seed = getrandom::u64().map_err(std::io::Error::from).map_err(machine("cannot draw random numbers"))?;
    runtime.block_on(rehearse(options, seed, say))
}

fn check(options: &RehearseOptions) -> Result<(), RehearseError> {
    let bounds = [
        ("--users", options.users, REHEARSE_USERS_MAX),
        ("--seats", options.seats, u32::MAX),
        ("--connections", options.connections, REHEARSE_CONNECTIONS_MAX),
        ("--pipeline", options.pipeline, REHEARSE_PIPELINE_MAX),
        ("--repeat", options.repeat, u32::MAX),
    ];
    if let Some((flag, value, max)) = bounds.into_iter().find(|(_, value, max)| *value == 0 || value > max) {
        return Err(RehearseError::Usage { what: format!("{flag} {value}"), right: format!("1 to {max}") });
    }
    let RehearseOptions { hold, confirm_share, cancel_share, .. } = options;
    for (flag, share) in [("--confirm-share", confirm_share), ("--cancel-share", cancel_share)] {
        if !(0.0..=1.0).contains(share) {
            return Err(RehearseError::Usage { what: format!("{flag} {share}"), right: "0 to 1".to_string() });
        }
    }
    if *hold == 0 && *confirm_share < 1.0 {
        let (what, right) = (format!("--confirm-share {confirm_share} without --hold"), "left out".to_string());
        return Err(RehearseError::Usage { what, right });
    }
    Ok(())
}

async fn rehearse(options: &RehearseOptions, seed: u64, say: &mut dyn FnMut(&str)) -> Result<Report, RehearseError> {
    let campaign = campaign_name(seed);
    let mut control = Client::connect(&options.target).await?;
    if options.through {
        say(&inquiry::destination(&mut control, &campaign, options).await?);
    }
    inquiry::create(&mut control, &campaign, options).await?;
    let held = tokio::select! {
        held = hold(control, &campaign, options, seed) => held,
        Ok(()) = tokio::signal::ctrl_c() => Err(RehearseError::Interrupted { campaign: campaign.clone() }),
    };
    if options.through {
        return held;
    }
    // The connection so far may be in the middle of a reply.
    let dropped = inquiry::drop_campaign(&options.target, &campaign).await;
    let report = held?;
    dropped.map(|()| report)
}

/// `rehearsal-<time>-<random>`: sorts by time in `GATE.LIST`, and no two rehearsals meet.
fn campaign_name(seed: u64) -> String {
    #[expect(clippy::disallowed_methods, reason = "people want to see when it was")]
    let now = std::time::SystemTime::now();
    let now = jiff::Timestamp::try_from(now).unwrap_or_default();
    format!("rehearsal-{}-{:08x}", now.strftime("%Y%m%dT%H%M%SZ"), seed >> 32)
}

/// The rehearsal between creating the campaign and dropping it.
async fn hold(
    mut control: Client,
    campaign: &str,
    options: &RehearseOptions,
    seed: u64,
) -> Result<Report, RehearseError> {
    let clients = connect_all(options).await?;
    let Some(habits) = Habits::of(options, seed) else {
        let crowd = Crowd::new(options.users, options.repeat, seed);
        let truth = Truth::new(options.users, options.seats);
        let fired = fire::fire(clients, crowd, campaign, options.pipeline, truth).await;
        return report(control, campaign, options, fired).await;
    };
    let epoch = fire::now();
    let told_ms = inquiry::gate_time(&mut control).await?;
    let gate_time = GateTime { told_ms, asked: 0, heard: turnover::nanos_since(epoch, fire::now()) };
    let crowd = Crowd::new(options.users, 1, seed);
    let visits = Visits { crowd, habits, campaign: campaign.to_string(), options: options.clone(), epoch };
    let turnover = Turnover::new(options.users, options.seats, options.hold, gate_time);
    let fired = visits::fire(clients, visits, turnover).await;
    report(control, campaign, options, fired).await
}

/// Asks the gate what it tells in the end, and puts everything together.
async fn report<T: Judge>(
    mut control: Client,
    campaign: &str,
    options: &RehearseOptions,
    fired: Fired<T>,
) -> Result<Report, RehearseError> {
    let Fired { mut truth, latency_ns, started, seconds } = fired;
    let stored = match options.through {
        true => inquiry::wait_until_stored(&mut control, campaign, &mut truth, started).await?,
        false => None,
    };
    inquiry::judge_info(&mut control, campaign, &mut truth).await?;
    inquiry::judge_seats(&mut control, campaign, &mut truth).await?;
    inquiry::judge_status(&mut control, campaign, &mut truth, options.users).await?;

    let claims = u64::from(options.users) * u64::from(options.repeat);
    let (answers, moves) = (truth.counts(), truth.moves());
    let checks = truth.verdicts(stored.is_some());
    #[expect(clippy::cast_precision_loss, reason = "a rate is told in whole claims a second")]
    let claims_per_second = (claims - answers.unanswered) as f64 / seconds;
    Ok(Report {
        campaign: campaign.to_string(),
        target: options.target.to_string(),
        agrees: checks.iter().all(|verdict| verdict.differences == 0),
        through: options.through,
        users: options.users,
        seats: options.seats,
        connections: options.connections,
        pipeline: options.pipeline,
        repeat: options.repeat,
        returning: moves.map(|moves| Returning::of(options, moves)),
        claims,
        answers,
        seconds,
        claims_per_second,
        latency_us: Latency::of(&latency_ns),
        stored,
        checks,
    })
}

async fn connect_all(options: &RehearseOptions) -> Result<Vec<Client>, RehearseError> {
    let local = LocalSet::new();
    let connecting = async {
        let mut clients = Vec::with_capacity(options.connections as usize);
        let mut opening = JoinSet::new();
        let mut left = options.connections;
        while clients.len() < options.connections as usize {
            while left > 0 && opening.len() < CONNECTING_MAX {
                let target = options.target.clone();
                opening.spawn_local(async move { Client::connect(&target).await });
                left -= 1;
            }
            let opened = opening.join_next().await.expect("what is missing is being opened");
            clients.push(opened.expect("connecting neither panics nor is cancelled")?);
        }
        Ok(clients)
    };
    local.run_until(connecting).await
}
