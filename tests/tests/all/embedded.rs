//! The embedded default: one process, nothing to set up, nothing half-written.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imgflo_ops::codec;
use imgflo_tests::server::{Server, folder_bytes};
use imgflo_tests::{program, sample};

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_immutable_and_conditional() {
    let server = Server::start(&[]);
    let answer = server.get("/graph/passthrough?input=files/lake.jpg&width=100").await;
    assert_eq!(answer.status(), 301);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let result = server.get(&location).await;
    assert_eq!(result.status(), 200);
    assert_eq!(result.headers()["content-type"], "image/jpeg");
    assert!(result.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let tag = result.headers()["etag"].to_str().unwrap().to_owned();
    let again =
        server.client().get(format!("{}{location}", server.url)).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let head = server.client().head(format!("{}{location}", server.url)).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], result.headers()["content-length"]);
    assert!(head.bytes().await.unwrap().is_empty());
    assert_eq!(server.get(&format!("/cache/{}.jpg", "0".repeat(64))).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_its_quality() {
    let server = Server::start(&[]);
    // SOF2, which begins progressive frames (ITU-T T.81, table B.1).
    let progressive = |file: &[u8]| file.windows(2).any(|pair| pair == [0xff, 0xc2]);
    // Through pixels, and as it is, where coefficients are quantised anew.
    for size in ["&width=300", ""] {
        let get = async |name: &str, quality: &str| {
            server.picture(&format!("/graph/{name}?input=files/lake.jpg{size}{quality}")).await
        };
        let plain = get("passthrough.jpg", "").await;
        assert_eq!(get("passthrough.jpg", "&quality=85").await, plain);
        assert!(get("passthrough.jpg", "&quality=40").await.len() < plain.len() * 3 / 4);
        let [small, scans] =
            [get("passthrough.jpg", "&quality=small").await, get("passthrough.jpg", "&quality=progressive").await];
        assert!(small.len() < plain.len() && progressive(&small) && progressive(&scans) && !progressive(&plain));
        for (name, quality) in [("passthrough.webp", "small"), ("passthrough.webp", "40"), ("passthrough.png", "small")]
        {
            let [less, more] = [get(name, &format!("&quality={quality}")).await, get(name, "").await];
            assert!(less.len() < more.len(), "{name}{size} {quality}: {} and {}", less.len(), more.len());
        }
    }
    assert_eq!(server.get("/graph/passthrough?input=files/lake.jpg&quality=best").await.status(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_job_is_done_without_a_waiter() {
    let server = Server::start(&[]);
    let path = "/graph/gradientmap?input=files/lake.jpg&width=150";
    let accepted = server.post(path).await;
    assert_eq!(accepted.status(), 202);
    let location = accepted.headers()["location"].to_str().unwrap().to_owned();
    let start = Instant::now();
    while server.get(&location).await.status() != 200 {
        assert!(start.elapsed() < Duration::from_secs(30), "the job is never done");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.post(path).await.status(), 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_equal_requests_are_one_job() {
    let server = Server::start(&[]);
    let path = "/graph/gaussianblur.png?input=files/lake.jpg&std-dev-x=11";
    let answers = (0..100).map(|_| server.get(path)).collect::<Vec<_>>();
    let mut locations = Vec::new();
    for answer in futures::future::join_all(answers).await {
        assert_eq!(answer.status(), 301);
        locations.push(answer.headers()["location"].to_str().unwrap().to_owned());
    }
    locations.dedup();
    assert_eq!(locations.len(), 1);
    assert_eq!(files_below(&server.data.path().join("cache")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_work_passes_the_background_queue() {
    let server = Server::start(&["--workers", "1"]);
    for seed in 0..12 {
        let path = format!("/graph/desaturate?input=files/lake.jpg&width=400&grainsize={}", 100 + seed);
        assert_eq!(server.post(&path).await.status(), 202);
    }
    server.picture("/graph/passthrough?input=files/card.png&width=64").await;
    let done = files_below(&server.data.path().join("cache")).len();
    assert!(done < 13, "the urgent job waited for all background jobs");
    let start = Instant::now();
    while files_below(&server.data.path().join("cache")).len() < 13 {
        assert!(start.elapsed() < Duration::from_secs(120), "a background job was lost");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_no_half_file() {
    let mut data = tempfile::tempdir().unwrap();
    let mut served = 0;
    for round in 0..6u64 {
        let server = Server::start_in(data, &[]);
        for i in 0..8 {
            let width = 300 + round * 8 + i;
            server.post(&format!("/graph/passthrough.png?input=files/lake.jpg&width={width}")).await;
        }
        tokio::time::sleep(Duration::from_millis(40 + 60 * round)).await;
        data = server.kill();
        let server = Server::start_in(data, &[]);
        for file in files_below(&server.data.path().join("cache")) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = server.get(&format!("/cache/{name}")).await.bytes().await.unwrap();
            codec::decode(&bytes, codec::DecodeLimits::new(1 << 30, 1 << 16), &imgflo_ops::Cancel::new())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            served += 1;
        }
        data = server.kill();
    }
    assert!(served >= 5, "only {served} results were ever stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_keeps_its_size() {
    let server = Server::start(&["--cache-bytes", "1MiB"]);
    for width in 300..330 {
        server.picture(&format!("/graph/passthrough.png?input=files/lake.jpg&width={width}")).await;
    }
    let bytes = folder_bytes(&server.data.path().join("cache"));
    assert!(bytes <= 1 << 20, "{bytes} bytes");
    assert!(bytes > 1 << 18, "{bytes} bytes: it keeps something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_was_begun() {
    let mut server = Server::start(&[]);
    let url = format!("{}/graph/desaturate?input=files/lake.jpg&width=500", server.url);
    let client = server.client().clone();
    let request = tokio::spawn(async move { client.get(url).send().await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    server.terminate();
    assert_eq!(request.await.unwrap().expect("the answer comes").status(), 301);
    assert_eq!(server.wait(Duration::from_secs(25)), Some(0));
}

#[test]
fn another_address_is_refused_without_keys() {
    let output = program::run(&["serve", "--bind", "0.0.0.0:0", "--quality", "0"]);
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("IMGFLO_ALLOW_UNSIGNED") && text.contains("--quality"), "all faults at once: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_tokens_guard_a_signed_server() {
    let server = Server::start(&["--api-key", "key", "--api-secret", "secret"]);
    assert_eq!(server.get("/graph/passthrough?input=files/lake.jpg&width=20").await.status(), 403);
    let output = program::command()
        .args([
            "url",
            "passthrough",
            "--input",
            "files/lake.jpg",
            "-p",
            "width=20",
            "--key",
            "key",
            "--secret",
            "secret",
        ])
        .args(["--server", &server.url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let url = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert_eq!(server.client().get(&url).send().await.unwrap().status(), 301, "{url}");
    let tampered = url.replace("width=20", "width=21");
    assert_eq!(server.client().get(&tampered).send().await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_frees_what_only_they_waited_for() {
    let server = Server::start(&["--workers", "1"]);
    let slow = format!("{}/graph/desaturate?input=files/lake.jpg&samples=400", server.url);
    let gone = server.client().get(slow).timeout(Duration::from_millis(300)).send().await;
    assert!(gone.is_err(), "the slow request is abandoned");
    let start = Instant::now();
    server.picture("/graph/passthrough?input=files/card.png&width=32").await;
    assert!(start.elapsed() < Duration::from_secs(20), "the one worker is free again");
    assert_eq!(files_below(&server.data.path().join("cache")).len(), 1, "nothing was stored for nobody");
}

#[test]
fn samples_are_there() {
    for name in ["lake.jpg", "marbles.jpg", "leaf.png", "card.png"] {
        assert!(sample(name).is_file());
    }
}

/// Ten times as many clients as jobs may wait: some are served, the others are told at once when to ask again, and health
/// and stored pictures are answered throughout.
#[tokio::test(flavor = "multi_thread")]
async fn row_14_a_flood_is_told_when_to_come_again() {
    const CLIENTS: usize = 80;
    let server = Server::start(&["--max-urgent-jobs", "8", "--workers", "1"]);
    let stored = "/graph/passthrough?input=files/card.png&width=30";
    server.picture(stored).await;
    let over = std::sync::atomic::AtomicBool::new(false);
    let clients = (0..CLIENTS).map(|client| {
        let server = &server;
        async move {
            let mut statuses = Vec::new();
            for round in 0..3 {
                let width = 300 + client * 3 + round;
                let answer = server.get(&format!("/graph/gaussianblur?input=files/marbles.jpg&width={width}")).await;
                let status = answer.status().as_u16();
                assert!(status != 503 || answer.headers().contains_key("retry-after"));
                statuses.push(status);
            }
            statuses
        }
    });
    let flood = async {
        let statuses = futures::future::join_all(clients).await.concat();
        over.store(true, std::sync::atomic::Ordering::Release);
        statuses
    };
    let watch = async {
        let mut seen = 0;
        while !over.load(std::sync::atomic::Ordering::Acquire) {
            for path in ["/healthz", "/readyz"] {
                assert_eq!(server.get(path).await.status(), 200, "{path}");
            }
            assert_eq!(server.get(stored).await.status(), 301);
            seen += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen
    };
    let (statuses, seen) = futures::join!(flood, watch);
    let [made, refused] = [301, 503].map(|status| statuses.iter().filter(|other| **other == status).count());
    assert_eq!(made + refused, CLIENTS * 3, "{statuses:?}");
    assert!(made >= 8 && refused >= 8 && seen >= 2, "{made} made, {refused} refused, {seen} looks");
    assert_eq!(server.get("/graph/gaussianblur?input=files/marbles.jpg&width=299").await.status(), 301);
}
