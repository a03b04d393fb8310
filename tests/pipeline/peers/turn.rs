//! Who may have peers of his own: a few tests at a time, for a broker takes half a core while it starts.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

/// How many tests at a time have peers of their own.
const TESTS_MAX: usize = 3;

static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

thread_local! {
    static MINE: RefCell<Weak<Turn>> = const { RefCell::new(Weak::new()) };
}

/// The right to have peers of one's own, until the last of them is dropped.
#[derive(Debug)]
pub struct Turn(());

impl Turn {
    /// Waits for a turn. A test has one turn for all its peers, so that two tests never wait for each other's.
    pub fn take() -> Arc<Turn> {
        MINE.with_borrow_mut(|mine| {
            if let Some(turn) = mine.upgrade() {
                return turn;
            }
            let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
            let mut taken =
                GIVEN_BACK.wait_while(taken, |taken| *taken >= TESTS_MAX).unwrap_or_else(PoisonError::into_inner);
            *taken += 1;
            let turn = Arc::new(Turn(()));
            *mine = Arc::downgrade(&turn);
            turn
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        GIVEN_BACK.notify_one();
    }
}
