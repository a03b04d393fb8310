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

/// The names in a table with open addressing.
struct Names {
    slots: [(Key, u16); SLOTS],
}

/// A slot without a name.
const FREE: u16 = u16::MAX;

impl Names {
    fn build() -> Names {
        let mut slots = [(Key { head: 0, tail: 0, len: 0 }, FREE); SLOTS];
        for row in TABLE.iter().filter(|row| row.container().is_none()) {
            let plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.');
            assert!(row.name.bytes().all(plain), "a key tells plain names from all others: {}", row.name);
            let key = Key::of(row.name.as_bytes()).expect("names of commands have 1 to 16 bytes");
            let mut slot = key.slot();
            while slots[slot].1 != FREE {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = (key, row.index as u16);
        }
        Names { slots }
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<&'static CommandSpec> {
        let key = Key::of(name)?;
        let mut slot = key.slot();
        loop {
            match self.slots[slot] {
                (_, FREE) => return None,
                (found, index) if found == key => return Some(&TABLE[usize::from(index)]),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }
}

/// A name of 1 to 16 bytes in any case. Read as two words that overlap: padding it in a buffer takes longer than all the
/// rest of a lookup.
///
/// ```text
///   GATE.CLAIM   head gate.cla   tail te.claim   len 10
///   Incr         head incr       tail incr       len 4
///   get          head g          tail te         len 3
/// ```
#[derive(Clone, Copy, PartialEq)]
struct Key {
    head: u64,
    tail: u64,
    len: usize,
}

impl Key {
    /// `None` if no command's name is so short or so long.
    #[inline]
    fn of(name: &[u8]) -> Option<Key> {
        let len = name.len();
        let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            if len > 16 {
                return None;
            }
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        } else {
            let (&first, &last) = (name.first()?, name.last()?);
            (u64::from(first), u64::from(name[len / 2]) << 8 | u64::from(last))
        };
        Some(Key { head: lower(head), tail: lower(tail), len })
    }

    #[inline]
    fn slot(self) -> usize {
        let folded = self.head ^ self.tail.rotate_left(29);
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % SLOTS
    }
}

/// Eight bytes, letters in lower case. Of all bytes, only a letter in either case comes to a letter, and only a digit or
/// a dot to itself.
#[inline]
fn lower(bytes: u64) -> u64 {
    bytes | (bytes & 0x4040_4040_4040_4040) >> 1
}
