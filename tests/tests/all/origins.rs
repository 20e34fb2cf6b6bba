//! Origins that are slow, missing, busy, or change their pictures.

use futures::future::{BoxFuture, FutureExt, join_all};
use futures::stream::{FuturesUnordered, StreamExt};
use imgflo_tests::fleet::Fleet;
use imgflo_tests::origin::{Answer, Gate, Origin};
use imgflo_tests::sample;
use imgflo_tests::server::Server;
use imgflo_tests::services::virtual_host;
use reqwest::Response;

/// Number of origins that drip.
const DRIPPING: usize = 200;
/// Times that none of these tests reaches, and room for all requests in the queue.
pub const PATIENT: [(&str, &str); 4] = [
    ("IMGFLO_FIRST_BYTE_TIMEOUT", "60000"),
    ("IMGFLO_FETCH_TIMEOUT", "60000"),
    ("IMGFLO_URGENT_DEADLINE", "60000"),
    ("IMGFLO_MAX_URGENT_JOBS", "1000"),
];

fn picture() -> Vec<u8> {
    std::fs::read(sample("card.png")).unwrap()
}

/// Asks for 200 pictures whose origins hold back, and meanwhile for 50 cheap ones, which must come first.
pub async fn cheap_ones_come_first<'a>(get: impl Fn(String) -> BoxFuture<'a, Response>) {
    let gate = Gate::default();
    let path = |n: usize| format!("/slow/{n}");
    let origin = Origin::start((0..DRIPPING).map(|n| (path(n), Answer::Behind(gate.clone(), "image/png", picture()))));
    let slow = |n: usize| get(format!("/graph/passthrough.png?input={}&width=20", origin.input(&path(n))));
    let mut slow: FuturesUnordered<_> = (0..DRIPPING).map(slow).collect();
    let cheap = async {
        let asked = || (0..DRIPPING).map(|n| origin.requests(&path(n))).sum::<usize>();
        while asked() < DRIPPING {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let cheap = (0..50).map(|n| get(format!("/graph/passthrough.png?input=files/card.png&width={}", 30 + n)));
        join_all(cheap).await
    };
    let cheap = tokio::select! {
        biased;
        first = slow.next() => panic!("an image came before its origin let it: {first:?}"),
        cheap = cheap => cheap,
    };
    assert_eq!(cheap.iter().filter(|answer| answer.status() == 301).count(), 50);
    gate.open();
    let statuses: Vec<u16> = slow.map(|answer| answer.status().as_u16()).collect().await;
    assert_eq!(statuses, [301; DRIPPING]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dripping_origins_are_in_nobodys_way() {
    let mut command = imgflo_tests::program::command();
    command.envs(PATIENT).env("IMGFLO_ALLOW_ADDRESSES", "127.0.0.0/8").env("IMGFLO_WORKERS", "2");
    let server = Server::start_by(command, tempfile::tempdir().unwrap(), &[]);
    cheap_ones_come_first(|path| async { server.get(&{ path }).await }.boxed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dripping_origins_are_in_nobodys_way_in_a_fleet() {
    let mut fleet = Fleet::new(&virtual_host());
    for (name, value) in PATIENT {
        fleet = fleet.with(name, value);
    }
    let (front, _worker) = (fleet.front(), fleet.worker(&["--workers", "2"]));
    cheap_ones_come_first(|path| async { front.get(&{ path }).await }.boxed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drips_that_end_together_have_no_cheap_picture_refused() {
    let mut command = imgflo_tests::program::command();
    command.envs(PATIENT).env("IMGFLO_ALLOW_ADDRESSES", "127.0.0.0/8").env("IMGFLO_WORKERS", "2");
    command.env("IMGFLO_MAX_URGENT_JOBS", "64");
    let server = Server::start_by(command, tempfile::tempdir().unwrap(), &[]);
    let (gate, photo) = (Gate::default(), std::fs::read(sample("lake.jpg")).unwrap());
    let path = |n: usize| format!("/slow/{n}");
    let behind = |n| (path(n), Answer::Behind(gate.clone(), "image/jpeg", photo.clone()));
    let origin = Origin::start((0..DRIPPING).map(behind));
    let mut slow = FuturesUnordered::new();
    for n in 0..DRIPPING {
        let target =
            format!("/graph/gaussianblur.jpg?input={}&width=400&std-dev-x=20&std-dev-y=20", origin.input(&path(n)));
        let server = &server;
        slow.push(Box::pin(async move { server.get(&target).await }));
        // Each is with the worker before the next one is asked for: the lane is empty.
        while origin.requests(&path(n)) == 0 {
            assert!(poll_once(&mut slow).await.is_none(), "an image came before its origin let it");
        }
    }
    gate.open();
    // Few at a time, so that it does not matter how fast the machine is.
    let ask = |n: usize| {
        let target = format!("/graph/passthrough.png?input=files/card.png&width={}", 30 + n);
        let server = &server;
        async move { server.get(&target).await.status().as_u16() }
    };
    let mut done = Vec::new();
    let cheap = {
        let cheap = futures::stream::iter((0..100).map(ask)).buffer_unordered(8).collect::<Vec<_>>();
        let mut cheap = std::pin::pin!(cheap);
        loop {
            tokio::select! {
                statuses = &mut cheap => break statuses,
                Some(answer) = slow.next() => done.push(answer.status().as_u16()),
            }
        }
    };
    assert_eq!(cheap, [301; 100]);
    assert!(done.len() < DRIPPING / 2, "{} slow ones came before", done.len());
    done.extend(slow.map(|answer| answer.status().as_u16()).collect::<Vec<_>>().await);
    assert_eq!(done, [301; DRIPPING]);
}

/// Lets requests go on for a moment.
async fn poll_once<F: Future>(requests: &mut FuturesUnordered<F>) -> Option<F::Output> {
    tokio::time::timeout(std::time::Duration::from_millis(2), requests.next()).await.ok().flatten()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_origin_answers_is_handed_on() {
    let origin = Origin::start([
        ("/missing", Answer::Status(404)),
        ("/gone", Answer::Status(410)),
        ("/forbidden", Answer::Status(403)),
        ("/busy", Answer::Headed("503 Busy", "Retry-After: 7\r\n", Vec::new())),
        ("/often", Answer::Headed("429 Slow down", "Retry-After: 9\r\n", Vec::new())),
        ("/private", Answer::Headed("200 OK", "Cache-Control: private\r\n", picture())),
    ]);
    let server = Server::start(&["--allow-addresses", "127.0.0.0/8"]);
    let get = async |path: &str, width: u32| {
        server.get(&format!("/graph/passthrough.png?input={}&width={width}", origin.input(path))).await
    };
    let header = |answer: &Response, name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
    for (path, status, retry) in [
        ("/missing", 404, None),
        ("/gone", 404, None),
        ("/forbidden", 502, None),
        ("/busy", 503, Some("7")),
        ("/often", 503, Some("9")),
    ] {
        // The second size asks the origin for nothing.
        for width in [20, 30] {
            let answer = get(path, width).await;
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(header(&answer, "retry-after").as_deref(), retry, "{path}");
            assert_eq!(header(&answer, "cache-control").as_deref(), Some("no-store"), "{path}");
        }
        assert_eq!(origin.requests(path), 1, "{path}");
    }
    // Made, and found.
    for _ in 0..2 {
        let answer = get("/private", 20).await;
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "cache-control").as_deref()),
            (301, Some("private, no-store"))
        );
        let result = server.get(&header(&answer, "location").unwrap()).await;
        assert_eq!(
            (result.status().as_u16(), header(&result, "cache-control").as_deref()),
            (200, Some("private, no-store"))
        );
    }
    assert_eq!(origin.requests("/private"), 1);
    // Who orders is told an address that works.
    let order = server.post(&format!("/graph/passthrough.png?input={}&width=40", origin.input("/private"))).await;
    assert_eq!(order.status(), 202);
    let location = header(&order, "location").unwrap();
    for _ in 0..500 {
        let result = server.get(&location).await;
        if result.status() == 200 {
            assert_eq!(header(&result, "cache-control").as_deref(), Some("private, no-store"));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("what was ordered does not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_changes_gets_another_tag() {
    let other = std::fs::read(sample("leaf.png")).unwrap();
    let origin = Origin::start([("/a.png", Answer::Then("image/png", picture(), other))]);
    let server = Server::start(&["--allow-addresses", "127.0.0.0/8"]);
    let path = format!("/graph/passthrough.png?input={}&width=40", origin.input("/a.png"));
    let location = |answer: &Response| answer.headers()["location"].to_str().unwrap().to_owned();
    let old = location(&server.get(&path).await);
    let first = server.get(&old).await;
    let tag = first.headers()["etag"].clone();
    assert!(!first.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(location(&server.get(&format!("{path}&_nocache=true")).await), old);
    let ask = async |headers: &[(&str, &str)]| {
        let request = server.client().get(format!("{}{old}", server.url));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
    };
    let tag = tag.to_str().unwrap();
    let again = ask(&[("if-none-match", tag)]).await;
    assert_eq!(again.status(), 200);
    assert_ne!(again.headers()["etag"], tag);
    assert_eq!(ask(&[("range", "bytes=10-"), ("if-range", tag)]).await.status(), 200);
    assert_eq!(ask(&[("if-match", tag)]).await.status(), 412);
    let now = again.headers()["etag"].to_str().unwrap();
    assert_eq!(ask(&[("if-none-match", now)]).await.status(), 304);
    assert_eq!(ask(&[("range", "bytes=10-"), ("if-range", now)]).await.status(), 206);
}
