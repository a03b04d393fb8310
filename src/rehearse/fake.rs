//! A gate of two hundred lines for the tests of this room: keeps seats in memory and lies when told to.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::types::{BytesFrame, Resp2Frame};

use super::fire::now;

/// What the gate does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    None,
    DoubledSeat,
    MissingGrant,
    ChangedRepeat,
    Info,
    SeatList,
    Status,
    Stored,
    Misconf,
    Hangup,
    HoldsEndEarly,
    HoldsEndLate,
    DeafToConfirms,
    HangupAtConfirms,
    Deadline,
    CancelsTwice,
    Remaining,
    KeepsCancelled,
    HighestFirst,
    HeldForEver,
}

/// The gate's time when a test began.
const BEGAN_MS: i64 = 1_732_250_000_123;

/// What the fake gate remembers.
#[derive(Debug)]
pub struct Fake {
    limit: u32,
    hold_ms: i64,
    seats: BTreeMap<u32, Place>,
    users: BTreeMap<i64, u32>,
    looks: u32,
    started: Instant,
    /// Every request but claims and questions: what the rehearsal did to the gate.
    pub deeds: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    user: i64,
    /// It is held until then.
    until: Option<i64>,
}

impl Fake {
    fn new() -> Fake {
        let (seats, users, deeds) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Fake { limit: 0, hold_ms: 0, seats, users, looks: 0, started: now(), deeds }
    }

    fn now_ms(&self) -> i64 {
        BEGAN_MS + i64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    fn remaining(&self) -> usize {
        self.limit as usize - self.seats.len()
    }

    fn free(&mut self, seat: u32) {
        let place = self.seats.remove(&seat).unwrap();
        self.users.remove(&place.user);
    }

    fn end_holds(&mut self, lie: Lie) {
        let early = if lie == Lie::HoldsEndEarly { self.hold_ms } else { 0 };
        let late = if lie == Lie::HoldsEndLate { self.hold_ms * 10 } else { 0 };
        let now = self.now_ms() + early - late;
        let is_over = |place: &Place| place.until.is_some_and(|until| until <= now);
        let over: Vec<_> = self.seats.iter().filter(|(_, place)| is_over(place)).map(|(seat, _)| *seat).collect();
        over.into_iter().for_each(|seat| self.free(seat));
    }
}

/// Starts a gate on a free port. It serves until the test's process ends.
pub fn start(lie: Lie, password: Option<&'static str>) -> (u16, Arc<Mutex<Fake>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let fake = Arc::new(Mutex::new(Fake::new()));
    let shared = Arc::clone(&fake);
    let accept = move || {
        for stream in listener.incoming() {
            let (stream, fake) = (stream.unwrap(), Arc::clone(&shared));
            std::thread::Builder::new().spawn(move || serve(stream, &fake, lie, password)).unwrap();
        }
    };
    std::thread::Builder::new().spawn(accept).unwrap();
    (port, fake)
}

/// One connection until its end.
fn serve(mut stream: TcpStream, fake: &Mutex<Fake>, lie: Lie, password: Option<&str>) {
    let (mut input, mut chunk, mut known) = (bytes::BytesMut::new(), vec![0; 65_536], password.is_none());
    loop {
        let mut output = String::new();
        while let Some((BytesFrame::Array(parts), _, _)) = decode_bytes_mut(&mut input).unwrap() {
            let words = parts.iter().map(|part| part.as_str().unwrap().to_string());
            let words: Vec<_> = words.collect();
            let args: Vec<_> = words.iter().map(String::as_str).collect();
            match (&args[..], password) {
                (["AUTH", told], Some(right)) if *told == right => {
                    known = true;
                    output.push_str("+OK\r\n");
                }
                (["AUTH", ..], Some(_)) => {
                    output.push_str("-WRONGPASS invalid username-password pair or user is disabled.\r\n")
                }
                (["AUTH", ..], None) => {
                    output.push_str("-ERR AUTH <password> called without any password configured\r\n")
                }
                _ if !known => output.push_str("-NOAUTH Authentication required.\r\n"),
                _ if lie == Lie::Hangup && args[0] == "GATE.CLAIM" => return,
                _ if lie == Lie::HangupAtConfirms && args[0] == "GATE.CONFIRM" => return,
                _ => output.push_str(&answer(&mut fake.lock().unwrap(), &args, lie)),
            }
        }
        if stream.write_all(output.as_bytes()).is_err() {
            return;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => input.extend_from_slice(&chunk[..read]),
        }
    }
}

fn answer(fake: &mut Fake, args: &[&str], lie: Lie) -> String {
    fake.end_holds(lie);
    match args {
        ["INFO"] => {
            fake.deeds.push(args.join(" "));
            bulk("# Server\r\nredis_version:7.2.0\r\n\r\n# Gate\r\nledger:sqlite:/data/ledger.db\r\n")
        }
        ["TIME"] => {
            let now = fake.now_ms();
            format!("*2\r\n{}{}", bulk(&(now / 1000).to_string()), bulk(&(now % 1000 * 1000).to_string()))
        }
        ["GATE.CREATE", _, "LIMIT", limit, options @ ..] => {
            fake.limit = limit.parse().unwrap();
            if let ["HOLD", ms, ..] = options {
                fake.hold_ms = ms.parse().unwrap();
            }
            fake.deeds.push(args.join(" "));
            "+CREATED\r\n".to_string()
        }
        ["GATE.DROP", ..] => {
            fake.deeds.push(args.join(" "));
            "+OK\r\n".to_string()
        }
        ["GATE.CLAIM", _, user] => claim(fake, user.parse().unwrap(), lie),
        ["GATE.CONFIRM", _, user, "SEAT", seat] => {
            let (user, seat): (i64, u32) = (user.parse().unwrap(), seat.parse().unwrap());
            let found = fake.seats.get_mut(&seat).filter(|place| place.user == user && lie != Lie::DeafToConfirms);
            let is_found = found.map(|place| place.until = None).is_some();
            settled("GRANTED", is_found.then_some(seat), fake)
        }
        ["GATE.CANCEL", _, user, "SEAT", seat] => {
            let (user, seat): (i64, u32) = (user.parse().unwrap(), seat.parse().unwrap());
            let is_found = fake.seats.get(&seat).is_some_and(|place| place.user == user);
            if is_found {
                fake.free(seat);
            }
            if is_found && lie == Lie::KeepsCancelled {
                fake.seats.insert(seat, Place { user: -user, until: None });
            }
            settled("CANCELLED", (is_found || lie == Lie::CancelsTwice).then_some(seat), fake)
        }
        ["GATE.INFO", _] => info(fake, lie),
        ["GATE.SEATS", _, first, count] => {
            let rows = fake.seats.range(first.parse::<u32>().unwrap()..).take(count.parse().unwrap());
            let rows = rows.map(|(seat, place)| {
                let user = place.user + i64::from(lie == Lie::SeatList && seat % 2 == 1);
                format!("*4\r\n:{seat}\r\n:{user}\r\n:1732250000123\r\n+{}\r\n", status(place))
            });
            let rows: Vec<_> = rows.collect();
            format!("*{}\r\n{}", rows.len(), rows.concat())
        }
        ["GATE.STATUS", _, user] => match fake.users.get(&user.parse().unwrap()) {
            Some(_) if lie == Lie::Status => "*0\r\n".to_string(),
            Some(seat) => {
                let status = status(&fake.seats[seat]);
                format!("*1\r\n*4\r\n+{status}\r\n:{seat}\r\n:1732250000123\r\n+durable\r\n")
            }
            None => "*0\r\n".to_string(),
        },
        _ => format!("-ERR unknown command '{}', with args beginning with: \r\n", args[0]),
    }
}

fn status(place: &Place) -> &'static str {
    if place.until.is_some() { "HELD" } else { "GRANTED" }
}

fn settled(done: &str, seat: Option<u32>, fake: &Fake) -> String {
    let word = if seat.is_some() { done } else { "NONE" };
    format!("*3\r\n+{word}\r\n:{}\r\n:{}\r\n", seat.unwrap_or(0), fake.remaining())
}

fn info(fake: &mut Fake, lie: Lie) -> String {
    // The ledger is a few looks behind.
    fake.looks += 1;
    let held = fake.seats.values().filter(|place| place.until.is_some()).count();
    let granted = fake.seats.len() - held - usize::from(lie == Lie::Info);
    let held = held + usize::from(lie == Lie::HeldForEver);
    let remaining = fake.remaining();
    let state = if remaining == 0 { "SOLDOUT" } else { "OPEN" };
    let stored = granted * fake.looks.min(4) as usize / 4 + usize::from(lie == Lie::Stored);
    format!(
        "*10\r\n{}{}{}:{granted}\r\n{}:{held}\r\n{}:{remaining}\r\n{}:{stored}\r\n",
        bulk("state"),
        bulk(state),
        bulk("granted"),
        bulk("held"),
        bulk("remaining"),
        bulk("stored")
    )
}

fn claim(fake: &mut Fake, user: i64, lie: Lie) -> String {
    let remaining = fake.remaining();
    if let Some(seat) = fake.users.get(&user) {
        let told = if lie == Lie::ChangedRepeat { seat % fake.limit + 1 } else { *seat };
        return match fake.seats[seat].until {
            Some(until) => format!("*4\r\n+HELD\r\n:{told}\r\n:{remaining}\r\n:{until}\r\n"),
            None => format!("*3\r\n+ALREADY\r\n:{told}\r\n:{remaining}\r\n"),
        };
    }
    if remaining == 0 || (lie == Lie::MissingGrant && remaining <= 40) {
        return "*3\r\n+SOLDOUT\r\n:0\r\n:0\r\n".to_string();
    }
    let taken = fake.seats.len();
    if lie == Lie::Misconf && taken == 3 {
        return "-MISCONF no room for the journal\r\n".to_string();
    }
    let mut free = (1..=fake.limit).filter(|seat| !fake.seats.contains_key(seat));
    let seat = if lie == Lie::HighestFirst { free.next_back() } else { free.next() }.unwrap();
    let until = (fake.hold_ms > 0).then(|| fake.now_ms() + fake.hold_ms);
    fake.seats.insert(seat, Place { user, until });
    fake.users.insert(user, seat);
    let told = if lie == Lie::DoubledSeat && taken == 1 { 1 } else { seat };
    let remaining = remaining - 1 + 30 * usize::from(lie == Lie::Remaining);
    match until {
        Some(until) => {
            let until = until + i64::from(lie == Lie::Deadline) * fake.hold_ms * 10;
            format!("*4\r\n+HELD\r\n:{told}\r\n:{remaining}\r\n:{until}\r\n")
        }
        None => format!("*3\r\n+GRANTED\r\n:{told}\r\n:{remaining}\r\n"),
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}
