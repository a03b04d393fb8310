//! The loop: turns that begin with the first request that arrives and end when everybody who was ready has been heard.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;

use crate::journal::JournalError;
use crate::server::gate::{Gate, Loaded};
use crate::server::listen::{self, Listener};

/// Time, closing batches and figures are looked after this often.
const TICK: Duration = Duration::from_millis(100);

/// Wakes the end of the turn; any thread may.
#[derive(Clone, Debug, Default)]
pub struct Wake {
    turn: Arc<Notify>,
    journal_moved: Arc<AtomicBool>,
}

impl Wake {
    /// There is something to seal or to release.
    pub fn wake(&self) {
        self.turn.notify_one();
    }

    /// The journal has written a batch, or its room has changed.
    pub fn journal_moved(&self) {
        self.journal_moved.store(true, Ordering::Release);
        self.turn.notify_one();
    }

    /// Whether there is something to seal or to release, for who ends turns by hand; told once.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn take(&self) -> bool {
        let told = std::pin::pin!(self.turn.notified());
        told.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    /// It has, since this was asked last.
    pub fn journal_has_moved(&self) -> bool {
        self.journal_moved.load(Ordering::Acquire) && self.journal_moved.swap(false, Ordering::AcqRel)
    }
}

/// Serves until `stop`, then answers what was decided, as long as `patience` lasts, and closes the journal. Until `loaded`
/// brings the data, only what needs none is answered.
///
/// # Errors
/// That of `loaded`, at once; or the journal could not be closed: everything answered is on disk all the same.
pub fn run<E: From<JournalError>>(
    gate: Gate,
    listeners: Vec<Listener>,
    wake: Wake,
    loaded: impl Future<Output = Result<Loaded, E>>,
    stop: impl Future<Output = ()>,
    patience: Duration,
) -> Result<(), E> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(31)
        .build()
        .expect("a process may have one event loop");
    let gate = Rc::new(RefCell::new(gate));
    let local = LocalSet::new();
    let failed = local.block_on(&runtime, async {
        let turns = tokio::task::spawn_local(turns(Rc::clone(&gate), wake));
        let ticks = tokio::task::spawn_local(ticks(Rc::clone(&gate)));
        let doors = listen::open(listeners, &gate);
        let asked = Rc::clone(&gate.borrow().facts.stop);
        let failed = tokio::select! {
            () = stop => None,
            () = asked.notified() => None,
            error = open(&gate, loaded) => Some(error),
        };
        doors.into_iter().for_each(|door| door.abort());
        gate.borrow_mut().stop();
        if failed.is_none() {
            let _late = tokio::time::timeout(patience, settled(&gate)).await;
        }
        turns.abort();
        ticks.abort();
        failed
    });
    drop(local);
    drop(runtime);
    let gate = Rc::into_inner(gate).expect("all tasks of the loop have ended");
    gate.into_inner().finish()?;
    failed.map_or(Ok(()), Err)
}

/// Opens the gate with what `loaded` brings; ends only where that is an error.
async fn open<E>(gate: &Rc<RefCell<Gate>>, loaded: impl Future<Output = Result<Loaded, E>>) -> E {
    match loaded.await {
        Ok(loaded) => {
            gate.borrow_mut().open(loaded);
            std::future::pending().await
        }
        Err(error) => error,
    }
}

/// Ends turns: whoever was ready when the turn was woken has been heard before this task has its own. Begins one when a
/// hold ends and nobody asks anything.
async fn turns(gate: Rc<RefCell<Gate>>, wake: Wake) {
    loop {
        let until_due = gate.borrow().until_hold_ends();
        let woken = wake.turn.notified();
        match until_due {
            None => woken.await,
            Some(until_due) => {
                if tokio::time::timeout(until_due, woken).await.is_err() {
                    gate.borrow_mut().begin_turn();
                }
            }
        }
        gate.borrow_mut().end_turn();
    }
}

async fn ticks(gate: Rc<RefCell<Gate>>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        gate.borrow_mut().tick();
    }
}

/// Everything that was decided is answerable, and no client has an answer left to take.
async fn settled(gate: &Rc<RefCell<Gate>>) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    loop {
        looks.tick().await;
        let gate = gate.borrow();
        if gate.is_settled() && gate.clients.iter().all(|client| client.output_bytes.get() == 0) {
            return;
        }
    }
}
