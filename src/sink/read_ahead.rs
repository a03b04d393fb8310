//! Topics read ahead on a thread of their own: while the database stores some records, the next ones are fetched and
//! understood.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::feed::Item;
use crate::kafka::{Follower, KafkaError, Record};

/// Records handed over at a time: a lone one is not kept waiting for others.
const CHUNK: usize = 500;

/// Chunks that wait: together two transactions of the largest kind.
const CHUNKS_MAX: usize = 16;

/// How long one wait for records lasts before the words to end and to hold are looked for.
const GLANCE: Duration = Duration::from_millis(100);

type Chunk = Result<Vec<Item>, KafkaError>;

/// A partition: the place of its topic, and its number.
pub(super) type Part = (usize, u32);

/// Makes an item of a record and the place of its topic.
pub(super) type Understand = fn((usize, Record)) -> Item;

/// What a follower brings, understood. Dropping it ends its thread at the next glance.
pub(super) struct ReadAhead {
    chunks: Receiver<Chunk>,
    ready: VecDeque<Item>,
    words: Arc<Words>,
}

#[derive(Debug, Default)]
struct Words {
    end: AtomicBool,
    /// What is to be held from now on, until that was heard.
    hold: Mutex<Option<Vec<Part>>>,
}

impl ReadAhead {
    /// Follows with `follower`, and makes an item of each record.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub(super) fn start(follower: Box<dyn Follower>, item: Understand) -> Result<ReadAhead, KafkaError> {
        let (sender, chunks) = sync_channel(CHUNKS_MAX);
        let words = Arc::<Words>::default();
        let heard = Arc::clone(&words);
        let thread = std::thread::Builder::new().name("sink-reader".into());
        let started = thread.spawn(move || read(follower, &heard, &sender, item));
        started.map_err(|error| KafkaError::Unavailable(format!("ledger: no thread to read the topic: {error}")))?;
        Ok(ReadAhead { chunks, ready: VecDeque::new(), words })
    }

    /// The next item; `None` when none came within `patience`.
    ///
    /// # Errors
    /// What ended the follower.
    pub(super) fn next(&mut self, patience: Duration) -> Result<Option<Item>, KafkaError> {
        if let Some(item) = self.ready.pop_front() {
            return Ok(Some(item));
        }
        let chunk = match patience {
            Duration::ZERO => self.chunks.try_recv().map_err(|error| error == TryRecvError::Disconnected),
            _ => self.chunks.recv_timeout(patience).map_err(|error| error == RecvTimeoutError::Disconnected),
        };
        match chunk {
            Ok(chunk) => self.ready.extend(chunk?),
            Err(true) => return Err(KafkaError::Unavailable("ledger: the reader of the topic has ended".into())),
            Err(false) => {}
        }
        Ok(self.ready.pop_front())
    }

    /// Fetches nothing more of the partitions `held`, and of all others again.
    pub(super) fn hold(&self, held: &[Part]) {
        *self.words.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(held.to_vec());
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.words.end.store(true, Ordering::Relaxed);
    }
}

/// Reads until the end is asked for, nobody takes what was read, or the follower fails.
fn read(mut follower: Box<dyn Follower>, words: &Words, chunks: &SyncSender<Chunk>, item: Understand) {
    while !words.end.load(Ordering::Relaxed) {
        let held = words.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(held) = held
            && let Err(error) = follower.hold(&held)
        {
            let _nobody_listens = chunks.send(Err(error));
            return;
        }
        let (chunk, failed) = fetch(follower.as_mut(), item);
        if !chunk.is_empty() && chunks.send(Ok(chunk)).is_err() {
            return;
        }
        if let Some(error) = failed {
            let _nobody_listens = chunks.send(Err(error));
            return;
        }
    }
}

/// What comes within a glance, and what is there with it.
fn fetch(follower: &mut dyn Follower, item: Understand) -> (Vec<Item>, Option<KafkaError>) {
    let mut chunk = Vec::new();
    let mut patience = GLANCE;
    while chunk.len() < CHUNK {
        match follower.next(patience) {
            Ok(Some(record)) => chunk.push(item(record)),
            Ok(None) => break,
            Err(error) => return (chunk, Some(error)),
        }
        patience = Duration::ZERO;
    }
    (chunk, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::Lane;
    use crate::sink::feed::What;
    use std::sync::mpsc::SyncSender;

    /// Brings `left` records, then an error; tells when it is dropped.
    struct Finite {
        left: u64,
        next: u64,
        gone: SyncSender<()>,
    }

    impl Follower for Finite {
        fn next(&mut self, _patience: Duration) -> Result<Option<(usize, Record)>, KafkaError> {
            if self.next == self.left {
                return Err(KafkaError::Unavailable("the end".into()));
            }
            self.next += 1;
            let offset = self.next - 1;
            Ok(Some((0, Record { partition: 0, offset, at: None, key: None, value: None, headers: Vec::new() })))
        }

        fn hold(&mut self, _held: &[Part]) -> Result<(), KafkaError> {
            Ok(())
        }
    }

    impl Drop for Finite {
        fn drop(&mut self) {
            let _ = self.gone.send(());
        }
    }

    fn item((_, record): (usize, Record)) -> Item {
        Item { lane: Lane::at(0), position: record.offset, next: record.offset + 1, what: What::Foreign }
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn everything_comes_in_order_and_what_ended_it_comes_last() {
        let (gone, _) = sync_channel(1);
        let left = (CHUNK * CHUNKS_MAX * 2) as u64 + 7;
        let mut ahead = ReadAhead::start(Box::new(Finite { left, next: 0, gone }), item).unwrap();
        for position in 0..left {
            assert_eq!(ahead.next(PATIENCE).unwrap().expect("a record").position, position);
        }
        assert_eq!(ahead.next(PATIENCE), Err(KafkaError::Unavailable("the end".into())));
        assert!(ahead.next(PATIENCE).is_err(), "and nothing after it");
    }

    #[test]
    fn who_is_no_longer_listened_to_ends() {
        let (gone, ended) = sync_channel(1);
        let ahead = ReadAhead::start(Box::new(Finite { left: u64::MAX, next: 0, gone }), item).unwrap();
        drop(ahead);
        ended.recv_timeout(PATIENCE).expect("the follower is dropped");
    }
}
