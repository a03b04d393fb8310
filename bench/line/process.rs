//! Our own processes: a gate, a sink or a tool, asked from outside how far it is and what it costs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Bench;
use crate::client::Client;
use crate::gate::free_port;
use crate::level::{until, within};
use crate::peers::{Held, unique};

/// Who waits for whom on a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Runs at once (SCHED_RR): a load that waited for its core would blame the answer.
    First,
    /// As any program.
    Even,
    /// Steps back for whoever is measured on the same core, as if it were on another machine (nice 19).
    Back,
}

impl Rank {
    fn nice(self) -> &'static str {
        match self {
            Rank::First | Rank::Even => "0",
            Rank::Back => "19",
        }
    }
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    held: Held,
    said: PathBuf,
    /// RESP; only a gate has it.
    pub port: u16,
    admin: u16,
}

impl Process {
    /// A gate on `data`; waits until claims are answered.
    pub fn gate(bench: &Bench, core: Option<u32>, data: &Path, options: &[&str]) -> Process {
        let (port, admin) = (free_port(), free_port());
        let mut command = vec![path(&bench.gate), "--data".to_owned(), path(data)];
        command.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
        command.extend(["--admin".to_owned(), format!("127.0.0.1:{admin}")]);
        command.extend(options.iter().map(|option| (*option).to_owned()));
        let gate = Process { port, admin, ..Process::start(bench, core, Rank::Even, command) };
        // Replay of millions of grants takes its time.
        within(Duration::from_secs(300), "the gate answers", || {
            gate.must_run();
            let reply = Client::connect(gate.port).ok()?.try_call(&["EXISTS", "k"]).ok()?;
            (!reply.is_error("LOADING")).then_some(())
        });
        gate
    }

    /// A sink of its own; it may take a while until it has found its peers.
    pub fn sink(bench: &Bench, core: Option<u32>, rank: Rank, options: &[&str]) -> Process {
        let admin = free_port();
        let mut command = vec![path(&bench.gate), "sink".to_owned()];
        command.extend(["--admin".to_owned(), format!("127.0.0.1:{admin}")]);
        command.extend(options.iter().map(|option| (*option).to_owned()));
        Process { admin, ..Process::start(bench, core, rank, command) }
    }

    /// Any program; none that is the first on its core.
    pub fn start(bench: &Bench, core: Option<u32>, rank: Rank, command: Vec<String>) -> Process {
        let said = bench.home.path().join(unique("said"));
        let mut whole = Vec::new();
        if let Some(core) = core {
            whole.extend(["taskset", "-c", &core.to_string(), "nice", "-n", rank.nice()].map(str::to_owned));
        }
        whole.extend(command);
        Process { held: Held::start(&whole, &said, None), said, port: 0, admin: 0 }
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.held.pid()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.held.has_ended()
    }

    /// It must not have ended.
    pub fn must_run(&self) {
        assert!(!self.has_ended(), "it ended:\n{}", self.said());
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        until("it ends", || self.has_ended().then_some(()));
    }

    /// What it said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// A figure from `/metrics`, named with its labels; `None` while there is none.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// A line of `/proc/PID/status` in MiB: `VmRSS`, `VmHWM`.
    pub fn memory_mib(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
    }

    /// `VmHWM` begins anew.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid().as_raw_nonzero()), "5").unwrap();
    }

    /// User and system time of all its threads so far.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid().as_raw_nonzero())).unwrap();
        // The name, in brackets, may hold blanks; utime and stime are the 12th and 13th field behind it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }
}

/// Does `work` on a core, in its rank there: so does what it starts, threads and processes.
pub fn on_core<T: Send>(core: Option<u32>, rank: Rank, work: impl FnOnce() -> T + Send) -> T {
    let Some(core) = core else { return work() };
    let pinned = || {
        let thread = fs::read_link("/proc/thread-self").unwrap();
        let thread = thread.file_name().and_then(|name| name.to_str()).expect("a number").to_owned();
        run("taskset", &["-cp", &core.to_string(), &thread]);
        run("renice", &["-n", rank.nice(), "-p", &thread]);
        if rank == Rank::First {
            run("chrt", &["--rr", "--pid", "1", &thread]);
        }
        work()
    };
    thread::scope(|scope| scope.spawn(pinned).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Asks `ready` at every `step` until it answers, at most `bound`.
pub fn watch<T>(step: Duration, bound: Duration, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {bound:?}: {what}");
        // The other process tells nobody how far it is, so it is asked.
        thread::sleep(step);
    }
}

/// Runs a tool to its end, which must be a good one.
pub fn run(program: &str, args: &[&str]) {
    let end = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(end.status.success(), "{program}: {}", String::from_utf8_lossy(&end.stderr));
}

/// A path as text.
pub fn path(path: &Path) -> String {
    path.to_str().expect("paths of benches are plain").to_owned()
}
