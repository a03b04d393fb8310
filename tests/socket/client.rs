//! A blocking client that says what it got, nothing more: no retries, no pool.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::conversation::{Reply, decode, encode};

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

impl Client {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(crate::level::PATIENCE))?;
        stream.set_write_timeout(Some(crate::level::PATIENCE))?;
        Ok(Client { stream, buffer: Vec::new(), start: 0 })
    }

    /// Sends a command and reads its answer.
    pub fn try_call(&mut self, args: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        self.send_raw(&encode(args))?;
        self.read()
    }

    /// Sends a command, words separated by blanks, and reads its answer.
    #[track_caller]
    pub fn call(&mut self, line: &str) -> Reply {
        let args: Vec<&str> = line.split_whitespace().collect();
        self.call_args(&args)
    }

    /// Sends a command and reads its answer.
    #[track_caller]
    pub fn call_args(&mut self, args: &[impl AsRef<[u8]>]) -> Reply {
        match self.try_call(args) {
            Ok(reply) => reply,
            Err(error) => panic!("{}: {error}", args[0].as_ref().escape_ascii()),
        }
    }

    /// Sends many commands at once and reads all answers.
    #[track_caller]
    pub fn pipeline(&mut self, lines: &[String]) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(lines.len());
        // Bounded, so that nobody waits for a full socket while the other side waits, too.
        for part in lines.chunks(500) {
            let bytes: Vec<u8> =
                part.iter().flat_map(|line| encode(&line.split_whitespace().collect::<Vec<_>>())).collect();
            self.send_raw(&bytes).unwrap();
            replies.extend(part.iter().map(|line| self.read().unwrap_or_else(|error| panic!("{line}: {error}"))));
        }
        replies
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one answer; the end of the stream is an error of kind `UnexpectedEof`.
    pub fn read(&mut self) -> io::Result<Reply> {
        loop {
            match decode(&self.buffer[self.start..]) {
                Ok(Some((reply, used))) => {
                    self.start += used;
                    if self.start == self.buffer.len() {
                        self.buffer.clear();
                        self.start = 0;
                    }
                    return Ok(reply);
                }
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }

    /// Whether the other side has closed, with nothing left to read. A reset counts: unread input makes one.
    pub fn is_closed_by_peer(&mut self) -> bool {
        match self.read() {
            Ok(reply) => panic!("the connection should be closed, not answer {reply}"),
            Err(error) => matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ),
        }
    }

    /// The socket, for those that misbehave.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// The whole answer of an admin port.
pub fn asked(admin: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(admin).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}
