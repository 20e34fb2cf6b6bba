//! What a store of results does.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use crate::Stored;

/// A key of the right form that no request has, to ask stores about.
pub const NO_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Not a key: other characters than `0-9a-z.-_`, or too long.
    #[error("'{0}' is no cache key")]
    BadKey(String),
    /// A blob without bytes: stores keep none, since one that is found was emptied by accident.
    #[error("'{0}' holds no bytes: an empty result cannot be stored")]
    Empty(String),
    /// One blob is larger than the whole store may be.
    #[error("{bytes} bytes do not fit a store of {limit}")]
    TooLarge {
        /// Size of the blob, bytes.
        bytes: u64,
        /// Size of the store, bytes.
        limit: u64,
    },
    /// Blobs can be read, but nothing can be stored.
    #[error("no results can be stored: {0}")]
    ReadOnly(std::io::Error),
    /// A service does not answer, or not as it should.
    #[error("{what}: {reason}")]
    Unreachable {
        /// Which.
        what: &'static str,
        /// What happened.
        reason: String,
    },
    /// A setting that cannot be used.
    #[error("{0}")]
    BadSetting(String),
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

/// Where a client gets a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// An absolute URL.
    pub url: String,
    /// For how long it is good; none: for ever.
    pub lifetime: Option<Duration>,
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

    /// True when the key is stored, as [`Store::contains`], but never by the word of an index that may be behind.
    ///
    /// # Errors
    /// [`CacheError`]; a missing key is none.
    async fn holds(&self, key: &str) -> Result<bool, CacheError> {
        self.contains(key).await
    }

    /// The blob, if it is stored. Counts as a use.
    ///
    /// # Errors
    /// [`CacheError`]; a missing key is none.
    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError>;

    /// Opens the blob to read it in pieces, if it is stored. Counts as a use.
    ///
    /// # Errors
    /// [`CacheError`]; a missing key is none.
    async fn open(&self, key: &str) -> Result<Option<Stored>, CacheError> {
        Ok(self.get(key).await?.map(Stored::from))
    }

    /// Checks that the store answers and, where that costs little, that it takes blobs.
    ///
    /// # Errors
    /// [`CacheError::ReadOnly`] where it gives blobs but takes none; any other where it does neither.
    async fn check(&self) -> Result<(), CacheError> {
        // Not looked up only: a bucket that is gone has no text in the answer to that.
        self.get(NO_KEY).await.map(|_| ())
    }

    /// Where a client gets the blob without us, if it can: an absolute URL, and for how long it is
    /// good (none: for ever). None where the front end has to hand the blob out itself.
    ///
    /// # Errors
    /// [`CacheError`].
    async fn address(&self, key: &str) -> Result<Option<Address>, CacheError> {
        let _ = key;
        Ok(None)
    }

    /// Stores a blob whole or not at all. A key that is stored already stays as it is, unless
    /// `replace`.
    ///
    /// # Errors
    /// [`CacheError`]; then nothing was stored.
    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError>;

    /// Removes a blob, if it is stored.
    ///
    /// # Errors
    /// [`CacheError`].
    async fn remove(&self, key: &str) -> Result<(), CacheError>;
}
