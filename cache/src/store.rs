//! What a store of results does.

use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Not a key: other characters than `0-9a-z.-_`, or too long.
    #[error("'{0}' is no cache key")]
    BadKey(String),
    /// One blob is larger than the whole store may be.
    #[error("{bytes} bytes do not fit a store of {limit}")]
    TooLarge {
        /// Size of the blob, bytes.
        bytes: u64,
        /// Size of the store, bytes.
        limit: u64,
    },
    /// The disk or the network failed.
    #[error("{action} '{key}': {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which blob.
        key: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A stored result.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its bytes.
    pub bytes: Bytes,
    /// When it was stored.
    pub stored_at: SystemTime,
}

/// A store of immutable blobs. A key is the hex digest and the suffix that tells the type:
/// `6f95...91.png`.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// True when the key is stored. Counts as a use.
    ///
    /// # Errors
    /// [`CacheError`]; a missing key is none.
    async fn contains(&self, key: &str) -> Result<bool, CacheError>;

    /// The blob, if it is stored. Counts as a use.
    ///
    /// # Errors
    /// [`CacheError`]; a missing key is none.
    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError>;

    /// Stores a blob whole or not at all. A key that is stored already stays as it is, unless
    /// `replace`.
    ///
    /// # Errors
    /// [`CacheError`]; then nothing was stored.
    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError>;
}
