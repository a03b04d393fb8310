//! The table: both servers side by side, medians over the rounds.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::Options;
use super::generator::Measured;
use super::servers::Mode;

/// One measurement of one server.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Operations a second.
    pub rate: f64,
    /// The server's user and system time for one operation, in microseconds.
    pub cpu_us: f64,
}

impl Cell {
    /// From what was measured and the server's own processor time.
    #[expect(clippy::cast_precision_loss, reason = "three digits are told")]
    pub fn new(measured: &Measured, cpu_seconds: f64) -> Cell {
        let operations = measured.operations as f64;
        Cell { rate: operations / measured.seconds, cpu_us: cpu_seconds * 1e6 / operations }
    }
}

/// One server's measurements of one kind, one for each round.
#[derive(Clone, Debug, Default)]
pub struct Side(Vec<Cell>);

impl Side {
    /// One more round.
    pub fn push(&mut self, cell: Cell) {
        self.0.push(cell);
    }

    /// The median of all rounds, of each figure by itself.
    pub fn median(&self) -> Cell {
        let middle = |figure: fn(&Cell) -> f64| {
            let mut figures: Vec<_> = self.0.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            let half = figures.len() / 2;
            if figures.len().is_multiple_of(2) {
                f64::midpoint(figures[half - 1], figures[half])
            } else {
                figures[half]
            }
        };
        Cell { rate: middle(|cell| cell.rate), cpu_us: middle(|cell| cell.cpu_us) }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub what: &'static str,
    pub mode: Mode,
    pub pipeline: u32,
    pub gate: Side,
    pub redis: Side,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (gate, redis) = (self.gate.median(), self.redis.median());
        let mut row = serializer.serialize_struct("Row", 9)?;
        row.serialize_field("appendfsync", &self.mode)?;
        row.serialize_field("what", &self.what)?;
        row.serialize_field("pipeline", &self.pipeline)?;
        row.serialize_field("gate_ops_per_second", &gate.rate)?;
        row.serialize_field("redis_ops_per_second", &redis.rate)?;
        row.serialize_field("speed_ratio", &(gate.rate / redis.rate))?;
        row.serialize_field("gate_cpu_us", &gate.cpu_us)?;
        row.serialize_field("redis_cpu_us", &redis.cpu_us)?;
        // Null where the peer's time is too short to be counted.
        row.serialize_field("cpu_ratio", &Some(gate.cpu_us / redis.cpu_us).filter(|ratio| ratio.is_finite()))?;
        row.end()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gate, redis) = (self.gate.median(), self.redis.median());
        write!(
            f,
            "{:<9}{:<9}{:>5}{:>12}{:>9.2}{:>14}{:>9.2}{:>10.2}x{:>8.2}x",
            self.mode.name(),
            self.what,
            self.pipeline,
            rate(gate.rate),
            gate.cpu_us,
            rate(redis.rate),
            redis.cpu_us,
            gate.rate / redis.rate,
            gate.cpu_us / redis.cpu_us
        )
    }
}

/// All that was measured. `Display` is the table.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The peer and its version.
    pub peer: String,
    seats: u32,
    seconds: f64,
    rounds: u32,
    cores: String,
    /// The lines.
    pub rows: Vec<Row>,
}

impl Outcome {
    /// Nothing measured yet.
    pub fn new(options: &Options) -> Outcome {
        let cores = options.cores.0;
        Outcome {
            peer: String::new(),
            seats: options.seats,
            seconds: options.seconds,
            rounds: options.rounds,
            cores: cores
                .map_or("unpinned".to_string(), |(server, load)| format!("servers on core {server}, load on {load}")),
            rows: Vec::new(),
        }
    }

    /// One JSON object on one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("an outcome is plain numbers and texts")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { peer, seats, seconds, rounds, cores, .. } = self;
        writeln!(f, "coupon-gate next to {peer}: {cores}; medians of {rounds}; {seconds} s a cell; {seats} seats\n")?;
        writeln!(f, "{:<23}{:>21}{:>23}{:>19}", "", "coupon-gate", peer, "gate / redis")?;
        writeln!(
            f,
            "{:<9}{:<9}{:>5}{:>12}{:>9}{:>14}{:>9}{:>11}{:>9}",
            "fsync", "what", "P", "ops/s", "us CPU", "ops/s", "us CPU", "speed", "CPU"
        )?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

/// Thousands set apart, rounded to three digits: the rest is noise.
fn rate(rate: f64) -> String {
    match rate {
        1e6.. => format!("{:.2} M", rate / 1e6),
        1e3.. => format!("{:.1} k", rate / 1e3),
        _ => format!("{rate:.0}"),
    }
}
