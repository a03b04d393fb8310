//! A disk for tests: a page cache that outlives the process but not a power cut, faults on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile};

/// What a power cut keeps or loses as one.
const SECTOR: usize = 64;

#[derive(Clone, Default)]
struct Node {
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Default)]
struct State {
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    synced_dirs: BTreeSet<PathBuf>,
    nodes: Vec<Node>,
    faults: Faults,
}

/// What the disk is to do wrong.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// `sync_data` does not return while set.
    pub hold_sync: bool,
    /// `sync_data` fails, and forgets what it should have written.
    pub fail_sync: bool,
    /// `read_at` fails where it touches this byte of this file.
    pub unreadable: Option<(PathBuf, usize)>,
    /// `sync_dir` fails.
    pub fail_sync_dir: bool,
    /// `write_at` fails.
    pub fail_write: bool,
    /// Bytes that all files together may have.
    pub room: Option<usize>,
    /// Changes that still work; after that everything fails.
    pub changes_left: Option<u64>,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk {
    state: Arc<Mutex<State>>,
    changed: Arc<Condvar>,
}

struct MemoryFile {
    disk: MemoryDisk,
    node: usize,
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(state: State) -> MemoryDisk {
        MemoryDisk { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// The same disk, as a journal takes it.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Changes the faults.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state().faults);
        self.changed.notify_all();
    }

    /// The disk after the process was killed: the page cache is still there, and still unsynced. Faults are over.
    pub fn after_kill(&self) -> MemoryDisk {
        MemoryDisk::with(State { faults: Faults::default(), ..self.state().clone() })
    }

    /// The disk after a power cut: of what was not synced each sector is there or not, as `draw` says.
    pub fn after_power_cut(&self, mut draw: impl FnMut() -> bool) -> MemoryDisk {
        let mut state = State { faults: Faults::default(), ..self.state().clone() };
        for node in &mut state.nodes {
            let mut survives = std::mem::take(&mut node.durable);
            for sector in std::mem::take(&mut node.dirty) {
                let from = sector * SECTOR;
                let to = (from + SECTOR).min(node.cached.len());
                if from < to && draw() {
                    let len = survives.len().max(to);
                    survives.resize(len, 0);
                    survives[from..to].copy_from_slice(&node.cached[from..to]);
                }
            }
            node.cached.clone_from(&survives);
            node.durable = survives;
        }
        let names: BTreeSet<PathBuf> = state.names.keys().chain(state.durable_names.keys()).cloned().collect();
        for name in names {
            let (now, then) = (state.names.get(&name).copied(), state.durable_names.get(&name).copied());
            match if now != then && draw() { now } else { then } {
                Some(node) => state.names.insert(name, node),
                None => state.names.remove(&name),
            };
        }
        state.durable_names = state.names.clone();
        MemoryDisk::with(state)
    }

    /// How many changes still work, if that is bounded.
    pub fn changes_left(&self) -> Option<u64> {
        self.state().faults.changes_left
    }

    /// The directories that were synced.
    pub fn synced_dirs(&self) -> BTreeSet<PathBuf> {
        self.state().synced_dirs.clone()
    }

    /// All files with their bytes.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(name, node)| (name.clone(), state.nodes[*node].cached.clone())).collect()
    }

    /// A disk with these files, all synced.
    pub fn of(files: &BTreeMap<PathBuf, Vec<u8>>) -> MemoryDisk {
        let mut state = State::default();
        for (name, bytes) in files {
            state.names.insert(name.clone(), state.nodes.len());
            state.nodes.push(Node { cached: bytes.clone(), durable: bytes.clone(), dirty: BTreeSet::new() });
        }
        state.durable_names = state.names.clone();
        MemoryDisk::with(state)
    }

    fn file(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let node = *self.state().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryFile { disk: self.clone(), node }))
    }
}

impl State {
    fn change(&mut self) -> io::Result<()> {
        match &mut self.faults.changes_left {
            Some(0) => Err(io::Error::other("the disk is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Disk for MemoryDisk {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let names = state.names.keys().filter_map(|path| path.strip_prefix(dir).ok());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.change()?;
        let node = state.nodes.len();
        state.nodes.push(Node::default());
        state.names.insert(path.to_path_buf(), node);
        drop(state);
        self.file(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(path)
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let node = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_path_buf(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.names.remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if state.faults.fail_sync_dir {
            return Err(io::Error::other("the disk does not sync directories"));
        }
        state.synced_dirs.insert(dir.to_path_buf());
        let State { names, durable_names, .. } = &mut *state;
        let here = |name: &Path| name.parent() == Some(dir);
        durable_names.retain(|name, _| !here(name));
        durable_names.extend(names.iter().filter(|(name, _)| here(name)).map(|(n, i)| (n.clone(), *i)));
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = state.nodes[self.node].cached.get(offset as usize..).unwrap_or_default();
        let len = bytes.len().min(into.len());
        if let Some((path, byte)) = &state.faults.unreadable
            && state.names.get(path) == Some(&self.node)
            && (offset as usize..offset as usize + len).contains(byte)
        {
            return Err(rustix::io::Errno::IO.into());
        }
        into[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.faults.fail_write {
            return Err(io::Error::other("the disk does not write"));
        }
        state.change()?;
        let State { names, nodes, faults, .. } = &mut *state;
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        let used: usize = names.values().map(|node| nodes[*node].cached.len()).sum();
        let node = &mut nodes[self.node];
        let more = to.saturating_sub(node.cached.len());
        if faults.room.is_some_and(|room| more > 0 && used + more > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = node.cached.len().max(to);
        node.cached.resize(len, 0);
        node.cached[from..to].copy_from_slice(bytes);
        node.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = self.disk.state();
        let held = self.disk.changed.wait_while(state, |state| state.faults.hold_sync);
        let mut state = held.unwrap_or_else(PoisonError::into_inner);
        state.change()?;
        let failed = state.faults.fail_sync;
        let node = &mut state.nodes[self.node];
        let dirty = std::mem::take(&mut node.dirty);
        if failed {
            return Err(io::Error::other("the disk does not sync"));
        }
        node.durable.resize(node.cached.len(), 0);
        for sector in dirty {
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(node.cached.len()));
            if from < to {
                node.durable[from..to].copy_from_slice(&node.cached[from..to]);
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().nodes[self.node].cached.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        state.nodes[self.node].cached.resize(len as usize, 0);
        Ok(())
    }
}
