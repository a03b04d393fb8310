//! `INFO`: Redis's sections with Redis's field names, and `# Gate` with the watermarks. Figures, not answers: they are
//! not held back until what they count is on disk.

use std::fmt::Write;

use crate::core::Reply;
use crate::edge;
use crate::metrics::Loading;
use crate::server::commands::hello::REDIS_VERSION;
use crate::server::commands::{Answered, text};
use crate::server::gate::Gate;
use crate::server::usage;
use crate::wire::Args;

/// Writes the fields of one section.
type Section = fn(&mut String, &Gate);

/// Sections in the order in which they are shown; the last ones only when asked for.
const SECTIONS: &[(&str, Section)] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Modules", |_, _| {}),
    ("Errorstats", |_, _| {}),
    ("Cluster", |out, _| field(out, "cluster_enabled", 0)),
    ("Keyspace", keyspace),
    ("Gate", watermarks),
    ("Commandstats", commandstats),
];

/// Shown by `ALL` and `EVERYTHING`, and by their own names.
const ON_DEMAND: &str = "commandstats";

pub fn info(gate: &Gate, args: &Args<'_>) -> Answered<'static> {
    let wanted: Vec<String> = args.iter().skip(1).map(|name| text(name).to_ascii_lowercase()).collect();
    let all = wanted.iter().any(|name| name == "all" || name == "everything");
    let default = wanted.is_empty() || wanted.iter().any(|name| name == "default");
    let mut out = String::with_capacity(4096);
    for (name, write) in SECTIONS {
        let own_name = name.to_ascii_lowercase();
        if all || (default && own_name != ON_DEMAND) || wanted.contains(&own_name) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            write!(out, "# {name}\r\n").expect("text grows");
            write(&mut out, gate);
        }
    }
    Ok(Some(Reply::Verbatim(out)))
}

/// Tools find fields by name and by the line's end: it must be CR LF.
fn field(out: &mut String, name: &str, value: impl std::fmt::Display) {
    write!(out, "{name}:{value}\r\n").expect("text grows");
}

fn server(out: &mut String, gate: &Gate) {
    let uptime = gate.uptime().as_secs();
    field(out, "redis_version", REDIS_VERSION);
    field(out, "redis_git_sha1", "00000000");
    field(out, "redis_git_dirty", 0);
    field(out, "redis_mode", "standalone");
    field(out, "server_name", "coupon-gate");
    field(out, "coupon_gate_version", env!("CARGO_PKG_VERSION"));
    field(out, "os", format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    field(out, "arch_bits", usize::BITS);
    field(out, "process_id", std::process::id());
    field(out, "run_id", &gate.facts.run_id);
    field(out, "tcp_port", gate.facts.port);
    field(out, "server_time_usec", gate.now().0 * 1000);
    field(out, "uptime_in_seconds", uptime);
    field(out, "uptime_in_days", uptime / 86_400);
    field(out, "hz", 10);
    field(out, "configured_hz", 10);
    field(out, "executable", usage::executable());
    field(out, "config_file", "");
    field(out, "io_threads_active", 0);
}

fn clients(out: &mut String, gate: &Gate) {
    field(out, "connected_clients", gate.clients.len());
    field(out, "cluster_connections", 0);
    field(out, "maxclients", gate.facts.max_clients);
    field(out, "blocked_clients", 0);
    field(out, "tracking_clients", 0);
    field(out, "watching_clients", 0);
}

fn memory(out: &mut String, _gate: &Gate) {
    let memory = usage::memory();
    field(out, "used_memory", memory.resident);
    field(out, "used_memory_human", usage::human(memory.resident));
    field(out, "used_memory_rss", memory.resident);
    field(out, "used_memory_rss_human", usage::human(memory.resident));
    field(out, "used_memory_peak", memory.peak);
    field(out, "used_memory_peak_human", usage::human(memory.peak));
    field(out, "total_system_memory", memory.system);
    field(out, "total_system_memory_human", usage::human(memory.system));
    field(out, "maxmemory", 0);
    field(out, "maxmemory_human", "0B");
    field(out, "maxmemory_policy", "noeviction");
    field(out, "mem_fragmentation_ratio", "1.00");
    field(out, "mem_allocator", "libc");
}

fn persistence(out: &mut String, gate: &Gate) {
    let snapshots = gate.watermarks.snapshots.figures();
    let (covered, base_bytes) = snapshots.newest.map_or((0, 0), |newest| (newest.lsn.get(), newest.bytes));
    let status = |well: bool| if well { "ok" } else { "err" };
    // A snapshot is both of what Redis has: a file of all data, and the end of old journal.
    let last = status(snapshots.trouble.is_empty());
    let in_progress = u8::from(snapshots.in_progress());
    let took = snapshots.took_ms.map_or(-1, |ms| (ms / 1000) as i64);
    let current = snapshots.running_since.map_or(-1, |since| (edge::wall().0 - since.0).max(0) / 1000);
    field(out, "loading", u8::from(gate.is_loading()));
    field(out, "async_loading", 0);
    field(out, "current_cow_peak", 0);
    field(out, "current_cow_size", 0);
    field(out, "current_fork_perc", "0.00");
    field(out, "rdb_changes_since_last_save", gate.core.applied().get().saturating_sub(covered));
    field(out, "rdb_bgsave_in_progress", in_progress);
    field(out, "rdb_last_save_time", snapshots.newest.map_or(0, |newest| newest.at.0 / 1000));
    field(out, "rdb_last_bgsave_status", last);
    field(out, "rdb_last_bgsave_time_sec", took);
    field(out, "rdb_current_bgsave_time_sec", current);
    field(out, "rdb_saves", snapshots.made);
    field(out, "rdb_last_cow_size", 0);
    field(out, "aof_enabled", 1);
    field(out, "aof_rewrite_in_progress", in_progress);
    field(out, "aof_rewrite_scheduled", u8::from(snapshots.asked && snapshots.running_since.is_some()));
    field(out, "aof_last_rewrite_time_sec", took);
    field(out, "aof_current_rewrite_time_sec", current);
    field(out, "aof_last_bgrewrite_status", last);
    field(out, "aof_rewrites", snapshots.made);
    field(out, "aof_last_write_status", status(gate.figures.journal_trouble.get().is_empty()));
    field(out, "aof_last_cow_size", 0);
    field(out, "module_fork_in_progress", 0);
    field(out, "module_fork_last_cow_size", 0);
    field(out, "aof_current_size", gate.figures.journal_bytes.get());
    field(out, "aof_base_size", base_bytes);
    field(out, "aof_pending_rewrite", 0);
    field(out, "aof_buffer_length", 0);
    field(out, "aof_pending_bio_fsync", 0);
    field(out, "aof_delayed_fsync", 0);
    if gate.is_loading() {
        loading(out, &gate.figures.loading);
    }
}

/// How far loading is, as Redis tells it.
fn loading(out: &mut String, loading: &Loading) {
    let (began_ms, total) = (loading.began_at.get(), loading.bytes_total.get());
    let loaded = loading.bytes_loaded.get().min(total);
    let elapsed = u64::try_from(edge::wall().0).unwrap_or_default().saturating_sub(began_ms) / 1000;
    let per_cent = if total == 0 { 0.0 } else { loaded as f64 / total as f64 * 100.0 };
    // Redis, too, says a second where it cannot know yet.
    let eta = if elapsed == 0 || loaded == 0 { 1 } else { elapsed * (total - loaded) / loaded };
    field(out, "loading_start_time", began_ms / 1000);
    field(out, "loading_total_bytes", total);
    field(out, "loading_rdb_used_mem", 0);
    field(out, "loading_loaded_bytes", loaded);
    field(out, "loading_loaded_perc", format_args!("{per_cent:.2}"));
    field(out, "loading_eta_seconds", eta);
}

fn stats(out: &mut String, gate: &Gate) {
    let stats = &gate.stats;
    field(out, "total_connections_received", stats.connections);
    field(out, "total_commands_processed", stats.commands);
    field(out, "instantaneous_ops_per_sec", stats.commands_per_second);
    field(out, "total_net_input_bytes", stats.input_bytes);
    field(out, "total_net_output_bytes", stats.output_bytes);
    field(out, "rejected_connections", stats.rejected_connections);
    field(out, "expired_keys", stats.expired_keys);
    field(out, "evicted_keys", 0);
    field(out, "keyspace_hits", 0);
    field(out, "keyspace_misses", 0);
    field(out, "pubsub_channels", 0);
    field(out, "pubsub_patterns", 0);
    field(out, "latest_fork_usec", 0);
    field(out, "total_forks", 0);
    field(out, "total_error_replies", stats.error_replies);
}

fn replication(out: &mut String, gate: &Gate) {
    field(out, "role", "master");
    field(out, "connected_slaves", 0);
    field(out, "master_failover_state", "no-failover");
    field(out, "master_replid", &gate.facts.run_id);
    field(out, "master_replid2", "0000000000000000000000000000000000000000");
    field(out, "master_repl_offset", gate.core.applied());
    field(out, "second_repl_offset", -1);
    field(out, "repl_backlog_active", 0);
    field(out, "repl_backlog_size", 0);
    field(out, "repl_backlog_first_byte_offset", 0);
    field(out, "repl_backlog_histlen", 0);
}

fn cpu(out: &mut String, _gate: &Gate) {
    let cpu = usage::cpu();
    field(out, "used_cpu_sys", format_args!("{:.6}", cpu.system.as_secs_f64()));
    field(out, "used_cpu_user", format_args!("{:.6}", cpu.user.as_secs_f64()));
    field(out, "used_cpu_sys_children", "0.000000");
    field(out, "used_cpu_user_children", "0.000000");
}

fn keyspace(out: &mut String, gate: &Gate) {
    for (db, keys, expires) in gate.core.keyspaces().filter(|(_, keys, _)| *keys > 0) {
        write!(out, "db{}:keys={keys},expires={expires},avg_ttl=0\r\n", db.0).expect("text grows");
    }
}

fn commandstats(out: &mut String, gate: &Gate) {
    for (name, calls) in gate.stats.calls() {
        write!(out, "cmdstat_{name}:calls={calls},usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0\r\n")
            .expect("text grows");
    }
}

/// Where the watermarks stand, and what holds one back.
fn watermarks(out: &mut String, gate: &Gate) {
    let marks = &gate.watermarks;
    let applied = gate.core.applied();
    let (durable, published, stored) = (marks.durable.get(), marks.published.get(), marks.stored.get());
    let figures = &gate.figures;
    field(out, "log", gate.facts.log_id);
    field(out, "stale", one_line(gate.stale().unwrap_or_default()));
    field(out, "appendfsync", gate.facts.appendfsync);
    field(out, "campaigns", gate.core.campaigns().filter(|campaign| !campaign.dropped).count());
    field(out, "lsn_applied", applied);
    field(out, "lsn_staged", marks.staged.get());
    field(out, "lsn_durable", durable);
    field(out, "lag_durable", applied.get().saturating_sub(durable.get()));
    field(out, "kafka", &gate.facts.kafka);
    if gate.facts.streams {
        field(out, "lsn_published", published);
        field(out, "lag_published", durable.get().saturating_sub(published.get()));
        field(out, "oldest_unpublished_seconds", age(figures.oldest_unpublished_at.get()));
        field(out, "kafka_records", figures.kafka_records.get());
        field(out, "kafka_in_flight", figures.kafka_in_flight.get());
        field(out, "kafka_duplicates", figures.kafka_duplicates.get());
        field(out, "kafka_trouble", one_line(&figures.kafka_trouble.get()));
    }
    field(out, "ledger", &gate.facts.ledger);
    if gate.facts.has_ledger {
        field(out, "lsn_stored", stored);
        field(out, "lag_stored", durable.get().saturating_sub(stored.get()));
        field(out, "oldest_unstored_seconds", age(figures.oldest_unstored_at.get()));
        field(out, "ledger_lag", figures.ledger_lag.get());
        field(out, "ledger_pace", figures.ledger_pace.get());
        field(out, "ledger_drain_seconds", figures.ledger_drain_seconds.get());
        field(out, "ledger_paused", figures.ledger_paused.get());
        field(out, "ledger_rows", figures.ledger_rows.get());
        field(out, "ledger_duplicates", figures.ledger_duplicates.get());
        field(out, "foreign_records", figures.foreign_records.get());
        field(out, "dead_letters", figures.dead_letters.get());
        field(out, "ledger_trouble", one_line(&figures.ledger_trouble.get()));
    }
    field(out, "journal_bytes", figures.journal_bytes.get());
    field(out, "journal_trouble", one_line(&figures.journal_trouble.get()));
    let snapshots = marks.snapshots.figures();
    field(out, "lsn_snapshot", snapshots.newest.map_or(0, |newest| newest.lsn.get()));
    field(out, "snapshot_bytes", snapshots.newest.map_or(0, |newest| newest.bytes));
    field(out, "snapshot_trouble", one_line(&snapshots.trouble));
    field(out, "clock_ahead_ms", figures.clock_ahead_ms.get());
}

/// Seconds since `at` (unix milliseconds; 0 is never), as text.
fn age(at: u64) -> String {
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    let ms = if at == 0 { 0 } else { edge::wall().0.saturating_sub(at).max(0) };
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn one_line(line: &str) -> String {
    line.replace(['\r', '\n'], " ")
}
