//! Fields as little-endian bytes, one behind the other. Pure.

use crate::ids::Seat;

/// What is left of a payload; each call takes one field off its head.
pub(super) struct Cut<'a>(pub &'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.take(8)?.try_into().ok().map(i64::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// 0 or 1.
    pub fn truth(&mut self) -> Option<bool> {
        self.u8().filter(|byte| *byte <= 1).map(|byte| byte == 1)
    }

    pub fn seat(&mut self) -> Option<Seat> {
        self.u32().filter(|number| *number > 0).map(Seat::new)
    }

    pub fn u48(&mut self) -> Option<u64> {
        let field = self.take(6)?;
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(field);
        Some(u64::from_le_bytes(bytes))
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn sized(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    /// What `put_short` wrote.
    pub fn short(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.u8()?);
        self.take(len)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

pub(super) fn put_u16(into: &mut Vec<u8>, value: u16) {
    into.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u32(into: &mut Vec<u8>, value: u32) {
    into.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(into: &mut Vec<u8>, value: u64) {
    into.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u48(into: &mut Vec<u8>, value: u64) {
    debug_assert!(value >> 48 == 0, "times and positions of grants are 48 bits wide");
    into.extend_from_slice(&value.to_le_bytes()[..6]);
}

pub(super) fn put_i64(into: &mut Vec<u8>, value: i64) {
    into.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_sized(into: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(into, u32::try_from(bytes.len()).expect("keys are bounded far below 4 GiB"));
    into.extend_from_slice(bytes);
}

/// At most 255 bytes.
pub(super) fn put_short(into: &mut Vec<u8>, bytes: &[u8]) {
    into.push(u8::try_from(bytes.len()).expect("an ID is bounded far below 256 bytes"));
    into.extend_from_slice(bytes);
}
