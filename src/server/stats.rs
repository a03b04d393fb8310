//! What `INFO` and the metrics count: plain numbers of the loop, told to the other threads at most once a tick.

use std::time::Duration;

use crate::metrics::Figures;
use crate::wire::CommandSpec;

/// Counts since start, or since `CONFIG RESETSTAT`.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused at the bound.
    pub rejected_connections: u64,
    /// Commands answered, errors included.
    pub commands: u64,
    /// Error answers.
    pub error_replies: u64,
    /// Bytes read from clients.
    pub input_bytes: u64,
    /// Bytes written to clients.
    pub output_bytes: u64,
    /// Keys that went by their deadline.
    pub expired_keys: u64,
    /// Commands per second over the last second or so.
    pub commands_per_second: u64,
    /// By place in the command table.
    calls: Vec<Calls>,
    sampled_at: Duration,
    sampled_commands: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    name: &'static str,
    answered: u64,
    told: u64,
}

/// How often the rate is taken.
const SAMPLE: Duration = Duration::from_secs(1);

impl Stats {
    /// One more call of a command.
    pub fn call(&mut self, spec: &'static CommandSpec) {
        self.commands += 1;
        if spec.index >= self.calls.len() {
            self.calls.resize(spec.index + 1, Calls::default());
        }
        let calls = &mut self.calls[spec.index];
        calls.name = spec.name;
        calls.answered += 1;
    }

    /// Calls by command name, for `INFO commandstats`.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.calls.iter().filter(|calls| calls.answered > 0).map(|calls| (calls.name, calls.answered))
    }

    /// Tells the other threads what has changed and takes the rate.
    pub fn publish(&mut self, figures: &Figures, uptime: Duration) {
        for calls in self.calls.iter_mut().filter(|calls| calls.answered != calls.told) {
            calls.told = calls.answered;
            figures.commands.insert(calls.name, calls.answered);
        }
        let since = uptime.saturating_sub(self.sampled_at);
        if since >= SAMPLE {
            let answered = self.commands.saturating_sub(self.sampled_commands);
            self.commands_per_second = (answered as f64 / since.as_secs_f64()) as u64;
            (self.sampled_at, self.sampled_commands) = (uptime, self.commands);
        }
    }

    /// `CONFIG RESETSTAT`. To Prometheus it looks like a restart, which counters may have.
    pub fn reset(&mut self) {
        *self = Stats { sampled_at: self.sampled_at, ..Stats::default() };
    }
}
