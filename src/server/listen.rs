//! Where clients knock: TCP and Unix sockets.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use crate::limits;
use crate::server::connection::{self, ReadBuffer};
use crate::server::gate::Gate;
use crate::server::session::Session;

/// Connections that the kernel holds for us while the loop is busy: a crowd arrives at once.
const BACKLOG: i32 = 4096;

/// Pause after the system refused to accept (no free descriptor, say), so that the loop does not spin on it.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// An address of `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`
    Tcp(SocketAddr),
    /// `unix:PATH`
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket: clients can knock, nobody opens yet.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A path.
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

/// An address could not be taken.
#[derive(Debug)]
pub struct ListenError {
    address: Address,
    error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}; ", self.address, self.error)?;
        if self.error.kind() == io::ErrorKind::AddrInUse {
            f.write_str("another server holds it: stop that one, or choose another address with --listen")
        } else {
            f.write_str("choose another address with --listen")
        }
    }
}

impl std::error::Error for ListenError {}

/// Takes `address`.
///
/// # Errors
/// It is taken by somebody else, or not ours.
pub fn bind(address: &Address) -> Result<Listener, ListenError> {
    let bound = match address {
        Address::Tcp(tcp) => bind_tcp(*tcp).map(Listener::Tcp),
        Address::Unix(path) => bind_unix(path).map(|socket| Listener::Unix(socket, path.clone())),
    };
    bound.map_err(|error| ListenError { address: address.clone(), error })
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket file that nobody answers on was left by a process that was killed; any other file is somebody's.
fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err_and(refused) {
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Listener {
    /// The address as bound: the port is known even where 0 was asked for.
    pub fn address(&self) -> Address {
        match self {
            Listener::Tcp(socket) => Address::Tcp(socket.local_addr().expect("a bound socket has an address")),
            Listener::Unix(_, path) => Address::Unix(path.clone()),
        }
    }
}

/// Opens the doors: a task for each listener. Must run inside the loop's runtime.
pub(super) fn open(listeners: Vec<Listener>, gate: &Rc<RefCell<Gate>>) -> Vec<JoinHandle<()>> {
    let buffer: ReadBuffer = Rc::new(RefCell::new(vec![0; limits::READ_BYTES_PER_TURN]));
    let open = |listener| match listener {
        Listener::Tcp(socket) => {
            let socket = TcpListener::from_std(socket).expect("a listening socket joins the loop");
            tokio::task::spawn_local(accept_tcp(socket, Rc::clone(gate), Rc::clone(&buffer)))
        }
        Listener::Unix(socket, path) => {
            let socket = UnixListener::from_std(socket).expect("a listening socket joins the loop");
            tokio::task::spawn_local(accept_unix(socket, path, Rc::clone(gate), Rc::clone(&buffer)))
        }
    };
    listeners.into_iter().map(open).collect()
}

async fn accept_tcp(socket: TcpListener, gate: Rc<RefCell<Gate>>, buffer: ReadBuffer) {
    let laddr = socket.local_addr().map(|address| address.to_string()).unwrap_or_default();
    loop {
        let (mut stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                retry(&error).await;
                continue;
            }
        };
        // An answer is written whole: waiting for more of it would only delay it.
        let _best_effort = stream.set_nodelay(true);
        let fd = stream.as_raw_fd();
        match admit(&gate, peer.to_string(), laddr.clone(), fd) {
            Some(session) => {
                let served = connection::serve(stream, session, Rc::clone(&gate), Rc::clone(&buffer));
                tokio::task::spawn_local(served);
            }
            None => turn_away(&mut stream).await,
        }
    }
}

async fn accept_unix(socket: UnixListener, path: PathBuf, gate: Rc<RefCell<Gate>>, buffer: ReadBuffer) {
    let name = path.display().to_string();
    loop {
        let (mut stream, _) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                retry(&error).await;
                continue;
            }
        };
        let fd = stream.as_raw_fd();
        match admit(&gate, format!("{name}:0"), format!("{name}:0"), fd) {
            Some(session) => {
                let served = connection::serve(stream, session, Rc::clone(&gate), Rc::clone(&buffer));
                tokio::task::spawn_local(served);
            }
            None => turn_away(&mut stream).await,
        }
    }
}

/// A session for a new connection, or nothing where the house is full.
fn admit(gate: &Rc<RefCell<Gate>>, addr: String, laddr: String, fd: i32) -> Option<Session> {
    let gate = &mut *gate.borrow_mut();
    gate.begin_turn();
    if gate.clients.len() >= gate.facts.max_clients {
        gate.stats.rejected_connections += 1;
        return None;
    }
    gate.stats.connections += 1;
    let now = gate.now();
    let client = gate.clients.open(addr, laddr, fd, now);
    Some(Session::new(client, gate.facts.password.is_none()))
}

async fn turn_away(stream: &mut (impl AsyncWriteExt + Unpin)) {
    // It fits any socket's buffer; a client that is gone already need not hear it.
    let _best_effort = stream.write_all(b"-ERR max number of clients reached\r\n").await;
}

#[expect(clippy::disallowed_methods, reason = "the system says no and tells nobody when it would say yes")]
async fn retry(error: &io::Error) {
    tracing::warn!("cannot accept a connection: {error}; trying again");
    tokio::time::sleep(ACCEPT_RETRY).await;
}
