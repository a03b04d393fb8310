//! A process that ends with the test, whatever way the test ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::level::until;

/// Runs `$3...`, tells its pid, and ends it when standard input ends: then the test process is gone, however it went.
/// What it says goes to the file `$1`; the folder `$2` is removed after it, unless that is empty.
/// Standard error stays that of the test, so that whoever reads it waits until all this is done.
const HOLDER: &str = r#"
    trap : INT TERM HUP
    said=$1 folder=$2
    shift 2
    "$@" </dev/null >>"$said" 2>&1 &
    echo $!
    read -r _
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
    if [ -n "$folder" ]; then rm -rf -- "$folder"; fi
"#;

/// A running process, ended by `kill -9` when this is dropped or the test process is no more.
#[derive(Debug)]
pub struct Held {
    holder: Child,
    pid: Pid,
}

impl Held {
    /// Starts `command`. What it says is added to the file `said`; `folder` is removed after its end.
    #[track_caller]
    pub fn start(command: &[String], said: &Path, folder: Option<&Path>) -> Held {
        // Debian keeps servers where only root looks.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut holder = Command::new("/bin/sh")
            .args(["-c", HOLDER, "holder"])
            .arg(said)
            .arg(folder.unwrap_or(Path::new("")))
            .args(command)
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().parse().ok().and_then(Pid::from_raw).expect("the holder tells the pid");
        Held { holder, pid }
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it has ended by itself. The holder keeps its number taken until then.
    pub fn has_ended(&self) -> bool {
        matches!(state(self.pid), None | Some('Z'))
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(self) {}

    /// SIGSTOP, and waits until it stands.
    pub fn freeze(&self) {
        kill_process(self.pid, Signal::STOP).unwrap();
        until("the process stands", || (state(self.pid) == Some('T')).then_some(()));
    }

    /// SIGCONT
    pub fn thaw(&self) {
        kill_process(self.pid, Signal::CONT).unwrap();
    }

    /// Ends the holder's input, as the kernel does when the test process dies.
    pub fn forsake(&mut self) {
        self.holder.stdin = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Its number is its own until the holder has waited for it, and the holder waits for its input.
        if self.holder.stdin.is_some() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
        self.forsake();
        let _ = self.holder.wait();
    }
}

/// The kernel's letter for what a process does; `None` when there is none of that number.
pub fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.trim_start().chars().next()
}
