//! An index that is down, slow, wiped or wrong: the store is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use imgflo_cache::{Blob, CacheError, IndexOptions, IndexedStore, LocalStore, RedisLink, Store};
use tempfile::TempDir;

use crate::server;

/// A store that counts how often it is asked whether it has something.
struct Counted {
    inner: LocalStore,
    asked: AtomicUsize,
    /// It takes its time.
    slow: AtomicBool,
    /// It cannot be asked.
    away: AtomicBool,
}

#[async_trait]
impl Store for Counted {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(CacheError::Unreachable { what: "the store", reason: "it is away".into() });
        }
        self.inner.contains(key).await
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError> {
        self.inner.put(key, bytes, replace).await
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.inner.remove(key).await
    }
}

pub struct Rig {
    store: Arc<Counted>,
    _folder: TempDir,
}

impl Rig {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = LocalStore::open(folder.path(), 1 << 30).unwrap();
        let store = Counted { inner, asked: AtomicUsize::new(0), slow: false.into(), away: false.into() };
        Rig { store: Arc::new(store), _folder: folder }
    }

    /// Another process' view of it.
    pub fn indexed(&self, link: &Arc<RedisLink>, hot: Duration) -> IndexedStore {
        let never = Duration::from_secs(3600);
        let options = IndexOptions { ttl: 60, hot, proof: never, ..IndexOptions::default() };
        IndexedStore::new(Arc::clone(link), self.store.clone(), options)
    }

    /// As [`Rig::indexed`], but an entry is compared with the store each time.
    fn proved(&self, link: &Arc<RedisLink>) -> IndexedStore {
        let options = IndexOptions { ttl: 60, proof: Duration::ZERO, ..IndexOptions::default() };
        IndexedStore::new(Arc::clone(link), self.store.clone(), options)
    }

    /// Deletes all blobs, as somebody does who empties a bucket.
    fn empty(&self) {
        fn below(folder: &std::path::Path) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { below(&path) } else { std::fs::remove_file(path).unwrap() }
            }
        }
        below(self._folder.path());
    }

    pub fn asked(&self) -> usize {
        self.store.asked.load(Ordering::SeqCst)
    }
}

async fn connection() -> redis::aio::MultiplexedConnection {
    redis::Client::open(crate::redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn set(key: &str, value: &str) {
    let place = format!("imgflo_cache/url/{key}");
    redis::cmd("SET").arg(place).arg(value).arg("EX").arg(60).exec_async(&mut connection().await).await.unwrap();
}

#[tokio::test]
async fn a_key_in_the_index_costs_the_store_nothing() {
    let rig = Rig::new();
    let key = crate::key("png");
    rig.indexed(&crate::redis(), Duration::ZERO).put(&key, "x".into(), false).await.unwrap();
    // Another process, which has no memory of it.
    let other = rig.indexed(&crate::redis(), Duration::ZERO);
    for _ in 0..10 {
        assert!(other.contains(&key).await.unwrap());
    }
    assert_eq!(rig.asked(), 0);
}

#[tokio::test]
async fn a_hot_key_costs_redis_nothing() {
    let rig = Rig::new();
    let key = crate::key("png");
    let indexed = rig.indexed(&crate::redis(), Duration::from_secs(60));
    indexed.put(&key, "x".into(), false).await.unwrap();
    let place = format!("imgflo_cache/url/{key}");
    redis::cmd("DEL").arg(place).exec_async(&mut connection().await).await.unwrap();
    assert!(indexed.contains(&key).await.unwrap());
    assert_eq!(rig.asked(), 0);
}

#[tokio::test]
async fn a_wiped_index_is_filled_again() {
    let rig = Rig::new();
    let key = crate::key("png");
    rig.store.inner.put(&key, "x".into(), false).await.unwrap();
    let indexed = rig.indexed(&crate::redis(), Duration::ZERO);
    for _ in 0..5 {
        assert!(indexed.contains(&key).await.unwrap());
    }
    assert_eq!(rig.asked(), 1);
}

#[tokio::test]
async fn old_and_foreign_entries_are_checked() {
    let rig = Rig::new();
    let indexed = rig.indexed(&crate::redis(), Duration::ZERO);
    let (old, ahead) = ((now() - 62).to_string(), (now() + 3600).to_string());
    for entry in [&old, &ahead, "0", "https://s3.example.org/p/x.png", "-1", "99999999999999999999999", ""] {
        let key = crate::key("png");
        set(&key, entry).await;
        let before = rig.asked();
        assert!(!indexed.contains(&key).await.unwrap(), "{entry}");
        assert_eq!(rig.asked(), before + 1, "{entry}");
    }
}

#[tokio::test]
async fn what_turns_out_to_be_gone_is_forgotten() {
    let rig = Rig::new();
    let indexed = rig.indexed(&crate::redis(), Duration::from_secs(60));
    let key = crate::key("png");
    set(&key, &now().to_string()).await;
    assert!(indexed.contains(&key).await.unwrap(), "for a moment the index is believed");
    assert!(indexed.get(&key).await.unwrap().is_none());
    assert!(!indexed.contains(&key).await.unwrap());
}

#[tokio::test]
async fn when_an_entry_comes_of_age_the_store_is_asked_once() {
    let rig = Rig::new();
    let key = crate::key("png");
    rig.store.inner.put(&key, "x".into(), false).await.unwrap();
    rig.store.slow.store(true, Ordering::SeqCst);
    set(&key, &(now() - 1000).to_string()).await;
    let indexed = rig.indexed(&crate::redis(), Duration::ZERO);
    let many = futures::future::join_all((0..100).map(|_| indexed.contains(&key))).await;
    assert!(many.into_iter().all(|stored| stored.unwrap()));
    assert_eq!(rig.asked(), 1);
    // It left nothing behind: another old entry is another question.
    set(&key, &(now() - 1000).to_string()).await;
    assert!(indexed.contains(&key).await.unwrap());
    assert_eq!(rig.asked(), 2);
}

#[tokio::test]
async fn who_waits_for_another_outlives_it() {
    let rig = Rig::new();
    let key = crate::key("png");
    rig.store.inner.put(&key, "x".into(), false).await.unwrap();
    rig.store.slow.store(true, Ordering::SeqCst);
    set(&key, &(now() - 1000).to_string()).await;
    let indexed = Arc::new(rig.indexed(&crate::redis(), Duration::ZERO));
    let ask = || {
        tokio::spawn({
            let (indexed, key) = (indexed.clone(), key.clone());
            async move { indexed.contains(&key).await.unwrap() }
        })
    };
    let first = ask();
    while rig.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let second = ask();
    tokio::time::sleep(Duration::from_millis(20)).await;
    first.abort();
    assert!(second.await.unwrap());
    assert_eq!(rig.asked(), 2);
}

#[tokio::test]
async fn an_old_entry_counts_where_the_store_is_away() {
    let rig = Rig::new();
    let indexed = rig.indexed(&crate::redis(), Duration::from_secs(60));
    let (old, never) = (crate::key("png"), crate::key("png"));
    set(&old, &(now() - 1000).to_string()).await;
    rig.store.away.store(true, Ordering::SeqCst);
    assert!(indexed.contains(&old).await.unwrap());
    assert!(indexed.contains(&old).await.unwrap());
    assert_eq!(rig.asked(), 1, "it is left alone for a moment");
    assert!(indexed.contains(&never).await.is_err());
}

/// Asks 20 times at an index that does not work; the store answers all.
async fn asks_without(url: &str) -> (u64, Duration) {
    let rig = Rig::new();
    let key = crate::key("png");
    let link = RedisLink::open(url).unwrap();
    let indexed = rig.indexed(&link, Duration::ZERO);
    let start = std::time::Instant::now();
    indexed.put(&key, "x".into(), false).await.unwrap();
    for _ in 0..20 {
        assert!(indexed.contains(&key).await.unwrap());
        assert!(!indexed.contains(&crate::key("png")).await.unwrap());
    }
    assert_eq!(rig.asked(), 40);
    assert!(!link.is_up());
    (link.failures(), start.elapsed())
}

#[tokio::test]
async fn an_index_that_is_down_is_left_alone() {
    let (failures, _) = asks_without("redis://127.0.0.1:9/").await;
    assert!(failures >= 20, "{failures}");
}

#[tokio::test]
async fn an_index_that_hangs_is_waited_for_once() {
    let address = server::answering(None).await;
    let (failures, took) = asks_without(&format!("redis://{address}/")).await;
    assert!(failures >= 20, "{failures}");
    // One question of 100 ms, not 61 of them.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn an_index_that_answers_nonsense_is_no_error() {
    let address = server::answering(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    asks_without(&format!("redis://{address}/")).await;
}

#[tokio::test]
async fn an_address_that_is_none_is_told_without_the_password() {
    for url in ["", "redis//x", "http://:hush@host/", "redis://:hush@host:port/"] {
        let error = RedisLink::open(url).unwrap_err();
        assert!(matches!(error, CacheError::BadSetting(_)), "{url}: {error}");
        assert!(!error.to_string().contains("hush"), "{url}: {error}");
    }
}

/// The blobs of a store that somebody emptied are misses at once, not addresses that lead nowhere.
#[tokio::test]
async fn a_store_that_was_emptied_is_noticed_with_the_first_question() {
    let rig = Rig::new();
    let (proved, link) = (rig.proved(&crate::redis()), crate::redis());
    // Another process, which asks the store for nothing by itself.
    let keys: Vec<String> = (0..3).map(|_| crate::key("png")).collect();
    for key in &keys {
        proved.put(key, "x".into(), false).await.unwrap();
    }
    assert!(proved.contains(&keys[0]).await.unwrap());
    rig.empty();
    for key in &keys {
        assert!(!proved.contains(key).await.unwrap(), "{key}");
    }
    proved.put(&keys[0], "x".into(), false).await.unwrap();
    assert!(proved.contains(&keys[0]).await.unwrap());
    // Where a lost blob is met first does not matter: one that cannot be read tells as much.
    let indexed = rig.indexed(&link, Duration::from_secs(60));
    for key in &keys {
        indexed.put(key, "x".into(), false).await.unwrap();
    }
    rig.empty();
    assert!(indexed.contains(&keys[1]).await.unwrap(), "nothing was compared yet");
    assert!(!rig.indexed(&link, Duration::ZERO).holds(&keys[1]).await.unwrap(), "the store itself is asked");
    assert!(indexed.get(&keys[0]).await.unwrap().is_none());
    for key in &keys {
        assert!(!indexed.contains(key).await.unwrap(), "{key}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_asked_is_not_taken_for_an_empty_one() {
    let rig = Rig::new();
    let proved = rig.proved(&crate::redis());
    let key = crate::key("png");
    proved.put(&key, "x".into(), false).await.unwrap();
    rig.store.away.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(proved.contains(&key).await.unwrap());
    }
}
