//! Do holds cost anything while they wait, do they end on time under load, and does a claim notice that they end?

use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Bench;
use super::fill::{self, create};
use super::open_loop::{Latencies, histogram, milliseconds, open, saturation};
use super::outcome::Outcome;
use super::process::{Process, Rank, on_core, path, watch};
use crate::client::Client;
use crate::level::now_ms;

/// Of saturation.
const LOAD: f64 = 0.25;
/// Long enough for all holds to be made before the first one ends.
const HOLD_MS: i64 = 20_000;
/// Before the first deadline the load begins.
const LEAD_MS: i64 = 1_000;
/// Milliseconds between a deadline and its event.
const LATE_PROMISE: f64 = 10.0;
/// Share of a core that waiting holds may cost.
const IDLE_PROMISE: f64 = 0.01;
/// Without load, how long the gate is watched.
const IDLE: Duration = Duration::from_secs(3);

/// Without snapshots, which take their own time.
const OPTIONS: [&str; 6] = ["--sink", "off", "--ledger", "none", "--snapshot-when-journal-exceeds", "0"];

pub fn measure(bench: &Bench) -> Outcome {
    let data = bench.home.path().join("holds");
    let gate = Process::gate(bench, bench.cores.first(), &data, &OPTIONS);
    let mut client = Client::connect(gate.port).unwrap();
    create(&mut client, "saturation");
    let (most, _) =
        on_core(bench.cores.second(), Rank::First, || saturation(gate.port, "saturation", bench.seconds.min(5.0)));
    let rate = most * LOAD;
    let load = |client: &mut Client, campaign: &str, seconds: f64| {
        create(client, campaign);
        let Latencies { answered, .. } =
            on_core(bench.cores.second(), Rank::First, || open(gate.port, campaign, rate, seconds));
        answered
    };
    let idle = || {
        let before = gate.cpu_seconds();
        thread::sleep(IDLE);
        (gate.cpu_seconds() - before) / IDLE.as_secs_f64()
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let (alone, nothing_waits) = (load(&mut client, &format!("alone-{round}"), bench.seconds), idle());
        without.push(figures(&alone, nothing_waits, 0.0, &histogram()));

        let campaign = format!("held-{round}");
        let before = gate.memory_mib("VmRSS");
        assert_eq!(
            client.call(&format!("GATE.CREATE {campaign} LIMIT {} HOLD {HOLD_MS}", u32::MAX)).to_string(),
            "CREATED"
        );
        let (first, last) = hold(&mut client, &campaign, bench.grants);
        let bytes = (gate.memory_mib("VmRSS") - before) * f64::from(1 << 20) / f64::from(bench.grants);
        let waiting = idle();
        assert!(now_ms() + LEAD_MS < first, "the holds were made too slowly: the first ends already");
        thread::sleep(Duration::from_millis((first - LEAD_MS - now_ms()).unsigned_abs()));
        let seconds = (last - first + 2 * LEAD_MS) as f64 / 1000.0;
        let beside = load(&mut client, &format!("beside-{round}"), seconds);
        watch(Duration::from_millis(50), Duration::from_secs(60), "all holds have ended", || {
            (fill::info(&mut client, &campaign, "held") == 0).then_some(())
        });
        with.push(figures(&beside, waiting, bytes, &lateness(bench, &data, &campaign)));
        eprintln!("round {round}: without {:.3?}, with {:.3?}", without.last(), with.last());
    }
    gate.must_run();
    gate.stop();
    let about = format!(
        "holds: {} holds end beside an open loop of {rate:.0} claims/s, {} s a cell without",
        bench.grants, bench.seconds
    );
    let columns =
        ["p50 ms", "p99.9 ms", "longest ms", "idle cores", "bytes a hold", "late p50", "late p99.9", "late max"];
    let mut outcome = Outcome::new(about, &columns);
    outcome.add("without", &without);
    outcome.add("while holds end", &with);
    let idle = outcome.figure("while holds end", "idle cores") - outcome.figure("without", "idle cores");
    outcome.judge(format!("cores that waiting holds cost, at most {IDLE_PROMISE}"), idle, idle <= IDLE_PROMISE);
    let late = outcome.figure("while holds end", "late max");
    outcome.judge(format!("ms after its deadline the latest ends, at most {LATE_PROMISE}"), late, late <= LATE_PROMISE);
    outcome
}

fn figures(answered: &Histogram<u64>, idle: f64, bytes: f64, late: &Histogram<u64>) -> Vec<f64> {
    let of = |quantile| milliseconds(answered, quantile);
    let late_of = |quantile| milliseconds(late, quantile);
    vec![of(0.5), of(0.999), of(1.0), idle, bytes, late_of(0.5), late_of(0.999), late_of(1.0)]
}

/// Makes so many holds; the first and the last deadline.
fn hold(client: &mut Client, campaign: &str, holds: u32) -> (i64, i64) {
    let (mut first, mut last) = (i64::MAX, 0);
    for turn in (0..holds).step_by(1000) {
        let turns = turn..holds.min(turn + 1000);
        let claims: Vec<u8> = turns.clone().flat_map(|turn| fill::claim(campaign, turn)).collect();
        client.stream().write_all(&claims).unwrap();
        for _ in turns {
            let reply = client.read().unwrap().to_string();
            let until = reply.strip_prefix("[HELD ").and_then(|rest| rest.trim_end_matches(']').rsplit(' ').next());
            last = until.and_then(|until| until.parse().ok()).unwrap_or_else(|| panic!("{reply}"));
            first = first.min(last);
        }
    }
    (first, last)
}

/// How long after its deadline each hold of the campaign ended, by the journal.
fn lateness(bench: &Bench, data: &Path, campaign: &str) -> Histogram<u64> {
    let mut dump = std::process::Command::new(&bench.gate);
    let dump = dump.args(["dump", "--json", "--campaign", campaign, &path(data)]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let (mut late, mut deadlines) = (histogram(), vec![0; bench.grants as usize + 1]);
    for line in String::from_utf8(dump.stdout).unwrap().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |field: &str| event[field].as_i64().unwrap();
        match event["what"].as_str() {
            Some("held") => deadlines[number("seat") as usize] = number("until"),
            Some("hold-expired") => {
                let millis = number("at") - deadlines[number("seat") as usize];
                assert!(millis >= 0, "none ends early");
                late.saturating_record(millis.unsigned_abs() * 1000);
            }
            _ => {}
        }
    }
    assert_eq!(late.len(), u64::from(bench.grants), "each hold ends once");
    late
}
