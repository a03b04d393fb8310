//! Who is connected: what `CLIENT LIST` tells and `CLIENT KILL` ends.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Waker;

use crate::ids::Millis;

/// Connections by their number, which is never given twice.
#[derive(Debug, Default)]
pub struct Clients {
    open: BTreeMap<u64, Rc<Client>>,
    last_id: u64,
}

/// One connection as others see it. Shared on the loop's thread only.
#[derive(Debug)]
pub struct Client {
    /// `CLIENT ID`
    pub id: u64,
    /// The peer's address, as `CLIENT LIST` shows it.
    pub addr: String,
    /// Our own address.
    pub laddr: String,
    /// The socket's number.
    pub fd: i32,
    /// When it connected.
    pub since: Millis,
    /// `CLIENT SETNAME`
    pub name: RefCell<String>,
    /// `CLIENT SETINFO LIB-NAME`
    pub lib_name: RefCell<String>,
    /// `CLIENT SETINFO LIB-VER`
    pub lib_ver: RefCell<String>,
    /// `SELECT`
    pub db: Cell<u8>,
    /// 2 or 3.
    pub resp: Cell<u8>,
    /// The last command's name.
    pub last_command: Cell<&'static str>,
    /// When that was.
    pub last_at: Cell<Millis>,
    /// Bytes of requests that wait.
    pub input_bytes: Cell<usize>,
    /// Bytes of answers that wait.
    pub output_bytes: Cell<usize>,
    /// `CLIENT NO-EVICT on`
    pub no_evict: Cell<bool>,
    /// `CLIENT NO-TOUCH on`
    pub no_touch: Cell<bool>,
    /// Somebody asked for its end.
    pub killed: Cell<bool>,
    /// Wakes its task, so that it sees `killed`.
    pub waker: RefCell<Option<Waker>>,
}

/// Letters of a client's name that are told of him.
const NAME_TOLD: usize = 64;

impl Client {
    /// Who it is, for people: the address and, where it has one, the name.
    pub fn told(&self) -> String {
        let name: String = self.name.borrow().chars().take(NAME_TOLD).collect();
        if name.is_empty() { self.addr.clone() } else { format!("{} {name}", self.addr) }
    }

    /// Ends the connection at its task's next turn.
    pub fn kill(&self) {
        self.killed.set(true);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

impl Clients {
    /// A new connection.
    pub fn open(&mut self, addr: String, laddr: String, fd: i32, now: Millis) -> Rc<Client> {
        self.last_id += 1;
        let client = Rc::new(Client {
            id: self.last_id,
            addr,
            laddr,
            fd,
            since: now,
            name: RefCell::default(),
            lib_name: RefCell::default(),
            lib_ver: RefCell::default(),
            db: Cell::new(0),
            resp: Cell::new(2),
            last_command: Cell::new("NULL"),
            last_at: Cell::new(now),
            input_bytes: Cell::new(0),
            output_bytes: Cell::new(0),
            no_evict: Cell::new(false),
            no_touch: Cell::new(false),
            killed: Cell::new(false),
            waker: RefCell::new(None),
        });
        self.open.insert(self.last_id, Rc::clone(&client));
        client
    }

    /// It is gone.
    pub fn close(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Client>> {
        self.open.values()
    }
}
