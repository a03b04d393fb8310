//! Keys with a value and a deadline.

use super::{Effect, Model, NEVER, Value};
use crate::sim::oracle::ask::{Ask, Text, number_to};
use crate::sim::oracle::reply::{bulk, error, integer};

impl Model {
    fn key(&self, key: u8, now: i64) -> Option<&Value> {
        self.keys[usize::from(key)].as_ref().filter(|value| value.deadline > now)
    }

    pub(super) fn on_keys(&mut self, ask: Ask, keys: [u8; 2], now: i64, change: u64, out: &mut Vec<u8>) -> Effect {
        let before = keys.map(|key| self.keys_at[usize::from(key)]);
        let changed = match ask {
            Ask::SetTwo { keys, values } => {
                keys.into_iter().zip(values).for_each(|(key, value)| self.set(key, value, NEVER));
                out.extend_from_slice(b"+OK\r\n");
                true
            }
            Ask::GetTwo { keys } => {
                out.extend_from_slice(b"*2\r\n");
                keys.into_iter().for_each(|key| self.get(key, now, out));
                false
            }
            Ask::Rename { from, to } => self.rename(from, to, now, out),
            _ => self.on_key(ask, keys[0], now, out),
        };
        if changed {
            keys.into_iter().for_each(|key| self.keys_at[usize::from(key)] = change);
        }
        let told = if matches!(ask, Ask::Rename { .. }) { before[0] } else { before[0].max(before[1]) };
        Effect { changed, depends: if changed { change } else { told }, ..Effect::default() }
    }

    fn on_key(&mut self, ask: Ask, key: u8, now: i64, out: &mut Vec<u8>) -> bool {
        let is_there = self.key(key, now).is_some();
        match ask {
            Ask::Get { .. } => {
                self.get(key, now, out);
                false
            }
            Ask::Set { value, px, .. } => {
                self.set(key, value, px.map_or(NEVER, |px| now + px));
                out.extend_from_slice(b"+OK\r\n");
                true
            }
            Ask::SetIfNone { value, .. } => {
                if !is_there {
                    self.set(key, value, NEVER);
                }
                integer(out, i64::from(!is_there));
                !is_there
            }
            Ask::Add { step, .. } => self.add(key, step, now, out),
            Ask::Append { value, .. } => {
                let (mut bytes, deadline) =
                    self.key(key, now).map_or((Vec::new(), NEVER), |value| (value.bytes.clone(), value.deadline));
                value.write(&mut bytes);
                integer(out, bytes.len() as i64);
                self.keys[usize::from(key)] = Some(Value { bytes, deadline });
                true
            }
            Ask::Delete { .. } => {
                if is_there {
                    self.keys[usize::from(key)] = None;
                }
                integer(out, i64::from(is_there));
                is_there
            }
            Ask::Expire { ms, .. } => {
                integer(out, i64::from(is_there));
                let Some(value) = self.keys[usize::from(key)].as_mut().filter(|_| is_there) else { return false };
                let before = std::mem::replace(&mut value.deadline, now + ms);
                if ms <= 0 {
                    self.keys[usize::from(key)] = None;
                }
                before != now + ms
            }
            Ask::TimeToLive { .. } => {
                let left = self.key(key, now).map_or(-2, |value| match value.deadline {
                    NEVER => -1,
                    deadline => deadline - now,
                });
                integer(out, left);
                false
            }
            Ask::Persist { .. } => {
                let value = self.keys[usize::from(key)].as_mut().filter(|value| is_there && value.deadline != NEVER);
                let changed = value.map(|value| value.deadline = NEVER).is_some();
                integer(out, i64::from(changed));
                changed
            }
            _ => {
                integer(out, i64::from(is_there));
                false
            }
        }
    }

    fn set(&mut self, key: u8, text: Text, deadline: i64) {
        let mut bytes = Vec::new();
        text.write(&mut bytes);
        self.keys[usize::from(key)] = Some(Value { bytes, deadline });
    }

    fn get(&self, key: u8, now: i64, out: &mut Vec<u8>) {
        match self.key(key, now) {
            Some(value) => bulk(out, &value.bytes),
            None => out.extend_from_slice(b"$-1\r\n"),
        }
    }

    fn add(&mut self, key: u8, step: i64, now: i64, out: &mut Vec<u8>) -> bool {
        let (before, deadline) = match self.key(key, now) {
            None => (Some(0), NEVER),
            Some(value) => (number_of(&value.bytes), value.deadline),
        };
        let Some(after) = before.and_then(|before| before.checked_add(step)) else {
            error(out, b"ERR ");
            return false;
        };
        let mut bytes = Vec::new();
        number_to(&mut bytes, after);
        self.keys[usize::from(key)] = Some(Value { bytes, deadline });
        integer(out, after);
        true
    }

    fn rename(&mut self, from: u8, to: u8, now: i64, out: &mut Vec<u8>) -> bool {
        if self.key(from, now).is_none() {
            error(out, b"ERR no such key");
            return false;
        }
        out.extend_from_slice(b"+OK\r\n");
        if from == to {
            return false;
        }
        let value = self.keys[usize::from(from)].take();
        self.keys[usize::from(to)] = value;
        true
    }
}

/// Bytes as a counter takes them.
fn number_of(bytes: &[u8]) -> Option<i64> {
    let number = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    let mut written = Vec::new();
    number_to(&mut written, number);
    (written == bytes).then_some(number)
}
