//! A crowd that claims as long as it is let, through whatever happens to the gate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::client::Client;
use crate::level::{Luck, within};
use crate::line::CAMPAIGN;

/// Connections of a crowd.
const CONNECTIONS: usize = 4;

/// What a connection waits between two claims: together a few thousand claims a second, which leaves the peers a core.
const BREATH: Duration = Duration::from_millis(1);

/// Threads that claim.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    granted: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<BTreeMap<i64, u32>>>,
}

impl Crowd {
    /// Users draw from 1..=`users`, one in three asks again; answers other than a grant are let pass.
    pub fn start(port: u16, users: u64, luck: &mut Luck) -> Crowd {
        let (stop, granted) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let threads = (0..CONNECTIONS).map(|_| {
            let (stop, granted, luck) = (Arc::clone(&stop), Arc::clone(&granted), luck.fork());
            thread::spawn(move || claim_until(port, users, &stop, &granted, luck))
        });
        let threads = threads.collect();
        Crowd { stop, granted, threads }
    }

    /// Waits until `more` seats have been granted to it from here on.
    #[track_caller]
    pub fn wait_for(&self, more: usize) {
        let enough = self.granted.load(Ordering::Relaxed) + more;
        within(Duration::from_secs(60), &format!("{more} more grants"), || {
            (self.granted.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    /// Stops, and tells who was told which seat.
    #[track_caller]
    pub fn end(self) -> BTreeMap<i64, u32> {
        self.stop.store(true, Ordering::Relaxed);
        let mut told = BTreeMap::new();
        for thread in self.threads {
            for (user, seat) in thread.join().expect("the crowd meets nothing unexpected") {
                let before = told.insert(user, seat);
                assert!(before.is_none_or(|before| before == seat), "user {user}: {before:?} and {seat}");
            }
        }
        told
    }
}

fn claim_until(port: u16, users: u64, stop: &AtomicBool, granted: &AtomicUsize, mut luck: Luck) -> BTreeMap<i64, u32> {
    let mut told = BTreeMap::new();
    let mut again = None;
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(BREATH);
        let connected = match client.take() {
            Some(connected) => Some(connected),
            None => Client::connect(port).ok(),
        };
        let Some(mut connected) = connected else { continue };
        let user = match again.take() {
            Some(user) if luck.below(3) == 0 => user,
            _ => 1 + luck.below(users) as i64,
        };
        let Ok(reply) = connected.try_call(&["GATE.CLAIM", CAMPAIGN, &user.to_string(), "FLAT"]) else {
            // It may have been granted: ask again, as clients do.
            again = Some(user);
            continue;
        };
        client = Some(connected);
        let Some(text) = reply.text() else { continue };
        let words: Vec<&str> = text.split(' ').collect();
        if let ["GRANTED" | "ALREADY", seat, _] = words.as_slice() {
            let seat = seat.parse().expect("a seat is a number");
            if told.insert(user, seat).is_none() {
                granted.fetch_add(1, Ordering::Relaxed);
            }
            again = Some(user);
        }
    }
    told
}
