//! A network that loses answers: the gate has decided, and whoever asked hears nothing and loses his connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;

use crate::level::Luck;

/// A way to the gate on `gate` that loses one answer in `one_in`, and the connection with it. Ends with the process.
pub fn way_to(gate: u16, one_in: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let luck = Mutex::new(Luck::new("lossy"));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, gate) = (client.unwrap(), TcpStream::connect(("127.0.0.1", gate)).unwrap());
            let (from_client, to_gate) = (client.try_clone().unwrap(), gate.try_clone().unwrap());
            let mut luck = luck.lock().unwrap().fork();
            thread::spawn(move || carry(from_client, to_gate, || true));
            thread::spawn(move || carry(gate, client, || luck.below(one_in) > 0));
        }
    });
    port
}

/// Carries bytes until one side is gone or `arrives` says no; then both are.
fn carry(mut from: TcpStream, mut to: TcpStream, mut arrives: impl FnMut() -> bool) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if !arrives() || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    // Who is gone already cannot be shut down.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
