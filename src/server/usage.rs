//! What the system says of this process: memory and processor time.

use std::fs;
use std::time::Duration;

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// In use now.
    pub resident: u64,
    /// The most that was ever in use.
    pub peak: u64,
    /// What the machine has.
    pub system: u64,
}

/// Processor time since start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// In our own code.
    pub user: Duration,
    /// In the kernel for us.
    pub system: Duration,
}

/// Zeros where the system does not say. Source: proc(5), `/proc/self/status`, `/proc/meminfo`.
pub fn memory() -> Memory {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let system = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Memory {
        resident: kilobytes(&status, "VmRSS:"),
        peak: kilobytes(&status, "VmHWM:"),
        system: kilobytes(&system, "MemTotal:"),
    }
}

fn kilobytes(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// Zeros where the system does not say. Source: proc(5), `/proc/self/stat`, fields 14 and 15.
pub fn cpu() -> Cpu {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let ticks = |field: usize| after_name.split_whitespace().nth(field).and_then(|ticks| ticks.parse::<u64>().ok());
    let per_second = rustix::param::clock_ticks_per_second();
    let time = |field| Duration::from_millis(ticks(field).unwrap_or_default() * 1000 / per_second);
    Cpu { user: time(11), system: time(12) }
}

/// The program's path, or nothing.
pub fn executable() -> String {
    std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default()
}

/// Bytes as Redis shows them to people: `894.75K`.
pub fn human(bytes: u64) -> String {
    let units = [("G", 1_u64 << 30), ("M", 1 << 20), ("K", 1 << 10)];
    let unit = units.into_iter().find(|&(_, size)| bytes >= size);
    unit.map_or_else(|| format!("{bytes}B"), |(name, size)| format!("{:.2}{name}", bytes as f64 / size as f64))
}
