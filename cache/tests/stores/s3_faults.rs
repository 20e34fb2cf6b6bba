//! A bucket that refuses, is busy, hangs, breaks off, or is not quite like Amazon's.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{Method, Response};
use imgflo_cache::{CacheError, S3Limits, Store};

use crate::server::{self, BUCKET, S3Server};

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:9";

fn reason<T: std::fmt::Debug>(result: Result<T, CacheError>) -> String {
    match result.unwrap_err() {
        CacheError::Unreachable { what: "S3", reason } => reason,
        other => panic!("{other:?}"),
    }
}

/// What all three questions fail with.
async fn reasons(store: &dyn Store) -> [String; 3] {
    let key = crate::key("png");
    let (contains, get) = (store.contains(&key).await, store.get(&key).await);
    [reason(contains), reason(get), reason(store.put(&key, "x".into(), false).await)]
}

#[tokio::test]
async fn wrong_credentials_are_told() {
    let server = S3Server::with_secret("another").await;
    for told in reasons(&server::store(server.address).await).await {
        assert!(told.contains("status 403") && told.contains("AWS_ACCESS_KEY_ID"), "{told}");
        assert!(told.contains("'results'"), "{told}");
        assert!(!told.contains(server::SECRET), "{told}");
    }
}

#[tokio::test]
async fn a_missing_bucket_is_told() {
    let (address, _) = server::serving(|_, request| {
        let none = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>there is none</Message></Error>";
        let body = if request.method() == Method::HEAD { "" } else { none };
        Response::builder().status(404).header("content-type", "application/xml").body(body.into()).unwrap()
    })
    .await;
    let (store, key) = (server::store(address).await, crate::key("png"));
    for told in [reason(store.put(&key, "x".into(), false).await), reason(store.get(&key).await)] {
        assert!(told.contains("NoSuchBucket") && told.contains("IMGFLO_S3_BUCKET"), "{told}");
    }
}

#[tokio::test]
async fn a_bucket_in_another_region_is_told() {
    let (address, _) = server::serving(|_, _| {
        Response::builder().status(301).header("x-amz-bucket-region", "eu-north-1").body(String::new()).unwrap()
    })
    .await;
    for told in reasons(&server::store(address).await).await {
        assert!(told.contains("eu-north-1") && told.contains("IMGFLO_S3_REGION"), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_told() {
    for told in reasons(&server::store(NOWHERE.parse().unwrap()).await).await {
        assert!(told.contains("refused"), "{told}");
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_again_but_not_for_ever() {
    let (busy, asked) = server::serving(|_, _| server::status(503)).await;
    let store = server::store(busy).await;
    for told in reasons(&store).await {
        assert!(told.contains("status 503"), "{told}");
    }
    // To put begins with a look.
    assert_eq!(asked.load(Ordering::SeqCst), 9);
    let (recovering, asked) = server::serving(|n, _| server::status(if n < 2 { 503 } else { 404 })).await;
    let store = server::store(recovering).await;
    assert!(!store.contains(&crate::key("png")).await.unwrap());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let store = server::impatient(server::answering(None).await).await;
    let start = Instant::now();
    for told in reasons(&store).await {
        assert!(told.contains("in time"), "{told}");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    // It takes the connection, says that there is nothing, and hangs when the blob comes.
    let (missing, _) = server::serving(|_, request| {
        assert_eq!(request.method(), Method::HEAD);
        server::status(404)
    })
    .await;
    let cut = server::cut_after(100_000, missing).await;
    assert!(
        !reason(server::impatient(cut).await.put(&crate::key("png"), vec![1; 1 << 20].into(), false).await).is_empty()
    );
}

#[tokio::test]
async fn a_blob_that_stops_in_the_middle_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let _ = socket.read(&mut [0; 8192]).await;
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it").await;
            held.push(socket);
        }
    });
    let told = reason(server::impatient(address).await.get(&crate::key("png")).await);
    assert!(told.contains("in time"), "{told}");
}

/// Answers with the first half of a blob so many times, then with all of it; counts how often it is asked.
async fn breaking_off(times: usize) -> (SocketAddr, &'static AtomicUsize) {
    let asked: &AtomicUsize = Box::leak(Box::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let _ = socket.read(&mut [0; 8192]).await;
            let cut = asked.fetch_add(1, Ordering::SeqCst) < times;
            let body = if cut { "half of it" } else { "half of it and the rest" };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 23\r\nConnection: close\r\n\r\n{body}");
            let _ = socket.write_all(answer.as_bytes()).await;
            let _ = socket.shutdown().await;
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_blob_that_breaks_off_is_read_again_and_never_given_out() {
    let (address, asked) = breaking_off(2).await;
    let blob = server::store(address).await.get(&crate::key("png")).await.unwrap().unwrap();
    assert_eq!(blob.bytes, "half of it and the rest");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let (address, asked) = breaking_off(usize::MAX).await;
    assert!(!reason(server::store(address).await.get(&crate::key("png")).await).is_empty());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let server = S3Server::start().await;
    let broken = server::store(server::cut_after(300_000, server.address).await).await;
    let key = crate::key("png");
    let bytes = Bytes::from(vec![5; 4 << 20]);
    assert!(!reason(broken.put(&key, bytes.clone(), false).await).is_empty());
    let whole = server::store(server.address).await;
    assert!(!whole.contains(&key).await.unwrap());
    assert!(whole.get(&key).await.unwrap().is_none());
    assert!(!server.folder.path().join(BUCKET).join("p").join(&key).exists());
    whole.put(&key, bytes.clone(), false).await.unwrap();
    assert!(whole.get(&key).await.unwrap().unwrap().bytes == bytes);
}

#[tokio::test]
async fn a_server_that_refuses_conditions_stores_without() {
    for refusal in [501, 400] {
        let (address, asked) = server::serving(move |_, request| match *request.method() {
            Method::HEAD => server::status(404),
            _ if request.headers().contains_key("if-none-match") => server::status(refusal),
            _ => server::status(200),
        })
        .await;
        let store = server::store(address).await;
        store.put(&crate::key("png"), "x".into(), false).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 3, "{refusal}");
        // It knows now.
        store.put(&crate::key("png"), "x".into(), false).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 5, "{refusal}");
    }
}

/// Answer that tells that an object of so many bytes is there.
fn there(bytes: u64) -> Response<String> {
    Response::builder().header("content-length", bytes).body(String::new()).unwrap()
}

/// The file of an object of that server.
fn object(server: &S3Server, key: &str) -> std::path::PathBuf {
    server.folder.path().join(BUCKET).join("p").join(key)
}

#[tokio::test]
async fn an_emptied_object_is_a_miss_and_is_stored_again() {
    let server = S3Server::start().await;
    let store = server::store(server.address).await;
    let key = crate::key("png");
    store.put(&key, "first".into(), false).await.unwrap();
    std::fs::write(object(&server, &key), "").unwrap();
    assert!(!store.contains(&key).await.unwrap());
    assert!(store.get(&key).await.unwrap().is_none());
    assert!(store.open(&key).await.unwrap().is_none());
    store.put(&key, "second".into(), false).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap().unwrap().bytes, "second");
}

#[tokio::test]
async fn an_object_with_other_bytes_is_never_given_out_and_is_made_anew() {
    let server = S3Server::start().await;
    let spool = tempfile::tempdir().unwrap();
    for (size, spools) in [(10, false), (300_000, false), (300_000, true)] {
        let store = server::store(server.address).await;
        let store = if spools { store.with_spool(spool.path().join("spool"), 1 << 30) } else { store };
        // One byte is another, and the end is missing.
        for change in [|bytes: &mut Vec<u8>| bytes[5] = 9, |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2)] {
            for opens in [false, true] {
                let key = crate::key("png");
                let bytes = Bytes::from(vec![7; size]);
                store.put(&key, bytes.clone(), false).await.unwrap();
                let mut altered = bytes.to_vec();
                change(&mut altered);
                std::fs::write(object(&server, &key), altered).unwrap();
                if opens {
                    assert!(store.open(&key).await.unwrap().is_none(), "{size}");
                } else {
                    assert!(store.get(&key).await.unwrap().is_none(), "{size}");
                }
                assert!(!store.contains(&key).await.unwrap(), "{size}: it stays");
                store.put(&key, bytes.clone(), false).await.unwrap();
                assert!(store.get(&key).await.unwrap().unwrap().bytes == bytes);
            }
        }
    }
    // The files have no names, and nothing stays.
    assert_eq!(std::fs::read_dir(spool.path().join("spool")).unwrap().count(), 0);
}

#[tokio::test]
async fn many_who_read_a_large_object_share_one_file() {
    let server = S3Server::start().await;
    let spool = tempfile::tempdir().unwrap();
    let store = server::store(server.address).await.with_spool(spool.path().to_owned(), 1 << 30);
    let key = crate::key("png");
    let bytes = Bytes::from(vec![7; 1 << 20]);
    store.put(&key, bytes.clone(), false).await.unwrap();
    let files = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        open.filter(|file| file.starts_with(spool.path())).count()
    };
    let opened = futures::future::join_all((0..20).map(|_| store.open(&key))).await;
    let opened: Vec<_> = opened.into_iter().map(|opened| opened.unwrap().unwrap()).collect();
    assert_eq!(files(), 1);
    assert!(opened.iter().all(|stored| stored.whole().is_none()), "it is held in memory");
    // A new version is another file.
    store.put(&key, vec![8; 1 << 20].into(), true).await.unwrap();
    let new = store.open(&key).await.unwrap().unwrap();
    assert_eq!((files(), new.read(0, 1).await.unwrap()), (2, vec![8].into()));
    assert_eq!(opened[19].read((1 << 20) - 1, 9).await.unwrap(), vec![7]);
    drop((opened, new));
    assert_eq!(files(), 0);
}

#[tokio::test]
async fn large_objects_wait_for_room_in_the_folder() {
    let server = S3Server::start().await;
    let spool = tempfile::tempdir().unwrap();
    let store = server::store(server.address).await.with_spool(spool.path().to_owned(), 1_000_000);
    let keys = [600_000, 600_000, 5_000_000].map(|size| (crate::key("png"), size));
    for (key, size) in &keys {
        store.put(key, Bytes::from(vec![7; *size]), false).await.unwrap();
    }
    let open = async |at: usize| store.open(&keys[at].0).await.unwrap().unwrap();
    let first = open(0).await;
    // The same one needs no room of its own.
    let again = open(0).await;
    let mut second = pin!(open(1));
    let soon = Duration::from_millis(300);
    assert!(tokio::time::timeout(soon, second.as_mut()).await.is_err(), "two have room for one");
    drop(first);
    assert!(tokio::time::timeout(soon, second.as_mut()).await.is_err(), "it is read still");
    drop(again);
    drop(second.await);
    // One that is larger than the room has it to itself.
    assert_eq!(open(2).await.read(0, 9).await.unwrap(), vec![7; 9]);
}

#[tokio::test]
async fn what_is_there_is_not_sent() {
    let (address, asked) =
        server::serving(|_, request| if request.method() == Method::HEAD { there(3) } else { server::status(500) })
            .await;
    let store = server::store(address).await;
    store.put(&crate::key("png"), "x".into(), false).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(reason(store.put(&crate::key("png"), "x".into(), true).await).contains("status 500"));
}

#[tokio::test]
async fn who_is_slower_than_another_is_content() {
    let faster = |refusal: u16| {
        server::serving(move |n, request| match *request.method() {
            // Not there at first, and there when it is looked at again.
            Method::HEAD if n == 0 => server::status(404),
            Method::HEAD => there(3),
            _ if request.headers().contains_key("if-none-match") => server::status(refusal),
            _ => server::status(200),
        })
    };
    for (refusal, questions) in [(412, 2), (409, 3)] {
        let (address, asked) = faster(refusal).await;
        server::store(address).await.put(&crate::key("png"), "x".into(), false).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), questions, "{refusal}");
    }
    // The other one never ends.
    let (address, _) =
        server::serving(|_, request| server::status(if request.method() == Method::HEAD { 404 } else { 409 })).await;
    assert!(reason(server::store(address).await.put(&crate::key("png"), "x".into(), false).await).contains("409"));
}

#[tokio::test]
async fn one_attempt_is_one() {
    let (busy, asked) = server::serving(|_, _| server::status(503)).await;
    let limits = S3Limits { attempts: 1, ..S3Limits::default() };
    let store = server::store(busy).await.with_limits(limits);
    assert!(store.contains(&crate::key("png")).await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
