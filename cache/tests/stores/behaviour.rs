//! What every store does.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use imgflo_cache::{CacheError, IndexOptions, IndexedStore, LocalStore, Store};
use sha2::Digest as _;
use tempfile::TempDir;

use crate::server::{self, S3Server};

macro_rules! behaviours {
    ($($store:ident: [$($behaviour:ident),+ $(,)?])+) => {
        $(mod $store {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $behaviour() {
                    let (store, _keep) = super::$store().await;
                    super::$behaviour(&*store).await;
                }
            )+
        })+
    };
}

behaviours! {
    local: [stores_and_gives_back, a_missing_key_is_no_error, what_is_stored_stays, replaces_when_told, refuses_other_keys, takes_eight_at_once, opens_and_reads_in_pieces, refuses_nothing_at_all]
    s3: [stores_and_gives_back, a_missing_key_is_no_error, what_is_stored_stays, replaces_when_told, refuses_other_keys, takes_eight_at_once, opens_and_reads_in_pieces, refuses_nothing_at_all]
    indexed_local: [stores_and_gives_back, a_missing_key_is_no_error, what_is_stored_stays, replaces_when_told, refuses_other_keys, takes_eight_at_once, opens_and_reads_in_pieces, refuses_nothing_at_all]
    indexed_s3: [stores_and_gives_back, a_missing_key_is_no_error, what_is_stored_stays, replaces_when_told, refuses_other_keys, takes_eight_at_once, opens_and_reads_in_pieces, refuses_nothing_at_all]
}

/// What must stay alive with a store.
type Keep = (Option<TempDir>, Option<S3Server>);

async fn local() -> (Arc<dyn Store>, Keep) {
    let folder = tempfile::tempdir().unwrap();
    (Arc::new(LocalStore::open(folder.path(), 1 << 30).unwrap()), (Some(folder), None))
}

async fn s3() -> (Arc<dyn Store>, Keep) {
    let server = S3Server::start().await;
    (Arc::new(server::store(server.address).await), (None, Some(server)))
}

async fn indexed_local() -> (Arc<dyn Store>, Keep) {
    let (inner, keep) = local().await;
    (Arc::new(IndexedStore::new(crate::redis(), inner, options())), keep)
}

async fn indexed_s3() -> (Arc<dyn Store>, Keep) {
    let (inner, keep) = s3().await;
    (Arc::new(IndexedStore::new(crate::redis(), inner, options())), keep)
}

/// Keys that end soon in Redis, which other tests use, too.
fn options() -> IndexOptions {
    IndexOptions { ttl: 60, hot_keys: NonZeroUsize::MIN, hot: Duration::ZERO, ..IndexOptions::default() }
}

async fn read(store: &dyn Store, key: &str) -> Option<Bytes> {
    store.get(key).await.unwrap().map(|blob| blob.bytes)
}

async fn stores_and_gives_back(store: &dyn Store) {
    for size in [1, 100_000, 6 << 20] {
        let (key, bytes) = (crate::key("png"), Bytes::from(vec![7; size]));
        assert!(!store.contains(&key).await.unwrap());
        store.put(&key, bytes.clone(), false).await.unwrap();
        assert!(store.contains(&key).await.unwrap());
        assert!(store.contains(&key).await.unwrap());
        let blob = store.get(&key).await.unwrap().unwrap();
        assert!(blob.bytes == bytes, "{size} bytes came back otherwise");
        assert!(blob.stored_at.elapsed().unwrap_or_default() < Duration::from_secs(60));
        assert!(blob.stored_at < SystemTime::now() + Duration::from_secs(60));
    }
}

async fn opens_and_reads_in_pieces(store: &dyn Store) {
    for size in [1, 40, 64 << 10, 300_000] {
        let key = crate::key("png");
        let bytes: Bytes = (0..size).map(|at| (at % 251) as u8).collect();
        assert!(store.open(&key).await.unwrap().is_none());
        store.put(&key, bytes.clone(), false).await.unwrap();
        let stored = store.open(&key).await.unwrap().unwrap();
        assert_eq!((stored.length(), stored.head()), (size as u64, &bytes[..size.min(32)]));
        assert_eq!(stored.digest().await.unwrap(), <[u8; 32]>::from(sha2::Sha256::digest(&bytes)));
        let mut read = Vec::new();
        while read.len() < size {
            let piece = stored.read(read.len() as u64, 70_000).await.unwrap();
            assert!((1..=70_000).contains(&piece.len()));
            read.extend_from_slice(&piece);
        }
        assert!(read == bytes, "{size} bytes came back otherwise");
        assert!(stored.read(size as u64, 10).await.unwrap().is_empty());
        assert_eq!(stored.read(size as u64 - 1, 10).await.unwrap(), bytes[size - 1..]);
    }
}

async fn refuses_nothing_at_all(store: &dyn Store) {
    let key = crate::key("png");
    for replace in [false, true] {
        assert!(matches!(store.put(&key, Bytes::new(), replace).await, Err(CacheError::Empty(_))));
    }
    assert!(!store.contains(&key).await.unwrap());
}

async fn a_missing_key_is_no_error(store: &dyn Store) {
    let key = crate::key("jpg");
    assert!(!store.contains(&key).await.unwrap());
    assert!(store.get(&key).await.unwrap().is_none());
}

async fn what_is_stored_stays(store: &dyn Store) {
    let key = crate::key("webp");
    store.put(&key, "first".into(), false).await.unwrap();
    store.put(&key, "second".into(), false).await.unwrap();
    assert_eq!(read(store, &key).await.unwrap(), "first");
}

async fn replaces_when_told(store: &dyn Store) {
    let key = crate::key("webp");
    store.put(&key, "first".into(), true).await.unwrap();
    store.put(&key, "second".into(), true).await.unwrap();
    assert_eq!(read(store, &key).await.unwrap(), "second");
}

async fn refuses_other_keys(store: &dyn Store) {
    for key in ["", "../x", "a/b", "a b", "ä", &"a".repeat(1000)] {
        assert!(matches!(store.contains(key).await, Err(CacheError::BadKey(_))), "{key}");
        assert!(matches!(store.get(key).await, Err(CacheError::BadKey(_))), "{key}");
        assert!(matches!(store.put(key, "x".into(), false).await, Err(CacheError::BadKey(_))), "{key}");
        assert!(!matches!(store.address(key).await, Ok(Some(_))), "{key}");
    }
}

async fn takes_eight_at_once(store: &dyn Store) {
    let key = crate::key("png");
    let bytes = Bytes::from(vec![3; 300_000]);
    let writes = (0..8).map(|_| store.put(&key, bytes.clone(), false));
    for written in futures::future::join_all(writes).await {
        written.unwrap();
    }
    assert!(read(store, &key).await.unwrap() == bytes);
}
