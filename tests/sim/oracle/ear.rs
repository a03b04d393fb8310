//! What one connection should hear, in order.

use std::collections::VecDeque;

use super::model::Promise;
use super::reply::ANYTHING;

/// Expected replies, and how much of them was heard.
#[derive(Default)]
pub struct Ear {
    bytes: Vec<u8>,
    heard: usize,
    replies: VecDeque<Reply>,
}

struct Reply {
    end: usize,
    depends: u64,
    seat: Option<Promise>,
}

impl Ear {
    /// The next reply is what `write` writes.
    pub fn expect(&mut self, write: impl FnOnce(&mut Vec<u8>), depends: u64, seat: Option<Promise>) {
        self.expect_after(|out| {
            write(out);
            (depends, seat)
        });
    }

    /// As `expect`, where writing tells what the reply depends on.
    pub fn expect_after(&mut self, write: impl FnOnce(&mut Vec<u8>) -> (u64, Option<Promise>)) {
        if self.replies.is_empty() {
            self.bytes.clear();
            self.heard = 0;
        }
        let (depends, seat) = write(&mut self.bytes);
        self.replies.push_back(Reply { end: self.bytes.len(), depends, seat });
    }

    /// Replies that were not heard.
    pub fn waits_for(&self) -> usize {
        self.replies.len()
    }

    /// Holds `bytes` against what should come; `done` hears of each reply that is complete.
    pub fn hear(
        &mut self,
        bytes: &[u8],
        done: &mut dyn FnMut(u64, Option<Promise>) -> Result<(), String>,
    ) -> Result<(), String> {
        for (place, byte) in bytes.iter().enumerate() {
            if self.bytes.get(self.heard) == Some(&ANYTHING) {
                if *byte != b'\r' {
                    continue;
                }
                self.heard += 1;
            }
            if self.replies.is_empty() || self.bytes.get(self.heard) != Some(byte) {
                let from = self.replies.front().map_or(self.heard, |_| self.heard.saturating_sub(40));
                let until = self.replies.get(1).or(self.replies.front()).map_or(self.bytes.len(), |reply| reply.end);
                return Err(format!(
                    "an answer is {}, it should be {}",
                    bytes[place.saturating_sub(40)..].escape_ascii(),
                    self.bytes[from.min(until)..until].escape_ascii()
                ));
            }
            self.heard += 1;
            if self.replies.front().is_some_and(|reply| reply.end == self.heard)
                && let Some(reply) = self.replies.pop_front()
            {
                done(reply.depends, reply.seat)?;
            }
        }
        Ok(())
    }
}

/// What stands behind `wanted` in `told`, if it begins so.
pub fn leads<'t>(wanted: &[u8], told: &'t [u8]) -> Option<&'t [u8]> {
    let mut at = 0;
    for byte in wanted {
        if *byte == ANYTHING {
            at += told[at..].iter().position(|byte| *byte == b'\r')?;
            continue;
        }
        if told.get(at) != Some(byte) {
            return None;
        }
        at += 1;
    }
    Some(&told[at..])
}
