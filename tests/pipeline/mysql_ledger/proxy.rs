//! Stands between the ledger and the server and spoils one statement.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use coupon_gate::ledger::MysqlAt;

/// What happens to the next statement of that text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server gets it; its answer is lost, and the connection with it.
    LoseAnswer,
    /// The server never gets it, and the connection is gone.
    Lose,
    /// The server never gets it; the connection stays.
    Hold,
    /// The server never gets it, the ledger gets this error.
    Answer(u16),
}

/// A forwarder on a port of its own, for as long as the test process runs.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub port: u16,
    next: Arc<Mutex<Option<(String, Fault)>>>,
}

impl Proxy {
    /// In front of the server at `at`.
    pub fn start(at: &MysqlAt) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = Proxy { port: listener.local_addr().unwrap().port(), next: Arc::default() };
        let (server, mine) = ((at.host.clone(), at.port), proxy.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                // A server that is down: the client sees its connection end.
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else { continue };
                let mine = mine.clone();
                thread::spawn(move || mine.serve(client, server));
            }
        });
        proxy
    }

    /// The same database by way of here.
    pub fn before(&self, at: &MysqlAt) -> MysqlAt {
        MysqlAt { port: self.port, ..at.clone() }
    }

    /// Spoils the next statement that reads `text`.
    pub fn spoil(&self, text: &str, fault: Fault) {
        *self.next.lock().unwrap() = Some((text.into(), fault));
    }

    /// Whether that has happened.
    pub fn has_spoilt(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }

    fn serve(&self, mut client: TcpStream, mut server: TcpStream) {
        let silent = Arc::new(AtomicBool::new(false));
        let back = (server.try_clone().unwrap(), client.try_clone().unwrap(), silent.clone());
        let back = thread::spawn(move || answers(back.0, back.1, &back.2));
        while let Some(packet) = packet(&mut client) {
            match self.fault_for(&packet) {
                Some(Fault::Lose) => break,
                Some(Fault::Hold) => {}
                Some(Fault::Answer(code)) => client.write_all(&error(code)).unwrap(),
                Some(Fault::LoseAnswer) => {
                    silent.store(true, Ordering::SeqCst);
                    let _ = server.write_all(&packet);
                }
                None => {
                    if server.write_all(&packet).is_err() {
                        break;
                    }
                }
            }
        }
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        back.join().unwrap();
    }

    /// A packet with a statement as text is its length, a number, a 3 and the text.
    fn fault_for(&self, packet: &[u8]) -> Option<Fault> {
        let mut next = self.next.lock().unwrap();
        let (text, fault) = next.as_ref()?;
        let fault = (packet.get(4) == Some(&3) && packet[5..] == *text.as_bytes()).then_some(*fault)?;
        *next = None;
        Some(fault)
    }
}

/// Answers until they are to be lost.
fn answers(mut server: TcpStream, mut client: TcpStream, silent: &AtomicBool) {
    let mut bytes = [0; 65_536];
    while let Ok(read @ 1..) = server.read(&mut bytes) {
        if silent.load(Ordering::SeqCst) || client.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}

/// The next packet with its header; `None` at the end.
fn packet(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut packet = vec![0; 4];
    from.read_exact(&mut packet).ok()?;
    let length = usize::from(packet[0]) | usize::from(packet[1]) << 8 | usize::from(packet[2]) << 16;
    packet.resize(4 + length, 0);
    from.read_exact(&mut packet[4..]).ok()?;
    Some(packet)
}

/// A server's error, as the first answer to a statement.
fn error(code: u16) -> Vec<u8> {
    let mut body = vec![0xff];
    body.extend(code.to_le_bytes());
    body.extend(b"#HY000made up by the test");
    let mut packet = vec![body.len() as u8, 0, 0, 1];
    packet.extend(body);
    packet
}
