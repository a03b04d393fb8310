//! The wire between a simulated client and the gate.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes both ways.
pub struct Pipe {
    /// On their way to the gate, from `read` on.
    to_gate: Vec<u8>,
    read: usize,
    /// On their way to the client.
    pub to_client: Vec<u8>,
    /// So many bytes are taken at a time.
    pub takes: usize,
}

impl Pipe {
    /// An empty one.
    pub fn new() -> Pipe {
        Pipe { to_gate: Vec::new(), read: 0, to_client: Vec::new(), takes: usize::MAX }
    }

    /// The client sends what is written to this.
    pub fn send(&mut self) -> &mut Vec<u8> {
        if self.read == self.to_gate.len() {
            self.to_gate.clear();
            self.read = 0;
        }
        &mut self.to_gate
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = &self.to_gate[self.read..];
        if rest.is_empty() {
            return Poll::Pending;
        }
        let count = rest.len().min(into.remaining());
        into.put_slice(&rest[..count]);
        self.read += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(self.takes);
        self.to_client.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whether a connection has been woken.
#[derive(Default)]
pub struct Bell(AtomicBool);

impl Bell {
    /// Rings from here on; the waker that rings it.
    pub fn new() -> (Arc<Bell>, Waker) {
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        (Arc::clone(&bell), Waker::from(bell))
    }

    /// Whether it rang since this was asked last.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
