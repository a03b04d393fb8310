//! The disk of a simulation: a page cache that outlives the process but not a power cut, sectors that get there in any
//! order until they are synced, and an end at any change.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chance::Chance;
use crate::journal::{Disk, DiskFile};

/// What a power cut keeps or loses as one: half of a block of the simulated journal.
pub const SECTOR: usize = 64;

#[derive(Clone, Default)]
struct Node {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that differ, as a set of bits.
    dirty: Vec<u64>,
    /// The length has changed since the last sync.
    resized: bool,
}

#[derive(Clone, Default)]
struct State {
    names: Vec<(Box<[u8]>, usize)>,
    durable_names: Vec<(Box<[u8]>, usize)>,
    nodes: Vec<Node>,
    faults: Faults,
    changes: u64,
    crashed: bool,
}

/// What the disk does wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// So many changes still come about; the next one ends everything.
    pub changes_left: Option<u64>,
    /// The next sync fails, and the system forgets what should have been written.
    pub fail_sync: bool,
    /// The next write fails.
    pub fail_write: bool,
    /// Bytes that all files together may have.
    pub room: Option<usize>,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

struct SimFile {
    disk: SimDisk,
    node: usize,
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the faults.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state().faults);
    }

    /// The end that `changes_left` named has come.
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// Bytes of all files.
    pub fn used(&self) -> usize {
        self.state().used()
    }

    /// Another disk with all that this one has, its page cache too.
    pub fn copy(&self) -> SimDisk {
        let mut state = self.state().clone();
        state.faults = Faults::default();
        state.crashed = false;
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// The process is gone, or was killed: the page cache stays as it is. Faults are over.
    pub fn after_kill(&self) {
        let mut state = self.state();
        state.faults = Faults::default();
        state.crashed = false;
        state.forget();
    }

    /// The power was cut: of what was not synced each sector is there in `percent` of the cases, each name is the new or
    /// the old one.
    pub fn after_power_cut(&self, chance: &mut Chance, percent: u64) {
        let mut state = self.state();
        state.faults = Faults::default();
        state.crashed = false;
        state.forget();
        for node in &mut state.nodes {
            node.cut(chance, percent);
        }
        let State { names, durable_names, .. } = &mut *state;
        if names != durable_names {
            let mut kept = Vec::new();
            for (name, then) in durable_names.iter() {
                let now = find(names, name);
                let node = if now != Some(*then) && chance.percent(percent) { now } else { Some(*then) };
                kept.extend(node.map(|node| (name.clone(), node)));
            }
            for (name, now) in names.iter() {
                if find(durable_names, name).is_none() && chance.percent(percent) {
                    kept.push((name.clone(), *now));
                }
            }
            names.clone_from(&kept);
            *durable_names = kept;
        }
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<Box<[u8]>> {
        self.state().names.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Changes what is in a file, as an accident does.
    pub fn change<T>(&self, name: &[u8], change: impl FnOnce(&mut [u8]) -> T) -> Option<T> {
        let mut state = self.state();
        let node = find(&state.names, name)?;
        Some(change(&mut state.nodes[node].cached))
    }

    /// Cuts a file, as an accident does.
    pub fn cut(&self, name: &[u8], len: usize) {
        let mut state = self.state();
        if let Some(node) = find(&state.names, name) {
            state.nodes[node].cached.truncate(len);
        }
    }

    /// How long a file is.
    pub fn len(&self, name: &[u8]) -> usize {
        let state = self.state();
        find(&state.names, name).map_or(0, |node| state.nodes[node].cached.len())
    }

    /// Removes a file, as an accident does.
    pub fn lose(&self, name: &[u8]) {
        let mut state = self.state();
        state.names.retain(|(there, _)| **there != *name);
        state.durable_names.retain(|(there, _)| **there != *name);
    }

    fn file(&self, node: usize) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), node })
    }

    fn found(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let node = find(&self.state().names, bytes(path)).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(node))
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn find(names: &[(Box<[u8]>, usize)], name: &[u8]) -> Option<usize> {
    names.iter().find(|(there, _)| **there == *name).map(|(_, node)| *node)
}

fn is_in(name: &[u8], dir: &[u8]) -> bool {
    name.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/') && !rest[1..].contains(&b'/'))
}

impl Node {
    fn mark(&mut self, from: usize, to: usize) {
        let (first, last) = (from / SECTOR, to.div_ceil(SECTOR));
        if self.dirty.len() * 64 < last {
            self.dirty.resize(last.div_ceil(64), 0);
        }
        for sector in first..last {
            self.dirty[sector / 64] |= 1 << (sector % 64);
        }
    }

    /// All that is dirty reaches the platter, or what `keep` lets.
    fn settle(&mut self, mut keep: impl FnMut() -> bool) {
        for word in 0..self.dirty.len() {
            let mut bits = std::mem::take(&mut self.dirty[word]);
            while bits != 0 {
                let sector = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(self.cached.len()));
                if from < to && keep() {
                    if self.durable.len() < to {
                        self.durable.resize(to, 0);
                    }
                    self.durable[from..to].copy_from_slice(&self.cached[from..to]);
                }
            }
        }
    }

    fn cut(&mut self, chance: &mut Chance, percent: u64) {
        let is_dirty = self.dirty.iter().any(|word| *word != 0);
        if is_dirty {
            self.settle(|| chance.percent(percent));
        }
        if std::mem::take(&mut self.resized) && chance.percent(percent) {
            self.durable.resize(self.cached.len(), 0);
        }
        self.cached.clone_from(&self.durable);
    }
}

impl State {
    /// One more change; an error where everything has ended.
    fn change(&mut self) -> io::Result<()> {
        match &mut self.faults.changes_left {
            Some(0) => {
                self.crashed = true;
                return Err(gone());
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.changes += 1;
        Ok(())
    }

    /// What has no name any more, and no process that has it open, is gone.
    fn forget(&mut self) {
        let named = |place: usize| self.names.iter().chain(&self.durable_names).any(|(_, node)| *node == place);
        let gone: Vec<usize> = (0..self.nodes.len()).filter(|place| !named(*place)).collect();
        gone.into_iter().for_each(|place| self.nodes[place] = Node::default());
    }

    fn used(&self) -> usize {
        self.names.iter().map(|(_, node)| self.nodes[*node].cached.len()).sum()
    }
}

impl Disk for SimDisk {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let dir = bytes(dir);
        let names = state.names.iter().filter(|(name, _)| is_in(name, dir));
        Ok(names.map(|(name, _)| String::from_utf8_lossy(&name[dir.len() + 1..]).into_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.change()?;
        let node = state.nodes.len();
        state.nodes.push(Node::default());
        let name = bytes(path);
        state.names.retain(|(there, _)| **there != *name);
        state.names.push((name.into(), node));
        Ok(self.file(node))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.found(path)
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.found(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let node = find(&state.names, bytes(from)).ok_or(io::ErrorKind::NotFound)?;
        let (from, to) = (bytes(from), bytes(to));
        state.names.retain(|(there, _)| **there != *from && **there != *to);
        state.names.push((to.into(), node));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let (before, name) = (state.names.len(), bytes(path));
        state.names.retain(|(there, _)| **there != *name);
        if state.names.len() < before { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let dir = bytes(dir);
        let State { names, durable_names, .. } = &mut *state;
        durable_names.retain(|(name, _)| !is_in(name, dir));
        durable_names.extend(names.iter().filter(|(name, _)| is_in(name, dir)).cloned());
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = state.nodes[self.node].cached.get(offset as usize..).unwrap_or_default();
        let len = bytes.len().min(into.len());
        into[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let (from, mut to) = (offset as usize, offset as usize + bytes.len());
        if state.faults.room.is_some() {
            let more = to.saturating_sub(state.nodes[self.node].cached.len());
            if more > 0 && state.faults.room.is_some_and(|room| state.used() + more > room) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        if std::mem::take(&mut state.faults.fail_write) {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        let ended = state.change();
        if ended.is_err() {
            // A write that was under way may have reached the cache in part.
            to = from + bytes.len() * (state.changes % 4) as usize / 4;
        }
        if from < to {
            let node = &mut state.nodes[self.node];
            if node.cached.len() < to {
                node.cached.resize(to, 0);
            }
            node.cached[from..to].copy_from_slice(&bytes[..to - from]);
            node.mark(from, to);
        }
        ended
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        let failed = std::mem::take(&mut state.faults.fail_sync);
        let node = &mut state.nodes[self.node];
        if failed {
            node.dirty.clear();
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        }
        if node.resized || node.durable.len() < node.cached.len() {
            node.durable.resize(node.cached.len(), 0);
            node.resized = false;
        }
        node.settle(|| true);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().nodes[self.node].cached.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        let node = &mut state.nodes[self.node];
        node.cached.resize(len as usize, 0);
        node.resized = true;
        Ok(())
    }
}
