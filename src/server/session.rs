//! One connection's own logic: takes bytes, answers bytes, knows no sockets.

use std::rc::Rc;

use crate::core::{Command, Refusal};
use crate::ids::{Db, Lsn};
use crate::limits;
use crate::server::clients::Client;
use crate::server::commands;
use crate::server::gate::{Gate, Ran, refuse};
use crate::server::held::{Depends, HeldReplies};
use crate::snapshots::{Snapshots, Ticket};
use crate::stories::Story;
use crate::wire::{self, Args, CommandSpec, Flags, Handler, Protocol, ProtocolError, Request, Scan, Scanner};

/// A connection from its first byte to its last.
pub struct Session {
    /// How others see it.
    pub client: Rc<Client>,
    /// `HELLO 2` or `HELLO 3`.
    pub protocol: Protocol,
    /// `SELECT`
    pub db: Db,
    /// May do more than say who he is.
    pub authenticated: bool,
    /// `CLIENT REPLY`
    pub answers: Answers,
    /// Answers on their way.
    pub held: HeldReplies,
    /// What a helper thread is at, for the next request.
    pub awaited: Option<Awaited>,
    /// Nothing more is read; the connection ends when its answers have left.
    pub closing: bool,
    scanner: Scanner,
    /// Bytes that were read and not run, from `ran` on.
    input: Vec<u8>,
    ran: usize,
    /// What `input` waits for.
    waits: Waits,
}

/// What a helper thread is at for a connection.
#[derive(Clone, Debug)]
pub enum Awaited {
    /// `SAVE`: a snapshot.
    Snapshot(Ticket),
    /// `GATE.WHY`: a story up to a position.
    Story { story: Story, upto: Lsn },
}

impl Awaited {
    /// It is there, or will never be.
    pub fn is_over(&self, snapshots: &Snapshots) -> bool {
        match self {
            Awaited::Snapshot(ticket) => snapshots.outcome(ticket).is_some(),
            Awaited::Story { story, .. } => story.get().is_some(),
        }
    }
}

/// Which commands are answered (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// All.
    On,
    /// None.
    Off,
    /// All but the next.
    SkipNext,
}

/// Why requests that were read are not run yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// They are not complete: for more bytes.
    Input,
    /// The journal has no room at the moment.
    Room,
    /// What a helper thread is at is not there.
    Helper,
    /// Too many answers wait already.
    Output,
}

impl Session {
    /// A connection that has just been accepted.
    pub fn new(client: Rc<Client>, authenticated: bool) -> Session {
        Session {
            client,
            protocol: Protocol::Resp2,
            db: Db(0),
            authenticated,
            answers: Answers::On,
            held: HeldReplies::default(),
            awaited: None,
            closing: false,
            scanner: Scanner::default(),
            input: Vec::new(),
            ran: 0,
            waits: Waits::Input,
        }
    }

    /// Runs what `bytes` completes.
    pub fn read(&mut self, gate: &mut Gate, bytes: &[u8]) {
        gate.begin_turn();
        gate.stats.input_bytes += bytes.len() as u64;
        if self.input.is_empty() {
            let ran = self.run(gate, bytes);
            self.input.extend_from_slice(&bytes[ran..]);
        } else {
            self.input.extend_from_slice(bytes);
            self.run_input(gate);
        }
        self.client.input_bytes.set(self.input.len() - self.ran);
    }

    /// Goes on with what was read before, if what it waited for has come.
    pub fn resume(&mut self, gate: &mut Gate) {
        if self.can_resume() || matches!(self.waits, Waits::Room | Waits::Helper) {
            gate.begin_turn();
            self.run_input(gate);
        }
    }

    /// Requests waited for answers to leave, and enough have left.
    pub fn can_resume(&self) -> bool {
        self.waits == Waits::Output && !self.is_slow()
    }

    /// More bytes may be read: nothing that was read waits for room or for the client to read.
    pub fn may_read(&self) -> bool {
        !self.closing && self.waits == Waits::Input
    }

    /// The next request waits for room in the journal.
    pub fn waits_for_room(&self) -> bool {
        !self.closing && self.waits == Waits::Room
    }

    /// What the next request waits for that a helper thread is at.
    pub fn waits_for_helper(&self) -> Option<&Awaited> {
        self.awaited.as_ref().filter(|_| !self.closing && self.waits == Waits::Helper)
    }

    /// The client has let more answers pile up than any single one may be long.
    pub fn is_flooded(&self) -> bool {
        self.held.len() > limits::OUTPUT_CLOSE_BYTES
    }

    fn is_slow(&self) -> bool {
        self.held.len() > limits::OUTPUT_SLOW_BYTES
    }

    fn run_input(&mut self, gate: &mut Gate) {
        let input = std::mem::take(&mut self.input);
        self.ran += self.run(gate, &input[self.ran..]);
        self.input = input;
        if self.ran == self.input.len() {
            self.input.clear();
            self.input.shrink_to(limits::READ_BYTES_PER_TURN);
            self.ran = 0;
        } else if self.ran > limits::READ_BYTES_PER_TURN && self.ran >= self.input.len() / 2 {
            self.input.drain(..self.ran);
            self.ran = 0;
        }
    }

    /// Runs complete requests from the front of `bytes`; answers how many bytes they were.
    fn run(&mut self, gate: &mut Gate, bytes: &[u8]) -> usize {
        let mut scanner = std::mem::take(&mut self.scanner);
        let mut ran = 0;
        self.waits = Waits::Input;
        while !self.closing && !gate.is_stopping() {
            if self.is_slow() {
                self.waits = Waits::Output;
                break;
            }
            match scanner.scan(&bytes[ran..], self.authenticated) {
                Scan::Incomplete => break,
                Scan::Skip { len } => ran += len,
                Scan::Command { len } => {
                    self.waits = match self.execute(gate, &scanner.args(&bytes[ran..ran + len])) {
                        Ran::Answered { .. } => {
                            ran += len;
                            continue;
                        }
                        Ran::NoRoom => Waits::Room,
                        Ran::Later => Waits::Helper,
                    };
                    break;
                }
                Scan::Refused(error) => self.refuse_bytes(gate, error),
            }
        }
        self.scanner = scanner;
        self.client.output_bytes.set(self.held.len());
        if self.closing { bytes.len() } else { ran }
    }

    /// What follows a framing error cannot be understood: say so and close.
    fn refuse_bytes(&mut self, gate: &mut Gate, error: ProtocolError) {
        if error.is_answered() {
            gate.stats.error_replies += 1;
            refuse(Refusal::Line(error.to_string().into()), self.protocol, self.held.buffer());
            self.held.seal(Depends::NOTHING, gate.now_us());
        }
        self.closing = true;
    }

    fn execute(&mut self, gate: &mut Gate, args: &Args<'_>) -> Ran {
        let start = self.held.buffer().len();
        let skipped = self.answers == Answers::SkipNext;
        let ran = match self.accept(gate, args) {
            Ok(spec) => self.run_command(gate, spec, args),
            Err(refusal) => refuse(refusal, self.protocol, self.held.buffer()),
        };
        let Ran::Answered { depends } = ran else { return ran };
        if self.held.buffer().get(start) == Some(&b'-') {
            gate.stats.error_replies += 1;
        }
        #[cfg(any(test, feature = "sim"))]
        if let Some(executed) = &mut gate.executed {
            let begins = self.held.buffer()[start..].first_chunk().copied().unwrap_or_default();
            executed.push(crate::server::Executed::Command { begins, applied: gate.core.applied() });
        }
        if self.answers == Answers::Off || skipped {
            self.held.buffer().truncate(start);
        }
        if skipped && self.answers == Answers::SkipNext {
            self.answers = Answers::On;
        }
        self.held.seal(depends, gate.now_us());
        ran
    }

    /// The command's row in the table, if it may be asked at all. The order of the checks is Redis's own.
    fn accept(&self, gate: &Gate, args: &Args<'_>) -> Result<&'static CommandSpec, Refusal> {
        let spec = wire::resolve(args)?;
        if !self.authenticated && !spec.flags.contains(Flags::NO_AUTH) {
            return Err(Refusal::Line("NOAUTH Authentication required.".into()));
        }
        if gate.is_loading() && !spec.needs_no_data() {
            return Err(Refusal::Line("LOADING Redis is loading the dataset in memory".into()));
        }
        Ok(spec)
    }

    fn run_command(&mut self, gate: &mut Gate, spec: &'static CommandSpec, args: &Args<'_>) -> Ran {
        self.client.last_command.set(spec.name);
        self.client.last_at.set(gate.now());
        let ran = match spec.handler {
            Handler::Core(parse) => match parse(&Request { db: self.db, args: *args, draw: gate.draw() }) {
                Ok(mut command) => {
                    if let Command::Alter { by, .. } = &mut command {
                        *by = self.client.told().into_bytes().into();
                    }
                    gate.run(command, self.protocol, self.held.buffer())
                }
                Err(refusal) => refuse(refusal, self.protocol, self.held.buffer()),
            },
            Handler::Connection(command) => commands::run(self, gate, command, args),
            Handler::Container => unreachable!("a container has no arity of its own and is never resolved to"),
        };
        if matches!(ran, Ran::Answered { .. }) {
            gate.stats.call(spec);
        }
        ran
    }
}
