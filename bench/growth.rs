//! # growth - does the loop ever stand still while a campaign grows and goes?
//! `cargo bench --bench growth`: ten million claims, decided and remembered by the core alone, then the drop and the freeing
//! that follows it turn by turn. Whatever takes long here holds every client up.
//!
//! The scheduler and the processor's neighbours also take time, at random; the core takes its own at the same steps in each
//! round. So each step counts with the shortest time of all rounds.
#![expect(clippy::disallowed_methods, reason = "a bench watches the clock")]

use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use clap::Parser;
use coupon_gate::core::{Command, Core, Decision, Dropping, Terms, View};
use coupon_gate::ids::Millis;
use coupon_gate::limits::FREED_PER_TURN;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The longest that the loop may stand still.
const STALL: Duration = Duration::from_millis(2);
/// Bytes that a user of 8 may cost.
const BYTES: f64 = 32.0;

/// Does the loop ever stand still while a campaign grows and goes?
#[derive(Debug, Parser)]
pub struct Options {
    /// Claims
    #[arg(long, default_value_t = 10_000_000)]
    grants: u32,
    /// Rounds; of each step the shortest time counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// The shortest time of each step so far, in nanoseconds.
#[derive(Default)]
struct Steps(Vec<u32>);

impl Steps {
    fn took(&mut self, step: usize, time: Duration) {
        let nanos = u32::try_from(time.as_nanos()).unwrap_or(u32::MAX);
        if step == self.0.len() {
            self.0.push(nanos);
        }
        self.0[step] = nanos.min(self.0[step]);
    }

    fn longest(&self) -> Duration {
        Duration::from_nanos(self.0.iter().copied().max().unwrap_or(0).into())
    }

    /// The step, counted from one, that took longest.
    fn at(&self) -> usize {
        (1..).zip(&self.0).max_by_key(|(_, nanos)| **nanos).map_or(0, |(step, _)| step)
    }
}

/// Does what a command comes to.
fn run(core: &mut Core, command: Command<'_>) {
    let view = View { now: Millis(1_800_000_000_000), ..View::default() };
    let Decision::Record { group, .. } = core.decide(command.clone(), &view) else { panic!("{command:?} only reads") };
    for event in group.events() {
        core.evolve(core.applied().next(), event);
    }
}

/// Resident memory, without what the system shares with others.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux tells it here");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// What was measured.
pub struct Outcome {
    grants: u32,
    claims: Steps,
    drops: Steps,
    bytes: f64,
}

/// Grows a campaign and drops it, once for each round.
pub fn measure(options: &Options) -> Outcome {
    let grants = options.grants;
    // Room for all, so that what the core takes is the only memory that comes.
    let (mut claims, mut drops) = (Steps(vec![u32::MAX; grants as usize]), Steps::default());
    let mut bytes = f64::NAN;
    for _ in 0..options.rounds {
        let before = resident();
        // The secret is the same in each round: tables split at the same steps.
        let mut core = Core::new(7);
        run(&mut core, Command::Create { campaign: b"spring", terms: Terms { limit: u32::MAX, ..Terms::DEFAULT } });
        let mut user = String::new();
        for claim in 0..grants {
            user.clear();
            write!(user, "{}", u64::from(claim) * 7 + 1).expect("text grows");
            let began = Instant::now();
            run(&mut core, Command::Claim { campaign: b"spring", user: user.as_bytes(), request: b"", flat: true });
            claims.took(claim as usize, began.elapsed());
        }
        if bytes.is_nan() {
            // Later rounds find memory that the first one left.
            bytes = resident().saturating_sub(before) as f64 / f64::from(grants);
        }
        let mut left = true;
        for step in 0.. {
            let began = Instant::now();
            match step {
                0 => run(&mut core, Command::Drop { campaign: b"spring", how: Dropping::Forced }),
                _ => left = core.sweep(FREED_PER_TURN),
            }
            drops.took(step, began.elapsed());
            if !left {
                break;
            }
        }
    }
    Outcome { grants, claims, drops, bytes }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |kept: bool| if kept { "kept" } else { "MISSED" };
        writeln!(f, "growth: {} claims by users of 8 bytes, then the drop", self.grants)?;
        for (what, steps) in [("claim", &self.claims), ("drop, and a turn of freeing", &self.drops)] {
            let (longest, kept) = (steps.longest(), said(steps.longest() <= STALL));
            let (at, of) = (steps.at(), steps.0.len());
            writeln!(
                f,
                "longest {what}: {:.3} ms (step {at} of {of}), at most 2: {kept}",
                longest.as_secs_f64() * 1e3
            )?;
        }
        writeln!(f, "memory: {:.1} bytes a user, at most {BYTES}: {}", self.bytes, said(self.bytes <= BYTES))
    }
}

fn main() {
    let options = Options::parse();
    // As the gate does before it serves.
    coupon_gate::serve::take_small_pages();
    print!("{}", measure(&options));
}
