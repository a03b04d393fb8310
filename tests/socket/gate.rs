//! A gate of its own for each test: its own directory, its own port, ended with the test.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Client;
use crate::level::until;

/// A running or stopped server and what belongs to it.
#[derive(Debug)]
pub struct Gate {
    child: Option<Child>,
    program: Vec<String>,
    options: Vec<String>,
    port: u16,
    data: PathBuf,
    home: TempDir,
    starts: usize,
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct End {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output and standard error.
    pub said: String,
}

/// The binary under test.
pub fn binary() -> String {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| format!("{}/target", env!("CARGO_MANIFEST_DIR")));
    let path = std::env::var("GATE_BINARY").unwrap_or_else(|_| format!("{target}/release/coupon-gate"));
    assert!(Path::new(&path).is_file(), "{path} is missing: build it with `cargo build --release`, or set GATE_BINARY");
    path
}

/// A port that nobody listens on. Below the range that the kernel takes for outgoing connections, and each only once,
/// so that no neighbour gets it between here and the bind.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + ((std::process::id() as u16 % 200) * 100 + step) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Gate {
    /// Starts a gate with an empty data directory and waits until it answers.
    #[track_caller]
    pub fn start(options: &[&str]) -> Gate {
        let mut gate = Gate::stopped(options);
        gate.start_again();
        gate
    }

    /// A gate that was never started.
    pub fn stopped(options: &[&str]) -> Gate {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Gate { child: None, program: vec![binary()], options, port: free_port(), data, home, starts: 0 }
    }

    /// A stock redis-server with everything synced before it is answered, in the same clothes.
    #[track_caller]
    pub fn redis_server() -> Gate {
        let options =
            ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--proto-max-bulk-len", "16777216"];
        let mut gate = Gate::stopped(&options);
        gate.program = vec!["redis-server".to_owned()];
        gate.start_again();
        gate
    }

    /// Runs the gate through another program, in another place: `[program, args..., gate]`.
    pub fn through(mut self, program: &[String], data: PathBuf) -> Gate {
        self.program.splice(0..0, program.iter().cloned());
        self.data = data;
        self
    }

    /// Starts another program in its place from the next start on: `[program, args...]`.
    #[allow(dead_code, reason = "the pipeline's tests do")]
    pub fn replace_by(&mut self, program: Vec<String>) {
        self.program = program;
    }

    /// Gives it further options from the next start on.
    #[allow(dead_code, reason = "the pipeline's tests do")]
    pub fn add(&mut self, options: &[&str]) {
        self.options.extend(options.iter().map(|option| (*option).to_owned()));
    }

    /// Starts it (again) on the same port and directory and waits until it has loaded what is there.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.spawn();
        until("the gate answers what needs data", || {
            let child = self.child.as_mut().expect("it was just started");
            if let Some(status) = child.try_wait().unwrap() {
                panic!("it ended with {status} instead of serving:\n{}", self.said());
            }
            let mut client = Client::connect(self.port).ok()?;
            let reply = client.try_call(&["EXISTS", "k"]).ok()?;
            // Who has not said the password hears no more than that; the banner comes when all is loaded.
            let serves =
                if reply.is_error("NOAUTH") { self.said().contains("  clients  ") } else { !reply.is_error("LOADING") };
            serves.then_some(())
        });
    }

    /// Starts it without waiting for anything.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "one process at a time");
        self.starts += 1;
        let said = File::create(self.said_path()).unwrap();
        let (first, rest) = self.program.split_first().expect("there is a program");
        let mut command = Command::new(first);
        command.args(rest).current_dir(self.home.path());
        if first == "redis-server" {
            command.arg("--port").arg(self.port.to_string()).arg("--dir").arg(self.home.path());
        } else {
            command.arg("--listen").arg(format!("127.0.0.1:{}", self.port)).arg("--data").arg(&self.data);
            if !self.options.iter().any(|option| option == "--admin") {
                command.args(["--admin", "none"]);
            }
            // The smallest there is: dozens of starts make dozens of segments.
            if !self.options.iter().any(|option| option == "--segment-bytes") {
                command.args(["--segment-bytes", "41943040"]);
            }
        }
        command.args(&self.options).stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{first}: {error}")));
    }

    /// Starts it where it must not serve, and waits for its end.
    #[track_caller]
    pub fn start_in_vain(&mut self) -> End {
        self.spawn();
        self.wait()
    }

    /// A new connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        match Client::connect(self.port) {
            Ok(client) => client,
            Err(error) => panic!("{error}; the gate said:\n{}", self.said()),
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The directory around the data: free for the test's own files.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub fn stop(&mut self) -> End {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a process has a number");
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait(&mut self) -> End {
        until("the process ends", || self.ended())
    }

    /// Its end, if it has ended by itself.
    pub fn ended(&mut self) -> Option<End> {
        let status: ExitStatus = self.child.as_mut().expect("it was started").try_wait().unwrap()?;
        self.child = None;
        Some(End { code: status.code(), said: self.said() })
    }

    /// What it said since its last start.
    pub fn said(&self) -> String {
        fs::read_to_string(self.said_path()).unwrap_or_default()
    }

    /// A line of `/proc/PID/status` in KiB: `VmRSS`, `VmHWM`.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel tells it");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The journal's segments, oldest first.
    pub fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data.join("journal")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut segments: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
        segments.sort();
        segments
    }

    fn said_path(&self) -> PathBuf {
        self.home.path().join(format!("said-{}.txt", self.starts))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                eprintln!("the server on port {} said:\n{}", self.port, self.said());
            }
        }
    }
}
