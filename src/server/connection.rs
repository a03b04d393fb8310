//! A socket and its session: reads, runs, writes what the journal has released. One task each, on the loop.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::limits;
use crate::server::gate::Gate;
use crate::server::held::Depends;
use crate::server::session::Session;

/// Requests of all connections are read into this: a quiet connection holds no memory for them.
pub type ReadBuffer = Rc<RefCell<Vec<u8>>>;

/// Serves one connection to its end.
pub async fn serve<S>(stream: S, session: Session, gate: Rc<RefCell<Gate>>, buffer: ReadBuffer)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection::new(stream, session, gate, buffer);
    // A connection that breaks is a client that left: nothing to tell anybody.
    let _left = poll_fn(|cx| connection.poll(cx)).await;
    connection.close();
}

/// See [`serve`].
pub(super) struct Connection<S> {
    pub(super) stream: S,
    session: Session,
    gate: Rc<RefCell<Gate>>,
    buffer: ReadBuffer,
    /// The loop will wake us when this may leave.
    waits_until: Depends,
    /// Runs while the client does not read what could leave.
    stall: Option<Pin<Box<Sleep>>>,
    /// The client sends no more.
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, session: Session, gate: Rc<RefCell<Gate>>, buffer: ReadBuffer) -> Connection<S> {
        Connection { stream, session, gate, buffer, waits_until: Depends::NOTHING, stall: None, ended: false }
    }

    /// It is gone.
    pub(super) fn close(&self) {
        self.gate.borrow_mut().clients.close(self.session.client.id);
    }

    /// Goes as far as it can. Ends with `Ok` when all is said, with `Err` when the socket broke or the client did not
    /// read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut budget = limits::READ_BYTES_PER_TURN;
        loop {
            if self.session.client.killed.get() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            let blocked = self.write(cx)?.is_pending();
            if self.session.is_flooded() || (blocked && self.stalled(cx)) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.session.resume(&mut self.gate.borrow_mut());
            if self.session.closing || self.ended {
                if self.session.held.is_empty() {
                    return Pin::new(&mut self.stream).poll_shutdown(cx);
                }
                break;
            }
            if !self.session.may_read() || self.gate.borrow().is_stopping() {
                break;
            }
            if budget == 0 {
                cx.waker().wake_by_ref();
                break;
            }
            match self.read(cx)? {
                Poll::Ready(0) => self.ended = true,
                Poll::Ready(count) => budget = budget.saturating_sub(count),
                Poll::Pending => break,
            }
        }
        // What the last read decided may leave at once: a refusal, a read. That can be what requests waited for.
        let blocked = self.write(cx)?.is_pending();
        if blocked && self.stalled(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.session.can_resume() {
            cx.waker().wake_by_ref();
        }
        self.wait(cx);
        Poll::Pending
    }

    /// Asks the loop for the wake-ups that no socket brings.
    fn wait(&mut self, cx: &Context<'_>) {
        let gate = &mut *self.gate.borrow_mut();
        if self.session.waits_for_room() {
            gate.wait_for_room(cx.waker().clone());
        }
        if let Some(awaited) = self.session.waits_for_helper() {
            gate.wait_for_helper(awaited.clone(), cx.waker().clone());
        }
        if let Some(depends) = self.session.held.waits_for()
            && gate.leave().covers(self.waits_until)
        {
            self.waits_until = depends;
            gate.wait_for(depends, cx.waker().clone());
        }
        let known = &mut *self.session.client.waker.borrow_mut();
        if !known.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *known = Some(cx.waker().clone());
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<usize>> {
        let buffer = &mut *self.buffer.borrow_mut();
        let mut target = ReadBuf::new(buffer);
        match Pin::new(&mut self.stream).poll_read(cx, &mut target) {
            Poll::Ready(result) => result?,
            Poll::Pending => return Ok(Poll::Pending),
        }
        let bytes = target.filled();
        if !bytes.is_empty() {
            self.session.read(&mut self.gate.borrow_mut(), bytes);
        }
        Ok(Poll::Ready(bytes.len()))
    }

    /// Writes what may leave; pending where the client does not take it.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let gate = &mut *self.gate.borrow_mut();
        loop {
            let bytes = gate.release(&mut self.session.held);
            if bytes.is_empty() {
                self.stall = None;
                return Ok(Poll::Ready(()));
            }
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.session.held.sent(count);
                    self.session.client.output_bytes.set(self.session.held.len());
                    gate.stats.output_bytes += count as u64;
                    self.stall = None;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }

    /// The client has not taken a byte of what could leave for longer than anybody waits.
    #[expect(clippy::disallowed_methods, reason = "a bound on a silent peer, not a wait for something of ours")]
    fn stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let patience = Duration::from_secs(limits::OUTPUT_STALL_SECONDS);
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        stall.as_mut().poll(cx).is_ready()
    }
}
