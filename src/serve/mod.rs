//! # serve - the gate: which threads, who owns what
//! Starts the rooms in the order in which they depend on each other, waits for the end, stops them in reverse.
//! May use: every room.
//!
//! ```text
//! gate (this thread)  core, connections, the open batch     journal  writes and syncs one batch at a time
//! load                replays, starts the next two, ends    admin    /metrics, /healthz, /readyz
//! stream              journal -> Kafka                      sink     journal or topic -> ledger
//! ```

mod load;

use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::admin::{self, AdminError};
use crate::banner::banner;
use crate::core::Users;
use crate::edge;
use crate::exit::Exit;
use crate::ids::LogId;
use crate::journal::{DirectoryLock, Hooks, JournalError, LockError};
use crate::ledger::LedgerSettings;
use crate::metrics::Figures;
use crate::rank;
use crate::server::{self, Address, Facts, Gate, ListenError, Listener, Wake};
use crate::settings::{AnswerAfter, Appendfsync, Listen, ServeSettings, Sink};
use crate::sink::SinkError;
use crate::stream::StreamError;
use crate::watermark::Watermarks;
use crate::wiring;
use load::{Load, kafka_value};

/// Descriptors beside the connections: journal, ledger, sockets that listen.
const OWN_DESCRIPTORS: u64 = 64;

/// Why the gate did not start or did not go on.
#[derive(Debug)]
pub enum ServeError {
    /// The data directory cannot be made.
    Data(String),
    /// The data directory is in use.
    Lock(LockError),
    /// A door cannot be opened.
    Listen(ListenError),
    /// The admin port cannot be opened.
    Admin(AdminError),
    /// The journal is damaged or cannot be read.
    Journal(JournalError),
    /// The topic can never hold what the journal does.
    Stream(StreamError),
    /// The ledger can never work as it is set.
    Sink(SinkError),
    /// The operating system gave no thread.
    Thread(std::io::Error),
}

impl From<JournalError> for ServeError {
    fn from(error: JournalError) -> ServeError {
        ServeError::Journal(error)
    }
}

impl ServeError {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            ServeError::Journal(error) if error.is_damage() => Exit::Damaged,
            ServeError::Data(_)
            | ServeError::Lock(_)
            | ServeError::Listen(_)
            | ServeError::Admin(_)
            | ServeError::Journal(_)
            | ServeError::Thread(_) => Exit::Surroundings,
            ServeError::Stream(_) | ServeError::Sink(_) => Exit::Usage,
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Data(text) => f.write_str(text),
            ServeError::Lock(error) => error.fmt(f),
            ServeError::Listen(error) => error.fmt(f),
            ServeError::Admin(error) => error.fmt(f),
            ServeError::Journal(error) => error.fmt(f),
            ServeError::Stream(error) => error.fmt(f),
            ServeError::Sink(error) => error.fmt(f),
            ServeError::Thread(error) => write!(f, "no thread to load the data with: {error}"),
        }
    }
}

/// Runs the gate until a signal or SHUTDOWN ends it.
///
/// # Errors
/// What kept it from starting, and from closing the journal at the end. A disk that fails while it runs ends the process
/// at once, from whichever thread saw it.
pub fn run(settings: ServeSettings) -> Result<Exit, ServeError> {
    let new = !settings.data.join("journal").exists();
    std::fs::create_dir_all(&settings.data).map_err(|error| {
        ServeError::Data(format!("cannot make the data directory {}: {error}; see --data", settings.data.display()))
    })?;
    let lock = DirectoryLock::acquire(&settings.data, settings.lock_wait).map_err(ServeError::Lock)?;
    let max_clients = allow_descriptors(settings.max_clients.get());
    let listeners = settings.listen.iter().map(|listen| server::bind(&address(listen)));
    let listeners: Vec<Listener> = listeners.collect::<Result<_, _>>().map_err(ServeError::Listen)?;

    let figures = Arc::new(Figures::default());
    let watermarks = Arc::new(Watermarks::default());
    let ledger = match settings.sink {
        Sink::Inside | Sink::Outside => {
            wiring::ledger(&settings.ledger, settings.ledger_users, &settings.ledger_writing)
        }
        Sink::Off => None,
    };
    let admin = match settings.admin {
        Some(at) => {
            let stream = settings.kafka.is_some();
            let options = admin::Options { stream, ..admin::Options::new(at, ledger.is_some()) };
            Some(admin::start(options, Arc::clone(&figures), Arc::clone(&watermarks)).map_err(ServeError::Admin)?)
        }
        None => None,
    };

    let wake = Wake::default();
    let journal = load::journal(&settings)?;
    let log = journal.log_id();
    let listening: Vec<Listen> = listeners.iter().map(|listener| listen(listener.address())).collect();
    let facts = facts(&settings, &listening, max_clients, log, ledger.as_ref());
    let gate = Gate::new(Arc::clone(&watermarks), Arc::clone(&figures), facts, wake.clone());
    let hooks = hooks(&watermarks, &figures, &wake);
    let settings = Arc::new(settings);
    let load = Load { settings: Arc::clone(&settings), ledger, journal, log, hooks, wake: wake.clone() };
    let loaded = load.start().map_err(ServeError::Thread)?;
    let mut helpers = None;
    let opened = async {
        let (loaded, started) = loaded.await.expect("the thread that loads ends with a word")?;
        helpers = Some(started);
        print!("{}", banner(&settings, &listening, admin.as_ref().map(admin::AdminHandle::address), new));
        take_small_pages();
        // Not before: the threads that were started meanwhile would have it too.
        rank::first();
        figures.ready.store(true, Ordering::Release);
        figures.loading.on.store(false, Ordering::Release);
        Ok::<_, ServeError>(loaded)
    };
    let closed = server::run(gate, listeners, wake, opened, asked_to_stop(), settings.shutdown_timeout);
    figures.ready.store(false, Ordering::Release);
    listening.iter().for_each(leave_no_socket);
    let Some(helpers) = helpers else {
        closed?;
        // The thread that loads ends with the process, as in a crash, which leaves nothing that the next start does not
        // put in order; until then nobody else may have the directory.
        std::mem::forget(lock);
        tracing::info!("stopped while the data was being loaded");
        return Ok(Exit::Done);
    };
    helpers.stop(settings.shutdown_timeout, &figures);
    closed?;
    tracing::info!("stopped; everything that was answered is on disk");
    Ok(Exit::Done)
}

/// The next start removes a socket file that nobody answers on; this only spares it that.
fn leave_no_socket(listen: &Listen) {
    if let Listen::Unix(path) = listen
        && std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
    {
        let _best_effort = std::fs::remove_file(path);
    }
}

/// SIGTERM or SIGINT.
pub async fn asked_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be heard");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be heard");
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
}

fn hooks(watermarks: &Arc<Watermarks>, figures: &Arc<Figures>, wake: &Wake) -> Hooks {
    let wake = wake.clone();
    Hooks {
        watermarks: Arc::clone(watermarks),
        figures: Arc::clone(figures),
        on_progress: Arc::new(move || wake.journal_moved()),
        on_failure: Arc::new(|error| end_at_once(&error)),
    }
}

/// After a failed write or sync nobody knows what is on disk: the way back is a restart and its recovery.
#[expect(
    clippy::disallowed_methods,
    reason = "no answer may leave after this, from any thread, and no pipe may hold the end up"
)]
fn end_at_once(error: &JournalError) {
    let patience = || {
        std::thread::sleep(Duration::from_secs(1));
        std::process::exit(Exit::Storage as i32);
    };
    // Where there is no thread to be had either, the words below are all there is to wait for.
    let _watchdog = std::thread::Builder::new().name("end".into()).spawn(patience);
    eprintln!(
        "coupon-gate: {error}\n\
         coupon-gate: nothing is answered from here on; see to the disk, then start again: recovery keeps every answer given"
    );
    std::process::exit(Exit::Storage as i32);
}

fn facts(
    settings: &ServeSettings,
    listening: &[Listen],
    max_clients: usize,
    log: LogId,
    ledger: Option<&LedgerSettings>,
) -> Facts {
    let run_id = edge::random::<20>().expect("the system has random numbers");
    let tcp = listening.iter().filter_map(|listen| match listen {
        Listen::Tcp(address) => Some(address),
        Listen::Unix(_) => None,
    });
    let unix = listening.iter().find_map(|listen| match listen {
        Listen::Unix(path) => Some(path.display().to_string()),
        Listen::Tcp(_) => None,
    });
    let data = std::path::absolute(&settings.data).unwrap_or_else(|_| settings.data.clone());
    Facts {
        password: settings.password.as_ref().map(|password| password.reveal().to_owned()),
        max_clients,
        clients_ceiling: max_clients,
        needs_password: settings.protected_mode
            && tcp.clone().any(|address| !address.ip().to_canonical().is_loopback()),
        appendfsync: match settings.appendfsync {
            Appendfsync::Always => "always",
            Appendfsync::Everysec => "everysec",
            Appendfsync::No => "no",
        },
        answers_are_durable: settings.appendfsync == Appendfsync::Always,
        kafka: settings.kafka.as_ref().map_or("none", |kafka| &kafka.topic).to_owned(),
        streams: settings.kafka.is_some(),
        kafka_carries_any: settings.kafka.is_none() || kafka_value(settings.kafka_stream.value).carries_any(),
        kafka_carries_returns: settings.kafka.as_ref().is_none_or(|kafka| kafka.cancel_topic.is_some()),
        allows_reset: settings.allow_reset,
        answers_are_published: settings.answer_after == AnswerAfter::Published,
        has_ledger: ledger.is_some(),
        ledger_carries_any: ledger.is_none_or(|ledger| ledger.carries(Users::Any)),
        ledger: if ledger.is_some() { settings.ledger.to_string() } else { "none".to_owned() },
        port: tcp.clone().next().map_or(0, |address| address.port()),
        bind: tcp.map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" "),
        unix_socket: unix.unwrap_or_default(),
        data: data.display().to_string(),
        log_id: log,
        run_id: run_id.iter().map(|byte| format!("{byte:02x}")).collect(),
        stop: Rc::new(Notify::new()),
    }
}

/// Takes memory in small pages from here on. The first touch of a huge one zeroes 2 MiB: the loop was seen to stand still for
/// 3 ms with it, and to take a sixth more memory. Loading has no client to keep waiting, and is faster with them.
pub fn take_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(
            "cannot do without transparent huge pages: {error}; a claim may wait some milliseconds for memory"
        );
    }
}

/// Raises the soft limit on descriptors as far as `wanted` connections need; answers how many the hard limit allows.
fn allow_descriptors(wanted: u32) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::from(wanted) + OWN_DESCRIPTORS;
    let allowed = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    if limit.current.is_some_and(|current| current < allowed) {
        let raised = Rlimit { current: Some(allowed), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!("cannot raise the limit on open files to {allowed}: {error}");
        }
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(needed).min(needed);
    let clients = current.saturating_sub(OWN_DESCRIPTORS).max(1);
    if clients < u64::from(wanted) {
        tracing::warn!(
            "--max-clients {wanted} is lowered to {clients}: the limit on open files (ulimit -n) is {current}"
        );
    }
    clients as usize
}

fn address(listen: &Listen) -> Address {
    match listen {
        Listen::Tcp(address) => Address::Tcp(*address),
        Listen::Unix(path) => Address::Unix(path.clone()),
    }
}

fn listen(address: Address) -> Listen {
    match address {
        Address::Tcp(address) => Listen::Tcp(address),
        Address::Unix(path) => Listen::Unix(path),
    }
}
