//! Claims at a fixed rate, whatever the answers do: each counts from the moment it was meant to be sent, so that a gate
//! that stands still for a while pays for every claim of that while.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::fill::{LINES, claim};

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
    let mut connections = Connections::open(port);
    let (mut answers, mut seats) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for turn in 0..CONNECTIONS {
        connections.send(turn, &claim(campaign, turn));
    }
    let mut sent = CONNECTIONS;
    while seats.len() < sent as usize {
        connections.answers(SILENCE, &mut answers);
        assert!(!answers.is_empty(), "no answer within {SILENCE:?}");
        let over = started.elapsed().as_secs_f64() >= seconds;
        for Answer { connection, seat } in answers.drain(..) {
            seats.push(seat);
            if !over {
                connections.send(connection, &claim(campaign, sent));
                sent += 1;
            }
        }
    }
    let rate = f64::from(sent) / started.elapsed().as_secs_f64();
    must_be_each_once(&seats);
    (rate, sent)
}

/// Sends `rate` claims a second for so long; each of them must be granted a seat of its own.
pub fn open(port: u16, campaign: &str, rate: f64, seconds: f64) -> Latencies {
    let claims = ((rate * seconds) as u32 / CONNECTIONS).max(1) * CONNECTIONS;
    let mut connections = Connections::open(port);
    let (mut answered, mut late) = (histogram(), histogram());
    let (mut answers, mut seats) = (Vec::new(), Vec::new());
    let started = Instant::now() + Duration::from_millis(100);
    let due = |turn: u32| started + Duration::from_secs_f64(f64::from(turn) / rate);
    let mut sent = 0;
    // Whose answer each connection gets next.
    let mut next: Vec<u32> = (0..CONNECTIONS).collect();
    while seats.len() < claims as usize {
        while sent < claims && due(sent) <= Instant::now() {
            late.saturating_record(since(due(sent)));
            connections.send(sent % CONNECTIONS, &claim(campaign, sent));
            sent += 1;
        }
        let all = sent == claims;
        let wait = if all { SILENCE } else { due(sent).saturating_duration_since(Instant::now()) };
        connections.answers(wait, &mut answers);
        assert!(!(all && answers.is_empty()), "no answer within {SILENCE:?}");
        for Answer { connection, seat } in answers.drain(..) {
            let turn = &mut next[connection as usize];
            answered.saturating_record(since(due(*turn)));
            *turn += CONNECTIONS;
            seats.push(seat);
        }
    }
    must_be_each_once(&seats);
    Latencies { answered, late, claims }
}

/// All on one thread: with one for each, their turns took the core that the load has, and answers waited there.
struct Connections {
    /// With what has come of an answer that is not whole.
    streams: Vec<(TcpStream, Vec<u8>)>,
}

/// A grant.
struct Answer {
    connection: u32,
    seat: u32,
}

impl Connections {
    fn open(port: u16) -> Connections {
        let stream = |_| {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(SILENCE)).unwrap();
            stream.set_write_timeout(Some(SILENCE)).unwrap();
            (stream, Vec::new())
        };
        Connections { streams: (0..CONNECTIONS).map(stream).collect() }
    }

    fn send(&mut self, connection: u32, request: &[u8]) {
        self.streams[connection as usize].0.write_all(request).unwrap();
    }

    /// The answers that are there, in the order of each connection; waits at most so long for the first.
    fn answers(&mut self, wait: Duration, into: &mut Vec<Answer>) {
        let mut ready: Vec<_> = self.streams.iter().map(|(stream, _)| PollFd::new(stream, PollFlags::IN)).collect();
        let wait = Timespec::try_from(wait).expect("a short time");
        poll(&mut ready, Some(&wait)).unwrap();
        let ready: Vec<bool> = ready.iter().map(|stream| !stream.revents().is_empty()).collect();
        for (connection, (stream, unread)) in self.streams.iter_mut().enumerate().filter(|(at, _)| ready[*at]) {
            let mut some = [0; 4096];
            let read = stream.read(&mut some).unwrap();
            assert!(read > 0, "the gate has closed a connection");
            unread.extend_from_slice(&some[..read]);
            assert!(!unread.starts_with(b"-"), "answered {}", String::from_utf8_lossy(unread));
            while let Some((end, _)) = unread.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(LINES - 1) {
                let answer: Vec<u8> = unread.drain(..=end).collect();
                into.push(Answer { connection: connection as u32, seat: seat(&answer) });
            }
        }
    }
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

/// The seat in an answer, which must be a grant.
fn seat(answer: &[u8]) -> u32 {
    let answer = std::str::from_utf8(answer).expect("plain");
    let lines: Vec<&str> = answer.lines().collect();
    assert_eq!(lines[1], "+GRANTED", "{answer:?}");
    lines[2].strip_prefix(':').and_then(|seat| seat.parse().ok()).expect("a seat")
}

/// Seats 1..=n, each once.
fn must_be_each_once(seats: &[u32]) {
    let mut taken = vec![false; seats.len()];
    for seat in seats {
        let taken = taken.get_mut(*seat as usize - 1).expect("no seat beyond the number of grants");
        assert!(!std::mem::replace(taken, true), "seat {seat} was granted twice");
    }
}
