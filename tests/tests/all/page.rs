//! The first page, in a real browser.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use imgflo_tests::server::Server;

/// The page's document after its scripts have run.
fn document(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = tempfile::NamedTempFile::new().unwrap();
    let mut browser = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
        ])
        .args(["--virtual-time-budget=15000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdout(Stdio::from(output.reopen().unwrap()))
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium is installed by scripts/setup");
    let start = Instant::now();
    while browser.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(120) {
            // The document may be complete although the browser does not end.
            browser.kill().unwrap();
            browser.wait().unwrap();
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::read_to_string(output.path()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_graphs_a_form_and_the_url() {
    let server = Server::start(&[]);
    let url = format!("{}/", server.url);
    let html = tokio::task::spawn_blocking(move || document(&url)).await.unwrap();
    for graph in ["gaussianblur", "gradientmap", "halodarken", "retro"] {
        assert!(html.contains(graph), "{graph} is offered: {html}");
    }
    assert!(html.contains("files/lake.jpg"), "the samples are offered");
    assert!(html.contains("type=\"range\"") || html.contains("type=\"number\""), "there is a form");
    assert!(html.contains("/graph/"), "the URL is shown");
    assert!(!html.contains("undefined") && !html.contains("[object Object]"), "no script slipped: {html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debug_request_opens_the_page_with_its_graph() {
    let server = Server::start(&[]);
    let answer = server.get("/graph/gaussianblur?input=files/card.png&std-dev-x=7&debug=1").await;
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let url = if location.starts_with("http") { location } else { format!("{}{location}", server.url) };
    let html = tokio::task::spawn_blocking(move || document(&url)).await.unwrap();
    assert!(html.contains("std-dev-x=7"), "the parameters are taken from the URL: {html}");
}
