//! Clients that do not behave.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use imgflo_cache::{Blob, CacheError, Store};
use imgflo_job::Urgency;
use imgflo_server::ServeOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{PATIENCE, Rig, Wish, read_answer};

fn serving(change: impl FnOnce(&mut ServeOptions)) -> Wish {
    let mut serve = ServeOptions::default();
    change(&mut serve);
    Wish { serve, ..Wish::default() }
}

#[tokio::test]
async fn long_addresses_are_400_with_a_body() {
    let rig = Rig::start().await;
    // Over our limit, over what the HTTP library reads, and over what is read at all.
    for bytes in [20_000, 100_000, 3_000_000] {
        for start in ["/graph/plain?input=", "/", "/files/"] {
            let answer = rig.get(&format!("{start}{}", "a".repeat(bytes))).await;
            let problem = answer.problem(400);
            assert!(
                problem["detail"].as_str().unwrap().contains("address") || problem["overrun"].is_object(),
                "{problem}"
            );
        }
    }
    let answer = rig.get(&format!("/graph/plain?input={}", "a".repeat(20_000))).await;
    assert_eq!(answer.json()["overrun"]["setting"], "IMGFLO_MAX_URL_BYTES");
}

#[tokio::test]
async fn long_headers_and_what_is_not_http_are_400_with_a_body() {
    let rig = Rig::start().await;
    rig.ask("GET", "/healthz", &[("x-long", &"a".repeat(200_000))]).await.problem(400);
    let many = "x-a: b\r\n".repeat(500);
    rig.raw(format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{many}\r\n").as_bytes()).await.problem(400);
    for text in ["\x16\x03\x01 not a request\r\n\r\n", "GET /healthz HTTP/9.9\r\n\r\n", "GET /a b c HTTP/1.1\r\n\r\n"] {
        rig.raw(text.as_bytes()).await.problem(400);
    }
    // Also after a request that was answered.
    let text =
        format!("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\nGET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(90_000));
    let answers = String::from_utf8(rig.raw(text.as_bytes()).await.body.to_vec()).unwrap();
    assert!(answers.contains("HTTP/1.1 400 Bad Request"), "{answers}");
    assert!(answers.contains("application/problem+json"), "{answers}");
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    let rig = Rig::start().await;
    let ask = async |text: &str| rig.raw(format!("{text}\r\n\r\n").as_bytes()).await;
    for good in [
        "GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: a",
        "GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: [::1]:8080",
        "GET /healthz HTTP/1.1\r\nconnection: close\r\nhost:",
        "GET http://a/healthz HTTP/1.1\r\nconnection: close\r\nhost: a",
        // Older than the rule.
        "GET /healthz HTTP/1.0",
    ] {
        assert_eq!(ask(good).await.status, 200, "{good}");
    }
    for bad in [
        "GET /healthz HTTP/1.1\r\nconnection: close",
        "GET http://a/healthz HTTP/1.1\r\nconnection: close",
        "GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: a\r\nhost: b",
        "GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: a\r\nhost: a",
        "GET /healthz HTTP/1.0\r\nhost: a\r\nhost: b",
        "GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: a/b",
        "GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: user@a",
        "GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: a b",
        "GET /graph/plain?input=files/a.gif HTTP/1.1\r\nconnection: close",
        "GET /files/a.gif HTTP/1.1\r\nconnection: close",
    ] {
        let problem = ask(bad).await.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains("Host"), "{bad}: {problem}");
    }
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_not_waited_for() {
    let rig = Rig::with(serving(|serve| serve.head_timeout = Duration::from_millis(200))).await;
    for sent in ["", "GET /healthz HTTP/1.1\r\nhost:"] {
        let mut client = rig.connect().await;
        client.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, client.read_to_end(&mut rest)).await.expect("still open").unwrap();
    }
    // Byte by byte is no progress either: what counts is the whole head.
    let mut client = rig.connect().await;
    let drip = async {
        while client.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, drip).await.expect("still open");
    assert_eq!(rig.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_body_is_not_read() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Background).await;
    let mut client = rig.connect().await;
    let head = "POST /graph/plain?input=files/a.gif HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1000000000\r\n\r\nabc";
    client.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut client).await.status, 202);
    peer.take().await;
}

#[tokio::test]
async fn more_connections_than_allowed_are_told_so() {
    let rig = Rig::with(serving(|serve| serve.max_connections = 2)).await;
    let held = [rig.connect().await, rig.connect().await];
    let mut third = rig.connect().await;
    let answer = read_answer(&mut third).await;
    answer.problem(503);
    assert_eq!(answer.header("retry-after"), "5");
    // Who watches over the process is answered all the same, once a connection.
    for path in ["/healthz", "/readyz", "/healthz?x=1"] {
        for method in ["GET", "HEAD"] {
            let text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            let answer = rig.raw(text.as_bytes()).await;
            assert_eq!((answer.status, answer.header("connection")), (200, "close"), "{method} {path}");
        }
    }
    for path in ["/healthzz", "/", "/graphs", "/readyz/x"] {
        rig.get(path).await.problem(503);
    }
    // A head that does not end is not waited for.
    let mut slow = rig.connect().await;
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, slow.read_to_end(&mut rest)).await.expect("still open").unwrap();
    drop(held);
    tokio::time::timeout(PATIENCE, async {
        while rig.get("/version").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the places were not given back");
}

#[tokio::test]
async fn stopping_lets_requests_finish() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    let mut client = rig.connect().await;
    client.write_all(b"GET /graph/plain?input=files/a.gif HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut idle = rig.connect().await;
    let job = peer.take().await;
    rig.shutdown.cancel();
    // Idle connections end, and new ones are not taken.
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest)).await.expect("still open").unwrap();
    assert!(!rig.serving.is_finished());
    peer.finish(job).await;
    assert_eq!(read_answer(&mut client).await.status, 301);
    tokio::time::timeout(PATIENCE, rig.serving).await.expect("still serving").unwrap().unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let rig = Rig::with(serving(|serve| serve.drain_timeout = Duration::from_millis(50))).await;
    let peer = rig.peer(Urgency::Urgent).await;
    let mut client = rig.connect().await;
    client.write_all(b"GET /graph/plain?input=files/a.gif HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    peer.take().await;
    rig.shutdown.cancel();
    tokio::time::timeout(PATIENCE, rig.serving).await.expect("still serving").unwrap().unwrap();
}

/// A store in trouble.
struct Bad;

#[async_trait]
impl Store for Bad {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        let source = std::io::Error::other("/var/lib/imgflo is gone");
        Err(CacheError::Io { action: "look up", key: key.into(), source })
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError> {
        assert!(!key.starts_with('f'), "/var/lib/imgflo/{key}");
        self.contains(key).await.map(|_| None)
    }

    async fn put(&self, _: &str, _: Bytes, _: bool) -> Result<(), CacheError> {
        Ok(())
    }

    async fn remove(&self, _: &str) -> Result<(), CacheError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_store_in_trouble_is_503_and_a_panic_500() {
    let rig = Rig::with(Wish { store: Some(Arc::new(Bad)), ..Wish::default() }).await;
    let broken = rig.get(&format!("/cache/{}.png", "f".repeat(64))).await;
    let away = rig.get(&format!("/cache/{}.png", "0".repeat(64))).await;
    for (answer, status) in [(broken, 500), (away, 503)] {
        let problem = answer.problem(status);
        assert!(!problem.to_string().contains("/var/lib"), "{problem}");
        assert!(!answer.header("x-request-id").is_empty());
    }
    let ready = rig.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &false.into()));
    // Misses still go to the workers, who may reach it.
    rig.busy_peer().await;
    assert_eq!(rig.get("/graph/plain?input=files/a.gif").await.status, 301);
}
