//! A store in a folder of the local disk.
//!
//! ```text
//! <folder>/6/f9/6f95...91.png    a blob: modification time = when it was stored, access time = last use
//! <folder>/tmp/put-XXXXXX.part   a blob being written, locked by its writer
//! ```
//!
//! A blob is written to a temporary file, flushed to the disk and renamed: under its own name a file is always whole,
//! whatever kills the process or the power. The name of a new one is not flushed: when the power goes, blobs of the
//! last moments may be missing, as if they had been evicted, and are made again. What a killed writer leaves behind lies
//! in `tmp` only, unlocked, and is removed by the next [`LocalStore::open`]. Several processes may share a folder: each
//! sees what the others store; the bound in bytes then holds for what each one knows of.

use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::NamedTempFile;

use crate::index::Index;
use crate::stored::Digests;
use crate::{Blob, CacheError, NO_KEY, Store, Stored, key};

/// Interval at which it is tried whether the folder takes files, however often somebody asks.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// Bytes of the file that is written to try it: more than a block, so that a full disk refuses it.
const TRIED: usize = 64 << 10;
const TEMPORARY: &str = "tmp";
const PREFIX: &str = "put-";
const SUFFIX: &str = ".part";

/// Blobs in a folder, bounded in bytes: the least recently used goes first. Clones share it.
#[derive(Clone, Debug)]
pub struct LocalStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    limit: u64,
    index: Mutex<Index>,
    digests: Arc<Digests>,
    /// When it was last tried whether the folder takes files, and what came of it.
    tried: Mutex<Option<(Instant, Result<(), ErrorKind>)>>,
    /// Errors that the next writes meet halfway.
    #[cfg(test)]
    faults: Mutex<Vec<ErrorKind>>,
}

impl LocalStore {
    /// Opens the store in `dir`, which is made if it is missing; `max_bytes` is the most that all blobs together may
    /// hold (a store already larger is cut down). Reads the names of all blobs, removes what killed writers left, and
    /// leaves alone whatever else lies there. Blocks: call it before serving.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written to; the text names it.
    pub fn open(dir: &Path, max_bytes: u64) -> io::Result<LocalStore> {
        let named = |action: &str, error: io::Error| {
            io::Error::new(error.kind(), format!("cannot {action} the cache folder {}: {error}", dir.display()))
        };
        let temporary = dir.join(TEMPORARY);
        fs::create_dir_all(&temporary).map_err(|error| named("make", error))?;
        remove_stale(&temporary).map_err(|error| named("clean", error))?;
        temporary_file(&temporary).map_err(|error| named("write to", error))?;
        let mut found = scan(dir).map_err(|error| named("read", error))?;
        found.sort_by_key(|blob| blob.used);
        let mut index = Index::new(max_bytes);
        for blob in found {
            index.insert(&blob.key, blob.bytes, blob.used);
        }
        let inner = Inner {
            root: dir.to_owned(),
            limit: max_bytes,
            index: Mutex::new(index),
            digests: Arc::default(),
            tried: Mutex::default(),
            #[cfg(test)]
            faults: Mutex::default(),
        };
        inner.evict(&mut inner.index(), false);
        let (blobs, bytes) = {
            let index = inner.index();
            (index.len(), index.stored())
        };
        tracing::debug!(dir = %dir.display(), blobs, bytes, "cache opened");
        Ok(LocalStore { inner: Arc::new(inner) })
    }

    /// Bytes of all blobs together, as far as this process knows.
    pub fn stored_bytes(&self) -> u64 {
        self.inner.index().stored()
    }

    /// Runs file work off the async threads. It runs to its end even when the caller stops waiting.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        key: &str,
        work: impl FnOnce(&Inner, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, CacheError> {
        key::check(key)?;
        let (inner, owned) = (Arc::clone(&self.inner), key.to_owned());
        tokio::task::spawn_blocking(move || work(&inner, &owned))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|source| CacheError::Io { action, key: key.to_owned(), source })
    }
}

#[async_trait]
impl Store for LocalStore {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        self.blocking("look up", key, |inner, key| Ok(inner.look(key)?.is_some())).await
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError> {
        self.blocking("read", key, Inner::read).await
    }

    async fn open(&self, key: &str) -> Result<Option<Stored>, CacheError> {
        self.blocking("read", key, |inner, key| {
            let Some((file, metadata)) = inner.look(key)? else { return Ok(None) };
            Stored::file(file, key, metadata.len(), metadata.modified()?, &inner.digests).map(Some)
        })
        .await
    }

    async fn check(&self) -> Result<(), CacheError> {
        self.contains(NO_KEY).await?;
        let inner = Arc::clone(&self.inner);
        let tried = tokio::task::spawn_blocking(move || inner.try_to_write()).await;
        tried.unwrap_or(Err(ErrorKind::Other)).map_err(|kind| CacheError::ReadOnly(kind.into()))
    }

    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError> {
        key::check(key)?;
        if bytes.is_empty() {
            return Err(CacheError::Empty(key.to_owned()));
        }
        let size = bytes.len() as u64;
        if size > self.inner.limit {
            return Err(CacheError::TooLarge { bytes: size, limit: self.inner.limit });
        }
        self.blocking("store", key, move |inner, key| inner.write(key, &bytes, replace)).await
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.blocking("remove", key, |inner, key| {
            // Under the lock, so that it comes before or after a blob of the same key gets its name.
            let mut index = inner.index();
            index.remove(key);
            match fs::remove_file(key::path(&inner.root, key)) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
        .await
    }
}

impl Inner {
    fn index(&self) -> MutexGuard<'_, Index> {
        // Each change of the index is whole by itself, so a panic elsewhere leaves it usable.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a blob and notes the use.
    fn look(&self, key: &str) -> io::Result<Option<(File, fs::Metadata)>> {
        let path = key::path(&self.root, key);
        let opened = File::open(&path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        match opened {
            // Something emptied it.
            Ok((_, metadata)) if metadata.is_file() && metadata.len() == 0 => {
                self.index().remove(key);
                Ok(None)
            }
            Ok((file, metadata)) if metadata.is_file() => {
                let now = SystemTime::now();
                if self.index().used(key, metadata.len(), now) {
                    // Only the order of eviction after the next start depends on it.
                    if let Err(error) = file.set_times(FileTimes::new().set_accessed(now)) {
                        tracing::debug!(key, %error, "the use of a blob could not be noted");
                    }
                }
                Ok(Some((file, metadata)))
            }
            Ok(_) => Err(io::Error::new(ErrorKind::IsADirectory, "something that is no file is in its place")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.index().remove(key);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn read(&self, key: &str) -> io::Result<Option<Blob>> {
        let Some((mut file, metadata)) = self.look(key)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).map_err(io::Error::other)?);
        file.read_to_end(&mut bytes)?;
        Ok(Some(Blob { bytes: bytes.into(), stored_at: metadata.modified()? }))
    }

    fn write(&self, key: &str, bytes: &[u8], replace: bool) -> io::Result<()> {
        if !replace && self.look(key)?.is_some() {
            return Ok(());
        }
        let size = bytes.len() as u64;
        {
            let mut index = self.index();
            index.reserve(size);
            self.evict(&mut index, true);
        }
        let written = match self.temporary(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                // Others fill the disk too: what the cache holds may be far below its own bound.
                self.shrink(size);
                self.temporary(bytes)
            }
            other => other,
        };
        self.name(written, key, size, replace)?;
        if replace && let Some(folder) = key::path(&self.root, key).parent() {
            // Else the power may bring back what was replaced.
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Writes a file where blobs are written, at most once in [`TRY_EVERY`].
    fn try_to_write(&self) -> Result<(), ErrorKind> {
        // Held meanwhile: many may ask at once.
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, outcome)) = *tried
            && when.elapsed() < TRY_EVERY
        {
            return outcome;
        }
        let written = temporary_file(&self.root.join(TEMPORARY)).and_then(|mut file| file.write_all(&[0; TRIED]));
        let outcome = written.map_err(|error| error.kind());
        if let Err(error) = outcome {
            tracing::warn!(folder = %self.root.display(), %error, "the cache folder takes no results");
        }
        *tried = Some((Instant::now(), outcome));
        outcome
    }

    /// Gives a finished temporary file its name, and back the space that was reserved for it.
    fn name(&self, file: io::Result<NamedTempFile>, key: &str, size: u64, replace: bool) -> io::Result<()> {
        // Under the lock, so that an eviction of the same key comes before or after all of this.
        let mut index = self.index();
        index.release(size);
        let path = key::path(&self.root, key);
        // An empty file counts as missing: results have at least one byte.
        let replace = replace || fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() == 0);
        let give = |file: NamedTempFile| if replace { file.persist(&path) } else { file.persist_noclobber(&path) };
        let named = match (give(file?), path.parent()) {
            // The first one there.
            (Err(error), Some(folder)) if error.error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(folder)?;
                give(error.file)
            }
            (named, _) => named,
        };
        match named {
            // Closing it drops its lock, which means "being written".
            Ok(_) => index.insert(key, size, SystemTime::now()),
            // Somebody was faster; equal keys hold equal blobs.
            Err(error) if !replace && error.error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.error),
        }
        self.evict(&mut index, false);
        Ok(())
    }

    /// Writes a temporary file down to the disk. It is removed when anything goes wrong.
    fn temporary(&self, bytes: &[u8]) -> io::Result<NamedTempFile> {
        let mut file = temporary_file(&self.root.join(TEMPORARY))?;
        #[cfg(test)]
        if let Some(fault) = self.faults.lock().unwrap().pop() {
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(fault.into());
        }
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    /// Removes blobs until the bound holds, also for what is being written when `reserved`.
    fn evict(&self, index: &mut Index, reserved: bool) {
        while let Some(key) = index.surplus(reserved) {
            self.remove(&key);
        }
    }

    /// Removes the least recently used blobs worth about `bytes`, to make room on a full disk.
    fn shrink(&self, bytes: u64) {
        let mut index = self.index();
        let mut freed = 0;
        while freed <= bytes
            && let Some((key, size)) = index.oldest()
        {
            self.remove(&key);
            freed += size;
        }
        tracing::warn!(freed, wanted = bytes, "the disk of the cache is full; old blobs were removed");
    }

    fn remove(&self, key: &str) {
        if let Err(error) = fs::remove_file(key::path(&self.root, key))
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(key, %error, "a blob could not be removed from the cache");
        }
    }
}

/// A new temporary file, locked for as long as it is being written.
fn temporary_file(folder: &Path) -> io::Result<NamedTempFile> {
    let make = || tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(folder);
    let file = match make() {
        // Somebody tidied the folder away.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            make()?
        }
        other => other?,
    };
    file.as_file().lock()?;
    Ok(file)
}

/// Removes temporary files that no living writer holds.
fn remove_stale(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if !ours || !entry.file_type()?.is_file() {
            continue;
        }
        match File::open(entry.path()) {
            Ok(file) if file.try_lock().is_ok() => fs::remove_file(entry.path())?,
            // Being written by another process, or gone meanwhile.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

struct Found {
    key: String,
    bytes: u64,
    used: SystemTime,
}

/// All blobs below the folder, by the three levels that [`key::path`] makes.
fn scan(root: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for first in folders(root, 1)? {
        for second in folders(&first, 2)? {
            for entry in fs::read_dir(&second)? {
                let entry = entry?;
                let Ok(key) = entry.file_name().into_string() else { continue };
                if key::check(&key).is_err() || key::path(root, &key) != entry.path() {
                    continue;
                }
                // Not through symbolic links: they are not ours.
                match entry.metadata() {
                    Ok(metadata) if metadata.is_file() => {
                        let used = metadata.accessed().unwrap_or(SystemTime::UNIX_EPOCH);
                        found.push(Found { key, bytes: metadata.len(), used });
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(found)
}

/// Folders whose name has `length` characters.
fn folders(parent: &Path, length: usize) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().len() == length && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
