//! # admin - what an operator's tools ask over HTTP
//! `/metrics` for Prometheus, `/healthz` (the loop turns), `/readyz` (claims are answered), on a thread of its own that
//! owns nothing and reads figures that others leave.
//! May use: `ids`, `metrics`, `watermark`.
//! Promises: no question asked here costs the loop anything; no answer depends on the ledger or on a full disk.

mod exposition; // figures as Prometheus text
mod pulse; //      whether the loop turns
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::oneshot;

use crate::metrics::{Figures, Loading};
use crate::watermark::Watermarks;
use exposition::Exposition;
use pulse::Pulse;

/// How long the loop may stand still before `/healthz` fails: far beyond any fsync, so that a slow disk kills no gate.
pub const STILL_MAX: Duration = Duration::from_secs(30);

/// How often the loop's turns are looked at and histograms are folded, whoever asks or not.
const UPKEEP: Duration = Duration::from_secs(1);

/// What the admin port is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `--admin`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether there is a ledger, and so a `stored`.
    pub ledger: bool,
    /// Whether there is a stream, and so a `published`.
    pub stream: bool,
    /// [`STILL_MAX`], unless a test is in a hurry.
    pub still_max: Duration,
}

impl Options {
    /// The admin port at `listen`, without a stream.
    pub fn new(listen: SocketAddr, ledger: bool) -> Options {
        Options { listen, ledger, stream: false, still_max: STILL_MAX }
    }
}

/// Why there is no admin port.
#[derive(Debug)]
pub enum AdminError {
    /// The address cannot be had.
    Listen {
        /// Which.
        listen: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system gave no thread or no poller.
    Thread(std::io::Error),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminError::Listen { listen, source } => write!(
                f,
                "admin: cannot listen on {listen}: {source}; choose another address with --admin, or --admin none"
            ),
            AdminError::Thread(source) => write!(f, "admin: cannot start its thread: {source}"),
        }
    }
}

impl std::error::Error for AdminError {}

/// A running admin port; it closes when this is dropped.
#[derive(Debug)]
pub struct AdminHandle {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl AdminHandle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Opens the admin port. Call it before the other rooms start: histograms that were looked up earlier are not shown.
pub fn start(options: Options, figures: Arc<Figures>, watermarks: Arc<Watermarks>) -> Result<AdminHandle, AdminError> {
    let refused = |source| AdminError::Listen { listen: options.listen, source };
    let listener = TcpListener::bind(options.listen).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AdminError::Thread)?;
    let desk = Arc::new(Desk {
        exposition: Exposition::new(Arc::clone(&figures), watermarks, options.ledger, options.stream),
        figures,
        pulse: Mutex::new(Pulse::new(options.still_max)),
        began: now(),
    });
    let (stop, stopped) = oneshot::channel();
    let run = move || runtime.block_on(serve(listener, desk, stopped));
    std::thread::Builder::new().name("admin".into()).spawn(run).map_err(AdminError::Thread)?;
    Ok(AdminHandle { address, _stop: stop })
}

/// What the handlers share.
struct Desk {
    exposition: Exposition,
    figures: Arc<Figures>,
    pulse: Mutex<Pulse>,
    began: Instant,
}

impl Desk {
    /// Looks at the loop; `None` if it turns, else for how long it has not.
    fn still(&self) -> Option<Duration> {
        let (turn, at) = (self.figures.last_turn.get(), now().duration_since(self.began));
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner).look(turn, at)
    }
}

async fn serve(listener: TcpListener, desk: Arc<Desk>, stopped: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a bound socket can be polled");
    let upkeep = async {
        let mut tick = tokio::time::interval(UPKEEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            desk.still();
            desk.exposition.upkeep();
        }
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n") })
        .with_state(Arc::clone(&desk));
    tokio::select! {
        ended = axum::serve(listener, router) => tracing::warn!("admin: the port is closed: {ended:?}"),
        () = upkeep => {}
        _ = stopped => {}
    }
}

async fn metrics(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], desk.exposition.text(wall_ms()))
}

/// The loop turns, also while the journal is being replayed.
async fn healthz(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    match desk.still() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(still) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the event loop has not turned for {:.1} s\n", still.as_secs_f64()),
        ),
    }
}

/// Claims are taken, or refused for a reason of their own; not because the journal is older than the world.
async fn readyz(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    let figures = &desk.figures;
    let not_ready = if figures.loading.on.load(Ordering::Acquire) {
        progress(&figures.loading)
    } else if !figures.ready.load(Ordering::Acquire) {
        "the gate is starting or stopping".to_owned()
    } else if figures.stale.load(Ordering::Acquire) {
        format!("STALE {}", figures.stale_because.get())
    } else {
        return (StatusCode::OK, "ready\n".to_owned());
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {not_ready}\n"))
}

/// How far the start is.
fn progress(loading: &Loading) -> String {
    let (loaded, total) = (loading.bytes_loaded.get(), loading.bytes_total.get());
    match (loaded * 1000).checked_div(total) {
        None => "the journal is being opened".to_owned(),
        Some(_) if loaded >= total => format!(
            "the journal is read up to lsn {}; a fresh segment is made, and Kafka is asked whether it is ahead",
            loading.lsn.get()
        ),
        Some(done) => format!(
            "the journal is being replayed: {}.{} % of {total} bytes, lsn {}",
            done / 10,
            done % 10,
            loading.lsn.get()
        ),
    }
}

#[expect(clippy::disallowed_methods, reason = "the admin port is an edge: it measures how long the loop stands still")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "an age is told by the wall clock that grants are told by")]
fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
