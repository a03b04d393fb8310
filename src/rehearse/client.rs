//! One connection to a gate: requests out, whole RESP2 replies in.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::types::BytesFrame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rehearse::RehearseError;
use crate::remote::Target;

/// A gate that says nothing for so long is gone: longer than any disk should take for one sync.
const SILENCE_SECONDS: u64 = 30;

/// Arrays in arrays in arrays: more than any reply of a gate has, and a bound for the decoder, which recurses.
const REPLY_DEPTH_MAX: usize = 3;

/// The longest reply: `GATE.SEATS` has 10 000 rows at most.
const REPLY_BYTES_MAX: usize = 64 << 20;

const READ_BYTES: usize = 64 << 10;

/// One connection. Requests are collected with `push` and leave with `send`; replies come in the same order.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    target: String,
    input: BytesMut,
    output: Vec<u8>,
}

impl Client {
    /// Connects and, where the target has a password, shows it.
    ///
    /// # Errors
    /// `Unreachable`, `Password`, `Lost`, `Garbled`.
    pub async fn connect(target: &Target) -> Result<Client, RehearseError> {
        let unreachable = |why| RehearseError::Unreachable { target: target.to_string(), why };
        let stream =
            timeout(Duration::from_secs(SILENCE_SECONDS), TcpStream::connect((target.host.as_str(), target.port)))
                .await
                .map_err(|_| unreachable(silence()))?
                .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let (input, output) = (BytesMut::new(), Vec::new());
        let mut client = Client { stream, target: target.to_string(), input, output };
        match (&target.user, &target.password) {
            (Some(user), Some(password)) => {
                client.authenticate(&[b"AUTH", user.as_bytes(), password.as_bytes()]).await?
            }
            (None, Some(password)) => client.authenticate(&[b"AUTH", password.as_bytes()]).await?,
            (_, None) => {}
        }
        Ok(client)
    }

    /// Adds a request to those that `send` will send.
    pub fn push(&mut self, args: &[&[u8]]) {
        encode(args, &mut self.output);
    }

    /// Sends what was pushed.
    ///
    /// # Errors
    /// `Lost`.
    pub async fn send(&mut self) -> Result<(), RehearseError> {
        let written = timeout(Duration::from_secs(SILENCE_SECONDS), self.stream.write_all(&self.output)).await;
        self.output.clear();
        written.unwrap_or_else(|_| Err(silence())).map_err(|why| self.lost(why))
    }

    /// Waits until more bytes are there.
    ///
    /// # Errors
    /// `Lost`, also at the end of the stream and after `SILENCE_SECONDS`.
    pub async fn receive(&mut self) -> Result<(), RehearseError> {
        self.input.reserve(READ_BYTES);
        let read = timeout(Duration::from_secs(SILENCE_SECONDS), self.stream.read_buf(&mut self.input)).await;
        match read.unwrap_or_else(|_| Err(silence())) {
            Ok(0) => Err(self.lost(io::Error::new(io::ErrorKind::UnexpectedEof, "the other side closed it"))),
            Ok(_) => Ok(()),
            Err(why) => Err(self.lost(why)),
        }
    }

    /// The next reply, if the whole of it is there.
    ///
    /// # Errors
    /// `Garbled`.
    pub fn reply(&mut self) -> Result<Option<BytesFrame>, RehearseError> {
        match reply_bytes(&self.input) {
            Ok(Some(_)) => match decode_bytes_mut(&mut self.input) {
                Ok(Some((frame, _, _))) => Ok(Some(frame)),
                Ok(None) => Err(self.garbled("a reply that ends before its end")),
                Err(error) => Err(self.garbled(&error.to_string())),
            },
            Ok(None) => Ok(None),
            Err(what) => Err(self.garbled(what)),
        }
    }

    /// The next reply, waiting for it.
    ///
    /// # Errors
    /// `Lost`, `Garbled`.
    pub async fn wait(&mut self) -> Result<BytesFrame, RehearseError> {
        loop {
            if let Some(frame) = self.reply()? {
                return Ok(frame);
            }
            self.receive().await?;
        }
    }

    /// One request and its reply.
    ///
    /// # Errors
    /// An error line is `Password`, `NotAGate` or `Refused`; else `Lost`, `Garbled`.
    pub async fn call(&mut self, args: &[&[u8]]) -> Result<BytesFrame, RehearseError> {
        self.push(args);
        self.send().await?;
        let frame = self.wait().await?;
        self.checked(args, frame)
    }

    /// The reply to `args`, unless it is an error line.
    ///
    /// # Errors
    /// `Password`, `NotAGate`, `Refused`.
    pub fn checked(&self, args: &[&[u8]], frame: BytesFrame) -> Result<BytesFrame, RehearseError> {
        let BytesFrame::Error(line) = frame else {
            return Ok(frame);
        };
        let (target, reply) = (self.target.clone(), line.to_string());
        if ["NOAUTH", "WRONGPASS"].iter().any(|prefix| reply.starts_with(prefix)) {
            return Err(RehearseError::Password { target, reply });
        }
        if reply.starts_with("ERR unknown command") {
            return Err(RehearseError::NotAGate { target, reply });
        }
        let words: Vec<_> = args.iter().take(2).map(|arg| String::from_utf8_lossy(arg)).collect();
        Err(RehearseError::Refused { target, command: words.join(" "), reply })
    }

    /// `command` was answered with a reply of another form than it has.
    pub fn unexpected(&self, command: &str, reply: &BytesFrame) -> RehearseError {
        self.garbled(&format!("{command} answered {reply:?}"))
    }

    /// Something about a reply that cannot be.
    pub fn garbled(&self, what: &str) -> RehearseError {
        RehearseError::Garbled { target: self.target.clone(), what: what.to_string() }
    }

    async fn authenticate(&mut self, args: &[&[u8]]) -> Result<(), RehearseError> {
        self.push(args);
        self.send().await?;
        if let BytesFrame::Error(line) = self.wait().await? {
            return Err(RehearseError::Password { target: self.target.clone(), reply: line.to_string() });
        }
        Ok(())
    }

    fn lost(&self, why: io::Error) -> RehearseError {
        RehearseError::Lost { target: self.target.clone(), why }
    }
}

fn silence() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {SILENCE_SECONDS} s"))
}

/// Appends a request as an array of bulk strings.
fn encode(args: &[&[u8]], output: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    output.push(b'*');
    output.extend_from_slice(digits.format(args.len()).as_bytes());
    for arg in args {
        output.extend_from_slice(b"\r\n$");
        output.extend_from_slice(digits.format(arg.len()).as_bytes());
        output.extend_from_slice(b"\r\n");
        output.extend_from_slice(arg);
    }
    output.extend_from_slice(b"\r\n");
}

/// How many bytes the first reply has, or `None` while it is not whole. Walks, where the decoder recurses.
fn reply_bytes(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut missing = [0_u64; REPLY_DEPTH_MAX];
    let (mut depth, mut at) = (0, 0);
    loop {
        if at > REPLY_BYTES_MAX {
            return Err("a reply without an end");
        }
        let Some(line) = bytes[at.min(bytes.len())..].iter().position(|byte| *byte == b'\n') else {
            return if bytes.len() > REPLY_BYTES_MAX { Err("a reply without an end") } else { Ok(None) };
        };
        let (kind, text) = (bytes[at], &bytes[at + 1..(at + line).max(at + 1)]);
        at += line + 1;
        match kind {
            b'+' | b'-' | b':' => {}
            b'$' => at += length(text)?.map_or(0, |bulk| bulk + 2),
            b'*' => {
                if let Some(elements @ 1..) = length(text)? {
                    let level = missing.get_mut(depth).ok_or("arrays nested deeper than any reply")?;
                    *level = u64::try_from(elements).expect("a length has 64 bits");
                    depth += 1;
                    continue;
                }
            }
            _ => return Err("a reply of a kind that RESP2 does not have"),
        }
        while depth > 0 {
            missing[depth - 1] -= 1;
            if missing[depth - 1] > 0 {
                break;
            }
            depth -= 1;
        }
        if depth == 0 {
            return Ok(Some(at).filter(|end| *end <= bytes.len()));
        }
    }
}

/// The length behind `$` or `*`; -1 is null.
fn length(text: &[u8]) -> Result<Option<usize>, &'static str> {
    let digits = text.strip_suffix(b"\r").ok_or("a line that does not end with CR LF")?;
    if digits == b"-1" {
        return Ok(None);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| "a length that is no number")?;
    let length: usize = digits.parse().map_err(|_| "a length that is no number")?;
    if length > REPLY_BYTES_MAX { Err("a reply longer than any reply") } else { Ok(Some(length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_as_long_as_the_decoder_says_and_never_shorter_bytes_are_whole() {
        let replies: [&[u8]; 9] = [
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":-7\r\n",
            b"$0\r\n\r\n",
            b"$4\r\na\r\nb\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*3\r\n+GRANTED\r\n:57\r\n:43\r\n",
            b"*3\r\n*0\r\n*2\r\n*1\r\n:1\r\n$1\r\nx\r\n:3\r\n",
        ];
        for reply in replies {
            let mut bytes = reply.to_vec();
            bytes.extend_from_slice(b"+NEXT\r\n");
            assert_eq!(reply_bytes(&bytes), Ok(Some(reply.len())));
            let decoded = decode_bytes_mut(&mut BytesMut::from(bytes.as_slice())).unwrap().unwrap();
            assert_eq!(decoded.1, reply.len());
            for end in 0..reply.len() {
                assert_eq!(reply_bytes(&reply[..end]), Ok(None), "{}", String::from_utf8_lossy(&reply[..end]));
            }
        }
    }

    #[test]
    fn nesting_that_would_overflow_the_decoder_is_refused_before_it() {
        assert!(reply_bytes(&b"*1\r\n".repeat(100_000)).is_err());
        assert!(reply_bytes(b"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n").is_err());
    }

    #[test]
    fn bytes_that_are_no_reply_are_refused() {
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"\n", b"$x\r\n", b"$-2\r\n", b"*99999999999\r\n", b"$5\n"]
        {
            assert!(reply_bytes(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        let mut output = Vec::new();
        encode(&[b"GATE.CLAIM", b"spring", b"42"], &mut output);
        assert_eq!(output, b"*3\r\n$10\r\nGATE.CLAIM\r\n$6\r\nspring\r\n$2\r\n42\r\n");
    }
}
