use std::time::Duration;

use sha2::Digest as _;

use super::*;

fn open(dir: &tempfile::TempDir, limit: u64) -> LocalStore {
    LocalStore::open(dir.path(), limit).expect("the store opens")
}

fn blob(size: usize, fill: u8) -> Bytes {
    vec![fill; size].into()
}

fn temporary_files(dir: &Path) -> usize {
    fs::read_dir(dir.join(TEMPORARY)).unwrap().count()
}

/// Sizes of all files below `dir` together.
fn bytes_on_disk(dir: &Path) -> u64 {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                bytes_on_disk(&entry.path())
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}

#[tokio::test]
async fn a_blob_comes_back_whole_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let before = SystemTime::now() - Duration::from_secs(2);
    let store = open(&dir, 1000);
    assert!(!store.contains("6f95.png").await.unwrap());
    assert!(store.get("6f95.png").await.unwrap().is_none());
    store.put("6f95.png", blob(100, 7), false).await.unwrap();
    for store in [store, open(&dir, 1000)] {
        assert!(store.contains("6f95.png").await.unwrap());
        let got = store.get("6f95.png").await.unwrap().unwrap();
        assert_eq!(got.bytes, blob(100, 7));
        assert!(got.stored_at >= before && got.stored_at <= SystemTime::now() + Duration::from_secs(2));
        assert_eq!(store.stored_bytes(), 100);
    }
    assert!(dir.path().join("6/f9/6f95.png").is_file());
    assert_eq!(temporary_files(dir.path()), 0);
}

#[tokio::test]
async fn a_stored_key_stays_unless_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 1000);
    store.put("a", blob(10, 1), false).await.unwrap();
    store.put("a", blob(20, 2), false).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().bytes, blob(10, 1));
    store.put("a", blob(20, 2), true).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().bytes, blob(20, 2));
    assert_eq!((store.stored_bytes(), bytes_on_disk(dir.path())), (20, 20));
}

#[tokio::test]
async fn bad_keys_are_refused_by_every_method() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 1000);
    for key in ["../escape", "a/b", ""] {
        assert!(matches!(store.contains(key).await, Err(CacheError::BadKey(_))));
        assert!(matches!(store.get(key).await, Err(CacheError::BadKey(_))));
        assert!(matches!(store.put(key, blob(1, 1), false).await, Err(CacheError::BadKey(_))));
    }
    assert!(!dir.path().join("../escape").exists());
}

#[tokio::test]
async fn the_least_recently_used_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 100);
    store.put("a", blob(40, 1), false).await.unwrap();
    store.put("b", blob(40, 2), false).await.unwrap();
    assert!(store.contains("a").await.unwrap());
    store.put("c", blob(40, 3), false).await.unwrap();
    assert!(store.contains("a").await.unwrap());
    assert!(!store.contains("b").await.unwrap());
    assert!(store.contains("c").await.unwrap());
    assert_eq!((store.stored_bytes(), bytes_on_disk(dir.path())), (80, 80));
    store.put("d", blob(100, 4), false).await.unwrap();
    assert!(store.contains("d").await.unwrap());
    assert_eq!((store.stored_bytes(), bytes_on_disk(dir.path())), (100, 100));
}

#[tokio::test]
async fn uses_before_a_restart_count_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 100);
    for (key, age) in [("a", 300), ("b", 200), ("c", 100)] {
        store.put(key, blob(30, 1), false).await.unwrap();
        let then = SystemTime::now() - Duration::from_secs(age);
        let file = File::open(key::path(dir.path(), key)).unwrap();
        file.set_times(FileTimes::new().set_accessed(then).set_modified(then)).unwrap();
    }
    drop(store);
    let store = open(&dir, 100);
    let stored_at = store.get("a").await.unwrap().unwrap().stored_at;
    drop(store);
    let store = open(&dir, 100);
    store.put("d", blob(30, 1), false).await.unwrap();
    assert!(!store.contains("b").await.unwrap(), "b was used least recently");
    let again = store.get("a").await.unwrap().unwrap().stored_at;
    assert_eq!(again, stored_at, "a use does not change when it was stored");
    assert!(store.contains("c").await.unwrap());
}

#[tokio::test]
async fn a_store_that_is_too_large_is_cut_down_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 1000);
    for key in ["a", "b", "c"] {
        store.put(key, blob(100, 1), false).await.unwrap();
    }
    drop(store);
    assert_eq!(open(&dir, 150).stored_bytes(), 100);
    assert_eq!(bytes_on_disk(dir.path()), 100);
}

#[tokio::test]
async fn a_blob_larger_than_the_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 100);
    store.put("a", blob(100, 1), false).await.unwrap();
    let error = store.put("b", blob(101, 1), false).await.unwrap_err();
    assert!(matches!(error, CacheError::TooLarge { bytes: 101, limit: 100 }), "{error}");
    assert!(store.contains("a").await.unwrap(), "nothing had to go for it");
}

#[tokio::test]
async fn a_blob_deleted_behind_our_back_is_a_miss_and_can_be_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 100);
    store.put("a", blob(60, 1), false).await.unwrap();
    fs::remove_dir_all(dir.path().join("a")).unwrap();
    fs::remove_dir_all(dir.path().join(TEMPORARY)).unwrap();
    assert!(store.get("a").await.unwrap().is_none());
    assert_eq!(store.stored_bytes(), 0);
    store.put("a", blob(60, 2), false).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().bytes, blob(60, 2));
}

#[tokio::test]
async fn blobs_of_another_process_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (open(&dir, 100), open(&dir, 100));
    one.put("a", blob(60, 1), false).await.unwrap();
    assert!(other.contains("a").await.unwrap());
    other.put("b", blob(60, 1), false).await.unwrap();
    assert!(!one.contains("a").await.unwrap(), "the other made room");
}

#[tokio::test]
async fn foreign_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = ["README", "tmp/notes.txt", "6/f9/UPPER", "6/f9/abcd", "6/x", "long/f9/6f95"];
    for path in foreign {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, [0; 500]).unwrap();
    }
    let store = open(&dir, 100);
    assert_eq!(store.stored_bytes(), 0);
    store.put("6f95", blob(100, 1), false).await.unwrap();
    store.put("6f96", blob(100, 1), false).await.unwrap();
    for path in foreign {
        assert_eq!(fs::read(dir.path().join(path)).unwrap().len(), 500, "{path}");
    }
}

#[tokio::test]
async fn only_temporary_files_without_a_writer_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir, 100));
    let stale = dir.path().join("tmp/put-stale.part");
    let held = dir.path().join("tmp/put-held.part");
    fs::write(&stale, "half a bl").unwrap();
    fs::write(&held, "half a bl").unwrap();
    let writer = File::open(&held).unwrap();
    writer.lock().unwrap();
    drop(open(&dir, 100));
    assert!(!stale.exists());
    assert!(held.exists());
    drop(writer);
    drop(open(&dir, 100));
    assert!(!held.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_puts_of_one_key_are_fine() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 10_000);
    let puts: Vec<_> = (0..16)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.put("a", blob(1000, 9), n % 2 == 0).await })
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    assert_eq!(store.get("a").await.unwrap().unwrap().bytes, blob(1000, 9));
    assert_eq!((store.stored_bytes(), bytes_on_disk(dir.path())), (1000, 1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_holds_under_concurrent_puts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 5000);
    let puts: Vec<_> = (0..40)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.put(&format!("{n:04}"), blob(900, n), false).await })
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    let stored = store.stored_bytes();
    assert!((900..=5000).contains(&stored), "{stored}");
    assert_eq!(bytes_on_disk(dir.path()), stored);
}

#[tokio::test]
async fn a_full_disk_is_an_error_without_a_partial_file_and_it_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 1000);
    *store.inner.faults.lock().unwrap() = vec![ErrorKind::StorageFull, ErrorKind::StorageFull];
    let error = store.put("a", blob(100, 1), false).await.unwrap_err();
    assert!(error.to_string().starts_with("store 'a':"), "{error}");
    assert!(!store.contains("a").await.unwrap());
    assert_eq!(bytes_on_disk(dir.path()), 0);
    store.put("a", blob(100, 1), false).await.unwrap();
    assert!(store.contains("a").await.unwrap());
}

#[tokio::test]
async fn on_a_full_disk_old_blobs_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 1000);
    for key in ["a", "b", "c"] {
        store.put(key, blob(60, 1), false).await.unwrap();
    }
    *store.inner.faults.lock().unwrap() = vec![ErrorKind::StorageFull];
    store.put("d", blob(100, 1), false).await.unwrap();
    assert!(!store.contains("a").await.unwrap() && !store.contains("b").await.unwrap());
    assert!(store.contains("c").await.unwrap() && store.contains("d").await.unwrap());
}

#[tokio::test]
async fn a_failed_put_gives_its_reserved_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 100);
    for _ in 0..5 {
        *store.inner.faults.lock().unwrap() = vec![ErrorKind::PermissionDenied];
        store.put("a", blob(90, 1), false).await.unwrap_err();
    }
    store.put("b", blob(50, 1), false).await.unwrap();
    store.put("c", blob(50, 1), false).await.unwrap();
    assert!(store.contains("b").await.unwrap() && store.contains("c").await.unwrap());
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = LocalStore::open(&file, 100).unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[tokio::test]
async fn an_emptied_blob_is_a_miss_and_is_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 1000);
    store.put("a", blob(60, 1), false).await.unwrap();
    File::options().write(true).truncate(true).open(key::path(dir.path(), "a")).unwrap();
    assert!(!store.contains("a").await.unwrap());
    assert!(store.get("a").await.unwrap().is_none());
    assert!(store.open("a").await.unwrap().is_none());
    assert_eq!(store.stored_bytes(), 0);
    // Also by a process that has just begun.
    let store = open(&dir, 1000);
    assert!(!store.contains("a").await.unwrap());
    store.put("a", blob(50, 2), false).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().bytes, blob(50, 2));
    assert_eq!(store.stored_bytes(), 50);
}

#[tokio::test]
async fn a_folder_that_takes_no_files_is_told_and_what_it_has_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 1 << 20);
    store.put("a", blob(60, 1), false).await.unwrap();
    store.check().await.unwrap();
    // Root may write where a mode forbids it, but not into a file as if it were a folder.
    fs::remove_dir_all(dir.path().join(TEMPORARY)).unwrap();
    fs::write(dir.path().join(TEMPORARY), "").unwrap();
    // It is tried now and then only.
    store.check().await.unwrap();
    *store.inner.tried.lock().unwrap() = None;
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, CacheError::ReadOnly(_)), "{error}");
    assert!(store.contains("a").await.unwrap());
    fs::remove_file(dir.path().join(TEMPORARY)).unwrap();
    *store.inner.tried.lock().unwrap() = None;
    store.check().await.unwrap();
    assert_eq!(temporary_files(dir.path()), 0);
}

#[tokio::test]
async fn an_open_blob_is_read_in_pieces_and_stays_the_same_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 10 << 20);
    store.put("a", blob(1_000_000, 1), false).await.unwrap();
    let stored = store.open("a").await.unwrap().unwrap();
    assert!(stored.whole().is_none(), "it is held whole");
    assert_eq!((stored.length(), stored.head()), (1_000_000, &[1; 32][..]));
    let digest = stored.digest().await.unwrap();
    assert_eq!(digest, <[u8; 32]>::from(sha2::Sha256::digest(blob(1_000_000, 1))));
    store.put("a", blob(1_000_000, 2), true).await.unwrap();
    assert_eq!(stored.read(999_990, 100).await.unwrap(), blob(10, 1));
    assert_eq!(stored.read(10, 100).await.unwrap(), blob(100, 1));
    assert_eq!(stored.read(1_000_000, 100).await.unwrap(), blob(0, 1));
    assert_ne!(store.open("a").await.unwrap().unwrap().digest().await.unwrap(), digest);
    // A file that is cut while it is read is an error, not an early end.
    let stored = store.open("a").await.unwrap().unwrap();
    File::options().write(true).open(key::path(dir.path(), "a")).unwrap().set_len(500_000).unwrap();
    assert!(matches!(stored.read(400_000, 200_000).await, Err(CacheError::Io { .. })));
}
