//! What only a bucket can do.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use imgflo_cache::{CacheError, Delivery, S3Options, S3Store, Store};

use crate::server::{self, BUCKET, S3Server};

const SERVER: &str = "IMGFLO_CACHE_TEST_S3";

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn objects_carry_their_headers() {
    let server = S3Server::start().await;
    let hour = Duration::from_secs(3600);
    let store =
        server::open(S3Options { delivery: Delivery::Presigned(hour), ..server::options(server.address) }).await;
    let (suffixed, plain) = (crate::key("png"), crate::key("png").replace(".png", ""));
    let contents = [(&suffixed, &b"\x89PNG\r\n\x1a\n"[..], "image/png"), (&plain, b"GIF89a", "image/gif")];
    for (key, bytes, media_type) in contents {
        store.put(key, Bytes::from_static(bytes), false).await.unwrap();
        assert!(server.folder.path().join(BUCKET).join("p").join(key).is_file());
        let address = store.address(key).await.unwrap().unwrap();
        let lifetime = address.lifetime.unwrap();
        assert!(lifetime < hour && lifetime > hour / 2, "{lifetime:?}");
        // Without credentials of our own.
        let answer = client().get(&address.url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], media_type);
        assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(answer.bytes().await.unwrap(), bytes);
        let unsigned = address.url.split('?').next().unwrap();
        assert_eq!(client().get(unsigned).send().await.unwrap().status(), 403);
        let other = address.url.replace(key.as_str(), &crate::key("png"));
        assert_eq!(client().get(other).send().await.unwrap().status(), 403);
    }
}

#[tokio::test]
async fn a_presigned_address_stays_the_same_for_a_while() {
    let delivery = Delivery::Presigned(Duration::from_secs(7 * 86400));
    let options = S3Options { delivery, ..server::options("127.0.0.1:9".parse().unwrap()) };
    let store = server::open(options).await;
    let key = crate::key("png");
    let first = store.address(&key).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let second = store.address(&key).await.unwrap().unwrap();
    assert_eq!(first.url, second.url);
    assert!(second.lifetime < first.lifetime);
}

#[tokio::test]
async fn public_addresses_need_no_server() {
    let key = crate::key("png");
    let minio = Some("http://minio.test:9000".to_owned());
    let eu = Some("eu-west-1".to_owned());
    let cdn = || Delivery::Public("https://cdn.example.org/a/".into());
    let cases = [
        (cdn(), None, true, "p", "https://cdn.example.org/a/p/"),
        (cdn(), None, true, "", "https://cdn.example.org/a/"),
        (Delivery::Bucket, minio.clone(), true, "p", "http://minio.test:9000/results/p/"),
        (Delivery::Bucket, minio, false, "p/q", "http://results.minio.test:9000/p/q/"),
        (Delivery::Bucket, None, false, "p", "https://results.s3.eu-west-1.amazonaws.com/p/"),
        (Delivery::Bucket, None, false, "", "https://results.s3.eu-west-1.amazonaws.com/"),
    ];
    for (delivery, endpoint, path_style, prefix, folder) in cases {
        let (bucket, region, prefix) = (BUCKET.into(), eu.clone(), prefix.into());
        let store = server::open(S3Options { bucket, prefix, endpoint, region, path_style, delivery }).await;
        let address = store.address(&key).await.unwrap().unwrap();
        assert_eq!((address.url, address.lifetime), (format!("{folder}{key}"), None));
    }
}

#[tokio::test]
async fn results_that_are_streamed_have_no_address() {
    let store = server::store("127.0.0.1:9".parse().unwrap()).await;
    assert_eq!(store.address(&crate::key("png")).await.unwrap(), None);
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_told_at_once() {
    let options = S3Options { bucket: "a/b".into(), ..server::options("127.0.0.1:9".parse().unwrap()) };
    let error = S3Store::open(options).await.unwrap_err();
    assert!(matches!(&error, CacheError::BadSetting(told) if told.contains("a/b")), "{error}");
}

#[tokio::test]
async fn a_large_blob_comes_back_whole() {
    let server = S3Server::start().await;
    let store = server::store(server.address).await;
    let key = crate::key("png");
    let bytes: Bytes = (0..40_000_000_u32).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect();
    store.put(&key, bytes.clone(), false).await.unwrap();
    assert!(store.get(&key).await.unwrap().unwrap().bytes == bytes);
}

/// The child: has credentials in its environment, or not.
#[tokio::test]
#[ignore = "runs in the children that the other tests start"]
async fn found_credentials() {
    let Ok(server) = std::env::var(SERVER) else { return };
    let options = S3Options { region: None, ..server::options(server.parse().unwrap()) };
    let store = S3Store::open(options).await.unwrap();
    let key = crate::key("png");
    if let Err(error) = store.put(&key, "x".into(), false).await {
        println!("failed: {error}");
        return;
    }
    assert_eq!(store.get(&key).await.unwrap().unwrap().bytes, "x");
    println!("stored");
}

/// What the child says with these in its environment.
async fn child(server: &S3Server, environment: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "s3::found_credentials", "--ignored", "--nocapture"])
        .env_clear()
        .env(SERVER, server.address.to_string())
        // Nothing beyond loopback.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("HOME", server.folder.path())
        .envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn credentials_are_found_as_the_sdk_finds_them() {
    let server = S3Server::start().await;
    let (key, secret) = (server::KEY, server::SECRET);
    let environment = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret), ("AWS_REGION", "eu-west-1")];
    let said = child(&server, &environment).await;
    assert!(said.contains("stored"), "{said}");

    let profile = format!("[results]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    let folder = server.folder.path().join(".aws");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("credentials"), profile).unwrap();
    let said = child(&server, &[("AWS_PROFILE", "results")]).await;
    assert!(said.contains("stored"), "{said}");
}

#[tokio::test]
async fn missing_credentials_are_told() {
    let server = S3Server::start().await;
    let said = child(&server, &[]).await;
    assert!(said.contains("failed: ") && said.contains("see AWS_ACCESS_KEY_ID"), "{said}");
}
