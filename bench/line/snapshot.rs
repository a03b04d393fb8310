//! Does a claim notice that a snapshot of many grants is made beside it, and how much memory does that take?

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::fill::create;
use super::open_loop::{Latencies, milliseconds, open, saturation};
use super::outcome::Outcome;
use super::process::{Process, Rank, on_core};
use super::{Bench, fill};
use crate::client::Client;
use crate::conversation::Reply;

/// Of saturation.
const LOAD: f64 = 0.5;

/// p99.9 with snapshots next to that without.
const LATENCY_PROMISE: f64 = 1.2;

/// The most memory next to what the state takes by itself.
const MEMORY_PROMISE: f64 = 2.2;

/// A snapshot is made at the pace that its disk is given.
const PATIENCE: Duration = Duration::from_secs(300);

const OPTIONS: [&str; 6] = ["--sink", "off", "--ledger", "none", "--snapshot-when-journal-exceeds", "0"];

pub fn measure(bench: &Bench) -> Outcome {
    let data = fill::journal(bench, &fill::campaigns(1));
    let gate = Process::gate(bench, bench.cores.first(), &data, &OPTIONS);
    let mut client = Client::connect(gate.port).unwrap();
    create(&mut client, "saturation");
    let (most, _) =
        on_core(bench.cores.second(), Rank::First, || saturation(gate.port, "saturation", bench.seconds.min(5.0)));
    let rate = most * LOAD;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut made = 0;
    gate.forget_peak();
    for round in 0..bench.rounds {
        for saves in [false, true] {
            let campaign = format!("round-{round}-{saves}");
            create(&mut client, &campaign);
            let load =
                || on_core(bench.cores.second(), Rank::First, || open(gate.port, &campaign, rate, bench.seconds));
            let Latencies { answered, late, .. } = if saves {
                let (latencies, snapshots) = beside_snapshots(gate.port, load);
                made += snapshots;
                latencies
            } else {
                load()
            };
            let of = |quantile| milliseconds(&answered, quantile);
            let figures = vec![rate, of(0.5), of(0.99), of(0.999), milliseconds(&late, 0.999)];
            eprintln!("round {round}, snapshots {saves}: {figures:.2?}");
            if saves { with.push(figures) } else { without.push(figures) }
        }
    }
    let peak = gate.memory_mib("VmHWM");
    // With all the grants of all rounds.
    let state = gate.memory_mib("VmRSS");
    gate.must_run();
    gate.stop();
    let about = format!(
        "snapshot: {} grants to begin with ({state:.0} MiB in the end, at most {peak:.0} MiB), an open loop at half of saturation, {} s a \
         cell, {made} snapshots",
        bench.grants, bench.seconds
    );
    let mut outcome = Outcome::new(about, &["claims/s", "p50 ms", "p99 ms", "p99.9 ms", "late p99.9"]);
    outcome.add("without", &without);
    outcome.add("with snapshots", &with);
    let p999 = |what| outcome.figure(what, "p99.9 ms");
    let ratio = p999("with snapshots") / p999("without");
    outcome.judge(format!("p99.9 with / without, at most {LATENCY_PROMISE}"), ratio, ratio <= LATENCY_PROMISE);
    let memory = peak / state;
    outcome.judge(format!("memory at most {MEMORY_PROMISE} x the state"), memory, memory <= MEMORY_PROMISE);
    outcome
}

/// Does `work` while one snapshot after the other is made; how many there were.
fn beside_snapshots<T>(port: u16, work: impl FnOnce() -> T) -> (T, u32) {
    let (done, made) = (AtomicBool::new(false), AtomicU32::new(0));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Client::connect(port).unwrap();
            client.stream().set_read_timeout(Some(PATIENCE)).unwrap();
            while !done.load(Ordering::Acquire) {
                assert_eq!(client.call("SAVE"), Reply::Status("OK".to_owned()));
                made.fetch_add(1, Ordering::AcqRel);
            }
        });
        let result = work();
        done.store(true, Ordering::Release);
        result
    });
    (result, made.load(Ordering::Acquire))
}
