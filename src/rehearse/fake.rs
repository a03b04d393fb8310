//! A gate of a hundred lines for the tests of this room: keeps seats in memory and lies when told to.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::types::{BytesFrame, Resp2Frame};

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
}

/// What the fake gate remembers.
#[derive(Debug, Default)]
pub struct Fake {
    limit: u32,
    seats: BTreeMap<u32, i64>,
    users: BTreeMap<i64, u32>,
    looks: u32,
    /// Every request but claims and questions: what the rehearsal did to the gate.
    pub deeds: Vec<String>,
}

/// Starts a gate on a free port. It serves until the test's process ends.
pub fn start(lie: Lie, password: Option<&'static str>) -> (u16, Arc<Mutex<Fake>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let fake = Arc::new(Mutex::new(Fake::default()));
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
    match args {
        ["INFO"] => {
            fake.deeds.push(args.join(" "));
            bulk("# Server\r\nredis_version:7.2.0\r\n\r\n# Gate\r\nledger:sqlite:/data/ledger.db\r\n")
        }
        ["GATE.CREATE", _, "LIMIT", limit, ..] => {
            fake.limit = limit.parse().unwrap();
            fake.deeds.push(args.join(" "));
            "+CREATED\r\n".to_string()
        }
        ["GATE.DROP", ..] => {
            fake.deeds.push(args.join(" "));
            "+OK\r\n".to_string()
        }
        ["GATE.CLAIM", _, user] => claim(fake, user.parse().unwrap(), lie),
        ["GATE.INFO", _] => {
            // The ledger is a few looks behind.
            fake.looks += 1;
            let granted = fake.seats.len() - usize::from(lie == Lie::Info);
            let remaining = fake.limit as usize - fake.seats.len();
            let state = if remaining == 0 { "SOLDOUT" } else { "OPEN" };
            let stored = granted * fake.looks.min(4) as usize / 4 + usize::from(lie == Lie::Stored);
            format!(
                "*8\r\n{}{}{}:{granted}\r\n{}:{remaining}\r\n{}:{stored}\r\n",
                bulk("state"),
                bulk(state),
                bulk("granted"),
                bulk("remaining"),
                bulk("stored")
            )
        }
        ["GATE.SEATS", _, first, count] => {
            let rows = fake.seats.range(first.parse::<u32>().unwrap()..).take(count.parse().unwrap());
            let rows = rows.map(|(seat, user)| (*seat, user + i64::from(lie == Lie::SeatList && *seat == 1)));
            let rows = rows.map(|(seat, user)| format!("*4\r\n:{seat}\r\n:{user}\r\n:1732250000123\r\n+GRANTED\r\n"));
            let rows: Vec<_> = rows.collect();
            format!("*{}\r\n{}", rows.len(), rows.concat())
        }
        ["GATE.STATUS", _, user] => match fake.users.get(&user.parse().unwrap()) {
            Some(_) if lie == Lie::Status => "*0\r\n".to_string(),
            Some(seat) => format!("*1\r\n*4\r\n+GRANTED\r\n:{seat}\r\n:1732250000123\r\n+durable\r\n"),
            None => "*0\r\n".to_string(),
        },
        _ => format!("-ERR unknown command '{}', with args beginning with: \r\n", args[0]),
    }
}

fn claim(fake: &mut Fake, user: i64, lie: Lie) -> String {
    let taken = u32::try_from(fake.seats.len()).unwrap();
    let remaining = fake.limit - taken;
    if let Some(seat) = fake.users.get(&user) {
        let seat = if lie == Lie::ChangedRepeat { seat % fake.limit + 1 } else { *seat };
        return format!("*3\r\n+ALREADY\r\n:{seat}\r\n:{remaining}\r\n");
    }
    if remaining == 0 || (lie == Lie::MissingGrant && remaining == 1) {
        return "*3\r\n+SOLDOUT\r\n:0\r\n:0\r\n".to_string();
    }
    if lie == Lie::Misconf && taken == 3 {
        return "-MISCONF no room for the journal\r\n".to_string();
    }
    fake.seats.insert(taken + 1, user);
    fake.users.insert(user, taken + 1);
    let told = if lie == Lie::DoubledSeat && taken == 1 { 1 } else { taken + 1 };
    format!("*3\r\n+GRANTED\r\n:{told}\r\n:{}\r\n", remaining - 1)
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}
