//! The plan of the measurement: which cells, in which order, and what must be true after each.

pub mod generator;
pub mod outcome;
pub mod requests;
pub mod servers;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use generator::{Measured, Until, ask, fire};
use outcome::{Cell, Outcome, Row, Side};
use requests::{Crowd, Request, Script};
use servers::{Kind, Mode, Server};

/// The connections of the load generator, as in `redis-benchmark`.
const CONNECTIONS: usize = 50;

/// How fast are INCR and claims next to redis-server in the same run?
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "speed")]
pub struct Options {
    /// The gate's release binary
    #[arg(long, env = "GATE_BINARY", default_value = env!("CARGO_BIN_EXE_coupon-gate"))]
    pub gate: PathBuf,
    /// The peer
    #[arg(long, default_value = "redis-server")]
    pub redis: PathBuf,
    /// Where both keep their data (a real disk, not tmpfs) [default: beside the gate's binary]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Seconds of each cell that is bounded by time (INCR, refusals)
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Seats of each cell of claims: twice as many random users make twice as many claims
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(100..=20_000_000))]
    pub seats: u32,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Pipeline depths
    #[arg(long, value_delimiter = ',', default_value = "1,16,100", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pipeline: Vec<u32>,
    /// appendfsync of both; `none`: Redis without persistence, the gate with `no`
    #[arg(long, value_delimiter = ',', default_value = "none,everysec,always")]
    pub modes: Vec<Mode>,
    /// Processor cores of the servers and of the load generator, or `none`
    #[arg(long, default_value = "0,1")]
    pub cores: Cores,
    /// Small sizes: shows that it works, measures nothing
    #[arg(long)]
    pub quick: bool,
    /// One JSON object instead of the table
    #[arg(long)]
    pub json: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Where servers and generator run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores(pub Option<(u32, u32)>);

impl std::str::FromStr for Cores {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Cores, &'static str> {
        if text == "none" {
            return Ok(Cores(None));
        }
        let (servers, generator) = text.split_once(',').ok_or("two core numbers, `0,1`, or `none`")?;
        let number = |text: &str| text.parse().map_err(|_| "two core numbers, `0,1`, or `none`");
        Ok(Cores(Some((number(servers)?, number(generator)?))))
    }
}

/// Why there are no figures.
#[derive(Debug)]
pub enum SpeedError {
    /// A program or a directory that the measurement needs is not there or does not work.
    Machine { what: String, why: io::Error },
    /// A server ended, fell silent or refused.
    Server { name: String, what: String },
    /// Fast but wrong: no figure of it counts.
    Untrue { name: String, what: String },
}

impl fmt::Display for SpeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpeedError::Machine { what, why } => write!(f, "speed: {what}: {why}"),
            SpeedError::Server { name, what } => write!(f, "speed: {name}: {what}"),
            SpeedError::Untrue { name, what } => write!(f, "speed: {name} is fast but wrong: {what}"),
        }
    }
}

impl std::error::Error for SpeedError {}

/// Measures everything. Prints each cell to standard error as it goes.
pub fn run(options: &Options) -> Result<Outcome, SpeedError> {
    let options = if options.quick { &quick(options) } else { options };
    let machine = |what: &str, why| SpeedError::Machine { what: what.to_string(), why };
    let beside = options.gate.parent().unwrap_or(Path::new("."));
    let dir = options.dir.as_deref().unwrap_or(beside);
    let dir = tempfile::TempDir::new_in(dir).map_err(|why| machine(&format!("no data in {}", dir.display()), why))?;
    if let Cores(Some((_, core))) = options.cores {
        servers::pin_this_thread(core)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| machine("no event loop", why))?;

    let mut outcome = Outcome::new(options);
    for mode in &options.modes {
        outcome.rows.extend(runtime.block_on(measure_mode(options, *mode, dir.path(), &mut outcome.peer))?);
    }
    Ok(outcome)
}

/// Small sizes, unpinned: other tests want the cores too.
fn quick(options: &Options) -> Options {
    Options {
        seconds: 0.1,
        seats: 500,
        rounds: 1,
        cores: Cores(None),
        modes: vec![Mode::None, Mode::Always],
        pipeline: vec![1, 16],
        ..options.clone()
    }
}

/// All cells with one kind of persistence. Both servers run all the time; one of them works at a time.
async fn measure_mode(options: &Options, mode: Mode, dir: &Path, peer: &mut String) -> Result<Vec<Row>, SpeedError> {
    let cores = options.cores;
    let mut gate = Server::start(Kind::Gate, &options.gate, mode, dir, cores).await?;
    let mut redis = Server::start(Kind::Redis, &options.redis, mode, dir, cores).await?;
    *peer = format!("redis {}", redis.version().await?);
    let (mut gate_incrs, mut redis_incrs) = (0, 0);
    let mut rows = Vec::new();
    for pipeline in &options.pipeline {
        let mut incr = Row::new("INCR", mode, *pipeline);
        let mut claims = Row::new("claims", mode, *pipeline);
        let mut refusals = Row::new("sold out", mode, *pipeline);
        for round in 0..options.rounds {
            let campaign = format!("speed-{pipeline}-{round}");
            incr.gate.push(measure_incr(&gate, *pipeline, options, &mut gate_incrs).await?);
            incr.redis.push(measure_incr(&redis, *pipeline, options, &mut redis_incrs).await?);
            let seed = u64::from(*pipeline) << 32 | u64::from(round);
            let at_gate = Script::prepare(&gate, &campaign, options.seats).await?;
            let at_redis = Script::prepare(&redis, &campaign, options.seats).await?;
            claims.gate.push(measure_claims(&gate, &at_gate, *pipeline, options, seed).await?);
            claims.redis.push(measure_claims(&redis, &at_redis, *pipeline, options, seed).await?);
            refusals.gate.push(measure_refusals(&gate, &at_gate, *pipeline, options, seed).await?);
            refusals.redis.push(measure_refusals(&redis, &at_redis, *pipeline, options, seed).await?);
            at_gate.clear(&gate).await?;
            at_redis.clear(&redis).await?;
        }
        for row in [incr, claims, refusals] {
            eprintln!("{row}");
            rows.push(row);
        }
    }
    gate.stop()?;
    redis.stop()?;
    Ok(rows)
}

/// INCR of one key. `total` is what the counter must say.
pub async fn measure_incr(
    server: &Server,
    pipeline: u32,
    options: &Options,
    total: &mut u64,
) -> Result<Cell, SpeedError> {
    let until = Until::Seconds(options.seconds);
    let (cell, measured) = measure(server, &Request::incr(), pipeline, until, Crowd::nobody()).await?;
    *total += measured.operations;
    let counter = ask(server, &["GET", "counter"]).await?;
    if counter != [total.to_string()] {
        return Err(server.untrue(format!("the counter says {counter:?} after {total} INCRs")));
    }
    Ok(cell)
}

/// Twice as many claims as seats from twice as many users: grants, repeats and refusals.
pub async fn measure_claims(
    server: &Server,
    script: &Script,
    pipeline: u32,
    options: &Options,
    seed: u64,
) -> Result<Cell, SpeedError> {
    let crowd = Crowd::claiming(options.seats * 2, seed);
    let claims = u64::from(options.seats) * 2;
    let must_grant = crowd.different(claims).min(u64::from(options.seats));
    let (cell, measured) = measure(server, &script.request, pipeline, Until::Count(claims), crowd).await?;
    let told = script.granted(server).await?;
    if (measured.granted, told) != (must_grant, must_grant) {
        let heard = measured.granted;
        return Err(
            server.untrue(format!("{must_grant} must be granted; {heard} were heard of, the server says {told}"))
        );
    }
    Ok(cell)
}

/// Claims of users who come too late.
async fn measure_refusals(
    server: &Server,
    script: &Script,
    pipeline: u32,
    options: &Options,
    seed: u64,
) -> Result<Cell, SpeedError> {
    let before = script.granted(server).await?;
    let crowd = Crowd::too_late(options.seats * 2, seed);
    let (cell, measured) = measure(server, &script.request, pipeline, Until::Seconds(options.seconds), crowd).await?;
    let after = script.granted(server).await?;
    if measured.granted != 0 || before != after || after != u64::from(options.seats) {
        let heard = measured.granted;
        return Err(
            server.untrue(format!("{before} granted before, {after} after, {heard} heard of, after selling out"))
        );
    }
    Ok(cell)
}

async fn measure(
    server: &Server,
    request: &Request,
    pipeline: u32,
    until: Until,
    crowd: Crowd,
) -> Result<(Cell, Measured), SpeedError> {
    let before = server.cpu_seconds()?;
    let measured = fire(server, request, CONNECTIONS, pipeline, until, crowd).await?;
    let cpu_seconds = server.cpu_seconds()? - before;
    Ok((Cell::new(&measured, cpu_seconds), measured))
}

impl Row {
    fn new(what: &'static str, mode: Mode, pipeline: u32) -> Row {
        Row { what, mode, pipeline, gate: Side::default(), redis: Side::default() }
    }
}
