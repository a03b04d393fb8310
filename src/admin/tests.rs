//! A running admin port, asked over a real socket; its text read by a strict parser that shares nothing with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

use super::*;
use crate::ids::{Lsn, Millis};
use crate::metrics::CampaignFigures;
use crate::snapshots::Snapshot;

struct Gate {
    figures: Arc<Figures>,
    watermarks: Arc<Watermarks>,
    admin: AdminHandle,
}

fn gate(still_max: Duration, ledger: bool) -> Gate {
    let (figures, watermarks) = (Arc::<Figures>::default(), Arc::<Watermarks>::default());
    let stream = ledger;
    let options = Options { still_max, stream, ..Options::new(SocketAddr::from(([127, 0, 0, 1], 0)), ledger) };
    let admin = start(options, Arc::clone(&figures), Arc::clone(&watermarks)).unwrap();
    Gate { figures, watermarks, admin }
}

/// Status code, head and body.
fn ask(gate: &Gate, path: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(gate.admin.address()).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
}

fn scrape(gate: &Gate) -> BTreeMap<String, f64> {
    let (status, head, body) = ask(gate, "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    parse(&body)
}

#[test]
fn every_figure_is_there_under_its_promised_name() {
    let gate = gate(STILL_MAX, true);
    let spring = CampaignFigures {
        granted: 57,
        remaining: 40,
        held: 3,
        claims: 100,
        refused_soldout: 1,
        refused_already: 2,
        refused_notopen: 3,
        refused_closed: 4,
    };
    gate.figures.campaigns.insert("spring".into(), spring);
    gate.figures.commands.insert("gate.claim", 67);
    gate.figures.connected_clients.set(3);
    gate.figures.journal_bytes.set(64 << 20);
    gate.figures.clock_ahead_ms.set(-1500);
    gate.figures.ledger_rows.set(40);
    let figures = &gate.figures;
    figures.ready.store(true, Ordering::Release);
    figures.kafka_trouble.set("kafka: it is away");
    let pipeline = [
        (&figures.kafka_records, 41),
        (&figures.kafka_in_flight, 42),
        (&figures.kafka_duplicates, 43),
        (&figures.foreign_records, 44),
        (&figures.dead_letters, 45),
        (&figures.ledger_duplicates, 46),
        (&figures.ledger_lag, 47),
        (&figures.ledger_pace, 48),
        (&figures.ledger_drain_seconds, 49),
        (&figures.ledger_paused, 1),
    ];
    pipeline.into_iter().for_each(|(figure, value)| figure.set(value));
    let marks = &gate.watermarks;
    for (mark, lsn) in [(&marks.applied, 10), (&marks.durable, 9), (&marks.published, 8), (&marks.stored, 7)] {
        mark.advance(Lsn::new(lsn));
    }
    marks.snapshots.begin(Millis(1_000_000));
    marks.snapshots.failed("no room");
    marks.snapshots.begin(Millis(2_000_000));
    marks.snapshots.succeeded(Snapshot { lsn: Lsn::new(6), bytes: 4096, at: Millis(2_001_500) });
    marks.snapshots.request(Lsn::new(9));
    metrics::histogram!("coupon_gate_fsync_seconds").record(0.0003);
    metrics::histogram!("coupon_gate_commit_batch_events").record(100.0);
    gate.figures.command_seconds.add(1500, 3);
    gate.figures.command_seconds.add(20_000_000, 1);
    metrics::histogram!("coupon_gate_ledger_commit_seconds").record(0.004);

    let found = scrape(&gate);
    let expected = [
        ("coupon_gate_granted_total{campaign=\"spring\"}", 57.0),
        ("coupon_gate_held{campaign=\"spring\"}", 3.0),
        ("coupon_gate_remaining{campaign=\"spring\"}", 40.0),
        ("coupon_gate_refused_total{campaign=\"spring\",reason=\"soldout\"}", 1.0),
        ("coupon_gate_refused_total{campaign=\"spring\",reason=\"already\"}", 2.0),
        ("coupon_gate_refused_total{campaign=\"spring\",reason=\"notopen\"}", 3.0),
        ("coupon_gate_refused_total{campaign=\"spring\",reason=\"closed\"}", 4.0),
        ("coupon_gate_commands_total{command=\"gate.claim\"}", 67.0),
        ("coupon_gate_lsn{stage=\"applied\"}", 10.0),
        ("coupon_gate_lsn{stage=\"staged\"}", 0.0),
        ("coupon_gate_lsn{stage=\"durable\"}", 9.0),
        ("coupon_gate_lsn{stage=\"published\"}", 8.0),
        ("coupon_gate_lsn{stage=\"stored\"}", 7.0),
        ("coupon_gate_connected_clients", 3.0),
        ("coupon_gate_journal_bytes", 67_108_864.0),
        ("coupon_gate_clock_offset_seconds", -1.5),
        ("coupon_gate_oldest_unstored_seconds", 0.0),
        ("coupon_gate_ledger_rows_total", 40.0),
        ("coupon_gate_stale", 0.0),
        ("coupon_gate_ready", 1.0),
        ("coupon_gate_trouble{part=\"journal\"}", 0.0),
        ("coupon_gate_trouble{part=\"snapshot\"}", 0.0),
        ("coupon_gate_snapshot_in_progress", 1.0),
        ("coupon_gate_snapshot_failures_total", 1.0),
        ("coupon_gate_snapshots_total", 1.0),
        ("coupon_gate_snapshot_seconds", 1.5),
        ("coupon_gate_snapshot_lsn", 6.0),
        ("coupon_gate_snapshot_bytes", 4096.0),
        ("coupon_gate_snapshot_timestamp_seconds", 2001.5),
        ("coupon_gate_trouble{part=\"kafka\"}", 1.0),
        ("coupon_gate_trouble{part=\"ledger\"}", 0.0),
        ("coupon_gate_oldest_unpublished_seconds", 0.0),
        ("coupon_gate_kafka_records_total", 41.0),
        ("coupon_gate_kafka_in_flight", 42.0),
        ("coupon_gate_kafka_duplicates_total", 43.0),
        ("coupon_gate_foreign_records_total", 44.0),
        ("coupon_gate_dead_letters_total", 45.0),
        ("coupon_gate_ledger_duplicates_total", 46.0),
        ("coupon_gate_ledger_lag", 47.0),
        ("coupon_gate_ledger_pace", 48.0),
        ("coupon_gate_ledger_drain_seconds", 49.0),
        ("coupon_gate_ledger_paused", 1.0),
        ("coupon_gate_build_info{version=\"0.1.0\"}", 1.0),
        ("coupon_gate_command_seconds_bucket{le=\"0.001\"}", 0.0),
        ("coupon_gate_command_seconds_bucket{le=\"0.002\"}", 3.0),
        ("coupon_gate_command_seconds_bucket{le=\"10\"}", 3.0),
        ("coupon_gate_command_seconds_bucket{le=\"+Inf\"}", 4.0),
        ("coupon_gate_command_seconds_sum", 20.0045),
        ("coupon_gate_command_seconds_count", 4.0),
    ];
    for (series, value) in expected {
        assert_eq!(found.get(series), Some(&value), "{series} in {found:#?}");
    }
    // Other tests of this process record into the same histograms.
    for name in ["fsync_seconds", "commit_batch_events", "ledger_commit_seconds"] {
        assert!(found[&format!("coupon_gate_{name}_count")] >= 1.0, "{name}");
    }
}

#[test]
fn counters_follow_and_a_campaign_that_is_gone_leaves_no_series() {
    let gate = gate(STILL_MAX, false);
    let series = "coupon_gate_granted_total{campaign=\"spring\"}";
    for granted in [1, 5] {
        gate.figures.campaigns.insert("spring".into(), CampaignFigures { granted, ..CampaignFigures::default() });
        assert_eq!(scrape(&gate)[series], f64::from(u32::try_from(granted).unwrap()));
    }
    gate.figures.campaigns.remove("spring");
    assert!(!scrape(&gate).contains_key(series));
    for stage in ["stored", "published"] {
        let series = format!("coupon_gate_lsn{{stage=\"{stage}\"}}");
        assert!(!scrape(&gate).contains_key(&series), "nothing is {stage} where nobody does it");
    }
}

#[test]
fn labels_are_escaped() {
    let gate = gate(STILL_MAX, false);
    let odd = "a\\b\"c\nd\\\"{}-,=";
    gate.figures.campaigns.insert(odd.into(), CampaignFigures::default());
    let found = scrape(&gate);
    let escaped = "a\\\\b\\\"c\\nd\\\\\\\"{}-,=";
    assert!(found.contains_key(&format!("coupon_gate_remaining{{campaign=\"{escaped}\"}}")), "{found:#?}");
}

#[test]
fn the_age_of_the_oldest_waiting_grant_is_told() {
    let (figures, watermarks) = (Arc::<Figures>::default(), Arc::default());
    figures.oldest_unstored_at.set(1_000_000);
    figures.oldest_unpublished_at.set(1_001_000);
    figures.clock_ahead_ms.set(500);
    let exposition = Exposition::new(Arc::clone(&figures), watermarks, true, true);
    let age = |wall, what| parse(&exposition.text(wall))[&format!("coupon_gate_oldest_{what}_seconds")];
    assert_eq!((age(1_002_000, "unstored"), age(1_002_000, "unpublished")), (2.5, 1.5));
    assert_eq!((age(900_000, "unstored"), age(900_000, "unpublished")), (0.0, 0.0), "never from the future");
}

#[test]
fn health_follows_the_turns_of_the_loop() {
    let gate = gate(Duration::from_millis(1), false);
    assert_eq!(ask(&gate, "/healthz").0, 200, "the journal is being replayed");
    gate.figures.last_turn.set(1);
    let fails = (0..10_000).map(|_| ask(&gate, "/healthz")).find(|answer| answer.0 == 503);
    assert!(fails.expect("a loop that stands still is noticed").2.starts_with("the event loop has not turned for "));
    let mut turns = (2..10_000).map(|turn| {
        gate.figures.last_turn.set(turn);
        ask(&gate, "/healthz").0
    });
    assert!(turns.any(|status| status == 200), "it turns again");
}

#[test]
fn readiness_follows_replay_and_age_and_nothing_else() {
    let gate = gate(STILL_MAX, true);
    let loading = &gate.figures.loading;
    loading.on.store(true, Ordering::Release);
    let told = [
        ((0, 0, 0), "the journal is being opened"),
        ((0, 1 << 40, 0), "the journal is being replayed: 0.0 % of 1099511627776 bytes, lsn 0"),
        ((437, 1000, 99), "the journal is being replayed: 43.7 % of 1000 bytes, lsn 99"),
        (
            (1000, 1000, 120),
            "the journal is read up to lsn 120; a fresh segment is made, and Kafka is asked whether it is ahead",
        ),
    ];
    for ((loaded, total, lsn), why) in told {
        loading.bytes_loaded.set(loaded);
        loading.bytes_total.set(total);
        loading.lsn.set(lsn);
        let (status, _, body) = ask(&gate, "/readyz");
        assert_eq!((status, body), (503, format!("not ready: {why}\n")));
    }
    loading.on.store(false, Ordering::Release);
    assert!(ask(&gate, "/readyz").2.contains("starting"));
    gate.figures.last_turn.set(1);
    gate.figures.ready.store(true, Ordering::Release);
    gate.figures.journal_trouble.set("no room");
    gate.figures.ledger_trouble.set("locked");
    gate.figures.kafka_trouble.set("away");
    assert_eq!(ask(&gate, "/readyz").0, 200);
    gate.figures.set_stale("the ledger holds more");
    let (status, _, body) = ask(&gate, "/readyz");
    assert_eq!((status, body.as_str()), (503, "not ready: STALE the ledger holds more\n"));
    assert_eq!(ask(&gate, "/healthz").0, 200, "another process would be no younger");
    assert_eq!(scrape(&gate)["coupon_gate_stale"], 1.0);
    gate.figures.ready.store(false, Ordering::Release);
    assert!(ask(&gate, "/readyz").2.contains("stopping"));
    assert_eq!(ask(&gate, "/nothing").0, 404);
}

#[test]
fn a_port_in_use_is_named() {
    let first = gate(STILL_MAX, false);
    let listen = first.admin.address();
    let error = start(Options::new(listen, false), Arc::default(), Arc::default()).unwrap_err();
    let line = error.to_string();
    assert!(line.contains(&listen.to_string()) && line.contains("in use") && line.contains("--admin"), "{line}");
}

/// The text format 0.0.4 as its specification words it: every family described and typed once, before its samples and
/// in one piece; no series twice; histograms cumulative and complete. Answers value by series.
fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'), "the last line ends");
    let (mut series, mut types) = (BTreeMap::new(), BTreeMap::new());
    let (mut helped, mut closed, mut family) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').expect("a help text");
            assert!(helped.insert(name.to_owned()), "HELP twice: {line}");
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name), "described before it is typed: {line}");
            assert!(closed.insert(std::mem::replace(&mut family, name.to_owned())), "in one piece: {line}");
            assert!(
                !closed.contains(name) && types.insert(name.to_owned(), kind.to_owned()).is_none(),
                "twice: {line}"
            );
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            let name = check_sample(sample);
            let own = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let of_histogram = types[&family] == "histogram" && own == Some(&family);
            assert!(name == family || of_histogram, "below its own TYPE: {line}");
            assert!(name.starts_with("coupon_gate_"), "{line}");
            assert_eq!(types[&family] == "counter", name.ends_with("_total"), "counters end in _total: {line}");
            assert!(series.insert(sample.to_owned(), value.parse().expect(line)).is_none(), "twice: {line}");
        }
    }
    for (name, _) in types.iter().filter(|(_, kind)| *kind == "histogram") {
        check_histogram(name, text, &series);
    }
    series
}

/// Checks `name` or `name{label="value",...}`; answers the name.
fn check_sample(sample: &str) -> &str {
    let word = |word: &str| {
        let fits = word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        assert!(fits && !word.is_empty() && !word.as_bytes()[0].is_ascii_digit(), "{word} in {sample}");
    };
    let Some((name, labels)) = sample.split_once('{') else {
        word(sample);
        return sample;
    };
    word(name);
    let mut rest = labels.strip_suffix('}').expect("closed labels");
    loop {
        let (key, after) = rest.split_once("=\"").expect("a quoted value");
        word(key);
        let mut bytes = after.bytes().enumerate();
        let end = loop {
            match bytes.next().expect("a closing quote") {
                (at, b'"') => break at,
                (_, b'\\') => assert!(b"\\\"n".contains(&bytes.next().expect("an escape").1), "{sample}"),
                (_, byte) => assert_ne!(byte, b'\n'),
            }
        };
        match &after[end + 1..] {
            "" => return name,
            more => rest = more.strip_prefix(',').expect("a comma between labels"),
        }
    }
}

fn check_histogram(name: &str, text: &str, series: &BTreeMap<String, f64>) {
    let prefix = format!("{name}_bucket{{le=\"");
    let bounds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(&prefix)?.split('"').next()).collect();
    let number = |bound: &str| if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a bound") };
    assert!(bounds.windows(2).all(|pair| number(pair[0]) < number(pair[1])), "bounds rise: {bounds:?}");
    assert_eq!(bounds.last(), Some(&"+Inf"));
    let counts: Vec<f64> = bounds.iter().map(|bound| series[&format!("{prefix}{bound}\"}}")]).collect();
    assert!(counts.windows(2).all(|pair| pair[0] <= pair[1]), "cumulative: {counts:?}");
    assert_eq!(counts.last(), series.get(&format!("{name}_count")));
    assert!(series.contains_key(&format!("{name}_sum")));
}
