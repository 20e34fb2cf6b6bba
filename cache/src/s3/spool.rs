//! Large results of a bucket, held in files without names while somebody reads them.
//!
//! A result is checked as a whole before any of it is given out, and clients are slower than buckets. So a large one
//! goes to a file first, which all who read it at the same time share.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OnceCell;

use crate::Stored;

/// One version of a blob: its key, and the entity tag that the bucket gives it.
type Version = (String, String);
/// The open file of a version, once it is there.
pub(super) type Cell = OnceCell<Arc<Stored>>;

/// The files in use.
#[derive(Debug, Default)]
pub(super) struct Spool {
    folder: Option<PathBuf>,
    files: Mutex<HashMap<Version, Weak<Cell>>>,
}

impl Spool {
    /// Files in this folder; in memory where there is none.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Spool { folder, files: Mutex::default() }
    }

    /// The place of a version, shared by all who want it now.
    pub(super) fn place(&self, key: &str, tag: &str) -> Arc<Cell> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let version = (key.to_owned(), tag.to_owned());
        if let Some(cell) = files.get(&version).and_then(Weak::upgrade) {
            return cell;
        }
        files.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::<Cell>::default();
        files.insert(version, Arc::downgrade(&cell));
        cell
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
