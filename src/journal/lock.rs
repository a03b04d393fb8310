//! One process at a time: a lock on a file in the data directory that says who holds it.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two attempts: the system has no lock with a deadline.
const RETRY: Duration = Duration::from_millis(50);

/// Held as long as it lives; the system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// Why a data directory could not be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself: "pid N since T".
        holder: String,
    },
    /// The lock file could not be opened or locked.
    Io {
        /// The lock file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held { path, holder } => write!(
                f,
                "the data directory is in use: {} is held by {holder}; stop that process, wait for it with --lock-wait, \
                 or choose another directory with --data",
                path.display()
            ),
            LockError::Io { path, error } => {
                write!(f, "cannot lock the data directory: {}: {error}; check its owner and mode", path.display())
            }
        }
    }
}

impl std::error::Error for LockError {}

impl DirectoryLock {
    /// Locks the data directory `dir`, which must exist; waits at most `wait` for another holder to go.
    pub fn acquire(dir: &Path, wait: Duration) -> Result<DirectoryLock, LockError> {
        let path = dir.join("lock");
        let failed = |error| LockError::Io { path: path.clone(), error };
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(&path).map_err(failed)?;
        #[expect(clippy::disallowed_methods, reason = "waiting for another process has a deadline")]
        let now = Instant::now;
        let deadline = now() + wait;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if now() < deadline => {
                    if !std::mem::replace(&mut told, true) {
                        let holder = holder(&mut file).map_err(failed)?;
                        tracing::info!("waiting for {holder} to leave {}", dir.display());
                    }
                    #[expect(clippy::disallowed_methods, reason = "the system has no lock with a deadline")]
                    std::thread::sleep(RETRY.min(wait));
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = holder(&mut file).map_err(failed)?;
                    return Err(LockError::Held { path, holder });
                }
            }
        }
        let since = jiff::Timestamp::now();
        file.rewind().and_then(|()| file.set_len(0)).map_err(failed)?;
        writeln!(file, "pid {} since {since:.0}", std::process::id()).map_err(failed)?;
        Ok(DirectoryLock { _file: file })
    }
}

/// What the holder wrote about itself.
fn holder(file: &mut File) -> io::Result<String> {
    let mut holder = String::new();
    file.rewind()?;
    file.read_to_string(&mut holder)?;
    Ok(if holder.is_empty() { "another process" } else { holder.trim() }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DirectoryLock::acquire(dir.path(), Duration::ZERO).expect("free");
        let refused = DirectoryLock::acquire(dir.path(), Duration::from_millis(1)).expect_err("held");
        let told = refused.to_string();
        assert!(told.contains(&format!("pid {} since 2", std::process::id())), "{told}");
        drop(first);
        DirectoryLock::acquire(dir.path(), Duration::ZERO).expect("free again");
    }

    #[test]
    fn who_waits_gets_the_lock_when_the_holder_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DirectoryLock::acquire(dir.path(), Duration::ZERO).expect("free");
        std::thread::scope(|threads| {
            let waiter = threads.spawn(|| DirectoryLock::acquire(dir.path(), Duration::from_secs(60)).is_ok());
            drop(first);
            assert!(waiter.join().expect("the waiter ends"));
        });
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let refused = DirectoryLock::acquire(Path::new("/nonexistent"), Duration::ZERO).expect_err("no directory");
        assert!(matches!(refused, LockError::Io { .. }));
    }
}
