//! A stored result that is read in pieces, so that a slow reader holds little memory.

use std::any::Any;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lru::LruCache;
use sha2::{Digest, Sha256};

use crate::{Blob, CacheError};

/// Size up to which a result is read whole when it is opened, bytes.
pub(crate) const WHOLE: u64 = 64 << 10;
/// Bytes at the begin of a result that are known once it is open: enough to tell its type.
const HEAD: u64 = 32;
/// Bytes that are hashed at a time.
const HASHED: usize = 64 << 10;
/// Age from which on the modification time of a file tells its version from the next.
const SETTLED: Duration = Duration::from_secs(1);
/// Digests that a store remembers.
const DIGESTS: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// SHA-256 of a result.
pub type Sha256Digest = [u8; 32];

/// A stored result, open: what is read of it later is the same version, whatever happens to its key.
#[derive(Debug)]
pub struct Stored {
    length: u64,
    stored_at: SystemTime,
    head: Bytes,
    content: Content,
    _place: Option<Place>,
}

/// Keeps alive whatever an open result needs.
struct Place(#[expect(dead_code, reason = "it is held only")] Arc<dyn Any + Send + Sync>);

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    File(Arc<OpenFile>),
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    key: String,
    /// Modification time, which tells versions of the file apart.
    modified: SystemTime,
    digest: Known,
}

/// Source of the digest of a file.
#[derive(Debug)]
enum Known {
    Digest(Sha256Digest),
    /// Computed once for each version of a key.
    Memory(Arc<Digests>),
}

/// The digests of files that were asked for, by key, for one version each.
#[derive(Debug)]
pub(crate) struct Digests(Mutex<LruCache<String, (u64, SystemTime, Sha256Digest)>>);

impl Default for Digests {
    fn default() -> Self {
        Digests(Mutex::new(LruCache::new(DIGESTS)))
    }
}

impl From<Blob> for Stored {
    fn from(blob: Blob) -> Self {
        let Blob { bytes, stored_at } = blob;
        let head = bytes.slice(..bytes.len().min(HEAD as usize));
        Stored { length: bytes.len() as u64, stored_at, head, content: Content::Whole(bytes), _place: None }
    }
}

impl Stored {
    /// Opens a file of a store. Blocks.
    pub(crate) fn file(
        file: File,
        key: &str,
        length: u64,
        modified: SystemTime,
        digests: &Arc<Digests>,
    ) -> io::Result<Self> {
        let digest = Known::Memory(Arc::clone(digests));
        Self::of(OpenFile { file, key: key.to_owned(), modified, digest }, length, modified)
    }

    /// Wraps a file whose digest is known. Blocks.
    pub(crate) fn checked_file(
        file: File,
        key: &str,
        length: u64,
        stored_at: SystemTime,
        digest: Sha256Digest,
    ) -> io::Result<Self> {
        Self::of(
            OpenFile { file, key: key.to_owned(), modified: stored_at, digest: Known::Digest(digest) },
            length,
            stored_at,
        )
    }

    fn of(file: OpenFile, length: u64, stored_at: SystemTime) -> io::Result<Self> {
        if length <= WHOLE {
            return Ok(Blob { bytes: file.read(0, length)?, stored_at }.into());
        }
        let head = file.read(0, HEAD)?;
        Ok(Stored { length, stored_at, head, content: Content::File(Arc::new(file)), _place: None })
    }

    /// Returns another handle of the same open result, which keeps `place` alive for as long as it is used.
    pub(crate) fn share(&self, place: &Arc<dyn Any + Send + Sync>) -> Stored {
        let content = match &self.content {
            Content::Whole(bytes) => Content::Whole(bytes.clone()),
            Content::File(file) => Content::File(Arc::clone(file)),
        };
        let place = Some(Place(Arc::clone(place)));
        Stored { length: self.length, stored_at: self.stored_at, head: self.head.clone(), content, _place: place }
    }

    /// Size, bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// When it was stored.
    pub fn stored_at(&self) -> SystemTime {
        self.stored_at
    }

    /// The first bytes: 32, or all if there are fewer.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// All bytes, where they are in memory anyway. Clones share them.
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes),
            Content::File(_) => None,
        }
    }

    /// The bytes from `from` on, at least one and at most `most`; none at the end.
    ///
    /// # Errors
    /// [`CacheError::Io`]; also where the file has become shorter since it was opened.
    pub async fn read(&self, from: u64, most: usize) -> Result<Bytes, CacheError> {
        let count = self.length.saturating_sub(from).min(most as u64);
        match &self.content {
            Content::Whole(bytes) => {
                let from = from.min(bytes.len() as u64) as usize;
                Ok(bytes.slice(from..from + count as usize))
            }
            Content::File(file) => file.blocking(move |file| file.read(from, count)).await,
        }
    }

    /// SHA-256 of all bytes. Hashes a file once for each version of a key.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub async fn digest(&self) -> Result<Sha256Digest, CacheError> {
        let length = self.length;
        match &self.content {
            Content::Whole(bytes) => Ok(Sha256::digest(bytes).into()),
            Content::File(file) => file.blocking(move |file| file.digest(length)).await,
        }
    }
}

impl OpenFile {
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&OpenFile) -> io::Result<T> + Send + 'static,
    ) -> Result<T, CacheError> {
        let file = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || work(&file)).await;
        read.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|source| CacheError::Io {
            action: "read",
            key: self.key.clone(),
            source,
        })
    }

    fn read(&self, from: u64, count: u64) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(count).map_err(io::Error::other)?];
        match self.file.read_exact_at(&mut bytes, from) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(io::Error::new(error.kind(), "the file has become shorter"))
            }
            read => read.map(|()| bytes.into()),
        }
    }

    fn digest(&self, length: u64) -> io::Result<Sha256Digest> {
        let digests = match &self.digest {
            Known::Digest(digest) => return Ok(*digest),
            Known::Memory(digests) => digests,
        };
        let known = digests.lock().get(&self.key).copied();
        if let Some((of, modified, digest)) = known
            && (of, modified) == (length, self.modified)
        {
            return Ok(digest);
        }
        let mut hash = Sha256::new();
        let mut from = 0;
        while from < length {
            let bytes = self.read(from, (length - from).min(HASHED as u64))?;
            hash.update(&bytes);
            from += bytes.len() as u64;
        }
        let digest = hash.finalize().into();
        // A version that is stored within the same tick of the clock has the same time.
        if self.modified.elapsed().is_ok_and(|since| since >= SETTLED) {
            digests.lock().put(self.key.clone(), (length, self.modified, digest));
        }
        Ok(digest)
    }
}

impl Digests {
    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<String, (u64, SystemTime, Sha256Digest)>> {
        // Each change is whole by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
