//! `CONFIG`: the settings that clients and tools of Redis look at, under the names they know.

use crate::core::{Refusal, Reply, glob_matches, parse_integer};
use crate::limits;
use crate::server::commands::{Answered, text};
use crate::server::gate::Gate;
use crate::wire::Args;

pub fn get(gate: &Gate, args: &Args<'_>) -> Answered<'static> {
    let patterns: Vec<String> = args.iter().skip(2).map(|pattern| text(pattern).to_ascii_lowercase()).collect();
    let wanted = |name: &str| patterns.iter().any(|pattern| glob_matches(pattern.as_bytes(), name.as_bytes()));
    let rows = settings(gate).into_iter().filter(|(name, _)| wanted(name));
    Ok(Some(Reply::Map(rows.map(|(name, value)| (Reply::bulk(name.as_bytes()), Reply::text(value))).collect())))
}

fn settings(gate: &Gate) -> Vec<(&'static str, String)> {
    let facts = &gate.facts;
    vec![
        ("appendfsync", facts.appendfsync.to_owned()),
        ("appendonly", "yes".to_owned()),
        ("bind", facts.bind.clone()),
        ("databases", limits::DATABASES.to_string()),
        ("dir", facts.data.clone()),
        ("io-threads", "1".to_owned()),
        ("maxclients", facts.max_clients.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("notify-keyspace-events", String::new()),
        ("port", facts.port.to_string()),
        ("proto-max-bulk-len", limits::VALUE_BYTES_MAX.to_string()),
        ("replica-read-only", "yes".to_owned()),
        ("requirepass", facts.password.as_ref().map(|_| "(set)".to_owned()).unwrap_or_default()),
        ("save", String::new()),
        ("slave-read-only", "yes".to_owned()),
        ("tcp-keepalive", "0".to_owned()),
        ("timeout", "0".to_owned()),
        ("unixsocket", facts.unix_socket.clone()),
    ]
}

/// All or nothing, as in Redis: everything is checked before anything is set.
pub fn set(gate: &mut Gate, args: &Args<'_>) -> Answered<'static> {
    if args.len() % 2 == 1 {
        return Err(Refusal::Err("wrong number of arguments for 'config|set' command"));
    }
    let mut max_clients = gate.facts.max_clients;
    let mut password = gate.facts.password.clone();
    let known = settings(gate);
    for at in (2..args.len()).step_by(2) {
        let name = text(args.get(at)).to_ascii_lowercase();
        let value = args.get(at + 1);
        let failed = |reason: &str| {
            Refusal::ErrText(format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}"))
        };
        match name.as_str() {
            "maxclients" => {
                let wanted = parse_integer(value).and_then(|wanted| usize::try_from(wanted).ok());
                let wanted = wanted.filter(|wanted| (1..=gate.facts.clients_ceiling).contains(wanted));
                max_clients = wanted.ok_or_else(|| {
                    failed(&format!("argument must be between 1 and {} inclusive", gate.facts.clients_ceiling))
                })?;
            }
            "requirepass" if value.is_empty() && gate.facts.needs_password => {
                return Err(failed("protected mode: other machines can reach this gate; give a password"));
            }
            "requirepass" => password = Some(text(value)).filter(|password| !password.is_empty()),
            _ if known.iter().any(|(setting, _)| *setting == name) => {
                return Err(failed("can't set immutable config; it is a setting of the command line and its file"));
            }
            _ => {
                let given = text(args.get(at));
                return Err(Refusal::ErrText(format!(
                    "Unknown option or number of arguments for CONFIG SET - '{given}'"
                )));
            }
        }
    }
    gate.facts.max_clients = max_clients;
    gate.facts.password = password;
    Ok(Some(Reply::Ok))
}
