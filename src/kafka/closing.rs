//! The end of a client.

use std::sync::mpsc::sync_channel;
use std::thread::Builder;
use std::time::Duration;

/// How long whoever drops a client waits for its end.
const PATIENCE: Duration = Duration::from_millis(300);

/// Drops a client on a thread of its own and waits a little for it: closing has hung before, in name look-ups and in
/// consumers whose broker was away, and must hang nobody.
pub(super) fn close<T: Send + 'static>(client: T) {
    let (closed, wait) = sync_channel(1);
    let thread = Builder::new().name("kafka-close".into()).spawn(move || {
        drop(client);
        // Who waits no longer needs not to know.
        let _ = closed.send(());
    });
    if thread.is_ok() {
        let _ = wait.recv_timeout(PATIENCE);
    }
}
