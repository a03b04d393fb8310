//! A crowd whose seats come back: every user claims, and then confirms, lets go or cancels as his habits are. All he asks
//! goes over one connection, and he waits for each answer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use redis_protocol::resp2::types::BytesFrame;

use crate::rehearse::client::Client;
use crate::rehearse::crowd::Crowd;
use crate::rehearse::fire::{self, Fired, Heard, now};
use crate::rehearse::habits::Habits;
use crate::rehearse::turnover::{Ask, Asked, Claimed, Nanos, Outcome, Settled, Turnover, nanos_since};
use crate::rehearse::{RehearseError, RehearseOptions};

/// What all connections of a crowd go by.
#[derive(Debug)]
pub struct Visits {
    /// Every user once, in the order in which they come.
    pub crowd: Crowd,
    /// What they do with their seats.
    pub habits: Habits,
    /// The campaign.
    pub campaign: String,
    /// How often each of them claims, and how many requests a connection has under way.
    pub options: RehearseOptions,
    /// When our time began.
    pub epoch: Instant,
}

/// Lets everybody ask until all holds are over. A lost connection loses its own users only.
pub async fn fire(clients: Vec<Client>, visits: Visits, turnover: Turnover) -> Fired<Turnover> {
    let connections = u32::try_from(clients.len()).expect("connections are bounded");
    let claims = visits.crowd.claims() * u64::from(visits.options.repeat);
    let visits = Rc::new(visits);
    let mut fired = fire::all_at_once(clients, claims, turnover, |index, client, heard| {
        let turns = visits.crowd.slice(index, connections);
        let visits = Rc::clone(&visits);
        async move {
            let left = (turns.end - turns.start) * u64::from(visits.options.repeat);
            let users = turns.map(|turn| visits.crowd.user(turn));
            let mut line = Line::new(client, users, &visits, &heard, left);
            if let Err(error) = line.serve().await {
                let mut heard = heard.borrow_mut();
                line.waiting.iter().for_each(|(visit, _)| heard.truth.lose(visit.user));
                heard.truth.lose_claims(line.left, &error.to_string());
            }
        }
    })
    .await;
    fired.truth.close();
    fired
}

/// What a user is about to ask, and which of his rounds it is.
#[derive(Clone, Copy, Debug)]
struct Visit {
    user: u32,
    round: u32,
    ask: Ask,
}

/// One connection and its users. Each of them stands in one place: he has not come yet, waits for an answer, has the next
/// word, waits until his hold is over, or waits for his next round.
struct Line<'v, I> {
    client: Client,
    users: I,
    visits: &'v Visits,
    heard: &'v RefCell<Heard<Turnover>>,
    waiting: VecDeque<(Visit, Asked)>,
    next: VecDeque<Visit>,
    /// Who lets his hold end, and when that is; then he tries to confirm it all the same.
    late: VecDeque<(Nanos, Visit)>,
    again: VecDeque<Visit>,
    /// Claims that are not answered yet.
    left: u64,
}

impl<'v, I: Iterator<Item = u32>> Line<'v, I> {
    fn new(client: Client, users: I, visits: &'v Visits, heard: &'v RefCell<Heard<Turnover>>, left: u64) -> Self {
        let (waiting, next, late, again) = (VecDeque::new(), VecDeque::new(), VecDeque::new(), VecDeque::new());
        Line { client, users, visits, heard, waiting, next, late, again, left }
    }

    async fn serve(&mut self) -> Result<(), RehearseError> {
        loop {
            let sent = nanos_since(self.visits.epoch, now());
            while self.waiting.len() < self.visits.options.pipeline as usize
                && let Some(visit) = self.turn(sent)
            {
                let asked = self.heard.borrow_mut().truth.ask(visit.user, visit.ask, sent);
                self.push(visit);
                self.waiting.push_back((visit, asked));
            }
            if self.waiting.is_empty() {
                let Some((due, _)) = self.late.front() else { return Ok(()) };
                let due = self.visits.epoch + Duration::from_nanos(*due);
                tokio::time::sleep_until(due.into()).await;
                continue;
            }
            self.client.send().await?;
            self.client.receive().await?;
            self.listen()?;
        }
    }

    /// Who asks next.
    fn turn(&mut self, now: Nanos) -> Option<Visit> {
        if let Some(visit) = self.next.pop_front() {
            return Some(visit);
        }
        if self.late.front().is_some_and(|(due, _)| *due <= now) {
            return self.late.pop_front().map(|(_, visit)| visit);
        }
        let first = self.users.next().map(|user| Visit { user, round: 1, ask: Ask::Claim });
        first.or_else(|| self.again.pop_front())
    }

    fn push(&mut self, Visit { user, ask, .. }: Visit) {
        let (mut user_digits, mut seat_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        let campaign = self.visits.campaign.as_bytes();
        let user = user_digits.format(user).as_bytes();
        let mut settle = |command: &[u8], seat: u32| {
            self.client.push(&[command, campaign, user, b"SEAT", seat_digits.format(seat).as_bytes()]);
        };
        match ask {
            Ask::Claim => self.client.push(&[b"GATE.CLAIM", campaign, user]),
            Ask::Confirm(seat) => settle(b"GATE.CONFIRM", seat),
            Ask::Cancel(seat) => settle(b"GATE.CANCEL", seat),
        }
    }

    /// Every answer that is there.
    fn listen(&mut self) -> Result<(), RehearseError> {
        let (heard_at, before) = (now(), self.left);
        let got = nanos_since(self.visits.epoch, heard_at);
        while let Some(frame) = self.client.reply()? {
            let nobody_asked = || self.client.garbled("an answer that nobody asked for");
            let (visit, asked) = self.waiting.pop_front().ok_or_else(nobody_asked)?;
            let Visit { user, ask, .. } = visit;
            let mut heard = self.heard.borrow_mut();
            let outcome = match ask {
                Ask::Claim => {
                    heard.claim_took(got.saturating_sub(asked.at()), heard_at);
                    self.left -= 1;
                    heard.truth.claimed(user, &asked, &claimed(&frame), got)
                }
                Ask::Confirm(seat) => {
                    heard.truth.confirmed(user, seat, &asked, &settled(&frame, b"GRANTED", "confirmation"), got)
                }
                Ask::Cancel(seat) => {
                    heard.truth.cancelled(user, seat, &asked, &settled(&frame, b"CANCELLED", "cancellation"), got)
                }
            };
            drop(heard);
            self.go_on(visit, outcome);
        }
        self.heard.borrow().progress.inc(before - self.left);
        Ok(())
    }

    /// What the user does next.
    fn go_on(&mut self, visit: Visit, outcome: Outcome) {
        let Visit { user, round, .. } = visit;
        let Visits { habits, options: RehearseOptions { repeat, .. }, .. } = self.visits;
        let then = |ask| Visit { ask, ..visit };
        match outcome {
            Outcome::Held { seat, new: true, .. } if habits.confirms(user, round) => {
                self.next.push_back(then(Ask::Confirm(seat)));
            }
            Outcome::Held { seat, over, .. } if round == *repeat => {
                self.late.push_back((over, then(Ask::Confirm(seat))));
            }
            Outcome::Granted(seat) if habits.cancels(user, round) => {
                self.next.push_back(then(Ask::Cancel(seat)));
            }
            // Once more, as if the answer had been lost.
            Outcome::Cancelled(seat) => self.next.push_back(then(Ask::Cancel(seat))),
            Outcome::Held { .. } | Outcome::Granted(_) | Outcome::Nothing if round < *repeat => {
                self.again.push_back(Visit { user, round: round + 1, ask: Ask::Claim });
            }
            Outcome::Held { .. } | Outcome::Granted(_) | Outcome::Nothing => {}
        }
    }
}

/// The answer to a claim, from its reply.
fn claimed(frame: &BytesFrame) -> Claimed {
    let BytesFrame::Array(parts) = frame else { return Claimed::Plain(fire::answer(frame)) };
    let [
        BytesFrame::SimpleString(status),
        BytesFrame::Integer(seat),
        BytesFrame::Integer(remaining),
        BytesFrame::Integer(until),
    ] = &parts[..]
    else {
        return Claimed::Plain(fire::answer(frame));
    };
    match (&status[..], u32::try_from(*seat), u32::try_from(*remaining)) {
        (b"HELD", Ok(seat), Ok(remaining)) => Claimed::Held { seat, remaining, until: *until },
        _ => Claimed::Plain(fire::answer(frame)),
    }
}

/// The answer to a confirmation or a cancellation, from its reply. `done` is the word for what was asked.
fn settled(frame: &BytesFrame, done: &[u8], what: &str) -> Settled {
    let none = || Settled::Error(format!("no answer to a {what}: {frame:?}"));
    if let BytesFrame::Error(line) = frame {
        return Settled::Error(line.to_string());
    }
    let BytesFrame::Array(parts) = frame else { return none() };
    let [BytesFrame::SimpleString(status), BytesFrame::Integer(seat), BytesFrame::Integer(remaining)] = &parts[..]
    else {
        return none();
    };
    match (&status[..], u32::try_from(*seat), u32::try_from(*remaining)) {
        (status, Ok(seat), Ok(remaining)) if status == done => Settled::Done { seat, remaining },
        (b"NONE", Ok(0), Ok(remaining)) => Settled::Nothing { remaining },
        _ => none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(reply: &[u8]) -> BytesFrame {
        let decoded = redis_protocol::resp2::decode::decode_bytes(&bytes::Bytes::copy_from_slice(reply));
        decoded.unwrap().unwrap().0
    }

    #[test]
    fn every_answer_is_understood() {
        let held = frame(b"*4\r\n+HELD\r\n:57\r\n:43\r\n:1732250000123\r\n");
        assert_eq!(claimed(&held), Claimed::Held { seat: 57, remaining: 43, until: 1_732_250_000_123 });
        let settled = |reply| settled(&frame(reply), b"CANCELLED", "cancellation");
        assert_eq!(settled(b"*3\r\n+CANCELLED\r\n:57\r\n:43\r\n"), Settled::Done { seat: 57, remaining: 43 });
        assert_eq!(settled(b"*3\r\n+NONE\r\n:0\r\n:43\r\n"), Settled::Nothing { remaining: 43 });
        assert_eq!(settled(b"-ERR no\r\n"), Settled::Error("ERR no".to_string()));
    }

    #[test]
    fn a_reply_of_another_form_is_an_error() {
        let held: [&[u8]; 3] = [
            b"*4\r\n+HELD\r\n:-1\r\n:43\r\n:1732250000123\r\n",
            b"*4\r\n+GRANTED\r\n:1\r\n:43\r\n:1732250000123\r\n",
            b"*3\r\n+HELD\r\n:1\r\n:43\r\n",
        ];
        for reply in held {
            assert!(matches!(claimed(&frame(reply)), Claimed::Plain(crate::rehearse::truth::Answer::Error(_))));
        }
        let settles: [&[u8]; 4] =
            [b"*3\r\n+GRANTED\r\n:1\r\n:43\r\n", b"*3\r\n+NONE\r\n:1\r\n:43\r\n", b"+CANCELLED\r\n", b"$-1\r\n"];
        for reply in settles {
            assert!(matches!(settled(&frame(reply), b"CANCELLED", "cancellation"), Settled::Error(_)));
        }
    }
}
