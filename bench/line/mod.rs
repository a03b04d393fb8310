//! The plan: which question, at which size, on which cores.
//!
//! Every question starts its own Kafka and MariaDB (`tests/pipeline/peers`) and its own gates below one directory, and
//! checks the truth of what it measured. What is not true panics: then there are no figures.

pub mod claims; //     does a claim notice what happens to Kafka and MariaDB?
pub mod fill; //       grants made beforehand
mod holds; //          do holds cost anything while they wait, and do they end on time?
mod memory; //         does memory stay flat while grants drain?
mod neighbour; //      does another user of the database notice the drain?
pub mod open_loop; //  requests at a fixed rate, whatever the answers do
pub mod outcome; //    the table
mod process; //        our own processes: started, asked, pinned
mod restart; //        how soon does a gate that was stopped answer again?
mod sink; //           Kafka -> MariaDB, next to raw INSERTs
mod snapshot; //       does a claim notice a snapshot?
mod stream; //         journal -> Kafka, next to ProducerPerformance
mod topic; //          what a topic holds, while it grows and afterwards

use std::path::{Path, PathBuf};

use outcome::Outcome;
use tempfile::TempDir;

/// How fast is the line behind the gate, and does anybody beside it notice?
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "line")]
pub struct Options {
    /// What is asked
    pub question: Question,
    /// The gate's release binary
    #[arg(long, env = "GATE_BINARY", default_value = env!("CARGO_BIN_EXE_coupon-gate"))]
    pub gate: PathBuf,
    /// Where everybody keeps his data (a real disk, not tmpfs) [default: beside the gate's binary]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Where the gate of `claims` keeps its journal, if not on one disk with its peers
    #[arg(long)]
    pub journal_dir: Option<PathBuf>,
    /// The states of `claims` beside healthy ones, with commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub states: Vec<claims::State>,
    /// Grants that go down the line [default: 1 million, for `memory` 5 million]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1000..=100_000_000))]
    pub grants: Option<u32>,
    /// Seconds of what is bounded by time: a cell of `claims` (10), the neighbour without a drain (20)
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Rounds; the median counts [default: 3, for `neighbour` 2, for `memory` 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Two processor cores, or `none`; bench/README.md says who runs where
    #[arg(long, default_value = "0,1")]
    pub cores: Cores,
    /// Small sizes, unpinned: shows that it works, measures nothing
    #[arg(long)]
    pub quick: bool,
    /// One JSON object instead of the table
    #[arg(long)]
    pub json: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Question {
    /// Records a second from a journal into Kafka, next to Kafka's own ProducerPerformance
    Stream,
    /// Rows a second from Kafka into MariaDB, next to raw INSERTs of 1000 rows
    Sink,
    /// Memory of the gate and of the sink while many grants drain
    Memory,
    /// Latency of claims while Kafka or MariaDB is well, down, stopped or slow
    Claims,
    /// Latency of another user of the database while the sink drains into it
    Neighbour,
    /// From start to the first claim, out of the journal and out of a snapshot
    Restart,
    /// Latency of claims and memory while snapshots are made
    Snapshot,
    /// What holds cost while they wait, and whether they end on time under load
    Holds,
}

/// Where things run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores(Option<(u32, u32)>);

impl Cores {
    /// The first core: for who is measured, or shall not be disturbed.
    pub fn first(self) -> Option<u32> {
        self.0.map(|(first, _)| first)
    }

    /// The second core: for all others.
    pub fn second(self) -> Option<u32> {
        self.0.map(|(_, second)| second)
    }
}

impl std::str::FromStr for Cores {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Cores, &'static str> {
        if text == "none" {
            return Ok(Cores(None));
        }
        let (first, second) = text.split_once(',').ok_or("two core numbers, `0,1`, or `none`")?;
        let number = |text: &str| text.parse().map_err(|_| "two core numbers, `0,1`, or `none`");
        Ok(Cores(Some((number(first)?, number(second)?))))
    }
}

/// What every question is given.
#[derive(Debug)]
pub struct Bench {
    /// The gate's binary.
    gate: PathBuf,
    /// Everything that is written goes below it; it goes with this.
    home: TempDir,
    /// Where the journal of `claims` lies.
    journal_home: TempDir,
    cores: Cores,
    states: Vec<claims::State>,
    grants: u32,
    seconds: f64,
    rounds: u32,
    quick: bool,
}

impl Bench {
    fn new(options: &Options) -> Bench {
        let beside = options.gate.parent().unwrap_or(Path::new("."));
        let dir = options.dir.as_deref().unwrap_or(beside);
        let (grants, seconds, rounds) = match options.question {
            Question::Stream | Question::Sink => (1_000_000, 0.0, 3),
            Question::Memory => (5_000_000, 0.0, 1),
            Question::Claims => (0, 10.0, 3),
            Question::Neighbour => (1_000_000, 20.0, 2),
            Question::Restart => (10_000_000, 0.0, 3),
            Question::Snapshot => (5_000_000, 10.0, 3),
            Question::Holds => (1_000_000, 5.0, 3),
        };
        let (grants, seconds, rounds) = if options.quick { (20_000, 0.5, 1) } else { (grants, seconds, rounds) };
        Bench {
            gate: options.gate.clone(),
            home: home_in(dir),
            journal_home: home_in(options.journal_dir.as_deref().unwrap_or(dir)),
            states: options.states.clone(),
            cores: if options.quick { Cores(None) } else { options.cores },
            grants: options.grants.unwrap_or(grants),
            seconds: options.seconds.unwrap_or(seconds),
            rounds: options.rounds.unwrap_or(rounds),
            quick: options.quick,
        }
    }
}

fn home_in(dir: &Path) -> TempDir {
    tempfile::Builder::new().prefix("line-").tempdir_in(dir).unwrap()
}

/// Measures. Tells each figure on standard error as it comes.
///
/// # Panics
/// Where something does not work or is not true.
pub fn run(options: &Options) -> Outcome {
    let bench = Bench::new(options);
    match options.question {
        Question::Stream => stream::measure(&bench),
        Question::Sink => sink::measure(&bench),
        Question::Memory => memory::measure(&bench),
        Question::Claims => claims::measure(&bench),
        Question::Neighbour => neighbour::measure(&bench),
        Question::Restart => restart::measure(&bench),
        Question::Snapshot => snapshot::measure(&bench),
        Question::Holds => holds::measure(&bench),
    }
}
