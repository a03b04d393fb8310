//! The table of commands: one row per command and subcommand, found by name.

use std::sync::OnceLock;

use crate::core::Refusal;
use crate::wire::args::Args;
use crate::wire::refusals;
use crate::wire::spec::{CommandSpec, Handler};
use crate::wire::{connection_table, gate_table, keys_table, server_table, strings_table};

/// All rows; a container's subcommands follow it.
const PARTS: [&[CommandSpec]; 5] =
    [strings_table::ROWS, keys_table::ROWS, connection_table::ROWS, server_table::ROWS, gate_table::ROWS];

const COUNT: usize = {
    let (mut part, mut count) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

static TABLE: [CommandSpec; COUNT] = {
    let mut rows = [PARTS[0][0]; COUNT];
    let (mut part, mut index) = (0, 0);
    while part < PARTS.len() {
        let mut row = 0;
        while row < PARTS[part].len() {
            rows[index] = PARTS[part][row];
            rows[index].index = index;
            index += 1;
            row += 1;
        }
        part += 1;
    }
    rows
};

/// Slots of the name table: a power of two, sparse.
const SLOTS: usize = 512;
const _: () = assert!(COUNT * 4 <= SLOTS, "the name table is sparse");

/// All commands and subcommands; `CommandSpec::index` is a row's place here.
pub fn commands() -> &'static [CommandSpec] {
    &TABLE
}

/// The row of the command with this name, in any case; subcommands are not found here.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static CommandSpec> {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(Names::build).find(name)
}

/// The row of a container's subcommand with this name, in any case.
pub fn lookup_subcommand(container: &CommandSpec, name: &[u8]) -> Option<&'static CommandSpec> {
    subcommands(container).iter().find(|row| row.own_name().as_bytes().eq_ignore_ascii_case(name))
}

/// The rows of a container's subcommands; empty for other commands.
pub fn subcommands(container: &CommandSpec) -> &'static [CommandSpec] {
    let rows = &TABLE[container.index + 1..];
    let count = rows.iter().take_while(|row| row.container() == Some(container.name)).count();
    &rows[..count]
}

/// The row that `args` ask for, with a number of arguments that it takes; or the refusal that Redis would give. Never
/// a row with `Handler::Container`.
#[inline]
pub fn resolve(args: &Args<'_>) -> Result<&'static CommandSpec, Refusal> {
    let Some(mut spec) = lookup(args.name()) else { return Err(refusals::unknown_command(args)) };
    if spec.is_container() && args.len() > 1 {
        let Some(row) = lookup_subcommand(spec, args.get(1)) else { return Err(refusals::unknown_subcommand(args)) };
        spec = row;
    }
    if !spec.takes(args.len()) {
        return Err(refusals::arity(spec));
    }
    assert!(!matches!(spec.handler, Handler::Container), "a container without a subcommand has too few arguments");
    Ok(spec)
}

/// Names of up to 16 bytes as numbers, in a table with open addressing.
struct Names {
    slots: [(u128, u16); SLOTS],
}

/// A slot without a name.
const FREE: u16 = u16::MAX;

impl Names {
    fn build() -> Names {
        let mut slots = [(0, FREE); SLOTS];
        for row in TABLE.iter().filter(|row| row.container().is_none()) {
            let key = packed(row.name.as_bytes()).expect("names of commands have at most 16 bytes");
            let mut slot = slot(key);
            while slots[slot].1 != FREE {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = (key, row.index as u16);
        }
        Names { slots }
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<&'static CommandSpec> {
        let key = packed(name)?;
        let mut slot = slot(key);
        loop {
            match self.slots[slot] {
                (_, FREE) => return None,
                (found, index) if found == key => return Some(&TABLE[usize::from(index)]),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }
}

/// A name in lower case as a number, unless it is no command's: empty, too long, or with a zero byte.
#[inline]
fn packed(name: &[u8]) -> Option<u128> {
    let mut bytes = [0u8; 16];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    if name.last().is_none_or(|&byte| byte == 0) {
        return None;
    }
    bytes.make_ascii_lowercase();
    Some(u128::from_le_bytes(bytes))
}

#[inline]
fn slot(key: u128) -> usize {
    let folded = (key as u64) ^ ((key >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % SLOTS
}
