//! A bit flips, a file is cut or lost, a batch is another than it was: a start refuses, or finds exactly what was there, but for a last batch that no later
//! word says was ever durable.

use std::path::Path;

use super::chance::Chance;
use super::disk::SimDisk;
use super::oracle::ask::{CAMPAIGNS, KEYS};
use super::process::{DATA, DAWN};
use crate::core::{Command, Core, Decision, View};
use crate::ids::Db;
use crate::journal::{self, JournalError, Options};
use crate::wire::{self, Protocol};

/// What a start over a journal comes to: where it ends, and its answers about all there is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    last: u64,
    told: Vec<u8>,
}

fn read(disk: &SimDisk, options: &Options) -> Result<Found, JournalError> {
    let mut core = Core::new(0);
    let replayed = journal::look(disk, Path::new(DATA), options, &mut core, &mut |_| ())?;
    let mut told_all = Vec::new();
    let view = View { now: DAWN, ..View::default() };
    let names = |kind: u8, count: u8| (0..count).map(move |number| [kind, b'0' + number]);
    // What an answer depends on is no state: a snapshot may say less about that than the journal.
    let mut take = |told: Decision<'_, '_>| {
        if let Decision::Answer { reply, .. } = told {
            wire::encode(&reply, Protocol::Resp2, &mut told_all);
        }
    };
    for campaign in names(b'c', CAMPAIGNS) {
        take(core.decide(Command::Seats { campaign: &campaign, first: 1, count: 1000 }, &view));
    }
    for key in names(b'k', KEYS) {
        take(core.decide(Command::GetMany { db: Db(0), keys: vec![&key] }, &view));
    }
    Ok(Found { last: replayed.map_or(0, |(_, replayed)| replayed.last_lsn.get()), told: told_all })
}

/// Damages a copy of what the disk holds and looks at it. `named`: the highest position that the journal itself says was
/// durable, ; only what lies behind may go with an accident.
///
/// # Errors
/// It is taken for something that never was, in words.
pub fn try_one(disk: &SimDisk, options: &Options, chance: &mut Chance, named: u64) -> Result<(), String> {
    let Ok(sound) = read(disk, options) else { return Err("the journal is refused before any accident".to_owned()) };
    let damaged = disk.copy();
    let names = damaged
        .names()
        .into_iter()
        .filter(|name| [b".seg", b"snap"].iter().any(|end| name.ends_with(*end)))
        .collect::<Vec<_>>();
    if names.is_empty() {
        return Ok(());
    }
    let name = &names[chance.below(names.len() as u64) as usize];
    let len = damaged.len(name) as u64;
    let segments = names.iter().filter(|name| name.starts_with(b"/d/journal"));
    let newest = segments.clone().max().cloned().unwrap_or_default();
    let before = segments.filter(|name| **name != newest).max();
    let shortened = before.is_some_and(|name| (damaged.len(name) as u64) < options.segment_bytes);
    let accident = match chance.below(8) {
        // That the newest one is missing shows once the one before it was cut.
        0 if *name != newest || names.len() > 1 && shortened => {
            damaged.lose(name);
            "the loss".to_owned()
        }
        1 if len > 0 => {
            let kept = chance.below(len) as usize;
            damaged.cut(name, kept);
            format!("a cut at {kept}")
        }
        2 | 3 if len > 0 && name.ends_with(b".seg") => {
            let from = chance.below(len) as usize;
            if damaged.change(name, |bytes| journal::exchange_batch(bytes, from)) != Some(true) {
                return Ok(());
            }
            format!("an exchange of the batch behind {from}")
        }
        _ if len > 0 => {
            let (byte, bit) = (chance.below(len) as usize, chance.below(8) as u32);
            damaged.change(name, |bytes| bytes[byte] ^= 1 << bit);
            format!("a flip of bit {bit} at {byte}")
        }
        _ => return Ok(()),
    };
    let found = match read(&damaged, options) {
        Err(_) => return Ok(()),
        Ok(found) => found,
    };
    if found == sound || (named..sound.last).contains(&found.last) {
        return Ok(());
    }
    Err(format!(
        "{accident} of {} goes unnoticed: {} up to {} was {} up to {}, marked as durable up to {named}",
        name.escape_ascii(),
        found.told.escape_ascii(),
        found.last,
        sound.told.escape_ascii(),
        sound.last,
    ))
}
