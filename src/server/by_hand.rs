//! Connections without sockets and without tasks: a simulation polls them itself.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::server::connection::{Connection, ReadBuffer};
use crate::server::gate::Gate;
use crate::server::session::Session;

/// A connection from its first byte to its last.
pub(crate) struct Hand<S> {
    connection: Connection<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Hand<S> {
    /// A client that has knocked and needs no password.
    pub fn accept(stream: S, gate: &Rc<RefCell<Gate>>, buffer: &ReadBuffer) -> Hand<S> {
        let now = gate.borrow().now();
        let client = gate.borrow_mut().clients.open(String::new(), String::new(), 0, now);
        let session = Session::new(client, true);
        Hand { connection: Connection::new(stream, session, Rc::clone(gate), Rc::clone(buffer)) }
    }

    /// Goes as far as it can; ready when it has ended.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll(cx)
    }

    /// The other end's side.
    pub fn stream(&mut self) -> &mut S {
        &mut self.connection.stream
    }

    /// The client is gone.
    pub fn close(self) {
        self.connection.close();
    }
}
