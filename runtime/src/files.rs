//! Files that change as a whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for another process that is saving, which takes it a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Locks a file, which is made if missing, until what is returned is dropped; a process that dies
/// leaves no lock. `None` when somebody else held it all the time.
///
/// # Errors
/// When the file cannot be opened.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => return Ok(None),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Puts `bytes` into a file, new or not: whoever reads it sees all of the old or all of the new,
/// also after the power went. Only one may do so at a time.
///
/// # Errors
/// When it cannot be written; then it is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let new = path.with_file_name(name);
    // What a crash left.
    remove(&new)?;
    let written = write(&new, path, bytes).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = remove(&new);
    }
    written?;
    sync_folder(path)
}

fn write(new: &Path, old: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(new)?;
    if let Ok(metadata) = fs::metadata(old) {
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a file, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes what happened to names in the folder of `path` last.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
