//! The crowd at the door: every connection makes its slice of the claims, as many at a time as the pipeline is deep.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use redis_protocol::resp2::types::BytesFrame;
use tokio::task::{JoinSet, LocalSet};

use crate::rehearse::RehearseError;
use crate::rehearse::client::Client;
use crate::rehearse::crowd::Crowd;
use crate::rehearse::truth::{Answer, Truth};

/// Latencies are kept in nanoseconds to three digits; what is longer than ten minutes counts as ten minutes.
const LATENCY_NS_MAX: u64 = 600_000_000_000;
const LATENCY_DIGITS: u8 = 3;

/// What a crowd's claims came to.
#[derive(Debug)]
pub struct Fired<T> {
    /// Every answer.
    pub truth: T,
    /// From the sending of a claim to its answer, in nanoseconds.
    pub latency_ns: Histogram<u64>,
    /// When the first claim was sent.
    pub started: Instant,
    /// Seconds until the last answer to a claim.
    pub seconds: f64,
}

/// What the connections hear together.
#[derive(Debug)]
pub struct Heard<T> {
    /// Every answer.
    pub truth: T,
    /// Claims that were answered.
    pub progress: ProgressBar,
    latency_ns: Histogram<u64>,
    /// When the last claim was answered, where other requests follow it.
    claimed: Option<Instant>,
}

impl<T> Heard<T> {
    /// A claim was answered after so long, and other requests may follow it.
    pub fn claim_took(&mut self, latency_ns: u64, now: Instant) {
        self.latency_ns.saturating_record(latency_ns);
        self.claimed = Some(now);
    }
}

/// Makes all claims of `crowd` in `campaign` and waits for the answers. A lost connection loses its own claims only.
pub async fn fire(clients: Vec<Client>, crowd: Crowd, campaign: &str, pipeline: u32, truth: Truth) -> Fired<Truth> {
    let connections = u32::try_from(clients.len()).expect("connections are bounded");
    let (claims, crowd) = (crowd.claims(), Rc::new(crowd));
    let mut fired = all_at_once(clients, claims, truth, |index, client, heard| {
        let turns = crowd.slice(index, connections);
        let (crowd, campaign) = (Rc::clone(&crowd), campaign.to_string());
        async move {
            let mut left = turns.end - turns.start;
            let shot = shoot(client, turns.map(|turn| crowd.user(turn)), &campaign, pipeline, &heard, &mut left);
            if let Err(error) = shot.await {
                heard.borrow_mut().truth.lose(left, &error.to_string());
            }
        }
    })
    .await;
    fired.truth.judge_answers();
    fired
}

/// Lets every connection do its part, `connection` with its number, until all are done.
pub async fn all_at_once<T, F>(
    clients: Vec<Client>,
    claims: u64,
    truth: T,
    connection: impl Fn(u32, Client, Rc<RefCell<Heard<T>>>) -> F,
) -> Fired<T>
where
    F: Future<Output = ()> + 'static,
{
    let progress = ProgressBar::new(claims).with_style(bar_style());
    let latency_ns =
        Histogram::new_with_bounds(1, LATENCY_NS_MAX, LATENCY_DIGITS).expect("the bounds of the histogram are sound");
    let heard = Rc::new(RefCell::new(Heard { truth, progress, latency_ns, claimed: None }));

    let started = now();
    let local = LocalSet::new();
    let mut shooters = JoinSet::new();
    for (index, client) in (0..).zip(clients) {
        shooters.spawn_local_on(connection(index, client, Rc::clone(&heard)), &local);
    }
    local.run_until(async { while shooters.join_next().await.is_some() {} }).await;
    let ended = now();
    drop((shooters, local));

    let heard = Rc::into_inner(heard).expect("no connection is left").into_inner();
    heard.progress.finish_and_clear();
    let seconds = heard.claimed.unwrap_or(ended).duration_since(started).as_secs_f64();
    Fired { truth: heard.truth, latency_ns: heard.latency_ns, started, seconds }
}

/// One connection's claims. `left` is how many are not answered yet.
async fn shoot(
    mut client: Client,
    users: impl Iterator<Item = u32>,
    campaign: &str,
    pipeline: u32,
    heard: &RefCell<Heard<Truth>>,
    left: &mut u64,
) -> Result<(), RehearseError> {
    let mut users = users.fuse();
    let mut waiting: VecDeque<(u32, Instant)> = VecDeque::new();
    let mut digits = itoa::Buffer::new();
    while *left > 0 {
        let sent = now();
        while waiting.len() < pipeline as usize
            && let Some(user) = users.next()
        {
            client.push(&[b"GATE.CLAIM", campaign.as_bytes(), digits.format(user).as_bytes()]);
            waiting.push_back((user, sent));
        }
        client.send().await?;
        client.receive().await?;

        let (got, before) = (now(), *left);
        let mut heard = heard.borrow_mut();
        while let Some(frame) = client.reply()? {
            let (user, sent) = waiting.pop_front().ok_or_else(|| client.garbled("an answer that nobody asked for"))?;
            heard.truth.hear(user, &answer(&frame));
            let latency_ns = u64::try_from(got.duration_since(sent).as_nanos()).unwrap_or(LATENCY_NS_MAX);
            heard.latency_ns.saturating_record(latency_ns);
            *left -= 1;
        }
        heard.progress.inc(before - *left);
    }
    Ok(())
}

/// The answer to a claim, from its reply.
pub fn answer(frame: &BytesFrame) -> Answer {
    match frame {
        BytesFrame::Array(parts) => match &parts[..] {
            [BytesFrame::SimpleString(status), BytesFrame::Integer(number), BytesFrame::Integer(remaining)] => {
                match (&status[..], u32::try_from(*number), u32::try_from(*remaining)) {
                    (b"GRANTED", Ok(seat), Ok(remaining)) => Answer::Granted { seat, remaining },
                    (b"ALREADY", Ok(seat), Ok(remaining)) => Answer::Already { seat, remaining },
                    (b"SOLDOUT", Ok(0), Ok(remaining)) => Answer::SoldOut { remaining },
                    (b"NOTOPEN", _, Ok(_)) => Answer::NotOpen,
                    (b"CLOSED", Ok(0), Ok(_)) => Answer::Closed,
                    _ => Answer::Error(format!("no answer to a claim: {frame:?}")),
                }
            }
            _ => Answer::Error(format!("no answer to a claim: {frame:?}")),
        },
        BytesFrame::Error(line) => Answer::Error(line.to_string()),
        BytesFrame::SimpleString(_) | BytesFrame::Integer(_) | BytesFrame::BulkString(_) | BytesFrame::Null => {
            Answer::Error(format!("no answer to a claim: {frame:?}"))
        }
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} claims, {per_sec}, {eta} left")
        .expect("the template of the bar is sound")
}

#[expect(clippy::disallowed_methods, reason = "latency is what a rehearsal measures")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reply: &[u8]) -> Answer {
        let frame = redis_protocol::resp2::decode::decode_bytes(&bytes::Bytes::copy_from_slice(reply));
        answer(&frame.unwrap().unwrap().0)
    }

    #[test]
    fn every_answer_to_a_claim_is_understood() {
        assert_eq!(read(b"*3\r\n+GRANTED\r\n:57\r\n:43\r\n"), Answer::Granted { seat: 57, remaining: 43 });
        assert_eq!(read(b"*3\r\n+ALREADY\r\n:57\r\n:0\r\n"), Answer::Already { seat: 57, remaining: 0 });
        assert_eq!(read(b"*3\r\n+SOLDOUT\r\n:0\r\n:0\r\n"), Answer::SoldOut { remaining: 0 });
        assert_eq!(read(b"*3\r\n+NOTOPEN\r\n:1500\r\n:9\r\n"), Answer::NotOpen);
        assert_eq!(read(b"*3\r\n+CLOSED\r\n:0\r\n:9\r\n"), Answer::Closed);
        assert_eq!(read(b"-MISCONF no room\r\n"), Answer::Error("MISCONF no room".to_string()));
    }

    #[test]
    fn a_reply_that_is_no_answer_to_a_claim_is_an_error() {
        let replies: [&[u8]; 7] = [
            b"+GRANTED\r\n",
            b"$-1\r\n",
            b"*3\r\n$7\r\nGRANTED\r\n:57\r\n:43\r\n",
            b"*3\r\n+GRANTED\r\n:-1\r\n:43\r\n",
            b"*3\r\n+GRANTED\r\n:4294967296\r\n:43\r\n",
            b"*3\r\n+MAYBE\r\n:1\r\n:43\r\n",
            b"*2\r\n+GRANTED\r\n:1\r\n",
        ];
        for reply in replies {
            assert!(matches!(read(reply), Answer::Error(_)), "{}", String::from_utf8_lossy(reply));
        }
    }
}
