//! A folder in the system's temporary folder that goes with its process: when that ends in order, or else when the next
//! one is made.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::{NamedTempFile, TempDir};

/// What the names of these folders begin with.
const PREFIX: &str = "imgflo-ops-";
/// A file that the owner of a folder keeps locked.
const LOCK: &str = "lock";

/// A folder that only this user can read.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: TempDir,
    /// The kernel lets go of it with the process, however that ends.
    _lock: File,
}

impl Scratch {
    /// Makes one, and removes those of processes that were killed.
    pub fn new() -> io::Result<Scratch> {
        Scratch::new_in(&std::env::temp_dir())
    }

    fn new_in(parent: &Path) -> io::Result<Scratch> {
        sweep(parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Locked before it has its name: nobody finds it open.
        let lock = NamedTempFile::new_in(folder.path())?;
        lock.as_file().lock()?;
        let lock = lock.persist(folder.path().join(LOCK)).map_err(|error| error.error)?;
        Ok(Scratch { folder, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes folders whose owners are gone. One that cannot be looked at or removed stays: it may be another user's.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let left = entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    for entry in left {
        if File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_with_the_next_start() {
        let parent = tempfile::tempdir().unwrap();
        let kept = Scratch::new_in(parent.path()).unwrap();
        // As after a kill: the lock is gone, the folder is not.
        let Scratch { folder, _lock } = Scratch::new_in(parent.path()).unwrap();
        fs::write(folder.path().join("library.so"), "x").unwrap();
        let left = folder.keep();
        drop(_lock);
        fs::create_dir(parent.path().join("imgflo-ops-begun")).unwrap();
        fs::create_dir(parent.path().join("another")).unwrap();
        let next = Scratch::new_in(parent.path()).unwrap();
        assert!(!left.exists() && kept.path().exists() && next.path().exists());
        drop((kept, next));
        let mut names =
            fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        names.sort();
        assert_eq!(names, ["another", "imgflo-ops-begun"]);
    }
}
