//! Redis and S3 that are down, slow, wiped or broken.

use std::time::Duration;

use imgflo_tests::fleet::{Fleet, Front};
use imgflo_tests::origin::{Answer, Origin};
use imgflo_tests::proxy::{Line, Proxy};
use imgflo_tests::s3::S3;
use imgflo_tests::sample;
use imgflo_tests::services::{Private, shared, virtual_host};

use super::{ask, picture, thumbnail, until};

const LONG: Duration = Duration::from_secs(60);

async fn failures(front: &Front) -> u64 {
    let ready = front.get("/readyz").await.text().await.unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    ready["redis"]["failures"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_24_redis_that_fails_is_done_without() {
    let paths: Vec<String> = (0..6).map(|n| format!("/{n}.png")).collect();
    let origin = Origin::start(paths.iter().map(|path| (path.as_str(), Answer::Body("image/png", picture()))));
    let redis = Private::start("redis");
    let proxy = Proxy::to(redis.port());
    // Results in a bucket, which has an index in Redis.
    let s3 = S3::start();
    let fleet = Fleet::new(&virtual_host())
        .with_s3(s3.port())
        .with("IMGFLO_REDIS_URL", &format!("redis://{}", proxy.address()));
    let front = fleet.front();
    let _worker = fleet.worker(&[]);
    let request = |n: usize| thumbnail(&origin, &paths[n]);
    assert_eq!(ask(&front, &request(0)).await.0, 301);
    let mut before = failures(&front).await;
    for (n, line) in
        [Line::Cut, Line::Stalled, Line::Slow(Duration::from_secs(5)), Line::Garbled].into_iter().enumerate()
    {
        proxy.set(line);
        for round in 0..10 {
            let (status, took) = ask(&front, &request(0)).await;
            assert_eq!(status, 301, "{line:?}");
            // The store is asked after 100 ms at most; the rest is a busy machine.
            assert!(took < Duration::from_secs(1), "{line:?}, round {round}: {took:?}");
        }
        assert_eq!(ask(&front, &request(n + 1)).await.0, 301, "{line:?}: others are made");
        until("failures are counted", LONG, async || failures(&front).await > before).await;
        before = failures(&front).await;
        proxy.set(Line::Up);
    }
    until("Redis is used again", LONG, async || {
        let ready = front.get("/readyz").await.text().await.unwrap();
        let _ = ask(&front, &format!("{}&height=3", request(0))).await;
        ready.contains("\"up\":true")
    })
    .await;
    // Wiped: it has lost its memory with its process.
    redis.kill();
    redis.start_again();
    for n in 0..5 {
        assert_eq!(ask(&front, &request(n)).await.0, 301);
    }
    assert!((0..5).all(|n| origin.requests(&paths[n]) >= 1));
    assert_eq!(ask(&front, &request(5)).await.0, 301);
    assert_eq!(origin.requests(&paths[5]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_25_a_result_is_told_when_it_is_stored_whole() {
    let photo = std::fs::read(sample("lake.jpg")).unwrap();
    let paths: Vec<String> = (0..8).map(|n| format!("/{n}.png")).collect();
    let origin = Origin::start(paths.iter().map(|path| (path.as_str(), Answer::Body("image/jpeg", photo.clone()))));
    let s3 = S3::start();
    let proxy = Proxy::to(s3.port());
    let fleet = Fleet::new(&virtual_host()).with_s3(proxy.port());
    let front = fleet.front();
    let worker = fleet.worker(&[]);
    let request = |n: usize| format!("/graph/passthrough.png?input={}&width=300", origin.input(&paths[n]));
    let result = async |n: usize| {
        let answer = front.get(&request(n)).await;
        assert_eq!(answer.status(), 301, "{n}: {}", answer.text().await.unwrap_or_default());
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let result = front.get(&location).await;
        assert_eq!(result.status(), 200);
        assert_eq!(result.headers()["content-type"], "image/png");
        let bytes = result.bytes().await.unwrap();
        assert!(bytes.len() > 20_000 && bytes.ends_with(b"IEND\xaeB`\x82"), "{} bytes", bytes.len());
    };
    result(0).await;
    assert_eq!(s3.objects().len(), 1);
    for (n, line) in [Line::Cut, Line::CutAfter(8_000), Line::Garbled].into_iter().enumerate() {
        proxy.set(line);
        let answer = front.get(&request(n + 1)).await;
        assert!(matches!(answer.status().as_u16(), 503 | 504), "{line:?}: {}", answer.status());
        assert!(answer.headers().contains_key("retry-after"), "{line:?}");
        let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["retry"], true, "{line:?}: {body}");
        proxy.set(Line::Up);
        // A result that was asked for again is a whole one.
        until("it is made", LONG, async || front.get(&request(n + 1)).await.status() == 301).await;
        result(n + 1).await;
        assert_eq!(s3.objects().len(), n + 2, "{line:?}: one object a key");
    }
    // Slow is no failure.
    proxy.set(Line::Slow(Duration::from_millis(100)));
    result(4).await;
    proxy.set(Line::Up);
    // Nor is a background job given up while the store is away.
    proxy.set(Line::Cut);
    assert_eq!(front.post(&request(5)).await.status(), 202);
    until("it failed", LONG, async || worker.log().lines().filter(|line| line.contains("job failed")).count() > 3)
        .await;
    proxy.set(Line::Up);
    until("it is stored", LONG, async || s3.objects().len() == 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_25b_wrong_credentials_are_our_fault_and_logged() {
    let origin = Origin::start([("/a.png", Answer::Body("image/png", picture()))]);
    let s3 = S3::start();
    let fleet = Fleet::new(&virtual_host()).with_s3(s3.port()).with("AWS_SECRET_ACCESS_KEY", "wrong");
    let front = fleet.front();
    let worker = fleet.worker(&[]);
    let answer = front.get(&thumbnail(&origin, "/a.png")).await;
    assert_eq!(answer.status(), 503);
    assert!(!answer.text().await.unwrap().contains("AWS"), "our insides are not the client's business");
    assert!(worker.log().contains("AWS_ACCESS_KEY_ID"), "the operator is told what to look at");
    assert!(s3.objects().is_empty());
}

/// The names of files are not flushed to the disk: the power may take results that all have heard of.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_the_folder_lost_is_made_again() {
    let origin = Origin::start([("/a.png", Answer::Body("image/png", picture()))]);
    let fleet = Fleet::new(&virtual_host()).with("IMGFLO_REDIS_URL", &shared("IMGFLO_TEST_REDIS"));
    let (fronts, _worker) = ([fleet.front(), fleet.front()], fleet.worker(&[]));
    let request = thumbnail(&origin, "/a.png");
    for lost in 0..3 {
        for front in &fronts {
            let answer = front.get(&request).await;
            assert_eq!(answer.status(), 301, "after {lost} losses");
            let place = answer.headers()["location"].to_str().unwrap().to_owned();
            assert_eq!(front.get(&place).await.status(), 200, "after {lost} losses");
        }
        assert_eq!(origin.requests("/a.png"), lost + 1, "made once each time");
        for result in fleet.results() {
            std::fs::remove_file(result).unwrap();
        }
    }
}

/// Each process has a folder of its own, as containers without a volume do.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_another_store_is_told_and_leaves_no_redirect() {
    let broker = virtual_host();
    let (fleet, elsewhere) = (Fleet::new(&broker), Fleet::new(&broker));
    let front = fleet.front();
    assert!(front.process.log().contains("IMGFLO_S3_BUCKET"), "{}", front.process.log());
    let warnings = async || {
        let ready = front.get("/readyz").await;
        assert_eq!(ready.status(), 200);
        let ready: serde_json::Value = serde_json::from_str(&ready.text().await.unwrap()).unwrap();
        ready["warnings"].to_string()
    };
    assert!(warnings().await.contains("no worker is connected"));
    {
        let worker = elsewhere.worker(&[]);
        assert!(worker.log().contains("IMGFLO_S3_BUCKET"), "{}", worker.log());
        let answer = front.get("/graph/passthrough?input=files/card.png&width=41").await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["cache-control"].to_str().unwrap()),
            (503, &"no-store")
        );
        assert!(warnings().await.contains("is not in the store"));
        assert!(front.process.log().contains("is not in the store"), "{}", front.process.log());
    }
    // One that shares the folder ends it.
    let _worker = fleet.worker(&[]);
    until("a worker of ours makes it", LONG, async || {
        ask(&front, "/graph/passthrough?input=files/card.png&width=42").await.0 == 301
    })
    .await;
    assert_eq!(warnings().await, "[]");
}
