//! Does a claim notice what happens to Kafka and MariaDB? An open loop at a quarter of saturation, in every state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::fill::{create, info};
use super::open_loop::{Latencies, milliseconds, open, saturation};
use super::outcome::Outcome;
use super::process::{Process, Rank, on_core, watch};
use super::topic::Topic;
use super::{Bench, sink};
use crate::client::Client;
use crate::peers::both;
use crate::peers::kafka::Kafka;
use crate::peers::mariadb::{Database, MariaDb};

/// Of saturation.
const LOAD: f64 = 0.25;

/// Above the worse of the two runs with healthy peers.
const PROMISE: f64 = 1.1;

/// How long a gate may take until the ledger has what was claimed while a peer was away.
const CATCH_UP: Duration = Duration::from_secs(600);

/// Slow peers stand for so long, then run for so long.
const STAND: Duration = Duration::from_millis(200);
const RUN: Duration = Duration::from_millis(50);

/// What the peers are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    /// The measure of all others
    Healthy,
    /// Killed, and not there
    KafkaDown,
    /// SIGSTOP: connected, and silent
    KafkaStopped,
    /// SIGSTOP most of the time
    KafkaSlow,
    /// The measure of all others, once more
    HealthyAgain,
    /// Killed, and not there
    MariadbDown,
    /// SIGSTOP: connected, and silent
    MariadbStopped,
    /// SIGSTOP most of the time
    MariadbSlow,
    /// SIGSTOP of both at once, most of the time
    BothSlow,
}

const STATES: [(State, &str); 9] = [
    (State::Healthy, "both healthy"),
    (State::KafkaDown, "Kafka down"),
    (State::KafkaStopped, "Kafka stopped"),
    (State::KafkaSlow, "Kafka slow"),
    (State::HealthyAgain, "both healthy, again"),
    (State::MariadbDown, "MariaDB down"),
    (State::MariadbStopped, "MariaDB stopped"),
    (State::MariadbSlow, "MariaDB slow"),
    (State::BothSlow, "both slow"),
];

impl State {
    /// What the others are measured by: asked for or not, it is measured.
    fn is_healthy(self) -> bool {
        matches!(self, State::Healthy | State::HealthyAgain)
    }

    fn slows_kafka(self) -> bool {
        matches!(self, State::KafkaSlow | State::BothSlow)
    }

    fn slows_mariadb(self) -> bool {
        matches!(self, State::MariadbSlow | State::BothSlow)
    }
}

/// A gate between its peers.
struct World<'a> {
    bench: &'a Bench,
    kafka: Kafka,
    mariadb: MariaDb,
}

pub fn measure(bench: &Bench) -> Outcome {
    let (kafka, mariadb) = on_core(bench.cores.second(), Rank::Back, || both(bench.home.path()));
    let mut world = World { bench, kafka, mariadb };
    let asked = |state: &State| bench.states.is_empty() || bench.states.contains(state);
    let states: Vec<_> = STATES.into_iter().filter(|(state, _)| state.is_healthy() || asked(state)).collect();
    let mut rounds = vec![Vec::new(); states.len()];
    let mut rate = None;
    for round in 0..bench.rounds as usize {
        // A journal and a ledger of its own for each round: none grows beyond what a round needs.
        let topic = Topic::create(&world.kafka, 3);
        let ledger = world.mariadb.database();
        let data = bench.journal_home.path().join("claims");
        let bootstrap = world.kafka.bootstrap();
        let topics = ["--kafka-topic", &topic.name, "--kafka-cancel-topic", "none"];
        let options = [&topics[..], &["--kafka-brokers", &bootstrap, "--ledger", &ledger.url]].concat();
        let gate = Process::gate(bench, bench.cores.first(), &data, &options);
        let rate = *rate.get_or_insert_with(|| world.saturation(&gate) * LOAD);
        for turn in 0..states.len() {
            // Another state is the first in each round.
            let at = (turn + round * 2) % states.len();
            let figures = world.cell(&gate, &ledger, states[at], rate);
            eprintln!("round {round}: {}: {figures:.2?}", states[at].1);
            rounds[at].push(figures);
        }
        gate.stop();
        std::fs::remove_dir_all(&data).unwrap();
        world.kafka.delete_topic(&topic.name);
        ledger.execute(&format!("DROP DATABASE {}", ledger.name));
    }
    let about = format!("claims: an open loop at a quarter of saturation, {} s a cell", bench.seconds);
    let mut outcome = Outcome::new(about, &["claims/s", "p50 ms", "p99 ms", "p99.9 ms", "late p99 ms"]);
    for ((_, what), rounds) in states.iter().zip(&rounds) {
        outcome.add(what, rounds);
    }
    let p99 = |what: &str| outcome.figure(what, "p99 ms");
    let worse = p99("both healthy").max(p99("both healthy, again"));
    let others = states.iter().filter(|(state, _)| !state.is_healthy());
    let ratios: Vec<_> = others.map(|(_, what)| (*what, p99(what) / worse)).collect();
    for (what, ratio) in ratios {
        outcome.judge(format!("{what}: p99 / the worse healthy one, at most {PROMISE}"), ratio, ratio <= PROMISE);
    }
    outcome
}

impl World<'_> {
    fn saturation(&self, gate: &Process) -> f64 {
        let mut client = Client::connect(gate.port).unwrap();
        create(&mut client, "saturation");
        let measured = || saturation(gate.port, "saturation", self.bench.seconds.min(5.0));
        let (rate, claims) = on_core(self.bench.cores.second(), Rank::First, measured);
        eprintln!("saturation: {rate:.0} claims/s");
        caught_up(&mut client, "saturation", claims);
        rate
    }

    /// One state: claims in a campaign of their own while it lasts; then the ledger catches up.
    fn cell(&mut self, gate: &Process, ledger: &Database, (state, what): (State, &str), rate: f64) -> Vec<f64> {
        let mut client = Client::connect(gate.port).unwrap();
        let campaign = format!("{state:?}");
        create(&mut client, &campaign);
        self.enter(state);
        let load = || open(gate.port, &campaign, rate, self.bench.seconds);
        let Latencies { answered, late, claims } =
            on_core(self.bench.cores.second(), Rank::First, || self.slowed(state, load));
        assert_eq!(info(&mut client, &campaign, "granted"), u64::from(claims), "{what}: as the gate tells it");
        self.leave(state);
        caught_up(&mut client, &campaign, claims);
        sink::must_hold_each_seat_once(ledger, &campaign, claims);
        let of = |quantile| milliseconds(&answered, quantile);
        vec![rate, of(0.5), of(0.99), of(0.999), milliseconds(&late, 0.99)]
    }

    fn enter(&mut self, state: State) {
        match state {
            State::Healthy | State::HealthyAgain | State::KafkaSlow | State::MariadbSlow | State::BothSlow => {}
            State::KafkaDown => self.kafka.kill(),
            State::KafkaStopped => self.kafka.freeze(),
            State::MariadbDown => self.mariadb.kill(),
            State::MariadbStopped => self.mariadb.freeze(),
        }
    }

    fn leave(&mut self, state: State) {
        let core = self.bench.cores.second();
        match state {
            State::Healthy | State::HealthyAgain | State::KafkaSlow | State::MariadbSlow | State::BothSlow => {}
            State::KafkaDown => on_core(core, Rank::Back, || self.kafka.restart()),
            State::KafkaStopped => self.kafka.thaw(),
            State::MariadbDown => on_core(core, Rank::Back, || self.mariadb.restart()),
            State::MariadbStopped => self.mariadb.thaw(),
        }
    }

    /// Does `work` while the peers that the state slows stand most of the time.
    fn slowed<T>(&self, state: State, work: impl FnOnce() -> T) -> T {
        if !state.slows_kafka() && !state.slows_mariadb() {
            return work();
        }
        let done = AtomicBool::new(false);
        let stand_and_run = || {
            while !done.load(Ordering::Acquire) {
                if state.slows_kafka() {
                    self.kafka.freeze();
                }
                if state.slows_mariadb() {
                    self.mariadb.freeze();
                }
                thread::sleep(STAND);
                if state.slows_kafka() {
                    self.kafka.thaw();
                }
                if state.slows_mariadb() {
                    self.mariadb.thaw();
                }
                thread::sleep(RUN);
            }
        };
        thread::scope(|scope| {
            scope.spawn(stand_and_run);
            let result = work();
            done.store(true, Ordering::Release);
            result
        })
    }
}

/// Waits until the ledger has all that a campaign granted.
fn caught_up(client: &mut Client, campaign: &str, claims: u32) {
    watch(Duration::from_millis(100), CATCH_UP, &format!("{campaign} is in the ledger"), || {
        (info(client, campaign, "stored") == u64::from(claims)).then_some(())
    });
}
