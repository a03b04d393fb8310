//! The word to stop, and rests that it ends.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::edge::{self, now};

/// Shared by the sink's thread and its handle.
#[derive(Debug, Default)]
pub(super) struct Stop {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    deadline: Option<Instant>,
    ended: bool,
}

impl Stop {
    /// When the sink must have ended, once somebody asked.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).deadline
    }

    /// Asks the sink to end by `deadline`.
    pub(super) fn ask(&self, deadline: Instant) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).deadline = Some(deadline);
        self.changed.notify_all();
    }

    /// Says that the sink has ended.
    pub(super) fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.changed.notify_all();
    }

    /// Waits for the end until `deadline`; whether it came.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        self.wait_until(deadline, |state| state.ended)
    }

    /// Rests until `until`; the word to stop ends the rest, and where it was given before, its deadline does.
    pub(super) fn rest_until(&self, until: Instant) {
        match self.deadline() {
            None => self.wait_until(until, |state| state.deadline.is_some()),
            Some(deadline) => self.wait_until(until.min(deadline), |_| false),
        };
    }

    fn wait_until(&self, until: Instant, enough: impl Fn(&State) -> bool) -> bool {
        if edge::passes(until.saturating_duration_since(now())) {
            return enough(&self.state.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !enough(&state) {
            let left = until.saturating_duration_since(now());
            if left == Duration::ZERO {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
