//! What the stream's thread and its handle tell each other: stop, ended, the first look is done.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::edge::{self, now};

/// Shared by the thread and its handle.
#[derive(Debug, Default)]
pub(super) struct Signals {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    deadline: Option<Instant>,
    ended: bool,
    looked: bool,
}

impl Signals {
    /// When the stream must have ended, once somebody asked.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).deadline
    }

    /// Asks the stream to end by `deadline`.
    pub(super) fn ask(&self, deadline: Instant) {
        self.change(|state| state.deadline = Some(deadline));
    }

    /// Says that the stream has ended.
    pub(super) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// Says that the topic has been looked at, or will not be: waiting longer brings nothing.
    pub(super) fn looked(&self) {
        self.change(|state| state.looked = true);
    }

    /// Waits for the end until `deadline`; whether it came.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        self.wait_until(deadline, |state| state.ended)
    }

    /// Waits for the first look until `deadline`; whether it is done.
    pub(super) fn wait_for_look(&self, deadline: Instant) -> bool {
        self.wait_until(deadline, |state| state.looked || state.ended)
    }

    /// Rests until `until`; the word to stop ends the rest, and where it was given before, its deadline does.
    pub(super) fn rest_until(&self, until: Instant) {
        match self.deadline() {
            None => self.wait_until(until, |state| state.deadline.is_some()),
            Some(deadline) => self.wait_until(until.min(deadline), |_| false),
        };
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
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
