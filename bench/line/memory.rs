//! Does memory stay flat while many grants drain, through the gate into Kafka and through the sink into MariaDB?

use std::time::Duration;

use super::outcome::Outcome;
use super::process::{Process, Rank, on_core, watch};
use super::sink::{MARIADB, UNPACED};
use super::topic::{Topic, streaming};
use super::{Bench, fill, sink};
use crate::peers::kafka::Kafka;
use crate::peers::mariadb::MariaDb;

/// What may come on top between the first tenth and the end: buffers that fill only now and then.
const PROMISE_MIB: f64 = 32.0;

pub fn measure(bench: &Bench) -> Outcome {
    let journal = fill::journal(bench, &fill::campaigns(1));
    let kafka = on_core(bench.cores.second(), Rank::Even, || Kafka::start_for_load(bench.home.path()));
    let topic = Topic::create(&kafka, 1);
    let options = streaming(&kafka, &topic.name);
    let gate = Process::gate(bench, bench.cores.first(), &journal, &options.each_ref().map(String::as_str));
    let of_gate = drain(bench, &gate, || gate.metric("coupon_gate_kafka_records_total").unwrap_or(0.0));
    gate.stop();

    let mariadb = on_core(bench.cores.first(), Rank::Even, || MariaDb::start_with(bench.home.path(), MARIADB));
    let ledger = mariadb.database();
    let of_sink = {
        let sink = sink::start(bench, Rank::Even, &kafka, &topic, &ledger, UNPACED);
        let memory = drain(bench, &sink, || sink::stored(&sink));
        sink.stop();
        memory
    };
    sink::must_hold_each_user_once(&ledger, bench.grants);

    let about = format!("memory: {} grants drain", bench.grants);
    let mut outcome = Outcome::new(about, &["MiB at 10 %", "peak after", "MiB at end"]);
    for (what, memory) in [("gate, into Kafka", of_gate), ("sink, into MariaDB", of_sink)] {
        let more = memory[1] - memory[0];
        outcome.add(what, &[memory]);
        outcome.judge(format!("{what}: MiB more than at 10 %, at most {PROMISE_MIB}"), more, more <= PROMISE_MIB);
    }
    outcome
}

/// Waits until all is drained: memory after a tenth, its peak from there on, memory at the end, in MiB.
fn drain(bench: &Bench, process: &Process, done: impl Fn() -> f64) -> Vec<f64> {
    let mut tenth = None;
    watch(Duration::from_millis(50), Duration::from_secs(3600), "the drain", || {
        process.must_run();
        let share = done() / f64::from(bench.grants);
        if share >= 0.1 && tenth.is_none() {
            process.forget_peak();
            tenth = Some(process.memory_mib("VmRSS"));
        }
        let tenth = tenth?;
        (share >= 1.0).then(|| vec![tenth, process.memory_mib("VmHWM"), process.memory_mib("VmRSS")])
    })
}
