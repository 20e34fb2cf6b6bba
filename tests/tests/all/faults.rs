//! What must hold when something that a fleet depends on breaks. The numbers are those of the rows of
//! `docs/RELIABILITY.md`.

mod blame;
mod broker;
mod clocks;
mod deleted;
mod machine;
mod processes;
mod soak;
mod stores;
mod trust;

use std::time::{Duration, Instant};

use imgflo_tests::fleet::Front;
use imgflo_tests::origin::Origin;
use imgflo_tests::sample;

/// A picture to work on.
fn picture() -> Vec<u8> {
    std::fs::read(sample("card.png")).unwrap()
}

/// The request for a small version of an origin's picture.
fn thumbnail(origin: &Origin, path: &str) -> String {
    format!("/graph/passthrough?input={}&width=40", origin.input(path))
}

/// Waits until something holds.
async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < limit, "after {limit:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The status of a GET, and how long it took.
async fn ask(front: &Front, path: &str) -> (u16, Duration) {
    let start = Instant::now();
    let answer = front.get(path).await;
    (answer.status().as_u16(), start.elapsed())
}

/// Refused at once, with the time after which to ask again.
async fn assert_refused(front: &Front, path: &str) {
    let start = Instant::now();
    let answer = front.get(path).await;
    assert_eq!(answer.status(), 503, "{path}");
    assert!(answer.headers().contains_key("retry-after"), "{path}");
    assert!(start.elapsed() < Duration::from_secs(1), "{path}: {:?}", start.elapsed());
}
