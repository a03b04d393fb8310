//! The two servers: started on the same core with data in the same place, stopped by their own process id.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Serialize;

use super::generator::ask;
use super::{Cores, SpeedError};

/// How often and how many times a starting server is asked whether it is there.
const READY_EVERY: Duration = Duration::from_millis(10);
const READY_TRIES: u32 = 3000;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// coupon-gate
    Gate,
    /// redis-server or a fork of it
    Redis,
}

/// What is on disk before an answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Redis: no persistence at all. The gate: `appendfsync no`, which still writes.
    None,
    /// Synced each second.
    Everysec,
    /// Synced before the answer.
    Always,
}

impl Mode {
    /// As the table says it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::None => "none",
            Mode::Everysec => "everysec",
            Mode::Always => "always",
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    pub kind: Kind,
    pub port: u16,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a server with an empty data directory and waits until it has loaded that.
    pub async fn start(kind: Kind, program: &Path, mode: Mode, dir: &Path, cores: Cores) -> Result<Server, SpeedError> {
        let machine = |what: String| move |why| SpeedError::Machine { what, why };
        let data = dir.join(format!("{}-{}", name(kind), mode.name()));
        std::fs::create_dir(&data).map_err(machine(format!("no directory {}", data.display())))?;
        let port = free_port().map_err(machine("no free port".to_string()))?;
        let log = dir.join(format!("{}-{}.log", name(kind), mode.name()));
        let file = File::create(&log).map_err(machine(format!("no file {}", log.display())))?;
        let errors = file.try_clone().map_err(machine(format!("no file {}", log.display())))?;

        let mut command = match cores {
            Cores(Some((core, _))) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(core.to_string()).arg(program);
                command
            }
            Cores(None) => Command::new(program),
        };
        command.args(flags(kind, mode, port)).arg(if kind == Kind::Gate { "--data" } else { "--dir" }).arg(&data);
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let hint = match kind {
            Kind::Gate => "build it with `cargo build --release` or name it with --gate",
            Kind::Redis => "`apt-get install redis-server` or name it with --redis",
        };
        let child = command.spawn().map_err(machine(format!("cannot start {} ({hint})", program.display())))?;
        let mut server = Server { kind, port, child, log };
        server.wait_until_ready(hint).await?;
        Ok(server)
    }

    /// User and system time of all threads so far.
    pub fn cpu_seconds(&self) -> Result<f64, SpeedError> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).map_err(|why| SpeedError::Machine { what: path, why })?;
        // The name, in brackets, may hold blanks; utime and stime are the 12th and 13th field behind it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        #[expect(clippy::cast_precision_loss, reason = "ticks of some hours")]
        let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        Ok(seconds)
    }

    /// What `INFO` says.
    pub async fn version(&self) -> Result<String, SpeedError> {
        let info = ask(self, &["INFO", "server"]).await?;
        let version = info.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix("redis_version:"));
        Ok(version.unwrap_or("of unknown version").trim().to_string())
    }

    /// The server told something that is not so.
    pub fn untrue(&self, what: String) -> SpeedError {
        SpeedError::Untrue { name: name(self.kind).to_string(), what }
    }

    /// The server failed; the end of its log is part of the message.
    pub fn failed(&self, what: &str) -> SpeedError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        let tail: Vec<_> = lines.into_iter().rev().collect();
        SpeedError::Server { name: name(self.kind).to_string(), what: format!("{what}\n{}", tail.join("\n")) }
    }

    /// Ends the server; its data is of no use to anybody.
    pub fn stop(&mut self) -> Result<(), SpeedError> {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended.map(|_| ()).map_err(|why| SpeedError::Machine { what: format!("cannot stop {}", name(self.kind)), why })
    }

    async fn wait_until_ready(&mut self, hint: &str) -> Result<(), SpeedError> {
        let mut looks = tokio::time::interval(READY_EVERY);
        for _ in 0..READY_TRIES {
            looks.tick().await;
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(&format!("ended at its start, {status}; {hint}")));
            }
            if ask(self, &["EXISTS", "k"]).await.is_ok_and(|reply| reply == ["0"]) {
                return Ok(());
            }
        }
        Err(self.failed("does not answer what needs data"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Also after an error: nobody else ends it. A server that is stopped already is no news.
        let _ = self.stop();
    }
}

/// Keeps the load generator, which runs on this thread, away from the servers.
pub fn pin_this_thread(core: u32) -> Result<(), SpeedError> {
    let failed = |why| SpeedError::Machine {
        what: "cannot pin to a core (`apt-get install util-linux`, other --cores, or `--cores none`)".to_string(),
        why,
    };
    let thread = std::fs::read_link("/proc/thread-self").map_err(failed)?;
    let thread = thread.file_name().unwrap_or_default().to_owned();
    let mut command = Command::new("taskset");
    let output = command.arg("-cp").arg(core.to_string()).arg(thread).output().map_err(failed)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))),
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Gate => "coupon-gate",
        Kind::Redis => "redis",
    }
}

fn flags(kind: Kind, mode: Mode, port: u16) -> Vec<String> {
    let flags = match (kind, mode) {
        (Kind::Gate, Mode::None) => format!("--listen 127.0.0.1:{port} --admin none --sink off --appendfsync no"),
        (Kind::Gate, Mode::Everysec | Mode::Always) => {
            format!("--listen 127.0.0.1:{port} --admin none --sink off --appendfsync {}", mode.name())
        }
        (Kind::Redis, Mode::None) => format!("--port {port} --bind 127.0.0.1 --appendonly no"),
        (Kind::Redis, Mode::Everysec | Mode::Always) => format!(
            "--port {port} --bind 127.0.0.1 --appendonly yes --auto-aof-rewrite-percentage 0 --appendfsync {}",
            mode.name()
        ),
    };
    let mut flags: Vec<_> = flags.split(' ').map(str::to_string).collect();
    if kind == Kind::Redis {
        flags.extend(["--save".to_string(), String::new()]);
    }
    flags
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
