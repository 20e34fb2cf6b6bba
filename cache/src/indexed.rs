//! A store behind an index in Redis, behind the memory of the keys that are asked for most.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use lru::LruCache;

use crate::redis_link::RedisLink;
use crate::{Address, Blob, CacheError, Store, key};

/// How an index is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexOptions {
    /// What the keys in Redis begin with.
    pub prefix: String,
    /// After what time Redis forgets a key, seconds.
    pub ttl: u64,
    /// For how long an entry is believed before the store is asked again whether the blob is there.
    pub trust: Duration,
    /// Keys that this process remembers by itself.
    pub hot_keys: NonZeroUsize,
    /// For how long it does.
    pub hot: Duration,
}

impl Default for IndexOptions {
    fn default() -> Self {
        IndexOptions {
            prefix: "imgflo_cache/url/".into(),
            ttl: 24 * 60 * 60,
            trust: Duration::from_secs(60),
            hot_keys: NonZeroUsize::new(10_000).unwrap_or(NonZeroUsize::MIN),
            hot: Duration::from_secs(5),
        }
    }
}

/// A store whose keys are looked up in memory, then in Redis, and then in the store itself.
///
/// The index only ever saves time. One that is down, slow, wiped or wrong is no error: the store is
/// asked. An entry is the time (seconds since 1970) at which the store was last seen to have the
/// blob; anything else there counts as nothing.
pub struct IndexedStore {
    link: Arc<RedisLink>,
    inner: Arc<dyn Store>,
    options: IndexOptions,
    hot: Mutex<LruCache<String, Instant>>,
}

impl IndexedStore {
    /// The index of `inner`.
    pub fn new(link: Arc<RedisLink>, inner: Arc<dyn Store>, options: IndexOptions) -> Self {
        let hot = Mutex::new(LruCache::new(options.hot_keys));
        IndexedStore { link, inner, options, hot }
    }

    /// Nothing under this lock can panic halfway.
    fn hot(&self) -> MutexGuard<'_, LruCache<String, Instant>> {
        self.hot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_hot(&self, key: &str) -> bool {
        self.hot().get(key).is_some_and(|since| since.elapsed() < self.options.hot)
    }

    fn place(&self, key: &str) -> String {
        format!("{}{key}", self.options.prefix)
    }

    /// When the store was last seen to have it, as far as the index knows.
    async fn seen(&self, key: &str) -> Option<SystemTime> {
        let entry = self.link.ask::<Option<Vec<u8>>>(redis::cmd("GET").arg(self.place(key))).await.ok()??;
        let seconds: u64 = std::str::from_utf8(&entry).ok()?.parse().ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// Notes that the store has it.
    async fn note(&self, key: &str) {
        self.hot().put(key.to_owned(), Instant::now());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut entry = redis::cmd("SET");
        entry.arg(self.place(key)).arg(now).arg("EX").arg(self.options.ttl);
        // The next who asks goes to the store again.
        let _ = self.link.ask::<()>(&entry).await;
    }

    /// Notes that the store does not have it.
    async fn forget(&self, key: &str) {
        self.hot().pop(key);
        let _ = self.link.ask::<()>(redis::cmd("DEL").arg(self.place(key))).await;
    }
}

#[async_trait]
impl Store for IndexedStore {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        if self.is_hot(key) {
            return Ok(true);
        }
        key::check(key)?;
        let seen = self.seen(key).await;
        // A clock that runs ahead of ours counts as now.
        if seen.is_some_and(|seen| seen.elapsed().unwrap_or_default() < self.options.trust) {
            self.hot().put(key.to_owned(), Instant::now());
            return Ok(true);
        }
        let stored = self.inner.contains(key).await?;
        if stored {
            self.note(key).await;
        } else if seen.is_some() {
            self.forget(key).await;
        }
        Ok(stored)
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError> {
        let blob = self.inner.get(key).await?;
        if blob.is_none() && key::check(key).is_ok() {
            self.forget(key).await;
        }
        Ok(blob)
    }

    async fn address(&self, key: &str) -> Result<Option<Address>, CacheError> {
        self.inner.address(key).await
    }

    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError> {
        self.inner.put(key, bytes, replace).await?;
        self.note(key).await;
        Ok(())
    }
}
