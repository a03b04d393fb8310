//! Clients that ask and never read: slowed, so that they take no memory, then closed; nobody else notices.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use crate::conversation::encode;
use crate::gate::Gate;
use crate::level::{rounds, within};

/// Bytes that may wait for a client before his requests wait, `OUTPUT_SLOW_BYTES`; twice, for buffers on the way.
const SLOW_KIB: u64 = 2 << 10;

fn connected(gate: &Gate) -> i64 {
    let info = gate.client().call("INFO clients").text().unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("connected_clients:")).expect("INFO tells it");
    line.trim().parse().unwrap()
}

#[test]
fn who_never_reads_is_slowed_and_takes_no_memory_and_is_closed_in_the_end() {
    let gate = Gate::start(&[]);
    let mut writer = gate.client();
    let value = "v".repeat(1 << 20);
    assert_eq!(writer.call_args(&["SET", "big", &value]).to_string(), "OK");
    let before = gate.memory_kib("VmRSS");
    let count = 8;
    let mut greedy: Vec<_> = (0..count).map(|_| gate.client()).collect();
    let requests = encode(&["GET", "big"]).repeat(2000);
    for client in &greedy {
        // Eight times 2000 answers of 1 MiB would be 16 GiB; and requests that are not read fill the socket.
        let mut stream = client.stream();
        stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        for _ in 0..200 {
            match stream.write_all(&requests) {
                Ok(()) => {}
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                    break;
                }
            }
        }
    }
    // Others are served as if nothing was.
    for number in 1..=200 {
        assert_eq!(writer.call("INCR n").int(), Some(number));
    }
    let now = gate.memory_kib("VmRSS");
    let bound = before + count * (SLOW_KIB + (2 << 10)) + (32 << 10);
    assert!(now < bound, "{count} clients that read nothing take {} KiB", now - before);
    // Who reads again gets every answer that was asked for.
    let mut patient = greedy.pop().unwrap();
    for _ in 0..20 {
        assert_eq!(patient.read().unwrap().text().map(|text| text.len()), Some(1 << 20));
    }
    drop(patient);
    if rounds(0, 1) == 1 {
        // Closed after a minute without reading a byte (`OUTPUT_STALL_SECONDS`); the writer and the asker stay.
        within(Duration::from_secs(120), "the silent ones are closed", || (connected(&gate) <= 2).then_some(()));
    }
    assert_eq!(writer.call("PING").to_string(), "PONG");
}

#[test]
fn who_leaves_without_reading_leaves_nothing_behind() {
    let gate = Gate::start(&[]);
    let mut writer = gate.client();
    assert_eq!(writer.call_args(&["SET", "big", &"v".repeat(1 << 20)]).to_string(), "OK");
    let before = gate.memory_kib("VmRSS");
    let count = 50;
    let waves = rounds(12, 40);
    for _ in 0..waves {
        for _ in 0..count {
            let mut client = gate.client();
            client.send_raw(&encode(&["GET", "big"]).repeat(20)).unwrap();
        }
        within(crate::level::PATIENCE, "they are gone", || (connected(&gate) <= 2).then_some(()));
    }
    // Pages that the allocator keeps are those of one wave, however many of its clients were there at once. Had each
    // client left half of one answer behind, it would be more.
    let bound = before + count * 2 * SLOW_KIB + (32 << 10);
    let now = gate.memory_kib("VmRSS");
    assert!(now < bound, "from {before} KiB to {now} KiB after {waves} waves, more than {bound} KiB");
}
