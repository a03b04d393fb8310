//! The load: connections that each send a pipeline of requests, wait for all the replies, and begin again.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::SpeedError;
use super::requests::{Crowd, Request, encode};
use super::servers::Server;

/// A server that says nothing for so long hangs.
const SILENCE_SECONDS: u64 = 60;
const REPLY_BYTES_MAX: usize = 128;

/// When a cell ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many requests, exactly.
    Count(u64),
    /// With the first pipeline that ends after so long.
    Seconds(f64),
}

/// What a cell came to.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub operations: u64,
    pub granted: u64,
    pub seconds: f64,
}

struct Shared {
    request: Request,
    crowd: Crowd,
    until: Until,
    started: Instant,
    turn: Cell<u64>,
    answered: Cell<u64>,
    granted: Cell<u64>,
}

impl Shared {
    /// The next turns: which, and how many.
    fn take(&self, pipeline: u32) -> (u64, u64) {
        let (turn, pipeline) = (self.turn.get(), u64::from(pipeline));
        let count = match self.until {
            Until::Count(claims) => pipeline.min(claims - turn),
            Until::Seconds(seconds) if self.started.elapsed().as_secs_f64() < seconds => pipeline,
            Until::Seconds(_) => 0,
        };
        self.turn.set(turn + count);
        (turn, count)
    }
}

/// Fires `request` at `server` until the cell ends.
pub async fn fire(
    server: &Server,
    request: &Request,
    connections: usize,
    pipeline: u32,
    until: Until,
    crowd: Crowd,
) -> Result<Measured, SpeedError> {
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        streams.push(connect(server.port).await.map_err(|why| server.failed(&format!("cannot connect: {why}")))?);
    }
    let shared = Rc::new(Shared {
        request: request.clone(),
        crowd,
        until,
        started: now(),
        turn: Cell::new(0),
        answered: Cell::new(0),
        granted: Cell::new(0),
    });
    let local = LocalSet::new();
    let mut shooters = JoinSet::new();
    for stream in streams {
        shooters.spawn_local_on(shoot(stream, pipeline, Rc::clone(&shared)), &local);
    }
    let ended = local.run_until(async {
        while let Some(shot) = shooters.join_next().await {
            shot.expect("a connection neither panics nor is cancelled")?;
        }
        Ok::<(), io::Error>(())
    });
    ended.await.map_err(|why| server.failed(&format!("while under load: {why}")))?;
    let seconds = shared.started.elapsed().as_secs_f64();
    Ok(Measured { operations: shared.answered.get(), granted: shared.granted.get(), seconds })
}

async fn shoot(mut stream: TcpStream, pipeline: u32, shared: Rc<Shared>) -> io::Result<()> {
    let request = &shared.request;
    let mut output = request.bytes.repeat(pipeline as usize);
    let mut input = vec![0; REPLY_BYTES_MAX * pipeline as usize];
    loop {
        let (turn, count) = shared.take(pipeline);
        if count == 0 {
            return Ok(());
        }
        if let Some(user_at) = request.user_at {
            for (turn, request) in (turn..turn + count).zip(output.chunks_exact_mut(request.bytes.len())) {
                shared.crowd.write(turn, &mut request[user_at..]);
            }
        }
        let count_requests = usize::try_from(count).expect("a pipeline fits in memory");
        stream.write_all(&output[..request.bytes.len() * count_requests]).await?;
        let replies = read_lines(&mut stream, &mut input, request.reply_lines * count_requests).await?;
        shared.answered.set(shared.answered.get() + count);
        shared.granted.set(shared.granted.get() + (request.granted)(replies));
    }
}

/// So many lines of replies, none of which may be an error.
async fn read_lines<'a>(stream: &mut TcpStream, input: &'a mut [u8], lines: usize) -> io::Result<&'a [u8]> {
    let (mut filled, mut seen) = (0, 0);
    while seen < lines {
        let silence = Duration::from_secs(SILENCE_SECONDS);
        let read = timeout(silence, stream.read(&mut input[filled..])).await.map_err(|_| silent())??;
        if read == 0 {
            return Err(io::Error::other("closed the connection, or sent more than any reply has"));
        }
        let new = &input[filled..filled + read];
        seen += new.iter().filter(|byte| **byte == b'\n').count();
        // `:-1` is no error.
        if new.contains(&b'-')
            && let Some(line) = error_line(&input[..filled + read])
        {
            return Err(io::Error::other(format!("answered {line}")));
        }
        filled += read;
    }
    if seen > lines || input[filled - 1] != b'\n' {
        return Err(io::Error::other("answered more than was asked"));
    }
    Ok(&input[..filled])
}

fn error_line(replies: &[u8]) -> Option<String> {
    let line = replies.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"-"))?;
    Some(String::from_utf8_lossy(line).trim_end().to_string())
}

/// One command on a connection of its own: the words of the reply, flat. An error line is an error.
pub async fn ask(server: &Server, words: &[&str]) -> Result<Vec<String>, SpeedError> {
    let command = words.first().copied().unwrap_or_default();
    let failed = |why: io::Error| server.failed(&format!("{command}: {why}"));
    let mut stream = connect(server.port).await.map_err(failed)?;
    stream.write_all(&encode(words)).await.map_err(failed)?;
    let mut reply = Vec::new();
    loop {
        if let Some(words) = flat(&reply) {
            return words.map_err(|line| server.failed(&format!("{command} was refused: {line}")));
        }
        let silence = Duration::from_secs(SILENCE_SECONDS);
        let read = timeout(silence, stream.read_buf(&mut reply)).await.unwrap_or_else(|_| Err(silent()));
        if read.map_err(failed)? == 0 {
            return Err(server.failed(&format!("{command}: closed the connection")));
        }
    }
}

/// The leaves of a RESP2 reply if it is whole; an error line is `Err`.
pub fn flat(mut reply: &[u8]) -> Option<Result<Vec<String>, String>> {
    let (mut missing, mut words) = (1, Vec::new());
    while missing > 0 {
        let end = reply.iter().position(|byte| *byte == b'\n')? + 1;
        let (line, after) = reply.split_at(end);
        let text = String::from_utf8_lossy(&line[1..]).trim_end().to_string();
        reply = after;
        missing -= 1;
        match (line[0], text.parse::<usize>()) {
            (b'-', _) => return Some(Err(text)),
            (b'*', Ok(elements)) => missing += elements,
            (b'$', Ok(bytes)) => {
                words.push(String::from_utf8_lossy(reply.get(..bytes)?).into_owned());
                reply = reply.get(bytes + 2..)?;
            }
            _ => words.push(text),
        }
    }
    Some(Ok(words))
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {SILENCE_SECONDS} s"))
}

#[expect(clippy::disallowed_methods, reason = "time is what is measured")]
fn now() -> Instant {
    Instant::now()
}
