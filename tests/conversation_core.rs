//! The conversations against the core alone: bytes in, the request scan, a decision, its events, bytes out. A power cut
//! is the recorded events given to an empty core.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "the socket tests use the rest")]
mod conversation;

use conversation::{Fault, Reply, Script, Step, decode, encode, folder};
use coupon_gate::core::{Core, Decision, Event, View};
use coupon_gate::ids::{Db, Lsn, Millis, User};
use coupon_gate::wire::{self, Args, Handler, Protocol, Request, Scan, Scanner};

/// The core, and the line of events that made it what it is.
struct World {
    core: Core,
    seed: u128,
    events: Vec<Event<'static>>,
    now: Millis,
    protocol: Protocol,
}

impl World {
    fn new(protocol: Protocol) -> World {
        World { core: Core::new(1), seed: 1, events: Vec::new(), now: Millis(1_800_000_000_000), protocol }
    }

    /// Holds that are over end, as the loop sees to it at the beginning of a turn.
    fn end_holds(&mut self) {
        for (campaign, seat) in self.core.due_holds(self.now, usize::MAX) {
            let user = match self.core.user_at(campaign, seat) {
                User::Int(number) => User::Int(number),
                User::Any(bytes) => User::Any(Box::leak(Box::from(bytes))),
            };
            self.happens(Event::HoldEnded { campaign, seat, user, at: self.now, expired: true });
        }
    }

    fn happens(&mut self, event: Event<'static>) {
        self.events.push(event);
        let lsn = Lsn::new(self.events.len() as u64);
        self.core.evolve(lsn, self.events.last().expect("it was just put there"));
    }

    fn ask(&mut self, args: &[Vec<u8>]) -> Reply {
        self.end_holds();
        let args = scan(args);
        let mut bytes = Vec::new();
        let command = wire::resolve(&args).and_then(|spec| match spec.handler {
            Handler::Core(parse) => parse(&Request { db: Db(0), args, draw: 7 }),
            Handler::Connection(_) | Handler::Container => panic!("{} is no command of the core", spec.name),
        });
        match command {
            Err(refusal) => wire::error(&refusal, &mut bytes),
            Ok(command) => {
                let durable = Lsn::new(self.events.len() as u64);
                let view = View { now: self.now, durable, published: None, stored: None };
                let events = match self.core.decide(command, &view) {
                    Decision::Answer { reply, depends } => {
                        assert!(depends <= durable, "an answer depends on what has happened");
                        wire::encode(&reply, self.protocol, &mut bytes);
                        Vec::new()
                    }
                    Decision::Record { group, reply } => {
                        wire::encode(&reply, self.protocol, &mut bytes);
                        group.events().to_vec()
                    }
                };
                events.into_iter().for_each(|event| self.happens(event));
            }
        }
        let (reply, used) = decode(&bytes).unwrap().expect("an answer is complete");
        assert_eq!(used, bytes.len(), "one answer to one command");
        reply
    }

    fn power_cut(&mut self) {
        // Another seed: nothing may hang on how the tables happen to be scattered.
        self.seed += 1;
        self.core = Core::new(self.seed);
        for (index, event) in self.events.iter().enumerate() {
            self.core.evolve(Lsn::new(index as u64 + 1), event);
        }
    }
}

/// A request through the scan. Its bytes live as long as the process, so that events that borrow from them can be kept.
fn scan(args: &[Vec<u8>]) -> Args<'static> {
    let bytes: &'static [u8] = Box::leak(encode(args).into_boxed_slice());
    let scanner = Box::leak(Box::new(Scanner::new()));
    assert_eq!(scanner.scan(bytes, true), Scan::Command { len: bytes.len() });
    scanner.args(bytes)
}

fn play(script: &Script, protocol: Protocol, cut_after_each: bool) -> Vec<String> {
    let mut world = World::new(protocol);
    let mut surprises = Vec::new();
    for step in &script.steps {
        match step {
            Step::Ask { line, about, args, expected } => {
                let reply = world.ask(args);
                if !expected.matches(&reply) {
                    let command = args.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
                    surprises.push(format!(
                        "{}:{line}: {about}\n  asked    {command}\n  expected {expected:?}\n  got      {reply}  ({protocol:?})",
                        script.name
                    ));
                }
                if cut_after_each {
                    world.power_cut();
                }
            }
            Step::Fault(Fault::Restart | Fault::Kill) => world.power_cut(),
            Step::Fault(Fault::Reconnect) => {}
            Step::Fault(Fault::Clock(now)) => world.now = Millis(*now),
        }
    }
    surprises
}

fn play_all(protocol: Protocol, cut_after_each: bool) {
    let scripts = ["redis", "gate", "core"].into_iter().flat_map(folder);
    let surprises: Vec<String> = scripts.flat_map(|script| play(&script, protocol, cut_after_each)).collect();
    assert!(surprises.is_empty(), "{} answers differ\n{}", surprises.len(), surprises.join("\n"));
}

#[test]
fn the_core_passes_all_conversations_in_both_protocols() {
    play_all(Protocol::Resp2, false);
    play_all(Protocol::Resp3, false);
}

#[test]
fn the_core_passes_all_conversations_with_a_power_cut_after_each_command() {
    play_all(Protocol::Resp2, true);
}
