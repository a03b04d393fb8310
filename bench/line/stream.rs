//! How fast does a journal get into Kafka, next to Kafka's own ProducerPerformance with bare records?

use std::path::Path;

use super::outcome::Outcome;
use super::process::{Process, Rank, on_core, path};
use super::topic::{Topic, streaming};
use super::{Bench, fill};
use crate::peers::kafka::{Kafka, libs};

/// The partitions of every topic; each has a campaign of its own.
const PARTITIONS: usize = 3;

/// Of the peer's rate, with our headers.
const PROMISE: f64 = 0.9;

pub fn measure(bench: &Bench) -> Outcome {
    let journal = fill::journal(bench, &fill::campaigns(PARTITIONS as u32));
    let kafka = on_core(bench.cores.first(), Rank::Even, || Kafka::start_for_load(bench.home.path()));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        ours.push(stream(bench, &kafka, &journal));
        theirs.push(producer_performance(bench, &kafka));
        eprintln!("round {round}: stream {:?}, ProducerPerformance {:?}", ours.last(), theirs.last());
    }
    let about = format!("stream: {} grants from a journal into {PARTITIONS} partitions", bench.grants);
    let mut outcome = Outcome::new(about, &["records/s", "us CPU"]);
    outcome.add("stream", &ours);
    outcome.add("ProducerPerformance", &theirs);
    let ratio = outcome.figure("stream", "records/s") / outcome.figure("ProducerPerformance", "records/s");
    outcome.judge(format!("records/s, stream / peer, at least {PROMISE}"), ratio, ratio >= PROMISE);
    outcome
}

/// A gate on a copy of the journal, which finds a topic without a record.
fn stream(bench: &Bench, kafka: &Kafka, journal: &Path) -> Vec<f64> {
    let data = bench.home.path().join("streamed");
    fill::copy(journal, &data);
    let topic = Topic::create(kafka, PARTITIONS);
    let options = streaming(kafka, &topic.name);
    let gate = Process::gate(bench, bench.cores.second(), &data, &options.each_ref().map(String::as_str));
    let growth = topic.watch(bench.grants, &gate);
    drop(gate);
    topic.must_hold_each_user_once(bench.grants);
    std::fs::remove_dir_all(&data).unwrap();
    kafka.delete_topic(&topic.name);
    vec![growth.rate, growth.cpu_us]
}

/// Kafka's own measure of producers: records of eight bytes without key or headers, as safe as ours.
fn producer_performance(bench: &Bench, kafka: &Kafka) -> Vec<f64> {
    let topic = Topic::create(kafka, PARTITIONS);
    let (jars, bootstrap) = (format!("{}/*", path(&libs())), format!("bootstrap.servers={}", kafka.bootstrap()));
    let records = bench.grants.to_string();
    let java = ["java", "-Xms256m", "-Xmx512m", "-cp", &jars, "org.apache.kafka.tools.ProducerPerformance"];
    let what = ["--topic", &topic.name, "--num-records", &records, "--record-size", "8", "--throughput", "-1"];
    let how = ["--command-property", &bootstrap, "acks=all", "enable.idempotence=true", "linger.ms=5"];
    let command = [&java[..], &what, &how].concat().into_iter().map(str::to_owned).collect();
    let producer = Process::start(bench, bench.cores.second(), Rank::Even, command);
    let growth = topic.watch(bench.grants, &producer);
    drop(producer);
    kafka.delete_topic(&topic.name);
    vec![growth.rate, growth.cpu_us]
}
