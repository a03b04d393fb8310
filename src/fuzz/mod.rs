//! # fuzz - readers against bytes that nobody wrote on purpose
//! In tests only: a loop that draws inputs, bends them and hands them to a check. No coverage feedback, so that it runs
//! wherever the tests run; instead an input is kept, to be bent further, when something new came of it.
//! May use: nothing.
//! Promises: the same seed draws the same inputs; a failing input is written down, with the command that replays it.
//!
//! * `FUZZ_SECONDS`: how long each target runs; without it a fixed number of inputs.
//! * `FUZZ_SEED`: the seed; without it 1.
//! * `FUZZ_INPUT`: a file with the one input to check.
//! * `FUZZ_KEEP`: a directory; what was kept is written there, for the corpus.

mod bend;
mod chance;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bend::bend;
pub use chance::{Chance, Trace};

/// Inputs that are kept at most.
const KEPT_MAX: usize = 4096;

/// A reader, how to draw inputs for it, and what must hold.
pub struct Target<'a> {
    /// Its name; the corpus lies in `tests/corpus/NAME`.
    pub name: &'static str,
    /// Inputs are at most this long.
    pub bytes_max: usize,
    /// Words of its language.
    pub words: &'a [&'a [u8]],
    /// Draws a sound input.
    pub draw: &'a dyn Fn(&mut Chance) -> Vec<u8>,
    /// Makes sums and lengths right again, so that what lies behind them is reached.
    pub mend: &'a dyn Fn(&mut Vec<u8>),
    /// Panics where a promise is broken; what came of the input otherwise.
    pub check: &'a dyn Fn(&[u8]) -> Trace,
}

/// How it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Inputs checked.
    pub inputs: u64,
    /// Different things that came of them.
    pub kinds: usize,
    /// The input that broke a promise.
    pub failed: Option<Vec<u8>>,
}

impl Target<'_> {
    /// Runs as the environment says, `inputs` without it.
    ///
    /// # Panics
    /// A promise is broken: the message has the command that replays the input.
    #[expect(clippy::disallowed_methods, reason = "how fast it was, and when it is over")]
    pub fn run(&self, inputs: u64) {
        if let Some(path) = std::env::var_os("FUZZ_INPUT") {
            let input = fs::read(&path).expect("FUZZ_INPUT is a file");
            eprintln!("fuzz {}: {} bytes", self.name, input.len());
            (self.check)(&input);
            return;
        }
        let seconds = std::env::var("FUZZ_SECONDS").ok().map(|text| text.parse().expect("FUZZ_SECONDS is a number"));
        let seed = std::env::var("FUZZ_SEED").map_or(1, |text| text.parse().expect("FUZZ_SEED is a number"));
        let started = Instant::now();
        let time = seconds.map(Duration::from_secs);
        let outcome = self.search(seed, &|done| match time {
            Some(time) => done % 64 != 0 || started.elapsed() < time,
            None => done < inputs,
        });
        let took = started.elapsed().as_secs_f64();
        let Outcome { inputs, kinds, failed } = outcome;
        let speed = inputs as f64 / took;
        eprintln!("fuzz {}: {inputs} inputs in {took:.1} s, {speed:.0} execs/s, {kinds} kinds, seed {seed}", self.name);
        if let Some(input) = failed {
            let path = PathBuf::from(format!("target/fuzz/{}-{seed}-{inputs}", self.name));
            fs::create_dir_all("target/fuzz").expect("a directory for the failing input");
            fs::write(&path, &input).expect("the failing input is kept");
            let path = path.display();
            panic!("{}: a promise is broken; replay it: bash tests/fuzz replay {} {path}", self.name, self.name);
        }
    }

    /// Checks the corpus, then what is bent from it, while `go_on` says so of the number of inputs checked.
    pub fn search(&self, seed: u64, go_on: &dyn Fn(u64) -> bool) -> Outcome {
        let mut chance = Chance::new(seed);
        let mut corpus = self.corpus().into_iter();
        let (mut pool, mut kinds, mut done) = (Vec::new(), BTreeSet::new(), 0);
        let diary = Diary::open(self.name);
        loop {
            let (input, ready) = match corpus.next() {
                Some(input) => (input, true),
                None if go_on(done) => (self.bent(&pool, &mut chance), false),
                None => break,
            };
            diary.write(&input);
            done += 1;
            let Ok(trace) = catch_unwind(AssertUnwindSafe(|| (self.check)(&input))) else {
                return Outcome { inputs: done, kinds: kinds.len(), failed: Some(input) };
            };
            let new = kinds.len() < KEPT_MAX && kinds.insert(trace);
            if new && !ready {
                self.keep(kinds.len(), &input);
            }
            if new || ready {
                pool.push(input);
            }
        }
        Outcome { inputs: done, kinds: kinds.len(), failed: None }
    }

    fn bent(&self, pool: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
        let mut input =
            if pool.is_empty() || chance.one_in(4) { (self.draw)(chance) } else { chance.pick(pool).clone() };
        let times = if chance.one_in(8) { chance.below(16) } else { chance.below(4) };
        for _ in 0..times {
            let other = if pool.is_empty() { &[] } else { chance.pick(pool).as_slice() };
            bend(&mut input, other, self.words, chance);
        }
        if chance.one_in(2) {
            (self.mend)(&mut input);
        }
        input.truncate(self.bytes_max);
        input
    }

    /// The inputs that lie ready, in the order of their names.
    fn corpus(&self) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(self.name);
        let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
            .map_or_else(|_| Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect());
        paths.sort();
        paths.iter().map(|path| fs::read(path).expect("a file of the corpus")).collect()
    }

    fn keep(&self, number: usize, input: &[u8]) {
        if let Some(folder) = std::env::var_os("FUZZ_KEEP") {
            let folder = Path::new(&folder).join(self.name);
            fs::create_dir_all(&folder).expect("FUZZ_KEEP is a directory");
            fs::write(folder.join(format!("{number:04}")), input).expect("what is kept is written");
        }
    }
}

/// In long runs the input at hand stands in a file: what ends the process (a full stack, no memory) leaves it there.
struct Diary(Option<File>);

impl Diary {
    fn open(name: &str) -> Diary {
        Diary(std::env::var_os("FUZZ_SECONDS").map(|_| {
            fs::create_dir_all("target/fuzz").expect("a directory for the input at hand");
            File::create(format!("target/fuzz/{name}-at-hand")).expect("the input at hand is written down")
        }))
    }

    fn write(&self, input: &[u8]) {
        if let Some(file) = &self.0 {
            file.write_all_at(input, 0).expect("the input at hand is written down");
            file.set_len(input.len() as u64).expect("the input at hand is written down");
        }
    }
}

/// Whether a broken reader is noticed within `inputs`: how a target shows that its check can fail.
#[track_caller]
pub fn notices(target: &Target<'_>, inputs: u64) {
    let outcome = target.search(1, &|done| done < inputs);
    assert!(
        outcome.failed.is_some(),
        "{}: the planted defect is not noticed in {} inputs",
        target.name,
        outcome.inputs
    );
}

#[test]
fn the_same_seed_draws_the_same_inputs() {
    let inputs = |seed| {
        let seen = std::cell::RefCell::new(Vec::new());
        let target = Target {
            name: "none",
            bytes_max: 64,
            words: &[b"word"],
            draw: &|chance| chance.bytes(20),
            mend: &|_| (),
            check: &|input| {
                seen.borrow_mut().push(input.to_vec());
                Trace::default().and(input.len() as u64)
            },
        };
        let outcome = target.search(seed, &|done| done < 500);
        assert!(outcome.inputs == 500 && outcome.kinds > 20 && outcome.failed.is_none());
        seen.into_inner()
    };
    assert_eq!(inputs(7), inputs(7));
    assert_ne!(inputs(7), inputs(8));
}
