//! One MariaDB server: what it committed outlives `kill -9`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mysql::prelude::{FromRow, Queryable};
use mysql::{Conn, OptsBuilder};

use super::process::Held;
use super::template::{copy, template};
use super::turn::Turn;
use super::unique;
use crate::gate::free_port;
use crate::level::within;

/// How long a server may take until it serves.
const START: Duration = Duration::from_secs(60);

/// How long one statement may take.
const STATEMENT: Duration = Duration::from_secs(30);

/// What every server is told, besides its port and its directory: safe commits, little memory.
const OPTIONS: &[&str] = &[
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=32M",
    "--aria-pagecache-buffer-size=8M",
    "--key-buffer-size=1M",
    "--performance-schema=OFF",
    "--character-set-server=utf8mb4",
];

/// The password of every user that tests get.
const PASSWORD: &str = "open-sesame";

/// A server and its directory.
#[derive(Debug)]
pub struct MariaDb {
    held: Option<Held>,
    home: PathBuf,
    port: u16,
    options: Vec<String>,
    shared: bool,
    _turn: Option<Arc<Turn>>,
}

/// A database of one test and its user.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its name, which is the user's name too.
    pub name: String,
    /// `mysql://user:password@127.0.0.1:port/name`
    pub url: String,
    socket: PathBuf,
}

/// The server that all tests of this process share; started at the first call, ended with the process.
pub fn shared() -> &'static MariaDb {
    static SHARED: OnceLock<MariaDb> = OnceLock::new();
    SHARED.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("coupon-gate-mariadb-").tempdir().unwrap().keep();
        MariaDb::start_below(&dir, &[], None)
    })
}

impl MariaDb {
    /// An empty server of the test's own below `dir`; waits until it serves.
    #[track_caller]
    pub fn start(dir: &Path) -> MariaDb {
        MariaDb::start_with(dir, &[])
    }

    /// The same with further options of `mariadbd`.
    #[track_caller]
    pub fn start_with(dir: &Path, options: &[&str]) -> MariaDb {
        MariaDb::start_below(dir, options, Some(Turn::take()))
    }

    /// Without a turn it is the shared one: its directory goes when the test process does.
    #[track_caller]
    pub(super) fn start_below(dir: &Path, options: &[&str], turn: Option<Arc<Turn>>) -> MariaDb {
        let home = dir.join("mariadb");
        fs::create_dir_all(&home).unwrap();
        copy(&installed(), &home.join("data"));
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let shared = turn.is_none();
        let mut mariadb = MariaDb { held: None, home, port: 0, options, shared, _turn: turn };
        for _ in 0..5 {
            mariadb.port = free_port();
            if mariadb.launch() {
                return mariadb;
            }
        }
        panic!("each port that was free got taken before MariaDB had it");
    }

    /// A new empty database, and a user who may do everything in it and nothing elsewhere.
    #[track_caller]
    pub fn database(&self) -> Database {
        let name = unique("shop");
        let mut root = self.root();
        root.query_drop(format!("CREATE DATABASE {name}")).unwrap();
        root.query_drop(format!("CREATE USER {name}@'%' IDENTIFIED BY '{PASSWORD}'")).unwrap();
        root.query_drop(format!("GRANT ALL ON {name}.* TO {name}@'%'")).unwrap();
        let url = format!("mysql://{name}:{PASSWORD}@127.0.0.1:{}/{name}", self.port);
        Database { name, url, socket: self.socket() }
    }

    /// Asks as root, outside of any database.
    #[track_caller]
    pub fn query<T: FromRow>(&self, sql: &str) -> Vec<T> {
        self.root().query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.held.take().expect("it runs").kill();
    }

    /// Starts it again on the same port and data, killing it first if it runs; waits until it serves.
    #[track_caller]
    pub fn restart(&mut self) {
        self.held = None;
        assert!(self.launch(), "port {} was taken while MariaDB was down", self.port);
    }

    /// SIGSTOP: connections stay, nothing is answered.
    pub fn freeze(&self) {
        self.held.as_ref().expect("it runs").freeze();
    }

    /// SIGCONT
    pub fn thaw(&self) {
        self.held.as_ref().expect("it runs").thaw();
    }

    /// Whether it answers a statement within `bound`.
    pub fn answers(&self, bound: Duration) -> bool {
        connect(&self.socket(), None, bound).is_ok_and(|mut conn| conn.query_first::<u8, _>("SELECT 1").is_ok())
    }

    /// What it said since its first start.
    pub fn said(&self) -> String {
        fs::read_to_string(self.home.join("said.txt")).unwrap_or_default()
    }

    fn socket(&self) -> PathBuf {
        self.home.join("socket")
    }

    #[track_caller]
    fn root(&self) -> Conn {
        connect(&self.socket(), None, STATEMENT).unwrap()
    }

    /// Starts the process and waits until it serves; false when somebody took its port.
    #[track_caller]
    fn launch(&mut self) -> bool {
        let before = self.said().len();
        let mut command = vec!["mariadbd".to_owned(), "--no-defaults".to_owned()];
        command.extend(as_whom());
        command.push(format!("--datadir={}", self.home.join("data").display()));
        command.push(format!("--socket={}", self.socket().display()));
        command.push(format!("--pid-file={}", self.home.join("pid").display()));
        command.push(format!("--port={}", self.port));
        command.extend(OPTIONS.iter().map(|option| (*option).to_owned()));
        command.extend(self.options.iter().cloned());
        let folder = self.shared.then(|| self.home.parent().expect("it lies below a folder"));
        self.held = Some(Held::start(&command, &self.home.join("said.txt"), folder));
        within(START, "MariaDB serves", || {
            if self.held.as_ref().is_some_and(Held::has_ended) {
                let said = self.said().split_off(before);
                assert!(said.contains("Address already in use"), "MariaDB ended instead of serving:\n{said}");
                self.held = None;
                return Some(false);
            }
            self.answers(STATEMENT).then_some(true)
        })
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if self.held.take().is_some() && std::thread::panicking() {
            eprintln!("MariaDB on port {} said:\n{}", self.port, self.said());
        }
    }
}

impl Database {
    /// Asks in this database, as root.
    #[track_caller]
    pub fn query<T: FromRow>(&self, sql: &str) -> Vec<T> {
        self.root().query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs a statement in this database, as root.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.root().query_drop(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    #[track_caller]
    fn root(&self) -> Conn {
        connect(&self.socket, Some(&self.name), STATEMENT).unwrap()
    }

    /// Everything in it, as SQL; writers go on meanwhile.
    #[track_caller]
    pub fn dump(&self) -> Vec<u8> {
        let end = self.tool("mariadb-dump").args(["--single-transaction", &self.name]).output().unwrap();
        assert!(end.status.success(), "mariadb-dump: {}", String::from_utf8_lossy(&end.stderr));
        end.stdout
    }

    /// Makes it what it was at a dump: nothing else stays. Its user keeps his rights, and is shut out meanwhile, as an
    /// operator does it.
    #[track_caller]
    pub fn restore(&self, dump: &[u8]) {
        let mut root = connect(&self.socket, None, STATEMENT).unwrap();
        root.query_drop(format!("ALTER USER {}@'%' ACCOUNT LOCK", self.name)).unwrap();
        root.query_drop(format!("KILL USER {}@'%'", self.name)).unwrap();
        root.query_drop(format!("DROP DATABASE {}", self.name)).unwrap();
        root.query_drop(format!("CREATE DATABASE {}", self.name)).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(dump).unwrap();
        let from = rewound(file);
        let end = self.tool("mariadb").arg(&self.name).stdin(from).output().unwrap();
        assert!(end.status.success(), "mariadb: {}", String::from_utf8_lossy(&end.stderr));
        root.query_drop(format!("ALTER USER {}@'%' ACCOUNT UNLOCK", self.name)).unwrap();
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.arg("--no-defaults").arg(format!("--socket={}", self.socket.display())).arg("--user=root");
        command
    }
}

fn rewound(mut file: File) -> Stdio {
    std::io::Seek::rewind(&mut file).unwrap();
    file.into()
}

fn connect(socket: &Path, database: Option<&str>, bound: Duration) -> mysql::Result<Conn> {
    let options = OptsBuilder::new()
        .socket(socket.to_str())
        .user(Some("root"))
        .db_name(database)
        .read_timeout(Some(bound))
        .write_timeout(Some(bound));
    Conn::new(options)
}

/// A data directory whose root has no password.
fn installed() -> PathBuf {
    let said =
        server("mariadbd").arg("--version").output().expect("mariadbd runs: apt-get install mariadb-server-core");
    let version = String::from_utf8_lossy(&said.stdout);
    let version = version.split_whitespace().nth(2).expect("mariadbd tells its version");
    template(&format!("mariadb-{version}"), |made| {
        let mut install = server("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.args(["--skip-name-resolve", "--innodb-log-file-size=32M"]).args(as_whom());
        let end = install.arg(format!("--datadir={}", made.display())).output().unwrap();
        let said = String::from_utf8_lossy(&end.stdout) + String::from_utf8_lossy(&end.stderr);
        assert!(end.status.success(), "mariadb-install-db: {said}");
    })
}

/// Debian keeps servers where only root looks.
fn server(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    command
}

/// Root has to say that he means it.
fn as_whom() -> Option<String> {
    rustix::process::geteuid().is_root().then(|| "--user=root".to_owned())
}
