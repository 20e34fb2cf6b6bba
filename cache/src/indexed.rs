//! A store behind an index in Redis, behind the memory of the keys that are asked for most.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use lru::LruCache;
use tokio::sync::OnceCell;

use crate::redis_link::RedisLink;
use crate::{Address, Blob, CacheError, Store, Stored, key};

/// How an index is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexOptions {
    /// What the keys in Redis begin with.
    pub prefix: String,
    /// After what time Redis forgets a key, seconds; at least 1.
    pub ttl: u64,
    /// For how long an entry is believed before the store is asked again whether the blob is there.
    pub trust: Duration,
    /// Keys that this process remembers by itself.
    pub hot_keys: NonZeroUsize,
    /// For how long it does. A blob that the store drops is believed to be there for so much longer.
    pub hot: Duration,
    /// Interval at which an entry is compared with the store although it would be believed. One that is wrong shows that the
    /// store lost more, as a bucket does that somebody emptied: then no entry from before that moment is believed.
    pub proof: Duration,
}

impl Default for IndexOptions {
    fn default() -> Self {
        IndexOptions {
            prefix: "imgflo_cache/url/".into(),
            ttl: 24 * 60 * 60,
            trust: Duration::from_secs(60),
            hot_keys: NonZeroUsize::new(10_000).expect("it is not zero"),
            hot: Duration::from_secs(5),
            proof: Duration::from_secs(1),
        }
    }
}

/// Longest time that a comparison of an entry with the store may keep a request waiting.
const PROOF_LIMIT: Duration = Duration::from_millis(300);

/// A store whose keys are looked up in memory, then in Redis, and then in the store itself.
///
/// The index only ever saves time. One that is down, slow, wiped or wrong is no error: the store is
/// asked. An entry is the time (seconds since 1970) at which the store was last seen to have the
/// blob; anything else there counts as nothing. An entry older than [`IndexOptions::trust`] counts
/// only where the store cannot be asked, and now and then a younger one is compared with the store
/// ([`IndexOptions::proof`]).
pub struct IndexedStore {
    link: Arc<RedisLink>,
    inner: Arc<dyn Store>,
    options: IndexOptions,
    hot: Mutex<LruCache<String, Instant>>,
    /// When an entry was compared with the store last.
    proved: Mutex<Instant>,
    /// Entries up to this time are not believed, seconds since 1970.
    distrusted: AtomicU64,
    /// Keys with an old entry that the store is being asked for.
    checks: Mutex<HashMap<String, Arc<Check>>>,
}

/// Whether the store has it, as far as it can be asked.
type Check = OnceCell<bool>;

/// What the index says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing, or nothing that we can read.
    Never,
    /// The store had it a moment ago.
    Now,
    /// The store had it once.
    Once,
}

impl IndexedStore {
    /// The index of `inner`.
    pub fn new(link: Arc<RedisLink>, inner: Arc<dyn Store>, options: IndexOptions) -> Self {
        let hot = Mutex::new(LruCache::new(options.hot_keys));
        let (proved, distrusted) = (Mutex::new(Instant::now()), AtomicU64::new(0));
        IndexedStore { link, inner, options, hot, proved, distrusted, checks: Mutex::default() }
    }

    fn hot(&self) -> MutexGuard<'_, LruCache<String, Instant>> {
        unpoisoned(&self.hot)
    }

    fn is_hot(&self, key: &str) -> bool {
        self.hot().get(key).is_some_and(|since| since.elapsed() < self.options.hot)
    }

    fn heat(&self, key: &str) {
        self.hot().put(key.to_owned(), Instant::now());
    }

    fn place(&self, key: &str) -> String {
        format!("{}{key}", self.options.prefix)
    }

    async fn seen(&self, key: &str) -> Seen {
        let entry = self.link.ask::<Option<Vec<u8>>>(redis::cmd("GET").arg(self.place(key))).await;
        let Ok(Some(entry)) = entry else { return Seen::Never };
        let Some(seen) = std::str::from_utf8(&entry).ok().and_then(|text| text.parse::<u64>().ok()) else {
            return Seen::Never;
        };
        if seen <= self.distrusted.load(Ordering::Relaxed) {
            return Seen::Once;
        }
        // Clocks differ, in both directions.
        if now().abs_diff(seen) <= self.options.trust.as_secs() { Seen::Now } else { Seen::Once }
    }

    /// Notes that the store has it.
    async fn note(&self, key: &str) {
        self.heat(key);
        let mut entry = redis::cmd("SET");
        entry.arg(self.place(key)).arg(now()).arg("EX").arg(self.options.ttl.max(1));
        // Where that fails, the next who asks goes to the store again.
        let _ = self.link.ask::<()>(&entry).await;
    }

    /// Compares an entry that would be believed with the store, if it is time to. A store that does not answer soon is
    /// not waited for.
    async fn believed(&self, key: &str) -> bool {
        {
            let mut proved = unpoisoned(&self.proved);
            if proved.elapsed() < self.options.proof {
                return true;
            }
            *proved = Instant::now();
        }
        let stored = tokio::time::timeout(PROOF_LIMIT, self.check(key)).await.unwrap_or(true);
        if !stored {
            self.distrust();
        }
        stored
    }

    /// The store lost something that it had a moment ago.
    fn distrust(&self) {
        tracing::warn!("the store lost a result that it had a moment ago; it is asked for all that the index knows");
        self.distrusted.store(now(), Ordering::Relaxed);
        self.hot().clear();
    }

    /// Notes that the store does not have it.
    async fn forget(&self, key: &str) {
        let hot = self.hot().pop(key);
        if hot.is_some_and(|since| since.elapsed() < self.options.hot) {
            self.distrust();
        }
        let _ = self.link.ask::<i64>(redis::cmd("DEL").arg(self.place(key))).await;
    }

    /// Asks the store for a key whose entry is old. Many may want to know at once when a popular key's entry comes of
    /// age: one asks, the others hear its answer.
    async fn check(&self, key: &str) -> bool {
        let check = Arc::clone(unpoisoned(&self.checks).entry(key.to_owned()).or_default());
        let checking = Checking { checks: &self.checks, key, check };
        let answer = checking.check.get_or_init(|| async {
            let stored = self.inner.contains(key).await;
            match &stored {
                Ok(true) => self.note(key).await,
                Ok(false) => self.forget(key).await,
                Err(error) => {
                    // Better an address that may lead nowhere than none, for what was there a while ago.
                    tracing::debug!(key, %error, "the store cannot be asked; believing an old entry of the index");
                    self.heat(key);
                }
            }
            stored.unwrap_or(true)
        });
        *answer.await
    }
}

/// Forgets a check when the last who waits for it leaves.
struct Checking<'a> {
    checks: &'a Mutex<HashMap<String, Arc<Check>>>,
    key: &'a str,
    check: Arc<Check>,
}

impl Drop for Checking<'_> {
    fn drop(&mut self) {
        let mut checks = unpoisoned(self.checks);
        // One in the map, one here. Others come by under the lock only.
        if Arc::strong_count(&self.check) <= 2 {
            checks.remove(self.key);
        }
    }
}

/// Nothing under these locks can panic halfway.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[async_trait]
impl Store for IndexedStore {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        // A key in there has been checked.
        if self.is_hot(key) {
            return Ok(self.believed(key).await);
        }
        key::check(key)?;
        match self.seen(key).await {
            Seen::Now => {
                let stored = self.believed(key).await;
                if stored {
                    self.heat(key);
                }
                Ok(stored)
            }
            Seen::Once => Ok(self.check(key).await),
            Seen::Never => {
                let stored = self.inner.contains(key).await?;
                if stored {
                    self.note(key).await;
                }
                Ok(stored)
            }
        }
    }

    async fn holds(&self, key: &str) -> Result<bool, CacheError> {
        let stored = self.inner.contains(key).await?;
        if stored {
            self.note(key).await;
        } else {
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

    async fn open(&self, key: &str) -> Result<Option<Stored>, CacheError> {
        let stored = self.inner.open(key).await?;
        if stored.is_none() && key::check(key).is_ok() {
            self.forget(key).await;
        }
        Ok(stored)
    }

    async fn check(&self) -> Result<(), CacheError> {
        self.inner.check().await
    }

    async fn address(&self, key: &str) -> Result<Option<Address>, CacheError> {
        self.inner.address(key).await
    }

    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError> {
        self.inner.put(key, bytes, replace).await?;
        self.note(key).await;
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.inner.remove(key).await?;
        // Not a loss.
        self.hot().pop(key);
        self.forget(key).await;
        Ok(())
    }
}
