//! Histories of the real binary: many connections at once on few keys and campaigns, `kill -9` in between.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::operation::{Answered, Operation, words_of};
use crate::client::Client;
use crate::conversation::encode;
use crate::gate::Gate;
use crate::level::{Luck, until};

const WORKERS: u64 = 12;
/// Rounds that keys and campaigns live for: each kill leaves operations that stay open for ever, and the search for an
/// order doubles with each of them.
const ROUNDS_OF_KEYS: usize = 2;
const SEATS: u64 = 40;
const USERS: u64 = 60;

/// The commands of a round are drawn from here.
struct Names {
    era: usize,
}

impl Names {
    fn counter(&self) -> String {
        format!("counter:{}", self.era)
    }

    fn key(&self, luck: &mut Luck) -> String {
        format!("key:{}:{}", self.era, luck.below(3))
    }

    fn campaign(&self) -> String {
        format!("campaign-{}", self.era)
    }

    fn draw(&self, luck: &mut Luck, conn: u64, count: u64) -> Vec<String> {
        let user = luck.below(USERS).to_string();
        match luck.below(20) {
            0..=4 => vec!["GATE.CLAIM".into(), self.campaign(), user],
            5 | 6 => vec!["GATE.STATUS".into(), self.campaign(), user],
            7 => vec!["GATE.INFO".into(), self.campaign()],
            8..=11 => vec!["INCR".into(), self.counter()],
            12 => vec!["GET".into(), self.counter()],
            // Each value is written once, and far enough from the others that no INCR reaches them.
            13 | 14 => vec!["SET".into(), self.key(luck), ((conn * 100_000 + count) * 1000).to_string()],
            15 => vec!["INCR".into(), self.key(luck)],
            16 => vec!["DEL".into(), self.key(luck)],
            _ => vec!["GET".into(), self.key(luck)],
        }
    }

    /// What to ask when all is quiet, so that whatever was lost is missed.
    fn all(&self) -> Vec<Vec<String>> {
        let mut commands: Vec<Vec<String>> =
            (0..3).map(|index| vec!["GET".into(), format!("key:{}:{index}", self.era)]).collect();
        commands.push(vec!["GET".into(), self.counter()]);
        commands.push(vec!["GATE.INFO".into(), self.campaign()]);
        commands.extend((0..USERS).map(|user| vec!["GATE.STATUS".into(), self.campaign(), user.to_string()]));
        commands
    }
}

/// One connection that writes down what it does.
struct Witness<'a> {
    client: Client,
    conn: u64,
    clock: &'a Instant,
    history: Vec<Operation>,
}

impl Witness<'_> {
    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    /// Asks all of `commands` at once; false when the connection broke.
    fn ask(&mut self, commands: Vec<Vec<String>>) -> bool {
        let bytes: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
        let call = self.now();
        let sent = self.client.send_raw(&bytes).is_ok();
        let mut unbroken = sent;
        for command in commands {
            let reply = if unbroken { self.client.read().ok() } else { None };
            unbroken = reply.is_some();
            let answered = reply.map(|reply| Answered { at: self.now(), words: words_of(&command, &reply) });
            let reads = matches!(command[0].as_str(), "GET" | "GATE.STATUS" | "GATE.INFO");
            // Of a read that nobody answered nothing remains.
            if answered.is_some() || !reads {
                self.history.push(Operation { conn: self.conn, call, answered, command });
            }
        }
        unbroken
    }
}

/// `rounds` of load, each ended by `kill -9` and a look at everything; at the end all that happened.
pub fn record(rounds: usize, luck: &mut Luck, options: &[&str]) -> Vec<Operation> {
    let mut gate = Gate::start(options);
    let clock = Instant::now();
    let mut history = Vec::new();
    for round in 0..rounds {
        let names = Names { era: round / ROUNDS_OF_KEYS };
        let mut look = |gate: &Gate, commands: Vec<Vec<String>>| {
            let mut witness = Witness { client: gate.client(), conn: 0, clock: &clock, history: Vec::new() };
            commands.into_iter().for_each(|command| assert!(witness.ask(vec![command]), "nobody kills it here"));
            history.append(&mut witness.history);
        };
        if round % ROUNDS_OF_KEYS == 0 {
            let create = ["GATE.CREATE", &names.campaign(), "LIMIT", &SEATS.to_string()].map(str::to_owned);
            look(&gate, vec![create.to_vec()]);
        }
        let (answers, enough) = (AtomicU64::new(0), 1 + luck.below(1200));
        let mut heard = Vec::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=WORKERS)
                .map(|worker| {
                    let (mut luck, conn) = (luck.fork(), round as u64 * WORKERS + worker);
                    let (names, answers, clock, client) = (&names, &answers, &clock, gate.client());
                    scope.spawn(move || {
                        let mut witness = Witness { client, conn, clock, history: Vec::new() };
                        for count in 0.. {
                            let depth = 1 + luck.below(2);
                            let draw = |index| names.draw(&mut luck, conn, count * 2 + index);
                            if !witness.ask((0..depth).map(draw).collect()) {
                                return witness.history;
                            }
                            answers.fetch_add(depth, Ordering::Relaxed);
                        }
                        unreachable!("somebody kills it")
                    })
                })
                .collect();
            until("enough is answered", || (answers.load(Ordering::Relaxed) >= enough).then_some(()));
            gate.signal(rustix::process::Signal::KILL);
            heard.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap()));
        });
        history.append(&mut heard);
        gate.kill();
        gate.start_again();
        let mut witness = Witness { client: gate.client(), conn: 0, clock: &clock, history: Vec::new() };
        names.all().into_iter().for_each(|command| assert!(witness.ask(vec![command]), "nobody kills it here"));
        history.append(&mut witness.history);
    }
    assert_eq!(gate.stop().code, Some(0));
    history
}
