//! Data directories that take seconds to make: made once, kept beside the build, copied for every start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The directory `name`, made by `make` if nobody made it yet. `make` gets a path where nothing is.
/// The name must tell everything that the content depends on: it outlives the run.
pub fn template(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // What another user made may be unreadable.
    let kept = root.join(format!("{name}-{}", rustix::process::getuid().as_raw()));
    if !kept.exists() {
        let scratch = tempfile::tempdir_in(root).unwrap();
        let made = scratch.path().join("made");
        make(&made);
        // Another process may have been first: then its directory serves.
        if let Err(error) = fs::rename(&made, &kept) {
            assert!(kept.exists(), "{}: {error}", kept.display());
        }
    }
    kept
}

/// Copies a directory to a path where nothing is.
pub fn copy(from: &Path, to: &Path) {
    assert!(!to.exists(), "{} is there already", to.display());
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success(), "cp -a {} {}: {done}", from.display(), to.display());
}
