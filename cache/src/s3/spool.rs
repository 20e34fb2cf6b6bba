//! Large results of a bucket, held in files without names while somebody reads them.
//!
//! A result is checked as a whole before any of it is given out, and clients are slower than buckets. So a large one
//! goes to a file first, which all who read it at the same time share.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::Stored;

/// One version of a blob: its key, and the entity tag that the bucket gives it.
type Version = (String, String);
/// The place of a version.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The open file of the version, once it is there.
    pub file: OnceCell<Arc<Stored>>,
    /// The room that the file takes.
    pub room: OnceLock<Room>,
}

/// Room for a file, for as long as this is held.
pub(super) type Room = OwnedSemaphorePermit;

/// Unit that room is counted in, bytes.
const UNIT: u64 = 4096;

/// The files in use.
#[derive(Debug)]
pub(super) struct Spool {
    folder: Option<PathBuf>,
    files: Mutex<HashMap<Version, Weak<Place>>>,
    room: Arc<Semaphore>,
    units: u32,
}

impl Default for Spool {
    /// In memory, without a limit.
    fn default() -> Self {
        Spool::new(None, u64::MAX)
    }
}

impl Spool {
    /// Files in this folder, of so many bytes together; in memory where there is none.
    pub(super) fn new(folder: Option<PathBuf>, bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Spool { folder, files: Mutex::default(), room: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Waits for room for a file of so many bytes. One that is larger than all the room has it to itself.
    pub(super) async fn room(&self, bytes: u64) -> Option<Room> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        // It is never closed.
        Arc::clone(&self.room).acquire_many_owned(units).await.ok()
    }

    /// The place of a version, shared by all who want it now.
    pub(super) fn place(&self, key: &str, tag: &str) -> Arc<Place> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let version = (key.to_owned(), tag.to_owned());
        if let Some(place) = files.get(&version).and_then(Weak::upgrade) {
            return place;
        }
        files.retain(|_, place| place.strong_count() > 0);
        let place = Arc::<Place>::default();
        files.insert(version, Arc::downgrade(&place));
        place
    }

    /// Opens a file without a name. Returns `None` where the folder is missing or takes no files: the body is then held
    /// in memory.
    pub(super) fn file(&self) -> Option<File> {
        let folder = self.folder.as_ref()?;
        let made = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
        made.inspect_err(|error| {
            tracing::warn!(folder = %folder.display(), %error, "a large result is held in memory: no file can be made");
        })
        .ok()
    }
}

/// Adds to the end of a file, off the async threads.
pub(super) async fn append(mut file: File, bytes: bytes::Bytes) -> io::Result<File> {
    let written = tokio::task::spawn_blocking(move || file.write_all(&bytes).map(|()| file)).await;
    written.unwrap_or_else(|error| Err(io::Error::other(error)))
}
