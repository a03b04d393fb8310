//! A running gate, asked over the Redis protocol one question at a time.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::remote::Target;

/// A gate that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// `INFO` is the longest answer that is asked for by far.
const REPLY_BYTES_MAX: usize = 1 << 20;

/// A connection to it.
pub struct Gate {
    target: Target,
    stream: BufReader<TcpStream>,
}

/// Why a gate could not be asked.
#[derive(Debug)]
pub enum RemoteError {
    /// Nobody answers, or no more.
    Unreachable(String, io::Error),
    /// It wants another password, or refuses the question: its own words.
    Refused(String, String),
    /// The answer has not what was asked for.
    NoAnswer(String, &'static str),
}

impl RemoteError {
    /// Whether it was refused for want of a password, or of another one.
    pub fn wants_password(&self) -> bool {
        matches!(self, RemoteError::Refused(_, reply) if reply.starts_with("NOAUTH") || reply.starts_with("WRONGPASS"))
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemoteError::Unreachable(target, error) => {
                write!(f, "cannot reach {target}: {error}; start the gate there, or name another with --target")
            }
            RemoteError::Refused(target, reply) if self.wants_password() => {
                write!(
                    f,
                    "{target} says: {reply}; a password stands in --target redis://:PASSWORD@HOST:PORT or in \
                     --password-file"
                )
            }
            RemoteError::Refused(target, reply) => write!(f, "{target} says: {reply}"),
            RemoteError::NoAnswer(target, what) => {
                write!(f, "{target} does not tell {what}: it is no coupon-gate, or of another release")
            }
        }
    }
}

impl std::error::Error for RemoteError {}

impl Gate {
    /// Connects, and shows the password of the URL, else `password`, if there is one.
    ///
    /// # Errors
    /// Nobody answers, or wants another password.
    pub fn connect(target: Target, password: Option<&str>) -> Result<Gate, RemoteError> {
        let unreachable = |error| RemoteError::Unreachable(target.to_string(), error);
        let stream = TcpStream::connect((target.host.as_str(), target.port)).map_err(unreachable)?;
        for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
            set(&stream, Some(SILENCE)).map_err(unreachable)?;
        }
        let password = target.password.clone().or(password.map(str::to_owned));
        let user = target.user.clone();
        let mut gate = Gate { target, stream: BufReader::new(stream) };
        match (user, password) {
            (Some(user), Some(password)) => drop(gate.ask(&["AUTH", &user, &password])?),
            (None, Some(password)) => drop(gate.ask(&["AUTH", &password])?),
            (_, None) => {}
        }
        Ok(gate)
    }

    /// A field of `INFO gate`; `what` it is, for an error.
    ///
    /// # Errors
    /// As [`Gate::ask`]; it is not told, or is none.
    pub fn field<T: std::str::FromStr>(&mut self, name: &str, what: &'static str) -> Result<T, RemoteError> {
        let info = self.ask(&["INFO", "gate"])?.concat();
        let values = info.lines().filter_map(|line| line.split_once(':'));
        let value = values.filter(|(field, _)| *field == name).find_map(|(_, value)| value.trim().parse().ok());
        value.ok_or_else(|| self.lacks(what))
    }

    /// That its answer lacks `what`.
    pub fn lacks(&self, what: &'static str) -> RemoteError {
        RemoteError::NoAnswer(self.target.to_string(), what)
    }

    /// Asks, and answers the strings of the reply in their order, nested or not; a null is an empty one.
    ///
    /// # Errors
    /// Nobody answers, or with an error line.
    pub fn ask(&mut self, words: &[&str]) -> Result<Vec<String>, RemoteError> {
        let asked = self.send(words).and_then(|()| self.reply());
        match asked.map_err(|error| RemoteError::Unreachable(self.target.to_string(), error))? {
            Ok(strings) => Ok(strings),
            Err(refusal) => Err(RemoteError::Refused(self.target.to_string(), refusal)),
        }
    }

    fn send(&mut self, words: &[&str]) -> io::Result<()> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// One reply: its strings in order, or the error line that it is.
    fn reply(&mut self) -> io::Result<Result<Vec<String>, String>> {
        let garbled = || io::Error::new(io::ErrorKind::InvalidData, "what was answered is no reply");
        let (mut strings, mut left) = (Vec::new(), 1_usize);
        while left > 0 {
            left -= 1;
            let mut line = String::new();
            (&mut self.stream).take(REPLY_BYTES_MAX as u64).read_line(&mut line)?;
            let line = line.strip_suffix("\r\n").ok_or_else(garbled)?;
            let (kind, rest) = line.split_at_checked(1).ok_or_else(garbled)?;
            let length = || rest.parse::<usize>().ok().filter(|len| *len <= REPLY_BYTES_MAX).ok_or_else(garbled);
            match kind {
                "-" => return Ok(Err(rest.to_owned())),
                "+" | ":" => strings.push(rest.to_owned()),
                "$" | "*" if rest == "-1" => strings.push(String::new()),
                "$" => {
                    let mut bytes = vec![0; length()? + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(bytes.len() - 2);
                    strings.push(String::from_utf8(bytes).map_err(|_| garbled())?);
                }
                "*" => left += length()?,
                _ => return Err(garbled()),
            }
        }
        Ok(Ok(strings))
    }
}
