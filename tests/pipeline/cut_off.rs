//! A broker that has just started may answer that its cluster has no brokers. librdkafka then drops the ones it knew, and now
//! and then never asks anybody again: <https://github.com/confluentinc/librdkafka/issues/5301>. With
//! `metadata.recovery.strategy=none` it never does, and needs no luck for it.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::level::until;
use crate::line::Line;
use crate::peers;

/// A request's kind: its `api_key`.
/// <https://kafka.apache.org/protocol#The_Messages_Metadata>
const METADATA: [u8; 2] = [0, 3];

/// Stands before the only broker of a cluster, and is that broker for whoever asks who is in it.
struct Front {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// There are no brokers, is the answer.
    empty: AtomicBool,
    open: AtomicUsize,
}

impl Front {
    fn of(broker: u16) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = Front { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let (port, state) = (front.port, Arc::clone(&front.state));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, broker) = (client.unwrap(), TcpStream::connect(("127.0.0.1", broker)).unwrap());
                let (requests, answers) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
                let (state, asked) = (Arc::clone(&state), Arc::new(Mutex::new(HashSet::new())));
                state.open.fetch_add(1, Ordering::SeqCst);
                let noted = Arc::clone(&asked);
                thread::spawn(move || pass(requests, broker, |request| note(request, &noted)));
                thread::spawn(move || {
                    pass(answers, client, |answer| rewrite(answer, &asked, port, &state));
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        front
    }

    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Everybody hears that there are no brokers, and believes it.
    fn cut_everybody_off(&self) {
        self.state.empty.store(true, Ordering::SeqCst);
        until("nobody is connected", || (self.state.open.load(Ordering::SeqCst) == 0).then_some(()));
        self.state.empty.store(false, Ordering::SeqCst);
    }
}

/// Passes frames on until one side closes.
fn pass(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&mut Vec<u8>)) {
    while let Ok(mut frame) = next(&mut from) {
        look(&mut frame);
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        if to.write_all(&[&length[..], &frame].concat()).is_err() {
            break;
        }
    }
    for end in [from, to] {
        let _ = end.shutdown(Shutdown::Both);
    }
}

fn next(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

/// Remembers by its correlation id what asks for metadata.
fn note(request: &[u8], asked: &Mutex<HashSet<[u8; 4]>>) {
    if request[..2] == METADATA {
        assert!(request[3] >= 9, "version {} of Metadata is another format", request[3]);
        asked.lock().unwrap().insert(request[4..8].try_into().unwrap());
    }
}

/// In an answer with metadata the broker is this front, or there is none.
fn rewrite(answer: &mut Vec<u8>, asked: &Mutex<HashSet<[u8; 4]>>, port: u16, state: &State) {
    /// The correlation id, no tags, the throttle time.
    const BROKERS: usize = 4 + 1 + 4;
    const HOST: &[u8] = b"\x0a127.0.0.1";
    let correlation: [u8; 4] = answer[..4].try_into().unwrap();
    if !asked.lock().unwrap().remove(&correlation) {
        return;
    }
    // A length in this format is one more than it says; then the broker's id, its host, its port, no rack, no tags.
    let host = BROKERS + 1 + 4;
    let end = host + HOST.len() + 4 + 1 + 1;
    assert!(answer[BROKERS] == 2 && answer[host..].starts_with(HOST), "one broker, at 127.0.0.1: {answer:?}");
    if state.empty.load(Ordering::SeqCst) {
        answer.splice(BROKERS..end, [1]);
    } else {
        answer.splice(host + HOST.len()..end - 2, u32::from(port).to_be_bytes());
    }
}

/// Ten claims, a cluster that says that it has no brokers, ten more.
fn cut_off_between_claims(before: impl FnOnce(&mut Line)) -> Line {
    let (kafka, mariadb) = peers::shared();
    let broker = kafka.bootstrap().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap();
    let front = Front::of(broker);
    let properties = ["metadata.recovery.strategy=none", "topic.metadata.refresh.interval.ms=300"];
    let options = properties.map(|property| ["--kafka-config", property]).concat();
    let mut line = Line::stopped(&front.bootstrap(), &mariadb.database(), &options);
    before(&mut line);
    line.gate.start_again();
    line.create(20);
    claim(&line, 1..=10);
    line.settle();
    front.cut_everybody_off();
    claim(&line, 11..=20);
    line
}

fn claim(line: &Line, users: std::ops::RangeInclusive<u32>) {
    for user in users {
        let reply = line.gate.client().call(&format!("GATE.CLAIM spring {user}"));
        assert!(reply.to_string().contains("GRANTED"), "{reply}");
    }
}

mod long {
    use super::*;

    #[test]
    fn grants_are_published_and_stored_when_kafka_has_said_that_it_has_no_brokers() {
        let line = cut_off_between_claims(|_| ());
        line.settle();
        line.audit();
    }

    #[cfg(feature = "sabotage")]
    #[test]
    fn without_new_clients_nothing_is_published_any_more() {
        use std::time::Duration;

        let line = cut_off_between_claims(|line| line.break_promise("ClientsAreKept"));
        // New clients need 40.
        thread::sleep(Duration::from_secs(80));
        let [published, stored] = ["published", "stored"].map(|figure| line.info(&mut line.gate.client(), figure));
        assert_eq!((published, stored), (Some(10), Some(10)));
    }
}
