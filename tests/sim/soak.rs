//! As many seeds as there is time for: `bash tests/soak SECONDS`, and one seed with its story: `bash tests/soak --seed N`.

use std::cell::Cell;
use std::time::{Duration, Instant};

use coupon_gate::sim::{CRASHES, STEPS, Told, Trace, live};

/// The allocator of the release binary: a third of the time goes into small pieces of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

fn main() {
    coupon_gate::sabotage::arm_from_environment();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    std::panic::set_hook(Box::new(|panic| {
        let seed = SEED.get();
        eprintln!("seed {seed}: {panic}\nreplay it with: bash tests/soak --seed {seed}");
    }));
    match words[..] {
        ["--seed", seed] => tell(number(seed)),
        ["--seconds", seconds, "--from", from] => soak(Duration::from_secs(number(seconds)), u64::MAX, number(from)),
        ["--seeds", count, "--from", from] => soak(Duration::MAX, number(count), number(from)),
        _ => refuse("right are: --seed N; --seconds S --from N; --seeds COUNT --from N"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| refuse(&format!("'{text}' is no number")))
}

#[expect(clippy::disallowed_methods, reason = "the end of a program")]
fn refuse(line: &str) -> ! {
    eprintln!("soak: {line}");
    std::process::exit(2)
}

/// One seed, step by step.
fn tell(seed: u64) {
    SEED.set(seed);
    let mut trace = Trace::told();
    let lived = live(seed, &mut trace);
    print!("{}", trace.text());
    report(seed, &lived);
    if let Ok(told) = lived {
        println!("{told:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "real seconds, and the end of a program")]
fn report(seed: u64, lived: &Result<Told, String>) {
    if let Err(noticed) = lived {
        println!("seed {seed}: {noticed}\nreplay it with: bash tests/soak --seed {seed}");
        std::process::exit(1);
    }
}

/// Seeds from `from` on, until the time is over or there were `count`.
#[expect(clippy::disallowed_methods, reason = "real seconds")]
fn soak(time: Duration, count: u64, from: u64) {
    let began = Instant::now();
    let (mut all, mut seeds, mut told_at) = (Told::default(), 0, 0);
    while seeds < count && began.elapsed() < time {
        let seed = from + seeds;
        SEED.set(seed);
        let lived = live(seed, &mut Trace::default());
        report(seed, &lived);
        let told = lived.unwrap_or_default();
        assert!(told.steps >= STEPS && told.crashes >= CRASHES, "a whole story: {told:?}");
        all.steps += told.steps;
        all.crashes += told.crashes;
        all.answers += told.answers;
        all.changes += told.changes;
        all.seats += told.seats;
        seeds += 1;
        let seconds = began.elapsed().as_secs();
        if seconds >= told_at + 10 {
            told_at = seconds;
            println!("{seeds} seeds, {:.0} seeds/s", seeds as f64 / began.elapsed().as_secs_f64());
        }
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds from {from} on, all clean: {:.0} seeds/s on one core; a seed has {} steps, {:.1} crashes, {} judged answers, \
         {} changes that were kept; {:?}",
        seeds as f64 / took,
        all.steps / seeds.max(1),
        all.crashes as f64 / seeds.max(1) as f64,
        all.answers / seeds.max(1),
        all.changes / seeds.max(1),
        all.seats,
    );
}
