//! # stories - what happened to a user, asked for by the loop
//! The desk between connections that ask for a story (`GATE.WHY`) and the thread that reads it from the journal, one at a
//! time. A joint between threads: nobody waits here but that thread.
//! May use: `grant`, `limits`, `ids`.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::grant::GrantUser;
use crate::ids::{CampaignId, Lsn, Millis};
use crate::limits;

/// Whose story is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Of which campaign.
    pub campaign: CampaignId,
    /// Which user.
    pub user: GrantUser,
    /// Everything up to here is in it.
    pub upto: Lsn,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at: Millis,
    /// In one word.
    pub what: &'static str,
    /// To which seat; 0: to none.
    pub seat: u32,
    /// Its position in this journal.
    pub lsn: Lsn,
    /// The position by which the world knows it.
    pub seq: Lsn,
    /// It leaves the gate: it can be published and stored.
    pub leaves: bool,
}

/// Where a story is put once it is read: in order, or in words why it cannot be.
pub type Story = Arc<OnceLock<Result<Vec<Happened>, String>>>;

/// The questions of one process.
#[derive(Debug, Default)]
pub struct Stories {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Question, Story)>,
    over: bool,
}

impl Stories {
    /// Asks; nothing where too many wait already.
    pub fn ask(&self, question: Question) -> Option<Story> {
        let mut state = self.lock();
        // Whoever went away is not waited for.
        state.waiting.retain(|(_, story)| Arc::strong_count(story) > 1);
        if state.waiting.len() >= limits::STORIES_WAITING_MAX {
            return None;
        }
        let story = Story::default();
        state.waiting.push_back((question, Arc::clone(&story)));
        drop(state);
        self.asked.notify_one();
        Some(story)
    }

    /// The thread that reads: waits for the next question that somebody still waits for; nothing at the end.
    pub fn next(&self) -> Option<(Question, Story)> {
        let mut state = self.lock();
        loop {
            if state.over {
                return None;
            }
            match state.waiting.pop_front() {
                Some((question, story)) if Arc::strong_count(&story) > 1 => return Some((question, story)),
                Some(_) => {}
                None => state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// No question is read any more.
    pub fn end(&self) {
        self.lock().over = true;
        self.asked.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(user: i64) -> Question {
        Question { campaign: CampaignId(0), user: GrantUser::Int(user), upto: Lsn::new(9) }
    }

    #[test]
    fn questions_are_answered_in_turn_and_those_of_nobody_are_passed_over() {
        let desk = Stories::default();
        let first = desk.ask(question(1)).expect("there is room");
        drop(desk.ask(question(2)));
        let third = desk.ask(question(3)).expect("there is room");
        let (asked, story) = desk.next().expect("it is asked");
        assert_eq!(asked, question(1));
        story.set(Ok(Vec::new())).expect("it is told once");
        assert_eq!(first.get(), Some(&Ok(Vec::new())));
        assert_eq!(desk.next().expect("it is asked").0, question(3));
        assert_eq!(third.get(), None);
        desk.end();
        assert_eq!(desk.next().map(|(asked, _)| asked), None);
    }

    #[test]
    fn no_more_than_a_few_wait() {
        let desk = Stories::default();
        let waiting: Vec<_> =
            (0..limits::STORIES_WAITING_MAX as i64).map_while(|user| desk.ask(question(user))).collect();
        assert_eq!(waiting.len(), limits::STORIES_WAITING_MAX);
        assert!(desk.ask(question(-1)).is_none());
        drop(waiting);
        assert!(desk.ask(question(-1)).is_some(), "nobody waits any more");
    }
}
