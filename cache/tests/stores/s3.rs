//! What only a bucket can do, and how it can fail.

use std::time::Duration;

use imgflo_cache::{CacheError, Delivery, Store};

use crate::server::{self, BUCKET, S3Server};

fn reason<T: std::fmt::Debug>(result: Result<T, CacheError>) -> String {
    match result.unwrap_err() {
        CacheError::Unreachable { what: "S3", reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn objects_carry_their_headers() {
    let server = S3Server::start().await;
    let delivery = Delivery::Presigned(Duration::from_secs(600));
    let store = server::store_with(server.address, delivery).await;
    let key = crate::key("png");
    store.put(&key, "\u{89}PNG".into(), false).await.unwrap();
    assert!(server.folder.path().join(BUCKET).join("p").join(&key).is_file());
    let address = store.address(&key).await.unwrap().unwrap();
    assert_eq!(address.lifetime, Some(Duration::from_secs(540)));
    // Without credentials of our own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(&address.url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(answer.bytes().await.unwrap(), "\u{89}PNG".as_bytes());
    let unsigned = address.url.split('?').next().unwrap();
    assert_eq!(client.get(unsigned).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_public_address_needs_no_server() {
    let delivery = Delivery::Public("https://cdn.example.org/".into());
    let store = server::store_with("127.0.0.1:9".parse().unwrap(), delivery).await;
    let key = crate::key("png");
    let address = store.address(&key).await.unwrap().unwrap();
    assert_eq!((address.url, address.lifetime), (format!("https://cdn.example.org/p/{key}"), None));
}

#[tokio::test]
async fn wrong_credentials_are_told() {
    let server = S3Server::with_secret("another").await;
    let store = server::store(server.address).await;
    let key = crate::key("png");
    assert!(reason(store.put(&key, "x".into(), false).await).contains("AWS_ACCESS_KEY_ID"));
    assert!(reason(store.get(&key).await).contains("status 403"));
    assert!(store.contains(&key).await.is_err());
}

#[tokio::test]
async fn a_missing_bucket_is_told() {
    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\nConnection: close\r\n\r\n\
        <?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>there is none</Message></Error>";
    let store = server::store(server::answering(Some(answer)).await).await;
    assert!(store.get(&crate::key("png")).await.is_err());
    let told = reason(store.put(&crate::key("png"), "x".into(), false).await);
    assert!(told.contains("NoSuchBucket") && told.contains("IMGFLO_S3_BUCKET"), "{told}");
}

#[tokio::test]
async fn a_server_that_fails_is_an_error_and_no_blob() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Type: image/png\r\n\r\nhalf of it";
    let busy = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let key = crate::key("png");
    let half = server::store(server::answering(Some(cut)).await).await;
    assert!(half.get(&key).await.is_err());
    let slow = server::store(server::answering(Some(busy)).await).await;
    assert!(reason(slow.put(&key, "x".into(), false).await).contains("status 503"));
    assert!(slow.contains(&key).await.is_err());
    let gone = server::store("127.0.0.1:9".parse().unwrap()).await;
    assert!(!reason(gone.contains(&key).await).is_empty());
}
