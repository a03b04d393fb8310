//! Segment and batch headers as bytes and back, checksums and the chain. Pure.
//!
//! Little-endian. If this layout changes, bump FORMAT and add a golden file.
//!
//! ```text
//! segment   | header, zeros | batch, zeros | batch, zeros | ... | zeros          each | is a block boundary
//! header    "CGSEGMT1" format u16  block_bytes u32  segment_bytes u64  number u64  term u64  owner 16  log 16
//!           salt u32  next_salt u32  first_lsn u64  durable u64  prev_end u64  prev_chain u32  at i64  crc u32
//! batch     "CGBATCH1" format u16  flags u16 (bit 0: final, bit 1: all before it synced)  term u64  owner 16
//!           first_lsn u64  count u32  body_len u32  durable u64  at i64  prev_chain u32  crc u32  body
//! ```
//!
//! A batch's checksum is seeded with the salt of its segment, so that bytes inside a value cannot pass for a batch.
//! A segment names the salt of the one after it, so that batches behind a lost header can still be told from noise.

use crate::ids::{LogId, Lsn, Millis};
use crate::sabotage::{Sabotage, on};

pub(super) const FORMAT: u16 = 1;
pub(super) const SEGMENT_HEADER_BYTES: usize = 118;
pub(super) const BATCH_HEADER_BYTES: usize = 76;

const SEGMENT_MAGIC: &[u8; 8] = b"CGSEGMT1";
const BATCH_MAGIC: &[u8; 8] = b"CGBATCH1";
const SEGMENT_CRC_AT: usize = SEGMENT_HEADER_BYTES - 4;
const BATCH_CRC_AT: usize = BATCH_HEADER_BYTES - 4;
/// The file was cut behind this batch: a clean stop.
const FINAL: u16 = 1;
/// Damage before this batch is no torn write.
const SYNCED_BEFORE: u16 = 2;

/// What the first block of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub block_bytes: u32,
    /// How long the file was made; shorter is damage unless a final batch ends it.
    pub segment_bytes: u64,
    pub number: u64,
    pub term: u64,
    pub owner: [u8; 16],
    pub log: LogId,
    pub salt: u32,
    /// The salt of the next segment.
    pub next_salt: u32,
    /// The position of the first event in here.
    pub first_lsn: Lsn,
    pub durable: Lsn,
    /// Where the batches of the segment before end; what lies behind is cut.
    pub prev_end: u64,
    pub prev_chain: u32,
    pub at: Millis,
}

/// What stands before the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub ends_journal: bool,
    /// Everything before it in the journal, the header of its segment too, was synced when it was written.
    pub synced_before: bool,
    pub term: u64,
    pub owner: [u8; 16],
    /// The position of its first event; of an empty batch the next position.
    pub first_lsn: Lsn,
    pub count: u32,
    pub body_len: u32,
    /// What was durable when it was written.
    pub durable: Lsn,
    pub at: Millis,
    pub prev_chain: u32,
    /// Its own checksum, and so the chain value of what follows.
    pub crc: u32,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// Wrong magic, length, checksum or padding.
    Damaged,
    /// Sound, in a format that this release does not know.
    Newer(u16),
}

impl SegmentHeader {
    /// Writes it into the first block of a segment; the rest of the block becomes zero.
    pub fn write(&self, block: &mut [u8]) {
        block.fill(0);
        let mut pen = Pen(block, 0);
        pen.put(SEGMENT_MAGIC);
        pen.put(&FORMAT.to_le_bytes());
        pen.put(&self.block_bytes.to_le_bytes());
        pen.put(&self.segment_bytes.to_le_bytes());
        pen.put(&self.number.to_le_bytes());
        pen.put(&self.term.to_le_bytes());
        pen.put(&self.owner);
        pen.put(&self.log.0);
        pen.put(&self.salt.to_le_bytes());
        pen.put(&self.next_salt.to_le_bytes());
        pen.put(&self.first_lsn.get().to_le_bytes());
        pen.put(&self.durable.get().to_le_bytes());
        pen.put(&self.prev_end.to_le_bytes());
        pen.put(&self.prev_chain.to_le_bytes());
        pen.put(&self.at.0.to_le_bytes());
        let crc = crc32c::crc32c(&block[..SEGMENT_CRC_AT]);
        block[SEGMENT_CRC_AT..SEGMENT_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads it from the first bytes of a segment, at least the first block of them.
    pub fn read(bytes: &[u8]) -> Result<SegmentHeader, BadHeader> {
        if bytes.len() < SEGMENT_HEADER_BYTES || &bytes[..8] != SEGMENT_MAGIC {
            return Err(BadHeader::Damaged);
        }
        let mut eye = Eye(bytes, 8);
        let format = u16::from_le_bytes(eye.next());
        let header = SegmentHeader {
            block_bytes: u32::from_le_bytes(eye.next()),
            segment_bytes: u64::from_le_bytes(eye.next()),
            number: u64::from_le_bytes(eye.next()),
            term: u64::from_le_bytes(eye.next()),
            owner: eye.next(),
            log: LogId(eye.next()),
            salt: u32::from_le_bytes(eye.next()),
            next_salt: u32::from_le_bytes(eye.next()),
            first_lsn: Lsn::new(u64::from_le_bytes(eye.next())),
            durable: Lsn::new(u64::from_le_bytes(eye.next())),
            prev_end: u64::from_le_bytes(eye.next()),
            prev_chain: u32::from_le_bytes(eye.next()),
            at: Millis(i64::from_le_bytes(eye.next())),
        };
        if u32::from_le_bytes(eye.next()) != crc32c::crc32c(&bytes[..SEGMENT_CRC_AT]) {
            return Err(BadHeader::Damaged);
        }
        if format != FORMAT {
            return Err(BadHeader::Newer(format));
        }
        let rest = bytes.get(SEGMENT_HEADER_BYTES..header.block_bytes as usize).ok_or(BadHeader::Damaged)?;
        if all_zero(rest) { Ok(header) } else { Err(BadHeader::Damaged) }
    }
}

impl BatchHeader {
    /// The position of its last event; of an empty batch the one before the next.
    pub fn last_lsn(&self) -> Lsn {
        Lsn::new(self.first_lsn.get() + u64::from(self.count)).prev()
    }

    /// How long it is with its body and padding.
    pub fn padded(&self, block_bytes: u64) -> u64 {
        (BATCH_HEADER_BYTES as u64 + u64::from(self.body_len)).next_multiple_of(block_bytes)
    }

    /// Writes it before the body in `batch` (header, body, no padding) and answers the checksum: the next chain value.
    pub fn write(&self, batch: &mut [u8], salt: u32) -> u32 {
        let mut pen = Pen(batch, 0);
        pen.put(BATCH_MAGIC);
        pen.put(&FORMAT.to_le_bytes());
        let ends_journal = if self.ends_journal { FINAL } else { 0 };
        let synced_before = if self.synced_before { SYNCED_BEFORE } else { 0 };
        pen.put(&(ends_journal | synced_before).to_le_bytes());
        pen.put(&self.term.to_le_bytes());
        pen.put(&self.owner);
        pen.put(&self.first_lsn.get().to_le_bytes());
        pen.put(&self.count.to_le_bytes());
        pen.put(&self.body_len.to_le_bytes());
        pen.put(&self.durable.get().to_le_bytes());
        pen.put(&self.at.0.to_le_bytes());
        pen.put(&self.prev_chain.to_le_bytes());
        pen.put(&[0; 4]);
        let crc = crc32c::crc32c_append(salt, batch);
        batch[BATCH_CRC_AT..BATCH_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads the header alone: says where the body ends, not that it is sound.
    pub fn peek(bytes: &[u8]) -> Option<BatchHeader> {
        if bytes.len() < BATCH_HEADER_BYTES || &bytes[..8] != BATCH_MAGIC {
            return None;
        }
        let mut eye = Eye(bytes, 10);
        let flags = u16::from_le_bytes(eye.next());
        Some(BatchHeader {
            ends_journal: flags & FINAL != 0,
            synced_before: flags & SYNCED_BEFORE != 0,
            term: u64::from_le_bytes(eye.next()),
            owner: eye.next(),
            first_lsn: Lsn::new(u64::from_le_bytes(eye.next())),
            count: u32::from_le_bytes(eye.next()),
            body_len: u32::from_le_bytes(eye.next()),
            durable: Lsn::new(u64::from_le_bytes(eye.next())),
            at: Millis(i64::from_le_bytes(eye.next())),
            prev_chain: u32::from_le_bytes(eye.next()),
            crc: u32::from_le_bytes(eye.next()),
        })
    }

    /// Reads and checks the batch at the head of `bytes`: magic, length, checksum under `salt`, zeros up to the block.
    /// Whether it belongs where it stands (term, position, chain) is for the caller to check.
    pub fn read(bytes: &[u8], salt: u32, block_bytes: u64) -> Result<BatchHeader, BadHeader> {
        let header = BatchHeader::peek(bytes).ok_or(BadHeader::Damaged)?;
        let end = BATCH_HEADER_BYTES + header.body_len as usize;
        let padding = usize::try_from(header.padded(block_bytes)).ok().and_then(|padded| bytes.get(end..padded));
        let padding = padding.ok_or(BadHeader::Damaged)?;
        let crc = crc32c::crc32c_append(salt, &bytes[..BATCH_CRC_AT]);
        let crc = crc32c::crc32c_append(crc, &[0; 4]);
        let crc = crc32c::crc32c_append(crc, &bytes[BATCH_HEADER_BYTES..end]);
        if (crc != header.crc && !on(Sabotage::IgnoreChecksum)) || !all_zero(padding) {
            return Err(BadHeader::Damaged);
        }
        let (format, flags) = (u16::from_le_bytes([bytes[8], bytes[9]]), u16::from_le_bytes([bytes[10], bytes[11]]));
        if format != FORMAT || flags & !(FINAL | SYNCED_BEFORE) != 0 {
            return Err(BadHeader::Newer(format));
        }
        Ok(header)
    }
}

/// Whether there is nothing in `bytes`.
pub(super) fn all_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

/// Writes fields one behind the other.
struct Pen<'a>(&'a mut [u8], usize);

impl Pen<'_> {
    fn put(&mut self, field: &[u8]) {
        self.0[self.1..self.1 + field.len()].copy_from_slice(field);
        self.1 += field.len();
    }
}

/// Reads fields one behind the other; the caller has checked that all of them are there.
struct Eye<'a>(&'a [u8], usize);

impl Eye<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let field = self.0[self.1..self.1 + N].try_into().expect("a field is as long as its type");
        self.1 += N;
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn segment() -> SegmentHeader {
        SegmentHeader {
            block_bytes: 128,
            segment_bytes: 4096,
            number: 3,
            term: 2,
            owner: [0xaa; 16],
            log: LogId([0xbb; 16]),
            salt: 0x0102_0304,
            next_salt: 0x0506_0708,
            first_lsn: Lsn::new(10),
            durable: Lsn::new(9),
            prev_end: 512,
            prev_chain: 0x1122_3344,
            at: Millis(77),
        }
    }

    fn batch() -> BatchHeader {
        BatchHeader {
            ends_journal: false,
            synced_before: true,
            term: 2,
            owner: [0xaa; 16],
            first_lsn: Lsn::new(10),
            count: 2,
            body_len: 5,
            durable: Lsn::new(9),
            at: Millis(78),
            prev_chain: 0x1122_3344,
            crc: 0,
        }
    }

    #[test]
    fn a_segment_header_has_its_golden_bytes() {
        let mut block = [1; 128];
        segment().write(&mut block);
        let golden = "43475345474d5431 0100 80000000 0010000000000000 0300000000000000 0200000000000000 \
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 04030201 08070605 0a00000000000000 \
            0900000000000000 0002000000000000 44332211 4d00000000000000 bf765d20 00000000000000000000";
        assert_eq!(hex(&block), golden.replace(' ', ""));
        assert_eq!(SegmentHeader::read(&block), Ok(segment()));
    }

    #[test]
    fn a_batch_has_its_golden_bytes() {
        let mut bytes = [0; 128];
        bytes[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + 5].copy_from_slice(b"hello");
        let crc = batch().write(&mut bytes[..BATCH_HEADER_BYTES + 5], 0x0102_0304);
        let golden = "4347424154434831 0100 0200 0200000000000000 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0a00000000000000 \
            02000000 05000000 0900000000000000 4e00000000000000 44332211 3a183e58 68656c6c6f";
        assert_eq!(hex(&bytes[..BATCH_HEADER_BYTES + 5]), golden.replace(' ', ""));
        assert_eq!(BatchHeader::read(&bytes, 0x0102_0304, 128), Ok(BatchHeader { crc, ..batch() }));
        assert_eq!(BatchHeader::read(&bytes, 0x0102_0305, 128), Err(BadHeader::Damaged), "another salt");
    }

    #[test]
    fn every_flipped_bit_of_a_block_is_noticed() {
        let mut block = [0; 128];
        segment().write(&mut block);
        let mut bytes = [0; 128];
        batch().write(&mut bytes[..BATCH_HEADER_BYTES + 5], 9);
        for bit in 0..128 * 8 {
            block[bit / 8] ^= 1 << (bit % 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::read(&block), Err(BadHeader::Damaged), "bit {bit}");
            assert_eq!(BatchHeader::read(&bytes, 9, 128), Err(BadHeader::Damaged), "bit {bit}");
            block[bit / 8] ^= 1 << (bit % 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_sound_header_of_another_format_is_told_as_newer() {
        let mut block = [0; 128];
        segment().write(&mut block);
        block[8] = 2;
        let crc = crc32c::crc32c(&block[..SEGMENT_CRC_AT]);
        block[SEGMENT_CRC_AT..SEGMENT_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::read(&block), Err(BadHeader::Newer(2)));
    }
}
