//! Claims at a fixed rate, whatever the answers do: each counts from the moment it was meant to be sent, so that a gate
//! that stands still for a while pays for every claim of that while.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::fill::claim;

/// The connections, as in `redis-benchmark`.
const CONNECTIONS: u32 = 50;

/// A gate that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(60);

/// What an open loop found.
#[derive(Debug)]
pub struct Latencies {
    /// From the intended time of sending to the answer, in microseconds.
    pub answered: Histogram<u64>,
    /// From the intended time of sending to the sending: what of that is our own.
    pub late: Histogram<u64>,
    /// Claims sent and granted.
    pub claims: u32,
}

/// How many claims a second the same connections get answered when each sends the next as soon as it has the last
/// answer; and how many that were.
pub fn saturation(port: u16, campaign: &str, seconds: f64) -> (f64, u32) {
    let started = Instant::now();
    let shoot = |connection: u32| {
        let (mut stream, mut answers) = connect(port);
        let mut seats = Vec::new();
        for turn in (connection..).step_by(CONNECTIONS as usize) {
            if started.elapsed().as_secs_f64() >= seconds {
                break;
            }
            stream.write_all(&claim(campaign, turn)).unwrap();
            seats.push(seat(&mut answers));
        }
        seats
    };
    let seats: Vec<u32> = thread::scope(|scope| {
        let shooters: Vec<_> = (0..CONNECTIONS).map(|connection| scope.spawn(move || shoot(connection))).collect();
        shooters.into_iter().flat_map(|shooter| shooter.join().unwrap()).collect()
    });
    let rate = seats.len() as f64 / started.elapsed().as_secs_f64();
    must_be_each_once(&seats);
    (rate, seats.len() as u32)
}

/// Sends `rate` claims a second for so long; each of them must be granted a seat of its own.
pub fn open(port: u16, campaign: &str, rate: f64, seconds: f64) -> Latencies {
    let each = ((rate * seconds) as u32 / CONNECTIONS).max(1);
    let (mut streams, answers): (Vec<_>, Vec<_>) = (0..CONNECTIONS).map(|_| connect(port)).unzip();
    let started = Instant::now() + Duration::from_millis(100);
    let due = |turn: u32| started + Duration::from_secs_f64(f64::from(turn) / rate);
    let read = |connection: u32, mut answers: BufReader<TcpStream>| {
        let (mut answered, mut seats) = (histogram(), Vec::new());
        for turn in (connection..).step_by(CONNECTIONS as usize).take(each as usize) {
            seats.push(seat(&mut answers));
            answered.saturating_record(since(due(turn)));
        }
        (answered, seats)
    };
    thread::scope(|scope| {
        let readers = (0..CONNECTIONS).zip(answers).map(|(connection, answers)| {
            let read = &read;
            scope.spawn(move || read(connection, answers))
        });
        let readers: Vec<_> = readers.collect();
        let mut late = histogram();
        for turn in 0..each * CONNECTIONS {
            thread::sleep(due(turn).saturating_duration_since(Instant::now()));
            late.saturating_record(since(due(turn)));
            streams[(turn % CONNECTIONS) as usize].write_all(&claim(campaign, turn)).unwrap();
        }
        let (mut answered, mut seats) = (histogram(), Vec::new());
        for reader in readers {
            let (histogram, some) = reader.join().unwrap();
            answered += histogram;
            seats.extend(some);
        }
        must_be_each_once(&seats);
        Latencies { answered, late, claims: each * CONNECTIONS }
    })
}

/// An empty histogram: microseconds, three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds that the library takes")
}

/// What that share of the latencies stays below.
pub fn milliseconds(seen: &Histogram<u64>, quantile: f64) -> f64 {
    seen.value_at_quantile(quantile) as f64 / 1000.0
}

/// Microseconds since `due`.
pub fn since(due: Instant) -> u64 {
    u64::try_from(Instant::now().saturating_duration_since(due).as_micros()).expect("less than an age")
}

fn connect(port: u16) -> (TcpStream, BufReader<TcpStream>) {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream.set_write_timeout(Some(SILENCE)).unwrap();
    let answers = BufReader::new(stream.try_clone().unwrap());
    (stream, answers)
}

/// The seat in the next answer, which must be a grant.
fn seat(answers: &mut BufReader<TcpStream>) -> u32 {
    let mut lines: [String; 4] = Default::default();
    for line in &mut lines {
        answers.read_line(line).unwrap();
        assert!(line.starts_with(['*', '+', ':']), "answered {line:?}");
    }
    assert_eq!(lines[1].trim_end(), "+GRANTED");
    lines[2].trim_end()[1..].parse().expect("a seat")
}

/// Seats 1..=n, each once.
fn must_be_each_once(seats: &[u32]) {
    let mut taken = vec![false; seats.len()];
    for seat in seats {
        let taken = taken.get_mut(*seat as usize - 1).expect("no seat beyond the number of grants");
        assert!(!std::mem::replace(taken, true), "seat {seat} was granted twice");
    }
}
